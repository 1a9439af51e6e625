"""`Recording`: the ticks of one trading day, from a file."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from .._errors import RecordingError
from ..tick import RECORD_SIZE, TICK_DTYPE
from .layout import HEADER_SIZE, damaged, notes_path, parse_header
from .notes import NotANote, Note, Session, parse_notes, sessions_of

_CHUNK = 1024


class Recording:
    """What was recorded of one trading day. Open it with `Recording.open`; it may still be growing.

    Attributes:
        path: the ``.ticks`` file, absolute.
        trading_day: YYYYMMDD.
        log_name: the log that the first tick came from; `sessions` has them all.
        created: when the file was made, ns since 1970, UTC.
        ticks: all whole records at the time of opening: a read-only array of `TICK_DTYPE` in the order in
            which they were received, mapped from the file. It reads from the disk when it is looked at.
            ``Stamp`` (``Sequence + 1``) ascends within a session and starts again with the next.
        torn: bytes behind the last whole record: 0, but after a crash, or while the file is being written.
        notes: what the recorder noted, see ``tickengine/record/notes.py``.
        sessions: the logs that the ticks came from, in their order.
    """

    def __init__(self, path: str, raw_header: bytes, size: int, raw_notes: bytes) -> None:
        header = parse_header(raw_header, path)
        self.path = path
        self.trading_day = header.trading_day
        self.log_name = header.log_name
        self.unique_id = header.unique_id
        self.created = header.created
        self.ticks = _map(path, (size - HEADER_SIZE) // RECORD_SIZE)
        self.torn = size - HEADER_SIZE - len(self.ticks) * RECORD_SIZE
        try:
            # A note is written before the ticks behind it: after a power cut it may stand where there are none.
            self.notes, self.notes_size = parse_notes(raw_notes)
            self.sessions = sessions_of(self.notes)
        except NotANote as error:
            why = f"is damaged: {error}; the ticks can be read when it is taken away"
            raise damaged(notes_path(path), why) from None
        self.torn_notes = len(raw_notes) - self.notes_size

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Recording:
        """The recording in the ``.ticks`` file at *path*.

        Raises:
            RecordingError: there is no such file, or it is no recording, a damaged one, or one of another version.
        """
        full = os.path.abspath(os.fspath(path))
        raw_notes = _notes(full)
        while True:
            try:
                with open(full, "rb") as file:
                    raw = file.read(HEADER_SIZE)
                    size = os.fstat(file.fileno()).st_size
            except FileNotFoundError:
                raise RecordingError(f"there is no recording at {full!r}") from None
            except OSError as error:
                raise damaged(full, f"cannot be read: {error.strerror}") from None
            # The same before and behind: no tick is without its notes, and none that they speak of is missing.
            before, raw_notes = raw_notes, _notes(full)
            if raw_notes == before:
                return cls(full, raw, size, raw_notes)

    @property
    def lost(self) -> int:
        """Ticks that the notes say are missing: overwritten before they were recorded."""
        return sum(session.lost for session in self.sessions)

    @property
    def events(self) -> list[Note]:
        """What happened to the connection: the notes of kind ``event``."""
        return [note for note in self.notes if note["kind"] == "event"]

    def session_at(self, position: int) -> Session | None:
        """The session of the tick at *position* in `ticks`; None if the notes are gone."""
        found = None
        for session in self.sessions:
            if session.record > position:
                break
            found = session
        return found

    def exchange_inst_id(self, position: int) -> bytes:
        """The ExchangeInstID of the tick at *position* in `ticks`; ``b""`` where it is not known."""
        session = self.session_at(position)
        return b"" if session is None else session.names.get(int(self.ticks[position]["Instrument"]), b"")

    def exchange_inst_ids(self, start: int, stop: int) -> npt.NDArray[np.bytes_]:
        """The same for ``ticks[start:stop]``, as an array of bytes."""
        return self.names_of(self.ticks[start:stop], start)

    def names_of(self, rows: npt.NDArray[np.void], start: int) -> npt.NDArray[np.bytes_]:
        """The same for *rows* that were read from position *start* on."""
        result = np.zeros(len(rows), "S81")
        for i, session in enumerate(self.sessions):
            last = i + 1 == len(self.sessions)
            begin = max(0, session.record - start)
            end = len(rows) if last else min(len(rows), self.sessions[i + 1].record - start)
            if begin >= end or not session.names:
                continue
            different, where = np.unique(rows["Instrument"][begin:end], return_inverse=True)
            names = np.array([session.names.get(int(index), b"") for index in different], "S81")
            result[begin:end] = names[where]
        return result

    def read(self, start: int, stop: int) -> npt.NDArray[np.void]:
        """A copy of ``ticks[start:stop]``, read from the file: what goes through all of a large file this way does
        not have it mapped and counted as its memory afterwards."""
        count = max(0, min(stop, len(self.ticks)) - start)
        return np.fromfile(self.path, TICK_DTYPE, count, offset=HEADER_SIZE + start * RECORD_SIZE)

    def __len__(self) -> int:
        return len(self.ticks)

    def __repr__(self) -> str:
        return f"Recording({self.path!r}, trading_day={self.trading_day!r}, ticks={len(self.ticks)}, lost={self.lost})"


def _notes(path: str) -> bytes:
    try:
        return _whole(notes_path(path))
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise damaged(notes_path(path), f"cannot be read: {error.strerror}") from None


def _whole(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _map(path: str, count: int) -> Any:
    """The first *count* records, without those at the end that the disk never got: a power cut leaves zeros."""
    if count <= 0:
        return np.empty(0, TICK_DTYPE)
    ticks = np.memmap(path, TICK_DTYPE, "r", HEADER_SIZE, (count,))
    while count:
        start = max(0, count - _CHUNK)
        written = np.flatnonzero(ticks["Stamp"][start:count])
        if len(written):
            count = start + int(written[-1]) + 1
            break
        count = start
    return ticks[:count]
