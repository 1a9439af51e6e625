"""The trading connection's state machine: connect, authenticate, log in, confirm, be ready, reconcile.

The shim writes every return into the journal on the vendor's thread and queues it for `TradingSession.step`,
which decides on a thread of its own. Orders do not pass through here: the shim sends them while the gate is
open, and closes it itself at the first sign of a lost connection.

A listener is told each callback after the session has taken it in and before the session goes on. What it has
asked for by then (a login of its own, say) is not asked for a second time.

::

    connecting ──▶ connected ──▶ authenticated ──▶ logged_in ──▶ ready ──▶ (reconciling beside it)
        ▲              └── refused: pause and again, or ──▶ failed        │
        ├──────────────────────── disconnected ──────────────────────────┘
        └── disconnected on purpose ◀── hang_up()          stopped

After each login the account is reconciled: orders and trades, then positions and money, are asked for, at the
queries' pace. Orders can be sent meanwhile.
"""

from __future__ import annotations

import logging
import queue as stdlib_queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from ..session import (
    ALREADY,
    FINAL,
    LOGINS_CUT_AT_ONCE,
    LONGEST_CUT_PAUSE,
    PASSING,
    PAUSES_S,
    UNKNOWN_REFUSALS,
)
from ..vendor_api import NOT_CONNECTED
from ..words import disconnect_reason, error_words
from .queries import Queries, Query, of_all_positions
from .records import Record
from .settings import TradingSettings

logger = logging.getLogger("tickengine")

ANSWER_DEADLINE_S = 10.0
CHECK_S = 60.0
"""How often positions and money are asked for while nothing else is."""
SHORT_S = 1.0
"""A connection that was ready for less is no better than one that was cut on the way in."""
SESSION_PATIENCE_S = 2.0
"""How long the answer that names the session may be behind one that only says that we are logged in."""
_STEP_S = 1.0
LEAVE_S = 3.0
"""How long a connection that is ended on purpose waits for the front's word that it has everything."""
ASKING_STATES = ("logged_in", "ready")
ORDER_CALLS = ("", "ReqOrderInsert", "ReqOrderAction")
CONNECTED_STATES = ("connected", "authenticated", *ASKING_STATES)
HUNG_UP = "disconnected"


class Api(Protocol):
    """What the session needs of a vendor's TraderApi."""

    version: str
    call: str

    @property
    def order_calls(self) -> int:
        """Grows with each order and action; modulo 4 an index into `ORDER_CALLS`: what has not returned."""

    def init(self) -> None: ...
    def next_callback(self, timeout: float) -> Record | None: ...
    def wake(self) -> None: ...
    def authenticate(self, settings: TradingSettings, request_id: int) -> int: ...
    def login(self, settings: TradingSettings, request_id: int) -> int: ...
    def request(self, name: str, fields: dict[str, Any], request_id: int) -> int: ...
    def open_gate(self, front_id: int, session_id: int, next_order_ref: int) -> bool: ...
    def close_gate(self) -> None: ...
    def close_on_exec(self) -> None: ...
    def release(self) -> None: ...


class Notes(Protocol):
    """What the session needs of the journal."""

    def note(self, kind: str, text: str = "", value: int = 0) -> int: ...


class TradingSession:
    """One account's connection. `post` may be called from any thread, the rest runs on the session's.

    Args:
        make_api: makes and registers a vendor's api; called for each `dial`.
        highest_reference: the highest OrderRef of ours that the journal has for a trading day.
        listener: told all callbacks but the answers to queries; must not raise.
    """

    def __init__(
        self,
        settings: TradingSettings,
        make_api: Callable[[], Api],
        journal: Notes,
        highest_reference: Callable[[str], int],
        listener: Callable[[Record], None] | None = None,
    ) -> None:
        self.settings = settings
        self.state = "connecting"
        self.failure = ""
        self.trading_day = ""
        self.logins = self.disconnects = self.reconciled = 0
        self.steps = 0
        """Grows about once a second at least; stands when a call does not come back, an order's too."""
        self._order_calls = 0
        self.api_version = ""
        self._make_api = make_api
        self._journal = journal
        self._highest_reference = highest_reference
        self._listener = listener
        self._under_way = ""
        self._onward: Callable[[], object] | None = None
        self._api: Api | None = None
        self._posted: stdlib_queue.SimpleQueue[Callable[[], None]] = stdlib_queue.SimpleQueue()
        self.request_id = 0
        """Of the newest request."""
        self._queries = Queries(self._send, self._next_id)
        self._timers: dict[str, float] = {}
        self._attempts: dict[str, int] = {}
        self._login: dict[str, Any] = {}
        self._ready_since = 0.0
        self._stopping = False
        self._wake_lock = threading.Lock()

    # ---- life ----------------------------------------------------------------------------------

    def dial(self) -> None:
        """Make an api and connect, if there is none."""
        if self._api is not None or self._stopping:
            return
        self._set_state("connecting")
        api = self._make_api()
        self.api_version = api.version
        with self._wake_lock:
            self._api = api
        api.init()

    def hang_up(self) -> None:
        """Give the api back, until `dial`. Before the first `dial`: there is none until then."""
        if self._api is None:
            self._set_state(HUNG_UP)
            return
        self._leave()
        self.state = HUNG_UP  # before those who wait for answers are told
        self._release()
        self._journal.note("front_disconnected", "on purpose")
        self._journal.note("session_state", HUNG_UP)

    def run(self) -> None:
        """Until `stop`, or a failure that is final."""
        try:
            while not self._stopping and self.state != "failed":
                self.step(_STEP_S)
        except BaseException:
            if self._api is not None:
                self._api.close_gate()  # nobody would take what comes of another order
            raise

    def stop(self) -> None:
        """Make `run` return soon. From any thread; never blocks."""
        self._stopping = True
        self._wake()

    @property
    def call(self) -> str:
        """The vendor library's function that is being called, or ``""``."""
        api = self._api
        return "" if api is None else api.call or ORDER_CALLS[api.order_calls % 4]

    def release(self) -> None:
        """Give everything back. Nobody may be in `run`."""
        if self.state != "failed":
            self._leave()
            self.state = "stopped"
            self._release()
            self._journal.note("session_state", "stopped")
        else:
            self._release()

    def post(self, work: Callable[[], None]) -> None:
        """Have *work* done on the session's thread. From any thread."""
        self._posted.put(work)
        self._wake()

    def ask(self, query: Query) -> None:
        """Put a query of the user's into the queue; on the session's thread."""
        if self.state not in ASKING_STATES:
            query.answer([], f"trading is {self.state}")
        else:
            self._queries.ask(of_all_positions(query))

    def _wake(self) -> None:
        with self._wake_lock:
            if self._api is not None:
                self._api.wake()

    def _leave(self) -> None:
        """Log out, and wait a moment for the answer: the library, when it is released, throws away orders that it
        has taken but not written yet, and the front reads in order, so it has had them when it answers."""
        api = self._api
        if api is None or self.state != "ready":
            return
        api.close_gate()
        user = {"BrokerID": self.settings.broker_id, "UserID": self.settings.investor_id}
        if api.request("ReqUserLogout", user, self._next_id()) != 0:
            return
        deadline = time.monotonic() + LEAVE_S
        while self.state == "ready" and (left := deadline - time.monotonic()) > 0:
            record = api.next_callback(left)
            if record is not None:
                if record.kind == "rsp_user_logout":
                    return
                self._take(record)

    def _release(self) -> None:
        with self._wake_lock:
            api, self._api = self._api, None
        if api is not None:
            api.close_gate()
            api.release()
        self._forget_connection("the connection was ended")

    def step(self, timeout: float) -> None:
        """Take one callback, waiting at most *timeout* seconds, and do what is due."""
        if not self._order_hangs():
            self.steps += 1
        due = min([*self._timers.values(), self._queries.step(time.monotonic())])
        wait = max(0.0, min(timeout, due - time.monotonic()))
        if self._api is None:
            try:
                self._posted.get(timeout=wait)()
            except stdlib_queue.Empty:
                pass  # the time is over
        else:
            record = self._api.next_callback(wait)
            if record is not None:
                self._take(record)
        while not self._posted.empty():
            self._posted.get()()
        now = time.monotonic()
        for name in [n for n, when in self._timers.items() if when <= now]:
            del self._timers[name]
            _TIMERS[name](self)

    def _order_hangs(self) -> bool:
        """Orders are sent on a thread of the shim's: whether it is in the same call as at the last step."""
        before, self._order_calls = self._order_calls, 0 if self._api is None else self._api.order_calls
        return self._order_calls == before and before % 4 != 0

    def _take(self, record: Record) -> None:
        handler = _HANDLERS.get(record.kind)
        is_answer = record.kind.startswith("qry_")
        if handler is not None:
            handler(self, record)
        elif (is_answer or record.kind == "rsp_error") and self._queries.take(record):
            return
        elif record.kind == "rsp_error":
            logger.warning("error from the front: %s", error_words(record.error_id, record.error_msg))
        if self._listener is not None and not is_answer:
            self._listener(record)
        onward, self._onward = self._onward, None
        if onward is not None and not self._under_way and not self._stopping:
            onward()

    # ---- coming in -----------------------------------------------------------------------------

    def _on_connected(self, _record: Record) -> None:
        self._set_state("connected")
        self._forget_connection("the connection is a new one")
        assert self._api is not None
        self._api.close_on_exec()
        # A pause after a refusal holds over a reconnect: its timer will go on.
        if "enter" not in self._timers:
            self._onward = self._enter_after_cuts

    def _on_disconnected(self, record: Record) -> None:
        self.disconnects += 1
        if "answer" in self._timers:
            self._attempt("cut")
        elif self.state == "ready" and time.monotonic() - self._ready_since < SHORT_S:
            # It can be worked with all the same: the pauses do not grow.
            self._attempts["cut"] = min(self._attempts.get("cut", 0) + 1, LOGINS_CUT_AT_ONCE)
        elif self.state == "ready":
            self._attempts.pop("cut", None)
        self._set_state("connecting")
        self._forget_connection("the connection was lost")
        logger.warning(
            "trading front disconnected: %s; the vendor library reconnects", disconnect_reason(record.reason)
        )

    def _forget_connection(self, why: str) -> None:
        for name in ("answer", "session", "reconcile", "check"):
            self._timers.pop(name, None)
        self._under_way = ""
        self._login = {}
        self._queries.fail_all(why)

    def _enter_after_cuts(self) -> None:
        """The library reconnects within a millisecond, and without end."""
        cut = self._attempts.get("cut", 0)
        if cut < LOGINS_CUT_AT_ONCE:
            self._enter()
            return
        pause = PAUSES_S[min(cut - LOGINS_CUT_AT_ONCE, LONGEST_CUT_PAUSE)]
        logger.warning("the front has ended %d connections at once; next login in %g s", cut, pause)
        self._set_timer("enter", pause)

    def _enter(self) -> None:
        """Authenticate if the account has something to authenticate with, else log in."""
        if self.settings.authenticates and self.state == "connected":
            self.authenticate()
        else:
            self.log_in()

    def authenticate(self, settings: TradingSettings | None = None) -> int:
        """Ask for it, with an account's other credentials if *settings* has them. Returns the vendor's code."""
        return self._request("authentication", lambda api, n: api.authenticate(settings or self.settings, n))

    def log_in(self, settings: TradingSettings | None = None) -> int:
        """Ask for it, with an account's other credentials if *settings* has them. Returns the vendor's code."""
        return self._request("login", lambda api, n: api.login(settings or self.settings, n))

    def confirm(self, **fields: Any) -> int:
        """Confirm the settlement. Returns the vendor's code."""
        asked = {**self._identity(), **fields}
        return self._request(
            "confirmation of the settlement", lambda api, n: api.request("ReqSettlementInfoConfirm", asked, n)
        )

    def log_out(self) -> int:
        """Ask for it; the front ends the connection then, and the library makes another one."""
        fields = {"BrokerID": self.settings.broker_id, "UserID": self.settings.investor_id}
        return self._send("ReqUserLogout", fields, self._next_id())

    def _request(self, what: str, send: Callable[[Api, int], int]) -> int:
        """One step on the way in: it is answered within the deadline, or tried again after a pause."""
        if self._api is None or self.state not in CONNECTED_STATES:
            return NOT_CONNECTED
        rc = send(self._api, self._next_id())
        if rc == 0:
            self._under_way = what
            self._timers.pop("enter", None)
            self._set_timer("answer", ANSWER_DEADLINE_S)
        else:
            self._again(f"{what} could not be sent: the vendor library returned {rc}")
        return rc

    def _again(self, why: str) -> None:
        pause = PAUSES_S[min(self._attempt("enter"), len(PAUSES_S) - 1)]
        logger.warning("%s; next try in %g s", why, pause)
        self._set_timer("enter", pause)

    def _attempt(self, name: str) -> int:
        count = self._attempts.get(name, 0)
        self._attempts[name] = count + 1
        return count

    def _answered(self) -> None:
        """Whether to the last request or, late, to one before: another try is not due."""
        self._under_way = ""
        for name in ("answer", "enter"):
            self._timers.pop(name, None)

    def _on_authenticated(self, record: Record) -> None:
        if self.state != "connected":
            return
        self._answered()
        if record.error_id:
            self._refused("authentication", record)
        else:
            self._set_state("authenticated")
            self._onward = self.log_in

    def _on_login(self, record: Record) -> None:
        if self.state in ("logged_in", "ready"):
            self._logged_in_again(record)
            return
        if self.state not in ("connected", "authenticated"):
            return
        self._answered()
        if record.error_id and record.error_id not in ALREADY:
            self._refused("login", record)
            return
        self._login = record.data or {}
        self.trading_day = str(self._login.get("TradingDay", ""))
        self.logins += 1
        self._set_state("logged_in")
        self._onward = self.confirm

    def _logged_in_again(self, record: Record) -> None:
        """The second answer of two: the first login's was overdue. The library's session is now this one's."""
        if record.error_id == 0 and record.data:
            self._login = record.data
            if self.state == "ready" and not self._open_gate():
                self._set_timer("session", SESSION_PATIENCE_S)
        elif record.error_id not in ALREADY:
            words = error_words(record.error_id, record.error_msg)
            logger.warning("a login was refused on a connection that is logged in: %s", words)

    def _on_confirmed(self, record: Record) -> None:
        if self.state != "logged_in":
            return
        self._answered()
        if record.error_id:
            self._refused("confirmation of the settlement", record)
            return
        if not self._open_gate():
            # Either the connection is gone, and the callback that says so on its way, or the answer with the session.
            self._set_timer("session", SESSION_PATIENCE_S)
            return
        for name in ("enter", "unknown"):
            self._attempts.pop(name, None)
        self._ready_since = time.monotonic()
        self._set_state("ready")
        logger.info("trading is ready, trading day %s", self.trading_day or "not given")
        self._reconcile()

    def _open_gate(self) -> bool:
        assert self._api is not None
        login = self._login
        highest = max(self._highest_reference(self.trading_day), _number(login.get("MaxOrderRef", "")))
        return self._api.open_gate(login.get("FrontID", 0), login.get("SessionID", 0), highest + 1)

    def _refused(self, what: str, record: Record) -> None:
        words = error_words(record.error_id, record.error_msg)
        unknown = record.error_id not in PASSING and record.error_id not in FINAL
        if unknown:
            self._attempt("unknown")
        if record.error_id in FINAL:
            self._give_up(f"{what} refused: {words}; not tried again so that the account is not locked")
        elif self._attempts.get("unknown", 0) >= UNKNOWN_REFUSALS:
            self._give_up(f"{what} refused {UNKNOWN_REFUSALS} times: {words}")
        else:
            self._again(f"{what} refused: {words}")

    def _give_up(self, why: str) -> None:
        self.failure = why
        logger.error("%s", why)
        self._set_state("failed", why)

    def _set_state(self, state: str, failure: str = "") -> None:
        if state != self.state or failure:
            self.state = state
            self._journal.note("session_state", failure or state, bool(failure))

    # ---- reconciling ---------------------------------------------------------------------------

    def _reconcile(self) -> None:
        """Ask for everything once more: what returns could not tell is told now."""
        number = self.logins

        def orders(_rows: list[Record], error: str) -> None:
            if error:
                self._reconcile_again(error)
                return
            self._ask("ReqQryTrade", trades)

        def trades(_rows: list[Record], error: str) -> None:
            if error:
                self._reconcile_again(error)
                return
            self._journal.note("reconcile_done", value=number)
            self.reconciled += 1
            self._check()

        self._journal.note("reconcile_began", value=number)
        self._ask("ReqQryOrder", orders)

    def _reconcile_again(self, why: str) -> None:
        if self.state == "ready":
            logger.warning("the account could not be reconciled: %s; again in %g s", why, PAUSES_S[2])
            self._set_timer("reconcile", PAUSES_S[2])

    def _check(self) -> None:
        """Ask for positions and money; again after a while."""

        def done(_rows: list[Record], error: str) -> None:
            if error and self.state == "ready":
                logger.warning("positions and money are not known: %s", error)
            if self.state == "ready":
                self._set_timer("check", CHECK_S)

        self._ask("ReqQryInvestorPosition", lambda _rows, error: done([], error) if error else None)
        self._ask("ReqQryTradingAccount", done)

    def _ask(self, name: str, answer: Callable[[list[Record], str], None]) -> None:
        self._queries.ask(Query(name, self._identity(), answer))

    def _identity(self) -> dict[str, Any]:
        return {"BrokerID": self.settings.broker_id, "InvestorID": self.settings.investor_id}

    def _send(self, name: str, fields: dict[str, Any], request_id: int) -> int:
        return NOT_CONNECTED if self._api is None else self._api.request(name, fields, request_id)

    def _next_id(self) -> int:
        self.request_id += 1
        return self.request_id

    # ---- deadlines -----------------------------------------------------------------------------

    def _set_timer(self, name: str, seconds: float) -> None:
        self._timers[name] = time.monotonic() + seconds

    def _enter_due(self) -> None:
        if self.state in ("connected", "authenticated"):
            self._enter()
        elif self.state == "logged_in":
            self.confirm()

    def _answer_overdue(self) -> None:
        self._under_way = ""
        self._again(f"no answer within {ANSWER_DEADLINE_S:g} s while {self.state}")

    def _session_overdue(self) -> None:
        """Logged in, as the front says, but in which session is not known: only a new connection tells."""
        if self.state in ("logged_in", "ready"):
            logger.warning("the front has not said which session this is; connecting anew")
            self._set_state("connecting")
            self._release()
            self._journal.note("front_disconnected", "the session is not known")
            self.dial()

    def _reconcile_due(self) -> None:
        if self.state == "ready":
            self._reconcile()

    def _check_due(self) -> None:
        if self.state == "ready":
            self._check()


def _number(text: str) -> int:
    text = text.strip()
    return int(text) if text.isdigit() else 0


_TIMERS = {
    "enter": TradingSession._enter_due,
    "answer": TradingSession._answer_overdue,
    "session": TradingSession._session_overdue,
    "reconcile": TradingSession._reconcile_due,
    "check": TradingSession._check_due,
}
_HANDLERS = {
    "front_connected": TradingSession._on_connected,
    "front_disconnected": TradingSession._on_disconnected,
    "rsp_authenticate": TradingSession._on_authenticated,
    "rsp_user_login": TradingSession._on_login,
    "rsp_settlement_confirm": TradingSession._on_confirmed,
}
