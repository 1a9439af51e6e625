"""The trading session's state machine: every way in, every refusal, answers that come late, every way out."""

from __future__ import annotations

from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from session_support import DAY, WITHOUT_CODE, World, fake_time, query

from tickengine.session import ALREADY, FINAL, LOGINS_CUT_AT_ONCE, PASSING, UNKNOWN_REFUSALS
from tickengine.trader.session import ANSWER_DEADLINE_S, CHECK_S

QUERIES = ["ReqQryOrder", "ReqQryTrade", "ReqQryInvestorPosition", "ReqQryTradingAccount"]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return fake_time(monkeypatch, World())


def test_the_way_in(world: World) -> None:
    world.highest = 3
    world.connect()
    assert world.names == ["authenticate"] and world.api.initialised
    world.answer_authentication()
    assert world.names[1:] == ["login"]
    world.answer_login(last="          41")
    assert world.names[2:] == ["ReqSettlementInfoConfirm"] and world.api.gate is None
    world.confirm()
    assert world.gates == [(1, 77, 42)] and world.days_asked == [DAY]
    assert world.reconcile() == QUERIES
    states = [text for kind, text, _ in world.notes if kind == "session_state"]
    assert states == ["connected", "authenticated", "logged_in", "ready"]
    rounds = [(kind, value) for kind, _, value in world.notes if kind.startswith("reconcile")]
    assert rounds == [("reconcile_began", 1), ("reconcile_done", 1)]
    numbers = [number for _, number, _, _ in world.asked]
    assert numbers == sorted(set(numbers))


def test_without_codes_there_is_no_authentication(monkeypatch: pytest.MonkeyPatch) -> None:
    world = fake_time(monkeypatch, World(WITHOUT_CODE))
    world.enter()
    assert world.names[:2] == ["login", "ReqSettlementInfoConfirm"]


@pytest.mark.parametrize(("highest", "last", "following"), [(7, "6", 8), (6, "7", 8), (0, "", 1), (4, "     x", 5)])
def test_references_go_on_behind_the_highest_known(world: World, highest: int, last: str, following: int) -> None:
    world.highest = highest
    world.connect()
    world.answer_authentication()
    world.answer_login(last=last)
    world.confirm()
    assert world.gates == [(1, 77, following)]


# ---- refused -----------------------------------------------------------------------------------

STEPS = ["authentication", "login", "confirmation"]
REQUEST = {"authentication": "authenticate", "login": "login", "confirmation": "ReqSettlementInfoConfirm"}


def refuse(world: World, step: str, error_id: int) -> None:
    if step == "authentication":
        world.answer_authentication(error_id)
    elif step == "login":
        world.answer_login(error_id)
    else:
        world.confirm(error_id)


def go_to(world: World, step: str) -> None:
    world.connect()
    if step != "authentication":
        world.answer_authentication()
    if step == "confirmation":
        world.answer_login()
    assert world.names[-1] == REQUEST[step]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error_id", sorted(FINAL - ALREADY))
def test_one_that_could_lock_the_account_is_not_tried_again(world: World, step: str, error_id: int) -> None:
    go_to(world, step)
    refuse(world, step, error_id)
    assert world.session.state == "failed" and f"{step} " in world.session.failure
    assert f": {error_id}" in world.session.failure
    world.sleep(1000)
    assert world.count(REQUEST[step]) == 1 and world.gates == []
    assert world.notes[-1] == ("session_state", world.session.failure, 1)
    world.session.run()  # returns: it is over
    world.session.release()
    assert world.api.released and world.session.state == "failed"


@pytest.mark.parametrize("step", STEPS)
def test_one_that_passes_is_tried_again_after_growing_pauses(world: World, step: str) -> None:
    go_to(world, step)
    for pause in (1, 2, 4, 8, 16, 32, 60, 60):
        refuse(world, step, min(PASSING))
        before = world.count(REQUEST[step])
        world.sleep(pause - 0.1)
        assert world.count(REQUEST[step]) == before
        world.sleep(0.2)
        assert world.count(REQUEST[step]) == before + 1
    refuse(world, step, 0)
    if step == "authentication":
        world.answer_login()
    if step != "confirmation":
        world.confirm()
    assert world.session.state == "ready"


@pytest.mark.parametrize("step", STEPS)
def test_one_of_a_kind_that_is_not_known_is_tried_five_times(world: World, step: str) -> None:
    go_to(world, step)
    while world.session.state != "failed":
        refuse(world, step, 7777)
        world.until_asked(len(world.asked))
    world.sleep(1000)
    assert world.count(REQUEST[step]) == UNKNOWN_REFUSALS == 5
    assert "5 times: 7777" in world.session.failure


@pytest.mark.parametrize("step", STEPS)
def test_a_pause_after_a_refusal_holds_over_a_reconnect(world: World, step: str) -> None:
    go_to(world, step)
    refuse(world, step, min(PASSING))
    before = len(world.asked)
    world.cut()
    world.connect()
    world.sleep(0.9)
    assert len(world.asked) == before
    world.sleep(0.2)
    assert world.names[before:] == ["authenticate"]


@pytest.mark.parametrize("error_id", sorted(ALREADY))
def test_already_logged_in_counts_as_logged_in(world: World, error_id: int) -> None:
    world.connect()
    world.answer_authentication()
    world.sleep(ANSWER_DEADLINE_S + 1.5)  # the first login's answer is late
    assert world.count("login") == 2
    world.answer_login(error_id)
    assert world.names[-1] == "ReqSettlementInfoConfirm"
    world.answer_login(last="9")  # now it comes, and says which session it is
    world.give("rsp_settlement_confirm")
    assert world.session.state == "ready" and world.gates == [(1, 77, 10)]


def test_already_logged_in_without_a_session_is_ended_by_a_new_connection(world: World) -> None:
    world.connect()
    world.answer_authentication()
    world.answer_login(5)
    world.confirm()
    assert world.session.state == "logged_in" and world.gates == []
    world.sleep(3)
    assert len(world.apis) == 2 and world.apis[0].released
    assert ("front_disconnected", "the session is not known", 0) in world.notes
    world.enter()
    assert world.gates == [(1, 77, 6)]


# ---- not answered, answered late ---------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_a_request_that_is_not_answered_is_made_again_after_pauses(world: World, step: str) -> None:
    go_to(world, step)
    began = world.clock.now
    world.sleep(3 * ANSWER_DEADLINE_S + 3.5)
    times = [round(when - began) for name, _, when, _ in world.asked if name == REQUEST[step]]
    assert times == [0, 11, 23]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("code", [-1, -2, -3])
def test_a_request_that_cannot_be_sent_is_made_again(world: World, step: str, code: int) -> None:
    codes = {"authentication": [code], "login": [0, code], "confirmation": [0, 0, code]}[step]
    world.refusals.extend(codes)
    go_to(world, step)
    world.sleep(1.1)
    assert [rc for name, _, _, rc in world.asked if name == REQUEST[step]] == [code, 0]


@pytest.mark.parametrize("step", STEPS)
def test_after_a_late_answer_nothing_is_asked_twice(world: World, step: str) -> None:
    go_to(world, step)
    world.sleep(ANSWER_DEADLINE_S + 0.5)  # overdue; the next try is half a second away
    refuse(world, step, 0)
    before = world.count(REQUEST[step])
    after = len(world.asked)
    world.sleep(5)
    assert world.count(REQUEST[step]) == before, "the answer was there"
    assert len(world.asked) == after or step == "confirmation"


def test_no_pause_is_left_over_for_the_next_connection(world: World) -> None:
    world.connect()
    world.sleep(ANSWER_DEADLINE_S + 0.5)
    world.answer_authentication()
    world.answer_login()
    world.confirm()
    world.sleep(2)
    before = len(world.asked)
    world.cut()
    world.connect()
    assert world.names[before:] == ["authenticate"]


def test_answers_after_a_cut_are_ignored(world: World) -> None:
    world.connect()
    number = world.asked[-1][1]
    world.cut()
    world.answer_authentication(request_id=number)
    world.answer_login(request_id=number)
    world.give("rsp_settlement_confirm", number)
    assert world.session.state == "connecting" and len(world.asked) == 1


def test_answers_of_another_step_change_nothing(world: World) -> None:
    world.connect()
    world.give("rsp_settlement_confirm")
    assert world.session.state == "connected"
    world.answer_authentication()
    world.answer_authentication(63)  # of a try before
    assert world.session.state == "authenticated"
    world.answer_login()
    world.answer_authentication(63)
    world.give("rsp_settlement_confirm")
    world.give("rsp_settlement_confirm", error_id=3)
    assert world.session.state == "ready" and world.session.failure == ""


def test_a_second_login_answer_names_the_session_that_counts(world: World) -> None:
    world.enter()
    world.answer_login(session_id=78, last="           9")
    assert world.session.state == "ready" and world.gates == [(1, 77, 6), (1, 78, 10)]
    world.answer_login(3)  # one before was refused after all: the connection works
    assert world.session.state == "ready"


def test_a_login_of_the_programs_own_takes_the_place_of_the_next_try(world: World) -> None:
    world.connect()
    world.answer_authentication()
    world.answer_login(7)
    world.sleep(0.5)
    assert world.session.log_in() == 0
    world.sleep(5)  # its answer takes longer than the pause that was begun
    assert world.count("login") == 2


# ---- cuts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_a_front_that_cuts_on_the_way_in_is_not_hammered(world: World, step: str) -> None:
    logins = []
    for _ in range(12):
        began = world.clock.now
        world.connect()
        if world.count("authenticate") == len(logins):
            world.until_asked(len(world.asked))
        logins.append(world.asked[-1][2] - began)
        if step != "authentication":
            world.answer_authentication()
        if step == "confirmation":
            world.answer_login()
        world.cut()
    assert [round(pause) for pause in logins] == [0] * LOGINS_CUT_AT_ONCE + [1, 2, 4, 8, 8, 8, 8, 8, 8]


def test_a_front_that_cuts_as_soon_as_it_is_ready_is_not_hammered_either(world: World) -> None:
    began = world.clock.now
    for n in range(23):
        world.connect()
        if world.count("authenticate") == n:
            world.until_asked(len(world.asked))
        world.answer_authentication()
        world.answer_login()
        world.confirm()
        world.cut()
    pauses = [round(b - a) for a, b in pairwise([w for n, _, w, _ in world.asked if n == "login"])]
    assert pauses == [0] * (LOGINS_CUT_AT_ONCE - 1) + [1] * (22 - LOGINS_CUT_AT_ONCE + 1)
    assert world.clock.now - began < 60


def test_a_connection_that_has_lasted_makes_the_pauses_short_again(world: World) -> None:
    for _ in range(5):
        world.connect()
        world.sleep(9)
        world.cut()
    world.connect()
    world.sleep(9)
    world.answer_authentication()
    world.answer_login()
    world.confirm()
    world.sleep(2)
    world.cut()
    began = world.clock.now
    world.connect()
    assert world.asked[-1][0] == "authenticate" and world.asked[-1][2] - began < 0.1


# ---- reconciling -------------------------------------------------------------------------------


def done_rounds(world: World) -> list[int]:
    return [value for kind, _, value in world.notes if kind == "reconcile_done"]


@pytest.mark.parametrize("answered", [0, 1])
@pytest.mark.parametrize("how", ["error", "deadline", "cannot be sent"])
def test_a_reconciliation_that_fails_is_begun_again(world: World, answered: int, how: str) -> None:
    world.enter()
    for name in QUERIES[:answered]:
        assert world.answer_query() == name
    if how == "error":
        world.answer_query(error_id=7, error_msg="busy")
    elif how == "deadline":
        world.next_query()
        world.sleep(21)
    else:
        world.refusals.append(-1)
        world.sleep(1.1)
        if answered == 0:  # it had been sent already
            world.answer_query(error_id=7)
    assert done_rounds(world) == []
    before = len(world.asked)
    world.sleep(5.2)
    assert world.names[before] == "ReqQryOrder"
    assert world.reconcile() == QUERIES
    assert done_rounds(world) == [1] and world.session.reconciled == 1


@pytest.mark.parametrize("answered", [0, 1, 2, 3])
def test_a_reconciliation_cut_off_is_begun_by_the_next_login(world: World, answered: int) -> None:
    world.enter()
    for _ in range(answered):
        world.answer_query()
    world.cut()
    world.sleep(30)
    before = len(world.asked)
    world.enter()
    assert world.reconcile() == QUERIES
    assert done_rounds(world)[-1] == 2 and len(done_rounds(world)) == (1 if answered < 2 else 2)
    world.sleep(10)
    assert [n for n in world.names[before:] if n.startswith("ReqQry")] == QUERIES, "nothing is left of the first one"


def test_one_round_at_a_time_after_an_error_and_a_cut(world: World) -> None:
    world.enter()
    world.answer_query(error_id=7)  # to be begun again in 4 s
    world.cut()
    world.enter()
    world.sleep(10)
    began = [value for kind, _, value in world.notes if kind == "reconcile_began"]
    assert began == [1, 2], "a second round within the first one would miss what was listed before"


def test_positions_and_money_are_looked_at_every_minute(world: World) -> None:
    world.enter()
    world.reconcile()
    began = world.clock.now
    for _ in range(3):
        world.sleep(CHECK_S + 0.2)
        assert world.answer_query() == "ReqQryInvestorPosition"
        assert world.answer_query() == "ReqQryTradingAccount"
    assert world.clock.now - began < 3 * (CHECK_S + 5)
    assert world.count("ReqQryOrder") == 1 and world.count("ReqQryInvestorPosition") == 4


def test_a_check_that_fails_is_tried_again_the_next_minute(world: World) -> None:
    world.enter()
    for _ in range(2):
        world.answer_query()
    world.answer_query(error_id=7)
    world.answer_query(error_id=7)
    assert world.session.state == "ready" and world.session.reconciled == 1
    world.sleep(CHECK_S + 0.2)
    assert world.answer_query() == "ReqQryInvestorPosition"


def test_a_users_query(world: World) -> None:
    answers: list[str] = []
    ask = query("ReqQryInstrument", lambda rows, error: answers.append(error))
    world.session.ask(ask)
    assert answers == ["trading is connecting"]
    world.enter()
    world.session.ask(ask)
    world.session.ask(query("ReqQryInstrument", lambda rows, error: answers.append(error)))
    world.answer_query()  # orders, and behind them the user's
    world.give("qry_other", world.next_query()[1])
    assert answers[1:] == [""] and world.names[-1] == "ReqQryInstrument"
    world.cut()
    assert answers[2:] == ["the connection was lost"]


# ---- ways out ----------------------------------------------------------------------------------


def test_hanging_up_and_dialling(world: World) -> None:
    world.enter()
    answers: list[str] = []
    world.session.ask(query("ReqQryInstrument", lambda rows, error: answers.append(world.session.state + error)))
    first = world.api
    world.session.hang_up()
    assert first.released and answers == ["disconnectedthe connection was ended"]
    assert world.notes[-2:] == [("front_disconnected", "on purpose", 0), ("session_state", "disconnected", 0)]
    world.session.hang_up()
    assert len(world.notes) == len(set(world.notes)) or world.notes[-1][1] == "disconnected"
    before = len(world.asked)
    world.session._posted.put(lambda: None)
    world.session.step(1.0)
    assert len(world.asked) == before
    world.session.dial()
    world.session.dial()
    assert len(world.apis) == 2
    world.enter()
    assert world.reconcile() == QUERIES and done_rounds(world) == [2]


def test_hung_up_from_the_beginning(world: World) -> None:
    world.session.hang_up()
    world.session.hang_up()
    assert world.apis == [] and world.notes == [("session_state", "disconnected", 0)]
    world.enter()
    assert len(world.apis) == 1


@pytest.mark.parametrize("way", ["hang_up", "release", "cut"])
def test_the_gate_is_closed_on_every_way_out(world: World, way: str) -> None:
    world.enter()
    assert world.api.gate is not None
    if way == "cut":
        world.cut()
    else:
        getattr(world.session, way)()  # `Api.release` looks
        assert world.api.released
    assert world.api.gate is None


def test_the_gate_is_closed_when_the_session_breaks_off(world: World) -> None:
    world.enter()

    def broken() -> None:
        raise OSError("a mistake of ours")

    world.session.post(broken)
    with pytest.raises(OSError, match="mistake"):
        world.session.run()
    assert world.api.gate is None


def test_stop_ends_run_and_nothing_is_dialled_any_more(world: World) -> None:
    world.enter()
    world.session.stop()
    world.session.run()
    world.session.release()
    assert world.api.released and world.session.state == "stopped"
    world.session.dial()
    assert len(world.apis) == 1


def test_an_error_that_nobody_asked_for_is_in_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.connect()
    world.give("rsp_error", 999, error_id=7, error_msg="not now")
    assert "error from the front: 7" in caplog.text


def test_steps_are_counted_while_nothing_happens(world: World) -> None:
    """What the watchdog looks at."""
    world.connect()
    before = world.session.steps
    world.session.step(1.0)
    assert world.session.steps == before + 1


# ---- any order ---------------------------------------------------------------------------------

EVENTS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["connect", "cut", "auth", "login", "confirm", "query", "hang_up", "dial", "user"]),
            st.sampled_from([0, 0, 0, 0, 5, 7, 90]),
        ),
        st.tuples(st.just("sleep"), st.sampled_from([0, 1, 3, 12, 61])),
    ),
    max_size=40,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(EVENTS)
def test_in_any_order_of_events_it_finds_its_way_in(events: list[tuple[str, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world = fake_time(patch, World())
        session = world.session
        connected = False
        users: list[str] = []
        asked = 0
        for what, number in events:
            if what == "connect" and not connected and session.state != "failed":
                connected = True
                world.connect()
            elif what == "cut" and connected:
                connected = False
                world.cut()
            elif what == "hang_up":
                connected = False
                session.hang_up()
            elif what == "dial":
                session.dial()
            elif what == "sleep":
                world.sleep(number)
                if world.apis and world.api.released and session.state == "connecting":
                    connected = False
            elif what == "user":
                asked += 1
                session.ask(query("ReqQryInstrument", lambda rows, error: users.append(error)))
            elif connected and world.asked:
                if what == "auth":
                    world.answer_authentication(number)
                elif what == "login":
                    world.answer_login(number)
                elif what == "confirm":
                    world.confirm(number)
                else:
                    world.give("qry_order", error_id=number)
            if world.apis and not connected and world.api.released is False and session.state == "connecting":
                assert world.api.gate is None
            if world.api.gate is not None if world.apis else False:
                assert session.state == "ready"
            if len(world.apis) > 1:
                assert all(api.released for api in world.apis[:-1])
        if session.state == "failed":
            return
        if connected:
            world.cut()
        session.hang_up()
        assert len(users) == asked, "each is answered"
        world.connect()
        world.sleep(130)  # whatever pause there was
        for answer in (world.answer_authentication, world.answer_login, world.confirm):
            answer()
        assert session.state == "ready" and world.api.gate is not None
        assert world.reconcile() == QUERIES
        session.release()
        assert all(api.released for api in world.apis)
