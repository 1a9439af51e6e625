"""What a worker does with its ticks: `tickengine.bench.loops`, and the forms that only transports here have."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

from parts.depth import VOLUME_AT

from tickengine.bench import loops

Loop = Callable[[Iterator[Any], "list[int]"], "tuple[int, bool]"]  # ticks received, in order

# From the vendor's struct of 584 bytes: price and instrument, and the number that the benchmark adds.
_PRICE_AND_INSTRUMENT = struct.Struct("<80xd313x81s")
_NUMBER = struct.Struct("<i")


def _indexes(ticks: Iterator[Any], seen: list[int]) -> tuple[int, bool]:
    """The instrument's index in the log in place of its text."""
    clock = time.monotonic_ns
    last, received, ordered = -1, 0, True
    for tick in ticks:
        _price, _instrument = tick.LastPrice, tick.Instrument
        now = clock()
        number = tick.Volume
        if number <= last:
            if number < 0:
                break
            ordered = False
        seen[number] = now
        last = number
        received += 1
    return received, ordered


def _raw(ticks: Iterator[Any], seen: list[int]) -> tuple[int, bool]:
    clock, unpack, unpack_number = time.monotonic_ns, _PRICE_AND_INSTRUMENT.unpack_from, _NUMBER.unpack_from
    last, received, ordered = -1, 0, True
    for tick in ticks:
        _price, text = unpack(tick)
        _instrument = text[: text.index(0)]
        now = clock()
        (number,) = unpack_number(tick, VOLUME_AT)
        if number <= last:
            if number < 0:
                break
            ordered = False
        seen[number] = now
        last = number
        received += 1
    return received, ordered


def _raw_flat(ticks: Iterator[Any], _seen: list[int]) -> tuple[int, bool]:
    unpack, unpack_number = _PRICE_AND_INSTRUMENT.unpack_from, _NUMBER.unpack_from
    last, received, ordered = -1, 0, True
    for tick in ticks:
        _price, text = unpack(tick)
        _instrument = text[: text.index(0)]
        (number,) = unpack_number(tick, VOLUME_AT)
        if number <= last:
            if number < 0:
                break
            ordered = False
        last = number
        received += 1
    return received, ordered


LOOPS: dict[str, tuple[Loop, Loop | None]] = {
    "attributes": (loops.ticks, loops.ticks_counted),
    "indexes": (_indexes, None),
    "dicts": (loops.dicts, loops.dicts_counted),
    "raw": (_raw, _raw_flat),
    "columns": (loops.columns, loops.columns_counted),
}
"""By form: timed, and flat out (None: not measured)."""
