// Publish and read: order, numbers, events, filters, starts, the ring's end.
#include "fixture.hpp"

using namespace fixture;

namespace {
const tk::EventRecord& as_event(const tk::Record& r) { return reinterpret_cast<const tk::EventRecord&>(r); }
}  // namespace

TEST(ticks_are_read_in_order_with_their_numbers) {
    TestLog t(16);
    auto q = t.queue();
    auto& reader = q->open();
    t.tick("rb2601");
    t.tick("IF2512");
    t.event();
    t.tick("rb2601");
    const Taken got = take(reader);
    CHECK_EQ(got.state(), TK_TAKE_OK);
    REQUIRE(got.count() == 3);
    const char* ids[] = {"rb2601", "IF2512", "rb2601"};
    const std::uint64_t sequences[] = {0, 1, 3}, numbers[] = {0, 0, 1};
    for (std::uint32_t i = 0; i < 3; ++i) {
        const tk::Record& r = got.records[i];
        CHECK_EQ(r.Stamp, sequences[i] + 1);
        CHECK_EQ(r.TickNumber, i);
        CHECK_EQ(r.InstrumentNumber, numbers[i]);
        CHECK_EQ(r.Volume, static_cast<std::int32_t>(i));
        CHECK_EQ(std::string(r.InstrumentID), ids[i]);
        CHECK_EQ(r.RecvTime, 1000);
        CHECK_EQ(r.RecvMonotonic, 2000);
        CHECK_EQ(r.Kind, tk::kTick);
    }
    CHECK_EQ(got.info.received, 3u);
    CHECK_EQ(got.info.lost, 0u);
    CHECK_EQ(got.info.cursor, 4u);
    CHECK_EQ(take(reader).state(), TK_TAKE_EMPTY);
    CHECK_EQ(t.log.header->Ticks.load(), 3u);
    CHECK_EQ(t.log.header->Events.load(), 1u);
}

TEST(records_of_the_callers_making_are_read_like_ticks) {
    TestLog t(4);
    auto all = t.queue();
    auto one = t.queue({"IF2512"});
    auto skipping = t.queue({}, TK_START_NOW, false, tk::kAuction);
    for (auto* q : {&all, &one, &skipping}) (*q)->open();
    tk::Record r{};
    std::memset(static_cast<void*>(&r), 0x5A, sizeof r);
    for (std::uint32_t i = 0; i < 3; ++i) {
        std::strcpy(r.InstrumentID, i == 1 ? "IF2512" : "rb2601");
        std::strcpy(r.ExchangeID, i == 1 ? "CFFEX" : "SHFE");
        r.Flags = i == 1 ? tk::kAuction : 0;
        r.Turnover = i;
        t.writer->publish_record(reinterpret_cast<const char*>(&r), {1000, 2000});
    }
    const Taken got = take(*all->reader);
    REQUIRE(got.count() == 3);
    const std::uint64_t numbers[] = {0, 0, 1};
    const std::uint32_t indices[] = {0, 1, 0};
    for (std::uint32_t i = 0; i < 3; ++i) {
        const tk::Record& found = got.records[i];
        CHECK_EQ(found.Stamp, i + 1u);
        CHECK_EQ(found.TickNumber, i);
        CHECK_EQ(found.InstrumentNumber, numbers[i]);
        CHECK_EQ(found.Instrument, indices[i]);
        CHECK_EQ(found.RecvTime, 1000);
        CHECK_EQ(found.RecvMonotonic, 2000);
        CHECK_EQ(found.Kind, tk::kTick);
        CHECK_EQ(found.Turnover, static_cast<double>(i));
        CHECK_EQ(found.Reserved0, 0x5A);
        CHECK_EQ(found.Volume, 0x5A5A5A5A);
    }
    const Taken filtered = take(*one->reader);
    REQUIRE(filtered.count() == 1);
    CHECK_EQ(std::string(filtered.records[0].InstrumentID), "IF2512");
    CHECK_EQ(take(*skipping->reader).count(), 2u);
    tk::Record newest;
    CHECK_EQ(tk::read_latest(t.log, "rb2601", &newest), TK_OK);
    CHECK_EQ(newest.Stamp, 3u);
    // A text that fills its array is cut, not run over; a full table of instruments stops nobody.
    std::memset(r.InstrumentID, 'x', sizeof r.InstrumentID);
    std::memset(r.ExchangeID, 'y', sizeof r.ExchangeID);
    t.writer->publish_record(reinterpret_cast<const char*>(&r), {1000, 2000});
    CHECK_EQ(std::string(take(*all->reader).records[0].InstrumentID), std::string(80, 'x'));
    for (int i = 0; i < 20; ++i) {
        std::strcpy(r.InstrumentID, ("id" + std::to_string(i)).c_str());
        t.writer->publish_record(reinterpret_cast<const char*>(&r), {1000, 2000});
    }
    const Taken last = take(*all->reader);
    CHECK_EQ(last.info.received + last.info.lost, 24u);
    CHECK_EQ(last.records.back().Instrument, tk::kNoInstrument);
}

TEST(a_writer_goes_on_behind_records_of_the_callers_making) {
    TestLog t(16);
    tk::Record r{};
    std::strcpy(r.InstrumentID, "rb2601");
    t.writer->publish_record(reinterpret_cast<const char*>(&r), {1000, 2000});
    t.forget_writer();
    t.open();
    t.writer->publish_record(reinterpret_cast<const char*>(&r), {1000, 2000});
    auto q = t.queue({}, TK_START_OLDEST);
    const Taken got = take(q->open());
    REQUIRE(got.count() == 2);
    CHECK_EQ(got.records[1].InstrumentNumber, 1u);
    CHECK_EQ(got.records[1].TickNumber, 1u);
}

TEST(events_come_in_their_place_and_only_to_those_that_want_them) {
    TestLog t(16);
    auto with = t.queue({}, TK_START_NOW, true);
    auto filtered = t.queue({"rb2601"}, TK_START_NOW, true);
    auto without = t.queue();
    t.tick();
    const std::string long_text(500, 'x');
    t.event(TK_EV_ERROR, long_text.c_str());
    t.tick("IF2512");
    t.event(TK_EV_STALE, "silence");
    const Taken all = take(with->open());
    REQUIRE(all.count() == 4);
    const tk::EventRecord& e = as_event(all.records[1]);
    CHECK_EQ(e.Kind, tk::kEvent);
    CHECK_EQ(e.Code, static_cast<std::uint32_t>(TK_EV_ERROR));
    CHECK_EQ(e.Instrument, tk::kNoInstrument);
    CHECK_EQ(e.TextLength, sizeof e.Text - 1);  // cut, still terminated
    CHECK_EQ(std::strlen(e.Text), sizeof e.Text - 1);
    CHECK_EQ(e.TickNumber, 1u);
    CHECK_EQ(e.EventNumber, 0u);
    CHECK_EQ(as_event(all.records[3]).EventNumber, 1u);
    CHECK_EQ(std::string(as_event(all.records[3]).Text), "silence");
    CHECK_EQ(all.info.received, 2u);  // ticks
    CHECK_EQ(with->progress().Events, 2u);
    CHECK_EQ(take(filtered->open()).count(), 3u);
    CHECK_EQ(take(without->open()).count(), 2u);
}

TEST(take_gives_at_most_what_was_asked_for_also_into_scattered_buffers) {
    TestLog t(256);
    auto q = t.queue();
    auto& reader = q->open();
    t.ticks(200);
    std::vector<tk::Record> places(100);
    std::vector<void*> pointers;
    for (std::size_t i = 0; i < places.size(); ++i) pointers.push_back(&places[places.size() - 1 - i]);
    tk_take take_block{};
    take_block.out = pointers.data();
    take_block.max = 100;
    take_block.handed = 1;
    REQUIRE(reader.take(&take_block) == 100);
    CHECK_EQ(take_block.count, 100u);
    CHECK_EQ(take_block.used, 100u);
    CHECK_EQ(reader.take(&take_block), TK_E_ARG);  // no room is left
    for (std::uint32_t i = 0; i < 100; ++i) CHECK_EQ(places[99 - i].Stamp, i + 1);
    CHECK_EQ(take(reader, 7).records.at(6).Stamp, 107u);
    CHECK_EQ(take(reader).count(), 93u);
    tk_take none{};
    CHECK_EQ(reader.take(&none), TK_E_ARG);
}

// received + lost == written for every size of ring, every rhythm of reading and every filter, and the
// last word is right too when the lost instrument never ticks again.
TEST(received_and_lost_make_what_was_written) {
    const std::vector<std::string> ids = {"rb2601", "IF2512", "m2605", "cu2602"};
    for (const std::uint64_t capacity : {2u, 4u, 8u, 64u})
        for (std::uint64_t seed = 1; seed <= 12; ++seed) {
            check::Random random(capacity * 1000 + seed);
            TestLog t(capacity);
            struct Watched {
                std::unique_ptr<Bound> queue;
                std::vector<std::string> wants;
                bool events;
                std::uint64_t received = 0, next = 0;
            };
            std::vector<Watched> watched;
            const std::vector<std::vector<std::string>> filters = {{}, {}, {"rb2601"}, {"m2605", "IF2512"}, {"none"}, {"cu2602"}};
            for (std::size_t f = 0; f < filters.size(); ++f)
                watched.push_back({t.queue(filters[f], TK_START_NOW, f % 2 == 1), filters[f], f % 2 == 1});
            for (Watched& w : watched) w.queue->open();
            std::uint64_t written[4] = {}, events = 0;
            const auto read = [&](Watched& w, std::uint32_t max) {
                const Taken got = take(*w.queue->reader, max);
                for (const tk::Record& r : got.records) {
                    CHECK(r.Stamp > w.next);  // never back, never twice
                    w.next = r.Stamp;
                    if (r.Kind == tk::kTick) ++w.received;
                    if (r.Kind == tk::kTick && !w.wants.empty())
                        CHECK(std::find(w.wants.begin(), w.wants.end(), r.InstrumentID) != w.wants.end());
                }
                CHECK_EQ(got.info.received, w.received);
                return got;
            };
            const std::uint64_t steps = 60 + 3 * capacity;
            for (std::uint64_t step = 0; step < steps; ++step) {
                const std::uint64_t what = random.below(10);
                if (what < 7) {
                    // cu2602 stops half way: its losses have no next tick to show in
                    const std::uint64_t i = random.below(step > steps / 2 ? 3 : 4);
                    ++written[i];
                    t.tick(ids[i]);
                } else if (what == 7) {
                    ++events;
                    t.event();
                } else {
                    read(watched[random.below(watched.size())], 1 + static_cast<std::uint32_t>(random.below(5)));
                }
            }
            tk::end_log(&t.log);
            for (Watched& w : watched) {
                std::uint64_t wanted = 0;
                for (std::size_t i = 0; i < ids.size(); ++i)
                    if (w.wants.empty() || std::find(w.wants.begin(), w.wants.end(), ids[i]) != w.wants.end()) wanted += written[i];
                Taken got = read(w, 3);
                while (got.state() == TK_TAKE_OK) got = read(w, 3);
                CHECK_EQ(got.state(), TK_TAKE_ENDED);
                CHECK_EQ(got.info.received + got.info.lost, wanted);
                CHECK_EQ(w.queue->reader->waiting(), 0u);
                if (w.events) CHECK_EQ(w.queue->progress().Events + got.info.lost_events, events);
                CHECK_EQ(got.info.received, w.queue->progress().Received);
                CHECK_EQ(got.info.lost, w.queue->progress().Lost);
            }
            if (check::failures() != 0) {
                check::failed(__FILE__, __LINE__, "capacity " + std::to_string(capacity) + " seed " + std::to_string(seed));
                return;
            }
        }
}

TEST(lost_is_known_when_the_next_tick_of_the_instrument_is_read) {
    TestLog t(8);
    auto q = t.queue({"rb2601"});
    auto& reader = q->open();
    t.ticks(3, "rb2601");
    CHECK_EQ(take(reader).info.lost, 0u);
    t.ticks(20, "rb2601");
    const Taken got = take(reader, 1);
    REQUIRE(got.count() == 1);
    CHECK_EQ(got.info.lost, 20u - 7u);
    CHECK_EQ(got.records[0].InstrumentNumber, 16u);
    CHECK_EQ(reader.waiting(), 6u);
    t.ticks(30, "IF2512");  // washes the rest away; nothing of rb2601 is left to tell
    CHECK_EQ(take(reader).count(), 0u);
    tk_take counters{};
    reader.counters(&counters);
    CHECK_EQ(counters.received + counters.lost, 23u);
}

// A stale idea of Head, taken before the writer lapped the reader, must not let old places pass.
TEST(a_record_overwritten_after_head_was_looked_at_is_not_given) {
    TestLog t(4);
    auto q = t.queue();
    auto& reader = q->open();
    t.ticks(3);
    CHECK_EQ(take(reader, 1).records.at(0).Stamp, 1u);  // the reader knows of 3
    t.ticks(5);                                        // sequences 1 and 2 are gone: 8 written, 5 is the oldest
    const Taken got = take(reader, 1);
    REQUIRE(got.count() == 1);
    CHECK_EQ(got.records[0].Stamp, 6u);
    CHECK_EQ(got.info.lost, 4u);
    CHECK_EQ(got.info.cursor, 6u);
}

TEST(losses_before_a_last_event_are_counted_by_a_queue_without_events) {
    TestLog t(2);  // one record at a time
    auto q = t.queue();
    auto& reader = q->open();
    t.ticks(5);
    t.event(TK_EV_ENGINE_STOPPED);
    tk::end_log(&t.log);
    const Taken got = take(reader);
    CHECK_EQ(got.state(), TK_TAKE_ENDED);
    CHECK_EQ(got.info.received + got.info.lost, 5u);
}

TEST(ids_that_share_31_bytes_are_told_apart) {
    TestLog t(64);
    const std::string base(31, 'o'), a = base + "-C-4000", b = base + "-P-4000";
    auto qa = t.queue({a}), both = t.queue({b, a});
    auto& ra = qa->open();
    auto& rb = both->open();
    for (int i = 0; i < 5; ++i) {
        t.tick(a);
        t.tick(b);
        t.tick(base);
    }
    const Taken got = take(ra);
    REQUIRE(got.count() == 5);
    for (const tk::Record& r : got.records) CHECK_EQ(std::string(r.InstrumentID), a);
    CHECK_EQ(take(rb).count(), 10u);
    CHECK_EQ(t.log.header->InstrumentCount.load(), 3u);
}

TEST(one_id_on_two_exchanges_is_one_instrument_with_two_entries) {
    TestLog t(64);
    auto q = t.queue({"SA601"});
    auto& reader = q->open();
    t.tick("SA601", "CZCE");
    t.tick("SA601", "DCE");
    t.tick("SA601", "CZCE");
    CHECK_EQ(t.log.header->InstrumentCount.load(), 2u);
    CHECK_EQ(t.log.instruments[1].Primary, 0u);
    CHECK_EQ(t.log.instruments[0].Count.load(), 3u);
    const Taken got = take(reader);
    REQUIRE(got.count() == 3);
    for (std::uint32_t i = 0; i < 3; ++i) CHECK_EQ(got.records[i].InstrumentNumber, i);
    CHECK_EQ(std::string(got.records[1].ExchangeID), "DCE");
    tk::Record latest;
    REQUIRE(tk::read_latest(t.log, "SA601", &latest) == TK_OK);
    CHECK_EQ(latest.Stamp, 3u);
}

TEST(garbage_behind_an_ids_nul_makes_no_second_instrument) {
    TestLog t(64);
    t.tick("rb2601");
    Depth dirty("rb2601");
    std::memcpy(dirty.bytes() + dirty.layout().instrument_id + 7, "garbage", 7);
    std::memcpy(dirty.bytes() + tk::depth::kExchangeID + 5, "xyz", 3);
    t.tick(dirty);
    t.tick(Depth("rb2601", 1));  // the same instrument from an older library's struct
    t.tick(Depth("rb2601", 2));
    CHECK_EQ(t.log.header->InstrumentCount.load(), 1u);
    CHECK_EQ(t.log.instruments[0].Count.load(), 4u);
}

TEST(an_instrument_beyond_the_table_is_still_delivered_by_name) {
    TestLog t(64, 2);
    auto by_name = t.queue({"zn2601"}), all = t.queue(), other = t.queue({"rb2601"});
    auto& reader = by_name->open();
    t.tick("rb2601");
    t.tick("IF2512");
    t.tick("zn2601");
    t.tick("zn2601");
    t.tick("ni2601");
    const Taken got = take(reader);
    REQUIRE(got.count() == 2);
    CHECK_EQ(std::string(got.records[0].InstrumentID), "zn2601");
    CHECK_EQ(std::string(got.records[0].ExchangeID), "SHFE");
    CHECK_EQ(got.records[0].Instrument, tk::kNoInstrument);
    CHECK_EQ(got.records[1].TickNumber, 3u);
    CHECK_EQ(take(all->open()).count(), 5u);
    CHECK_EQ(take(other->open()).count(), 1u);
    CHECK_EQ(t.log.header->InstrumentOverflow.load(), 3u);
    CHECK_EQ(t.log.header->InstrumentCount.load(), 2u);
    tk::Record r;
    CHECK_EQ(tk::read_latest(t.log, "zn2601", &r), TK_E_NOT_FOUND);
}

TEST(the_latest_tick_stays_when_the_ring_has_passed_it) {
    TestLog t(4);
    tk::Record r;
    CHECK_EQ(tk::read_latest(t.log, "rb2601", &r), TK_E_NOT_FOUND);
    t.ticks(2, "rb2601");  // volumes 0 and 1
    for (int i = 0; i < 20; ++i) {
        REQUIRE(tk::read_latest(t.log, "rb2601", &r) == TK_OK);
        CHECK_EQ(r.Volume, 1);
        CHECK_EQ(r.Stamp, 2u);
        CHECK_EQ(std::string(r.InstrumentID), "rb2601");
        t.tick("IF2512");
    }
    t.tick("rb2601");
    REQUIRE(tk::read_latest(t.log, "rb2601", &r) == TK_OK);
    CHECK_EQ(r.Stamp, 23u);
}

TEST(read_range_gives_what_is_still_there) {
    TestLog t(8);
    std::vector<tk::Record> out(20);
    std::uint64_t first = 99;
    CHECK_EQ(tk::read_range(t.log, 0, 20, out.data(), &first), 0u);
    t.ticks(3);
    CHECK_EQ(tk::read_range(t.log, 0, 20, out.data(), &first), 3u);
    CHECK_EQ(first, 0u);
    t.ticks(17);  // head 20: 13 to 19 are there
    CHECK_EQ(tk::read_range(t.log, 0, 20, out.data(), &first), 7u);
    CHECK_EQ(first, 13u);
    for (std::uint64_t i = 0; i < 7; ++i) CHECK_EQ(out[i].Stamp, 14 + i);
    CHECK_EQ(tk::read_range(t.log, 15, 2, out.data(), &first), 2u);
    CHECK_EQ(out[0].Stamp, 16u);
    CHECK_EQ(tk::read_range(t.log, 0, 13, out.data(), &first), 0u);
    CHECK_EQ(tk::read_range(t.log, 20, 5, out.data(), &first), 0u);
    CHECK_EQ(tk::read_range(t.log, ~0ull, 5, out.data(), &first), 0u);
    CHECK_EQ(tk::read_range(t.log, 19, ~0ull, out.data(), &first), 1u);
}

TEST(a_queue_starts_now_or_at_the_oldest_or_at_a_sequence) {
    TestLog t(8);
    t.ticks(10, "rb2601");
    t.tick("IF2512");  // 11 written: 4 to 10 are there
    auto now = t.queue({"rb2601"}), oldest = t.queue({}, TK_START_OLDEST), at = t.queue({}, 7);
    auto gone = t.queue({}, 2), filtered = t.queue({"IF2512", "rb2601"}, TK_START_OLDEST);
    CHECK_EQ(take(now->open()).count(), 0u);
    Taken got = take(oldest->open());
    CHECK_EQ(got.count(), 7u);
    CHECK_EQ(got.records.at(0).Stamp, 5u);
    CHECK_EQ(got.info.lost, 0u);
    got = take(at->open());
    CHECK_EQ(got.count(), 4u);
    CHECK_EQ(got.records.at(0).Stamp, 8u);
    got = take(gone->open());
    CHECK_EQ(got.count(), 7u);
    CHECK_EQ(got.info.lost, 2u);  // 2 and 3 were asked for and are gone
    got = take(filtered->open());
    CHECK_EQ(got.count(), 7u);
    CHECK_EQ(got.info.lost, 0u);
    t.tick("rb2601");
    got = take(*now->reader);
    CHECK_EQ(got.count(), 1u);
    CHECK_EQ(got.info.lost, 0u);  // what was before the start is not lost
    auto future = t.make_queue({}, 13);
    CHECK_EQ(tk::bind_queue(&future->queue, &t.log, t.path.c_str()), TK_E_ARG);
    auto next = t.queue({}, 12);
    CHECK_EQ(take(next->open()).count(), 0u);
}

// Between fixing the cursor and looking up the numbers ticks may come: they are before the start.
TEST(ticks_before_the_start_are_dropped_and_not_lost) {
    TestLog t(16);
    t.ticks(3);
    auto q = t.queue({"rb2601"});
    auto& slot = q->slot();
    slot.Copies[0].Cursor = slot.Copies[0].BatchFirst = 1;  // as if head had been 1 when it was read
    auto& reader = q->open();
    CHECK_EQ(take(reader).count(), 0u);
    t.ticks(2);
    const Taken got = take(reader);
    CHECK_EQ(got.count(), 2u);
    CHECK_EQ(got.info.lost, 0u);
    CHECK_EQ(got.info.received, 2u);
}

// A tick whose count is already in the table while Head does not include it yet belongs to a queue that
// is bound at this moment from the oldest record on.
TEST(binding_in_the_middle_of_a_publication_misses_nothing) {
    TestLog t(16);
    t.ticks(3);
    t.log.header->Head = 2;  // as it was before the last store of the third publication
    auto all = t.queue({}, TK_START_OLDEST), filtered = t.queue({"rb2601"}, TK_START_OLDEST);
    auto late = t.queue({"rb2601"}, 2);
    t.log.header->Head = 3;
    CHECK_EQ(take(all->open()).count(), 3u);
    CHECK_EQ(take(filtered->open()).count(), 3u);
    CHECK_EQ(take(late->open()).count(), 1u);
}

TEST(a_reused_slot_wants_everything_again) {
    TestLog t(64);
    t.tick("rb2601");
    t.tick("IF2512");
    auto first = t.queue({"rb2601"}, TK_START_OLDEST);
    CHECK_EQ(take(first->open()).count(), 1u);
    CHECK_EQ(t.log.instruments[1].Want[0].load() & 1, 0u);  // declined
    CHECK_EQ(t.log.instruments[0].Want[0].load() & 1, 1u);
    first->reader->close();
    tk::retire_queue(&first->queue);
    auto second = t.queue({"IF2512"}, TK_START_OLDEST, true);
    CHECK_EQ(second->queue.header->Slot.load(), first->queue.header->Slot.load());
    CHECK_EQ(t.log.instruments[1].Want[0].load() & 1, 1u);
    CHECK_EQ(t.log.header->EventWant[0].load() & 1, 1u);
    CHECK_EQ(take(second->open()).count(), 1u);
    tk::Reader stale(&first->queue, &t.log);
    CHECK_EQ(stale.open(), TK_E_STATE);
    CHECK_EQ(tk::bind_queue(&first->queue, &t.log, t.path.c_str()), TK_E_STATE);  // closed
}

TEST(a_bound_queue_is_not_bound_twice) {
    TestLog t(16), other(16);
    auto q = t.queue();
    CHECK_EQ(tk::bind_queue(&q->queue, &t.log, t.path.c_str()), TK_E_STATE);
    CHECK_EQ(tk::bind_queue(&q->queue, &other.log, other.path.c_str()), TK_E_STATE);
    tk::end_log(&t.log);
    CHECK_EQ(tk::bind_queue(&q->queue, &other.log, other.path.c_str()), TK_OK);
    other.tick();
    q->log = &other.log;
    CHECK_EQ(take(q->open()).count(), 1u);
}

TEST(all_places_taken_is_refused_and_dead_ones_are_used_again) {
    TestLog t(4);
    std::vector<std::unique_ptr<Bound>> queues;
    for (std::uint32_t i = 0; i < tk::kMaxReaders; ++i) queues.push_back(t.queue());
    auto one_more = t.make_queue();
    CHECK_EQ(tk::bind_queue(&one_more->queue, &t.log, t.path.c_str()), TK_E_FULL);
    CHECK_EQ(tk::list_readers(t.log, nullptr, 0), tk::kMaxReaders);
    queues[77]->slot().QueueProcess = 1ull << 32 | 1;  // pid 1, but not started then: dead
    CHECK_EQ(tk::bind_queue(&one_more->queue, &t.log, t.path.c_str()), TK_OK);
    CHECK_EQ(one_more->queue.header->Slot.load(), 77u);
    tk::Reader lost_place(&queues[77]->queue, &t.log);
    CHECK_EQ(lost_place.open(), TK_E_STATE);
    t.tick();
    CHECK_EQ(take(one_more->open()).count(), 1u);
    auto& with_reader = *queues[5];
    with_reader.open();
    with_reader.slot().QueueProcess = 0;  // its maker is dead, its reader is not
    auto yet_another = t.make_queue();
    CHECK_EQ(tk::bind_queue(&yet_another->queue, &t.log, t.path.c_str()), TK_E_FULL);
}

TEST(the_list_of_readers_says_how_each_stands) {
    TestLog t(64);
    auto q = t.queue({"rb2601"}, TK_START_NOW, true);
    auto& reader = q->open();
    t.ticks(10);
    take(reader, 4, 0, false);
    *reader.handed() = 1;
    tk_reader_info info[2];
    REQUIRE(tk::list_readers(t.log, info, 2) == 1);
    CHECK_EQ(info[0].cursor, 4u);
    CHECK_EQ(info[0].received, 1u);  // given to the program
    CHECK_EQ(info[0].lag, 6u);
    CHECK_EQ(info[0].reader_pid, getpid());
    CHECK_EQ(info[0].reader_alive, 1u);
    CHECK_EQ(info[0].filters, 1u);
    CHECK_EQ(info[0].wants_events, 1u);
    CHECK_EQ(reader.waiting(), 6u);
    tk::Reader second(&q->queue, &t.log);
    CHECK_EQ(second.open(), TK_E_BUSY);
}

TEST(a_status_is_whole_or_refused) {
    TestLog t(4);
    char out[tk::kStatusSize];
    CHECK_EQ(tk::get_status(t.log, out, sizeof out), 0);
    CHECK_EQ(tk::set_status(&t.log, "{\"state\":\"live\"}", 16), TK_OK);
    CHECK_EQ(tk::get_status(t.log, out, sizeof out), 16);
    CHECK_EQ(std::string(out), "{\"state\":\"live\"}");
    const std::string longest(tk::kStatusSize - 1, 's');
    CHECK_EQ(tk::set_status(&t.log, longest.c_str(), tk::kStatusSize), TK_E_ARG);
    CHECK_EQ(tk::set_status(&t.log, longest.c_str(), tk::kStatusSize - 1), TK_OK);
    CHECK_EQ(tk::get_status(t.log, out, sizeof out), static_cast<int>(tk::kStatusSize - 1));
    t.log.header->StatusVersion.fetch_add(1);  // its writer died in the middle
    CHECK_EQ(tk::get_status(t.log, out, sizeof out), TK_E_STATE);
    CHECK_EQ(tk::set_status(&t.log, "x", 1), TK_OK);  // the next one puts it right
    CHECK_EQ(tk::get_status(t.log, out, sizeof out), 1);
}
