"""The writing side of one trading day's files. One process at a time, under the directory's lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from .._errors import ConfigError, RecordingError
from ..tick import RECORD_SIZE
from .layout import HEADER_SIZE, Header, notes_path, recorded_days, ticks_path
from .notes import Note, Session, pack_note
from .recording import Recording

logger = logging.getLogger("tickengine")

_LOCK = "recorder.lock"
_MODE = 0o600  # of what is made here; what is there keeps its own: to share it is for its owner to decide
_CLOCKS_NS = 86400 * 10**9  # how far a file system's clock may be behind
_FULL = (errno.ENOSPC, errno.EDQUOT)


class NoRoom(Exception):
    """The disk is full. What is in the file is whole; the same call can be made again."""


class Directory:
    """Where recordings are kept, locked for one recorder until `close`.

    Args:
        path: made if it is missing, mode 0700.

    Raises:
        ConfigError: it cannot be made or written.
        RecordingError: another recorder has it; the text has its pid.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(os.fspath(path))
        try:
            os.makedirs(self.path, 0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._fd = os.open(os.path.join(self.path, _LOCK), flags, _MODE)
        except OSError as error:
            raise ConfigError(f"recordings cannot be kept in {self.path!r}: {error.strerror}") from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._fd, 32).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise RecordingError(
                f"{self.path!r} is in use by the recorder in process {holder or 'unknown'}: "
                "each recorder needs a directory of its own"
            ) from None
        try:
            os.ftruncate(self._fd, 0)
            os.write(self._fd, f"{os.getpid()}\n".encode())
        except OSError as error:
            if error.errno not in _FULL:  # a full disk is waited for where ticks are written
                os.close(self._fd)
                raise ConfigError(f"recordings cannot be kept in {self.path!r}: {error.strerror}") from None

    def newest(self) -> Recording | None:
        """The recording of the last trading day that there is."""
        days = recorded_days(self.path)
        return Recording.open(ticks_path(self.path, days[-1])) if days else None

    def with_log(self, unique_id: int, made_ns: int) -> tuple[Recording, Session] | None:
        """Where the log of that id, made at that time, was recorded last."""
        for day in reversed(recorded_days(self.path)):
            path = ticks_path(self.path, day)
            if os.stat(path).st_mtime_ns < made_ns - _CLOCKS_NS:
                continue
            recording = Recording.open(path)
            for session in reversed(recording.sessions):
                if session.unique_id == unique_id:
                    return recording, session
        return None

    def close(self) -> None:
        """Give it up. Can be repeated."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Segment:
    """One day's files, open for appending. What a crash left half written is cut off first, with a note.

    Raises:
        NoRoom: the disk is full; nothing half made is left under the file's name.
        RecordingError: the file there is no recording, or cannot be written.
    """

    def __init__(self, directory: Directory, trading_day: str, log_name: str, unique_id: int) -> None:
        self.path = ticks_path(directory.path, trading_day)
        self.trading_day = trading_day
        if not os.path.exists(self.path):
            _make(self.path, Header(trading_day, log_name, unique_id, time.time_ns()))
        found = Recording.open(self.path)
        if found.trading_day != trading_day:
            raise RecordingError(f"{self.path!r} is the recording of {found.trading_day}: give it its name back")
        self.count = len(found.ticks)
        self._ticks_fd = _open(self.path)
        try:
            self._notes_fd = _open(notes_path(self.path))
        except BaseException:
            os.close(self._ticks_fd)
            raise
        self._notes_size = found.notes_size
        try:
            self._mend(found)
        except BaseException:
            self.close()
            raise

    def _mend(self, found: Recording) -> None:
        if found.torn_notes:
            os.ftruncate(self._notes_fd, self._notes_size)
        if any(note["record"] > self.count for note in found.notes):  # a power cut took the ticks behind them
            kept = b"".join(pack_note(note) for note in found.notes if note["record"] <= self.count)
            os.ftruncate(self._notes_fd, 0)
            self._notes_size = 0
            self._append(self._notes_fd, kept, notes_path(self.path))
            self._notes_size = len(kept)
        if found.torn:
            os.ftruncate(self._ticks_fd, HEADER_SIZE + self.count * RECORD_SIZE)
            self.note("cut", bytes=found.torn)
            logger.warning("%s: cut %d bytes of a record that was not whole off its end", self.path, found.torn)

    def append(self, rows: npt.NDArray[np.void]) -> int:
        """Write ticks behind the last one. Returns how many: fewer than given when the disk is full.

        Raises `NoRoom` if it is none.
        """
        data = memoryview(np.ascontiguousarray(rows).view(np.uint8).data)
        done = 0
        while done < len(data):
            try:
                done += os.write(self._ticks_fd, data[done:])
            except OSError as error:
                whole = done // RECORD_SIZE
                self.count += whole
                os.ftruncate(self._ticks_fd, HEADER_SIZE + self.count * RECORD_SIZE)
                if whole and error.errno in _FULL:
                    return whole
                raise _failure(self.path, error) from None
        self.count += len(rows)
        return len(rows)

    def note(self, kind: str, **values: Any) -> None:
        """Write a note in front of the next tick. Raises `NoRoom`; then it is not there."""
        self.note_all([{"kind": kind, **values}])

    def note_all(self, notes: Iterable[Note]) -> None:
        """Several at once: all or, with `NoRoom`, none."""
        now = time.time_ns()
        lines = b"".join(pack_note({"kind": note["kind"], "record": self.count, "time": now, **note}) for note in notes)
        self._append(self._notes_fd, lines, notes_path(self.path))
        self._notes_size += len(lines)

    def _append(self, fd: int, data: bytes, path: str) -> None:
        done = 0
        while done < len(data):
            try:
                done += os.write(fd, data[done:])
            except OSError as error:
                os.ftruncate(fd, self._notes_size)
                raise _failure(path, error) from None

    def sync(self) -> None:
        """Wait until the disk has what was written."""
        os.fdatasync(self._ticks_fd)
        os.fdatasync(self._notes_fd)

    def close(self) -> None:
        """Close the files. Can be repeated."""
        for name in ("_ticks_fd", "_notes_fd"):
            fd: int = getattr(self, name)
            setattr(self, name, -1)
            if fd >= 0:
                os.close(fd)


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    except OSError as error:
        raise _failure(path, error) from None


def _make(path: str, header: Header) -> None:
    """A file with its header and nothing behind it; under its name when it is whole."""
    fresh = path + ".new"
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)  # left half made, perhaps with another mode
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE), "wb") as file:
            file.write(header.pack())
        # Notes without their ticks are of a file that was taken away.
        if os.path.exists(notes_path(path)):
            os.rename(notes_path(path), notes_path(path) + ".old")
        os.rename(fresh, path)
    except OSError as error:
        raise _failure(path, error) from None


def _failure(path: str, error: OSError) -> Exception:
    if error.errno in _FULL:
        return NoRoom(f"{path!r}: {error.strerror}")
    return RecordingError(f"{path!r} cannot be written: {error.strerror}; what is in it is whole")
