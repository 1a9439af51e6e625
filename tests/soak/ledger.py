"""What a worker saw, in memory that outlives it.

A ring of rows in a file, one file for each queue. The worker writes a row and then counts it, so what is counted
when it is killed is what it had been given and had looked at; its successor goes on behind that. The accountant
empties the ring.
"""

from __future__ import annotations

import mmap
import os
import struct
import time

import numpy as np
import numpy.typing as npt

# of a tick: number of the market, InstrumentNumber, TickNumber, position of the instrument, Flags
# of an event: Code, EventNumber, TickNumber, low half of Value, 0
ROW = np.dtype(
    [
        ("stamp", "<u8"),
        ("number", "<u8"),
        ("own", "<u8"),
        ("ticks", "<u8"),
        ("place", "<u4"),
        ("flags", "<u2"),
        ("kind", "u1"),
        ("unused", "u1"),
    ]
)
_PACK = struct.Struct("<4QIHBx").pack_into
_HEADER = 4096
ROWS = 1 << 18
DRAIN = 1 << 13
COUNT, DRAINED, ORDER = 0, 1, 2

RUN, HURRY, LEAVE = 0, 1, 2
"""Orders to the worker: as its style is; without pauses; finish."""


class Ledger:
    def __init__(self, path: str, *, create: bool = False, rows: int = ROWS) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0)
        fd = os.open(path, flags, 0o600)
        try:
            if create:
                os.ftruncate(fd, _HEADER + rows * ROW.itemsize)
            self._map = mmap.mmap(fd, 0)
        finally:
            os.close(fd)
        self._rows = np.frombuffer(self._map, ROW, offset=_HEADER)
        self._size = len(self._rows)
        self._words = memoryview(self._map)[:64].cast("Q")

    # ---- the worker's side ---------------------------------------------------------------------------------

    @property
    def order(self) -> int:
        return self._words[ORDER]

    @property
    def count(self) -> int:
        """Rows written by all workers of this queue."""
        return self._words[COUNT]

    def put(self, stamp: int, number: int, own: int, ticks: int, place: int, flags: int, kind: int) -> None:
        count = self._words[COUNT]
        if count - self._words[DRAINED] >= self._size:
            self._wait_for_room(1)
        at = _HEADER + count % self._size * ROW.itemsize
        _PACK(self._map, at, stamp, number, own, ticks, place, flags, kind)
        self._words[COUNT] = count + 1

    def append(self, rows: npt.NDArray[np.void]) -> None:
        count = self._words[COUNT]
        self._wait_for_room(len(rows))
        start = count % self._size
        first = min(len(rows), self._size - start)
        self._rows[start : start + first] = rows[:first]
        self._rows[: len(rows) - first] = rows[first:]
        self._words[COUNT] = count + len(rows)

    def _wait_for_room(self, rows: int) -> None:
        # A worker that waits here is a slow reader like any other.
        while self._words[COUNT] - self._words[DRAINED] + rows > self._size:
            time.sleep(0.001)

    @property
    def drained(self) -> int:
        """Rows that the accountant has taken."""
        return self._words[DRAINED]

    # ---- the accountant's side -----------------------------------------------------------------------------

    def tell(self, order: int) -> None:
        self._words[ORDER] = order

    def drain(self) -> npt.NDArray[np.void]:
        """Rows that have not been taken yet, a copy; not too many at a time, so that a flood needs no more memory
        than a trickle."""
        count, drained = self._words[COUNT], self._words[DRAINED]
        start = drained % self._size
        stop = min(start + min(count - drained, DRAIN), self._size)
        rows = self._rows[start:stop].copy()
        self._words[DRAINED] = drained + len(rows)
        return rows

    def remove(self) -> None:
        os.unlink(self.path)
