"""Ticks made by hand, and a queue that gives them out and then says that it has ended."""

from __future__ import annotations

import math
import queue as stdlib_queue
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from tickengine import Closed

NS = 1_000_000_000
MORNING = 1_795_395_600 * NS  # 2026-11-23 09:00 in China


def tick(last: float, *, instrument: str = "rb2605", at: float = 0.0, volume: int = 0, **more: Any) -> SimpleNamespace:
    values = {
        "InstrumentID": instrument,
        "LastPrice": last,
        "BidPrice1": last - 1,
        "AskPrice1": last + 1,
        "UpperLimitPrice": math.nan,
        "LowerLimitPrice": math.nan,
        "Volume": volume,
        "Turnover": volume * last * 10,
        "OpenInterest": 100.0,
        "ExchangeTime": MORNING + int(at * NS),
        "RecvTime": MORNING + int(at * NS),
        "Flags": 0,
        "Kind": 0,
        "InstrumentNumber": 0,
    }
    return SimpleNamespace(**{**values, **more})


class Ticks:
    """A queue of these ticks."""

    def __init__(self, ticks: Iterable[Any]) -> None:
        self._ticks = list(ticks)

    def get(self, timeout: float | None = None) -> Any:
        if not self._ticks:
            raise Closed("no more")
        found = self._ticks.pop(0)
        if found is None:
            raise stdlib_queue.Empty
        return found

    def interrupt(self) -> None:
        raise AssertionError("paper trading has no news of its own")
