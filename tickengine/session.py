"""The connection's state machine: connect, log in, subscribe; after every disconnect all of it again.

The shim puts the vendor's rare callbacks into a queue; `Session.step` takes them one by one on a
thread of its own, so nothing here runs on the vendor's thread. What must be answered in time has a
deadline; what was refused is tried again after growing pauses, or given up when trying again could
lock the account.

::

    connecting ──connected──▶ connected ──login──▶ logged_in ──all answered──▶ live ⇄ stale
        ▲                         │ refused: pause, again │                        │
        └────────── disconnected ─┴───────────────────────┴────────────────────────┘
                                  └──▶ failed (refused for good)            stopped
"""

from __future__ import annotations

import ctypes as ct
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from . import _shim, probe_front, rules
from ._errors import ConfigError, SilentFeed
from ._secret import Secret
from ._shim import Callback_, lib, new_handle
from .callbacks import call_of
from .config import Settings
from .hours import open_for
from .log import TickLog
from .products import products_of
from .subscriptions import Subscriptions
from .vendor_api import NOT_CONNECTED, VendorApi
from .words import EVENT_CODES, decode, disconnect_reason, error_words

logger = logging.getLogger("tickengine")

LOGIN_DEADLINE_S = 10.0
ACK_DEADLINE_S = 10.0
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
UNKNOWN_REFUSALS = 5  # of a kind we do not know: then give up rather than risk the account
# The vendor library reconnects within a millisecond, and without end. A front that ends each connection at the
# login would see hundreds of logins a second.
LOGINS_CUT_AT_ONCE = 3  # so many that were cut off unanswered are followed by another one at once,
LONGEST_CUT_PAUSE = 3  # later ones after a pause; this is the last of `PAUSES_S` taken for it
PROBE_AFTER_S = 3.0
PROBE_AGAIN_S = 15.0
SUBSCRIBE_BATCH = 500
CLOCK_STEP_S = 5.0
_STEP_S = 1.0
_MOST_COUNTED_S = 2 * _STEP_S  # of the time between two looks: a process that stood still has heard nothing either
_EVENT_TEXT = 340

# Login refusals that pass by themselves: wait and try again.
PASSING = frozenset({1, 7, 8, 60})
# Refusals that do not change by trying again; trying blindly gets the account locked (75).
FINAL = frozenset({3, 4, 9, 11, 12, 13, 19, 48, 49, 63, 64, 75, 131, 132, 140, 143, 144})
FINAL |= {2001, 2012, 4040, 4042, 4043, 4060}
# "You are logged in already."
ALREADY = frozenset({5, 6023})

LOGGED_IN_STATES = ("logged_in", "live", "stale")


class Listener(Protocol):
    """Who is told about the vendor's callbacks, on the session's thread (`MdApi` and its subclasses)."""

    def dispatch(self, name: str, *args: Any) -> None: ...


def _wall_clock() -> float:
    """What it is ahead of the monotonic clock: changes when it is set."""
    return time.time() - time.monotonic()


def _pause(attempt: int) -> float:
    return PAUSES_S[min(attempt, len(PAUSES_S) - 1)]


class Session:
    """One vendor api and its connection. All public methods may be called from any thread."""

    def __init__(
        self, settings: Settings, library: str, flow_path: str, log: TickLog, listener: Listener | None = None
    ) -> None:
        self.settings = settings
        self.state = "connecting"
        self.failure = ""
        self.trading_day = ""
        self.logins = 0
        self.disconnects = 0
        self.last_disconnect_reason = 0
        self.front_error = ""
        self.steps = 0  # grows about once a second at least; stands when a call does not come back
        self._posted: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._log = log
        self._listener = listener
        self._lock = threading.RLock()
        self._book = Subscriptions(settings.instruments)
        self._request_id = 0
        self._live_announced = False
        self._timers: dict[str, float] = {}
        self._attempts: dict[str, int] = {}
        self._status_written: dict[str, Any] = {}
        self._ticks = 0
        self._silence = 0.0  # seconds in which a tick, or an answer before the first, could have come and did not
        self._login_unanswered = False
        self._last_second = time.monotonic()
        self._wall_clock = _wall_clock()
        self._stopping = False
        today = rules.own_rules()  # read first: between a new writer and its first word the old status stands
        self._writer = new_handle()
        lib().writer_open(log.handle, True, ct.byref(self._writer))
        try:
            today.give(self._writer)
            self._api: VendorApi | None = VendorApi(settings, library, flow_path, self._writer)
        except BaseException:
            lib().writer_close(self._writer)
            raise
        self.api_version = self._api.version

    # ---- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect. Returns at once; callbacks are taken by `step`."""
        with self._lock:
            assert self._api is not None
            self._event("engine_started")
            self._set_timer("probe", PROBE_AFTER_S)
            self._api.init()
            self._write_status()

    def stop(self) -> None:
        """Make `run` return soon. Never blocks."""
        self._stopping = True
        self._wake()

    def post(self, request: Callable[[], object]) -> None:
        """Have *request* made on the thread that is in `run`. Never blocks, whatever the vendor library does."""
        self._posted.put(request)
        self._wake()

    def _wake(self) -> None:
        api = self._api  # without the lock: a call into the library that does not come back holds it
        if api is not None:
            api.wake()

    @property
    def call(self) -> str:
        """The vendor library's function that is being called, or ``""``."""
        api = self._api
        return "" if api is None else api.call

    def release(self) -> None:
        """Give the vendor's api back, in the vendor's order, once. Blocks for some milliseconds.

        No thread may be in `step`.
        """
        with self._lock:
            api, self._api = self._api, None
        if api is None:
            return
        api.release()  # outside the lock: the vendor waits here for a callback in progress
        with self._lock:
            if self.state != "failed":
                self.state = "stopped"
            self._event("engine_stopped")
            self._write_status()
            lib().writer_close(self._writer)

    def run(self) -> None:
        """Take callbacks and keep deadlines until `stop` or a failure that is final.

        Raises `SilentFeed` when silence is to be answered with a restart.
        """
        while not self._stopping and self.state != "failed":
            self.step(_STEP_S)

    def step(self, timeout: float) -> None:
        """Take one callback, waiting at most *timeout* seconds, and do what is due."""
        self.steps += 1
        with self._lock:
            api = self._api
            now = time.monotonic()
            due = min(self._timers.values(), default=now + timeout)
        if api is None:
            return
        callback = api.next_callback(max(0.0, min(timeout, due - now)))
        if callback is not None:
            _HANDLERS.get(callback.kind, Session._tell)(self, callback)
        while not self._posted.empty():
            self._posted.get()()
        self._do_what_is_due()

    def _tell(self, c: Callback_) -> None:
        if self._listener is not None:
            name, arguments = call_of(c)
            self._listener.dispatch(name, *arguments)

    # ---- connection and login ------------------------------------------------------------------

    def _on_connected(self, c: Callback_) -> None:
        with self._lock:
            assert self._api is not None
            self._forget_connection()
            self.front_error = ""
            self._timers.pop("probe", None)
            self._set_state("connected")
            self._api.close_on_exec()
            requests = self._request_id
        logger.info("front connected")
        self._tell(c)
        with self._lock:
            # A listener that logs in by itself has done so by now. A pause after a refusal holds over
            # a reconnect: its timer will log in.
            if self._request_id == requests and self.state == "connected" and "login" not in self._timers:
                self._login_after_cuts()

    def _on_disconnected(self, c: Callback_) -> None:
        with self._lock:
            self.disconnects += 1
            self.last_disconnect_reason = c.reason
            if "login_answer" in self._timers:
                self._attempt("login_cut")
            self._forget_connection()
            self._set_timer("probe", PROBE_AFTER_S)
            self._set_state("connecting")
        logger.warning("front disconnected: %s; the vendor library reconnects", disconnect_reason(c.reason))
        self._tell(c)

    def _forget_connection(self) -> None:
        self._book.forget_connection()
        self._live_announced = self._login_unanswered = False
        self._silence = 0.0
        for name in ("login_send", "login_answer", "acks", "refused"):
            self._timers.pop(name, None)
            self._attempts.pop(name, None)

    def _login_after_cuts(self) -> None:
        cut = self._attempts.get("login_cut", 0)
        if cut < LOGINS_CUT_AT_ONCE:
            self._login()
            return
        pause = _pause(min(cut - LOGINS_CUT_AT_ONCE, LONGEST_CUT_PAUSE))
        self._set_timer("login", pause)
        self._trouble(
            f"the front has ended {cut} connections without an answer to the login; next login in {pause:g} s"
        )

    def _trouble(self, words: str) -> None:
        """Why there is no feed, for the status, though the front can be reached."""
        self.front_error = words
        logger.warning("%s", words)
        self._write_status()

    def _login(self) -> None:
        s = self.settings
        self.login(s.broker_id, s.investor_id, s.password)

    def login(self, broker_id: str, investor_id: str, password: Secret) -> int:
        """Send a login request; its answer has a deadline. Returns the vendor's code."""
        with self._lock:
            if self._api is None:
                return NOT_CONNECTED
            self._request_id += 1
            rc = self._api.login(broker_id, investor_id, password, self._request_id)
            self._timers.pop("login", None)
            if rc == 0:
                self._set_timer("login_answer", LOGIN_DEADLINE_S)
            else:  # of this connection only: the next one begins with a login of its own
                self._set_timer("login_send", _pause(self._attempt("login_send")))
            return rc

    def _on_login(self, c: Callback_) -> None:
        accepted = c.error_id == 0 or c.error_id in ALREADY
        with self._lock:
            if self.state != "connected" and self.state not in LOGGED_IN_STATES:
                return  # an answer from before the last cut
            # The second answer of two: to a login that was overdue, or one sent while the connection was changing.
            again = self.state != "connected"
            self._timers.pop("login_answer", None)
            self._attempts.pop("login_cut", None)
            self._login_unanswered = False
            if not again:
                self._silence = 0.0
            if accepted and not again:
                self.logins += 1
                self.front_error = ""
                self.trading_day = decode(c.trading_day)
                rules.own_rules(self.trading_day).give(self._writer)  # hours change from one day to another
                # The pause too: it would hold back the login after the next cut.
                self._timers.pop("login", None)
                for name in ("login_send", "login", "login_unknown"):
                    self._attempts.pop(name, None)
                if c.error_id != 0:  # the log has it as refused, for its ErrorID; it counts as accepted
                    self._event("logged_in", error_id=c.error_id, text=self.trading_day)
                self._set_state("logged_in")
                logger.info("logged in, trading day %s", self.trading_day or "not given")
        self._tell(c)
        with self._lock:
            if again:
                if not accepted:  # the feed goes on
                    words = error_words(c.error_id, decode(c.error_msg))
                    logger.warning("a login was refused on a connection that is logged in: %s", words)
            elif not accepted:
                self._login_refused(c.error_id, decode(c.error_msg))
            elif self.state == "logged_in":  # what the listener has subscribed meanwhile is not asked for twice
                self._subscribe_missing()

    def _login_refused(self, error_id: int, message: str) -> None:
        words = error_words(error_id, message)
        if error_id in FINAL:
            self._give_up(error_id, f"login refused: {words}; not tried again so that the account is not locked")
        elif error_id not in PASSING and self._attempt("login_unknown") + 1 >= UNKNOWN_REFUSALS:
            self._give_up(error_id, f"login refused {UNKNOWN_REFUSALS} times: {words}")
        else:
            pause = _pause(self._attempt("login"))
            self._set_timer("login", pause)
            self._trouble(f"login refused: {words}; next try in {pause:g} s")

    def _give_up(self, error_id: int, why: str) -> None:
        self.failure = why
        self._event("gave_up", error_id=error_id, text=why)
        logger.error("%s", why)
        self._set_state("failed")

    # ---- subscriptions -------------------------------------------------------------------------

    def subscribe(self, ids: Iterable[bytes]) -> int:
        """Ask for more instruments, now and after every reconnect. Returns the vendor's code.

        Without a login they are only remembered (0).

        Raises `ConfigError` when the library cannot take one of them; none of them is remembered then.
        """
        with self._lock:
            ids = list(ids)
            new = [i for i in ids if i not in self._book.asked]
            self._book.add(ids)
            try:
                return self._subscribe_added()
            except ConfigError:
                self._book.remove(new)
                self._check_live()
                raise

    def _subscribe_added(self) -> int:
        with self._lock:
            if self.state not in LOGGED_IN_STATES:
                self._write_status()
                return 0
            if self._book.missing():
                self._live_announced = False
                self._set_state("logged_in")
            return self._subscribe_missing()

    def unsubscribe(self, ids: Iterable[bytes]) -> int:
        """Stop receiving instruments, and forget them. Returns the vendor's code."""
        with self._lock:
            known = self._book.remove(ids)
            rc = 0
            if known and self.state in LOGGED_IN_STATES:
                rc = self._subscription(_shim.UNSUBSCRIBE, known)
                self._check_live()
            self._write_status()
            return rc

    def subscribe_quote(self, ids: list[bytes], on: bool) -> int:
        """Requests for quotes, on this connection only. Returns the vendor's code."""
        with self._lock:
            return self._subscription(_shim.SUBSCRIBE_QUOTE if on else _shim.UNSUBSCRIBE_QUOTE, ids)

    def _subscription(self, what: int, ids: list[bytes]) -> int:
        return NOT_CONNECTED if self._api is None else self._api.subscription(what, ids)

    def _subscribe_missing(self) -> int:
        """Ask for everything asked for so far and not on this connection, in batches."""
        missing = self._book.missing()
        for start in range(0, len(missing), SUBSCRIBE_BATCH):
            batch = missing[start : start + SUBSCRIBE_BATCH]
            rc = self._subscription(_shim.SUBSCRIBE, batch)
            if rc != 0:
                self._set_timer("acks", _pause(self._attempt("acks")))
                return rc
            self._book.sent(batch)
            self._set_timer("acks", ACK_DEADLINE_S + self._attempts.get("acks", 0))
        self._check_live()
        return 0

    def _on_subscribed(self, c: Callback_) -> None:
        instrument = bytes(c.instrument_id)
        with self._lock:
            # Before the login it is the answer to a request meant for the connection before this one. All is
            # asked for after the login; a refusal noted here would wait for its pause.
            counts = c.has_data and self.state in LOGGED_IN_STATES
            if self.state == "logged_in":
                self._silence = 0.0
            if counts and self._book.answered(instrument, c.error_id) and c.error_id != 0:
                if "refused" not in self._timers:
                    self._set_timer("refused", _pause(2 + self._attempts.get("refused", 0)))
                words = error_words(c.error_id, decode(c.error_msg))
                logger.warning("subscription of %s refused: %s", decode(instrument), words)
            self._check_live()
        self._tell(c)

    def _check_live(self) -> None:
        """Everything asked for has been answered: say so once."""
        if self.state not in LOGGED_IN_STATES or not self._book.complete:
            return
        self._timers.pop("acks", None)
        self._attempts.pop("acks", None)
        acknowledged, refused = len(self._book.acknowledged), len(self._book.refused)
        if self._live_announced:  # an answer that changes nothing here is no tick: silence goes on, stale stays
            self._write_status()
            return
        self._live_announced = True
        self._event("subscribed", value=acknowledged)
        logger.info("subscribed: %d acknowledged, %d refused", acknowledged, refused)
        self._silence = 0.0
        self._set_state("live")

    # ---- deadlines -----------------------------------------------------------------------------

    def _set_timer(self, name: str, seconds: float) -> None:
        self._timers[name] = time.monotonic() + seconds

    def _attempt(self, name: str) -> int:
        count = self._attempts.get(name, 0)
        self._attempts[name] = count + 1
        return count

    def _do_what_is_due(self) -> None:
        now = time.monotonic()
        with self._lock:
            if self._api is None:
                return
            passed = now - self._last_second
            if passed >= 1.0:
                self._last_second = now
                lib().clock_refresh()
                self._watch_wall_clock()
                self._watch_silence(passed)
            for name in [n for n, when in self._timers.items() if when <= now]:
                del self._timers[name]
                _TIMERS[name](self)

    def _login_due(self) -> None:
        if self.state == "connected":
            self._login()

    def _login_overdue(self) -> None:
        if self.state == "connected":
            pause = _pause(self._attempt("login"))
            self._login_unanswered = True
            self._event("login_overdue")
            self._set_timer("login", pause)
            self._trouble(f"the login was not answered within {LOGIN_DEADLINE_S:g} s; next try in {pause:g} s")

    def _acks_overdue(self) -> None:
        if self.state not in LOGGED_IN_STATES:
            return
        overdue = self._book.give_up_pending()
        if overdue:
            self._attempt("acks")
            logger.warning("%d subscriptions not acknowledged; asking again", overdue)
            self._event("ack_overdue", value=overdue)
        self._subscribe_missing()
        self._write_status()

    def _retry_refused(self) -> None:
        if self.state in LOGGED_IN_STATES and self._book.refused:
            self._attempt("refused")
            self._book.forget_refusals()
            self._subscribe_missing()
            self._write_status()

    def _probe(self) -> None:
        """Not connected for some seconds: find out why, in words; the vendor library does not tell."""
        if self.state == "connecting":
            self._set_timer("probe", PROBE_AGAIN_S)
            # On a thread of its own: a name server may take its time, and callbacks must be taken.
            threading.Thread(target=self._probe_fronts, name="tickengine-probe", daemon=True).start()

    def _probe_fronts(self) -> None:
        fronts = self.settings.fronts
        problems = [problem for front in fronts if (problem := probe_front.problem(front))]
        with self._lock:
            if self._api is None or self.state != "connecting" or len(problems) < len(fronts):
                return
            text = "; ".join(problems)
            if text != self.front_error:
                self.front_error = text
                logger.warning("no front can be reached: %s; trying on", text)
                self._write_status()

    def _refused_before_connecting(self, words: str) -> None:
        """An error instead of OnFrontConnected: the front has answered the library's handshake with it."""
        with self._lock:
            if self.state == "connecting":
                self.front_error = (
                    f"the front does not know how this vendor library ({self.api_version}) begins a connection: "
                    f"{words}. Libraries from 6.3.15 on encrypt; a plain front needs 6.3.6 or 6.3.11"
                )
                self._write_status()

    def _watch_wall_clock(self) -> None:
        """Nothing of ours follows it but RecvTime. The vendor library may cut its connection for it (8193)."""
        before, self._wall_clock = self._wall_clock, _wall_clock()
        step = self._wall_clock - before
        if abs(step) >= CLOCK_STEP_S:
            logger.warning("the wall clock has been set %s by %.0f s", "forward" if step > 0 else "back", abs(step))

    def _watch_silence(self, passed: float) -> None:
        ticks = int(self._log.info().ticks)
        if ticks != self._ticks:
            self._ticks, self._silence = ticks, 0.0
            if self.state == "stale":
                self._set_state("live")
        if not self._ticks_may_come():
            self._silence = 0.0
            return
        self._silence += min(passed, _MOST_COUNTED_S)
        limit, restart = self.settings.stale_after, self.settings.on_stale == "restart"
        if limit is None or self._silence <= limit or not (self.state == "live" or restart):
            return
        if not self.settings.any_hour:  # what lies before the session began is none
            self._silence = min(self._silence, open_for(products_of(self._book.asked, self.settings.hours)))
            if self._silence <= limit:
                return
        if self.state == "live":
            logger.warning("no tick for %.0f s", self._silence)
            self._event("stale", value=int(self._silence))
            self._set_state("stale")
        if restart:
            raise SilentFeed(self._silence)

    def _ticks_may_come(self) -> bool:
        """Or what comes before them: an answer to the login that is overdue. A refusal is an answer."""
        if self.state in LOGGED_IN_STATES:
            return len(self._book.refused) < len(self._book.asked)
        return self._login_unanswered

    # ---- telling -------------------------------------------------------------------------------

    def _event(self, name: str, *, error_id: int = 0, value: int = 0, text: str = "") -> None:
        # Cut at a character, not within one.
        raw = text.encode()[:_EVENT_TEXT].decode("utf-8", "ignore").encode()
        lib().writer_event(self._writer, EVENT_CODES[name], 0, error_id, value, raw, len(raw), 0)

    def _set_state(self, state: str) -> None:
        self.state = state
        self._write_status()

    def status(self) -> dict[str, Any]:
        """The session's part of the status. No secret is in it."""
        with self._lock:
            book = self._book
            return {
                "state": self.state,
                "front": ",".join(self.settings.fronts)[:500],
                "broker_id": self.settings.broker_id,
                "trading_day": self.trading_day,
                "api_version": self.api_version,
                "logins": self.logins,
                "disconnects": self.disconnects,
                "last_disconnect_reason": self.last_disconnect_reason,
                "subscribed": len(book.acknowledged),
                "unacknowledged": len(book.asked) - len(book.acknowledged),
                "refused": sorted(i.decode("ascii", "replace") for i in book.refused)[:20],
                "front_error": self.front_error[:300],
                "failure": self.failure[:500],
            }

    def _write_status(self) -> None:
        status = self.status()
        if status != self._status_written:
            self._status_written = status
            self._log.set_status_text(status)

    # ---- the vendor's other requests, for MdApi ------------------------------------------------

    def logout(self, broker_id: str, investor_id: str) -> int:
        with self._lock:
            self._request_id += 1
            return NOT_CONNECTED if self._api is None else self._api.logout(broker_id, investor_id, self._request_id)

    def query_multicast(self, topic_id: int, instrument_id: str, request_id: int) -> int:
        with self._lock:
            return (
                NOT_CONNECTED if self._api is None else self._api.query_multicast(topic_id, instrument_id, request_id)
            )

    def vendor_trading_day(self) -> str:
        """GetTradingDay(): what the library itself says (``19800100`` before the first login)."""
        with self._lock:
            return self.trading_day if self._api is None else self._api.trading_day()


def _on_error(session: Session, c: Callback_) -> None:
    words = error_words(c.error_id, decode(c.error_msg))
    logger.warning("error from the front: %s", words)
    session._refused_before_connecting(words)
    session._tell(c)


# Callbacks that the session acts on; the others are only told.
_HANDLERS: dict[int, Callable[[Session, Callback_], None]] = {
    _shim.CB_FRONT_CONNECTED: Session._on_connected,
    _shim.CB_FRONT_DISCONNECTED: Session._on_disconnected,
    _shim.CB_USER_LOGIN: Session._on_login,
    _shim.CB_SUB_MARKET_DATA: Session._on_subscribed,
    _shim.CB_ERROR: _on_error,
}

_TIMERS: dict[str, Callable[[Session], None]] = {
    "login": Session._login_due,
    "login_send": Session._login_due,
    "login_answer": Session._login_overdue,
    "acks": Session._acks_overdue,
    "refused": Session._retry_refused,
    "probe": Session._probe,
}
