"""Worker processes that read to the end, each in one of the ways a program may do it, and account for every tick.

A tick of number n carries Volume ``n % modulus``: by it each one is known to be the next, and where it is
not, its TickNumber says how many are missing.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import numpy as np
from _table import check

from tickengine import Closed, TickLog, TickQueue
from tickengine.tick import KIND_TICK

ANSWER_LIMIT_S = 60.0
VIEW_PAUSE_S = 0.001
VIEW_RECORDS = 4096
_HZ = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _HZ


def pin(pid: int, cores: set[int]) -> None:
    """All threads of a process."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), cores)


class Account:
    """What was missing and what was wrong in what a worker has read."""

    def __init__(self, modulus: int) -> None:
        self.lost = self.wrong = 0
        self._modulus = modulus

    def jump(self, received: int, number: int, volume: int) -> int:
        """The *received*-th tick is not the one after the last: how far volumes are from counts now."""
        missing = number + 1 - received - self.lost
        self.wrong += missing < 0
        self.lost += max(0, missing)
        self.wrong += volume != number % self._modulus
        return volume - received

    def batch(self, first: int, last: int, count: int, expected: int) -> None:
        """*count* ticks with these numbers at its ends, where *expected* was to come."""
        self.wrong += first < expected or last - first + 1 < count
        self.lost += last + 1 - expected - count

    def every(self, ticks: Any) -> None:
        """Each tick of a batch is itself, and in order."""
        numbers = ticks["TickNumber"].astype(np.int64)
        self.wrong += int(np.count_nonzero(np.diff(numbers) < 1))
        self.wrong += int(np.count_nonzero(ticks["Volume"] != numbers % self._modulus))
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
                seen = Account(account._modulus)
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


class Answer(NamedTuple):
    """Of one worker: what it got, what its queue and what the numbers say was lost, what was wrong."""

    received: int
    lost: int
    lost_seen: int
    wrong: int


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
    received = STYLES[style](source, account, counts)
    pipe.send(Answer(received, account.lost if queue is None else queue.lost, account.lost, account.wrong))


class Workers:
    """Processes that read the same log; with them as context, nothing of them is left behind it.

    Give `queues` to an engine or bind them, call `begin` when the log is there, and `finish` when it has
    ended. ``view`` needs no queue.
    """

    def __init__(
        self, style: str, count: int, modulus: int, *, wait: str = "adaptive", cores: set[int] | None = None
    ) -> None:
        self.queues: list[TickQueue] = []
        self._processes: list[Any] = []
        self._pipes: list[Connection] = []
        self._counters: list[Any] = []
        self._log: TickLog | None = None
        self._arguments = (style, count, modulus, wait, cores)

    def __enter__(self) -> Workers:
        style, count, modulus, wait, cores = self._arguments
        context = multiprocessing.get_context("spawn")
        try:
            for _ in range(count):
                queue = None if style == "view" else TickQueue(wait=wait)
                if queue is not None:
                    self.queues.append(queue)
                counter = context.RawArray("Q", 2)
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(style, modulus, queue, counter, theirs), daemon=True)
                process.start()
                theirs.close()
                self._processes.append(process)
                self._pipes.append(ours)
                self._counters.append(counter)
                if cores:
                    os.sched_setaffinity(process.pid, cores)
            self._hear("up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _hear(self, word: str | None) -> list[Any]:
        """One message from each worker, which has to be *word* if that is given."""
        deadline = time.monotonic() + ANSWER_LIMIT_S
        messages = []
        for process, pipe in zip(self._processes, self._pipes):
            wait([pipe, process.sentinel], max(0.0, deadline - time.monotonic()))
            check(pipe.poll(), f"worker {process.pid} has not answered, or has died (status {process.exitcode})")
            try:
                messages.append(pipe.recv())
            except EOFError:
                check(False, f"worker {process.pid} has died")
            check(word is None or messages[-1] == word, f"worker {process.pid} says {messages[-1]}")
        return messages

    def begin(self, log: TickLog) -> None:
        """Have them open *log*, or their queues, which are bound to it by now."""
        self._log = log
        for pipe in self._pipes:
            pipe.send(log.name)
        self._hear("open")

    def received(self) -> list[int]:
        """Ticks that each of them has got by now; a batch in hand is counted."""
        if not self.queues:
            return [int(c[0]) for c in self._counters]
        assert self._log is not None
        by_name = {q["name"]: int(q["received"]) for q in self._log.queues()}
        return [by_name[q.name] for q in self.queues]

    def cpu(self) -> float:
        """Processor seconds of all of them."""
        return sum(cpu_seconds(p.pid) for p in self._processes)

    def finish(self, written: int) -> Sequence[Answer]:
        """Their answers, after checking each one's account."""
        answers: list[Answer] = self._hear(None)
        for a in answers:
            check(a.wrong == 0, f"{a.wrong} ticks out of order, repeated or not themselves: {a}")
            check(a.lost == a.lost_seen, f"the queue counts {a.lost} lost, the numbers say {a.lost_seen}")
            check(a.received + a.lost == written, f"received {a.received} + lost {a.lost} != written {written}")
        for process in self._processes:
            process.join(ANSWER_LIMIT_S)
            check(process.exitcode == 0, f"worker {process.pid} ended with status {process.exitcode}")
        return answers

    def __exit__(self, *_exc: object) -> None:
        for process in self._processes:
            process.kill()
            process.join()
        for pipe in self._pipes:
            pipe.close()
        for queue in self.queues:
            queue.close()
