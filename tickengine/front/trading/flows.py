"""Flows: what the front must not forget. Messages with numbers that a client may ask for again.

Each investor has a private flow (order and trade returns), all share a public one (instrument status). A flow
belongs to one trading day; message number n is the n-th of the day, from 1. A client says at its login what
it has; the front announces where it goes on (see `Position`), and sends from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tickengine.front import fields, wire
from tickengine.front.trading import layouts

PRIVATE, PUBLIC = 2, 3
TID_NOTICE = 0xF102
QUICK = -1


@dataclass(frozen=True)
class Kept:
    """One message of a flow: its kind, its encoded fields, and when it came to be (monotonic seconds)."""

    tid: int
    parts: tuple[bytes, ...]
    at: float

    def packet(self, series: int, number: int) -> bytes:
        """As it goes out to a client."""
        return wire.message(self.tid, self.parts, series=series, seq=number)


@dataclass
class Flow:
    """The messages of one flow, oldest first."""

    series: int
    messages: list[Kept] = field(default_factory=list)

    def add(self, tid: int, parts: Sequence[bytes], now: float) -> None:
        """Append a message."""
        self.messages.append(Kept(tid, tuple(parts), now))

    def __len__(self) -> int:
        return len(self.messages)


@dataclass
class Position:
    """Where one client stands in one flow: ``sent`` messages of it are with the client."""

    flow: Flow
    sent: int
    resumed_until: int
    """Messages up to this number were owed at the login: they are the resumption."""


def begin(flow: Flow, asked: int, same_day: bool, rewind: int) -> Position:
    """Where to go on for a client that says it has *asked* messages.

    RESUME says how many, RESTART 0, QUICK `QUICK`. Numbers of another trading day mean nothing. *rewind*: how
    many messages to send once more than needed.
    """
    length = len(flow)
    start = length if asked == QUICK else max(0, min(asked if same_day else 0, length) - rewind)
    return Position(flow, start, length)


def notice(positions: Sequence[Position]) -> bytes:
    """The packet that tells a client the number before the next message of each flow."""
    parts = [
        layouts.encode(layouts.FID_DISSEMINATION, {"SequenceSeries": position.flow.series, "SequenceNo": position.sent})
        for position in positions
    ]
    return wire.message(TID_NOTICE, parts)


def refusal_parts(error_id: int, body: bytes) -> list[bytes]:
    """RspInfo and what was refused."""
    return [fields.rsp_info(error_id), body]
