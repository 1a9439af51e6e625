// Publishes ticks at an absolute schedule, as the vendor's callback would.
//
//   paced_writer LOG_PATH LAYOUT INTERVAL_NS BURST COUNT
//
// BURST ticks are due every INTERVAL_NS; COUNT in all. A tick carries the time it was due (CLOCK_MONOTONIC,
// nanoseconds) in Turnover and its number in Volume. It sleeps until shortly before a tick is due and
// spins the rest; a schedule it cannot hold is not stretched: the late tick keeps the time it was due.
// Prints: median and 99th percentile of the nanoseconds that publishing one took, and ticks published
// more than 100 us late.
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tickshim.h"

namespace {

constexpr std::int64_t kSpin = 100000;
constexpr std::size_t kVolume = 136, kTurnover = 144;

void must(std::int32_t status, const char* call) {
    if (status >= 0) return;
    std::fprintf(stderr, "%s: %s\n", call, tk_last_error());
    std::exit(1);
}

std::int64_t now_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::int64_t>(t.tv_sec) * 1000000000 + t.tv_nsec;
}

void wait_until(std::int64_t due) {
    const std::int64_t wake = due - kSpin;
    if (now_ns() < wake) {
        const timespec t{static_cast<time_t>(wake / 1000000000), static_cast<long>(wake % 1000000000)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);
    }
    while (now_ns() < due) __builtin_ia32_pause();
}

void text(char* depth, std::size_t offset, const char* value) { std::memcpy(depth + offset, value, std::strlen(value)); }

}  // namespace

int main(int argc, char** argv) {
    if (argc != 6) {
        std::fprintf(stderr, "usage: paced_writer LOG_PATH LAYOUT INTERVAL_NS BURST COUNT\n");
        return 2;
    }
    const auto layout = static_cast<std::uint32_t>(std::atoi(argv[2]));
    const std::int64_t interval = std::atoll(argv[3]), burst = std::atoll(argv[4]), count = std::atoll(argv[5]);
    tk_log* log = nullptr;
    tk_writer* writer = nullptr;
    must(tk_log_attach(argv[1], &log), "tk_log_attach");
    must(tk_writer_open(log, 1, &writer), "tk_writer_open");
    alignas(8) char depth[1024] = {};
    text(depth, 0, "20260105");
    text(depth, 40, "SHFE");
    text(depth, 208, "09:30:01");
    text(depth, 392, "20260105");
    text(depth, layout == 1 ? 9 : 401, "rb2601");
    text(depth, layout == 1 ? 49 : 482, "rb2601");
    const double price = 3123.0;
    std::memcpy(depth + 80, &price, sizeof price);

    std::vector<std::int64_t> took(static_cast<std::size_t>(count));
    std::int64_t late = 0;
    const std::int64_t start = now_ns() + 20000000;
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t due = start + i / burst * interval;
        if (i % burst == 0) wait_until(due);
        const auto turnover = static_cast<double>(due);  // exact: below 2^53 for the first 104 days of uptime
        const auto volume = static_cast<std::int32_t>(i);
        std::memcpy(depth + kTurnover, &turnover, sizeof turnover);
        std::memcpy(depth + kVolume, &volume, sizeof volume);
        const std::int64_t before = now_ns();
        late += burst == 1 && before - due > 100000;
        must(tk_writer_tick(writer, layout, depth), "tk_writer_tick");
        took[static_cast<std::size_t>(i)] = now_ns() - before;
    }
    tk_writer_close(writer);
    std::sort(took.begin(), took.end());
    std::printf("%lld %lld %lld\n", static_cast<long long>(took[took.size() / 2]),
                static_cast<long long>(took[took.size() * 99 / 100]), static_cast<long long>(late));
    return 0;
}
