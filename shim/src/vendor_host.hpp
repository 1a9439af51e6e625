// What a vendor library does to its host and what is done about it; the same for market data and trading.
#pragma once

#include <signal.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tk {

// Zeros behind a request: a version between two known ones may read a struct that has grown.
constexpr std::size_t kGrowth = 1024;

// The vendor library ends the process with SIGSEGV when it cannot make its files: look first. And its writes
// raise SIGPIPE when the front has just closed: ignored from here on, unless the host has a handler.
std::int32_t prepare_host(const char* flow_path);
std::int32_t check_front(const char* front);

// A factory installs a SIGUSR1 handler; a host's own one is put back.
class HostSignal {
public:
    explicit HostSignal(int signal);
    HostSignal(const HostSignal&) = delete;
    HostSignal& operator=(const HostSignal&) = delete;
    ~HostSignal();

private:
    int signal_;
    bool had_handler_;
    struct sigaction before_;
};

// The threads that a library's Init has started.
class VendorThreads {
public:
    template <typename F>
    void started_by(F&& init) {
        const std::vector<int> before = all();
        init();
        remember(before);
    }
    // Release a moment after Init hangs for ever now and then (6.3.6: 1 of 12 within 20 ms on a busy
    // machine): it tells a thread to stop that has not begun, waits for it, and the thread then begins.
    // There is nothing to wait on but the threads themselves: until each has been seen waiting for input.
    void wait_until_they_run() const;

private:
    static std::vector<int> all();
    void remember(const std::vector<int>& before);
    std::vector<int> ids_;
};

// A request leaves no password behind on the heap.
class Wiped {
public:
    explicit Wiped(std::vector<char>* v) : v_(v) {}
    Wiped(const Wiped&) = delete;
    Wiped& operator=(const Wiped&) = delete;
    ~Wiped();

private:
    std::vector<char>* v_;
};

}  // namespace tk
