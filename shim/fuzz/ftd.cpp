// What a front sends: the compatible library's parser, dispatcher, merge and conversions, without the socket.
//
// The bytes come as a stream in pieces, or the input describes messages. README.md has the form.
#include "dispatch.hpp"
#include "front.hpp"

namespace {

using namespace compat;
using fuzz::Input;

constexpr std::uint32_t kTids[] = {0x0001, 0x3001, 0x3003, 0x4402, 0x4404, 0x440a, 0x440c, 0xf018, 0xf101, 0xf103};
constexpr std::uint16_t kFields[] = {0x0000, 0x0012, 0x082a, 0x1003, 0x1004, 0x2441, 0x2431, 0x2432, 0x2433, 0x2434,
                                     0x2435, 0x2436, 0x2437, 0x2438, 0x2439, 0x2440, 0x2481};

// A host that reads every byte it is given.
class Host final : public MdSpi {
public:
    std::uint64_t calls = 0, sum = 0;

    void OnFrontConnected() override { ++calls; }
    void OnFrontDisconnected(int) override { ++calls; }
    void OnHeartBeatWarning(int) override { ++calls; }
    void OnRspUserLogin(RspUserLogin* login, RspInfo* info, int, bool) override { look(login, info); }
    void OnRspUserLogout(UserLogout* logout, RspInfo* info, int, bool) override { look(logout, info); }
    void OnRspQryMulticastInstrument(MulticastInstrument*, RspInfo* info, int, bool) override { look(info, info); }
    void OnRspError(RspInfo* info, int, bool is_last) override {
        PROMISE(is_last);
        look(info, info);
    }
    void OnRspSubMarketData(SpecificInstrument* id, RspInfo* info, int, bool) override { look(id, info); }
    void OnRspUnSubMarketData(SpecificInstrument* id, RspInfo* info, int, bool) override { look(id, info); }
    void OnRspSubForQuoteRsp(SpecificInstrument* id, RspInfo* info, int, bool) override { look(id, info); }
    void OnRspUnSubForQuoteRsp(SpecificInstrument* id, RspInfo* info, int, bool) override { look(id, info); }
    void OnRtnDepthMarketData(DepthMarketData* tick) override {
        PROMISE(tick != nullptr);
        look(tick, static_cast<RspInfo*>(nullptr));
    }
    void OnRtnForQuoteRsp(ForQuoteRsp* quote) override {
        PROMISE(quote != nullptr);
        look(quote, static_cast<RspInfo*>(nullptr));
    }

private:
    template <typename T>
    void look(const T* data, const RspInfo* info) {
        ++calls;
        add(data, sizeof(T));
        add(info, sizeof *info);
    }
    void add(const void* data, std::size_t size) {
        if (data == nullptr) return;
        for (std::size_t i = 0; i < size; ++i) sum = sum * 31 + static_cast<const std::uint8_t*>(data)[i];
    }
};

// One message as the input describes it: tid, series, sequence number, and fields of any size.
void describe(Input* in, std::uint32_t (*seq)[5], Bytes* stream) {
    const std::uint8_t kind = in->byte(), shape = in->byte();
    const std::uint16_t series = shape >> 1 & 7;
    const std::uint32_t tid = kind < 250 ? kTids[kind % (sizeof kTids / sizeof kTids[0])] : in->number<std::uint32_t>();
    const bool right = (shape & 0x70) != 0x70;  // mostly the number that is expected
    const std::uint32_t number = series < 5 && right ? ++(*seq)[series] : in->number<std::uint32_t>();
    fuzz::Content content((shape & 1) != 0, series, tid, number, in->byte());
    for (std::uint32_t n = in->byte() % 16; n != 0 && content.size() < 3500; --n) {
        const std::uint8_t which = in->byte();
        const std::uint16_t fid = which < 250 ? kFields[which % (sizeof kFields / sizeof kFields[0])] : in->number<std::uint16_t>();
        const std::uint8_t first = in->byte();
        content.field(in, fid, first < 250 ? first : std::min<std::uint16_t>(in->number<std::uint16_t>(), 400));
    }
    content.append_to(stream);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in(data, size);
    const std::uint8_t how = in.byte();
    Bytes stream;
    if ((how & 1) != 0) {
        std::uint32_t seq[5] = {};
        for (int n = 0; n < 64 && !in.empty(); ++n) describe(&in, &seq, &stream);
    } else {
        stream.assign(data + (size != 0), data + size);
    }
    Faults faults;
    faults.no_nul = (how & 2) != 0;
    Host host;
    Dispatcher dispatcher(faults);
    dispatcher.set_spi(&host);
    dispatcher.begin([] {});
    dispatcher.connected();
    fuzz::feed(stream, how >> 2, &dispatcher, [&dispatcher] { dispatcher.end_of_batch(); });
    PROMISE(std::strlen(dispatcher.trading_day()) <= 8);
    dispatcher.disconnected(0x1001);
    dispatcher.end();
    PROMISE(host.calls >= 2);
    return 0;
}
