"""A process that feeds a log of its own: what `TickEngine` and a replay have in common in the parent."""

from __future__ import annotations

import ctypes as ct
import logging
import time
from collections.abc import Iterable
from typing import Any

from . import _segments
from ._errors import EngineError, ShimError
from ._shim import lib, new_handle
from ._supervisor import Supervised
from ._watchdog import Watchdog
from .forward import Forwarder, check_queue_list, place_for, start_forwarder
from .log import Status, TickLog
from .mdapi import finish_log
from .queue import TickQueue
from .words import EVENT_CODES

logger = logging.getLogger("tickengine")


class Feeding(Supervised):
    """A `Supervised` process with a log and the queues that it feeds.

    Args:
        prefix: of the log's name where *name* is None.
        name, capacity: of the log.
        md_queue_list: as `TickEngine` takes it.
        restart, watchdog: see `Supervised`.

    Raises:
        ConfigError: one of them is wrong.
    """

    def __init__(
        self,
        prefix: str,
        name: str | None,
        capacity: int,
        md_queue_list: Iterable[Any] | None,
        restart: bool,
        watchdog: float | None,
    ) -> None:
        super().__init__(
            _segments.random_name(prefix) if name is None else _segments.check_name(name), restart, watchdog
        )
        self._queues = check_queue_list(md_queue_list)
        self._capacity = capacity
        self._log: TickLog | None = None
        self._places: list[TickQueue] = []
        self._forwarders: list[Forwarder] = []

    def _prepare(self) -> None:
        self._log = log = TickLog.create(self.name, self._capacity)
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

    def _queue_paths(self) -> tuple[bytes, ...]:
        own = [queue for queue in self._queues if isinstance(queue, TickQueue)]
        return tuple(queue.path for queue in [*own, *self._places])

    def _epoch(self) -> int:
        return int(self.log.info().epoch)

    def _say(self, why: str) -> None:
        """For whoever looks at the status from outside. The next session's own words follow."""
        self.log.set_status_text({**self._said(), "state": "connecting", "front_error": why[:300]})

    def _said(self) -> dict[str, Any]:
        """The status that the last session has left."""
        try:
            return self.log.status_text()
        except ShimError as error:  # damaged, or its writer was killed over it
            logger.error("%s", error)
            return {}

    def _report_lost(self, status: int | None, hung: Watchdog | None) -> None:
        report_lost(self.log, status, hung)

    def _finish(self) -> None:
        log = self._log
        if log is not None:
            if self._failure:
                log.set_status_text({**self._said(), "state": "failed", "failure": self._failure[:500]})
            log.end()
            for forwarder in self._forwarders:
                forwarder.stop(drain=True)
            for place in self._places:
                place.close()
            finish_log(log, [q for q in self._queues if isinstance(q, TickQueue)])

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
