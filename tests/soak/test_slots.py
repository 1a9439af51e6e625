"""The counters read by docs/layout.md are those of the engine, and a loss that shows nowhere yet is found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from writing import Feed

from tickengine import TickFlag, TickQueue

from . import slots
from .post import check_events


@pytest.fixture
def feed() -> Iterator[Feed]:
    made = Feed(capacity=32)
    yield made
    made.close()


def of(queue: TickQueue, feed: Feed) -> slots.Counters:
    return slots.counters(queue.path, feed.log.path)


def test_counters_are_those_of_the_queue(feed: Feed) -> None:
    queue = feed.queue(["a", "b"], start="oldest", events=True, skip=TickFlag.SNAPSHOT)
    for n in range(50):
        feed.tick("abc"[n % 3], Volume=n)
    feed.event("stale")
    queue.get_many()
    c = of(queue, feed)
    assert (c.received, c.lost, c.skipped) == (queue.received, queue.lost, queue.skipped)
    assert c.received > 0 and c.lost > 0
    assert c.passed == c.received + c.lost + c.skipped == slots.written(feed.log, ("a", "b")) - c.first
    assert (c.events, c.lost_events, c.events_passed) == (1, 0, 1)
    assert slots.written(feed.log, None) == 50 and slots.written(feed.log, ("c",)) == 16


@pytest.mark.parametrize("ids", [("a", "b"), None], ids=["filtered", "all"])
def test_a_loss_of_an_instrument_that_has_fallen_silent_is_found(feed: Feed, ids: tuple[str, ...] | None) -> None:
    queue = feed.queue(ids, start="oldest")
    for n in range(10):
        feed.tick("ab"[n % 2])
    queue.get_many()
    for _ in range(5):
        feed.tick("a")
    for _ in range(40):
        feed.tick("b")
    assert slots.silent_losses(feed.log, ids, of(queue, feed)) == 0, "unread is not lost"
    queue.get_many()
    c = of(queue, feed)
    assert c.received + c.lost + slots.silent_losses(feed.log, ids, c) == slots.written(feed.log, ids) == 55
    assert (slots.silent_losses(feed.log, ids, c) > 0) is (ids is not None)
    assert queue.lost == 55 - queue.received, "asked, the queue knows too"


def test_events_that_do_not_add_up_are_named(feed: Feed) -> None:
    queue = feed.queue(events=True)
    for _ in range(3):
        feed.event("stale")
    queue.get_many()
    c = of(queue, feed)
    assert check_events("reader", c, 3, 0) == []
    assert "saw 2" in check_events("reader", c, 2, 0)[0]
    assert check_events("reader", c, 2, 1) == []
    assert "saw 4" in check_events("reader", c, 4, 1)[0]
    short = slots.Counters(**{**c.__dict__, "events": 2})
    assert "3 were written" in check_events("reader", short, 2, 0)[0]
