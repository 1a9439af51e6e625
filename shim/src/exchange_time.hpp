// ExchangeTime: ActionDay (TradingDay where it is missing) and UpdateTime, read as China Standard
// Time (UTC+8, no daylight saving since 1991), in nanoseconds of UTC. 0 when they do not parse.
#pragma once

#include <cstdint>

namespace tk {

class ExchangeClock {
public:
    // Texts as little-endian words: "20260102", "09:30:00".
    std::int64_t at(std::uint64_t trading_day, std::uint64_t action_day, std::uint64_t update_time,
                    std::int32_t millisec) {
        std::uint64_t day = action_day;
        if (day == 0) day = trading_day;
        if (day != last_day_) {  // changes twice a day
            last_day_ = day;
            last_day_start_ = day_start(day);
        }
        const std::int64_t seconds = seconds_of_day(update_time);
        if (last_day_start_ == 0 || seconds < 0) return 0;
        const std::int64_t ms = millisec >= 0 && millisec < 1000 ? millisec : 0;
        return last_day_start_ + (seconds * 1000 + ms) * 1000000;
    }

    static std::int64_t day_start(std::uint64_t text) {
        std::int64_t digits[8];
        for (int i = 0; i < 8; ++i) {
            digits[i] = static_cast<std::int64_t>(text >> (8 * i) & 0xFF) - '0';
            if (digits[i] < 0 || digits[i] > 9) return 0;
        }
        const std::int64_t y = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3];
        const std::int64_t m = digits[4] * 10 + digits[5], d = digits[6] * 10 + digits[7];
        if (y < 1970 || m < 1 || m > 12 || d < 1 || d > 31) return 0;
        // Days from the civil date, with years that begin in March so that the leap day is the last.
        const std::int64_t yy = m <= 2 ? y - 1 : y;
        const std::int64_t era = yy / 400, year = yy - era * 400;
        const std::int64_t day_of_year = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
        const std::int64_t days = era * 146097 + year * 365 + year / 4 - year / 100 + day_of_year - 719468;
        return (days * 86400 - 8 * 3600) * 1000000000;
    }

    static std::int64_t seconds_of_day(std::uint64_t text) {
        const auto c = [text](int i) { return static_cast<std::int64_t>(text >> (8 * i) & 0xFF); };
        const auto digit = [&c](int i) { return c(i) - '0'; };
        const std::int64_t bad = (digit(0) | digit(1) | digit(3) | digit(4) | digit(6) | digit(7)) & ~15;
        if (bad != 0 || c(2) != ':' || c(5) != ':') return -1;
        const std::int64_t h = digit(0) * 10 + digit(1), m = digit(3) * 10 + digit(4),
                           s = digit(6) * 10 + digit(7);
        if (h > 23 || m > 59 || s > 59) return -1;
        return h * 3600 + m * 60 + s;
    }

private:
    std::uint64_t last_day_ = 0;
    std::int64_t last_day_start_ = 0;
};

}  // namespace tk
