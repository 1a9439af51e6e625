// The last state of every instrument, so that an incremental push (f103) becomes a whole tick.
//
// A push names one instrument and brings only the groups of members that changed; the rest keeps its
// last value. The state is kept in wire form: every group is then a few byte ranges of the full tick, a
// full tick is remembered by one memcpy, and there is one conversion to the host's layout, not two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "convert.hpp"

namespace compat {

class LastTicks {
public:
    LastTicks();

    // Allocates only when an instrument is seen for the first time since clear().
    void remember(const std::uint8_t* wire_tick);

    // Applies an incremental message and returns the merged tick in wire form, valid until the next call;
    // nullptr when the message does not name its instrument (no field 2439).
    const std::uint8_t* merge(const Message& message);

    void clear();

private:
    struct Entry {
        std::uint8_t wire[kTickWireSize];
    };

    Entry* find_or_add(const std::uint8_t* id);

    std::vector<Entry> entries_;
    std::vector<std::uint32_t> index_;  // open addressing: entry number + 1, 0 = free
    Entry stranger_;                    // for instruments beyond kMaxInstruments
};

}  // namespace compat
