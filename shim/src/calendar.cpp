#include "calendar.hpp"

#include <algorithm>

namespace tk {

Day day_of_number(std::int32_t yyyymmdd) {
    if (yyyymmdd < 0) return kNoDay;
    const std::int32_t y = yyyymmdd / 10000, m = yyyymmdd / 100 % 100, d = yyyymmdd % 100;
    if (y < 1990 || y > 2099 || m < 1 || m > 12 || d < 1) return kNoDay;
    static constexpr std::int8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (d > lengths[m - 1] + (m == 2 && y % 4 == 0 ? 1 : 0)) return kNoDay;  // 2000 is a leap year
    // Years that begin in March, so that the leap day is their last; since 1968-03-01.
    const std::int32_t year = (m > 2 ? y : y - 1) - 1968, month = m > 2 ? m - 3 : m + 9;
    return year * 365 + year / 4 + (153 * month + 2) / 5 + d - 1 - 671;
}

Day day_of_text(std::uint64_t text) {
    std::int32_t number = 0;
    for (int i = 0; i < 8; ++i) {
        const auto digit = static_cast<std::int32_t>(text >> (8 * i) & 0xFF) - '0';
        if (digit < 0 || digit > 9) return kNoDay;
        number = number * 10 + digit;
    }
    return day_of_number(number);
}

void Calendar::set(std::vector<Day> holidays, Day first, Day last) {
    holidays_ = std::move(holidays);
    std::sort(holidays_.begin(), holidays_.end());
    first_ = last == kNoDay ? kNoDay : first;
    last_ = first == kNoDay ? kNoDay : last;
}

bool Calendar::trading(Day day) const {
    return !is_weekend(day) && !std::binary_search(holidays_.begin(), holidays_.end(), day);
}

const Day* Calendar::learnt(Day day) const {
    for (const Pair& p : learnt_)
        if (p.day == day) return &p.before;
    return nullptr;
}

Calendar::Found Calendar::previous(Day day) const {
    Day before = day - 1;
    while (!trading(before) && day - before < kLongestClosure) --before;
    if (covers(before) && covers(day)) return {before, true};
    if (const Day* told = learnt(day)) return {*told, true};
    return {before, false};
}

Day Calendar::next(Day day) const {
    Day after = day + 1;
    while (!trading(after) && after - day < kLongestClosure) ++after;
    return after;
}

bool Calendar::learn(Day day, Day before) {
    const Found known = previous(day);
    if ((known.sure && known.day == before) || (covers(before) && covers(day))) return false;
    if (is_weekend(day) || is_weekend(before)) return false;
    for (Pair& p : learnt_)
        if (p.day == day) return false;  // the first word stands: two feeds that disagree would flip it for ever
    learnt_[learnt_next_++ % 4] = {day, before};
    return true;
}

}  // namespace tk
