// A reader that keeps up with a flood rests between its looks; nobody else does, and it stops when the flood does.
#include "fixture.hpp"

using namespace fixture;

namespace {

constexpr std::uint64_t kPiece = 1024, kFlood = 16384;  // so many ticks make a flood, if they come in time

// The clock as the reader sees it.
struct Clock {
    std::int64_t ns = 1000000000;
    Clock() {
        hooks().clock_result = [this](clockid_t, timespec* t) { *t = {ns / 1000000000, ns % 1000000000}; };
    }
    ~Clock() { hooks() = Hooks{}; }
};

struct One {
    tk::Record records[kPiece];
    tk_take t{};
    explicit One(std::int32_t mode) {
        t.block = records;
        t.max = kPiece;
        t.handed = 1;
        t.wait_mode = mode;
        t.timeout_ns = -1;
    }
    tk_take* again() {
        t.used = 0;
        return &t;
    }
};

void read_pieces(TestLog& t, tk::Reader& reader, One& one, std::uint64_t ticks, Clock& clock, std::int64_t ns) {
    for (std::uint64_t i = 0; i < ticks; i += kPiece) {
        t.ticks(kPiece);
        REQUIRE(reader.poll(one.again()) == static_cast<std::int32_t>(kPiece));
        clock.ns += ns;
    }
}

}  // namespace

TEST(a_reader_in_a_flood_rests_before_it_looks_and_stops_when_little_comes) {
    TestLog t(kFlood);
    auto q = t.queue();
    auto& reader = q->open();
    Clock clock;
    One one(TK_WAIT_ADAPTIVE);
    read_pieces(t, reader, one, 2 * kFlood, clock, 500000);  // 16 pieces in 8 ms
    t.ticks(100);
    REQUIRE(reader.first_look(one.again()) == 0);
    CHECK_EQ(one.t.state, TK_TAKE_AGAIN);
    REQUIRE(reader.take(one.again()) == 100);  // more than a few: it goes on
    t.ticks(3);
    REQUIRE(reader.first_look(one.again()) == 0);
    REQUIRE(reader.take(one.again()) == 3);
    t.tick();
    CHECK_EQ(reader.first_look(one.again()), 1);  // the flood is over
    CHECK_EQ(one.t.received, 2 * kFlood + 104);
    CHECK_EQ(one.t.lost, 0u);
}

TEST(who_does_not_wait_who_is_behind_and_who_spins_never_rest) {
    TestLog t(kFlood);
    auto q = t.queue(), spinning = t.queue();
    auto& reader = q->open();
    Clock clock;
    One one(TK_WAIT_BLOCK);
    read_pieces(t, reader, one, 2 * kFlood, clock, 500000);
    t.ticks(5);
    CHECK_EQ(reader.poll(one.again()), 5);
    one.t.timeout_ns = 0;
    t.ticks(5);
    CHECK_EQ(reader.first_look(one.again()), 5);
    one.t.timeout_ns = -1;
    t.ticks(2 * kPiece);
    REQUIRE(reader.poll(one.again()) == static_cast<std::int32_t>(kPiece));
    CHECK_EQ(reader.first_look(one.again()), static_cast<std::int32_t>(kPiece));  // there is more: no rest

    auto& other = spinning->open();
    One spins(TK_WAIT_SPIN);
    while (other.poll(spins.again()) > 0) {
    }
    read_pieces(t, other, spins, 2 * kFlood, clock, 500000);
    t.ticks(5);
    CHECK_EQ(other.first_look(spins.again()), 5);
}

TEST(many_ticks_in_a_long_time_and_a_short_log_make_no_flood) {
    for (const std::uint64_t capacity : {kFlood / 2, kFlood}) {
        TestLog t(capacity);
        auto q = t.queue();
        auto& reader = q->open();
        Clock clock;
        One one(TK_WAIT_ADAPTIVE);
        read_pieces(t, reader, one, 3 * kFlood, clock, capacity == kFlood ? 3000000 : 500000);  // 16 pieces in 48 ms
        t.ticks(5);
        CHECK_EQ(reader.first_look(one.again()), 5);
    }
}
