// The receive stamp: UTC and monotonic nanoseconds from one reading of the CPU's counter.
//
// clock_gettime costs about 24 ns here and is needed twice; the counter costs 10. The counter is
// used only where the kernel itself keeps time with it (clocksource "tsc"), scaled with the rate
// measured against CLOCK_MONOTONIC and re-anchored by refresh(), which the session's thread calls
// about once a second, so that NTP slewing and clock steps are followed.
#pragma once

#include <cstdint>

#include "system.hpp"

namespace tk {

struct Stamp {
    std::int64_t realtime;
    std::int64_t monotonic;
};

class Clock {
public:
    Clock();
    Stamp now() const;
    // Follow the kernel's clocks. Any thread, but one at a time; never on the vendor's thread.
    void refresh();
    bool uses_counter() const { return counter_; }

private:
    struct Anchor {
        std::uint64_t counter;
        std::int64_t monotonic;
        std::int64_t realtime_offset;  // realtime - monotonic
        std::uint64_t scale;           // ns per count, 32.32 fixed point
    };
    static Anchor sample();
    void publish(const Anchor& a);

    bool counter_ = false;
    Anchor first_{};  // the rate is measured over the whole life of the clock: it only gets better
    std::atomic<std::uint32_t> version_{0};
    std::atomic<std::uint64_t> anchor_counter_{0};
    std::atomic<std::int64_t> anchor_monotonic_{0};
    std::atomic<std::int64_t> anchor_offset_{0};
    std::atomic<std::uint64_t> anchor_scale_{0};
};

// One clock per process: both the writer and tk_now() read it.
Clock& process_clock();

inline Stamp Clock::now() const {
    if (!counter_) {
        return {clock_ns(CLOCK_REALTIME), clock_ns(CLOCK_MONOTONIC)};
    }
    for (;;) {
        // SYNC clock anchor (acquire): partner is the release in publish(). An odd or changed version
        // means the four words may be of two anchors.
        const std::uint32_t v = version_.load(std::memory_order_acquire);
        const std::uint64_t base = anchor_counter_.load(std::memory_order_relaxed);
        const std::int64_t mono = anchor_monotonic_.load(std::memory_order_relaxed);
        const std::int64_t offset = anchor_offset_.load(std::memory_order_relaxed);
        const std::uint64_t scale = anchor_scale_.load(std::memory_order_relaxed);
        // SYNC clock check (acquire fence): the words above are read before the version below.
        // Partner: the release fence in publish().
        std::atomic_thread_fence(std::memory_order_acquire);
        if ((v & 1) != 0 || version_.load(std::memory_order_relaxed) != v) continue;
        const auto delta = static_cast<std::int64_t>(__builtin_ia32_rdtsc() - base);
        // Negative for a moment when another CPU's counter is a little behind: signed arithmetic.
        const auto ns =
            static_cast<std::int64_t>((static_cast<__int128>(delta) * static_cast<__int128>(scale)) >> 32);
        return {mono + ns + offset, mono + ns};
    }
}

}  // namespace tk
