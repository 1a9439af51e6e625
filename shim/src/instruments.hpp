// The writer's way from a vendor struct to an instrument's place in the shared table.
#pragma once

#include <cstdint>
#include <vector>

#include "segment.hpp"
#include "vendor_abi.hpp"

namespace tk {

// Private to the writer's process; rebuilt from the shared table when a writer opens a log.
// Allocates only in open(): a lookup or an insertion never does.
class InstrumentIndex {
public:
    void open(Log* log);
    // Index of the tick's (InstrumentID, ExchangeInstID, ExchangeID), entered if it is new;
    // kNoInstrument when the table is full.
    std::uint32_t find(const DepthLayout& layout, const char* depth);

    // The primary entry of an InstrumentID, kNoInstrument if there is none.
    std::uint32_t find_id(const char* id, std::size_t length) const;

private:
    std::uint32_t find_slowly(const DepthLayout& layout, const char* depth);
    std::uint32_t insert(const InstrumentEntry& wanted, std::uint64_t hash);

    Log* log_ = nullptr;
    std::vector<std::uint32_t> buckets_;  // index + 1, 0 empty; open addressing
    std::uint64_t bucket_mask_ = 0;
    std::uint32_t count_ = 0;
};

}  // namespace tk
