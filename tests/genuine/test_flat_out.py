"""The genuine library flat out: everything arrives, in order, once, whole; filters get exactly their own."""

from __future__ import annotations

import pytest
from feed_support import IDS, engine_on, receive, verify_all, wait_for, workers

from tickengine import TickQueue
from tickengine.front import FrontProcess, MarketSpec, NumberedMarket

pytestmark = [pytest.mark.genuine, pytest.mark.slow, pytest.mark.timeout(180)]

MILLION = 1_000_000


def _run(genuine: str, queues: list[TickQueue], count: int, capacity: int) -> list[dict]:
    market = NumberedMarket(IDS)
    with FrontProcess(MarketSpec(IDS), flat_out=True, count=count, wait_ids=len(IDS)) as front:
        with workers([(verify_all, (queue, market)) for queue in queues]) as connections:
            with engine_on(front.address, genuine, IDS, queues, capacity=capacity) as engine:
                front.wait_until(finished=True, timeout=120)
                wait_for(lambda: engine.status()["ticks"] == count, f"{count} ticks in the log", 60)
            results = [receive(connection) for connection in connections]
    for queue in queues:
        queue.close()
    return results


def test_a_million_ticks_of_four_instruments_reach_one_worker_in_order_and_whole(genuine: str) -> None:
    (result,) = _run(genuine, [TickQueue()], MILLION, capacity=MILLION + 64)
    assert result == {"runs": [[0, MILLION - 1]], "count": MILLION, "lost": 0, "received": MILLION}


def test_four_workers_each_get_all_of_a_million_ticks(genuine: str) -> None:
    results = _run(genuine, [TickQueue() for _ in range(4)], MILLION, capacity=MILLION + 64)
    assert results == [{"runs": [[0, MILLION - 1]], "count": MILLION, "lost": 0, "received": MILLION}] * 4


def test_filtered_workers_each_get_exactly_their_own(genuine: str) -> None:
    count = 200_000
    filters = [["rb2601"], ["IF2512"], ["m2605", "SR601"], ["nobody-has-this"]]
    results = _run(genuine, [TickQueue(f) for f in filters], count, capacity=count + 64)
    assert [r["count"] for r in results] == [count // 4, count // 4, count // 2, 0]
    assert [r["lost"] for r in results] == [0, 0, 0, 0]
    assert results[0]["runs"] == [[0, count - 4]]  # every fourth number, from 0
    assert results[1]["runs"] == [[1, count - 3]]
