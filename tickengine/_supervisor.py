"""A process that is started, listened to, and started again when it dies: what the engines have in common.

`Supervised` is the parent's half; `_child.py` has the other.
"""

from __future__ import annotations

import atexit
import errno
import logging
import multiprocessing.util  # noqa: F401  (its exit function must be registered before ours)
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from ._child import CHILD_LOG, END_SIGNALS, EXIT_FAILED, EXIT_STOPPED
from ._errors import EngineError, TickEngineError
from ._inprocess import JOIN_HINT
from ._signals import Latch
from ._spawn import SpawnedProcess
from ._watchdog import LOOK_S, Watchdog, check_limit
from .words import EXIT_SILENT

logger = logging.getLogger("tickengine")

START_TIMEOUT_S = 60.0
RESTART_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_HEALTHY_S = 60.0  # an engine that lived so long starts again with the shortest pause

Self = TypeVar("Self", bound="Supervised")


class Supervised:
    """The parent's half of an engine in a process of its own.

    Args:
        name: of the engine.
        restart: start the process again, after growing pauses, if it dies without being told to.
        watchdog: seconds without a sign of life after which it counts as hung; None never.

    Raises:
        ConfigError: *watchdog* is wrong.
    """

    _kind = "engine"
    """What error texts call the process."""
    _class_words = "a TickEngine"

    def __init__(self, name: str, restart: bool, watchdog: float | None) -> None:
        self.name = name
        self._restart = restart
        self._watchdog_limit = check_limit(watchdog)
        self._pid = os.getpid()
        self._lock = threading.RLock()  # `stop` may be called in a signal handler, in the middle of anything
        self._process: SpawnedProcess | None = None
        self._watchdog: Watchdog | None = None
        self._connection: Connection | None = None
        self._supervisor: threading.Thread | None = None
        self._stopping = Latch()
        self._ended = Latch()
        self._failure = ""
        self._restarts = 0
        self._silence = 0.0  # that the process has ended itself for
        self._printed = 0  # what the process's log held before the present process
        self._wake_r = self._wake_w = -1

    # ---- what each engine does in its own way --------------------------------------------------

    def _prepare(self) -> None:
        """Before the first process: everything it needs. `_finish` takes back what had been made."""
        raise NotImplementedError

    def _work(self) -> tuple[Callable[..., None], Any]:
        """The process's main function, and the orders that it is given."""
        raise NotImplementedError

    def _finish(self) -> None:
        """Behind the last process, or where starting went wrong."""
        raise NotImplementedError

    def _directory(self) -> str:
        """Where the process's log is."""
        raise NotImplementedError

    def _say(self, why: str) -> None:
        """For whoever looks at the status from outside while there is no process."""
        raise NotImplementedError

    def _epoch(self) -> int:
        """Grows with every process that has come as far as writing."""
        raise NotImplementedError

    def _report_lost(self, status: int | None, hung: Watchdog | None) -> None:
        """Leave a word where the readers look: the process died."""
        raise NotImplementedError

    def _start_limit(self) -> float:
        """Seconds that a process may take until it says that it is running."""
        return START_TIMEOUT_S

    def _came_up(self) -> None:
        """A process has said that its api is running."""

    def _take_message(self, kind: str, content: Any) -> None:
        """A message of the process that is not about its life."""

    # ---- starting ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process, and wait until its api is running. Blocks for about half a second.

        Raises:
            EngineError: it did not start.
        """
        if self._supervisor is not None:
            raise EngineError(f"this {self._kind} has been started already; make a new one")
        try:
            self._prepare()
            self._launch()
            try:
                self._wake_r, self._wake_w = os.pipe()
                supervisor = threading.Thread(target=self._supervise, name="tickengine-supervisor", daemon=True)
                supervisor.start()
            except BaseException as error:
                self._stopping.set()
                self._kill()
                if isinstance(error, (OSError, RuntimeError)):  # no descriptor, no memory for a thread
                    raise EngineError(f"the {self._kind}'s supervisor cannot be started: {error}") from error
                raise
        except BaseException:
            self._end()
            raise
        self._supervisor = supervisor
        _running.add(self)

    def _end(self) -> None:
        self._finish()
        if self._connection is not None:
            self._connection.close()
        if self._watchdog is not None:
            self._watchdog.close()

    def _launch(self) -> None:
        """Start a process and wait for its word."""
        try:
            self._spawn()
        except OSError as error:
            hint = " (ulimit -n is too low for this program)" if error.errno == errno.EMFILE else ""
            raise EngineError(f"the {self._kind} process cannot be started: {error.strerror}{hint}") from error
        try:
            self._await_ready()
        except BaseException:  # KeyboardInterrupt too
            self._kill()
            raise

    def _kill(self) -> None:
        process = self._process
        assert process is not None
        process.kill()
        process.join()

    def _spawn(self) -> None:
        try:
            self._printed = os.path.getsize(self._printed_path)
        except OSError:
            self._printed = 0
        ours, theirs = Pipe()
        beats, pulse = Pipe(duplex=False)
        main, orders = self._work()
        process = SpawnedProcess(
            target=main, args=(theirs, pulse, orders), name=f"tickengine-{self.name}", blocked=END_SIGNALS
        )
        process.start()
        theirs.close()
        pulse.close()
        assert process.pid is not None
        with self._lock:  # nobody may be sending into the old one
            if self._connection is not None and self._watchdog is not None:
                self._connection.close()
                self._watchdog.close()
            self._connection, self._process = ours, process
        self._watchdog = Watchdog(self._watchdog_limit, process.pid, beats)
        self._silence = 0.0

    def _await_ready(self) -> None:
        ours, process = self._connection, self._process
        assert ours is not None and process is not None
        limit = self._start_limit()
        deadline = time.monotonic() + limit
        while True:
            if not ours.poll(max(0.0, deadline - time.monotonic())):
                raise EngineError(f"the {self._kind} process did not answer within {limit:g} s{self._last_words()}")
            try:
                kind, content = ours.recv()
            except (EOFError, OSError):
                process.join()
                raise EngineError(
                    f"the {self._kind} process ended with {_status_words(process.exitcode)} while starting"
                    f"{self._last_words()}"
                ) from None
            if kind == "log":
                self._log_line(content)
            elif kind == "ready":
                self._came_up()
                return
            elif kind == "error":
                raise content
            else:
                self._take_message(kind, content)

    def _log_line(self, content: tuple[int, str]) -> None:
        logger.log(content[0], "%s: %s", self.name, content[1])

    def _last_words(self) -> str:
        """The end of what the engine process printed, and none before it."""
        try:
            fd = os.open(self._printed_path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(fd, "rb") as f:
                end = f.seek(0, os.SEEK_END)
                f.seek(max(self._printed if self._printed <= end else 0, end - 2000))
                text = f.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""
        return f"; it printed:\n{text}" if text else ""

    @property
    def _printed_path(self) -> str:
        return os.path.join(self._directory(), CHILD_LOG)

    # ---- supervising ---------------------------------------------------------------------------

    def _supervise(self) -> None:
        attempt = 0
        while True:
            process, watchdog = self._process, self._watchdog
            assert process is not None and watchdog is not None
            started = time.monotonic()
            hung = self._listen()
            process.join()
            status = process.exitcode
            if self._stopping.is_set() or status in (EXIT_STOPPED, EXIT_FAILED):
                if status == EXIT_FAILED and not self._failure:
                    self._failure = f"the {self._kind} process gave up"
                break
            if time.monotonic() - started - watchdog.silent - self._silence > _HEALTHY_S:
                attempt = 0
            if hung:
                where = f" in the vendor library's {watchdog.call}" if watchdog.call else ""
                words = f"the {self._kind} process {process.pid} hung{where} for {watchdog.silent:.0f} s and was killed"
            elif status == EXIT_SILENT:
                words = (
                    f"the {self._kind} process {process.pid} ended itself after {self._silence:.0f} s without a tick"
                )
            else:
                words = f"the {self._kind} process {process.pid} died with {_status_words(status)}{self._last_words()}"
            self._report_lost(status, watchdog if hung else None)
            if not self._restart:
                self._failure = words
                logger.error("%s", words)
                break
            self._restarts += 1  # before the new process can be seen live
            tried = self._launch_again(words, attempt)
            if tried is None:
                break
            attempt = tried  # `stop` may have come meanwhile: the new process hears of it as any other
        self._end()
        self._ended.set()
        _running.discard(self)

    def _listen(self) -> bool:
        """Take messages until the process ends. True if it hung and was killed."""
        connection, process, watchdog = self._connection, self._process, self._watchdog
        assert connection is not None and process is not None and watchdog is not None
        look = time.monotonic() + LOOK_S
        hung = False
        while True:
            ready = wait([connection, process.sentinel, self._wake_r], max(0.0, look - time.monotonic()))
            if time.monotonic() >= look:
                look = time.monotonic() + LOOK_S
                if not hung and watchdog.look() and not self._stopping.is_set():  # `stop` has a limit of its own
                    hung = True
                    process.kill()
            if self._wake_r in ready:
                os.read(self._wake_r, 4096)
                self._send("stop", None)
            if connection in ready:
                try:
                    kind, content = connection.recv()
                except (EOFError, OSError):
                    return hung
                if kind == "log":
                    self._log_line(content)
                elif kind == "stuck":
                    watchdog.call = content
                elif kind == "silent":
                    self._silence = content
                elif kind == "failure":
                    self._failure = content
                elif kind == "leaving":
                    self._send("leave", None)
                elif kind == "error":
                    self._failure = str(content)
                else:
                    self._take_message(kind, content)
            elif process.sentinel in ready:
                return hung

    def _launch_again(self, words: str, attempt: int) -> int | None:
        """After growing pauses, until there is a process: returns the next attempt's number. None: `stop` was called.

        It never gives up: the arguments have been good once, so what is missing now (room in the flow directory,
        descriptors, memory, the library's file) may come back.
        """
        while True:
            pause = RESTART_PAUSES_S[min(attempt, len(RESTART_PAUSES_S) - 1)]
            attempt += 1
            logger.error("%s; starting it again in %g s", words, pause)
            self._say(words)
            if self._stopping.wait(pause):
                return None
            epoch = self._epoch()
            try:
                self._launch()
                return attempt
            except (TickEngineError, OSError) as error:
                if self._epoch() != epoch:  # it came as far as the log; its engine_started may be there
                    assert self._process is not None
                    self._report_lost(self._process.exitcode, None)
                    self._restarts += 1
                words = f"the {self._kind} process could not be started again: {error}"

    def stop(self, timeout: float = 10.0) -> None:
        """End the process: api released, files closed, segments removed.

        Can be repeated. After *timeout* seconds the process is killed.
        """
        if self._supervisor is None or os.getpid() != self._pid:
            return
        if not self._stopping.is_set():
            try:
                self._stopping.set()
            finally:  # a Ctrl-C that comes just now must not keep it from the supervisor
                os.write(self._wake_w, b"s")
        if not self._ended.wait(timeout):
            process = self._process
            if process is not None and process.is_alive():
                logger.error("the %s process does not stop; it is killed", self._kind)
                process.kill()
            self._ended.wait(5.0)
        self._supervisor.join(5.0)
        with self._lock:
            for fd in (self._wake_r, self._wake_w):
                if fd >= 0:
                    os.close(fd)
            self._wake_r = self._wake_w = -1

    def join(self, timeout: float | None = None) -> bool:
        """Block until the engine has ended (`stop`, a signal, giving up). True if it has.

        Raises:
            EngineError: it gave up, or died and was not to be restarted; the text says why.
            KeyboardInterrupt: after stopping it.
        """
        if self._supervisor is None:
            raise EngineError(f"this {self._kind} has not been started")
        if os.getpid() != self._pid:
            raise EngineError(f"this {self._kind} belongs to process {self._pid}; a forked child cannot wait for it")
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while not self._ended.is_set():
                left = 3600.0 if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    return False
                self._ended.wait(left)
        except KeyboardInterrupt:
            self.stop()
            raise
        if self._failure:
            raise EngineError(self._failure)
        return True

    def is_alive(self) -> bool:
        """True while the engine process runs."""
        process = self._process
        return process is not None and self._supervisor is not None and process.is_alive()

    @property
    def pid(self) -> int | None:
        """The engine process."""
        process = self._process
        return None if process is None else process.pid

    def _send(self, command: str, argument: Any) -> None:
        with self._lock:
            if self._connection is None or self._ended.is_set():
                return
            try:
                self._connection.send((command, argument))
            except OSError:
                logger.debug("%s: the %s process is gone; a new one is told when it starts", command, self._kind)

    def __enter__(self: Self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()


def _status_words(status: int | None) -> str:
    """``"status -9 (SIGKILL: …)"``."""
    if status is None or status >= 0:
        return f"status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "an unnamed signal"
    why = ": somebody, or the kernel for want of memory (see dmesg)" if -status == signal.SIGKILL else ""
    return f"status {status} ({name}{why})"


_running: weakref.WeakSet[Supervised] = weakref.WeakSet()


def _stop_at_exit() -> None:
    for engine in list(_running):
        if engine._pid == os.getpid() and engine._supervisor is not None:
            if not engine._stopping.is_set():  # else `stop` was interrupted
                print(f"tickengine: {JOIN_HINT.format(what=engine._class_words)}", file=sys.stderr)
            engine.stop()


atexit.register(_stop_at_exit)
