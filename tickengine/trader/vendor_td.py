"""The vendor's TraderApi as an object: requests, callbacks, orders, release. ctypes stops here."""

from __future__ import annotations

import ctypes as ct
import functools
import os
from collections.abc import Mapping, Sequence

from .. import placement
from .._errors import ConfigError
from .._secret import Secret
from .._shim import WAIT_MODES, lib, new_handle
from .._shim_td import TdInfo
from ..vendor_api import Descriptors, release_aside
from .journal import TradeLogWriter
from .records import RECORD_SIZE, Record, Value, decode, encode_struct
from .ring import CommandRing

RESTART, RESUME, QUICK = 0, 1, 2
FIRST_ORDER_REQUEST = 1 << 30
"""Request ids of orders and actions begin here; those of the session stay below."""

# The struct that each request by name takes.
REQUESTS: dict[str, str] = {
    "ReqUserLogout": "UserLogout",
    "ReqSettlementInfoConfirm": "SettlementInfoConfirm",
    "ReqQryOrder": "QryOrder",
    "ReqQryTrade": "QryTrade",
    "ReqQryInvestorPosition": "QryInvestorPosition",
    "ReqQryTradingAccount": "QryTradingAccount",
    "ReqQryInstrument": "QryInstrument",
    "ReqQryDepthMarketData": "QryDepthMarketData",
}


class TraderVendorApi:
    """One trader api of a vendor library, with its fronts registered. Requests return the vendor's code:
    0 sent, -1 not connected, -2 a query is unanswered, -3 too many queries in a second.

    Every callback is in the journal before it returns to the vendor (answers about instruments and prices
    excepted), and comes out of `next_record` once.

    Args:
        flow_path: a directory that exists and is locked for this process (`tickengine.flow.FlowDirectory`).
        journal: this account's; it must be open until after `release`.
        private, public: how the flows begin, RESTART, RESUME or QUICK.
        vendor_version: believed instead of the library's own text; one that the tables know.

    Raises:
        VendorLibraryError, ConfigError: the library, a front or the flow directory cannot be used.
        ConfigError, EngineError: *cpus* and *realtime* cannot be had.
    """

    def __init__(
        self,
        library: str,
        flow_path: str,
        fronts: Sequence[str],
        journal: TradeLogWriter,
        *,
        private: int = RESUME,
        public: int = RESUME,
        vendor_version: str = "",
        production: bool = True,
        cpus: tuple[int, ...] | None = None,
        realtime: int | None = None,
    ) -> None:
        self._td = new_handle()
        self._released = False
        self._ring: CommandRing | None = None
        self._descriptors = Descriptors(flow_path)
        self._placed = functools.partial(placement.inherited, cpus, realtime)
        with self._placed():
            lib().td_create(
                os.fsencode(library),
                vendor_version.encode(),
                os.fsencode(flow_path),
                production,
                journal.handle,
                ct.byref(self._td),
            )
        try:
            for front in fronts:
                lib().td_register_front(self._td, front.encode())
            lib().td_subscribe_topics(self._td, private, public)
        except BaseException:
            self.release()
            raise
        info = TdInfo()
        lib().td_info_get(self._td, ct.byref(info))
        self.version: str = info.version.decode("ascii", "replace").strip()
        self.tables_of: str = info.tables_of.decode()

    @property
    def _api(self) -> ct.c_void_p:
        if self._released:
            raise ConfigError("the trader api has been released")
        return self._td

    def leave_out_returns(self) -> None:
        """What comes of orders, and what comes unasked, is for the journal's readers alone: `next_record` leaves it
        out. Before `init`."""
        lib().td_leave_out_returns(self._api)

    def init(self) -> None:
        """Connect, in the background."""
        with self._placed():
            lib().td_init(self._api)

    def next_record(self, timeout: float) -> Record | None:
        """The next callback, None when *timeout* seconds are over or `wake` was called. Blocks.

        To be called again and again by one thread: it also keeps disk space ready for the journal.
        """
        if self._released:
            return None
        buffer = ct.create_string_buffer(RECORD_SIZE)
        return decode(buffer.raw) if lib().td_next(self._td, int(timeout * 1e9), buffer) else None

    def wake(self) -> None:
        lib().td_wake(self._api)

    def authenticate(
        self, broker_id: str, investor_id: str, auth_code: Secret, app_id: str, request_id: int, product_info: str = ""
    ) -> int:
        rc = ct.c_int32()
        texts = [text.encode() for text in (broker_id, investor_id, product_info)]
        with auth_code.buffer() as code:
            lib().td_authenticate(self._api, *texts, code, app_id.encode(), request_id, ct.byref(rc))
        return rc.value

    def login(self, broker_id: str, investor_id: str, password: Secret, request_id: int, product_info: str = "") -> int:
        rc = ct.c_int32()
        broker, investor, product = (text.encode() for text in (broker_id, investor_id, product_info))
        with password.buffer() as text:
            lib().td_login(self._api, broker, investor, text, product, request_id, ct.byref(rc))
        return rc.value

    def request(self, method: str, fields: Mapping[str, Value | bytes], request_id: int) -> int:
        """A request by the vendor's name for it, one of `REQUESTS`."""
        if method not in REQUESTS:
            raise ConfigError(f"{method!r} is no request that can be made by name; known: {', '.join(REQUESTS)}")
        rc, raw = ct.c_int32(), encode_struct(REQUESTS[method], fields)
        lib().td_request(self._api, method.encode(), raw, len(raw), request_id, ct.byref(rc))
        return rc.value

    def trading_day(self) -> str:
        buffer = ct.create_string_buffer(16)
        lib().td_trading_day(self._api, buffer, len(buffer))
        return buffer.value.decode("ascii", "replace")

    # ---- orders

    def open_gate(self, front_id: int, session_id: int, next_order_ref: int) -> None:
        """Let orders through in this session, with references from *next_order_ref* on, which never go back.

        Raises:
            ShimError: the session is not the one that is logged in by now (code -9).
        """
        lib().td_sender_gate(self._api, front_id, session_id, next_order_ref, True)

    def close_gate(self) -> None:
        """Orders are refused from here on. A disconnect does the same, in its callback."""
        lib().td_sender_gate(self._api, 0, 0, 0, False)

    @property
    def gate_open(self) -> bool:
        return bool(lib().td_sender_open(self._api))

    @property
    def order_calls(self) -> int:
        """Grows with each order and action; modulo 4: 1, 2 while ReqOrderInsert, ReqOrderAction has not returned."""
        return int(lib().td_order_calls(self._api))

    def insert(self, order: Mapping[str, Value | bytes], client_id: int) -> tuple[int, int]:
        """Send an order (fields of ``InputOrder``); returns the vendor's code and the reference it got.

        The journal has ``sending_order`` before it leaves. With a code that is not 0 it did not leave.

        Raises:
            ConfigError: a field is wrong. One that only this library's version has no room for is in the journal
                too, as ``order_not_sent``.
            ShimError: it was not sent; the journal has ``order_not_sent`` with the reason.
        """
        return self.insert_encoded(encode_struct("InputOrder", order), client_id)

    def insert_encoded(self, order: bytes, client_id: int) -> tuple[int, int]:
        """`insert`, for an order that is encoded already."""
        self._check(order, "InputOrder")
        rc, order_ref = ct.c_int32(), ct.c_int64()
        lib().td_insert(self._api, order, client_id, ct.byref(order_ref), ct.byref(rc))
        return rc.value, order_ref.value

    def action(self, action: Mapping[str, Value | bytes], client_id: int) -> int:
        """Send an ``InputOrderAction``; returns the vendor's code."""
        rc = ct.c_int32()
        lib().td_action(self._api, encode_struct("InputOrderAction", action), client_id, ct.byref(rc))
        return rc.value

    @staticmethod
    def _check(raw: bytes, struct: str) -> None:
        size = len(encode_struct(struct, {}))
        if len(raw) != size:
            raise ConfigError(f"an encoded {struct} has {size} bytes, not {len(raw)}")

    def start_sender(self, ring: CommandRing, wait: str = "adaptive") -> None:
        """A thread that takes orders from *ring*. What is in there already is refused in the journal, not sent."""
        if wait not in WAIT_MODES:
            raise ConfigError(f"wait must be one of {', '.join(WAIT_MODES)}, not {wait!r}")
        with self._placed():
            lib().td_sender_start(self._api, ring.handle, WAIT_MODES[wait])
        self._ring = ring  # lives as long as its taker

    def stop_sender(self) -> None:
        """Can be repeated. What is not taken yet stays in the ring."""
        lib().td_sender_stop(self._api)
        self._ring = None

    def close_on_exec(self) -> None:
        """Keep the vendor's socket and flow files from programs that this process starts."""
        self._descriptors.close_on_exec()

    def release(self) -> None:
        """Stop the sender and give the api back. Blocks some milliseconds; can be repeated.

        On a thread that is left behind should the library never return: that has been seen.
        """
        if self._released:
            return
        self._released = True
        if release_aside(lib().td_release, self._td):
            lib().td_free(self._td)
            self._ring = None
