"""Workers that are slow, killed, late or early: only they themselves notice."""

from __future__ import annotations

import ctypes as ct
import multiprocessing
import os
import queue as stdlib_queue
import random
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest
from feed_support import (
    FORK,
    IDS,
    SPAWN,
    check_ticks,
    engine_on,
    receive,
    verify_all,
    wait_for,
    workers,
)

from tickengine import BusyError, Closed, TickQueue
from tickengine.front import Front, FrontProcess, MarketSpec, NumberedMarket

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(180)]


def read_slowly(queue: TickQueue, market: NumberedMarket, answer: Connection) -> None:
    """Takes a batch, then works for longer than the log holds ticks."""
    answer.send("ready")
    gaps, received, expected = 0, 0, 0
    work = 60.0  # seconds: the first lasts until the log has been overwritten
    try:
        while True:
            records = queue.get_many(500)
            numbers = check_ticks(records, market)
            jumps = np.diff(np.concatenate(([expected - 1], numbers))) - 1
            assert (jumps >= 0).all()
            gaps += int(jumps.sum())
            # What has been reported lost up to here is exactly what is missing up to here.
            assert queue.lost == gaps, (queue.lost, gaps)
            received += len(numbers)
            expected = int(numbers[-1]) + 1
            if answer.poll(work):  # the others 20 ms
                answer.recv()
            work = 0.02
    except Closed:
        answer.send({"received": received, "lost": queue.lost, "gaps": gaps, "counted": queue.received})


def test_a_slow_reader_of_a_small_log_counts_every_tick_it_lost_and_disturbs_nobody(genuine: str) -> None:
    market = NumberedMarket(IDS)
    with TickQueue() as slow, TickQueue() as quick:
        with FrontProcess(MarketSpec(IDS), rate=100_000, count=200_000, wait_ids=len(IDS)) as front:
            with workers([(read_slowly, (slow, market)), (verify_all, (quick, market))]) as (slow_end, quick_end):
                with engine_on(front.address, genuine, IDS, [slow, quick], capacity=4096) as engine:
                    wait_for(lambda: engine.status()["ticks"] > 3 * 4096, "the log overwritten")
                    slow_end.send("on")
                    front.wait_until(finished=True, timeout=120)
                    wait_for(lambda: engine.status()["ticks"] == 200_000, "all ticks in the log")
                slow_result, quick_result = receive(slow_end), receive(quick_end)
    assert slow_result["lost"] > 0, "the reader was not slow enough to prove anything"
    assert slow_result["received"] + slow_result["lost"] == 200_000
    assert slow_result["counted"] == slow_result["received"]
    # The other one had the same small log and a loaded machine: it may lose too, but never silently.
    assert quick_result["count"] + quick_result["lost"] == 200_000


def mark_what_is_got(queue: TickQueue, marks: Any, progress: Any) -> None:
    """A worker to be killed: marks each tick's number, one by one."""
    seen = np.frombuffer(marks, np.uint8)
    for tick in queue:
        seen[int(tick.Turnover)] += 1
        progress.value += 1


@pytest.mark.slow
def test_a_hundred_workers_killed_while_reading_hurt_nobody_and_each_successor_takes_over(genuine: str) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    rate, kills = 20_000, 100
    marks = multiprocessing.RawArray(ct.c_uint8, 4_000_000)
    progress = multiprocessing.RawValue(ct.c_uint64, 0)
    market = NumberedMarket(IDS)
    with TickQueue() as killed, TickQueue() as other:
        with FrontProcess(MarketSpec(IDS), rate=rate, wait_ids=len(IDS)) as front:
            with workers([(verify_all, (other, market))]) as (other_end,):
                with engine_on(front.address, genuine, IDS, [killed, other], capacity=1 << 20) as engine:
                    engine.wait_live()
                    for _ in range(kills):
                        process = FORK.Process(target=mark_what_is_got, args=(killed, marks, progress))
                        process.start()
                        target = progress.value + rng.randrange(1, 600)
                        wait_for(lambda target=target: progress.value >= target, "the worker reads", 30)
                        os.kill(process.pid, signal.SIGKILL)
                        process.join()
                    front.pause()
                    sent = front.stats().ticks_sent
                    wait_for(lambda: engine.status()["ticks"] == sent, "all ticks in the log")
                    assert engine.status()["logins"] == 1
                    last = FORK.Process(target=mark_what_is_got, args=(killed, marks, progress))
                    last.start()
                    wait_for(lambda: engine.log.queues()[0]["lag"] == 0, "the last successor has caught up")
                last.join(20)
                assert last.exitcode == 0
                result = receive(other_end)
        assert result == {"runs": [[0, sent - 1]], "count": sent, "lost": 0, "received": sent}
    seen = np.frombuffer(marks, np.uint8)[:sent]
    assert seen.max() == 1, "a tick was given out twice"
    # A worker killed with a tick in its hand, before it could mark it, takes that one with it; no other.
    assert kills >= int((seen == 0).sum())


def take_some(queue: TickQueue, count: int, answer: Connection) -> None:
    answer.send("ready")
    answer.send([int(queue.get(timeout=20).Turnover) for _ in range(count)])


@pytest.mark.parametrize("context", [SPAWN, FORK], ids=["spawn", "fork"])
def test_a_worker_started_before_the_engine_waits_for_it(genuine: str, context: Any) -> None:
    with TickQueue() as queue, FrontProcess(MarketSpec(IDS), rate=1000) as front:
        with workers([(take_some, (queue, 200))], context) as (end,):
            with engine_on(front.address, genuine, IDS, [queue]):
                assert receive(end) == list(range(200))


@pytest.mark.parametrize("context", [SPAWN, FORK], ids=["spawn", "fork"])
def test_a_queue_filled_before_its_worker_starts_gives_it_everything(genuine: str, context: Any) -> None:
    with TickQueue() as queue, FrontProcess(MarketSpec(IDS), rate=5000, count=1000) as front:
        with engine_on(front.address, genuine, IDS, [queue]) as engine:
            wait_for(lambda: engine.status()["ticks"] == 1000, "a thousand ticks")
            with workers([(take_some, (queue, 1000))], context) as (end,):
                assert receive(end) == list(range(1000))


def test_a_queue_can_still_be_drained_by_a_worker_started_after_the_engine_has_stopped(genuine: str) -> None:
    with TickQueue() as queue, FrontProcess(MarketSpec(IDS), rate=5000, count=1000) as front:
        with engine_on(front.address, genuine, IDS, [queue]) as engine:
            wait_for(lambda: engine.status()["ticks"] == 1000, "a thousand ticks")
        with workers([(take_some, (queue, 1000))]) as (end,):
            assert receive(end) == list(range(1000))


def attach_by_name(name: str, answer: Connection) -> None:
    answer.send("ready")
    with TickQueue.attach(name, ["IF2512"], start="oldest") as queue:
        answer.send([queue.get(timeout=20).InstrumentID for _ in range(20)])
    with pytest.raises(BusyError, match="is being read by process"):
        TickQueue.attach("a-named-queue").get(timeout=1)
    answer.send("refused")


def test_an_unrelated_process_attaches_by_name(genuine: str) -> None:
    with TickQueue(name="a-named-queue") as queue, FrontProcess(MarketSpec(IDS), rate=2000) as front:
        with engine_on(front.address, genuine, IDS, [queue], name="test-feed"):
            queue.get(timeout=20)
            with workers([(attach_by_name, ("test-feed",))]) as (end,):
                assert receive(end) == ["IF2512"] * 20
                assert receive(end) == "refused"


def get_from_any(queue: Any, count: int, answer: Connection) -> None:
    """A worker on a queue that is not ours."""
    answer.send("ready")
    got: list[Any] = []
    while len(got) < count:
        try:
            got += queue.get_many(timeout=60) if hasattr(queue, "get_many") else [queue.get(timeout=60)]
        except stdlib_queue.Empty:
            break
    answer.send([(int(t.Turnover), t.InstrumentID, t["InstrumentID"], t.ExchangeInstID, t.Sequence) for t in got])


def test_a_list_of_mixed_queues_each_gets_its_own_with_exact_counts(genuine: str) -> None:
    faster_fifo = pytest.importorskip("faster_fifo")
    count = 3000
    mine, filtered = TickQueue(), TickQueue([IDS[1]])
    fifo, standard = faster_fifo.Queue(max_size_bytes=1 << 20), multiprocessing.Queue()
    market = NumberedMarket(IDS)
    jobs = [
        (verify_all, (mine, market)),
        (verify_all, (filtered, market)),
        (get_from_any, (fifo, count)),
        (get_from_any, (standard, count)),
    ]
    with mine, filtered, FrontProcess(MarketSpec(IDS), rate=3000, count=count, wait_ids=len(IDS)) as front:
        with workers(jobs, FORK) as ends:
            with engine_on(front.address, genuine, IDS, [mine, fifo, filtered, standard]) as engine:
                wait_for(lambda: engine.status()["ticks"] == count, "all ticks in the log")
                wait_for(
                    lambda: all(q["lag"] == 0 for q in engine.log.queues() if q["name"] != filtered.name), "all taken"
                )
                wait_for(
                    lambda: (
                        sorted(q["received"] for q in engine.status()["queues"]) == [count // 4, count, count, count]
                    ),
                    "exact counts in the status",
                )
                assert [q["lost"] for q in engine.status()["queues"]] == [0, 0, 0, 0]
            results = [receive(end) for end in ends]
    standard.close()
    standard.join_thread()
    assert results[0]["runs"] == [[0, count - 1]]
    assert results[1]["count"] == count // 4
    for got in results[2:]:
        assert [n for n, *_ in got] == list(range(count))
        assert got[1][1:4] == (IDS[1], IDS[1].encode(), IDS[1][::-1])


def test_a_full_faster_fifo_loses_by_overrun_only_and_says_how_many(genuine: str) -> None:
    faster_fifo = pytest.importorskip("faster_fifo")
    fifo = faster_fifo.Queue(max_size_bytes=64 * 1024)
    with FrontProcess(MarketSpec(IDS), rate=20_000, count=20_000, wait_ids=len(IDS)) as front:
        with engine_on(front.address, genuine, IDS, [fifo], capacity=1024) as engine:
            wait_for(lambda: engine.status()["ticks"] == 20_000, "all ticks in the log")
            got = []

            def all_forwarded() -> bool:
                with suppress(stdlib_queue.Empty):
                    got.extend(fifo.get_many(timeout=0.1))
                (place,) = engine.status()["queues"]
                return place["lag"] == 0 and place["received"] == len(got)

            wait_for(all_forwarded, "the forwarder has caught up, and all is taken", 60)
            (place,) = engine.status()["queues"]
    numbers = [int(t.Turnover) for t in got]
    assert numbers == sorted(set(numbers))
    assert place["lost"] > 0 and place["received"] == len(got)
    assert place["received"] + place["lost"] == 20_000


def test_queue_methods_behave_as_a_queues_do(genuine: str) -> None:
    with (
        TickQueue() as queue,
        Front(NumberedMarket(IDS), rate=1000, count=50) as front,
        engine_on(front.address, genuine, IDS, [queue]) as engine,
    ):
        front.wait_until(finished=True, timeout=20)
        wait_for(lambda: engine.status()["ticks"] == 50, "50 ticks")
        assert queue.qsize() == 50 and not queue.empty()
        assert [int(queue.get().Turnover) for _ in range(10)] == list(range(10))
        assert queue.qsize() == 40 and queue.received == 10
        assert queue.get_many(5)["Turnover"].tolist() == [10, 11, 12, 13, 14]
        assert queue.get_many()["Turnover"].tolist() == list(range(15, 50))
        assert queue.empty() and queue.lost == 0
        for call in (queue.get_nowait, lambda: queue.get(timeout=0.05), lambda: queue.get_many(timeout=0.05)):
            with pytest.raises(stdlib_queue.Empty):
                call()
        engine.stop()
        with pytest.raises(Closed):
            queue.get()
        assert list(queue) == []
