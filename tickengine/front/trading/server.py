"""`TradingFront`: a CTP trading front in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from tickengine._secret import Secret, checked, hidden
from tickengine.front import clock
from tickengine.front.controls import CALL_TIMEOUT_S
from tickengine.front.listener import Listener
from tickengine.front.loop import FrontLoop
from tickengine.front.server import HEARTBEAT_S, SEND_TIMEOUT_S, Front
from tickengine.front.session import PASSWORD_BYTES
from tickengine.front.trading.controls import TradingControls
from tickengine.front.trading.delivery import Delivery
from tickengine.front.trading.exchange import Exchange, Quote
from tickengine.front.trading.orders import TradingOrders
from tickengine.front.trading.session import TradingDesk, TradingSession

BALANCE = 10_000_000.0


class TradingFront(TradingControls):
    """Serves the vendor library's trading API over plain FTD.

    *prices*: a `Front`, whose market the orders are matched against, or instruments and their prices. An
    order that crosses the other side trades there, at once or when the price has come to it, in pieces of
    *fill_volume* lots, one every *fill_interval_s*. Orders are refused as a real front and exchange refuse
    them: no confirmation, unknown instrument, bad volume, repeated reference, too few lots to close, no money,
    a price outside the limits or between two steps.

    *balance*: what each account begins with. *lots*: instrument -> (long, short), held since the day before by
    each account. *password*: logins with another one are refused; it is never logged. *require_authentication*:
    logins before ReqAuthenticate are refused with 64 (what was sent there is not checked).

    One thread does all the work. Use as a context manager, or call `start` and `stop`. A front is started once.

    Raises:
        ValueError: arguments that make no sense, before anything is opened.
    """

    def __init__(
        self,
        prices: Front | Mapping[str, float],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        trading_day: str | None = None,
        password: str | Secret | None = None,
        require_authentication: bool = False,
        balance: float = BALANCE,
        lots: Mapping[str, tuple[int, int]] | None = None,
        fill_volume: int | None = None,
        fill_interval_s: float = 0.0,
        max_clients: int = 64,
        send_timeout_s: float = SEND_TIMEOUT_S,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        if password is not None:
            password = hidden(password)  # before anything can fail in a frame that has it
            password = checked(password, "password", PASSWORD_BYTES)
        if fill_volume is not None and fill_volume < 1:
            raise ValueError(f"fill_volume {fill_volume}: must be at least 1")
        if fill_interval_s < 0:
            raise ValueError(f"fill_interval_s {fill_interval_s}: must not be negative")
        for name, seconds in (("send_timeout_s", send_timeout_s), ("heartbeat_s", heartbeat_s)):
            if not seconds > 0:
                raise ValueError(f"{name} {seconds}: must be above 0")
        market_day = prices.trading_day if isinstance(prices, Front) else clock.trading_day(clock.now())
        self.trading_day = clock.checked_day(trading_day or market_day)
        exchange = Exchange(
            self.trading_day,
            balance=balance,
            fill_volume=fill_volume,
            fill_interval_s=fill_interval_s,
            lots=dict(lots or {}),
        )
        self._desk = TradingDesk(
            self.trading_day,
            password=None if password is None else Secret(password.reveal().encode("gb18030")),
            require_authentication=require_authentication,
            exchange=exchange,
        )
        self._prices = prices
        self._host, self._port = host, port
        self._serving: dict[str, Any] = {
            "max_clients": max_clients,
            "send_timeout_s": send_timeout_s,
            "heartbeat_s": heartbeat_s,
        }
        self._listener: Listener | None = None
        self._loop: FrontLoop[TradingOrders] | None = None
        self._fresh: dict[str, Quote] = {}
        self._fresh_lock = threading.Lock()

    @property
    def address(self) -> str:
        """What to give to `RegisterFront`: `tcp://HOST:PORT`.

        Raises:
            RuntimeError: the front was not started.
        """
        if self._listener is None:
            raise RuntimeError("the trading front was not started")
        return f"tcp://{self._listener.host}:{self._listener.port}"

    def start(self) -> None:
        """Listen and serve from now on.

        Raises:
            OSError: the address cannot be had; nothing is left behind.
            RuntimeError: started before.
        """
        if self._loop is not None:
            raise RuntimeError("a front can be started once only; make a new one")
        exchange, now = self._desk.exchange, time.monotonic()
        if isinstance(self._prices, Front):
            for instrument, quote in quotes_of(self._prices.market.batch(0, len(self._prices.market.instruments))):
                exchange.take_quote(instrument, quote, now)
        else:
            for instrument, price in self._prices.items():
                exchange.take_quote(instrument, Quote(price, price, price), now)
        delivery = Delivery(exchange, self._serving["send_timeout_s"])
        self._listener = Listener(self._host, self._port)
        self._loop = FrontLoop(
            self._listener, delivery, self._desk, TradingOrders, make_session=TradingSession, **self._serving
        )
        self._loop.start()
        if isinstance(self._prices, Front):
            self._prices.observe(self._take_ticks)

    def stop(self) -> None:
        """End all connections by FIN, give clients up to a second to close, and end the thread. May be
        repeated, and called on a front that was not started."""
        if isinstance(self._prices, Front):
            self._prices.observe(None)
        if self._loop is not None:
            self._loop.ask_stop()
            self._loop.join()

    def __enter__(self) -> TradingFront:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _take_ticks(self, ticks: NDArray[Any]) -> None:
        """New ticks of the market, on its thread: the newest of each instrument is passed on."""
        with self._fresh_lock:
            waiting = bool(self._fresh)
            self._fresh.update(quotes_of(ticks))
        loop = self._loop
        if not waiting and loop is not None:
            try:
                loop.call(self._use_fresh)
            except RuntimeError:
                return  # stopped meanwhile

    def _use_fresh(self) -> None:
        with self._fresh_lock:
            fresh, self._fresh = self._fresh, {}
        now = time.monotonic()
        for instrument, quote in fresh.items():
            self._desk.exchange.take_quote(instrument, quote, now)

    def _control(self, name: str, *args: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        loop = self._loop
        if loop is None:
            raise RuntimeError(f"{name}: the trading front was not started")
        if name == "report" and loop.final is not None:
            return loop.final
        deadline = time.monotonic() + timeout_s
        outcome = loop.call(partial(_carry_out, loop.orders, name, args))
        try:
            result = outcome.result(timeout_s)
            # Some work is not over when the call is: the loop then hands out a second future.
            while isinstance(result, Future):
                outcome = result
                result = outcome.result(max(0.0, deadline - time.monotonic()))
            return result
        except FutureTimeoutError:
            outcome.cancel()
            what = f"{name}{args}" if args else name
            raise TimeoutError(f"{what}: not within {timeout_s} s; {self.report().summary()}") from None


def _carry_out(orders: TradingOrders, name: str, args: tuple[Any, ...]) -> Any:
    return getattr(orders, name)(*args)


def quotes_of(ticks: NDArray[Any]) -> list[tuple[str, Quote]]:
    """The newest quote of each instrument in these ticks."""
    newest = {tick["InstrumentID"]: tick for tick in ticks}
    return [
        (
            name.decode("latin-1"),
            Quote(
                float(tick["LastPrice"]),
                float(tick["BidPrice1"]),
                float(tick["AskPrice1"]),
                float(tick["UpperLimitPrice"]),
                float(tick["LowerLimitPrice"]),
                float(tick["PreSettlementPrice"]),
            ),
        )
        for name, tick in newest.items()
    ]
