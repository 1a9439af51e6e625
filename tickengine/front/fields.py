"""Layouts of the market-data fields on the wire, as packed big-endian numpy dtypes, and their texts.

Members carry the vendor's names in the vendor's order. Text of n bytes may use all n bytes: the wire
does not promise a terminating zero.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from tickengine.front.wire import field

DBL_MAX = float(np.finfo(np.float64).max)
"""The vendor's mark for an absent price."""

FID_RSP_INFO = 0x0000
FID_LOGIN = 0x1002
FID_LOGIN_ANSWER = 0x1003
FID_LOGOUT = 0x1004
FID_INSTRUMENT = 0x2441
FID_TICK = 0x0012
FID_FOR_QUOTE = 0x082A

_DAY = "S9"
_TIME = "S9"
INSTRUMENT_BYTES = 31

RSP_INFO = np.dtype([("ErrorID", ">i4"), ("ErrorMsg", "S81")])
DISSEMINATION = np.dtype([("SequenceSeries", ">u2"), ("SequenceNo", ">i4")])
LOGIN = np.dtype(
    [
        ("TradingDay", _DAY),
        ("BrokerID", "S11"),
        ("UserID", "S16"),
        ("Password", "S41"),
        ("UserProductInfo", "S11"),
        ("InterfaceProductInfo", "S11"),
        ("ProtocolInfo", "S11"),
        ("MacAddress", "S21"),
        ("OneTimePassword", "S41"),
        ("ClientIPAddress", "S16"),
        ("LoginRemark", "S36"),
    ]
)
LOGIN_ANSWER = np.dtype(
    [
        ("TradingDay", _DAY),
        ("LoginTime", _TIME),
        ("BrokerID", "S11"),
        ("UserID", "S16"),
        ("SystemName", "S41"),
        ("FrontID", ">i4"),
        ("SessionID", ">i4"),
        ("MaxOrderRef", "S13"),
        ("SHFETime", _TIME),
        ("DCETime", _TIME),
        ("CZCETime", _TIME),
        ("FFEXTime", _TIME),
        ("INETime", _TIME),
    ]
)
LOGOUT = np.dtype([("BrokerID", "S11"), ("UserID", "S16")])
INSTRUMENT = np.dtype([("InstrumentID", f"S{INSTRUMENT_BYTES}")])
FOR_QUOTE = np.dtype(
    [
        ("TradingDay", _DAY),
        ("InstrumentID", "S31"),
        ("ForQuoteSysID", "S21"),
        ("ForQuoteTime", _TIME),
        ("ActionDay", _DAY),
        ("ExchangeID", "S9"),
    ]
)
TICK = np.dtype(
    [
        ("TradingDay", _DAY),
        ("InstrumentID", "S31"),
        ("ExchangeID", "S9"),
        ("ExchangeInstID", "S31"),
        ("LastPrice", ">f8"),
        ("PreSettlementPrice", ">f8"),
        ("PreClosePrice", ">f8"),
        ("PreOpenInterest", ">f8"),
        ("OpenPrice", ">f8"),
        ("HighestPrice", ">f8"),
        ("LowestPrice", ">f8"),
        ("Volume", ">i4"),
        ("Turnover", ">f8"),
        ("OpenInterest", ">f8"),
        ("ClosePrice", ">f8"),
        ("SettlementPrice", ">f8"),
        ("UpperLimitPrice", ">f8"),
        ("LowerLimitPrice", ">f8"),
        ("PreDelta", ">f8"),
        ("CurrDelta", ">f8"),
        ("UpdateTime", _TIME),
        ("UpdateMillisec", ">i4"),
        *(
            (f"{side}{kind}{level}", code)
            for level in range(1, 6)
            for side in ("Bid", "Ask")
            for kind, code in (("Price", ">f8"), ("Volume", ">i4"))
        ),
        ("AveragePrice", ">f8"),
        ("ActionDay", _DAY),
    ]
)
"""Field 0012, DepthMarketData, 354 bytes."""

LAYOUTS: dict[int, np.dtype[Any]] = {
    FID_RSP_INFO: RSP_INFO,
    0x1001: DISSEMINATION,
    FID_LOGIN: LOGIN,
    FID_LOGIN_ANSWER: LOGIN_ANSWER,
    FID_LOGOUT: LOGOUT,
    FID_INSTRUMENT: INSTRUMENT,
    FID_TICK: TICK,
    FID_FOR_QUOTE: FOR_QUOTE,
}

TICK_FLOATS = tuple(name for name in TICK.names or () if TICK[name].kind == "f")
TICK_INTS = tuple(name for name in TICK.names or () if TICK[name].kind == "i")
TICK_TEXTS = tuple(name for name in TICK.names or () if TICK[name].kind == "S")

_ERROR_TEXTS = {
    0: "正确",
    3: "CTP:不合法的登录",
    5: "CTP:用户已经登录过了",
    6: "CTP:还没有登录",
    7: "CTP:还没有初始化",
    8: "CTP:前置不活跃",
    9: "CTP:无此权限",
    15: "CTP:字段有误",
    16: "CTP:找不到合约",
    75: "CTP:连续登录失败次数超限，登录被禁止",
    77: "CTP:未找到该功能",
    90: "CTP:查询未就绪，请稍后重试",
}


def error_text(error_id: int) -> bytes:
    """The GB18030 text that goes with an error id; never longer than the field takes."""
    return _ERROR_TEXTS.get(error_id, f"CTP:错误 {error_id}").encode("gb18030")[:80]


def encode(fid: int, values: Mapping[str, Any]) -> bytes:
    """Return the whole field *fid* (header and body); members not in *values* are zero.

    Raises:
        KeyError: unknown field id.
        ValueError: a member that the layout does not have.
    """
    return encode_as(LAYOUTS[fid], fid, values)


def encode_as(layout: np.dtype[Any], fid: int, values: Mapping[str, Any]) -> bytes:
    """Return the whole field *fid* with a body of *layout*.

    Raises:
        ValueError: a member that the layout does not have, or a value that it has no room for.
    """
    places, packed, row = _packing(layout)
    row = row.copy()
    for name, value in values.items():
        place = places.get(name)
        if place is None:
            raise ValueError(f"field {fid:#06x} has no member {name!r}")
        row[place] = value
    try:
        return field(fid, packed.pack(*row))
    except struct.error as error:
        raise ValueError(f"field {fid:#06x}: {error}") from None


def decode(fid: int, body: bytes) -> dict[str, Any]:
    """Return the members of a field: bytes for text, up to the first zero byte, int and float.

    A body that is too short is filled with zeros, a longer one is cut, as the vendor library does.
    """
    return decode_as(LAYOUTS[fid], body)


def decode_as(layout: np.dtype[Any], body: bytes) -> dict[str, Any]:
    """Return the members of a body of *layout*, as `decode` does."""
    places, packed, _row = _packing(layout)
    values = packed.unpack(body[: layout.itemsize].ljust(layout.itemsize, b"\0"))
    return {
        name: value.split(b"\0", 1)[0] if isinstance(value, bytes) else value for name, value in zip(places, values)
    }


_CODES = {"i2": "h", "u2": "H", "i4": "i", "u4": "I", "f8": "d"}


@functools.cache
def _packing(layout: np.dtype[Any]) -> tuple[dict[str, int], struct.Struct, list[Any]]:
    """Of each member its place, the packed form, and a row of zeros. For one record at a time numpy takes three times
    as long, and a trading front's clients wait for it."""
    places: dict[str, int] = {}
    form, row = ">", []
    for place, name in enumerate(layout.names or ()):
        kind = layout[name]
        places[name] = place
        text = kind.kind == "S"
        form += f"{kind.itemsize}s" if text else _CODES[f"{kind.kind}{kind.itemsize}"]
        row.append(b"" if text else 0)
    packed = struct.Struct(form)
    assert packed.size == layout.itemsize, layout
    return places, packed, row


def rsp_info(error_id: int) -> bytes:
    """Return field 0000 for *error_id* with its text."""
    return encode(FID_RSP_INFO, {"ErrorID": error_id, "ErrorMsg": error_text(error_id)})
