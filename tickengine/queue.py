"""`TickQueue`: a reader's handle on the log. Cursor, filter, wake-up and counters."""

from __future__ import annotations

import ctypes as ct
import os
import threading
import time
import weakref
from collections.abc import Iterable
from queue import Empty
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _segments
from ._checks import MAX_ID, check_instruments, check_skip
from ._errors import Closed, ConfigError, NotFoundError, ShimError
from ._listening import Listening, forget_bell, release_reader
from ._shim import START_NOW, START_OLDEST, WAIT_MODES, QueueInfo, Take, id_array, lib, new_handle
from ._taking import Rebound, nothing_yet
from .log import TickLog
from .tick import KIND_TICK, Tick, TickFlag

_KINDS = {"ticks": "TickQueue", "bars": "BarQueue"}


class TickQueue(Listening):
    """Ticks for one worker.

    Made before or after the engine, handed to any process (as a `Process` argument, by fork, or by
    name), read by one process and one thread at a time. It holds no ticks itself: it is a cursor into
    the engine's log, so it costs the engine nothing and cannot hold it up. A reader that is slower
    than the log is long is overtaken; `lost` then says by how many ticks exactly.

    Args:
        instruments: ids to receive; None for all.
        start: where to begin when an engine takes the queue: ``"now"``, ``"oldest"`` (record still in
            the log), or a sequence.
        events: also yield `Event`\\ s, in their place between the ticks.
        wait: how a blocking read waits. ``"adaptive"`` spins 10 µs, then sleeps; ``"block"`` sleeps at
            once; ``"spin"`` never sleeps: lowest latency, one CPU busy, the GIL held unless the process has
            other Python threads.
        skip: flags (`TickFlag`, joined with ``|``): ticks that have one of them are passed over and
            counted in `skipped`.
        name: by which another process can take the queue up; default is a random one.
    """

    carries = "ticks"
    """What its log must have in it."""

    _owner_pid: int | None  # the process that made it, None where it was attached

    def __init__(
        self,
        instruments: Iterable[str | bytes] | None = None,
        *,
        start: str | int = "now",
        events: bool = False,
        wait: str = "adaptive",
        skip: int = 0,
        name: str | None = None,
    ) -> None:
        ids = [] if instruments is None else check_instruments(instruments)
        if instruments is not None and not ids:
            raise ConfigError("instruments is empty: pass None for all instruments")
        if not isinstance(wait, str) or wait not in WAIT_MODES:
            raise ConfigError(f"wait must be one of {', '.join(WAIT_MODES)}, not {wait!r}")
        if isinstance(start, str):
            if start not in ("now", "oldest"):
                raise ConfigError(f"start must be 'now', 'oldest' or a sequence, not {start!r}")
            begin = START_NOW if start == "now" else START_OLDEST
        elif isinstance(start, bool) or not isinstance(start, int) or not 0 <= start < 1 << 63:
            raise ConfigError(f"start must be 'now', 'oldest' or a sequence, and none is {start!r}")
        else:
            begin = start
        unwanted = check_skip(skip)
        _segments.sweep_once()
        chosen = _segments.random_name("q") if name is None else _segments.check_name(name)
        path, handle = _segments.queue_path(chosen), new_handle()
        args = path, chosen.encode(), id_array(ids), len(ids), begin, events, WAIT_MODES[wait], unwanted
        try:
            lib().queue_create(*args, ct.byref(handle))
            self._setup(handle, path)
            self._owner_pid = os.getpid()
            self._remove = weakref.finalize(self, _remove_queue, path, os.getpid())
        except BaseException:
            if handle:  # made, and then a signal's handler raised
                _segments.unlink(path)
            raise

    @classmethod
    def attach(
        cls,
        name: str,
        instruments: Iterable[str | bytes] | None = None,
        *,
        start: str | int = "now",
        events: bool = False,
        wait: str = "adaptive",
        skip: int = 0,
    ) -> TickQueue:
        """From an unrelated process: the queue called *name*, or a new one on the engine called *name*.

        A queue is taken up where its last reader stopped, with the filter it was made with (the other
        arguments must then be left alone). On an engine they mean what they mean in `TickQueue`.

        Raises:
            NotFoundError: neither a queue nor an engine has that name.
            BusyError: the queue has a living reader (raised by the first read).
        """
        if cls._is_queue(name):
            queue = cls._from_path(_segments.queue_path(name))
            if instruments is not None or start != "now" or events or wait != "adaptive" or skip:
                raise ConfigError(f"{name!r} is a queue with a filter and options of its own; attach it by name alone")
            return queue
        log = cls._log_to_read(name)
        queue = cls(instruments, start=start, events=events, wait=wait, skip=skip)
        queue.bind(log)
        return queue

    @staticmethod
    def _is_queue(name: str) -> bool:
        return os.path.exists(_segments.queue_path(name))

    @classmethod
    def _log_to_read(cls, name: str) -> TickLog:
        log = TickLog.attach(name)
        if log.carries != cls.carries:
            raise ConfigError(f"engine {name!r} gives {log.carries}: use {_KINDS[log.carries]}.attach")
        return log

    @classmethod
    def _from_path(cls, path: bytes) -> TickQueue:
        handle = new_handle()
        lib().queue_attach(path, ct.byref(handle))
        queue = cls.__new__(cls)
        queue._setup(handle, path)
        return queue

    def _setup(self, handle: ct.c_void_p, path: bytes) -> None:
        self._mapped = handle
        self._path = path
        self._owner_pid = None
        _segments.at_collection(self, lib().queue_close, handle)
        info = QueueInfo()
        lib().queue_info_get(handle, ct.byref(info))
        self.name: str = _segments.name_in(info.name, path)
        self.events = bool(info.wants_events)
        self.skip = TickFlag(info.skip)
        self._wait_mode: int = info.wait_mode
        self._filters: int = info.filters
        self._closed = False
        self._closed_log: TickLog | None = None  # keeps the mapping for who still reads
        self._keeps: object = None  # whatever removes the ended log's name when the last such queue goes
        self._opening = threading.Lock()
        self._interrupting = threading.Lock()
        self._begin_listening()
        self._forget_reader()
        _live.add(self)

    def _forget_reader(self) -> None:
        self._log: TickLog | None = None
        self._reader: ct.c_void_p | None = None
        self._close_reader: weakref.finalize[..., Any] | None = None
        self._bound_version = 0
        self._forget_taken()

    # ---- binding -------------------------------------------------------------------------------

    def bind(self, log: TickLog) -> None:
        """Give this queue its place in *log*. An engine does this for its ``md_queue_list``.

        Raises `ConfigError` if the queue is being fed by another engine that is still running.
        """
        info = self._info()
        if info.log_id and info.log_id != log.info().unique_id:
            try:
                other = TickLog(_segments.attach_log_handle(info.log_path), info.log_path)
            except ShimError:
                pass  # that engine and its log are gone
            else:
                there = other.info()
                if there.unique_id == info.log_id and not there.closed and (there.owner_alive or there.writer_alive):
                    engine = _segments.name_in(there.name, info.log_path)
                    raise ConfigError(f"queue {self.name!r} is fed by engine {engine!r} already; make another one")
        elif info.log_id:
            raise ConfigError(f"queue {self.name!r} is in md_queue_list twice")
        lib().queue_bind(self.handle, log.handle, log.path)

    @property
    def handle(self) -> ct.c_void_p:
        """For the shim. Raises `Closed` after `close`."""
        if self._closed:
            raise Closed(f"queue {self.name!r} is closed")
        return self._mapped

    @property
    def path(self) -> bytes:
        """The segment this queue lives in."""
        return self._path

    def _info(self) -> QueueInfo:
        info = QueueInfo()
        lib().queue_info_get(self.handle, ct.byref(info))
        return info

    def _open(self, deadline: float | None, block: bool) -> None:
        """Wait for an engine, attach its log, become its reader."""
        while True:
            info = self._info()
            if info.closed:
                raise Closed(f"queue {self.name!r} has been closed by the process that made it")
            if info.log_id and info.bind_version != self._bound_version:
                with self._opening:
                    if self._reader is not None:
                        return
                    try:
                        self._become_reader(info)
                        return
                    except (Closed, ShimError):
                        if self._info().bind_version == info.bind_version:
                            raise
                continue  # given to another engine, or closed, meanwhile
            left = self._left(deadline, block)
            if left == 0:
                raise self._nothing_there(info.bind_version)
            lib().queue_wait_bound(self.handle, info.bind_version, left)

    def _become_reader(self, info: QueueInfo) -> None:
        try:
            log = TickLog(_segments.attach_log_handle(info.log_path), info.log_path)
        except NotFoundError:
            raise Closed(f"the engine that fed queue {self.name!r} has ended and its log is gone") from None
        if log.info().unique_id != info.log_id:
            raise Closed(f"the engine that fed queue {self.name!r} has ended; another one has its name now")
        if log.carries != self.carries:
            raise ConfigError(f"queue {self.name!r} is one of {log.carries}: attach it as a {_KINDS[log.carries]}")
        reader = new_handle()
        try:
            lib().reader_open(self.handle, log.handle, ct.byref(reader))
            self._begin_taking(log, reader)
            self._bound_version = info.bind_version
            self._log, self._reader = log, reader
            self._close_reader = _segments.at_collection(self, release_reader, reader, log, os.getpid(), self._bells)
        except BaseException:
            # A signal's handler may raise between any two of these. The place must not stay with a reader
            # that nobody has.
            self._forget_reader()
            if reader:
                release_reader(reader, log, os.getpid(), self._bells)
            raise

    @staticmethod
    def _left(deadline: float | None, block: bool) -> int:
        """Nanoseconds a wait may take now; -1 for ever."""
        if not block:
            return 0
        if deadline is None:
            return -1
        return max(0, int((deadline - time.monotonic()) * 1e9))

    def _at_end(self, orphaned: bool) -> None:
        """The log has ended. A new engine may have taken the queue meanwhile."""
        info = self._info()
        if info.bind_version != self._bound_version and not info.closed:
            self._drop_reader()
            raise Rebound
        if orphaned:
            raise Closed(f"the engine that fed queue {self.name!r} died with its parent; all it wrote has been read")
        raise Closed(f"the engine that fed queue {self.name!r} has stopped and everything has been read")

    def _drop_reader(self) -> None:
        leaving = self._close_reader
        # First of all: wherever a signal's handler raises below, nobody looks into a reader that is gone.
        self._poll = self._first_look = self._look = nothing_yet
        with self._interrupting:
            self._reader = None
        try:
            self._forget_reader()
        finally:
            if leaving is not None:
                leaving()

    # ---- looking -------------------------------------------------------------------------------

    def _counters(self) -> Take:
        take = Take()
        if self._reader is not None:
            lib().reader_counters(self._reader, ct.byref(take))
        return take

    def qsize(self) -> int:
        """Ticks written for this queue and not yet got (a moment's value; events are not counted).

        With ``skip=`` those that will be passed over are among them: nobody has looked at them yet.
        """
        if self._reader is None:
            try:
                self._open(None, False)
            except (Empty, Closed):
                return 0
        return int(lib().reader_waiting(self._reader)) + self._in_hand()

    def empty(self) -> bool:
        """True if `get` would have to wait (with ``skip=``: if it would for sure)."""
        return self.qsize() == 0

    @property
    def lost(self) -> int:
        """Ticks that the log overwrote before this queue got them. Exact once it has caught up."""
        return int(self._counters().lost)

    @property
    def lost_events(self) -> int:
        """The same for events, of a queue that asks for them."""
        return int(self._counters().lost_events)

    @property
    def skipped(self) -> int:
        """Ticks passed over because of ``skip=``. ``received + lost + skipped`` is what was written for this queue."""
        return int(self._counters().skipped)

    @property
    def received(self) -> int:
        """Ticks got so far, by this and earlier readers of the queue."""
        return int(self._counters().received) - self._in_hand()

    def _in_hand(self) -> int:
        """Ticks taken and not given out."""
        return sum(1 for tick in self._ticks[self._next : self._taken()] if tick.Kind == KIND_TICK)

    def _taken(self) -> int:
        return self._count if self._bell is None or self._closed else max(self._count, self._hand.used)

    @property
    def sequence(self) -> int | None:
        """Sequence of the next record this queue will look at; None before an engine has it."""
        if self._next < self._taken():
            return int(self._ticks[self._next].Stamp) - 1
        return None if self._reader is None else int(self._counters().cursor)

    @property
    def log(self) -> TickLog | None:
        """The log this queue reads, None before an engine has taken it."""
        if self._log is None:
            try:
                self._open(None, False)
            except (Empty, Closed):
                return None
        return self._log

    def snapshot(self) -> npt.NDArray[np.void]:
        """The newest tick of each of the queue's instruments that has one, to begin with: an array of `TICK_DTYPE`.

        From the log's table of last values (`TickLog.snapshot`); the queue itself stays where it is, and its
        ``skip=`` is not looked at. Does not wait. Raises `NotFoundError` while no engine feeds the queue.
        """
        rows, wanted = self._fed().snapshot(), self.instruments
        return rows if wanted is None else rows[np.isin(rows["InstrumentID"], [id_.encode() for id_ in wanted])]

    def latest(self, instrument: str) -> Tick:
        """The newest tick of *instrument*, whether the queue takes it or not; see `snapshot`.

        Raises `NotFoundError` if none has been received, or while no engine feeds the queue.
        """
        return self._fed().latest(instrument)

    def _fed(self) -> TickLog:
        log = self.log
        if log is None:
            raise NotFoundError("latest", -3, f"queue {self.name!r} has no engine yet, so there is no newest tick")
        return log

    @property
    def instruments(self) -> list[str] | None:
        """The filter, None for all."""
        if not self._filters:
            return None
        buffer = ct.create_string_buffer(MAX_ID + 1)
        ids = []
        for index in range(self._filters):
            lib().queue_filter(self.handle, index, buffer, len(buffer))
            ids.append(_segments.name_in(buffer.value, self._path))
        return ids

    def interrupt(self) -> None:
        """End the wait of a thread in `get` or `get_many`, or else the next wait: it raises `queue.Empty`.

        For a thread that has news of another kind for the one that reads. Ticks that are there are given out
        first. Can be called from any thread; does not block. Nothing happens while no engine feeds the queue.
        """
        with self._interrupting:
            if self._reader is not None and not self._closed:
                lib().reader_interrupt(self._reader)

    def close(self) -> None:
        """Stop reading. In the process that made the queue: also give its place and name back.

        Can be repeated. A process that reads it or waits on it gets `Closed` from its next call for more;
        ticks it has taken already it keeps.
        """
        if self._closed:
            return
        self._closed = True
        self._stop_bell()
        # Another thread may be waiting in it. What that thread holds in its hands goes when this object does.
        leaving = None if self._close_reader is None else self._close_reader.detach()
        self._close_reader = None
        if leaving is not None:
            reader, _log, pid, _bells = leaving[2]
            if pid == os.getpid():
                lib().reader_close(reader)
                _segments.at_collection(self, lib().reader_free, reader)
        if self._owner_pid == os.getpid():
            lib().queue_retire(self._mapped)
            self._remove()
        # Not `_forget_reader`: a thread that reads just now may stand between any two steps of a take. It finds what
        # it has, in memory that stays, and nothing behind it.
        self._closed_log, self._log = self._log, None
        self._reader = None
        self._count = 0
        self._keeps = None

    def __enter__(self) -> TickQueue:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._closed:
            raise Closed(f"queue {self.name!r} is closed and cannot be handed to another process")
        return TickQueue._from_path, (self._path,)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "unbound" if self._reader is None else f"sequence={self.sequence}"
        return f"TickQueue({self.name!r}, {state})"


def _remove_queue(path: bytes, pid: int) -> None:
    if os.getpid() != pid:
        return
    handle, info = new_handle(), QueueInfo()
    try:
        lib().queue_attach(path, ct.byref(handle))
    except ShimError:
        return
    lib().queue_info_get(handle, ct.byref(info))
    lib().queue_retire(handle)  # its place in the log, too
    lib().queue_close(handle)
    _segments.unlink(path)
    if info.log_path:
        _segments.remove_ended_log(info.log_path, info.log_id)


_live: weakref.WeakSet[TickQueue] = weakref.WeakSet()


def _after_fork() -> None:
    """The child starts without a reader: the parent's place in the log is the parent's."""
    for queue in list(_live):
        queue._opening = threading.Lock()
        queue._interrupting = threading.Lock()
        forget_bell(queue)
        queue._forget_reader()


os.register_at_fork(after_in_child=_after_fork)
