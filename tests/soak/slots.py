"""A queue's counters read from the shared files as docs/layout.md has them, not by the code under test."""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass

from tickengine import TickLog

_SLOTS, _SLOT = 4096, 384
_FILTERS, _FILTER = 512, 96
_UNKNOWN = (1 << 64) - 1
_WRAP = 1 << 64


@dataclass(frozen=True)
class Counters:
    """Of one queue. *expected* and *first* are sums over its filter."""

    expected: int
    first: int
    received: int
    lost: int
    skipped: int
    events: int
    lost_events: int
    expected_event: int
    first_event: int

    @property
    def wanted(self) -> int:
        """Ticks that the reader has passed, in one way or another."""
        return (self.expected - self.first) % _WRAP

    @property
    def events_wanted(self) -> int:
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
        expected = [struct.unpack_from("<Q", queue, _FILTERS + k * _FILTER + 88)[0] for k in range(filters)]
        at = _SLOTS + slot * _SLOT
        (expected_event,) = struct.unpack_from("<Q", log, at + 24)
        first, first_event = struct.unpack_from("<2Q", log, at + 40)
        (which,) = struct.unpack_from("<I", log, at + 256)
        _, received, lost, lost_events, _, _, events = struct.unpack_from("<7Q", log, at + 128 + 64 * which)
        (skipped,) = struct.unpack_from("<Q", log, at + 264 + 8 * which)
    known = sum(e for e in expected if e != _UNKNOWN)
    return Counters(
        known % _WRAP, first, received, lost, skipped, events, lost_events, expected_event % _WRAP, first_event
    )


def written(log: TickLog, ids: tuple[str, ...] | None) -> int:
    """Ticks in the log so far that a filter of these ids wants, by the instrument table."""
    if ids is None:
        return int(log.info().ticks)
    return sum({e["InstrumentID"]: e["count"] for e in log.instruments() if e["InstrumentID"] in ids}.values())
