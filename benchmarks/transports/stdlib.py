"""What Python brings along: `multiprocessing.Queue`, of dicts and of bytes, and `multiprocessing.Pipe`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat, starmap
from typing import Any

from parts.logs import CAPACITY
from parts.processes import CONTEXT
from parts.schedule import Send

from .base import Case, PythonPart, Transport
from .payload import bytes_to_each


@contextmanager
def get_one_by_one(queue: Any) -> Iterator[Iterator[Any]]:
    """``queue.get()`` again and again; the call is made as cheaply as a loop's own would be."""
    yield starmap(queue.get, repeat(()))


@contextmanager
def put_dicts(queues: list[Any], fields: dict[str, Any]) -> Iterator[Send]:
    puts = [queue.put for queue in queues]

    def send(number: int) -> None:
        # A new dict each time, as a callback makes one: mp.Queue pickles it later, on a thread of its own.
        tick = dict(fields, Volume=number)
        for put in puts:
            put(tick)

    yield send


@contextmanager
def put_bytes(queues: list[Any], tick: bytes) -> Iterator[Send]:
    yield bytes_to_each([queue.put for queue in queues], tick)


@dataclass
class MpQueue(Transport):
    """One queue for each worker, as AlgoPlus has it."""

    dicts: bool = True
    queues: list[Any] = field(default_factory=list)

    def open(self, case: Case) -> None:
        # Bounded, so that flat out is held back: as many ticks as tickengine's log has here.
        self.queues = [CONTEXT.Queue(CAPACITY) for _ in range(case.workers)]
        self.held.callback(self.queues.clear)  # their memory goes with the run
        for queue in self.queues:
            self.held.callback(queue.close)

    def worker(self, case: Case, index: int) -> PythonPart:
        return PythonPart(get_one_by_one, (self.queues[index],), "dicts" if self.dicts else "raw")

    def writer(self, case: Case) -> PythonPart:
        if self.dicts:
            return PythonPart(put_dicts, (self.queues, case.fields))
        return PythonPart(put_bytes, (self.queues, case.tick))


@contextmanager
def receive_bytes(connection: Any) -> Iterator[Iterator[bytes]]:
    yield starmap(connection.recv_bytes, repeat(()))


@contextmanager
def send_bytes(connections: list[Any], tick: bytes) -> Iterator[Send]:
    yield bytes_to_each([connection.send_bytes for connection in connections], tick)


@dataclass
class Pipe(Transport):
    """One pipe for each worker."""

    pipes: list[tuple[Any, Any]] = field(default_factory=list)

    def open(self, case: Case) -> None:
        self.pipes = [CONTEXT.Pipe(duplex=False) for _ in range(case.workers)]
        for pipe in self.pipes:
            for end in pipe:
                self.held.enter_context(end)

    def worker(self, case: Case, index: int) -> PythonPart:
        return PythonPart(receive_bytes, (self.pipes[index][0],), "raw")

    def writer(self, case: Case) -> PythonPart:
        return PythonPart(send_bytes, ([sender for _, sender in self.pipes], case.tick))


def transports() -> list[Transport]:
    return [
        MpQueue("mp.Queue dict", "blocks"),
        MpQueue("mp.Queue bytes", "blocks", dicts=False),
        Pipe("mp.Pipe bytes", "blocks"),
    ]
