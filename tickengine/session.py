"""The connection's state machine: connect, log in, subscribe; after every disconnect all of it again.

The shim puts the vendor's rare callbacks into a queue; `Session.step` takes them one by one on a
thread of its own, so nothing here runs on the vendor's thread. What must be answered in time has a
deadline; what was refused is tried again after growing pauses, or given up when trying again could
lock the account.

::

    connecting ──connected──▶ connected ──login──▶ logged_in ──all acknowledged──▶ live ⇄ stale
        ▲                         │ refused: pause, again │                            │
        └────────── disconnected ─┴───────────────────────┴────────────────────────────┘
                                  └──▶ failed (refused for good)            stopped
"""

from __future__ import annotations

import ctypes as ct
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from . import _shim, probe_front
from ._shim import Callback_, lib, new_handle
from .config import Settings
from .log import TickLog
from .words import EVENT_CODES, decode, disconnect_reason, error_words

logger = logging.getLogger("tickengine")

LOGIN_DEADLINE_S = 10.0
RELEASE_LIMIT_S = 5.0
ACK_DEADLINE_S = 10.0
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
UNKNOWN_REFUSALS = 5  # of a kind we do not know: then give up rather than risk the account
PROBE_AFTER_S = 3.0
SUBSCRIBE_BATCH = 500

# Login refusals that pass by themselves: wait and try again.
PASSING = frozenset({1, 7, 8, 60})
# Refusals that do not change by trying again; trying blindly gets the account locked (75).
FINAL = frozenset({3, 4, 9, 11, 12, 13, 19, 48, 49, 63, 64, 75, 131, 132, 140, 143, 144, 2001, 2012, 4040, 4042, 4043, 4060})
# "You are logged in already."
ALREADY = frozenset({5, 6023})


class Listener(Protocol):
    """Who is told about the vendor's callbacks, on the session's thread (`MdApi` and its subclasses)."""

    def dispatch(self, name: str, *args: Any) -> None: ...


def _pause(attempt: int) -> float:
    return PAUSES_S[min(attempt, len(PAUSES_S) - 1)]


class Session:
    """One vendor api and its connection. All public methods may be called from any thread."""

    def __init__(
        self, settings: Settings, library: str, flow_path: str, log: TickLog, listener: Listener | None = None
    ) -> None:
        self.settings = settings
        self._log = log
        self._listener = listener
        self._lock = threading.RLock()
        self._writer = new_handle()
        self._md: ct.c_void_p | None = None
        self.changed = threading.Condition(self._lock)
        self._request_id = 0
        self._descriptors = _protected_descriptors()

        self.state = "connecting"
        self.failure = ""
        self.trading_day = ""
        self.logins = 0
        self.disconnects = 0
        self.last_disconnect_reason = 0
        self.front_error = ""
        self._asked: dict[bytes, None] = dict.fromkeys(settings.instruments)  # everything subscribed so far
        self._pending: dict[bytes, None] = {}  # sent on this connection, not answered yet
        self._acknowledged: set[bytes] = set()
        self._refused: dict[bytes, int] = {}
        self._live_announced = False
        self._timers: dict[str, float] = {}
        self._attempts: dict[str, int] = {}
        self._status_written = ""
        self._last_ticks = (0, time.monotonic())
        self._last_refresh = 0.0
        self._stopping = False

        shim = lib()
        shim.writer_open(log.handle, True, ct.byref(self._writer))
        try:
            md = new_handle()
            shim.md_create(
                os.fsencode(library),
                settings.vendor_version.encode(),
                os.fsencode(flow_path),
                settings.using_udp,
                settings.multicast,
                settings.production,
                self._writer,
                ct.byref(md),
            )
            self._md = md
            info = _shim.VendorInfo()
            shim.md_info(md, ct.byref(info))
            self.api_version = info.version.decode("ascii", "replace").strip()
            for front in settings.fronts:
                shim.md_register_front(md, front.encode())
        except BaseException:
            self.release()
            raise
        self._flow_path = flow_path

    # ---- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect. Returns at once; callbacks are taken by `step`."""
        with self._lock:
            self.event("engine_started")
            self._timers["probe"] = time.monotonic() + PROBE_AFTER_S
            lib().md_init(self._md)
            self._write_status()

    def stop(self) -> None:
        """Make `run` return soon. Never blocks."""
        self._stopping = True
        with self._lock:
            if self._md is not None:
                lib().md_wake(self._md)

    def release(self) -> None:
        """Give the vendor's api back, in the vendor's order, once. Blocks for some milliseconds."""
        with self._lock:
            md, self._md = self._md, None
            writer, self._writer = self._writer, new_handle()
        # Outside the lock: the vendor waits here for a callback in progress.
        if md is not None:
            self._release_vendor(md)
        if writer:
            if self.state not in ("failed",):
                self._set_state("stopped")
            self._write_event(writer, EVENT_CODES["engine_stopped"], 0, 0, 0, "")
            self._write_status()
            lib().writer_close(writer)

    def _release_vendor(self, md: ct.c_void_p) -> None:
        """On a thread that is left behind if the vendor library never returns: it has been seen to."""
        thread = threading.Thread(target=lib().md_release, args=(md,), name="tickengine-release", daemon=True)
        thread.start()
        thread.join(RELEASE_LIMIT_S)
        if thread.is_alive():
            logger.error("the vendor library's Release has not returned for %g s; its threads are left behind", RELEASE_LIMIT_S)
        else:
            lib().md_free(md)

    def run(self) -> None:
        """Take callbacks and keep deadlines until `stop` or a failure that is final."""
        while not self._stopping and self.state != "failed":
            self.step(1.0)

    def step(self, timeout: float) -> None:
        """Take one callback, waiting at most *timeout* seconds, and do what is due."""
        callback = Callback_()
        with self._lock:
            md = self._md
            if md is None:
                return
            now = time.monotonic()
            due = min(self._timers.values(), default=now + timeout)
            wait = max(0.0, min(timeout, due - now))
        if lib().md_next(md, int(wait * 1e9), ct.byref(callback)):
            self._handle(callback)
        self._due()

    # ---- callbacks -----------------------------------------------------------------------------

    def _handle(self, c: Callback_) -> None:
        handler = _HANDLERS[c.kind]
        handler(self, c)

    def _tell(self, name: str, *args: Any) -> None:
        if self._listener is not None:
            self._listener.dispatch(name, *args)

    def _on_connected(self, _c: Callback_) -> None:
        with self._lock:
            self._forget_connection()
            self.front_error = ""
            self._timers.pop("probe", None)
            self._set_state("connected")
            self._close_on_exec()
        logger.info("front connected")
        before = self._request_id
        self._tell("OnFrontConnected")
        with self._lock:
            # A listener that logs in by itself has done it; otherwise it is done here.
            if self._request_id == before and self.state == "connected":
                waited = self._timers.get("login", 0.0)
                if waited <= time.monotonic():
                    self._login()

    def _on_disconnected(self, c: Callback_) -> None:
        with self._lock:
            self.disconnects += 1
            self.last_disconnect_reason = c.reason
            self._forget_connection()
            self._timers["probe"] = time.monotonic() + PROBE_AFTER_S
            self._set_state("connecting")
        logger.warning("front disconnected: %s; the vendor library reconnects", disconnect_reason(c.reason))
        self._tell("OnFrontDisconnected", c.reason)

    def _forget_connection(self) -> None:
        self._pending.clear()
        self._acknowledged.clear()
        self._refused.clear()
        self._live_announced = False
        for name in ("login_answer", "acks", "refused"):
            self._timers.pop(name, None)
        self._attempts.pop("acks", None)
        self._attempts.pop("refused", None)

    def _on_heartbeat_warning(self, c: Callback_) -> None:
        self._tell("OnHeartBeatWarning", c.reason)

    def _login(self) -> None:
        """Send the login request with the settings' credentials."""
        s = self.settings
        self._send_login(s.broker_id, s.investor_id, s.password)

    def _send_login(self, broker_id: str, investor_id: str, password: str) -> int:
        with self._lock:
            if self._md is None:
                return -1
            self._request_id += 1
            rc = ct.c_int32()
            # The product info travels as given; md fronts check neither it nor an app id.
            lib().md_login(
                self._md, broker_id.encode(), investor_id.encode(), password.encode(), b"", self._request_id, ct.byref(rc)
            )
            self._timers.pop("login", None)
            if rc.value == 0:
                self._timers["login_answer"] = time.monotonic() + LOGIN_DEADLINE_S
            else:
                self._timers["login"] = time.monotonic() + _pause(self._attempt("login_send"))
            return rc.value

    def _attempt(self, name: str) -> int:
        count = self._attempts.get(name, 0)
        self._attempts[name] = count + 1
        return count

    def _on_login(self, c: Callback_) -> None:
        accepted = c.error_id == 0 or c.error_id in ALREADY
        with self._lock:
            if self.state in ("connecting", "failed"):
                return  # an answer from before the last cut
            self._timers.pop("login_answer", None)
            if accepted:
                self.logins += 1
                self.trading_day = decode(c.trading_day)
                for name in ("login_send", "login", "login_unknown"):
                    self._attempts.pop(name, None)
                self._set_state("logged_in")
                logger.info("logged in, trading day %s", self.trading_day or "not given")
        self._tell("OnRspUserLogin", _login_dict(c), _info_dict(c), c.request_id, bool(c.is_last))
        if not accepted:
            self._login_refused(c.error_id, decode(c.error_msg))
            return
        with self._lock:  # what the listener has subscribed meanwhile is not asked for twice
            if self.state == "logged_in":
                self._subscribe_missing()

    def _login_refused(self, error_id: int, message: str) -> None:
        words = error_words(error_id, message)
        with self._lock:
            if error_id in FINAL:
                self._give_up(error_id, f"login refused: {words}; not tried again so that the account is not locked")
                return
            if error_id not in PASSING and self._attempt("login_unknown") + 1 >= UNKNOWN_REFUSALS:
                self._give_up(error_id, f"login refused {UNKNOWN_REFUSALS} times: {words}")
                return
            pause = _pause(self._attempt("login"))
            self._timers["login"] = time.monotonic() + pause
            logger.warning("login refused: %s; next try in %g s", words, pause)
            self._write_status()

    def _give_up(self, error_id: int, why: str) -> None:
        self.failure = why
        self._write_event(self._writer, EVENT_CODES["gave_up"], 0, error_id, 0, why)
        logger.error("%s", why)
        self._set_state("failed")

    # ---- subscriptions -------------------------------------------------------------------------

    def _subscribe_missing(self) -> None:
        """Ask for everything that has been asked for so far and not on this connection."""
        missing = [i for i in self._asked if i not in self._pending and i not in self._acknowledged and i not in self._refused]
        self._send_subscribe(missing)
        self._check_live()

    def _send_subscribe(self, ids: list[bytes]) -> int:
        for start in range(0, len(ids), SUBSCRIBE_BATCH):
            batch = ids[start : start + SUBSCRIBE_BATCH]
            rc = self._call_subscribe(_shim.SUBSCRIBE, batch)
            if rc != 0:
                self._timers["acks"] = time.monotonic() + _pause(self._attempt("acks"))
                return rc
            self._pending.update(dict.fromkeys(batch))
            self._timers["acks"] = time.monotonic() + ACK_DEADLINE_S
        return 0

    def _call_subscribe(self, what: int, ids: list[bytes]) -> int:
        if self._md is None:
            return -1
        rc = ct.c_int32()
        lib().md_subscribe(self._md, what, _shim.id_array(ids), len(ids), ct.byref(rc))
        return rc.value

    def subscribe(self, ids: Iterable[bytes]) -> int:
        """Ask for more instruments, now and after every reconnect. Returns the vendor's code.

        Before the login they are only remembered (0).
        """
        with self._lock:
            new = [i for i in ids if i not in self._asked]
            self._asked.update(dict.fromkeys(new))
            if self.state not in ("logged_in", "live", "stale"):
                self._write_status()
                return 0
            self._live_announced = False
            self._set_state("logged_in")
            rc = self._send_subscribe([i for i in new if i not in self._pending and i not in self._acknowledged])
            self._check_live()
            return rc

    def unsubscribe(self, ids: Iterable[bytes]) -> int:
        """Stop receiving instruments, and forget them. Returns the vendor's code."""
        with self._lock:
            known = [i for i in ids if i in self._asked]
            for i in known:
                for place in (self._asked, self._pending, self._refused):
                    place.pop(i, None)  # type: ignore[attr-defined]
                self._acknowledged.discard(i)
            if not known or self.state not in ("logged_in", "live", "stale"):
                self._write_status()
                return 0
            rc = self._call_subscribe(_shim.UNSUBSCRIBE, known)
            self._check_live()
            self._write_status()
            return rc

    def subscribe_quote(self, ids: list[bytes], on: bool) -> int:
        """Requests for quotes (for-quote), on this connection only."""
        with self._lock:
            return self._call_subscribe(_shim.SUBSCRIBE_QUOTE if on else _shim.UNSUBSCRIBE_QUOTE, ids)

    def _on_subscribed(self, c: Callback_) -> None:
        instrument = bytes(c.instrument_id)
        with self._lock:
            if c.has_data:
                self._pending.pop(instrument, None)
                if c.error_id == 0:
                    if instrument in self._asked:
                        self._acknowledged.add(instrument)
                    self._refused.pop(instrument, None)
                elif instrument in self._asked:
                    self._acknowledged.discard(instrument)
                    self._refused[instrument] = c.error_id
                    self._timers.setdefault("refused", time.monotonic() + _pause(2 + self._attempts.get("refused", 0)))
                    logger.warning(
                        "subscription of %s refused: %s", decode(instrument), error_words(c.error_id, decode(c.error_msg))
                    )
            self._check_live()
        data = {"InstrumentID": instrument} if c.has_data else None
        self._tell("OnRspSubMarketData", data, _info_dict(c), c.request_id, bool(c.is_last))

    def _check_live(self) -> None:
        """Everything asked for has been answered: say so once."""
        if self._pending or self.state not in ("logged_in", "live", "stale"):
            return
        if len(self._acknowledged) + len(self._refused) < len(self._asked):
            return
        self._timers.pop("acks", None)
        self._attempts.pop("acks", None)
        if not self._live_announced:
            self._live_announced = True
            self._write_event(self._writer, EVENT_CODES["subscribed"], 0, 0, len(self._acknowledged), "")
            logger.info("subscribed: %d acknowledged, %d refused", len(self._acknowledged), len(self._refused))
        self._last_ticks = (self._last_ticks[0], time.monotonic())
        self._set_state("live")

    def _on_unsubscribed(self, c: Callback_) -> None:
        data = {"InstrumentID": bytes(c.instrument_id)} if c.has_data else None
        self._tell("OnRspUnSubMarketData", data, _info_dict(c), c.request_id, bool(c.is_last))

    def _on_sub_quote(self, c: Callback_) -> None:
        data = {"InstrumentID": bytes(c.instrument_id)} if c.has_data else None
        name = "OnRspSubForQuoteRsp" if c.kind == _shim.CB_SUB_FOR_QUOTE else "OnRspUnSubForQuoteRsp"
        self._tell(name, data, _info_dict(c), c.request_id, bool(c.is_last))

    def _on_for_quote(self, c: Callback_) -> None:
        names = ("TradingDay", "InstrumentID", "ForQuoteSysID", "ForQuoteTime", "ActionDay", "ExchangeID")
        fields = (c.trading_day, c.instrument_id, c.for_quote_sys_id, c.for_quote_time, c.action_day, c.exchange_id)
        self._tell("OnRtnForQuoteRsp", dict(zip(names, map(bytes, fields))) if c.has_data else None)

    def _on_multicast(self, c: Callback_) -> None:
        data = {
            "TopicID": c.topic_id,
            "InstrumentID": bytes(c.instrument_id),
            "InstrumentNo": c.instrument_no,
            "CodePrice": c.code_price,
            "VolumeMultiple": c.volume_multiple,
            "PriceTick": c.price_tick,
        }
        self._tell(
            "OnRspQryMulticastInstrument", data if c.has_data else None, _info_dict(c), c.request_id, bool(c.is_last)
        )

    def _on_logout(self, c: Callback_) -> None:
        data = {"BrokerID": bytes(c.broker_id), "UserID": bytes(c.user_id)} if c.has_data else None
        self._tell("OnRspUserLogout", data, _info_dict(c), c.request_id, bool(c.is_last))

    def _on_error(self, c: Callback_) -> None:
        logger.warning("error from the front: %s", error_words(c.error_id, decode(c.error_msg)))
        self._tell("OnRspError", _info_dict(c), c.request_id, bool(c.is_last))

    # ---- deadlines -----------------------------------------------------------------------------

    def _due(self) -> None:
        """Do what has come due."""
        now = time.monotonic()
        with self._lock:
            if self._md is None:
                return
            if now - self._last_refresh >= 1.0:
                self._last_refresh = now
                lib().clock_refresh()
                self._watch_silence(now)
            for name in [n for n, when in self._timers.items() if when <= now]:
                del self._timers[name]
                _TIMERS[name](self)

    def _login_due(self) -> None:
        if self.state == "connected":
            self._login()

    def _login_overdue(self) -> None:
        if self.state != "connected":
            return
        pause = _pause(self._attempt("login"))
        logger.warning("login not answered within %g s; next try in %g s", LOGIN_DEADLINE_S, pause)
        self._write_event(self._writer, EVENT_CODES["login_overdue"], 0, 0, 0, "")
        self._timers["login"] = time.monotonic() + pause

    def _acks_overdue(self) -> None:
        if self.state not in ("logged_in", "live", "stale"):
            return
        overdue = list(self._pending)
        if overdue:
            logger.warning("%d subscriptions not acknowledged; asking again", len(overdue))
            self._write_event(self._writer, EVENT_CODES["ack_overdue"], 0, 0, len(overdue), "")
        self._pending.clear()
        self._subscribe_missing()
        if self._pending:
            self._timers["acks"] = time.monotonic() + ACK_DEADLINE_S + _pause(self._attempt("acks"))
        self._write_status()

    def _retry_refused(self) -> None:
        if self.state not in ("logged_in", "live", "stale") or not self._refused:
            return
        self._attempt("refused")
        again = list(self._refused)
        self._refused.clear()
        self._send_subscribe(again)
        self._write_status()

    def _probe(self) -> None:
        """Not connected for some seconds: find out why, in words; the vendor library does not tell."""
        if self.state != "connecting":
            return
        self._timers["probe"] = time.monotonic() + 15.0
        fronts = self.settings.fronts
        # On a thread of its own: a name server may take its time, and callbacks must be taken.
        threading.Thread(target=self._probe_fronts, args=(fronts,), name="tickengine-probe", daemon=True).start()

    def _probe_fronts(self, fronts: tuple[str, ...]) -> None:
        problems = [problem for front in fronts if (problem := probe_front.problem(front))]
        with self._lock:
            if self._md is None or self.state != "connecting" or len(problems) < len(fronts):
                return
            text = "; ".join(problems)
            if text != self.front_error:
                self.front_error = text
                logger.warning("no front can be reached: %s; trying on", text)
                self._write_status()

    def _watch_silence(self, now: float) -> None:
        ticks = int(self._log.info().ticks)
        if ticks != self._last_ticks[0]:
            self._last_ticks = (ticks, now)
            if self.state == "stale":
                self._set_state("live")
        limit = self.settings.stale_after
        if limit is not None and self.state == "live" and now - self._last_ticks[1] > limit:
            logger.warning("no tick for %g s", now - self._last_ticks[1])
            self._write_event(self._writer, EVENT_CODES["stale"], 0, 0, int(now - self._last_ticks[1]), "")
            self._set_state("stale")

    # ---- telling -------------------------------------------------------------------------------

    def event(self, name: str, value: int = 0, text: str = "") -> None:
        """Put an event of the session's own into the log."""
        self._write_event(self._writer, EVENT_CODES[name], 0, 0, value, text)

    @staticmethod
    def _write_event(writer: ct.c_void_p, code: int, reason: int, error_id: int, value: int, text: str) -> None:
        raw = text.encode("utf-8")
        # Cut at a character, not within one.
        raw = raw[:340].decode("utf-8", "ignore").encode("utf-8")
        lib().writer_event(writer, code, reason, error_id, value, raw, len(raw), 0)

    def _set_state(self, state: str) -> None:
        with self._lock:
            self.state = state
            self._write_status()
            self.changed.notify_all()

    def status(self) -> dict[str, Any]:
        """The session's part of the status. No secret is in it."""
        with self._lock:
            return {
                "state": self.state,
                "front": ",".join(self.settings.fronts)[:500],
                "broker_id": self.settings.broker_id,
                "trading_day": self.trading_day,
                "api_version": self.api_version,
                "logins": self.logins,
                "disconnects": self.disconnects,
                "last_disconnect_reason": self.last_disconnect_reason,
                "subscribed": len(self._acknowledged),
                "unacknowledged": len(self._asked) - len(self._acknowledged),
                "refused": sorted(i.decode("ascii", "replace") for i in self._refused)[:20],
                "front_error": self.front_error[:300],
                "failure": self.failure[:500],
            }

    def _write_status(self) -> None:
        status = self.status()
        text = repr(status)
        if text != self._status_written:
            self._status_written = text
            self._log.set_status_text(status)

    # ---- the vendor's requests, for MdApi ------------------------------------------------------

    def login(self, broker_id: str, investor_id: str, password: str) -> int:
        return self._send_login(broker_id, investor_id, password)

    def logout(self, broker_id: str, investor_id: str) -> int:
        with self._lock:
            if self._md is None:
                return -1
            self._request_id += 1
            rc = ct.c_int32()
            lib().md_logout(self._md, broker_id.encode(), investor_id.encode(), self._request_id, ct.byref(rc))
            return rc.value

    def query_multicast(self, topic_id: int, instrument_id: str, request_id: int) -> int:
        with self._lock:
            if self._md is None:
                return -1
            rc = ct.c_int32()
            lib().md_query_multicast(self._md, topic_id, instrument_id.encode(), request_id, ct.byref(rc))
            return rc.value

    def vendor_trading_day(self) -> str:
        """GetTradingDay(): what the library itself says (``19800100`` before the first login)."""
        with self._lock:
            if self._md is None:
                return self.trading_day
            buffer = ct.create_string_buffer(16)
            lib().md_trading_day(self._md, buffer, 16)
            return buffer.value.decode("ascii", "replace")

    def _close_on_exec(self) -> None:
        """The vendor's socket and flow files would be inherited by programs that this process starts."""
        for fd in _new_descriptors(self._descriptors):
            try:
                target = os.readlink(f"/proc/self/fd/{fd}")
                if target.startswith("socket:") or target.startswith(self._flow_path):
                    os.set_inheritable(fd, False)
            except OSError:
                continue  # closed meanwhile


def _protected_descriptors() -> frozenset[int]:
    """Inheritable descriptors that were there before the vendor's."""
    return frozenset(fd for fd in _descriptors() if _inheritable(fd))


def _descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


def _inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False  # the directory's own descriptor is closed by now


def _new_descriptors(known: frozenset[int]) -> list[int]:
    return [fd for fd in _descriptors() if fd > 2 and fd not in known and _inheritable(fd)]


def _info_dict(c: Callback_) -> dict[str, Any] | None:
    """pRspInfo as AlgoPlus gives it, None where the vendor gave a null pointer."""
    return {"ErrorID": c.error_id, "ErrorMsg": bytes(c.error_msg)} if c.has_info else None


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


def _login_dict(c: Callback_) -> dict[str, Any] | None:
    return {name: getattr(c, field) for name, field in _LOGIN_FIELDS} if c.has_data else None


_HANDLERS: dict[int, Callable[[Session, Callback_], None]] = {
    _shim.CB_FRONT_CONNECTED: Session._on_connected,
    _shim.CB_FRONT_DISCONNECTED: Session._on_disconnected,
    _shim.CB_HEARTBEAT_WARNING: Session._on_heartbeat_warning,
    _shim.CB_USER_LOGIN: Session._on_login,
    _shim.CB_USER_LOGOUT: Session._on_logout,
    _shim.CB_QRY_MULTICAST: Session._on_multicast,
    _shim.CB_ERROR: Session._on_error,
    _shim.CB_SUB_MARKET_DATA: Session._on_subscribed,
    _shim.CB_UNSUB_MARKET_DATA: Session._on_unsubscribed,
    _shim.CB_SUB_FOR_QUOTE: Session._on_sub_quote,
    _shim.CB_UNSUB_FOR_QUOTE: Session._on_sub_quote,
    _shim.CB_FOR_QUOTE: Session._on_for_quote,
}

_TIMERS: dict[str, Callable[[Session], None]] = {
    "login": Session._login_due,
    "login_answer": Session._login_overdue,
    "acks": Session._acks_overdue,
    "refused": Session._retry_refused,
    "probe": Session._probe,
}
