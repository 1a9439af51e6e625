// Publishes ticks at an absolute schedule and measures what that takes on its thread, wake-ups included.
//
//   burst_writer LOG_PATH LAYOUT INTERVAL_NS BURST COUNT
//
// BURST ticks are due every INTERVAL_NS; COUNT in all. It sleeps until shortly before they are due and spins the
// rest. Of every two bursts one is timed as a whole and one tick by tick, so that looking at the clock is no part
// of the mean; with BURST 1 every tick is timed. Before, the whole ring is written once, at a pace that readers can
// follow: a process touches each page of its mapping for the first time once only. A tick's number is its Volume.
// Prints: ticks written in all; nanoseconds: mean per tick of a burst (median of bursts), median and 99th
// percentile and maximum of a single tick, what an empty pair of looks at the clock takes, which is part of the
// single ones; wake-ups since the schedule began.
#include <algorithm>
#include <vector>

#include "_writer.hpp"

namespace {

constexpr std::int64_t kSpin = 100000;
constexpr std::uint64_t kWarmStep = 512;
constexpr std::int64_t kWarmPause = 1000000;

void wait_until(std::int64_t due) {
    const std::int64_t wake = due - kSpin;
    if (now_ns() < wake) {
        const timespec t{static_cast<time_t>(wake / 1000000000), static_cast<long>(wake % 1000000000)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);
    }
    while (now_ns() < due) __builtin_ia32_pause();
}

tk_log_info info_of(tk_log* log) {
    tk_log_info info;
    must(tk_log_info_get(log, &info), "tk_log_info_get");
    return info;
}

double at(std::vector<std::uint64_t>& sorted, std::size_t percent) {
    return sorted.empty() ? 0 : static_cast<double>(sorted[std::min(sorted.size() - 1, sorted.size() * percent / 100)]);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 6) {
        std::fprintf(stderr, "usage: burst_writer LOG_PATH LAYOUT INTERVAL_NS BURST COUNT\n");
        return 2;
    }
    const auto layout = static_cast<std::uint32_t>(std::atoi(argv[2]));
    const std::int64_t interval = std::atoll(argv[3]), burst = std::atoll(argv[4]), count = std::atoll(argv[5]);
    tk_log* log = nullptr;
    tk_writer* writer = nullptr;
    must(tk_log_attach(argv[1], &log), "tk_log_attach");
    must(tk_writer_open(log, 1, &writer), "tk_writer_open");
    Depth depth(layout);
    const double scale = counts_per_ns();
    unsigned core;

    const std::int64_t bursts = count / burst;
    std::vector<std::uint64_t> whole, single, empty(10000);
    single.reserve(static_cast<std::size_t>(count));
    for (std::uint64_t& took : empty) {
        const std::uint64_t before = __rdtscp(&core);
        took = __rdtscp(&core) - before;
    }
    std::uint64_t number = 0;
    const std::uint64_t whole_ring = info_of(log).capacity;
    for (std::int64_t due = now_ns(); number < whole_ring; due += kWarmPause) {
        wait_until(due);
        for (const std::uint64_t end = number + kWarmStep; number < end; ++number) {
            depth.volume(number);
            must(tk_writer_tick(writer, layout, depth.bytes), "tk_writer_tick");
        }
    }
    const std::int64_t start = now_ns() + 20000000;
    wait_until(start - kSpin);
    const std::uint64_t wakes = info_of(log).wakes;
    for (std::int64_t i = 0; i < bursts; ++i) {
        wait_until(start + i * interval);
        if (burst > 1 && i % 2 == 0) {
            const std::uint64_t before = __rdtscp(&core);
            for (const std::uint64_t end = number + static_cast<std::uint64_t>(burst); number < end; ++number) {
                depth.volume(number);
                must(tk_writer_tick(writer, layout, depth.bytes), "tk_writer_tick");
            }
            whole.push_back(__rdtscp(&core) - before);
        } else {
            for (const std::uint64_t end = number + static_cast<std::uint64_t>(burst); number < end; ++number) {
                depth.volume(number);
                const std::uint64_t before = __rdtscp(&core);
                must(tk_writer_tick(writer, layout, depth.bytes), "tk_writer_tick");
                single.push_back(__rdtscp(&core) - before);
            }
        }
    }
    tk_writer_close(writer);
    for (std::vector<std::uint64_t>* times : {&whole, &single, &empty}) std::sort(times->begin(), times->end());
    std::printf("%llu %.1f %.1f %.1f %.1f %.1f %llu\n", static_cast<unsigned long long>(number),
                at(whole, 50) / scale / static_cast<double>(burst), at(single, 50) / scale, at(single, 99) / scale,
                at(single, 100) / scale, at(empty, 50) / scale,
                static_cast<unsigned long long>(info_of(log).wakes - wakes));
    return 0;
}
