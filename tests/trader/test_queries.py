"""Queries at the library's pace: each is answered once, in order, or fails with words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tickengine import ConfigError
from tickengine.trader.queries import DEADLINE_S, NEED_RETRY, PACE_S, Queries, Query, of_all_positions
from tickengine.trader.records import Record


@dataclass
class Line:
    """A queue of queries, a library that answers with given codes, and a clock."""

    codes: list[int | Exception] = field(default_factory=list)
    now: float = 50.0
    sent: list[tuple[str, int, float]] = field(default_factory=list)
    """(which, request id, when) that the library has taken."""
    tries: list[tuple[str, float]] = field(default_factory=list)
    answers: list[tuple[str, list[Any], str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.numbers = 0
        self.queries = Queries(self._send, self._next_id)

    def _next_id(self) -> int:
        self.numbers += 1
        return self.numbers

    def _send(self, name: str, fields: dict[str, Any], request_id: int) -> int:
        code = self.codes.pop(0) if self.codes else 0
        self.tries.append((name, self.now))
        if isinstance(code, Exception):
            raise code
        if code == 0:
            self.sent.append((name, request_id, self.now))
        return code

    def ask(self, name: str) -> None:
        def done(rows: list[Record], error: str) -> None:
            self.answers.append((name, [row.value for row in rows], error))

        self.queries.ask(Query(name, {}, done))

    def step(self) -> float:
        return self.queries.step(self.now)

    def go(self, seconds: float) -> None:
        """As the session does: come again when it was told to."""
        until = self.now + seconds
        while (due := self.step()) <= until:
            self.now = max(self.now, due)
        self.now = until

    def answer(self, value: int = 0, *, last: bool = True, kind: str = "qry_order", error_id: int = 0,
               request_id: int | None = None) -> bool:  # fmt: skip
        number = self.sent[-1][1] if request_id is None else request_id
        record = Record(-1, kind, request_id=number, is_last=last, value=value, error_id=error_id, error_msg="words")
        return self.queries.take(record)


def test_one_at_a_time_and_in_order() -> None:
    line = Line()
    for name in "abc":
        line.ask(name)
    line.go(3)
    assert [s[0] for s in line.sent] == ["a"] and not line.queries.idle
    assert line.answer(1, last=False) and line.answer(2)
    line.go(3)
    line.answer()
    line.go(3)
    line.answer(7)
    assert line.answers == [("a", [1, 2], ""), ("b", [0], ""), ("c", [7], "")]
    assert line.queries.idle and line.step() == math.inf


def test_a_second_passes_between_two() -> None:
    line = Line()
    line.ask("a")
    line.ask("b")
    line.step()
    line.answer()
    assert line.step() == 50.0 + PACE_S and len(line.sent) == 1
    line.now = 50.0 + PACE_S - 0.001
    line.step()
    assert len(line.sent) == 1
    line.now = 50.0 + PACE_S
    line.step()
    assert len(line.sent) == 2


@pytest.mark.parametrize("code", [-2, -3])
def test_what_the_library_puts_off_is_asked_again_and_keeps_its_place(code: int) -> None:
    line = Line([code, code])
    line.ask("a")
    line.ask("b")
    line.go(2.5)
    assert [name for name, _ in line.tries] == ["a"] * 3 and [s[0] for s in line.sent] == ["a"]
    assert all(later - earlier >= 1 for (_, earlier), (_, later) in zip(line.tries, line.tries[1:]))
    line.answer(3)
    assert line.answers == [("a", [3], "")]


@pytest.mark.parametrize("code", [-2, -3])
def test_what_the_library_puts_off_for_ever_fails_and_the_next_has_its_turn(code: int) -> None:
    line = Line([code] * 21)
    line.ask("a")
    line.ask("b")
    line.go(DEADLINE_S + 2)
    assert line.answers == [("a", [], f"a was not answered within 20 s: the vendor library returned {code}")]
    assert [s[0] for s in line.sent] == ["b"]


def test_other_codes_fail_at_once() -> None:
    line = Line([-1])
    line.ask("a")
    line.go(2)
    assert line.answers == [("a", [], "a could not be sent: the vendor library returned -1")]


def test_one_that_the_library_cannot_take_fails_alone() -> None:
    line = Line([ConfigError("InstrumentID is too long")])
    line.ask("a")
    line.ask("b")
    line.go(2)
    assert line.answers == [("a", [], "a could not be sent: InstrumentID is too long")]
    assert [s[0] for s in line.sent] == ["b"]


def test_the_front_puts_it_off() -> None:
    line = Line()
    line.ask("a")
    line.step()
    assert line.answer(error_id=NEED_RETRY)
    assert line.answers == [] and not line.queries.idle
    line.go(1.2)
    (_, first, began), (_, second, again) = line.sent
    assert second != first and again - began >= 1
    assert not line.answer(9, request_id=first), "of the first try"
    line.answer(4)
    assert line.answers == [("a", [4], "")]


def test_the_front_puts_it_off_for_ever() -> None:
    line = Line()
    line.ask("a")
    line.ask("b")
    while not line.answers:
        line.go(1.0)
        if line.sent[-1][0] == "a" and not line.answers:
            line.answer(error_id=NEED_RETRY)
        assert line.now < 50 + DEADLINE_S + 5, "it is asked for ever, and nobody else has a turn"
    assert line.answers == [("a", [], "a was not answered within 20 s: error 90 words")]
    line.go(2)
    line.answer(6)
    assert line.answers[1:] == [("b", [6], "")]


def test_an_error_after_rows_is_an_error_with_rows() -> None:
    line = Line()
    line.ask("a")
    line.step()
    line.answer(1, last=False)
    line.answer(2, error_id=NEED_RETRY)  # too late to begin again: what has come would come twice
    assert line.answers == [("a", [1, 2], "a: error 90 words")]


def test_an_error_of_its_own_kind_ends_it() -> None:
    line = Line()
    line.ask("a")
    line.step()
    line.answer(kind="rsp_error", error_id=9, last=False)
    assert line.answers == [("a", [0], "a: error 9 words")]


def test_the_deadline() -> None:
    line = Line()
    line.ask("a")
    line.ask("b")
    line.step()
    line.answer(1, last=False)
    line.go(DEADLINE_S - 0.1)
    assert line.answers == []
    line.go(0.2)
    assert line.answers == [("a", [1], "a was not answered within 20 s")]
    assert [s[0] for s in line.sent] == ["a", "b"]
    assert not line.answer(2, request_id=1), "too late"
    line.answer(5)
    assert line.answers[1:] == [("b", [5], "")]


def test_a_lost_connection_fails_all_that_were_asked() -> None:
    line = Line()
    for name in "abc":
        line.ask(name)
    line.step()
    line.answer(1, last=False)
    line.queries.fail_all("the connection was lost")
    assert line.answers == [
        (name, rows, "the connection was lost") for name, rows in (("a", [1]), ("b", []), ("c", []))
    ]
    assert line.queries.idle and not line.answer(2, request_id=1)
    line.ask("d")
    line.go(2)
    line.answer(8)
    assert line.answers[3:] == [("d", [8], "")]


def test_one_that_asks_again_when_it_fails_does_not_hold_the_others_up() -> None:
    line = Line()
    asked = []

    def again(_rows: list[Record], _error: str) -> None:
        asked.append(line.now)
        line.queries.ask(Query("again", {}, again))

    line.queries.ask(Query("again", {}, again))
    line.queries.fail_all("lost")
    assert len(asked) == 1 and not line.queries.idle


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.just(0.0)),
        st.tuples(st.just("wait"), st.sampled_from([0.3, 1.1, 7.0, 21.0])),
        st.tuples(st.sampled_from(["row", "last", "old", "stranger", "retry", "refused", "lost"]), st.just(0.0)),
    ),
    max_size=60,
)


@given(EVENTS, st.lists(st.sampled_from([0, 0, 0, -1, -2, -3]), max_size=30))
def test_any_history_answers_each_once_in_order(events: list[tuple[str, float]], codes: list[int]) -> None:
    line = Line(list(codes))
    asked: list[str] = []
    for event, seconds in events:
        if event == "ask":
            asked.append(f"q{len(asked)}")
            line.ask(asked[-1])
        elif event == "wait":
            line.go(seconds)
        elif event == "lost":
            line.queries.fail_all("lost")
        elif event == "stranger":
            assert not line.answer(request_id=10_000)
        elif line.sent:
            old = {"request_id": line.sent[0][1]} if event == "old" else {}
            error = {"retry": NEED_RETRY, "refused": 7}.get(event, 0)
            line.answer(last=event != "row", error_id=error, **old)
        line.step()
    for _ in range(len(asked)):
        line.go(DEADLINE_S + 3)
    assert [name for name, _, _ in line.answers] == asked
    assert line.queries.idle
    assert all(later - earlier >= 1 for (_, earlier), (_, later) in zip(line.tries, line.tries[1:]))
    numbers = [number for _, number, _ in line.sent]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"InstrumentID": "rb2605"}, ["rb2605"]),
        ({"InstrumentID": b"m2605"}, ["m2605"]),
        ({"ExchangeID": "SHFE"}, ["rb2605", "cu2605"]),
        ({"ExchangeID": "DCE", "InstrumentID": "rb2605"}, []),
        ({"InstrumentID": ""}, ["rb2605", "cu2605", "m2605"]),
    ],
)
def test_some_positions_are_cut_out_of_all(fields: dict[str, Any], found: list[str]) -> None:
    given: list[tuple[list[Record], str]] = []
    identity = {"BrokerID": "9999", "InvestorID": "me"}
    asked = Query("ReqQryInvestorPosition", {**identity, **fields}, lambda rows, error: given.append((rows, error)))
    whole = of_all_positions(asked)
    assert whole.fields == identity
    held = [("rb2605", ""), ("cu2605", "SHFE"), ("m2605", "DCE")]
    rows = [Record(-1, "qry_position", data={"InstrumentID": name, "ExchangeID": at}) for name, at in held]
    rows[-1].is_last = True
    whole.answer(rows, "")
    ((answer, error),) = given
    assert [row.data["InstrumentID"] for row in answer if row.data is not None] == found and not error
    assert [row.is_last for row in answer] == [False] * (len(answer) - 1) + [True]
    whole.answer([], "the connection was lost")
    assert given[1] == ([], "the connection was lost")


def test_other_queries_are_asked_as_they_are() -> None:
    asked = Query("ReqQryOrder", {"InstrumentID": "rb2605"}, lambda _rows, _error: None)
    assert of_all_positions(asked) is asked
