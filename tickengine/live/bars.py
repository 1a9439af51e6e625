"""Bars for a strategy: the ticks of a period of exchange time, folded as they come.

A bar ends with the first tick of a later one, or when its time and a grace are over without one. Ticks of an
ended bar that come late are left out of bars.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .._errors import ConfigError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NS = 1_000_000_000
_CHINA_NS = 8 * 3600 * _NS
GRACE_NS = 2 * _NS


@dataclass(slots=True)
class Bar:
    """One bar. Prices per unit; ``Volume`` in lots and ``Turnover`` in money of this bar alone."""

    InstrumentID: str
    period: str
    start: int
    """When it begins: nanoseconds UTC."""
    OpenPrice: float
    HighestPrice: float
    LowestPrice: float
    ClosePrice: float
    Volume: int = 0
    Turnover: float = 0.0
    OpenInterest: float = 0.0
    ticks: int = 1


def seconds_of(period: str | int) -> int:
    """Seconds of a period: ``"30s"``, ``"5m"``, ``"1h"``, ``"1d"``, or a number of seconds.

    Raises:
        ConfigError: it is no such thing, or does not divide a day.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smhd]?)", str(period))
    seconds = 0 if match is None else int(match[1]) * _UNITS.get(match[2], 1)
    if seconds == 0 or 86400 % seconds:
        raise ConfigError(f"period {period!r} must be such as '30s', '5m', '1h' or '1d', and divide a day")
    return seconds


class BarBuilder:
    """Folds ticks into the bars of all periods.

    Raises:
        ConfigError: a wrong period.
    """

    def __init__(self, periods: Iterable[str | int]) -> None:
        self._periods = [(str(period), seconds_of(period) * _NS) for period in periods]
        self._open: dict[tuple[str, str], Bar] = {}
        self._ended: dict[tuple[str, str], int] = {}
        self._seen: dict[str, tuple[int, float]] = {}

    def take(self, tick: Any) -> list[Bar]:
        """Fold a tick in; returns the bars that it ends."""
        if not self._periods or not tick.ExchangeTime or tick.LastPrice != tick.LastPrice:
            return []
        name, at = tick.InstrumentID, tick.ExchangeTime
        before = self._seen.get(name)
        volume, turnover = (0, 0.0) if before is None else (tick.Volume - before[0], tick.Turnover - before[1])
        if before is None or volume >= 0:
            self._seen[name] = (tick.Volume, tick.Turnover)
        # A volume that falls is a new day's, or a tick of the past.
        volume, turnover = max(volume, 0), max(turnover, 0.0)
        ended = []
        for period, length in self._periods:
            start = (at + _CHINA_NS) // length * length - _CHINA_NS
            key = (name, period)
            bar = self._open.get(key)
            if bar is not None and start > bar.start:
                ended.append(self._end(key))
                bar = None
            if bar is None:
                if start <= self._ended.get(key, -1):
                    continue
                price = tick.LastPrice
                bar = self._open[key] = Bar(name, period, start, price, price, price, price, ticks=0)
            elif start < bar.start:
                continue
            bar.HighestPrice = max(bar.HighestPrice, tick.LastPrice)
            bar.LowestPrice = min(bar.LowestPrice, tick.LastPrice)
            bar.ClosePrice = tick.LastPrice
            bar.Volume += volume
            bar.Turnover += turnover
            bar.OpenInterest = tick.OpenInterest
            bar.ticks += 1
        return ended

    def overdue(self, now: int) -> Iterator[Bar]:
        """End and give the bars whose time was over `GRACE_NS` before *now* (nanoseconds UTC)."""
        lengths = dict(self._periods)
        for key, bar in list(self._open.items()):
            if now >= bar.start + lengths[key[1]] + GRACE_NS:
                yield self._end(key)

    def _end(self, key: tuple[str, str]) -> Bar:
        bar = self._open.pop(key)
        self._ended[key] = bar.start
        return bar
