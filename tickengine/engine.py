"""`TickEngine`: the api in a dedicated, supervised process."""

from __future__ import annotations

import atexit
import ctypes as ct
import errno
import logging
import multiprocessing.util  # noqa: F401  (its exit function must be registered before ours)
import os
import shutil
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from . import _segments, vendor
from ._checks import check_instruments
from ._engine_process import END_SIGNALS, ENGINE_LOG, EXIT_FAILED, EXIT_STOPPED, Orders, engine_main
from ._errors import EngineError, ShimError, TickEngineError
from ._secret import Secret, hidden, variables_with
from ._shim import lib, new_handle
from ._spawn import SpawnedProcess
from ._watchdog import LOOK_S, Watchdog, check_limit
from .config import settings
from .flow import temporary_directory
from .forward import Forwarder, check_queue_list, place_for, start_forwarder
from .log import DEFAULT_CAPACITY, TickLog
from .mdapi import JOIN_HINT, finish_log
from .queue import TickQueue
from .words import EVENT_CODES

logger = logging.getLogger("tickengine")

START_TIMEOUT_S = 60.0
RESTART_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_HEALTHY_S = 60.0  # an engine that lived so long starts again with the shortest pause


class TickEngine:
    """Market data from a process of its own: the vendor library cannot hurt yours, nor yours the feed.

    The first eleven arguments are `MdApi`'s. Nothing is started before `start` (or ``with engine:``).

    Args:
        library: vendor library: path, package name, ``"compatible"``, or None to look for one.
        name: name of the log, for others to attach; default random.
        capacity: ticks kept in the log, rounded up to a power of two (448 bytes each).
        production: for libraries from 6.7.11 on: production (True) or evaluation front.
        restart: start the process again, after growing pauses, if it dies without being told to.
        vendor_version: believe this version instead of the library's own.
        stale_after: seconds without a tick after which the state becomes ``stale``; None never.
        cpus: the CPU or CPUs for the vendor library's threads, as a number, several, or ``"2-3,5"``. The engine
            process's other threads keep off them where they can.
        realtime: `SCHED_FIFO` priority, 1 to 99, for the vendor library's threads. Without *cpus* they may
            run on all CPUs of the program but the first. `start` raises `EngineError` when it is not permitted.
        core_dumps: let a crash of the engine process leave a core file, as the system is set up. The password
            is in it.
        watchdog: seconds without a sign of life, 5 at least, after which the engine process counts as hung and
            is killed, as if it had crashed; None never. A process stopped by SIGSTOP or a debugger does not hang.

    Raises:
        ConfigError: an argument is wrong, a CPU does not exist or is not allowed to this process.
        VendorLibraryError: no vendor library was found.
    """

    def __init__(
        self,
        md_server: str | bytes | Sequence[str | bytes],
        broker_id: str | bytes | int,
        investor_id: str | bytes,
        password: str | bytes | Secret,
        app_id: str | bytes,
        auth_code: str | bytes | Secret,
        instrument_id_list: Iterable[str | bytes],
        md_queue_list: Iterable[Any] | None = None,
        page_dir: str | bytes = "",
        using_udp: bool = False,
        multicast: bool = False,
        *,
        library: str | None = None,
        name: str | None = None,
        capacity: int = DEFAULT_CAPACITY,
        production: bool = True,
        restart: bool = True,
        vendor_version: str = "",
        stale_after: float | None = None,
        cpus: int | str | Iterable[int] | None = None,
        realtime: int | None = None,
        core_dumps: bool = False,
        watchdog: float | None = 30.0,
    ) -> None:
        password, auth_code = hidden(password), hidden(auth_code)
        self._settings = settings(
            md_server,
            broker_id,
            investor_id,
            password,
            app_id,
            auth_code,
            instrument_id_list,
            page_dir,
            using_udp,
            multicast,
            production=production,
            vendor_version=vendor_version,
            stale_after=stale_after,
            cpus=cpus,
            realtime=realtime,
        )
        self._queues = check_queue_list(md_queue_list)
        self._library, self._library_source = vendor.resolve(library)
        self.name = _segments.random_name("md") if name is None else _segments.check_name(name)
        self._capacity = capacity
        self._restart = restart
        self._core_dumps = core_dumps
        self._auth_code = hidden(auth_code)  # to keep the variable that holds it from the engine process
        self._watchdog_limit = check_limit(watchdog)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._log: TickLog | None = None
        self._places: list[TickQueue] = []
        self._forwarders: list[Forwarder] = []
        self._process: SpawnedProcess | None = None
        self._watchdog: Watchdog | None = None
        self._connection: Connection | None = None
        self._supervisor: threading.Thread | None = None
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._failure = ""
        self._restarts = 0
        self._temporary_flow: str | None = None
        self._printed = 0  # what engine.log held before the present process
        self._wake_r = self._wake_w = -1

    # ---- starting ------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the log, bind the queues, start the process, and wait until its api is running.

        Does not wait for the front; see `wait_live`. Blocks for about half a second.

        Raises:
            NameTakenError: an engine of that name is running.
            ConfigError, VendorLibraryError: the flow directory or the library cannot be used.
            EngineError: the process did not start, or *realtime* is not permitted.
        """
        if self._supervisor is not None:
            raise EngineError("this engine has been started already; make a new one")
        self._log = log = TickLog.create(self.name, self._capacity)
        try:
            if self._settings.page_dir == "":
                self._temporary_flow = temporary_directory()
                self._settings = replace(self._settings, page_dir=self._temporary_flow)
            for position, queue in enumerate(self._queues):
                if isinstance(queue, TickQueue):
                    queue.bind(log)
                else:
                    place = place_for(queue, position)
                    self._places.append(place)
                    place.bind(log)
                    # Here, not in the engine process: a queue made for fork cannot travel to a spawned
                    # process, and its engine may be started again while it goes on.
                    self._forwarders.append(start_forwarder(place, queue, log))
            self._launch()
            try:
                self._wake_r, self._wake_w = os.pipe()
                supervisor = threading.Thread(target=self._supervise, name="tickengine-supervisor", daemon=True)
                supervisor.start()
            except BaseException as error:
                self._stopping.set()
                self._kill()
                if isinstance(error, (OSError, RuntimeError)):  # no descriptor, no memory for a thread
                    raise EngineError(f"the engine's supervisor cannot be started: {error}") from error
                raise
        except BaseException:
            self._finish()
            raise
        self._supervisor = supervisor
        _running.add(self)

    def _launch(self) -> None:
        """Start a process and wait for its word."""
        try:
            self._spawn()
        except OSError as error:
            hint = " (ulimit -n is too low for this program)" if error.errno == errno.EMFILE else ""
            raise EngineError(f"the engine process cannot be started: {error.strerror}{hint}") from error
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
        assert self._log is not None
        try:
            self._printed = os.path.getsize(self._engine_log)
        except OSError:
            self._printed = 0
        ours, theirs = Pipe()
        beats, pulse = Pipe(duplex=False)
        orders = Orders(
            settings=self._settings,
            library=self._library,
            log_path=self._log.path,
            queue_paths=(
                *(q.path for q in self._queues if isinstance(q, TickQueue)),
                *(place.path for place in self._places),
            ),
            temporary_flow=self._temporary_flow is not None,
            parent_pid=os.getpid(),
            log_level=logger.getEffectiveLevel(),
            core_dumps=self._core_dumps,
            secret_variables=variables_with(self._settings.password, self._auth_code),
        )
        process = SpawnedProcess(
            target=engine_main, args=(theirs, pulse, orders), name=f"tickengine-{self.name}", blocked=END_SIGNALS
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

    def _await_ready(self) -> None:
        ours, process = self._connection, self._process
        assert ours is not None and process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            if not ours.poll(max(0.0, deadline - time.monotonic())):
                raise EngineError(f"the engine process did not answer within {START_TIMEOUT_S:g} s{self._last_words()}")
            try:
                kind, content = ours.recv()
            except (EOFError, OSError):
                process.join()
                raise EngineError(
                    f"the engine process ended with {_status_words(process.exitcode)} while starting"
                    f"{self._last_words()}"
                ) from None
            if kind == "log":
                self._log_line(content)
            elif kind == "ready":
                return
            elif kind == "error":
                raise content

    def _log_line(self, content: tuple[int, str]) -> None:
        logger.log(content[0], "%s: %s", self.name, content[1])

    def _last_words(self) -> str:
        """The end of what the engine process printed, and none before it."""
        try:
            fd = os.open(self._engine_log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(fd, "rb") as f:
                end = f.seek(0, os.SEEK_END)
                f.seek(max(self._printed if self._printed <= end else 0, end - 2000))
                text = f.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""
        return f"; it printed:\n{text}" if text else ""

    @property
    def _engine_log(self) -> str:
        return os.path.join(self._settings.page_dir, ENGINE_LOG)

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
                    self._failure = "the engine process gave up"
                break
            if time.monotonic() - started - watchdog.silent > _HEALTHY_S:
                attempt = 0
            if hung:
                where = f" in the vendor library's {watchdog.call}" if watchdog.call else ""
                words = f"the engine process {process.pid} hung{where} for {watchdog.silent:.0f} s and was killed"
            else:
                words = f"the engine process {process.pid} died with {_status_words(status)}{self._last_words()}"
            self._report_lost(status, watchdog if hung else None)
            if not self._restart:
                self._failure = words
                logger.error("%s", words)
                break
            self._restarts += 1  # before the new process can be seen live
            attempt = self._launch_again(words, attempt)
            if self._stopping.is_set():
                break
        self._finish()
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
                elif kind == "unfit":
                    self._forget(content)
                elif kind == "failure":
                    self._failure = content
                elif kind == "leaving":
                    self._send("leave", None)
                elif kind == "error":
                    self._failure = str(content)
            elif process.sentinel in ready:
                return hung

    def _launch_again(self, words: str, attempt: int) -> int:
        """After growing pauses, until there is a process or `stop` is called. Returns the next attempt's number.

        It never gives up: the arguments have been good once, so what is missing now (room in the flow directory,
        descriptors, memory, the library's file) may come back.
        """
        while True:
            pause = RESTART_PAUSES_S[min(attempt, len(RESTART_PAUSES_S) - 1)]
            attempt += 1
            logger.error("%s; starting it again in %g s", words, pause)
            self._say(words)
            if self._stopping.wait(pause):
                return attempt
            epoch = self.log.info().epoch
            try:
                self._launch()
                return attempt
            except (TickEngineError, OSError) as error:
                if self.log.info().epoch != epoch:  # it came as far as the log, and its engine_started is there
                    assert self._process is not None
                    self._report_lost(self._process.exitcode, None)
                    self._restarts += 1
                words = f"the engine process could not be started again: {error}"

    def _say(self, why: str) -> None:
        """For whoever looks at the status from outside. The next session's own words follow."""
        assert self._log is not None
        self._log.set_status_text({**self._log.status_text(), "state": "connecting", "front_error": why[:300]})

    def _report_lost(self, status: int | None, hung: Watchdog | None) -> None:
        """Leave a word in the log; the dead process's place as its writer is free."""
        assert self._log is not None
        writer = new_handle()
        try:
            lib().writer_open(self._log.handle, False, ct.byref(writer))
        except ShimError as error:
            logger.error("engine_lost could not be written to the log: %s", error)
            return
        seconds, call = (round(hung.silent), hung.call.encode()) if hung else (0, b"")
        lib().writer_event(writer, EVENT_CODES["engine_lost"], seconds, 0, status or 0, call, len(call), 0)
        lib().writer_close(writer)

    def _finish(self) -> None:
        log = self._log
        if log is not None:
            if self._failure:
                try:
                    said = log.status_text()
                except ShimError as error:  # damaged, or its writer was killed over it
                    logger.error("%s", error)
                    said = {}
                log.set_status_text({**said, "state": "failed", "failure": self._failure[:500]})
            log.end()
            for forwarder in self._forwarders:
                forwarder.stop(drain=True)
            for place in self._places:
                place.close()
            finish_log(log, [q for q in self._queues if isinstance(q, TickQueue)])
        if self._connection is not None:
            self._connection.close()
        if self._watchdog is not None:
            self._watchdog.close()
        if self._temporary_flow is not None:
            shutil.rmtree(self._temporary_flow, ignore_errors=True)

    # ---- using ---------------------------------------------------------------------------------

    def stop(self, timeout: float = 10.0) -> None:
        """End the process: api released, log ended, segments removed. Readers drain what is in the log.

        Can be repeated. After *timeout* seconds the process is killed.
        """
        if self._supervisor is None or os.getpid() != self._pid:
            return
        if not self._stopping.is_set():
            self._stopping.set()
            os.write(self._wake_w, b"s")
        if not self._ended.wait(timeout):
            process = self._process
            if process is not None and process.is_alive():
                logger.error("the engine process does not stop; it is killed")
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
            raise EngineError("this engine has not been started")
        if os.getpid() != self._pid:
            raise EngineError(f"this engine belongs to process {self._pid}; a forked child cannot wait for it")
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

    @property
    def log(self) -> TickLog:
        """The log. Raises `EngineError` before `start`."""
        if self._log is None:
            raise EngineError("this engine has not been started")
        return self._log

    def status(self) -> dict[str, Any]:
        """What is going on. The same from any process: ``TickLog.attach(name).status()``.

        Keys: ``state`` (``connecting connected logged_in live stale stopped failed``), ``front``,
        ``trading_day``, ``api_version``, ``ticks``, ``logins``, ``disconnects``,
        ``last_disconnect_reason``, ``subscribed``, ``unacknowledged``, ``refused``, ``front_error``,
        ``failure``, ``epoch``, ``head``, ``oldest``, ``pid``, and ``queues``: per queue ``name, pid,
        alive, sequence, lag, received, lost``.
        """
        return {**self.log.status(), "restarts": self._restarts}

    def wait_live(self, timeout: float = 30.0) -> None:
        """Block until everything is subscribed.

        Raises `EngineError` when the time is over or the engine has ended, with what is known of the reason.
        """
        deadline = time.monotonic() + timeout
        while True:
            status = self.status()
            if status["state"] in ("live", "stale"):
                return
            if self._ended.wait(0.02):
                raise EngineError(self._failure or "the engine has stopped")
            if time.monotonic() > deadline:
                state = f"state {status['state']}, {status.get('unacknowledged')} unacknowledged"
                why = status.get("front_error") or state
                raise EngineError(f"not live within {timeout:g} s: {why}")

    def subscribe(self, instrument_ids: Iterable[str | bytes]) -> None:
        """Subscribe more instruments, now, after every reconnect and after a restart."""
        ids = check_instruments(instrument_ids)
        with self._lock:
            known = self._settings.instruments
            self._settings = replace(self._settings, instruments=(*known, *(i for i in ids if i not in known)))
        self._send("subscribe", ids)

    def unsubscribe(self, instrument_ids: Iterable[str | bytes]) -> None:
        """Take subscriptions back, for good."""
        ids = check_instruments(instrument_ids)
        with self._lock:
            left = tuple(i for i in self._settings.instruments if i not in ids)
            self._settings = replace(self._settings, instruments=left)
        self._send("unsubscribe", ids)

    def _forget(self, ids: list[bytes]) -> None:
        """The library cannot take one of these: a new process must not ask for them."""
        with self._lock:
            left = tuple(i for i in self._settings.instruments if i not in ids)
            self._settings = replace(self._settings, instruments=left)

    def _send(self, command: str, argument: Any) -> None:
        with self._lock:
            if self._connection is None or self._ended.is_set():
                return
            try:
                self._connection.send((command, argument))
            except OSError:
                logger.debug("%s: the engine process is gone; a new one is told when it starts", command)

    def __enter__(self) -> TickEngine:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        if not hasattr(self, "name"):  # a traceback of the constructor's
            return "TickEngine(not made)"
        return f"TickEngine({self.name!r}, fronts={','.join(self._settings.fronts)!r})"


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


_running: weakref.WeakSet[TickEngine] = weakref.WeakSet()


def _stop_at_exit() -> None:
    for engine in list(_running):
        if engine._pid == os.getpid() and engine._supervisor is not None:
            if not engine._stopping.is_set():  # else `stop` was interrupted
                print(f"tickengine: {JOIN_HINT.format(what='a TickEngine')}", file=sys.stderr)
            engine.stop()


atexit.register(_stop_at_exit)
