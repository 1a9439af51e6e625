"""What the front knows of its investors: their orders, trades, lots and money. The truth that tests compare with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tickengine.front.products import Product, product_of
from tickengine.front.trading.flows import PRIVATE, Flow

BUY, SELL = b"0", b"1"
OPEN, CLOSE, CLOSE_TODAY, CLOSE_YESTERDAY = b"0", b"1", b"3", b"4"
LONG, SHORT = b"2", b"3"
TODAY_APART = frozenset({"SHFE", "INE"})
MARGIN_RATE = 0.1

OVER_CLOSE, OVER_CLOSE_TODAY, OVER_CLOSE_YESTERDAY, NO_MONEY = 30, 50, 51, 31


@dataclass(eq=False)
class Order:
    """One order that the front has taken, as the vendor's ``Order`` with bytes for texts."""

    values: dict[str, Any]
    active: bool = True
    next_fill: float = 0.0

    @property
    def key(self) -> tuple[int, int, bytes]:
        """FrontID, SessionID, OrderRef."""
        return self.values["FrontID"], self.values["SessionID"], self.values["OrderRef"].strip()

    @property
    def left(self) -> int:
        """Lots that can still be traded."""
        return int(self.values["VolumeTotal"]) if self.active else 0

    @property
    def opens(self) -> bool:
        """Whether it opens lots."""
        return self.offset == OPEN

    @property
    def offset(self) -> bytes:
        """OPEN, CLOSE and so on."""
        return bytes(self.values["CombOffsetFlag"][:1])

    @property
    def side(self) -> bytes:
        """The side of the account that it acts on."""
        return LONG if (self.values["Direction"] == BUY) == self.opens else SHORT


@dataclass
class Lots:
    """One side of one instrument."""

    start: int = 0
    yesterday: int = 0
    today: int = 0
    opened: int = 0
    closed: int = 0
    cost: float = 0.0

    @property
    def total(self) -> int:
        """All lots held."""
        return self.yesterday + self.today


@dataclass
class Investor:
    """One account: its private flow, orders, trades and lots."""

    broker: bytes
    name: bytes
    balance: float
    flow: Flow = field(default_factory=lambda: Flow(PRIVATE))
    orders: list[Order] = field(default_factory=list)
    """Oldest first; `take` adds to them."""
    keys: set[tuple[int, int, bytes]] = field(default_factory=set)
    under_way: list[Order] = field(default_factory=list)
    """The last ones that were looked at with `open_orders`, and those that came since."""
    trades: list[dict[str, Any]] = field(default_factory=list)
    lots: dict[tuple[str, bytes], Lots] = field(default_factory=dict)
    confirmed: bool = False
    inserts: dict[tuple[int, bytes], int] = field(default_factory=dict)
    """How often an order of that session and reference has been received: more than once is a repetition."""
    close_profit: float = 0.0

    def side(self, instrument: str, side: bytes) -> Lots:
        """That side's lots."""
        return self.lots.setdefault((instrument, side), Lots())

    def take(self, order: Order) -> None:
        """Keep an order."""
        self.orders.append(order)
        self.keys.add(order.key)
        self.under_way.append(order)

    def open_orders(self) -> list[Order]:
        """Orders that can still be traded, oldest first."""
        self.under_way = [order for order in self.under_way if order.active]
        return self.under_way

    def hold(self, instrument: str, side: bytes, lots: int) -> None:
        """Give the account lots from the day before."""
        held = self.side(instrument, side)
        held.start = held.yesterday = lots

    def refusal(self, order: Order, price: float) -> int:
        """The error with which the front refuses an order, 0 if it takes it."""
        values = order.values
        product = product_of(values["InstrumentID"].decode("latin-1"))
        if order.opens:
            need = margin(product, price, values["VolumeTotalOriginal"])
            return NO_MONEY if need > self.available else 0
        held = self.side(values["InstrumentID"].decode("latin-1"), order.side)
        frozen = [o for o in self.open_orders() if o.side == order.side and not o.opens]
        same = [o for o in frozen if o.values["InstrumentID"] == values["InstrumentID"]]
        wanted = values["VolumeTotalOriginal"]
        if product.exchange not in TODAY_APART:
            return OVER_CLOSE if wanted + sum(o.left for o in same) > held.total else 0
        today = order.offset == CLOSE_TODAY
        taken = sum(o.left for o in same if (o.offset == CLOSE_TODAY) == today)
        if wanted + taken <= (held.today if today else held.yesterday):
            return 0
        return OVER_CLOSE_TODAY if today else OVER_CLOSE_YESTERDAY

    def fill(self, order: Order, price: float, lots: int) -> None:
        """Move lots for a trade of *order*."""
        instrument = order.values["InstrumentID"].decode("latin-1")
        product = product_of(instrument)
        held = self.side(instrument, order.side)
        if order.opens:
            held.today += lots
            held.opened += lots
            held.cost += price * lots * product.multiplier
            return
        average = held.cost / held.total if held.total else 0.0
        profit = price * lots * product.multiplier - average * lots
        self.close_profit += profit if order.side == LONG else -profit
        held.cost -= average * lots
        held.closed += lots
        if product.exchange in TODAY_APART:
            old = 0 if order.offset == CLOSE_TODAY else lots
        else:
            old = min(lots, held.yesterday)
        held.yesterday -= old
        held.today -= lots - old

    @property
    def used_margin(self) -> float:
        """Money that the lots hold."""
        return sum(held.cost * MARGIN_RATE for held in self.lots.values())

    @property
    def frozen_margin(self) -> float:
        """Money that open orders hold."""
        return sum(
            margin(product_of(o.values["InstrumentID"].decode("latin-1")), o.values["LimitPrice"], o.left)
            for o in self.open_orders()
            if o.opens
        )

    @property
    def available(self) -> float:
        """Money for new orders."""
        return self.balance + self.close_profit - self.used_margin - self.frozen_margin


def margin(product: Product, price: float, lots: int) -> float:
    """Money that lots at a price need."""
    return abs(price) * lots * product.multiplier * MARGIN_RATE
