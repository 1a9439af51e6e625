"""`TickQueue.interrupt`: another thread ends a wait, or the next one, and costs no tick."""

from __future__ import annotations

import queue
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from writing import Feed

from tickengine import TickQueue

MODES = ["adaptive", "block", "spin"]


def _tell(ticks: TickQueue, done: threading.Event) -> None:
    while not done.wait(0.0005):  # the wait may not have begun the first time
        ticks.interrupt()


@pytest.mark.parametrize("wait", MODES)
@pytest.mark.parametrize("many", [False, True])
def test_a_wait_under_way_ends_at_once(feed: Feed, wait: str, many: bool) -> None:
    ticks = feed.queue(wait=wait)
    feed.tick("rb2601")
    ticks.get()
    for _ in range(50):
        done = threading.Event()
        teller = threading.Thread(target=_tell, args=(ticks, done))
        teller.start()
        with pytest.raises(queue.Empty):
            ticks.get_many(timeout=60) if many else ticks.get(timeout=60)
        done.set()
        teller.join()


@pytest.mark.parametrize("wait", MODES)
def test_the_next_wait_ends_and_only_that_one(feed: Feed, wait: str) -> None:
    ticks = feed.queue(wait=wait)
    feed.tick("rb2601")
    ticks.get()
    ticks.interrupt()
    ticks.interrupt()
    with pytest.raises(queue.Empty):
        ticks.get(timeout=60)
    started = time.monotonic()
    with pytest.raises(queue.Empty):
        ticks.get(timeout=0.05)
    assert time.monotonic() - started >= 0.04, "one interruption has ended two waits"


def test_ticks_that_are_there_come_first(feed: Feed) -> None:
    ticks = feed.queue(start="oldest")
    for _ in range(300):
        feed.tick("rb2601")
    assert ticks.qsize() == 300  # it has its place: before that there is nothing to interrupt
    ticks.interrupt()
    assert [ticks.get(timeout=60).Sequence for _ in range(300)] == list(range(300))
    with pytest.raises(queue.Empty):
        ticks.get(timeout=60)


def test_an_interruption_at_any_moment_costs_no_tick(feed: Feed) -> None:
    ticks = feed.queue(start="oldest")
    done = threading.Event()

    def disturb() -> None:
        while not done.is_set():
            ticks.interrupt()

    disturber = threading.Thread(target=disturb)
    disturber.start()
    seen: list[int] = []

    def write() -> None:
        for _ in range(2000):
            feed.tick("rb2601")

    writer = threading.Thread(target=write)
    writer.start()
    while len(seen) < 2000:
        try:
            seen.append(ticks.get(timeout=60).Sequence)
        except queue.Empty:
            continue
    done.set()
    writer.join()
    disturber.join()
    assert seen == list(range(2000))


def test_a_queue_without_a_reader_or_closed_is_not_hurt(feed: Feed) -> None:
    ticks = feed.queue()
    ticks.interrupt()
    ticks.close()
    ticks.interrupt()
