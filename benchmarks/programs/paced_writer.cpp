// Publishes ticks at an absolute schedule, as the vendor's callback would.
//
//   paced_writer LOG_PATH TICK_FILE SCHEDULE...
//
// TICK_FILE holds one vendor struct; each tick is this one with its number in Volume. SCHEDULE and what is
// printed: writing.hpp. A held flood keeps at most half a log ahead of the slowest reader.
#include "writing.hpp"

namespace {

constexpr std::uint32_t kMaxReaders = 64;

}  // namespace

int main(int argc, char** argv) {
    bench::die_with_parent();
    bench::Schedule schedule;
    if (argc < 4 || !schedule.parse(argc - 3, argv + 3)) {
        std::fprintf(stderr, "usage: paced_writer LOG_PATH TICK_FILE (paced INTERVAL_NS BURST COUNT | flood NS HOLD)\n");
        return 2;
    }
    tk_log* log = bench::attach(argv[1]);
    bench::Writer writer(log, argv[2]);
    const std::uint64_t capacity = bench::info_of(log).capacity;
    static tk_reader_info readers[kMaxReaders];
    std::int64_t until_next_look = 0;
    const auto too_far = [&] {
        // Listing the readers is not cheap: an eighth of a log between two looks.
        if ((until_next_look -= bench::kFloodSlice) > 0) return false;
        const std::int32_t count = tk_log_readers(log, readers, kMaxReaders);
        bench::must(count, "tk_log_readers");
        for (std::int32_t i = 0; i < count; ++i)
            if (readers[i].lag > capacity / 2) return true;
        until_next_look = static_cast<std::int64_t>(capacity / 8);
        return false;
    };
    bench::run(schedule, [&](std::int32_t number) { writer.publish(number); }, too_far);
    return 0;
}
