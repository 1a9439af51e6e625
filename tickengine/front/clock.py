"""The exchange's clock and calendar: China standard time, trading days by the weekday rule."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

SHANGHAI = timezone(timedelta(hours=8), "CST")
"""China has one zone and no summer time; a fixed offset needs no zone database."""

NIGHT_BEGINS_HOUR = 20
"""From this hour on a session belongs to the next trading day."""


def now() -> datetime:
    """The present time at the exchanges."""
    return datetime.now(SHANGHAI)


def trading_day(at: datetime) -> str:
    """The trading day (YYYYMMDD) that *at* belongs to; weekends are known, holidays are not."""
    day = at.date()
    # The night session that began on Friday runs into Saturday and belongs to Monday, as the rule gives.
    if at.hour >= NIGHT_BEGINS_HOUR:
        day += timedelta(days=1)
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return day.strftime("%Y%m%d")


def checked_day(text: str) -> str:
    """Return *text* when it is a date written YYYYMMDD.

    Raises:
        ValueError: it is not.
    """
    if len(text) == 8 and text.isascii() and text.isdigit():
        try:
            date(int(text[:4]), int(text[4:6]), int(text[6:]))
        except ValueError:
            pass
        else:
            return text
    raise ValueError(f"trading day '{text}': not a date of the form YYYYMMDD")
