"""The journal of an account: what was sent and what came back, in order, for every process that looks."""

from __future__ import annotations

import ctypes as ct
import os
import time
from collections.abc import Iterator

from .._errors import ConfigError
from .._shim import lib, new_handle
from .._shim_td import TlogInfo
from .records import RECORD_SIZE, Record, decode, encode

FILE_NAME = "trade.journal"
_BATCH = 256
_NO_HEAD = memoryview(bytes(8)).cast("Q")


def journal_path(place: str | os.PathLike[str]) -> str:
    """The journal's file, for that file or for the flow directory it is in."""
    path = os.path.abspath(os.fspath(place))
    return os.path.join(path, FILE_NAME) if os.path.isdir(path) else path


class TradeLog:
    """A journal to be read, while it is written or afterwards. Threads may share it.

    Nothing in it is ever overwritten: record n stays record n, and a reader that starts at 0 sees everything.
    """

    def __init__(self, path: str, handle: ct.c_void_p) -> None:
        self.path = path
        self._handle = handle
        word = ct.cast(lib().tlog_head_word(handle), ct.POINTER(ct.c_uint64 * 1)).contents
        self._head_word = memoryview(word).cast("B").cast("Q")

    @classmethod
    def attach(cls, place: str | os.PathLike[str]) -> TradeLog:
        """Open the journal at *place*, a file or a flow directory.

        Raises:
            NotFoundError: there is none.
            SegmentError: it is damaged, another user's or of another version.
        """
        path, handle = journal_path(place), new_handle()
        lib().tlog_attach(os.fsencode(path), ct.byref(handle))
        return cls(path, handle)

    def __enter__(self) -> TradeLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmap. Can be repeated; no thread may be in a call."""
        handle, self._handle = self._handle, ct.c_void_p()
        self._head_word = _NO_HEAD
        if handle:
            lib().tlog_close(handle)

    @property
    def _open(self) -> ct.c_void_p:
        if not self._handle:
            raise ConfigError(f"the journal {self.path!r} has been closed")
        return self._handle

    @property
    def head(self) -> int:
        """How many records there are: the sequence of the next one."""
        return int(lib().tlog_head(self._open))

    def has(self, sequence: int) -> bool:
        """Whether there is a record *sequence*; False for a closed journal. Cheap enough for each tick."""
        return self._head_word[0] > sequence

    def info(self) -> TlogInfo:
        """The header: ``head, capacity, room, damaged, writer_pid, writer_alive, epoch``, ..."""
        info = TlogInfo()
        lib().tlog_info_get(self._open, ct.byref(info))
        return info

    def read_raw(self, start: int, stop: int) -> bytes:
        """The bytes of records *start* to *stop*, as many as there are, 1024 each.

        Raises:
            SegmentError: one of them is damaged, or the file is. The text says which.
        """
        if not 0 <= start <= stop:
            raise ConfigError(f"records {start} to {stop} are no range")
        end, parts, copied = min(stop, self.head), [], ct.c_uint64()
        # In pieces: a head that is damaged may be any number, and no memory is had for it before the shim has looked.
        for first in range(start, end, _BATCH):
            count = min(end - first, _BATCH)
            buffer = ct.create_string_buffer(count * RECORD_SIZE)
            lib().tlog_read(self._open, first, count, buffer, ct.byref(copied))
            parts.append(buffer.raw[: copied.value * RECORD_SIZE])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read(self, start: int = 0, stop: int | None = None) -> list[Record]:
        """Records *start* to *stop* (default: all there are), without waiting. Raises as `read_raw`."""
        return list(self.records(start, self.head if stop is None else stop))

    def records(self, start: int = 0, stop: int | None = None) -> Iterator[Record]:
        """The same one by one, for journals that are long. Ends where the journal ended when it was called.

        A damaged record's `SegmentError` comes before the batch of records that it is in.
        """
        end = self.head if stop is None else min(stop, self.head)
        for first in range(start, end, _BATCH):
            raw = memoryview(self.read_raw(first, min(end, first + _BATCH)))
            for at in range(0, len(raw), RECORD_SIZE):
                yield decode(raw[at : at + RECORD_SIZE])

    def wait(self, sequence: int, timeout: float | None = None) -> bool:
        """Block until there is a record *sequence*; False when *timeout* seconds are over (None: for ever)."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = -1 if deadline is None else max(0, int((deadline - time.monotonic()) * 1e9))
            if lib().tlog_wait(self._open, sequence, left):
                return True
            # A signal ends the shim's wait early: Python has looked at it by now.
            if deadline is not None and time.monotonic() >= deadline:
                return False

    def follow(self, start: int = 0, timeout: float | None = None) -> Iterator[Record]:
        """Records from *start* on, waiting for more; ends when none has come for *timeout* seconds."""
        while self.wait(start, timeout):
            for record in self.records(start):
                start = record.sequence + 1
                yield record


class TradeLogWriter:
    """The one writer of a journal: makes the file, or takes over that of a dead process.

    Args:
        capacity: records it may hold, 0 for 2**20. Disk space is taken bit by bit.

    Raises:
        BusyError: its writer is alive; the text has its pid.
        SegmentError: the file is something else, or one of its records is damaged and has whole ones behind it. It is
            left as it was.
        ShimError: no room on the disk.
    """

    def __init__(self, place: str | os.PathLike[str], capacity: int = 0) -> None:
        self.path = journal_path(place)
        self.handle = new_handle()
        lib().tlog_writer_open(os.fsencode(self.path), capacity, ct.byref(self.handle))
        self.damaged: int = lib().tlog_writer_damaged(self.handle)
        """Records that were damaged, after a loss of power, and were cut off the end."""

    def append(self, record: Record) -> int:
        """Write *record*; returns its sequence. Its own `sequence` and `epoch` count for nothing, and with
        `recv_time` 0 the times are now's."""
        sequence = ct.c_uint64()
        lib().tlog_append(self.handle, encode(record), ct.byref(sequence))
        return sequence.value

    def note(self, kind: str, text: str = "", value: int = 0, reason: int = 0) -> int:
        """A record of the session's own: ``session_state``, ``reconcile_began``, ``note``, ..."""
        return self.append(Record(-1, kind, 0, 0, error_msg=text, value=value, reason=reason))

    def __enter__(self) -> TradeLogWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the journal up. Can be repeated. An api that writes to it must have been released."""
        handle, self.handle = self.handle, ct.c_void_p()
        if handle:
            lib().tlog_writer_close(handle)
