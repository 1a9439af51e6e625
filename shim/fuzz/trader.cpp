// What a trading front sends: the compatible trader library's parser, dispatcher, flows and conversions, as every
// version, without the socket. The host reads every byte it is given.
#include <unistd.h>

#include <string>

#include "front.hpp"
#include "tests/trader_host.hpp"
#include "trader/dispatch.hpp"
#include "world.hpp"

namespace {

using namespace compat;
using namespace compat::trader;
using fuzz::Input;

// One message as the input describes it: kind, shape, and fields of any size. Its number is mostly the one expected.
void describe(Input* in, std::uint32_t (*numbers)[kCountedSeries], Bytes* stream) {
    const std::uint8_t kind = in->byte(), shape = in->byte();
    const Answer& answer = kAnswers[kind % kAnswerCount];
    const std::uint32_t others[] = {kErrorAnswer, kFlowNotice, in->number<std::uint32_t>()};
    const std::uint16_t series = shape >> 1 & 7;
    const bool right = (shape & 0x70) != 0x70;
    const std::uint32_t number = series < kCountedSeries && right ? ++(*numbers)[series] : in->number<std::uint32_t>();
    fuzz::Content content((shape & 1) != 0, series, kind < 220 ? answer.tid : others[kind % 3], number, 0);
    for (std::uint32_t n = in->byte() % 8; n != 0 && content.size() < 3200; --n) {
        const std::uint8_t which = in->byte();
        const std::uint16_t ids[] = {answer.field, kInfoField, kDissemination, in->number<std::uint16_t>()};
        content.field(in, ids[which % 4], std::min<std::uint16_t>(in->number<std::uint16_t>(), 700));
    }
    content.append_to(stream);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in(data, size);
    const Version version = static_cast<Version>(in.byte() % kVersionCount);
    const std::uint8_t how = in.byte();
    Bytes stream;
    if ((how & 1) != 0) {
        std::uint32_t numbers[kCountedSeries] = {};
        for (int n = 0; n < 64 && !in.empty(); ++n) describe(&in, &numbers, &stream);
    } else {
        stream.assign(data + std::min<std::size_t>(size, 2), data + size);
    }
    const std::string prefix = fuzz::directory() + "/";
    for (const char* file : {"DialogRsp", "QueryRsp", "TradingDay", "Private", "Public"}) unlink((prefix + file + ".con").c_str());
    Host host(version);
    Faults faults;
    faults.poison = (how & 2) != 0;
    Dispatcher dispatcher(version, prefix, faults);
    dispatcher.set_spi(&host);
    if ((how & 4) != 0) dispatcher.subscribe(kPrivate, kResume);
    if ((how & 8) != 0) dispatcher.subscribe(kPublic, kQuick);
    dispatcher.begin([] {});
    dispatcher.connected();
    fuzz::feed(stream, how >> 4, &dispatcher, [] {});
    PROMISE(std::strlen(dispatcher.trading_day()) <= 8);
    PROMISE(dispatcher.wanted().size() == 2u + (how >> 2 & 1) + (how >> 3 & 1));
    dispatcher.disconnected(0x1001);
    PROMISE(host.calls >= 2 && host.strangers == 0 && host.nulls == 0);
    return 0;
}
