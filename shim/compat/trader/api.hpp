// What version.cpp exports under the vendor's names.
#pragma once

#include "versions.hpp"

namespace compat::trader {

extern const Version kVersion;  // of the build

// Null, with a line on stderr, when the flow directory or the faults cannot be used.
void* create(const char* flow_path);

}  // namespace compat::trader
