"""After every cut: login and all subscriptions again, and every tick that was sent exactly once."""

from __future__ import annotations

import random

import numpy as np
import pytest
from feed_support import IDS, check_ticks, engine_on, numbers_of, wait_for

from tickengine import Closed, Event, TickQueue
from tickengine.front import Front, FrontProcess, FrontStats, MarketSpec, NumberedMarket, RandomWalkMarket

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(120)]


def _sent_numbers(stats: FrontStats) -> np.ndarray:
    """Running numbers that the front promises to have sent to subscribed clients."""
    parts = [
        np.array([n for n in range(r.first, r.stop) if IDS[n % len(IDS)] in r.instruments])
        for r in stats.sent_ranges
        if r.stop > r.first
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


@pytest.mark.slow
def test_twenty_cuts_under_load_lose_no_tick_and_no_subscription(genuine: str) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    cuts = 20
    with TickQueue(events=True) as queue:
        with (
            FrontProcess(MarketSpec(IDS), rate=20_000, wait_ids=len(IDS)) as front,
            engine_on(front.address, genuine, IDS, [queue], capacity=1 << 20) as engine,
        ):
            for cut in range(cuts):
                engine.wait_live()
                target = front.stats().next_number + rng.randrange(1, 2000)
                front.wait_until(next_number=target, timeout=20)
                after = rng.choice([None, rng.randrange(1, 5000)])
                assert front.cut("fin", after_bytes=after) == 1
                front.wait_until(logins=cut + 2, subscribers=1, subscriber_ids=len(IDS), timeout=20)
            engine.wait_live()
            front.wait_until(next_number=front.stats().next_number + 1000, timeout=20)
            front.pause()
            sent = _sent_numbers(front.stats())
            wait_for(lambda: engine.status()["ticks"] >= len(sent), f"{len(sent)} ticks in the log")
            status = engine.status()
        # Nobody has read yet: the log outlives its engine for the queue that still needs it.
        numbers, events = _drain(queue, NumberedMarket(IDS))
        assert queue.lost == 0
    assert (status["logins"], status["disconnects"], status["last_disconnect_reason"]) == (cuts + 1, cuts, 4097)
    assert (status["subscribed"], status["unacknowledged"]) == (len(IDS), 0)
    assert np.array_equal(np.sort(sent), sent)
    assert np.array_equal(numbers, sent), "what arrived is not what was sent while connected and subscribed"
    _check_event_order(events, cuts)


def _drain(queue: TickQueue, market: NumberedMarket) -> tuple[np.ndarray, list[Event]]:
    """All ticks (checked), and the events, of an ended queue."""
    numbers, events = [], []
    while True:
        try:
            records = queue.get_many()
        except Closed:
            return np.concatenate(numbers), events
        is_event = records["Kind"] == 1
        events += [Event.from_buffer_copy(r.tobytes()) for r in records[is_event]]
        if not is_event.all():
            numbers.append(check_ticks(records[~is_event], market))


def _check_event_order(events: list[Event], cuts: int) -> None:
    """started, then per connection: connected, logged in, subscribed, disconnected with its reason."""
    names = [e.name for e in events]
    assert names[0] == "engine_started" and names[-1] == "engine_stopped"
    round_ = ["front_connected", "logged_in", "subscribed"]
    assert names[1:-1] == [*round_, "front_disconnected"] * cuts + round_
    assert {e.Reason for e in events if e.name == "front_disconnected"} == {4097}
    assert [e.Value for e in events if e.name == "subscribed"] == [len(IDS)] * (cuts + 1)


def test_what_was_subscribed_and_unsubscribed_at_run_time_holds_after_a_cut(genuine: str) -> None:
    with (
        TickQueue() as queue,
        Front(NumberedMarket(IDS), rate=2000) as front,
        engine_on(front.address, genuine, IDS[:2], [queue]) as engine,
    ):
        engine.wait_live()
        engine.subscribe([IDS[2]])
        engine.unsubscribe([IDS[0]])
        wait_for(lambda: _subscribed_ids(front) == {IDS[1], IDS[2]}, "the changed subscriptions at the front")
        front.cut("fin")
        front.wait_until(logins=2, subscribers=1, subscriber_ids=2, timeout=20)
        before = engine.status()["ticks"]
        wait_for(lambda: engine.status()["ticks"] > before + 100, "ticks after the cut")
        head = engine.log.head
        ids = set(engine.log.read(head - 50)["InstrumentID"])
        assert ids == {IDS[1].encode(), IDS[2].encode()}


def _subscribed_ids(front: Front) -> set[str]:
    ranges = front.stats().sent_ranges
    return set(ranges[-1].instruments) if ranges else set()


def test_sequence_goes_on_over_a_cut(genuine: str) -> None:
    with (
        TickQueue(events=True) as queue,
        Front(NumberedMarket(IDS), rate=2000) as front,
        engine_on(front.address, genuine, IDS, [queue]) as engine,
    ):
        engine.wait_live()
        for _ in range(3):
            front.cut("rst")
            engine.wait_live()
        records = []
        while len(records) < 100:
            records.append(queue.get(timeout=20))
    assert [r.Sequence for r in records] == list(range(100))


@pytest.mark.parametrize(("kind", "reason"), [("length", 8195), ("clen", 40961)])
def test_garbage_from_the_front_is_survived_and_named(genuine: str, kind: str, reason: int) -> None:
    with (
        TickQueue(events=True) as queue,
        Front(NumberedMarket(IDS), rate=500) as front,
        engine_on(front.address, genuine, IDS, [queue]) as engine,
    ):
        engine.wait_live()
        front.send_garbage(kind)
        wait_for(lambda: engine.status()["logins"] == 2, "a second login")
        assert engine.status()["last_disconnect_reason"] == reason
        engine.wait_live()
        event = next(r for r in iter(lambda: queue.get(timeout=20), None) if isinstance(r, Event) and r.Reason)
        assert str(reason) in event.words and str(reason) in event.words_zh


def test_a_refused_subscription_is_reported_and_asked_for_again(genuine: str) -> None:
    with (
        TickQueue(events=True) as queue,
        Front(NumberedMarket(IDS), rate=500) as front,
    ):
        front.refuse_subscription([IDS[1]])
        with engine_on(front.address, genuine, IDS, [queue]) as engine:
            engine.wait_live()
            status = engine.status()
            assert (status["subscribed"], status["unacknowledged"], status["refused"]) == (3, 1, [IDS[1]])
            event = next(
                r for r in iter(lambda: queue.get(timeout=20), None) if getattr(r, "name", "") == "subscribe_refused"
            )
            assert (event.Text, event.ErrorID) == (IDS[1], 16)
            front.refuse_subscription([])
            wait_for(lambda: engine.status()["subscribed"] == 4, "the refused one acknowledged after a pause", 30)


def test_subscriptions_that_are_not_answered_are_asked_for_again(genuine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with TickQueue() as queue, Front(NumberedMarket(IDS), rate=500) as front:
        front.acknowledge_only(2)
        with engine_on(front.address, genuine, IDS, [queue]) as engine:
            wait_for(lambda: engine.status()["subscribed"] == 2, "two acknowledged")
            assert engine.status()["state"] == "logged_in"
            assert engine.status()["unacknowledged"] == 2
            front.acknowledge_only(None)
            wait_for(lambda: engine.status()["subscribed"] == 4, "the others acknowledged", 40)
            engine.wait_live()


def test_many_instruments_are_subscribed_in_batches_and_all_acknowledged(genuine: str) -> None:
    ids = [f"rb{n:04d}" for n in range(1200)]
    with TickQueue() as queue:
        with (
            Front(RandomWalkMarket(ids), rate=5000) as front,
            engine_on(front.address, genuine, ids, [queue]) as engine,
        ):
            engine.wait_live()
            assert engine.status()["subscribed"] == len(ids)
            wait_for(lambda: engine.status()["ticks"] > 1000, "ticks")
        assert len({t.InstrumentID for t in queue}) > 100


def test_numbers_are_read_from_ticks(genuine: str) -> None:
    with (
        TickQueue() as queue,
        Front(NumberedMarket(IDS), rate=1000, count=400) as front,
        engine_on(front.address, genuine, IDS, [queue]) as engine,
    ):
        front.wait_until(finished=True, timeout=20)
        wait_for(lambda: engine.status()["ticks"] == 400, "400 ticks")
        assert numbers_of(engine.log.read(0)).tolist() == list(range(400))
        tick = queue.get()
        assert tick.ExchangeInstID == IDS[0][::-1]
        assert engine.log.latest(IDS[3]).Turnover == 399
