// A writer that publishes at a steady pace and readers that follow it tick by tick, as threads of one
// process: what one publication takes on the writer's thread.
//
//   following LOG_PATH TICK_FILE READERS BARRIER PAUSE_NS TICKS
//
// BARRIER 1: a full barrier behind each publication, as a writer would need that makes it itself.
// Prints the mean and the 50th, 90th and 99th percentile in nanoseconds, and what the slowest reader got.
#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "writing.hpp"

namespace {

using bench::must;

constexpr std::size_t kRecordSize = 448;
constexpr std::uint32_t kBatch = 256;

struct Follower {
    tk_queue* queue = nullptr;
    tk_reader* reader = nullptr;
    std::uint64_t received = 0;

    Follower(tk_log* log, const std::string& log_path, int number) {
        const std::string path = log_path + "-q" + std::to_string(number);
        must(tk_queue_create(path.c_str(), "following", nullptr, 0, TK_START_NOW, 0, TK_WAIT_SPIN, 0, &queue),
             "tk_queue_create");
        must(tk_queue_bind(queue, log, log_path.c_str()), "tk_queue_bind");
        std::remove(path.c_str());
        must(tk_reader_open(queue, log, &reader), "tk_reader_open");
    }
    void follow(const std::atomic<bool>& stop) {
        std::vector<char> block(kBatch * kRecordSize + 64);
        tk_take take{};
        take.block = block.data() + (64 - reinterpret_cast<std::uintptr_t>(block.data()) % 64);
        take.max = kBatch;
        take.handed = 1;
        take.reader = reader;
        take.timeout_ns = 1000000;
        take.wait_mode = TK_WAIT_SPIN;
        while (!stop) {
            take.used = 0;
            must(tk_reader_take(&take), "tk_reader_take");
            received += take.count;
        }
    }
};

}  // namespace

int main(int argc, char** argv) {
    bench::die_with_parent();
    if (argc != 7) {
        std::fprintf(stderr, "usage: following LOG_PATH TICK_FILE READERS BARRIER PAUSE_NS TICKS\n");
        return 2;
    }
    const std::string path = argv[1];
    const int readers = std::atoi(argv[3]);
    const bool barrier = std::atoi(argv[4]) != 0;
    const double scale = bench::counts_per_ns();
    const auto pause = static_cast<std::uint64_t>(std::atof(argv[5]) * scale);
    const auto ticks = static_cast<std::size_t>(std::atoll(argv[6]));

    tk_log* log = nullptr;
    must(tk_log_create(path.c_str(), "following", 65536, 1024, &log), "tk_log_create");
    bench::Writer writer(log, argv[2]);
    std::vector<std::unique_ptr<Follower>> followers;
    for (int i = 0; i < readers; ++i) followers.push_back(std::make_unique<Follower>(log, path, i));
    must(tk_log_unlink(log), "tk_log_unlink");

    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (auto& follower : followers) threads.emplace_back([&stop, f = follower.get()] { f->follow(stop); });

    std::vector<std::uint32_t> took(ticks);
    for (std::size_t i = 0; i < ticks; ++i) {
        for (const std::uint64_t begin = __rdtsc(); __rdtsc() - begin < pause;) {
        }
        writer.tick.number(bench::volume_of(i));
        unsigned core;
        const std::uint64_t before = __rdtscp(&core);
        writer.write();
        if (barrier) std::atomic_thread_fence(std::memory_order_seq_cst);
        took[i] = static_cast<std::uint32_t>(__rdtscp(&core) - before);
    }
    stop = true;
    for (auto& thread : threads) thread.join();

    std::uint64_t slowest = ticks;
    for (const auto& follower : followers) slowest = std::min(slowest, follower->received);
    // The mean leaves out what took longer than 20 us: there somebody else had the processor.
    double sum = 0, counted = 0;
    for (const std::uint32_t t : took) {
        if (t > 20000 * scale) continue;
        sum += t;
        ++counted;
    }
    std::sort(took.begin(), took.end());
    std::printf("%.1f %.1f %.1f %.1f %llu\n", sum / counted / scale, took[ticks / 2] / scale, took[ticks * 9 / 10] / scale,
                took[ticks * 99 / 100] / scale, static_cast<unsigned long long>(slowest));
    return 0;
}
