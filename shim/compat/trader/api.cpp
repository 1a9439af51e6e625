// The API object: a vtable made for the version, and the requests behind it.
#include "api.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "dispatch.hpp"
#include "faults.hpp"
#include "interface.hpp"
#include "life.hpp"

namespace compat::trader {

namespace {

class TraderApi;

// What the host's pointer points at: the word that a class with virtual functions begins with, and ourselves.
struct Handle {
    void* const* methods;
    TraderApi* api;
};

constexpr char kNotAnInterface[] = "tickengine";  // the vendor's library calls itself "THOST User" there

bool is_request(const std::string& function) {
    return std::any_of(std::begin(kRequests), std::end(kRequests), [&](const Request& r) { return function == r.method; });
}
const FaultWords kTraderFaults{false, is_request};

Habits habits_of(Version version) { return version >= v679 ? kHabitsSince679 : Habits(); }

class TraderApi final : private Life {
public:
    TraderApi(Version version, const std::string& flow_prefix, const Faults& faults);

    void* handle() { return &handle_; }

    // By slot; the handle is what a compiler passes as `this`.
    static void Release(Handle* h) { h->api->release(); }
    static void Init(Handle* h) { h->api->init(); }
    static int Join(Handle* h) { return h->api->join(); }
    static const char* GetTradingDay(Handle* h) { return h->api->dispatcher_.trading_day(); }
    static void RegisterFront(Handle* h, char* address) { h->api->connection_.add_front(address); }
    static void RegisterSpi(Handle* h, void* spi) { h->api->dispatcher_.set_spi(spi); }
    // 6.7.13 has a number more, of which nothing is known.
    static void SubscribePrivateTopic(Handle* h, int mode) { h->api->subscribe(kPrivate, mode); }
    static void SubscribePublicTopic(Handle* h, int mode) { h->api->subscribe(kPublic, mode); }
    // A method whose form on the wire is not known, or that has no effect here. Looks at no argument.
    static int unsupported(Handle*) { return kUnsupported; }
    template <std::size_t I>
    static int request(Handle* h, const char* field, int request_id) {
        return h->api->send(I, field, request_id);
    }

private:
    ~TraderApi() = default;

    void fall_silent() override { dispatcher_.set_spi(nullptr); }
    void destroy() override { delete this; }
    void subscribe(std::uint16_t series, int mode);
    int send(std::size_t index, const char* host, int request_id);
    void describe_ourselves(const Layout& layout, std::uint8_t* login);
    template <typename Function>
    void set(const char* name, Function* function);
    template <std::size_t... I>
    void set_requests(std::index_sequence<I...>);

    const Version version_;
    const Faults faults_;
    std::vector<Layout> layouts_;  // of the requests
    Dispatcher dispatcher_;
    Connection connection_;
    void* methods_[kMaxMethods];
    Handle handle_;
};

TraderApi::TraderApi(Version version, const std::string& flow_prefix, const Faults& faults)
    : Life(&connection_, faults_),
      version_(version),
      faults_(faults),
      dispatcher_(version, flow_prefix, faults),
      connection_(&dispatcher_, with_faults(habits_of(version), faults)),
      handle_{methods_, this} {
    for (const Request& r : kRequests) layouts_.emplace_back(r.type, r.field, version);
    std::fill(std::begin(methods_), std::end(methods_), reinterpret_cast<void*>(unsupported));
    set("Release", Release);
    set("Init", Init);
    set("Join", Join);
    set("GetTradingDay", GetTradingDay);
    set("RegisterFront", RegisterFront);
    set("RegisterSpi", RegisterSpi);
    set("SubscribePrivateTopic", SubscribePrivateTopic);
    set("SubscribePublicTopic", SubscribePublicTopic);
    set_requests(std::make_index_sequence<kRequestCount>());
}

template <typename Function>
void TraderApi::set(const char* name, Function* function) {
    const int slot = slot_of(kMethods, version_, name);
    if (slot >= 0) methods_[slot] = reinterpret_cast<void*>(function);
}

template <std::size_t... I>
void TraderApi::set_requests(std::index_sequence<I...>) {
    (set(kRequests[I].method, request<I>), ...);
}

void TraderApi::subscribe(std::uint16_t series, int mode) {
    if (mode >= kRestart && mode <= kQuick) dispatcher_.subscribe(series, static_cast<Resume>(mode));
}

// What the library states about itself and about its host is not taken from the caller.
void TraderApi::describe_ourselves(const Layout& layout, std::uint8_t* login) {
    const auto put = [&](const char* name, const char* text) {
        const Layout::Place place = layout.wire(name);
        std::memset(login + place.offset, 0, place.size);
        std::memcpy(login + place.offset, text, ::strnlen(text, place.size));
    };
    put("TradingDay", dispatcher_.trading_day());
    put("InterfaceProductInfo", kNotAnInterface);
    put("ProtocolInfo", "FTDC 0");
    put("MacAddress", "");  // nothing about the host is looked up
    put("ClientIPAddress", "");
}

int TraderApi::send(std::size_t index, const char* host, int request_id) {
    const Request& r = kRequests[index];
    fault_in_request(faults_, r.method);
    if (host == nullptr) return kBadArgument;
    const Layout& layout = layouts_[index];
    std::uint8_t body[kMaxStruct];
    // An id that does not fit is refused: cut, it would be another instrument's.
    if (!layout.to_wire(host, body)) return kBadArgument;
    if (r.tid == kLogin) describe_ourselves(layout, body);
    const int code = without_exceptions([&] {
        Bytes packet;
        RequestWriter writer(&packet, r.tid, r.series, static_cast<std::uint32_t>(request_id));
        writer.add(r.field, body, layout.wire_size());
        if (r.tid == kLogin) {
            for (const Dispatcher::Wanted& wanted : dispatcher_.wanted()) {
                std::uint8_t dissemination[6];
                write_u16(dissemination, wanted.series);
                write_u32(dissemination + 2, wanted.number);
                writer.add(kDissemination, dissemination, sizeof dissemination);
            }
        }
        writer.finish();
        if (!connection_.connected()) return kNotConnected;
        int refused;
        if (r.series == kQuery && !dispatcher_.open_query(&refused)) return refused;
        const int rc = connection_.send(std::move(packet), r.series);
        if (rc != 0 && r.series == kQuery) dispatcher_.forget_query();
        return rc;
    });
    // Not left behind on the stack: a password may be among it.
    volatile std::uint8_t* const wiped = body;
    for (std::size_t i = 0; i < layout.wire_size(); ++i) wiped[i] = 0;
    return code;
}

}  // namespace

void* create(const char* flow_path) {
    try {
        Faults faults;
        std::string error;
        if (!parse_faults(std::getenv(kTraderFaultsVariable), kTraderFaults, &faults, &error)) {
            std::fprintf(stderr, "%s: %s; no API object was made\n", kTraderFaultsVariable, error.c_str());
            return nullptr;
        }
        return (new TraderApi(kVersion, flow_path == nullptr ? "" : flow_path, faults))->handle();
    } catch (const std::exception& e) {
        std::fprintf(stderr, "CreateFtdcTraderApi: %s; no API object was made\n", e.what());
        return nullptr;
    }
}

}  // namespace compat::trader
