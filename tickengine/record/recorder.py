"""`Recorder`: from a queue into files.

The file is the truth. Where it ends, by the sequence of its last tick in the log of that id, is where a recorder
goes on, whatever its queue has seen: what lies between is taken from the log itself as far as it is still there.
"""

from __future__ import annotations

import logging
import os
import time
from queue import Empty

import numpy as np
import numpy.typing as npt

from .._errors import Closed, ConfigError, RecordingError
from .._signals import Latch
from .._taking import ROWS
from ..log import TickLog
from ..queue import TickQueue
from ..tick import KIND_TICK
from .segment import Directory, NoRoom
from .writer import TickWriter

logger = logging.getLogger("tickengine")

INTERVAL_S = 0.1
_FASTEST = 1_000_000  # ticks/s at which a log, however short, must not come round between two looks
_LEAST_S = 0.001
_RETRY_S = 0.25  # while the disk is full
_PIECE = 8192


class Recorder:
    """Records what a queue gives, a file for each trading day. In this process; see also `RecorderProcess`.

    Args:
        queue: a `TickQueue` for the recorder alone; its filter says what is recorded. With ``events=True``
            connection events become notes. ``skip=`` is refused.
        directory: where the files are; made if it is missing, locked until `close`.
        interval: seconds between two looks, at most (shorter where the log is short).

    Attributes:
        blocked: why nothing can be written just now, ``""``: nothing is wrong.

    Raises:
        ConfigError: the queue skips ticks, or the directory cannot be used.
        RecordingError: another recorder has the directory.
    """

    def __init__(self, queue: TickQueue, directory: str | os.PathLike[str], *, interval: float = INTERVAL_S) -> None:
        if queue.skip:
            raise ConfigError(f"queue {queue.name!r} skips ticks: a recorder needs one without skip=")
        if not 0 < interval <= 60:
            raise ConfigError(f"interval is seconds, more than 0 and at most 60, not {interval!r}")
        self.blocked = ""
        self._queue = queue
        self._ids = queue.instruments
        self._interval = interval
        self._stopping = Latch()
        self._log: TickLog | None = None
        self._capacity = 0
        self._unwritten: npt.NDArray[np.void] | None = None
        self._fresh = True
        self._fill_to = 0
        self._full_since = 0.0
        self._directory = Directory(directory)
        self._writer = TickWriter(self._directory, self._ids)

    # ---- what it has done ----------------------------------------------------------------------

    @property
    def recorded(self) -> int:
        """Ticks written by this object."""
        return self._writer.recorded

    @property
    def lost(self) -> int:
        """Ticks that the log overwrote before they were written, as far as this object has found out."""
        return self._writer.lost

    @property
    def events(self) -> int:
        """Events noted by this object."""
        return self._writer.events

    @property
    def position(self) -> int:
        """Sequence of the next tick to be recorded."""
        return self._writer.position

    @property
    def trading_day(self) -> str:
        """YYYYMMDD of the file that is being written, ``""``: none yet."""
        return self._writer.trading_day

    @property
    def days(self) -> set[str]:
        """The trading days that this object has opened files of."""
        return set(self._writer.days)

    # ---- running -------------------------------------------------------------------------------

    def run(self) -> None:
        """Record until the engine has ended and all of it is written, or `stop` is called; then `close`.

        Raises:
            RecordingError: the files cannot be written. What is in them is whole.
            BusyError: another process reads the queue.
        """
        try:
            while not self._stopping.is_set():
                flood = self.poll() > self._capacity // 4
                if self.blocked or not flood:
                    self._stopping.wait(_RETRY_S if self.blocked else self._pause())
            self.poll()  # what came before `stop`
        except Closed:
            pass
        finally:
            self.close()
        if self.blocked:
            raise RecordingError(
                f"{self.blocked}; recording ended at sequence {self.position}, what is written is whole"
            )

    def stop(self) -> None:
        """End `run` after what is there now. From any thread or signal handler."""
        self._stopping.set()

    def _pause(self) -> float:
        """Long enough to cost nothing, short enough that the log cannot come round meanwhile."""
        if self._log is None:
            return self._interval
        return max(_LEAST_S, min(self._interval, self._capacity / _FASTEST))

    def close(self) -> None:
        """Close the files and give the directory up. The queue stays the caller's. Can be repeated."""
        try:
            self._writer.close()
        finally:
            self._directory.close()

    def poll(self) -> int:
        """Record what is there now, without waiting for more. Returns the number of ticks written.

        Raises `Closed` when the engine has ended and everything has been written, else as `run`.
        """
        before = self.recorded
        try:
            self._take()
            self._unblock()
        except NoRoom as full:
            if not self.blocked:
                self._full_since = time.monotonic()
                self.blocked = f"the disk is full: {full}"
                logger.error("%s; recording goes on when there is room", self.blocked)
        return self.recorded - before

    def _unblock(self) -> None:
        if self.blocked:
            seconds = time.monotonic() - self._full_since
            self._writer.note("blocked", seconds=round(seconds, 3))
            logger.warning("there is room again after %.1f s: recording goes on", seconds)
        self.blocked = ""

    # ---- taking --------------------------------------------------------------------------------

    def _take(self) -> None:
        queue = self._queue
        if self._unwritten is not None:
            self._add(self._unwritten)
        log = queue.log
        if log is not None and log is not self._log:
            self._begin(log, queue.sequence or 0)
        self._fill()
        # No more than a whole log at a time: a flood must not keep anybody from stopping it.
        taken = 0
        while taken <= self._capacity:
            try:
                rows = queue.get_many(block=False)
            except Empty:
                return
            except Closed:
                self._take_rest(queue.log)
                self._unblock()
                raise
            self._add(rows)
            if len(rows) < ROWS:  # that was all
                return
            taken += len(rows)

    def _add(self, rows: npt.NDArray[np.void]) -> None:
        self._unwritten = rows
        log = self._queue.log
        if log is not self._log and log is not None:  # another engine has taken the queue
            self._begin(log, int(rows["Stamp"][0]) - 1)
        if self._fresh:
            self._first_rows(rows)
        self._fill()
        self._writer.write(rows)
        self._unwritten = None

    def _begin(self, log: TickLog, cursor: int) -> None:
        """Another log: go on where its recording ends. From there to *cursor*, where the queue stands, `_fill` takes
        it from the log."""
        if self._log is not None:  # a queue goes to another engine only when its log has ended
            self._writer.finish()
        self._log = None
        self._capacity = log.capacity
        self._fresh = not self._writer.begin(log)
        self._fill_to = 0 if self._fresh else cursor
        self._log = log

    def _fill(self) -> None:
        """What the queue will not give and no file has, from the log, as far as it is still there."""
        writer = self._writer
        while writer.position < self._fill_to:
            assert self._log is not None
            begin = max(writer.position, self._log.oldest)
            end = min(self._fill_to, begin + _PIECE)
            rows = self._log.read(begin, end, events=self._queue.events)
            if self._ids is not None:
                wanted = np.isin(rows["InstrumentID"], [name.encode() for name in self._ids])
                rows = rows[wanted | (rows["Kind"] != KIND_TICK)]
            if len(rows):
                writer.write(rows)
            writer.position = max(writer.position, end)

    def _first_rows(self, rows: npt.NDArray[np.void]) -> None:
        """The first of a log that no file knows: from which number on it is ours."""
        assert self._log is not None
        writer = self._writer
        received, lost = self._queue.received, self._queue.lost
        first, last = int(rows["Stamp"][0]) - 1, rows[-1]
        ticks = rows[rows["Kind"] == KIND_TICK]
        taken_before = received > len(ticks)  # by somebody who died with them in hand, or recorded elsewhere
        if self._ids is None:
            base = int(last["TickNumber"]) + int(last["Kind"] == KIND_TICK) - received - lost
            writer.numbers.expected = {"": base}
            writer.position = base if taken_before else first  # a tick's sequence is not less than its number
        else:
            writer.numbers.expected = writer.numbers.firsts(ticks)
            writer.numbers.begin(self._log, first)
            writer.owed = lost
            writer.position = 0 if taken_before else first
        self._fill_to = first if taken_before else 0
        self._fresh = False

    def _take_rest(self, log: TickLog | None) -> None:
        """At the end of a log: also what its queue gave to somebody who died before he wrote it."""
        if log is not None:
            if log is not self._log:
                self._begin(log, log.head)
            if self._fresh and self._queue.received:
                self._fresh = False
                self._fill_to = log.head
            self._fill()
        self._writer.finish()
