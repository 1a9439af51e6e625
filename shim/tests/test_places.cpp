// Reader slots: claimed, given back, and claimed again from processes that died half way.
#include <fcntl.h>
#include <sys/file.h>

#include <thread>

#include "fixture.hpp"

using namespace fixture;

namespace {

pid_t dead_pid() {
    const pid_t child = fork_child([] {});
    REQUIRE(ended_well(wait_child(child)));
    return child;
}

tk::PlaceState state_of(Bound& q) { return tk::place_state(q.slot().Place.load()); }

}  // namespace

TEST(a_place_word_keeps_its_parts_apart) {
    const std::uint64_t place = tk::place_word(tk::kPreparing, 0x3FFFFFFFu, 0x7FFFFFFF);
    CHECK_EQ(tk::place_state(place), tk::kPreparing);
    CHECK_EQ(tk::place_generation(place), 0x3FFFFFFFu);
    CHECK_EQ(tk::place_pid(place), 0x7FFFFFFF);
    CHECK_EQ(tk::place_generation(tk::place_word(tk::kTaken, 0x40000000u)), 0u);  // wraps
    CHECK_EQ(tk::place_word(tk::kFree, 0), 0u);                                   // what a new log has
}

TEST(a_closed_queue_without_reader_frees_its_place_at_once) {
    TestLog t(16);
    auto q = t.queue();
    CHECK_EQ(state_of(*q), tk::kTaken);
    tk::retire_queue(&q->queue);
    CHECK_EQ(state_of(*q), tk::kFree);
}

TEST(a_closed_queue_with_a_reader_keeps_its_place_until_that_has_left) {
    TestLog t(16);
    auto q = t.queue();
    tk::Reader& reader = q->open();
    t.ticks(3);
    CHECK_EQ(take(reader, 1).count(), 1u);
    tk::retire_queue(&q->queue);
    CHECK_EQ(state_of(*q), tk::kRetired);
    auto other = t.queue();
    CHECK(other->queue.header->Slot.load() != q->queue.header->Slot.load());
    CHECK_EQ(take(reader).state(), TK_TAKE_RETIRED);
    CHECK_EQ(take(reader, 1, -1).state(), TK_TAKE_RETIRED);
    reader.close();
    CHECK_EQ(state_of(*q), tk::kFree);
}

TEST(a_reader_killed_after_its_queue_was_closed_does_not_keep_the_place) {
    TestLog t(16);
    auto q = t.queue();
    q->open();
    tk::retire_queue(&q->queue);
    CHECK_EQ(state_of(*q), tk::kRetired);
    q->forget_reader();
    for (std::uint32_t i = 0; i < tk::kMaxReaders; ++i) t.queue();  // each is closed by nobody: all places go
    CHECK_EQ(state_of(*q), tk::kTaken);
}

TEST(a_sleeping_reader_wakes_when_its_queue_is_closed) {
    TestLog t(16);
    auto q = t.queue();
    tk::Reader& reader = q->open();
    std::atomic<int> state{-1};
    std::thread sleeper([&] {
        Taken got;
        do {
            got = take(reader, 1, -1);
        } while (got.state() == TK_TAKE_AGAIN);
        state = got.state();
    });
    while ((q->slot().Sleep.load() & 1) == 0) std::this_thread::yield();
    tk::retire_queue(&q->queue);
    sleeper.join();
    CHECK_EQ(state.load(), TK_TAKE_RETIRED);
}

TEST(a_place_whose_binding_process_died_is_claimed_again) {
    TestLog t(16);
    const std::uint64_t half = tk::place_word(tk::kPreparing, 5, dead_pid());
    for (std::uint32_t i = 0; i < tk::kMaxReaders; ++i) t.log.readers[i].Place.store(half);
    auto q = t.queue();
    CHECK_EQ(tk::place_generation(q->slot().Place.load()), 6u);
    CHECK_EQ(take(q->open()).state(), TK_TAKE_EMPTY);
    // A living one keeps its own.
    const std::uint64_t living = tk::place_word(tk::kPreparing, 5, getpid());
    for (std::uint32_t i = 0; i < tk::kMaxReaders; ++i)
        if (t.log.readers[i].Place.load() == half) t.log.readers[i].Place.store(living);
    auto none = t.make_queue();
    CHECK_EQ(tk::bind_queue(&none->queue, &t.log, t.path.c_str()), TK_E_FULL);
}

TEST(a_binding_left_half_written_is_none_and_is_repaired_by_the_next) {
    TestLog t(16);
    auto q = t.queue();
    CHECK_EQ(tk::read_binding(*q->queue.header).log_id, t.log.header->UniqueId);
    q->queue.header->BindVersion.fetch_add(1);
    CHECK_EQ(tk::read_binding(*q->queue.header).log_id, 0u);
    tk::Reader lost(&q->queue, &t.log);
    CHECK_EQ(lost.open(), TK_E_STATE);
    REQUIRE(tk::bind_queue(&q->queue, &t.log, t.path.c_str()) == TK_OK);
    CHECK_EQ(q->queue.header->BindVersion.load() & 1, 0u);
    CHECK_EQ(take(q->open()).state(), TK_TAKE_EMPTY);
}

TEST(two_engines_that_bind_one_queue_at_once_have_one_winner) {
    for (int round = 0; round < 200; ++round) {
        TestLog a(2), b(2);
        auto q = a.make_queue();
        std::atomic<int> ready{0}, won{0};
        const auto bind = [&](TestLog& t) {
            ++ready;
            while (ready.load() < 2) {
            }
            if (tk::bind_queue(&q->queue, &t.log, t.path.c_str()) == TK_OK) ++won;
        };
        std::thread first([&] { bind(a); }), second([&] { bind(b); });
        first.join();
        second.join();
        REQUIRE(won.load() == 1);
        const tk::Binding binding = tk::read_binding(*q->queue.header);
        TestLog& winner = binding.log_id == a.log.header->UniqueId ? a : b;
        CHECK_EQ(binding.log_id, winner.log.header->UniqueId);
        CHECK_EQ(std::string(binding.path), winner.path);
        q->log = &winner.log;
        CHECK_EQ(take(q->open()).state(), TK_TAKE_EMPTY);
    }
}

// Every program sweeps when it starts; an engine that binds its queues meanwhile must not be told that
// somebody else does.
TEST(sweeping_never_stands_in_the_way_of_a_binding) {
    TestLog t(16);
    auto swept = t.make_queue();
    std::atomic<bool> stop{false};
    std::thread sweeper([&] {
        while (!stop) tk::remove_unfinished(swept->queue.path.c_str());
    });
    int refused = 0;
    for (int i = 0; i < 20000; ++i) {
        const tk::Descriptor fd(open(swept->queue.path.c_str(), O_RDWR));
        refused += flock(fd.get(), LOCK_EX | LOCK_NB) != 0;
    }
    stop = true;
    sweeper.join();
    CHECK_EQ(refused, 0);
}

TEST(a_segment_whose_maker_died_is_removed_and_no_other) {
    check::Directory directory;
    const std::string path = directory.file("half");
    { const tk::Descriptor fd(open(path.c_str(), O_RDWR | O_CREAT, 0600)); }
    REQUIRE(tk::remove_unfinished(path.c_str()) == TK_OK);
    CHECK(access(path.c_str(), F_OK) != 0);

    const tk::Descriptor being_made(open(path.c_str(), O_RDWR | O_CREAT, 0600));
    REQUIRE(flock(being_made.get(), LOCK_EX) == 0);
    CHECK_EQ(tk::remove_unfinished(path.c_str()), TK_OK);
    CHECK(access(path.c_str(), F_OK) == 0);

    TestLog t(16);
    auto q = t.make_queue();
    CHECK_EQ(tk::remove_unfinished(t.path.c_str()), TK_OK);
    CHECK_EQ(tk::remove_unfinished(q->queue.path.c_str()), TK_OK);
    CHECK(access(t.path.c_str(), F_OK) == 0);
    CHECK(access(q->queue.path.c_str(), F_OK) == 0);
    CHECK_EQ(tk::remove_unfinished(directory.file("nothing").c_str()), TK_OK);
}
