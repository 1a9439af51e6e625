"""Ticks of one log after the other into the files of their days.

Everything is written before it is counted as written, so that any step can be done again after a full disk.
"""

from __future__ import annotations

import logging
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from .._errors import RecordingError
from ..log import TickLog
from ..tick import KIND_TICK, NO_INSTRUMENT, Event
from ..words import event_text
from .days import split_days
from .notes import Note
from .numbers import Numbers
from .segment import Directory, NoRoom, Segment

logger = logging.getLogger("tickengine")


class TickWriter:
    """Writes what it is given, in order and once, with the notes that belong to it.

    Args:
        directory: where, locked.
        ids: the instruments that are recorded, None for all.

    Attributes:
        recorded, lost, events: counted since it was made.
        position: sequence of the next tick to be written; what lies before it is passed over.
        trading_day: of the file that is being written, ``""``: none yet. days: all that were written to.
        owed: ticks of the log that were lost before its first one, to be noted with that.
    """

    def __init__(self, directory: Directory, ids: list[str] | None) -> None:
        self.directory = directory
        self.ids = ids
        self.numbers = Numbers(ids)
        self.recorded = self.lost = self.events = self.position = self.owed = 0
        self.trading_day = ""
        self.days: set[str] = set()
        self._log: TickLog | None = None
        self._segment: Segment | None = None
        self._early: list[Note] = []
        self._last = -1
        self._ended = False
        self._named = np.zeros(1, bool)

    # ---- which log -----------------------------------------------------------------------------

    def begin(self, log: TickLog) -> bool:
        """From now on ticks of *log*. True: a file has some of them, and it goes on behind the last."""
        self.close()
        self._log, self._early, self._ended = log, [], False
        info = log.info()
        self._named = np.zeros(info.instrument_capacity + 1, bool)
        self._named[-1] = True  # stands for those beyond the table
        self.numbers.expected = {}
        self.trading_day, self.position, self.owed, self._last = "", 0, 0, -1
        found = self.directory.with_log(info.unique_id, info.created_ns)
        if found is None:
            return False
        recording, session = found
        later = [s.record for s in recording.sessions if s.record >= session.record and s is not session]
        ticks = recording.ticks[session.record : min(later, default=len(recording.ticks))]
        self._last = int(ticks["Stamp"][-1]) - 1 if len(ticks) else -1
        self.position = max(self._last + 1, session.next)
        self.numbers.resume(session.numbers, ticks)
        self._open(recording.trading_day)
        for index in session.names:
            self._named[min(index, len(self._named) - 1)] = True
        logger.info("recording of log %r goes on at sequence %d", log.name, self.position)
        return True

    def close(self) -> None:
        """Close the files, when the disk has them. Can be repeated."""
        segment, self._segment = self._segment, None
        if segment is not None:
            try:
                segment.sync()
            except OSError as error:
                raise RecordingError(f"{segment.path!r} cannot be written: {error.strerror}") from None
            finally:
                segment.close()

    # ---- writing -------------------------------------------------------------------------------

    def write(self, rows: npt.NDArray[np.void]) -> None:
        """Ticks and events, in order. Raises `NoRoom`: the same can be given again, what is written is passed over."""
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
        lost, after = self.numbers.missing(rows)
        if lost and len(rows) > 1:  # to each gap its place
            half = len(rows) // 2
            self._piece(day, rows[:half])
            self._piece(day, rows[half:])
            return
        segment = self._segment
        if segment is None or segment.trading_day != day:
            segment = self._open(day)
        self._note_lost(segment, lost + self.owed, int(rows["Stamp"][0]) - 1, self.numbers.firsts(rows))
        self._name(segment, rows)
        written = segment.append(rows)
        if written == len(rows):
            self.numbers.expected.update(after)
        else:
            self.numbers.expected.update(self.numbers.missing(rows[:written])[1])
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
        self.numbers.expected.update(numbers)
        self.owed = 0
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
            if not self._early or self._early[-1]["sequence"] < event.Sequence:  # else given again
                self._early.append(note)
        else:
            self._segment.note_all([note])
            self.position = event.Sequence + 1
            self.events += 1

    def _open(self, day: str) -> Segment:
        """The files of *day*, and in them a note of where these ticks come from."""
        self.close()
        log = self._log
        assert log is not None
        info = log.info()
        segment = Segment(self.directory, day, log.name, info.unique_id)
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
            "instruments": self.ids,
            "next": self.position,
            "numbers": self.numbers.expected,
        }

    def _leaving(self, unique_id: int) -> list[Note]:
        """A word on the log before, if nobody saw its end."""
        before = self.directory.newest()
        if before is None or not before.sessions:
            return []
        session = before.sessions[-1]
        if session.ended or session.unique_id == unique_id:
            return []
        text = f"log {session.log!r} ended while nobody recorded: whether ticks of its end are missing is not known"
        logger.warning("%s", text)
        return [{"kind": "unknown", "unique_id": session.unique_id, "text": text}]

    def finish(self) -> None:
        """All that could be taken is written. Was it the log that has ended, or only the queue?"""
        if self._log is None or self._segment is None or self._ended:
            return
        info = self._log.info()
        if not info.closed and (info.owner_alive or info.writer_alive):
            return
        lost, numbers = self.numbers.unseen(self._log)
        self._note_lost(self._segment, lost, self._log.head, numbers)
        self._segment.note("ended", next=self.position)
        self._ended = True

    def note(self, kind: str, **values: Any) -> None:
        """A note in the file that is being written, if there is one."""
        if self._segment is not None:
            self._segment.note(kind, **values)
