"""The controls of a trading front: one set of methods, whether the front lives in this process or another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tickengine.front.controls import CALL_TIMEOUT_S
from tickengine.front.faults import checked_seconds
from tickengine.front.trading.script import CutAt


@dataclass(frozen=True)
class TradingReport:
    """What a trading front knows: the truth to compare with. Texts decoded, blanks at the ends removed."""

    trading_day: str
    orders: tuple[dict[str, Any], ...]
    """All orders taken, as the vendor's ``Order``."""
    trades: tuple[dict[str, Any], ...]
    """All trades, as the vendor's ``Trade``."""
    lots: dict[tuple[str, str, str], tuple[int, int]]
    """(investor, instrument, PosiDirection) -> lots of today and of before."""
    inserts: dict[tuple[int, str], int]
    """(SessionID, OrderRef) -> how often such an order was received; above 1 it was sent twice."""
    private_messages: int
    connections: int
    open_clients: int
    logins: int
    logins_refused: int
    authentications: int
    orders_received: int
    actions_received: int
    queries: int
    query_times: tuple[float, ...]
    """When each query came: seconds of the machine's monotonic clock."""
    returns_sent: int
    """Messages of flows given to connections, repetitions counted."""
    faults_happened: int
    faults_waiting: int
    protocol_errors: int

    def summary(self) -> str:
        """The most telling counters in one line."""
        return (
            f"clients {self.open_clients}  connections {self.connections}  logins {self.logins}  "
            f"orders {len(self.orders)}/{self.orders_received}  trades {len(self.trades)}  "
            f"returns {self.returns_sent}  queries {self.queries}  faults {self.faults_happened}"
        )


class TradingControls:
    """May be called from any thread while the front runs. Every call returns after the front has carried
    it out, and raises RuntimeError when the front does not run and TimeoutError when it does not answer.
    """

    def _control(self, name: str, *args: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        raise NotImplementedError

    # ---- faults --------------------------------------------------------------------------------

    def cut(self, how: Literal["fin", "rst"] = "fin", *, connection: int | None = None) -> int:
        """End every open connection, or one; return how many. See `Front.cut`."""
        if how not in ("fin", "rst"):
            raise ValueError(f"cut '{how}': must be 'fin' or 'rst'")
        done: int = self._control("cut", how, None, connection)
        return done

    def cut_at(
        self,
        moment: str,
        *,
        after: int = 0,
        how: Literal["fin", "rst"] = "fin",
        inside: int = 0,
        outage_s: float = 0.0,
    ) -> None:
        """End the connection at a moment of a session, see `Moment` and `CutAt`.

        Raises:
            ValueError: no such moment, a number below 0, *inside* where there is no message.
        """
        self._control("cut_at", CutAt(moment, after, how, inside, outage_s))

    def clear_faults(self) -> None:
        """Forget every fault that waits for its moment."""
        self._control("clear_faults")

    def silence(self, seconds: float) -> None:
        """Send nothing for *seconds*; what became due meanwhile leaves after it. 0 ends a silence."""
        self._control("silence", checked_seconds(seconds, "silence"))

    def delay_returns(self, seconds: float) -> None:
        """Send every message of a flow *seconds* after it came to be; 0 ends it. Answers are not delayed."""
        self._control("delay_returns", checked_seconds(seconds, "delay of returns"))

    def repeat_at_login(self, messages: int, times: int | None = 1) -> None:
        """At the next *times* logins send that many messages of each flow once more than the client needs."""
        if messages < 0:
            raise ValueError(f"repeat {messages} messages: must not be negative")
        self._control("repeat_at_login", messages, times)

    def refuse_connections(self, how: bool | float = True) -> None:
        """As `Front.refuse_connections`."""
        if not isinstance(how, bool):
            how = checked_seconds(how, "refuse connections")
        self._control("refuse_connections", how)

    def refuse_logins(self, error_id: int = 3, times: int | None = None) -> None:
        """Refuse the next *times* logins, or all; ``times=0`` accepts them again."""
        self._control("refuse_logins", error_id, times)

    def refuse_authentications(self, error_id: int = 63, times: int | None = None) -> None:
        """Refuse the next *times* authentications, or all; ``times=0`` accepts them again."""
        self._control("refuse_authentications", error_id, times)

    def refuse_queries(self, error_id: int = 90, times: int | None = None) -> None:
        """Answer the next *times* queries, or all, with an error alone; ``times=0`` ends it."""
        self._control("refuse_queries", error_id, times)

    def refuse_orders(self, error_id: int = 31, times: int | None = None) -> None:
        """The front refuses the next *times* orders, or all: OnRspOrderInsert and OnErrRtnOrderInsert."""
        self._control("refuse_orders", error_id, times)

    def reject_orders(self, error_id: int = 95, times: int | None = None) -> None:
        """The exchange rejects the next *times* orders, or all: a return with a status, and OnErrRtnOrderInsert."""
        self._control("reject_orders", error_id, times)

    # ---- market --------------------------------------------------------------------------------

    def set_price(self, instrument: str, last: float, *, bid: float | None = None, ask: float | None = None) -> None:
        """Give an instrument a price; orders that it meets trade. *bid* and *ask* are *last* by default."""
        self._control("set_price", instrument, last, last if bid is None else bid, last if ask is None else ask)

    def set_status(self, instrument: str, status: str) -> None:
        """Put an InstrumentStatus ("2": continuous trading) into the public flow."""
        self._control("set_status", instrument, status.encode("ascii"))

    # ---- looking -------------------------------------------------------------------------------

    def report(self) -> TradingReport:
        """Everything known so far; also after `stop`."""
        report: TradingReport = self._control("report")
        return report

    def wait_until(
        self,
        *,
        timeout: float,
        connections: int = 0,
        logins: int = 0,
        orders_received: int = 0,
        actions_received: int = 0,
        returns_sent: int = 0,
        queries: int = 0,
        faults_happened: int = 0,
        max_open_clients: int | None = None,
    ) -> TradingReport:
        """Wait until all of this is true, and return the report of that moment.

        Raises:
            TimeoutError: not within *timeout* seconds; the text holds the counters.
        """
        goal = {
            "connections": connections,
            "logins": logins,
            "orders_received": orders_received,
            "actions_received": actions_received,
            "returns_sent": returns_sent,
            "queries": queries,
            "faults_happened": faults_happened,
            "max_open_clients": max_open_clients,
        }
        report: TradingReport = self._control("wait_until", goal, timeout_s=timeout)
        return report
