// The writer's way from a vendor struct to an instrument's place in the shared table.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "segment.hpp"
#include "vendor_abi.hpp"

namespace tk {

inline std::uint64_t load8(const char* p) {
    std::uint64_t v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

inline bool same_id(const char* raw, std::uint32_t raw_size, const char* entry_text) {
    const std::uint64_t last = load8(entry_text + 24);
    if (__builtin_expect(last >> 56 != 0, 0))  // 32 bytes and more: rare
        return std::memcmp(raw, entry_text, raw_size) == 0 &&
               (raw_size >= kInstrumentIdSize || entry_text[raw_size] == '\0');
    // The entry ends within four words; the 31 bytes of the older layouts are followed by another field.
    const std::uint64_t mask = raw_size < 32 ? 0x00FFFFFFFFFFFFFFull : ~0ull;
    return ((load8(raw) ^ load8(entry_text)) | (load8(raw + 8) ^ load8(entry_text + 8)) |
            (load8(raw + 16) ^ load8(entry_text + 16)) | ((load8(raw + 24) & mask) ^ last)) == 0;
}

// Private to the writer's process; rebuilt from the shared table when a writer opens a log.
// Allocates only in open(): a lookup or an insertion never does.
class InstrumentIndex {
public:
    void open(Log* log);
    // Index of the tick's (InstrumentID, ExchangeInstID, ExchangeID), entered if it is new;
    // kNoInstrument when the table is full.
    std::uint32_t find(const DepthLayout& layout, const char* depth) {
        // Snapshot after snapshot the instruments come in much the same order: first the one that came
        // behind the last one the last time.
        const std::uint32_t guess = follows_[last_];
        if (__builtin_expect(guess < count_ && is(guess, layout, depth), 1)) return last_ = guess;
        return find_hashed(layout, depth);
    }

    // The entry with these texts, entered if it is new; kNoInstrument when the table is full. Primary is filled in.
    std::uint32_t enter(InstrumentEntry& wanted);
    // The primary entry of an InstrumentID, kNoInstrument if there is none.
    std::uint32_t find_id(const char* id, std::size_t length) const;

private:
    // True for certain; a false may be due to what stands behind a NUL of the vendor's.
    bool is(std::uint32_t index, const DepthLayout& layout, const char* depth) const {
        const InstrumentEntry& e = log_->instruments[index];
        return same_id(depth + layout.instrument_id, layout.instrument_id_size, e.InstrumentID) &&
               same_id(depth + layout.exchange_inst_id, layout.exchange_inst_id_size, e.ExchangeInstID) &&
               load8(depth + depth::kExchangeID) == load8(e.ExchangeID) && depth[depth::kExchangeID + 8] == e.ExchangeID[8];
    }
    std::uint32_t find_hashed(const DepthLayout& layout, const char* depth);
    std::uint32_t find_slowly(const DepthLayout& layout, const char* depth);
    std::uint32_t insert(const InstrumentEntry& wanted, std::uint64_t hash);

    Log* log_ = nullptr;
    std::vector<std::uint32_t> buckets_;  // index + 1, 0 empty; open addressing
    std::uint64_t bucket_mask_ = 0;
    std::vector<std::uint32_t> follows_;  // by index: which came next the last time
    std::uint32_t last_ = 0;
    std::uint32_t count_ = 0;
};

}  // namespace tk
