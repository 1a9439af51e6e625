#include "bell.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "errors.hpp"
#include "places.hpp"
#include "reader.hpp"

namespace tk {
namespace {

constexpr std::int64_t kSlice = 500000000;
constexpr std::int64_t kNudge = 1000000;  // how late a recall may be heard that came between two looks
constexpr std::int64_t kPause = 20000;
constexpr int kTries = 5000;

}  // namespace

std::int32_t Bell::start() {
    fd_.reset(eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));  // rung: nobody has looked yet
    if (fd_.get() < 0) return fail_system("no descriptor for queue '%.63s': eventfd", queue_->header->Name);
    // Signals are for the program's own threads.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        thread_ = std::thread([this] { run(); });
    } catch (...) {
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        throw;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return TK_OK;
}

void Bell::ring() {
    const std::uint64_t one = 1;
    // Fails only when the counter is full: then it is rung.
    if (write(fd_.get(), &one, sizeof one) < 0) return;
}

void Bell::hand_over(std::uint32_t to) {
    // SYNC bell (release): the reader, the take and what it holds, before the other side has them. Partners: the
    // acquire loads of turn_ in run() and recall().
    turn_.store(to, std::memory_order_release);
    futex_wake(&turn_, INT_MAX);
}

void Bell::arm(Reader* reader, tk_take* take) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        reader_ = reader;
    }
    take_ = take;
    arm();
}

void Bell::arm_unbound(std::uint32_t seen) {
    if (turn_.load() == kArmed && reader_ == nullptr && seen_ == seen) return;
    recall();
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        reader_ = nullptr;
    }
    seen_ = seen;
    arm();
}

void Bell::arm() {
    if (stopping_.load()) return;  // it stays rung
    found_ = 0;
    recalled_.store(false);
    // Quiet first, armed second: what the thread finds rings it again. The other way round its ring could be taken
    // for an old one, and nobody would hear it.
    std::uint64_t rung;
    while (read(fd_.get(), &rung, sizeof rung) < 0 && errno == EINTR) {
    }
    hand_over(kArmed);
}

void Bell::run() {
    while (!stopping_.load()) {
        // SYNC bell (acquire): partner is the release in hand_over().
        const std::uint32_t turn = turn_.load(std::memory_order_acquire);
        if (turn != kArmed) {
            futex_wait(&turn_, turn, kSlice);
            continue;
        }
        const bool news = reader_ == nullptr ? wait_for_binding() : wait_for_ticks();
        hand_over(news ? kFound : kProgram);
        if (news) ring();
    }
    ended_.store(true);
    futex_wake(&turn_, INT_MAX);
}

bool Bell::wait_for_ticks() {
    const std::int32_t mode = take_->wait_mode;
    take_->timeout_ns = -1;
    take_->wait_mode = TK_WAIT_BLOCK;
    take_->state = TK_TAKE_AGAIN;
    for (int tries = 0; tries < kTries && !recalled_.load(); ++tries) {
        found_ = reader_->take(take_);
        if (found_ == 0 && take_->state == TK_TAKE_AGAIN) {
            tries = 0;
        } else if (found_ != TK_E_BUSY) {
            break;
        } else {
            rest(kPause);  // somebody looks at the counters just now
        }
    }
    take_->wait_mode = mode;
    if (found_ < 0) error_ = last_error();
    return found_ != 0 || (take_->state != TK_TAKE_AGAIN && take_->state != TK_TAKE_RECALLED);
}

bool Bell::wait_for_binding() {
    QueueHeader& q = *queue_->header;
    while (!recalled_.load()) {
        // The value alone: whoever is rung reads the binding by read_binding().
        if (q.BindVersion.load() != seen_ || q.Closed.load() != 0) return true;
        futex_wait(&q.BindVersion, seen_, kSlice);
    }
    return false;
}

// Ends the thread's wait, wherever it is by now.
void Bell::nudge() {
    const std::lock_guard<std::mutex> lock(mutex_);
    recalled_.store(true);
    if (turn_.load() != kArmed) {
        futex_wake(&turn_, INT_MAX);
    } else if (reader_ != nullptr) {
        reader_->recall();
    } else {
        futex_wake(&queue_->header->BindVersion, INT_MAX);  // a look too many for others who wait there
    }
}

std::int32_t Bell::recall() {
    // SYNC bell (acquire): partner is the release in hand_over().
    std::uint32_t turn = turn_.load(std::memory_order_acquire);
    if (turn == kProgram) return 0;
    const bool quiet = turn == kArmed;
    while (turn == kArmed && !ended_.load()) {
        nudge();
        futex_wait(&turn_, kArmed, kNudge);
        turn = turn_.load(std::memory_order_acquire);  // SYNC bell (acquire)
    }
    {
        // Behind this nobody touches the reader for the bell, and it may be freed.
        const std::lock_guard<std::mutex> lock(mutex_);
        if (reader_ != nullptr) reader_->forget_recall();
        turn_.store(kProgram);
    }
    if (quiet) ring();
    if (turn != kFound) return 0;
    return found_ < 0 ? fail(found_, "%s", error_.c_str()) : found_;
}

void Bell::stop() {
    if (stopping_.exchange(true) || !thread_.joinable()) return;
    while (!ended_.load()) {
        nudge();
        rest(kPause);
    }
    thread_.join();
    ring();
}

}  // namespace tk
