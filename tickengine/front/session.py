"""The protocol of one client: login, logout, subscriptions. Packets in, answers out, no socket."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from tickengine._secret import Secret
from tickengine.front import clock, fields, wire

NOT_LOGGED_IN = 6
INVALID_LOGIN = 3
INSTRUMENT_NOT_FOUND = 16
FUNCTION_NOT_FOUND = 77
FRONT_ID = 1
PASSWORD_BYTES = 40
"""What fits into a login request."""
MAX_SUBSCRIPTIONS = 200_000
"""Ids one client may hold; more are refused, so that a client cannot fill the front's memory."""

# RspInfo of 89 bytes and ids of 35 bytes each must fit into one packet: 114 ids, the most that a request
# of the vendor library carries, do not, and are answered in two packets.
IDS_PER_ANSWER = (wire.MAX_CONTENT_BYTES - wire.MESSAGE_HEADER_BYTES - 89) // 35

Missing = Literal["info", "session", "answer"]


class Countdown:
    """A value that holds for the next *times* uses, for all of them if None."""

    def __init__(self, value: Any = None, times: int | None = 0) -> None:
        self._value = value
        self._times = times

    def take(self) -> Any:
        """The value, or None when its uses are over."""
        if self._times is None:
            return self._value
        if self._times <= 0:
            return None
        self._times -= 1
        return self._value


@dataclass
class Desk:
    """What all sessions of a front share: who may come in, how answers are spoilt, what was counted."""

    trading_day: str
    require_login: bool = True
    password: Secret | None = None
    refuse_login: Countdown = field(default_factory=Countdown)
    login_missing: Countdown = field(default_factory=Countdown)
    acknowledge_limit: int | None = None
    refused_patterns: tuple[str, ...] = ()
    refused_error_id: int = INSTRUMENT_NOT_FOUND
    next_session_id: int = 1
    logins: int = 0
    logins_refused: int = 0
    logouts: int = 0
    heartbeats_received: int = 0


class Session:
    """One client's state. `subscribed` and `for_quotes` are replaced, never changed in place, so whoever
    holds one of them holds a snapshot."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.logged_in = False
        self.user = b""
        self.subscribed: frozenset[bytes] = frozenset()
        self.for_quotes: frozenset[bytes] = frozenset()
        self.acknowledged = 0
        self._handlers: dict[int, Callable[[wire.Message], list[bytes]]] = {
            wire.TID_LOGIN: self._login,
            wire.TID_LOGOUT: self._logout,
            wire.TID_SUBSCRIBE: self._subscribe,
            wire.TID_UNSUBSCRIBE: self._unsubscribe,
            wire.TID_QUOTE_SUBSCRIBE: self._subscribe_quotes,
            wire.TID_QUOTE_UNSUBSCRIBE: self._unsubscribe_quotes,
        }

    @property
    def admitted(self) -> bool:
        """Whether ticks and subscriptions are open to this client."""
        return self.logged_in or not self._desk.require_login

    def handle(self, packet: wire.Packet) -> list[bytes]:
        """Return the packets that answer *packet*; none for heartbeats and what has no meaning.

        Raises:
            FrameError: the content breaks the protocol; the connection must end.
        """
        if packet.kind != wire.KIND_MESSAGE:
            if any(tag == wire.TAG_HEARTBEAT for tag, _ in wire.extensions(packet.extension)):
                self._desk.heartbeats_received += 1
            return []
        message = wire.parse_message(packet.content)
        if message is None:
            return []
        handler = self._handlers.get(message.tid)
        if handler is None:
            return [wire.message(wire.TID_ERROR, [fields.rsp_info(FUNCTION_NOT_FOUND)], rid=message.rid)]
        return handler(message)

    def _login(self, message: wire.Message) -> list[bytes]:
        desk = self._desk
        request = _first(message, fields.FID_LOGIN)
        error_id = self._login_error(request)
        values: dict[str, Any] = {
            "TradingDay": desk.trading_day.encode(),
            "BrokerID": request.get("BrokerID", b""),
            "UserID": request.get("UserID", b""),
        }
        if error_id == 0:
            time = clock.now().strftime("%H:%M:%S").encode()
            values |= {
                "LoginTime": time,
                "SystemName": b"tickengine front",
                "FrontID": FRONT_ID,
                "SessionID": desk.next_session_id,
                "MaxOrderRef": b"1",
            }
            values |= {f"{name}Time": time for name in ("SHFE", "DCE", "CZCE", "FFEX", "INE")}
            desk.next_session_id += 1
            desk.logins += 1
            self.logged_in = True
            self.user = values["UserID"]
        else:
            desk.logins_refused += 1
        missing: Missing | None = desk.login_missing.take()
        if missing == "answer":
            return []
        parts = [
            part
            for name, part in (
                ("info", fields.rsp_info(error_id)),
                ("session", fields.encode(fields.FID_LOGIN_ANSWER, values)),
            )
            if name != missing
        ]
        return [wire.message(wire.TID_LOGIN_ANSWER, parts, rid=message.rid)]

    def _login_error(self, request: dict[str, Any]) -> int:
        forced: int | None = self._desk.refuse_login.take()
        if forced is not None:
            return forced
        password = self._desk.password
        if not request:
            return INVALID_LOGIN
        if password is not None and not hmac.compare_digest(request["Password"], password.raw()):
            return INVALID_LOGIN
        return 0

    def _logout(self, message: wire.Message) -> list[bytes]:
        request = _first(message, fields.FID_LOGOUT)
        error_id = 0 if self.logged_in else NOT_LOGGED_IN
        self._desk.logouts += self.logged_in
        self.logged_in = False
        self.subscribed = frozenset()
        self.for_quotes = frozenset()
        parts = [fields.rsp_info(error_id), fields.encode(fields.FID_LOGOUT, request)]
        return [wire.message(wire.TID_LOGOUT_ANSWER, parts, rid=message.rid)]

    def _subscribe(self, message: wire.Message) -> list[bytes]:
        wanted = _ids(message)
        limit = self._desk.acknowledge_limit
        if limit is not None:
            # What is not acknowledged counts as lost on the way: no answer and no ticks.
            wanted = wanted[: max(0, limit - self.acknowledged)]
        self.acknowledged += len(wanted)
        good, refused = self._judge(wanted, self.subscribed)
        self.subscribed |= frozenset(good)
        return self._answers(wire.TID_SUBSCRIBE_ANSWER, message.rid, good, refused)

    def _unsubscribe(self, message: wire.Message) -> list[bytes]:
        given = _ids(message)
        self.subscribed -= frozenset(given)
        return self._answers(wire.TID_UNSUBSCRIBE_ANSWER, message.rid, given, [])

    def _subscribe_quotes(self, message: wire.Message) -> list[bytes]:
        good, refused = self._judge(_ids(message), self.for_quotes)
        self.for_quotes |= frozenset(good)
        return self._answers(wire.TID_QUOTE_SUBSCRIBE_ANSWER, message.rid, good, refused)

    def _unsubscribe_quotes(self, message: wire.Message) -> list[bytes]:
        given = _ids(message)
        self.for_quotes -= frozenset(given)
        return self._answers(wire.TID_QUOTE_UNSUBSCRIBE_ANSWER, message.rid, given, [])

    def _judge(self, wanted: list[bytes], held: frozenset[bytes]) -> tuple[list[bytes], list[bytes]]:
        """Split the ids into those that can be had and those that are refused."""
        patterns = self._desk.refused_patterns
        room = MAX_SUBSCRIPTIONS - len(held)
        good: list[bytes] = []
        refused: list[bytes] = []
        for name in wanted:
            text = name.decode("latin-1")
            new = name not in held
            bad = not name or not self.admitted or (new and room <= 0)
            if bad or any(fnmatchcase(text, pattern) for pattern in patterns):
                refused.append(name)
            else:
                good.append(name)
                room -= new
        return good, refused

    def _answers(self, tid: int, rid: int, good: list[bytes], refused: list[bytes]) -> list[bytes]:
        """One answer over as many packets as needed; only the last one says that it is the last."""
        refusal = self._desk.refused_error_id if self.admitted else NOT_LOGGED_IN
        pieces = [
            (error_id, ids[at : at + IDS_PER_ANSWER])
            for error_id, ids in ((0, good), (refusal, refused))
            for at in range(0, len(ids), IDS_PER_ANSWER)
        ]
        return [
            wire.message(
                tid,
                [fields.rsp_info(error_id), *map(_id_field, ids)],
                rid=rid,
                chain=b"L" if number == len(pieces) else b"C",
            )
            for number, (error_id, ids) in enumerate(pieces, start=1)
        ]


def _first(message: wire.Message, fid: int) -> dict[str, Any]:
    for found, body in message.fields:
        if found == fid:
            return fields.decode(fid, body)
    return {}


def _id_field(name: bytes) -> bytes:
    return wire.field(fields.FID_INSTRUMENT, name.ljust(fields.INSTRUMENT_BYTES, b"\0"))


def _ids(message: wire.Message) -> list[bytes]:
    return [
        body[: fields.INSTRUMENT_BYTES].split(b"\0", 1)[0]
        for fid, body in message.fields
        if fid == fields.FID_INSTRUMENT
    ]
