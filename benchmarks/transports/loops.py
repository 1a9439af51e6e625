"""What a worker does with its ticks: reads price and instrument, then looks at the clock.

One loop for each form that a tick can have, the same for all transports that have it. A source is an
iterator that ends with a tick whose number (``Volume``) is negative. A timed loop stores the clock by the
tick's number; one that runs flat out only counts. Each is written out: to call the part in which they differ would
cost more than that part.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

from parts.depth import VOLUME_AT

Loop = Callable[[Iterator[Any], "list[int]"], "tuple[int, bool]"]  # ticks received, in order

# From the vendor's struct of 584 bytes: price and instrument, and the number that the benchmark adds.
_PRICE_AND_INSTRUMENT = struct.Struct("<80xd313x81s")
_NUMBER = struct.Struct("<i")


def _attributes(ticks: Iterator[Any], seen: list[int]) -> tuple[int, bool]:
    clock = time.monotonic_ns
    last, received, ordered = -1, 0, True
    for tick in ticks:
        _price, _instrument = tick.LastPrice, tick.InstrumentID
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


def _attributes_flat(ticks: Iterator[Any], _seen: list[int]) -> tuple[int, bool]:
    last, received, ordered = -1, 0, True
    for tick in ticks:
        _price, _instrument = tick.LastPrice, tick.InstrumentID
        number = tick.Volume
        if number <= last:
            if number < 0:
                break
            ordered = False
        last = number
        received += 1
    return received, ordered


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


def _dicts(ticks: Iterator[Any], seen: list[int]) -> tuple[int, bool]:
    clock = time.monotonic_ns
    last, received, ordered = -1, 0, True
    for tick in ticks:
        _price, _instrument = tick["LastPrice"], tick["InstrumentID"]
        now = clock()
        number = tick["Volume"]
        if number <= last:
            if number < 0:
                break
            ordered = False
        seen[number] = now
        last = number
        received += 1
    return received, ordered


def _dicts_flat(ticks: Iterator[Any], _seen: list[int]) -> tuple[int, bool]:
    last, received, ordered = -1, 0, True
    for tick in ticks:
        _price, _instrument = tick["LastPrice"], tick["InstrumentID"]
        number = tick["Volume"]
        if number <= last:
            if number < 0:
                break
            ordered = False
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


def _columns(batches: Iterator[Any], seen: list[int]) -> tuple[int, bool]:
    """Structured arrays: a whole batch has been read when its two columns are there as Python values."""
    clock = time.monotonic_ns
    last, received, ordered = -1, 0, True
    for ticks in batches:
        _prices, _instruments = ticks["LastPrice"].tolist(), ticks["InstrumentID"].tolist()
        now = clock()
        for number in ticks["Volume"].tolist():
            if number <= last:
                if number < 0:
                    return received, ordered
                ordered = False
            seen[number] = now
            last = number
            received += 1
    return received, ordered


def _columns_flat(batches: Iterator[Any], _seen: list[int]) -> tuple[int, bool]:
    last, received, ordered = -1, 0, True
    for ticks in batches:
        _prices, _instruments = ticks["LastPrice"].tolist(), ticks["InstrumentID"].tolist()
        numbers = ticks["Volume"]
        ended = numbers[-1] < 0
        if ended:
            numbers = numbers[:-1]
        if len(numbers):
            ordered = ordered and numbers[0] > last and bool((numbers[1:] > numbers[:-1]).all())
            last = int(numbers[-1])
            received += len(numbers)
        if ended:
            break
    return received, ordered


LOOPS: dict[str, tuple[Loop, Loop | None]] = {
    "attributes": (_attributes, _attributes_flat),
    "indexes": (_indexes, None),
    "dicts": (_dicts, _dicts_flat),
    "raw": (_raw, _raw_flat),
    "columns": (_columns, _columns_flat),
}
"""By form: timed, and flat out (None: not measured)."""
