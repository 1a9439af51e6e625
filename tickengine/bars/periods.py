"""How long bars are, and by what they begin."""

from __future__ import annotations

from collections.abc import Iterable

from .._errors import ConfigError

CLOCK, SESSION = "clock", "session"
ALIGNMENTS = (CLOCK, SESSION)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(period: str | int) -> int:
    """Seconds of a period: ``"30s"``, ``"5m"``, ``"1h"``, ``"1d"``, or a number of seconds.

    Raises:
        ConfigError: it is no such thing, or does not divide a day.
    """
    text = "" if isinstance(period, bool) else str(period)
    digits, unit = (text, "s") if text[-1:].isdigit() else (text[:-1], text[-1:])
    known = digits.isascii() and digits.isdigit() and digits[:1] != "0" and len(digits) < 7 and unit in _UNITS
    seconds = int(digits) * _UNITS[unit] if known else 0
    if seconds == 0 or 86400 % seconds:
        raise ConfigError(f"period {period!r} must be such as '30s', '5m', '1h' or '1d', and divide a day")
    return seconds


def period_text(seconds: int) -> str:
    """``"1m"`` for 60: the largest unit that fits."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"


def check_align(align: str) -> str:
    """*align* if it is an alignment, else `ConfigError`."""
    if align not in ALIGNMENTS:
        raise ConfigError(f"align must be {' or '.join(map(repr, ALIGNMENTS))}, not {align!r}")
    return align


def check_periods(periods: Iterable[str | int]) -> list[int]:
    """Their seconds. `ConfigError` for none, a wrong one, or one that is there twice."""
    given = [periods] if isinstance(periods, (str, int)) else list(periods)
    seconds = [seconds_of(period) for period in given]
    if not seconds:
        raise ConfigError("periods is empty: give at least one, such as '1m'")
    for n, one in enumerate(seconds):
        if one in seconds[:n]:
            raise ConfigError(f"periods has {period_text(one)!r} twice")
    return seconds
