"""Trading days: golden days from the exchanges' notices, and what must hold for every day."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickengine.trading_calendar import (
    covered,
    has_night_session,
    holidays,
    is_trading_day,
    next_trading_day,
    previous_trading_day,
)

FIRST, LAST = (datetime.datetime.strptime(day, "%Y%m%d").date() for day in covered())
days = st.dates(FIRST, LAST).map(lambda d: d.strftime("%Y%m%d"))


def test_holidays_are_weekdays_of_whole_years() -> None:
    years = {day[:4] for day in holidays()}
    assert covered() == ("20150101", "20261231")
    assert years == {str(year) for year in range(2015, 2027)}
    for day in holidays():
        assert datetime.datetime.strptime(day, "%Y%m%d").weekday() < 5, day
    per_year = {year: sum(day[:4] == year for day in holidays()) for year in years}
    assert all(16 <= count <= 20 for count in per_year.values()), per_year


@pytest.mark.parametrize(
    ("day", "previous"),
    [
        ("20240415", "20240412"),  # a weekend
        ("20240219", "20240208"),  # Spring Festival, with the eve: a trading day elsewhere, none here
        ("20251009", "20250930"),  # National Day and Mid-Autumn
        ("20200203", "20200123"),  # the holiday that was prolonged
        ("20260105", "20251231"),
        ("20151228", "20151225"),
        ("20150907", "20150902"),  # the 2015 parade
    ],
)
def test_the_trading_day_before(day: str, previous: str) -> None:
    assert previous_trading_day(day) == previous
    assert next_trading_day(previous) == day


@pytest.mark.parametrize(
    ("day", "night"),
    [
        ("20240415", True),  # Friday evening belongs to Monday
        ("20240416", True),
        ("20240408", False),  # after Qingming, Thursday and Friday
        ("20240219", False),
        ("20251009", False),
        ("20150928", False),  # Mid-Autumn fell on the Sunday and took no weekday
        ("20200203", False),
        ("20200323", False),  # the epidemic
        ("20200506", False),
        ("20200507", True),
        ("20200508", True),
        ("20240414", False),  # a Sunday
        ("20240404", False),  # a holiday
        ("20270104", None),
        ("20140106", None),
    ],
)
def test_nights_before_a_holiday_are_not_held(day: str, night: bool | None) -> None:
    assert has_night_session(day) is night


def test_outside_the_covered_years_nothing_is_guessed() -> None:
    assert previous_trading_day("20150105") is None
    assert next_trading_day("20261231") is None
    assert previous_trading_day("20300610") is None
    assert is_trading_day("20300608") is False  # a Saturday all the same


@pytest.mark.parametrize("text", ["", "2024-04-15", "20241301", "２０２４０４１５", "2024041"])
def test_what_is_no_day_raises(text: str) -> None:
    with pytest.raises(ValueError):
        is_trading_day(text)


@given(days)
def test_previous_and_next_are_inverse_and_skip_no_trading_day(day: str) -> None:
    before, after = previous_trading_day(day), next_trading_day(day)
    if before is None or after is None:
        assert day[:4] in ("2015", "2026")
        return
    assert before < day < after
    assert is_trading_day(before) and is_trading_day(after)
    assert next_trading_day(before) == (day if is_trading_day(day) else after)
    assert previous_trading_day(after) == (day if is_trading_day(day) else before)


@given(days)
def test_a_weekend_working_day_never_trades(day: str) -> None:
    weekday = datetime.datetime.strptime(day, "%Y%m%d").weekday()
    assert is_trading_day(day) == (weekday < 5 and day not in holidays())
