#include "judge.hpp"

namespace tk {
namespace {

// The local date of a moment.
Day date_of(std::int64_t ns_utc) {
    const std::int64_t local = ns_utc + kChina;
    return static_cast<Day>((local >= 0 ? local : local - kDayLength + 1) / kDayLength);
}

std::int64_t start_of(Day day) { return day * kDayLength - kChina; }

Day distance(Day a, Day b) { return a < b ? b - a : a - b; }

bool is_evening(std::int32_t seconds) { return seconds >= kEveningBegins; }
bool is_early(std::int32_t seconds) { return seconds < kMorningBegins; }

}  // namespace

std::int32_t seconds_of_day(std::uint64_t text) {
    const auto c = [text](int i) { return static_cast<std::int32_t>(text >> (8 * i) & 0xFF); };
    std::int32_t digits[6];
    static constexpr int places[6] = {0, 1, 3, 4, 6, 7};
    for (int i = 0; i < 6; ++i) {
        digits[i] = c(places[i]) - '0';
        if (digits[i] < 0 || digits[i] > 9) return -1;
    }
    const std::int32_t h = digits[0] * 10 + digits[1], m = digits[2] * 10 + digits[3], s = digits[4] * 10 + digits[5];
    if (c(2) != ':' || c(5) != ':' || h > 23 || m > 59 || s > 59) return -1;
    return h * 3600 + m * 60 + s;
}

void Judge::know_product(TickState& s, const TickFacts& f) {
    s.exchange = exchange_of(f.exchange_id);
    s.product = rules_->find(f.instrument_id, s.exchange);
    if (s.exchange == Exchange::kUnknown && s.product != nullptr) s.exchange = s.product->exchange;
    s.generation = generation_;
}

// The date on the tick's own clock, from two day fields that mean different things at each exchange.
Day Judge::day_of(TickState& s, Day trading, Day action, const TickFacts& f, std::uint16_t* flags) {
    const Calendar& calendar = rules_->calendar;
    const bool evening = is_evening(seconds_), night = evening || is_early(seconds_);
    // The date of a night's tick from its trading day: the evening before, or the morning after that.
    const auto in_night_of = [&](Day day) {
        const Calendar::Found before = calendar.previous(day);
        if (!before.sure) *flags |= kDayGuessed;
        return evening ? before.day : before.day + 1;
    };
    if (trading == kNoDay && action == kNoDay) {
        *flags |= kTimeRepaired | kDayGuessed;
        // Nearest to the receive time: the day in which (receive time - time of day + half a day) lies.
        return date_of(f.recv_time - seconds_ * kSecond + kDayLength / 2);
    }
    const bool action_is_date = s.exchange == Exchange::kShfe || s.exchange == Exchange::kIne || s.exchange == Exchange::kCzce;
    const bool trading_is_trading = s.exchange != Exchange::kUnknown && s.exchange != Exchange::kCzce;
    if (!night) return action != kNoDay ? action : trading;
    if (action == kNoDay) {
        if (s.exchange == Exchange::kCzce) {
            *flags |= kDayGuessed;
            return trading;
        }
        if (!trading_is_trading) *flags |= kDayGuessed;
        return in_night_of(trading);
    }
    if (trading == kNoDay) {
        if (action_is_date) return action;
        *flags |= kDayGuessed;
        return s.exchange == Exchange::kUnknown ? action : in_night_of(action);
    }
    if (action < trading) {
        if (evening && (s.exchange == Exchange::kShfe || s.exchange == Exchange::kIne) &&
            rules_->calendar.learn(trading, action))
            s.generation = ++generation_;  // what was guessed for others can be known now
        return action;
    }
    if (s.exchange == Exchange::kCzce) return action;
    if (action > trading) {
        *flags |= kDayGuessed;
        return action;
    }
    return in_night_of(trading);
}

void Judge::resolve(TickState& s, const TickTexts& texts, const TickFacts& f) {
    if (s.generation != generation_) know_product(s, f);
    s.trading = texts.trading;
    s.action = texts.action;
    std::uint16_t flags = s.product == nullptr ? kUnknownProduct : 0;
    bool lasting = true;  // the answer holds until the next phase
    Day trading = day_of_text(texts.trading), action = day_of_text(texts.action);
    if (trading != kNoDay && action != kNoDay && (trading - action > kLongestClosure || action - trading > kLongestClosure)) {
        // No closure is that long: one of them is wrong, the one farther from today.
        const Day today = date_of(f.recv_time);
        (distance(trading, today) > distance(action, today) ? trading : action) = kNoDay;
        flags |= kTimeRepaired;
        lasting = false;
    }
    lasting = lasting && (trading != kNoDay || action != kNoDay);
    const Day day = day_of(s, trading, action, f, &flags);
    s.day_start = start_of(day);
    // CZCE's evening carries the date as its trading day: it is counted in the next one.
    s.key = trading != kNoDay ? trading : day;
    if (is_evening(seconds_) && (trading == kNoDay || (s.exchange == Exchange::kCzce && trading == day)))
        s.key = rules_->calendar.next(day);

    std::int32_t from = is_evening(seconds_) ? kEveningBegins : is_early(seconds_) ? 0 : kMorningBegins;
    std::int32_t to = is_evening(seconds_) ? kDaySeconds : is_early(seconds_) ? kMorningBegins : kEveningBegins;
    if (s.product != nullptr) {
        const Phase& phase = s.product->at(seconds_);
        flags |= phase.flags;
        from = from < phase.from ? phase.from : from;
        to = to > phase.to ? phase.to : to;
    }
    s.flags = flags;
    s.from = static_cast<std::uint32_t>(from);
    s.width = lasting ? static_cast<std::uint32_t>(to - from) : 0;
}

// No UpdateTime: the tick has no place in time, but it has one among its instrument's ticks.
Verdict Judge::without_time(TickState& s, const TickTexts& texts, const TickFacts& f) {
    if (s.generation != generation_) {
        know_product(s, f);
        s.width = 0;
    }
    std::uint32_t flags = kTimeMissing;
    if (s.product == nullptr) flags |= kUnknownProduct;
    const Day key = texts.trading == s.trading ? s.last_key : day_of_text(texts.trading);
    const bool same = finish(s, f, 0, key, &flags);
    s.own = 0;
    return {0, flags, same};
}

// The day fields put the tick well behind its own arrival. On a live feed that cannot be: CZCE's last
// tick of Friday night, pushed on Monday morning with Monday's date, is Friday's. The last trading day
// (or night) that does not lie ahead is taken. A front with a clock of its own, a simulation or a
// recording, is recognised by contradicting the local clock without a break.
std::int64_t Judge::not_ahead(const TickState& s, const TickFacts& f, std::int64_t time, std::uint32_t* flags) {
    if (belief_ == 0) return time;
    if (s.login == login_ && --belief_ == 0) return time;  // a snapshot shows nothing: it may be of any day
    const Calendar& calendar = rules_->calendar;
    const std::int64_t of_day = time - s.day_start;
    Day day = date_of(f.recv_time + kAhead - of_day);
    const Day begun = is_early(seconds_) ? 1 : 0;  // after midnight it is the evening before that counts
    for (int i = 0; i < kLongestClosure && !calendar.trading(day - begun); ++i) --day;
    *flags |= kTimeRepaired | kDayGuessed;
    return start_of(day) + of_day;
}

// The tick's time is before one given out already. It takes that one, so that time never goes down;
// unless that one turns out to have been the mistake.
std::int64_t Judge::hold(TickState& s, const TickFacts& f, std::int64_t time, std::uint32_t* flags) const {
    const bool no_millisec = static_cast<std::uint32_t>(f.millisec) > 999;  // its own time is a second wide
    if (!no_millisec || time + kSecond <= s.last) *flags |= kOutOfOrder;
    bool refuted = belief_ != 0 && s.last - f.recv_time > kAhead;
    if (s.last - time > kAhead) {
        s.behind = s.behind != 0 && time < s.behind_time ? 1 : static_cast<std::uint8_t>(s.behind + 1);
        s.behind_time = time;
        refuted = refuted || s.behind >= kRefutations;
    } else {
        s.behind = 0;
    }
    if (refuted) {
        s.last = time;
        s.behind = 0;
        return time;
    }
    *flags |= kTimeRepaired;
    return s.last;
}

void Judge::remember(TickState& s, const Record& newest, std::uint32_t entry) {
    s.last = newest.ExchangeTime;
    s.own = newest.ExchangeTime;
    s.volume = newest.Volume;
    s.turnover = newest.Turnover;
    std::uint64_t trading;
    std::memcpy(&trading, newest.TradingDay, sizeof trading);
    s.last_key = day_of_text(trading);
    s.entry = entry;
}

}  // namespace tk
