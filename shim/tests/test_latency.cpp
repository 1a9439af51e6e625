// The histogram of a reader: its buckets, which ticks are measured, and that the shares are those of all ticks.
#include <numeric>
#include <thread>

#include "fixture.hpp"
#include "latency.hpp"

using namespace fixture;

namespace {

std::uint64_t total(const tk::LatencyTable& t) {
    std::uint64_t sum = 0;
    for (const auto& c : t.Counts) sum += c.load();
    return sum;
}

// Feeds `ticks` ticks, one to a take, at times given by `when`; tick n took `took(n)`.
template <typename When, typename Took>
void feed(tk::LatencyTable* table, std::uint64_t ticks, When&& when, Took&& took, bool tell_quiet = false) {
    tk::Sampling s;
    s.begin(table, 1);
    for (std::uint64_t n = 0; n < ticks; ++n) {
        if (tell_quiet && n != 0 && when(n) - when(n - 1) > tk::Sampling::kQuiet) s.quiet();
        if (!s.due(1)) continue;
        do {
            const std::int64_t now = when(n);
            s.add(now, now - took(n));
        } while (s.still_due());
    }
}

// Ticks that come just now.
void fresh(TestLog& t, int count) {
    const Depth depth("rb2601");
    while (count-- != 0) t.writer->publish_tick(depth.layout(), depth.bytes(), {1000, tk::monotonic_ns()});
}

}  // namespace

TEST(each_latency_bucket_ends_where_the_next_begins) {
    for (std::uint32_t i = 0; i < tk::kLatencyBuckets; ++i) {
        CHECK(tk::latency_floor(i) < tk::latency_floor(i + 1));
        CHECK_EQ(tk::latency_bucket(tk::latency_floor(i)), i);
        CHECK_EQ(tk::latency_bucket(tk::latency_floor(i + 1) - 1), i);
    }
    CHECK_EQ(tk::latency_floor(4), 32u);
    CHECK_EQ(tk::latency_bucket(~0ull), tk::kLatencyBuckets - 1);
}

TEST(a_quiet_feed_is_measured_tick_by_tick) {
    auto table = std::make_unique<tk::LatencyTable>();
    feed(table.get(), 50, [](std::uint64_t n) { return static_cast<std::int64_t>(n + 1) * 500000000; },
         [](std::uint64_t n) { return static_cast<std::int64_t>(1000 + n); });
    CHECK_EQ(table->Samples.load(), 50u);
    CHECK_EQ(total(*table), 50u);
    CHECK_EQ(table->Sum.load(), 50u * 1000 + 49 * 50 / 2);
    CHECK_EQ(table->Max.load(), 1049u);
}

TEST(a_flood_is_measured_once_in_64_ticks_and_still_counts_all) {
    auto table = std::make_unique<tk::LatencyTable>();
    constexpr std::uint64_t kTicks = 1 << 20;
    feed(table.get(), kTicks, [](std::uint64_t n) { return 1000000000 + static_cast<std::int64_t>(n) * 100; },
         [](std::uint64_t) { return std::int64_t{500}; });
    CHECK(table->Samples.load() <= kTicks / 64 + 8);
    CHECK(total(*table) + 2 * 64 >= kTicks && total(*table) <= kTicks + 64);
}

// Bursts of 48 (no multiple of the group) and of 64 (all of it), half a second apart. Place k in a burst takes
// (k + 1) us: each place must have its share, the first and the last like those between.
TEST(every_place_in_a_burst_has_its_share) {
    for (const std::uint64_t burst : {2, 3, 48, 64, 65, 98}) {
        const bool waits = burst % 2 != 0;  // or polls, and does not know how long it was quiet
        auto table = std::make_unique<tk::LatencyTable>();
        constexpr std::uint64_t kBursts = 40000;
        const auto took = [burst](std::uint64_t n) { return static_cast<std::int64_t>(n % burst + 1) * 1000; };
        feed(table.get(), kBursts * burst,
             [burst, took](std::uint64_t n) { return static_cast<std::int64_t>(n / burst + 1) * 500000000 + took(n); }, took, waits);
        std::uint64_t counted = 0;
        double wrong = 0;
        for (std::uint32_t i = 0; i < tk::kLatencyBuckets; ++i) {
            std::uint64_t places = 0;
            for (std::uint64_t k = 0; k < burst; ++k) places += tk::latency_bucket((k + 1) * 1000) == i;
            const auto expected = static_cast<double>(places * kBursts);
            const auto found = static_cast<double>(table->Counts[i].load());
            counted += table->Counts[i].load();
            wrong = std::max(wrong, places == 0 ? found : std::abs(found / expected - 1));
        }
        CHECK(wrong < 0.15);
        const double mean = static_cast<double>(table->Sum.load()) / static_cast<double>(counted);
        CHECK(std::abs(mean / (500.0 * static_cast<double>(burst + 1)) - 1) < 0.03);
        CHECK(std::abs(static_cast<double>(counted) / static_cast<double>(kBursts * burst) - 1) < 0.03);
    }
}

TEST(a_reader_that_waits_measures_what_comes_behind_a_pause) {
    TestLog t(1024);
    auto q = t.queue();
    tk::Reader& reader = q->open();
    fresh(t, 500);
    CHECK_EQ(take(reader, 1000).count(), 500u);
    const std::uint64_t before = q->slot().Latency.Samples.load();
    std::thread sleeper([&] {
        Taken got;
        do {
            got = take(reader, 1, -1);
        } while (got.state() == TK_TAKE_AGAIN);
        CHECK_EQ(got.count(), 1u);
    });
    while ((q->slot().Sleep.load() & 1) == 0) std::this_thread::yield();
    const std::int64_t asleep = tk::monotonic_ns();
    while (tk::monotonic_ns() - asleep < 2 * tk::Sampling::kQuiet) std::this_thread::yield();
    fresh(t, 1);
    sleeper.join();
    CHECK_EQ(q->slot().Latency.Samples.load(), before + 1);
}

TEST(a_takes_ticks_are_measured_with_one_look_at_the_clock) {
    TestLog t(256);
    auto q = t.queue();
    tk::Reader& reader = q->open();
    fresh(t, 100);
    CHECK_EQ(take(reader, 200).count(), 100u);
    const tk::LatencyTable& table = q->slot().Latency;
    CHECK(table.Samples.load() >= 5 && table.Samples.load() < 30);  // groups of 1, 2, 4 ... 64
    CHECK(total(table) >= table.Samples.load() && total(table) <= 100 + 64);
    CHECK(table.Max.load() > 0 && table.Max.load() < 60000000000u);
}

TEST(ticks_from_before_the_reader_are_not_measured) {
    TestLog t(256);
    auto q = t.queue();
    fresh(t, 100);
    tk::Reader& reader = q->open();
    CHECK_EQ(take(reader, 200).count(), 100u);
    CHECK_EQ(total(q->slot().Latency), 0u);
    while (total(q->slot().Latency) == 0) {  // the group that was begun may be of 64
        fresh(t, 1);
        CHECK_EQ(take(reader, 200).count(), 1u);
    }
}

TEST(a_successor_goes_on_with_the_histogram_and_a_new_queue_does_not) {
    TestLog t(256);
    auto q = t.queue();
    q->open();
    fresh(t, 1);
    CHECK_EQ(take(*q->reader, 1).count(), 1u);
    CHECK_EQ(total(q->slot().Latency), 1u);
    q->reader->close();
    q->open();
    fresh(t, 1);
    CHECK_EQ(take(*q->reader, 1).count(), 1u);
    CHECK_EQ(total(q->slot().Latency), 2u);

    tk_reader_info info{};
    tk_latency found{};
    CHECK_EQ(tk::list_readers(t.log, &info, 1), 1u);
    CHECK_EQ(tk::read_latency(t.log, info.slot, info.generation, &found), TK_OK);
    CHECK_EQ(found.samples, 2u);
    CHECK_EQ(std::accumulate(std::begin(found.counts), std::end(found.counts), 0ull), 2u);
    q->reader->close();
    tk::retire_queue(&q->queue);
    CHECK_EQ(tk::read_latency(t.log, info.slot, info.generation, &found), TK_E_NOT_FOUND);
    auto other = t.queue();
    CHECK_EQ(&other->slot(), &t.log.readers[info.slot]);
    CHECK_EQ(total(other->slot().Latency), 0u);
    CHECK_EQ(tk::read_latency(t.log, info.slot, info.generation, &found), TK_E_NOT_FOUND);
    CHECK_EQ(tk::read_latency(t.log, info.slot, info.generation + 1, &found), TK_OK);
    CHECK_EQ(tk::read_latency(t.log, tk::kMaxReaders, 0, &found), TK_E_ARG);
}

TEST(a_time_that_is_no_time_is_counted_as_none) {
    auto table = std::make_unique<tk::LatencyTable>();
    tk::Sampling s;
    s.begin(table.get(), 1000);
    CHECK(s.due(1));
    s.add(1500, INT64_MIN);
    CHECK_EQ(table->Samples.load(), 0u);
    while (!s.due(1)) {
    }
    s.add(1500, INT64_MAX);
    CHECK_EQ(table->Samples.load(), 1u);
    CHECK_EQ(table->Max.load(), 0u);
    CHECK(table->Counts[0].load() >= 1);
}

TEST(the_newest_ticks_of_all_instruments_come_in_one_call) {
    TestLog t(8);
    tk_latest rows[8];
    CHECK_EQ(tk::read_latest_all(t.log, 0, 8, rows), 0u);
    t.tick(Depth("au2602").volume(7));
    for (int i = 0; i < 20; ++i) t.tick(Depth("rb2601").volume(i));
    CHECK_EQ(tk::read_latest_all(t.log, 0, 8, rows), 2u);
    CHECK_EQ(rows[0].stamp, 1u);  // long overwritten in the ring
    CHECK_EQ(rows[0].volume, 7);
    CHECK_EQ(rows[0].instrument_number, 0u);
    CHECK_EQ(rows[1].stamp, 21u);
    CHECK_EQ(rows[1].volume, 19);
    CHECK_EQ(rows[1].instrument_number, 19u);
    CHECK_EQ(tk::read_latest_all(t.log, 1, 1, rows), 1u);
    CHECK_EQ(rows[0].stamp, 21u);
    CHECK_EQ(tk::read_latest_all(t.log, 2, 8, rows), 0u);
    CHECK_EQ(tk::read_latest_all(t.log, 0xFFFFFFFFu, 0xFFFFFFFFu, rows), 0u);
    // A writer that died over the move leaves none, and does not hold up the others.
    t.log.instruments[0].SavedStamp.store(0);
    CHECK_EQ(tk::read_latest_all(t.log, 0, 8, rows), 2u);
    CHECK_EQ(rows[0].stamp, 0u);
    CHECK_EQ(rows[1].stamp, 21u);
}
