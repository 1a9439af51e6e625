"""faster-fifo: dicts, raw bytes in batches, and the engine's forwarder, which puts from C++."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat, starmap
from typing import Any

from parts.logs import own_log

from tickengine import TickLog, forward

from .base import Case, Part, PythonPart, Transport
from .engine import SHAPES, paced_writer
from .stdlib import get_one_by_one, put_bytes, put_dicts

BYTES = 64 << 20  # each


@contextmanager
def get_batches(queue: Any) -> Iterator[Iterator[bytes]]:
    """Batches of bytes, handed out one by one."""
    yield chain.from_iterable(starmap(queue.get_many, repeat(())))


@dataclass
class FasterFifo(Transport):
    """One queue for each worker. When it is full, ``put`` waits for up to ten seconds."""

    raw: bool = False
    queues: list[Any] = field(default_factory=list)

    def open(self, case: Case) -> None:
        import faster_fifo

        more = {"loads": bytes, "dumps": bytes} if self.raw else {}  # without pickle
        self.queues = [faster_fifo.Queue(BYTES, **more) for _ in range(case.workers)]
        self.held.callback(self.queues.clear)  # their memory goes with the run
        for queue in self.queues:
            self.held.callback(queue.close)

    def worker(self, case: Case, index: int) -> PythonPart:
        if self.raw:
            return PythonPart(get_batches, (self.queues[index],), "raw")
        return PythonPart(get_one_by_one, (self.queues[index],), "dicts")

    def writer(self, case: Case) -> Part:
        if self.raw:
            return PythonPart(put_bytes, (self.queues, case.tick))
        return PythonPart(put_dicts, (self.queues, case.fields))


@dataclass
class Forwarded(FasterFifo):
    """C++ writer, the engine's log, a forwarder's thread for each queue (in this process), `Tick` objects."""

    log: TickLog | None = None

    def open(self, case: Case) -> None:
        super().open(case)
        self.log = self.held.enter_context(own_log(f"{case.tag}-log"))
        for position, queue in enumerate(self.queues):
            place = self.held.enter_context(forward.place_for(queue, position))
            place.bind(self.log)
            forwarder = forward.start_forwarder(place, queue, self.log)
            self.held.callback(forwarder.stop, drain=False)

    def worker(self, case: Case, index: int) -> PythonPart:
        return PythonPart(get_one_by_one, (self.queues[index],), "attributes")

    def writer(self, case: Case) -> Part:
        assert self.log is not None
        return paced_writer(case, self.log)


def transports() -> list[Transport]:
    return [
        FasterFifo("faster-fifo dict", "blocks", "faster-fifo"),
        FasterFifo("faster-fifo raw get_many", "blocks", "faster-fifo", raw=True),
        Forwarded("faster-fifo forwarder", "blocks", "faster-fifo", ours=True, shapes=SHAPES),
    ]
