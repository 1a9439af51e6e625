// Copies between a slot that another process may be reading or writing and private memory.
// Each word is a relaxed atomic access: a racing plain memcpy would be undefined even though the
// result is thrown away when the check afterwards fails. Words are 8 bytes, both sides aligned.
#pragma once

#include <emmintrin.h>

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

// Two words at once, 16 bytes aligned. The processor stores each half whole, which is all that readers
// of words ask; the language has no such access, hence the instruction itself. A record is 56 words, and
// the writer can store one a cycle.
inline void store_pair(void* to, __m128i v) {
#if defined(__SANITIZE_THREAD__)
    store_word(to, static_cast<std::uint64_t>(_mm_cvtsi128_si64(v)));
    store_word(static_cast<char*>(to) + 8, static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_unpackhi_epi64(v, v))));
#else
    asm volatile("movaps %1, %0" : "=m"(*static_cast<__m128i*>(to)) : "x"(v));
#endif
}

}  // namespace tk
