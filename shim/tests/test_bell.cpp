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

constexpr int kLong = 60000;

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

// A log, a reader with something to read into, and a bell that has been started.
struct Ready {
    explicit Ready(std::uint64_t capacity = 16, std::uint32_t size = 8)
        : t(capacity), q(t.queue()), reader(q->open()), hand(size), bell(&q->queue) {
        TestLog::ok(bell.start(), "start");
    }
    TestLog t;
    std::unique_ptr<Bound> q;
    tk::Reader& reader;
    Hand hand;
    tk::Bell bell;
};

}  // namespace

TEST(a_bell_is_rung_at_first_quiet_when_armed_and_rung_by_a_tick) {
    Ready r;
    CHECK(rung(r.bell));
    r.bell.arm(&r.reader, &r.hand.take);
    CHECK(!rung(r.bell));
    r.t.tick();
    CHECK(rung(r.bell, kLong));
    CHECK_EQ(r.bell.recall(), 1);
    CHECK_EQ(r.hand.records[0].Volume, 0);
    CHECK_EQ(r.hand.take.wait_mode, TK_WAIT_SPIN);  // the bell sleeps, whatever the program does
    CHECK_EQ(r.bell.recall(), 0);                   // given out once
    CHECK(rung(r.bell));                            // there may be more
    r.bell.stop();
    r.bell.stop();
}

TEST(a_reader_that_is_recalled_can_be_used_at_once_and_waits_as_before) {
    Ready r(64, 64);
    for (int i = 0; i < 200; ++i) {
        r.hand.take.used = 0;
        r.bell.arm(&r.reader, &r.hand.take);
        if (i % 3 == 0) std::this_thread::yield();
        CHECK_EQ(r.bell.recall(), 0);
        CHECK(rung(r.bell));
        CHECK_EQ(take(r.reader, 8, 1).state(), TK_TAKE_EMPTY);  // not busy, and no recall left behind
        r.t.tick();
        CHECK_EQ(take(r.reader, 8).count(), 1u);
    }
    r.bell.stop();
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
        Ready r;
        r.bell.arm(&r.reader, &r.hand.take);
        if (what == 0) tk::end_log(&r.t.log);
        if (what == 1) r.reader.interrupt();
        if (what == 2) r.reader.close();
        CHECK(rung(r.bell, kLong));
        const std::int32_t rc = r.bell.recall();
        if (rc == TK_E_STATE && what == 2) continue;  // closed before the thread had taken it up
        CHECK_EQ(rc, 0);
        const int states[] = {TK_TAKE_ENDED, TK_TAKE_INTERRUPTED, TK_TAKE_RETIRED};
        CHECK_EQ(r.hand.take.state, states[what]);
        r.bell.stop();
    }
}

TEST(a_damaged_log_rings_and_the_error_is_told_to_the_thread_that_asks) {
    Ready r;
    r.t.log.header->Head.store(5);  // records that nobody has stamped
    r.bell.arm(&r.reader, &r.hand.take);
    CHECK(rung(r.bell, kLong));
    CHECK_EQ(r.bell.recall(), TK_E_LAYOUT);
    CHECK(std::string(tk_last_error()).find("is damaged") != std::string::npos);
    r.t.log.header->Head.store(0);
    r.bell.stop();
}

TEST(a_tick_that_comes_while_a_bell_is_being_armed_rings) {
    Ready r;
    std::uint64_t first = 0;
    CHECK_EQ(read(r.bell.fd(), &first, sizeof first), 8);
    hooks().futex_wake = [&] {  // the thread has the reader, arm() has not come back
        r.t.tick();
        CHECK(rung(r.bell, kLong));
    };
    r.bell.arm(&r.reader, &r.hand.take);
    hooks() = Hooks{};
    CHECK(rung(r.bell));
    CHECK_EQ(r.bell.recall(), 1);
    r.bell.stop();
}

// A tick at every moment of an arming: each must ring.
TEST(no_ring_is_lost_between_two_threads_that_answer_each_other) {
    const EndlessSleeps endless;
    Ready r(1024);
    constexpr int kRounds = 5000;
    std::atomic<int> answered{0};
    std::thread writer([&] {
        for (int i = 0; i < kRounds; ++i) {
            while (answered.load() < i) std::this_thread::yield();
            for (int pause = 0; pause < i % 97 * 20; ++pause) tk::cpu_relax();
            r.t.tick();
        }
    });
    int got = 0;
    while (got < kRounds) {
        r.hand.take.used = 0;
        r.hand.take.timeout_ns = 0;
        std::int32_t n = r.reader.poll(&r.hand.take);
        if (n == 0) {
            r.bell.arm(&r.reader, &r.hand.take);
            REQUIRE(rung(r.bell, kLong));
            n = r.bell.recall();
        }
        for (int i = 0; i < n; ++i) CHECK_EQ(r.hand.records[i].Volume, got + i);
        got += n;
        answered.store(got);
    }
    writer.join();
    r.bell.stop();
}

TEST(a_bell_can_be_stopped_at_any_moment_by_another_thread) {
    for (int i = 0; i < 200; ++i) {
        Ready r;
        std::thread other([&] {
            for (int pause = 0; pause < i * 10; ++pause) tk::cpu_relax();
            r.bell.stop();
        });
        for (int k = 0; k < 5; ++k) {
            r.hand.take.used = 0;
            r.bell.arm(&r.reader, &r.hand.take);
            r.bell.recall();
        }
        other.join();
        CHECK(rung(r.bell));
    }
}
