// A file descriptor that tells an event loop that a queue has something: one thread of the reading process waits
// in the place of the program, and hands back what came.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "segment.hpp"
#include "system.hpp"
#include "tickshim.h"

namespace tk {

class Reader;

// The reader has one user at a time. `turn_` says who: the program, or this object's thread between arm() and
// what it found. Nothing else is shared, so neither side ever finds the reader busy.
class Bell {
public:
    explicit Bell(Queue* queue) : queue_(queue), fd_(-1) {}
    Bell(const Bell&) = delete;
    Bell& operator=(const Bell&) = delete;
    ~Bell() { stop(); }
    std::int32_t start();
    int fd() const { return fd_.get(); }
    // The program has found nothing. The descriptor becomes quiet, and is rung when something has come; take says
    // into which memory, which is this object's until recall().
    void arm(Reader* reader, tk_take* take);
    // The same without an engine: rung when the queue's binding is no longer `seen`.
    void arm_unbound(std::uint32_t seen);
    // The program has the reader again. How many records came, or an error; rings if there may be more.
    std::int32_t recall();
    // The thread ends; the descriptor stays, rung. Can be repeated, from any thread.
    void stop();

private:
    enum Turn : std::uint32_t { kProgram, kArmed, kFound };
    void run();
    bool wait_for_ticks();
    bool wait_for_binding();
    void hand_over(std::uint32_t to);
    void ring();
    void arm();
    void nudge();

    Queue* queue_;
    Descriptor fd_;
    // stop() comes from any thread: it touches the reader under this, while the turn is the thread's.
    std::mutex mutex_;
    Reader* reader_ = nullptr;  // of the turn: null, waits for a binding
    tk_take* take_ = nullptr;
    std::uint32_t seen_ = 0;
    std::int32_t found_ = 0;
    std::string error_;  // of found_ below 0: the text belongs to the thread that failed
    std::atomic<std::uint32_t> turn_{kProgram};  // futex word
    std::atomic<bool> recalled_{false};
    std::atomic<bool> stopping_{false};
    std::atomic<bool> ended_{false};
    std::thread thread_;
};

}  // namespace tk
