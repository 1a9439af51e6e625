"""The front's one thread: every socket, every answer, every tick and every fault goes through it.

One thread that never blocks needs no locks, keeps packets of different origin apart by construction and
gives faults an exact place in the stream.
"""

from __future__ import annotations

import logging
import select
import selectors
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

from tickengine.front.calls import Calls
from tickengine.front.clients import Clients
from tickengine.front.connection import Connection
from tickengine.front.listener import Listener
from tickengine.front.orders import ConnectionOrders
from tickengine.front.timers import Timers

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 60.0
# select() cannot watch descriptors above this; then epoll's whole milliseconds must do.
_SELECT_LIMIT = 1024


AnyOrders = TypeVar("AnyOrders", bound=ConnectionOrders[Any])


class Publishing(Protocol):
    """What a front sends unasked. Belongs to the front's thread."""

    next_number: int
    """Grows with everything that was given to connections."""

    def step(self, now: float, connections: Iterable[Connection]) -> float | None:
        """Send what is due; return when to come again, None when something else must happen first."""

    def hold(self) -> None:
        """Sending is interrupted."""


class FrontLoop(threading.Thread, Generic[AnyOrders]):
    """Runs from `start` to `ask_stop`. `call` is the only way in for other threads."""

    def __init__(
        self,
        listener: Listener,
        publisher: Any,
        desk: Any,
        make_orders: Callable[[Clients, Any, Any, Listener, Timers], AnyOrders],
        **serving: Any,
    ) -> None:
        super().__init__(name="tickengine-front", daemon=True)
        self.timers = Timers()
        self.final: Any = None
        self._publisher: Publishing = publisher
        self._selector = selectors.DefaultSelector()
        self._calls = Calls()
        self._selector.register(self._calls.wake_socket, selectors.EVENT_READ, self._on_wake)
        self._clients = Clients(self._selector, listener, desk, **serving)
        self.orders = make_orders(self._clients, publisher, desk, listener, self.timers)
        self._stopping = False

    def call(self, work: Callable[[], Any]) -> Future[Any]:
        """Run *work* on this thread.

        Raises:
            RuntimeError: the front has stopped.
        """
        return self._calls.call(work)

    def ask_stop(self) -> None:
        """Make the thread end; `join` waits for it."""
        self._stopping = True
        self._calls.wake()

    def run(self) -> None:
        """Work until told to stop."""
        try:
            while not self._stopping:
                self._turn()
        finally:
            self._clients.close_all(self._calls.clear_wakes)
            self.final = self.orders.snapshot()
            self.orders.end()
            self._selector.close()
            self._calls.close()

    def _turn(self) -> None:
        now = time.monotonic()
        self._clients.watch_listener(now)
        # What a client has taken makes room for a batch, and a new batch leaves in the same turn.
        self._clients.sweep(now)
        before = self._publisher.next_number
        due = self._publish(now)
        if self._publisher.next_number != before:
            self._clients.sweep(now)
        self.orders.settle_waiters()
        due = min(due, self._clients.deadline(now), *self.timers.next(), now + LONGEST_WAIT_S)
        for key, events in self._wait(due - time.monotonic()):
            key.data(events)
        for fire in self.timers.pop(time.monotonic()):
            try:
                fire()
            except Exception:  # a fault that cannot be carried out must not end the front
                log.exception("scheduled fault failed")

    def _publish(self, now: float) -> float:
        if self._clients.silent(now):
            self._publisher.hold()
            return now + LONGEST_WAIT_S
        wake = self._publisher.step(now, self._clients.open)
        return now + LONGEST_WAIT_S if wake is None else wake

    def _wait(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout > 0:
            # epoll counts in whole milliseconds, too coarse to pace by; select() on it does not.
            fileno = getattr(self._selector, "fileno", None)
            handle = _SELECT_LIMIT if fileno is None else fileno()
            if handle < _SELECT_LIMIT:
                select.select([handle], [], [], timeout)
                timeout = 0.0
        return self._selector.select(max(0.0, timeout))

    def _on_wake(self, events: int) -> None:
        self._calls.run_waiting()
