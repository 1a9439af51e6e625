#include "life.hpp"

#include <pthread.h>
#include <signal.h>

#include <cstdio>
#include <system_error>

namespace compat {

namespace {

// The host's signal handlers belong on the host's threads. Faults of the thread itself stay open, so that
// a crash handler of the host still reports them.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t set;
        sigfillset(&set);
        for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&set, signal);
        pthread_sigmask(SIG_SETMASK, &set, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_;
};

}  // namespace

void Life::init() {
    if (faults_.hang_init) fault_hang();
    std::lock_guard<std::mutex> lock(life_);
    if (thread_.joinable() || released_) return;
    const SignalsBlocked blocked;
    try {
        thread_ = std::thread([this] { thread_main(); });
    } catch (const std::system_error& e) {
        std::fprintf(stderr, "Init: no thread, so nothing will be connected: %s\n", e.what());
    }
}

void Life::thread_main() {
    pthread_setname_np(pthread_self(), "tk-compat");
    connection_.run();
    // The lock also waits for an init() that is still storing thread_.
    std::unique_lock<std::mutex> lock(life_);
    if (!released_inside_) return;
    thread_.detach();
    dismiss_joiners(&lock);
    lock.unlock();
    destroy();
}

void Life::dismiss_joiners(std::unique_lock<std::mutex>* lock) {
    released_ = true;
    life_changed_.notify_all();
    life_changed_.wait(*lock, [this] { return joiners_ == 0; });
}

void Life::release() {
    if (faults_.hang_release) fault_hang();
    if (faults_.slow_release_ms) fault_sleep(faults_.slow_release_ms);
    fall_silent();
    if (connection_.on_own_thread()) {
        // Inside a callback nobody can wait for the callback's end: the thread frees the object when it is done.
        {
            std::lock_guard<std::mutex> lock(life_);
            released_inside_ = true;
        }
        connection_.stop();
        return;
    }
    connection_.stop();
    if (thread_.joinable()) thread_.join();
    {
        std::unique_lock<std::mutex> lock(life_);
        dismiss_joiners(&lock);
    }
    destroy();
}

int Life::join() {
    if (connection_.on_own_thread()) return kBadArgument;  // would wait for itself
    std::unique_lock<std::mutex> lock(life_);
    ++joiners_;
    life_changed_.wait(lock, [this] { return released_; });
    --joiners_;
    life_changed_.notify_all();
    return 1;
}

Habits with_faults(Habits habits, const Faults& faults) {
    if (faults.silence_s) habits.silence_limit = std::chrono::seconds(faults.silence_s);
    return habits;
}

}  // namespace compat
