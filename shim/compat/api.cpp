// The API object and its factory.
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "abi.hpp"
#include "connection.hpp"
#include "convert.hpp"
#include "dispatch.hpp"
#include "faults.hpp"
#include "ftd.hpp"

namespace compat {

namespace {

constexpr int kBadArgument = -4;  // not a code of the vendor, whose library crashes on a null pointer
constexpr int kUnsupported = -5;  // not a code of the vendor either

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

// No exception may pass into the host, which was built without knowing of any.
template <typename Request>
int without_exceptions(Request request) {
    try {
        return request();
    } catch (const std::bad_alloc&) {
        return kTooManyPending;
    }
}

// The host's signal handlers belong on the host's threads. Faults of the thread itself stay open, so that
// a crash handler of the host still reports them.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t set;
        sigfillset(&set);
        for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&set, signal);
        pthread_sigmask(SIG_SETMASK, &set, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_;
};

class MdApi final : public CThostFtdcMdApi {
public:
    explicit MdApi(const Faults& faults) : faults_(faults), dispatcher_(faults), connection_(&dispatcher_, faults) {}

    void Release() override;
    void Init() override;
    int Join() override;
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

    void thread_main();
    void dismiss_joiners(std::unique_lock<std::mutex>* lock);
    int request_ids(const char* function, std::uint32_t tid, char** ids, int count);

    const Faults faults_;
    Dispatcher dispatcher_;
    Connection connection_;

    std::mutex life_;
    std::condition_variable life_changed_;
    std::thread thread_;
    bool released_ = false;
    bool released_inside_ = false;
    int joiners_ = 0;
};

void MdApi::Init() {
    if (faults_.hang_init) fault_hang();
    std::lock_guard<std::mutex> lock(life_);
    if (thread_.joinable() || released_) return;
    const SignalsBlocked blocked;
    try {
        thread_ = std::thread([this] { thread_main(); });
    } catch (const std::system_error& e) {
        std::fprintf(stderr, "Init: no thread, so nothing will be connected: %s\n", e.what());
    }
}

void MdApi::thread_main() {
    pthread_setname_np(pthread_self(), "tk-compat");
    connection_.run();
    // The lock also waits for an Init() that is still storing thread_.
    std::unique_lock<std::mutex> lock(life_);
    if (!released_inside_) return;
    thread_.detach();
    dismiss_joiners(&lock);
    lock.unlock();
    delete this;
}

void MdApi::dismiss_joiners(std::unique_lock<std::mutex>* lock) {
    released_ = true;
    life_changed_.notify_all();
    life_changed_.wait(*lock, [this] { return joiners_ == 0; });
}

void MdApi::Release() {
    if (faults_.hang_release) fault_hang();
    if (faults_.slow_release_ms) fault_sleep(faults_.slow_release_ms);
    dispatcher_.set_spi(nullptr);
    if (connection_.on_own_thread()) {
        // Inside a callback nobody can wait for the callback's end: the thread frees the object when it is done.
        {
            std::lock_guard<std::mutex> lock(life_);
            released_inside_ = true;
        }
        connection_.stop();
        return;
    }
    connection_.stop();
    if (thread_.joinable()) thread_.join();
    {
        std::unique_lock<std::mutex> lock(life_);
        dismiss_joiners(&lock);
    }
    delete this;
}

int MdApi::Join() {
    if (connection_.on_own_thread()) return kBadArgument;  // would wait for itself
    std::unique_lock<std::mutex> lock(life_);
    ++joiners_;
    life_changed_.wait(lock, [this] { return released_; });
    --joiners_;
    life_changed_.notify_all();
    return 1;
}

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
        return connection_.send(std::move(packet), true);
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
        if (!compat::parse_faults(std::getenv(compat::kFaultsVariable), &faults, &error)) {
            std::fprintf(stderr, "%s: %s; no API object was made\n", compat::kFaultsVariable, error.c_str());
            return nullptr;
        }
        return new compat::MdApi(faults);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "CreateFtdcMdApi: %s; no API object was made\n", e.what());
        return nullptr;
    }
}
