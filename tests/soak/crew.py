"""The workers: processes that read a queue in every way there is, look at each field and write down what they saw."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import Empty
from typing import Any

import numpy as np
import numpy.typing as npt
from feed_support import check_ticks

from tickengine import Closed, Event, Tick, TickQueue
from tickengine.front import MarketSpec, NumberedMarket
from tickengine.tick import TICK_DTYPE

from .ledger import LEAVE, ROW, RUN, Ledger
from .plan import Reader

LOOK_S = 0.2
"""How long a worker waits for a tick before it looks at its orders."""
_CHECK_AT = 256


class Checker:
    """Every field of every tick, some hundreds at a time: one by one it would cost more than the feed."""

    def __init__(self, market: NumberedMarket) -> None:
        self._market = market
        self._waiting: list[npt.NDArray[np.void]] = []
        self._singles: list[bytes] = []
        self._count = 0

    def add_tick(self, tick: Tick) -> None:
        self._singles.append(bytes(tick))
        self._count += 1
        if self._count >= _CHECK_AT:
            self.flush()

    def add_ticks(self, records: npt.NDArray[np.void]) -> None:
        self._waiting.append(records)
        self._count += len(records)
        if self._count >= _CHECK_AT:
            self.flush()

    def flush(self) -> None:
        if self._singles:
            self._waiting.append(np.frombuffer(b"".join(self._singles), TICK_DTYPE))
        for records in self._waiting:
            check_ticks(records, self._market)
        self._waiting, self._singles, self._count = [], [], 0


def rows_of(records: npt.NDArray[np.void], period: int) -> npt.NDArray[np.void]:
    """Ledger rows of records as `get_many` gives them."""
    rows = np.zeros(len(records), ROW)
    rows["stamp"] = records["Stamp"]
    rows["own"] = records["InstrumentNumber"]  # an event has its EventNumber at this place
    rows["ticks"] = records["TickNumber"]
    rows["kind"] = records["Kind"]
    ticks = records["Kind"] == 0
    numbers = records["Turnover"][ticks].astype(np.uint64)
    rows["number"][ticks] = numbers
    rows["place"][ticks] = numbers % np.uint64(period)
    rows["flags"][ticks] = records["Flags"][ticks]
    for at in np.flatnonzero(~ticks):
        event = Event.from_buffer_copy(records[at].tobytes())
        rows["number"][at] = event.Code
        rows["place"][at] = event.Value & 0xFFFFFFFF
    return rows


class Work:
    """What a style of reading needs."""

    def __init__(self, queue: TickQueue, reader: Reader, ledger: Ledger, market: NumberedMarket) -> None:
        self.queue = queue
        self.reader = reader
        self.ledger = ledger
        self.period = len(market.instruments)
        self.checker = Checker(market)

    def note(self, tick: Tick | Event) -> None:
        if isinstance(tick, Event):
            place = tick.Value & 0xFFFFFFFF
            self.ledger.put(tick.Stamp, tick.Code, tick.EventNumber, tick.TickNumber, place, 0, 1)
            return
        number = int(tick.Turnover)
        place = number % self.period
        self.ledger.put(tick.Stamp, number, tick.InstrumentNumber, tick.TickNumber, place, tick.Flags, 0)
        self.checker.add_tick(tick)

    def note_many(self, records: npt.NDArray[np.void]) -> None:
        self.ledger.append(rows_of(records, self.period))
        ticks = records["Kind"] == 0
        self.checker.add_ticks(records if ticks.all() else records[ticks])

    def leaving(self) -> bool:
        return self.ledger.order == LEAVE


def get(work: Work) -> None:
    """Ticks one by one."""
    while not work.leaving():
        try:
            work.note(work.queue.get(timeout=LOOK_S))
        except Empty:
            work.checker.flush()


def iterate(work: Work) -> None:
    """The loop of the README. It looks at its orders when a tick comes."""
    for tick in work.queue:
        work.note(tick)
        if work.leaving():
            return
    raise Closed("the iteration has ended")


def get_many(work: Work) -> None:
    """Ticks as arrays. A slow reader works on each for a while, so that a short log overtakes it."""
    reader = work.reader
    while not work.leaving():
        try:
            work.note_many(work.queue.get_many(reader.batch, timeout=LOOK_S))
        except Empty:
            work.checker.flush()
            continue
        if reader.work_s and work.ledger.order == RUN:
            time.sleep(reader.work_s)  # the work


def doze(work: Work) -> None:
    """Takes the place, then does not read until it is told to."""
    work.note(work.queue.get())
    while work.ledger.order == RUN:
        time.sleep(LOOK_S)  # what it does instead of reading
    get_many(work)


STYLES: dict[str, Callable[[Work], None]] = {
    "get": get,
    "iterate": iterate,
    "get_many": get_many,
    "slow": get_many,
    "doze": doze,
    "nobody": get_many,
}


def counters_of(queue: TickQueue) -> dict[str, int]:
    return {name: getattr(queue, name) for name in ("received", "lost", "skipped", "lost_events")}


def work(
    source: TickQueue | tuple[str, dict[str, Any]], reader: Reader, path: str, market: MarketSpec, end: Connection
) -> None:
    """Main of a worker. *source*: a queue, or what to attach. Says ``reading``, then how it ended:
    ``closed``, ``left`` or ``wrong``, with its counters or in words."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C stops the run; the worker reads to the end
    ledger = Ledger(path)
    built = market.build()
    assert isinstance(built, NumberedMarket)
    queue = source if isinstance(source, TickQueue) else TickQueue.attach(source[0], **source[1])
    doing = Work(queue, reader, ledger, built)
    end.send(("reading", queue.name))
    try:
        try:
            STYLES[reader.style](doing)
            said = "left"
        except Closed:
            said = "closed"
        doing.checker.flush()
    except AssertionError as error:
        end.send(("wrong", str(error)))
        return
    end.send((said, counters_of(queue)))
    queue.close()
