"""A front that ends its connections after every number of bytes, one connection after the other.

One api lives through all of them: cut before, inside and behind the login's answer, the answers to the
subscriptions and the first ticks, and inside what it sends itself. Then a whole connection is as good as ever.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from feed_support import IDS, api_on, check_ticks, numbers_of, wait_for

from tickengine import Closed, MdApi, TickQueue, session
from tickengine.front import Front, FrontProcess, FrontStats, MarketSpec, NumberedMarket, wire

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(180)]

Cut = Literal["fin", "rst"]
MARKET = NumberedMarket(IDS)
TICK_PACKET = len(wire.message(wire.TID_TICK, [wire.field(0x12, bytes(354))]))
# Register, login and one packet of subscriptions. All that the library says before its first heartbeat.
REQUESTS = 10 + 274 + 26 + 35 * len(IDS)


@pytest.fixture(autouse=True)
def logins_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of cuts in a row before an answer: the pauses that spare a front would take hours."""
    monkeypatch.setattr(session, "LOGINS_CUT_AT_ONCE", 1 << 30)


@pytest.fixture(scope="module")
def answers(genuine: str) -> int:
    """Bytes from the front until everything is acknowledged."""
    with Front(MARKET, paused=True) as front, api_on(front.address, genuine, IDS) as api:
        wait_for(lambda: api.status()["state"] == "live", "state live")
        return front.stats().bytes_sent


def _sent(stats: FrontStats, connection: int = 0) -> np.ndarray:
    """Running numbers in whole packets, on one connection or on all."""
    ranges = [r for r in stats.sent_ranges if connection in (0, r.connection)]
    return np.array([n for r in ranges for n in range(r.first, r.stop) if IDS[n % len(IDS)] in r.instruments])


def _drain(queue: TickQueue) -> np.ndarray:
    """The numbers of all ticks, each with every field checked."""
    numbers = []
    while True:
        try:
            numbers.append(check_ticks(queue.get_many(timeout=20), MARKET))
        except Closed:
            return np.concatenate(numbers)


def _live_after(front: FrontProcess, api: MdApi, cuts: int) -> dict[str, Any]:
    """Behind all cuts: a connection that stays, ticks on it, then a pause."""
    front.wait_until(connections=cuts + 1, subscribers=1, subscriber_ids=len(IDS), timeout=120)
    wait_for(lambda: api.status()["state"] == "live", "state live")
    front.wait_until(next_number=front.stats().next_number + 1000, timeout=20)
    front.pause()
    last = _sent(front.stats())[-1]
    wait_for(lambda: last in numbers_of(api.log.read(max(0, api.log.head - 64))), f"tick {last}, the last one")
    return api.status()


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_front_that_cuts_after_every_number_of_bytes_it_sends(genuine: str, answers: int, how: Cut) -> None:
    cuts = answers + 2 * TICK_PACKET + 1
    with TickQueue() as queue:
        with FrontProcess(MarketSpec(IDS), rate=5000) as front:
            front.cut_next(range(cuts), how)
            with api_on(front.address, genuine, IDS, [queue], capacity=1 << 17) as api:
                status = _live_after(front, api, cuts)
                stats = front.stats()
        numbers = _drain(queue)
        assert queue.lost == 0
    assert (status["subscribed"], status["unacknowledged"], status["refused"]) == (len(IDS), 0, [])
    assert (status["disconnects"], status["last_disconnect_reason"], stats.cuts) == (cuts, 4097, cuts)
    sent = _sent(stats)
    if how == "fin":
        assert np.array_equal(numbers, sent), "what arrived is not what the front sent whole"
    else:  # a reset throws away what is under way, and nothing else
        assert (np.diff(numbers) > 0).all() and np.isin(numbers, sent).all()
        whole = _sent(stats, cuts + 1)
        assert np.array_equal(numbers[-len(whole) :], whole)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_front_that_cuts_after_every_number_of_bytes_it_receives(genuine: str, how: Cut) -> None:
    cuts = REQUESTS + 1
    with TickQueue() as queue:
        with FrontProcess(MarketSpec(IDS), rate=5000) as front:
            front.cut_next(range(cuts), how, counted="received")
            with api_on(front.address, genuine, IDS, [queue], capacity=1 << 17) as api:
                status = _live_after(front, api, cuts)
                stats = front.stats()
        numbers = _drain(queue)
    assert (status["subscribed"], status["unacknowledged"], status["disconnects"]) == (len(IDS), 0, cuts)
    whole = _sent(stats, cuts + 1)
    assert np.array_equal(numbers[-len(whole) :], whole)
    assert (np.diff(numbers) > 0).all() and np.isin(numbers, _sent(stats)).all()


def test_a_front_that_cuts_compressed_ticks_after_every_number_of_bytes(genuine: str, answers: int) -> None:
    def tick(number: int) -> dict[str, Any]:
        members = MARKET.expected(np.array([number]))
        return {name: column[0] for name, column in members.items()}

    numbers = np.arange(4)
    with Front(MARKET, paused=True) as front, api_on(front.address, genuine, IDS) as api:
        wait_for(lambda: api.status()["state"] == "live", "state live")
        lengths = []
        for number in numbers[:2]:
            before = front.stats().bytes_sent
            front.push(tick(number), compress=True)
            lengths.append(wait_for(lambda before=before: front.stats().bytes_sent - before, "the packet sent"))
    assert max(lengths) < TICK_PACKET, "not compressed"
    first, both = lengths[0], sum(lengths)
    with TickQueue() as queue:
        with Front(MARKET, paused=True) as front:
            front.cut_next(range(answers + 1, answers + both + 1))
            with api_on(front.address, genuine, IDS, [queue]) as api:
                for connection in range(1, both + 2):
                    front.wait_until(connections=connection, subscribers=1, subscriber_ids=len(IDS), timeout=20)
                    for number in numbers[:2]:
                        front.push(tick(number), compress=True)
                expected = [n for after in range(1, both + 1) for n in (0, 1) if after >= (first, both)[n]] + [0, 1]
                wait_for(lambda: api.status()["ticks"] >= len(expected), f"{len(expected)} ticks")
                assert api.status()["disconnects"] == both
        assert _drain(queue).tolist() == expected
