"""Answers to subscriptions that are late, doubled, foreign, early or missing; and silence told from answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from feed_support import IDS, api_on, wait_for

from tickengine import Closed, Event, MdApi, TickQueue, session
from tickengine.front import Front, NumberedMarket, fields, wire
from tickengine.products import Product, Session

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(90)]


@pytest.fixture
def front() -> Iterator[Front]:
    with Front(NumberedMarket(IDS), rate=500) as front:
        yield front


@pytest.fixture
def queue() -> Iterator[TickQueue]:
    with TickQueue(events=True) as queue:
        yield queue


def _answer(ids: list[str], error_id: int = 0) -> bytes:
    names = [wire.field(fields.FID_INSTRUMENT, i.encode().ljust(31, b"\0")) for i in ids]
    return wire.message(wire.TID_SUBSCRIBE_ANSWER, [fields.rsp_info(error_id), *names])


def _state(api: MdApi, state: str) -> dict[str, Any]:
    status: dict[str, Any] = wait_for(lambda: (s := api.status())["state"] == state and s, f"state {state}")
    return status


def _next(queue: TickQueue, name: str) -> Event:
    """The next of them that comes."""
    while True:
        record = queue.get(timeout=20)
        if isinstance(record, Event) and record.name == name:
            return record


def _events(queue: TickQueue, name: str) -> list[Event]:
    """Those of an ended queue."""
    found = []
    while True:
        try:
            record = queue.get(timeout=20)
        except Closed:
            return found
        if isinstance(record, Event) and record.name == name:
            found.append(record)


def test_answers_for_ids_that_were_never_asked_for_and_answers_twice_change_nothing(
    genuine: str, front: Front, queue: TickQueue
) -> None:
    with api_on(front.address, genuine, IDS, [queue]) as api:
        before = _state(api, "live")
        front.send_raw(_answer(["au2612", "ag2612"]) + _answer(["cu2612"], 16) + _answer(IDS) * 3 + _answer([]))
        front.send_raw(_answer(["last"], 17))
        ticks = api.log.status()["ticks"]
        wait_for(lambda: api.log.status()["ticks"] > ticks + 100, "ticks after the answers")
        api.SubscribeMarketData([IDS[0]])  # known: says nothing to the front, and takes its turn behind the answers
        after = api.status()
        assert {k: after[k] for k in before if k not in ("ticks", "now", "head", "queues")} == {
            k: before[k] for k in before if k not in ("ticks", "now", "head", "queues")
        }
    assert [e.Value for e in _events(queue, "subscribed")] == [len(IDS)]


def test_a_refusal_takes_an_acknowledgement_back_and_is_asked_for_again(
    genuine: str, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PAUSES_S", (0.1,) * 7)
    with api_on(front.address, genuine, IDS) as api:
        _state(api, "live")
        front.refuse_subscription([IDS[2]])
        front.send_raw(_answer([IDS[2]], 16))
        wait_for(lambda: api.status()["refused"] == [IDS[2]], "the refusal in the status")
        assert api.status()["subscribed"] == len(IDS) - 1
        front.refuse_subscription([])
        wait_for(lambda: api.status()["subscribed"] == len(IDS), "the refused one acknowledged")


@pytest.mark.parametrize("answered", [0, 1, 3])
def test_what_is_not_acknowledged_is_asked_for_until_it_is(
    genuine: str, front: Front, queue: TickQueue, monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    monkeypatch.setattr(session, "ACK_DEADLINE_S", 0.2)
    front.acknowledge_only(answered)
    with api_on(front.address, genuine, IDS, [queue]) as api:
        wait_for(lambda: api.status()["subscribed"] == answered and front.stats().logins, f"{answered} acknowledged")
        while (overdue := _next(queue, "ack_overdue").Value) != len(IDS) - answered:
            assert overdue > len(IDS) - answered  # the answers to the others were late, too
        assert (api.status()["state"], api.status()["unacknowledged"]) == ("logged_in", len(IDS) - answered)
        front.acknowledge_only(None)
        assert _state(api, "live")["subscribed"] == len(IDS)
    assert [e.Value for e in _events(queue, "subscribed")] == [len(IDS)]


def test_a_refusal_from_before_the_login_does_not_count(
    genuine: str, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers a request that went out while the connection was changing: "not logged in"."""
    monkeypatch.setattr(session, "PAUSES_S", (60.0,) * 7)
    front.delay_answers(3600)
    with api_on(front.address, genuine, IDS) as api:
        front.wait_until(logins=1, timeout=20)
        front.send_raw(_answer(IDS, 6))
        front.delay_answers(0)
        status = _state(api, "live")
        assert (status["subscribed"], status["refused"]) == (len(IDS), [])


def test_answers_are_no_ticks_and_silence_is_seen_all_the_same(
    genuine: str, front: Front, queue: TickQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One instrument is refused and asked for again and again, more often than the limit of silence."""
    monkeypatch.setattr(session, "PAUSES_S", (0.3,) * 7)
    front.refuse_subscription([IDS[3]])
    with api_on(front.address, genuine, IDS, [queue], stale_after=2.0, any_hour=True) as api:
        _state(api, "live")
        front.pause()
        _state(api, "stale")
        front.send_raw(_answer(IDS[:2]))
        stale = _next(queue, "stale")
        seconds = stale.Value
        assert seconds >= 2 and (stale.words, stale.words_zh) == (f"no tick for {seconds} s", f"{seconds} 秒没有行情")
        for _ in range(3):
            _next(queue, "subscribe_refused")
        assert api.status()["state"] == "stale"
        front.resume()
        _state(api, "live")
        front.refuse_subscription([])
        wait_for(lambda: api.status()["subscribed"] == len(IDS), "the refused one acknowledged")
    assert _events(queue, "stale") == []


def test_silence_counts_in_trading_hours_of_what_is_subscribed(
    genuine: str, front: Front, queue: TickQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_s, looks, own = [0.0], [], (Session(9 * 3600, 10 * 3600),)

    def open_for(products: Iterable[Product]) -> float:
        looks.append({p.ProductID: p.Sessions for p in products})
        return open_s[0]

    monkeypatch.setattr(session, "open_for", open_for)
    with api_on(front.address, genuine, IDS, [queue], stale_after=1.0, hours={"rb": own}) as api:
        _state(api, "live")
        front.pause()
        wait_for(lambda: len(looks) >= 3, "three times too much silence, if a session were under way")
        assert api.status()["state"] == "live" and set(looks[0]) == {"rb", "IF", "m", "SR"}
        assert looks[0]["rb"] == own != looks[0]["m"]
        open_s[0] = 1e9
        _state(api, "stale")
    assert len(_events(queue, "stale")) == 1


def test_without_a_subscription_there_is_no_silence(
    genuine: str, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    silences: list[float] = []
    watch = session.Session._watch_silence

    def look(self: session.Session, passed: float) -> None:
        watch(self, passed)
        silences.append(self._silence)

    monkeypatch.setattr(session.Session, "_watch_silence", look)
    with api_on(front.address, genuine, IDS, stale_after=1.0, any_hour=True) as api:
        _state(api, "live")
        api.UnSubscribeMarketData(IDS)
        silences.clear()
        wait_for(lambda: len(silences) >= 4, "four looks")
        assert api.status()["state"] == "live" and silences[1:] == [0.0] * (len(silences) - 1)
