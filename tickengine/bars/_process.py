"""The bar engine's process: a reader of ticks, a builder, a writer of bars."""

from __future__ import annotations

import ctypes as ct
import functools
import logging
import queue as stdlib_queue
import time
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _segments
from .._child import Child, ChildOrders, Reporter, child_main
from .._errors import Closed
from .._shim import lib, new_handle
from .._watchdog import Pulse
from ..log import TickLog
from ..queue import TickQueue
from ..tick import KIND_TICK
from ..words import EVENT_CODES
from .builder import BarBuilder
from .clock import ReceiveClock
from .record import Bar

logger = logging.getLogger("tickengine")

_WAIT_S = 0.25
_STATUS_S = 1.0
_CODE_AT = 24  # of an event, in its record
_INTERRUPTIONS = [EVENT_CODES[name] for name in ("front_disconnected", "engine_lost")]


@dataclass(frozen=True, kw_only=True)
class Orders(ChildOrders):
    """What the supervisor hands over."""

    said: dict[str, Any]
    """What the status says in any case."""
    queue_path: bytes
    log_path: bytes
    queue_paths: tuple[bytes, ...]
    periods: tuple[str | int, ...]
    align: str
    any_hour: bool
    flat: bool
    grace: float


def bars_main(connection: Connection, beats: Connection, orders: Orders) -> None:
    """Runs in the spawned process, and ends it."""
    child_main(functools.partial(_Process, orders), connection, beats, orders)


class BarSession:
    """Reads until the ticks end or it is told to stop; then gives out what is open."""

    def __init__(self, queue: TickQueue, log: TickLog, builder: BarBuilder, said: dict[str, Any]) -> None:
        self._queue, self._log, self._builder, self._said = queue, log, builder, said
        self._clock = ReceiveClock()
        self._stop = False
        self._writer = new_handle()
        self._bars = 0
        self._told = 0.0
        self.steps = 0
        self.failure = ""
        self.call = ""
        lib().writer_open(log.handle, True, ct.byref(self._writer))

    def run(self) -> None:
        self._tell("waiting", force=True)
        while not self._stop:
            self.steps += 1
            try:
                ticks = self._queue.get_many(timeout=_WAIT_S)
            except stdlib_queue.Empty:
                pass
            except Closed:
                break
            else:
                self._take(ticks)
            self._publish(self._builder.advance(self._clock.now()))
            self._tell("live" if self._builder.started else "waiting")
        self._publish(self._builder.finish())
        self._tell("stopped", force=True)

    def _take(self, ticks: npt.NDArray[np.void]) -> None:
        builder = self._builder
        start = 0
        for at in np.flatnonzero(ticks["Kind"] != KIND_TICK).tolist():
            self._publish(builder.take_many(ticks[start:at]))
            if int(ticks[at : at + 1].view(np.uint8)[_CODE_AT : _CODE_AT + 4].view(np.uint32)[0]) in _INTERRUPTIONS:
                builder.interrupted()
            start = at
        self._publish(builder.take_many(ticks[start:]))
        self._clock.saw(int(ticks["RecvTime"][-1]))

    def _publish(self, bars: Iterable[Bar]) -> None:
        for bar in bars:
            lib().writer_record(self._writer, ct.byref(bar))
            self._bars += 1

    def _tell(self, state: str, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now < self._told + _STATUS_S:
            return
        self._told = now
        self._log.set_status_text(
            {
                **self._said,
                "state": state,
                "bars": self._bars,
                "received": self._queue.received,
                "lost": self._queue.lost,
                "left_out": dict(self._builder.left_out),
            }
        )

    def stop(self) -> None:
        self._stop = True
        self._queue.interrupt()

    def release(self) -> None:
        lib().writer_close(self._writer)
        self._queue.close()


class _Process(Child):
    def __init__(self, orders: Orders, connection: Connection, reporter: Reporter, pulse: Pulse) -> None:
        super().__init__(connection, reporter, pulse)
        self._orders = orders

    def begin(self) -> tuple[BarSession, str]:
        orders = self._orders
        self._log = TickLog(_segments.attach_log_handle(orders.log_path), orders.log_path)
        builder = BarBuilder(
            orders.periods, align=orders.align, any_hour=orders.any_hour, flat=orders.flat, grace=orders.grace
        )
        return BarSession(TickQueue._from_path(orders.queue_path), self._log, builder, orders.said), ""

    def _run_session(self, session: Any) -> None:
        super()._run_session(session)
        self._stop = True  # the ticks have ended
        self._wake()

    def end(self, _session: Any) -> None:
        self._log.end()

    def tidy(self) -> None:
        self._log.unlink()
        for path in (*self._orders.queue_paths, self._orders.queue_path):
            _segments.unlink(path)
