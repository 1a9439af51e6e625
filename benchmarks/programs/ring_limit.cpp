// The machine's limit: a plain broadcast ring in shared memory, C++ to C++, nothing done to a tick.
//
//   ring_limit write PATH TICK_FILE SCHEDULE...       what is printed: writing.hpp
//   ring_limit read PATH INDEX poll|futex SEEN COUNT  prints "ready", then received, ordered, end, cpu and wall ns
//
// The record is as large as the log's. A reader copies it, checks that it was not overtaken meanwhile, and
// reads price and instrument from the copy; then it looks at the clock. COUNT times go to the file SEEN, by
// the ticks' numbers; with COUNT 0 ticks are only counted. `futex`: the engine's protocol: announce, look
// again, sleep; the writer looks at the announcements behind each record. PATH may be new: zeros are an
// empty ring.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

#include "writing.hpp"

namespace {

constexpr std::uint64_t kSlots = 65536;
constexpr int kMaxReaders = 64;
constexpr std::int64_t kSleepSlice = 500000000;

struct alignas(64) Record {
    std::uint64_t stamp;  // number of the record plus one, 0 while it is written
    double price;
    std::int32_t number;
    char instrument[84];
    char rest[344];
};
static_assert(sizeof(Record) == 448, "the size of the log's record");
constexpr std::size_t kWords = sizeof(Record) / 8;

struct alignas(64) Place {
    std::atomic<std::uint32_t> sleep;  // odd: asleep, or about to be
    std::atomic<std::uint64_t> next;   // of a held writer's interest
    std::atomic<std::uint32_t> taken;
};

struct Ring {
    alignas(64) std::atomic<std::uint64_t> sleepers;
    alignas(64) std::atomic<std::uint32_t> writer_fences;  // the kernel gives no barrier to the readers
    Place places[kMaxReaders];
    Record records[kSlots];
};

[[noreturn]] void die(const char* what) {
    std::fprintf(stderr, "ring_limit: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

Ring* map(const char* path) {
    const tk::Descriptor file(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (file.get() < 0 || ftruncate(file.get(), sizeof(Ring)) != 0) die(path);
    void* p = mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file.get(), 0);
    if (p == MAP_FAILED) die("mmap");
    return static_cast<Ring*>(p);
}

// ---- writer ------------------------------------------------------------------------------------

class Writer {
public:
    Writer(Ring* ring, const bench::Tick& tick) : ring_(ring) {
        std::memcpy(&mine_.price, tick.bytes() + 80, 8);
        std::memcpy(mine_.instrument, tick.bytes() + 401, 81);  // of layout 3
        std::memcpy(mine_.rest, tick.bytes(), sizeof mine_.rest);
        fences_ = !tk::register_for_barrier();
        ring_->writer_fences.store(fences_);
    }

    void publish(std::int32_t number) {
        mine_.number = number;
        Record& r = ring_->records[next_ % kSlots];
        __atomic_store_n(&r.stamp, 0, __ATOMIC_RELAXED);
        // SYNC slot (release): nobody takes new words for those of the old stamp. Partner: the fence in take().
        std::atomic_thread_fence(std::memory_order_release);
        auto* to = reinterpret_cast<std::uint64_t*>(&r);
        auto* from = reinterpret_cast<const std::uint64_t*>(&mine_);
        for (std::size_t i = 1; i < kWords; ++i) __atomic_store_n(to + i, from[i], __ATOMIC_RELAXED);
        // SYNC stamp (release): the record is whole. Partner: there().
        __atomic_store_n(&r.stamp, ++next_, __ATOMIC_RELEASE);
        // SYNC sleep (writer side): the record before the look at the announcements. The processor is held to
        // it by the reader's barrier in sleep(), the compiler by this one.
        if (fences_) std::atomic_thread_fence(std::memory_order_seq_cst);
        else std::atomic_signal_fence(std::memory_order_seq_cst);
        if (__builtin_expect(ring_->sleepers.load(std::memory_order_relaxed) != 0, 0)) wake();
    }

    bool too_far() const {
        for (const Place& p : ring_->places)
            if (p.taken.load() != 0 && next_ - p.next.load(std::memory_order_relaxed) > kSlots / 2) return true;
        return false;
    }

private:
    void wake() {
        for (std::uint64_t left = ring_->sleepers.load(); left != 0; left &= left - 1) {
            const int index = __builtin_ctzll(left);
            ring_->sleepers.fetch_and(~(1ull << index));
            Place& p = ring_->places[index];
            std::uint32_t word = p.sleep.load();
            while ((word & 1) != 0 && !p.sleep.compare_exchange_weak(word, word + 1)) {
            }
            if ((word & 1) != 0) tk::futex_wake(&p.sleep, 1);
        }
    }

    Ring* ring_;
    Record mine_{};
    std::uint64_t next_ = 0;
    bool fences_;
};

int write(int argc, char** argv) {
    bench::Schedule schedule;
    if (argc < 5 || !schedule.parse(argc - 4, argv + 4)) return 2;
    Writer writer(map(argv[2]), bench::Tick(argv[3]));
    bench::run(schedule, [&](std::int32_t number) { writer.publish(number); }, [&] { return writer.too_far(); });
    return 0;
}

// ---- reader ------------------------------------------------------------------------------------

class Reader {
public:
    Reader(Ring* ring, int index, bool sleeps) : ring_(ring), place_(ring->places[index]), bit_(1ull << index), sleeps_(sleeps) {
        place_.taken.store(1);
    }

    const Record& take() {
        for (;;) {
            while (!there()) {
                if (sleeps_) sleep();
                else tk::cpu_relax();
            }
            const Record& r = ring_->records[next_ % kSlots];
            const std::uint64_t stamp = __atomic_load_n(&r.stamp, __ATOMIC_ACQUIRE);
            auto* to = reinterpret_cast<std::uint64_t*>(&mine_);
            auto* from = reinterpret_cast<const std::uint64_t*>(&r);
            for (std::size_t i = 1; i < kWords; ++i) to[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
            // SYNC slot (acquire): words before the second look. Partner: the fence in publish().
            std::atomic_thread_fence(std::memory_order_acquire);
            if (stamp == 0 || __atomic_load_n(&r.stamp, __ATOMIC_RELAXED) != stamp) continue;
            next_ = stamp;  // further on than expected if the writer has come round: what is between is lost
            place_.next.store(next_, std::memory_order_relaxed);
            return mine_;
        }
    }

private:
    // SYNC stamp (acquire): partner is the release in publish().
    bool there() const { return __atomic_load_n(&ring_->records[next_ % kSlots].stamp, __ATOMIC_ACQUIRE) > next_; }

    void sleep() {
        // SYNC sleep (reader side): announced here, looked again below, asleep only then. Partner: publish().
        const std::uint32_t word = place_.sleep.fetch_or(1) | 1;
        ring_->sleepers.fetch_or(bit_);
        if (ring_->writer_fences.load() == 0 && !tk::barrier_all()) die("membarrier");
        if (!there()) tk::futex_wait(&place_.sleep, word, kSleepSlice);
        ring_->sleepers.fetch_and(~bit_);
        std::uint32_t now = place_.sleep.load();
        while ((now & 1) != 0 && !place_.sleep.compare_exchange_weak(now, now + 1)) {
        }
    }

    Ring* ring_;
    Place& place_;
    std::uint64_t bit_;
    bool sleeps_;
    std::uint64_t next_ = 0;
    Record mine_{};
};

int read(int argc, char** argv) {
    if (argc != 7) return 2;
    const int index = std::atoi(argv[3]);
    const auto count = static_cast<std::size_t>(std::atoll(argv[6]));
    if (index < 0 || index >= kMaxReaders) return 2;
    std::vector<std::int64_t> seen(count);
    Reader reader(map(argv[2]), index, std::strcmp(argv[4], "futex") == 0);
    std::printf("ready\n");
    std::fflush(stdout);
    const std::int64_t begin = tk::monotonic_ns(), cpu = tk::clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    std::int32_t last = -1;
    std::int64_t received = 0;
    bool ordered = true;
    volatile double price;
    volatile char instrument;
    for (;;) {
        const Record& r = reader.take();
        price = r.price;
        instrument = r.instrument[0];
        if (r.number == bench::kEnd) break;
        if (count != 0) {
            if (static_cast<std::size_t>(r.number) >= count) die("a number beyond the schedule");
            seen[static_cast<std::size_t>(r.number)] = tk::monotonic_ns();
        }
        ordered = ordered && r.number > last;
        last = r.number;
        ++received;
    }
    static_cast<void>(price), static_cast<void>(instrument);
    const std::int64_t end = tk::monotonic_ns();
    std::FILE* f = count == 0 ? nullptr : std::fopen(argv[5], "wb");
    if (count != 0 && (f == nullptr || std::fwrite(seen.data(), 8, count, f) != count || std::fclose(f) != 0)) die(argv[5]);
    std::printf("%lld %d %lld %lld %lld\n", static_cast<long long>(received), ordered, static_cast<long long>(end),
                static_cast<long long>(tk::clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu), static_cast<long long>(end - begin));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    bench::die_with_parent();
    int status = 2;
    if (argc > 1 && std::strcmp(argv[1], "write") == 0) status = write(argc, argv);
    if (argc > 1 && std::strcmp(argv[1], "read") == 0) status = read(argc, argv);
    if (status == 2) std::fprintf(stderr, "usage: see the head of ring_limit.cpp\n");
    return status;
}
