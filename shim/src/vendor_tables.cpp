// The tables themselves, and the choice among them.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "errors.hpp"
#include "tickshim.h"
#include "vendor_abi.hpp"

namespace tk {
namespace {

constexpr DepthLayout kDepth[] = {
    {1, 408, 9, 31, 49, 31, 0},
    {2, 568, 401, 81, 482, 81, 0},
    {3, 584, 401, 81, 482, 81, 568},
};

constexpr LoginRequestLayout kLogin188{188, {9, 11}, {20, 16}, {36, 41}, {77, 11}};
constexpr LoginRequestLayout kLogin224{224, {9, 11}, {20, 16}, {36, 41}, {77, 11}};
constexpr LoginRequestLayout kLogin228{228, {9, 11}, {20, 16}, {36, 41}, {77, 11}};
constexpr LoginRequestLayout kLogin264{264, {9, 11}, {20, 16}, {36, 41}, {77, 11}};
constexpr LoginRequestLayout kLogin280{280, {9, 11}, {20, 16}, {36, 41}, {77, 11}};

constexpr LoginAnswerLayout login_answer(std::uint32_t size, Field sys_version, Field gfex_time) {
    return {size,     {0, 9},    {9, 9},    {18, 11},  {29, 16},  {45, 41},  {88, 4},    {92, 4},
            {96, 13}, {109, 9},  {118, 9},  {127, 9},  {136, 9},  {145, 9},  gfex_time,  sys_version};
}
constexpr LoginAnswerLayout kAnswer156 = login_answer(156, {0, 0}, {0, 0});
constexpr LoginAnswerLayout kAnswer196 = login_answer(196, {154, 41}, {0, 0});
constexpr LoginAnswerLayout kAnswer204 = login_answer(204, {154, 41}, {195, 9});
constexpr LoginAnswerLayout kAnswer212 = login_answer(212, {154, 41}, {195, 9});
constexpr LoginAnswerLayout kAnswer296 = login_answer(296, {154, 41}, {195, 9});

constexpr InstrumentLayout kInstrument31{31, {0, 31}};
constexpr InstrumentLayout kInstrument112{112, {31, 81}};

constexpr ForQuoteLayout kForQuote88{88, {0, 9}, {9, 31}, {40, 21}, {61, 9}, {70, 9}, {79, 9}};
constexpr ForQuoteLayout kForQuote169{169, {0, 9}, {88, 81}, {40, 21}, {61, 9}, {70, 9}, {79, 9}};

constexpr MulticastLayout kMulticast64{64, {0, 4}, {4, 31}, {36, 4}, {40, 8}, {48, 4}, {56, 8}, 36, {0, 4}, {4, 31}};
constexpr MulticastLayout kMulticast152{152, {0, 4}, {64, 81}, {36, 4}, {40, 8}, {48, 4}, {56, 8}, 116, {0, 4}, {35, 81}};

constexpr Generation kG1{
    "G1", 12,
    {TK_CB_FRONT_CONNECTED, TK_CB_FRONT_DISCONNECTED, TK_CB_HEARTBEAT_WARNING, TK_CB_USER_LOGIN,
     TK_CB_USER_LOGOUT, TK_CB_ERROR, TK_CB_SUB_MARKET_DATA, TK_CB_UNSUB_MARKET_DATA, TK_CB_SUB_FOR_QUOTE,
     TK_CB_UNSUB_FOR_QUOTE, kCallbackTick, TK_CB_FOR_QUOTE, -1, -1, -1, -1},
    14, 0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, -1};

constexpr Generation kG2{
    "G2", 13,
    {TK_CB_FRONT_CONNECTED, TK_CB_FRONT_DISCONNECTED, TK_CB_HEARTBEAT_WARNING, TK_CB_USER_LOGIN,
     TK_CB_USER_LOGOUT, TK_CB_QRY_MULTICAST, TK_CB_ERROR, TK_CB_SUB_MARKET_DATA, TK_CB_UNSUB_MARKET_DATA,
     TK_CB_SUB_FOR_QUOTE, TK_CB_UNSUB_FOR_QUOTE, kCallbackTick, TK_CB_FOR_QUOTE, -1, -1, -1},
    15, 0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14};

// A row holds from its first to its last version, which are versions that have been looked at.
constexpr VersionLayouts kRows[] = {
    {"6.3.5", "6.3.5", &kG1, 2, &kDepth[0], &kLogin188, &kAnswer156, &kInstrument31, &kForQuote88, nullptr},
    {"6.3.6", "6.3.11", &kG1, 2, &kDepth[0], &kLogin224, &kAnswer156, &kInstrument31, &kForQuote88, nullptr},
    {"6.3.13", "6.3.15", &kG1, 2, &kDepth[0], &kLogin228, &kAnswer156, &kInstrument31, &kForQuote88, nullptr},
    {"6.3.15_P2", "6.3.19_P1", &kG2, 2, &kDepth[0], &kLogin228, &kAnswer156, &kInstrument31, &kForQuote88, &kMulticast64},
    {"6.5.1", "6.5.1", &kG2, 2, &kDepth[1], &kLogin264, &kAnswer156, &kInstrument112, &kForQuote169, &kMulticast152},
    {"6.6.1_P1", "6.6.1_P1", &kG2, 2, &kDepth[2], &kLogin264, &kAnswer156, &kInstrument112, &kForQuote169, &kMulticast152},
    {"6.6.7", "6.6.7", &kG2, 2, &kDepth[2], &kLogin264, &kAnswer196, &kInstrument112, &kForQuote169, &kMulticast152},
    {"6.6.9", "6.7.7", &kG2, 2, &kDepth[2], &kLogin264, &kAnswer204, &kInstrument112, &kForQuote169, &kMulticast152},
    {"6.7.8", "6.7.10", &kG2, 2, &kDepth[2], &kLogin264, &kAnswer212, &kInstrument112, &kForQuote169, &kMulticast152},
    {"6.7.11", "6.7.11", &kG2, 3, &kDepth[2], &kLogin264, &kAnswer296, &kInstrument112, &kForQuote169, &kMulticast152},
    {"6.7.13", "6.7.13", &kG2, 3, &kDepth[2], &kLogin280, &kAnswer296, &kInstrument112, &kForQuote169, &kMulticast152},
};
constexpr std::size_t kRowCount = sizeof kRows / sizeof kRows[0];

bool eat_number(const char** p, int* out) {
    if (**p < '0' || **p > '9') return false;
    char* end = nullptr;
    const long n = std::strtol(*p, &end, 10);
    if (n < 0 || n > 99999999) return false;
    *out = static_cast<int>(n);
    *p = end;
    return true;
}

}  // namespace

const DepthLayout* depth_layout(std::uint32_t number) {
    return number >= 1 && number <= 3 ? &kDepth[number - 1] : nullptr;
}

ParsedVersion parse_version(const char* text) {
    ParsedVersion out;
    const char* p = text;
    if (*p == 'v' || *p == 'V') ++p;
    Version v;
    if (!eat_number(&p, &v.major) || (*p != '.' && *p != '_') || !eat_number(&++p, &v.minor) ||
        (*p != '.' && *p != '_') || !eat_number(&++p, &v.patch))
        return out;
    while (*p == '_') {
        const char* q = p + 1;
        if (*q == 'P' && eat_number(&++q, &v.p)) {
            p = q;
        } else if (std::strncmp(p, "_CP", 3) == 0) {
            out.evaluation = true;
            p += 3;
        } else if (std::strncmp(p, "_SM", 3) == 0) {
            out.national_crypto = true;
            p += 3;
        } else if (p[1] == 'T' && p[2] >= '0' && p[2] <= '9') {
            for (p += 2; *p >= '0' && *p <= '9';) ++p;  // a test build's number
        } else {
            break;  // the build date
        }
    }
    v.valid = true;
    out.version = v;
    return out;
}

int compare(const Version& a, const Version& b) {
    const int x[4] = {a.major, a.minor, a.patch, a.p}, y[4] = {b.major, b.minor, b.patch, b.p};
    for (int i = 0; i < 4; ++i)
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    return 0;
}

Table version_table() { return {kRows, kRowCount}; }

namespace {

Version version_of(const char* text) { return parse_version(text).version; }

// Structs only ever grow at their ends, so what the older row says holds for a version in the gap too,
// unless something has moved by the newer row.
bool only_grown(const VersionLayouts& older, const VersionLayouts& newer) {
    return older.generation == newer.generation && older.factory_flags == newer.factory_flags &&
           older.depth->instrument_id == newer.depth->instrument_id;
}

std::int32_t find_row(const Facts& facts, const Version& version, const VersionLayouts** out) {
    const VersionLayouts* row = nullptr;
    for (const VersionLayouts& candidate : kRows)
        if (compare(version, version_of(candidate.first_version)) >= 0) row = &candidate;
    if (row == nullptr)
        return fail(TK_E_VENDOR, "version '%.60s' is older than any known one (%s)", facts.version_text, kRows[0].first_version);
    const char* newest = kRows[kRowCount - 1].last_version;
    const bool beyond = compare(version, version_of(row->last_version)) > 0;
    if (beyond && row == &kRows[kRowCount - 1])
        return fail(TK_E_VENDOR, "version '%.60s' is newer than the newest known one (%s); override the version with %s if its market-data interface has not changed",
                    facts.version_text, newest, newest);
    if (beyond && (facts.overridden || !only_grown(row[0], row[1])))
        return fail(TK_E_VENDOR, "version '%.60s' is not known; it lies between %s and %s, which differ: override the version with the one it agrees with",
                    facts.version_text, row[0].last_version, row[1].first_version);
    *out = row;
    return TK_OK;
}

}  // namespace

std::int32_t recognise(const Facts& facts, Recognised* out) {
    const char* text = facts.version_text;
    const std::uint32_t slots = facts.api_slots;
    const ParsedVersion parsed = parse_version(text);
    if (!parsed.version.valid)
        return fail(TK_E_VENDOR, "version text '%.60s' is not understood (the api has %u slots); pass the version to override it",
                    text, slots);
    if (parsed.national_crypto)
        return fail(TK_E_VENDOR, "'%.60s' is a national-crypto (SM) build, which is not supported", text);
    if (slots == 12 || slots == 13 || parsed.version.major == 1)
        return fail(TK_E_VENDOR, "'%.60s' with %u api slots is the mini product, not CTP", text, slots);
    if (parsed.version.major == 3)
        return fail(TK_E_VENDOR, "'%.60s' is the option product (sopt), not CTP futures", text);
    if (slots == 0)
        return fail(TK_E_VENDOR, "'%.60s' does not export the api's vtable, so its version cannot be checked; not a known CTP library", text);
    const VersionLayouts* row = nullptr;
    if (const std::int32_t rc = find_row(facts, parsed.version, &row); rc != TK_OK) return rc;
    if (slots != row->generation->api_slots)
        return fail(TK_E_VENDOR, "version '%.60s' should have %u api slots, this library has %u%s",
                    text, row->generation->api_slots, slots,
                    slots > 15 ? ": a national-crypto (SM) build, or newer than all known ones" : "; not a known CTP library");
    if (facts.factory_flags != row->factory_flags)
        return fail(TK_E_VENDOR, "version '%.60s' should have a factory with %u flags, this library's has %u; not a known CTP library",
                    text, row->factory_flags, facts.factory_flags);
    *out = {row->generation, row, parsed.evaluation};
    return TK_OK;
}

}  // namespace tk
