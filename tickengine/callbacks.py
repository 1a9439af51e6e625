"""A callback of the vendor's, as the method call that AlgoPlus's users know: name and arguments.

Texts are ``bytes`` as the front sent them (GB18030); a null pointer of the vendor's is None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _shim
from ._shim import Callback_

Call = tuple[str, tuple[Any, ...]]

_LOGIN_FIELDS = (
    ("TradingDay", "trading_day"),
    ("LoginTime", "login_time"),
    ("BrokerID", "broker_id"),
    ("UserID", "user_id"),
    ("SystemName", "system_name"),
    ("FrontID", "front_id"),
    ("SessionID", "session_id"),
    ("MaxOrderRef", "max_order_ref"),
    ("SHFETime", "shfe_time"),
    ("DCETime", "dce_time"),
    ("CZCETime", "czce_time"),
    ("FFEXTime", "ffex_time"),
    ("INETime", "ine_time"),
    ("SysVersion", "sys_version"),
    ("GFEXTime", "gfex_time"),
)
_LOGOUT_FIELDS = (("BrokerID", "broker_id"), ("UserID", "user_id"))
_INSTRUMENT_FIELDS = (("InstrumentID", "instrument_id"),)
_FOR_QUOTE_FIELDS = (
    ("TradingDay", "trading_day"),
    ("InstrumentID", "instrument_id"),
    ("ForQuoteSysID", "for_quote_sys_id"),
    ("ForQuoteTime", "for_quote_time"),
    ("ActionDay", "action_day"),
    ("ExchangeID", "exchange_id"),
)
_MULTICAST_FIELDS = (
    ("TopicID", "topic_id"),
    ("InstrumentID", "instrument_id"),
    ("InstrumentNo", "instrument_no"),
    ("CodePrice", "code_price"),
    ("VolumeMultiple", "volume_multiple"),
    ("PriceTick", "price_tick"),
)


def _data(c: Callback_, fields: tuple[tuple[str, str], ...]) -> dict[str, Any] | None:
    return {name: getattr(c, field) for name, field in fields} if c.has_data else None


def _info(c: Callback_) -> dict[str, Any] | None:
    return {"ErrorID": c.error_id, "ErrorMsg": bytes(c.error_msg)} if c.has_info else None


def _answer(name: str, fields: tuple[tuple[str, str], ...]) -> Callable[[Callback_], Call]:
    """Most answers look the same: data, info, request id, last."""
    return lambda c: (name, (_data(c, fields), _info(c), c.request_id, bool(c.is_last)))


_CALLS: dict[int, Callable[[Callback_], Call]] = {
    _shim.CB_FRONT_CONNECTED: lambda _: ("OnFrontConnected", ()),
    _shim.CB_FRONT_DISCONNECTED: lambda c: ("OnFrontDisconnected", (c.reason,)),
    _shim.CB_HEARTBEAT_WARNING: lambda c: ("OnHeartBeatWarning", (c.reason,)),
    _shim.CB_USER_LOGIN: _answer("OnRspUserLogin", _LOGIN_FIELDS),
    _shim.CB_USER_LOGOUT: _answer("OnRspUserLogout", _LOGOUT_FIELDS),
    _shim.CB_QRY_MULTICAST: _answer("OnRspQryMulticastInstrument", _MULTICAST_FIELDS),
    _shim.CB_ERROR: lambda c: ("OnRspError", (_info(c), c.request_id, bool(c.is_last))),
    _shim.CB_SUB_MARKET_DATA: _answer("OnRspSubMarketData", _INSTRUMENT_FIELDS),
    _shim.CB_UNSUB_MARKET_DATA: _answer("OnRspUnSubMarketData", _INSTRUMENT_FIELDS),
    _shim.CB_SUB_FOR_QUOTE: _answer("OnRspSubForQuoteRsp", _INSTRUMENT_FIELDS),
    _shim.CB_UNSUB_FOR_QUOTE: _answer("OnRspUnSubForQuoteRsp", _INSTRUMENT_FIELDS),
    _shim.CB_FOR_QUOTE: lambda c: ("OnRtnForQuoteRsp", (_data(c, _FOR_QUOTE_FIELDS),)),
}


def call_of(c: Callback_) -> Call:
    """The method's name and its arguments."""
    return _CALLS[c.kind](c)
