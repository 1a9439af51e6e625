#include "rules.hpp"

#include <algorithm>
#include <cstring>

#include "errors.hpp"
#include "layout.hpp"

namespace tk {
namespace {

struct Name {
    const char* text;
    Exchange exchange;
};
constexpr Name kNames[] = {{"SHFE", Exchange::kShfe}, {"INE", Exchange::kIne},   {"DCE", Exchange::kDce},
                           {"GFEX", Exchange::kGfex}, {"CZCE", Exchange::kCzce}, {"CFFEX", Exchange::kCffex}};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The product's letters: "rb2601" rb, "m2601-C-3000" m, "SPD SR601&SR605" SR. Behind the letters a digit
// must follow. False: none.
bool letters_of(const char* id, std::string* out) {
    if (const char* blank = std::strrchr(id, ' ')) id = blank + 1;  // "SP ", "SPD ", "SPC ", "IPS " of spreads
    const char* end = id;
    while (is_letter(*end)) ++end;
    if (end == id || *end < '0' || *end > '9') return false;
    out->assign(id, end);
    return true;
}

// Which flags a second of the day has. The second in which a session ends still belongs to it: the tick
// with its last trades is stamped 15:00:00 or 15:00:00.500.
std::uint16_t flags_at(const tk_product_rule& p, std::int32_t second) {
    bool night_to_come = false, night = false;
    std::int32_t first = kDaySeconds, last = 0;
    for (std::uint32_t i = 0; i < p.session_count; ++i) {
        const std::int32_t start = p.session_start[i], end = p.session_end[i];
        if (second >= start && second <= end && second < kDaySeconds) return 0;
        if (start >= kEveningBegins) {
            night = true;
            night_to_come = night_to_come || start > second;
        } else if (start >= kMorningBegins) {
            first = std::min(first, start);
            last = std::max(last, end);
        }
    }
    for (std::uint32_t i = 0; i < p.auction_count; ++i)
        if (second >= p.auction_start[i] && second < p.auction_end[i]) return kAuction;
    if (second >= kEveningBegins) return night && !night_to_come ? kOutOfSession : kBeforeOpen;
    if (second < kMorningBegins) return night ? kOutOfSession : kBeforeOpen;
    if (second < first) return kBeforeOpen;
    return second > last ? kAfterClose : kOutOfSession;
}

std::vector<Phase> phases_of(const tk_product_rule& p) {
    if (p.session_count == 0) return {{0, kDaySeconds, 0}};  // hours not known: nothing is said
    std::vector<std::int32_t> cuts = {0, kMorningBegins, kEveningBegins, kDaySeconds};
    for (std::uint32_t i = 0; i < p.session_count; ++i) {
        cuts.push_back(p.session_start[i]);
        cuts.push_back(std::min(p.session_end[i] + 1, kDaySeconds));
    }
    for (std::uint32_t i = 0; i < p.auction_count; ++i) {
        cuts.push_back(p.auction_start[i]);
        cuts.push_back(p.auction_end[i]);
    }
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    std::vector<Phase> phases;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
        const std::uint16_t flags = flags_at(p, cuts[i]);
        if (!phases.empty() && phases.back().flags == flags) {
            phases.back().to = cuts[i + 1];
        } else {
            phases.push_back({cuts[i], cuts[i + 1], flags});
        }
    }
    return phases;
}

bool spans_ok(const std::int32_t* start, const std::int32_t* end, std::uint32_t count, std::uint32_t room) {
    if (count > room) return false;
    for (std::uint32_t i = 0; i < count; ++i)
        if (start[i] < 0 || start[i] >= end[i] || end[i] > kDaySeconds) return false;
    return true;
}

}  // namespace

Exchange exchange_of(const char* exchange_id) {
    for (const Name& n : kNames)
        if (std::strcmp(n.text, exchange_id) == 0) return n.exchange;
    return Exchange::kUnknown;
}

const Phase& Product::at(std::int32_t second) const {
    std::size_t i = 0;
    while (i + 1 < phases.size() && second >= phases[i].to) ++i;
    return phases[i];
}

std::int32_t Rules::set(const tk_product_rule* products, std::uint32_t count, const std::int32_t* holidays,
                        std::uint32_t holiday_count, std::int32_t first_day, std::int32_t last_day) {
    for (std::uint32_t i = 0; i < count; ++i) {
        const tk_product_rule& p = products[i];
        if (memchr(p.product_id, 0, sizeof p.product_id) == nullptr || p.product_id[0] == '\0' ||
            memchr(p.exchange_id, 0, sizeof p.exchange_id) == nullptr)
            return fail(TK_E_ARG, "product rule %u has no product or exchange id", i);
        if (!spans_ok(p.session_start, p.session_end, p.session_count, TK_MAX_SESSIONS) ||
            !spans_ok(p.auction_start, p.auction_end, p.auction_count, TK_MAX_AUCTIONS))
            return fail(TK_E_ARG, "product '%s': hours must be at most %d sessions and %d auctions within one day",
                        p.product_id, TK_MAX_SESSIONS, TK_MAX_AUCTIONS);
        products_.push_back({p.product_id, exchange_of(p.exchange_id), phases_of(p)});
    }
    std::stable_sort(products_.begin(), products_.end(),
                     [](const Product& a, const Product& b) { return a.letters < b.letters; });
    std::vector<Day> days;
    for (std::uint32_t i = 0; i < holiday_count; ++i) {
        days.push_back(day_of_number(holidays[i]));
        if (days.back() == kNoDay) return fail(TK_E_ARG, "holiday %d is not a date (YYYYMMDD)", holidays[i]);
    }
    const Day first = day_of_number(first_day), last = day_of_number(last_day);
    if ((first_day != 0 && first == kNoDay) || (last_day != 0 && last == kNoDay))
        return fail(TK_E_ARG, "the calendar covers %d to %d, which are not two dates (YYYYMMDD)", first_day, last_day);
    calendar.set(std::move(days), first, last);
    return TK_OK;
}

const Product* Rules::find(const char* instrument_id, Exchange exchange) const {
    std::string letters;
    if (!letters_of(instrument_id, &letters)) return nullptr;
    const auto less = [](const Product& p, const std::string& l) { return p.letters < l; };
    const auto first = std::lower_bound(products_.begin(), products_.end(), letters, less);
    const Product* found = nullptr;
    for (auto p = first; p != products_.end() && p->letters == letters; ++p)
        if (found == nullptr || (p->exchange == exchange && found->exchange != exchange)) found = &*p;
    if (found != nullptr) return found;
    for (const Product& p : products_) {
        if (strcasecmp(p.letters.c_str(), letters.c_str()) != 0) continue;
        if (found == nullptr || (p.exchange == exchange && found->exchange != exchange)) found = &p;
    }
    return found;
}

}  // namespace tk
