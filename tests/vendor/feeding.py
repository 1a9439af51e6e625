"""A counted stream through an engine, and what arrived."""

from __future__ import annotations

from typing import Any

import numpy as np
from feed_support import IDS, check_ticks, engine_on, wait_for

from tickengine import Closed, Event, TickQueue
from tickengine.front import FrontProcess, MarketSpec, NumberedMarket

MARKET = NumberedMarket(IDS)


def drain(queue: TickQueue) -> tuple[np.ndarray, list[Event]]:
    """All tick records and all events of an ended queue, in order."""
    ticks: list[np.ndarray] = []
    events: list[Event] = []
    while True:
        try:
            records = queue.get_many(timeout=20)
        except Closed:
            break
        is_event = records["Kind"] == 1
        events += [Event.from_buffer_copy(r.tobytes()) for r in records[is_event]]
        ticks.append(records[~is_event])
    return np.concatenate(ticks), events


def stream(
    library: str, count: int, state: str = "live", **options: Any
) -> tuple[np.ndarray, list[Event], dict[str, Any]]:
    """*count* numbered ticks, flat out, through an engine with *library*: records, events, status in *state*."""
    with TickQueue(events=True) as queue:
        with (
            FrontProcess(MarketSpec(IDS), flat_out=True, count=count, wait_ids=len(IDS)) as front,
            engine_on(front.address, library, IDS, [queue], capacity=2 * count, **options) as engine,
        ):
            front.wait_until(finished=True, timeout=60)
            wait_for(lambda: engine.status()["ticks"] >= count, f"{count} ticks in the log", 60)
            # The session's thread may hear of the subscriptions after the last tick is in the log.
            wait_for(lambda: engine.status()["state"] == state, f"state {state}", 60)
            status = engine.status()
        return *drain(queue), status


def check_whole(ticks: np.ndarray, count: int, in_order: bool = True) -> None:
    """Each of *count* ticks once, every field right."""
    numbers = check_ticks(ticks, MARKET)
    assert np.array_equal(numbers if in_order else np.sort(numbers), np.arange(count))
