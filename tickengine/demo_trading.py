"""``tickengine demo --trading``: an order in flight survives a cut, shown on this machine.

A market-data front and a trading front in a process of their own, a tick engine, a trader engine with the
genuine trader library. The connection is lost three times with an order under way, in three ways; what comes
back is printed as it comes, and at the end compared with what the front knows.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Callable

from . import vendor
from ._errors import EngineError, VendorLibraryError
from .engine import TickEngine
from .front import FrontProcess, MarketSpec
from .front.trading import TradingReport
from .queue import TickQueue
from .tick import Tick
from .trader import Limits, Order, TraderEngine
from .trader.words import BUY, OPEN

INSTRUMENT = "rb2605"
_PATIENCE_S = 30.0


def run(args: argparse.Namespace) -> int:
    """Returns 0 if our book equals the front's, else 1."""
    try:
        library, _ = vendor.resolve(vendor.PLAIN_FTD_PACKAGE, vendor.TRADER)
        md_library, _ = vendor.resolve(vendor.PLAIN_FTD_PACKAGE)
    except VendorLibraryError as error:
        raise EngineError(f"{error}; pip install 'tickengine[demo]' brings the genuine library") from None
    market = MarketSpec([INSTRUMENT], kind="random-walk", seed=args.seed)
    print(f"vendor library: {library}")
    with (
        FrontProcess(market, rate=args.rate or 20.0, trading={}) as fronts,
        tempfile.TemporaryDirectory(prefix="tickengine-demo-") as directory,
        TickQueue([INSTRUMENT]) as queue,
    ):
        print(f"fronts:         {fronts.address} (ticks), {fronts.trading.address} (orders)")
        ticks = TickEngine(fronts.address, "9999", "demo", "", "", "", [INSTRUMENT], [queue], library=md_library)
        trader = TraderEngine(
            fronts.trading.address, "9999", "demo", "demo", "demo_app", "code", directory + "/trader", library=library,
            limits=Limits(price_band=0.05),
        )  # fmt: skip
        with ticks, trader:
            trader.wait_ready(_PATIENCE_S)
            story = _Story(trader, queue)
            story.cut_before_any_return(fronts)
            story.leave_and_come_back(fronts)
            story.kill_the_trader_process()
            trader.wait_ready(_PATIENCE_S, reconciled=True)
            story.changes()
        return story.end(fronts.trading.report())


class _Story:
    """The three acts, and what is printed of them."""

    def __init__(self, trader: TraderEngine, queue: TickQueue) -> None:
        self._trader = trader
        self._queue = queue
        self._began = time.monotonic()
        self._orders: list[Order] = []
        self._trades: list[str] = []

    def cut_before_any_return(self, fronts: FrontProcess) -> None:
        self._say("1. An order; the front takes it and cuts the line before it answers, for two seconds.")
        fronts.trading.cut_at("order", outage_s=2.0)
        order = self._buy(self._tick().AskPrice1 + 5, 2)
        self._until(lambda: order.is_settled)

    def leave_and_come_back(self, fronts: FrontProcess) -> None:
        self._say("2. An order that waits for its price; we disconnect on purpose, it trades meanwhile, we come back.")
        price = self._tick().BidPrice1 - 20
        order = self._buy(price, 1)
        self._until(lambda: order.state == "queueing")
        self._trader.disconnect()
        self.changes()
        fronts.trading.set_price(INSTRUMENT, price)
        self._say(f"   the price was {price:g} for a moment: the order has traded, and we do not know")
        self._trader.connect()
        self._until(lambda: order.is_settled)

    def kill_the_trader_process(self) -> None:
        self._say("3. An order, and SIGKILL of the trader process.")
        order = self._buy(self._tick().AskPrice1 + 5, 1)
        pid = self._trader.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        # Killed between the journal's word and the library's, it never left: the front, when asked, does not have it.
        self._until(lambda: order.is_settled or order.state == "missing")

    def end(self, report: TradingReport) -> int:
        """Compare with the front."""
        left = [order for order in self._orders if order.state not in ("not_sent", "missing")]
        ours = {order.OrderRef: order.filled for order in left}
        theirs = {order["OrderRef"]: order["VolumeTraded"] for order in report.orders}
        lots = sum(report.lots.get(("demo", INSTRUMENT, "2"), (0, 0)))
        position = self._trader.positions.net(INSTRUMENT)
        print(f"\n{'order':<8}{'state':<12}{'lots traded, ours':>19}{'the front':>11}")
        for order in self._orders:
            known = theirs.get(order.OrderRef, "-")
            print(f"{order.OrderRef:<8}{order.state:<12}{order.filled:>19}{known!s:>11}")
        print(f"position: {position} lots here, {lots} at the front")
        twice = [key for key, times in report.inserts.items() if times > 1]
        same = ours == theirs and position == lots
        once = len(self._trades) == len(set(self._trades)) == len(report.trades)
        print(
            f"trades told: {len(self._trades)}, each once; orders sent twice: {len(twice)}" if once else "trades differ"
        )
        return 0 if same and once and not twice else 1

    def changes(self) -> None:
        """Print what has happened to orders since the last call."""
        for change in self._trader.poll():
            order = change.order
            if change.trade is not None:
                self._trades.append(change.trade.TradeID)
                self._say(f"   trade {change.trade.TradeID}: {change.trade.Volume} at {change.trade.Price:g}")
            elif change.kind == "connection":
                self._say(f"   {change.record.kind.replace('_', ' ')}")
            elif order is not None:
                name = order.OrderRef or f"number {order.ClientID}"
                self._say(f"   order {name}: {change.record.kind.replace('_', ' ')}, {change.state}")

    def _buy(self, price: float, volume: int) -> Order:
        self._trader.wait_ready(_PATIENCE_S)
        self.changes()
        order = self._trader.insert(INSTRUMENT, BUY, OPEN, price, volume)
        self._orders.append(order)
        return order

    def _tick(self) -> Tick:
        """The newest tick; its price is what the limits go by."""
        tick = self._queue.get(timeout=_PATIENCE_S)
        while self._queue.qsize():
            tick = self._queue.get(timeout=_PATIENCE_S)
        self._trader.gate.take_price(tick)
        return tick

    def _until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            self.changes()
            if done():
                return
            if time.monotonic() > deadline:
                raise EngineError(f"the demonstration does not go on: {self._trader.status()}")
            self._trader.wait(0.2)

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:7.3f} s  {text}", flush=True)
