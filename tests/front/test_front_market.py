"""Markets: the same ticks for the same arguments, and every member as promised."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickengine.front import DBL_MAX, TICK, Market, MarketSpec, NumberedMarket, RandomWalkMarket, clock
from tickengine.front.fields import TICK_FLOATS, TICK_INTS

IDS = ["rb2601", "IF2512", "i2601", "SR601", "sc2601"]
NIGHT = datetime(2026, 11, 20, 21, 0, 0, 700_000, clock.SHANGHAI)


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ([], "no instruments"),
        ([""], "is empty"),
        (["x" * 31], "31 bytes"),
        (["rb2601", "合约"], "ASCII"),
        (["rb 2601"], "ASCII"),
        (["a", "a"], "given twice"),
        ("rb2601", "list of ids"),
    ],
)
@pytest.mark.parametrize("kind", [NumberedMarket, RandomWalkMarket])
def test_bad_instruments_are_refused(kind: type[NumberedMarket], ids: list[str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        kind(ids)


@settings(max_examples=30)
@given(st.integers(0, 2**40), st.integers(1, 50), st.integers(0, 10**6))
def test_numbered_ticks_are_what_is_expected_of_their_numbers(start: int, count: int, seed: int) -> None:
    market = NumberedMarket(IDS, seed, action_day="20260104")
    ticks = market.batch(start, count)
    assert ticks.dtype == TICK
    expected = market.expected(np.arange(start, start + count))
    assert list(expected) == list(TICK.names or ())
    for name, column in expected.items():
        assert column.dtype.isnative
        np.testing.assert_array_equal(ticks[name], column, err_msg=name)


def test_numbered_formulas_by_hand() -> None:
    n, s = 1_234_567, 11
    tick = NumberedMarket(IDS, s, trading_day="20260106").batch(n, 1)[0]
    assert tick["InstrumentID"] == IDS[n % 5].encode()
    assert tick["ExchangeInstID"] == IDS[n % 5][::-1].encode()
    assert tick["Turnover"] == n
    assert tick["Volume"] == n
    assert tick["LastPrice"] == (n + s) / 4 + 1000
    assert tick["PreSettlementPrice"] == (n + s) / 4 + 2000
    assert tick["AveragePrice"] == (n + s) / 4 + 25_000
    assert tick["BidVolume1"] == n + s + 1000
    assert tick["AskVolume5"] == n + s + 10_000
    assert tick["UpdateMillisec"] == 567
    assert tick["UpdateTime"] == b"00:20:34"
    assert tick["TradingDay"] == tick["ActionDay"] == b"20260106"


def test_numbered_members_of_a_tick_differ() -> None:
    tick = NumberedMarket(IDS).batch(10**7, 1)[0]
    floats = [tick[name].item() for name in TICK_FLOATS]
    ints = [tick[name].item() for name in TICK_INTS]
    assert len(set(floats)) == len(floats) == 26
    assert len(set(ints)) == len(ints) == 12


def test_numbered_indices_name_the_instruments() -> None:
    market = NumberedMarket(IDS)
    ids = market.batch(3, 20)["InstrumentID"]
    assert [IDS[k].encode() for k in market.indices(3, 20)] == ids.tolist()


def test_random_walk_is_the_same_for_the_same_seed() -> None:
    def ticks(seed: int) -> bytes:
        return RandomWalkMarket(IDS, seed, start=NIGHT).batch(0, 500).tobytes()

    assert ticks(3) == ticks(3)
    assert ticks(3) != ticks(4)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), max_size=8))
def test_random_walk_numbers_do_not_depend_on_how_they_are_asked_for(asked: list[tuple[int, int]]) -> None:
    whole = RandomWalkMarket(IDS, 1, start=NIGHT).batch(0, 400)
    market = RandomWalkMarket(IDS, 1, start=NIGHT)
    for start, count in asked:
        assert market.batch(start, count).tobytes() == whole[start : start + count].tobytes()


def test_random_walk_is_believable() -> None:
    market = RandomWalkMarket(IDS, 5, start=NIGHT)
    ticks = market.batch(0, 5000)
    for name in IDS:
        mine = ticks[ticks["InstrumentID"] == name.encode()]
        assert len(mine) > 100
        assert (np.diff(mine["Volume"].astype(np.int64)) >= 0).all()
        assert (np.diff(mine["Turnover"].astype(np.float64)) >= 0).all()
        assert (mine["LowestPrice"] <= mine["LastPrice"]).all()
        assert (mine["LastPrice"] <= mine["HighestPrice"]).all()
        assert (mine["LowerLimitPrice"] <= mine["LowestPrice"]).all()
        assert (mine["HighestPrice"] <= mine["UpperLimitPrice"]).all()
        bid, ask = mine["BidPrice1"], mine["AskPrice1"]
        both = (bid < DBL_MAX) & (ask < DBL_MAX)
        assert both.any()
        assert (bid[both] < ask[both]).all()
        assert (mine["ClosePrice"] == DBL_MAX).all()
        assert len(set(mine["OpenPrice"].tolist())) == 1


def test_random_walk_levels_by_exchange() -> None:
    ticks = RandomWalkMarket(IDS, start=NIGHT).batch(0, 5)
    assert ticks["ExchangeID"].tolist() == [b"SHFE", b"CFFEX", b"DCE", b"CZCE", b"INE"]
    deep = np.array([True, False, False, False, True])
    assert ((ticks["BidPrice5"] < DBL_MAX) == deep).all()
    assert ((ticks["AskVolume3"] > 0) == deep).all()
    assert (ticks["BidPrice1"] < DBL_MAX).all()


def test_random_walk_stamps_half_seconds_and_the_days_of_each_exchange() -> None:
    market = RandomWalkMarket(IDS, start=NIGHT)
    first, second = market.snapshot(), market.snapshot()
    assert len(first) == len(IDS)
    assert set(first["UpdateTime"].tolist()) == {b"21:00:00"}
    assert set(first["UpdateMillisec"].tolist()) == {500}
    assert set(second["UpdateTime"].tolist()) <= {b"21:00:01"}
    assert market.trading_day == "20261123"
    days = {t["ExchangeID"]: (t["TradingDay"], t["ActionDay"]) for t in first}
    assert days[b"SHFE"] == (b"20261123", b"20261120")
    assert days[b"DCE"] == (b"20261123", b"20261123")
    assert days[b"CZCE"] == (b"20261120", b"20261120")


def test_random_walk_snapshot_takes_the_time_it_is_told() -> None:
    market = RandomWalkMarket(["rb2601"], changing=1.0)
    at = datetime(2026, 11, 23, 1, 2, 3, tzinfo=timezone(timedelta(0)))
    tick = market.snapshot(at)[0]
    assert (tick["ActionDay"], tick["UpdateTime"], tick["UpdateMillisec"]) == (b"20261123", b"09:02:03", 0)


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (datetime(2026, 11, 20, 15, 0), "20261120"),
        (datetime(2026, 11, 20, 21, 0), "20261123"),
        (datetime(2026, 11, 21, 1, 0), "20261123"),
        (datetime(2026, 11, 22, 12, 0), "20261123"),
        (datetime(2026, 11, 23, 0, 30), "20261123"),
        (datetime(2026, 11, 23, 20, 30), "20261124"),
    ],
)
def test_trading_day(at: datetime, day: str) -> None:
    assert clock.trading_day(at) == day


@pytest.mark.parametrize("day", ["", "2026", "20261301", "2026-1-1", "２０２６０１０１"])
def test_bad_trading_days_are_refused(day: str) -> None:
    with pytest.raises(ValueError, match="YYYYMMDD"):
        NumberedMarket(IDS, trading_day=day)


def test_market_spec_builds_both_kinds() -> None:
    numbered: Market = MarketSpec(IDS, trading_day="20260107").build()
    walk = MarketSpec(IDS, "random-walk", seed=2, start=NIGHT).build()
    assert isinstance(numbered, NumberedMarket)
    assert numbered.trading_day == "20260107"
    assert isinstance(walk, RandomWalkMarket)
