"""Ticks made by hand, as the log would have them, and bars compared to the bit."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from tickengine.bars import BAR_DTYPE
from tickengine.tick import TICK_DTYPE

CHINA = datetime.timezone(datetime.timedelta(hours=8))
NS = 10**9


def ns(text: str) -> int:
    """``"2024-04-12 21:30:00.500"`` in China as nanoseconds of UTC."""
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=CHINA)
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (since // datetime.timedelta(microseconds=1)) * 1000


def text(time_ns: int) -> str:
    """The other way round, to the second."""
    return datetime.datetime.fromtimestamp(time_ns // NS, CHINA).strftime("%Y-%m-%d %H:%M:%S")


class Ticks:
    """Collects ticks; each instrument's numbers count up by themselves."""

    def __init__(self, instrument: str = "rb2405") -> None:
        self._instrument = instrument
        self._rows: list[dict[str, Any]] = []
        self._numbers: dict[str, int] = {}

    def add(self, at: str | int, price: float, volume: int, flags: int = 0, **more: Any) -> Ticks:
        """A tick at a time in China; ``missing``: so many of its instrument's before it are not here."""
        name = more.pop("instrument", self._instrument)
        number = self._numbers.get(name, -1) + 1 + more.pop("missing", 0)
        self._numbers[name] = number
        time = ns(at) if isinstance(at, str) else at
        row = {
            "InstrumentID": name.encode(),
            "ExchangeTime": time,
            "RecvTime": time + 3_000_000,
            "LastPrice": price,
            "BidPrice1": price - 1,
            "AskPrice1": price + 1,
            "Volume": volume,
            "Turnover": volume * price * 10,
            "OpenInterest": 1000.0 + volume,
            "InstrumentNumber": number,
            "Flags": flags,
        }
        self._rows.append({**row, **more})
        return self

    def repeat(self, flags: int) -> Ticks:
        """The newest one again."""
        row = dict(self._rows[-1])
        self._numbers[row["InstrumentID"].decode()] += 1
        self._rows.append({**row, "Flags": flags, "InstrumentNumber": row["InstrumentNumber"] + 1})
        return self

    def array(self) -> np.ndarray:
        """All of them."""
        found = np.zeros(len(self._rows), TICK_DTYPE)
        for n, row in enumerate(self._rows):
            for name, value in row.items():
                found[name][n] = value
        found["Stamp"] = np.arange(1, len(found) + 1)
        return found


def sort(bars: np.ndarray) -> np.ndarray:
    return bars[np.lexsort((bars["Start"], bars["Period"], bars["InstrumentID"]))]


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """Every field the same, to the bit; NaN is NaN."""
    assert len(found) == len(expected), (found[["Start", "BarVolume"]], expected[["Start", "BarVolume"]])
    for name in BAR_DTYPE.names or ():
        a, b = found[name], expected[name]
        if a.dtype.kind == "f":
            nan = np.isnan(a) & np.isnan(b)
            a, b = np.where(nan, 0, a).view(np.int64), np.where(nan, 0, b).view(np.int64)
        wrong = np.flatnonzero(a != b)
        assert not len(wrong), f"{name} of bar {wrong[0]}: {found[wrong[0]]} is not {expected[wrong[0]]}"
