"""`TickEngine`: the api in a dedicated, supervised process."""

from __future__ import annotations

import ctypes as ct
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from . import _segments, vendor
from ._checks import check_instruments
from ._engine_process import Orders, engine_main
from ._errors import EngineError, ShimError
from ._secret import Secret, hidden, variables_with
from ._shim import lib, new_handle
from ._supervisor import Supervised
from ._watchdog import Watchdog
from .config import settings
from .flow import temporary_directory
from .forward import Forwarder, check_queue_list, place_for, start_forwarder
from .log import DEFAULT_CAPACITY, Status, TickLog
from .mdapi import finish_log
from .queue import TickQueue
from .words import EVENT_CODES

logger = logging.getLogger("tickengine")


class TickEngine(Supervised):
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
        super().__init__(_segments.random_name("md") if name is None else _segments.check_name(name), restart, watchdog)
        self._queues = check_queue_list(md_queue_list)
        self._library, self._library_source = vendor.resolve(library)
        self._capacity = capacity
        self._core_dumps = core_dumps
        self._auth_code = hidden(auth_code)  # to keep the variable that holds it from the engine process
        self._log: TickLog | None = None
        self._places: list[TickQueue] = []
        self._forwarders: list[Forwarder] = []
        self._temporary_flow: str | None = None

    # ---- starting ------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the log, bind the queues, start the process, and wait until its api is running.

        Does not wait for the front; see `wait_live`. Blocks for about half a second.

        Raises:
            NameTakenError: an engine of that name is running.
            ConfigError, VendorLibraryError: the flow directory or the library cannot be used.
            EngineError: the process did not start, or *realtime* is not permitted.
        """
        super().start()

    def _prepare(self) -> None:
        self._log = log = TickLog.create(self.name, self._capacity)
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

    def _work(self) -> tuple[Callable[..., None], Any]:
        return engine_main, Orders(
            settings=self._settings,
            library=self._library,
            log_path=self.log.path,
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

    def _directory(self) -> str:
        return self._settings.page_dir

    def _epoch(self) -> int:
        return int(self.log.info().epoch)

    def _take_message(self, kind: str, content: Any) -> None:
        if kind == "unfit":
            self._forget(content)

    def _say(self, why: str) -> None:
        """For whoever looks at the status from outside. The next session's own words follow."""
        assert self._log is not None
        self._log.set_status_text({**self._log.status_text(), "state": "connecting", "front_error": why[:300]})

    def _report_lost(self, status: int | None, hung: Watchdog | None) -> None:
        report_lost(self.log, status, hung)

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
        if self._temporary_flow is not None:
            shutil.rmtree(self._temporary_flow, ignore_errors=True)

    # ---- using ---------------------------------------------------------------------------------

    @property
    def log(self) -> TickLog:
        """The log. Raises `EngineError` before `start`."""
        if self._log is None:
            raise EngineError("this engine has not been started")
        return self._log

    def status(self) -> Status:
        """What is going on. The same from any process: ``TickLog.attach(name).status()``.

        Keys: ``state`` (``connecting connected logged_in live stale stopped failed``), ``front``,
        ``trading_day``, ``api_version``, ``ticks``, ``logins``, ``disconnects``,
        ``last_disconnect_reason``, ``subscribed``, ``unacknowledged``, ``refused``, ``front_error``,
        ``failure``, ``epoch``, ``head``, ``oldest``, ``pid``, and ``queues``: per queue ``name, pid,
        alive, sequence, lag, received, lost``.
        """
        return Status({**self.log.status(), "restarts": self._restarts})

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

    def __repr__(self) -> str:
        if not hasattr(self, "name"):  # a traceback of the constructor's
            return "TickEngine(not made)"
        return f"TickEngine({self.name!r}, fronts={','.join(self._settings.fronts)!r})"


def report_lost(log: TickLog, status: int | None, hung: Watchdog | None) -> None:
    """Leave a word in the log: its writer died. The dead process's place as its writer is free."""
    writer = new_handle()
    try:
        lib().writer_open(log.handle, False, ct.byref(writer))
    except ShimError as error:
        logger.error("engine_lost could not be written to the log: %s", error)
        return
    seconds, call = (round(hung.silent), hung.call.encode()) if hung else (0, b"")
    lib().writer_event(writer, EVENT_CODES["engine_lost"], seconds, 0, status or 0, call, len(call), 0)
    lib().writer_close(writer)
