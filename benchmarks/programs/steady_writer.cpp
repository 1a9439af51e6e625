// Publishes ticks at a steady rate, or flat out, until its standard input ends. It never waits for a reader.
//
//   steady_writer LOG_PATH TICK_FILE RATE
//
// Tick i is due at the start + i / RATE; what is due is written in steps of at most 32, and the clock is looked at
// between them. Held up by the machine it makes up for it, flat out, so that the rate is what was asked for.
// RATE 0: flat out all the time. A tick carries its number in Volume.
// Prints: ticks, nanoseconds, processor nanoseconds, the most ticks it was behind.
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "writing.hpp"

namespace {

constexpr std::uint64_t kStep = 32;

void wait_for_end_of_input(std::atomic<bool>* stop) {
    char byte;
    while (true) {
        const ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got == 0 || (got < 0 && errno != EINTR)) break;
    }
    stop->store(true);
}

}  // namespace

int main(int argc, char** argv) {
    bench::die_with_parent();
    if (argc != 4) {
        std::fprintf(stderr, "usage: steady_writer LOG_PATH TICK_FILE RATE\n");
        return 2;
    }
    const double per_ns = std::atof(argv[3]) / 1e9;
    bench::Writer writer(bench::attach(argv[1]), argv[2]);
    std::atomic<bool> stop{false};
    std::thread watcher(wait_for_end_of_input, &stop);

    std::uint64_t made = 0, most_behind = 0;
    const std::int64_t start = tk::monotonic_ns(), cpu_start = tk::clock_ns(CLOCK_THREAD_CPUTIME_ID);
    while (!stop.load(std::memory_order_relaxed)) {
        std::uint64_t step = kStep;
        if (per_ns > 0) {
            const std::uint64_t behind = static_cast<std::uint64_t>(static_cast<double>(tk::monotonic_ns() - start) * per_ns) - made;
            most_behind = std::max(most_behind, behind);
            step = std::min(kStep, behind);
            if (step == 0) tk::cpu_relax();
        }
        for (const std::uint64_t end = made + step; made < end; ++made) writer.publish(bench::volume_of(made));
    }
    const std::int64_t end = tk::monotonic_ns(), cpu_end = tk::clock_ns(CLOCK_THREAD_CPUTIME_ID);
    watcher.join();
    std::printf("%llu %lld %lld %llu\n", static_cast<unsigned long long>(made), static_cast<long long>(end - start),
                static_cast<long long>(cpu_end - cpu_start), static_cast<unsigned long long>(most_behind));
    return 0;
}
