"""Trading days of China's futures exchanges.

A trading day is a weekday that is not in ``tickengine/data/holidays.csv``. Weekends never trade, not even
those that the government makes working days. All days are text, YYYYMMDD, China Standard Time.
A day that is no date raises ValueError.
"""

from __future__ import annotations

import csv
import datetime
import functools
from importlib.resources import files

_CHINA = datetime.timezone(datetime.timedelta(hours=8))
_ONE = datetime.timedelta(days=1)

# Trading days without a night session, because of the epidemic: the evening of 2020-05-06 had one again.
_NO_NIGHTS = ("20200203", "20200506")


def today() -> str:
    """The calendar day in China now."""
    return datetime.datetime.now(_CHINA).strftime("%Y%m%d")


@functools.cache
def _days_off() -> frozenset[str]:
    """Every row, also the holidays that took no weekday."""
    text = files("tickengine").joinpath("data/holidays.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if line[:1] != "#")
    return frozenset(row["day"] for row in rows)


@functools.cache
def holidays() -> frozenset[str]:
    """Weekdays on which the exchanges do not trade."""
    return frozenset(day for day in _days_off() if _date(day).weekday() < 5)


@functools.cache
def covered() -> tuple[str, str]:
    """First and last day of the years for which the holidays are known."""
    years = sorted({day[:4] for day in holidays()})
    return years[0] + "0101", years[-1] + "1231"


@functools.lru_cache(maxsize=4096)
def is_trading_day(day: str) -> bool:
    """Whether the exchanges trade on *day*. Outside `covered` only weekends are known not to be."""
    return day not in holidays() and _date(day).weekday() < 5


@functools.lru_cache(maxsize=4096)
def previous_trading_day(day: str) -> str | None:
    """The last trading day before *day*; None if it cannot be known (outside `covered`)."""
    return _step(day, -_ONE)


@functools.lru_cache(maxsize=4096)
def next_trading_day(day: str) -> str | None:
    """The first trading day after *day*; None if it cannot be known (outside `covered`)."""
    return _step(day, _ONE)


@functools.lru_cache(maxsize=4096)
def has_night_session(trading_day: str) -> bool | None:
    """Whether *trading_day* begins with a night session, on the evening of the trading day before it.

    It does unless a holiday lies between the two: the exchanges hold no night session on the last evening
    before a holiday, while an ordinary weekend does not count as one. From 2020-02-03 to 2020-05-06 no
    trading day had one.

    Returns:
        None if it cannot be known (outside `covered`); False for a day that is no trading day.
    """
    if not is_trading_day(trading_day) or _NO_NIGHTS[0] <= trading_day <= _NO_NIGHTS[1]:
        return False
    at, first = _date(trading_day), covered()[0]
    if not first <= trading_day <= covered()[1]:
        return None
    while True:
        at -= _ONE
        text = at.strftime("%Y%m%d")
        if text in _days_off():
            return False
        if text < first:
            return None
        if at.weekday() < 5:
            return True


def _date(day: str) -> datetime.date:
    if len(day) != 8 or not (day.isascii() and day.isdigit()):
        raise ValueError(f"a day is YYYYMMDD, not {day!r}")
    return datetime.date(int(day[:4]), int(day[4:6]), int(day[6:]))


def _step(day: str, step: datetime.timedelta) -> str | None:
    at = _date(day)
    first, last = covered()
    while True:
        at += step
        text = at.strftime("%Y%m%d")
        if not first <= text <= last:
            return None
        if is_trading_day(text):
            return text
