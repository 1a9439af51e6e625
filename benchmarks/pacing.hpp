// The schedule of the C++ writers, as _schedule.py has it for those in Python.
//
//   paced INTERVAL_NS BURST COUNT    BURST ticks are due every INTERVAL_NS; COUNT in all
//   flood NANOSECONDS HOLD           as fast as it goes, for that long; HOLD 1: wait for the slowest reader
//
// A writer sleeps until shortly before a tick is due and spins the rest. A schedule it cannot hold is not
// stretched: the next ticks stay due when they were. The last tick is followed by one with the number -1.
// Prints: when the first tick was due (CLOCK_MONOTONIC, nanoseconds), median and 99th percentile of the
// nanoseconds that one tick took (flood: the mean, twice), ticks begun more than 100 us late, ticks written.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace pacing {

constexpr std::int64_t kSpin = 100000, kFar = 20000000;
constexpr std::int64_t kFloodSlice = 1024;  // ticks between looks at the clock and at the slowest reader
constexpr std::int32_t kEnd = -1;

inline std::int64_t now_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::int64_t>(t.tv_sec) * 1000000000 + t.tv_nsec;
}

inline void sleep_until(std::int64_t when) {
    const timespec t{static_cast<time_t>(when / 1000000000), static_cast<long>(when % 1000000000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);
}

inline void wait_until(std::int64_t due) {
    if (now_ns() < due - kSpin) sleep_until(due - kSpin);
    while (now_ns() < due) __builtin_ia32_pause();
}

// A script that is killed takes its programs along: a reader that polls would never end by itself.
inline void die_with_parent() { prctl(PR_SET_PDEATHSIG, SIGKILL); }

struct Schedule {
    bool flood = false, hold = false;
    std::int64_t interval = 0, burst = 1, count = 0, flood_ns = 0;

    // False if argv is no schedule.
    bool parse(int argc, char** argv) {
        if (argc == 4 && std::strcmp(argv[0], "paced") == 0) {
            interval = std::atoll(argv[1]), burst = std::atoll(argv[2]), count = std::atoll(argv[3]);
            return interval > 0 && burst > 0 && count > 0;
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
        const std::int64_t start = now_ns(), end = start + s.flood_ns;
        std::int32_t number = 0;
        std::int64_t now = start;
        for (; now < end; now = now_ns()) {
            while (s.hold && too_far()) sleep_until(now_ns() + kSpin / 2);
            for (std::int64_t i = 0; i < kFloodSlice; ++i) publish(number++);
        }
        publish(kEnd);
        const double mean = static_cast<double>(now - start) / number;
        print(start, mean, mean, 0, number);
        return;
    }
    std::vector<std::int64_t> took(static_cast<std::size_t>(s.count));
    std::int64_t late = 0;
    const std::int64_t start = now_ns() + kFar;
    for (std::int64_t i = 0; i < s.count; ++i) {
        const std::int64_t due = start + i / s.burst * s.interval;
        if (i % s.burst == 0) wait_until(due);
        const std::int64_t before = now_ns();
        late += s.burst == 1 && before - due > 100000;
        publish(static_cast<std::int32_t>(i));
        took[static_cast<std::size_t>(i)] = now_ns() - before;
    }
    publish(kEnd);
    std::sort(took.begin(), took.end());
    print(start, static_cast<double>(took[took.size() / 2]), static_cast<double>(took[took.size() * 99 / 100]), late, s.count);
}

}  // namespace pacing
