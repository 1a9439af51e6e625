"""Moments of a trading day as people write them, and as nanoseconds since 1970 UTC."""

from __future__ import annotations

import datetime
import re

from .. import trading_calendar
from .._errors import ConfigError

_CHINA = datetime.timezone(datetime.timedelta(hours=8))
_EVENING, _MORNING = 18, 6  # hours: docs/data.md, "The date"
_TIME = re.compile(
    r"(?:(?P<year>\d{4})-?(?P<month>\d\d)-?(?P<day>\d\d)[ T])?"
    r"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?)?",
    re.ASCII,
)

Time = str | datetime.time | datetime.datetime
"""``"09:30"``, ``"21:00:00.5"``, ``"2026-01-05 09:30:00"``, ``"20260105 09:30"``, or an object: China time."""


def checked_time(value: Time | None, name: str) -> datetime.time | datetime.datetime | None:
    """*value* taken apart. `ConfigError` names the argument."""
    if value is None or isinstance(value, (datetime.time, datetime.datetime)):
        return value
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None:
        micros = int((match["fraction"] or "").ljust(6, "0"))
        try:
            clock = datetime.time(int(match["hour"]), int(match["minute"]), int(match["second"] or 0), micros)
            if match["year"] is None:
                return clock
            day = datetime.date(int(match["year"]), int(match["month"]), int(match["day"]))
            return datetime.datetime.combine(day, clock)
        except ValueError:
            pass
    raise ConfigError(f"{name} must be a time such as 09:30:00, or 2026-01-05 09:30:00 with its date, not {value!r}")


def moment(value: datetime.time | datetime.datetime, trading_day: str) -> int:
    """Nanoseconds since 1970 UTC. A time without a date is that of *trading_day*: an evening's lies on the trading
    day before it, the hours after midnight on the calendar day after that one."""
    if isinstance(value, datetime.time):
        value = datetime.datetime.combine(_date_of(value.hour, trading_day), value)
    if value.tzinfo is None:
        value = value.replace(tzinfo=_CHINA)
    since = value - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


def words(ns: int) -> str:
    """``2026-01-05 09:30:00.500``, China time."""
    at = datetime.datetime.fromtimestamp(ns // 1_000_000_000, _CHINA)
    return f"{at:%Y-%m-%d %H:%M:%S}.{ns // 1_000_000 % 1000:03d}"


def _date_of(hour: int, trading_day: str) -> datetime.date:
    day = datetime.datetime.strptime(trading_day, "%Y%m%d").date()
    if _MORNING <= hour < _EVENING:
        return day
    known = trading_calendar.previous_trading_day(trading_day)
    if known is not None:
        before = datetime.datetime.strptime(known, "%Y%m%d").date()
    else:
        before = day - datetime.timedelta(days={0: 3, 6: 2}.get(day.weekday(), 1))
    return before if hour >= _EVENING else before + datetime.timedelta(days=1)
