"""Limits that an order must pass before it leaves: a program that runs wild is stopped here, not at the exchange.

All are on by default, with values for a small account; give your own, or None to switch one off, `NO_LIMITS` for
all. They are looked at in the process that sends, before anything is written or sent.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, fields
from typing import Any

from .._errors import ConfigError, TickEngineError
from ..products import product_of
from . import words
from .book import Order, OrderBook
from .positions import LONG, SHORT, Positions, due_lots


class LimitRefused(TickEngineError):
    """An order was not sent because of a limit.

    Attributes:
        limit: the limit's name in `Limits`.
    """

    def __init__(self, limit: str, detail: str) -> None:
        super().__init__(detail)
        self.limit = limit

    def __reduce__(self) -> tuple[type[LimitRefused], tuple[str, str]]:
        return type(self), (self.limit, str(self))


@dataclass(frozen=True)
class Limits:
    """What an order may be. None: no such limit.

    An order of any price type but limit (``OrderPriceType`` "2") may trade at any price, whatever its ``LimitPrice``.

    Attributes:
        order_volume: most lots of one order.
        position: most lots of one side of one instrument, orders under way counted as filled. Opening orders are
            refused until a position query of the trading day has told what is held.
        price_band: how far from the last price an order's price may be, as a part of it: 0.03 is 3 %. With a
            band, an instrument without a known price is refused, and so is an order that may trade at any price.
        price_limits: refuse prices outside the day's ``UpperLimitPrice`` and ``LowerLimitPrice``. Limit orders only:
            the exchange keeps the others within them.
        price_tick: refuse prices that are no multiple of the product's price step. Limit orders only.
        orders_per_second: orders and cancellations within any second.
        orders_per_day: orders of a trading day; exchanges charge and question those who send many.
        open_orders: orders under way at once.
        self_match: refuse an order that could trade with one's own order under way; exchanges fine it.
    """

    order_volume: int | None = 10
    position: int | None = 50
    price_band: float | None = 0.03
    price_limits: bool = True
    price_tick: bool = True
    orders_per_second: int | None = 10
    orders_per_day: int | None = 500
    open_orders: int | None = 50
    self_match: bool = True

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.type == "bool":
                good = isinstance(value, bool)
                need = "True or False"
            elif item.name == "price_band":
                good = value is None or (_is_number(value) and 0 < value < math.inf)
                need = "a number above 0, or None"
            else:
                good = value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)
                need = "a whole number above 0, or None"
            if not good:
                raise ConfigError(f"limit {item.name} must be {need}, not {value!r}")


NO_LIMITS = Limits(None, None, None, False, False, None, None, None, False)


@dataclass(slots=True)
class Quote:
    """The prices that limits look at; NaN where there is none."""

    LastPrice: float = math.nan
    UpperLimitPrice: float = math.nan
    LowerLimitPrice: float = math.nan

    def allows(self, price: float) -> bool:
        """Whether the day's limits, as far as they are known, allow it."""
        return not (price > self.UpperLimitPrice or price < self.LowerLimitPrice)


@dataclass(slots=True)
class Wish:
    """An order that somebody wants to send."""

    InstrumentID: str
    Direction: str
    Offset: str
    LimitPrice: float
    Volume: int
    OrderPriceType: str = words.LIMIT_PRICE


class Gatekeeper:
    """Applies `Limits` to the orders of one account. One thread asks.

    *book* and *positions* are the account's; they are looked at, not changed.
    """

    def __init__(self, limits: Limits, book: OrderBook, positions: Positions) -> None:
        self.limits = limits
        self.refused: dict[str, int] = {}
        product_of("")  # now: the table takes 15 ms, for which the first tick would wait
        self._book = book
        self._positions = positions
        self._quotes: dict[str, Quote] = {}
        self._steps: dict[str, float] = {}
        self._recent: deque[int] = deque()
        self._day = ""
        self._sent_today = 0

    def take_price(self, tick: Any) -> None:
        """Learn an instrument's prices from a `Tick`. Cheap enough for each tick."""
        name = tick.InstrumentID  # made anew at each look
        quote = self._quotes.get(name)
        if quote is None:
            quote = self._quotes[name] = Quote()
            self._step(name)  # now, not when its first order is looked at
        quote.LastPrice = tick.LastPrice
        quote.UpperLimitPrice = tick.UpperLimitPrice
        quote.LowerLimitPrice = tick.LowerLimitPrice

    def set_price(self, instrument_id: str, quote: Quote) -> None:
        """Give an instrument's prices from elsewhere, such as ``ReqQryDepthMarketData``."""
        self._quotes[instrument_id] = quote

    def check(self, wish: Wish, now: int) -> None:
        """Pass an order, and count it, or refuse it. *now*: monotonic nanoseconds.

        Raises:
            LimitRefused: the first limit that it does not keep, with the numbers.
        """
        try:
            self._check_shape(wish)
            self._check_self_match(wish)
            self._check_price(wish)
            self._check_position(wish)
            self._check_numbers(now)
        except LimitRefused as refusal:
            self.refused[refusal.limit] = self.refused.get(refusal.limit, 0) + 1
            raise
        self._recent.append(now)
        self._sent_today += 1

    def check_cancel(self, now: int) -> None:
        """Count a cancellation against ``orders_per_second``.

        Raises:
            LimitRefused: too many within a second.
        """
        try:
            self._check_pace(now)
        except LimitRefused:
            self.refused["orders_per_second"] = self.refused.get("orders_per_second", 0) + 1
            raise
        self._recent.append(now)

    # ---- the limits ----------------------------------------------------------------------------

    def _check_shape(self, wish: Wish) -> None:
        if wish.Volume <= 0:
            raise LimitRefused("order_volume", f"volume {wish.Volume} of {wish.InstrumentID} must be above 0")
        most = self.limits.order_volume
        if most is not None and wish.Volume > most:
            raise LimitRefused(
                "order_volume", f"{wish.Volume} lots of {wish.InstrumentID} are more than {most} in one order"
            )
        if not math.isfinite(wish.LimitPrice):
            raise LimitRefused("price_band", f"price {wish.LimitPrice} of {wish.InstrumentID} is not a price")

    def _check_price(self, wish: Wish) -> None:
        limits, price, name = self.limits, wish.LimitPrice, wish.InstrumentID
        if wish.OrderPriceType != words.LIMIT_PRICE:
            if limits.price_band is not None:
                raise LimitRefused(
                    "price_band",
                    f"an order of {name} of price type {wish.OrderPriceType} may trade at any price: send a limit"
                    " order, or switch price_band off",
                )
            return
        if limits.price_tick:
            step = self._step(name)
            if step and abs(price / step - round(price / step)) > 1e-6:
                raise LimitRefused("price_tick", f"price {price:g} of {name} is no multiple of its step {step:g}")
        quote = self._quotes.get(name)
        if limits.price_limits and quote is not None and not quote.allows(price):
            raise LimitRefused(
                "price_limits",
                f"price {price:g} of {name} is outside the day's limits,"
                f" {quote.LowerLimitPrice:g} to {quote.UpperLimitPrice:g}",
            )
        band = limits.price_band
        if band is not None:
            last = math.nan if quote is None else quote.LastPrice
            if not math.isfinite(last):
                raise LimitRefused(
                    "price_band",
                    f"no price of {name} is known yet: wait for its first tick (gate.take_price, gate.set_price),"
                    " or switch price_band off",
                )
            if abs(price - last) > band * abs(last) + 1e-9:
                raise LimitRefused(
                    "price_band", f"price {price:g} of {name} is more than {band:.2%} from the last price {last:g}"
                )

    def _step(self, instrument_id: str) -> float:
        """The price step, 0 where it is not known."""
        step = self._steps.get(instrument_id)
        if step is None:
            product = product_of(instrument_id)
            step = 0.0 if product is None or not product.PriceTick > 0 else product.PriceTick
            self._steps[instrument_id] = step
        return step

    def _check_position(self, wish: Wish) -> None:
        most = self.limits.position
        if most is None or wish.Offset != words.OPEN:
            return
        if not self._positions.complete:
            raise LimitRefused(
                "position",
                f"what is held of {wish.InstrumentID} is not known yet: wait until the position query of this trading"
                " day is answered, about two seconds after its first login, or switch position off",
            )
        side = LONG if wish.Direction == words.BUY else SHORT
        held = self._positions.lots(wish.InstrumentID, side)
        coming = 0
        for order, lots in due_lots(self._book, wish.InstrumentID):
            if order.Offset == words.OPEN and order.Direction == wish.Direction:
                coming += lots
        if held + coming + wish.Volume > most:
            raise LimitRefused(
                "position",
                f"{wish.InstrumentID}: {held} lots held, {coming} under way and {wish.Volume} more are above {most}",
            )

    def _check_numbers(self, now: int) -> None:
        limits = self.limits
        self._check_pace(now)
        if self._book.trading_day != self._day:
            self._day = self._book.trading_day
            self._sent_today = sum(
                1 for o in self._book if o.ClientID and o.TradingDay == self._day and o.state != "not_sent"
            )
        if limits.orders_per_day is not None and self._sent_today >= limits.orders_per_day:
            raise LimitRefused("orders_per_day", f"{self._sent_today} orders have been sent this trading day")
        if limits.open_orders is not None:
            under_way = self._book.open_count
            if under_way >= limits.open_orders:
                raise LimitRefused("open_orders", f"{under_way} orders are under way")

    def _check_pace(self, now: int) -> None:
        most = self.limits.orders_per_second
        if most is None:
            return
        recent = self._recent
        while recent and now - recent[0] >= 1_000_000_000:
            recent.popleft()
        if len(recent) >= most:
            raise LimitRefused("orders_per_second", f"{len(recent)} orders and cancellations within the last second")

    def _check_self_match(self, wish: Wish) -> None:
        if not self.limits.self_match:
            return
        for order in self._book.open_orders(wish.InstrumentID):
            if order.Direction != wish.Direction and order.open_volume and _meet(wish, order):
                raise LimitRefused(
                    "self_match",
                    f"{wish.InstrumentID} at {_price_of(wish)} could trade with one's own order"
                    f" {order.OrderRef} at {_price_of(order)}",
                )


def _meet(wish: Wish, order: Order) -> bool:
    """Whether two orders of the two sides could trade with each other by their prices."""
    if wish.OrderPriceType != words.LIMIT_PRICE or order.OrderPriceType != words.LIMIT_PRICE:
        return True
    if wish.Direction == words.BUY:
        return wish.LimitPrice >= order.LimitPrice
    return wish.LimitPrice <= order.LimitPrice


def _price_of(order: Wish | Order) -> str:
    return f"{order.LimitPrice:g}" if order.OrderPriceType == words.LIMIT_PRICE else "any price"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
