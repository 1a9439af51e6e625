"""Ticks for other libraries: pandas and polars frames, Arrow tables, vn.py's ``TickData``.

Each library is imported when its function is called; without it the function raises `MissingPackage`, which
names what to install. Times come from the record's own nanoseconds, never from the vendor's texts: to put
``UpdateTime`` and ``UpdateMillisec`` together and parse that is how 5 ms became 500 ms elsewhere.
"""

from __future__ import annotations

import datetime
import importlib
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from ._errors import MissingPackage
from .instruments import parse_instrument
from .tick import RECORD_SIZE, TICK_DTYPE, VENDOR_FIELDS, Tick
from .words import decode

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow
    from vnpy.trader.object import TickData

SHANGHAI = "Asia/Shanghai"

TIMES = ("ExchangeTime", "RecvTime")
OWN_FIELDS = ("Sequence", *TIMES, "RecvMonotonic", "Flags")
"""The engine's own columns of a frame; they stand before the vendor's."""

COLUMNS = (*OWN_FIELDS, *(name for name in VENDOR_FIELDS if name != "ExchangeInstID"))
"""The columns of a frame. ``ExchangeInstID`` is not among them: it is kept once for each instrument
(`TickLog.instruments`), not in the record."""

Ticks = npt.NDArray[np.void] | Iterable[Tick]


def to_array(ticks: Ticks) -> npt.NDArray[np.void]:
    """A structured array of `TICK_DTYPE` from one, or from `Tick` objects (copied).

    Raises:
        TypeError: something in it is no tick, such as an event from a queue with ``events=True``.
    """
    if isinstance(ticks, np.ndarray):
        if ticks.dtype != TICK_DTYPE:
            raise TypeError(f"an array of ticks has TICK_DTYPE, not {ticks.dtype}")
        return ticks
    parts = []
    for tick in ticks:
        if not isinstance(tick, Tick):
            raise TypeError(f"{type(tick).__name__} is not a Tick: leave events out")
        parts.append(memoryview(tick).cast("B")[:RECORD_SIZE])
    return np.frombuffer(b"".join(parts), TICK_DTYPE)


def to_pandas(ticks: Ticks, tz: str = SHANGHAI) -> pandas.DataFrame:
    """A frame with a row for each tick and the columns `COLUMNS`.

    Times are ``datetime64[ns, tz]``, NaT where the exchange's is not known; texts are ``str``; absent prices
    are NaN.

    Args:
        ticks: a structured array, as `TickQueue.get_many` gives it, or `Tick` objects.
        tz: the zone in which times are shown: ``"Asia/Shanghai"``, ``"UTC"`` or any other.
    """
    pd = _need("pandas")
    columns = {
        name: pd.Series(pd.DatetimeIndex(values.view("M8[ns]")).tz_localize("UTC").tz_convert(tz))
        if name in TIMES
        else values
        for name, values in _columns(to_array(ticks))
    }
    frame: pandas.DataFrame = pd.DataFrame(columns)
    return frame


def to_polars(ticks: Ticks, tz: str = SHANGHAI) -> polars.DataFrame:
    """As `to_pandas`, for polars: times are ``Datetime("ns", tz)``, null where not known; texts ``String``."""
    pl = _need("polars")
    columns = []
    for name, values in _columns(to_array(ticks)):
        if name in TIMES:
            times = pl.Series(name, values.view("i8")).replace(_NO_TIME, None).cast(pl.Datetime("ns", "UTC"))
            columns.append(times.dt.convert_time_zone(tz))
        elif values.dtype == object:
            columns.append(pl.Series(name, values.tolist(), dtype=pl.String))
        else:
            columns.append(pl.Series(name, values))
    frame: polars.DataFrame = pl.DataFrame(columns)
    return frame


def to_arrow(ticks: Ticks, tz: str = SHANGHAI) -> pyarrow.Table:
    """As `to_pandas`, for Arrow: times are ``timestamp[ns, tz]``, null where not known; texts ``string``."""
    pa = _need("pyarrow", "parquet")
    columns = {}
    for name, values in _columns(to_array(ticks)):
        if name in TIMES:
            columns[name] = pa.array(values, pa.timestamp("ns", tz), mask=values == _NO_TIME)
        else:
            columns[name] = pa.array(values, pa.string()) if values.dtype == object else pa.array(values)
    table: pyarrow.Table = pa.table(columns)
    return table


def to_vnpy(tick: Tick, gateway_name: str = "tickengine", exchange: str = "") -> TickData:
    """vn.py's ``TickData`` of a tick.

    Absent prices are 0, as vn.py's own gateways give them. ``datetime`` is the exchange's time, ``localtime``
    the engine's receive time, both aware, in Asia/Shanghai, cut to microseconds. Where the exchange's time
    is not known, ``datetime`` is the receive time and ``extra`` is ``{"datetime": "RecvTime"}``.

    Args:
        tick: the tick.
        gateway_name: what stands in ``TickData.gateway_name``.
        exchange: the exchange, for a product that neither the tick nor the table of products places.

    Raises:
        MissingPackage: vnpy is not installed.
        ValueError: the exchange is not known, or vn.py has none of that name.
    """
    constant, objects = _need("vnpy.trader.constant", "vnpy"), _need("vnpy.trader.object", "vnpy")
    name = exchange or tick.ExchangeID or parse_instrument(tick.InstrumentID).ExchangeID
    try:
        at = constant.Exchange(name)
    except ValueError:
        raise ValueError(f"{tick.InstrumentID}: exchange {name!r} is not known to vn.py; give exchange=") from None
    received = _datetime(tick.RecvTime)
    values = {ours: _zero_if_absent(getattr(tick, theirs)) for ours, theirs in _VNPY_FIELDS.items()}
    result: TickData = objects.TickData(
        gateway_name=gateway_name,
        symbol=tick.InstrumentID,
        exchange=at,
        datetime=_datetime(tick.ExchangeTime) if tick.ExchangeTime else received,
        localtime=received,
        **values,
    )
    if not tick.ExchangeTime:
        result.extra = {"datetime": "RecvTime"}
    return result


_NO_TIME = np.iinfo(np.int64).min  # NaT
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)

_VNPY_FIELDS = {
    "volume": "Volume",
    "turnover": "Turnover",
    "open_interest": "OpenInterest",
    "last_price": "LastPrice",
    "limit_up": "UpperLimitPrice",
    "limit_down": "LowerLimitPrice",
    "open_price": "OpenPrice",
    "high_price": "HighestPrice",
    "low_price": "LowestPrice",
    "pre_close": "PreClosePrice",
    **{
        f"{side.lower()}_{what.lower()}_{level}": f"{side}{what}{level}"
        for level in range(1, 6)
        for side in ("Bid", "Ask")
        for what in ("Price", "Volume")
    },
}


def _need(module: str, package: str = "") -> Any:
    package = package or module
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as e:
        raise MissingPackage(f"{module} cannot be imported ({e}): pip install 'tickengine[{package}]'") from e


def _columns(array: npt.NDArray[np.void]) -> Iterable[tuple[str, npt.NDArray[Any]]]:
    """Name and values of each column; times as int64 with `_NO_TIME`, texts as objects."""
    for name in COLUMNS:
        if name == "Sequence":
            yield name, array["Stamp"].astype(np.int64) - 1
        elif name in TIMES:
            times = array[name].astype(np.int64)
            times[times == 0] = _NO_TIME
            yield name, times
        elif array[name].dtype.kind == "S":
            yield name, _texts(array[name])
        else:
            yield name, array[name].copy()


def _texts(values: npt.NDArray[Any]) -> npt.NDArray[np.object_]:
    """Each different text is decoded once."""
    different, where = np.unique(values, return_inverse=True)
    texts = np.array([decode(text.partition(b"\0")[0]) for text in different.tolist()] or [""], dtype=object)
    return texts[where]


def _datetime(ns: int) -> datetime.datetime:
    """Aware, in Asia/Shanghai. In whole microseconds: a float would not hold today's time that finely."""
    return (_EPOCH + datetime.timedelta(microseconds=ns // 1000)).astimezone(ZoneInfo(SHANGHAI))


def _zero_if_absent(value: float) -> float:
    return 0 if isinstance(value, float) and math.isnan(value) else value
