// Processes that die: at every instruction (single-stepped), at random moments (killed), and at states set
// by hand. What must hold afterwards: sequences, numbers and counts go on; received + lost == written;
// a successor gets exactly what the program had not been given.
#include <sys/mman.h>

#include "stepper.hpp"
#include "tickshim.h"

using namespace fixture;

namespace {

// A copy of a log's and a queue's bytes in files of its own, to be recovered without touching the original.
class Twin {
public:
    Twin(TestLog& t, Bound& q) : original_(t), queue_(q) {
        TestLog::ok(tk::create_log(directory_.file("log").c_str(), "twin", t.log.capacity, t.log.instrument_capacity, &log),
                    "create_log");
        std::vector<const char*> ids;
        for (std::uint32_t f = 0; f < q.queue.filter_count; ++f) ids.push_back(q.queue.filters[f].InstrumentID);
        TestLog::ok(tk::create_queue(directory_.file("queue").c_str(), "twin", ids.data(),
                                     q.queue.filtered ? q.queue.filter_count : 0, -1, false, 0, &bound.queue),
                    "create_queue");
        bound.log = &log;
        take_over();
    }
    void take_over() {
        if (bound.reader) bound.reader.reset();
        std::memcpy(log.mapping.base(), original_.log.mapping.base(), log.mapping.size());
        std::memcpy(bound.queue.mapping.base(), queue_.queue.mapping.base(), bound.queue.mapping.size());
        log.header->WriterProcess = 0;
        bound.slot().ReaderProcess = 0;
    }
    tk::Log log;
    Bound bound;

private:
    TestLog& original_;
    Bound& queue_;
    check::Directory directory_;
};

std::vector<std::pair<const char*, std::size_t>> bytes_of(const tk::Log& log) {
    return {{log.mapping.base(), log.mapping.size()}};
}

std::vector<std::pair<const char*, std::size_t>> bytes_of(Bound& q) {
    return {{reinterpret_cast<const char*>(&q.slot()), sizeof(tk::ReaderSlot)},
            {q.queue.mapping.base(), q.queue.mapping.size()}};
}

void publish(tk::Writer& writer, const std::string& id, std::int32_t volume) {
    Depth depth(id);
    depth.fill(volume);
    writer.publish_tick(depth.layout(), depth.bytes(), {1, 2});
}

std::string where(const Stepper& s) { return "after " + std::to_string(s.steps()) + " instructions"; }

}  // namespace

// ---- writers ------------------------------------------------------------------------------------

TEST(a_writer_that_died_at_a_named_step_is_continued) {
    enum Step { kPayload, kStamp, kLatest, kPrimary, kCount, kTicks, kHead };
    for (const std::uint64_t capacity : {4u, 64u})
        for (int step = kPayload; step <= kHead; ++step) {
            TestLog t(capacity);
            t.tick("IF2512");
            t.ticks(5, "rb2601");
            // Publish one more, then take back what comes after the step.
            tk::LogHeader& h = *t.log.header;
            tk::InstrumentEntry& e = t.log.instruments[1];
            tk::Record* slot = t.log.slot(6);
            const std::uint64_t old_stamp = slot->Stamp;
            t.tick("rb2601");
            if (step < kHead) h.Head = 6;
            if (step < kTicks) h.Ticks = 6;
            if (step < kCount) e.Count = 5;
            if (step < kPrimary) e.PrimaryLatestStamp = 6;
            if (step < kLatest) e.LatestStamp = 6;
            if (step < kStamp) slot->Stamp = old_stamp;
            t.forget_writer();
            t.open();
            const std::uint64_t sixth = step >= kStamp ? 1 : 0;  // published or never was
            CHECK_EQ(h.Head.load(), 6 + sixth);
            CHECK_EQ(h.Ticks.load(), 6 + sixth);
            CHECK_EQ(h.Events.load(), 0u);
            CHECK_EQ(e.Count.load(), 5 + sixth);
            CHECK_EQ(e.LatestStamp.load(), 6 + sixth);
            CHECK_EQ(e.PrimaryLatestStamp.load(), 6 + sixth);
            t.event();
            t.tick("rb2601");
            tk::Record r;
            REQUIRE(tk::read_latest(t.log, "rb2601", &r) == TK_OK);
            CHECK_EQ(r.Stamp, 8 + sixth);
            CHECK_EQ(r.TickNumber, 6 + sixth);
            CHECK_EQ(r.InstrumentNumber, 5 + sixth);
            CHECK_EQ(h.Events.load(), 1u);
            CHECK_EQ(h.Epoch.load(), 2u);
        }
}

// Half of a new record's words are already in the place of an old one that is its instrument's newest.
TEST(a_writer_that_died_while_overwriting_a_saved_tick_does_not_spoil_the_saved_copy) {
    TestLog t(4);
    t.tick("rb2601");
    t.ticks(3, "IF2512");  // the next record takes the place of rb2601's only tick
    tk::Record before, after;
    REQUIRE(tk::read_latest(t.log, "rb2601", &before) == TK_OK);
    tk::Record* slot = t.log.slot(4);
    CHECK_EQ(slot->Stamp, 1u);
    slot->Turnover = 12345;
    slot->InstrumentNumber = 3;
    slot->BidPrice5 = 99;
    t.forget_writer();
    t.open();
    REQUIRE(tk::read_latest(t.log, "rb2601", &after) == TK_OK);
    CHECK(std::memcmp(&before, &after, sizeof before) == 0);
}

// The writer stops at every instruction that changed anything; each time a new one takes over a copy.
TEST(a_writer_stopped_at_any_instruction_is_continued) {
    struct Case {
        const char* id;  // nullptr: an event
        std::uint64_t capacity;
    };
    for (const Case c : {Case{"rb2601", 4}, Case{"IF2512", 4}, Case{"new999", 4}, Case{nullptr, 4}, Case{"rb2601", 64}}) {
        TestLog t(c.capacity);
        auto q = t.queue({}, TK_START_NOW, true);
        q->open();
        t.tick("rb2601");
        t.event();
        t.tick("rb2601");
        t.tick("IF2512");
        t.ticks(2, "rb2601");
        const std::uint64_t head = 6, ticks = 5;
        Twin twin(t, *q);
        Stepper child([] {}, [&] {
            if (c.id != nullptr) {
                publish(*t.writer, c.id, 777);
            } else {
                t.event(TK_EV_STALE, "stopped half way");
            }
        });
        bool more = true;
        std::uint64_t states = 0;
        for (; more && check::failures() == 0; ++states) {
            twin.take_over();
            const bool published = twin.log.slot(head)->Stamp == head + 1;
            tk::Writer writer(&twin.log);
            REQUIRE(writer.open(true) == TK_OK);
            const std::uint64_t one = published ? 1 : 0, tick = published && c.id != nullptr ? 1 : 0;
            CHECK_EQ(twin.log.header->Head.load(), head + one);
            CHECK_EQ(twin.log.header->Ticks.load(), ticks + tick);
            CHECK_EQ(twin.log.header->Events.load(), 1 + one - tick);
            for (const char* id : {"rb2601", "IF2512"}) {  // the newest of each is known and whole
                tk::Record r;
                if (tk::read_latest(twin.log, id, &r) != TK_OK) {
                    CHECK(false && "latest went blank");
                    continue;
                }
                CHECK_EQ(std::string(r.InstrumentID), id);
                const bool this_one = published && c.id != nullptr && std::strcmp(id, c.id) == 0;
                CHECK_EQ(r.Volume, this_one ? 777 : std::strcmp(id, "IF2512") == 0 ? 2 : 4);
                CHECK(is_whole(r));
            }
            publish(writer, "rb2601", 778);
            publish(writer, "new999", 779);
            tk::Record r;
            REQUIRE(tk::read_latest(twin.log, "rb2601", &r) == TK_OK);
            CHECK_EQ(r.Stamp, head + one + 1);
            CHECK_EQ(r.TickNumber, ticks + tick);
            CHECK_EQ(r.InstrumentNumber, 4 + (tick != 0 && std::strcmp(c.id, "rb2601") == 0 ? 1u : 0u));
            writer.close();
            tk::end_log(&twin.log);
            Taken got = take(twin.bound.open());
            std::uint64_t last = 0;
            for (const tk::Record& x : got.records) {
                CHECK(x.Stamp > last);
                last = x.Stamp;
            }
            got = take(*twin.bound.reader);
            CHECK_EQ(got.state(), TK_TAKE_ENDED);
            CHECK_EQ(got.info.received + got.info.lost, ticks + tick + 2);
            if (check::failures() != 0) check::failed(__FILE__, __LINE__, where(child));
            more = child.step_to_change(bytes_of(t.log));
        }
        CHECK(states > 20);
        CHECK(ended_well(child.status()));
    }
}

// ---- readers ------------------------------------------------------------------------------------

TEST(a_successor_gets_what_was_in_hand) {
    for (const bool filtered : {false, true})
        for (std::uint64_t handed = 0; handed <= 5; ++handed) {
            TestLog t(64);
            auto q = t.queue(filtered ? std::vector<std::string>{"rb2601", "IF2512"} : std::vector<std::string>{});
            auto& reader = q->open();
            t.ticks(2, "rb2601");
            take(reader);
            for (const char* id : {"rb2601", "IF2512", "rb2601", "IF2512", "rb2601"}) {
                t.tick("other1");
                t.tick(id);
            }
            const std::uint32_t batch = filtered ? 5 : 10;
            REQUIRE(take(reader, batch, 0, false).count() == batch);
            *reader.handed() = 2 + handed;
            q->forget_reader();
            t.tick("rb2601");
            const Taken got = take(q->open());
            REQUIRE(got.count() == batch - handed + 1);
            CHECK_EQ(got.info.received, 2u + batch + 1);
            CHECK_EQ(got.info.lost, 0u);
            CHECK_EQ(got.records.back().Volume, 12);
            for (std::uint32_t i = 1; i < got.count(); ++i) CHECK(got.records[i].Stamp > got.records[i - 1].Stamp);
        }
}

TEST(a_successor_counts_what_was_in_hand_and_has_been_overwritten) {
    for (std::uint64_t later = 0; later < 14; ++later)
        for (const int successors : {1, 2, 3}) {
            TestLog t(8);
            auto q = t.queue({"rb2601", "IF2512"});
            auto& reader = q->open();
            t.ticks(3, "rb2601");
            t.ticks(3, "IF2512");
            REQUIRE(take(reader, 6, 0, false).count() == 6);
            *reader.handed() = 2;
            q->forget_reader();
            for (int s = 1; s < successors; ++s) {  // some die before they have taken anything
                q->open();
                q->forget_reader();
                t.tick("rb2601");
            }
            t.ticks(later, "IF2512");
            const std::uint64_t written = 6 + later + static_cast<std::uint64_t>(successors) - 1;
            auto& last = q->open();
            std::uint64_t given = 2;
            for (Taken got = take(last, 2); got.count() != 0; got = take(last, 2)) given += got.count();
            tk::end_log(&t.log);
            const Taken got = take(last);
            CHECK_EQ(got.state(), TK_TAKE_ENDED);
            CHECK_EQ(got.info.received, given);
            CHECK_EQ(got.info.received + got.info.lost, written);
        }
}

TEST(an_event_in_hand_that_has_been_overwritten_leaves_the_counts_sane) {
    TestLog t(4);
    auto q = t.queue({}, TK_START_NOW, true);
    auto& reader = q->open();
    t.event(TK_EV_ENGINE_STARTED);
    REQUIRE(take(reader, 8, 0, false).count() == 1);
    q->forget_reader();
    t.ticks(10);
    tk::end_log(&t.log);
    auto& successor = q->open();
    CHECK_EQ(take(successor).count(), 3u);
    const Taken got = take(successor);
    CHECK_EQ(got.info.received, 3u);
    CHECK_EQ(got.info.lost, 7u);
    CHECK_EQ(got.info.lost_events, 1u);
}

TEST(a_reader_cut_between_the_two_steps_of_a_commit_leaves_the_old_progress) {
    TestLog t(16);
    auto q = t.queue();
    auto& reader = q->open();
    t.ticks(2);
    take(reader);
    t.ticks(3);
    take(reader);
    q->slot().Which = 1 - q->slot().Which.load();  // the copy was written, the switch was not
    q->forget_reader();
    const Taken got = take(q->open());
    REQUIRE(got.count() == 3);
    CHECK_EQ(got.records[0].Stamp, 3u);
    CHECK_EQ(got.info.received, 5u);
    CHECK_EQ(got.info.lost, 0u);
}

// The reader stops at every instruction that changed anything; each time a successor takes over a copy,
// at once or after the writer has lapped some or all of what there was.
TEST(a_reader_stopped_at_any_instruction_is_continued) {
    for (const bool filtered : {false, true})
        for (const int variant : {0, 1, 2, 3}) {
            const bool overrun = (variant & 1) != 0;
            const std::uint32_t skip = (variant & 2) != 0 ? tk::kSnapshot : 0;  // the first of each instrument
            TestLog t(8);
            auto q = t.queue(filtered ? std::vector<std::string>{"rb2601", "IF2512"} : std::vector<std::string>{},
                             TK_START_NOW, true, skip);
            auto& reader = q->open();
            t.tick("rb2601");
            t.event();
            const std::uint32_t in_hand = take(reader, 8, 0, false).count();
            *reader.handed() = in_hand;
            const char* ids[] = {"rb2601", "IF2512", "rb2601", "IF2512"};
            for (const char* id : ids) t.tick(id);
            if (overrun) t.ticks(8, "rb2601");
            t.event();
            const std::uint64_t written = overrun ? 13 : 5;
            Twin twin(t, *q);
            Stepper child([] {}, [&] {
                tk::Record out[3];
                tk_take block{};
                block.block = out;
                block.max = 3;
                reader.take(&block);
                *reader.handed() = in_hand + 1;
                *reader.handed() = in_hand + block.count;
                block.used = 0;
                reader.take(&block);
                *reader.handed() += block.count;
            });
            bool more = true;
            std::uint64_t states = 0;
            for (; more && check::failures() == 0; ++states) {
                for (const std::uint64_t later : {0u, 2u, 6u, 20u}) {
                    twin.take_over();
                    const tk::Progress before = twin.bound.progress();
                    const std::uint64_t hand = tk::in_hand(before, *twin.bound.handed());
                    const std::uint64_t given = before.Received + before.Events - hand;
                    tk::Writer writer(&twin.log);
                    REQUIRE(writer.open(false) == TK_OK);
                    for (std::uint64_t i = 0; i < later; ++i) publish(writer, i % 3 == 0 ? "IF2512" : "other1", 1);
                    const std::uint64_t wanted = written + (filtered ? (later + 2) / 3 : later);
                    writer.close();
                    tk::end_log(&twin.log);
                    tk::Reader& successor = twin.bound.open();
                    std::uint64_t got_records = 0, last = 0;
                    Taken got = take(successor, 2);
                    for (; got.count() != 0; got = take(successor, 2))
                        for (const tk::Record& r : got.records) {
                            CHECK(r.Stamp > last);
                            last = r.Stamp;
                            ++got_records;
                        }
                    CHECK_EQ(got.state(), TK_TAKE_ENDED);
                    CHECK_EQ(got.info.received + got.info.lost + got.info.skipped, wanted);
                    const tk::Progress after = twin.bound.progress();
                    CHECK_EQ(after.Events + after.LostEvents, 2u);
                    // Nothing twice, nothing skipped: what was given and what is taken now is what was received.
                    CHECK_EQ(after.Received + after.Events, given + got_records);
                    if (later == 0 && !overrun) CHECK_EQ(after.Lost + after.LostEvents, 0u);
                    if (check::failures() != 0) {
                        check::failed(__FILE__, __LINE__, where(child) + (filtered ? ", filtered" : "") +
                                                              (overrun ? ", overrun" : "") + ", later " + std::to_string(later));
                        break;
                    }
                }
                more = child.step_to_change(bytes_of(*q));
            }
            CHECK(states > 10);
            if (check::failures() == 0) CHECK(ended_well(child.status()));
        }
}

// ---- at random moments --------------------------------------------------------------------------

namespace {
#if defined(__SANITIZE_ADDRESS__)
constexpr int kRounds = 40;  // a fork costs ten times as much there
#else
constexpr int kRounds = 100;
#endif

struct Tally {
    std::atomic<std::uint64_t> given[2], seen, last, bad;
};

Tally* shared_tally() {
    void* page = mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return new (page) Tally{};
}
}  // namespace

// A reader that counts what it is given in memory that outlives it, and says so in `handed` afterwards,
// as a program does. Killed between the two it may be given one record twice, never more, never less.
TEST(readers_killed_at_random_lose_nothing_uncounted) {
    constexpr std::uint64_t seed = 7;
    check::Random random(seed);
    std::uint64_t killed_in_work = 0;
    Tally* tally = shared_tally();
    for (int round = 0; round < kRounds; ++round) {
        new (tally) Tally{};
        TestLog t(round % 2 == 0 ? 16 : 256);
        auto q = t.queue(round % 4 < 2 ? std::vector<std::string>{} : std::vector<std::string>{"rb2601", "IF2512"});
        const auto read = [&] {
            tk::Reader reader(&q->queue, &t.log);
            if (reader.open() != TK_OK) _exit(6);
            std::vector<tk::Record> out(32);
            for (;;) {
                tk_take block{};
                block.block = out.data();
                block.max = 32;
                block.timeout_ns = 1000000000;
                block.wait_mode = TK_WAIT_BLOCK;
                if (reader.take(&block) < 0) _exit(6);
                for (std::uint32_t i = 0; i < block.count; ++i) {
                    if (out[i].Stamp < tally->last) tally->bad.fetch_add(1);
                    tally->last = out[i].Stamp;
                    tally->seen.fetch_add(1);
                    __atomic_add_fetch(reader.handed(), 1, __ATOMIC_RELAXED);
                }
                if (block.state == TK_TAKE_ENDED || block.state == TK_TAKE_ORPHANED) return;
            }
        };
        std::uint64_t written = 0;
        for (int life = 0; life < 3; ++life) {
            const pid_t child = fork_child(read);
            if (life == 1) {  // in one of them it is surely at work
                const std::uint64_t before = tally->seen;
                t.ticks(40);
                written += 40;
                REQUIRE(eventually([&] { return tally->seen != before; }));
            }
            const std::uint64_t bursts = random.below(60);
            for (std::uint64_t b = 0; b < bursts; ++b) {
                const std::uint64_t n = random.below(40);
                for (std::uint64_t i = 0; i < n; ++i) t.tick(i % 3 == 0 ? "IF2512" : "rb2601");
                written += n;
                if (random.below(4) == 0) sched_yield();
            }
            kill(child, SIGKILL);
            wait_child(child);
            const tk::Progress p = q->progress();
            if (p.Received != 0 && p.Cursor < t.head()) ++killed_in_work;
        }
        tk::end_log(&t.log);
        REQUIRE(ended_well(wait_child(fork_child(read))));
        const tk::Progress p = q->progress();
        CHECK_EQ(p.Received + p.Lost, written);
        CHECK_EQ(tally->bad.load(), 0u);
        CHECK(tally->seen >= p.Received && tally->seen <= p.Received + 3);
        if (check::failures() != 0) {
            check::failed(__FILE__, __LINE__, "round " + std::to_string(round) + " seed " + std::to_string(seed));
            break;
        }
    }
    CHECK(killed_in_work > 5);
    munmap(tally, sizeof(Tally));
}

TEST(writers_killed_at_random_leave_a_log_that_goes_on) {
    constexpr std::uint64_t seed = 11;
    check::Random random(seed);
    for (int round = 0; round < kRounds && check::failures() == 0; ++round) {
        TestLog t(64, 16, false);
        auto all = t.queue({}, TK_START_NOW, true), one = t.queue({"id3"});
        all->open();
        one->open();
        std::uint64_t lives = 0, last = 0, received = 0;
        for (; lives < 3; ++lives) {
            std::int64_t fuse = static_cast<std::int64_t>(random.below(2000));
            const pid_t child = fork_child([&] {
                tk::Writer writer(&t.log);
                if (writer.open(true) != TK_OK) _exit(6);
                for (std::int32_t i = 0;; ++i) {
                    publish(writer, "id" + std::to_string(i % 7), i);
                    if (i % 5 == 0) writer.publish_event(tk::Event{}, {1, 2});
                }
            });
            const auto opened = [&] { return t.log.header->Epoch.load() > lives; };
            REQUIRE(eventually(opened));
            while (fuse-- > 0) {  // read while it writes, until the fuse has burnt
                const Taken got = take(*all->reader, 16);
                for (const tk::Record& r : got.records) {
                    CHECK(r.Stamp > last);
                    last = r.Stamp;
                }
                received = got.info.received;
            }
            kill(child, SIGKILL);
            wait_child(child);
            CHECK(!t.log.writer_alive());
        }
        t.open(false);
        t.tick("id3");
        tk::end_log(&t.log);
        for (Bound* q : {all.get(), one.get()}) {
            Taken got = take(*q->reader);
            while (got.state() == TK_TAKE_OK) got = take(*q->reader);
            std::uint64_t written = t.log.header->Ticks.load();
            if (q == one.get())
                for (std::uint32_t i = 0; i < t.log.header->InstrumentCount.load(); ++i)
                    if (std::strcmp(t.log.instruments[i].InstrumentID, "id3") == 0) written = t.log.instruments[i].Count.load();
            CHECK_EQ(got.info.received + got.info.lost, written);
        }
        CHECK(received <= t.log.header->Ticks.load());
        std::uint64_t counted = 0;
        for (std::uint32_t i = 0; i < t.log.header->InstrumentCount.load(); ++i) counted += t.log.instruments[i].Count.load();
        CHECK_EQ(counted, t.log.header->Ticks.load());
        CHECK_EQ(t.log.header->Ticks.load() + t.log.header->Events.load(), t.head());
        CHECK_EQ(t.log.header->Epoch.load(), 3u);
    }
}
