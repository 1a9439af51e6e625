"""The child's half of an engine: a process with one vendor api and its session, that its parent watches.

It ends when told to (a message, SIGTERM, SIGINT), when its parent is gone, or when the session gave up or
broke off. `_supervisor.py` has the parent's half.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from ._errors import ConfigError, EngineError, SilentFeed, TickEngineError
from ._secret import forget_variable
from ._watchdog import BEAT_S, Pulse
from .flow import open_private
from .words import EXIT_SILENT

CHILD_LOG = "engine.log"
_LOG_LIMIT = 4 << 20
# 3: given up, not to be started again; 4: the session broke off where it should not, as a crash does.
EXIT_STOPPED, EXIT_FAILED, EXIT_BROKEN = 0, 3, 4
END_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PARENT_ANSWERS_S = 5.0
_SESSION_ENDS_S = 3.0
_STUCK_S = 3.0

logger = logging.getLogger("tickengine")


@dataclass(frozen=True, kw_only=True)
class ChildOrders:
    """What every kind of child is told. Travels through a pipe: never argv, never the environment."""

    parent_pid: int
    log_level: int
    core_dumps: bool
    secret_variables: tuple[str, ...]


class Working(Protocol):
    """What a child's session is to the loop that looks after it."""

    steps: int
    """Grows about once a second at least; stands when a call does not come back."""
    failure: str
    """Why it gave up for good."""

    @property
    def call(self) -> str:
        """The vendor library's function that is being called, or ``""``."""

    def run(self) -> None:
        """Work until `stop`, or a failure."""

    def stop(self) -> None:
        """Make `run` return soon. Never blocks."""

    def release(self) -> None:
        """Give everything back; nobody is in `run`."""


class Reporter:
    """Messages to the parent from a thread of their own: a parent that does not read holds nobody up.

    A parent that is stopped for long loses log lines, not memory. How many, it is told in their place.
    """

    _MOST_LINES = 10_000
    _PATIENCE_S = 2.0

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sent = 0
        self._lock = threading.Lock()
        self._dropped = 0
        self._queue: queue.SimpleQueue[tuple[str, Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="tickengine-reporter", daemon=True)
        self._thread.start()

    def send(self, kind: str, content: Any) -> None:
        self._queue.put((kind, content))

    def line(self, level: int, text: str) -> None:
        with self._lock:
            # While a count of dropped lines waits for its turn, newer lines belong to it.
            if not self._dropped and self._queue.qsize() < self._MOST_LINES:
                self._queue.put(("log", (level, text)))
                return
            self._dropped += 1
            if self._dropped == 1:
                self._queue.put(("dropped", None))

    def _run(self) -> None:
        while (message := self._queue.get()) is not None:
            if message[0] == "dropped":
                with self._lock:
                    count, self._dropped = self._dropped, 0
                words = f"{count} log lines were dropped here: this process did not take them in time"
                message = ("log", (logging.WARNING, words))
            try:
                self._connection.send(message)
            except OSError:
                return  # the parent is gone; the main thread sees it too
            self._sent += 1

    def close(self) -> None:
        """Returns when the parent has everything, or has taken nothing for a while."""
        self._queue.put(None)
        before = -1
        while self._thread.is_alive() and before != self._sent:
            before = self._sent
            self._thread.join(self._PATIENCE_S)


class _ParentHandler(logging.Handler):
    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        self._reporter.line(record.levelno, self.format(record))


def child_main(
    make: Callable[[Connection, Reporter, Pulse], Child], connection: Connection, beats: Connection, orders: ChildOrders
) -> None:
    """Runs in the spawned process, and ends it."""
    for name in orders.secret_variables:
        forget_variable(name)
    os.umask(0o077)  # the vendor library makes its files with what this leaves
    reporter = Reporter(connection)
    logger.addHandler(_ParentHandler(reporter))
    logger.setLevel(orders.log_level)
    logger.propagate = False
    if not orders.core_dumps:
        _dump_no_memory()
    try:
        status = make(connection, reporter, Pulse(beats)).run(orders.parent_pid)
    except TickEngineError as error:
        reporter.send("error", error)
        status = EXIT_FAILED
    except Exception as error:
        reporter.send("error", _clear(error))
        status = EXIT_FAILED
    reporter.close()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # engine.log's disk is full: no reason for another exit status
            stream.flush()
    # Past the static destructors: a vendor library whose Release hung still has threads running.
    os._exit(status)


def _clear(error: Exception) -> TickEngineError:
    """One error that names what is missing; with the traceback where it is a mistake of ours."""
    if isinstance(error, MemoryError) or "can't start new thread" in str(error):
        return EngineError(
            "the engine process lacks memory or threads (look at ulimit -v, ulimit -u and the container)"
        )
    if isinstance(error, OSError):
        return EngineError(f"the engine process cannot start: {error}")
    return TickEngineError(f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}")


class Child:
    """One process, its session and its commands."""

    def __init__(self, connection: Connection, reporter: Reporter, pulse: Pulse) -> None:
        self._connection = connection
        self.reporter = reporter
        self._pulse = pulse
        self._stop = self._signalled = False
        self._broken = EXIT_STOPPED  # or the status that it ends with
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_w, False)
        self._parent_pid = 0

    # ---- what each engine does in its own way --------------------------------------------------

    def begin(self) -> tuple[Working, str]:
        """Make the session and start it; returns it and the version of its api."""
        raise NotImplementedError

    def command(self, session: Any, name: str, argument: Any) -> None:
        """Carry out a command. A call into the vendor library belongs on the session's thread, by its `post`:
        one that does not come back would hold up the main thread too."""
        raise NotImplementedError

    def end(self, session: Any) -> None:
        """The session is over, in order."""
        raise NotImplementedError

    def tidy(self) -> None:
        """The parent can no longer do it: remove what it would have removed."""
        raise NotImplementedError

    # ---- the same for all ----------------------------------------------------------------------

    def run(self, parent_pid: int) -> int:
        """From the first signal handler to the exit status."""
        self._parent_pid = parent_pid
        for number in END_SIGNALS:
            signal.signal(number, self._on_signal)
        # The kernel may give a signal to one of the vendor's threads; this wakes the main thread all the same.
        signal.set_wakeup_fd(self._wake_w, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS)
        parent = _parent_descriptor(parent_pid)
        session, version = self.begin()
        thread = threading.Thread(target=self._run_session, args=(session,), name="tickengine-session", daemon=True)
        thread.start()
        self.reporter.send("ready", version)
        orphaned = self._command_loop(session, parent)
        self._pulse.close()  # from here on nothing waits without a limit of its own
        session.stop()
        thread.join(_SESSION_ENDS_S)
        if thread.is_alive():
            # Neither can its api be released under the call, nor may this process stay for ever.
            logger.error("the vendor library has not returned from %s; the process ends without Release", session.call)
        elif not self._broken:
            session.release()
        if self._broken and not orphaned and not self._signalled:
            return self._broken  # what it wrote to stays open: a successor goes on with it
        self.end(session)
        if orphaned or (self._signalled and not self._parent_answers(parent)):
            self.tidy()
        if session.failure:
            self.reporter.send("failure", session.failure)
        return EXIT_FAILED if session.failure else EXIT_STOPPED

    def _run_session(self, session: Working) -> None:
        try:
            session.run()
        except SilentFeed as silent:
            self.reporter.send("silent", silent.seconds)
            self._broken = EXIT_SILENT
        except ConfigError as error:  # would be the same in the next process
            session.failure = str(error)
        except Exception:
            logger.exception("the session broke off")
            self._broken = EXIT_BROKEN
        self._wake()

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stop = self._signalled = True
        self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._wake_w, b"w")
        except BlockingIOError:
            pass  # as good as written: the pipe is full of wakes

    def _command_loop(self, session: Working, parent: int | None) -> bool:
        """Until there is a reason to end. True if the parent is gone."""
        sources: Sequence[Any] = [s for s in (self._connection, self._wake_r, parent) if s is not None]
        steps, looked, stuck = session.steps, time.monotonic(), 0.0
        while not self._stop and not self._broken and not session.failure:
            ready = wait(sources, timeout=BEAT_S)
            now = time.monotonic()
            if session.steps != steps:
                steps, stuck = session.steps, 0.0
                self._pulse.beat()
            else:
                before, stuck = stuck, stuck + min(now - looked, BEAT_S)
                if before < _STUCK_S <= stuck:
                    self._report_stuck(session.call)
            looked = now
            if (parent is not None and parent in ready) or os.getppid() != self._parent_pid:
                logger.warning("the parent process is gone; the engine ends")
                return True
            if self._wake_r in ready:
                os.read(self._wake_r, 4096)
            if self._connection in ready:
                try:
                    command, argument = self._connection.recv()
                except (EOFError, OSError):
                    # It dies, or has become another program by exec. One that lives never closes its end first.
                    logger.warning("the parent process is gone; the engine ends")
                    return True
                if command == "stop":
                    return False
                self.command(session, command, argument)
        return False

    def _report_stuck(self, call: str) -> None:
        where = f", in the vendor library's {call}" if call else ""
        logger.warning("the session has stood still for %g s%s", _STUCK_S, where)
        self.reporter.send("stuck", call)

    def _parent_answers(self, parent: int | None) -> bool:
        """Asked after a signal: service managers send it to the whole group, and a parent that does not
        handle SIGTERM dies of it, now or in a moment. Then nobody but this process can tidy up."""
        self.reporter.send("leaving", None)
        deadline = time.monotonic() + _PARENT_ANSWERS_S
        while (left := deadline - time.monotonic()) > 0 and os.getppid() == self._parent_pid:
            ready = wait([s for s in (self._connection, parent) if s is not None], timeout=min(left, 1.0))
            if parent is not None and parent in ready:
                return False
            if self._connection in ready:
                try:
                    command, _argument = self._connection.recv()
                except (EOFError, OSError):
                    return False
                if command in ("leave", "stop"):
                    return True
        # A parent that is there but silent tidies up when it comes to itself, or the next program does.
        return os.getppid() == self._parent_pid


def _dump_no_memory() -> None:
    """A crash leaves no core file, and what a crash handler of the system gets has no memory in it: the
    password is there, also in places of the vendor library's own.

    Not PR_SET_DUMPABLE: that would also take /proc/PID away from whoever looks after the process, and for
    the same user, who can read the parent as well, it would be no wall.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))  # to be raised from outside, for a core without memory
    try:
        with open("/proc/self/coredump_filter", "w", encoding="ascii") as f:
            f.write("0")
    except OSError as error:
        logger.warning("a core dump would have this process's memory in it: coredump_filter: %s", error.strerror)


def _parent_descriptor(pid: int) -> int | None:
    """A descriptor that becomes readable when the parent ends; None on kernels without pidfd_open."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None  # os.getppid is looked at once a second then


def redirect_output(flow_path: str) -> None:
    """The vendor library prints to stdout and stderr: into a file, with what a crash leaves."""
    path = flow_path + CHILD_LOG
    fd = open_private(path, os.O_WRONLY | os.O_APPEND)
    os.set_blocking(fd, True)
    if os.fstat(fd).st_size > _LOG_LIMIT:
        os.ftruncate(fd, 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)
