// What the programs of this folder share: a tick, a writer on a log, when ticks are due, failing calls.
//
// The schedule is the one that parts/schedule.py has for writers in Python:
//
//   paced INTERVAL_NS BURST COUNT    BURST ticks are due every INTERVAL_NS; COUNT in all
//   flood NANOSECONDS HOLD           as fast as it goes, for that long; HOLD 1: wait for the slowest reader
//
// A writer sleeps until shortly before a tick is due and spins the rest. A schedule it cannot hold is not
// stretched: the next ticks stay due when they were. The last tick is followed by one with the number -1.
// run() prints: when the first tick was due (CLOCK_MONOTONIC, nanoseconds), median and 99th percentile of the
// nanoseconds that one tick took (flood: the mean, twice), ticks begun more than 100 us late, ticks written.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "system.hpp"
#include "tickshim.h"

namespace bench {

constexpr std::int64_t kSpin = 100000, kFar = 20000000, kLate = 100000;
constexpr std::int64_t kFloodSlice = 1024;  // ticks between looks at the clock and at the slowest reader
constexpr std::int32_t kEnd = -1;

// Of a count that goes on longer than a Volume can: from 0 again.
inline std::int32_t volume_of(std::uint64_t number) { return static_cast<std::int32_t>(number & 0x7fffffff); }

inline void must(std::int32_t status, const char* call) {
    if (status >= 0) return;
    std::fprintf(stderr, "%s: %s\n", call, tk_last_error());
    std::exit(1);
}

// A script that is killed takes its programs along: a reader that polls would never end by itself.
inline void die_with_parent() { prctl(PR_SET_PDEATHSIG, SIGKILL); }

// ---- a tick and who writes it ------------------------------------------------------------------

// A vendor struct, from a file that parts/depth.py has filled. Its size says of which layout it is.
class Tick {
public:
    explicit Tick(const char* path) {
        std::FILE* f = std::fopen(path, "rb");
        const std::size_t size = f == nullptr ? 0 : std::fread(bytes_, 1, sizeof bytes_, f);
        if (f != nullptr) std::fclose(f);
        layout_ = size == 408 ? 1 : size == 568 ? 2 : size == 584 ? 3 : 0;
        if (layout_ != 0) return;
        std::fprintf(stderr, "%s holds no vendor struct\n", path);
        std::exit(1);
    }
    // A tick's number is its Volume.
    void number(std::int32_t number) { std::memcpy(bytes_ + kVolume, &number, sizeof number); }
    const char* bytes() const { return bytes_; }
    std::uint32_t layout() const { return layout_; }

private:
    static constexpr std::size_t kVolume = 136;
    alignas(8) char bytes_[1024] = {};
    std::uint32_t layout_;
};

inline tk_log* attach(const char* path) {
    tk_log* log = nullptr;
    must(tk_log_attach(path, &log), "tk_log_attach");
    return log;
}

inline tk_log_info info_of(tk_log* log) {
    tk_log_info info;
    must(tk_log_info_get(log, &info), "tk_log_info_get");
    return info;
}

// Writes one tick again and again, as the vendor's callback would.
class Writer {
public:
    Writer(tk_log* log, const char* tick_file) : tick(tick_file) { must(tk_writer_open(log, 1, &handle_), "tk_writer_open"); }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;
    ~Writer() { tk_writer_close(handle_); }
    void write() { must(tk_writer_tick(handle_, tick.layout(), tick.bytes()), "tk_writer_tick"); }
    void publish(std::int32_t number) {
        tick.number(number);
        write();
    }
    tk_writer* handle() { return handle_; }

    Tick tick;

private:
    tk_writer* handle_ = nullptr;
};

// ---- time --------------------------------------------------------------------------------------

// Steps of the time stamp counter in a nanosecond, by a look at both clocks 50 ms apart.
inline double counts_per_ns() {
    const std::int64_t start = tk::monotonic_ns();
    const std::uint64_t first = __rdtsc();
    while (tk::monotonic_ns() - start < 50000000) {
    }
    return static_cast<double>(__rdtsc() - first) / static_cast<double>(tk::monotonic_ns() - start);
}

inline void sleep_until(std::int64_t when) {
    const timespec t{static_cast<time_t>(when / 1000000000), static_cast<long>(when % 1000000000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);
}

inline void wait_until(std::int64_t due) {
    if (tk::monotonic_ns() < due - kSpin) sleep_until(due - kSpin);
    while (tk::monotonic_ns() < due) tk::cpu_relax();
}

// ---- the schedule ------------------------------------------------------------------------------

struct Schedule {
    bool flood = false, hold = false;
    std::int64_t interval = 0, burst = 1, count = 0, flood_ns = 0;

    // False if argv is no schedule.
    bool parse(int argc, char** argv) {
        if (argc == 4 && std::strcmp(argv[0], "paced") == 0) {
            interval = std::atoll(argv[1]), burst = std::atoll(argv[2]), count = std::atoll(argv[3]);
            return interval > 0 && burst > 0 && count >= burst;
        }
        if (argc == 3 && std::strcmp(argv[0], "flood") == 0) {
            flood = true, flood_ns = std::atoll(argv[1]), hold = std::atoi(argv[2]) != 0;
            return flood_ns > 0;
        }
        return false;
    }
};

inline void print(std::int64_t start, double p50, double p99, std::int64_t late, std::int64_t written) {
    std::printf("%lld %.1f %.1f %lld %lld\n", static_cast<long long>(start), p50, p99, static_cast<long long>(late),
                static_cast<long long>(written));
}

// publish(number) writes one tick; too_far() says whether a held writer must wait.
template <class Publish, class TooFar>
void run(const Schedule& s, Publish&& publish, TooFar&& too_far) {
    if (s.flood) {
        const std::int64_t start = tk::monotonic_ns(), end = start + s.flood_ns;
        std::int32_t number = 0;
        std::int64_t now = start;
        for (; now < end; now = tk::monotonic_ns()) {
            while (s.hold && too_far()) sleep_until(tk::monotonic_ns() + kSpin / 2);
            for (std::int64_t i = 0; i < kFloodSlice; ++i) publish(number++);
        }
        publish(kEnd);
        const double mean = static_cast<double>(now - start) / number;
        print(start, mean, mean, 0, number);
        return;
    }
    std::vector<std::int64_t> took(static_cast<std::size_t>(s.count));
    std::int64_t late = 0;
    const std::int64_t start = tk::monotonic_ns() + kFar;
    for (std::int64_t i = 0; i < s.count; ++i) {
        const std::int64_t due = start + i / s.burst * s.interval;
        if (i % s.burst == 0) wait_until(due);
        const std::int64_t before = tk::monotonic_ns();
        late += s.burst == 1 && before - due > kLate;
        publish(static_cast<std::int32_t>(i));
        took[static_cast<std::size_t>(i)] = tk::monotonic_ns() - before;
    }
    publish(kEnd);
    std::sort(took.begin(), took.end());
    print(start, static_cast<double>(took[took.size() / 2]), static_cast<double>(took[took.size() * 99 / 100]), late, s.count);
}

}  // namespace bench
