"""Writing, looking, dying and tearing in any order: each tick is recorded once, in order, or counted as lost."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from writing import Feed

from tickengine import Closed, TickQueue
from tickengine.record import Recorder, Recording
from tickengine.record.info import describe

IDS = ("rb2601", "m2605", "IF2512")
DAYS = (b"20260105", b"20260106", b"20260107")

STEPS = st.one_of(
    st.tuples(st.just("write"), st.lists(st.integers(0, 2), max_size=90)),
    st.tuples(st.just("day")),
    st.tuples(st.just("event")),
    st.tuples(st.just("look")),
    st.tuples(st.just("die"), st.sampled_from(["same", "other"]), st.integers(0, 447), st.booleans()),
)


class World:
    def __init__(self, feed: Feed, directory: str, wanted: Sequence[str] | None) -> None:
        self.feed, self.directory, self.wanted = feed, directory, wanted
        self.written = [0, 0, 0]
        self.day = 0
        self.queue: TickQueue | None = None
        self.recorder: Recorder | None = None
        self.start("other")

    def start(self, queue: str) -> None:
        if queue == "other" or self.queue is None:
            self.queue = self.feed.queue(self.wanted, start="oldest", events=True)
        self.recorder = Recorder(self.queue, self.directory)

    def step(self, kind: str, *args: Any) -> None:
        if kind == "write":
            for which in args[0]:
                day = DAYS[self.day]
                number = self.written[which]
                self.feed.tick(IDS[which], TradingDay=day, ActionDay=day, Volume=number, ExchangeInstID=b"%d" % which)
                self.written[which] += 1
        elif kind == "day":
            self.day = min(self.day + 1, len(DAYS) - 1)
        elif kind == "event":
            self.feed.event("heartbeat_warning")
        elif kind == "look":
            assert self.recorder is not None
            self.recorder.poll()
        else:
            self.die(*args)

    def die(self, queue: str, torn: int, in_hand: bool) -> None:
        """Between two writes, or within one of a record; perhaps with ticks in hand."""
        assert self.recorder is not None and self.queue is not None
        if in_hand and self.queue.qsize():
            self.queue.get_many(block=False)
        self.recorder.close()
        paths = sorted(os.path.join(self.directory, n) for n in os.listdir(self.directory) if n.endswith(".ticks"))
        if paths and torn:
            found = Recording.open(paths[-1])
            os.truncate(paths[-1], os.path.getsize(paths[-1]) - found.torn)  # one that has died since cut it
            with open(paths[-1], "ab") as file:  # as much of the next record as was written
                file.write(found.ticks[-1:].tobytes()[:torn])
        self.start(queue)

    def end(self) -> None:
        assert self.recorder is not None
        self.feed.log.end()
        with pytest.raises(Closed):
            for _ in range(10):
                self.recorder.poll()
        self.recorder.close()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([None, ["rb2601"], ["m2605", "IF2512"]]), st.sampled_from([64, 256]), st.lists(STEPS, max_size=25)
)
def test_each_tick_is_recorded_once_or_counted(
    wanted: list[str] | None, capacity: int, steps: list[tuple[Any, ...]]
) -> None:
    feed = Feed(capacity)
    try:
        with tempfile.TemporaryDirectory() as directory:
            world = World(feed, directory, wanted)
            world.step("write", [0, 1, 2])
            world.step("look")
            for step in steps:
                world.step(*step)
            world.end()
            found = [Recording.open(os.path.join(directory, f"{day.decode()}.ticks")) for day in days_in(directory)]
            recorded = np.concatenate([np.array(r.ticks) for r in found])
            assert (np.diff(recorded["Stamp"].astype(np.int64)) > 0).all()
            for name in IDS:
                mine = recorded[recorded["InstrumentID"] == name.encode()]
                assert (np.diff(mine["Volume"]) > 0).all()
                assert not len(mine) or wanted is None or name in wanted
            expected = sum(n for n, name in zip(world.written, IDS) if wanted is None or name in wanted)
            assert len(recorded) + sum(r.lost for r in found) == expected
            for recording in found:
                names = recording.exchange_inst_ids(0, len(recording)).tolist()
                assert names == [b"%d" % IDS.index(n.decode()) for n in recording.ticks["InstrumentID"].tolist()]
                days = np.unique(recording.ticks["TradingDay"]).tolist()
                assert days in ([], [recording.trading_day.encode()])
                info = describe(recording)
                assert (info["unnoted"], info["out_of_order"], info["torn_bytes"]) == (0, 0, 0)
            assert found[-1].sessions[-1].ended
    finally:
        feed.close()


def days_in(directory: str) -> list[bytes]:
    return [day for day in DAYS if os.path.exists(os.path.join(directory, f"{day.decode()}.ticks"))]
