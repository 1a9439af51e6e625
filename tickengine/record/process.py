"""`RecorderProcess`: a `Recorder` in a process of its own, so that a slow disk holds up nobody."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from .._errors import ConfigError, EngineError, TickEngineError
from .._spawn import SpawnedProcess
from ..queue import TickQueue
from .recorder import INTERVAL_S, Recorder

_COUNTERS = ("recorded", "lost", "events", "position", "trading_day", "blocked")
_CONTEXT = multiprocessing.get_context("spawn")


class RecorderProcess:
    """A process that records *queue* into *directory*, see `Recorder`.

    It ends by itself when the engine has ended and everything is written, and when the process that made it is
    gone, after what is there then. Ctrl-C, which reaches it too, is left to that process.

    Args:
        queue: a `TickQueue` for the recorder alone, best one with ``start="oldest"`` and ``events=True``.
        directory, interval: as in `Recorder`.
        prepare: called first in the process, such as to send its log somewhere; it must be picklable.

    Raises:
        ConfigError: the queue skips ticks.
    """

    def __init__(
        self,
        queue: TickQueue,
        directory: str | os.PathLike[str],
        *,
        interval: float = INTERVAL_S,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        if queue.skip:
            raise ConfigError(f"queue {queue.name!r} skips ticks: a recorder needs one without skip=")
        self.queue = queue
        self.directory = os.path.abspath(os.fspath(directory))
        self._interval = interval
        self._prepare = prepare
        self._process: SpawnedProcess | None = None
        self._words: Connection | None = None
        self._failure: str | None = None
        self._cells: Any = _CONTEXT.RawArray("q", len(_COUNTERS))

    def start(self) -> None:
        """Start the process. Does not wait for it: that it cannot record shows in `failure`.

        Raises `ConfigError` if it runs already. After its end it can be started again: it goes on where the
        files end.
        """
        if self.is_alive():
            raise ConfigError(f"the recorder of {self.directory!r} runs already, as process {self.pid}")
        ours, theirs = _CONTEXT.Pipe(duplex=False)
        self._words, self._failure = ours, None
        args = self.queue, self.directory, self._interval, self._cells, theirs, self._prepare
        blocked = (signal.SIGTERM, signal.SIGINT)  # until it has handlers for them
        self._process = SpawnedProcess(
            target=_main, args=args, name="tickengine-recorder", daemon=True, blocked=blocked
        )
        try:
            self._process.start()
        finally:
            theirs.close()

    def stop(self, timeout: float = 10.0) -> bool:
        """Write what is there, then end it. Blocks up to *timeout* seconds; then it is killed.

        Returns whether it ended in order. Can be repeated, also when it has ended or was never started.
        """
        process = self._process
        if process is None:
            return True
        if process.is_alive():
            process.terminate()
            process.join(timeout)
            if process.is_alive():
                process.kill()
                process.join()
        return process.exitcode == 0

    def join(self, timeout: float | None = None) -> bool:
        """Wait for its end, up to *timeout* seconds (None: for ever). Returns whether it has ended.

        Raises `EngineError` with `failure` if it failed.
        """
        if self._process is not None:
            self._process.join(timeout)
        if self.failure is not None:
            raise EngineError(f"the recorder of {self.directory!r} failed: {self.failure}")
        return not self.is_alive()

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.is_alive()

    @property
    def pid(self) -> int | None:
        """Its process id, None before `start`."""
        return None if self._process is None else self._process.pid

    @property
    def failure(self) -> str | None:
        """Why it ended, None while it runs and when it ended in order."""
        process = self._process
        if process is None or process.is_alive():
            return None
        if self._failure is None and self._words is not None and process.exitcode:
            try:
                self._failure = self._words.recv() if self._words.poll() else None
            except (EOFError, OSError):
                self._failure = None
            self._words.close()
            self._words = None
            if self._failure is None:
                code = process.exitcode
                self._failure = f"killed by signal {-code}" if code < 0 else f"ended with status {code}"
        return self._failure

    @property
    def counters(self) -> dict[str, Any]:
        """What it has done since its start: ``recorded lost events`` (as in `Recorder`), ``position`` (sequence
        of the next tick), ``trading_day`` (``""``: none yet), ``blocked`` (the disk is full just now)."""
        values: dict[str, Any] = dict(zip(_COUNTERS, self._cells))
        values["trading_day"] = f"{values['trading_day']:08d}" if values["trading_day"] else ""
        values["blocked"] = bool(values["blocked"])
        return values


class _Counted(Recorder):
    """Its counters can be seen from the parent."""

    def __init__(self, *args: Any, cells: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._cells = cells

    def poll(self) -> int:
        try:
            return super().poll()
        finally:
            self.show()

    def show(self) -> None:
        day = int(self.trading_day or 0)
        self._cells[:] = (self.recorded, self.lost, self.events, self.position, day, bool(self.blocked))


def _main(
    queue: TickQueue,
    directory: str,
    interval: float,
    cells: Any,
    words: Connection,
    prepare: Callable[[], None] | None,
) -> None:
    """Runs in the spawned process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if prepare is not None:
        prepare()
    try:
        recorder = _Counted(queue, directory, interval=interval, cells=cells)
        signal.signal(signal.SIGTERM, lambda *_: recorder.stop())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
        _stop_with_parent(recorder)
        try:
            recorder.run()
        finally:
            recorder.show()
    except TickEngineError as error:
        words.send(str(error))
        raise SystemExit(1) from None


def _stop_with_parent(recorder: Recorder) -> None:
    """A thread that waits for the parent's end."""

    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        recorder.stop()

    threading.Thread(target=wait, name="tickengine-recorder-parent", daemon=True).start()
