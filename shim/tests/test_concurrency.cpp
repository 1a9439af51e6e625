// Threads at full speed on small rings: every number of a tick follows from its Volume, which is its
// TickNumber, so that a torn or misplaced copy shows. This is what runs under ThreadSanitizer.
#include <thread>

#include "fixture.hpp"

using namespace fixture;

namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::int32_t kTicks = 40000;
#else
constexpr std::int32_t kTicks = 300000;
#endif

const char* const kIds[] = {"rb2601", "IF2512", "m2605"};

void write_ticks(tk::Writer& writer, std::int32_t from, std::int32_t to) {
    Depth depths[] = {Depth(kIds[0]), Depth(kIds[1]), Depth(kIds[2])};
    for (std::int32_t i = from; i < to; ++i) {
        Depth& d = depths[i % 3];
        d.fill(i);
        writer.publish_tick(d.layout(), d.bytes(), {i, i});
    }
}

struct Seen {
    std::uint64_t last_stamp = 0, count = 0, events = 0;
};

void check_records(const Taken& got, Seen* seen) {
    for (const tk::Record& r : got.records) {
        CHECK(r.Stamp > seen->last_stamp);
        seen->last_stamp = r.Stamp;
        if (r.Kind != tk::kTick) {
            ++seen->events;
            continue;
        }
        ++seen->count;
        CHECK(is_whole(r));
        CHECK_EQ(r.TickNumber, static_cast<std::uint64_t>(r.Volume));
        CHECK_EQ(r.InstrumentNumber, static_cast<std::uint64_t>(r.Volume / 3));
        CHECK_EQ(r.RecvTime, r.Volume);
        CHECK(std::strcmp(r.InstrumentID, kIds[r.Volume % 3]) == 0);
    }
}

void read_to_the_end(tk::Reader& reader, std::uint32_t max, std::int32_t mode, Seen* seen, Taken* last) {
    for (;;) {
        *last = take(reader, max, -1, true, mode);
        check_records(*last, seen);
        CHECK_EQ(last->info.received, seen->count);
        if (last->state() == TK_TAKE_ENDED || last->rc < 0) return;
    }
}

}  // namespace

TEST(readers_of_every_kind_get_whole_ticks_in_order_and_account_for_all) {
    for (const std::uint64_t capacity : {2u, 16u, 1024u}) {
        TestLog t(capacity);
        struct One {
            std::vector<std::string> ids;
            std::uint32_t max;
            std::int32_t mode;
            bool events;
        };
        const One kinds[] = {{{}, 1, TK_WAIT_SPIN, false},
                             {{}, 200, TK_WAIT_ADAPTIVE, true},
                             {{"IF2512"}, 5, TK_WAIT_BLOCK, false},
                             {{"m2605", "rb2601"}, 70, TK_WAIT_BLOCK, true}};
        std::vector<std::unique_ptr<Bound>> queues;
        std::vector<std::thread> threads;
        Seen seen[4];
        Taken last[4];
        for (const One& kind : kinds) {
            queues.push_back(t.queue(kind.ids, TK_START_NOW, kind.events));
            queues.back()->open();
        }
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&, i] { read_to_the_end(*queues[i]->reader, kinds[i].max, kinds[i].mode, &seen[i], &last[i]); });
        const std::int32_t ticks = kTicks / 3 / 3 * 3;
        std::uint64_t events = 0;
        for (std::int32_t from = 0; from < ticks; from += ticks / 30) {
            write_ticks(*t.writer, from, std::min(ticks, from + ticks / 30));
            t.event();
            ++events;
        }
        tk::end_log(&t.log);
        for (std::thread& thread : threads) thread.join();
        const auto all = static_cast<std::uint64_t>(ticks);
        const std::uint64_t written[] = {all, all, all / 3, all / 3 * 2};
        for (int i = 0; i < 4; ++i) {
            CHECK_EQ(last[i].info.received + last[i].info.lost, written[i]);
            if (kinds[i].events) CHECK_EQ(seen[i].events + last[i].info.lost_events, events);
        }
        if (check::failures() != 0) return;
    }
}

TEST(two_writing_threads_take_turns) {
    TestLog t(1024);
    auto q = t.queue({}, TK_START_NOW, true);
    auto& reader = q->open();
    const std::int32_t each = kTicks / 6;
    std::vector<std::thread> writers;
    for (int w = 0; w < 2; ++w)
        writers.emplace_back([&, w] {
            Depth d(kIds[w]);
            for (std::int32_t i = 0; i < each; ++i) {
                d.fill(i);
                t.writer->publish_tick(d.layout(), d.bytes(), {i, i});
                if (i % 64 == 0) t.event();
            }
        });
    std::thread ending([&] {
        for (std::thread& w : writers) w.join();
        tk::end_log(&t.log);
    });
    std::uint64_t next[2] = {}, last = 0;
    Taken got;
    do {
        got = take(reader, 64, -1);
        for (const tk::Record& r : got.records) {
            CHECK(r.Stamp > last);
            last = r.Stamp;
            if (r.Kind != tk::kTick) continue;
            CHECK(is_whole(r));
            const int w = std::strcmp(r.InstrumentID, kIds[0]) == 0 ? 0 : 1;
            CHECK_EQ(r.InstrumentNumber, static_cast<std::uint64_t>(r.Volume));  // each thread's own order
            CHECK(r.InstrumentNumber >= next[w]);
            next[w] = r.InstrumentNumber + 1;
        }
    } while (got.state() != TK_TAKE_ENDED);
    ending.join();
    CHECK_EQ(got.info.received + got.info.lost, 2u * static_cast<std::uint64_t>(each));
    CHECK_EQ(t.log.header->Ticks.load(), 2u * static_cast<std::uint64_t>(each));
}

// The rare instrument moves between the ring and the saved table all the time.
TEST(the_latest_tick_is_whole_and_never_blank_while_it_moves) {
    TestLog t(8);
    t.tick("rare01");
    t.tick("other1");
    std::atomic<bool> done{false};
    std::vector<std::thread> readers;
    std::atomic<std::uint64_t> reads{0};
    for (int i = 0; i < 2; ++i)
        readers.emplace_back([&] {
            std::uint64_t last = 0;
            while (!done) {
                tk::Record r;
                if (tk::read_latest(t.log, "rare01", &r) != TK_OK) {
                    CHECK(false && "the latest tick is blank");
                    return;
                }
                CHECK(is_whole(r));
                CHECK(std::strcmp(r.InstrumentID, "rare01") == 0);
                CHECK(r.Stamp >= last);
                last = r.Stamp;
                reads.fetch_add(1);
            }
        });
    for (std::int32_t i = 0; i < kTicks / 2 || reads < 1000; ++i) t.tick(i % 11 == 0 ? "rare01" : "other1");
    done = true;
    for (std::thread& r : readers) r.join();
}

TEST(ranges_and_status_are_whole_while_they_are_overwritten) {
    TestLog t(32);
    std::atomic<bool> done{false};
    std::thread ranges([&] {
        std::vector<tk::Record> out(32);
        while (!done) {
            std::uint64_t first = 0;
            const std::uint64_t head = t.head();
            const std::uint64_t n = tk::read_range(t.log, head < 31 ? 0 : head - 31, 32, out.data(), &first);
            for (std::uint64_t i = 0; i < n; ++i) {
                CHECK_EQ(out[i].Stamp, first + i + 1);
                CHECK(is_whole(out[i]));
            }
        }
    });
    std::thread status([&] {
        char text[tk::kStatusSize];
        while (!done) {
            const std::int32_t n = tk::get_status(t.log, text, sizeof text);
            for (std::int32_t i = 1; i < n; ++i) CHECK_EQ(text[i], text[0]);
        }
    });
    for (std::int32_t i = 0; i < kTicks / 4; ++i) {
        t.tick(kIds[i % 3]);
        if (i % 16 == 0) {
            const std::string text(static_cast<std::size_t>(1 + i % 900), static_cast<char>('a' + i % 26));
            tk::set_status(&t.log, text.data(), static_cast<std::uint32_t>(text.size()));
        }
    }
    done = true;
    ranges.join();
    status.join();
}

TEST(queues_come_and_go_while_the_writer_writes) {
    TestLog t(64);
    std::atomic<bool> done{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i)
        threads.emplace_back([&, i] {
            for (int round = 0; round < 150; ++round) {
                tk::Queue queue;
                const std::string file = t.directory.file("come-" + std::to_string(i) + "-" + std::to_string(round));
                const char* ids[] = {kIds[round % 3], kIds[i]};
                const std::uint32_t count = round % 2 == 0 ? 0 : 2;
                const std::int64_t start = round % 3 == 0 ? TK_START_OLDEST : TK_START_NOW;
                if (tk::create_queue(file.c_str(), "q", ids, count, start, round % 5 == 0, 0, &queue) != TK_OK ||
                    tk::bind_queue(&queue, &t.log, t.path.c_str()) != TK_OK) {
                    CHECK(false && "no place");
                    return;
                }
                tk::Reader reader(&queue, &t.log);
                CHECK_EQ(reader.open(), TK_OK);
                Seen seen;
                for (int n = 0; n < 20; ++n) {
                    const Taken got = take(reader, 16, 1000000);
                    check_records(got, &seen);
                    CHECK_EQ(got.info.received, seen.count);
                }
                reader.close();
                tk::retire_queue(&queue, &t.log);  // ThreadSanitizer knows memory by its address
                unlink(file.c_str());
            }
            done = true;
        });
    for (std::int32_t i = 0; !done || i % 300 != 0; ++i) write_ticks(*t.writer, i, i + 1);
    for (std::thread& thread : threads) thread.join();
    CHECK_EQ(tk::list_readers(t.log, nullptr, 0), 0u);
}

TEST(a_second_thread_in_a_reader_is_refused) {
    TestLog t(16);
    auto q = t.queue();
    auto& reader = q->open();
    std::atomic<bool> done{false};
    std::atomic<int> refused{0};
    std::thread first([&] {
        while (!done) take(reader, 4, -1);
    });
    CHECK(eventually([&] {
        const Taken got = take(reader, 4, 0);
        if (got.rc == TK_E_BUSY) ++refused;
        tk_take counters{};
        reader.counters(&counters);  // allowed at any time
        CHECK(counters.received <= 1);
        return refused > 3;
    }));
    CHECK(std::strstr(tk_last_error(), "two threads") != nullptr);
    done = true;
    t.tick();
    tk::end_log(&t.log);
    first.join();
}
