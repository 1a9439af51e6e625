"""Every second of a trading day is in the bar that the exchange's hours say, for every product."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import NS, ns

from tickengine.bars.grid import (
    BEFORE,
    OUTSIDE,
    Grid,
    _previous,
    any_hour_of,
    date_text,
    grid_of,
    trading_day_of,
    trading_hours,
)
from tickengine.products import Product, product_table
from tickengine.trading_calendar import has_night_session, is_trading_day, next_trading_day, previous_trading_day

PRODUCTS = [p for p in product_table("20240412") if "_" not in p.ProductID and p.Since < "20230901"]
EPOCH = datetime.date(1970, 1, 1)


def number(day: str) -> int:
    return (datetime.datetime.strptime(day, "%Y%m%d").date() - EPOCH).days


DAYS = [
    day
    for n in range(500)
    if is_trading_day(day := (datetime.date(2023, 9, 1) + datetime.timedelta(n)).strftime("%Y%m%d"))
]


def _dashes(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"


def at(day: str, second: int, millisec: int) -> int:
    """A second of a trading day: the evening's are of the day before, the early ones of the day after that."""
    before = datetime.datetime.strptime(previous_trading_day(day) or "", "%Y%m%d")
    date = before if second >= 18 * 3600 else before + datetime.timedelta(1)
    if 6 * 3600 <= second < 18 * 3600:
        date = datetime.datetime.strptime(day, "%Y%m%d")
    return ns(date.strftime("%Y-%m-%d 00:00:00")) + second * NS + millisec * 1_000_000


EDGES = sorted(
    {edge + d for p in PRODUCTS for s in p.Sessions + p.Auctions for edge in (s.start, s.end) for d in (-1, 0, 1)}
)


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(PRODUCTS),
    st.sampled_from(DAYS),
    st.integers(0, 86399) | st.sampled_from([edge % 86400 for edge in EDGES]),
    st.integers(0, 999),
)
def test_a_moment_is_in_the_bar_of_its_minute(product: Product, day: str, second: int, millisec: int) -> None:
    year = day[3:4] if product.ExchangeID == "CZCE" else day[2:4]
    hours, found = trading_hours(f"{product.ProductID}{year}12".encode(), number(day), False)
    assert found is not None and found.ProductID == product.ProductID
    moment = at(day, second, millisec)
    assert date_text(trading_day_of(moment)) == day
    grid = grid_of(hours, 60, "clock")
    slot, since, until = grid.find(moment)
    assert since <= moment < until and grid.find_many(np.array([moment])).tolist() == [slot]
    sessions, auctions = found.sessions_on(day), found.auctions_on(day)
    if any(s.start <= second < s.end for s in sessions):
        assert grid.starts[slot] == moment // (60 * NS) * 60 * NS and grid.ends[slot] == grid.starts[slot] + 60 * NS
    elif any(s.end % 86400 == second for s in sessions):
        assert grid.ends[slot] == at(day, second, 0)
    elif ahead := [s.end for s in auctions if s.start <= second < s.end]:
        assert grid.starts[slot] == at(day, ahead[0], 0)
    else:
        assert slot == (BEFORE if moment < grid.starts[0] else OUTSIDE)


@pytest.mark.parametrize("day", ["20240412", "20240415", "20240506", "20240408", "20241008", "20250205"])
@pytest.mark.parametrize("seconds", [1, 60, 900, 3600, 14400, 86400])
@pytest.mark.parametrize("align", ["clock", "session"])
def test_bars_cover_the_sessions_without_overlap(day: str, seconds: int, align: str) -> None:
    for name in (b"rb2405", b"au2406", b"IF2405", b"T2406", b"wr2405", b"SR409"):
        hours, product = trading_hours(name, number(day), False)
        assert product is not None
        assert (hours.sessions[0][0] < ns(_dashes(day) + " 06:00:00")) == (
            product.has_night and bool(has_night_session(day))
        )
        grid = Grid(hours, seconds, align)
        assert all(a < b for a, b in zip(grid.starts, grid.ends)) and grid.starts[0] == hours.sessions[0][0]
        assert all(end <= start for end, start in zip(grid.ends, grid.starts[1:]))
        assert grid.ends[-1] == hours.sessions[-1][1]
        traded = sum(end - start for start, end in hours.sessions)
        if align == "session" and seconds < 86400:
            assert len(grid.starts) == -(-traded // (seconds * NS))


def test_days_outside_the_calendar_know_weekends() -> None:
    friday = number("20350105")
    assert [date_text(d) for d in (trading_day_of(ns("2035-01-05 21:00:00")), _previous(friday + 3))] == [
        *("20350108", "20350105"),
    ]
    assert next_trading_day("20350105") is None and previous_trading_day("20350105") is None
    assert date_text(any_hour_of(friday + 3).day) == "20350108"


def test_weekends_belong_to_the_next_trading_day() -> None:
    assert {date_text(trading_day_of(ns(f"2024-04-{at}"))) for at in ("12 18:00:00", "13 12:00:00", "14 23:00:00")} == {
        "20240415"
    }
