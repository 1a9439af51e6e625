// From the log into a faster-fifo queue, by a thread of its own, without the GIL.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "reader.hpp"
#include "tickshim.h"

namespace tk {

// A forwarder is a log reader like any other: what blocks or dies behind it blocks this thread only.
class Forwarder {
public:
    Forwarder(Queue* queue, Log* log, tk_queue_put put, void* fifo, void* buffer, std::string prefix,
              std::string suffix)
        : log_(log), reader_(queue, log), put_(put), fifo_(fifo), buffer_(buffer),
          prefix_(std::move(prefix)), suffix_(std::move(suffix)) {}
    std::int32_t start();
    void info(tk_forwarder_info* out);
    // True when the thread has ended; false when it is stuck behind a dead consumer's lock. Then this
    // object must live on.
    bool stop(bool drain, std::int64_t timeout_ns);

private:
    void run();
    void deliver(const void** messages, const std::uint64_t* sizes, std::uint32_t count);

    Log* log_;
    Reader reader_;
    tk_queue_put put_;
    void* fifo_;
    void* buffer_;
    std::string prefix_, suffix_;
    std::thread thread_;
    std::atomic<bool> stop_{false};
    std::atomic<std::uint64_t> forwarded_{0}, lost_{0}, waiting_{0}, full_{0};
    std::mutex mutex_;
    std::condition_variable ended_;
    bool running_ = false;
};

}  // namespace tk
