"""The trading day that a tick belongs to.

The vendor's ``TradingDay`` says it, but at night CZCE's is the calendar day of the evening (``docs/data.md``): a
night belongs to the next trading day, at every exchange. What a front pushes on subscribing may be of an earlier
day than what came before it: a recording never goes back, so it stays in the day that has begun.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..trading_calendar import next_trading_day

_CHINA_S = 8 * 3600
_DAY_S = 86400
_NS = 1_000_000_000
_EVENING, _MORNING = 18 * 3600, 6 * 3600
_EPOCH = datetime.date(1970, 1, 1)
_LONGEST_CLOSURE = 15  # days; a day that is farther ahead of the clock is none

_BY_DAY = -1  # in place of the date of an evening


def split_days(rows: npt.NDArray[np.void], current: str) -> Iterator[tuple[str, npt.NDArray[np.void]]]:
    """*rows* in pieces of one trading day each, in order; none is before *current* (``""``: any)."""
    fields, times = rows["TradingDay"], rows["ExchangeTime"]
    half = _half(int(times.min()))
    if half == _half(int(times.max())) and times.all() and (fields == fields[0]).all():  # as a rule
        evening = _BY_DAY if half % 2 == 0 else half // 2
        received = (int(rows["RecvTime"][0]) // _NS + _CHINA_S) // _DAY_S
        day = max(current, trading_day(bytes(fields[0]), evening, received))
        yield day, rows
        return
    evenings, dates = _evenings(rows)
    changes = (evenings[1:] != evenings[:-1]) | (dates[1:] != dates[:-1]) | (fields[1:] != fields[:-1])
    begin = 0
    for at in [0, *(np.flatnonzero(changes) + 1).tolist()]:
        day = max(current, trading_day(bytes(fields[at]), int(evenings[at]), int(dates[at])))
        if day != current:
            if at > begin:
                yield current, rows[begin:at]
            begin, current = at, day
    yield current, rows[begin:]


def _half(time: int) -> int:
    """Counts days and nights: 2 n is the day of date n, 2 n + 1 the night that begins on it."""
    return (time // _NS + _CHINA_S - _MORNING) // (_DAY_S // 2)


def _evenings(rows: npt.NDArray[np.void]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each tick the date of the evening its night began on (`_BY_DAY`: it is no night tick), and the date
    on which it was received. Days since 1970 in China."""
    received = rows["RecvTime"]
    times = rows["ExchangeTime"]
    if not times.all():
        times = np.where(times == 0, received, times)
    local = times // _NS + _CHINA_S
    date, second = local // _DAY_S, local % _DAY_S
    evenings = np.where(second >= _EVENING, date, np.where(second < _MORNING, date - 1, _BY_DAY))
    return evenings, (received // _NS + _CHINA_S) // _DAY_S


@functools.lru_cache(maxsize=4096)
def trading_day(field: bytes, evening: int, received: int) -> str:
    """The day, YYYYMMDD.

    Args:
        field: the vendor's TradingDay.
        evening: the date on which the tick's night began, in days since 1970; -1: it is of the day.
        received: the date of its receipt, likewise.
    """
    stated = _stated(field, received)
    if evening == _BY_DAY:
        return stated or _text(received)
    if stated > _text(evening):
        return stated
    return _next(evening)


def _stated(field: bytes, received: int) -> str:
    """The field's day if it is one that can be."""
    text = field.decode("latin-1")
    try:
        date = datetime.date(int(text[:4]), int(text[4:6]), int(text[6:])) if len(text) == 8 else None
    except ValueError:
        return ""
    if date is None or date.year < 1990 or (date - _EPOCH).days > received + _LONGEST_CLOSURE:
        return ""
    return date.strftime("%Y%m%d")


def _text(days: int) -> str:
    return (_EPOCH + datetime.timedelta(days)).strftime("%Y%m%d")


def _next(evening: int) -> str:
    """The trading day after that date; beyond the calendar the next weekday."""
    known = next_trading_day(_text(evening))
    if known is not None:
        return known
    date = _EPOCH + datetime.timedelta(evening + 1)
    while date.weekday() >= 5:
        date += datetime.timedelta(1)
    return date.strftime("%Y%m%d")
