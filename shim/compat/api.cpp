// The API object and its factory.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

#include "abi.hpp"
#include "connection.hpp"
#include "convert.hpp"
#include "dispatch.hpp"
#include "faults.hpp"
#include "ftd.hpp"
#include "life.hpp"

namespace compat {

namespace {

enum RequestTid : std::uint32_t {
    kLogin = 0x3000,
    kLogout = 0x3002,
    kSubscribe = 0x4401,
    kUnsubscribe = 0x4403,
    kSubscribeQuote = 0x4409,
    kUnsubscribeQuote = 0x440b,
};

constexpr int kIdsPerPacket = 114;  // what the vendor's library does; two more would fit

constexpr std::uint16_t kDissemination = 0x1001;
constexpr std::uint16_t kReqUserLogin = 0x1002;
constexpr std::uint16_t kUserLogout = 0x1004;
constexpr std::uint16_t kSpecificInstrument = 0x2441;
constexpr std::uint16_t kNoSeries = 0;
constexpr std::uint16_t kDialogSeries = 1;
constexpr std::uint16_t kQuerySeries = 4;

#if TK_COMPAT == 6711
constexpr Habits kHabits = kHabitsSince679;
#else
constexpr Habits kHabits;
#endif

class MdApi final : public CThostFtdcMdApi, private Life {
public:
    explicit MdApi(const Faults& faults)
        : Life(&connection_, faults_),
          faults_(faults),
          dispatcher_(faults),
          connection_(&dispatcher_, with_faults(kHabits, faults)) {}

    void Release() override { release(); }
    void Init() override { init(); }
    int Join() override { return join(); }
    const char* GetTradingDay() override { return dispatcher_.trading_day(); }
    void RegisterFront(char* address) override { connection_.add_front(address); }
    void RegisterNameServer(char*) override {}           // the name server's protocol is not known
    void RegisterFensUserInfo(FensUserInfo*) override {}  // only read by a name server
    void RegisterSpi(MdSpi* spi) override { dispatcher_.set_spi(spi); }
    int SubscribeMarketData(char** ids, int count) override {
        return request_ids("SubscribeMarketData", kSubscribe, ids, count);
    }
    int UnSubscribeMarketData(char** ids, int count) override {
        return request_ids("UnSubscribeMarketData", kUnsubscribe, ids, count);
    }
    int SubscribeForQuoteRsp(char** ids, int count) override {
        return request_ids("SubscribeForQuoteRsp", kSubscribeQuote, ids, count);
    }
    int UnSubscribeForQuoteRsp(char** ids, int count) override {
        return request_ids("UnSubscribeForQuoteRsp", kUnsubscribeQuote, ids, count);
    }
    int ReqUserLogin(compat::ReqUserLogin* login, int request_id) override;
    int ReqUserLogout(UserLogout* logout, int request_id) override;
#if TK_COMPAT_HAS_MULTICAST
    int ReqQryMulticastInstrument(QryMulticastInstrument*, int) override { return kUnsupported; }
#endif

private:
    ~MdApi() = default;

    void fall_silent() override { dispatcher_.set_spi(nullptr); }
    void destroy() override { delete this; }
    int request_ids(const char* function, std::uint32_t tid, char** ids, int count);

    const Faults faults_;
    Dispatcher dispatcher_;
    Connection connection_;
};

int MdApi::request_ids(const char* function, std::uint32_t tid, char** ids, int count) {
    fault_in_request(faults_, function);
    if (faults_.freed_in == function) dispatcher_.freed_in_request().request([this] { connection_.cut(); });
    if (count < 0 || (count > 0 && !ids)) return kBadArgument;
    for (int i = 0; i < count; ++i) {
        if (!ids[i]) return kBadArgument;
    }
    return without_exceptions([&] {
        Bytes packets;
        int i = 0;
        do {  // a count of 0 still sends one packet
            RequestWriter packet(&packets, tid, kNoSeries, 0);
            for (const int end = std::min(count, i + kIdsPerPacket); i < end; ++i) {
                char id[kWireIdSize] = {};
                std::memcpy(id, ids[i], ::strnlen(ids[i], kWireIdSize - 1));
                packet.add(kSpecificInstrument, id, sizeof id);
            }
            packet.finish();
        } while (i < count);
        return connection_.send(std::move(packets));
    });
}

int MdApi::ReqUserLogin(compat::ReqUserLogin* login, int request_id) {
    fault_in_request(faults_, "ReqUserLogin");
    if (!login) return kBadArgument;
    std::uint8_t body[kLoginWireSize];
    encode_login(*login, dispatcher_.trading_day(), body);
    return without_exceptions([&] {
        Bytes packet;
        RequestWriter writer(&packet, kLogin, kNoSeries, static_cast<std::uint32_t>(request_id));
        writer.add(kReqUserLogin, body, sizeof body);
        for (const std::uint16_t series : {kDialogSeries, kQuerySeries}) {
            std::uint8_t dissemination[6] = {};  // nothing taken of this series yet
            write_u16(dissemination, series);
            writer.add(kDissemination, dissemination, sizeof dissemination);
        }
        writer.finish();
        return connection_.send(std::move(packet));
    });
}

int MdApi::ReqUserLogout(UserLogout* logout, int request_id) {
    fault_in_request(faults_, "ReqUserLogout");
    if (!logout) return kBadArgument;
    return without_exceptions([&] {
        Bytes packet;
        RequestWriter writer(&packet, kLogout, kDialogSeries, static_cast<std::uint32_t>(request_id));
        writer.add(kUserLogout, logout, sizeof *logout);
        writer.finish();
        return connection_.send(std::move(packet), kDialogSeries);
    });
}

}  // namespace

}  // namespace compat

// The flow path is not used: there is nothing to remember, so no files, and a bad directory is no error.
// UDP, multicast and production mode are not offered; the flags are accepted because hosts pass them.
#if TK_COMPAT_HAS_PRODUCTION
CThostFtdcMdApi* CThostFtdcMdApi::CreateFtdcMdApi(const char*, bool, bool, bool) {
#else
CThostFtdcMdApi* CThostFtdcMdApi::CreateFtdcMdApi(const char*, bool, bool) {
#endif
    try {
        compat::Faults faults;
        std::string error;
        if (!compat::parse_faults(std::getenv(compat::kFaultsVariable), compat::kMarketDataFaults, &faults, &error)) {
            std::fprintf(stderr, "%s: %s; no API object was made\n", compat::kFaultsVariable, error.c_str());
            return nullptr;
        }
        return new compat::MdApi(faults);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "CreateFtdcMdApi: %s; no API object was made\n", e.what());
        return nullptr;
    }
}
