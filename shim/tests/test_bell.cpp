// The descriptor for event loops. Who has the reader is one word; the danger is a ring that nobody hears.
#include <poll.h>

#include <atomic>
#include <thread>

#include "bell.hpp"
#include "fixture.hpp"

using namespace fixture;

namespace {

bool rung(const tk::Bell& bell, int timeout_ms = 0) {
    pollfd p{bell.fd(), POLLIN, 0};
    return poll(&p, 1, timeout_ms) == 1;
}

constexpr int kLong = 20000;

struct Hand {
    explicit Hand(std::uint32_t size) : records(size) {
        take.block = records.data();
        take.max = size;
        take.wait_mode = TK_WAIT_SPIN;
        take.handed = 1;
    }
    std::vector<tk::Record> records;
    tk_take take{};
};

}  // namespace

TEST(a_bell_is_rung_at_first_quiet_when_armed_and_rung_by_a_tick) {
    TestLog t(16);
    auto q = t.queue();
    auto& reader = q->open();
    Hand hand(8);
    tk::Bell bell(&q->queue);
    TestLog::ok(bell.start(), "start");
    CHECK(rung(bell));
    bell.arm(&reader, &hand.take);
    CHECK(!rung(bell));
    t.tick();
    CHECK(rung(bell, kLong));
    CHECK_EQ(bell.recall(), 1);
    CHECK_EQ(hand.records[0].Volume, 0);
    CHECK_EQ(hand.take.wait_mode, TK_WAIT_SPIN);  // the bell sleeps, whatever the program does
    CHECK_EQ(bell.recall(), 0);                   // given out once
    CHECK(rung(bell));                            // there may be more
    bell.stop();
    bell.stop();
}

TEST(a_reader_that_is_recalled_can_be_used_at_once_and_waits_as_before) {
    TestLog t(64);
    auto q = t.queue();
    auto& reader = q->open();
    Hand hand(64);
    tk::Bell bell(&q->queue);
    TestLog::ok(bell.start(), "start");
    for (int i = 0; i < 200; ++i) {
        hand.take.used = 0;
        bell.arm(&reader, &hand.take);
        if (i % 3 == 0) std::this_thread::yield();
        CHECK_EQ(bell.recall(), 0);
        CHECK(rung(bell));
        CHECK_EQ(take(reader, 8, 1).state(), TK_TAKE_EMPTY);  // not busy, and no recall left behind
        t.tick();
        CHECK_EQ(take(reader, 8).count(), 1u);
    }
    bell.stop();
}

TEST(a_bell_without_an_engine_is_rung_by_the_binding) {
    TestLog t(16);
    auto q = t.make_queue();
    tk::Bell bell(&q->queue);
    TestLog::ok(bell.start(), "start");
    const std::uint32_t seen = tk::read_binding(*q->queue.header).version;
    bell.arm_unbound(seen);
    bell.arm_unbound(seen);
    CHECK(!rung(bell));
    TestLog::ok(tk::bind_queue(&q->queue, &t.log, t.path.c_str()), "bind_queue");
    CHECK(rung(bell, kLong));
    CHECK_EQ(bell.recall(), 0);
    bell.arm_unbound(tk::read_binding(*q->queue.header).version);
    CHECK(!rung(bell));
    bell.stop();  // out of that wait, too
    CHECK(rung(bell));
}

TEST(the_end_an_interruption_and_a_close_ring_and_say_what_they_are) {
    for (const int what : {0, 1, 2}) {
        TestLog t(16);
        auto q = t.queue();
        auto& reader = q->open();
        Hand hand(8);
        tk::Bell bell(&q->queue);
        TestLog::ok(bell.start(), "start");
        bell.arm(&reader, &hand.take);
        if (what == 0) tk::end_log(&t.log);
        if (what == 1) reader.interrupt();
        if (what == 2) reader.close();
        CHECK(rung(bell, kLong));
        const std::int32_t rc = bell.recall();
        if (rc == TK_E_STATE && what == 2) continue;  // closed before the thread had taken it up
        CHECK_EQ(rc, 0);
        const int states[] = {TK_TAKE_ENDED, TK_TAKE_INTERRUPTED, TK_TAKE_RETIRED};
        CHECK_EQ(hand.take.state, states[what]);
        bell.stop();
    }
}

TEST(a_damaged_log_rings_and_the_error_is_told_to_the_thread_that_asks) {
    TestLog t(16);
    auto q = t.queue();
    auto& reader = q->open();
    Hand hand(8);
    tk::Bell bell(&q->queue);
    TestLog::ok(bell.start(), "start");
    t.log.header->Head.store(5);  // records that nobody has stamped
    bell.arm(&reader, &hand.take);
    CHECK(rung(bell, kLong));
    CHECK_EQ(bell.recall(), TK_E_LAYOUT);
    CHECK(std::string(tk_last_error()).find("is damaged") != std::string::npos);
    t.log.header->Head.store(0);
    bell.stop();
}

// A tick at every moment of an arming: each must ring. One that was missed would be found by the look after
// half a second, so those are counted.
TEST(no_ring_is_lost_between_two_threads_that_answer_each_other) {
    TestLog t(1024);
    auto q = t.queue();
    auto& reader = q->open();
    Hand hand(8);
    tk::Bell bell(&q->queue);
    TestLog::ok(bell.start(), "start");
    constexpr int kRounds = 5000;
    std::atomic<int> answered{0};
    std::thread writer([&] {
        for (int i = 0; i < kRounds; ++i) {
            while (answered.load() < i) std::this_thread::yield();
            for (int pause = 0; pause < i % 97 * 20; ++pause) tk::cpu_relax();
            t.tick();
        }
    });
    int late = 0, got = 0;
    while (got < kRounds) {
        hand.take.used = 0;
        hand.take.timeout_ns = 0;
        std::int32_t n = reader.poll(&hand.take);
        if (n == 0) {
            bell.arm(&reader, &hand.take);
            if (!rung(bell, 400)) {
                ++late;
                REQUIRE(rung(bell, kLong));
            }
            n = bell.recall();
        }
        for (int i = 0; i < n; ++i) CHECK_EQ(hand.records[i].Volume, got + i);
        got += n;
        answered.store(got);
    }
    writer.join();
    CHECK(late <= 2);  // a machine that stands still for so long
    bell.stop();
}

TEST(a_bell_can_be_stopped_at_any_moment_by_another_thread) {
    for (int i = 0; i < 200; ++i) {
        TestLog t(16);
        auto q = t.queue();
        auto& reader = q->open();
        Hand hand(8);
        tk::Bell bell(&q->queue);
        TestLog::ok(bell.start(), "start");
        std::thread other([&] {
            for (int pause = 0; pause < i * 10; ++pause) tk::cpu_relax();
            bell.stop();
        });
        for (int k = 0; k < 5; ++k) {
            hand.take.used = 0;
            bell.arm(&reader, &hand.take);
            bell.recall();
        }
        other.join();
        CHECK(rung(bell));
    }
}
