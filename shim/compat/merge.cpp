#include "merge.hpp"

#include <algorithm>
#include <cmath>

namespace compat {

namespace {

// Far more than any exchange lists. The bound is there because the peer chooses the ids: an instrument
// beyond it is delivered but not remembered.
constexpr std::size_t kMaxInstruments = 65536;
constexpr std::size_t kInstrumentOffset = 9;
constexpr std::size_t kExchangeInstIdOffset = 49;
// An id is compared up to its NUL, and never by its 31st byte, which is not kept.
constexpr std::size_t kKeySize = kWireIdSize - 1;
constexpr std::uint16_t kUpdateTimeField = 0x2439;

enum class Kind : std::uint8_t { kText, kPrice, kNumber };

struct Member {
    std::uint16_t field;
    std::uint16_t from;  // offset in the field
    std::uint16_t to;    // offset in the full tick, see convert.cpp
    Kind kind;
    std::uint8_t text_size;
};

constexpr Member price(std::uint16_t field, std::uint16_t from, std::uint16_t to) {
    return {field, from, to, Kind::kPrice, 0};
}
constexpr Member number(std::uint16_t field, std::uint16_t from, std::uint16_t to) {
    return {field, from, to, Kind::kNumber, 0};
}
constexpr Member text(std::uint16_t field, std::uint16_t from, std::uint16_t to, std::uint8_t size) {
    return {field, from, to, Kind::kText, size};
}

constexpr Member kMembers[] = {
    // TradingDay, PreSettlementPrice, PreClosePrice, PreOpenInterest, PreDelta
    text(0x2431, 0, 0, 9), price(0x2431, 9, 88), price(0x2431, 17, 96), price(0x2431, 25, 104), price(0x2431, 33, 188),
    // Open, Highest, Lowest, Close, UpperLimit, LowerLimit, Settlement, CurrDelta
    price(0x2432, 0, 112), price(0x2432, 8, 120), price(0x2432, 16, 128), price(0x2432, 24, 156),
    price(0x2432, 32, 172), price(0x2432, 40, 180), price(0x2432, 48, 164), price(0x2432, 56, 196),
    // LastPrice, Volume, Turnover, OpenInterest
    price(0x2433, 0, 80), number(0x2433, 8, 136), price(0x2433, 12, 140), price(0x2433, 20, 148),
    // Level 1, both sides
    price(0x2434, 0, 217), number(0x2434, 8, 225), price(0x2434, 12, 229), number(0x2434, 20, 237),
    // Bids 2 and 3, asks 2 and 3
    price(0x2435, 0, 241), number(0x2435, 8, 249), price(0x2435, 12, 265), number(0x2435, 20, 273),
    price(0x2436, 0, 253), number(0x2436, 8, 261), price(0x2436, 12, 277), number(0x2436, 20, 285),
    // Bids 4 and 5, asks 4 and 5
    price(0x2437, 0, 289), number(0x2437, 8, 297), price(0x2437, 12, 313), number(0x2437, 20, 321),
    price(0x2438, 0, 301), number(0x2438, 8, 309), price(0x2438, 12, 325), number(0x2438, 20, 333),
    // InstrumentID, UpdateTime, UpdateMillisec, ActionDay
    text(kUpdateTimeField, 0, 9, 31), text(kUpdateTimeField, 31, 204, 9), number(kUpdateTimeField, 40, 213),
    text(kUpdateTimeField, 44, 345, 9),
    // ExchangeID; AveragePrice
    text(0x2440, 0, 40, 9), price(0x2481, 0, 337),
};
constexpr std::size_t kLargestGroup = 64;

// `from` and `to` may be the same place.
void copy_text(const std::uint8_t* from, std::size_t size, std::uint8_t* to) {
    const std::size_t n = ::strnlen(reinterpret_cast<const char*>(from), size - 1);
    std::memmove(to, from, n);
    std::memset(to + n, 0, size - n);
}

// A full tick is delivered as it came. What goes through a merge is tidied: text is cut at its NUL or its last
// byte, and a price nearer to zero than 1e-9 becomes zero.
void tidy_copy(Kind kind, const std::uint8_t* from, std::size_t text_size, std::uint8_t* to) {
    switch (kind) {
        case Kind::kText: return copy_text(from, text_size, to);
        case Kind::kNumber: std::memmove(to, from, 4); return;
        case Kind::kPrice:
            if (std::fabs(read_double(from)) < 1e-9) {
                std::memset(to, 0, 8);
            } else {
                std::memmove(to, from, 8);
            }
            return;
    }
}

// Here and not in remember(), which every full tick pays for and most feeds never need.
void tidy(std::uint8_t* tick) {
    for (const Member& m : kMembers) tidy_copy(m.kind, tick + m.to, m.text_size, tick + m.to);
    copy_text(tick + kExchangeInstIdOffset, kWireIdSize, tick + kExchangeInstIdOffset);  // in no group
}

std::uint32_t hash_id(const std::uint8_t* id) {
    std::uint32_t h = 2166136261u;  // FNV-1a
    for (std::size_t i = 0; i < kKeySize && id[i]; ++i) h = (h ^ id[i]) * 16777619u;
    return h ^ (h >> 15);
}

bool same_id(const std::uint8_t* a, const std::uint8_t* b) {
    return std::strncmp(reinterpret_cast<const char*>(a), reinterpret_cast<const char*>(b), kKeySize) == 0;
}

}  // namespace

LastTicks::LastTicks() : index_(1024) {}

void LastTicks::clear() {
    entries_.clear();
    std::fill(index_.begin(), index_.end(), 0);
}

LastTicks::Entry* LastTicks::find_or_add(const std::uint8_t* id) {
    const auto slot_of = [this, id] {
        const std::size_t mask = index_.size() - 1;
        std::size_t slot = hash_id(id) & mask;
        while (index_[slot] && !same_id(entries_[index_[slot] - 1].wire + kInstrumentOffset, id)) slot = (slot + 1) & mask;
        return slot;
    };
    std::size_t slot = slot_of();
    if (index_[slot]) return &entries_[index_[slot] - 1];
    if (entries_.size() >= kMaxInstruments) {
        std::memset(&stranger_, 0, sizeof stranger_);
        return &stranger_;
    }
    if (2 * (entries_.size() + 1) > index_.size()) {
        std::vector<std::uint32_t> wider(2 * index_.size());
        const std::size_t mask = wider.size() - 1;
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            std::size_t s = hash_id(entries_[i].wire + kInstrumentOffset) & mask;
            while (wider[s]) s = (s + 1) & mask;
            wider[s] = static_cast<std::uint32_t>(i + 1);
        }
        index_.swap(wider);
        slot = slot_of();
    }
    entries_.push_back(Entry{});  // an instrument never seen starts from zeros, not from DBL_MAX
    std::memcpy(entries_.back().wire + kInstrumentOffset, id, kKeySize);
    index_[slot] = static_cast<std::uint32_t>(entries_.size());
    return &entries_.back();
}

void LastTicks::remember(const std::uint8_t* wire_tick) {
    std::memcpy(find_or_add(wire_tick + kInstrumentOffset)->wire, wire_tick, kTickWireSize);
}

const std::uint8_t* LastTicks::merge(const Message& message) {
    Field field;
    bool named = false;
    std::uint8_t id[kWireIdSize] = {};
    // The name may come after the groups it applies to, hence two walks.
    for (FieldReader names(message); !named && names.next(&field);) {
        if (field.id != kUpdateTimeField) continue;
        std::uint8_t raw[kWireIdSize] = {};
        std::memcpy(raw, field.data, std::min<std::size_t>(field.size, kWireIdSize));
        copy_text(raw, kWireIdSize, id);
        named = true;
    }
    if (!named) return nullptr;
    std::uint8_t* const tick = find_or_add(id)->wire;
    tidy(tick);
    bool name_applied = false;
    for (FieldReader groups(message); groups.next(&field);) {
        if (field.id == kUpdateTimeField) {
            // A second name would rewrite the id under which this entry is indexed.
            if (name_applied) continue;
            name_applied = true;
        }
        std::uint8_t padded[kLargestGroup] = {};
        std::memcpy(padded, field.data, std::min<std::size_t>(field.size, kLargestGroup));
        for (const Member& member : kMembers) {
            if (member.field != field.id) continue;
            tidy_copy(member.kind, padded + member.from, member.text_size, tick + member.to);
        }
    }
    return tick;
}

}  // namespace compat
