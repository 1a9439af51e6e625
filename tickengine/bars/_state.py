"""What a `BarBuilder` keeps of an instrument between its ticks."""

from __future__ import annotations

import math

from ..products import Product
from .grid import Grid, Hours


class Open:
    """A bar that has begun. Sums are differences: what its instrument had counted when it began is kept here."""

    __slots__ = (
        "buy",
        "closing",
        "count",
        "end",
        "flags",
        "high",
        "lost",
        "low",
        "opening",
        "sell",
        "slot",
        "start",
        "turnover",
        "turnover_from",
        "volume",
    )

    slot: int
    start: int
    end: int
    flags: int
    lost: int
    opening: float
    high: float
    low: float
    closing: float
    count: int
    volume: int
    buy: int
    sell: int
    turnover: float
    turnover_from: float


class Instrument:
    """What is known of one instrument."""

    __slots__ = (
        "ask",
        "base",
        "bid",
        "buy",
        "carried",
        "count",
        "day",
        "ended",
        "from_ns",
        "gap_day",
        "grids",
        "hours",
        "interest",
        "known",
        "lost",
        "marks",
        "name",
        "newest",
        "number",
        "opened",
        "price",
        "product",
        "recv",
        "sell",
        "time",
        "total",
        "turnover",
        "until_ns",
    )

    def __init__(self, name: bytes, periods: int) -> None:
        self.name = name
        self.number = -1  # InstrumentNumber of the newest record
        self.lost = 0  # ticks missing that no bar has been told of
        self.grids: list[Grid] = []
        self.hours: Hours | None = None
        self.product: Product | None = None
        # Counted over all ticks, for the differences.
        self.count = self.total = self.buy = self.sell = 0
        self.opened: list[Open | None] = [None] * periods
        self.forget(periods)

    def forget(self, periods: int) -> None:
        """As if no tick had come: what came had a wrong time."""
        self.newest = 0  # greatest exchange time so far
        self.known = False
        self.day = 0
        self.gap_day = 0
        self.marks = 0
        self.base = 0
        self.turnover = 0.0
        # The span of time in which a tick needs no looking up.
        self.from_ns = self.until_ns = 0
        self.time = self.recv = 0
        self.price = self.bid = self.ask = self.interest = math.nan
        self.ended = [-1] * periods  # start of the last bar ended
        self.carried: list[tuple[int, int, int, float] | None] = [None] * periods
