"""The shim's C surface, bound with ctypes: one table in the order of ``shim/include/tickshim.h``.

Nothing is loaded on import; `lib()` loads once. Status codes become exceptions in one place. Calls
release the GIL (``CDLL``), except the short ones that never block, which are bound without (``PyDLL``)
because releasing it costs more than they do.
"""

from __future__ import annotations

import ctypes as ct
import os
import threading
from collections.abc import Callable
from typing import Any, cast

from . import _shim_td
from ._errors import ShimError, TickEngineError, from_status

ABI_VERSION = 6

TAKE_OK, TAKE_EMPTY, TAKE_AGAIN, TAKE_ENDED, TAKE_ORPHANED, TAKE_RETIRED, TAKE_INTERRUPTED = range(7)
LOOK = -100  # tk_reader_spin: the state says why there is nothing
WAIT_MODES = {"adaptive": 0, "spin": 1, "block": 2}
START_NOW, START_OLDEST = -1, -2
SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBE_QUOTE, UNSUBSCRIBE_QUOTE = 8, 9, 10, 11

(
    CB_FRONT_CONNECTED,
    CB_FRONT_DISCONNECTED,
    CB_HEARTBEAT_WARNING,
    CB_USER_LOGIN,
    CB_USER_LOGOUT,
    CB_QRY_MULTICAST,
    CB_ERROR,
    CB_SUB_MARKET_DATA,
    CB_UNSUB_MARKET_DATA,
    CB_SUB_FOR_QUOTE,
    CB_UNSUB_FOR_QUOTE,
) = range(11)
CB_FOR_QUOTE = 12


class LogInfo(ct.Structure):
    _fields_ = [
        *[(n, ct.c_uint64) for n in ("capacity", "instrument_capacity", "total_size", "unique_id")],
        *[(n, ct.c_uint64) for n in ("head", "oldest", "ticks", "events", "wakes")],
        ("created_ns", ct.c_int64),
        ("owner_pid", ct.c_int32),
        ("writer_pid", ct.c_int32),
        *[(n, ct.c_uint32) for n in ("epoch", "closed", "instruments", "instrument_overflow")],
        ("owner_alive", ct.c_uint32),
        ("writer_alive", ct.c_uint32),
        ("name", ct.c_char * 64),
    ]


class Instrument(ct.Structure):
    _fields_ = [
        ("instrument_id", ct.c_char * 88),
        ("exchange_inst_id", ct.c_char * 88),
        ("exchange_id", ct.c_char * 16),
        ("count", ct.c_uint64),
        ("latest_stamp", ct.c_uint64),
        ("index", ct.c_uint32),
        ("primary", ct.c_uint32),
    ]


class ReaderInfo(ct.Structure):
    _fields_ = [
        *[(n, ct.c_uint64) for n in ("cursor", "received", "lost", "lost_events", "events")],
        *[(n, ct.c_uint64) for n in ("skipped", "lag", "wakes")],
        ("queue_pid", ct.c_int32),
        ("reader_pid", ct.c_int32),
        *[(n, ct.c_uint32) for n in ("slot", "generation", "filters", "wants_events")],
        ("reader_alive", ct.c_uint32),
        ("asleep", ct.c_uint32),
        ("name", ct.c_char * 64),
    ]


class LatencyTable(ct.Structure):
    _fields_ = [*[(n, ct.c_uint64) for n in ("samples", "sum", "max")], ("counts", ct.c_uint64 * 128)]


class QueueInfo(ct.Structure):
    _fields_ = [
        ("name", ct.c_char * 64),
        ("log_path", ct.c_char * 256),
        ("log_id", ct.c_uint64),
        ("start", ct.c_int64),
        ("creator_pid", ct.c_int32),
        *[(n, ct.c_uint32) for n in ("filters", "wants_events", "wait_mode", "bind_version")],
        *[(n, ct.c_uint32) for n in ("slot", "slot_generation", "closed", "creator_alive", "skip")],
    ]


class Take(ct.Structure):
    _fields_ = [
        ("reader", ct.c_void_p),
        ("out", ct.c_void_p),
        ("block", ct.c_void_p),
        ("max", ct.c_uint32),
        ("used", ct.c_uint32),
        ("timeout_ns", ct.c_int64),
        ("deadline_ns", ct.c_int64),
        ("wait_mode", ct.c_int32),
        ("handed", ct.c_uint32),
        ("count", ct.c_uint32),
        ("state", ct.c_int32),
        *[(n, ct.c_uint64) for n in ("received", "lost", "lost_events", "skipped", "cursor")],
    ]


class ReplayRun(ct.Structure):
    _fields_ = [
        ("records", ct.c_void_p),
        ("entries", ct.c_void_p),
        ("due_ns", ct.c_void_p),
        ("count", ct.c_uint64),
        ("lossless", ct.c_uint32),
        ("slowest", ct.c_int32),
        ("owned", ct.c_uint64 * 4),
        ("deadline_ns", ct.c_int64),
        ("done", ct.c_uint64),
    ]


class ProductRule(ct.Structure):
    _fields_ = [
        ("product_id", ct.c_char * 12),
        ("exchange_id", ct.c_char * 12),
        ("session_count", ct.c_uint32),
        ("auction_count", ct.c_uint32),
        ("session_start", ct.c_int32 * 8),
        ("session_end", ct.c_int32 * 8),
        ("auction_start", ct.c_int32 * 4),
        ("auction_end", ct.c_int32 * 4),
    ]


class VendorInfo(ct.Structure):
    _fields_ = [
        ("path", ct.c_char * 512),
        ("version", ct.c_char * 64),
        ("generation", ct.c_char * 16),
        ("layouts_of", ct.c_char * 16),
        ("layout", ct.c_uint32),
        ("api_slots", ct.c_uint32),
        ("factory_flags", ct.c_uint32),
        ("evaluation", ct.c_uint32),
    ]


class Callback_(ct.Structure):
    _fields_ = [
        *[(n, ct.c_int32) for n in ("kind", "reason", "request_id", "is_last", "has_info", "error_id")],
        *[(n, ct.c_int32) for n in ("has_data", "front_id", "session_id", "topic_id")],
        ("error_msg", ct.c_char * 84),
        ("instrument_id", ct.c_char * 84),
        ("trading_day", ct.c_char * 12),
        ("action_day", ct.c_char * 12),
        ("login_time", ct.c_char * 12),
        ("broker_id", ct.c_char * 12),
        ("user_id", ct.c_char * 16),
        ("system_name", ct.c_char * 44),
        ("max_order_ref", ct.c_char * 16),
        *[(n, ct.c_char * 12) for n in ("shfe_time", "dce_time", "czce_time", "ffex_time", "ine_time")],
        ("gfex_time", ct.c_char * 12),
        ("sys_version", ct.c_char * 44),
        ("for_quote_sys_id", ct.c_char * 24),
        ("for_quote_time", ct.c_char * 12),
        ("exchange_id", ct.c_char * 12),
        ("instrument_no", ct.c_int32),
        ("volume_multiple", ct.c_int32),
        ("code_price", ct.c_double),
        ("price_tick", ct.c_double),
    ]


class ForwarderInfo(ct.Structure):
    _fields_ = [
        *[(n, ct.c_uint64) for n in ("forwarded", "lost", "waiting")],
        ("running", ct.c_uint32),
        ("full", ct.c_uint32),
    ]


_P = ct.c_void_p
_S = ct.c_char_p
_PP = ct.POINTER(ct.c_void_p)
_I32, _U32, _I64, _U64 = ct.c_int32, ct.c_uint32, ct.c_int64, ct.c_uint64
_ids = ct.POINTER(ct.c_char_p)

# name, restype, argtypes. "status": int32_t that is negative on failure. None: the caller passes a prepared
# `ct.byref` of a `Take`, which ctypes then neither checks nor converts: that would cost as much as the call.
_TABLE: list[tuple[str, Any, tuple[Any, ...] | None]] = [
    *_shim_td.TABLE,
    ("tk_abi_version", _I32, ()),
    ("tk_last_error", _S, ()),
    ("tk_layout", _S, ()),
    ("tk_now", None, (ct.POINTER(_I64), ct.POINTER(_I64))),
    ("tk_clock_refresh", None, ()),
    ("tk_process_identity", _U64, (_I32,)),
    ("tk_log_create", "status", (_S, _S, _U64, _U64, _PP)),
    ("tk_log_attach", "status", (_S, _PP)),
    ("tk_segment_remove_unfinished", "status", (_S,)),
    ("tk_log_close", None, (_P,)),
    ("tk_log_unlink", "status", (_P,)),
    ("tk_log_info_get", "status", (_P, ct.POINTER(LogInfo))),
    ("tk_log_end", None, (_P,)),
    ("tk_log_read", "status", (_P, _U64, _U64, _P, ct.POINTER(_U64), ct.POINTER(_U64))),
    ("tk_log_latest", "status", (_P, _S, _P)),
    ("tk_log_snapshot", "status", (_P, _P, _U32, ct.POINTER(_U32))),
    ("tk_log_instrument", "status", (_P, _U32, ct.POINTER(Instrument))),
    ("tk_log_readers", "status", (_P, ct.POINTER(ReaderInfo), _U32)),
    ("tk_log_latency", "status", (_P, _U32, _U32, ct.POINTER(LatencyTable))),
    ("tk_log_latest_all", "status", (_P, _U32, _U32, _P)),
    ("tk_log_status_set", "status", (_P, _S, _U32)),
    ("tk_log_status_get", "status", (_P, _P, _U32)),
    ("tk_writer_open", "status", (_P, _I32, _PP)),
    ("tk_writer_close", None, (_P,)),
    ("tk_writer_event", "status", (_P, _U32, _I32, _I32, _I64, _S, _U32, _U32)),
    ("tk_writer_tick", "status", (_P, _U32, _P)),
    ("tk_writer_tick_at", "status", (_P, _U32, _P, _I64, _I64)),
    ("tk_writer_record", "status", (_P, _P)),
    ("tk_writer_instrument", "status", (_P, _S, _S, _S, ct.POINTER(_U32))),
    ("tk_writer_replay", "status", (_P, ct.POINTER(ReplayRun))),
    (
        "tk_writer_set_rules",
        "status",
        (_P, ct.POINTER(ProductRule), _U32, ct.POINTER(_I32), _U32, _I32, _I32),
    ),
    ("tk_writer_flood", "status", (_P, _U32, _P, _U64, _I32, ct.POINTER(_I64))),
    ("tk_writer_paced", "status", (_P, _U32, _P, _I64, _I64, _U64, _U64, _P)),
    ("tk_queue_create", "status", (_S, _S, _ids, _U32, _I64, _I32, _I32, _U32, _PP)),
    ("tk_queue_attach", "status", (_S, _PP)),
    ("tk_queue_close", None, (_P,)),
    ("tk_queue_info_get", "status", (_P, ct.POINTER(QueueInfo))),
    ("tk_queue_filter", "status", (_P, _U32, _P, _U32)),
    ("tk_queue_bind", "status", (_P, _P, _S)),
    ("tk_queue_retire", "status", (_P,)),
    ("tk_queue_wait_bound", _U32, (_P, _U32, _I64)),
    ("tk_reader_open", "status", (_P, _P, _PP)),
    ("tk_reader_close", None, (_P,)),
    ("tk_reader_interrupt", None, (_P,)),
    ("tk_reader_free", None, (_P,)),
    ("tk_reader_take", _I32, None),
    ("tk_reader_poll", _I32, None),
    ("tk_reader_first_look", _I32, None),
    ("tk_reader_spin", _I32, None),
    ("tk_reader_handed", _P, (_P,)),
    ("tk_reader_waiting", _U64, (_P,)),
    ("tk_reader_counters", "status", (_P, ct.POINTER(Take))),
    ("tk_bell_open", "status", (_P, _PP)),
    ("tk_bell_fd", _I32, (_P,)),
    ("tk_bell_arm", None, None),
    ("tk_bell_arm_unbound", None, (_P, _U32)),
    ("tk_bell_recall", "status", (_P,)),
    ("tk_bell_stop", None, (_P,)),
    ("tk_bell_free", None, (_P,)),
    ("tk_vendor_probe", "status", (_S, _S, ct.POINTER(VendorInfo))),
    ("tk_vendor_tables", _S, ()),
    ("tk_md_create", "status", (_S, _S, _S, _I32, _I32, _I32, _P, _PP)),
    ("tk_md_register_front", "status", (_P, _S)),
    ("tk_md_init", "status", (_P,)),
    ("tk_md_next", _I32, (_P, _I64, ct.POINTER(Callback_))),
    ("tk_md_wake", None, (_P,)),
    ("tk_md_login", "status", (_P, _S, _S, _S, _S, _I32, ct.POINTER(_I32))),
    ("tk_md_logout", "status", (_P, _S, _S, _I32, ct.POINTER(_I32))),
    ("tk_md_subscribe", "status", (_P, _I32, _ids, _U32, ct.POINTER(_I32))),
    ("tk_md_query_multicast", "status", (_P, _I32, _S, _I32, ct.POINTER(_I32))),
    ("tk_md_trading_day", "status", (_P, _P, _U32)),
    ("tk_md_info", "status", (_P, ct.POINTER(VendorInfo))),
    ("tk_md_release", None, (_P,)),
    ("tk_md_free", None, (_P,)),
    (
        "tk_forwarder_start",
        "status",
        (_P, _P, _P, _P, _P, _S, _U32, _S, _U32, _PP),
    ),
    ("tk_forwarder_info_get", "status", (_P, ct.POINTER(ForwarderInfo))),
    ("tk_forwarder_stop", "status", (_P, _I32, _I64)),
]

_NEVER_BLOCKS = frozenset(
    {
        "tk_bell_arm",
        "tk_bell_fd",
        "tk_last_error",
        "tk_now",
        "tk_process_identity",
        "tk_reader_first_look",
        "tk_reader_handed",
        "tk_reader_poll",
        "tk_reader_spin",
        "tk_reader_waiting",
        *_shim_td.NEVER_BLOCKS,
    }
)


class _Lib:
    """The bound functions as attributes, without the ``tk_`` prefix."""

    def __init__(self, path: str) -> None:
        try:
            releasing, holding = ct.CDLL(path), ct.PyDLL(path)
        except OSError as error:
            raise ShimError(
                "dlopen",
                -2,
                f"the shim {path!r} cannot be loaded ({error}); install tickengine with pip, which compiles it",
            ) from None
        self.path = path
        version = releasing.tk_abi_version()
        if version != ABI_VERSION:
            raise ShimError(
                "tk_abi_version",
                -5,
                f"the shim {path!r} has interface version {version}, this package needs {ABI_VERSION}; reinstall",
            )
        last_error = holding.tk_last_error
        last_error.restype = ct.c_char_p

        self._last_error = last_error

        def checked(name: str) -> Callable[[int, Any, Any], int]:
            def errcheck(status: int, _function: Any, _args: Any) -> int:
                if status < 0:
                    raise self.error(name, status)
                return status

            return errcheck

        for name, restype, argtypes in _TABLE:
            # A name may be bound twice: each Function object has its own argtypes.
            function = (holding if name in _NEVER_BLOCKS else releasing)[name]
            if argtypes is not None:
                function.argtypes = argtypes
            if restype == "status":
                function.restype = ct.c_int32
                function.errcheck = cast("Any", checked(name))
            else:
                function.restype = restype
            setattr(self, name.removeprefix("tk_"), function)

    def error(self, name: str, status: int) -> TickEngineError:
        """For calls so frequent that their status is looked at in place: tk_reader_take and its kind."""
        return from_status(name, status, (self._last_error() or b"").decode("utf-8", "replace"))

    def __getattr__(self, name: str) -> Any:  # for type checkers: the table decides
        raise AttributeError(name)


_lib: _Lib | None = None
_lock = threading.Lock()


def lib() -> _Lib:
    """The shim, loaded on first use. Raises `ShimError` if it is missing or of another version."""
    global _lib
    if _lib is None:
        with _lock:
            if _lib is None:
                _lib = _Lib(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libtickshim.so"))
    return _lib


def new_handle() -> ct.c_void_p:
    """A place for an opaque handle."""
    return ct.c_void_p()


def id_array(ids: list[bytes]) -> Any:
    """A C array of strings; empty is a null pointer's worth."""
    return (ct.c_char_p * max(1, len(ids)))(*ids)
