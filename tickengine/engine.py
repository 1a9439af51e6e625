"""`TickEngine`: the api in a dedicated, supervised process."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from . import vendor
from ._checks import check_instruments
from ._engine_process import Orders, engine_main
from ._feeding import Feeding
from ._secret import Secret, hidden, variables_with
from .config import STALE, check_stale, settings
from .flow import temporary_directory
from .log import DEFAULT_CAPACITY
from .products import OwnHours

logger = logging.getLogger("tickengine")


class TickEngine(Feeding):
    """Market data from a process of its own: the vendor library cannot hurt yours, nor yours the feed.

    The first eleven arguments are `MdApi`'s. Nothing is started before `start` (or ``with engine:``).

    Args:
        library: vendor library: path, package name, ``"compatible"``, or None to look for one.
        name: name of the log, for others to attach; default random.
        capacity: ticks kept in the log, rounded up to a power of two (448 bytes each).
        production: for libraries from 6.7.11 on: production (True) or evaluation front.
        restart: start the process again, after growing pauses, if it dies without being told to.
        vendor_version: believe this version instead of the library's own.
        stale_after: seconds without a tick, in trading hours, after which the state becomes ``stale``; None never.
        on_stale: ``"tell"``: nothing more than that; ``"restart"``: the engine process is ended and started again
            after growing pauses, which connects, logs in and subscribes anew.
        any_hour: silence counts at any hour: for fronts that send ticks at any hour, in tests.
        hours: sessions in place of the product table's, by ProductID: ``{"rb": product.Sessions}``.
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
        on_stale: str = STALE[0],
        any_hour: bool = False,
        hours: OwnHours | None = None,
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
            on_stale=on_stale,
            any_hour=any_hour,
            hours=hours,
            cpus=cpus,
            realtime=realtime,
        )
        check_stale(stale_after, on_stale, restart)
        super().__init__("md", name, capacity, md_queue_list, restart, watchdog)
        self._library, self._library_source = vendor.resolve(library)
        self._core_dumps = core_dumps
        self._auth_code = hidden(auth_code)  # to keep the variable that holds it from the engine process
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
        super()._prepare()
        if self._settings.page_dir == "":
            self._temporary_flow = temporary_directory()
            self._settings = replace(self._settings, page_dir=self._temporary_flow)

    def _work(self) -> tuple[Callable[..., None], Any]:
        return engine_main, Orders(
            settings=self._settings,
            library=self._library,
            log_path=self.log.path,
            queue_paths=self._queue_paths(),
            temporary_flow=self._temporary_flow is not None,
            parent_pid=os.getpid(),
            log_level=logger.getEffectiveLevel(),
            core_dumps=self._core_dumps,
            secret_variables=variables_with(self._settings.password, self._auth_code),
        )

    def _directory(self) -> str:
        return self._settings.page_dir

    def _take_message(self, kind: str, content: Any) -> None:
        if kind == "unfit":
            self._forget(content)

    def _finish(self) -> None:
        super()._finish()
        if self._temporary_flow is not None:
            shutil.rmtree(self._temporary_flow, ignore_errors=True)

    # ---- using ---------------------------------------------------------------------------------

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
