// One text per thread for the last failure, and the ways to set it.
#pragma once

#include <cstdint>

namespace tk {

// Formats the text and returns `code`, so that `return fail(TK_E_ARG, "...")` reads well.
[[gnu::format(printf, 2, 3)]] std::int32_t fail(std::int32_t code, const char* format, ...);
// The same for a failed system call: appends errno's words.
[[gnu::format(printf, 1, 2)]] std::int32_t fail_system(const char* format, ...);
const char* last_error();

}  // namespace tk
