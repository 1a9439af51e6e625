// Which row of the trader tables fits a library, and the copies that the rows describe.
#include <cstring>

#include "errors.hpp"
#include "td_abi.hpp"
#include "vendor_abi.hpp"

namespace tk::td {
namespace {

constexpr bool payloads_fit() {
    for (const StructTable& t : kStructs)
        if (t.size > kMaxPayload || t.size % 8 != 0) return false;
    return true;
}
static_assert(payloads_fit(), "docs/layout.md, section TradeRecord");

constexpr std::uint32_t spi_slots() {
    std::uint32_t most = 0;
    for (const auto& g : spi::kGenerations) most = g.slots > most ? g.slots : most;
    return most;
}
static_assert(spi_slots() <= kMaxSpiSlots, "every slot has a function behind it");

}  // namespace

void to_canonical(const TdVersion& version, Struct s, const char* vendor, char* out) {
    const StructTable& t = struct_table(s);
    const std::uint32_t layout = layout_of(version, s);
    std::memset(out, 0, t.size);
    for (const StructField& f : t.fields) {
        const Place p = place_of(f, layout);
        switch (f.type) {
            case FieldType::kText: std::memcpy(out + f.offset, vendor + p.offset, strnlen(vendor + p.offset, p.size)); break;
            case FieldType::kChar: if (p.size != 0) out[f.offset] = vendor[p.offset]; break;
            case FieldType::kInt: if (p.size != 0) std::memcpy(out + f.offset, vendor + p.offset, 4); break;
            case FieldType::kDouble: if (p.size != 0) std::memcpy(out + f.offset, vendor + p.offset, 8); break;
        }
    }
}

std::int32_t to_vendor(const TdVersion& version, Struct s, const char* canonical, char* out) {
    const StructTable& t = struct_table(s);
    const std::uint32_t layout = layout_of(version, s);
    for (const StructField& f : t.fields) {
        const Place p = place_of(f, layout);
        if (p.size == 0) continue;
        switch (f.type) {
            case FieldType::kText: {
                const std::size_t n = strnlen(canonical + f.offset, f.size);
                // Cut, an id would be somebody else's.
                if (n >= p.size)
                    return fail(TK_E_ARG, "%s.%s has %zu bytes, at most %u fit this vendor library", t.name, f.name, n, p.size - 1u);
                std::memcpy(out + p.offset, canonical + f.offset, n);
                break;
            }
            case FieldType::kChar: out[p.offset] = canonical[f.offset]; break;
            case FieldType::kInt: std::memcpy(out + p.offset, canonical + f.offset, 4); break;
            case FieldType::kDouble: std::memcpy(out + p.offset, canonical + f.offset, 8); break;
        }
    }
    return TK_OK;
}

std::int32_t recognise(const TdFacts& facts, const TdVersion** out) {
    const char* text = facts.version_text;
    const std::uint32_t slots = facts.api_slots;
    const ParsedVersion parsed = parse_version(text);
    if (!parsed.version.valid)
        return fail(TK_E_VENDOR, "version text '%.60s' is not understood (the trader api has %u slots); pass the version to override it",
                    text, slots);
    if (parsed.national_crypto || slots == 100 || slots == 142)
        return fail(TK_E_VENDOR, "'%.60s' with %u trader api slots is a national-crypto (SM) build, which is not supported", text, slots);
    if (slots == 62 || slots == 66 || parsed.version.major == 1)
        return fail(TK_E_VENDOR, "'%.60s' with %u trader api slots is the mini product, not CTP", text, slots);
    if (parsed.version.major == 3)
        return fail(TK_E_VENDOR, "'%.60s' is the option product (sopt), not CTP futures", text);
    if (slots == 0)
        return fail(TK_E_VENDOR, "'%.60s' does not export the trader api's vtable, so its version cannot be checked; not a known CTP library", text);
    const TdVersion* row = nullptr;
    for (const TdVersion& candidate : kVersions)
        if (compare(parsed.version, parse_version(candidate.version).version) == 0) row = &candidate;
    if (row == nullptr)
        return fail(TK_E_VENDOR, "version '%.60s' of the trader library is not known (known: %s to %s, no guesses in between); override the version with the one it agrees with",
                    text, kVersions[0].version, kVersions[sizeof kVersions / sizeof kVersions[0] - 1].version);
    if (slots != api::kGenerations[row->api].slots)
        return fail(TK_E_VENDOR, "version '%.60s' should have %u trader api slots, this library has %u; not a known CTP library",
                    text, api::kGenerations[row->api].slots, slots);
    if (facts.factory_flags != row->factory_flags)
        return fail(TK_E_VENDOR, "version '%.60s' should have a trader factory with %u flags, this library's has %u; not a known CTP library",
                    text, row->factory_flags, facts.factory_flags);
    *out = row;
    return TK_OK;
}

}  // namespace tk::td
