// What a trading front sends: the compatible trader library's parser, dispatcher, flows and conversions, as every
// version, without the socket. The host reads every byte it is given.
#include <unistd.h>

#include <algorithm>
#include <string>

#include "ftd.hpp"
#include "input.hpp"
#include "tests/trader_host.hpp"
#include "trader/dispatch.hpp"
#include "world.hpp"

namespace {

using namespace compat;
using namespace compat::trader;
using fuzz::Input;

void put(Bytes* out, std::uint16_t v) {
    std::uint8_t two[2];
    write_u16(two, v);
    out->insert(out->end(), two, two + 2);
}

// One message as the input describes it: kind, shape, and fields of any size. Its number is mostly the one expected.
void describe(Input* in, std::uint32_t (*numbers)[kCountedSeries], Bytes* stream) {
    const std::uint8_t kind = in->byte(), shape = in->byte();
    const Answer& answer = kAnswers[kind % kAnswerCount];
    const std::uint32_t others[] = {kErrorAnswer, kFlowNotice, in->number<std::uint32_t>()};
    Bytes content(kFtdcHeader);
    content[0] = 1;
    content[2] = 12;
    content[3] = (shape & 1) != 0 ? 'C' : 'L';
    const std::uint16_t series = shape >> 1 & 7;
    write_u16(&content[4], series);
    write_u32(&content[6], kind < 220 ? answer.tid : others[kind % 3]);
    const bool right = (shape & 0x70) != 0x70;
    write_u32(&content[10], series < kCountedSeries && right ? ++(*numbers)[series] : in->number<std::uint32_t>());
    for (std::uint32_t n = in->byte() % 8; n != 0 && content.size() < 3200; --n) {
        const std::uint8_t which = in->byte();
        const std::uint16_t ids[] = {answer.field, kInfoField, kDissemination, in->number<std::uint16_t>()};
        const std::uint16_t size = std::min<std::uint16_t>(in->number<std::uint16_t>(), 700);
        put(&content, ids[which % 4]);
        put(&content, size);
        const std::size_t at = content.size();
        content.resize(at + size);
        // A field of many bytes takes only as many from the input as its next byte says, again and again.
        const std::size_t period = std::min<std::size_t>(in->byte(), size);
        if (period != 0) in->take(&content[at], period);
        for (std::size_t i = period; period != 0 && i < size; ++i) content[at + i] = content[at + i - period];
    }
    write_u16(&content[16], static_cast<std::uint16_t>(content.size() - kFtdcHeader));
    const std::size_t at = stream->size();
    stream->resize(at + kFtdHeader);
    (*stream)[at] = 2;
    write_u16(&(*stream)[at + 2], static_cast<std::uint16_t>(content.size()));
    stream->insert(stream->end(), content.begin(), content.end());
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
    Parser parser(0);  // the smallest buffer: it turns over often
    constexpr std::size_t kPieces[] = {1, 3, 21, 1u << 16};
    const std::size_t piece = kPieces[how >> 4 & 3];
    Parser::Result result = Parser::Result::kNeedMore;
    for (std::size_t at = 0; at < stream.size() && result == Parser::Result::kNeedMore && !dispatcher.deaf();) {
        std::size_t room;
        std::uint8_t* const to = parser.space(&room);
        const std::size_t n = std::min({piece, room, stream.size() - at});
        std::memcpy(to, &stream[at], n);
        parser.filled(n);
        at += n;
        Message message;
        while (!dispatcher.deaf() && (result = parser.next(&message)) == Parser::Result::kMessage) dispatcher.message(message);
    }
    PROMISE(std::strlen(dispatcher.trading_day()) <= 8);
    PROMISE(dispatcher.wanted().size() == 2u + (how >> 2 & 1) + (how >> 3 & 1));
    dispatcher.disconnected(0x1001);
    PROMISE(host.calls >= 2 && host.strangers == 0 && host.nulls == 0);
    return 0;
}
