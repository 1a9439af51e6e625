"""Trader engines on a trading front, and what tests of them share."""

from __future__ import annotations

import glob
import os
import threading
from typing import Any

from feed_support import wait_for

from tickengine.front.trading import TradingFront
from tickengine.trader import _process
from tickengine.trader._process import SessionApi, trader_main
from tickengine.trader.book import Order
from tickengine.trader.engine import TraderEngine
from tickengine.trader.limits import NO_LIMITS

PRICES = {"rb2605": 3000.0, "m2605": 2950.0}
ACCOUNT = ("9999", "me", "pass-word-1", "app", "auth-code-1")


def engine_on(front: Any, library: str, flow: Any, **options: Any) -> TraderEngine:
    address = front if isinstance(front, (str, list)) else front.address
    options = {"limits": NO_LIMITS, **options}
    return TraderEngine(address, *ACCOUNT, str(flow), library=library, **options)


def buy(engine: TraderEngine, price: float = 3000.0, volume: int = 1) -> Order:
    """At 3000 it trades at once, below it waits."""
    return engine.insert("rb2605", "0", "0", price, volume)


def until(engine: TraderEngine, condition: Any, what: str, timeout: float = 60.0) -> None:
    def look() -> Any:
        engine.poll()
        return condition()

    wait_for(look, what, timeout)


def settled(engine: TraderEngine, *orders: Order) -> None:
    until(engine, lambda: all(o.is_settled for o in orders), f"an end of {orders}")


def rings() -> list[str]:
    return glob.glob(f"/dev/shm/tickengine-{os.geteuid()}-*.ring")


def same_as_the_front(engine: TraderEngine, front: TradingFront) -> None:
    """Nothing was sent twice, and what the front has is what we have."""
    report = front.report()
    assert not {key: n for key, n in report.inserts.items() if n > 1}, "sent twice"
    theirs = {(o["SessionID"], o["OrderRef"]): (o["OrderStatus"], o["VolumeTraded"]) for o in report.orders}
    book = {(o.SessionID, o.OrderRef): o for o in engine.book}
    for key, (status, traded) in theirs.items():
        assert book[key].VolumeTraded == book[key].filled == traded, book[key]
        assert (book[key].state == "filled") == (status == "0"), book[key]
    for key, order in book.items():
        assert key in theirs or order.state in ("missing", "not_sent"), order
    assert len(engine.book.trades) == len(report.trades)


class HangingApi(SessionApi):
    """Does not come back from the second query."""

    def request(self, name: str, fields: dict[str, Any], request_id: int) -> int:
        if name == "ReqQryTrade":
            with self._calling(name):
                threading.Event().wait()
        return super().request(name, fields, request_id)


def hanging_main(*args: Any) -> None:
    """A trader process whose library hangs."""
    _process.SessionApi = HangingApi  # type: ignore[misc]
    trader_main(*args)


class HangingEngine(TraderEngine):
    def _work(self) -> tuple[Any, Any]:
        return hanging_main, super()._work()[1]
