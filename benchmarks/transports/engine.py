"""tickengine itself, and the machine's limit: the same record through a plain ring, C++ to C++."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat, starmap
from typing import Any

from parts.logs import own_log

from tickengine import TickLog, TickQueue

from .base import Case, ProgramPart, PythonPart, Transport

SHAPES = ("paced", "burst", "flat", "held")  # of those with a writer in C++
WAITS = {"spin": "spins", "adaptive": "spins 10 us", "block": "blocks"}


@contextmanager
def read_queue(queue: TickQueue, how: str) -> Iterator[Iterator[Any]]:
    queue.qsize()  # opens the reader
    if how == "get":
        yield starmap(queue.get, repeat(()))
    elif how == "iter":
        yield iter(queue)
    else:
        yield starmap(queue.get_many, repeat(()))
    queue.close()


def paced_writer(case: Case, log: TickLog) -> ProgramPart:
    command = [case.programs["paced_writer"], os.fsdecode(log.path), case.tick_file]
    return ProgramPart([*command, *case.schedule.arguments])


@dataclass
class Tickengine(Transport):
    """The writer is C++, as the engine's is; it never waits, so flat out is where ticks are lost."""

    wait: str = "adaptive"
    how: str = "get"
    loop: str = "attributes"
    log: TickLog | None = None
    queues: list[TickQueue] = field(default_factory=list)

    def open(self, case: Case) -> None:
        self.log = self.held.enter_context(own_log(f"{case.tag}-log"))
        self.queues = [self.held.enter_context(TickQueue(wait=self.wait)) for _ in range(case.workers)]
        for queue in self.queues:
            queue.bind(self.log)

    def worker(self, case: Case, index: int) -> PythonPart:
        return PythonPart(read_queue, (self.queues[index], self.how), self.loop)

    def writer(self, case: Case) -> ProgramPart:
        assert self.log is not None
        return paced_writer(case, self.log)


def tickengine(wait: str, how: str = "get", loop: str = "attributes", name: str = "") -> Tickengine:
    return Tickengine(
        name or f"tickengine {wait} {how}",
        WAITS[wait],
        ours=True,
        shapes=SHAPES,
        wait=wait,
        how=how,
        loop="columns" if how == "get_many" else loop,
    )


@dataclass
class Limit(Transport):
    """ring_limit.cpp: copies the record, reads price and instrument, nothing else."""

    mode: str = "poll"
    path: str = ""

    def open(self, case: Case) -> None:
        self.path = f"/dev/shm/{case.tag}-ring"  # its processes make it

    def worker(self, case: Case, index: int) -> ProgramPart:
        seen = os.path.join(case.folder, f"seen-{index}")
        command = [case.programs["ring_limit"], "read", self.path, str(index), self.mode, seen]
        return ProgramPart([*command, str(case.schedule.count)], seen)

    def writer(self, case: Case) -> ProgramPart:
        command = [case.programs["ring_limit"], "write", self.path, case.tick_file]
        return ProgramPart([*command, *case.schedule.arguments])


def limits() -> list[Transport]:
    return [
        Limit("C++ ring poll", "polls", ours=True, shapes=SHAPES, mode="poll"),
        Limit("C++ ring futex", "blocks", ours=True, shapes=SHAPES, mode="futex"),
    ]
