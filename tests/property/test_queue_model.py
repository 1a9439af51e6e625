"""Any schedule of writes, reads, kills and take-overs: a queue agrees with a model of lists."""

from __future__ import annotations

import queue as stdlib_queue
import sys
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

sys.path.insert(0, str(Path(__file__).parents[1]))

from writing import Feed

from tickengine import Closed, TickFlag, TickQueue

IDS = ["rb2601", "IF2512", "m2605"]
TURNOVERS = st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1, max_size=40)


class QueueModel(RuleBasedStateMachine):
    """Ticks carry their number in Volume, so what a queue gives out can be compared with what was written."""

    @initialize(
        capacity=st.sampled_from([2, 4, 8, 32, 512]),
        filter_=st.sampled_from([None, ["rb2601"], ["IF2512", "m2605"], ["absent"]]),
        skip=st.sampled_from([TickFlag(0), TickFlag.TURNOVER_DOWN, TickFlag.TURNOVER_DOWN | TickFlag.SNAPSHOT]),
    )
    def begin(self, capacity: int, filter_: list[str] | None, skip: TickFlag) -> None:
        self.feed = Feed(capacity=capacity)
        self.filter = filter_
        self.skip = skip
        self.queue = self.feed.queue(filter_, start="now", skip=skip)
        self.reader = self.queue
        self.written: list[int] = []  # numbers this queue should see
        self.unwanted: list[int] = []  # its own, but for their flags
        self.turnover: dict[str, float] = {}
        self.count = 0
        self.got: list[int] = []
        self.ended = False

    @precondition(lambda self: not self.ended)
    @rule(instrument=st.sampled_from(IDS), turnovers=TURNOVERS)
    def write(self, instrument: str, turnovers: list[float]) -> None:
        for turnover in turnovers:
            self.feed.tick(instrument, Volume=self.count, Turnover=turnover)
            before = self.turnover.get(instrument)
            flag = TickFlag.SNAPSHOT if before is None else TickFlag(0)
            if before is not None and turnover < before:
                flag = TickFlag.TURNOVER_DOWN
            self.turnover[instrument] = turnover
            if self.filter is None or instrument in self.filter:
                (self.unwanted if flag & self.skip else self.written).append(self.count)
            self.count += 1

    @precondition(lambda self: not self.ended)
    @rule()
    def write_event(self) -> None:
        self.feed.event("front_connected")

    @rule(count=st.integers(1, 20))
    def read_some(self, count: int) -> None:
        try:
            for _ in range(count):
                self.got.append(self.reader.get_nowait().Volume)
        except (stdlib_queue.Empty, Closed):
            pass

    @rule(count=st.integers(1, 20))
    def read_many(self, count: int) -> None:
        try:
            self.got += self.reader.get_many(count, block=False)["Volume"].tolist()
        except (stdlib_queue.Empty, Closed):
            pass

    @rule()
    def successor(self) -> None:
        """The reader goes, with ticks in its hands; another handle takes the queue up."""
        if self.reader._close_reader is not None:
            self.reader._close_reader()
        self.reader._forget_reader()
        self.reader = TickQueue.attach(self.queue.name)

    @rule()
    def end(self) -> None:
        self.feed.log.end()
        self.ended = True

    @invariant()
    def nothing_twice_and_in_order(self) -> None:
        if hasattr(self, "got"):
            assert self.got == sorted(set(self.got))
            assert set(self.got) <= set(self.written)

    def teardown(self) -> None:
        if not hasattr(self, "feed"):
            return
        self.feed.log.end()
        while True:
            try:
                self.got.append(self.reader.get_nowait().Volume)
            except Closed:
                break
        self.nothing_twice_and_in_order()
        assert self.reader.received == len(self.got)
        # An overwritten tick is lost, whatever its flags were.
        assert self.reader.received + self.reader.lost + self.reader.skipped == len(self.written) + len(self.unwanted)
        assert self.reader.skipped <= len(self.unwanted)
        if self.reader.lost == 0:
            assert self.got == self.written
        if self.reader is not self.queue:
            self.reader.close()
        self.feed.close()


TestQueueModel = QueueModel.TestCase
TestQueueModel.settings = settings(max_examples=150, stateful_step_count=40, suppress_health_check=list(HealthCheck))
