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
_PI32, _PU32, _PU64 = ct.POINTER(ct.c_int32), ct.POINTER(ct.c_uint32), ct.POINTER(ct.c_uint64)

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
    ("tk_tlog_read", "status", (_P, _U64, _U64, _P, _PU64)),
    ("tk_tlog_wait", _I32, (_P, _U64, _I64)),
]

NEVER_BLOCKS = frozenset({"tk_tlog_head"})
