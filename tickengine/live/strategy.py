"""`AbstractStrategy`: what a strategy overrides, and what it can ask and do."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from .._errors import ConfigError
from ..bars import Bar, seconds_of
from ..products import product_of
from ..trader import words
from ..trader.positions import LONG, SHORT

if TYPE_CHECKING:
    from ..tick import Tick
    from ..trader.book import Order, Trade
    from ..trader.trader import Trader

CHINA = timezone(timedelta(hours=8), "CST")


class AbstractStrategy:
    """A strategy of one account. Every method runs on one thread, one at a time.

    Its own orders are those in the journal below *base_folder*, whichever run has sent them.

    Args:
        instrument_ids: what it gets ticks of.
        parameters: anything it wants to be told; kept as ``self.parameters``.
        base_folder: a directory of its own.
        periods: bars to build, such as ``["1m", "5m"]``, see `on_bar`, each once.
        description: words for people.
        logger: default one named after the class.
    """

    def __init__(
        self,
        instrument_ids: Iterable[str],
        parameters: Mapping[str, Any] | None,
        base_folder: str,
        periods: Iterable[str | int] | None = None,
        description: str | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.instrument_ids = list(instrument_ids)
        self.parameters = {} if parameters is None else parameters
        self.base_folder = base_folder
        self.periods = list(periods or [])
        for period in self.periods:
            seconds_of(period)
        self.description = description or ""
        self.logger = logger or logging.getLogger(f"tickengine.live.{type(self).__name__}")
        self._should_exit = False
        self._local = False
        self._day_known = False
        self._ticks: dict[str, Tick] = {}
        self._trader: Trader | None = None

    # ---- to override ---------------------------------------------------------------------------

    def on_start(self) -> None:
        """Before the first tick; trading may not be connected yet. What the journal says of earlier runs is in
        ``trader.book`` and in the positions already."""

    def on_tick(self, instrument_id: str, tick: Tick) -> None:
        """A tick of one of the instruments."""

    def on_bar(self, instrument_id: str, period: str, bar: Bar) -> None:
        """A bar has ended. *period* is as it was given in ``periods``; ``docs/bars.md`` says what a bar is."""

    def on_order(self, order: Order) -> None:
        """An order of the account has changed, in this run or since the last one was told."""

    def on_trade(self, trade: Trade) -> None:
        """A trade of the account, each once, also one that came when no run was there to be told.

        Only one that was being told when the process was killed is told again by the next run.
        """

    def on_connection(self, connected: bool) -> None:
        """The trading connection was made ready, or lost."""

    def on_exit(self) -> None:
        """After the last tick; trading is still there."""

    # ---- trading connection --------------------------------------------------------------------

    def is_trading_connected(self) -> bool:
        """Whether orders can be sent now, and what the account holds is known."""
        return self._desk.connected and self._desk.positions.complete

    def connect_trading(self) -> None:
        """Connect again after `disconnect_trading`. What happened meanwhile is told then, each once."""
        self._desk.connect()

    def disconnect_trading(self) -> None:
        """End the trading connection on purpose. Orders at the exchange stay there."""
        self._desk.disconnect()

    # ---- positions and orders ------------------------------------------------------------------

    def set_local_bookkeep(self, local: bool) -> None:
        """True: positions are those of this strategy's own trades, of all runs and days; False (at first): the
        account's."""
        self._local = bool(local)

    def single_sided_position(self, instrument_id: str | None = None) -> int:
        """Lots long less lots short."""
        name = self._instrument(instrument_id)
        return self._desk.book.own_lots.get(name, 0) if self._local else self._desk.positions.net(name)

    @property
    def has_traded(self) -> bool:
        """Whether an order of this strategy has traded this trading day, whichever run has sent it.

        Which day it is, a run learns when trading is connected for the first time; before that it is False.
        """
        if self._trader is None or not self._day_known:
            return False
        day = self._trader.book.trading_day
        return day != "" and self._trader.book.own_traded == day

    def has_pending_order(self, instrument_id: str | None = None) -> bool:
        """Whether an order of this strategy is under way, or at its end with trades still to come.

        Orders of uncertain fate are pending. None: any instrument.
        """
        return any(order.ClientID for order in self._desk.book.unsettled(instrument_id))

    def change_position_to(
        self,
        target: int,
        instrument_id: str | None = None,
        tick_delta: int | None = None,
        price: float | None = None,
    ) -> list[Order]:
        """Send what is needed for *target* lots, long above 0 and short below.

        First what closes the other side, then what opens. Orders under way count as done, so it can be called
        with every tick.

        Args:
            tick_delta: the limit price is so many price steps beyond the other side's best price. None: at
                that price.
            price: the limit price itself, in place of all that.

        Returns:
            The orders sent; none if nothing is missing, what the account holds is not known yet, or there is no
            price to go by.

        Raises:
            LimitRefused: an order does not keep a limit. Those before it have been sent.
        """
        name = self._instrument(instrument_id)
        if not self._desk.positions.complete:
            return []
        missing = target - self.single_sided_position(name) - self._coming(name)
        if missing == 0:
            return []
        direction = words.BUY if missing > 0 else words.SELL
        limit = self._limit_price(name, direction, tick_delta) if price is None else price
        if not math.isfinite(limit):
            return []
        side = SHORT if missing > 0 else LONG
        trader, lots, sent = self._desk, abs(missing), []
        for closing in trader.positions.closings(trader.book, name, side, lots):
            sent.append(self.insert_order(name, direction, closing.Offset, limit, closing.Volume))
            lots -= closing.Volume
        if lots:
            sent.append(self.insert_order(name, direction, words.OPEN, limit, lots))
        return sent

    def insert_order(self, instrument_id: str, direction: str, offset: str, price: float, volume: int) -> Order:
        """Send one order, see `Trader.insert`."""
        return self._desk.insert(instrument_id, direction, offset, price, volume)

    def cancel_orders(self, instrument_id: str | None = None) -> int:
        """Ask for this strategy's orders under way to be cancelled; returns how many it asked for."""
        asked = 0
        for order in self._desk.book.open_orders(instrument_id):
            asked_for = order.cancel in ("sending", "sent")
            if order.ClientID and order.OrderRef and not asked_for:
                self._desk.cancel(order)
                asked += 1
        return asked

    # ---- the rest ------------------------------------------------------------------------------

    def last_tick(self, instrument_id: str | None = None) -> Tick | None:
        """The newest tick of an instrument, None before the first."""
        return self._ticks.get(self._instrument(instrument_id))

    def now(self) -> datetime:
        """China's time of day."""
        return datetime.now(CHINA)

    def set_should_exit(self, should_exit: bool) -> None:
        """End (or not) after what is running now."""
        self._should_exit = bool(should_exit)

    @property
    def should_exit(self) -> bool:
        """Whether it wants to end."""
        return self._should_exit

    @property
    def trader(self) -> Trader:
        """The account behind it, for everything that is not here."""
        return self._desk

    # ---- inside --------------------------------------------------------------------------------

    @property
    def _desk(self) -> Trader:
        if self._trader is None:
            raise ConfigError("the strategy is not running: give its class to run_live")
        return self._trader

    def _instrument(self, instrument_id: str | None) -> str:
        if instrument_id is not None:
            return instrument_id
        if len(self.instrument_ids) != 1:
            raise ConfigError(f"instrument_id is needed: the strategy has {len(self.instrument_ids)} instruments")
        return self.instrument_ids[0]

    def _coming(self, name: str) -> int:
        """Lots that orders under way, and trades that are late, will bring."""
        coming = 0
        for order in self._desk.book.unsettled(name):
            if self._local and not order.ClientID:
                continue
            expected = order.VolumeTraded if order.is_final else order.VolumeTotalOriginal
            left = max(0, expected - order.filled)
            coming += left if order.Direction == words.BUY else -left
        return coming

    def _limit_price(self, name: str, direction: str, tick_delta: int | None) -> float:
        tick = self._ticks.get(name)
        if tick is None:
            return math.nan
        base: float = tick.AskPrice1 if direction == words.BUY else tick.BidPrice1
        if not math.isfinite(base) or not tick_delta:
            return base
        product = product_of(name)
        if product is None or not product.PriceTick > 0:
            raise ConfigError(f"the price step of {name} is not known: give price= instead of tick_delta=")
        step: float = product.PriceTick * tick_delta
        return base + step if direction == words.BUY else base - step
