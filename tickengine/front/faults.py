"""The script of faults: what goes wrong at a front, and when, as data and as text.

A fault is written `NAME`, `NAME=VALUE`, `NAME@TIME`, `NAME@TIME/EVERY` and may end in `:MORE`. Times count
from the start of the front and need a unit: `250ms`, `5s`, `2m`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from tickengine.front.garbage import GARBAGE

LAST_ERROR_ID = 0x7FFFFFFF


class FaultError(ValueError):
    """A fault that cannot be understood; the text says which one, what was found and what is allowed."""


class FaultTarget(Protocol):
    """What a scripted fault does its work on: the controls of a front."""

    def cut(self, how: Literal["fin", "rst"] = ..., *, after_bytes: int | None = ...) -> object: ...
    def cut_next(
        self,
        after: int | Iterable[int],
        how: Literal["fin", "rst"] = ...,
        *,
        counted: Literal["sent", "received"] = ...,
    ) -> object: ...
    def silence(self, seconds: float) -> object: ...
    def send_garbage(self, kind: str) -> object: ...
    def refuse_logins(self, error_id: int = ..., times: int | None = ...) -> object: ...
    def login_without_info(self, times: int | None = ...) -> object: ...
    def login_without_session(self, times: int | None = ...) -> object: ...
    def login_without_answer(self, times: int | None = ...) -> object: ...
    def delay_answers(self, seconds: float) -> object: ...
    def acknowledge_only(self, ids: int | None) -> object: ...
    def refuse_subscription(self, patterns: tuple[str, ...], error_id: int = ...) -> object: ...
    def refuse_connections(self, how: bool | float = ...) -> object: ...
    def accept_and_close(self, times: int) -> object: ...


@dataclass(frozen=True)
class Fault:
    """Applied `at_s` seconds after the start of the front and, if `every_s` is set, again and again."""

    at_s: float = 0.0
    every_s: float | None = None

    def apply(self, front: FaultTarget) -> None:
        """Make it happen; called on the front's own thread."""
        raise NotImplementedError


@dataclass(frozen=True)
class Cut(Fault):
    """The front ends every connection, by FIN or RST, after *after_bytes* more bytes of ticks if given."""

    how: Literal["fin", "rst"] = "fin"
    after_bytes: int | None = None

    def apply(self, front: FaultTarget) -> None:
        front.cut(self.how, after_bytes=self.after_bytes)


@dataclass(frozen=True)
class CutAfter(Fault):
    """Connections end after exactly *bytes* bytes *counted*: the next *times* of them or all."""

    bytes: int = 0
    times: int | None = None
    how: Literal["fin", "rst"] = "fin"
    counted: Literal["sent", "received"] = "sent"

    def apply(self, front: FaultTarget) -> None:
        after = self.bytes if self.times is None else itertools.repeat(self.bytes, self.times)
        front.cut_next(after, self.how, counted=self.counted)


@dataclass(frozen=True)
class Silence(Fault):
    """The front sends nothing at all, heartbeats included, for *seconds*."""

    seconds: float = 30.0

    def apply(self, front: FaultTarget) -> None:
        front.silence(self.seconds)


@dataclass(frozen=True)
class Garbage(Fault):
    """The front sends bytes that are no good; *kind* is a name in `GARBAGE`."""

    kind: str = "length"

    def apply(self, front: FaultTarget) -> None:
        front.send_garbage(self.kind)


@dataclass(frozen=True)
class RefuseLogins(Fault):
    """Logins are refused with *error_id*, the next *times* of them or all."""

    error_id: int = 3
    times: int | None = None

    def apply(self, front: FaultTarget) -> None:
        front.refuse_logins(self.error_id, self.times)


@dataclass(frozen=True)
class IncompleteLogin(Fault):
    """Logins are answered without a part: RspInfo, the session, or everything."""

    missing: Literal["info", "session", "answer"] = "info"
    times: int | None = None

    def apply(self, front: FaultTarget) -> None:
        if self.missing == "info":
            front.login_without_info(self.times)
        elif self.missing == "session":
            front.login_without_session(self.times)
        else:
            front.login_without_answer(self.times)


@dataclass(frozen=True)
class DelayAnswers(Fault):
    """Every answer leaves *seconds* late."""

    seconds: float = 1.0

    def apply(self, front: FaultTarget) -> None:
        front.delay_answers(self.seconds)


@dataclass(frozen=True)
class AcknowledgeOnly(Fault):
    """A connection gets answers for its first *ids* subscribed ids only; the rest is lost in silence."""

    ids: int = 0

    def apply(self, front: FaultTarget) -> None:
        front.acknowledge_only(self.ids)


@dataclass(frozen=True)
class RefuseSubscription(Fault):
    """Ids that match one of the shell-like *patterns* are refused with *error_id*."""

    patterns: tuple[str, ...] = ("*",)
    error_id: int = 16

    def apply(self, front: FaultTarget) -> None:
        front.refuse_subscription(self.patterns, self.error_id)


@dataclass(frozen=True)
class RefuseConnections(Fault):
    """Nobody listens at the port for *seconds*; open connections go on."""

    seconds: float = 10.0

    def apply(self, front: FaultTarget) -> None:
        front.refuse_connections(self.seconds)


@dataclass(frozen=True)
class AcceptAndClose(Fault):
    """The next *times* connections are accepted and closed at once."""

    times: int = 1

    def apply(self, front: FaultTarget) -> None:
        front.accept_and_close(self.times)


_FORMS = {
    "cut": "cut@TIME[/EVERY][:fin|:rst][:BYTES]",
    "cut-after": "cut-after=BYTES[*TIMES][:fin|:rst][:sent|:received]",
    "silence": "silence@TIME[/EVERY]:SECONDS",
    "garbage": f"garbage@TIME[/EVERY]:KIND with KIND one of {', '.join(sorted(GARBAGE))}",
    "refuse-login": "refuse-login[=ERROR[*TIMES]]",
    "login-without": "login-without=info|session|answer[*TIMES]",
    "delay-answers": "delay-answers=SECONDS",
    "ack-only": "ack-only=COUNT",
    "refuse-subscription": "refuse-subscription=ID,PATTERN*,...[:ERROR]",
    "refuse-connections": "refuse-connections@TIME[/EVERY]:SECONDS",
    "accept-and-close": "accept-and-close=TIMES",
}
FAULT_FORMS = tuple(_FORMS.values())
"""The forms that `parse_fault` takes, for help texts."""

_SHAPE = re.compile(
    r"(?P<name>[a-z-]+)(?:@(?P<at>[^/:=]*)(?:/(?P<every>[^:=]*))?)?(?:=(?P<value>[^:]*))?(?::(?P<more>.*))?"
)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class _Parts:
    """A fault's text, taken apart."""

    text: str
    name: str
    at: str | None
    every: str | None
    value: str | None
    more: str | None

    def wrong(self, why: str) -> FaultError:
        return FaultError(f"fault '{self.text}': {why}; write {_FORMS[self.name]}")

    def seconds(self, text: str | None, what: str) -> float:
        match = _DURATION.fullmatch(text) if text else None
        if match is None:
            raise self.wrong(f"{what} '{text or ''}' is not a time with unit ms, s or m")
        return float(match[1]) * _UNIT_S[match[2]]

    def number(self, text: str | None, what: str, least: int = 0) -> int:
        # The bound keeps the conversion short and the number within the wire's 32 bits.
        if not text or not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > LAST_ERROR_ID:
            raise self.wrong(f"{what} '{text or ''}' is not a whole number up to {LAST_ERROR_ID}")
        if int(text) < least:
            raise self.wrong(f"{what} '{text}' is below {least}")
        return int(text)

    def times(self, text: str | None) -> int | None:
        return None if text is None else self.number(text, "number of times", 1)

    def schedule(self) -> tuple[float, float | None]:
        if self.value is not None:
            raise self.wrong(f"'={self.value}' has no meaning here")
        at = self.seconds(self.at, "time")
        every = None if self.every is None else self.seconds(self.every, "period")
        if every is not None and every < 0.001:
            raise self.wrong(f"period '{self.every}' is below 1ms")
        return at, every

    def setting(self, *, more: bool = False) -> str | None:
        if self.at is not None:
            raise self.wrong("takes no time, it holds from the start")
        if self.more is not None and not more:
            raise self.wrong(f"':{self.more}' has no meaning here")
        return self.value


def parse_fault(text: str) -> Fault:
    """Return the fault that *text* describes.

    Raises:
        FaultError: one clear sentence about the first mistake.
    """
    match = _SHAPE.fullmatch(text.strip())
    name = match["name"] if match else re.split("[@=:]", text.strip(), maxsplit=1)[0]
    if name not in _FORMS:
        raise FaultError(f"fault '{text}': no fault is named '{name}'; known are {', '.join(_FORMS)}")
    if match is None:
        raise FaultError(f"fault '{text}': cannot be read; write {_FORMS[name]}")
    parts = _Parts(text, name, match["at"], match["every"], match["value"], match["more"])
    return _PARSERS[name](parts)


def _cut(parts: _Parts) -> Fault:
    at_s, every_s = parts.schedule()
    how: Literal["fin", "rst"] = "fin"
    more = [] if parts.more is None else parts.more.split(":")
    if more and more[0] in ("fin", "rst"):
        how = "rst" if more.pop(0) == "rst" else "fin"
    if len(more) > 1:
        raise parts.wrong(f"':{':'.join(more)}' is too much")
    after_bytes = parts.number(more[0], "byte count") if more else None
    return Cut(at_s, every_s, how, after_bytes)


def _cut_after(parts: _Parts) -> Fault:
    after, star, times = (parts.setting(more=True) or "").partition("*")
    how: Literal["fin", "rst"] = "fin"
    counted: Literal["sent", "received"] = "sent"
    more = [] if parts.more is None else parts.more.split(":")
    if more and more[0] in ("fin", "rst"):
        how = "rst" if more.pop(0) == "rst" else "fin"
    if more and more[0] in ("sent", "received"):
        counted = "received" if more.pop(0) == "received" else "sent"
    if more:
        raise parts.wrong(f"':{':'.join(more)}' has no meaning here")
    count = parts.times(times if star else None)
    return CutAfter(bytes=parts.number(after, "byte count"), times=count, how=how, counted=counted)


def _silence(parts: _Parts) -> Fault:
    return Silence(*parts.schedule(), parts.seconds(parts.more, "duration"))


def _garbage(parts: _Parts) -> Fault:
    at_s, every_s = parts.schedule()
    if parts.more not in GARBAGE:
        raise parts.wrong(f"kind '{parts.more or ''}' is unknown")
    return Garbage(at_s, every_s, parts.more)


def _refuse_login(parts: _Parts) -> Fault:
    value = parts.setting()
    if value is None:
        return RefuseLogins()
    error, star, times = value.partition("*")
    return RefuseLogins(error_id=parts.number(error, "error id", 1), times=parts.times(times if star else None))


def _login_without(parts: _Parts) -> Fault:
    missing, star, times = (parts.setting() or "").partition("*")
    count = parts.times(times if star else None)
    if missing == "info":
        return IncompleteLogin(missing="info", times=count)
    if missing == "session":
        return IncompleteLogin(missing="session", times=count)
    if missing == "answer":
        return IncompleteLogin(missing="answer", times=count)
    raise parts.wrong(f"part '{missing}' is unknown")


def _delay_answers(parts: _Parts) -> Fault:
    return DelayAnswers(seconds=parts.seconds(parts.setting(), "duration"))


def _ack_only(parts: _Parts) -> Fault:
    return AcknowledgeOnly(ids=parts.number(parts.setting(), "number of ids"))


def _refuse_subscription(parts: _Parts) -> Fault:
    patterns = tuple((parts.setting(more=True) or "").split(","))
    if not all(patterns):
        raise parts.wrong("an id or pattern is empty")
    if parts.more is None:
        return RefuseSubscription(patterns=patterns)
    return RefuseSubscription(patterns=patterns, error_id=parts.number(parts.more, "error id", 1))


def _refuse_connections(parts: _Parts) -> Fault:
    at_s, every_s = parts.schedule()
    return RefuseConnections(at_s, every_s, parts.seconds(parts.more, "duration"))


def _accept_and_close(parts: _Parts) -> Fault:
    return AcceptAndClose(times=parts.number(parts.setting(), "number of times", 1))


_PARSERS: dict[str, Callable[[_Parts], Fault]] = {
    "cut": _cut,
    "cut-after": _cut_after,
    "silence": _silence,
    "garbage": _garbage,
    "refuse-login": _refuse_login,
    "login-without": _login_without,
    "delay-answers": _delay_answers,
    "ack-only": _ack_only,
    "refuse-subscription": _refuse_subscription,
    "refuse-connections": _refuse_connections,
    "accept-and-close": _accept_and_close,
}


def checked_seconds(seconds: float, what: str) -> float:
    """Return *seconds* when it is a finite number, not below zero.

    Raises:
        ValueError: it is not.
    """
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{what} {seconds}: must be a finite number of seconds, not below 0")
    return float(seconds)
