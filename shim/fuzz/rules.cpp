// Products, hours and days without trading, as a program hands them to the writer.
#include "rules.hpp"

#include <vector>

#include "input.hpp"
#include "layout.hpp"

namespace {

using fuzz::Input;

std::int32_t second(Input* in) {
    const std::uint8_t choice = in->byte();  // mostly a time of day in steps of ten minutes
    return choice < 150 ? choice * 600 : in->number<std::int32_t>();
}

std::int32_t date(Input* in) {
    const std::uint8_t choice = in->byte();
    return choice < 200 ? 20260101 + choice % 31 : in->number<std::int32_t>();
}

void spans(Input* in, std::uint32_t* count, std::int32_t* start, std::int32_t* end, std::uint32_t room) {
    const std::uint8_t n = in->byte();
    *count = n < 240 ? n % (room + 1) : in->number<std::uint32_t>();
    for (std::uint32_t i = 0; i < room && i < *count; ++i) {
        start[i] = second(in);
        end[i] = second(in);
    }
}

void check(const tk::Product& product) {
    PROMISE(!product.phases.empty() && product.phases.front().from == 0 && product.phases.back().to == tk::kDaySeconds);
    std::int32_t end = 0;
    for (const tk::Phase& phase : product.phases) {
        PROMISE(phase.from == end && phase.to > phase.from && product.at(phase.from).to == phase.to);
        end = phase.to;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in(data, size);
    std::vector<tk_product_rule> products(in.byte() % 5);
    for (tk_product_rule& p : products) {
        p = tk_product_rule{};
        in.take(p.product_id, 1 + in.byte() % sizeof p.product_id);
        in.take(p.exchange_id, 1 + in.byte() % sizeof p.exchange_id);
        spans(&in, &p.session_count, p.session_start, p.session_end, TK_MAX_SESSIONS);
        spans(&in, &p.auction_count, p.auction_start, p.auction_end, TK_MAX_AUCTIONS);
    }
    std::vector<std::int32_t> holidays(in.byte() % 40);
    for (std::int32_t& day : holidays) day = date(&in);
    const std::int32_t first = date(&in), last = date(&in);
    tk::Rules rules;
    if (rules.set(products.data(), static_cast<std::uint32_t>(products.size()), holidays.data(),
                  static_cast<std::uint32_t>(holidays.size()), first, last) != TK_OK)
        return 0;
    for (const tk_product_rule& p : products)
        if (const tk::Product* found = rules.find(p.product_id, tk::exchange_of(p.exchange_id))) check(*found);
    char id[tk::kInstrumentIdSize];
    while (!in.empty()) {
        in.take(id, sizeof id - 1);
        id[sizeof id - 1] = '\0';
        if (const tk::Product* found = rules.find(id, tk::Exchange::kUnknown)) check(*found);
        std::uint64_t text;
        std::memcpy(&text, id, sizeof text);
        const tk::Day day = tk::day_of_text(text);
        if (day == tk::kNoDay) continue;
        const tk::Calendar::Found before = rules.calendar.previous(day);
        PROMISE(before.day < day && before.day >= day - tk::kLongestClosure - 1);
        const tk::Day after = rules.calendar.next(day);
        PROMISE(after > day && after <= day + tk::kLongestClosure + 1);
        rules.calendar.learn(day, before.day);
        rules.calendar.learn(after, day);
    }
    return 0;
}
