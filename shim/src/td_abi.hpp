// The vendor's trading interface as data: slots and layouts per version, and the canonical layouts that the
// journal holds. The rows are in td_rows.inc; docs/vendor.md has the sources.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "tickshim.h"

namespace tk::td {

enum class FieldType : std::uint8_t { kText, kChar, kInt, kDouble };

// Where the vendor has a field, in the layouts from `first` on; size 0: no such place.
struct Place {
    std::uint8_t first;
    std::uint16_t offset, size;
};

// A field of a canonical struct, by the vendor's name, and its places in the vendor's layouts. An id that has
// become longer has moved once: two places.
struct StructField {
    const char* name;
    FieldType type;
    std::uint16_t offset, size;
    Place places[2];
};

template <typename T>
struct Span {
    const T* data;
    std::uint32_t count;
    const T* begin() const { return data; }
    const T* end() const { return data + count; }
    const T& operator[](std::uint32_t i) const { return data[i]; }
};
template <typename T, std::size_t N>
constexpr Span<T> table(const T (&rows)[N]) {
    return {rows, static_cast<std::uint32_t>(N)};
}

struct StructTable {
    const char* name;
    std::uint16_t size;  // of the canonical struct
    Span<StructField> fields;
    Span<std::uint16_t> layout_sizes;  // of the vendor's layouts, oldest first
};

// Slots by our numbers for methods or callbacks; -1: not in this generation.
template <std::size_t N>
struct TdGeneration {
    const char* name;
    std::uint16_t slots;
    std::int16_t slot[N];
};

constexpr std::size_t kStructCount = 23;

struct TdVersion {
    const char* version;
    std::uint8_t api, spi;  // generations
    std::uint8_t factory_flags;
    std::uint8_t layouts[kStructCount];
};

#include "td_rows.inc"

static_assert(sizeof kStructs / sizeof kStructs[0] == kStructCount && kStructEnd == kStructCount + 1, "one row each");

constexpr std::uint32_t kMaxSpiSlots = 192;  // the newest has 178; what lies behind is answered too
constexpr std::uint16_t kMaxPayload = 832;

inline const StructTable& struct_table(Struct s) { return kStructs[s - 1]; }
inline std::uint32_t layout_of(const TdVersion& v, Struct s) { return v.layouts[s - 1]; }
inline std::uint32_t vendor_size(const TdVersion& v, Struct s) { return struct_table(s).layout_sizes[layout_of(v, s)]; }
inline int api_slot(const TdVersion& v, api::Slot s) { return api::kGenerations[v.api].slot[s]; }

// The field's place in a layout; size 0: the layout lacks it.
constexpr Place place_of(const StructField& f, std::uint32_t layout) {
    if (f.places[1].size != 0 && layout >= f.places[1].first) return f.places[1];
    return layout >= f.places[0].first ? f.places[0] : Place{0, 0, 0};
}

// A struct of the vendor's into its canonical form, zeros where the version has no such field. Reads only
// what the layout says. Texts end at their first NUL, or fill their place.
void to_canonical(const TdVersion& version, Struct s, const char* vendor, char* out);
// The other way: TK_E_ARG when a text does not fit the version's place. What the version lacks is left out.
std::int32_t to_vendor(const TdVersion& version, Struct s, const char* canonical, char* out);

// What is known of a library without calling any of its methods.
struct TdFacts {
    const char* version_text;
    std::uint32_t api_slots;
    std::uint32_t factory_flags;
};
// The version's row. All facts must agree with it: nothing is guessed for a library that sends orders.
std::int32_t recognise(const TdFacts& facts, const TdVersion** out);

struct TdLibrary {
    std::string path;
    std::string version;
    std::uint32_t api_slots = 0;
    bool evaluation = false;
    void* factory = nullptr;
    const TdVersion* tables = nullptr;

    void* create(const char* flow_path, bool production) const;
};
// Stays loaded for the life of the process, as the market-data library does.
std::int32_t open_library(const char* path, const char* override_version, TdLibrary* out);
void describe(const TdLibrary& library, tk_td_info* out);

const char* tables_text();
const char* structs_text();

}  // namespace tk::td
