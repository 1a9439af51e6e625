"""The trading protocol of one client: login with flows, confirmation, orders, cancellations, queries."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tickengine.front import clock, fields, wire
from tickengine.front.session import FRONT_ID, FUNCTION_NOT_FOUND, INVALID_LOGIN, NOT_LOGGED_IN, Countdown, Desk
from tickengine.front.trading import flows, layouts, queries
from tickengine.front.trading.accounts import Investor
from tickengine.front.trading.exchange import Exchange
from tickengine.front.trading.script import CutAt, Moment, Script

TID_AUTHENTICATE, TID_AUTHENTICATE_ANSWER = 0x3010, 0x3011
TID_CONFIRM, TID_CONFIRM_ANSWER = 0x4013, 0x4014
TID_INSERT, TID_INSERT_ANSWER = 0x4000, 0x4001
TID_ACTION, TID_ACTION_ANSWER = 0x4006, 0x4007
SERIES_QUERY = 4
NOT_AUTHENTICATED, NEED_RETRY = 64, 90


@dataclass
class TradingDesk(Desk):
    """What all sessions of a trading front share."""

    require_authentication: bool = False
    exchange: Exchange = field(kw_only=True)
    script: Script = field(default_factory=Script)
    refuse_authentication: Countdown = field(default_factory=Countdown)
    refuse_queries: Countdown = field(default_factory=Countdown)
    rewind: Countdown = field(default_factory=Countdown)
    authentications: int = 0
    queries: int = 0
    query_times: list[float] = field(default_factory=list)
    """When each query came, monotonic seconds."""


class TradingSession:
    """One client's state. Has the members that the front's other parts look at in a session."""

    subscribed: frozenset[bytes] = frozenset()
    for_quotes: frozenset[bytes] = frozenset()
    acknowledged = 0

    def __init__(self, desk: TradingDesk) -> None:
        self._desk = desk
        self.logged_in = False
        self.authenticated = False
        self.user = b""
        self.session_id = 0
        self.investor: Investor | None = None
        self.positions: list[flows.Position] = []
        self.cut: CutAt | None = None
        """The connection is to end, by this fault; nothing is answered any more."""
        self._query_number = 0
        self._handlers: dict[int, Callable[[wire.Message], list[bytes]]] = {
            TID_AUTHENTICATE: self._authenticate,
            wire.TID_LOGIN: self._login,
            wire.TID_LOGOUT: self._logout,
            TID_CONFIRM: self._confirm,
            TID_INSERT: self._insert,
            TID_ACTION: self._action,
        }

    @property
    def admitted(self) -> bool:
        """Whether requests other than the login are open to this client."""
        return self.logged_in

    def handle(self, packet: wire.Packet) -> list[bytes]:
        """Return the packets that answer *packet*; returns of the flows are not among them.

        Raises:
            FrameError: the content breaks the protocol; the connection must end.
        """
        if packet.kind != wire.KIND_MESSAGE:
            if any(tag == wire.TAG_HEARTBEAT for tag, _ in wire.extensions(packet.extension)):
                self._desk.heartbeats_received += 1
            return []
        message = wire.parse_message(packet.content)
        if message is None or self.cut is not None:
            return []
        handler = self._handlers.get(message.tid)
        if handler is not None:
            return handler(message)
        if message.tid in queries.QUERIES:
            return self._query(message)
        return [wire.message(wire.TID_ERROR, [fields.rsp_info(FUNCTION_NOT_FOUND)], rid=message.rid)]

    def _happens(self, *moments: Moment) -> CutAt | None:
        """The fault that ends the connection now, if one does."""
        self.cut = self._desk.script.due(*moments)
        return self.cut

    # ---- coming in -----------------------------------------------------------------------------

    def _authenticate(self, message: wire.Message) -> list[bytes]:
        request = _first(message, layouts.FID_AUTHENTICATE)
        error_id = self._desk.refuse_authentication.take() or 0
        self.authenticated = error_id == 0
        self._desk.authentications += 1
        answer = {**request, "AuthInfo": b"", "IsResult": 1}
        parts = [fields.rsp_info(error_id), layouts.encode(layouts.FID_AUTHENTICATE, answer)]
        return [wire.message(TID_AUTHENTICATE_ANSWER, parts, rid=message.rid)]

    def _login(self, message: wire.Message) -> list[bytes]:
        desk = self._desk
        if self._happens("login"):
            return []
        request = _first(message, fields.FID_LOGIN)
        error_id = self._login_error(request)
        broker, user = request.get("BrokerID", b""), request.get("UserID", b"")
        values: dict[str, Any] = {"TradingDay": desk.trading_day.encode(), "BrokerID": broker, "UserID": user}
        if error_id:
            desk.logins_refused += 1
        else:
            desk.logins += 1
            self.session_id = desk.next_session_id
            desk.next_session_id += 1
            self.logged_in, self.user = True, user
            self.investor = desk.exchange.investor(broker, user)
            at = clock.now().strftime("%H:%M:%S").encode()
            values |= {
                "LoginTime": at,
                "SystemName": b"tickengine front",
                "FrontID": FRONT_ID,
                "SessionID": self.session_id,
                "MaxOrderRef": b"%d" % self._highest_reference(),
            }
            values |= {f"{name}Time": at for name in ("SHFE", "DCE", "CZCE", "FFEX", "INE")}
        if desk.login_missing.take() == "answer":
            return []
        parts = [fields.rsp_info(error_id), fields.encode(fields.FID_LOGIN_ANSWER, values)]
        answer = wire.message(wire.TID_LOGIN_ANSWER, parts, rid=message.rid)
        if error_id:
            return [answer]
        if self._happens("logged_in"):
            return [answer]
        self._begin_flows(message, request.get("TradingDay", b"") == desk.trading_day.encode())
        return [answer, flows.notice(self.positions)] if self.positions else [answer]

    def _login_error(self, request: dict[str, Any]) -> int:
        forced: int | None = self._desk.refuse_login.take()
        if forced is not None:
            return forced
        if not request:
            return INVALID_LOGIN
        password = self._desk.password
        if password is not None and not hmac.compare_digest(request["Password"], password.raw()):
            return INVALID_LOGIN
        if self._desk.require_authentication and not self.authenticated:
            return NOT_AUTHENTICATED
        return 0

    def _highest_reference(self) -> int:
        assert self.investor is not None
        numbers = [int(ref) for _session, ref in self.investor.inserts if ref.isdigit()]
        return max(numbers, default=0)

    def _begin_flows(self, message: wire.Message, same_day: bool) -> None:
        assert self.investor is not None
        asked = {}
        for fid, body in message.fields:
            if fid == layouts.FID_DISSEMINATION:
                values = layouts.decode(fid, body)
                asked[values["SequenceSeries"]] = values["SequenceNo"]
        rewind = self._desk.rewind.take() or 0
        known = {flows.PRIVATE: self.investor.flow, flows.PUBLIC: self._desk.exchange.public}
        self.positions = [
            flows.begin(flow, asked[series], same_day, rewind) for series, flow in known.items() if series in asked
        ]

    def _logout(self, message: wire.Message) -> list[bytes]:
        request = _first(message, fields.FID_LOGOUT)
        error_id = 0 if self.logged_in else NOT_LOGGED_IN
        self._desk.logouts += self.logged_in
        self.logged_in = False
        self.positions = []
        parts = [fields.rsp_info(error_id), fields.encode(fields.FID_LOGOUT, request)]
        return [wire.message(wire.TID_LOGOUT_ANSWER, parts, rid=message.rid)]

    def _confirm(self, message: wire.Message) -> list[bytes]:
        request = _first(message, layouts.FID_CONFIRM)
        error_id = 0
        if self.investor is None:
            error_id = NOT_LOGGED_IN
        else:
            self.investor.confirmed = True
        at = clock.now()
        answer = {
            **request,
            "ConfirmDate": at.strftime("%Y%m%d").encode(),
            "ConfirmTime": at.strftime("%H:%M:%S").encode(),
        }
        parts = [fields.rsp_info(error_id), layouts.encode(layouts.FID_CONFIRM, answer)]
        return [wire.message(TID_CONFIRM_ANSWER, parts, rid=message.rid)]

    # ---- orders --------------------------------------------------------------------------------

    def _insert(self, message: wire.Message) -> list[bytes]:
        asked = _first(message, layouts.FID_INPUT_ORDER)
        if self._happens("order_lost"):
            return []
        exchange, now = self._desk.exchange, time.monotonic()
        if self.investor is None:
            error_id = NOT_LOGGED_IN
        else:
            error_id = exchange.insert(self.investor, (FRONT_ID, self.session_id), asked, now)
            if error_id:
                exchange.tell_refused(self.investor, asked, error_id, now)
        if self._happens("order") or error_id == 0:
            return []
        parts = flows.refusal_parts(error_id, layouts.encode(layouts.FID_INPUT_ORDER, asked))
        return [wire.message(TID_INSERT_ANSWER, parts, rid=message.rid)]

    def _action(self, message: wire.Message) -> list[bytes]:
        asked = _first(message, layouts.FID_ACTION)
        if self._happens("action_lost"):
            return []
        exchange, now = self._desk.exchange, time.monotonic()
        if self.investor is None:
            error_id = NOT_LOGGED_IN
        else:
            error_id = exchange.cancel(self.investor, asked, now)
            if error_id:
                exchange.tell_action_refused(self.investor, asked, error_id, now)
        if self._happens("action") or error_id == 0:
            return []
        parts = flows.refusal_parts(error_id, layouts.encode(layouts.FID_ACTION, asked))
        return [wire.message(TID_ACTION_ANSWER, parts, rid=message.rid)]

    # ---- queries -------------------------------------------------------------------------------

    def _query(self, message: wire.Message) -> list[bytes]:
        desk = self._desk
        desk.queries += 1
        desk.query_times.append(time.monotonic())
        if self._happens("query"):
            return []
        error_id = desk.refuse_queries.take() or (0 if self.investor is not None else NOT_LOGGED_IN)
        query = queries.QUERIES[message.tid]
        if error_id:
            batches: list[list[bytes]] = [[fields.rsp_info(error_id)]]
        else:
            assert self.investor is not None
            rows = query.answer(desk.exchange, self.investor, _first(message, query.request))
            batches = queries.packed([layouts.encode(query.fid, row) for row in rows])
        answers = []
        for number, parts in enumerate(batches, 1):
            self._query_number += 1
            answers.append(
                wire.message(
                    message.tid + 1,
                    parts,
                    rid=message.rid,
                    chain=b"L" if number == len(batches) else b"C",
                    series=SERIES_QUERY,
                    seq=self._query_number,
                )
            )
        return answers

    # ---- flows ---------------------------------------------------------------------------------

    def owed(self, delay_s: float, now: float) -> tuple[list[bytes], float | None]:
        """The packets of the flows that are to be sent now, and when the next one is due. A fault at one of
        them ends the list with the part of it that may still leave."""
        packets: list[bytes] = []
        due: float | None = None
        if self.cut is not None:
            return packets, due
        for position in self.positions:
            while position.sent < len(position.flow):
                kept = position.flow.messages[position.sent]
                if kept.at + delay_s > now:
                    due = kept.at + delay_s if due is None else min(due, kept.at + delay_s)
                    break
                packet = kept.packet(position.flow.series, position.sent + 1)
                fault = self._happens(*_moments(position)) if position.flow.series == flows.PRIVATE else None
                if fault is not None:
                    packets.append(packet[: min(fault.inside, len(packet) - 1)])
                    return packets, None
                packets.append(packet)
                position.sent += 1
        return packets, due


def _moments(position: flows.Position) -> tuple[Moment, ...]:
    return ("return", "resume") if position.sent < position.resumed_until else ("return",)


def _first(message: wire.Message, fid: int) -> dict[str, Any]:
    for found, body in message.fields:
        if found == fid:
            return layouts.decode(fid, body)
    return layouts.decode(fid, b"") if fid != fields.FID_LOGIN else {}
