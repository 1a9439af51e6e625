"""Running a strategy: ticks and order events in one loop, one thread."""

from __future__ import annotations

import os
import queue as stdlib_queue
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from .._errors import Closed, ConfigError, EngineError, TickEngineError
from ..bars import Bar, BarBuilder, ReceiveClock, seconds_of
from ..engine import TickEngine
from ..queue import TickQueue
from ..trader.book import Change
from ..trader.engine import TraderEngine
from ..trader.journal import TradeLog
from ..trader.paper import PaperTrader
from ..trader.trader import Trader
from .accounts import Account
from .options import Options
from .strategy import AbstractStrategy
from .told import Told, ToldFile

_LONGEST_WAIT_S = 0.25
_ENDED_S = 5.0
_CONFIG_KEYS = ("parameters", "periods", "any_hour", "description", "wait", "cancel_on_exit")


def run_live(
    cls: type[AbstractStrategy], config: Mapping[str, Any] | None = None, *, options: Options
) -> AbstractStrategy:
    """Run a strategy as this program: until it wants to end, Ctrl-C, or the time of ``--seconds``; returns it.

    Ticks come from a `TickEngine`, orders go to the account of *options*; a paper account needs a
    market-data front only.

    Args:
        config: ``parameters``, ``periods``, ``description`` for the strategy; ``any_hour`` (False) for its bars, as
            in `BarBuilder`; ``wait`` for its queue
            ("adaptive", "spin", "block"); ``cancel_on_exit`` (False): cancel its orders under way at the end.

    Raises:
        ConfigError: something in *config*; nothing was started.
        SystemExit: with a line that says why, which Python prints before it ends with status 1: *options* or the
            configuration file cannot be used (nothing was started), or the market data or the trading connection
            did not start or has come to its end, such as by a wrong password. Its ``__cause__`` is the error.
        Exception: what the strategy raised; everything has been stopped in order before.
    """
    config = dict(config or {})
    unknown = sorted(set(config) - set(_CONFIG_KEYS))
    if unknown:
        raise ConfigError(f"config key {unknown[0]!r} is not known; known are {', '.join(_CONFIG_KEYS)}")
    with _in_one_line():
        account = options.get_account()
        folder = options.get_base_folder()
    instruments = options.get_instruments()
    strategy = cls(
        instruments,
        config.get("parameters"),
        folder,
        periods=config.get("periods"),
        description=config.get("description"),
        logger=options.get_logger(),
    )
    if not isinstance(strategy, AbstractStrategy):
        raise ConfigError(f"{cls.__name__} is no AbstractStrategy")
    queue = TickQueue(instruments, wait=config.get("wait", "adaptive"))
    try:
        with ExitStack() as started:
            with _in_one_line():
                engine = started.enter_context(_engine(account, instruments, queue, folder))
                trader = started.enter_context(_trader(account, folder))
                told = started.enter_context(closing(_told(trader)))
            any_hour = bool(config.get("any_hour"))
            runner = Runner(strategy, queue, trader, seconds=options.get_seconds(), any_hour=any_hour, told=told)
            try:
                runner.run()
                with _in_one_line():
                    if trader.failure:
                        raise EngineError(f"trading has ended: {trader.failure}")
                    if not strategy.should_exit and not engine.is_alive():
                        engine.join(_ENDED_S)  # raises what it ended of
            except KeyboardInterrupt:
                strategy.logger.info("interrupted; ending in order")
            finally:
                runner.finish(cancel=bool(config.get("cancel_on_exit")))
    finally:
        queue.close()
    return strategy


@contextmanager
def _in_one_line() -> Iterator[None]:
    """What goes wrong here is the operator's, who has no use for a traceback."""
    try:
        yield
    except TickEngineError as error:
        raise SystemExit(f"tickengine: {error}") from error


def _engine(account: Account, instruments: list[str], queue: TickQueue, folder: str) -> TickEngine:
    return TickEngine(
        account.md_front,
        account.broker_id,
        account.investor_id,
        account.password,
        account.app_id,
        account.auth_code,
        instruments,
        [queue],
        page_dir=os.path.join(folder, "md"),
        library=account.library,
        production=account.production,
    )


def _trader(account: Account, folder: str) -> Trader:
    if account.paper:
        return PaperTrader(account.limits, balance=account.balance, lots=dict(account.lots))
    return TraderEngine(
        account.td_front,
        account.broker_id,
        account.investor_id,
        account.password,
        account.app_id,
        account.auth_code,
        os.path.join(folder, "td"),
        library=account.td_library,
        limits=account.limits,
        production=account.production,
    )


def _told(trader: Trader) -> Told:
    if not isinstance(trader, TraderEngine):
        return Told()
    with TradeLog.attach(trader.journal_path) as journal:
        return ToldFile(os.path.join(os.path.dirname(trader.journal_path), "trade.told"), journal)


class Runner:
    """The loop of one strategy.

    Each turn tells what happened to orders since the last, then gives the next tick. A trader that has news
    while the loop waits for a tick ends that wait.

    Args:
        seconds: how long at most; None: until the strategy wants to end.
        any_hour: bars by the clock alone.
        told: what earlier runs have been told; default nothing.
    """

    def __init__(
        self,
        strategy: AbstractStrategy,
        queue: TickQueue,
        trader: Trader,
        *,
        seconds: float | None = None,
        any_hour: bool = False,
        told: Told | None = None,
    ) -> None:
        self._strategy = strategy
        self._queue = queue
        self._trader = trader
        self._paper = trader if isinstance(trader, PaperTrader) else None
        self._periods = {seconds_of(period): str(period) for period in strategy.periods}
        self._bars = BarBuilder(strategy.periods, any_hour=any_hour) if strategy.periods else None
        self._clock = ReceiveClock()
        self._end = None if seconds is None else time.monotonic() + seconds
        self._connected = False
        self._told = told or Told()
        self._news: deque[Change] = deque()
        strategy._trader = trader

    def run(self) -> None:
        """Until the strategy wants to end, the time is over, or the ticks or trading have ended."""
        strategy = self._strategy
        self._trader.watch(self._queue.interrupt)
        strategy.on_start()
        self._tell()
        while not strategy.should_exit:
            wait = _LONGEST_WAIT_S
            if self._end is not None:
                left = self._end - time.monotonic()
                if left <= 0:
                    return
                wait = min(wait, left)
            try:
                tick = self._queue.get(timeout=wait)
            except stdlib_queue.Empty:
                tick = None
            except Closed:
                strategy.logger.warning("the ticks have ended")
                return
            if tick is not None:
                self._take(tick)
            self._tell()
            if self._trader.failure:
                return
            if self._bars is not None:
                self._give(self._bars.advance(self._clock.now()))

    def finish(self, *, cancel: bool) -> None:
        """Tell the strategy that it ends, and cancel its orders under way if that is wanted."""
        self._trader.watch(None)
        strategy = self._strategy
        strategy.on_exit()
        if cancel and self._trader.connected:
            strategy.cancel_orders()
        self._tell()
        for name in strategy.instrument_ids:
            strategy.logger.info("position of %s: %d lots", name, strategy.single_sided_position(name))
        under_way = [order for order in self._trader.book.open_orders() if order.ClientID]
        for order in under_way:
            strategy.logger.warning(
                "order %s of %s is still %s", order.OrderRef or order.ClientID, order.InstrumentID, order.state
            )

    def _take(self, tick: Any) -> None:
        strategy = self._strategy
        if self._paper is None:
            self._trader.gate.take_price(tick)
        else:
            self._paper.take_tick(tick)
        strategy._ticks[tick.InstrumentID] = tick
        strategy.on_tick(tick.InstrumentID, tick)
        if self._bars is not None:
            self._clock.saw(tick.RecvTime)
            self._give(self._bars.take(tick))

    def _give(self, bars: Iterable[Bar]) -> None:
        for bar in bars:
            self._strategy.on_bar(bar.InstrumentID, self._periods[bar.Period], bar)

    def _tell(self) -> None:
        """What has happened to orders; what the callbacks cause is told too."""
        while True:
            self._news.extend(c for c in self._trader.poll() if c.record.sequence >= self._told.next)
            connected = self._strategy.is_trading_connected()
            if connected != self._connected:
                self._connected = connected
                self._strategy._day_known |= connected
                self._strategy.on_connection(connected)
            if not self._news:
                return
            while self._news:
                self._dispatch(self._news.popleft())

    def _dispatch(self, change: Change) -> None:
        try:
            if change.trade is not None:
                self._strategy.on_trade(change.trade)
            elif change.kind in ("order", "cancel") and change.order is not None:
                self._strategy.on_order(change.order)
        finally:  # also what it raised at has been told
            self._told.up_to(self._news[0].record.sequence if self._news else change.record.sequence + 1)
