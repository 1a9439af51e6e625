"""What a front sends twice, out of order, or all at once after an hour of nothing: all of it is passed on."""

from __future__ import annotations

import random
from collections import defaultdict
from contextlib import ExitStack

import numpy as np
import pytest
from feed_support import IDS, check_ticks, engine_on, numbers_of, receive, verify_all, wait_for, workers

from tickengine import Closed, TickFlag, TickQueue
from tickengine.front import Front, NumberedMarket

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(120)]

MARKET = NumberedMarket(IDS)


def _disordered(rng: random.Random, count: int) -> list[int]:
    """Running numbers with repetitions and short jumps back."""
    numbers = list(range(count))
    for _ in range(count // 20):
        here = rng.randrange(count - 40)
        there = here + rng.randrange(1, 40)
        numbers[here], numbers[there] = numbers[there], numbers[here]
    sent: list[int] = []
    for number in numbers:
        sent += [number] * rng.choice((1, 1, 1, 1, 2, 3))
        if rng.random() < 0.02:
            sent += sent[-10:]
    return sent


def _expected_flags(sent: list[int]) -> list[int]:
    """`docs/data.md` again, for ticks whose time and content follow from their number."""
    newest: dict[int, int] = defaultdict(lambda: -1)
    before: dict[int, int] = {}
    flags = []
    for number in sent:
        which = number % len(IDS)
        flag = TickFlag.DUPLICATE if before.get(which) == number else TickFlag(0)
        flag |= TickFlag.OUT_OF_ORDER if number < newest[which] else TickFlag(0)
        flags.append(int(flag))
        before[which] = number
        newest[which] = max(newest[which], number)
    return flags


def test_ticks_sent_twice_and_out_of_order_are_passed_on_as_sent_and_marked(genuine: str) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    sent = _disordered(random.Random(seed), 20_000)
    rows = MARKET.batch(0, max(sent) + 1)[sent]
    with TickQueue() as queue, TickQueue(["m2605"], skip=TickFlag.DUPLICATE | TickFlag.OUT_OF_ORDER) as clean:
        with Front(MARKET, paused=True) as front:
            with engine_on(front.address, genuine, IDS, [queue, clean], capacity=1 << 16) as engine:
                engine.wait_live()
                for start in range(0, len(rows), 997):
                    front.push(rows[start : start + 997])
                wait_for(lambda: engine.status()["ticks"] == len(sent), f"{len(sent)} ticks")
                front.cut()  # a front that pushes its newest tick again after each login
                wait_for(lambda: engine.status()["logins"] == 2, "the second login")
                engine.wait_live()
                again = [max(n for n in sent if n % len(IDS) == which) for which in range(len(IDS))]
                again = [n for n in again if n == [m for m in sent if m % len(IDS) == n % len(IDS)][-1]]
                front.push(MARKET.batch(0, max(sent) + 1)[again])
                wait_for(lambda: engine.status()["ticks"] == len(sent) + len(again), "the same ticks again")
        records = _drain(queue)
        kept = _drain(clean)
        assert (queue.lost, queue.received, clean.lost) == (0, len(records), 0)
    check_ticks(records, MARKET)
    assert numbers_of(records).tolist() == sent + again
    got = records["Flags"] & int(TickFlag.DUPLICATE | TickFlag.OUT_OF_ORDER)
    assert got.tolist() == _expected_flags(sent + again)
    assert (records["Flags"][len(sent) :] & int(TickFlag.SNAPSHOT)).all()
    of_kept = [n for n, flag in zip(sent + again, _expected_flags(sent + again)) if n % 4 == 2 and not flag]
    assert numbers_of(kept).tolist() == of_kept
    assert len(set(_expected_flags(sent))) == 4, "the sequence has not every kind of tick in it"


def _drain(queue: TickQueue) -> np.ndarray:
    """All of an ended queue."""
    batches = []
    while True:
        try:
            batches.append(queue.get_many(timeout=20))
        except Closed:
            return np.concatenate(batches)


def test_a_burst_after_an_hour_of_silence_reaches_every_reader_that_slept(genuine: str) -> None:
    hour, burst = 3_600_000, 100_000  # a running number is a millisecond of exchange time
    with ExitStack() as stack:
        made = TickQueue(), TickQueue(wait="block"), TickQueue(["rb2601", "SR601"])
        queues = [stack.enter_context(queue) for queue in made]
        front = stack.enter_context(Front(MARKET, paused=True))
        with workers([(verify_all, (queue, MARKET)) for queue in queues]) as connections:
            with engine_on(front.address, genuine, IDS, queues, capacity=1 << 17) as engine:
                engine.wait_live()
                front.push(MARKET.batch(0, 400))
                _asleep_with(engine, [400, 400, 200])
                woken = engine.log.info().wakes
                front.push(MARKET.batch(hour, burst))
                wait_for(lambda: engine.status()["ticks"] == 400 + burst, "the burst in the log")
                _asleep_with(engine, [400 + burst, 400 + burst, 200 + burst // 2])
                # One that was just looking by itself needed none.
                assert engine.log.info().wakes > woken, "they were not woken, they looked by themselves"
                status = engine.status()
                times = engine.log.read(0)["ExchangeTime"]
            results = [receive(connection) for connection in connections]
    assert (status["state"], status["disconnects"]) == ("live", 0)
    assert times[400] - times[396] > 3_599 * 10**9  # of the same instrument
    for result in results[:2]:
        assert result == {
            "runs": [[0, 399], [hour, hour + burst - 1]], "count": 400 + burst, "lost": 0, "received": 400 + burst,
        }  # fmt: skip
    assert (results[2]["count"], results[2]["lost"]) == (200 + burst // 2, 0)


def _asleep_with(engine: object, received: list[int]) -> None:
    """Every reader has taken so many ticks and sleeps."""

    def all_of_them() -> bool:
        queues = engine.status()["queues"]  # type: ignore[attr-defined]
        return [q["received"] for q in queues] == received and all(q["asleep"] for q in queues)

    wait_for(all_of_them, f"readers asleep with {received} ticks", 60)
