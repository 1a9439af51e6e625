"""A vendor DepthMarketData struct as bytes, for those who publish without a vendor library."""

from __future__ import annotations

import ctypes as ct
import struct

SIZES = {1: 408, 2: 568, 3: 584}
VOLUME_AT = 136  # in all layouts; a benchmark's ticks carry their number there
_ID_OFFSETS = {1: (9, 49), 2: (401, 482), 3: (401, 482)}
_PRICE_OFFSETS = (
    *range(80, 136, 8),
    *range(144, 208, 8),
    *(224 + 32 * level + at for level in range(5) for at in (0, 16)),
    384,
)


def depth_struct(layout: int, instrument: bytes = b"rb2601", price: float = 3123.0) -> ct.Array[ct.c_char]:
    """All texts filled, prices near *price*, of the given layout."""
    data = bytearray(SIZES[layout])

    def text(offset: int, value: bytes) -> None:
        data[offset : offset + len(value)] = value

    for offset, value in ((0, b"20260105"), (392, b"20260105"), (208, b"09:30:01"), (40, b"SHFE")):
        text(offset, value)
    for offset in _ID_OFFSETS[layout]:
        text(offset, instrument)
    for n, offset in enumerate(_PRICE_OFFSETS):
        struct.pack_into("<d", data, offset, price + n)
    for level in range(5):
        struct.pack_into("<i", data, 224 + 32 * level + 8, 100 + level)
        struct.pack_into("<i", data, 224 + 32 * level + 24, 200 + level)
    struct.pack_into("<i", data, 220, 500)
    return ct.create_string_buffer(bytes(data), len(data))
