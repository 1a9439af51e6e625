"""What the controls of a trading front do, on the front's own thread."""

from __future__ import annotations

from typing import Any

from tickengine.front.clients import Clients
from tickengine.front.listener import Listener
from tickengine.front.orders import ConnectionOrders
from tickengine.front.session import Countdown
from tickengine.front.timers import Timers
from tickengine.front.trading.controls import TradingReport
from tickengine.front.trading.delivery import Delivery
from tickengine.front.trading.exchange import Quote
from tickengine.front.trading.script import CutAt
from tickengine.front.trading.session import TradingDesk


class TradingOrders(ConnectionOrders[TradingReport]):
    """One method per control, named as `TradingControls` names it when it passes it on."""

    def __init__(
        self, clients: Clients, delivery: Delivery, desk: TradingDesk, listener: Listener, timers: Timers
    ) -> None:
        super().__init__(clients, desk, listener, timers)
        self._trading = desk
        self._delivery = delivery
        self._exchange = desk.exchange
        delivery.refuse_for = self.refuse_connections

    def cut_at(self, cut: CutAt) -> None:
        self._trading.script.arm(cut)

    def clear_faults(self) -> None:
        self._trading.script.clear()

    def delay_returns(self, seconds: float) -> None:
        self._delivery.delay_s = seconds

    def repeat_at_login(self, messages: int, times: int | None) -> None:
        self._trading.rewind = Countdown(messages, times)

    def refuse_authentications(self, error_id: int, times: int | None) -> None:
        self._trading.refuse_authentication = Countdown(error_id, times)

    def refuse_queries(self, error_id: int, times: int | None) -> None:
        self._trading.refuse_queries = Countdown(error_id, times)

    def refuse_orders(self, error_id: int, times: int | None) -> None:
        self._exchange.refuse = Countdown(error_id, times)

    def reject_orders(self, error_id: int, times: int | None) -> None:
        self._exchange.reject = Countdown(error_id, times)

    def set_price(self, instrument: str, last: float, bid: float, ask: float) -> None:
        known = self._exchange.quotes.get(instrument)
        quote = Quote(last, bid, ask) if known is None else Quote(last, bid, ask, known.upper, known.lower)
        self._exchange.take_quote(instrument, quote, self.now())

    def set_status(self, instrument: str, status: bytes) -> None:
        self._exchange.tell_status(instrument, status, self.now())

    def report(self) -> TradingReport:
        return self.snapshot()

    def snapshot(self) -> TradingReport:
        """A consistent picture: nothing moves while it is taken."""
        desk, exchange, clients = self._trading, self._exchange, self._clients
        investors = list(exchange.investors.values())
        return TradingReport(
            trading_day=desk.trading_day,
            orders=tuple(_texts(order.values) for investor in investors for order in investor.orders),
            trades=tuple(_texts(trade) for investor in investors for trade in investor.trades),
            lots={
                (investor.name.decode("gb18030"), instrument, side.decode()): (held.today, held.yesterday)
                for investor in investors
                for (instrument, side), held in investor.lots.items()
            },
            inserts={
                (session, reference.decode("latin-1")): times
                for investor in investors
                for (session, reference), times in investor.inserts.items()
            },
            private_messages=sum(len(investor.flow) for investor in investors),
            connections=clients.accepted,
            open_clients=clients.open_count,
            logins=desk.logins,
            logins_refused=desk.logins_refused,
            authentications=desk.authentications,
            orders_received=exchange.orders_received,
            actions_received=exchange.actions_received,
            queries=desk.queries,
            query_times=tuple(desk.query_times),
            returns_sent=self._delivery.next_number,
            faults_happened=desk.script.happened,
            faults_waiting=desk.script.waiting,
            protocol_errors=clients.protocol_errors,
        )

    def _reached(self, goal: dict[str, Any]) -> bool:
        clients, desk, exchange = self._clients, self._trading, self._exchange
        most: int | None = goal["max_open_clients"]
        return (
            clients.accepted >= goal["connections"]
            and desk.logins >= goal["logins"]
            and exchange.orders_received >= goal["orders_received"]
            and exchange.actions_received >= goal["actions_received"]
            and self._delivery.next_number >= goal["returns_sent"]
            and desk.queries >= goal["queries"]
            and desk.script.happened >= goal["faults_happened"]
            and (most is None or clients.open_count <= most)
        )


def _texts(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.decode("gb18030", "replace").strip() if isinstance(value, bytes) else value
        for name, value in values.items()
    }
