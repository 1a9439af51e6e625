// The versions of the vendor's trading interface that this library can be built as.
#pragma once

#include <cstddef>
#include <cstdint>

namespace compat::trader {

// By age. v635 is the build before 6.3.6, which had no number.
enum Version : std::uint8_t {
    v635, v636, v6311, v6313, v6315, v6319P1, v651, v661P1, v667, v669,
    v670, v671, v672, v677, v678, v679, v679P1, v6710, v6711, v6713, kVersionCount
};
constexpr Version kNewest = v6713;

// The plain protocol has the structures of this version, whatever version is built.
constexpr Version kWireVersion = v636;

struct VersionFacts {
    long number;  // TK_COMPAT
    const char* text;
};
constexpr VersionFacts kVersions[kVersionCount] = {
    {635, "v6.3.5_20150803 tickengine compatible"},    {636, "v6.3.6_20160606 tickengine compatible"},
    {6311, "v6.3.11_20180109 tickengine compatible"},  {6313, "v6.3.13_20181119 tickengine compatible"},
    {6315, "6.3.15_20190220 tickengine compatible"},   {63191, "v6.3.19_P1_20200106 tickengine compatible"},
    {651, "v6.5.1_20200908 tickengine compatible"},    {6611, "v6.6.1_P1_20210406 tickengine compatible"},
    {667, "v6.6.7_20220613 tickengine compatible"},    {669, "v6.6.9_20220914 tickengine compatible"},
    {670, "v6.7.0_20230209 tickengine compatible"},    {671, "v6.7.1_20230613 tickengine compatible"},
    {672, "v6.7.2_20230913 tickengine compatible"},    {677, "v6.7.7_20240607 tickengine compatible"},
    {678, "v6.7.8_20240918 tickengine compatible"},    {679, "v6.7.9_20241224 tickengine compatible"},
    {6791, "v6.7.9_P1_20250319 tickengine compatible"}, {6710, "v6.7.10_20250422 tickengine compatible"},
    {6711, "v6.7.11_20250617 tickengine compatible"},  {6713, "v6.7.13_20260225 tickengine compatible"},
};

constexpr bool has_production_flag(Version v) { return v >= v6711; }

// kVersionCount when no version has the number.
constexpr Version version_of(long number) {
    for (std::size_t i = 0; i < kVersionCount; ++i) {
        if (kVersions[i].number == number) return static_cast<Version>(i);
    }
    return kVersionCount;
}

}  // namespace compat::trader
