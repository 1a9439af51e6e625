// What a tick's fields mean: its exchange time and its flags. docs/data.md has the rules.
//
// The writer asks once per tick, before it stores the record. Each instrument keeps the stretch of time
// for which the last answer about days and sessions holds (two lines of private memory), so the common
// tick costs comparisons and one multiplication; everything else is in judge.cpp.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>

#include "calendar.hpp"
#include "layout.hpp"
#include "rules.hpp"

namespace tk {

constexpr std::int64_t kSecond = 1000000000;
constexpr std::int64_t kChina = 8 * 3600 * kSecond;  // UTC+8, no daylight saving since 1991
constexpr std::int64_t kDayLength = 86400 * kSecond;

// "09:30:00" as a little-endian word to seconds of the day, -1 if it is no time.
std::int32_t seconds_of_day(std::uint64_t text);

// The three texts of a tick, cut at their NUL, as words.
struct TickTexts {
    std::uint64_t trading, action, update;
};

struct TickFacts {
    std::int64_t recv_time;
    std::int32_t millisec, volume;
    double turnover;
    std::uint32_t entry;  // index in the instrument table
    const char* instrument_id;
    const char* exchange_id;
};

struct Verdict {
    std::int64_t time;
    std::uint32_t flags;
    bool may_repeat;  // looks like the tick before it: the writer compares them
};

// One instrument, as far as the next tick's verdict needs it.
struct TickState {
    // The answer at hand, for these days and seconds [from, from + width).
    std::uint64_t trading = 0, action = 0;
    std::int64_t day_start = 0;  // local midnight of the tick's own date, ns UTC
    std::uint32_t from = 0, width = 0;
    std::uint32_t generation = 0;
    Day key = kNoDay;  // the trading day that volume and turnover are counted in
    std::uint16_t flags = 0;
    std::uint8_t behind = 0;  // ticks in a row far behind `last`
    Exchange exchange = Exchange::kUnknown;
    const Product* product = nullptr;
    // The newest tick.
    std::int64_t last = 0;  // greatest time given out, 0 none
    std::int64_t own = 0;   // the newest tick's own time
    std::int64_t behind_time = 0;
    double turnover = 0;
    std::int32_t volume = 0;
    Day last_key = kNoDay;
    std::uint32_t login = 0;
    std::uint32_t entry = kNoInstrument;
};

class Judge {
public:
    // A front that has just accepted a login pushes what it has: those ticks are snapshots.
    void on_login() { ++login_; }
    static void on_unsubscribe(TickState& s) { s.login = 0; }
    std::uint32_t login() const { return login_; }
    // Takes the new rules and gives the old ones back, to be freed outside the writer's turn.
    void exchange_rules(std::unique_ptr<Rules>& rules) {
        rules->calendar.take_learnt(rules_->calendar);
        rules_.swap(rules);
        ++generation_;
    }

    Verdict look(TickState& s, const TickTexts& texts, const TickFacts& f) {
        if (texts.update != update_) {  // many instruments share a second
            update_ = texts.update;
            seconds_ = seconds_of_day(update_);
        }
        const auto seconds = static_cast<std::uint32_t>(seconds_);
        if (__builtin_expect(texts.trading != s.trading || texts.action != s.action || s.generation != generation_ ||
                                 seconds - s.from >= s.width, 0)) {
            if (seconds_ < 0) return without_time(s, texts, f);
            resolve(s, texts, f);
        }
        std::uint32_t flags = s.flags;
        std::int64_t ms = f.millisec;
        if (__builtin_expect(static_cast<std::uint64_t>(ms) > 999, 0)) {
            ms = 0;
            flags |= kTimeRepaired;
        }
        std::int64_t time = s.day_start + (seconds_ * std::int64_t{1000} + ms) * 1000000;
        const std::int64_t ahead = time - f.recv_time;
        if (static_cast<std::uint64_t>(ahead + kAgree) <= 2 * kAgree) {
            belief_ = kBelief;
        } else if (__builtin_expect(ahead > kAhead, 0)) {
            time = not_ahead(s, f, time, &flags);
        }
        const bool same = finish(s, f, time, s.key, &flags);
        s.own = time;
        if (__builtin_expect(time >= s.last, 1)) {
            s.last = time;
            s.behind = 0;
        } else {
            time = hold(s, f, time, &flags);
        }
        return {time, flags, same};
    }

    // The days of a record already in the log, when a writer takes the log over.
    static void remember(TickState& s, const Record& newest, std::uint32_t entry);

private:
    // A time this near to the receive time shows that the two clocks are one.
    static constexpr std::int64_t kAgree = 60 * kSecond;
    // No exchange stamps a tick this long before it arrives; a front that is not live may.
    static constexpr std::int64_t kAhead = 600 * kSecond;
    // Ticks in a row that contradict the receive clock before it is given up.
    static constexpr std::uint32_t kBelief = 64;
    // Ticks in a row, far behind the greatest time given out, that refute it.
    static constexpr std::uint8_t kRefutations = 8;

    void resolve(TickState& s, const TickTexts& texts, const TickFacts& f);
    void know_product(TickState& s, const TickFacts& f);
    Day day_of(TickState& s, Day trading, Day action, const TickFacts& f, std::uint16_t* flags);
    Verdict without_time(TickState& s, const TickTexts& texts, const TickFacts& f);
    std::int64_t not_ahead(const TickState& s, const TickFacts& f, std::int64_t time, std::uint32_t* flags);
    std::int64_t hold(TickState& s, const TickFacts& f, std::int64_t time, std::uint32_t* flags) const;

    // What does not depend on how the time was found. True if the tick may repeat the one before.
    bool finish(TickState& s, const TickFacts& f, std::int64_t own, Day key, std::uint32_t* flags) const {
        const bool same = own == s.own && f.volume == s.volume && f.entry == s.entry &&
                          std::memcmp(&f.turnover, &s.turnover, sizeof f.turnover) == 0;
        if (key == s.last_key) {
            if (f.volume < s.volume) *flags |= kVolumeDown;
            if (f.turnover < s.turnover) *flags |= kTurnoverDown;
        }
        if (s.login != login_) {
            *flags |= kSnapshot;
            s.login = login_;
        }
        s.last_key = key;
        s.volume = f.volume;
        s.turnover = f.turnover;
        s.entry = f.entry;
        return same;
    }

    std::unique_ptr<Rules> rules_ = std::make_unique<Rules>();
    std::uint64_t update_ = 0;
    std::int32_t seconds_ = -1;
    std::uint32_t generation_ = 1;  // of rules and of what feeds have taught
    std::uint32_t login_ = 1;
    std::uint32_t belief_ = kBelief;
};

}  // namespace tk
