#include "td_api.hpp"

#include <chrono>
#include <cstring>

#include "errors.hpp"
#include "system.hpp"

namespace tk::td {
namespace {

struct Method {
    const char* name;
    api::Slot slot;
    Struct type;
};

// What the session may ask for by name. Orders are not among them: they go through insert() and action().
constexpr Method kMethods[] = {
    {"ReqUserLogout", api::kReqUserLogout, kUserLogout},
    {"ReqSettlementInfoConfirm", api::kReqSettlementInfoConfirm, kSettlementInfoConfirm},
    {"ReqQryOrder", api::kReqQryOrder, kQryOrder},
    {"ReqQryTrade", api::kReqQryTrade, kQryTrade},
    {"ReqQryInvestorPosition", api::kReqQryInvestorPosition, kQryInvestorPosition},
    {"ReqQryTradingAccount", api::kReqQryTradingAccount, kQryTradingAccount},
    {"ReqQryInstrument", api::kReqQryInstrument, kQryInstrument},
    {"ReqQryDepthMarketData", api::kReqQryDepthMarketData, kQryDepthMarketData},
};

std::uint32_t largest_struct() {
    std::uint32_t most = 0;
    for (const StructTable& t : kStructs)
        for (const std::uint16_t size : t.layout_sizes) most = size > most ? size : most;
    return most;
}

}  // namespace

TdApi::TdApi(TdLibrary library, TradeWriter* journal)
    : library_(std::move(library)), journal_(journal), request_(largest_struct() + kGrowth) {
    for (void*& function : vtable_) function = other_callback();
    const auto& generation = spi::kGenerations[library_.tables->spi];
    for (std::size_t c = 0; c < spi::kSlotCount; ++c)
        if (generation.slot[c] >= 0) vtable_[2 + generation.slot[c]] = spi_functions()[c];
    spi_ = {vtable_ + 2, this};
}

TdApi::~TdApi() { release(); }

std::int32_t TdApi::create(const char* flow_path, bool production) {
    if (const std::int32_t rc = prepare_host(flow_path); rc != TK_OK) return rc;
    api_ = library_.create(flow_path, production);
    if (api_ == nullptr) return fail(TK_E_VENDOR, "'%s' did not create an api", library_.path.c_str());
    reinterpret_cast<void (*)(void*, void*)>(slot(api::kRegisterSpi))(api_, &spi_);
    return TK_OK;
}

std::int32_t TdApi::ready(bool initialised) const {
    if (api_ == nullptr) return fail(TK_E_STATE, "the trader api has been released");
    if (initialised && !initialised_) return fail(TK_E_STATE, "the trader api is not initialised");
    return TK_OK;
}

std::int32_t TdApi::register_front(const char* front) {
    if (const std::int32_t rc = ready(false); rc != TK_OK) return rc;
    if (const std::int32_t rc = check_front(front); rc != TK_OK) return rc;
    std::string copy = front;  // the parameter is a char*
    reinterpret_cast<void (*)(void*, char*)>(slot(api::kRegisterFront))(api_, copy.data());
    return TK_OK;
}

std::int32_t TdApi::subscribe_topics(std::int32_t private_mode, std::int32_t public_mode) {
    if (const std::int32_t rc = ready(false); rc != TK_OK) return rc;
    if (initialised_) return fail(TK_E_STATE, "flows are chosen before the trader api is initialised");
    for (const std::int32_t mode : {private_mode, public_mode})
        if (mode < TK_TOPIC_RESTART || mode > TK_TOPIC_QUICK) return fail(TK_E_ARG, "flow mode %d is not known", mode);
    // 6.7.13 takes a number more, which the older ones do not look at.
    reinterpret_cast<void (*)(void*, int, int)>(slot(api::kSubscribePrivateTopic))(api_, private_mode, 1);
    reinterpret_cast<void (*)(void*, int)>(slot(api::kSubscribePublicTopic))(api_, public_mode);
    return TK_OK;
}

std::int32_t TdApi::leave_out_returns() {
    if (const std::int32_t rc = ready(false); rc != TK_OK) return rc;
    if (initialised_) return fail(TK_E_STATE, "returns are left out before the trader api is initialised");
    returns_left_out_ = true;
    return TK_OK;
}

std::int32_t TdApi::init() {
    if (const std::int32_t rc = ready(false); rc != TK_OK) return rc;
    if (initialised_) return fail(TK_E_STATE, "the trader api is initialised already");
    initialised_ = true;
    threads_.started_by([this] { reinterpret_cast<void (*)(void*)>(slot(api::kInit))(api_); });
    return TK_OK;
}

void TdApi::release() {
    stop_sender();
    gate_.store(false);
    void* api = nullptr;
    {
        const std::lock_guard<std::mutex> lock(sending_);  // an order that is under way leaves first
        std::swap(api, api_);
    }
    if (api == nullptr) return;
    threads_.wait_until_they_run();
    // In this order and once, as for market data: with the spi still set, Release first delivers everything
    // received; Join together with Release may hang for ever, so Join is never called.
    void** const methods = *static_cast<void***>(api);
    reinterpret_cast<void (*)(void*, void*)>(methods[api_slot(*library_.tables, api::kRegisterSpi)])(api, nullptr);
    reinterpret_cast<void (*)(void*)>(methods[api_slot(*library_.tables, api::kRelease)])(api);
    wake();
}

std::int32_t TdApi::trading_day(char* out, std::uint32_t size) {
    if (const std::int32_t rc = ready(false); rc != TK_OK) return rc;
    const char* day = reinterpret_cast<const char* (*)(void*)>(slot(api::kGetTradingDay))(api_);
    std::strncpy(out, day == nullptr ? "" : day, size - 1);
    out[size - 1] = '\0';
    return TK_OK;
}

// ---- requests of the session --------------------------------------------------------------------

struct TdApi::Text {
    const char* field;
    const char* value;
    const char* name;  // in a message
};

// Neither the journal nor the queue ever sees such a request, and nothing of it stays on the heap.
std::int32_t TdApi::send_secret(api::Slot method, Struct type, const Text* texts, std::size_t count,
                                std::int32_t request_id, std::int32_t* rc) {
    if (const std::int32_t error = ready(true); error != TK_OK) return error;
    const StructTable& t = struct_table(type);
    std::vector<char> canonical(t.size), request(vendor_size(*library_.tables, type) + kGrowth);
    const Wiped wiped_canonical(&canonical), wiped_request(&request);
    for (const Text* text = texts; text != texts + count; ++text) {
        for (const StructField& f : t.fields) {
            if (std::strcmp(f.name, text->field) != 0) continue;
            const std::size_t n = std::strlen(text->value);
            if (n >= f.size) return fail(TK_E_ARG, "%s has %zu bytes, at most %u fit", text->name, n, f.size - 1u);
            std::memcpy(canonical.data() + f.offset, text->value, n);
        }
    }
    if (const std::int32_t error = to_vendor(*library_.tables, type, canonical.data(), request.data()); error != TK_OK) return error;
    *rc = call_request(slot(method), api_, request.data(), request_id);
    return TK_OK;
}

std::int32_t TdApi::authenticate(const char* broker_id, const char* user_id, const char* product_info, const char* auth_code,
                                 const char* app_id, std::int32_t request_id, std::int32_t* rc) {
    const Text texts[] = {{"BrokerID", broker_id, "broker_id"},
                          {"UserID", user_id, "investor_id"},
                          {"UserProductInfo", product_info, "product info"},
                          {"AuthCode", auth_code, "auth_code"},
                          {"AppID", app_id, "app_id"}};
    return send_secret(api::kReqAuthenticate, kReqAuthenticate, texts, 5, request_id, rc);
}

std::int32_t TdApi::login(const char* broker_id, const char* user_id, const char* password, const char* product_info,
                          std::int32_t request_id, std::int32_t* rc) {
    const Text texts[] = {{"BrokerID", broker_id, "broker_id"},
                          {"UserID", user_id, "investor_id"},
                          {"Password", password, "password"},
                          {"UserProductInfo", product_info, "product info"}};
    // An order that had passed the gate of the session before leaves first: on a connection that is logged in it would
    // be an order of the new session, with the journal saying the old one's. The front refuses it here.
    { const std::lock_guard<std::mutex> lock(sending_); }
    return send_secret(api::kReqUserLogin, kReqUserLogin, texts, 4, request_id, rc);
}

std::int32_t TdApi::request(const char* method, const void* canonical, std::uint32_t size, std::int32_t request_id, std::int32_t* rc) {
    if (const std::int32_t error = ready(true); error != TK_OK) return error;
    for (const Method& m : kMethods) {
        if (std::strcmp(m.name, method) != 0) continue;
        const StructTable& t = struct_table(m.type);
        if (size != t.size) return fail(TK_E_ARG, "%s takes a %s of %u bytes, not %u", method, t.name, t.size, size);
        std::vector<char> request(vendor_size(*library_.tables, m.type) + kGrowth);
        const std::int32_t error = to_vendor(*library_.tables, m.type, static_cast<const char*>(canonical), request.data());
        if (error == TK_OK) *rc = call_request(slot(m.slot), api_, request.data(), request_id);
        return error;
    }
    return fail(TK_E_ARG, "'%.60s' is no request that can be made by name", method);
}

// ---- what comes back ----------------------------------------------------------------------------

// Of so many returns that are left out one wakes the thread in next(), which keeps room ready: for many more than that.
constexpr std::uint64_t kQuietReturns = 64;

constexpr bool is_return(std::uint16_t kind) { return kind >= TK_TR_RSP_ORDER_INSERT && kind <= TK_TR_RTN_PRIVATE_SEQ_NO; }

void TdApi::take(TradeEntry entry, bool journaled) {
    entry.stamp = process_clock().now();
    std::uint64_t sequence = 0;
    // The library counts a return as delivered only when this is over: with no room for it, the thread waits
    // here until there is some, which nothing tells. Orders are refused long before, and as long: they leave a reserve.
    while (journaled && journal_->append(entry, &sequence) != TK_OK) rest(10000000);
    if (returns_left_out_ && journaled && is_return(entry.kind)) {
        if (left_out_.fetch_add(1, std::memory_order_relaxed) % kQuietReturns == 0) wake();
        return;
    }
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        TradeRecord& record = queue_.emplace_back();
        fill(entry, &record);
        record.Stamp = journaled ? sequence + 1 : 0;
        record.Epoch = journal_->epoch();
    }
    arrived_.notify_one();
}

bool TdApi::next(std::int64_t timeout_ns, TradeRecord* out) {
    journal_->reserve();  // this thread has time, those that send and receive have not
    std::unique_lock<std::mutex> lock(mutex_);
    arrived_.wait_for(lock, std::chrono::nanoseconds(timeout_ns), [this] { return !queue_.empty() || woken_; });
    woken_ = false;
    if (queue_.empty()) return false;
    *out = queue_.front();
    queue_.pop_front();
    return true;
}

void TdApi::wake() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        woken_ = true;
    }
    arrived_.notify_all();
}

}  // namespace tk::td
