// Records of a recording, published again: what stays, what is new, when, and for whom the writer waits.
#include <thread>

#include "fixture.hpp"
#include "replay.hpp"

using namespace fixture;

namespace {

constexpr std::uint64_t kCapacity = 64;

// A log as an engine leaves it, its records as a recording has them.
std::vector<tk::Record> recorded(std::uint64_t count, const std::vector<std::string>& ids = {"rb2601", "au2602"}) {
    TestLog source(4096);
    std::vector<tk::Record> records(count);
    for (std::uint64_t i = 0; i < count; ++i) {
        Depth depth(ids[i % ids.size()], 3, "SHFE");
        depth.fill(static_cast<std::int32_t>(i)).text(482, 81, "xi-" + ids[i % ids.size()]);
        source.writer->publish_tick(depth.layout(), depth.bytes(), {5000 + static_cast<std::int64_t>(i), 7});
    }
    std::uint64_t first = 0;
    REQUIRE(tk::read_range(source.log, 0, count, records.data(), &first) == count);
    return records;
}

struct Target {
    explicit Target(std::uint64_t capacity = kCapacity, std::uint64_t instruments = 16) : t(capacity, instruments) {}
    std::uint32_t enter(const std::string& id, const std::string& exchange = "SHFE") {
        std::uint32_t index = 0;
        REQUIRE(tk::enter_instrument(*t.writer, id.c_str(), ("xi-" + id).c_str(), exchange.c_str(), &index) == TK_OK);
        return index;
    }
    tk_replay run(const std::vector<tk::Record>& records) {
        entries.clear();
        for (const tk::Record& r : records) entries.push_back(enter(r.InstrumentID));
        tk_replay p{};
        p.records = records.data();
        p.entries = entries.data();
        p.count = records.size();
        return p;
    }
    tk::Record at(std::uint64_t sequence) {
        tk::Record r;
        std::uint64_t first = 0;
        REQUIRE(tk::read_range(t.log, sequence, 1, &r, &first) == 1);
        return r;
    }
    TestLog t;
    std::vector<std::uint32_t> entries;
};

// The fields that a replay gives anew, as in `like`; everything else must then agree bit by bit.
tk::Record with_new_fields_of(const tk::Record& recorded, const tk::Record& like) {
    tk::Record r = recorded;
    r.Stamp = like.Stamp;
    r.Instrument = like.Instrument;
    r.RecvMonotonic = like.RecvMonotonic;
    r.TickNumber = like.TickNumber;
    r.InstrumentNumber = like.InstrumentNumber;
    r.Flags |= tk::kReplayed;
    return r;
}

}  // namespace

TEST(a_replayed_record_keeps_everything_but_its_numbers_and_the_moment_of_publishing) {
    std::vector<tk::Record> records = recorded(6);
    records[2].LastPrice = -0.0;
    std::memset(&records[2].ClosePrice, 0xFF, 8);  // a NaN that is not ours
    records[2].Flags |= tk::kSnapshot | tk::kDuplicate;
    Target target;
    target.t.event();  // so that sequence and tick number differ
    tk_replay p = target.run(records);
    tk::process_clock().refresh();  // the session's thread does it in an engine
    const std::int64_t before = tk::monotonic_ns();
    CHECK_EQ(tk::replay(*target.t.writer, &p), TK_OK);
    CHECK_EQ(p.done, records.size());
    CHECK_EQ(p.slowest, -1);
    for (std::uint64_t i = 0; i < records.size(); ++i) {
        const tk::Record got = target.at(i + 1);
        CHECK_EQ(got.Stamp, i + 2);
        CHECK_EQ(got.TickNumber, i);
        CHECK_EQ(got.InstrumentNumber, i / 2);
        CHECK_EQ(got.Instrument, static_cast<std::uint32_t>(i % 2));
        CHECK(got.RecvMonotonic >= before - 1000000 && got.RecvMonotonic <= tk::monotonic_ns() + 1000000);
        CHECK_EQ(got.RecvTime, 5000 + static_cast<std::int64_t>(i));
        CHECK((got.Flags & tk::kReplayed) != 0);
        const tk::Record want = with_new_fields_of(records[i], got);
        CHECK(std::memcmp(&got, &want, sizeof got) == 0);
    }
    CHECK_EQ(std::string(target.t.log.instruments[0].ExchangeInstID), std::string("xi-rb2601"));
    CHECK_EQ(target.t.log.instruments[1].Count.load(), 3u);
    tk::Record newest;
    CHECK_EQ(tk::read_latest(target.t.log, "au2602", &newest), TK_OK);
    CHECK_EQ(newest.Volume, 5);
}

TEST(a_reader_of_a_replay_gets_what_a_filter_wants_and_counts_what_it_lost) {
    const std::vector<tk::Record> records = recorded(40);
    Target target(16);
    auto bound = target.t.queue({"au2602"});
    tk_replay p = target.run(records);
    CHECK_EQ(tk::replay(*target.t.writer, &p), TK_OK);
    const Taken taken = take(bound->open());
    CHECK(taken.count() > 0);
    for (const tk::Record& r : taken.records) CHECK(is_whole(r));
    CHECK_EQ(taken.info.received + taken.info.lost, 20u);
    CHECK_EQ(taken.records.back().Volume, 39);
}

TEST(ticks_are_not_published_before_they_are_due) {
    const std::vector<tk::Record> records = recorded(6);
    Target target;
    tk_replay p = target.run(records);
    std::vector<std::int64_t> due;
    tk::process_clock().refresh();
    const std::int64_t start = tk::monotonic_ns() + 10000000;
    for (std::int64_t i = 0; i < 6; ++i) due.push_back(start + i / 2 * 10000000);
    due[5] = start - 3600000000000;  // one that is late is not waited for
    p.due_ns = due.data();
    CHECK_EQ(tk::replay(*target.t.writer, &p), TK_OK);
    // The log's clock may be a little beside the kernel's, which says what is due.
    for (std::uint64_t i = 0; i < 6; ++i) CHECK(target.at(i).RecvMonotonic >= due[i] - 2000000);
}

TEST(a_lossless_replay_waits_for_the_slowest_reader_and_says_which) {
    const std::vector<tk::Record> records = recorded(200);
    Target target;
    auto slow = target.t.queue(), quick = target.t.queue();
    tk_replay p = target.run(records);
    p.lossless = 1;
    p.owned[0] = 3;
    CHECK_EQ(tk::replay(*target.t.writer, &p), TK_OK);  // nobody reads yet
    CHECK_EQ(p.done, kCapacity - 1);
    quick->open();
    slow->open();
    CHECK_EQ(take(*quick->reader).count(), kCapacity - 1);
    CHECK_EQ(take(*slow->reader, 10).count(), 10u);
    const std::uint64_t done = p.done;
    const std::vector<tk::Record> left(records.begin() + static_cast<std::ptrdiff_t>(done), records.end());
    p = target.run(left);
    p.lossless = 1;
    p.deadline_ns = tk::monotonic_ns() + 2000000;
    CHECK_EQ(tk::replay(*target.t.writer, &p), TK_OK);
    CHECK_EQ(p.done, 10u);
    CHECK_EQ(static_cast<std::uint32_t>(p.slowest), slow->queue.header->Slot.load());
    const Taken rest = take(*slow->reader);
    CHECK_EQ(rest.count(), kCapacity - 1);
    CHECK_EQ(rest.info.lost, 0u);
}

TEST(a_lossless_replay_does_not_wait_for_closed_queues_or_for_readers_that_are_not_its_own_and_dead) {
    const std::vector<tk::Record> records = recorded(200);
    Target target;
    auto gone = target.t.queue(), unread = target.t.queue(), dead = target.t.queue();
    dead->open();
    dead->slot().ReaderProcess.store(0xFFFFFFF000000001ull);  // a process that is no more
    tk_replay p = target.run(records);
    p.lossless = 1;
    p.owned[0] = 1;
    tk::retire_queue(&gone->queue, &target.t.log);
    CHECK_EQ(tk::replay(*target.t.writer, &p), TK_OK);
    CHECK_EQ(p.done, records.size());
    CHECK_EQ(p.slowest, -1);
}

TEST(a_lossless_replay_gets_past_readers_that_sleep_over_ticks_they_do_not_want) {
    const std::vector<tk::Record> records = recorded(400, {"rb2601"});
    Target target;
    auto other = target.t.queue({"au2602"}), picky = target.t.queue({}, TK_START_NOW, false, tk::kReplayed);
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (Bound* bound : {other.get(), picky.get()}) {
        bound->open();
        threads.emplace_back([&stop, bound] {
            while (!stop.load()) CHECK_EQ(take(*bound->reader, 16, 100000000).count(), 0u);
        });
    }
    tk_replay p = target.run(records);
    p.lossless = 1;
    p.owned[0] = 3;
    p.deadline_ns = tk::monotonic_ns() + 60000000000;
    CHECK_EQ(tk::replay(*target.t.writer, &p), TK_OK);
    CHECK_EQ(p.done, records.size());
    stop.store(true);
    for (std::thread& t : threads) t.join();
    CHECK_EQ(take(*picky->reader).info.lost, 0u);
}

TEST(a_lossless_replay_loses_nothing_for_readers_of_all_kinds) {
    const std::vector<tk::Record> records = recorded(4000, {"rb2601", "au2602", "ag2606"});
    Target target;
    auto all = target.t.queue(), some = target.t.queue({"au2602"});
    std::atomic<std::uint64_t> got[2] = {};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        Bound* bound = i == 0 ? all.get() : some.get();
        bound->open();
        threads.emplace_back([&got, i, bound] {
            for (;;) {
                const Taken t = take(*bound->reader, 7, 1000000000);
                if (t.state() == TK_TAKE_ENDED) break;
                for (const tk::Record& r : t.records) CHECK(is_whole(r));
                got[i] += t.count();
                CHECK_EQ(t.info.lost, 0u);
            }
        });
    }
    tk_replay p = target.run(records);
    p.lossless = 1;
    p.deadline_ns = tk::monotonic_ns() + 60000000000;
    CHECK_EQ(tk::replay(*target.t.writer, &p), TK_OK);
    tk::end_log(&target.t.log);
    for (std::thread& t : threads) t.join();
    CHECK_EQ(got[0].load(), 4000u);
    CHECK_EQ(got[1].load(), 1333u);
}

TEST(what_is_no_tick_of_its_instrument_is_refused_by_its_number) {
    const std::vector<tk::Record> good = recorded(4);
    const auto refused = [&](const char* words, auto&& spoil) {
        Target target;
        std::vector<tk::Record> records = good;
        tk_replay p = target.run(records);
        spoil(records[2], target.entries[2]);
        CHECK_EQ(tk::replay(*target.t.writer, &p), TK_E_ARG);
        CHECK_EQ(p.done, 2u);
        CHECK_EQ(target.t.head(), 2u);
        CHECK_EQ(std::string(tk_last_error()), std::string("record 2 ") + words);
    };
    refused("is no tick", [](tk::Record& r, std::uint32_t&) { r.Kind = tk::kEvent; });
    refused("has a text without an end", [](tk::Record& r, std::uint32_t&) { std::memset(r.UpdateTime, '1', 9); });
    refused("has a text without an end", [](tk::Record& r, std::uint32_t&) { std::memset(r.InstrumentID, 'x', 81); });
    refused("names an instrument that is not in the log", [](tk::Record&, std::uint32_t& e) { e = 2; });
    refused("has another InstrumentID or ExchangeID than its instrument", [](tk::Record&, std::uint32_t& e) { e = 1; });
    refused("has another InstrumentID or ExchangeID than its instrument",
            [](tk::Record& r, std::uint32_t&) { r.ExchangeID[0] = 'D'; });
}

TEST(instruments_of_a_replay_are_entered_once_and_beyond_a_full_table_they_are_counted) {
    const std::vector<tk::Record> records = recorded(4);
    Target target(kCapacity, 1);
    tk_replay p = target.run(records);
    CHECK_EQ(target.entries[0], 0u);
    CHECK_EQ(target.entries[1], tk::kNoInstrument);
    CHECK_EQ(target.entries[2], 0u);
    CHECK_EQ(tk::replay(*target.t.writer, &p), TK_OK);
    CHECK_EQ(target.t.log.header->InstrumentOverflow.load(), 2u);
    CHECK_EQ(target.at(1).InstrumentNumber, 0u);
    CHECK_EQ(target.at(2).InstrumentNumber, 1u);
    std::uint32_t index = 0;
    CHECK_EQ(tk::enter_instrument(*target.t.writer, "", "", "", &index), TK_E_ARG);
    CHECK_EQ(tk::enter_instrument(*target.t.writer, std::string(81, 'x').c_str(), "", "", &index), TK_E_ARG);
    CHECK_EQ(tk::enter_instrument(*target.t.writer, "rb2601", "", "SHFESHFES", &index), TK_E_ARG);
}
