// Ticks with days and times, published under product rules and a calendar: for the tests of what a
// tick's fields mean.
#pragma once

#include <string>
#include <vector>

#include "fixture.hpp"
#include "judge.hpp"

namespace market {

using namespace fixture;

inline std::int64_t at(std::int32_t day, const std::string& time, std::int64_t ms = 0) {
    const int h = std::stoi(time.substr(0, 2)), m = std::stoi(time.substr(3, 2)), s = std::stoi(time.substr(6, 2));
    return tk::day_of_number(day) * tk::kDayLength - tk::kChina + (h * 3600 + m * 60 + s) * tk::kSecond + ms * 1000000;
}

struct Hours {
    std::vector<std::pair<int, int>> sessions, auctions;  // HHMM
};

inline std::int32_t seconds(int hhmm) { return hhmm / 100 * 3600 + hhmm % 100 * 60; }

inline tk_product_rule rule(const char* product, const char* exchange, const Hours& hours) {
    tk_product_rule r{};
    std::strcpy(r.product_id, product);
    std::strcpy(r.exchange_id, exchange);
    for (const auto& [start, end] : hours.sessions) {
        r.session_start[r.session_count] = seconds(start);
        r.session_end[r.session_count++] = seconds(end);
    }
    for (const auto& [start, end] : hours.auctions) {
        r.auction_start[r.auction_count] = seconds(start);
        r.auction_end[r.auction_count++] = seconds(end);
    }
    return r;
}

inline std::vector<tk_product_rule> products() {
    const std::vector<std::pair<int, int>> day = {{900, 1015}, {1030, 1130}, {1330, 1500}};
    const auto with_night = [&day](int end) {
        Hours h{day, {{2055, 2100}, {855, 900}}};
        h.sessions.insert(h.sessions.begin(), {2100, end > 2100 ? end : 2400});
        if (end < 2100) h.sessions.insert(h.sessions.begin() + 1, {0, end});
        return h;
    };
    return {rule("rb", "SHFE", with_night(2300)), rule("au", "SHFE", with_night(230)), rule("sc", "INE", with_night(230)),
            rule("m", "DCE", with_night(2300)),   rule("lh", "DCE", {day, {{855, 900}}}), rule("si", "GFEX", {day, {{855, 900}}}),
            rule("SR", "CZCE", with_night(2300)), rule("IF", "CFFEX", {{{930, 1130}, {1300, 1500}}, {{925, 930}}})};
}

// The weekdays of 2024 without trading.
inline std::vector<std::int32_t> holidays_2024() {
    return {20240101, 20240209, 20240212, 20240213, 20240214, 20240215, 20240216, 20240404, 20240405, 20240501, 20240502,
            20240503, 20240610, 20240916, 20240917, 20241001, 20241002, 20241003, 20241004, 20241007};
}

struct Fields {
    std::string trading, action, time = "10:00:00";
    std::int32_t millisec = 0;
    std::string exchange = "";  // a depth tick's ExchangeID is often empty
    std::int32_t volume = 0;
    double turnover = 0;
};

class Market : public TestLog {
public:
    explicit Market(bool calendar = true) : TestLog(64) { set_rules(calendar); }
    void set_rules(bool calendar) {
        auto rules = std::make_unique<tk::Rules>();
        const auto p = products();
        const auto h = holidays_2024();
        ok(calendar ? rules->set(p.data(), static_cast<std::uint32_t>(p.size()), h.data(), static_cast<std::uint32_t>(h.size()),
                                 20240101, 20241231)
                    : rules->set(p.data(), static_cast<std::uint32_t>(p.size()), nullptr, 0, 0, 0),
           "Rules::set");
        writer->set_rules(std::move(rules));
    }
    static Depth depth(const std::string& id, const Fields& f) {
        Depth d(id, 3, f.exchange);
        d.text(tk::depth::kTradingDay, 9, f.trading).text(tk::depth::kActionDay, 9, f.action);
        d.text(tk::depth::kUpdateTime, 9, f.time).put(tk::depth::kUpdateMillisec, f.millisec);
        return d.put(tk::depth::kTurnover, f.turnover).volume(f.volume);
    }
    // Publishes it as received at `recv` (0: long after, as a recording is) and returns the record.
    tk::Record send(const std::string& id, const Fields& f, std::int64_t recv = 0) { return send(depth(id, f), recv); }
    tk::Record send(const Depth& d, std::int64_t recv = 0) {
        writer->publish_tick(d.layout(), d.bytes(), {recv == 0 ? at(20300101, "00:00:00") : recv, 1});
        tk::Record r;
        tk::copy_from_shared(&r, log.slot(head() - 1), tk::kRecordWords);
        return r;
    }
};

constexpr std::uint16_t kHours = tk::kBeforeOpen | tk::kAuction | tk::kOutOfSession | tk::kAfterClose;
constexpr std::uint16_t kTimeDoubts = tk::kTimeRepaired | tk::kTimeMissing | tk::kDayGuessed | tk::kOutOfOrder;

}  // namespace market
