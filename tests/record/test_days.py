"""The trading day of a tick, by the exchanges' rules."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from tickengine.record.days import split_days
from tickengine.tick import TICK_DTYPE

CHINA = datetime.timezone(datetime.timedelta(hours=8))


def rows(*ticks: tuple[str, str], received: str | None = None) -> np.ndarray:
    """``(TradingDay, exchange time)`` each."""
    array = np.zeros(len(ticks), TICK_DTYPE)
    for i, (day, text) in enumerate(ticks):
        array[i]["TradingDay"] = day.encode()
        array[i]["ExchangeTime"] = ns(text) if text else 0
        array[i]["RecvTime"] = ns(received or text)
    return array


def ns(text: str) -> int:
    return int(datetime.datetime.strptime(text, "%Y%m%d %H:%M").replace(tzinfo=CHINA).timestamp()) * 10**9


def days(array: np.ndarray, current: str = "") -> list[tuple[str, int]]:
    return [(day, len(piece)) for day, piece in split_days(array, current)]


@pytest.mark.parametrize(
    ("field", "time", "day"),
    [
        ("20240412", "20240412 10:00", "20240412"),
        ("20240415", "20240412 21:30", "20240415"),  # SHFE and DCE on a Friday night
        ("20240412", "20240412 21:30", "20240415"),  # CZCE says the calendar day
        ("20240415", "20240413 01:30", "20240415"),  # SHFE after midnight
        ("20240412", "20240413 00:10", "20240415"),
        ("20240411", "20240411 21:30", "20240412"),
        ("", "20240412 21:30", "20240415"),
        ("19800100", "20240412 10:00", "20240412"),
        ("20991231", "20240412 10:00", "20240412"),  # no day lies that far ahead
        ("20240430", "20240430 22:00", "20240506"),  # before a holiday
        ("20391230", "20391230 22:00", "20400102"),  # beyond the calendar: the next weekday
    ],
)
def test_the_day_of_a_tick(field: str, time: str, day: str) -> None:
    assert days(rows((field, time))) == [(day, 1)]


def test_a_tick_without_a_time_goes_by_its_receipt() -> None:
    assert days(rows(("", ""), received="20240412 21:30")) == [("20240415", 1)]


def test_exchanges_that_disagree_at_night_stay_in_one_day() -> None:
    night = rows(*[(("20240415", "20240412")[i % 2], "20240412 21:30") for i in range(100)])
    assert days(night) == [("20240415", 100)]


def test_a_day_that_begins_within_a_batch() -> None:
    array = rows(("20240412", "20240412 15:00"), ("20240412", "20240412 15:00"), ("20240415", "20240412 20:59"))
    assert days(array) == [("20240412", 2), ("20240415", 1)]


def test_never_back() -> None:
    array = rows(("20240412", "20240412 15:00"), ("20240415", "20240415 09:00"), ("20240412", "20240412 15:00"))
    assert days(array, "20240412") == [("20240412", 1), ("20240415", 2)]
    assert days(array, "20240415") == [("20240415", 3)]
