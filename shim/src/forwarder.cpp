#include "forwarder.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "errors.hpp"

namespace tk {
namespace {

constexpr std::uint32_t kBatch = 64;
constexpr std::size_t kExchangeInstIdSize = 88;  // not in the record: it comes behind it
constexpr std::int64_t kPatience = 50000000;     // ns between looks at the stop flag
constexpr float kPatienceSeconds = 0.05f;

}  // namespace

std::int32_t Forwarder::start() {
    if (const std::int32_t rc = reader_.open(); rc != TK_OK) return rc;
    running_ = true;
    thread_ = std::thread([this] { run(); });
    return TK_OK;
}

void Forwarder::run() {
    const std::size_t payload = kRecordSize + kExchangeInstIdSize;
    const std::size_t size = prefix_.size() + payload + suffix_.size();
    std::vector<char> frames(kBatch * size);
    std::vector<Record> records(kBatch);
    const void* messages[kBatch];
    std::uint64_t sizes[kBatch];
    for (std::uint32_t i = 0; i < kBatch; ++i) {
        char* frame = frames.data() + i * size;
        std::memcpy(frame, prefix_.data(), prefix_.size());
        std::memcpy(frame + prefix_.size() + payload, suffix_.data(), suffix_.size());
        messages[i] = frame;
        sizes[i] = size;
    }
    bool ended = false;
    while (!ended && !stop_.load(std::memory_order_relaxed)) {
        tk_take take{};
        take.block = records.data();
        take.max = kBatch;
        take.timeout_ns = kPatience;
        take.wait_mode = TK_WAIT_BLOCK;
        if (reader_.take(&take) < 0) break;
        lost_.store(take.lost, std::memory_order_relaxed);
        ended = take.state >= TK_TAKE_ENDED;
        for (std::uint32_t i = 0; i < take.count; ++i) {
            char* frame = frames.data() + i * size + prefix_.size();
            std::memcpy(frame, &records[i], kRecordSize);
            char* exchange_id = frame + kRecordSize;
            std::memset(exchange_id, 0, kExchangeInstIdSize);
            const std::uint32_t index = records[i].Instrument;
            if (index < log_->instrument_capacity)
                std::memcpy(exchange_id, log_->instruments[index].ExchangeInstID, kInstrumentIdSize);
        }
        deliver(messages, sizes, take.count);
    }
    reader_.close();
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        running_ = false;
    }
    ended_.notify_all();
}

// queue_put takes all or nothing: as many as fit, halving; when not even one fits, wait for the consumer.
void Forwarder::deliver(const void** messages, const std::uint64_t* sizes, std::uint32_t count) {
    std::uint64_t* handed = reader_.handed();
    const std::uint64_t before = __atomic_load_n(handed, __ATOMIC_RELAXED);
    std::uint32_t done = 0, batch = count;
    while (done < count && !stop_.load(std::memory_order_relaxed)) {
        batch = std::min(batch, count - done);
        waiting_.store(count - done, std::memory_order_relaxed);
        const bool last_try = batch == 1;
        if (put_(fifo_, buffer_, messages + done, sizes + done, batch, last_try, kPatienceSeconds) == 0) {
            done += batch;
            forwarded_.fetch_add(batch, std::memory_order_relaxed);
            // What the queue has is handed over, should this process die now.
            __atomic_store_n(handed, before + done, __ATOMIC_RELAXED);
            batch = count;
        } else if (last_try) {
            full_.fetch_add(1, std::memory_order_relaxed);
        } else {
            batch /= 2;
        }
    }
    waiting_.store(count - done, std::memory_order_relaxed);
}

void Forwarder::info(tk_forwarder_info* out) {
    *out = tk_forwarder_info{};
    out->forwarded = forwarded_.load(std::memory_order_relaxed);
    out->lost = lost_.load(std::memory_order_relaxed);
    out->waiting = waiting_.load(std::memory_order_relaxed);
    out->full = static_cast<std::uint32_t>(full_.load(std::memory_order_relaxed));
    const std::lock_guard<std::mutex> lock(mutex_);
    out->running = running_;
}

bool Forwarder::stop(bool drain, std::int64_t timeout_ns) {
    if (!drain) stop_.store(true, std::memory_order_relaxed);
    std::unique_lock<std::mutex> lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::nanoseconds(timeout_ns);
    ended_.wait_until(lock, deadline, [this] { return !running_; });
    if (running_ && drain) {
        stop_.store(true, std::memory_order_relaxed);
        ended_.wait_for(lock, std::chrono::nanoseconds(4 * kPatience), [this] { return !running_; });
    }
    const bool done = !running_;
    lock.unlock();
    if (!thread_.joinable()) return done;
    if (done) {
        thread_.join();
    } else {
        thread_.detach();  // inside a mutex whose holder is dead: nothing can free it
    }
    return done;
}

}  // namespace tk
