// Sleeping and being woken. The races are not left to luck: hooks publish at the exact place, and
// processes are stopped between two instructions; the ping-pong afterwards is for what nobody thought of.
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "stepper.hpp"

using namespace fixture;

namespace {

// In its announced sleep, as the writer can see it.
bool asleep(Bound& q) {
    const std::uint32_t index = q.queue.header->Slot.load();
    return (q.slot().Sleep.load() & 1) != 0 && (q.log->header->Sleepers[index / 64].load() >> (index % 64) & 1) != 0;
}

struct Timeouts {
    std::uint64_t before = futex_counts().timed_out;
    std::uint64_t count() const { return futex_counts().timed_out - before; }
};

// Calls `what` once, the first time the hook is reached.
std::function<void()> once(const std::function<void()>& what) {
    auto done = std::make_shared<bool>(false);
    return [=] {
        if (*done) return;
        *done = true;
        what();
    };
}

struct Hooked {
    ~Hooked() { hooks() = Hooks{}; }
};

}  // namespace

TEST(a_tick_published_between_the_look_and_the_announcement_is_seen_before_sleeping) {
    const Hooked unhook;
    TestLog t(16);
    auto q = t.queue();
    auto& reader = q->open();
    const std::uint64_t waits = futex_counts().waits;
    hooks().clock = once([&] { t.tick(); });  // wait() reads the clock after the look, before sleep()
    const Taken got = take(reader, 8, -1);
    CHECK_EQ(got.count(), 1u);
    CHECK_EQ(futex_counts().waits - waits, 0u);  // it did not lie down with a record there
    CHECK(!asleep(*q));
}

TEST(a_tick_published_between_the_announcement_and_the_sleep_ends_the_sleep) {
    const Hooked unhook;
    TestLog t(16);
    auto q = t.queue();
    auto& reader = q->open();
    const Timeouts timeouts;
    hooks().futex_wait = once([&] { t.tick(); });
    CHECK_EQ(take(reader, 8, -1).count(), 1u);
    CHECK_EQ(timeouts.count(), 0u);
    CHECK_EQ(q->slot().Wakes.load(), 1u);
    hooks().futex_wait = once([&] { t.tick(); });
    CHECK_EQ(take(reader, 8, INT64_MAX).count(), 1u);  // the longest time does not overflow
    CHECK_EQ(timeouts.count(), 0u);
}

// The writer publishes with a plain store, so whoever lies down makes the writer's barrier, between saying so
// and looking again.
TEST(a_reader_makes_the_writers_barrier_between_announcing_and_the_second_look) {
    const Hooked unhook;
    TestLog t(16);
    CHECK_EQ(t.log.header->SleepBarrier.load(), 1u);
    auto q = t.queue();
    auto& reader = q->open();
    const Timeouts timeouts;
    int barriers = 0;
    hooks().barrier = [&](int command, bool*) {
        CHECK_EQ(command, static_cast<int>(MEMBARRIER_CMD_GLOBAL_EXPEDITED));
        CHECK_EQ(q->slot().Sleep.load() & 1, 1u);
        CHECK_EQ(t.log.header->Sleepers[0].load() & 1, 1u);
        // Published and not yet woken for: only the second look can see it.
        if (barriers++ == 0) {
            t.log.header->Sleepers[0].store(0);
            t.tick();
            t.log.header->Sleepers[0].store(1);
        }
    };
    CHECK_EQ(take(reader, 8, -1).count(), 1u);
    CHECK_EQ(barriers, 1);
    CHECK_EQ(timeouts.count(), 0u);
    CHECK_EQ(q->slot().Wakes.load(), 0u);
}

TEST(a_reader_that_may_not_make_the_barrier_looks_again_by_itself) {
    const Hooked unhook;
    TestLog t(16);
    auto q = t.queue();
    auto& reader = q->open();
    hooks().barrier = [](int, bool* refused) { *refused = true; };
    const Timeouts timeouts;
    int waits = 0;
    hooks().futex_wait = [&] {
        if (++waits != 3) return;
        t.log.header->Sleepers[0].store(0);  // as if the writer had not seen the announcement
        t.tick();
        t.log.header->Sleepers[0].store(1);
    };
    CHECK_EQ(take(reader, 8, -1).count(), 1u);
    CHECK_EQ(waits, 3);
    CHECK_EQ(timeouts.count(), 3u);
}

TEST(a_writer_without_the_barrier_call_makes_its_own_and_asks_none_of_readers) {
    const Hooked unhook;
    int registered = 0, asked = 0;
    hooks().barrier = [&](int command, bool* refused) {
        ++(command == MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED ? registered : asked);
        *refused = true;
    };
    TestLog t(16);
    CHECK_EQ(registered, 1);
    CHECK_EQ(t.log.header->SleepBarrier.load(), 0u);
    auto q = t.queue();
    CHECK_EQ(take(q->open(), 8, 1000000).state(), TK_TAKE_EMPTY);
    CHECK_EQ(asked, 0);
    t.forget_writer();
    hooks() = Hooks{};
    t.open();
    CHECK_EQ(t.log.header->SleepBarrier.load(), 1u);  // the next writer may differ
}

TEST(an_end_that_comes_while_lying_down_is_seen) {
    const Hooked unhook;
    for (const bool announced : {false, true}) {
        TestLog t(16);
        auto q = t.queue();
        auto& reader = q->open();
        const Timeouts timeouts;
        (announced ? hooks().futex_wait : hooks().clock) = once([&] { tk::end_log(&t.log); });
        CHECK_EQ(take(reader, 8, -1).state(), TK_TAKE_ENDED);
        CHECK_EQ(timeouts.count(), 0u);
        hooks() = Hooks{};
    }
}

// The writer stops at each instruction that changed something while a reader wakes by itself, takes what
// there is and lies down again. Whatever the moment, the reader is woken by this tick or by the next one.
TEST(a_reader_that_lies_down_again_at_any_instruction_of_a_wake_is_woken) {
    for (int stop = 0; stop < 40; ++stop) {
        TestLog t(16);
        auto q = t.queue();
        q->open();
        t.tick();
        tk::ReaderSlot& slot = q->slot();
        std::atomic<std::uint64_t>& sleepers = t.log.header->Sleepers[0];
        slot.Sleep.fetch_or(1);
        sleepers.fetch_or(1);
        Stepper writer([] {}, [&] { t.tick(); });
        const std::vector<std::pair<const char*, std::size_t>> watched = {
            {reinterpret_cast<const char*>(t.log.header), sizeof(tk::LogHeader)},
            {reinterpret_cast<const char*>(&slot), sizeof slot},
            {reinterpret_cast<const char*>(&t.log.slot(1)->Stamp), 8}};
        bool running = true;
        for (int i = 0; i < stop && running; ++i) running = writer.step_to_change(watched);
        if (!running) {
            CHECK(stop > 5);
            break;
        }
        sleepers.fetch_and(~1ull);
        if ((slot.Sleep.load() & 1) != 0) slot.Sleep.fetch_add(1);
        slot.Sleep.fetch_or(1);
        sleepers.fetch_or(1);
        const bool seen = t.log.slot(1)->Stamp == 2;  // the second look, after the announcement
        CHECK(ended_well(writer.run()));
        if (!seen) CHECK_EQ(slot.Sleep.load() & 1, 0u);
        if ((slot.Sleep.load() & 1) != 0) {
            t.forget_writer();
            t.open();
            t.tick();
            CHECK_EQ(slot.Sleep.load() & 1, 0u);
        }
        if (check::failures() != 0) {
            check::failed(__FILE__, __LINE__, "stopped at change " + std::to_string(stop));
            return;
        }
    }
}

TEST(a_process_stopped_at_each_instruction_of_lying_down_gets_the_tick) {
    for (int stop = 0; stop <= 2; ++stop) {  // before, announced, in the sleepers' word
        TestLog t(16);
        auto q = t.queue();
        auto& reader = q->open();
        Stepper child([] {}, [&] {
            const Timeouts timeouts;
            const Taken got = take(reader, 8, -1);
            CHECK_EQ(got.count(), 1u);
            CHECK_EQ(timeouts.count(), 0u);
        });
        for (int i = 0; i < stop; ++i)
            REQUIRE(child.step_to_change({{reinterpret_cast<const char*>(&q->slot().Sleep), 4},
                                          {reinterpret_cast<const char*>(t.log.header->Sleepers), 32}}));
        t.tick();
        CHECK(ended_well(child.run()));
    }
}

TEST(no_wake_up_is_lost_in_a_ping_pong_of_threads) {
    constexpr std::uint64_t rounds = 15000;
    TestLog there(64), back(64);
    auto ping = there.queue(), pong = back.queue();
    auto& reader = ping->open();
    auto& other = pong->open();
    const EndlessSleeps endless;
    const auto get = [](tk::Reader& r) {
        for (;;) {
            const Taken got = take(r, 1, -1);
            if (got.state() != TK_TAKE_AGAIN) return got.count() == 1;
        }
    };
    std::thread answering([&] {
        for (std::uint64_t i = 0; i < rounds; ++i) {
            if (!get(reader)) {
                CHECK(false && "ping was not received");
                return;
            }
            back.tick();
        }
    });
    for (std::uint64_t i = 0; i < rounds; ++i) {
        there.tick();
        if (!get(other)) break;
    }
    answering.join();
    CHECK_EQ(there.head(), rounds);
}

TEST(no_wake_up_is_lost_in_a_ping_pong_of_processes) {
    constexpr std::uint64_t rounds = 10000;
    TestLog there(64), back(64, 16, false);
    auto ping = there.queue(), pong = back.queue();
    const EndlessSleeps endless;  // the child's too
    const pid_t child = fork_child([&] {
        tk::Reader reader(&ping->queue, &there.log);
        CHECK_EQ(reader.open(), TK_OK);
        back.open();
        for (std::uint64_t i = 0; i < rounds;) {
            const Taken got = take(reader, 1, -1);
            i += got.count();
            if (got.count() != 0) back.tick();
        }
    });
    auto& reader = pong->open();
    for (std::uint64_t i = 0; i < rounds;) {
        there.tick();
        while (take(reader, 1, -1).count() == 0) {
        }
        ++i;
    }
    CHECK(ended_well(wait_child(child)));
}

TEST(a_sleeper_is_not_woken_by_what_it_does_not_want) {
    const EndlessSleeps endless;
    TestLog t(256);
    auto q = t.queue({"rb2601"});
    auto& reader = q->open();
    std::atomic<int> got{0};
    std::atomic<bool> done{false};
    std::thread sleeper([&] {
        while (!done) got += static_cast<int>(take(reader, 8, -1).count());
    });
    REQUIRE(eventually([&] { return asleep(*q); }));
    t.tick("IF2512");  // it has not looked at this name yet
    REQUIRE(eventually([&] { return q->slot().Wakes.load() == 1 && q->progress().Cursor == 1 && asleep(*q); }));
    for (int i = 0; i < 100; ++i) t.tick("IF2512");
    for (int i = 0; i < 10; ++i) t.event();
    CHECK_EQ(q->slot().Wakes.load(), 1u);
    CHECK_EQ(t.log.header->Wakes.load(), 1u);
    t.tick("rb2601");
    CHECK(eventually([&] { return got == 1; }));
    CHECK_EQ(q->slot().Wakes.load(), 2u);
    done = true;
    tk::end_log(&t.log);
    sleeper.join();
}

TEST(the_end_wakes_all_sleepers) {
    TestLog t(16);
    std::vector<std::unique_ptr<Bound>> queues;
    std::vector<std::thread> threads;
    std::atomic<int> ended{0};
    const EndlessSleeps endless;
    for (int i = 0; i < 5; ++i) {
        queues.push_back(t.queue({"rb2601"}));
        queues.back()->open();
    }
    for (auto& q : queues)
        threads.emplace_back([&, reader = q->reader.get()] {
            Taken got = take(*reader, 8, -1);
            while (got.state() == TK_TAKE_AGAIN || got.state() == TK_TAKE_OK) got = take(*reader, 8, -1);
            ended += got.state() == TK_TAKE_ENDED;
        });
    for (auto& q : queues) CHECK(eventually([&] { return asleep(*q); }));
    tk::end_log(&t.log);
    for (std::thread& thread : threads) thread.join();
    CHECK_EQ(ended.load(), 5);
}

TEST(a_timeout_is_kept_in_every_mode) {
    TestLog t(16);
    auto q = t.queue();
    auto& reader = q->open();
    for (const std::int32_t mode : {TK_WAIT_ADAPTIVE, TK_WAIT_SPIN, TK_WAIT_BLOCK}) {
        constexpr std::int64_t timeout = 20000000;
        const std::int64_t start = tk::monotonic_ns();
        Taken got = take(reader, 8, timeout, true, mode);
        while (got.state() == TK_TAKE_AGAIN)  // a slice is over: the caller knows its deadline
            got = take(reader, 8, std::max<std::int64_t>(0, start + timeout - tk::monotonic_ns()), true, mode);
        CHECK_EQ(got.state(), TK_TAKE_EMPTY);
        CHECK(tk::monotonic_ns() - start >= timeout);
        CHECK_EQ(take(reader, 8, 0, true, mode).state(), TK_TAKE_EMPTY);
    }
    CHECK_EQ(take(reader, 8, -1).state(), TK_TAKE_AGAIN);  // for ever comes in slices
}

TEST(a_signal_gives_again) {
    struct sigaction action {}, before;
    action.sa_handler = [](int) {};
    sigaction(SIGUSR2, &action, &before);
    TestLog t(16);
    auto q = t.queue();
    auto& reader = q->open();
    std::atomic<int> state{-1};
    std::atomic<bool> ready{false};
    const EndlessSleeps endless;  // the signal ends it, not the slice
    std::thread sleeper([&] {
        ready = true;
        state = take(reader, 8, -1).state();
    });
    CHECK(eventually([&] { return ready.load(); }));
    CHECK(eventually([&] {
        if (state == -1) pthread_kill(sleeper.native_handle(), SIGUSR2);
        return state != -1;
    }));
    sleeper.join();
    sigaction(SIGUSR2, &before, nullptr);
    CHECK_EQ(state.load(), TK_TAKE_AGAIN);
}

TEST(a_log_whose_process_has_died_is_an_orphan_once_it_is_drained) {
    check::Directory d;
    const pid_t child = fork_child([&] {
        tk::Log log;
        CHECK_EQ(tk::create_log(d.file("log").c_str(), "main", 16, 4, &log), TK_OK);
        tk::Writer writer(&log);
        CHECK_EQ(writer.open(true), TK_OK);
        const Depth depth("rb2601");
        for (int i = 0; i < 3; ++i) writer.publish_tick(depth.layout(), depth.bytes(), {1, 2});
    });  // ends without a word
    REQUIRE(ended_well(wait_child(child)));
    tk::Log log;
    REQUIRE(tk::attach_log(d.file("log").c_str(), &log) == TK_OK);
    Bound q;
    q.log = &log;
    REQUIRE(tk::create_queue(d.file("q").c_str(), "q", nullptr, 0, TK_START_OLDEST, false, 0, &q.queue) == TK_OK);
    REQUIRE(tk::bind_queue(&q.queue, &log, d.file("log").c_str()) == TK_OK);
    auto& reader = q.open();
    CHECK_EQ(take(reader, 2, -1).count(), 2u);
    CHECK_EQ(take(reader, 2, -1).count(), 1u);
    CHECK_EQ(take(reader, 2, 10000000).state(), TK_TAKE_ORPHANED);
    CHECK_EQ(take(reader, 2, -1).state(), TK_TAKE_ORPHANED);
    CHECK_EQ(take(reader, 2, -1, true, TK_WAIT_SPIN).state(), TK_TAKE_ORPHANED);
    log.header->OwnerProcess = tk::process_identity(getpid());  // a supervisor that may start a new writer
    CHECK_EQ(take(reader, 2, 10000000).state(), TK_TAKE_EMPTY);
}

TEST(a_spin_says_when_to_look_round_when_the_time_is_over_and_when_there_is_an_end) {
    TestLog t(16);
    auto q = t.queue();
    auto& reader = q->open();
    tk::Record out[8];
    tk_take spin{};
    spin.block = out;
    spin.max = 8;
    spin.handed = 1;
    spin.wait_mode = TK_WAIT_SPIN;
    spin.deadline_ns = INT64_MAX;
    std::int32_t said = 0;
    int calls = 0;
    for (; said == 0 && calls < 1000000; ++calls) said = reader.spin(&spin);
    CHECK_EQ(said, TK_LOOK);
    CHECK_EQ(spin.state, TK_TAKE_AGAIN);
    CHECK(calls > 1);
    t.ticks(3);
    CHECK_EQ(reader.spin(&spin), 3);
    CHECK_EQ(spin.used, 3u);
    CHECK_EQ(spin.received, 3u);
    spin.deadline_ns = tk::monotonic_ns();
    CHECK_EQ(reader.spin(&spin), TK_LOOK);
    CHECK_EQ(spin.state, TK_TAKE_EMPTY);
    t.tick();
    CHECK_EQ(reader.spin(&spin), 1);  // what is there comes before the time
    spin.deadline_ns = INT64_MAX;
    tk::end_log(&t.log);
    CHECK_EQ(reader.spin(&spin), TK_LOOK);
    CHECK_EQ(spin.state, TK_TAKE_ENDED);
    CHECK_EQ(spin.count, 0u);
}

TEST(a_spin_ends_when_the_queue_is_closed_by_its_maker) {
    TestLog t(16);
    auto q = t.queue();
    auto& reader = q->open();
    tk::Record out[8];
    tk_take spin{};
    spin.block = out;
    spin.max = 8;
    spin.deadline_ns = INT64_MAX;
    CHECK_EQ(reader.spin(&spin), 0);
    tk::retire_queue(&q->queue);
    CHECK_EQ(reader.spin(&spin), TK_LOOK);
    CHECK_EQ(spin.state, TK_TAKE_RETIRED);
}

TEST(a_reader_closed_by_another_thread_lets_the_waiting_one_go_first) {
    for (const std::int32_t mode : {TK_WAIT_BLOCK, TK_WAIT_ADAPTIVE, TK_WAIT_SPIN}) {
        TestLog t(16);
        auto q = t.queue();
        auto& reader = q->open();
        Taken got;
        std::thread waiting([&] {
            for (;;) {
                got = take(reader, 8, -1, true, mode);
                if (got.state() != TK_TAKE_AGAIN || got.rc < 0) return;
            }
        });
        if (mode != TK_WAIT_SPIN)
            while (!asleep(*q)) std::this_thread::yield();
        reader.close();
        waiting.join();
        CHECK_EQ(take(reader, 8).rc, TK_E_STATE);
        CHECK(got.rc == TK_E_STATE || got.state() == TK_TAKE_RETIRED);
        CHECK_EQ(q->slot().ReaderProcess.load(), 0u);
    }
}

TEST(while_a_close_waits_for_the_reading_thread_others_hear_of_the_close) {
    TestLog t(16);
    auto q = t.queue();
    auto& reader = q->open();
    std::atomic<bool> inside{false}, leave{false};
    std::thread reading([&] {
        const Hooked unhook;
        hooks().futex_wait = [&] {  // between two looks, with the reader in its hands
            inside = true;
            while (!leave) std::this_thread::yield();
        };
        take(reader, 8, -1);
    });
    while (!inside) std::this_thread::yield();
    CHECK_EQ(take(reader, 8).rc, TK_E_BUSY);
    std::thread closing([&] { reader.close(); });
    // As long as close() has not begun there are two who read, and nothing else.
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    std::int32_t rc = TK_E_BUSY;
    while (rc == TK_E_BUSY && std::chrono::steady_clock::now() < until) rc = take(reader, 8).rc;
    CHECK_EQ(rc, TK_E_STATE);
    leave = true;
    closing.join();
    reading.join();
}
