"""The CPUs and the priority of the genuine library's threads, read from the kernel while ticks arrive."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from feed_support import IDS, engine_on, wait_for

from tickengine import TickEngine, TickQueue, placement
from tickengine.front import FrontProcess, MarketSpec

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(90)]

LIBRARY_THREADS = 2  # of 6.3.6: one reads the socket and calls back, the other keeps time

OTHER, FIFO = os.SCHED_OTHER, os.SCHED_FIFO


@pytest.fixture
def front() -> Iterator[FrontProcess]:
    with FrontProcess(MarketSpec(IDS), rate=500) as front:
        yield front


@pytest.fixture
def mask() -> set[int]:
    mask = os.sched_getaffinity(0)
    if len(mask) < 2:
        pytest.skip(f"a second CPU is needed; this process may use {placement.words(mask)} only")
    return mask


def _field(pid: int, thread: str, name: str) -> str:
    with open(f"/proc/{pid}/task/{thread}/status") as f:
        return next(line.split()[1] for line in f if line.startswith(name + ":"))


def threads(pid: int) -> list[tuple[frozenset[int], int, int]]:
    """CPUs, policy and priority of each thread, as the kernel lists them."""
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        # proc(5): 40 is rt_priority, 41 is policy; what follows the name begins with 3.
        priority, policy = int(fields[40 - 3]), int(fields[41 - 3])
        found.append((frozenset(placement.parse(_field(pid, thread, "Cpus_allowed_list"))), policy, priority))
    return found


def check(engine: TickEngine, queue: TickQueue, cpus: set[int], realtime: int | None, mask: set[int]) -> None:
    """The library's threads have what was asked for, all others the rest, and ticks arrive."""
    first = queue.get(timeout=20).Sequence
    while queue.get(timeout=20).Sequence < first + 200:
        pass
    assert engine.pid is not None
    found = threads(engine.pid)
    theirs = (frozenset(cpus), OTHER if realtime is None else FIFO, realtime or 0)
    ours = (frozenset(mask - cpus), OTHER, 0)
    assert found.count(theirs) == LIBRARY_THREADS and found.count(ours) == len(found) - LIBRARY_THREADS > 0, found


@pytest.mark.parametrize("options", [{"cpus": None}, {"cpus": 1}, {"cpus": "1"}])
def test_cpus_alone(front: FrontProcess, genuine: str, mask: set[int], options: dict[str, Any]) -> None:
    cpu = max(mask)
    if options["cpus"] is not None:
        options = {"cpus": type(options["cpus"])(cpu)}
    with TickQueue() as queue, engine_on(front.address, genuine, IDS, [queue], **options) as engine:
        if options["cpus"] is not None:
            check(engine, queue, {cpu}, None, mask)
            return
        queue.get(timeout=20)
        assert engine.pid is not None
        assert set(threads(engine.pid)) == {(frozenset(mask), OTHER, 0)}, "not asked for, and changed"


@pytest.mark.usefixtures("realtime_permitted")
def test_cpus_and_realtime_hold_for_the_successor_too(front: FrontProcess, genuine: str, mask: set[int]) -> None:
    cpu = max(mask)
    with (
        TickQueue() as queue,
        engine_on(front.address, genuine, IDS, [queue], cpus={cpu}, realtime=10) as engine,
    ):
        engine.wait_live()
        check(engine, queue, {cpu}, 10, mask)
        first = engine.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: engine.pid != first and engine.status()["state"] == "live", "a new engine process")
        check(engine, queue, {cpu}, 10, mask)


@pytest.mark.usefixtures("realtime_permitted")
def test_the_threads_keep_their_priority_over_a_cut(front: FrontProcess, genuine: str, mask: set[int]) -> None:
    with TickQueue() as queue, engine_on(front.address, genuine, IDS, [queue], realtime=1) as engine:
        engine.wait_live()
        check(engine, queue, mask - {min(mask)}, 1, mask)
        front.cut()
        wait_for(lambda: engine.status()["logins"] == 2, "a second login")
        engine.subscribe(["au2602"])
        check(engine, queue, mask - {min(mask)}, 1, mask)


def test_all_cpus_of_the_program_are_shared_without_realtime(front: FrontProcess, genuine: str, mask: set[int]) -> None:
    with TickQueue() as queue, engine_on(front.address, genuine, IDS, [queue], cpus=mask) as engine:
        queue.get(timeout=20)
        assert engine.pid is not None
        assert set(threads(engine.pid)) == {(frozenset(mask), OTHER, 0)}
