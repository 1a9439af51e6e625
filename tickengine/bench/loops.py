"""What a worker does with its ticks: reads price and instrument, then looks at the clock.

For each form of a tick one loop that stores the clock, by the tick's number (``Volume``), and one that only
counts: storing would be a good part of what a tick costs. A source ends with a tick whose number is negative.
They return the number received, and whether they came in order. Each is written out: to call the part in which
they differ would cost more than that part.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any


def ticks(ticks: Iterator[Any], seen: list[int]) -> tuple[int, bool]:
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


def ticks_counted(ticks: Iterator[Any], _seen: list[int]) -> tuple[int, bool]:
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


def dicts(ticks: Iterator[Any], seen: list[int]) -> tuple[int, bool]:
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


def dicts_counted(ticks: Iterator[Any], _seen: list[int]) -> tuple[int, bool]:
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


def columns(batches: Iterator[Any], seen: list[int]) -> tuple[int, bool]:
    """A whole batch has been read when its two columns are there as Python values."""
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


def columns_counted(batches: Iterator[Any], _seen: list[int]) -> tuple[int, bool]:
    last, received, ordered = -1, 0, True
    for ticks in batches:
        _prices, _instruments = ticks["LastPrice"].tolist(), ticks["InstrumentID"].tolist()
        numbers = ticks["Volume"]
        ended = bool(numbers[-1] < 0)
        if ended:
            numbers = numbers[:-1]
        if len(numbers):
            ordered = ordered and bool(numbers[0] > last and (numbers[1:] > numbers[:-1]).all())
            last = int(numbers[-1])
            received += len(numbers)
        if ended:
            break
    return received, ordered
