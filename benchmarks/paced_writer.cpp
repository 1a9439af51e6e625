// Publishes ticks at an absolute schedule, as the vendor's callback would.
//
//   paced_writer LOG_PATH LAYOUT TICK_FILE SCHEDULE...
//
// TICK_FILE holds one vendor struct of that layout; each tick is this one with its number in Volume.
// SCHEDULE and what is printed: pacing.hpp. A held flood keeps at most half a log ahead of the slowest reader.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "pacing.hpp"
#include "tickshim.h"

namespace {

constexpr std::size_t kVolume = 136;
constexpr std::uint32_t kMaxReaders = 64;

void must(std::int32_t status, const char* call) {
    if (status >= 0) return;
    std::fprintf(stderr, "%s: %s\n", call, tk_last_error());
    std::exit(1);
}

void read_tick(const char* path, char* depth, std::size_t size) {
    std::FILE* f = std::fopen(path, "rb");
    const std::size_t n = f == nullptr ? 0 : std::fread(depth, 1, size, f);
    if (f != nullptr) std::fclose(f);
    if (n > kVolume) return;
    std::fprintf(stderr, "%s holds no vendor struct\n", path);
    std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
    pacing::Schedule schedule;
    if (argc < 5 || !schedule.parse(argc - 4, argv + 4)) {
        std::fprintf(stderr, "usage: paced_writer LOG_PATH LAYOUT TICK_FILE (paced INTERVAL_NS BURST COUNT | flood NS HOLD)\n");
        return 2;
    }
    pacing::die_with_parent();
    const auto layout = static_cast<std::uint32_t>(std::atoi(argv[2]));
    alignas(8) char depth[1024] = {};
    read_tick(argv[3], depth, sizeof depth);
    tk_log* log = nullptr;
    tk_writer* writer = nullptr;
    must(tk_log_attach(argv[1], &log), "tk_log_attach");
    must(tk_writer_open(log, 1, &writer), "tk_writer_open");
    tk_log_info info;
    must(tk_log_info_get(log, &info), "tk_log_info_get");

    const auto publish = [&](std::int32_t number) {
        std::memcpy(depth + kVolume, &number, sizeof number);
        must(tk_writer_tick(writer, layout, depth), "tk_writer_tick");
    };
    static tk_reader_info readers[kMaxReaders];
    std::int64_t until_next_look = 0;
    const auto too_far = [&] {
        // Listing the readers is not cheap: an eighth of a log between two looks.
        if ((until_next_look -= pacing::kFloodSlice) > 0) return false;
        const std::int32_t count = tk_log_readers(log, readers, kMaxReaders);
        must(count, "tk_log_readers");
        for (std::int32_t i = 0; i < count; ++i)
            if (readers[i].lag > info.capacity / 2) return true;
        until_next_look = static_cast<std::int64_t>(info.capacity / 8);
        return false;
    };
    pacing::run(schedule, publish, too_far);
    tk_writer_close(writer);
    return 0;
}
