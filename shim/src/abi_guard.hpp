// What both parts of the extern "C" wall need: nothing is thrown across it.
#pragma once

#include <cstdint>
#include <exception>

#include "errors.hpp"
#include "tickshim.h"

namespace tk {

// Out of memory and the like become a status; everything else is reported the same way.
template <typename F>
std::int32_t guarded(const char* call, F&& body) {
    try {
        return body();
    } catch (const std::exception& e) {
        return fail(TK_E_SYS, "%s: %s", call, e.what());
    }
}

}  // namespace tk
