"""One bar: the record of 448 bytes as Python sees it.

A bar has the head and the tail of a tick's record (`tickengine.tick`), so that a log can carry bars to many
readers as it carries ticks. `Bar` is one, `BAR_DTYPE` the numpy dtype of many.
"""

from __future__ import annotations

import ctypes as ct
import enum
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tick import RECORD_SIZE, TICK_DTYPE
from ..words import decode
from .periods import period_text

IS_BAR = 2  # Reserved0 of a bar; a tick has 0 there


class BarFlag(enum.IntFlag):
    """What ``Bar.Flags`` says about a bar. ``docs/bars.md`` has the exact rules."""

    GAP = 1 << 0
    """The connection was gone: what was traded meanwhile is in this bar, as unclear volume."""
    TICKS_LOST = 1 << 1
    """The builder did not get `TicksLost` ticks; their volume is in this bar, as unclear volume."""
    PARTIAL = 1 << 2
    """The builder came into the middle of the trading day: what was traded before is not in this bar."""
    LATE_VOLUME = 1 << 3
    """Volume of an earlier bar is in this one: its tick came after that bar had ended."""
    VOLUME_RESTARTED = 1 << 4
    """The day's volume fell in the middle of the day and was counted anew from there."""
    TIME_CORRECTED = 1 << 5
    """The exchange time of this bar's ticks was a mistake that later ticks corrected."""
    FLAT = 1 << 6
    """Nothing was traded: all prices are the last one before."""
    UNFINISHED = 1 << 7
    """Given out before its end, because the ticks ended."""
    NO_HOURS = 1 << 8
    """The bar follows the clock, without sessions: the product is not known, or ``any_hour`` was asked for."""


# AlgoPlus's fields, in its order; it gives texts as bytes.
ALGOPLUS_FIELDS: tuple[str, ...] = (
    "InstrumentID",
    "UpdateTime",
    "LastPrice",
    "HighPrice",
    "LowPrice",
    "OpenPrice",
    "BarVolume",
    "BarTurnover",
    "BarSettlement",
    "BVolume",
    "SVolume",
    "FVolume",
    "DayVolume",
    "DayTurnover",
    "DaySettlement",
    "OpenInterest",
    "TradingDay",
)

# name, numpy type, offset
_AT = {name: TICK_DTYPE.fields[name][1] for name in TICK_DTYPE.names or () if TICK_DTYPE.fields is not None}
BAR_FIELDS: list[tuple[str, str, int]] = [
    ("Stamp", "<u8", _AT["Stamp"]),
    ("RecvTime", "<i8", _AT["RecvTime"]),
    ("Instrument", "<u4", _AT["Instrument"]),
    ("Flags", "<u2", _AT["Flags"]),
    ("Kind", "u1", _AT["Kind"]),
    ("Reserved0", "u1", _AT["Reserved0"]),
    ("LastPrice", "<f8", _AT["LastPrice"]),
    ("BidPrice1", "<f8", _AT["BidPrice1"]),
    ("AskPrice1", "<f8", _AT["AskPrice1"]),
    ("DayVolume", "<i4", _AT["Volume"]),
    ("Ticks", "<i4", _AT["BidVolume1"]),
    ("TicksLost", "<i4", _AT["AskVolume1"]),
    ("UpdateMillisec", "<i4", _AT["UpdateMillisec"]),
    ("RecvMonotonic", "<i8", _AT["RecvMonotonic"]),
    ("ExchangeTime", "<i8", _AT["ExchangeTime"]),
    ("TickNumber", "<u8", _AT["TickNumber"]),
    ("InstrumentNumber", "<u8", _AT["InstrumentNumber"]),
    ("DayTurnover", "<f8", _AT["Turnover"]),
    ("OpenInterest", "<f8", _AT["OpenInterest"]),
    ("DaySettlement", "<f8", 112),
    ("OpenPrice", "<f8", 120),
    ("HighPrice", "<f8", 128),
    ("LowPrice", "<f8", 136),
    ("BarTurnover", "<f8", 144),
    ("BarSettlement", "<f8", 152),
    ("BarVolume", "<i8", 160),
    ("BVolume", "<i8", 168),
    ("SVolume", "<i8", 176),
    ("FVolume", "<i8", 184),
    ("Start", "<i8", 192),
    ("End", "<i8", 200),
    ("Period", "<u4", 208),
    ("TradingDay", "S9", _AT["TradingDay"]),
    ("ActionDay", "S9", _AT["ActionDay"]),
    ("UpdateTime", "S9", _AT["UpdateTime"]),
    ("ExchangeID", "S9", _AT["ExchangeID"]),
    ("InstrumentID", "S81", _AT["InstrumentID"]),
]

BAR_DTYPE: np.dtype[np.void] = np.dtype(
    {
        "names": [name for name, _, _ in BAR_FIELDS],
        "formats": [kind for _, kind, _ in BAR_FIELDS],
        "offsets": [offset for _, _, offset in BAR_FIELDS],
        "itemsize": RECORD_SIZE,
    }
)
"""A bar as numpy reads it, with the fields of `Bar`. Texts are bytes; ``Period`` is in seconds."""

_TEXTS = frozenset({"TradingDay", "ActionDay", "UpdateTime", "ExchangeID", "InstrumentID"})
_CTYPES: dict[str, Any] = {
    "<u8": ct.c_uint64,
    "<i8": ct.c_int64,
    "<u4": ct.c_uint32,
    "<i4": ct.c_int32,
    "<u2": ct.c_uint16,
    "u1": ct.c_uint8,
    "<f8": ct.c_double,
}


def _fields() -> list[tuple[str, Any]]:
    """With the gaps between them filled."""
    found: list[tuple[str, Any]] = []
    at = 0
    for name, kind, offset in BAR_FIELDS:
        if offset > at:
            found.append((f"_gap{at}", ct.c_char * (offset - at)))
        found.append(("_" + name if name in _TEXTS else name, _CTYPES.get(kind) or ct.c_char * int(kind[1:])))
        at = offset + np.dtype(kind).itemsize
    return [*found, (f"_gap{at}", ct.c_char * (RECORD_SIZE - at))]


class Bar(ct.Structure):
    """One bar. Its names are AlgoPlus's; prices are per unit as the ticks have them, amounts as `Turnover` has them.

    Attributes:
        InstrumentID, ExchangeID: ``ExchangeID`` is the product's, ``""`` for an unknown product.
        TradingDay: to which it belongs by the calendar, also at CZCE.
        ActionDay, UpdateTime, UpdateMillisec, ExchangeTime, RecvTime: of the last tick in it.
        OpenPrice, HighPrice, LowPrice, LastPrice: of what was traded in it.
        BidPrice1, AskPrice1, OpenInterest: at its end.
        BarVolume, BarTurnover: traded in it, in lots and in the unit of `Turnover`.
        BVolume, SVolume, FVolume: of that, by active buyers, by active sellers, and unclear.
        BarSettlement: its average price; NaN if nothing was traded or the multiplier is not known.
        DayVolume, DayTurnover, DaySettlement: of the trading day up to its end.
        Start, End: nanoseconds since 1970, UTC, of trading: breaks at its edges are left out.
        Period: seconds; `period` as text.
        Ticks: how many made it; TicksLost: how many are missing in it.
        Flags: a `BarFlag` as a number.
        Sequence: its number in the bars' log, -1 if it did not come from one.

    ``bar["BarVolume"]``, ``bar.keys()`` and `to_dict` give the mapping that AlgoPlus programs expect. The words
    of `tickengine.live` and of the vendor are there too: ``HighestPrice LowestPrice ClosePrice Volume Turnover``.
    """

    _fields_ = _fields()

    @property
    def Sequence(self) -> int:
        return self.Stamp - 1  # type: ignore[no-any-return]

    @property
    def InstrumentID(self) -> str:
        return decode(self._InstrumentID)

    @property
    def ExchangeID(self) -> str:
        return decode(self._ExchangeID)

    @property
    def TradingDay(self) -> str:
        return decode(self._TradingDay)

    @property
    def ActionDay(self) -> str:
        return decode(self._ActionDay)

    @property
    def UpdateTime(self) -> str:
        return decode(self._UpdateTime)

    @property
    def HighestPrice(self) -> float:
        return self.HighPrice  # type: ignore[no-any-return]

    @property
    def LowestPrice(self) -> float:
        return self.LowPrice  # type: ignore[no-any-return]

    @property
    def ClosePrice(self) -> float:
        return self.LastPrice  # type: ignore[no-any-return]

    @property
    def Volume(self) -> int:
        return self.BarVolume  # type: ignore[no-any-return]

    @property
    def Turnover(self) -> float:
        return self.BarTurnover  # type: ignore[no-any-return]

    @property
    def start(self) -> int:
        return self.Start  # type: ignore[no-any-return]

    @property
    def ticks(self) -> int:
        return self.Ticks  # type: ignore[no-any-return]

    @property
    def period(self) -> str:
        return period_text(self.Period)

    def __getitem__(self, name: str) -> Any:
        if name not in ALGOPLUS_FIELDS:
            raise KeyError(name)
        return getattr(self, "_" + name if name in _TEXTS else name)

    def keys(self) -> tuple[str, ...]:
        """AlgoPlus's field names, in its order."""
        return ALGOPLUS_FIELDS

    def to_dict(self) -> dict[str, Any]:
        """AlgoPlus's dict, texts as ``bytes``."""
        return {name: self[name] for name in ALGOPLUS_FIELDS}

    def __repr__(self) -> str:
        flags = BarFlag(self.Flags)
        said = f", {'|'.join(f.name or '' for f in BarFlag if f in flags)}" if flags else ""
        return (
            f"Bar({self.InstrumentID!r}, {self.period}, {self.TradingDay} {self.UpdateTime}, "
            f"open={self.OpenPrice!r}, high={self.HighPrice!r}, low={self.LowPrice!r}, last={self.LastPrice!r}, "
            f"volume={self.BarVolume}{said})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bar) and bytes(self) == bytes(other)

    def __hash__(self) -> int:
        return hash(bytes(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return bar_from_bytes, (bytes(self),)


def bar_from_bytes(message: bytes | bytearray | memoryview) -> Bar:
    """A `Bar` from a record's bytes: what pickled bars are made of."""
    return Bar.from_buffer_copy(message)


def bars_array(bars: Iterable[Bar]) -> npt.NDArray[np.void]:
    """Bars as an array of `BAR_DTYPE`, a copy."""
    return np.frombuffer(bytearray().join(bars), BAR_DTYPE)


assert ct.sizeof(Bar) == RECORD_SIZE
