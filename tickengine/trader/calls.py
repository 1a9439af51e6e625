"""A record of the trader's, as the method call that AlgoPlus's users know: name and arguments.

Texts are ``bytes`` in the vendor's encoding (GB18030). A null pointer of the vendor's is None, except that
``pRspInfo`` is always there: ErrorID 0 where the vendor gave none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..vendor_api import NOT_CONNECTED
from .records import Record

Call = tuple[str, tuple[Any, ...]]
Fields = dict[str, Any]


def fields_of(data: Mapping[str, Any] | None) -> Fields | None:
    """A struct of a record's, with texts as bytes."""
    if data is None:
        return None
    return {name: value.encode("gb18030") if isinstance(value, str) else value for name, value in data.items()}


def info_of(record: Record) -> Fields:
    """``pRspInfo``."""
    return {"ErrorID": record.error_id, "ErrorMsg": record.error_msg.encode("gb18030", "replace")}


_FORMS: dict[str, tuple[str, Callable[[Record, int], tuple[Any, ...]]]] = {
    "front_connected": ("OnFrontConnected", lambda r, n: ()),
    "front_disconnected": ("OnFrontDisconnected", lambda r, n: (r.reason,)),
    "heartbeat_warning": ("OnHeartBeatWarning", lambda r, n: (r.reason,)),
    "rsp_error": ("OnRspError", lambda r, n: (info_of(r), n, r.is_last)),
    "rtn_order": ("OnRtnOrder", lambda r, n: (fields_of(r.data),)),
    "rtn_trade": ("OnRtnTrade", lambda r, n: (fields_of(r.data),)),
    "rtn_instrument_status": ("OnRtnInstrumentStatus", lambda r, n: (fields_of(r.data),)),
    "err_rtn_order_insert": ("OnErrRtnOrderInsert", lambda r, n: (fields_of(r.data), info_of(r))),
    "err_rtn_order_action": ("OnErrRtnOrderAction", lambda r, n: (fields_of(r.data), info_of(r))),
}
for _kind, _method in {
    "rsp_authenticate": "OnRspAuthenticate",
    "rsp_user_login": "OnRspUserLogin",
    "rsp_user_logout": "OnRspUserLogout",
    "rsp_settlement_confirm": "OnRspSettlementInfoConfirm",
    "rsp_order_insert": "OnRspOrderInsert",
    "rsp_order_action": "OnRspOrderAction",
}.items():
    _FORMS[_kind] = (_method, lambda r, n: (fields_of(r.data), info_of(r), n, r.is_last))


def call_of(record: Record, number: int) -> Call | None:
    """The method's name and its arguments; None for what has no method. *number*: the program's nRequestID."""
    form = _FORMS.get(record.kind)
    return None if form is None else (form[0], form[1](record, number))


def answers_of(method: str, rows: list[Record], error: str, number: int) -> list[Call]:
    """The calls that an answered query makes: one for each row, or one that says why there is no answer."""
    name = method.replace("Req", "OnRsp", 1)
    if not error:
        return [(name, (fields_of(row.data), info_of(row), number, row.is_last)) for row in rows]
    last = rows[-1] if rows else None
    if last is not None and last.error_id:
        if last.kind == "rsp_error":
            return [("OnRspError", (info_of(last), number, True))]
        return [(name, (fields_of(last.data), info_of(last), number, True))]
    info = {"ErrorID": NOT_CONNECTED, "ErrorMsg": error.encode("gb18030", "replace")}
    return [(name, (None, info, number, True))]
