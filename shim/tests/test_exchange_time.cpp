// ExchangeTime: the day by each exchange's rules, never down, never pinned. docs/data.md has the rules.
#include "market.hpp"

using namespace market;

namespace {

// One tick in a market of its own: what time does it get, and with which doubts?
void check_time(const char* id, const Fields& f, std::int64_t expected, std::uint16_t doubts = 0, bool calendar = true) {
    Market m(calendar);
    const tk::Record r = m.send(id, f);
    if (!CHECK_EQ(r.ExchangeTime, expected) || !CHECK_EQ(r.Flags & kTimeDoubts, doubts))
        check::failed(__FILE__, __LINE__, std::string(id) + " " + f.trading + " " + f.action + " " + f.time);
}

}  // namespace

TEST(civil_days_are_counted_and_false_dates_are_none) {
    CHECK_EQ(tk::day_of_number(19900101), 7305);
    CHECK_EQ(tk::day_of_number(20000229), 11016);
    CHECK_EQ(tk::day_of_number(20260105), 20458);
    CHECK_EQ(tk::day_of_number(20991231), 47481);
    for (const std::int32_t wrong : {0, -1, 19800100, 20260229, 20260431, 20261301, 20260100, 21000101, 19891231})
        CHECK_EQ(tk::day_of_number(wrong), tk::kNoDay);
    for (tk::Day d = tk::day_of_number(20240101), n = 0; n < 14; ++n) CHECK_EQ(tk::is_weekend(d + n), n % 7 >= 5);
}

// The night of Friday 12 April 2024 belongs to Monday 15 April. Each exchange fills the days differently.
TEST(a_friday_night_is_friday_night_at_every_exchange) {
    const std::int64_t evening = at(20240412, "21:30:00", 500), late = at(20240413, "01:15:00", 500);
    check_time("rb2405", {"20240415", "20240412", "21:30:00", 500}, evening);
    check_time("au2406", {"20240415", "20240413", "01:15:00", 500}, late);
    check_time("sc2406", {"20240415", "20240413", "01:15:00", 500}, late);
    check_time("m2405", {"20240415", "20240415", "21:30:00", 500}, evening);
    check_time("SR405", {"20240412", "20240412", "21:30:00", 500}, evening);
    // No night past 23:00 at DCE today; there was one to 02:30, and the rule is the same.
    check_time("m2405", {"20240415", "20240415", "01:15:00", 500}, late);
}

TEST(simnow_fills_the_days_as_shfe_does_for_every_exchange) {
    for (const char* id : {"rb2405", "sc2406", "m2405", "SR405", "zz2405"})
        check_time(id, {"20240415", "20240412", "21:30:00"}, at(20240412, "21:30:00"));
    check_time("m2405", {"20240415", "20240413", "01:15:00"}, at(20240413, "01:15:00"));
}

TEST(a_night_before_an_ordinary_day_is_the_evening_before) {
    check_time("m2405", {"20240417", "20240417", "22:59:59"}, at(20240416, "22:59:59"));
    check_time("m2405", {"20240417", "20240417", "00:30:00"}, at(20240417, "00:30:00"));
    check_time("rb2405", {"20240417", "20240416", "22:59:59"}, at(20240416, "22:59:59"));
}

TEST(a_holiday_lies_between_a_night_and_its_day) {
    // 10 June 2024 (Monday) was a holiday: Tuesday's night would be Friday's, were there one.
    check_time("m2409", {"20240611", "20240611", "21:05:00"}, at(20240607, "21:05:00"));
    check_time("m2409", {"20240611", "20240611", "01:05:00"}, at(20240608, "01:05:00"));
    // Without a calendar the weekdays are all there is to go by, and the record says so.
    check_time("m2409", {"20240611", "20240611", "21:05:00"}, at(20240610, "21:05:00"), tk::kDayGuessed, false);
    check_time("m2405", {"20240417", "20240417", "21:05:00"}, at(20240416, "21:05:00"), tk::kDayGuessed, false);
    check_time("rb2405", {"20240417", "20240416", "21:05:00"}, at(20240416, "21:05:00"), 0, false);
}

TEST(a_feed_teaches_the_trading_day_before) {
    Market m(false);
    CHECK_EQ(m.send("m2409", {"20240611", "20240611", "21:05:00"}).Flags & kTimeDoubts, tk::kDayGuessed);
    m.send("rb2410", {"20240611", "20240607", "21:05:01"});
    const tk::Record r = m.send("p2409", {"20240611", "20240611", "21:05:02", 0, "DCE"});
    CHECK_EQ(r.ExchangeTime, at(20240607, "21:05:02"));
    CHECK_EQ(r.Flags & kTimeDoubts, 0);
    m.set_rules(false);  // new tables do not undo it
    CHECK_EQ(m.send("y2409", {"20240611", "20240611", "21:05:03", 0, "DCE"}).ExchangeTime, at(20240607, "21:05:03"));
    // The instrument that had been given Monday's date is let go when eight ticks contradict it.
    tk::Record late{};
    for (int i = 0; i < 8; ++i) late = m.send("m2409", {"20240611", "20240611", "21:05:1" + std::to_string(i)});
    CHECK_EQ(late.ExchangeTime, at(20240607, "21:05:17"));
}

TEST(what_is_learnt_does_not_overrule_the_calendar) {
    Market m;
    m.send("rb2410", {"20240611", "20240606", "21:05:01"});
    CHECK_EQ(m.send("m2409", {"20240611", "20240611", "21:05:02"}).ExchangeTime, at(20240607, "21:05:02"));
}

TEST(day_hours_are_of_the_action_day) {
    for (const char* id : {"rb2405", "m2405", "SR405", "IF2404", "si2406"}) {
        check_time(id, {"20240415", "20240415", "14:59:59", 500}, at(20240415, "14:59:59", 500));
        check_time(id, {"20240415", "", "10:00:00"}, at(20240415, "10:00:00"));
        check_time(id, {"", "20240415", "10:00:00"}, at(20240415, "10:00:00"));
    }
    // SHFE's snapshot of Friday's close, pushed before Friday night.
    check_time("rb2405", {"20240415", "20240412", "15:00:00"}, at(20240412, "15:00:00"));
}

TEST(one_day_field_alone_is_read_by_the_exchanges_rule) {
    check_time("rb2405", {"", "20240412", "21:30:00"}, at(20240412, "21:30:00"));
    check_time("SR405", {"", "20240412", "21:30:00"}, at(20240412, "21:30:00"));
    check_time("m2405", {"", "20240415", "21:30:00"}, at(20240412, "21:30:00"), tk::kDayGuessed);
    check_time("rb2405", {"20240415", "", "21:30:00"}, at(20240412, "21:30:00"));
    check_time("m2405", {"20240415", "", "21:30:00"}, at(20240412, "21:30:00"));
    check_time("SR405", {"20240412", "", "21:30:00"}, at(20240412, "21:30:00"), tk::kDayGuessed);
    check_time("zz2405", {"20240415", "", "21:30:00"}, at(20240412, "21:30:00"), tk::kDayGuessed);
}

TEST(without_days_the_nearest_one_to_the_receive_time_is_taken) {
    for (const char* days : {"", "19800100", "2024-4-1", "20240230"}) {
        Market m;
        const auto send = [&](const std::string& time, std::int64_t recv) { return m.send("rb2405", {days, days, time}, recv); };
        CHECK_EQ(send("23:59:58", at(20240416, "23:59:59")).ExchangeTime, at(20240416, "23:59:58"));
        // Received just before midnight by a clock that is slow, stamped just after it.
        CHECK_EQ(send("00:00:01", at(20240416, "23:59:59", 900)).ExchangeTime, at(20240417, "00:00:01"));
        CHECK_EQ(send("00:00:02", at(20240417, "00:00:02")).ExchangeTime, at(20240417, "00:00:02"));
        CHECK_EQ(send("09:00:00", at(20240417, "09:00:01")).Flags & kTimeDoubts, tk::kTimeRepaired | tk::kDayGuessed);
    }
}

TEST(days_too_far_apart_are_not_both_believed) {
    Market m;
    const tk::Record r = m.send("rb2405", {"20240415", "20990101", "10:00:00"}, at(20240415, "10:00:00"));
    CHECK_EQ(r.ExchangeTime, at(20240415, "10:00:00"));
    CHECK_EQ(r.Flags & kTimeDoubts, tk::kTimeRepaired);
    const tk::Record s = m.send("rb2410", {"20990101", "20240415", "10:00:00"}, at(20240415, "10:00:00"));
    CHECK_EQ(s.ExchangeTime, at(20240415, "10:00:00"));
}

TEST(milliseconds_are_a_number) {
    for (const std::int32_t ms : {0, 5, 50, 500, 999}) check_time("m2405", {"20240416", "20240416", "10:00:00", ms}, at(20240416, "10:00:00", ms));
    for (const std::int32_t ms : {-1, 1000, INT32_MAX, INT32_MIN})
        check_time("m2405", {"20240416", "20240416", "10:00:00", ms}, at(20240416, "10:00:00"), tk::kTimeRepaired);
}

TEST(a_time_that_is_none_gives_none_and_touches_no_other) {
    Market m;
    CHECK_EQ(m.send("rb2405", {"20240416", "20240416", "10:00:00"}).ExchangeTime, at(20240416, "10:00:00"));
    for (const char* time : {"", "24:00:00", "10:60:00", "10:00:60", "1:00:00", "10-00-00", "garbage", "10:00:0"}) {
        const tk::Record r = m.send("rb2405", {"20240416", "20240416", time});
        CHECK_EQ(r.ExchangeTime, 0);
        CHECK_EQ(r.Flags & kTimeDoubts, tk::kTimeMissing);
    }
    const tk::Record r = m.send("rb2405", {"20240416", "20240416", "10:00:00", 500});
    CHECK_EQ(r.ExchangeTime, at(20240416, "10:00:00", 500));
    CHECK_EQ(r.Flags & kTimeDoubts, 0);
}

// ---- never down, never pinned ---------------------------------------------------------------------

TEST(time_never_goes_down_for_an_instrument) {
    Market m;
    m.send("rb2405", {"20240416", "20240416", "10:00:05"});
    const tk::Record held = m.send("rb2405", {"20240416", "20240416", "10:00:04", 500});
    CHECK_EQ(held.ExchangeTime, at(20240416, "10:00:05"));
    CHECK_EQ(held.Flags & kTimeDoubts, tk::kTimeRepaired | tk::kOutOfOrder);
    CHECK_EQ(std::string(held.UpdateTime), "10:00:04");  // the vendor's field stays
    CHECK_EQ(m.send("rb2410", {"20240416", "20240416", "10:00:04"}).ExchangeTime, at(20240416, "10:00:04"));  // another one
    const tk::Record same = m.send("rb2405", {"20240416", "20240416", "10:00:05"});
    CHECK_EQ(same.Flags & kTimeDoubts, 0);
    // Milliseconds that are none make a time a second wide: not out of order within it.
    m.send("rb2405", {"20240416", "20240416", "10:00:05", 500});
    const tk::Record wide = m.send("rb2405", {"20240416", "20240416", "10:00:05", 7000});
    CHECK_EQ(wide.ExchangeTime, at(20240416, "10:00:05", 500));
    CHECK_EQ(wide.Flags & kTimeDoubts, tk::kTimeRepaired);
}

// CZCE's last tick of Friday night, pushed on Monday morning under Monday's date.
TEST(a_live_feed_gives_no_time_from_the_future) {
    Market m;
    const tk::Record r = m.send("SR405", {"20240415", "20240415", "22:59:59"}, at(20240415, "08:55:00"));
    CHECK_EQ(r.ExchangeTime, at(20240412, "22:59:59"));
    CHECK_EQ(r.Flags & kTimeDoubts, tk::kTimeRepaired | tk::kDayGuessed);
    const tk::Record s = m.send("m2405", {"20240415", "20240415", "15:00:00"}, at(20240412, "20:55:00"));
    CHECK_EQ(s.ExchangeTime, at(20240412, "15:00:00"));
    const tk::Record open = m.send("SR405", {"20240415", "20240415", "09:00:00"}, at(20240415, "09:00:00", 100));
    CHECK_EQ(open.ExchangeTime, at(20240415, "09:00:00"));
    CHECK_EQ(open.Flags & kTimeDoubts, 0);
}

TEST(a_front_with_a_clock_of_its_own_is_believed_after_64_ticks) {
    Market m;
    const std::int64_t now = at(20240416, "09:00:00");
    const auto send = [&](int i) {
        char time[32];
        std::snprintf(time, sizeof time, "10:%02d:%02d", i / 60, i % 60);
        return m.send("rb2405", {"20240423", "20240423", time}, now);
    };
    CHECK_EQ(send(0).Flags & kTimeDoubts, tk::kTimeRepaired | tk::kDayGuessed);  // the snapshot shows nothing
    for (int i = 1; i < 64; ++i) CHECK_EQ(send(i).Flags & kTimeDoubts, tk::kTimeRepaired | tk::kDayGuessed);
    const tk::Record r = send(64);
    CHECK_EQ(r.ExchangeTime, at(20240423, "10:01:04"));
    CHECK_EQ(r.Flags & kTimeDoubts, 0);
    // And the other way: the first tick in step with the receive clock makes it the judge again.
    const tk::Record live = m.send("rb2405", {"20240416", "20240416", "09:00:00"}, now);
    CHECK_EQ(live.ExchangeTime, now);
    CHECK_EQ(live.Flags & kTimeDoubts, tk::kOutOfOrder);
}

TEST(an_absurd_time_is_let_go_when_eight_ticks_in_a_row_contradict_it) {
    Market m;
    m.send("rb2405", {"20240416", "20240416", "10:00:00"});
    CHECK_EQ(m.send("rb2405", {"20240419", "20240419", "14:59:59"}).ExchangeTime, at(20240419, "14:59:59"));
    for (int i = 1; i < 8; ++i) {
        const tk::Record held = m.send("rb2405", {"20240416", "20240416", "10:00:0" + std::to_string(i)});
        CHECK_EQ(held.ExchangeTime, at(20240419, "14:59:59"));
        CHECK_EQ(held.Flags & kTimeDoubts, tk::kTimeRepaired | tk::kOutOfOrder);
    }
    const tk::Record free = m.send("rb2405", {"20240416", "20240416", "10:00:08"});
    CHECK_EQ(free.ExchangeTime, at(20240416, "10:00:08"));
    CHECK_EQ(free.Flags & kTimeDoubts, tk::kOutOfOrder);  // the one place where time goes down, and it says so
    CHECK_EQ(m.send("rb2405", {"20240416", "20240416", "10:00:09"}).Flags & kTimeDoubts, 0);
}

TEST(ticks_that_are_a_little_late_never_set_time_back) {
    Market m;
    m.send("rb2405", {"20240416", "20240416", "10:09:59"});
    for (int i = 0; i < 30; ++i) {
        const tk::Record r = m.send("rb2405", {"20240416", "20240416", "10:00:" + std::to_string(10 + i)});
        CHECK_EQ(r.ExchangeTime, at(20240416, "10:09:59"));
    }
}

TEST(a_writer_that_takes_over_goes_on_from_the_last_times) {
    for (const bool overwritten : {false, true}) {
        Market m;
        m.send("rb2405", {"20240416", "20240416", "10:00:05", 0, "", 100, 5e6});
        for (int i = 0; overwritten && i < 100; ++i) m.send("m2405", {"20240416", "20240416", "10:00:00", i});
        m.forget_writer();
        m.open();
        m.set_rules(true);
        const tk::Record again = m.send("rb2405", {"20240416", "20240416", "10:00:05", 0, "", 100, 5e6});
        CHECK_EQ(again.Flags, tk::kSnapshot | tk::kDuplicate);
        const tk::Record earlier = m.send("rb2405", {"20240416", "20240416", "10:00:04", 0, "", 99, 5e6});
        CHECK_EQ(earlier.ExchangeTime, at(20240416, "10:00:05"));
        CHECK_EQ(earlier.Flags, tk::kTimeRepaired | tk::kOutOfOrder | tk::kVolumeDown);
    }
}
