"""A log of the script's own, and a writer on it in the script's process."""

from __future__ import annotations

import ctypes as ct
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tickengine import TickLog
from tickengine._shim import lib, new_handle

from .depth import depth_struct

CAPACITY = 65536
FULL = CAPACITY - 1  # ticks that can be read back: one slot is always the next to be written
VOLUMES = 1 << 31  # a writer's Volume is the tick's number modulo this


@contextmanager
def own_log(name: str, capacity: int = CAPACITY) -> Iterator[TickLog]:
    """Ended and removed behind the context."""
    log = TickLog.create(name, capacity)
    try:
        yield log
    finally:
        log.end()
        log.unlink()
        log.close()


class OwnWriter:
    """Floods of any length."""

    def __init__(self, log: TickLog) -> None:
        self._writer = new_handle()
        lib().writer_open(log.handle, True, ct.byref(self._writer))
        self.written = 0

    def flood(self, layout: int, count: int, stamped: bool = True) -> tuple[float, float]:
        """Nanoseconds per tick: elapsed, and of this thread's processor time. Volume counts from 0 in each flood."""
        elapsed = ct.c_int64()
        before = time.thread_time_ns()
        lib().writer_flood(self._writer, layout, depth_struct(layout), count, stamped, ct.byref(elapsed))
        self.written += count
        return elapsed.value / count, (time.thread_time_ns() - before) / count

    def tick(self, layout: int, raw: bytes) -> None:
        """One vendor struct as it is."""
        lib().writer_tick(self._writer, layout, raw)
        self.written += 1

    def __enter__(self) -> OwnWriter:
        return self

    def __exit__(self, *_exc: object) -> None:
        lib().writer_close(self._writer)
