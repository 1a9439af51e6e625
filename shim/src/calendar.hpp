// Civil days and trading days: what lies before and after a trading day.
#pragma once

#include <cstdint>
#include <vector>

namespace tk {

using Day = std::int32_t;  // civil days since 1970-01-01
constexpr Day kNoDay = INT32_MIN;

// "20260102" as a little-endian word, or the number 20260102. kNoDay unless it is a date of 1990 to 2099:
// the vendor's "19800100" before a login is none.
Day day_of_text(std::uint64_t text);
Day day_of_number(std::int32_t yyyymmdd);
inline bool is_weekend(Day day) { return (day + 3) % 7 >= 5; }  // 1970-01-01 was a Thursday

// Longer than any closure of the exchanges (11 days over the Spring Festival of 2020).
constexpr Day kLongestClosure = 15;

class Calendar {
public:
    // Weekdays without trading, and the days for which the list is complete (kNoDay: none).
    void set(std::vector<Day> holidays, Day first, Day last);
    // The trading day before `day`. sure: the list covers it or a feed has said so; else weekdays are all
    // there is to go by.
    struct Found {
        Day day;
        bool sure;
    };
    Found previous(Day day) const;
    Day next(Day day) const;
    bool trading(Day day) const;
    // A feed has shown that `before` precedes `day`. True if that is news worth keeping.
    bool learn(Day day, Day before);
    // What another calendar has learnt, for its successor.
    void take_learnt(const Calendar& other) {
        for (int i = 0; i < 4; ++i) learnt_[i] = other.learnt_[i];
        learnt_next_ = other.learnt_next_;
    }

private:
    bool covers(Day day) const { return day >= first_ && day <= last_; }
    const Day* learnt(Day day) const;

    std::vector<Day> holidays_;  // sorted
    Day first_ = kNoDay, last_ = kNoDay;
    struct Pair {
        Day day = kNoDay, before = kNoDay;
    };
    Pair learnt_[4];  // the last few: a feed is never more than two trading days wide
    unsigned learnt_next_ = 0;
};

}  // namespace tk
