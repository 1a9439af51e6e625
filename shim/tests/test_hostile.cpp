// Segments that pass the check of their header and hold anything behind it: what shim/fuzz has found, one by one.
// Indexes are used in bounds only, numbers may be any, and every loop ends.
#include <fcntl.h>
#include <sys/stat.h>


#include "fixture.hpp"

using namespace fixture;

namespace {

bool says(const char* part) { return std::strstr(tk_last_error(), part) != nullptr; }

// Attached a second time, as another process has it, so that what the first one holds of it does not help.
tk::Log attached(const TestLog& t) {
    tk::Log log;
    TestLog::ok(tk::attach_log(t.path.c_str(), &log), "attach_log");
    return log;
}

constexpr std::uint64_t kEnd = ~0ull;

}  // namespace

TEST(a_count_of_instruments_beyond_the_table_leads_nowhere) {
    TestLog t(8, 2);
    t.tick("rb2601");
    t.tick("IF2512");
    tk::Log log = attached(t);
    t.log.header->InstrumentCount.store(~0u);  // behind the attacher's back
    CHECK_EQ(log.instrument_count(), 2u);
    tk::Record r;
    CHECK_EQ(tk::read_latest(log, "IF2512", &r), TK_OK);
    CHECK_EQ(tk::read_latest(log, "absent", &r), TK_E_NOT_FOUND);
    for (const std::int64_t start : {std::int64_t{TK_START_NOW}, std::int64_t{TK_START_OLDEST}, std::int64_t{1}}) {
        auto q = t.queue({"IF2512", "absent"}, start);
        CHECK(take(q->open()).rc >= 0);
    }
    t.forget_writer();
    t.open();  // the next writer rebuilds its index from the table
    t.tick("IF2512");
    CHECK_EQ(t.head(), 3u);
}

TEST(a_primary_outside_the_table_counts_for_itself) {
    for (const std::uint32_t wild : {1u, 2u, 1000u, 0x80000000u, ~0u}) {
        TestLog t(8, 2);
        t.tick("rb2601");
        t.tick("IF2512");
        t.forget_writer();
        t.log.instruments[0].Primary = wild;
        t.log.instruments[1].Primary = wild;
        CHECK_EQ(t.log.primary_of(0), 0u);
        CHECK(t.log.primary_of(1) <= 1u);
        t.open();
        t.tick("rb2601");
        t.tick("IF2512", "DCE");  // an entry more of this id: the table is full
        t.event(TK_EV_UNSUBSCRIBED, "rb2601");
        CHECK_EQ(t.log.instruments[0].Count.load(), 2u);
        t.log.instruments[0].Primary = wild;  // under the open writer
        t.tick("rb2601");
        CHECK_EQ(t.log.instruments[0].Count.load(), 3u);
    }
}

TEST(a_cursor_beyond_every_record_is_refused) {
    TestLog t(8);
    auto q = t.queue({}, TK_START_OLDEST);
    t.ticks(5);
    for (const std::uint64_t cursor : {std::uint64_t{7}, std::uint64_t{1} << 40, kEnd - 1, kEnd}) {
        tk::Progress& p = q->slot().Copies[q->slot().Which.load() & 1];
        p = tk::Progress{};
        p.Cursor = cursor;
        p.BatchCount = 3;
        p.Received = 3;
        tk::Reader reader(&q->queue, &t.log);
        CHECK_EQ(reader.open(), TK_E_LAYOUT);
        CHECK(says("it stands at record"));
    }
}

TEST(a_head_at_the_end_of_the_numbers_is_refused) {
    for (const std::uint64_t head : {kEnd, kEnd - 1, kEnd - 8, std::uint64_t{1} << 63}) {
        TestLog t(8);
        t.ticks(3);
        t.log.header->Head.store(head);
        std::vector<tk::Record> out(16);
        std::uint64_t first;
        CHECK(tk::read_range(t.log, 0, 16, out.data(), &first) <= 8u);
        for (const std::int64_t start : {std::int64_t{TK_START_NOW}, std::int64_t{TK_START_OLDEST}}) {
            auto q = t.queue({"absent"}, start);
            tk::Reader reader(&q->queue, &t.log);
            CHECK_EQ(reader.open(), TK_E_LAYOUT);
        }
    }
}

TEST(a_head_that_has_gone_back_hides_no_record_and_then_is_an_error) {
    TestLog t(8);
    auto q = t.queue({}, TK_START_OLDEST);
    tk::Reader& reader = q->open();
    t.ticks(3);
    CHECK_EQ(take(reader).count(), 3u);
    t.ticks(2);
    t.log.header->Head.store(1);
    CHECK_EQ(take(reader, 1, -1).count(), 1u);
    CHECK_EQ(take(reader, 1, -1).count(), 1u);
    CHECK_EQ(take(reader, 1, -1).rc, TK_E_LAYOUT);
    CHECK(says("has no stamp, or there is none yet"));
}

TEST(a_head_that_jumps_to_the_end_of_the_numbers_ends_who_reads) {
    for (const std::uint64_t head : {std::uint64_t{1} << 63, kEnd - 8, kEnd}) {
        TestLog t(8);
        auto q = t.queue({}, TK_START_OLDEST);
        tk::Reader& reader = q->open();
        t.ticks(3);
        t.log.header->Head.store(head);
        REQUIRE(take(reader).rc == TK_E_LAYOUT);
        CHECK(says("is damaged: record 0"));
        t.log.header->Head.store(3);  // it stands where it stood
        CHECK_EQ(take(reader).count(), 3u);
    }
}

TEST(a_head_that_was_wrong_for_a_moment_leads_nobody_astray) {
    for (const std::uint64_t wrong : {kEnd, std::uint64_t{1} << 63, std::uint64_t{1} << 61}) {
        TestLog t(8);
        auto q = t.queue({}, TK_START_OLDEST);
        tk::Reader& reader = q->open();
        t.ticks(3);
        CHECK_EQ(take(reader).count(), 3u);
        t.ticks(20);  // passed: Head is looked at
        t.log.header->Head.store(wrong);
        tk_take look{};
        reader.counters(&look);
        t.log.header->Head.store(23);
        Taken got = take(reader);
        CHECK_EQ(got.info.cursor, 23u);
        CHECK_EQ(got.info.received + got.info.lost, 23u);
        t.tick();
        got = take(reader);
        CHECK_EQ(got.count(), 1u);
        CHECK_EQ(got.info.cursor, 24u);
    }
}

TEST(a_stamp_and_a_head_at_the_end_of_the_numbers_for_a_moment_lead_nobody_astray) {
    for (const std::uint64_t wrong : {kEnd, std::uint64_t{1} << 63}) {
        TestLog t(8);
        auto q = t.queue({}, TK_START_OLDEST);
        tk::Reader& reader = q->open();
        t.ticks(3);
        CHECK_EQ(take(reader).count(), 3u);
        t.log.slot(3)->Stamp = wrong;
        t.log.header->Head.store(wrong);
        tk_take look{};
        reader.counters(&look);
        t.log.slot(3)->Stamp = 0;
        t.log.header->Head.store(3);
        CHECK_EQ(take(reader).count(), 0u);
        t.tick();
        const Taken got = take(reader);
        CHECK_EQ(got.count(), 1u);
        CHECK_EQ(got.info.cursor, 4u);
    }
}

// Head one further than the stamps, and Head behind the reader: who waits is not left waiting.
TEST(a_head_that_no_stamp_follows_is_an_error_in_every_way_to_wait) {
    constexpr std::int64_t kPatience = 10000000000;
    for (const std::uint64_t head : {4u, 1u}) {
        for (const std::int32_t mode : {TK_WAIT_BLOCK, TK_WAIT_ADAPTIVE, TK_WAIT_SPIN}) {
            TestLog t(8);
            auto q = t.queue({}, TK_START_OLDEST);
            tk::Reader& reader = q->open();
            t.ticks(3);
            CHECK_EQ(take(reader).count(), 3u);
            t.log.header->Head.store(head);
            CHECK_EQ(take(reader, 1, kPatience, true, mode).rc, TK_E_LAYOUT);
            CHECK(says("record 3 has no stamp, or there is none yet"));
            CHECK_EQ(q->slot().Sleep.load() & 1, 0u);
        }
        TestLog t(8);
        auto q = t.queue({}, TK_START_OLDEST);
        tk::Reader& reader = q->open();
        t.ticks(3);
        CHECK_EQ(take(reader).count(), 3u);
        t.log.header->Head.store(head);
        tk::Record out;
        tk_take spin{};
        spin.block = &out;
        spin.max = 1;
        spin.wait_mode = TK_WAIT_SPIN;
        spin.deadline_ns = INT64_MAX;
        std::int32_t said = 0;
        for (int calls = 0; (said == 0 || said == TK_LOOK) && calls < 1 << 18; ++calls) said = reader.spin(&spin);
        CHECK_EQ(said, TK_E_LAYOUT);
        CHECK(says("record 3 has no stamp, or there is none yet"));
    }
}

TEST(a_slot_that_is_none_is_not_read_from) {
    TestLog t(8);
    auto q = t.queue();
    // Behind the slots stand the instruments: what looks like this queue's place there would be taken.
    t.log.readers[tk::kMaxReaders].Place.store(q->slot().Place.load());
    q->queue.header->Slot.store(tk::kMaxReaders);
    tk::Reader reader(&q->queue, &t.log);
    CHECK_EQ(reader.open(), TK_E_LAYOUT);
    CHECK(says("names reader slot 256"));
}

TEST(a_slot_that_is_none_is_not_given_back) {
    TestLog t(8);
    auto q = t.queue();
    q->queue.header->Slot.store(tk::kMaxReaders + 1);
    // Beyond the slots stand the instruments: a place there that looks like this queue's would be freed.
    auto& beyond = t.log.readers[tk::kMaxReaders + 1];
    const std::uint64_t place = tk::place_word(tk::kTaken, q->queue.header->SlotGeneration.load());
    beyond.Place.store(place);
    tk::retire_queue(&q->queue, &t.log);
    CHECK_EQ(beyond.Place.load(), place);
}

TEST(texts_whose_end_is_overwritten_after_the_check_end_all_the_same) {
    TestLog t(8);
    t.tick("rb2601");
    auto q = t.queue({"rb2601"});
    std::memset(t.log.header->Name, 'n', sizeof t.log.header->Name);
    std::memset(q->queue.header->Name, 'q', sizeof q->queue.header->Name);
    std::memset(q->queue.filters[0].InstrumentID, 'i', tk::kInstrumentIdSize);
    tk_log* log;
    tk_queue* queue;
    REQUIRE(tk_log_attach(t.path.c_str(), &log) == TK_E_LAYOUT);  // who comes later is told
    q->queue.header->Closed.store(1);
    CHECK_EQ(tk::bind_queue(&q->queue, &t.log, t.path.c_str()), TK_E_STATE);
    CHECK(std::strlen(tk_last_error()) < 120);
    REQUIRE(tk_queue_attach(q->queue.path.c_str(), &queue) == TK_E_LAYOUT);
}

TEST(a_queue_whose_start_or_skip_is_unknown_is_refused) {
    TestLog t(8);
    auto q = t.make_queue();
    tk::Queue queue;
    q->queue.header->Start = TK_START_OLDEST - 1;
    CHECK_EQ(tk::attach_queue(q->queue.path.c_str(), &queue), TK_E_LAYOUT);
    q->queue.header->Start = TK_START_OLDEST;
    q->queue.header->Skip = 1u << 16;
    CHECK_EQ(tk::attach_queue(q->queue.path.c_str(), &queue), TK_E_LAYOUT);
    q->queue.header->Skip = 0;
    CHECK_EQ(tk::attach_queue(q->queue.path.c_str(), &queue), TK_OK);
}

// Its holes would be filled by looking at them: all of /dev/shm at once, or a SIGBUS where that is full.
TEST(a_file_with_holes_in_shared_memory_is_refused) {
    TestLog t(8);
    struct stat st;
    REQUIRE(stat(t.path.c_str(), &st) == 0);
    const int fd = open(t.path.c_str(), O_RDWR | O_CLOEXEC);
    REQUIRE(fd >= 0);
    const bool punched = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, st.st_size - 4096, 4096) == 0;
    close(fd);
    if (!punched || t.path.compare(0, 9, "/dev/shm/") != 0) throw check::Skip{"no holes can be made in shared memory here"};
    tk::Log log;
    CHECK_EQ(tk::attach_log(t.path.c_str(), &log), TK_E_LAYOUT);
    CHECK(says("it has holes"));
}
