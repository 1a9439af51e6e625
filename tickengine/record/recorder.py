"""`Recorder`: from a queue into files.

The file is the truth. Where it ends, by the sequence of its last tick in the log of that id, is where a recorder
goes on, whatever its queue has seen: what lies between is taken from the log itself as far as it is still there.
Everything is written before it is counted as written, so that any step can be done again after a full disk.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from queue import Empty
from typing import Any

import numpy as np
import numpy.typing as npt

from .._errors import Closed, ConfigError, RecordingError
from .._taking import ROWS
from ..log import TickLog
from ..queue import TickQueue
from ..tick import KIND_TICK, NO_INSTRUMENT, Event
from ..words import event_text
from .days import split_days
from .notes import Note
from .numbers import Numbers
from .segment import Directory, NoRoom, Segment

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
        recorded: ticks written by this object. lost: ticks that the log overwrote before they were written, likewise.
        events: events noted. blocked: why nothing can be written just now, ``""``: nothing is wrong.
        trading_day: of the file that is being written, ``""``: none yet. days: all that it wrote to.
        position: sequence of the next tick to be recorded.

    Raises:
        ConfigError: the queue skips ticks, or the directory cannot be used.
        RecordingError: another recorder has the directory.
    """

    def __init__(self, queue: TickQueue, directory: str | os.PathLike[str], *, interval: float = INTERVAL_S) -> None:
        if queue.skip:
            raise ConfigError(f"queue {queue.name!r} skips ticks: a recorder needs one without skip=")
        if not 0 < interval <= 60:
            raise ConfigError(f"interval is seconds, more than 0 and at most 60, not {interval!r}")
        self._queue = queue
        self._ids = queue.instruments
        self._numbers = Numbers(self._ids)
        self._interval = interval
        self._stopping = threading.Event()
        self._log: TickLog | None = None
        self._segment: Segment | None = None
        self._unwritten: npt.NDArray[np.void] | None = None
        self._early: list[Note] = []
        self._fresh = True
        self._owed = 0
        self._fill_to = 0
        self._last = -1
        self._full_since = 0.0
        self._capacity = 0
        self._named = np.zeros(1, bool)
        self.recorded = self.lost = self.events = self.position = 0
        self.blocked = self.trading_day = ""
        self.days: set[str] = set()
        self._directory = Directory(directory)

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
            self._finish()
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
        if self.blocked and self._segment is not None:
            seconds = time.monotonic() - self._full_since
            self._segment.note("blocked", seconds=round(seconds, 3))
            logger.warning("there is room again after %.1f s: recording goes on", seconds)
        self.blocked = ""

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
        self._record(rows)
        self._unwritten = None

    def close(self) -> None:
        """Close the files and give the directory up. The queue stays the caller's. Can be repeated."""
        try:
            self._close_segment()
        finally:
            self._directory.close()

    def _close_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            try:
                segment.sync()
            except OSError as error:
                raise RecordingError(f"{segment.path!r} cannot be written: {error.strerror}") from None
            finally:
                segment.close()

    # ---- where it begins -----------------------------------------------------------------------

    def _begin(self, log: TickLog, cursor: int) -> None:
        """Another log: go on where its recording ends. From there to *cursor*, where the queue stands, `_fill` takes
        it from the log."""
        if self._log is not None:  # a queue goes to another engine only when its log has ended
            self._finish()
        self._close_segment()
        self._early = []
        self._log = None
        info = log.info()
        self._capacity = info.capacity
        self._named = np.zeros(info.instrument_capacity + 1, bool)
        self._named[-1] = True  # stands for those beyond the table
        found = self._directory.with_log(info.unique_id, info.created_ns)
        self._numbers.expected = {}
        self.position, self._last, self._fill_to, self._owed, self._fresh = 0, -1, 0, 0, found is None
        if found is None:
            self.trading_day = ""
            self._log = log
            return
        recording, session = found
        later = [s.record for s in recording.sessions if s.record >= session.record and s is not session]
        ticks = recording.ticks[session.record : min(later, default=len(recording.ticks))]
        self._last = int(ticks["Stamp"][-1]) - 1 if len(ticks) else -1
        self.position = max(self._last + 1, session.next)
        self._fill_to = cursor
        self._numbers.resume(session.numbers, ticks)
        self.trading_day = recording.trading_day
        self._open(log, self.trading_day)
        for index in session.names:
            self._named[min(index, len(self._named) - 1)] = True
        logger.info("recording of log %r goes on at sequence %d", log.name, self.position)
        self._log = log

    def _fill(self) -> None:
        """What the queue will not give and no file has, from the log, as far as it is still there."""
        while self.position < self._fill_to:
            assert self._log is not None
            begin = max(self.position, self._log.oldest)
            end = min(self._fill_to, begin + _PIECE)
            rows = self._log.read(begin, end, events=self._queue.events)
            if self._ids is not None:
                rows = rows[
                    np.isin(rows["InstrumentID"], [i.encode() for i in self._ids]) | (rows["Kind"] != KIND_TICK)
                ]
            if len(rows):
                self._record(rows)
            self.position = max(self.position, end)

    def _first_rows(self, rows: npt.NDArray[np.void]) -> None:
        """The first of a log that no file knows: from which number on it is ours."""
        assert self._log is not None
        received, lost = self._queue.received, self._queue.lost
        first, last = int(rows["Stamp"][0]) - 1, rows[-1]
        taken_before = received > int((rows["Kind"] == KIND_TICK).sum())
        if self._ids is None:
            base = int(last["TickNumber"]) + int(last["Kind"] == KIND_TICK) - received - lost
            self._numbers.expected = {"": base}
            self.position = base if taken_before else first  # a tick's sequence is not less than its number
        else:
            self._numbers.expected = self._numbers.firsts(rows[rows["Kind"] == KIND_TICK])
            self._numbers.begin(self._log, first)
            self._owed = lost
            self.position = 0 if taken_before else first
        self._fresh = False
        self._fill_to = first if taken_before else 0  # by somebody who died with them in hand, or recorded elsewhere

    def _take_rest(self, log: TickLog | None) -> None:
        """At the end of a log: what its queue gave to somebody who died before he wrote it."""
        if log is None:
            return
        if log is not self._log:
            self._begin(log, log.head)
        if self._fresh and self._queue.received:
            self._fresh = False
            self._fill_to = log.head
        self._fill()

    # ---- writing -------------------------------------------------------------------------------

    def _record(self, rows: npt.NDArray[np.void]) -> None:
        if int(rows["Stamp"][0]) <= self.position:
            rows = rows[rows["Stamp"] > self.position]
        begin = 0
        for at in np.flatnonzero(rows["Kind"] != KIND_TICK).tolist():
            if at > begin:
                self._ticks(rows[begin:at])
            self._event(rows[at])
            begin = at + 1
        if begin < len(rows):
            self._ticks(rows[begin:])

    def _ticks(self, rows: npt.NDArray[np.void]) -> None:
        for day, piece in split_days(rows, self.trading_day):
            self._piece(day, piece)

    def _piece(self, day: str, rows: npt.NDArray[np.void]) -> None:
        lost, after = self._numbers.missing(rows)
        if lost and len(rows) > 1:  # to each gap its place
            half = len(rows) // 2
            self._piece(day, rows[:half])
            self._piece(day, rows[half:])
            return
        segment = self._segment
        if segment is None or segment.trading_day != day:
            assert self._log is not None
            segment = self._open(self._log, day)
        self._note_lost(segment, lost + self._owed, int(rows["Stamp"][0]) - 1, self._numbers.firsts(rows))
        self._name(segment, rows)
        written = segment.append(rows)
        if written == len(rows):
            self._numbers.expected.update(after)
        else:
            self._numbers.expected.update(self._numbers.missing(rows[:written])[1])
        self.position = int(rows["Stamp"][written - 1])
        self._last = self.position - 1
        self.recorded += written
        if written < len(rows):
            raise NoRoom(f"{segment.path!r}: no room")

    def _note_lost(self, segment: Segment, lost: int, sequence: int, numbers: dict[str, int]) -> None:
        if not lost:
            return
        segment.note("lost", ticks=lost, after=self._last, next=sequence, numbers=numbers)
        logger.error("%d ticks were overwritten before they were recorded (before sequence %d)", lost, sequence)
        self._numbers.expected.update(numbers)
        self._owed = 0
        self.position = sequence
        self.lost += lost

    def _name(self, segment: Segment, rows: npt.NDArray[np.void]) -> None:
        """The texts that are not in the record, before the first tick of an instrument."""
        assert self._log is not None
        index = np.minimum(rows["Instrument"], len(self._named) - 1)
        new = ~self._named[index]
        if not new.any():
            return
        different, where = np.unique(rows["Instrument"][new], return_index=True)
        notes: list[Note] = []
        for number, row in zip(different.tolist(), rows[new][where]):
            if number != NO_INSTRUMENT:
                notes.append(
                    {
                        "kind": "instrument",
                        "index": number,
                        "InstrumentID": bytes(row["InstrumentID"]).decode("latin-1"),
                        "ExchangeInstID": self._log.exchange_inst_id(number).decode("latin-1"),
                        "ExchangeID": bytes(row["ExchangeID"]).decode("latin-1"),
                    }
                )
        segment.note_all(notes)
        self._named[index[new]] = True

    def _event(self, row: np.void) -> None:
        event = Event.from_buffer_copy(row.tobytes())
        note = {
            "kind": "event",
            "sequence": event.Sequence,
            "recv_time": event.RecvTime,
            "recv_monotonic": event.RecvMonotonic,
            "code": event.Code,
            "name": event.name,
            "reason": event.Reason,
            "error_id": event.ErrorID,
            "value": event.Value,
            "epoch": event.Epoch,
            "text": event.Text,
            "words": event_text(event, "en"),
        }
        if self._segment is None:  # the day is not known before the first tick
            self._early.append(note)
        else:
            self._segment.note_all([note])
            self.position = event.Sequence + 1
            self.events += 1

    def _open(self, log: TickLog, day: str) -> Segment:
        """The files of *day*, and in them a note of where these ticks come from."""
        self._close_segment()
        info = log.info()
        segment = Segment(self._directory, day, log.name, info.unique_id)
        try:
            segment.note_all([*self._leaving(info.unique_id), self._session_note(log, info), *self._early])
        except BaseException:
            segment.close()
            raise
        self._segment = segment
        self.events += len(self._early)
        self._early = []
        self._named[:-1] = False
        self.trading_day = day
        self.days.add(day)
        return segment

    def _session_note(self, log: TickLog, info: Any) -> Note:
        return {
            "kind": "session",
            "log": log.name,
            "unique_id": info.unique_id,
            "epoch": info.epoch,
            "pid": os.getpid(),
            "instruments": self._ids,
            "next": self.position,
            "numbers": self._numbers.expected,
        }

    def _leaving(self, unique_id: int) -> list[Note]:
        """A word on the log before, if nobody saw its end."""
        before = self._directory.newest()
        if before is None or not before.sessions:
            return []
        session = before.sessions[-1]
        if session.ended or session.unique_id == unique_id:
            return []
        text = f"log {session.log!r} ended while nobody recorded: whether ticks of its end are missing is not known"
        logger.warning("%s", text)
        return [{"kind": "unknown", "unique_id": session.unique_id, "text": text}]

    def _finish(self) -> None:
        """All that could be taken is written. Was it the log that has ended, or only the queue?"""
        if self._log is None or self._segment is None:
            return
        info = self._log.info()
        if not info.closed and (info.owner_alive or info.writer_alive):
            return
        lost, numbers = self._numbers.unseen(self._log)
        try:
            self._note_lost(self._segment, lost, self._log.head, numbers)
            self._segment.note("ended", next=self.position)
        except NoRoom as full:
            self.blocked = f"the disk is full: {full}"
