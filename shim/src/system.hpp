// What is asked of Linux directly: futexes, process identity, the expedited memory barrier, the clock.
#pragma once

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tk {

inline std::int64_t clock_ns(clockid_t id) {
    timespec t;
    clock_gettime(id, &t);
    return static_cast<std::int64_t>(t.tv_sec) * 1000000000 + t.tv_nsec;
}

inline std::int64_t monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }

// Not to be woken: for as long as it takes. A signal ends it early.
inline void rest(std::int64_t ns) {
    const timespec t{0, static_cast<long>(ns)};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, nullptr);
}

// Sleeps while *word == expected, at most timeout_ns. Returns 0 when woken or changed, else errno.
inline int futex_wait(std::atomic<std::uint32_t>* word, std::uint32_t expected, std::int64_t timeout_ns) {
    timespec t{static_cast<time_t>(timeout_ns / 1000000000), static_cast<long>(timeout_ns % 1000000000)};
    // Shared, not FUTEX_PRIVATE: the word is in a segment that other processes map elsewhere.
    const long rc = syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(word), FUTEX_WAIT, expected, &t,
                            nullptr, 0);
    if (rc == 0 || errno == EAGAIN) return 0;
    return errno;
}

inline void futex_wake(std::atomic<std::uint32_t>* word, int count) {
    syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(word), FUTEX_WAKE, count, nullptr, nullptr, 0);
}

// The expedited memory barrier: after barrier_all() every thread of every process that has called
// register_for_barrier() has passed a full barrier. It moves the price of a barrier from a side that
// acts a million times a second to one that acts when it goes to sleep. False where the kernel, or a
// container's filter, does not give it.
inline bool register_for_barrier() {
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}
inline bool barrier_all() { return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0; }

// When a process was started, in clock ticks since boot; 0 if it is gone.
inline std::uint64_t process_start(std::int32_t pid) {
    if (pid <= 0) return 0;
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
    std::FILE* f = std::fopen(path, "re");
    if (f == nullptr) return 0;
    char line[1024];
    const std::size_t n = std::fread(line, 1, sizeof line - 1, f);
    std::fclose(f);
    line[n] = '\0';
    const char* p = std::strrchr(line, ')');  // the command may hold spaces and brackets
    if (p == nullptr || p[1] == '\0') return 0;
    p += 2;
    if (*p == 'Z' || *p == 'X') return 0;  // dead, only not yet waited for
    for (int field = 3; field < 22; ++field) {
        p = std::strchr(p, ' ');
        if (p == nullptr) return 0;
        ++p;
    }
    return std::strtoull(p, nullptr, 10);
}

// A pid alone may be reused; pid and start time together name one process. One word, so that it is
// claimed with one compare-and-swap.
inline std::uint64_t process_identity(std::int32_t pid) {
    const std::uint64_t start = process_start(pid);
    return start == 0 ? 0 : static_cast<std::uint64_t>(static_cast<std::uint32_t>(pid)) << 32 | (start & 0xFFFFFFFFu);
}

inline std::int32_t identity_pid(std::uint64_t identity) { return static_cast<std::int32_t>(identity >> 32); }

inline bool process_alive(std::uint64_t identity) {
    return identity != 0 && process_identity(identity_pid(identity)) == identity;
}

// A file descriptor that closes itself.
class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) close(fd_);
    }
    int get() const { return fd_; }
    void reset(int fd) {
        if (fd_ >= 0) close(fd_);
        fd_ = fd;
    }
    int release() {
        const int fd = fd_;
        fd_ = -1;
        return fd;
    }

private:
    int fd_;
};

inline void cpu_relax() { __builtin_ia32_pause(); }

// Returns at `when` of CLOCK_MONOTONIC and hardly later: a sleep alone is some tens of microseconds late.
inline void wait_until(std::int64_t when) {
    constexpr std::int64_t spin = 100000;
    while (monotonic_ns() < when - spin) {
        const std::int64_t until = when - spin;
        const timespec t{static_cast<time_t>(until / 1000000000), static_cast<long>(until % 1000000000)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);
    }
    while (monotonic_ns() < when) cpu_relax();
}

}  // namespace tk
