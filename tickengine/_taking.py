"""The hot half of `TickQueue`: ticks out of the log into this process, and out of here to the program.

One call of the shim takes what is there, up to `BATCH` ticks, into `Tick` objects made beforehand. `get`
and iteration then give them out one by one; all that a tick costs in Python is in those two functions. The
first look does not let go of the GIL: to let go of it and to get it back costs more than the copy, and with
another thread at work it costs a switch interval. Only who sleeps lets go of it.

What has been given out is counted in shared memory (``_handed``) before the program has it: a successor of a
killed reader goes on behind it.
"""

from __future__ import annotations

import ctypes as ct
import sys
import threading
import time
from collections.abc import Iterator
from queue import Empty
from typing import Any

import numpy as np
import numpy.typing as npt

from ._errors import Closed, ConfigError
from ._shim import LOOK, TAKE_ENDED, TAKE_INTERRUPTED, TAKE_ORPHANED, TAKE_RETIRED, WAIT_MODES, Take, lib
from .log import TickLog
from .tick import KIND_TICK, RECORD_SIZE, TICK_DTYPE, Event, Tick

BATCH = 128
ROWS = 1024
_BLOCKS = 4
_SPIN = WAIT_MODES["spin"]
_NEVER = 2**63 - 1


class Rebound(Exception):
    """The queue's engine has ended and another one has taken the queue: read on there."""


class Block:
    """Memory for `get_many`: rows that the shim fills and the program then has."""

    __slots__ = ("arg", "free", "raw", "rows", "size", "take")

    def __init__(self, reader: ct.c_void_p, wait_mode: int, count: int) -> None:
        self.rows: npt.NDArray[np.void] = np.empty(count, TICK_DTYPE)
        self.size = count
        self.raw = memoryview(self.rows.view(np.uint8).data)
        self.take = Take(
            reader=reader.value, block=self.rows.ctypes.data, max=count, handed=1, wait_mode=wait_mode, timeout_ns=-1
        )
        self.arg = ct.byref(self.take)
        self.free = 0
        self.free = self.references()

    def references(self) -> int:
        """More than at first: an array that the program was given still points here."""
        return sys.getrefcount(self.rows)


class Taking:
    """What `TickQueue` needs of its reader while it has one."""

    # What each tick goes through has places of its own: with all others an instance has more attributes than
    # Python keeps close.
    __slots__ = (
        "_arg",
        "_bell",
        "_blocks",
        "_count",
        "_first_look",
        "_given",
        "_hand",
        "_handed",
        "_look",
        "_next",
        "_pointers",
        "_poll",
        "_spin",
        "_take",
        "_ticks",
    )

    name: str
    events: bool
    _closed: bool
    _wait_mode: int
    _log: TickLog | None
    _reader: ct.c_void_p | None
    _bell: ct.c_void_p | None

    # ---- the other half ------------------------------------------------------------------------

    def _open(self, deadline: float | None, block: bool) -> None:
        raise NotImplementedError

    def _at_end(self, orphaned: bool) -> None:
        raise NotImplementedError

    def _drop_reader(self) -> None:
        raise NotImplementedError

    def _settle(self, take: Take, block: bool) -> int:
        raise NotImplementedError

    def _nothing_there(self, bind_version: int | None = None) -> Empty:
        raise NotImplementedError

    # ---- the reader comes and goes -------------------------------------------------------------

    def _forget_taken(self) -> None:
        """Without a reader: nothing in hand, nothing to look at."""
        self._poll: Any = nothing_yet
        self._first_look: Any = nothing_yet
        self._look: Any = nothing_yet
        self._ticks: list[Any] = []
        self._blocks: list[Block] = []
        self._next = 0
        self._count = 0
        self._handed = memoryview(bytearray(8)).cast("Q")
        self._given = 1
        self._hand = Take(max=BATCH)
        self._arg = ct.byref(self._hand)

    def _begin_taking(self, log: TickLog, reader: ct.c_void_p) -> None:
        shim = lib()
        self._spin, self._take = shim.reader_spin, shim.reader_take
        word = shim.reader_handed(reader)
        self._handed = memoryview(ct.cast(word, ct.POINTER(ct.c_uint64 * 1)).contents).cast("B").cast("Q")
        self._given = self._handed[0] + 1  # what _handed becomes with the first tick of the batch
        self._ticks = [_new_tick(log) for _ in range(BATCH)]
        self._pointers = (ct.c_void_p * BATCH)(*map(ct.addressof, self._ticks))
        self._hand = Take(
            reader=reader.value,
            out=ct.addressof(self._pointers),
            max=BATCH,
            wait_mode=self._wait_mode,
            timeout_ns=-1,
        )
        self._arg = ct.byref(self._hand)
        self._blocks = []
        self._next = self._count = 0
        self._look = shim.reader_poll
        if self._bell is None:  # else the reader may be the bell's: `_await` asks for it
            self._poll, self._first_look = shim.reader_poll, shim.reader_first_look  # last: now all is there

    # ---- waiting -------------------------------------------------------------------------------

    def _await(self, take: Take, arg: Any, deadline: float | None, block: bool) -> int:
        """The first look found nothing. Returns how many ticks came.

        Raises `Empty` when the time is over, `Closed` at the end, `Rebound` when there is another engine.
        """
        if self._bell is not None and (found := self._settle(take, block)):
            return found
        while True:
            count: int = self._wait(take, arg, deadline) if block else self._look(arg)
            if count > 0:
                return count
            if count < 0 and count != LOOK:
                if self._closed:
                    raise Closed(f"queue {self.name!r} is closed")
                raise lib().error("tk_reader_take", count)
            state = take.state
            if state == TAKE_RETIRED:
                if self._closed:
                    raise Closed(f"queue {self.name!r} is closed")
                self._drop_reader()  # frees the place
                raise Closed(f"queue {self.name!r} has been closed by the process that made it")
            if state in (TAKE_ENDED, TAKE_ORPHANED):
                self._at_end(orphaned=state == TAKE_ORPHANED)
            elif not block or state == TAKE_INTERRUPTED or (deadline is not None and time.monotonic() >= deadline):
                raise self._nothing_there()
            # else a signal was handled or a slice is over: go on

    def _wait(self, take: Take, arg: Any, deadline: float | None) -> int:
        """Spin or sleep as the queue was told to, until something comes or it is time to look round."""
        # Who spins keeps the GIL as long as there is nobody to have it: Python's own code, which the tick has
        # to go through, then stays in the processor's caches.
        if self._wait_mode == _SPIN and threading.active_count() == 1:
            take.deadline_ns = _NEVER if deadline is None else int(deadline * 1e9)
            spin = self._spin
            while not (count := spin(arg)):
                pass
            return count  # type: ignore[no-any-return]
        take.timeout_ns = -1 if deadline is None else max(0, int((deadline - time.monotonic()) * 1e9))
        return self._take(arg)  # type: ignore[no-any-return]

    # ---- one by one ----------------------------------------------------------------------------

    def get(self, block: bool = True, timeout: float | None = None) -> Tick:
        """The next tick (or `Event`, if the queue was made with ``events=True``).

        Args:
            block: False to return at once.
            timeout: seconds to wait at most; None for ever.

        Raises:
            queue.Empty: nothing came in time, or `interrupt` was called.
            Closed: the engine has ended and everything has been read.
            BusyError: another process or thread is reading this queue.
        """
        i = self._next
        if i >= self._count:
            self._refill(block, timeout)
            i = self._next
        self._next = i + 1
        self._handed[0] = self._given + i
        return self._ticks[i]  # type: ignore[no-any-return]

    def get_nowait(self) -> Tick:
        """`get` without waiting."""
        return self.get(False)

    def __iter__(self) -> Iterator[Tick]:
        """Ticks until the engine has stopped and the queue is drained."""
        while True:
            while (i := self._next) < self._count:
                self._next = i + 1
                self._handed[0] = self._given + i
                yield self._ticks[i]
            try:
                self._refill(True, None)
            except Closed:
                return

    def _refill(self, block: bool, timeout: float | None) -> None:
        """At least one more tick behind those that have been given out, or an exception."""
        if self._count >= BATCH:
            self._recycle()
        try:
            count = self._first_look(self._arg) if block else self._poll(self._arg)
            if count <= 0:
                deadline = None if timeout is None else time.monotonic() + timeout
                count = self._refill_later(block, deadline)
            if self.events:
                self._make_events(self._count, self._count + count)
            self._count += count
        except Closed:
            raise  # there was nothing
        except BaseException:
            self._keep_taken()
            raise

    def _keep_taken(self) -> None:
        """A signal's handler raised behind a take, before its ticks were counted: the next call has them."""
        taken: int = self._hand.used
        if self.events:
            self._make_events(self._count, taken)
        self._count = max(self._count, taken)

    def _refill_later(self, block: bool, deadline: float | None) -> int:
        while True:
            self._ready(deadline, block)
            try:
                return self._await(self._hand, self._arg, deadline, block)
            except Rebound:
                continue

    def _recycle(self) -> None:
        """All have been given out: their memory can be used again, but for those somebody still holds."""
        ticks = self._ticks
        if len(ticks) != BATCH:  # those that came back from get_many
            more = len(ticks) - BATCH
            ticks = [_new_tick(self._log) for _ in range(BATCH)]
            self._pointers[:] = list(map(ct.addressof, ticks))
            self._given += more
            self._ticks = ticks
        references = list(map(sys.getrefcount, ticks))
        if references[-1] != _UNHELD[-1]:  # as a rule: it is what the program looks at just now
            self._renew(-1)
            references[-1] = _UNHELD[-1]
        if references != _UNHELD or self.events:
            for i, (now, unheld) in enumerate(zip(references, _UNHELD)):
                if now != unheld or type(ticks[i]) is not Tick:
                    self._renew(i)
        self._given += BATCH
        self._next = self._count = 0
        self._hand.used = 0

    def _renew(self, i: int) -> None:
        fresh = _new_tick(self._log)
        address = ct.addressof(fresh)
        # Nothing is called between these two: a signal's handler that raised there would leave the shim a
        # pointer into memory that is the program's, or nobody's.
        self._pointers[i] = address
        self._ticks[i] = fresh

    def _make_events(self, start: int, stop: int) -> None:
        ticks = self._ticks
        for i in range(start, stop):
            if ticks[i].Kind != KIND_TICK:
                ticks[i] = Event.from_buffer_copy(ticks[i])

    # ---- many at once --------------------------------------------------------------------------

    def get_many(
        self, max_ticks: int | None = None, block: bool = True, timeout: float | None = None
    ) -> npt.NDArray[np.void]:
        """What is there, at least one tick, in order: a structured array of `TICK_DTYPE`, a copy of your own.

        Waits as `get` does when nothing is there. ``max_ticks`` None: at most 1,024 at a time. With
        ``events=True`` events are among the records (``Kind == 1``).

        Raises: as `get`.
        """
        limit = ROWS if max_ticks is None else max_ticks
        if limit < 1:
            raise ConfigError(f"max_ticks must be at least 1, not {max_ticks}")
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if self._next < self._count:
                return self._left_over(limit)
            reader = self._ready(deadline, block)
            chosen = self._free_block() if limit <= ROWS else Block(reader, self._wait_mode, limit)
            take = chosen.take
            take.max = limit
            try:
                count = self._first_look(chosen.arg) if block else self._poll(chosen.arg)
                if count <= 0:
                    count = self._await(take, chosen.arg, deadline, block)
                # A small answer should not keep a large block alive.
                rows = chosen.rows[:count] if count * 4 >= chosen.size else _array(chosen.raw[: count * RECORD_SIZE])
                take.used = 0
                self._given += count
                return rows  # as in _left_over
            except Rebound:
                continue
            except BaseException:
                self._take_back(chosen)
                raise

    def _take_back(self, block: Block) -> None:
        """A signal's handler raised behind a take: what it took is in hand again, as if `get` had taken it."""
        count = block.take.used
        if not count:
            return
        ticks: list[Any] = [_new_tick(self._log) for _ in range(max(count, BATCH))]
        first = len(ticks) - count
        for i in range(count):
            ct.memmove(ct.addressof(ticks[first + i]), block.rows.ctypes.data + i * RECORD_SIZE, RECORD_SIZE)
        if len(ticks) == BATCH:
            self._pointers[:] = list(map(ct.addressof, ticks))
        self._ticks = ticks
        if self.events:
            self._make_events(first, len(ticks))
        given = self._handed[0] - count
        self._given = given + 1 - first
        self._next, self._count = first, first + count
        self._handed[0] = given
        block.take.used = 0

    def _left_over(self, limit: int) -> npt.NDArray[np.void]:
        """What get() has taken and not given out."""
        start = self._next
        stop = min(self._count, start + limit)
        rows = np.frombuffer(bytearray().join(self._ticks[start:stop]), TICK_DTYPE)
        self._next = stop
        self._handed[0] = self._given + stop - 1
        return rows  # no call behind those two: a signal's handler that raised there would lose them

    def _free_block(self) -> Block:
        """One that no array of the program's points to any more; the oldest is given up if all are held."""
        blocks = self._blocks
        for block in blocks:
            if block.references() == block.free:
                return block
        assert self._reader is not None
        if len(blocks) == _BLOCKS:
            del blocks[0]
        blocks.append(fresh := Block(self._reader, self._wait_mode, ROWS))
        # Touched once, so that no take meets page faults.
        fresh.rows.view(np.uint8).fill(0)
        return fresh

    def _ready(self, deadline: float | None, block: bool) -> ct.c_void_p:
        """The reader; waits for an engine if there is none."""
        if self._closed:
            raise Closed(f"queue {self.name!r} is closed")
        if self._reader is None:
            self._open(deadline, block)
        assert self._reader is not None
        return self._reader


def _array(raw: memoryview) -> npt.NDArray[np.void]:
    """A copy as ticks. (Copying a structured array goes field by field: 30 times slower.)"""
    return np.frombuffer(bytearray(raw), TICK_DTYPE)


def _new_tick(log: TickLog | None) -> Tick:
    tick = Tick()
    tick._names = log
    return tick


def nothing_yet(_arg: Any) -> int:
    """What a queue without a reader finds."""
    return 0


# What getrefcount says of ticks that only their list holds, and only the map that asks.
_UNHELD: list[int] = list(map(sys.getrefcount, [Tick() for _ in range(BATCH)]))

assert TICK_DTYPE.itemsize == RECORD_SIZE
