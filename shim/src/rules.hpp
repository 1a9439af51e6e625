// What is known about products: their exchange and their hours. Data from outside (tk_writer_set_rules),
// turned into what a tick's flags are looked up in.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "calendar.hpp"
#include "tickshim.h"

namespace tk {

enum class Exchange : std::uint8_t { kUnknown, kShfe, kIne, kDce, kGfex, kCzce, kCffex };
Exchange exchange_of(const char* exchange_id);

// Parts of a local day, in seconds. An evening belongs to the next trading day, and so does what comes
// after midnight; nothing is traded around the two limits.
constexpr std::int32_t kEveningBegins = 18 * 3600, kMorningBegins = 6 * 3600, kDaySeconds = 86400;

// One stretch of a local day in which the flags are the same.
struct Phase {
    std::int32_t from, to;
    std::uint16_t flags;
};

struct Product {
    std::string letters;
    Exchange exchange = Exchange::kUnknown;
    std::vector<Phase> phases;  // in order, from 0 to 86400
    const Phase& at(std::int32_t second) const;
};

class Rules {
public:
    Calendar calendar;
    // TK_OK, or TK_E_ARG with what is wrong.
    std::int32_t set(const tk_product_rule* products, std::uint32_t count, const std::int32_t* holidays,
                     std::uint32_t holiday_count, std::int32_t first_day, std::int32_t last_day);
    // By the letters at the front of the id (of a spread's first leg), as they are written first, then
    // whatever their case. Of several products with these letters the one of `exchange`. nullptr: unknown.
    const Product* find(const char* instrument_id, Exchange exchange) const;

private:
    std::vector<Product> products_;  // sorted by letters
};

}  // namespace tk
