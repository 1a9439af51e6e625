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

// A record into private memory, two words at once: see store_pair().
inline void copy_record(void* to, const void* shared) {
#if defined(__SANITIZE_THREAD__)
    copy_from_shared(to, shared, kRecordWords);
#else
    static_assert(kRecordSize % 64 == 0, "whole lines");
    auto* t = static_cast<char*>(to);
    auto* f = static_cast<const char*>(shared);
    for (std::size_t line = 0; line < kRecordSize; line += 64) {
        __m128i a, b, c, d;
        asm volatile("movdqa %1, %0" : "=x"(a) : "m"(*reinterpret_cast<const __m128i*>(f + line)));
        asm volatile("movdqa %1, %0" : "=x"(b) : "m"(*reinterpret_cast<const __m128i*>(f + line + 16)));
        asm volatile("movdqa %1, %0" : "=x"(c) : "m"(*reinterpret_cast<const __m128i*>(f + line + 32)));
        asm volatile("movdqa %1, %0" : "=x"(d) : "m"(*reinterpret_cast<const __m128i*>(f + line + 48)));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(t + line), a);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(t + line + 16), b);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(t + line + 32), c);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(t + line + 48), d);
    }
#endif
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
