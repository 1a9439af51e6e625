// One TraderApi of a vendor library: its methods called by slot, its callbacks received by slot.
//
// What comes back is written to the journal on the vendor's thread, before the callback returns, and put into
// a queue for the session (Python), which has a thread of its own. What is sent is in the journal before it
// leaves. No Python runs on the way of an order.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "ring.hpp"
#include "td_abi.hpp"
#include "tickshim.h"
#include "trade_log.hpp"
#include "vendor_host.hpp"

namespace tk::td {

class TdApi;

// What the vendor is given as its TraderSpi: an object whose first word points at slot 0.
struct Spi {
    void* const* vtable;
    TdApi* api;
};

// Request ids of orders and actions; the session's own stay below.
constexpr std::int32_t kFirstOrderRequest = 1 << 30;

class TdApi {
public:
    TdApi(TdLibrary library, TradeWriter* journal);
    TdApi(const TdApi&) = delete;
    TdApi& operator=(const TdApi&) = delete;
    ~TdApi();

    std::int32_t create(const char* flow_path, bool production);
    std::int32_t register_front(const char* front);
    std::int32_t subscribe_topics(std::int32_t private_mode, std::int32_t public_mode);
    std::int32_t leave_out_returns();
    std::int32_t init();
    void release();
    std::int32_t trading_day(char* out, std::uint32_t size);
    const TdLibrary& library() const { return library_; }

    // requests of the session
    std::int32_t authenticate(const char* broker_id, const char* user_id, const char* product_info, const char* auth_code,
                              const char* app_id, std::int32_t request_id, std::int32_t* rc);
    std::int32_t login(const char* broker_id, const char* user_id, const char* password, const char* product_info,
                       std::int32_t request_id, std::int32_t* rc);
    std::int32_t request(const char* method, const void* canonical, std::uint32_t size, std::int32_t request_id, std::int32_t* rc);
    bool next(std::int64_t timeout_ns, TradeRecord* out);
    void wake();

    // orders
    std::int32_t gate(std::int32_t front_id, std::int32_t session_id, std::int64_t next_order_ref, bool open);
    bool gate_open() const { return gate_.load(std::memory_order_relaxed); }
    std::uint64_t order_calls() const { return order_calls_.load(std::memory_order_relaxed); }
    std::int64_t next_order_ref() const { return next_ref_.load(std::memory_order_relaxed); }
    std::int32_t insert(const char* canonical, std::uint64_t client_id, std::int64_t* order_ref, std::int32_t* rc);
    std::int32_t action(const char* canonical, std::uint64_t client_id, std::int32_t* rc);
    std::int32_t start_sender(Ring* ring, std::int32_t wait_mode);
    void stop_sender();

    struct Way;  // what is different for orders and for actions

    // from the callbacks
    void take(TradeEntry entry, bool journaled);
    void on_disconnected();
    void on_logged_in(const char* canonical);

private:
    void* slot(api::Slot method) const { return (*static_cast<void***>(api_))[api_slot(*library_.tables, method)]; }
    std::int32_t ready(bool initialised) const;
    struct Text;
    std::int32_t send_secret(api::Slot method, Struct type, const Text* texts, std::size_t count, std::int32_t request_id,
                             std::int32_t* rc);
    std::int32_t send(const Way& way, const char* canonical, std::uint64_t client_id, std::int64_t* order_ref,
                      std::int32_t* rc, bool* kept);
    std::int32_t refuse(const Way& way, const char* canonical, std::uint64_t client_id, std::int32_t code, bool* kept);
    std::int32_t refuse_left_behind(Ring* ring);
    void serve(std::int32_t wait_mode);
    bool serve_one(const RingCommand& command);

    TdLibrary library_;
    TradeWriter* journal_;
    void* api_ = nullptr;
    bool initialised_ = false;
    VendorThreads threads_;
    Spi spi_{};
    void* vtable_[2 + kMaxSpiSlots] = {};  // two words in front: offset to top, type info

    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<TradeRecord> queue_;
    bool woken_ = false;
    bool returns_left_out_ = false;  // before init, so before the first callback
    std::atomic<std::uint64_t> left_out_{0};

    // The gate is closed by the callback itself, which never waits for a request that is under way.
    std::atomic<bool> gate_{false};
    std::atomic<std::uint64_t> front_session_{0};
    std::mutex login_mutex_;  // never held across a call of the vendor's
    bool logged_in_ = false;
    std::uint64_t logged_in_as_ = 0;

    std::mutex sending_;  // one order at a time: their order in the journal is the one they leave in
    std::atomic<std::int64_t> next_ref_{1};
    std::int32_t next_request_ = kFirstOrderRequest;
    std::atomic<std::uint64_t> order_calls_{0};  // for whoever asks whether one of them does not return
    std::vector<char> request_;  // the vendor's struct, and zeros behind it

    Ring* ring_ = nullptr;
    std::thread sender_;
    std::atomic<bool> stopping_{false};
};

// All requests are alike: a struct and a number, and the vendor's code.
inline std::int32_t call_request(void* function, void* api, void* data, std::int32_t request_id) {
    return reinterpret_cast<int (*)(void*, void*, int)>(function)(api, data, request_id);
}
// The function for each of our callback numbers; see td_spi.cpp.
void* const* spi_functions();
// For all the other slots: it looks at no argument, so it fits every signature.
void* other_callback();

}  // namespace tk::td
