// Misbehaviour on request, read once per API object from TICKENGINE_COMPAT_FAULTS. README.md has the table.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "abi.hpp"

namespace compat {

constexpr char kFaultsVariable[] = "TICKENGINE_COMPAT_FAULTS";

struct Faults {
    bool null_login = false;
    bool null_info = false;
    bool null_data = false;
    bool null_tick = false;
    bool poison = false;
    bool no_nul = false;
    bool two_threads = false;
    bool overlap = false;
    bool disconnect_first = false;
    bool print = false;
    bool hang_init = false;
    bool hang_release = false;
    std::string hang_in, abort_in, freed_in;  // the api's function, by name
    std::uint32_t slow_release_ms = 0;
    std::uint32_t silence_s = 0;  // 0: the vendor's 121 s
    std::uint64_t abort_after = 0;
    std::uint64_t segv_after = 0;

    // True when ticks have to pass through FaultyDelivery.
    bool touch_ticks() const { return poison || null_tick || two_threads || overlap || abort_after || segv_after; }
};

// `text` may be null or empty: no faults. False, with `error` set, on a word it does not know: a misspelt
// fault that is ignored makes a test pass for the wrong reason. "@path" reads the words from a file.
bool parse_faults(const char* text, Faults* out, std::string* error);

// Sleep or stand still on purpose: the fault is that the call takes its time.
void fault_sleep(std::uint32_t milliseconds);
[[noreturn]] void fault_hang();

// At the beginning of each request.
void fault_in_request(const Faults& faults, const char* function);

// A connection that ends under a request, as the vendor's library lets it: it takes no lock in some requests, and
// frees the connection when OnFrontDisconnected has returned.
class FreedInRequest {
public:
    // In the request, the first time only: ends the connection and ends the process if that is freed meanwhile.
    void request(const std::function<void()>& cut);
    // Around OnFrontDisconnected.
    void telling() { set(Stage::kTelling); }
    void told() { set(Stage::kFreed); }

private:
    enum class Stage { kConnected, kTelling, kFreed };
    void set(Stage stage);

    std::mutex mutex_;
    std::condition_variable changed_;
    Stage stage_ = Stage::kConnected;
    bool used_ = false;
};

// Hands ticks to the host in the ways that the vendor's library has been seen to, or could.
class FaultyDelivery {
public:
    // `mark_thread` is run at the start of the second thread, if there is one.
    FaultyDelivery(const Faults& faults, const std::function<void()>& mark_thread);
    ~FaultyDelivery();

    void deliver(MdSpi* spi, const DepthMarketData& tick);

    // No further tick is at hand: what the second thread holds back to meet the next one must go now.
    void end_of_batch();

private:
    void call(MdSpi* spi, const DepthMarketData& tick, std::vector<std::unique_ptr<DepthMarketData>>* buffers,
              std::size_t* turn);
    void hand_over(MdSpi* spi, const DepthMarketData& tick);
    void helper_main();

    const Faults faults_;
    std::uint64_t delivered_ = 0;

    // One set of buffers per thread, because with "overlap" both are inside a callback at once.
    std::vector<std::unique_ptr<DepthMarketData>> own_buffers_, helper_buffers_;
    std::size_t own_turn_ = 0, helper_turn_ = 0;

    enum class Helper { kIdle, kGiven, kAtTheDoor, kStop };
    std::mutex mutex_;
    std::condition_variable changed_;
    Helper state_ = Helper::kIdle;
    MdSpi* given_spi_ = nullptr;
    DepthMarketData given_tick_;
    std::atomic<bool> door_open_{false};
    std::thread helper_;
};

}  // namespace compat
