"""Brings the flows to the clients, and ends their connections where a fault says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from tickengine.front.connection import Connection, CutOrder
from tickengine.front.trading.exchange import Exchange
from tickengine.front.trading.session import TradingSession


class Delivery:
    """Belongs to the front's thread; to its loop it is what the publisher is to a market-data front's."""

    paused = False
    exhausted = False
    failure: str | None = None

    def __init__(self, exchange: Exchange, send_timeout_s: float) -> None:
        self.next_number = 0
        """Messages given to connections so far."""
        self.delay_s = 0.0
        self.refuse_for: Callable[[float], Any] | None = None
        """What begins an outage of so many seconds."""
        self._exchange = exchange
        self._send_timeout_s = send_timeout_s

    def hold(self) -> None:
        """Nothing is on a schedule here."""

    def step(self, now: float, connections: Iterable[Connection]) -> float | None:
        """Send what is owed; return when to come again, None when something else must happen first."""
        dues = [self._exchange.step(now)]
        for connection in list(connections):
            session: TradingSession = connection.session  # type: ignore[assignment]
            if connection.cut is not None:
                continue
            packets, due = session.owed(self.delay_s, now)
            dues.append(due)
            for packet in packets:
                if packet:
                    connection.send(packet, now)
            self.next_number += len(packets)
            if session.cut is not None:
                self._cut(connection, session, now)
                dues.append(now)  # the next turn carries it out
        return min((due for due in dues if due is not None), default=None)

    def _cut(self, connection: Connection, session: TradingSession, now: float) -> None:
        fault = session.cut
        assert fault is not None
        if fault.inside:
            # A reset throws away what waits here; the part of the message must be on its way before.
            connection.flush(now)
        connection.cut = CutOrder(
            fault.how, None, time.monotonic() + self._send_timeout_s, done=partial(self._after, fault.outage_s)
        )

    def _after(self, outage_s: float) -> None:
        if outage_s and self.refuse_for is not None:
            self.refuse_for(outage_s)
