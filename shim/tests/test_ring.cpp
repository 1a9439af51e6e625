// The command ring: every command once, in order; who dies in it leaves nothing half.
#include <sched.h>
#include <time.h>

#include <thread>

#include "stepper.hpp"
#include "trading.hpp"

using namespace fixture;

namespace {

struct Rings {
    explicit Rings(std::uint64_t capacity = 4) : path(directory.file("ring")) {
        ok(putter.create(path.c_str(), capacity), "create");
        ok(taker.attach(path.c_str()), "attach");
        ok(taker.take_over(), "take_over");
    }
    std::int32_t put(std::uint64_t n) {
        const std::vector<char> payload(300, static_cast<char>(n));
        return putter.put(TK_RING_INSERT, n, payload.data(), static_cast<std::uint32_t>(payload.size()));
    }
    static bool is_whole(const tk::RingCommand& c) {
        bool same = c.Kind == TK_RING_INSERT && c.Size == 300;
        for (std::uint32_t i = 0; i < 300; ++i) same = same && c.Payload[i] == static_cast<char>(c.ClientID);
        return same;
    }
    check::Directory directory;
    std::string path;
    tk::Ring putter, taker;
};

}  // namespace

TEST(ring_commands_come_in_order_each_once) {
    Rings r;
    std::uint64_t next = 1;
    for (std::uint64_t n = 1; n <= 100; ++n) {
        CHECK_EQ(r.put(n), TK_OK);
        if (n % 3 != 0) continue;
        for (; const tk::RingCommand* c = r.taker.next(); r.taker.done(), ++next) {
            CHECK_EQ(c->ClientID, next);
            CHECK(Rings::is_whole(*c));
        }
    }
    CHECK_EQ(next, 100u);
    CHECK_EQ(r.putter.waiting(), 1u);
}

TEST(ring_that_is_full_says_so_and_overwrites_nothing) {
    Rings r(3);  // four
    for (std::uint64_t n = 1; n <= 4; ++n) CHECK_EQ(r.put(n), TK_OK);
    CHECK_EQ(r.put(5), TK_E_FULL);
    CHECK(std::strstr(tk_last_error(), "4 commands are waiting") != nullptr);
    CHECK_EQ(r.taker.next()->ClientID, 1u);
    r.taker.done();
    CHECK_EQ(r.put(5), TK_OK);
    for (std::uint64_t n = 2; n <= 5; ++n) {
        REQUIRE(r.taker.next() != nullptr);
        CHECK_EQ(r.taker.next()->ClientID, n);
        r.taker.done();
    }
    CHECK(r.taker.next() == nullptr);
    std::vector<char> big(tk::kTradePayload + 1);
    CHECK_EQ(r.putter.put(1, 1, big.data(), static_cast<std::uint32_t>(big.size())), TK_E_ARG);
}

TEST(ring_has_one_taker_and_a_dead_ones_command_is_still_there) {
    Rings r;
    r.put(1);
    r.put(2);
    tk::Ring second;
    ok(second.attach(r.path.c_str()), "attach");
    CHECK_EQ(second.take_over(), TK_E_BUSY);
    r.taker.done();
    r.taker.give_up();
    ok(second.take_over(), "take_over");
    REQUIRE(second.next() != nullptr);
    CHECK_EQ(second.next()->ClientID, 2u);
    tk::Ring third;
    CHECK_EQ(third.create(r.path.c_str(), 4), TK_E_EXISTS);
}

TEST(ring_putter_stopped_at_any_instruction_leaves_a_whole_command_or_none) {
    Rings r;
    r.put(1);
    Stepper child([] {}, [&] { r.put(2); });
    const auto* header = reinterpret_cast<const char*>(&r.taker.header());
    bool seen = false;
    std::uint64_t states = 0;
    r.taker.done();
    while (child.step_to_change({{header, tk::kTradeHeaderSize + 4 * sizeof(tk::RingCommand)}})) {
        ++states;
        const tk::RingCommand* c = r.taker.next();
        CHECK(!(seen && c == nullptr));
        if (c != nullptr) {
            seen = true;
            CHECK(c->ClientID == 2 && Rings::is_whole(*c));
        }
    }
    CHECK(seen && states > 20);
    CHECK(ended_well(child.status()));
}

TEST(ring_taker_that_lies_down_while_a_command_comes_does_not_sleep) {
    for (const std::int32_t mode : {TK_WAIT_ADAPTIVE, TK_WAIT_BLOCK}) {
        Rings r;
        const std::uint64_t timed_out = futex_counts().timed_out.load();
        hooks().futex_wait = [&] { r.put(1); };
        r.taker.wait(mode, 60000000000);
        hooks().futex_wait = nullptr;
        CHECK_EQ(futex_counts().timed_out.load(), timed_out);
        CHECK(r.taker.next() != nullptr);
        r.taker.wait(mode, 60000000000);  // there is one: returns at once
    }
}

TEST(ring_wait_ends_with_a_wake_and_with_its_time) {
    for (const std::int32_t mode : {TK_WAIT_ADAPTIVE, TK_WAIT_SPIN, TK_WAIT_BLOCK}) {
        Rings r;
        r.taker.wait(mode, 2000000);
        const std::uint32_t before = r.taker.header().Wake.load();
        // One who sleeps is woken in his sleep; one who spins never announces anything, and looks again.
        std::thread other([&] {
            while (r.taker.header().Asleep.load() == 0 && mode != TK_WAIT_SPIN) sched_yield();
            r.putter.wake();
        });
        while (r.taker.header().Wake.load() == before) r.taker.wait(mode, mode == TK_WAIT_SPIN ? 10000000 : 60000000000);
        other.join();
    }
}

TEST(ring_threads_hand_over_every_command) {
    for (const std::int32_t mode : {TK_WAIT_ADAPTIVE, TK_WAIT_SPIN, TK_WAIT_BLOCK}) {
        Rings r(8);
        constexpr std::uint64_t count = 5000;
        std::thread putter([&] {
            for (std::uint64_t n = 1; n <= count;) {
                if (r.put(n) == TK_OK) {
                    ++n;
                } else {
                    sched_yield();
                }
            }
        });
        for (std::uint64_t n = 1; n <= count;) {
            const tk::RingCommand* c = r.taker.next();
            if (c == nullptr) {
                r.taker.wait(mode, 1000000000);
                continue;
            }
            CHECK(c->ClientID == n && Rings::is_whole(*c));
            r.taker.done();
            ++n;
        }
        putter.join();
    }
}

TEST(ring_taker_on_the_putters_cpu_does_not_keep_it_from_running) {
    Rings r;
    cpu_set_t before, one;
    REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(sched_getcpu()), &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    CHECK_EQ(r.put(1), TK_OK);
    REQUIRE(r.taker.next() != nullptr);
    CHECK_EQ(static_cast<int>(r.taker.next()->Cpu), sched_getcpu() + 1);
    r.taker.done();
    // Who looks for a while reads the clock again and again to know when it is over.
    const auto clock_readings = [](tk::Ring& ring) {
        int readings = 0;
        hooks().clock = [&] { ++readings; };
        for (int i = 0; i < 200; ++i) ring.wait(TK_WAIT_ADAPTIVE, 100000);
        hooks() = Hooks{};
        return readings;
    };
    CHECK_EQ(clock_readings(r.taker), 2 * 200);
    Rings other;  // nobody has put anything there
    CHECK(clock_readings(other.taker) > 2 * 200);
    sched_setaffinity(0, sizeof before, &before);
}

TEST(ring_that_is_none_is_refused) {
    check::Directory directory;
    tk::Ring ring;
    CHECK_EQ(ring.attach(directory.file("ring").c_str()), TK_E_NOT_FOUND);
    CHECK_EQ(ring.create(directory.file("ring").c_str(), 1), TK_E_ARG);
    Journal j;
    CHECK_EQ(ring.attach(j.path.c_str()), TK_E_LAYOUT);
}
