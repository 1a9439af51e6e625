#include "clock.hpp"

namespace tk {
namespace {

bool kernel_uses_tsc() {
    std::FILE* f = std::fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
    if (f == nullptr) return false;
    char name[32] = "";
    const bool read = std::fgets(name, sizeof name, f) != nullptr;
    std::fclose(f);
    return read && std::strncmp(name, "tsc", 3) == 0 && (name[3] == '\n' || name[3] == '\0');
}

}  // namespace

// The counter read between two readings of the clock; the tightest of several pairs, so that an
// interruption between them does not shift the anchor.
Clock::Anchor Clock::sample() {
    Anchor best{};
    std::int64_t best_gap = INT64_MAX;
    for (int i = 0; i < 8; ++i) {
        const std::int64_t before = clock_ns(CLOCK_MONOTONIC);
        const std::uint64_t counter = __builtin_ia32_rdtsc();
        const std::int64_t realtime = clock_ns(CLOCK_REALTIME);
        const std::int64_t after = clock_ns(CLOCK_MONOTONIC);
        if (after - before < best_gap) {
            best_gap = after - before;
            const std::int64_t middle = before + (after - before) / 2;
            best = {counter, middle, realtime - middle, 0};
        }
    }
    return best;
}

void Clock::publish(const Anchor& a) {
    const std::uint32_t v = version_.load(std::memory_order_relaxed);
    version_.store(v + 1, std::memory_order_relaxed);
    // SYNC clock check (release fence): the odd version is visible before any new word.
    // Partner: the acquire fence in now().
    std::atomic_thread_fence(std::memory_order_release);
    anchor_counter_.store(a.counter, std::memory_order_relaxed);
    anchor_monotonic_.store(a.monotonic, std::memory_order_relaxed);
    anchor_offset_.store(a.realtime_offset, std::memory_order_relaxed);
    anchor_scale_.store(a.scale, std::memory_order_relaxed);
    // SYNC clock anchor (release): partner is the acquire in now().
    version_.store(v + 2, std::memory_order_release);
}

Clock::Clock() {
    if (!kernel_uses_tsc()) return;
    first_ = sample();
    // A first rate from 2 ms is good to some ppm; refresh() improves it from then on.
    Anchor a{};
    do {
        a = sample();
    } while (a.monotonic - first_.monotonic < 2000000);
    const std::uint64_t counts = a.counter - first_.counter;
    if (counts == 0) return;
    a.scale = static_cast<std::uint64_t>((static_cast<__int128>(a.monotonic - first_.monotonic) << 32) /
                                         static_cast<__int128>(counts));
    publish(a);
    counter_ = true;
}

void Clock::refresh() {
    if (!counter_) return;
    Anchor a = sample();
    const std::uint64_t counts = a.counter - first_.counter;
    a.scale = static_cast<std::uint64_t>((static_cast<__int128>(a.monotonic - first_.monotonic) << 32) /
                                         static_cast<__int128>(counts));
    publish(a);
}

Clock& process_clock() {
    static Clock clock;
    return clock;
}

}  // namespace tk
