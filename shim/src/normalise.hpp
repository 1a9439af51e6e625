// From the vendor's struct to our record, stored field by field into the slot: no copy in between.
//
// Numbers are copied as they are, but the vendor's DBL_MAX ("no price") becomes NaN. Texts are cut at
// their NUL or at their array's end. Stores are relaxed atomics (see copy.hpp); the caller publishes.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "copy.hpp"
#include "judge.hpp"
#include "layout.hpp"
#include "vendor_abi.hpp"

namespace tk {

constexpr std::uint64_t kDblMaxBits = 0x7FEFFFFFFFFFFFFFull;
constexpr std::uint64_t kNaNBits = 0x7FF8000000000000ull;

inline std::uint64_t load_raw8(const char* p) {
    std::uint64_t v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

inline std::uint32_t load_raw4(const char* p) {
    std::uint32_t v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

inline void store_price(double& to, const char* from) {
    const std::uint64_t bits = load_raw8(from);
    store_word(&to, bits == kDblMaxBits ? kNaNBits : bits);
}

// Two prices that stand side by side in the record, 16 bytes aligned, wherever they came from.
inline void store_prices(double* to, const char* first, const char* second) {
    double a, b;
    std::memcpy(&a, first, sizeof a);
    std::memcpy(&b, second, sizeof b);
    const __m128d v = _mm_set_pd(b, a), absent = _mm_cmpeq_pd(v, _mm_set1_pd(std::numeric_limits<double>::max()));
    const __m128d nan = _mm_castsi128_pd(_mm_set1_epi64x(static_cast<long long>(kNaNBits)));
    store_pair(to, _mm_castpd_si128(_mm_or_pd(_mm_andnot_pd(absent, v), _mm_and_pd(absent, nan))));
}

// Two volumes side by side, 8 bytes aligned.
inline void store_ints(std::int32_t* to, const char* first, const char* second) {
    store_word(to, load_raw4(first) | std::uint64_t{load_raw4(second)} << 32);
}

inline __m128i load_pair(const char* from) {
    __m128i v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

// A 9-byte text as its first 8 bytes, zeros from the NUL on. The ninth is the NUL; days and times of the
// form that the vendor documents have 8.
inline std::uint64_t text8(const char* p) {
    const std::uint64_t w = load_raw8(p);
    const std::uint64_t zero = (w - 0x0101010101010101ull) & ~w & 0x8080808080808080ull;
    if (zero == 0) return w;
    return w & ((zero & (~zero + 1)) - 1);  // below the first zero byte's marker
}

inline TickTexts texts_of(const char* d) {
    TickTexts t;
    t.trading = text8(d + depth::kTradingDay);
    t.action = text8(d + depth::kActionDay);
    t.update = text8(d + depth::kUpdateTime);
    return t;
}

inline TickFacts facts_of(const char* d, std::int64_t recv_time, std::uint32_t entry, const char (&ids)[kTextWords * 8]) {
    TickFacts f;
    f.recv_time = recv_time;
    f.millisec = static_cast<std::int32_t>(load_raw4(d + depth::kUpdateMillisec));
    f.volume = static_cast<std::int32_t>(load_raw4(d + depth::kVolume));
    std::memcpy(&f.turnover, d + depth::kTurnover, sizeof f.turnover);
    f.entry = entry;
    f.instrument_id = ids + (offsetof(Record, InstrumentID) - kTextOffset);
    f.exchange_id = ids + (offsetof(Record, ExchangeID) - kTextOffset);
    return f;
}

struct TickHead {
    std::int64_t recv_time, recv_monotonic, exchange_time;
    std::uint64_t tick_number, instrument_number;
    std::uint32_t instrument, flags;
};

// Flags and Kind (a tick) stand behind the instrument's index in one word.
inline void store_flags(Record* r, std::uint32_t instrument, std::uint32_t flags) {
    store_word(&r->Instrument, instrument | std::uint64_t{flags} << 32);
}

// Everything but Stamp. `ids`: ExchangeID and InstrumentID as they stand at the end of a record.
inline void store_tick(Record* r, const DepthLayout& layout, const char* d, const TickHead& head,
                       const char (&ids)[kTextWords * 8], const TickTexts& texts) {
    store_word(&r->RecvMonotonic, static_cast<std::uint64_t>(head.recv_monotonic));
    store_word(&r->ExchangeTime, static_cast<std::uint64_t>(head.exchange_time));
    store_word(&r->TickNumber, head.tick_number);
    store_word(&r->InstrumentNumber, head.instrument_number);
    store_prices(&r->Turnover, d + depth::kTurnover, d + depth::kOpenInterest);
    store_prices(&r->AveragePrice, d + depth::kAveragePrice, d + depth::kPreSettlementPrice);

    const char* level = d + depth::kLevels + depth::kLevelSize;
    double* prices = &r->BidPrice2;
    std::int32_t* volumes = &r->BidVolume2;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i, level += depth::kLevelSize) {
        store_prices(prices + 2 * i, level, level + depth::kAskPrice);
        store_ints(volumes + 2 * i, level + depth::kBidVolume, level + depth::kAskVolume);
    }
    const char* const no_price = reinterpret_cast<const char*>(&kDblMaxBits);
    const bool banding = layout.banding != 0;
    store_prices(&r->PreClosePrice, d + depth::kPreClosePrice, d + depth::kPreOpenInterest);
    store_prices(&r->OpenPrice, d + depth::kOpenPrice, d + depth::kHighestPrice);
    store_prices(&r->LowestPrice, d + depth::kLowestPrice, d + depth::kClosePrice);
    store_prices(&r->SettlementPrice, d + depth::kSettlementPrice, d + depth::kUpperLimitPrice);
    store_prices(&r->LowerLimitPrice, d + depth::kLowerLimitPrice, d + depth::kPreDelta);
    store_prices(&r->CurrDelta, d + depth::kCurrDelta, banding ? d + layout.banding : no_price);
    store_price(r->BandingLowerPrice, banding ? d + layout.banding + 8 : no_price);

    // TradingDay[9] ActionDay[9] UpdateTime[9] in front of ids, put together in registers: narrow
    // stores read back as wide words would stall. The first word stands alone, the rest in pairs.
    static_assert(offsetof(Record, ActionDay) - kTextOffset == 9 &&
                  offsetof(Record, UpdateTime) - kTextOffset == 18 &&
                  offsetof(Record, ExchangeID) - kTextOffset == 27 && kTextOffset % 16 == 8 && kTextWords % 2 == 1);
    char* text = reinterpret_cast<char*>(r) + kTextOffset;
    const auto pair = [](std::uint64_t low, std::uint64_t high) {
        return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
    };
    store_word(text, texts.trading);
    store_pair(text + 8, pair(texts.action << 8, texts.action >> 56 | texts.update << 16));
    store_pair(text + 24, pair(texts.update >> 48 | load_raw8(ids + 24), load_raw8(ids + 32)));
#pragma GCC unroll 16
    for (std::size_t i = 5; i < kTextWords; i += 2) store_pair(text + 8 * i, load_pair(ids + 8 * i));

    // Line 0 last: the line that a waiting reader polls is taken from it only once.
    store_word(&r->RecvTime, static_cast<std::uint64_t>(head.recv_time));
    store_flags(r, head.instrument, head.flags);
    static_assert(offsetof(Record, BidPrice1) % 16 == 0 && offsetof(Record, Volume) % 8 == 0);
    store_price(r->LastPrice, d + depth::kLastPrice);
    store_prices(&r->BidPrice1, d + depth::kLevels, d + depth::kLevels + depth::kAskPrice);
    store_ints(&r->Volume, d + depth::kVolume, d + depth::kLevels + depth::kBidVolume);
    store_ints(&r->AskVolume1, d + depth::kLevels + depth::kAskVolume, d + depth::kUpdateMillisec);
}

// True if two records of one instrument say the same: everything from LastPrice on but the engine's own
// times and numbers. Bit by bit, so that NaN is NaN.
inline bool same_content(const Record* a, const Record* b) {
    constexpr std::size_t kFirst = offsetof(Record, LastPrice) / 8, kOwn = offsetof(Record, RecvMonotonic) / 8,
                          kRest = offsetof(Record, Turnover) / 8;
    const auto* x = reinterpret_cast<const std::uint64_t*>(a);
    const auto* y = reinterpret_cast<const std::uint64_t*>(b);
    for (std::size_t i = kFirst; i < kRecordWords; i = i + 1 == kOwn ? kRest : i + 1)
        if (load_word(x + i) != load_word(y + i)) return false;
    return true;
}

// The ids as store_tick() wants them: zeros in front where the day and time texts go.
inline void make_ids(char (&ids)[kTextWords * 8], const InstrumentEntry& e) {
    std::memset(ids, 0, sizeof ids);
    std::memcpy(ids + (offsetof(Record, ExchangeID) - kTextOffset), e.ExchangeID, sizeof e.ExchangeID);
    std::memcpy(ids + (offsetof(Record, InstrumentID) - kTextOffset), e.InstrumentID, sizeof e.InstrumentID);
}

}  // namespace tk
