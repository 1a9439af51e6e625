"""How each exchange fills the day fields of a tick, stated once more and plainly: the tests' own truth."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from tickengine.trading_calendar import has_night_session, is_trading_day

CHINA = datetime.timezone(datetime.timedelta(hours=8))
DAY = datetime.timedelta(days=1)
NS = 10**9


def ns(moment: datetime.datetime) -> int:
    """A local moment as nanoseconds of UTC."""
    since = moment.replace(tzinfo=CHINA) - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (since // datetime.timedelta(microseconds=1)) * 1000


def local(text: str) -> int:
    """``"2024-04-12 21:30:00.500"`` in China as nanoseconds of UTC."""
    return ns(datetime.datetime.fromisoformat(text))


def date_of(day: str) -> datetime.date:
    return datetime.datetime.strptime(day, "%Y%m%d").date()


def text_of(day: datetime.date) -> str:
    return day.strftime("%Y%m%d")


TRADING_DAYS = [
    text_of(day)
    for n in range(3 * 366)
    if (day := datetime.date(2024, 1, 2) + n * DAY) < datetime.date(2027, 1, 1) and is_trading_day(text_of(day))
]


@dataclass(frozen=True)
class Moment:
    """A second of a trading day, where it lies on the calendar, and what an exchange writes for it."""

    trading_day: str
    second: int
    millisec: int

    @property
    def night(self) -> bool:
        return not 6 * 3600 <= self.second < 18 * 3600

    @property
    def real(self) -> bool:
        """False for a night that is not traded: the one before a holiday."""
        return not self.night or has_night_session(self.trading_day)

    @property
    def date(self) -> datetime.date:
        day = date_of(self.trading_day)
        if not self.night:
            return day
        before = day - DAY
        while not is_trading_day(text_of(before)):
            before -= DAY
        return before if self.second >= 18 * 3600 else before + DAY

    @property
    def time_ns(self) -> int:
        midnight = datetime.datetime.combine(self.date, datetime.time())
        return ns(midnight + datetime.timedelta(seconds=self.second, milliseconds=self.millisec))

    def fields(self, exchange: str, *, simnow: bool = False) -> dict[str, Any]:
        """The vendor's fields as that exchange fills them; SimNow does as SHFE for all."""
        date, day = text_of(self.date), self.trading_day
        if simnow or exchange in ("SHFE", "INE", "CFFEX"):
            days = (day, date)
        elif exchange in ("DCE", "GFEX"):
            days = (day, day)
        else:
            days = (date, date) if self.night else (day, day)
        return {
            "TradingDay": days[0].encode(),
            "ActionDay": days[1].encode(),
            "UpdateTime": f"{self.second // 3600:02}:{self.second // 60 % 60:02}:{self.second % 60:02}".encode(),
            "UpdateMillisec": self.millisec,
            "ExchangeID": b"",
        }
