"""Worker processes that read to the end, each in one of the ways a program may do it, and account for every tick.

A tick of number n carries Volume ``n % modulus``: by it each one is known to be the next, and where it is
not, its TickNumber says how many are missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from tickengine import Closed, TickLog, TickQueue
from tickengine.tick import KIND_TICK

from .logs import own_log
from .placement import Cores
from .processes import CONTEXT, Crew, tag
from .report import Row, check

VIEW_PAUSE_S = 0.001
VIEW_RECORDS = 4096


class Account:
    """What was missing and what was wrong in what a worker has read."""

    def __init__(self, modulus: int) -> None:
        self.lost = self.wrong = 0
        self.modulus = modulus
        self.delays: list[int] = []

    def jump(self, received: int, number: int, volume: int) -> int:
        """The *received*-th tick is not the one after the last: how far volumes are from counts now."""
        missing = number + 1 - received - self.lost
        self.wrong += missing < 0
        self.lost += max(0, missing)
        self.wrong += volume != number % self.modulus
        return volume - received

    def batch(self, first: int, last: int, count: int, expected: int) -> None:
        """*count* ticks with these numbers at its ends, where *expected* was to come."""
        self.wrong += first < expected or last - first + 1 < count
        self.lost += last + 1 - expected - count

    def every(self, ticks: Any) -> None:
        """Each tick of a batch is itself, and in order."""
        numbers = ticks["TickNumber"].astype(np.int64)
        self.wrong += int(np.count_nonzero(np.diff(numbers) < 1))
        self.wrong += int(np.count_nonzero(ticks["Volume"] != numbers % self.modulus))
        self.wrong += int(np.count_nonzero(~(ticks["LastPrice"] > 0)))


# Each reads until the end and returns how many ticks it has received; *counts* is where the parent looks.


def get(queue: TickQueue, account: Account, _counts: Any) -> int:
    """`get`, three fields read."""
    received, shift = 0, -1
    try:
        while True:
            tick = queue.get()
            _price, _bid, volume = tick.LastPrice, tick.BidPrice1, tick.Volume
            received += 1
            if volume - received != shift:
                shift = account.jump(received, tick.TickNumber, volume)
    except Closed:
        return received


def iterate(queue: TickQueue, account: Account, _counts: Any) -> int:
    """``for tick in queue``, three fields read."""
    received, shift = 0, -1
    for received, tick in enumerate(queue, 1):
        _price, _bid, volume = tick.LastPrice, tick.BidPrice1, tick.Volume
        if volume - received != shift:
            shift = account.jump(received, tick.TickNumber, volume)
    return received


def stamped(queue: TickQueue, account: Account, _counts: Any) -> int:
    """``for tick in queue``, one field read and then the clock: how long ago the library's callback began."""
    received, shift = 0, -1
    clock, delay = time.monotonic_ns, account.delays.append
    for received, tick in enumerate(queue, 1):
        _price = tick.LastPrice
        delay(clock() - tick.RecvMonotonic)
        volume = tick.Volume
        if volume - received != shift:
            shift = account.jump(received, tick.TickNumber, volume)
    return received


def get_many(queue: TickQueue, account: Account, _counts: Any) -> int:
    """`get_many`, one column summed; every 16th batch is looked at as a whole."""
    received = expected = batches = 0
    total = 0.0
    try:
        while True:
            ticks = queue.get_many()
            total += float(ticks["LastPrice"].sum())
            numbers = ticks["TickNumber"]
            first, last, count = int(numbers[0]), int(numbers[-1]), len(numbers)
            if first != expected or last - first + 1 != count:
                account.batch(first, last, count, expected)
            batches += 1
            if not batches & 15:
                account.every(ticks)
            expected = last + 1
            received += count
    except Closed:
        account.wrong += received > 0 and not total > 0
        return received


def view(log: TickLog, account: Account, counts: Any) -> int:
    """`TickLog.view`, one column summed where it stands.

    A view has no cursor and nothing to wait on: it looks at the head each millisecond, and what was
    overwritten while it was looked at is not counted as read.
    """
    ring, capacity = log.view(), log.capacity
    cursor = received = expected = pieces = 0
    total = 0.0
    while True:
        info = log.info()
        head = info.head
        if cursor == head:
            if info.closed and log.head == head:
                account.wrong += received > 0 and not total > 0
                return received
            time.sleep(VIEW_PAUSE_S)
            continue
        if cursor < info.oldest:  # overtaken: with some room, so as not to be overtaken again at once
            cursor = min(head, info.oldest + (head - info.oldest) // 8)
        while cursor < head:
            place = cursor % capacity
            block = ring[place : min(place + VIEW_RECORDS, place + head - cursor, capacity)]
            count = len(block)
            if (block["Kind"] != KIND_TICK).any():
                block = block[block["Kind"] == KIND_TICK]
            if len(block):
                added = float(block["LastPrice"].sum())
                numbers = block["TickNumber"]
                first, last = int(numbers[0]), int(numbers[-1])
                seen = Account(account.modulus)
                seen.batch(first, last, len(block), expected)
                pieces += 1
                if not pieces & 15:
                    seen.every(block)
                if not log.intact(cursor):
                    break
                account.lost += seen.lost
                account.wrong += seen.wrong
                total += added
                expected = last + 1
                received += len(block)
            cursor += count
        counts[0], counts[1] = received, account.lost


STYLES: dict[str, Callable[[Any, Account, Any], int]] = {
    "get": get,
    "iterate": iterate,
    "get_many": get_many,
    "view": view,
}
_FUNCTIONS = {**STYLES, "stamped": stamped}


class Answer(NamedTuple):
    """Of one worker: what it got, what its queue and what the numbers say was lost, what was wrong; with
    ``stamped`` each tick's delay in nanoseconds."""

    received: int
    lost: int
    lost_seen: int
    wrong: int
    delays: Any


def _work(style: str, modulus: int, queue: TickQueue | None, counter: Any, pipe: Connection) -> None:
    """Main of a worker. Tells when it is up, waits for the log's name, tells when it has it open, reads."""
    pipe.send("up")
    name = pipe.recv()
    counts = np.frombuffer(counter, np.uint64)
    account = Account(modulus)
    source: Any = queue
    if queue is None:
        source = TickLog.attach(name)
    else:
        queue.qsize()  # opens the reader
    pipe.send("open")
    received = _FUNCTIONS[style](source, account, counts)
    lost = account.lost if queue is None else queue.lost
    pipe.send(Answer(received, lost, account.lost, account.wrong, np.array(account.delays, np.int64)))


class Workers:
    """Processes that read the same log; with them as context, nothing of them is left behind it.

    Give `queues` to an engine or bind them, call `begin` when the log is there, and `finish` when it has
    ended. ``view`` needs no queue.
    """

    def __init__(self, style: str, count: int, modulus: int, *, wait: str = "adaptive", cores: Cores) -> None:
        self.queues: list[TickQueue] = []
        self._crew = Crew()
        self._held = ExitStack()
        self._counters: list[Any] = []
        self._log: TickLog | None = None
        self._arguments = (style, count, modulus, wait, cores)

    def __enter__(self) -> Workers:
        style, count, modulus, wait, cores = self._arguments
        with ExitStack() as held:  # queues go after the processes that read them
            for _ in range(0 if style == "view" else count):
                self.queues.append(held.enter_context(TickQueue(wait=wait)))
            held.enter_context(self._crew)
            for place in range(count):
                queue = self.queues[place] if self.queues else None
                self._counters.append(CONTEXT.RawArray("Q", 2))
                core = cores.worker(place)
                self._crew.start(f"worker {place}", _work, style, modulus, queue, self._counters[-1], core=core)
            self._crew.hear("start")
            self._held = held.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._held.close()

    def begin(self, log: TickLog) -> None:
        """Have them open *log*, or their queues, which are bound to it by now."""
        self._log = log
        self._crew.tell(log.name)
        self._crew.hear()

    def received(self) -> list[int]:
        """Ticks that each of them has got by now; a batch in hand is counted."""
        if not self.queues:
            return [int(c[0]) for c in self._counters]
        assert self._log is not None
        by_name = {q["name"]: int(q["received"]) for q in self._log.queues()}
        return [by_name[q.name] for q in self.queues]

    def cpu(self) -> float:
        """Processor seconds of all of them."""
        return self._crew.cpu()

    def finish(self, written: int) -> list[Answer]:
        """Their answers, after checking each one's account."""
        answers: list[Answer] = self._crew.hear()
        for a in answers:
            check(a.wrong == 0, f"{a.wrong} ticks out of order, repeated or not themselves, of {a.received}")
            check(a.lost == a.lost_seen, f"the queue counts {a.lost} lost, the numbers say {a.lost_seen}")
            check(a.received + a.lost == written, f"received {a.received} + lost {a.lost} != written {written}")
        self._crew.join()
        return answers

    def losses(self, written: int) -> Row:
        """As `finish`, and what was lost in all."""
        lost = [answer.lost for answer in self.finish(written)]
        return {
            "lost": sum(lost) if lost else None,
            "lost %": 100.0 * sum(lost) / (written * len(lost)) if lost else None,
            "lost by": "/".join(map(str, lost)) or "-",
        }


@contextmanager
def workers_on_own_log(
    style: str, count: int, modulus: int, *, wait: str = "adaptive", cores: Cores
) -> Iterator[tuple[TickLog, Workers]]:
    """A log that the script writes itself, or has written by a program, with workers that read it already."""
    with Workers(style, count, modulus, wait=wait, cores=cores) as workers, own_log(tag("workers")) as log:
        for queue in workers.queues:
            queue.bind(log)
        workers.begin(log)
        yield log, workers
