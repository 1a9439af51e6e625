#include "delivery.hpp"

#include <pthread.h>

#include <cstdlib>
#include <cstring>

namespace compat {

namespace {

// Enough that a pointer kept from an earlier callback still points at poison, not at a later tick.
constexpr std::size_t kPoisonBuffers = 64;

}  // namespace

FaultyDelivery::FaultyDelivery(const Faults& faults, const std::function<void()>& mark_thread) : faults_(faults) {
    if (faults_.poison) {
        for (auto* buffers : {&own_buffers_, &helper_buffers_}) {
            for (std::size_t i = 0; i < kPoisonBuffers; ++i) buffers->emplace_back(new DepthMarketData);
        }
    }
    if (faults_.two_threads || faults_.overlap) {
        helper_ = std::thread([this, mark_thread] {
            mark_thread();
            helper_main();
        });
    }
}

FaultyDelivery::~FaultyDelivery() {
    if (!helper_.joinable()) return;
    end_of_batch();
    {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return state_ == Helper::kIdle; });
        state_ = Helper::kStop;
    }
    changed_.notify_all();
    helper_.join();
}

void FaultyDelivery::deliver(MdSpi* spi, const DepthMarketData& tick) {
    ++delivered_;
    if (faults_.null_tick) spi->OnRtnDepthMarketData(nullptr);
    if (helper_.joinable() && delivered_ % 2 == 0) {
        hand_over(spi, tick);
    } else {
        end_of_batch();
        call(spi, tick, &own_buffers_, &own_turn_);
    }
    if (delivered_ == faults_.abort_after) std::abort();
    if (delivered_ == faults_.segv_after) {
        // A real bad store, not raise(): a handler must see a fault address and a stack inside this library.
        volatile std::uintptr_t nowhere = 8;
        *reinterpret_cast<volatile std::uint64_t*>(nowhere) = delivered_;
    }
}

void FaultyDelivery::call(MdSpi* spi, const DepthMarketData& tick,
                          std::vector<std::unique_ptr<DepthMarketData>>* buffers, std::size_t* turn) {
    if (!faults_.poison) {
        DepthMarketData copy = tick;
        spi->OnRtnDepthMarketData(&copy);
        return;
    }
    DepthMarketData* const buffer = (*buffers)[(*turn)++ % buffers->size()].get();
    *buffer = tick;
    spi->OnRtnDepthMarketData(buffer);
    std::memset(static_cast<void*>(buffer), kPoison, sizeof *buffer);
}

void FaultyDelivery::hand_over(MdSpi* spi, const DepthMarketData& tick) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return state_ == Helper::kIdle; });
    given_spi_ = spi;
    given_tick_ = tick;
    door_open_.store(!faults_.overlap, std::memory_order_relaxed);  // ordered by the mutex
    state_ = Helper::kGiven;
    changed_.notify_all();
    // "two-threads" waits until the helper is back from the host. "overlap" waits until it is awake and stands
    // before the callback; the next tick opens the door and goes through another one at the same moment. A
    // thread that is only just being woken would come too late to meet anybody.
    const Helper until = faults_.overlap ? Helper::kAtTheDoor : Helper::kIdle;
    changed_.wait(lock, [this, until] { return state_ == until; });
}

void FaultyDelivery::end_of_batch() {
    // SYNC door (release): nothing is published but the door itself; partner: helper_main().
    door_open_.store(true, std::memory_order_release);
}

void FaultyDelivery::helper_main() {
    pthread_setname_np(pthread_self(), "tk-compat-2");
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return state_ == Helper::kGiven || state_ == Helper::kStop; });
        if (state_ == Helper::kStop) return;
        state_ = Helper::kAtTheDoor;
        changed_.notify_all();
        lock.unlock();
        // SYNC door (acquire): a short spin, for the other thread is in the middle of a batch.
        while (!door_open_.load(std::memory_order_acquire)) std::this_thread::yield();
        call(given_spi_, given_tick_, &helper_buffers_, &helper_turn_);
        lock.lock();
        state_ = Helper::kIdle;
        changed_.notify_all();
    }
}

}  // namespace compat
