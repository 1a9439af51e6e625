// A recording's ticks into a log: when they are due, and no faster than readers take them if asked so.
#pragma once

#include <cstdint>

#include "tickshim.h"
#include "writer.hpp"

namespace tk {

std::int32_t enter_instrument(Writer& writer, const char* instrument_id, const char* exchange_inst_id,
                              const char* exchange_id, std::uint32_t* index);
std::int32_t replay(Writer& writer, tk_replay* t);

}  // namespace tk
