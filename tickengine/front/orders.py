"""What the controls of a front do, on the front's own thread."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from numpy.typing import NDArray

from tickengine.front import clock, fields, wire
from tickengine.front.calls import fail_stopped
from tickengine.front.clients import Clients
from tickengine.front.connection import Connection, Counted, CutOrder
from tickengine.front.listener import Listener
from tickengine.front.pace import Pace
from tickengine.front.products import product_of
from tickengine.front.publisher import Publisher
from tickengine.front.session import Countdown, Desk
from tickengine.front.stats import FrontStats
from tickengine.front.tickpackets import encode_ticks
from tickengine.front.timers import Timers

Picture = TypeVar("Picture")


class ConnectionOrders(Generic[Picture]):
    """What every kind of front can be told about its connections. `Picture` is what such a front tells of
    itself. A method that returns a future has begun something that ends later."""

    def __init__(self, clients: Clients, desk: Desk, listener: Listener, timers: Timers) -> None:
        self._clients = clients
        self._desk = desk
        self._listener = listener
        self._timers = timers
        self._waiters: list[tuple[dict[str, Any], Future[Picture]]] = []

    @staticmethod
    def now() -> float:
        """The front's clock, monotonic seconds."""
        return time.monotonic()

    def snapshot(self) -> Picture:
        """A consistent picture: nothing moves while it is taken."""
        raise NotImplementedError

    def _reached(self, goal: dict[str, Any]) -> bool:
        """Whether what somebody waits for is true."""
        raise NotImplementedError

    def cut(self, how: Literal["fin", "rst"], after_bytes: int | None, number: int | None) -> int | Future[int]:
        chosen = [c for c in self._clients.open if number is None or c.number == number]
        outcome: Future[int] = Future()
        left = set(chosen)

        def done(connection: Connection) -> None:
            left.discard(connection)
            if not left and not outcome.done():
                outcome.set_result(len(chosen))

        deadline = time.monotonic() + self._clients.send_timeout_s
        for connection in chosen:
            if connection.cut is not None:
                connection.cut.done()
            connection.cut = CutOrder(how, after_bytes, deadline, done=partial(done, connection))
        return outcome if chosen and after_bytes is None else len(chosen)

    def cut_next(self, after: int | Sequence[int], how: Literal["fin", "rst"], counted: Counted) -> None:
        positions = itertools.repeat(after) if isinstance(after, int) else iter(after)
        # The deadline is that of a cut without a byte count.
        self._clients.next_cuts = (CutOrder(how, position, 0.0, counted) for position in positions)

    def silence(self, seconds: float) -> None:
        self._clients.silent_until = time.monotonic() + seconds if seconds else 0.0

    def send_raw(self, data: bytes) -> int:
        now = time.monotonic()
        for connection in self._clients.open:
            connection.send(data, now)
        return self._clients.open_count

    def refuse_logins(self, error_id: int, times: int | None) -> None:
        self._desk.refuse_login = Countdown(error_id, times)

    def login_missing(self, part: str, times: int | None) -> None:
        self._desk.login_missing = Countdown(part, times)

    def delay_answers(self, seconds: float) -> None:
        self._clients.answer_delay_s = seconds

    def refuse_connections(self, how: bool | float) -> None:
        now = time.monotonic()
        self._timers.cancel("listen")
        if how is False:
            self._listener.listen()
        else:
            self._listener.refuse()
            if how is not True:
                self._timers.at(now + how, self._listener.listen, name="listen")

    def accept_and_close(self, times: int) -> None:
        self._clients.close_at_accept = times

    def wait_until(self, goal: dict[str, Any]) -> Future[Picture]:
        outcome: Future[Picture] = Future()
        self._waiters.append((goal, outcome))
        return outcome

    def settle_waiters(self) -> None:
        """Answer those whose goal is reached, forget those who have given up."""
        left: list[tuple[dict[str, Any], Future[Picture]]] = []
        for goal, outcome in self._waiters:
            if outcome.cancelled():
                continue
            if not self._reached(goal):
                left.append((goal, outcome))
            elif outcome.set_running_or_notify_cancel():
                outcome.set_result(self.snapshot())
        self._waiters = left

    def end(self) -> None:
        """Nothing will be reached any more."""
        fail_stopped([outcome for _, outcome in self._waiters])
        self._waiters.clear()


class Orders(ConnectionOrders[FrontStats]):
    """One method per control, named as `Controls` names it when it passes it on."""

    def __init__(self, clients: Clients, publisher: Publisher, desk: Desk, listener: Listener, timers: Timers) -> None:
        super().__init__(clients, desk, listener, timers)
        self._publisher = publisher

    def pace(self, pace: Pace) -> None:
        self._publisher.set_pace(pace)

    def pause(self) -> None:
        self._publisher.paused = True

    def resume(self) -> None:
        self._publisher.paused = False

    def push(self, records: NDArray[Any], compress: bool) -> int:
        if compress:
            rows = (records[at : at + 11] for at in range(0, len(records), 11))
            data = b"".join(
                wire.message(wire.TID_TICK, [wire.field(fields.FID_TICK, r.tobytes()) for r in row], compress=True)
                for row in rows
            )
        else:
            data = bytes(encode_ticks(records)) if len(records) else b""
        return self._send_to((c for c in self._clients.open if c.session.admitted), data)

    def for_quote(self, instrument: bytes) -> int:
        at = clock.now()
        values = {
            "TradingDay": self._desk.trading_day.encode(),
            "InstrumentID": instrument,
            "ForQuoteSysID": b"%012d" % self._publisher.next_number,
            "ForQuoteTime": at.strftime("%H:%M:%S").encode(),
            "ActionDay": at.strftime("%Y%m%d").encode(),
            "ExchangeID": product_of(instrument.decode("ascii")).exchange.encode(),
        }
        data = wire.message(wire.TID_FOR_QUOTE, [fields.encode(fields.FID_FOR_QUOTE, values)])
        return self._send_to((c for c in self._clients.open if instrument in c.session.for_quotes), data)

    def _send_to(self, chosen: Iterable[Connection], data: bytes) -> int:
        now = time.monotonic()
        connections = list(chosen)
        for connection in connections:
            connection.send(data, now)
        return len(connections)

    def acknowledge_only(self, ids: int | None) -> None:
        self._desk.acknowledge_limit = ids
        for connection in self._clients.open:
            connection.session.acknowledged = 0

    def refuse_subscription(self, patterns: tuple[str, ...], error_id: int) -> None:
        self._desk.refused_patterns = patterns
        self._desk.refused_error_id = error_id

    def snapshot(self) -> FrontStats:
        """A consistent picture: nothing moves while it is taken."""
        desk = self._desk
        return FrontStats(
            connections=self._clients.accepted,
            connections_refused=self._clients.turned_away,
            open_clients=self._clients.open_count,
            logins=desk.logins,
            logins_refused=desk.logins_refused,
            logouts=desk.logouts,
            heartbeats_received=desk.heartbeats_received,
            heartbeats_sent=self._clients.heartbeats_sent,
            protocol_errors=self._clients.protocol_errors,
            slow_clients_dropped=self._clients.slow_dropped,
            cuts=self._clients.cuts,
            next_number=self._publisher.next_number,
            ticks_sent=self._clients.ticks_sent,
            bytes_sent=self._clients.bytes_sent,
            listening=self._listener.socket is not None,
            paused=self._publisher.paused,
            finished=self._finished(),
            failure=self._publisher.failure,
            clients=tuple(c.stats() for c in self._clients.open),
            sent_ranges=tuple(self._clients.ranges()),
        )

    def _finished(self) -> bool:
        return self._publisher.exhausted and not any(c.ticks_waiting for c in self._clients.open)

    def _reached(self, goal: dict[str, Any]) -> bool:
        clients = self._clients
        subscribers = sum(len(c.session.subscribed) >= goal["subscriber_ids"] for c in clients.open)
        most: int | None = goal["max_open_clients"]
        return (
            clients.accepted >= goal["connections"]
            and self._desk.logins >= goal["logins"]
            and subscribers >= goal["subscribers"]
            and clients.ticks_sent >= goal["ticks_sent"]
            and self._publisher.next_number >= goal["next_number"]
            and (most is None or clients.open_count <= most)
            and (self._finished() or not goal["finished"])
        )
