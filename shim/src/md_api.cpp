#include "md_api.hpp"

#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "errors.hpp"

namespace tk {
namespace {

constexpr std::int64_t kRequestEnd = 1000000000;

// Writes a text into a field, refusing what does not fit: a cut password or id would be somebody else's.
std::int32_t put(std::vector<char>* request, Field field, const char* text, const char* name) {
    const std::size_t n = std::strlen(text);
    if (n >= field.size) return fail(TK_E_ARG, "%s has %zu bytes, at most %u fit", name, n, field.size - 1u);
    std::memcpy(request->data() + field.offset, text, n);
    return TK_OK;
}

}  // namespace

MdApi::MdApi(VendorLibrary library, Writer* writer) : library_(std::move(library)), writer_(writer) {
    const Generation& g = *library_.tables.generation;
    for (int s = 0; s < kMaxSpiSlots; ++s)
        vtable_[2 + s] = s < static_cast<int>(g.spi_slots) ? spi_functions()[g.spi[s]] : unknown_callback();
    spi_ = {vtable_ + 2, this, writer_, library_.tables.layouts->depth};
}

MdApi::~MdApi() { release(); }

std::int32_t MdApi::create(const char* flow_path, bool using_udp, bool multicast, bool production) {
    if (const std::int32_t rc = prepare_host(flow_path); rc != TK_OK) return rc;
    api_ = library_.create(flow_path, using_udp, multicast, production);
    if (api_ == nullptr) return fail(TK_E_VENDOR, "'%s' did not create an api", library_.path.c_str());
    reinterpret_cast<void (*)(void*, void*)>(slot(library_.tables.generation->register_spi))(api_, &spi_);
    return TK_OK;
}

std::int32_t MdApi::ready(bool initialised) const {
    if (api_ == nullptr) return fail(TK_E_STATE, "the api has been released");
    if (initialised && !initialised_) return fail(TK_E_STATE, "the api is not initialised");
    return TK_OK;
}

std::int32_t MdApi::register_front(const char* front) {
    if (const std::int32_t rc = ready(false); rc != TK_OK) return rc;
    if (const std::int32_t rc = check_front(front); rc != TK_OK) return rc;
    std::string copy = front;  // the parameter is a char*
    reinterpret_cast<void (*)(void*, char*)>(slot(library_.tables.generation->register_front))(api_, copy.data());
    return TK_OK;
}

std::int32_t MdApi::init() {
    if (const std::int32_t rc = ready(false); rc != TK_OK) return rc;
    if (initialised_) return fail(TK_E_STATE, "the api is initialised already");
    initialised_ = true;
    threads_.started_by([this] { reinterpret_cast<void (*)(void*)>(slot(library_.tables.generation->init))(api_); });
    return TK_OK;
}

void MdApi::release() {
    if (api_ == nullptr) return;
    const Generation& g = *library_.tables.generation;
    threads_.wait_until_they_run();
    // In this order and once: with the spi still set, Release first delivers everything received;
    // Join together with Release may hang for ever, so Join is never called.
    reinterpret_cast<void (*)(void*, void*)>(slot(g.register_spi))(api_, nullptr);
    reinterpret_cast<void (*)(void*)>(slot(g.release))(api_);
    api_ = nullptr;
    wake();
}

void MdApi::push(const tk_callback& callback) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        callbacks_.push_back(callback);
    }
    arrived_.notify_one();
}

void MdApi::event(const Event& event) { writer_->publish_event(event, writer_->clock().now()); }

// 6.3.6 takes no lock in the four requests of `subscribe` (the login takes one). It looks up its connection, and frees
// it once OnFrontDisconnected has returned: under a request that is still sending, which then ends the process (SIGSEGV).
// So the callback stays until the request is out. Not for ever: a version in which a request waits for the callback
// would stand still, and so would one that never comes back from the request.
void MdApi::outlast_request() {
    if (subscribing_.try_lock_for(std::chrono::nanoseconds(kRequestEnd))) subscribing_.unlock();
}

bool MdApi::next(std::int64_t timeout_ns, tk_callback* out) {
    std::unique_lock<std::mutex> lock(mutex_);
    arrived_.wait_for(lock, std::chrono::nanoseconds(timeout_ns), [this] { return !callbacks_.empty() || woken_; });
    woken_ = false;
    if (callbacks_.empty()) return false;
    *out = callbacks_.front();
    callbacks_.pop_front();
    return true;
}

void MdApi::wake() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        woken_ = true;
    }
    arrived_.notify_all();
}

std::int32_t MdApi::login(const char* broker_id, const char* user_id, const char* password,
                          const char* product_info, std::int32_t request_id, std::int32_t* rc) {
    if (const std::int32_t error = ready(true); error != TK_OK) return error;
    const LoginRequestLayout& l = *library_.tables.layouts->login_request;
    std::vector<char> request(l.size + kGrowth);
    const Wiped wiped(&request);
    std::int32_t error = put(&request, l.broker_id, broker_id, "broker_id");
    if (error == TK_OK) error = put(&request, l.user_id, user_id, "investor_id");
    if (error == TK_OK) error = put(&request, l.password, password, "password");
    if (error == TK_OK) error = put(&request, l.product_info, product_info, "product info");
    if (error != TK_OK) return error;
    *rc = reinterpret_cast<int (*)(void*, void*, int)>(slot(library_.tables.generation->login))(api_, request.data(), request_id);
    return TK_OK;
}

std::int32_t MdApi::logout(const char* broker_id, const char* user_id, std::int32_t request_id, std::int32_t* rc) {
    if (const std::int32_t error = ready(true); error != TK_OK) return error;
    std::vector<char> request(kUserLogoutSize + kGrowth);
    std::int32_t error = put(&request, kLogoutBrokerId, broker_id, "broker_id");
    if (error == TK_OK) error = put(&request, kLogoutUserId, user_id, "investor_id");
    if (error != TK_OK) return error;
    *rc = reinterpret_cast<int (*)(void*, void*, int)>(slot(library_.tables.generation->logout))(api_, request.data(), request_id);
    return TK_OK;
}

std::int32_t MdApi::subscribe(std::int32_t what, const char* const* ids, std::uint32_t count, std::int32_t* rc) {
    if (const std::int32_t error = ready(true); error != TK_OK) return error;
    const Generation& g = *library_.tables.generation;
    const std::uint32_t size = library_.tables.layouts->instrument->instrument_id.size;
    std::int8_t method;
    switch (what) {
        case TK_SUBSCRIBE: method = g.subscribe; break;
        case TK_UNSUBSCRIBE: method = g.unsubscribe; break;
        case TK_SUBSCRIBE_QUOTE: method = g.subscribe_quote; break;
        case TK_UNSUBSCRIBE_QUOTE: method = g.unsubscribe_quote; break;
        default: return fail(TK_E_ARG, "subscription kind %d is not known", what);
    }
    if (count == 0) return fail(TK_E_ARG, "no instrument to subscribe");
    // The parameter is char**: our copies, in case a library writes to them.
    std::vector<std::string> copies(ids, ids + count);
    std::vector<char*> pointers;
    for (std::string& id : copies) {
        if (id.empty() || id.size() >= size)
            return fail(TK_E_ARG, "instrument id '%.100s' must have 1 to %u bytes for this vendor library", id.c_str(), size - 1);
        pointers.push_back(id.data());
    }
    const std::lock_guard<std::recursive_timed_mutex> subscribing(subscribing_);
    *rc = reinterpret_cast<int (*)(void*, char**, int)>(slot(method))(api_, pointers.data(), static_cast<int>(count));
    return TK_OK;
}

std::int32_t MdApi::query_multicast(std::int32_t topic_id, const char* instrument_id, std::int32_t request_id, std::int32_t* rc) {
    if (const std::int32_t error = ready(true); error != TK_OK) return error;
    const std::int8_t method = library_.tables.generation->query_multicast;
    const MulticastLayout* l = library_.tables.layouts->multicast;
    if (method < 0 || l == nullptr)
        return fail(TK_E_VENDOR, "ReqQryMulticastInstrument is not in version '%s'", library_.version.c_str());
    std::vector<char> request(l->query_size + kGrowth);
    std::memcpy(request.data() + l->query_topic_id.offset, &topic_id, 4);
    if (const std::int32_t error = put(&request, l->query_instrument_id, instrument_id, "instrument id"); error != TK_OK) return error;
    *rc = reinterpret_cast<int (*)(void*, void*, int)>(slot(method))(api_, request.data(), request_id);
    return TK_OK;
}

std::int32_t MdApi::trading_day(char* out, std::uint32_t size) {
    if (const std::int32_t rc = ready(false); rc != TK_OK) return rc;
    const char* day = reinterpret_cast<const char* (*)(void*)>(slot(library_.tables.generation->trading_day))(api_);
    std::strncpy(out, day == nullptr ? "" : day, size - 1);
    out[size - 1] = '\0';
    return TK_OK;
}

}  // namespace tk
