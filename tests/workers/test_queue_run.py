"""`TickQueue.run`: callbacks in order, and the ways out of it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from feed_support import wait_for
from writing import Feed

from tickengine import ConfigError, Event, Tick, TickQueue
from tickengine.tick import TICK_DTYPE


def _write(feed: Feed) -> None:
    feed.event("front_connected")
    for number in range(300):
        if number == 100:
            feed.event("front_disconnected", reason=4097)
        feed.tick("rb2601")
    feed.log.end()


@pytest.mark.parametrize("arrays", [False, True])
@pytest.mark.parametrize("listens", [False, True])
def test_everything_comes_in_order_and_it_ends_with_the_log(feed: Feed, arrays: bool, listens: bool) -> None:
    ticks = feed.queue(events=True, start="oldest")
    _write(feed)
    seen: list[int] = []
    names: list[str] = []

    def on_tick(tick: Tick) -> None:
        assert type(tick) is Tick
        seen.append(tick.Sequence)

    def on_ticks(rows: Any) -> None:
        assert rows.dtype == TICK_DTYPE and len(rows)
        assert (rows["Kind"] == 0).all()
        seen.extend((rows["Stamp"] - np.uint64(1)).tolist())

    def on_event(event: Event) -> None:
        assert len(seen) == [0, 100][len(names)]
        names.append(event.name)

    how: dict[str, Any] = {"on_ticks": on_ticks} if arrays else {"on_tick": on_tick}
    assert ticks.run(**how, on_event=on_event if listens else None) is True
    assert seen == [*range(1, 101), *range(102, 302)]
    assert names == (["front_connected", "front_disconnected"] if listens else [])
    assert ticks.received == 300


def test_stop_from_a_callback_leaves_the_rest_for_the_next_call(feed: Feed) -> None:
    ticks = feed.queue()
    for _ in range(10):
        feed.tick("rb2601")
    seen: list[int] = []

    def three(tick: Tick) -> None:
        seen.append(tick.Sequence)
        if len(seen) % 3 == 0:
            ticks.stop()

    assert ticks.run(three) is False
    assert seen == [0, 1, 2]
    assert ticks.run(three) is False
    assert seen == [0, 1, 2, 3, 4, 5]
    assert ticks.get_nowait().Sequence == 6


@pytest.mark.parametrize("wait", ["adaptive", "block", "spin"])
@pytest.mark.parametrize("bound", [True, False])
def test_stop_from_another_thread_ends_a_wait_and_the_next_run(feed: Feed, wait: str, bound: bool) -> None:
    ticks = feed.queue(wait=wait) if bound else TickQueue(wait=wait)
    seen: list[int] = []
    results: list[bool] = []
    for number in range(3):
        thread = threading.Thread(target=lambda: results.append(ticks.run(lambda tick: seen.append(tick.Sequence))))
        thread.start()
        if bound:
            feed.tick("rb2601")
            wait_for(lambda: len(seen) > number, "the tick")  # noqa: B023
        ticks.stop()
        thread.join(60)
        assert not thread.is_alive()
    assert results == [False] * 3
    assert seen == ([0, 1, 2] if bound else [])
    ticks.stop()
    assert ticks.run(seen.append) is False  # before it has begun
    ticks.close()


def test_an_exception_passes_through_and_the_next_call_goes_on_behind_it(feed: Feed) -> None:
    ticks = feed.queue()
    for _ in range(3):
        feed.tick("rb2601")

    def fails(tick: Tick) -> None:
        raise LookupError(tick.Sequence)

    for number in range(2):
        with pytest.raises(LookupError, match=str(number)):
            ticks.run(fails)
    ticks.interrupt()  # alone it ends nothing
    feed.log.end()
    seen: list[Tick] = []
    assert ticks.run(seen.append) is True
    assert [tick.Sequence for tick in seen] == [2]


def test_wrong_arguments_are_named(feed: Feed) -> None:
    ticks = feed.queue()
    for wrong in ({}, {"on_tick": print, "on_ticks": print}):
        with pytest.raises(ConfigError, match="on_tick=.*on_ticks="):
            ticks.run(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="events=True"):
        ticks.run(print, on_event=print)
