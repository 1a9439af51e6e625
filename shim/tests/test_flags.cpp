// Flags: what a tick says of itself besides its time, and queues that pass over ticks by them.
#include "market.hpp"

using namespace market;

namespace {

std::uint16_t hours_of(const char* id, const std::string& time, std::int32_t ms = 0) {
    Market m;
    return m.send(id, {"20240416", "20240416", time, ms}).Flags & kHours;
}

}  // namespace

TEST(every_part_of_the_day_has_its_flag) {
    struct Case {
        const char* id;
        const char* time;
        std::uint16_t flags;
    };
    const Case cases[] = {
        {"rb2405", "18:00:00", tk::kBeforeOpen},   {"rb2405", "20:54:59", tk::kBeforeOpen},
        {"rb2405", "20:55:00", tk::kAuction},      {"rb2405", "20:59:59", tk::kAuction},
        {"rb2405", "21:00:00", 0},                 {"rb2405", "22:59:59", 0},
        {"rb2405", "23:00:00", 0},                 {"rb2405", "23:00:01", tk::kOutOfSession},
        {"rb2405", "03:00:00", tk::kOutOfSession}, {"rb2405", "08:00:00", tk::kBeforeOpen},
        {"rb2405", "08:55:00", tk::kAuction},      {"rb2405", "09:00:00", 0},
        {"rb2405", "10:14:59", 0},                 {"rb2405", "10:15:00", 0},
        {"rb2405", "10:15:01", tk::kOutOfSession}, {"rb2405", "10:29:59", tk::kOutOfSession},
        {"rb2405", "10:30:00", 0},                 {"rb2405", "11:30:00", 0},
        {"rb2405", "11:30:01", tk::kOutOfSession}, {"rb2405", "13:29:59", tk::kOutOfSession},
        {"rb2405", "15:00:00", 0},                 {"rb2405", "15:00:01", tk::kAfterClose},
        {"rb2405", "17:30:00", tk::kAfterClose},   {"au2406", "23:59:59", 0},
        {"au2406", "00:00:00", 0},                 {"au2406", "02:30:00", 0},
        {"au2406", "02:30:01", tk::kOutOfSession}, {"lh2405", "20:59:00", tk::kBeforeOpen},
        {"lh2405", "01:00:00", tk::kBeforeOpen},   {"IF2404", "09:29:00", tk::kAuction},
        {"IF2404", "09:24:00", tk::kBeforeOpen},   {"IF2404", "12:00:00", tk::kOutOfSession},
        {"IF2404", "15:00:01", tk::kAfterClose},
    };
    for (const Case& c : cases)
        if (!CHECK_EQ(hours_of(c.id, c.time), c.flags)) check::failed(__FILE__, __LINE__, std::string(c.id) + " " + c.time);
    CHECK_EQ(hours_of("rb2405", "15:00:00", 999), 0);  // all of the closing second
}

TEST(one_instrument_walks_through_its_day) {
    Market m;
    std::uint16_t seen = 0;
    for (int minute = 9 * 60 - 10; minute < 15 * 60 + 10; ++minute) {
        char time[32];
        std::snprintf(time, sizeof time, "%02d:%02d:30", minute / 60, minute % 60);
        const std::uint16_t flags = m.send("rb2405", {"20240416", "20240416", time}).Flags & kHours;
        CHECK_EQ(flags, hours_of("rb2405", time));  // the answer kept at hand is the fresh one
        seen |= flags;
    }
    CHECK_EQ(seen, kHours);
}

TEST(products_are_found_by_their_letters) {
    Market m;
    for (const char* id : {"rb2405", "rb2405C3600", "m2405-C-3000", "m2409-MS-P-3050", "SR405C6300", "SP rb2405&rb2410",
                           "SPD SR405&SR409", "SPC m2405&lh2405", "IF2404", "RB2405", "sr405"})
        CHECK_EQ(m.send(id, {"20240416", "20240416"}).Flags & tk::kUnknownProduct, 0);
    for (const char* id : {"zz2405", "r2405", "rbb2405", "2405", "rb", "", " ", "rb-2405", "SPD "})
        CHECK_EQ(m.send(id, {"20240416", "20240416"}).Flags & tk::kUnknownProduct, tk::kUnknownProduct);
}

TEST(one_name_at_two_exchanges_is_told_apart_by_the_ticks_exchange) {
    Market m;
    auto rules = std::make_unique<tk::Rules>();
    const tk_product_rule two[] = {rule("xy", "DCE", {{{900, 1000}}, {}}), rule("xy", "SHFE", {{{900, 1200}}, {}}),
                                   rule("XY", "CZCE", {{{900, 1300}}, {}})};
    TestLog::ok(rules->set(two, 3, nullptr, 0, 0, 0), "set");
    m.writer->set_rules(std::move(rules));
    const auto at_eleven = [&](const char* id, const char* exchange) {
        return m.send(id, {"20240416", "20240416", "11:00:00", 0, exchange}).Flags & kHours;
    };
    CHECK_EQ(at_eleven("xy2401", "SHFE"), 0);
    CHECK_EQ(at_eleven("xy2402", "DCE"), tk::kAfterClose);
    CHECK_EQ(at_eleven("xy2403", ""), tk::kAfterClose);
    CHECK_EQ(at_eleven("XY404", ""), 0);
}

TEST(new_rules_hold_from_the_next_tick) {
    Market m;
    CHECK_EQ(m.send("rb2405", {"20240416", "20240416", "10:20:00"}).Flags & kHours, tk::kOutOfSession);
    auto rules = std::make_unique<tk::Rules>();
    const tk_product_rule all_day = rule("rb", "SHFE", {{{900, 1500}}, {}});
    TestLog::ok(rules->set(&all_day, 1, nullptr, 0, 0, 0), "set");
    m.writer->set_rules(std::move(rules));
    CHECK_EQ(m.send("rb2405", {"20240416", "20240416", "10:20:01"}).Flags, 0);
    CHECK_EQ(m.send("m2405", {"20240416", "20240416", "10:20:01"}).Flags, tk::kSnapshot | tk::kUnknownProduct);
}

TEST(rules_that_make_no_sense_are_refused) {
    tk::Rules rules;
    tk_product_rule r = rule("rb", "SHFE", {{{900, 1500}}, {}});
    r.session_end[0] = 86401;
    CHECK_EQ(rules.set(&r, 1, nullptr, 0, 0, 0), TK_E_ARG);
    r = rule("rb", "SHFE", {{{1500, 900}}, {}});
    CHECK_EQ(rules.set(&r, 1, nullptr, 0, 0, 0), TK_E_ARG);
    r = rule("rb", "SHFE", {{{900, 1500}}, {}});
    r.session_count = 9;
    CHECK_EQ(rules.set(&r, 1, nullptr, 0, 0, 0), TK_E_ARG);
    r = rule("", "SHFE", {{{900, 1500}}, {}});
    CHECK_EQ(rules.set(&r, 1, nullptr, 0, 0, 0), TK_E_ARG);
    const std::int32_t no_date = 20260230;
    CHECK_EQ(rules.set(nullptr, 0, &no_date, 1, 0, 0), TK_E_ARG);
    CHECK_EQ(rules.set(nullptr, 0, nullptr, 0, 20260000, 20261231), TK_E_ARG);
}

TEST(the_first_tick_after_a_login_or_a_subscription_is_a_snapshot) {
    Market m;
    const auto snapshot = [&](const char* id, int second) {
        return (m.send(id, {"20240416", "20240416", "10:00:0" + std::to_string(second)}).Flags & tk::kSnapshot) != 0;
    };
    CHECK(snapshot("rb2405", 0) && !snapshot("rb2405", 1) && snapshot("m2405", 1));
    m.event(TK_EV_FRONT_DISCONNECTED);
    CHECK(!snapshot("rb2405", 2));
    m.event(TK_EV_LOGGED_IN, "20240416");
    CHECK(snapshot("rb2405", 3) && snapshot("m2405", 3) && !snapshot("rb2405", 4));
    m.event(TK_EV_UNSUBSCRIBED, "rb2405");
    m.event(TK_EV_UNSUBSCRIBED, "never-seen");
    CHECK(snapshot("rb2405", 5) && !snapshot("m2405", 5) && !snapshot("rb2405", 6));
}

TEST(a_duplicate_is_the_same_in_every_field_but_the_engines_own) {
    Market m;
    Depth d = Market::depth("rb2405", {"20240416", "20240416", "10:00:00", 0, "", 5, 100.0});
    CHECK_EQ(m.send(d).Flags, tk::kSnapshot);
    CHECK_EQ(m.send(d, at(20240416, "10:00:01")).Flags, tk::kDuplicate);
    // Any single change makes it a tick of its own.
    for (const std::uint32_t offset : {tk::depth::kLastPrice, tk::depth::kSettlementPrice, tk::depth::kLevels + 4 * tk::depth::kLevelSize,
                                       tk::depth::kAveragePrice, tk::depth::kOpenInterest, tk::depth::kCurrDelta}) {
        d.put(offset, 1.5);
        CHECK_EQ(m.send(d).Flags, 0);
        CHECK_EQ(m.send(d).Flags, tk::kDuplicate);
    }
    d.put(tk::depth::kLevels + tk::depth::kBidVolume, 7);
    CHECK_EQ(m.send(d).Flags, 0);
    d.put(tk::depth::kUpdateMillisec, 500);
    CHECK_EQ(m.send(d).Flags, 0);
    // Long ago, in the saved table by now.
    for (int i = 0; i < 200; ++i) m.send("m2405", {"20240416", "20240416", "10:00:00", i});
    CHECK_EQ(m.send(d).Flags, tk::kDuplicate);
    // Under another ExchangeInstID it is another entry's tick.
    d.text(d.layout().exchange_inst_id, d.layout().exchange_inst_id_size, "other");
    CHECK_EQ(m.send(d).Flags, 0);
}

TEST(a_duplicate_of_a_tick_whose_time_was_held_is_one_too) {
    Market m;
    m.send("rb2405", {"20240416", "20240416", "10:00:05"});
    m.send("rb2405", {"20240416", "20240416", "10:00:04"});
    CHECK_EQ(m.send("rb2405", {"20240416", "20240416", "10:00:04"}).Flags, tk::kTimeRepaired | tk::kOutOfOrder | tk::kDuplicate);
}

TEST(volume_and_turnover_are_compared_within_their_trading_day) {
    Market m;
    const auto flags = [&](const char* id, const char* trading, const char* action, const char* time, std::int32_t volume, double turnover) {
        return m.send(id, {trading, action, time, 0, "", volume, turnover}).Flags & (tk::kVolumeDown | tk::kTurnoverDown);
    };
    CHECK_EQ(flags("rb2405", "20240415", "20240415", "14:59:00", 100, 1000.0), 0);
    CHECK_EQ(flags("rb2405", "20240415", "20240415", "14:59:01", 99, 1000.0), tk::kVolumeDown);
    CHECK_EQ(flags("rb2405", "20240415", "20240415", "14:59:02", 99, 999.5), tk::kTurnoverDown);
    CHECK_EQ(flags("rb2405", "20240415", "20240415", "14:59:03", 98, 999.0), tk::kVolumeDown | tk::kTurnoverDown);
    CHECK_EQ(flags("rb2405", "20240416", "20240415", "21:00:00", 0, 0.0), 0);  // a new trading day
    CHECK_EQ(flags("rb2405", "20240416", "20240416", "09:00:00", 5, 50.0), 0);
    CHECK_EQ(flags("rb2405", "20240416", "20240416", "09:00:01", 4, 50.0), tk::kVolumeDown);
    // CZCE: Monday's day and Monday's night have the same TradingDay, and the night begins at 0.
    CHECK_EQ(flags("SR405", "20240415", "20240415", "14:59:00", 100, 1000.0), 0);
    CHECK_EQ(flags("SR405", "20240415", "20240415", "21:00:00", 1, 10.0), 0);
    CHECK_EQ(flags("SR405", "20240415", "20240415", "21:00:01", 0, 10.0), tk::kVolumeDown);
    CHECK_EQ(flags("SR405", "20240416", "20240416", "09:00:00", 0, 9.0), tk::kTurnoverDown);  // goes on in the morning
    // No turnover is none, not less.
    CHECK_EQ(flags("rb2405", "20240416", "20240416", "09:00:02", 4, 1.7976931348623157e308), 0);
}

TEST(an_instrument_beyond_the_table_still_has_its_hours) {
    Market m;
    for (int i = 0; i < 20; ++i) m.send("m24" + std::to_string(10 + i), {"20240416", "20240416"});
    const tk::Record r = m.send("rb2405", {"20240416", "20240416", "10:20:00"});
    CHECK_EQ(r.Instrument, tk::kNoInstrument);
    CHECK_EQ(r.Flags, tk::kOutOfSession);
    CHECK_EQ(r.ExchangeTime, at(20240416, "10:20:00"));
}
