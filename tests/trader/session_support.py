"""A vendor's api, a journal and a clock by hand: any order of events, without a thread or a second of waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tickengine._secret import Secret
from tickengine.trader import session as session_module
from tickengine.trader.queries import Query
from tickengine.trader.records import Record
from tickengine.trader.session import TradingSession
from tickengine.trader.settings import TradingSettings

DAY = "20261123"
SETTINGS = TradingSettings(
    ("tcp://127.0.0.1:9",), "9999", "me", Secret("pass-word-1"), "app", Secret("auth-code-1"), "/nowhere"
)
WITHOUT_CODE = TradingSettings(("tcp://127.0.0.1:9",), "9999", "me", Secret("pass-word-1"), "", Secret(""), "/nowhere")


class Clock:
    """Stands until somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Api:
    """Keeps what it is asked for as (method, request id); gives out what it was given."""

    version, call, order_calls = "v1", "", 0

    def __init__(self, world: World) -> None:
        self.world = world
        self.coming: deque[Record] = deque()
        self.gate: tuple[int, int, int] | None = None
        self.session: tuple[int, int] | None = None
        self.initialised = self.released = False

    def init(self) -> None:
        self.initialised = True

    def next_callback(self, timeout: float) -> Record | None:
        if self.coming:
            return self.coming.popleft()
        self.world.clock.now += max(timeout, 0.001)
        return None

    def wake(self) -> None:
        pass

    def _asked(self, what: str, request_id: int) -> int:
        assert not self.released
        rc = self.world.refusals.popleft() if self.world.refusals else 0
        self.world.asked.append((what, request_id, self.world.clock.now, rc))
        return rc

    def authenticate(self, settings: TradingSettings, request_id: int) -> int:
        return self._asked("authenticate", request_id)

    def login(self, settings: TradingSettings, request_id: int) -> int:
        return self._asked("login", request_id)

    def request(self, name: str, fields: dict[str, Any], request_id: int) -> int:
        assert fields["BrokerID"] == "9999" and (fields.get("InvestorID") or fields["UserID"]) == "me"
        if name == "ReqUserLogout":  # the front answers at once, behind whatever it has had
            self.coming.append(Record(-1, "rsp_user_logout", request_id=request_id, is_last=True))
            return 0
        return self._asked(name, request_id)

    def open_gate(self, front_id: int, session_id: int, next_order_ref: int) -> bool:
        if self.session != (front_id, session_id):  # as the shim does
            return False
        self.gate = (front_id, session_id, next_order_ref)
        self.world.gates.append(self.gate)
        return True

    def close_gate(self) -> None:
        self.gate = None

    def close_on_exec(self) -> None:
        pass

    def release(self) -> None:
        assert self.gate is None, "released with the gate open"
        self.released = True


@dataclass
class World:
    """A session on such an api, and the front's side of the talk."""

    settings: TradingSettings = SETTINGS
    highest: int = 0
    clock: Clock = field(default_factory=Clock)
    asked: list[tuple[str, int, float, int]] = field(default_factory=list)
    """(what, request id, when, the library's code)"""
    refusals: deque[int] = field(default_factory=deque)
    """Codes that the library returns to the next requests."""
    gates: list[tuple[int, int, int]] = field(default_factory=list)
    apis: list[Api] = field(default_factory=list)
    notes: list[tuple[str, str, int]] = field(default_factory=list)
    days_asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = TradingSession(self.settings, self._make_api, self, self._highest)

    def _make_api(self) -> Api:
        self.apis.append(Api(self))
        return self.apis[-1]

    def _highest(self, day: str) -> int:
        self.days_asked.append(day)
        return self.highest

    def note(self, kind: str, text: str = "", value: int = 0) -> int:
        self.notes.append((kind, text, value))
        return len(self.notes)

    # ---- what happens

    @property
    def api(self) -> Api:
        return self.apis[-1]

    @property
    def names(self) -> list[str]:
        return [name for name, *_ in self.asked]

    def count(self, name: str) -> int:
        return self.names.count(name)

    def give(self, kind: str, request_id: int | None = None, **values: Any) -> None:
        """A callback; by default the answer to what was asked last."""
        number = (self.asked[-1][1] if self.asked else 0) if request_id is None else request_id
        self.api.coming.append(Record(-1, kind, request_id=number, **{"is_last": True, **values}))
        self.settle()

    def settle(self) -> None:
        """Have it done, in no time."""
        while self.api.coming:
            self.session.step(0.0)

    def sleep(self, seconds: float) -> None:
        """Let time pass, and have done what becomes due."""
        until = self.clock.now + seconds
        if not self.apis:
            self.clock.now = until
        while self.clock.now < until and self.session.state != "failed":
            if self.api.released:  # it would wait for work by the real clock
                self.clock.now = until
            self.session.step(until - self.clock.now)

    def until_asked(self, before: int) -> None:
        """Let time pass until there are more than *before* requests."""
        began = self.clock.now
        while len(self.asked) <= before and self.session.state != "failed":
            self.sleep(0.05)
            assert self.clock.now < began + 70, f"nothing is asked: {self.names}"

    def connect(self) -> None:
        if not self.apis or self.api.released:
            self.session.dial()
        self.give("front_connected")

    def cut(self) -> None:
        self.api.gate = self.api.session = None  # the shim does so in the callback
        self.give("front_disconnected", reason=4097)

    def answer_authentication(self, error_id: int = 0, request_id: int | None = None) -> None:
        self.give("rsp_authenticate", request_id, error_id=error_id)

    def answer_login(self, error_id: int = 0, session_id: int = 77, last: str = "           5", **more: Any) -> None:
        if error_id:
            self.give("rsp_user_login", error_id=error_id, **more)
            return
        self.api.session = (1, session_id)
        data = {"TradingDay": DAY, "FrontID": 1, "SessionID": session_id, "MaxOrderRef": last}
        self.give("rsp_user_login", data=data, **more)

    def confirm(self, error_id: int = 0) -> None:
        self.give("rsp_settlement_confirm", error_id=error_id)

    def enter(self) -> None:
        """From the connection to ready."""
        self.connect()
        if self.settings.authenticates:
            self.answer_authentication()
        self.answer_login()
        self.confirm()
        assert self.session.state == "ready"

    def answer_query(self, **values: Any) -> str:
        """Wait for the next query, and answer it; returns which it was."""
        name, number = self.next_query()
        kind = {"ReqQryOrder": "qry_order", "ReqQryTrade": "qry_trade", "ReqQryInvestorPosition": "qry_position"}
        self.give(kind.get(name, "qry_account"), number, **values)
        return name

    def next_query(self) -> tuple[str, int]:
        before = len(self.asked)
        if not (before and self.asked[-1][0].startswith("ReqQry") and self.asked[-1][1] not in self._answered):
            self.sleep(1.2)
            assert len(self.asked) > before, f"no query came: {self.names}"
        name, number, *_ = self.asked[-1]
        self._answered.add(number)
        return name, number

    _answered: set[int] = field(default_factory=set)

    def reconcile(self) -> list[str]:
        return [self.answer_query() for _ in range(4)]


def fake_time(monkeypatch: pytest.MonkeyPatch, world: World) -> World:
    """Have the session look at the world's clock."""
    monkeypatch.setattr(session_module, "time", world.clock)
    return world


def query(name: str, done: Callable[[list[Record], str], None], **more: Any) -> Query:
    return Query(name, {"BrokerID": "9999", "InvestorID": "me"}, done, **more)
