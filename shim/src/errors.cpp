#include "errors.hpp"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "tickshim.h"

namespace tk {
namespace {
thread_local char g_text[768];
}

std::int32_t fail(std::int32_t code, const char* format, ...) {
    va_list args;
    va_start(args, format);
    std::vsnprintf(g_text, sizeof g_text, format, args);
    va_end(args);
    return code;
}

std::int32_t fail_system(const char* format, ...) {
    const int error = errno;
    va_list args;
    va_start(args, format);
    const int n = std::vsnprintf(g_text, sizeof g_text, format, args);
    va_end(args);
    char words[128];
    if (n >= 0 && static_cast<std::size_t>(n) < sizeof g_text)
        std::snprintf(g_text + n, sizeof g_text - static_cast<std::size_t>(n), ": %s",
                      strerror_r(error, words, sizeof words));
    return TK_E_SYS;
}

const char* last_error() { return g_text; }

}  // namespace tk
