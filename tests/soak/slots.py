"""A queue's counters read from the shared files as docs/layout.md has them, not by the code under test."""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass

from tickengine import TickLog

_SLOTS, _SLOT = 4096, 1472
_FILTERS, _FILTER = 512, 96
_WRAP = 1 << 64


@dataclass(frozen=True)
class Counters:
    """Of one queue. *expected*: the number of its next tick, for each instrument of its filter (one for all)."""

    expected: tuple[int, ...]
    first: int
    cursor: int
    received: int
    lost: int
    skipped: int
    events: int
    lost_events: int
    expected_event: int
    first_event: int

    @property
    def passed(self) -> int:
        """Ticks that the reader has left behind, by the numbers it expects next."""
        return (sum(self.expected) - self.first) % _WRAP

    @property
    def events_passed(self) -> int:
        return (self.expected_event - self.first_event) % _WRAP


def _load(path: bytes) -> mmap.mmap:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ)
    finally:
        os.close(fd)


def counters(queue_path: bytes, log_path: bytes) -> Counters:
    """Of a queue that has its place in this log. Whole only while its reader takes nothing."""
    with _load(queue_path) as queue, _load(log_path) as log:
        (filters,) = struct.unpack_from("<I", queue, 16)
        (slot,) = struct.unpack_from("<I", queue, 132)
        expected = tuple(struct.unpack_from("<Q", queue, _FILTERS + k * _FILTER + 88)[0] for k in range(filters))
        at = _SLOTS + slot * _SLOT
        (expected_event,) = struct.unpack_from("<Q", log, at + 24)
        first, first_event = struct.unpack_from("<2Q", log, at + 40)
        (which,) = struct.unpack_from("<I", log, at + 256)
        cursor, received, lost, lost_events, _, _, events = struct.unpack_from("<7Q", log, at + 128 + 64 * which)
        (skipped,) = struct.unpack_from("<Q", log, at + 264 + 8 * which)
    return Counters(expected, first, cursor, received, lost, skipped, events, lost_events, expected_event, first_event)


def written(log: TickLog, ids: tuple[str, ...] | None) -> int:
    """Ticks in the log so far that a filter of these ids wants, by the instrument table."""
    if ids is None:
        return int(log.info().ticks)
    return sum({e["InstrumentID"]: e["count"] for e in log.instruments() if e["InstrumentID"] in ids}.values())


def silent_losses(log: TickLog, ids: tuple[str, ...] | None, counters: Counters) -> int:
    """Ticks that a reader was overtaken by and has not counted yet, because no later tick of the instrument has
    come: docs/layout.md, "Detect an overrun and count it"."""
    table = [(e["InstrumentID"], e["count"], e["latest"]) for e in log.instruments() if e["latest"] is not None]
    if ids is None:
        (expected,) = counters.expected
        overtaken = all(latest < counters.cursor for _, _, latest in table)
        return max(0, int(log.info().ticks) - expected) if overtaken else 0
    expected_of = dict(zip(ids, counters.expected))
    return sum(
        max(0, count - expected_of[name])
        for name, count, latest in table
        if name in expected_of and latest < counters.cursor
    )
