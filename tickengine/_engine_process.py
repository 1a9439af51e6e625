"""The engine process: one vendor api, its session, and nothing else.

It ends when told to (a message, SIGTERM, SIGINT), when its parent is gone, or when the session gave
up. However it ends in order, it releases the api, ends the log, and says so.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import resource
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from . import _segments, placement, vendor
from ._errors import TickEngineError
from ._secret import forget_variable
from .config import Settings
from .flow import FlowDirectory, open_private
from .log import TickLog
from .session import Session

ENGINE_LOG = "engine.log"
_ENGINE_LOG_LIMIT = 4 << 20
EXIT_STOPPED, EXIT_FAILED = 0, 3  # 3: given up, do not start again
_PARENT_DIES_S = 5.0

logger = logging.getLogger("tickengine")


@dataclass(frozen=True)
class Orders:
    """What the supervisor hands over. Travels through a pipe: never argv, never the environment."""

    settings: Settings
    library: str
    log_path: bytes
    queue_paths: tuple[bytes, ...]
    temporary_flow: bool
    parent_pid: int
    log_level: int
    core_dumps: bool
    secret_variables: tuple[str, ...]


class _Reporter:
    """Messages to the parent from a thread of their own: a parent that does not read holds nobody up."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queue: queue.SimpleQueue[tuple[str, Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="tickengine-reporter", daemon=True)
        self._thread.start()

    def send(self, kind: str, content: Any) -> None:
        if self._queue.qsize() < 10_000:  # a parent stopped for long loses log lines, not memory
            self._queue.put((kind, content))

    def _run(self) -> None:
        while (message := self._queue.get()) is not None:
            try:
                self._connection.send(message)
            except OSError:
                return  # the parent is gone; the main thread sees it too

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join(2.0)


class _ParentHandler(logging.Handler):
    def __init__(self, reporter: _Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        self._reporter.send("log", (record.levelno, self.format(record)))


def engine_main(connection: Connection, orders: Orders) -> None:
    """Runs in the spawned process, and ends it."""
    for name in orders.secret_variables:
        forget_variable(name)
    os.umask(0o077)  # the vendor library makes its files with what this leaves
    reporter = _Reporter(connection)
    logger.addHandler(_ParentHandler(reporter))
    logger.setLevel(orders.log_level)
    logger.propagate = False
    if not orders.core_dumps:
        _dump_no_memory()
    try:
        status = _Engine(connection, reporter, orders).run()
    except TickEngineError as error:
        reporter.send("error", error)
        status = EXIT_FAILED
    except Exception as error:
        reporter.send("error", TickEngineError(f"{type(error).__name__}: {error}\n{traceback.format_exc()}"))
        status = EXIT_FAILED
    reporter.close()
    sys.stdout.flush()
    sys.stderr.flush()
    # Past the static destructors: a vendor library whose Release hung still has threads running.
    os._exit(status)


class _Engine:
    def __init__(self, connection: Connection, reporter: _Reporter, orders: Orders) -> None:
        self._connection = connection
        self._reporter = reporter
        self._orders = orders
        self._stop = self._signalled = False
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_w, False)

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        # The kernel may give a signal to one of the vendor's threads; this wakes the main thread all the same.
        signal.set_wakeup_fd(self._wake_w, warn_on_full_buffer=False)
        parent = _parent_descriptor(self._orders.parent_pid)
        config = self._orders.settings
        placement.keep_off(config.cpus, config.realtime)
        flow = FlowDirectory(config.page_dir)
        _redirect_output(flow.path)
        log = TickLog(_segments.attach_log_handle(self._orders.log_path), self._orders.log_path)
        found = vendor.probe(self._orders.library, override_version=config.vendor_version)
        vendor.warn_of_doubts(found, config.production, config.vendor_version)
        session = Session(config, self._orders.library, flow.path, log)
        thread = threading.Thread(target=self._run_session, args=(session,), name="tickengine-session", daemon=True)
        session.start()
        thread.start()
        self._reporter.send("ready", session.api_version)
        orphaned = self._command_loop(session, parent)
        session.stop()
        thread.join()
        session.release()
        log.end()
        flow.close()
        if orphaned or (self._signalled and not self._parent_answers(parent)):
            self._remove_segments(log)
        if session.failure:
            self._reporter.send("failure", session.failure)
        return EXIT_FAILED if session.failure else EXIT_STOPPED

    def _run_session(self, session: Session) -> None:
        try:
            session.run()
        except Exception:
            logger.exception("the session has stopped")
            session.failure = "the session stopped with an exception: " + traceback.format_exc(limit=3)
        self._wake()

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stop = self._signalled = True
        self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._wake_w, b"w")
        except BlockingIOError:
            pass  # as good as written: the pipe is full of wakes

    def _command_loop(self, session: Session, parent: int | None) -> bool:
        """Until there is a reason to end. True if the parent is gone."""
        sources: Sequence[Any] = [s for s in (self._connection, self._wake_r, parent) if s is not None]
        while not self._stop and not session.failure:
            ready = wait(sources, timeout=1.0)
            if (parent is not None and parent in ready) or os.getppid() != self._orders.parent_pid:
                logger.warning("the parent process is gone; the engine ends")
                return True
            if self._wake_r in ready:
                os.read(self._wake_r, 4096)
            if self._connection in ready:
                try:
                    command, argument = self._connection.recv()
                except (EOFError, OSError):
                    return self._parent_ends(parent)
                if command == "stop":
                    return False
                if command == "subscribe":
                    session.subscribe(argument)
                elif command == "unsubscribe":
                    session.unsubscribe(argument)
        return False

    def _parent_ends(self, parent: int | None) -> bool:
        """Whether the pipe is closed because the parent dies: the kernel closes it a moment before the
        process counts as dead. Otherwise the parent has closed it, and tidies up itself."""
        deadline = time.monotonic() + _PARENT_DIES_S
        while os.getppid() == self._orders.parent_pid and (left := deadline - time.monotonic()) > 0:
            if wait([] if parent is None else [parent], timeout=min(left, 0.05)):
                return True
        return os.getppid() != self._orders.parent_pid

    def _parent_answers(self, parent: int | None) -> bool:
        """Asked after a signal: service managers send it to the whole group, and a parent that does not
        handle SIGTERM dies of it, now or in a moment. Then nobody but this process can tidy up."""
        self._reporter.send("leaving", None)
        deadline = time.monotonic() + _PARENT_DIES_S
        while (left := deadline - time.monotonic()) > 0 and os.getppid() == self._orders.parent_pid:
            ready = wait([s for s in (self._connection, parent) if s is not None], timeout=min(left, 1.0))
            if parent is not None and parent in ready:
                return False
            if self._connection in ready:
                try:
                    command, _argument = self._connection.recv()
                except (EOFError, OSError):
                    return not self._parent_ends(parent)
                if command in ("leave", "stop"):
                    return True
        # A parent that is there but silent tidies up when it comes to itself, or the next program does.
        return os.getppid() == self._orders.parent_pid

    def _remove_segments(self, log: TickLog) -> None:
        """The parent can no longer do it."""
        log.unlink()
        for path in self._orders.queue_paths:
            _segments.unlink(path)
        if self._orders.temporary_flow:
            shutil.rmtree(self._orders.settings.page_dir, ignore_errors=True)


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


def _redirect_output(flow_path: str) -> None:
    """The vendor library prints to stdout and stderr: into a file, with what a crash leaves."""
    path = flow_path + ENGINE_LOG
    fd = open_private(path, os.O_WRONLY | os.O_APPEND)
    os.set_blocking(fd, True)
    if os.fstat(fd).st_size > _ENGINE_LOG_LIMIT:
        os.ftruncate(fd, 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)
