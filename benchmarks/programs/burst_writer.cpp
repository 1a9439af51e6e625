// Publishes ticks at an absolute schedule and measures what that takes on its thread, wake-ups included.
//
//   burst_writer LOG_PATH TICK_FILE paced INTERVAL_NS BURST COUNT
//
// The schedule is the one of writing.hpp. Of every two bursts one is timed as a whole and one tick by tick, so that
// looking at the clock is no part of the mean; with BURST 1 every tick is timed. Before, the whole ring is written
// once, at a pace that readers can follow: a process touches each page of its mapping for the first time once only.
// Prints: ticks written in all; nanoseconds: mean per tick of a burst (median of bursts), median and 99th
// percentile and maximum of a single tick, what an empty pair of looks at the clock takes, which is part of the
// single ones; wake-ups since the schedule began.
#include "writing.hpp"

namespace {

constexpr int kWarmStep = 512;
constexpr std::int64_t kWarmPause = 1000000;

double at(const std::vector<std::uint64_t>& sorted, std::size_t percent) {
    return sorted.empty() ? 0 : static_cast<double>(sorted[std::min(sorted.size() - 1, sorted.size() * percent / 100)]);
}

}  // namespace

int main(int argc, char** argv) {
    bench::die_with_parent();
    bench::Schedule schedule;
    if (argc < 4 || !schedule.parse(argc - 3, argv + 3) || schedule.flood) {
        std::fprintf(stderr, "usage: burst_writer LOG_PATH TICK_FILE paced INTERVAL_NS BURST COUNT\n");
        return 2;
    }
    tk_log* log = bench::attach(argv[1]);
    bench::Writer writer(log, argv[2]);
    const double scale = bench::counts_per_ns();
    unsigned core;

    std::vector<std::uint64_t> whole, single, empty(10000);
    single.reserve(static_cast<std::size_t>(schedule.count));
    for (std::uint64_t& took : empty) {
        const std::uint64_t before = __rdtscp(&core);
        took = __rdtscp(&core) - before;
    }
    std::int32_t number = 0;
    const std::uint64_t whole_ring = bench::info_of(log).capacity;
    for (std::int64_t due = tk::monotonic_ns(); static_cast<std::uint64_t>(number) < whole_ring; due += kWarmPause) {
        bench::wait_until(due);
        for (const std::int32_t end = number + kWarmStep; number < end; ++number) writer.publish(number);
    }
    const std::int64_t start = tk::monotonic_ns() + bench::kFar;
    bench::wait_until(start - bench::kSpin);
    const std::uint64_t wakes = bench::info_of(log).wakes;
    for (std::int64_t i = 0; i < schedule.count / schedule.burst; ++i) {
        const std::int32_t end = number + static_cast<std::int32_t>(schedule.burst);
        bench::wait_until(start + i * schedule.interval);
        if (schedule.burst > 1 && i % 2 == 0) {
            const std::uint64_t before = __rdtscp(&core);
            for (; number < end; ++number) writer.publish(number);
            whole.push_back(__rdtscp(&core) - before);
        } else {
            for (; number < end; ++number) {
                writer.tick.number(number);
                const std::uint64_t before = __rdtscp(&core);
                writer.write();
                single.push_back(__rdtscp(&core) - before);
            }
        }
    }
    for (std::vector<std::uint64_t>* times : {&whole, &single, &empty}) std::sort(times->begin(), times->end());
    std::printf("%d %.1f %.1f %.1f %.1f %.1f %llu\n", number, at(whole, 50) / scale / static_cast<double>(schedule.burst),
                at(single, 50) / scale, at(single, 99) / scale, at(single, 100) / scale, at(empty, 50) / scale,
                static_cast<unsigned long long>(bench::info_of(log).wakes - wakes));
    return 0;
}
