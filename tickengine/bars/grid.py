"""Where the bars of a trading day begin and end, and which bar a moment belongs to.

A `Grid` is made of a product's hours (`tickengine.products`), the calendar and a period. Instruments of the
same hours share one.
"""

from __future__ import annotations

import bisect
import datetime
import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..products import EVENING, MORNING, Product, Session, product_of
from ..trading_calendar import next_trading_day, previous_trading_day
from .periods import CLOCK

NS = 1_000_000_000
CHINA_NS = 8 * 3600 * NS
DAY_S = 86400
DAY_NS = DAY_S * NS
_OPENING_S = 60
_EPOCH = datetime.date(1970, 1, 1).toordinal()

BEFORE, OUTSIDE = -2, -1
"""In the place of a bar's number: before the trading day's first session; between two of them, or behind the last."""


def date_text(day: int) -> str:
    """YYYYMMDD of a day counted from 1970-01-01."""
    return datetime.date.fromordinal(day + _EPOCH).strftime("%Y%m%d")


def _day_number(text: str) -> int:
    return datetime.date(int(text[:4]), int(text[4:6]), int(text[6:])).toordinal() - _EPOCH


@functools.lru_cache(maxsize=4096)
def _next(day: int) -> int:
    """The first trading day after *day*; outside the calendar's years the first weekday."""
    found = next_trading_day(date_text(day))
    if found is not None:
        return _day_number(found)
    day += 1
    while (day + 3) % 7 > 4:  # 1970-01-01 was a Thursday
        day += 1
    return day


@functools.lru_cache(maxsize=4096)
def _previous(day: int) -> int:
    found = previous_trading_day(date_text(day))
    if found is not None:
        return _day_number(found)
    day -= 1
    while (day + 3) % 7 > 4:
        day -= 1
    return day


def trading_day_of(time_ns: int) -> int:
    """The trading day of a moment, as days since 1970-01-01.

    From 18:00 it is the next one; before, the day itself or, if that is without trading, the next one.
    """
    day, of_day = divmod(time_ns + CHINA_NS, DAY_NS)
    return _next(day if of_day >= EVENING * NS else day - 1)


@dataclass(frozen=True)
class Hours:
    """When a product trades on one trading day, in ns UTC: sessions, joined where one begins as another ends,
    and for each auction the span whose ticks belong to the first bar behind it."""

    day: int
    sessions: tuple[tuple[int, int], ...]
    auctions: tuple[tuple[int, int], ...]

    @functools.cached_property
    def opens(self) -> tuple[int, int]:
        """From its first auction or session until one minute of trading is over: what has been traded since
        midnight, so to speak, was traded then."""
        first = self.sessions[0][0]
        return min((start for start, _ in self.auctions), default=first), first + _OPENING_S * NS


@functools.lru_cache(maxsize=1024)
def hours_of(sessions: tuple[Session, ...], auctions: tuple[Session, ...], day: int) -> Hours:
    """The hours of trading day *day*, on the calendar."""
    evening = _previous(day)

    def spans(rules: tuple[Session, ...]) -> list[tuple[int, int]]:
        found = []
        for span in rules:
            date = evening if span.start >= EVENING else evening + 1 if span.start < MORNING else day
            midnight = date * DAY_NS - CHINA_NS
            found.append((midnight + span.start * NS, midnight + span.end * NS))
        return sorted(found)

    joined: list[tuple[int, int]] = []
    for start, end in spans(sessions):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return Hours(day, tuple(joined), tuple(spans(auctions)))


class Grid:
    """The bars of one trading day and one period, numbered from 0.

    Attributes:
        starts, ends: of each bar, ns UTC, breaks at its edges left out.
    """

    def __init__(self, hours: Hours, seconds: int, align: str) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        length = seconds * NS
        marks: list[tuple[int, int]] = []
        traded, last_key = 0, -1
        for start, end in hours.sessions:
            at = start
            while at < end:
                if seconds == DAY_S:
                    key, until = 0, end
                elif align == CLOCK:
                    key = (at + CHINA_NS) // length
                    until = min(end, (key + 1) * length - CHINA_NS)
                else:
                    key = traded // length
                    until = min(end, at + (key + 1) * length - traded)
                if key == last_key:
                    self.ends[-1] = until
                else:
                    self.starts.append(at)
                    self.ends.append(until)
                    last_key = key
                marks.append((at, len(self.starts) - 1))
                traded += until - at
                at = until
            marks.append((end + NS, OUTSIDE))  # the closing second belongs to the session
        for start, end in hours.auctions:
            behind = next((s for s, _ in hours.sessions if s >= end), None)
            if behind is not None:
                slot = next(slot for at, slot in marks if at == behind)
                marks.append((start, slot))
                if end < behind:
                    marks.append((end, OUTSIDE))
        marks.sort()
        self._at = [at for at, _ in marks]
        self._slot = [slot for _, slot in marks]

    def find(self, time_ns: int) -> tuple[int, int, int]:
        """The number of the bar that a moment belongs to (or `BEFORE`, `OUTSIDE`), and from when until when the
        answer is the same."""
        k = bisect.bisect_right(self._at, time_ns)
        until = self._at[k] if k < len(self._at) else 1 << 62
        return (BEFORE, -1, until) if k == 0 else (self._slot[k - 1], self._at[k - 1], until)

    def find_many(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The same for many moments: the numbers alone."""
        codes = np.array([BEFORE, *self._slot], np.int64)
        return codes[np.searchsorted(np.array(self._at, np.int64), times, side="right")]


@functools.lru_cache(maxsize=512)
def grid_of(hours: Hours, seconds: int, align: str) -> Grid:
    """The grid of these hours, made once."""
    return Grid(hours, seconds, align)


@functools.lru_cache(maxsize=1024)
def any_hour_of(day: int) -> Hours:
    """The whole of a trading day as one session: from 18:00 of the one before to 18:00."""
    start, end = (d * DAY_NS - CHINA_NS + EVENING * NS for d in (_previous(day), day))
    return Hours(day, ((start, end),), ())


@functools.lru_cache(maxsize=65536)
def trading_hours(
    instrument: bytes, day: int, any_hour: bool, own: tuple[tuple[str, tuple[Session, ...]], ...] = ()
) -> tuple[Hours, Product | None]:
    """An instrument's hours on a trading day, and its product; an unknown one (None) trades at any time.

    *own*: pairs of `products.OwnHours`.
    """
    text = date_text(day)
    product = product_of(instrument, "", text, dict(own))
    if product is None or any_hour:
        return any_hour_of(day), product
    return hours_of(product.sessions_on(text), product.auctions_on(text), day), product


def unit_of(product: Product | None) -> float:
    """What `Turnover` / `Volume` is to be divided by for a price; NaN if it is not known."""
    if product is None:
        return float("nan")
    return 1.0 if product.ExchangeID == "CZCE" else float(product.VolumeMultiple or "nan")
