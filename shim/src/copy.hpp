// Copies between a slot that another process may be reading or writing and private memory.
// Each word is a relaxed atomic access: a racing plain memcpy would be undefined even though the
// result is thrown away when the check afterwards fails. Words are 8 bytes, both sides aligned.
#pragma once

#include <cstddef>
#include <cstdint>

#include "layout.hpp"

namespace tk {

inline std::uint64_t load_word(const void* p) {
    return __atomic_load_n(static_cast<const std::uint64_t*>(p), __ATOMIC_RELAXED);
}

inline void store_word(void* p, std::uint64_t v) {
    __atomic_store_n(static_cast<std::uint64_t*>(p), v, __ATOMIC_RELAXED);
}

inline void copy_from_shared(void* to, const void* from, std::size_t words) {
    auto* t = static_cast<std::uint64_t*>(to);
    auto* f = static_cast<const std::uint64_t*>(from);
    for (std::size_t i = 0; i < words; ++i) t[i] = __atomic_load_n(f + i, __ATOMIC_RELAXED);
}

inline void copy_to_shared(void* to, const void* from, std::size_t words) {
    auto* t = static_cast<std::uint64_t*>(to);
    auto* f = static_cast<const std::uint64_t*>(from);
    for (std::size_t i = 0; i < words; ++i) __atomic_store_n(t + i, f[i], __ATOMIC_RELAXED);
}

inline void copy_shared_to_shared(void* to, const void* from, std::size_t words) {
    auto* t = static_cast<std::uint64_t*>(to);
    auto* f = static_cast<const std::uint64_t*>(from);
    for (std::size_t i = 0; i < words; ++i)
        __atomic_store_n(t + i, __atomic_load_n(f + i, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

}  // namespace tk
