// Ticks in the ways of the faults: threads, poison, crashes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "abi.hpp"
#include "faults.hpp"

namespace compat {

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
