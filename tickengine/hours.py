"""Whether the exchanges trade just now, by the product and holiday tables."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from .products import EVENING, MORNING, Product
from .trading_calendar import covered, has_night_session, is_trading_day, next_trading_day

_CHINA = datetime.timezone(datetime.timedelta(hours=8))


def china_now() -> datetime.datetime:
    return datetime.datetime.now(_CHINA)


def open_for(products: Iterable[Product], at: datetime.datetime | None = None) -> float:
    """Seconds since the last of these products' sessions under way began; 0.0: none of them trades.

    Args:
        at: an aware time; default now.

    A session ends one second after its last: the tick of the closing second belongs to it. In years that the
    calendar does not cover every weekday counts as a trading day with a night session.
    """
    local = (at or china_now()).astimezone(_CHINA)
    second = local.hour * 3600 + local.minute * 60 + local.second + local.microsecond / 1e6
    day = local.date()
    if second < MORNING:
        trading_day, evening = _of_the_night(day - datetime.timedelta(days=1)), True
    elif second >= EVENING:
        trading_day, evening = _of_the_night(day), True
    else:
        text = day.strftime("%Y%m%d")
        trading_day, evening = (text if is_trading_day(text) else ""), False
    if not trading_day:
        return 0.0
    since = [
        second - session.start
        for product in products
        for session in product.sessions_on(trading_day)
        if evening == (session.start >= EVENING or session.end <= MORNING) and session.start < second < session.end + 1
    ]
    # The latest that began: who trades in that one alone has had no more time to send.
    return min(since, default=0.0)


def _of_the_night(evening: datetime.date) -> str:
    """The trading day whose night session begins on *evening*; ``""``: there is none."""
    text = evening.strftime("%Y%m%d")
    if not covered()[0] <= text <= covered()[1]:
        return text if evening.weekday() < 5 else ""
    if not is_trading_day(text):
        return ""
    following = next_trading_day(text)
    if following is None:  # the last evening that the calendar knows
        return text
    return following if has_night_session(following) else ""
