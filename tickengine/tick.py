"""One tick, many ticks, and the events between them: the log's record as Python sees it.

`Tick` is a `ctypes.Structure` over the 448 bytes of a record, so reading a field costs what a C
struct access costs. `TICK_DTYPE` is the same record as a numpy dtype. Both repeat
``shim/src/layout.hpp``; a test compares them with what the shim says of itself.
"""

from __future__ import annotations

import ctypes as ct
import enum
import struct
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from .words import EVENT_NAMES, decode, event_text, remember, texts

RECORD_SIZE = 448
NO_INSTRUMENT = 0xFFFFFFFF
KIND_TICK, KIND_EVENT = 0, 1


class TickFlag(enum.IntFlag):
    """What ``Tick.Flags`` says about a tick. No flag removes a tick; ``TickQueue(skip=...)`` does.

    ``docs/data.md`` has the exact rules.
    """

    SNAPSHOT = 1 << 0
    """First tick of its instrument after a login or subscription: the state the front had, perhaps old."""
    BEFORE_OPEN = 1 << 1
    AUCTION = 1 << 2
    OUT_OF_SESSION = 1 << 3
    """Between two sessions of a trading day: 10:15 to 10:30, lunch, between the night and the morning."""
    AFTER_CLOSE = 1 << 4
    DUPLICATE = 1 << 5
    """Says exactly what the instrument's tick before it said."""
    OUT_OF_ORDER = 1 << 6
    """The exchange's time is before that of an earlier tick of the instrument."""
    VOLUME_DOWN = 1 << 7
    TURNOVER_DOWN = 1 << 8
    TIME_REPAIRED = 1 << 9
    """``ExchangeTime`` is not what the vendor's fields say."""
    TIME_MISSING = 1 << 10
    """``UpdateTime`` is no time: ``ExchangeTime`` is 0."""
    DAY_GUESSED = 1 << 11
    """The day of ``ExchangeTime`` rests on no rule, calendar or earlier tick."""
    UNKNOWN_PRODUCT = 1 << 12
    """No product rule: nothing is said about sessions."""
    REPLAYED = 1 << 13
    """From a recording (`tickengine.replay`), not from a front. ``RecvTime`` is when it was received first."""


_LEVELS = range(2, 6)

# name, numpy type; offsets follow from the order (the record has no gaps but the named ones)
RECORD_FIELDS: list[tuple[str, str]] = [
    ("Stamp", "<u8"),
    ("RecvTime", "<i8"),
    ("Instrument", "<u4"),
    ("Flags", "<u2"),
    ("Kind", "u1"),
    ("Reserved0", "u1"),
    ("LastPrice", "<f8"),
    ("BidPrice1", "<f8"),
    ("AskPrice1", "<f8"),
    ("Volume", "<i4"),
    ("BidVolume1", "<i4"),
    ("AskVolume1", "<i4"),
    ("UpdateMillisec", "<i4"),
    ("RecvMonotonic", "<i8"),
    ("ExchangeTime", "<i8"),
    ("TickNumber", "<u8"),
    ("InstrumentNumber", "<u8"),
    ("Turnover", "<f8"),
    ("OpenInterest", "<f8"),
    ("AveragePrice", "<f8"),
    ("PreSettlementPrice", "<f8"),
    *[(f"{side}Price{level}", "<f8") for level in _LEVELS for side in ("Bid", "Ask")],
    *[(f"{side}Volume{level}", "<i4") for level in _LEVELS for side in ("Bid", "Ask")],
    *[(name, "<f8") for name in ("PreClosePrice", "PreOpenInterest", "OpenPrice", "HighestPrice")],
    *[(name, "<f8") for name in ("LowestPrice", "ClosePrice", "SettlementPrice", "UpperLimitPrice")],
    *[(name, "<f8") for name in ("LowerLimitPrice", "PreDelta", "CurrDelta")],
    *[(name, "<f8") for name in ("BandingUpperPrice", "BandingLowerPrice")],
    ("TradingDay", "S9"),
    ("ActionDay", "S9"),
    ("UpdateTime", "S9"),
    ("ExchangeID", "S9"),
    ("InstrumentID", "S81"),
    ("Reserved1", "S3"),
]

_offsets: list[int] = []
for _name, _type in RECORD_FIELDS:
    _offsets.append(0 if not _offsets else _offsets[-1] + np.dtype(RECORD_FIELDS[len(_offsets) - 1][1]).itemsize)

TICK_DTYPE: np.dtype[np.void] = np.dtype(
    {
        "names": [name for name, _ in RECORD_FIELDS],
        "formats": [kind for _, kind in RECORD_FIELDS],
        "offsets": _offsets,
        "itemsize": RECORD_SIZE,
    }
)
"""A record as numpy reads it. Prices are NaN where the vendor sends DBL_MAX; texts are bytes.
``Sequence`` is ``Stamp - 1``."""

LATEST_SIZE = 128
LATEST_DTYPE: np.dtype[np.void] = np.dtype(
    [(name, kind) for (name, kind), at in zip(RECORD_FIELDS, _offsets) if at < LATEST_SIZE]
)
"""What `TickLog.latest_all` gives of a tick: `TICK_DTYPE` up to ``PreSettlementPrice``."""

# The vendor's own order of the fields, as its struct and AlgoPlus's dict have it.
VENDOR_FIELDS: tuple[str, ...] = (
    "TradingDay",
    "InstrumentID",
    "ExchangeID",
    "ExchangeInstID",
    "LastPrice",
    "PreSettlementPrice",
    "PreClosePrice",
    "PreOpenInterest",
    "OpenPrice",
    "HighestPrice",
    "LowestPrice",
    "Volume",
    "Turnover",
    "OpenInterest",
    "ClosePrice",
    "SettlementPrice",
    "UpperLimitPrice",
    "LowerLimitPrice",
    "PreDelta",
    "CurrDelta",
    "UpdateTime",
    "UpdateMillisec",
    *[f"{side}{what}{level}" for level in range(1, 6) for side in ("Bid", "Ask") for what in ("Price", "Volume")],
    "AveragePrice",
    "ActionDay",
    "BandingUpperPrice",
    "BandingLowerPrice",
)

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


def _ctype(kind: str) -> Any:
    return _CTYPES[kind] if kind in _CTYPES else ct.c_char * int(kind[1:])


class InstrumentNames(Protocol):
    """Who knows the texts that are not in the record itself."""

    def exchange_inst_id(self, index: int) -> bytes: ...


class Tick(ct.Structure):
    """One depth market data record.

    Attributes have the vendor's names and Python's types: prices and amounts ``float`` (NaN: absent),
    volumes ``int``, texts ``str``. The engine adds:

    Attributes:
        Sequence: number of the record in its log, from 0.
        RecvTime: when the vendor's callback began, ns since 1970, UTC.
        RecvMonotonic: the same moment on ``CLOCK_MONOTONIC`` (`time.monotonic_ns`), for latencies.
        ExchangeTime: when the exchange made it, ns since 1970, UTC: day, time and milliseconds by each
            exchange's rules (``docs/data.md``); never less than the instrument's before; 0 if unknown.
        Flags: a `TickFlag` as a number: what is worth knowing before the tick is used.
        TickNumber: ticks in the log before this one; InstrumentNumber: of this instrument.
        Instrument: index into the log's instrument table.

    ``tick["InstrumentID"]``, ``tick.keys()`` and `to_dict` give the mapping that AlgoPlus programs
    expect: vendor fields only, texts as ``bytes``.

    A tick from a queue stays valid as long as it is referenced. It can be pickled, copied and compared.
    """

    _fields_ = [  # texts get a leading underscore: the public name is a property that decodes
        ("_" + name if name in _TEXTS else name, _ctype(kind)) for name, kind in RECORD_FIELDS
    ]

    _names: InstrumentNames | None = None
    _exchange_inst_id: bytes | None = None

    @property
    def Sequence(self) -> int:
        return self.Stamp - 1  # type: ignore[no-any-return]

    @property
    def InstrumentID(self) -> str:
        try:
            return texts[self._InstrumentID]
        except KeyError:
            return remember(self._InstrumentID)

    @property
    def ExchangeID(self) -> str:
        try:
            return texts[self._ExchangeID]
        except KeyError:
            return remember(self._ExchangeID)

    @property
    def ExchangeInstID(self) -> str:
        return decode(self["ExchangeInstID"])

    @property
    def TradingDay(self) -> str:
        try:
            return texts[self._TradingDay]
        except KeyError:
            return remember(self._TradingDay)

    @property
    def ActionDay(self) -> str:
        try:
            return texts[self._ActionDay]
        except KeyError:
            return remember(self._ActionDay)

    @property
    def UpdateTime(self) -> str:
        return decode(self._UpdateTime)

    def __getitem__(self, name: str) -> Any:
        if name == "ExchangeInstID":
            if self._exchange_inst_id is None and self._names is not None:
                self._exchange_inst_id = self._names.exchange_inst_id(self.Instrument)
            return self._exchange_inst_id or b""
        if name not in _VENDOR_SET:
            raise KeyError(name)
        return getattr(self, "_" + name if name in _TEXTS else name)

    def __contains__(self, name: object) -> bool:
        return name in _VENDOR_SET

    def __iter__(self) -> Iterator[str]:
        return iter(VENDOR_FIELDS)

    def __len__(self) -> int:
        return len(VENDOR_FIELDS)

    def keys(self) -> tuple[str, ...]:
        """The vendor's field names, in the vendor's order."""
        return VENDOR_FIELDS

    def to_dict(self) -> dict[str, Any]:
        """AlgoPlus's dict: vendor field names and values, texts as ``bytes``, absent prices NaN."""
        # A dict that is there already is copied, and each value stored under its constant name, in the record's
        # order: half the time of dict(zip(...)), which has to grow a new dict.
        d = _new_dict()
        (
            d["LastPrice"],
            d["BidPrice1"],
            d["AskPrice1"],
            d["Volume"],
            d["BidVolume1"],
            d["AskVolume1"],
            d["UpdateMillisec"],
            d["Turnover"],
            d["OpenInterest"],
            d["AveragePrice"],
            d["PreSettlementPrice"],
            d["BidPrice2"],
            d["AskPrice2"],
            d["BidPrice3"],
            d["AskPrice3"],
            d["BidPrice4"],
            d["AskPrice4"],
            d["BidPrice5"],
            d["AskPrice5"],
            d["BidVolume2"],
            d["AskVolume2"],
            d["BidVolume3"],
            d["AskVolume3"],
            d["BidVolume4"],
            d["AskVolume4"],
            d["BidVolume5"],
            d["AskVolume5"],
            d["PreClosePrice"],
            d["PreOpenInterest"],
            d["OpenPrice"],
            d["HighestPrice"],
            d["LowestPrice"],
            d["ClosePrice"],
            d["SettlementPrice"],
            d["UpperLimitPrice"],
            d["LowerLimitPrice"],
            d["PreDelta"],
            d["CurrDelta"],
            d["BandingUpperPrice"],
            d["BandingLowerPrice"],
        ) = _numbers_of(self)
        d["TradingDay"] = self._TradingDay
        d["InstrumentID"] = self._InstrumentID
        d["ExchangeID"] = self._ExchangeID
        d["ExchangeInstID"] = self["ExchangeInstID"]
        d["UpdateTime"] = self._UpdateTime
        d["ActionDay"] = self._ActionDay
        return d

    def __repr__(self) -> str:
        return (
            f"Tick(Sequence={self.Sequence}, InstrumentID={self.InstrumentID!r}, LastPrice={self.LastPrice!r}, "
            f"BidPrice1={self.BidPrice1!r}, BidVolume1={self.BidVolume1}, AskPrice1={self.AskPrice1!r}, "
            f"AskVolume1={self.AskVolume1}, Volume={self.Volume}, "
            f"UpdateTime='{self.UpdateTime}.{self.UpdateMillisec:03d}')"
        )

    def _repr_html_(self) -> str:
        from . import _html

        return _html.tick(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tick) and bytes(self) == bytes(other)

    def __hash__(self) -> int:
        return hash(bytes(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return from_message, (bytes(self) + self["ExchangeInstID"].ljust(_EXCHANGE_INST_ID_SIZE, b"\0"),)

    def __copy__(self) -> Tick:
        other = Tick.from_buffer_copy(self)
        other._exchange_inst_id = self["ExchangeInstID"]
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> Tick:
        return self.__copy__()


_VENDOR_SET = frozenset(VENDOR_FIELDS)
_EXCHANGE_INST_ID_SIZE = 88
_STRUCT_CODES = {"<u8": "Q", "<i8": "q", "<u4": "I", "<i4": "i", "<u2": "H", "u1": "B", "<f8": "d"}
_numbers_of = struct.Struct(
    "<"
    + "".join(
        _STRUCT_CODES[kind] if name in _VENDOR_SET and name not in _TEXTS else f"{np.dtype(kind).itemsize}x"
        for name, kind in RECORD_FIELDS
    )
).unpack_from
_new_dict = dict[str, Any].fromkeys(VENDOR_FIELDS).copy


def from_message(message: bytes | bytearray | memoryview) -> Tick:
    """A `Tick` from a record's bytes, with or without the ExchangeInstID (88 bytes) behind them.

    This is what pickled ticks and the messages in a faster-fifo queue are made of.
    """
    tick = Tick.from_buffer_copy(message)
    tick._exchange_inst_id = bytes(message[RECORD_SIZE:]).rstrip(b"\0")
    return tick


def message_frame(make: Callable[..., Any] = from_message) -> tuple[bytes, bytes]:
    """What stands before and behind the message so that `pickle.loads` of the whole is a `Tick`, or what else
    *make*, a function of a module, makes of it.

    A faster-fifo consumer unpickles every message unless told otherwise. Framed like this, raw record
    bytes written by C++ come out as ticks whatever the consumer knew when its queue was made.
    Opcodes: PROTO 4, two SHORT_BINUNICODE, STACK_GLOBAL, BINBYTES | TUPLE1, REDUCE, STOP.
    """

    def text(s: str) -> bytes:
        return b"\x8c" + bytes([len(s)]) + s.encode("ascii")

    size = struct.pack("<I", RECORD_SIZE + _EXCHANGE_INST_ID_SIZE)
    return b"\x80\x04" + text(make.__module__) + text(make.__name__) + b"\x93B" + size, b"\x85R."


def message_size(make: Callable[..., Any] = from_message) -> int:
    """Bytes of such a message."""
    return sum(map(len, message_frame(make))) + RECORD_SIZE + _EXCHANGE_INST_ID_SIZE


MESSAGE_PREFIX, MESSAGE_SUFFIX = message_frame()
MESSAGE_SIZE = message_size()


class Event(ct.Structure):
    """Something that happened to the connection or the engine, in its place between the ticks.

    Attributes:
        Sequence, RecvTime, RecvMonotonic: as in `Tick`.
        Code: one of ``TK_EV_*``; `name` is its word, such as ``"front_disconnected"``.
        Reason: the vendor's nReason of a disconnect, 0 otherwise.
        ErrorID: the front's ErrorID of a refusal, 0 otherwise.
        Value: a count where the event has one.
        Epoch: number of the engine process that wrote it, from 1.
        Text: instrument id, trading day or the front's words, decoded.
        words: the event in English, words_zh in Chinese.
    """

    _fields_ = [
        ("Stamp", ct.c_uint64),
        ("RecvTime", ct.c_int64),
        ("Instrument", ct.c_uint32),
        ("Flags", ct.c_uint16),
        ("Kind", ct.c_uint8),
        ("Reserved0", ct.c_uint8),
        ("Code", ct.c_uint32),
        ("Reason", ct.c_int32),
        ("ErrorID", ct.c_int32),
        ("Epoch", ct.c_uint32),
        ("Value", ct.c_int64),
        ("Reserved1", ct.c_uint64 * 2),
        ("RecvMonotonic", ct.c_int64),
        ("Reserved2", ct.c_int64),
        ("TickNumber", ct.c_uint64),
        ("EventNumber", ct.c_uint64),
        ("_Text", ct.c_char * 344),
        ("TextLength", ct.c_uint32),
        ("TextEncoding", ct.c_uint32),
    ]

    @property
    def Sequence(self) -> int:
        return self.Stamp - 1  # type: ignore[no-any-return]

    @property
    def name(self) -> str:
        return EVENT_NAMES.get(self.Code, f"event_{self.Code}")

    @property
    def Text(self) -> str:
        return decode(self._Text, "gb18030" if self.TextEncoding else "utf-8")

    @property
    def words(self) -> str:
        return event_text(self, "en")

    @property
    def words_zh(self) -> str:
        return event_text(self, "zh")

    def __repr__(self) -> str:
        return f"Event(Sequence={self.Sequence}, name={self.name!r}, words={self.words!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Event.from_buffer_copy, (bytes(self),)


def record_object(tick: Tick) -> Tick | Event:
    """The tick itself, or a copy as `Event` if the record is one."""
    return tick if tick.Kind == KIND_TICK else Event.from_buffer_copy(tick)
