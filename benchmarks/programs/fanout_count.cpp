// Publishes a given number of ticks and ends: run under valgrind, the difference of two runs is the
// price of one tick in instructions.
//
//   fanout_count LOG_PATH TICK_FILE STAMPED QUEUES TICKS
#include <string>

#include "writing.hpp"

using bench::must;

int main(int argc, char** argv) {
    bench::die_with_parent();
    if (argc != 6) {
        std::fprintf(stderr, "usage: fanout_count LOG_PATH TICK_FILE STAMPED QUEUES TICKS\n");
        return 2;
    }
    const std::string path = argv[1];
    const int stamped = std::atoi(argv[3]), queue_count = std::atoi(argv[4]);
    const auto ticks = static_cast<std::uint64_t>(std::atoll(argv[5]));

    tk_log* log = nullptr;
    must(tk_log_create(path.c_str(), "count", 4096, 1024, &log), "tk_log_create");
    bench::Writer writer(log, argv[2]);
    std::vector<tk_queue*> queues(static_cast<std::size_t>(queue_count));
    for (std::size_t i = 0; i < queues.size(); ++i) {
        const std::string queue_path = path + "-q" + std::to_string(i);
        must(tk_queue_create(queue_path.c_str(), "count", nullptr, 0, TK_START_NOW, 0, TK_WAIT_BLOCK, 0, &queues[i]),
             "tk_queue_create");
        must(tk_queue_bind(queues[i], log, path.c_str()), "tk_queue_bind");
        std::remove(queue_path.c_str());
    }

    std::int64_t elapsed_ns = 0;
    must(tk_writer_flood(writer.handle(), writer.tick.layout(), writer.tick.bytes(), ticks, stamped, &elapsed_ns),
         "tk_writer_flood");

    const std::uint64_t counted = bench::info_of(log).ticks;
    must(tk_log_unlink(log), "tk_log_unlink");
    if (counted != ticks) {
        std::fprintf(stderr, "log counts %llu ticks, %llu were written\n", static_cast<unsigned long long>(counted),
                     static_cast<unsigned long long>(ticks));
        return 1;
    }
    return 0;
}
