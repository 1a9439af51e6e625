"""The table of rules in docs/bars.md, one test each. Both ways to build are asked, and must agree."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from making import NS, Ticks, assert_same, ns, sort, text

from tickengine import ConfigError, Tick, TickFlag
from tickengine.bars import BarBuilder, BarFlag, bars_array, compute, seconds_of

DAY = "2024-04-12 "
HELD = TickFlag.OUT_OF_ORDER | TickFlag.TIME_REPAIRED


def build(ticks: Ticks, period: str = "1m", until: int | None = None, **options: Any) -> np.ndarray:
    """Bars in order of their start, the same by either way."""
    builder = BarBuilder([period], **options)
    bars = sort(bars_array([*builder.take_many(ticks.array()), *builder.finish(until)]))
    assert_same(bars, sort(compute(ticks.array(), period, until=until, **options)))
    return bars


def left_out(ticks: Ticks, **options: Any) -> dict[str, int]:
    builder = BarBuilder(["1m"], **options)
    builder.take_many(ticks.array())
    return {reason: count for reason, count in builder.left_out.items() if count}


def starts(bars: np.ndarray) -> list[str]:
    return [text(int(start))[11:] for start in bars["Start"]]


def seen(day: str = DAY, instrument: str = "rb2405") -> Ticks:
    """A day that is seen from its beginning: the evening before."""
    return Ticks(instrument).add("2024-04-11 20:59:00", 3000.0, 0)


# ---- what a bar is made of ---------------------------------------------------------------------


def test_prices_are_those_of_trades_and_volume_is_a_difference() -> None:
    ticks = seen().add(DAY + "09:00:01", 3010.0, 10).add(DAY + "09:00:02", 3020.0, 30)
    ticks.add(DAY + "09:00:03", 2990.0, 31).add(DAY + "09:00:04", 3005.0, 40)
    ticks.add(DAY + "09:01:00", 3005.0, 40).add(DAY + "09:01:30", 3007.0, 45)
    first, second = build(ticks)
    assert [first[name] for name in ("OpenPrice", "HighPrice", "LowPrice", "LastPrice")] == [3010, 3020, 2990, 3005]
    assert (first["BarVolume"], first["Ticks"], first["DayVolume"]) == (40, 4, 40)
    assert first["BarTurnover"] == 40 * 3005.0 * 10 and first["BarSettlement"] == 3005.0
    # The tick at 09:01:00 is a quote: it opens the bar, not its price.
    assert (second["OpenPrice"], second["BarVolume"], second["Ticks"]) == (3007.0, 5, 2)
    assert second["Flags"] == BarFlag.UNFINISHED and second["OpenInterest"] == 1045.0
    assert (second["TradingDay"], second["UpdateTime"], second["ExchangeID"]) == (b"20240412", b"09:01:30", b"SHFE")
    assert (second["BidPrice1"], second["AskPrice1"]) == (3006.0, 3008.0)


def test_volume_is_bought_sold_or_unclear() -> None:
    ticks = seen().add(DAY + "09:00:01", 3000.0, 1, AskPrice1=3000.0)
    ticks.add(DAY + "09:00:02", 3000.0, 3, BidPrice1=3000.0).add(DAY + "09:00:03", 3000.0, 7)
    ticks.add(DAY + "09:00:04", 3000.0, 15, AskPrice1=math.nan, BidPrice1=3000.0)
    (bar,) = build(ticks)
    assert [bar[name] for name in ("BVolume", "SVolume", "FVolume", "BarVolume")] == [1, 10, 4, 15]


def test_czce_has_its_average_without_the_multiplier() -> None:
    ticks = seen(instrument="SR409").add(DAY + "09:00:01", 6000.0, 5, Turnover=30000.0)
    assert build(ticks)["BarSettlement"].tolist() == [6000.0]


# ---- sessions ----------------------------------------------------------------------------------


def test_auction_is_in_the_first_bar_as_unclear_volume() -> None:
    ticks = Ticks().add("2024-04-11 20:59:00.500", 3000.0, 70, AskPrice1=3000.0).add("2024-04-11 21:00:10", 3001.0, 80)
    (bar,) = build(ticks)
    assert text(int(bar["Start"])) == "2024-04-11 21:00:00" and bar["OpenPrice"] == 3000.0
    assert (bar["BarVolume"], bar["FVolume"], bar["Flags"]) == (80, 80, BarFlag.UNFINISHED)
    # The second one, of the morning, at the exchanges that have it.
    assert starts(build(ticks.add(DAY + "08:59:00", 3002.0, 90)))[1:] == ["09:00:00"]


@pytest.mark.parametrize(
    ("clock", "start"),
    [("10:15:00.500", "10:14:00"), ("11:30:00", "11:29:00"), ("15:00:00.999", "14:59:00"), ("10:14:59", "10:14:00")],
)
def test_closing_second_is_in_the_last_bar(clock: str, start: str) -> None:
    assert starts(build(seen().add(DAY + clock, 3000.0, 5))) == [start]


@pytest.mark.parametrize(
    "clock", ["10:15:01", "10:29:59.999", "11:30:01", "13:29:59", "15:00:01", "17:59:59", "07:00:00"]
)
def test_out_of_hours_is_left_out_and_its_volume_is_in_the_next_bar(clock: str) -> None:
    ticks = seen().add(DAY + clock, 3000.0, 5)
    assert len(build(ticks)) == 0 and left_out(ticks) == {"out_of_hours": 1}
    if clock < "15":
        (bar,) = build(ticks.add(DAY + "14:00:00", 3001.0, 6))
        assert (bar["BarVolume"], bar["OpenPrice"]) == (6, 3001.0)


def test_each_product_has_its_own_hours() -> None:
    ticks = Ticks()
    for name in ("rb2405", "IF2405", "T2406", "au2406"):
        for clock in ("09:20:00", "10:20:00", "15:10:00"):
            ticks.add(DAY + clock, 3000.0, 5, instrument=name).add(DAY + clock, 3000.0, 6, instrument=name)
    bars = build(ticks)
    assert [(bar["InstrumentID"].decode(), text(int(bar["Start"]))[11:16]) for bar in bars] == [
        *(("IF2405", "10:20"), ("T2406", "10:20"), ("T2406", "15:10")),
        *(("au2406", "09:20"), ("rb2405", "09:20")),
    ]


def test_an_unknown_product_goes_by_the_clock() -> None:
    ticks = Ticks("what1").add(DAY + "12:00:00", 1.0, 1).add(DAY + "12:00:01", 2.0, 2)
    (bar,) = build(ticks)
    assert bar["Flags"] == BarFlag.NO_HOURS | BarFlag.PARTIAL | BarFlag.UNFINISHED and math.isnan(bar["BarSettlement"])


def test_any_hour_takes_ticks_of_all_hours() -> None:
    ticks = Ticks().add("2024-04-13 12:00:00", 1.0, 1).add("2024-04-13 12:00:01", 2.0, 2)
    assert len(build(ticks)) == 0
    assert build(ticks, any_hour=True)["BarVolume"].tolist() == [1]


# ---- trading days ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evening", "day"),
    [
        ("2024-04-11", "2024-04-12"),  # an ordinary one
        ("2024-04-12", "2024-04-15"),  # Friday's night is Monday's
        ("2024-04-03", "2024-04-08"),  # a holiday without a night: Thursday, Friday off
    ],
)
def test_day_bar_spans_the_night_before_it(evening: str, day: str) -> None:
    ticks = Ticks("au2406").add(evening + " 20:59:00", 500.0, 3).add(evening + " 23:59:59.500", 501.0, 10)
    ticks.add(f"{evening[:8]}{int(evening[8:]) + 1:02d} 02:29:59", 499.0, 20)
    ticks.add(day + " 09:00:00", 505.0, 30).add(day + " 15:00:00", 502.0, 33)
    bars = build(ticks, "1d")
    if evening == "2024-04-03":
        assert left_out(ticks) == {"out_of_hours": 3}
        expected = (f"{day} 09:00:00", 33, 505.0, 502.0)
    else:
        expected = (f"{evening} 21:00:00", 33, 500.0, 499.0)
    (bar,) = bars
    assert (text(int(bar["Start"])), bar["BarVolume"], bar["OpenPrice"], bar["LowPrice"]) == expected
    assert text(int(bar["End"])) == f"{day} 15:00:00" and bar["LastPrice"] == 502.0
    assert bar["TradingDay"].decode() == day.replace("-", "") and bar["Flags"] == 0


def test_volume_begins_anew_with_the_trading_day() -> None:
    ticks = seen().add(DAY + "14:59:59", 3000.0, 500).add("2024-04-12 21:00:01", 3000.0, 7)
    assert build(ticks)["BarVolume"].tolist() == [500, 7]


# ---- periods -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "align", "expected"),
    [
        ("1h", "clock", ["09:00", "10:00", "11:00", "13:30", "14:00"]),
        ("1h", "session", ["09:00", "10:00", "11:15", "14:15"]),
        ("30m", "clock", ["09:00", "09:30", "10:00", "10:30", "11:00", "13:30", "14:00", "14:30"]),
        ("30m", "session", ["09:00", "09:30", "10:00", "10:45", "11:15", "13:45", "14:15", "14:45"]),
        ("2h", "clock", ["09:00", "10:00", "13:30", "14:00"]),
        ("2h", "session", ["09:00", "11:15"]),
    ],
)
def test_bars_begin_by_the_clock_or_by_the_sessions_own_time(period: str, align: str, expected: list[str]) -> None:
    ticks = Ticks("wr2405")  # no night
    for minute in range(9 * 60, 15 * 60):
        ticks.add(f"{DAY}{minute // 60:02d}:{minute % 60:02d}:00", 3000.0, minute)
    bars = build(ticks, period, align=align)  # with two closing seconds, of 10:15 and 11:30
    assert [start[:5] for start in starts(bars)] == expected
    assert bars["Ticks"].sum() == 225 + 2 and text(int(bars["End"][-1])) == DAY + "15:00:00"


@pytest.mark.parametrize("wrong", ["", "0m", "7m", "1w", "m", -5, 1.5, "2d", True, None, "１m"])
def test_wrong_periods_are_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="period"):
        seconds_of(wrong)


# ---- ticks that are not as they should be ------------------------------------------------------


def test_a_tick_without_time_or_price_is_left_out() -> None:
    ticks = seen().add(0, 3000.0, 5).add(DAY + "09:00:01", math.nan, 5)
    assert len(build(ticks)) == 0 and left_out(ticks) == {"no_time": 1, "no_price": 1}


def test_a_tick_of_the_past_is_left_out_and_its_volume_is_in_the_one_that_overtook_it() -> None:
    ticks = seen().add(DAY + "09:00:02", 3000.0, 5).add(DAY + "09:00:01", 9000.0, 3)
    ticks.add(DAY + "09:00:02", 9000.0, 4, HELD).add(DAY + "09:00:02", 9000.0, 4).add(DAY + "09:00:03", 3001.0, 6)
    (bar,) = build(ticks)
    assert (bar["BarVolume"], bar["HighPrice"], bar["Ticks"]) == (6, 3001.0, 2)
    assert left_out(ticks) == {"disorder": 3}


def test_a_repeated_tick_is_not_counted() -> None:
    ticks = seen().add(DAY + "09:00:02", 3000.0, 5).repeat(TickFlag.DUPLICATE).repeat(TickFlag.DUPLICATE)
    assert build(ticks)["Ticks"].tolist() == [1] and left_out(ticks) == {"duplicate": 2}


def test_volume_that_falls_later_in_the_day_counts_anew() -> None:
    ticks = seen().add(DAY + "09:00:01", 3000.0, 50).add(DAY + "09:00:02", 3001.0, 10).add(DAY + "09:00:03", 3002.0, 12)
    (bar,) = build(ticks)
    assert bar["BarVolume"] == 52 and bar["Flags"] == BarFlag.VOLUME_RESTARTED | BarFlag.UNFINISHED
    assert bar["BarTurnover"] == 50 * 3000.0 * 10 + (12 * 3002.0 - 10 * 3001.0) * 10


def test_a_time_that_was_a_mistake_ends_its_bar_and_everything_begins_again() -> None:
    ticks = seen().add(DAY + "09:00:01", 3000.0, 5).add(DAY + "14:00:00", 3001.0, 6)
    ticks.add(DAY + "09:00:03", 3002.0, 9, TickFlag.OUT_OF_ORDER).add(DAY + "09:00:04", 3003.0, 11)
    first, second, wrong = build(ticks)
    assert (text(int(wrong["Start"]))[11:], wrong["Flags"]) == ("14:00:00", BarFlag.TIME_CORRECTED)
    assert (first["BarVolume"], second["BarVolume"], first["Start"]) == (5, 2, second["Start"])
    assert second["Flags"] == BarFlag.PARTIAL | BarFlag.UNFINISHED


# ---- gaps --------------------------------------------------------------------------------------


def test_the_middle_of_a_day_is_partial_and_begins_to_count_there() -> None:
    ticks = Ticks().add(DAY + "09:00:01", 3000.0, 5000).add(DAY + "09:00:02", 3001.0, 5003)
    ticks.add(DAY + "09:01:02", 3001.0, 5004)
    first, second = build(ticks)
    assert (first["BarVolume"], first["OpenPrice"], first["Flags"]) == (3, 3000.0, BarFlag.PARTIAL)
    assert second["Flags"] == BarFlag.UNFINISHED


def test_what_was_traded_while_the_connection_was_gone_is_in_the_first_bar_after() -> None:
    ticks = seen().add(DAY + "09:00:01", 3000.0, 5)
    ticks.add(DAY + "09:05:30", 3001.0, 105, TickFlag.SNAPSHOT, AskPrice1=3001.0).add(DAY + "09:06:00", 3001.0, 106)
    bars = build(ticks)
    assert bars["BarVolume"].tolist() == [5, 100, 1] and bars["FVolume"].tolist()[1] == 100
    assert bars["Flags"].tolist() == [0, BarFlag.GAP, BarFlag.UNFINISHED]


def test_a_login_before_the_day_begins_is_no_gap() -> None:
    ticks = seen().add(DAY + "15:00:00", 3000.0, 5).add(DAY + "15:00:00", 3000.0, 5, TickFlag.SNAPSHOT)
    ticks.add("2024-04-12 20:59:00", 3001.0, 3).add("2024-04-12 21:00:05", 3001.0, 4)
    assert [BarFlag(f) for f in build(ticks)["Flags"]] == [BarFlag(0), BarFlag.UNFINISHED]


def test_the_first_tick_of_all_is_no_gap_though_it_is_a_snapshot() -> None:
    ticks = Ticks().add("2024-04-11 20:59:00", 3000.0, 70, TickFlag.SNAPSHOT)
    assert [(bar["BarVolume"], bar["Flags"]) for bar in build(ticks)] == [(70, BarFlag.UNFINISHED)]


def test_ticks_that_were_lost_are_counted_in_the_bar() -> None:
    ticks = seen().add(DAY + "09:00:01", 3000.0, 5).add(DAY + "09:00:30", 3001.0, 50, missing=7, AskPrice1=3001.0)
    ticks.add(DAY + "09:01:00", 3001.0, 51)
    bars = build(ticks)
    assert bars["TicksLost"].tolist() == [7, 0] and bars["FVolume"][0] == 50
    assert bars["Flags"].tolist() == [BarFlag.TICKS_LOST, BarFlag.UNFINISHED]


def test_a_connection_that_breaks_marks_the_bars_that_are_open() -> None:
    builder = BarBuilder(["1m"])
    builder.take_many(seen().add(DAY + "09:00:01", 3000.0, 5).array())
    builder.interrupted()
    assert [bar.Flags for bar in builder.finish()] == [BarFlag.GAP | BarFlag.UNFINISHED]


# ---- ends --------------------------------------------------------------------------------------


def test_a_minute_without_trades_has_no_bar_or_a_flat_one() -> None:
    ticks = seen().add(DAY + "09:00:01", 3000.0, 5).add(DAY + "09:01:10", 3000.0, 5).add(DAY + "09:03:00", 3001.0, 6)
    assert starts(build(ticks)) == ["09:00:00", "09:03:00"]
    bars = build(ticks, flat=True)
    night = 2 * 60  # from 21:00 to 23:00, flat from the auction's tick on
    assert starts(bars)[night:] == ["09:00:00", "09:01:00", "09:02:00", "09:03:00"]
    assert bars["Ticks"].tolist()[night:] == [1, 1, 0, 1]
    assert all(bars["Flags"][night + 1 : night + 3] == BarFlag.FLAT)
    assert bars["LastPrice"].tolist()[night:] == [3000, 3000, 3000, 3001]
    assert build(ticks, flat=True, until=ns(DAY + "10:31:00"))["Start"].size == night + 76


def test_a_bar_ends_with_the_first_tick_of_a_later_one() -> None:
    builder = BarBuilder(["1m", "5m"])
    ticks = seen().add(DAY + "09:03:01", 3000.0, 5).add(DAY + "09:04:00", 3000.0, 6).add(DAY + "09:05:00", 3000.0, 7)
    ended = [[(bar.period, bar.BarVolume) for bar in builder.take_many(ticks.array()[n : n + 1])] for n in range(4)]
    assert ended == [[], [], [("1m", 5)], [("1m", 1), ("5m", 6)]]


def test_a_bar_ends_by_the_clock_and_the_grace() -> None:
    builder = BarBuilder(["1m", "1h"], grace=1.5)
    assert builder.advance(2**62) == [] and not builder.started
    array = seen().add(DAY + "14:59:50", 3000.0, 5).array()
    builder.take_many(array)
    received = int(array["RecvTime"][-1])
    assert builder.advance(received + 10 * NS + NS) == [] and builder.started
    assert [bar.period for bar in builder.advance(received + 11 * NS + NS // 2)] == ["1m", "1h"]
    assert builder.finish() == []


def test_one_time_from_the_future_ends_no_bar_of_others() -> None:
    ticks = seen().add(DAY + "09:00:01", 3000.0, 5).add(DAY + "09:00:02", 3000.0, 6).array()
    wrong = Ticks("au2406").add(DAY + "09:09:00", 500.0, 5, RecvTime=ns(DAY + "09:00:03")).array()
    builder = BarBuilder(["1m"])
    builder.take_many(ticks)
    builder.take_many(wrong)
    assert builder.advance(ns(DAY + "09:00:04")) == []
    assert [bar.BarVolume for bar in builder.advance(ns(DAY + "09:01:03"))] == [6]


def test_flat_bars_end_by_the_clock_one_after_another() -> None:
    builder = BarBuilder(["1m"], flat=True)
    array = seen(instrument="wr2405").add(DAY + "09:00:01", 3000.0, 5, instrument="wr2405").array()[1:]
    builder.take_many(array)
    received = int(array["RecvTime"][-1])
    bars = builder.advance(received + 186 * NS)
    assert [(bar.UpdateTime, bar.BarVolume, bar.Ticks) for bar in bars] == [
        *(("09:00:01", 5, 1), ("09:00:01", 0, 0), ("09:00:01", 0, 0)),
    ]


def test_a_late_tick_is_left_out_and_its_volume_is_in_the_next_bar_of_its_period() -> None:
    ticks = seen().add(DAY + "09:00:01", 3000.0, 5).array()
    late = seen().add(DAY + "09:00:58", 9000.0, 8).add(DAY + "09:01:01", 3001.0, 9).array()[1:]
    late["InstrumentNumber"] += 1
    builder = BarBuilder(["1m", "5m"])
    builder.take_many(ticks)
    (bar,) = builder.advance(int(ticks["RecvTime"][-1]) + 62 * NS)
    assert (bar.BarVolume, bar.HighPrice) == (5, 3000.0)
    builder.take_many(late)
    minute, five = sorted(builder.finish(), key=lambda bar: bar.Period)
    assert (minute.BarVolume, minute.FVolume, minute.HighPrice, minute.Ticks) == (4, 4, 3001.0, 1)
    assert minute.Flags == BarFlag.LATE_VOLUME | BarFlag.UNFINISHED
    assert minute.BarTurnover == 9 * 3001.0 * 10 - 5 * 3000.0 * 10
    assert (five.BarVolume, five.HighPrice, five.Flags) == (9, 9000.0, BarFlag.UNFINISHED)
    assert builder.left_out["late"] == 1


def test_what_late_ticks_say_is_said_by_the_next_bar() -> None:
    ticks = seen().add(DAY + "09:00:01", 3000.0, 5).add(DAY + "09:00:57", 3001.0, 50)
    ticks.add(DAY + "09:00:58", 3002.0, 10, missing=3).add(DAY + "09:00:59", 3003.0, 11, missing=2)
    array = ticks.add(DAY + "09:01:01", 3004.0, 13).array()
    builder = BarBuilder(["1m"])
    builder.take_many(array[:2])
    assert len(builder.advance(int(array["RecvTime"][1]) + 62 * NS)) == 1
    builder.take_many(array[2:])
    (bar,) = builder.finish()
    assert (bar.BarVolume, bar.FVolume, bar.TicksLost, bar.OpenPrice) == (48, 48, 5, 3004.0)
    assert bar.BarTurnover == pytest.approx((50 * 3001 - 5 * 3000 + 13 * 3004 - 10 * 3002) * 10)
    said = BarFlag.LATE_VOLUME | BarFlag.VOLUME_RESTARTED | BarFlag.TICKS_LOST | BarFlag.UNFINISHED
    assert bar.Flags == said and builder.left_out["late"] == 3


def test_what_is_open_at_the_end_is_unfinished_unless_its_time_is_over() -> None:
    ticks = seen().add(DAY + "14:59:50", 3000.0, 5)
    assert build(ticks)["Flags"].tolist() == [BarFlag.UNFINISHED]
    assert build(ticks, until=ns(DAY + "15:00:00"))["Flags"].tolist() == [0]
    assert build(ticks.add(DAY + "15:00:00.500", 3000.0, 5))["Flags"].tolist() == [0]


# ---- the builder -------------------------------------------------------------------------------


def test_one_tick_at_a_time_is_the_same_as_an_array() -> None:
    array = seen().add(DAY + "09:00:01", 3000.0, 5).add(DAY + "09:01:00", 3001.0, 9).array()
    one, many = BarBuilder(["1m"]), BarBuilder(["1m"])
    by_one = [bar for row in array for bar in one.take(Tick.from_buffer_copy(row.tobytes()))]
    assert by_one == many.take_many(array) and one.finish() == many.finish() and len(by_one) == 1


def test_periods_together_are_the_same_as_each_alone() -> None:
    ticks = Ticks()
    for n in range(400):
        ticks.add(ns(DAY + "09:00:00") + n * 13 * NS, 3000.0 + n % 7, n)
    both = BarBuilder(["1m", "15m", "1d"])
    bars = bars_array([*both.take_many(ticks.array()), *both.finish()])
    for period in ("1m", "15m", "1d"):
        assert_same(sort(bars[bars["Period"] == seconds_of(period)]), build(ticks, period))


def test_algoplus_fields_have_their_names() -> None:
    builder = BarBuilder(["1m"])
    builder.take_many(seen().add(DAY + "09:00:01", 3000.0, 5).array())
    (bar,) = builder.finish()
    assert list(bar.to_dict()) == list(bar.keys()) and bar["TradingDay"] == b"20240412"
    assert (bar.ClosePrice, bar.HighestPrice, bar.LowestPrice) == (bar["LastPrice"], bar["HighPrice"], bar["LowPrice"])
    assert (bar.Volume, bar.Turnover, bar.period, bar.start) == (5, 150000.0, "1m", ns(DAY + "09:00:00"))
    assert "open=3000.0" in repr(bar) and "UNFINISHED" in repr(bar)
    with pytest.raises(KeyError):
        bar["Flags"]
