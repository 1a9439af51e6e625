"""The trading part of the shim's C surface, in the order of ``shim/include/tickshim.h``; bound by `_shim`."""

from __future__ import annotations

import ctypes as ct
from typing import Any

RING_INSERT, RING_ACTION = 1, 2


class TdInfo(ct.Structure):
    _fields_ = [
        ("path", ct.c_char * 512),
        ("version", ct.c_char * 64),
        ("tables_of", ct.c_char * 16),
        ("api_slots", ct.c_uint32),
        ("spi_slots", ct.c_uint32),
        ("factory_flags", ct.c_uint32),
        ("evaluation", ct.c_uint32),
    ]


class TlogInfo(ct.Structure):
    _fields_ = [
        *[(n, ct.c_uint64) for n in ("head", "capacity", "room", "damaged", "unique_id")],
        ("created_ns", ct.c_int64),
        ("writer_pid", ct.c_int32),
        ("writer_alive", ct.c_uint32),
        ("epoch", ct.c_uint32),
    ]


_P = ct.c_void_p
_S = ct.c_char_p
_PP = ct.POINTER(ct.c_void_p)
_I32, _U32, _I64, _U64 = ct.c_int32, ct.c_uint32, ct.c_int64, ct.c_uint64
_PI32, _PU64 = ct.POINTER(ct.c_int32), ct.POINTER(ct.c_uint64)

TABLE: list[tuple[str, Any, tuple[Any, ...] | None]] = [
    ("tk_td_probe", "status", (_S, _S, ct.POINTER(TdInfo))),
    ("tk_td_tables", _S, ()),
    ("tk_td_structs", _S, ()),
    ("tk_tlog_layout", _S, ()),
    ("tk_tlog_writer_open", "status", (_S, _U64, _PP)),
    ("tk_tlog_writer_close", None, (_P,)),
    ("tk_tlog_append", "status", (_P, _P, _PU64)),
    ("tk_tlog_writer_damaged", _U64, (_P,)),
    ("tk_tlog_attach", "status", (_S, _PP)),
    ("tk_tlog_close", None, (_P,)),
    ("tk_tlog_info_get", "status", (_P, ct.POINTER(TlogInfo))),
    ("tk_tlog_head", _U64, (_P,)),
    ("tk_tlog_head_word", _P, (_P,)),
    ("tk_tlog_read", "status", (_P, _U64, _U64, _P, _PU64)),
    ("tk_tlog_wait", _I32, (_P, _U64, _I64)),
    ("tk_ring_create", "status", (_S, _U64, _PP)),
    ("tk_ring_attach", "status", (_S, _PP)),
    ("tk_ring_close", None, (_P,)),
    ("tk_ring_put", "status", (_P, _U32, _U64, _S, _U32)),
    ("tk_ring_waiting", _U64, (_P,)),
    ("tk_ring_taker", _I32, (_P,)),
    ("tk_ring_maker", _I32, (_P,)),
    ("tk_td_create", "status", (_S, _S, _S, _I32, _P, _PP)),
    ("tk_td_info_get", "status", (_P, ct.POINTER(TdInfo))),
    ("tk_td_register_front", "status", (_P, _S)),
    ("tk_td_subscribe_topics", "status", (_P, _I32, _I32)),
    ("tk_td_leave_out_returns", "status", (_P,)),
    ("tk_td_init", "status", (_P,)),
    ("tk_td_authenticate", "status", (_P, _S, _S, _S, _S, _S, _I32, _PI32)),
    ("tk_td_login", "status", (_P, _S, _S, _S, _S, _I32, _PI32)),
    ("tk_td_request", "status", (_P, _S, _S, _U32, _I32, _PI32)),
    ("tk_td_trading_day", "status", (_P, _P, _U32)),
    ("tk_td_next", _I32, (_P, _I64, _P)),
    ("tk_td_wake", None, (_P,)),
    ("tk_td_sender_gate", "status", (_P, _I32, _I32, _I64, _I32)),
    ("tk_td_sender_open", _I32, (_P,)),
    ("tk_td_order_calls", _U64, (_P,)),
    ("tk_td_insert", "status", (_P, _S, _U64, ct.POINTER(_I64), _PI32)),
    ("tk_td_action", "status", (_P, _S, _U64, _PI32)),
    ("tk_td_sender_start", "status", (_P, _P, _I32)),
    ("tk_td_sender_stop", None, (_P,)),
    ("tk_td_release", None, (_P,)),
    ("tk_td_free", None, (_P,)),
]

# Shorter than giving the GIL away and taking it back.
NEVER_BLOCKS = frozenset({"tk_tlog_head", "tk_ring_put", "tk_ring_waiting", "tk_td_sender_open", "tk_td_order_calls"})
