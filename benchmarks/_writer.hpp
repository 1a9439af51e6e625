// What the writing programs of this folder have in common: a filled vendor struct, clocks, failing calls.
#pragma once

#include <time.h>
#include <x86intrin.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tickshim.h"

inline void must(std::int32_t status, const char* call) {
    if (status >= 0) return;
    std::fprintf(stderr, "%s: %s\n", call, tk_last_error());
    std::exit(1);
}

inline std::int64_t clock_ns(clockid_t id) {
    timespec t;
    clock_gettime(id, &t);
    return static_cast<std::int64_t>(t.tv_sec) * 1000000000 + t.tv_nsec;
}

inline std::int64_t now_ns() { return clock_ns(CLOCK_MONOTONIC); }

// Steps of the time stamp counter in a nanosecond, by a look at both clocks 50 ms apart.
inline double counts_per_ns() {
    const std::int64_t start = now_ns();
    const std::uint64_t first = __rdtsc();
    while (now_ns() - start < 50000000) {
    }
    return static_cast<double>(__rdtsc() - first) / static_cast<double>(now_ns() - start);
}

// A DepthMarketData struct with texts and a price; what a benchmark varies is the volume.
struct Depth {
    alignas(8) char bytes[1024] = {};

    explicit Depth(std::uint32_t layout) {
        text(0, "20260105");
        text(40, "SHFE");
        text(208, "09:30:01");
        text(392, "20260105");
        text(layout == 1 ? 9 : 401, "rb2601");
        text(layout == 1 ? 49 : 482, "rb2601");
        const double price = 3123.0;
        for (const std::size_t offset : {80, 224, 240}) std::memcpy(bytes + offset, &price, sizeof price);
    }
    void text(std::size_t offset, const char* value) { std::memcpy(bytes + offset, value, std::strlen(value)); }
    void volume(std::uint64_t number) {
        const auto value = static_cast<std::int32_t>(number & 0x7fffffff);
        std::memcpy(bytes + 136, &value, sizeof value);
    }
};
