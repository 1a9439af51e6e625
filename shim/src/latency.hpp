// From the callback to the reader: which ticks are measured, and the histogram they go into.
//
// A look at the clock for every tick would cost a fast reader a fifth of its time. So the ticks that a reader takes
// are cut into groups of 1, 2, 4 ... 64, and of each group one, drawn by lot, is measured and counts for all of it.
// Which tick that is depends on nothing that the tick itself has met, so shares and percentiles are those of all
// ticks: first ones of a burst and last ones, awaited ones and those that stood in line. How large a group is depends
// on the time between the samples before it: about a hundred a second, so in a quiet market every tick.
#pragma once

#include <algorithm>
#include <cstdint>

#include "layout.hpp"

namespace tk {

constexpr int kLatencyUnit = 3;  // the finest bucket is 2^3 ns wide

// Four buckets to each power of two, from 32 ns on; the last ends at 2^36 ns, 69 s, and has all that is longer.
constexpr std::uint32_t latency_bucket(std::uint64_t ns) {
    const std::uint64_t v = std::min<std::uint64_t>(ns >> kLatencyUnit, (1ull << 33) - 1);
    if (v < 4) return static_cast<std::uint32_t>(v);
    const int top = 63 - __builtin_clzll(v);
    return static_cast<std::uint32_t>((top - 1) * 4) + static_cast<std::uint32_t>(v >> (top - 2) & 3);
}
// Where a bucket begins, in ns; the one before ends there.
constexpr std::uint64_t latency_floor(std::uint32_t bucket) {
    const std::uint64_t v = bucket < 4 ? bucket : (4ull + (bucket & 3)) << (bucket / 4 - 1);
    return v << kLatencyUnit;
}
static_assert(latency_bucket(latency_floor(kLatencyBuckets - 1)) == kLatencyBuckets - 1, "the last is used");
static_assert(latency_floor(kLatencyBuckets) == 1ull << 36, "where the last ends");

inline void clear_latency(LatencyTable* table) {
    for (auto* word : {&table->Samples, &table->Sum, &table->Max}) word->store(0, std::memory_order_relaxed);
    for (auto& count : table->Counts) count.store(0, std::memory_order_relaxed);
}

class Sampling {
public:
    static constexpr std::int32_t kLargest = 64;         // ticks in a group
    static constexpr std::int64_t kInterval = 10000000;  // ns between samples, about
    static constexpr std::int64_t kQuiet = 160000000;    // ns without a tick, behind which quiet() is called

    void begin(LatencyTable* table, std::int64_t now) {
        table_ = table;
        begun_ = last_ = now;
        random_ = static_cast<std::uint64_t>(now) | 1;
        group_ = left_ = 1;
        drawn_ = 0;
    }
    // Nothing has come for long: whatever comes next is measured. That ends a group before all of it has come; as
    // that does not depend on whether its tick has been drawn yet, shares stay right.
    void quiet() {
        group_ = left_ = 1;
        drawn_ = 0;
    }
    // So many have been taken: is one of them to be measured? Then add() for each until still_due() says no.
    bool due(std::uint32_t count) { return (left_ -= static_cast<std::int32_t>(count)) <= 0; }
    bool still_due() const { return left_ <= 0; }
    // Which of them, from 0.
    std::uint32_t position(std::uint32_t count) const { return count + static_cast<std::uint32_t>(left_) - 1; }

    // `received`: the measured tick's RecvMonotonic.
    void add(std::int64_t now, std::int64_t received) {
        // Who came before the reader has waited for a reader, not on the way to it.
        if (received >= begun_) count(received < now ? static_cast<std::uint64_t>(now - received) : 0);
        const std::int32_t rest = group_ - drawn_ - 1;  // of this group, behind the measured one
        const std::int64_t since = now - last_;
        last_ = now;
        if (since < kInterval / 2) {
            group_ = std::min(group_ * 2, kLargest);
        } else if (since > kInterval * 2) {
            group_ = since > kQuiet ? 1 : std::max(group_ / 2, 1);
        }
        random_ = random_ * 6364136223846793005ull + 1442695040888963407ull;
        drawn_ = static_cast<std::int32_t>((random_ >> 32) * static_cast<std::uint32_t>(group_) >> 32);
        left_ += rest + drawn_ + 1;
    }

private:
    void count(std::uint64_t took) {
        const auto more = [](std::atomic<std::uint64_t>& word, std::uint64_t by) {
            word.store(word.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);  // the only writer
        };
        const auto weight = static_cast<std::uint64_t>(group_);
        more(table_->Samples, 1);
        more(table_->Sum, took * weight);
        more(table_->Counts[latency_bucket(took)], weight);
        if (took > table_->Max.load(std::memory_order_relaxed)) table_->Max.store(took, std::memory_order_relaxed);
    }

    LatencyTable* table_ = nullptr;
    std::int64_t begun_ = 0;
    std::int64_t last_ = 0;  // sample
    std::uint64_t random_ = 1;
    std::int32_t group_ = 1;  // ticks in the present group
    std::int32_t drawn_ = 0;  // which of them is measured
    std::int32_t left_ = 1;   // ticks up to and with that one
};

}  // namespace tk
