// The two classes of the vendor's trading interface: which method or callback stands in which slot.
#pragma once

#include <cstddef>

#include "versions.hpp"

namespace compat::trader {

struct Entry {
    const char* name;
    Version since = v635;
    Version until = kNewest;
};

#include "interface.inc"

constexpr bool same(const char* a, const char* b) {
    for (; *a && *a == *b; ++a, ++b) {
    }
    return *a == *b;
}

template <std::size_t N>
constexpr std::size_t slots(const Entry (&list)[N], Version version) {
    std::size_t count = 0;
    for (const Entry& e : list) count += e.since <= version && version <= e.until;
    return count;
}

// -1 when the version has no such method or callback.
template <std::size_t N>
constexpr int slot_of(const Entry (&list)[N], Version version, const char* name) {
    int slot = 0;
    for (const Entry& e : list) {
        const bool there = e.since <= version && version <= e.until;
        if (there && same(e.name, name)) return slot;
        slot += there;
    }
    return -1;
}

constexpr std::size_t kMaxMethods = 140;

}  // namespace compat::trader
