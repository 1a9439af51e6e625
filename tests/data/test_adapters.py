"""Ticks as AlgoPlus's dict, as frames of pandas and polars, and as vn.py's TickData."""

from __future__ import annotations

import datetime
import importlib.util
import math
import sys
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from writing import Feed

from tickengine import TICK_DTYPE, Tick
from tickengine._errors import MissingPackage
from tickengine.adapters import COLUMNS, to_array, to_arrow, to_pandas, to_polars, to_vnpy

DBL_MAX = sys.float_info.max
SHANGHAI = ZoneInfo("Asia/Shanghai")

# What AlgoPlus 3.1's DepthMarketDataField has, without its two reserved fields.
TEXTS = {"TradingDay", "InstrumentID", "ExchangeID", "ExchangeInstID", "UpdateTime", "ActionDay"}
WHOLE = {"Volume", "UpdateMillisec", *(f"{side}Volume{n}" for side in ("Bid", "Ask") for n in range(1, 6))}
AMOUNTS = {"Turnover", "OpenInterest", "PreOpenInterest", "PreDelta", "CurrDelta"}
STATISTICS = ("Last", "PreSettlement", "PreClose", "Open", "Highest", "Lowest", "Close", "Settlement", "Average")
LIMITS = ("UpperLimit", "LowerLimit", "BandingUpper", "BandingLower")
PRICES = {f"{name}Price" for name in (*STATISTICS, *LIMITS)}
LEVELS = {f"{side}Price{n}" for side in ("Bid", "Ask") for n in range(1, 6)}


def needs(module: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{module} is not installed (pip install {module})")


def fill(feed: Feed) -> list[Tick]:
    """Three ticks: an ordinary one, one with absent prices and odd text, one whose time does not parse."""
    queue = feed.queue()
    feed.tick("rb2601", LastPrice=3150.0, Volume=7, UpdateMillisec=5, ExchangeInstID=b"RB")
    feed.tick("SP a2601&a2605", LastPrice=-35.0, OpenPrice=DBL_MAX, ExchangeID="大".encode("gb18030"))
    feed.tick("rb2601", LastPrice=DBL_MAX, UpdateTime=b"", TradingDay=b"", ActionDay=b"")
    return [queue.get() for _ in range(3)]


def changed(tick: Tick, **values: Any) -> Tick:
    """A copy with other values in fields of the record."""
    other = Tick.from_buffer_copy(tick)
    for name, value in values.items():
        setattr(other, name, value)
    return other


def ns(*moment: int) -> int:
    """Of a moment in China."""
    return int(datetime.datetime(*moment, tzinfo=SHANGHAI).timestamp()) * 10**9  # type: ignore[arg-type,misc]


# ---- AlgoPlus ------------------------------------------------------------------------------------


def test_the_dict_is_algopluss(feed: Feed) -> None:
    first = fill(feed)[0].to_dict()
    assert set(first) == TEXTS | WHOLE | AMOUNTS | PRICES | LEVELS
    for name, value in first.items():
        assert type(value) is (bytes if name in TEXTS else int if name in WHOLE else float), name
    assert (first["InstrumentID"], first["LastPrice"], first["UpdateMillisec"]) == (b"rb2601", 3150.0, 5)


def test_the_dict_belongs_to_its_user(feed: Feed) -> None:
    """AlgoPlus's recorder writes its decoded texts back into the dict that it was given."""
    tick = fill(feed)[0]
    values = tick.to_dict()
    for key in values.keys():  # noqa: SIM118 as that program has it
        values[key] = str(values[key])
    assert tick.to_dict()["LastPrice"] == 3150.0


# ---- pandas --------------------------------------------------------------------------------------


@needs("pandas")
def test_pandas_frame(feed: Feed) -> None:
    import pandas as pd

    ticks = fill(feed)
    frame = to_pandas(ticks)
    assert tuple(frame.columns) == COLUMNS
    assert list(frame["InstrumentID"]) == ["rb2601", "SP a2601&a2605", "rb2601"]
    assert list(frame["ExchangeID"]) == ["SHFE", "大", "SHFE"]
    assert list(frame["Sequence"]) == [t.Sequence for t in ticks]
    assert frame["LastPrice"].isna().tolist() == [False, False, True]
    assert frame["LastPrice"][1] == -35.0 and math.isnan(frame["OpenPrice"][1])
    assert str(frame["RecvTime"].dtype) == "datetime64[ns, Asia/Shanghai]"
    assert frame["RecvTime"][0].value == ticks[0].RecvTime  # to the nanosecond
    assert frame["ExchangeTime"][0] == pd.Timestamp("2026-01-05 09:30:00.005", tz="Asia/Shanghai")
    assert frame["ExchangeTime"].isna().tolist() == [False, False, True]
    for name in ("Volume", "BidVolume1", "UpdateMillisec", "RecvMonotonic"):
        assert frame[name].dtype.kind == "i", name


@needs("pandas")
def test_pandas_from_an_array_and_in_another_zone(feed: Feed) -> None:
    ticks = fill(feed)
    array = feed.log.read(0, 3)
    assert array.dtype == TICK_DTYPE
    frame = to_pandas(array, tz="UTC")
    assert str(frame["ExchangeTime"].dtype) == "datetime64[ns, UTC]"
    assert str(frame["ExchangeTime"][0]) == "2026-01-05 01:30:00.005000+00:00"
    assert to_pandas(array).equals(to_pandas(ticks))
    for part in (array, array[:1], to_array(ticks[:1])):  # the frame owns its data
        own = to_pandas(part)
        own.loc[0, "LastPrice"] = 0.0
        assert part["LastPrice"][0] == 3150.0


@needs("pandas")
def test_pandas_without_a_tick() -> None:
    frame = to_pandas([])
    assert tuple(frame.columns) == COLUMNS and len(frame) == 0
    assert str(frame["RecvTime"].dtype) == "datetime64[ns, Asia/Shanghai]"


# ---- polars --------------------------------------------------------------------------------------


@needs("polars")
def test_polars_frame(feed: Feed) -> None:
    import polars as pl

    ticks = fill(feed)
    frame = to_polars(ticks)
    assert tuple(frame.columns) == COLUMNS
    assert frame["InstrumentID"].to_list() == ["rb2601", "SP a2601&a2605", "rb2601"]
    assert frame["ExchangeID"].to_list() == ["SHFE", "大", "SHFE"]
    assert frame["InstrumentID"].dtype == pl.String
    assert frame.schema["RecvTime"] == pl.Datetime("ns", "Asia/Shanghai")
    assert frame["RecvTime"].dt.timestamp("ns").to_list() == [t.RecvTime for t in ticks]
    assert frame["ExchangeTime"].is_null().to_list() == [False, False, True]
    assert frame["ExchangeTime"].dt.millisecond()[0] == 5
    assert frame["ExchangeTime"].dt.hour()[0] == 9
    assert frame["LastPrice"].is_nan().to_list() == [False, False, True]
    assert to_polars(ticks, "UTC")["ExchangeTime"].dt.hour()[0] == 1
    assert frame.equals(to_polars(feed.log.read(0, 3)))
    assert to_polars([]).schema == frame.schema


# ---- vn.py ---------------------------------------------------------------------------------------


@needs("vnpy")
def test_vnpy_tick(feed: Feed) -> None:
    tick = fill(feed)[0]
    found = to_vnpy(changed(tick, OpenPrice=math.nan, BidPrice2=-1.5), "ctp")
    assert (found.vt_symbol, found.gateway_name) == ("rb2601.SHFE", "ctp")
    assert (found.last_price, found.volume, found.open_price, found.bid_price_2) == (3150.0, 7, 0, -1.5)
    assert found.datetime == datetime.datetime(2026, 1, 5, 9, 30, 0, 5000, SHANGHAI)
    assert found.datetime.tzinfo == SHANGHAI
    assert found.localtime is not None
    assert found.localtime.timestamp() == pytest.approx(tick.RecvTime / 1e9, abs=1e-5)


@needs("vnpy")
@pytest.mark.parametrize("millisec", [0, 5, 50, 500, 999])
def test_milliseconds_are_numbers_not_digits(feed: Feed, millisec: int) -> None:
    """vnpy_ctp PR #109: f"{UpdateTime}.{UpdateMillisec}" read with %f made 500 ms of 5, so DCE's ticks went
    out of order."""
    queue = feed.queue()
    feed.tick("m2605", UpdateTime=b"21:00:01", UpdateMillisec=millisec, ExchangeID=b"DCE")
    tick = changed(queue.get(), ExchangeTime=ns(2026, 1, 5, 21, 0, 1) + millisec * 10**6)
    assert to_vnpy(tick).datetime.microsecond == millisec * 1000


@needs("vnpy")
def test_vnpy_datetime_is_the_exchange_time_not_the_texts(feed: Feed) -> None:
    """The texts of a night tick carry the day after, or Monday; the record's ExchangeTime is the moment."""
    queue = feed.queue()
    feed.tick("m2605", TradingDay=b"20240415", ActionDay=b"20240415", UpdateTime=b"21:00:01")
    tick = changed(queue.get(), ExchangeTime=ns(2024, 4, 12, 21, 0, 1) + 123_456_789)
    assert to_vnpy(tick).datetime == datetime.datetime(2024, 4, 12, 21, 0, 1, 123456, SHANGHAI)


@needs("vnpy")
def test_vnpy_when_something_is_not_known(feed: Feed) -> None:
    """An empty ExchangeID (section "fields" of many fronts) is looked up; an unknown time is marked."""
    queue = feed.queue()
    feed.tick("m2605", ExchangeID=b"")
    feed.tick("zz2605", ExchangeID=b"")
    known, unknown = queue.get(), queue.get()
    assert to_vnpy(known).vt_symbol == "m2605.DCE"
    with pytest.raises(ValueError, match="zz2605.*exchange="):
        to_vnpy(unknown)
    assert to_vnpy(unknown, exchange="DCE").vt_symbol == "zz2605.DCE"
    timeless = to_vnpy(changed(known, ExchangeTime=0))
    assert timeless.datetime == timeless.localtime
    assert timeless.extra == {"datetime": "RecvTime"}
    assert not to_vnpy(known).extra


# ---- arrays and missing packages -----------------------------------------------------------------


def test_an_array_of_ticks(feed: Feed) -> None:
    ticks = fill(feed)
    array = to_array(iter(ticks))
    assert array.tobytes() == b"".join(bytes(t) for t in ticks)
    assert to_array(array) is array
    assert len(to_array([])) == 0
    with pytest.raises(TypeError, match="TICK_DTYPE"):
        to_array(np.zeros(3))


def test_events_are_refused_by_name(feed: Feed) -> None:
    queue = feed.queue(events=True)
    feed.event("front_connected")
    with pytest.raises(TypeError, match="Event is not a Tick"):
        to_array([queue.get()])


@pytest.mark.parametrize(("convert", "package"), [(to_pandas, "pandas"), (to_polars, "polars"), (to_vnpy, "vnpy")])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, convert: Any, package: str) -> None:
    for module in [m for m in sys.modules if m == package or m.startswith(package + ".")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)  # type: ignore[arg-type]
    with pytest.raises(MissingPackage, match=rf"pip install 'tickengine\[{package}\]'"):
        convert([] if package != "vnpy" else Tick())


def test_importing_the_adapters_imports_none_of_them() -> None:
    import subprocess

    code = "import sys, tickengine.adapters; print([m for m in ('pandas', 'polars', 'vnpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


# ---- Arrow ---------------------------------------------------------------------------------------


@needs("pyarrow")
def test_an_arrow_table_has_the_types_and_nulls_of_the_frames(feed: Feed) -> None:
    ticks = fill(feed)
    table = to_arrow(ticks)
    assert table.column_names == list(COLUMNS)
    types = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert (types["ExchangeTime"], types["RecvTime"]) == ("timestamp[ns, tz=Asia/Shanghai]",) * 2
    assert (types["Sequence"], types["InstrumentID"], types["LastPrice"], types["Volume"]) == (
        *("int64", "string", "double", "int32"),
    )
    rows = table.to_pydict()
    assert rows["InstrumentID"] == ["rb2601", "SP a2601&a2605", "rb2601"]
    assert rows["LastPrice"][:2] == [3150.0, -35.0] and math.isnan(rows["LastPrice"][2])
    assert table["ExchangeTime"].is_null().to_pylist() == [tick.ExchangeTime == 0 for tick in ticks]
    assert table["RecvTime"].cast("int64").to_pylist() == [tick.RecvTime for tick in ticks]
    empty = to_arrow(np.empty(0, TICK_DTYPE))
    assert empty.num_rows == 0 and empty.schema.names == table.schema.names


def test_without_pyarrow_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackage, match=r"tickengine\[parquet\]"):
        to_arrow([])
