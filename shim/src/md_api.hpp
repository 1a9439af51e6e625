// One MdApi of a vendor library: its methods called by slot, its callbacks received by slot.
//
// Ticks go to the log on the vendor's thread. Everything else is rare: it is put into the log as an
// event where it belongs, and into a queue from which the session (Python) takes it on a thread of
// its own. No Python ever runs on the vendor's thread: a busy GIL would stop the heartbeats, and a
// vendor thread that calls into an interpreter that is shutting down would crash.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>

#include "tickshim.h"
#include "vendor_host.hpp"
#include "vendor_library.hpp"
#include "writer.hpp"

namespace tk {

class MdApi;

// What the vendor is given as its MdSpi: an object whose first word points at slot 0.
struct Spi {
    void* const* vtable;
    MdApi* api;
    Writer* writer;
    const DepthLayout* depth;
};

class MdApi {
public:
    MdApi(VendorLibrary library, Writer* writer);
    MdApi(const MdApi&) = delete;
    MdApi& operator=(const MdApi&) = delete;
    ~MdApi();

    std::int32_t create(const char* flow_path, bool using_udp, bool multicast, bool production);
    std::int32_t register_front(const char* front);
    std::int32_t init();
    void release();
    bool next(std::int64_t timeout_ns, tk_callback* out);
    void wake();
    std::int32_t login(const char* broker_id, const char* user_id, const char* password,
                       const char* product_info, std::int32_t request_id, std::int32_t* rc);
    std::int32_t logout(const char* broker_id, const char* user_id, std::int32_t request_id, std::int32_t* rc);
    std::int32_t subscribe(std::int32_t what, const char* const* ids, std::uint32_t count, std::int32_t* rc);
    std::int32_t query_multicast(std::int32_t topic_id, const char* instrument_id, std::int32_t request_id,
                                 std::int32_t* rc);
    std::int32_t trading_day(char* out, std::uint32_t size);
    const VendorLibrary& library() const { return library_; }

    // from the callbacks
    void push(const tk_callback& callback);
    void event(const Event& event);
    void outlast_request();

private:
    void* slot(std::int8_t index) const { return (*static_cast<void***>(api_))[index]; }
    std::int32_t ready(bool initialised) const;

    VendorLibrary library_;
    Writer* writer_;
    void* api_ = nullptr;
    bool initialised_ = false;
    VendorThreads threads_;
    Spi spi_{};
    void* vtable_[2 + kMaxSpiSlots] = {};  // two words in front: offset to top, type info
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<tk_callback> callbacks_;
    bool woken_ = false;
    // Held in a request of `subscribe`. Recursive: should the library call back from within, it waits for nobody.
    std::recursive_timed_mutex subscribing_;
};

// The function for each of our callback numbers; see spi.cpp.
void* const* spi_functions();
// For the slots behind the last known one: a callback we do not know is ignored, not a jump to nowhere.
void* unknown_callback();

}  // namespace tk
