"""Every way in which a login can go wrong, and how often the front then sees another one.

The genuine library in this process, with the session's pauses shortened: what is asserted is how many logins
the front has counted, never how long they took.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from feed_support import IDS, api_on, wait_for

from tickengine import Closed, EngineError, Event, MdApi, TickQueue, session
from tickengine.front import Front, NumberedMarket

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(90)]

GUIDE = Path(__file__).parents[2] / "docs" / "operate.md"
TRIES_AGAIN = [1, 7, 8, 60]
GIVES_UP = [3, 4, 9, 11, 12, 13, 19, 48, 49, 63, 64, 75, 131, 132, 140, 143, 144, 2001, 2012, 4040, 4042, 4043, 4060]
GOES_ON = [5, 6023]
FOR_EVER = (60.0,) * 7  # longer than any test: what waits for such a pause does not happen


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the session's deadlines and pauses."""

    def set_to(pauses: tuple[float, ...] = (0.02,) * 7, login_s: float = 10.0, at_once: int = 3) -> None:
        monkeypatch.setattr(session, "PAUSES_S", pauses)
        monkeypatch.setattr(session, "LOGIN_DEADLINE_S", login_s)
        monkeypatch.setattr(session, "LOGINS_CUT_AT_ONCE", at_once)

    set_to()
    return set_to


@pytest.fixture
def front() -> Iterator[Front]:
    with Front(NumberedMarket(IDS), rate=500) as front:
        yield front


@pytest.fixture
def queue() -> Iterator[TickQueue]:
    with TickQueue(events=True) as queue:
        yield queue


def _live(api: MdApi) -> dict[str, Any]:
    status: dict[str, Any] = wait_for(lambda: (s := api.status())["state"] == "live" and s, "state live")
    return status


def _names(queue: TickQueue) -> list[str]:
    """Events of an ended queue, in order."""
    names = []
    while True:
        try:
            record = queue.get(timeout=20)
        except Closed:
            return names
        if isinstance(record, Event):
            names.append(record.name)


def _gives_up(front: Front, genuine: str, queue: TickQueue, words: str) -> None:
    with api_on(front.address, genuine, IDS, [queue]) as api:
        with pytest.raises(EngineError, match=words):
            api.Join()
        # Join returns when the vendor's api is released: nobody is left who could log in.
        stats = front.wait_until(max_open_clients=0, timeout=20)
        assert (stats.connections, stats.logins) == (1, 0)
    assert _names(queue)[-2:] == ["gave_up", "engine_stopped"]


def test_the_guide_says_what_is_done_about_each_refusal() -> None:
    rows = re.findall(r"^\| (\d+) \| [A-Z_]+ \| (.+) \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    said: dict[str, list[int]] = {}
    for number, what in rows:
        said.setdefault(what, []).append(int(number))
    assert {what: sorted(numbers) for what, numbers in said.items()} == {
        "tries again": TRIES_AGAIN,
        "goes on as logged in": GOES_ON,
        "gives up": GIVES_UP,
    }


@pytest.mark.parametrize("error_id", GIVES_UP)
def test_a_refusal_that_stays_is_seen_once_by_the_front(
    genuine: str, front: Front, queue: TickQueue, pauses: Any, error_id: int
) -> None:
    front.refuse_logins(error_id)
    _gives_up(front, genuine, queue, f"login refused: {error_id} ")
    assert front.stats().logins_refused == 1


@pytest.mark.parametrize("error_id", [2, 90, 9999, 0x7FFFFFFF])
def test_a_refusal_nobody_knows_is_seen_five_times_by_the_front(
    genuine: str, front: Front, queue: TickQueue, pauses: Any, error_id: int
) -> None:
    front.refuse_logins(error_id)
    _gives_up(front, genuine, queue, f"login refused 5 times: {error_id}")
    assert front.stats().logins_refused == 5


def test_refusals_nobody_knows_are_counted_over_cuts(
    genuine: str, front: Front, queue: TickQueue, pauses: Callable[..., None]
) -> None:
    """Otherwise a front that refuses and closes would see logins without end."""
    pauses((0.3,) * 7)
    front.refuse_logins(9999)
    with api_on(front.address, genuine, IDS, [queue]) as api:
        for refused in range(1, 5):
            wait_for(lambda refused=refused: front.stats().logins_refused >= refused, f"refusal {refused}")
            front.cut()
        with pytest.raises(EngineError, match="login refused 5 times: 9999"):
            api.Join()
    assert front.stats().logins_refused == 5


@pytest.mark.parametrize("error_id", TRIES_AGAIN)
def test_a_refusal_that_passes_is_waited_for_however_often_it_comes(
    genuine: str, front: Front, pauses: Any, error_id: int
) -> None:
    front.refuse_logins(error_id)
    with api_on(front.address, genuine, IDS) as api:
        why = wait_for(lambda: api.status()["front_error"], "a reason in the status")
        assert why.startswith(f"login refused: {error_id} ") and why.endswith("; next try in 0.02 s")
        wait_for(lambda: front.stats().logins_refused >= 12, "the twelfth refusal")
        front.refuse_logins(times=0)
        status = _live(api)
    assert (front.stats().connections, front.stats().logins, status["logins"]) == (1, 1, 1)
    assert status["front_error"] == ""


def test_a_pause_after_a_refusal_holds_over_a_cut(genuine: str, front: Front, pauses: Callable[..., None]) -> None:
    pauses(FOR_EVER)
    front.refuse_logins(7, times=1)
    with api_on(front.address, genuine, IDS) as api:
        wait_for(lambda: front.stats().logins_refused == 1, "the refusal")
        for cut in (1, 2, 3):
            front.cut()
            front.wait_until(connections=cut + 1, timeout=20)
            wait_for(lambda cut=cut: api.status()["disconnects"] == cut, f"disconnect {cut}")
            wait_for(lambda: api.status()["state"] == "connected", "state connected")
        assert (front.stats().logins_refused, front.stats().logins) == (1, 0)


@pytest.mark.parametrize("error_id", GOES_ON)
def test_logged_in_already_counts_as_logged_in(genuine: str, pauses: Any, error_id: int) -> None:
    with Front(NumberedMarket(IDS), rate=500, require_login=False) as front:
        front.refuse_logins(error_id)
        with api_on(front.address, genuine, IDS) as api:
            status = _live(api)
        assert (status["logins"], front.stats().logins_refused) == (1, 1)


@pytest.mark.parametrize("missing", ["login_without_answer", "login_without_session", "login_without_info"])
def test_a_login_without_an_answer_is_overdue_and_made_again(
    genuine: str, front: Front, queue: TickQueue, pauses: Callable[..., None], missing: str
) -> None:
    pauses(login_s=0.3)
    getattr(front, missing)()
    with api_on(front.address, genuine, IDS, [queue]) as api:
        why = wait_for(lambda: api.status()["front_error"], "a reason in the status")
        assert "the login was not answered within 0.3 s" in why
        wait_for(lambda: front.stats().logins >= 3, "the third login")
        getattr(front, missing)(0)
        status = _live(api)
    assert (status["logins"], status["front_error"], status["disconnects"]) == (1, "", 0)
    names = _names(queue)
    overdue = names.index("logged_in") - 2
    assert names[1 : overdue + 2] == ["front_connected", *["login_overdue"] * overdue]
    # On a slow machine an answer may come after its time, when the next login is on its way: two are there then.
    assert overdue >= 3 and front.stats().logins in (overdue, overdue + 1)
    assert names.count("subscribed") == 1 and "front_disconnected" not in names


def test_an_answer_that_comes_late_is_taken_and_leaves_no_pause(
    genuine: str, front: Front, pauses: Callable[..., None]
) -> None:
    pauses(FOR_EVER, login_s=0.2)
    front.delay_answers(3600)
    with api_on(front.address, genuine, IDS) as api:
        wait_for(lambda: "not answered" in api.status()["front_error"], "the login overdue")
        front.delay_answers(0)
        status = _live(api)
        assert (status["logins"], status["front_error"]) == (1, "")
        pauses(FOR_EVER)
        front.cut()
        wait_for(lambda: api.status()["logins"] == 2, "the login after the cut, at once")
        _live(api)


@pytest.mark.parametrize("second", ["accepted", 3, 9999])
def test_the_second_of_two_answers_changes_nothing(
    genuine: str, front: Front, queue: TickQueue, pauses: Callable[..., None], second: Any
) -> None:
    pauses((0.02, *FOR_EVER), login_s=3600)
    front.delay_answers(3600)
    with api_on(front.address, genuine, IDS, [queue]) as api:
        front.wait_until(logins=1, timeout=20)
        if second != "accepted":
            front.refuse_logins(second, times=1)
        session = api._session
        with session._lock:  # not before the first one has its deadline
            session._set_timer("login_answer", 0.0)
        wait_for(lambda: (s := front.stats()).logins + s.logins_refused == 2, "the second login")
        front.delay_answers(0)
        front.refuse_logins(times=0)
        _live(api)
        wait_for(lambda: api.log.status()["ticks"] > 100, "ticks")
        status = _live(api)
        assert (status["logins"], status["subscribed"], status["failure"]) == (1, len(IDS), "")
    names = _names(queue)
    assert names.count("logged_in") + names.count("login_refused") == 2 and names.count("subscribed") == 1
    assert "gave_up" not in names


@pytest.mark.parametrize("error_id", [3, 75])
def test_a_password_changed_during_the_day_is_tried_once(
    genuine: str, front: Front, queue: TickQueue, pauses: Any, error_id: int
) -> None:
    with api_on(front.address, genuine, IDS, [queue]) as api:
        _live(api)
        front.refuse_logins(error_id)
        front.cut()
        with pytest.raises(EngineError, match=f"login refused: {error_id} "):
            api.Join()
        stats = front.wait_until(max_open_clients=0, timeout=20)
        assert (stats.connections, stats.logins, stats.logins_refused) == (2, 1, 1)
    assert _names(queue)[-5:] == ["front_disconnected", "front_connected", "login_refused", "gave_up", "engine_stopped"]


def test_logins_that_are_cut_off_unanswered_are_not_made_again_without_a_pause(
    genuine: str, front: Front, pauses: Callable[..., None]
) -> None:
    pauses(FOR_EVER)
    front.cut_next(1)  # the first byte of the answer
    with api_on(front.address, genuine, IDS) as api:
        why = wait_for(lambda: api.status()["front_error"], "a reason in the status")
        assert why == "the front has ended 3 connections without an answer to the login; next login in 60 s"
        for connections in range(5, 20):
            front.cut("rst")
            front.wait_until(connections=connections, timeout=20)
        wait_for(lambda: api.status()["state"] == "connected", "state connected")
        assert front.stats().logins == 3


def test_after_logins_that_were_cut_off_the_next_answer_ends_the_pauses(
    genuine: str, front: Front, pauses: Callable[..., None]
) -> None:
    front.cut_next([1] * 10)
    with api_on(front.address, genuine, IDS) as api:
        wait_for(lambda: api.status()["logins"] == 1, "the eleventh login")
        assert (front.stats().logins, _live(api)["front_error"]) == (11, "")
        pauses(FOR_EVER)
        front.cut()
        wait_for(lambda: api.status()["logins"] == 2, "the login after the cut, at once")
        _live(api)


def test_a_login_that_could_not_be_sent_leaves_no_pause_for_the_next_connection(
    genuine: str, front: Front, pauses: Callable[..., None]
) -> None:
    pauses(FOR_EVER, at_once=1 << 30)
    front.accept_and_close(500)
    with api_on(front.address, genuine, IDS) as api:
        front.wait_until(connections=501, timeout=60)
        _live(api)
