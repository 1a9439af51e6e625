"""Rings in shared memory from PyPI: msgq-ipc, slick-queue-py, zeroq, cloudtoid-interprocess, membridge."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import repeat, starmap

from parts.depth import VOLUME_AT
from parts.logs import CAPACITY
from parts.schedule import Send

from .base import Case, PythonPart, Transport
from .payload import SIZE, bytes_to_each, put_number

BYTES = 1 << 25  # 57,000 ticks, where a ring is measured in bytes and its size must be a power of two


def _until_taken(put: Callable[[bytes], bool]) -> Callable[[bytes], None]:
    """For rings that say no when they are full."""

    def put_or_wait(message: bytes) -> None:
        while not put(message):
            os.sched_yield()  # there is nothing to sleep on

    return put_or_wait


def _poll(take: Callable[[], bytes | None]) -> Iterator[bytes]:
    while True:
        message = take()
        if message is not None:
            yield message


# ---- one ring for all workers ------------------------------------------------------------------


@contextmanager
def msgq_subscribe(endpoint: str) -> Iterator[Iterator[bytes]]:
    import msgq

    socket = msgq.sub_sock(endpoint, segment_size=BYTES)
    yield starmap(socket.receive, repeat(()))


@contextmanager
def msgq_publish(endpoint: str, tick: bytes) -> Iterator[Send]:
    import msgq

    socket = msgq.pub_sock(endpoint, BYTES)
    yield bytes_to_each([socket.send], tick)


@dataclass
class Msgq(Transport):
    """A broadcast ring whose publisher never waits; a reader that is overtaken starts again at the newest."""

    def open(self, case: Case) -> None:
        """The publisher makes the ring."""

    def worker(self, case: Case, index: int) -> PythonPart:
        return PythonPart(msgq_subscribe, (case.tag,), "raw")

    def writer(self, case: Case) -> PythonPart:
        return PythonPart(msgq_publish, (case.tag, case.tick), repeat_end=True)


@contextmanager
def slick_read(name: str) -> Iterator[Iterator[bytes]]:
    from slick_queue_py import SlickQueue

    queue = SlickQueue(name=name, element_size=SIZE)

    def ticks() -> Iterator[bytes]:
        read, index = queue.read, 0
        while True:
            message, _size, index = read(index)
            if message is not None:
                yield message

    yield ticks()
    queue.close()


@contextmanager
def slick_write(name: str, tick: bytes) -> Iterator[Send]:
    from slick_queue_py import SlickQueue

    queue = SlickQueue(name=name, element_size=SIZE)
    raw = bytearray(tick)

    def send(number: int) -> None:
        put_number(raw, VOLUME_AT, number)
        index = queue.reserve()
        queue[index][:] = raw
        queue.publish(index)

    yield send
    queue.close()


@dataclass
class Slick(Transport):
    """A broadcast ring whose writer never waits."""

    def open(self, case: Case) -> None:
        from slick_queue_py import SlickQueue

        queue = SlickQueue(name=f"{case.tag}-slick", size=CAPACITY, element_size=SIZE)
        self.held.callback(queue.unlink)
        self.held.callback(queue.close)

    def worker(self, case: Case, index: int) -> PythonPart:
        return PythonPart(slick_read, (f"{case.tag}-slick",), "raw")

    def writer(self, case: Case) -> PythonPart:
        return PythonPart(slick_write, (f"{case.tag}-slick", case.tick))


# ---- a ring for each worker --------------------------------------------------------------------


@contextmanager
def zeroq_get(name: str) -> Iterator[Iterator[bytes]]:
    import zeroq

    queue = zeroq.Queue(name, create=False)
    yield starmap(queue.get, repeat(()))


@contextmanager
def zeroq_put(names: list[str], tick: bytes) -> Iterator[Send]:
    import zeroq

    queues = [zeroq.Queue(name, create=False) for name in names]
    yield bytes_to_each([queue.put for queue in queues], tick)


@dataclass
class Zeroq(Transport):
    names: list[str] = field(default_factory=list)

    def open(self, case: Case) -> None:
        import zeroq

        self.names = [f"{case.tag}-{i}" for i in range(case.workers)]
        for name in self.names:
            self.held.callback(zeroq.Queue(name, SIZE, CAPACITY, create=True).close)

    def worker(self, case: Case, index: int) -> PythonPart:
        return PythonPart(zeroq_get, (self.names[index],), "raw")

    def writer(self, case: Case) -> PythonPart:
        return PythonPart(zeroq_put, (self.names, case.tick))


@contextmanager
def cloudtoid_receive(name: str, folder: str) -> Iterator[Iterator[bytes]]:
    from cloudtoid_interprocess import Subscriber

    with Subscriber(name, BYTES, path=folder) as subscriber:
        yield starmap(subscriber.receive, repeat(()))


@contextmanager
def cloudtoid_send(names: list[str], folder: str, tick: bytes) -> Iterator[Send]:
    from cloudtoid_interprocess import Publisher

    with ExitStack() as stack:
        publishers = [stack.enter_context(Publisher(name, BYTES, path=folder)) for name in names]
        yield bytes_to_each([_until_taken(publisher.try_send) for publisher in publishers], tick)


@dataclass
class Cloudtoid(Transport):
    def open(self, case: Case) -> None:
        self._names = [f"{case.tag}-{i}" for i in range(case.workers)]
        self._folder = f"/dev/shm/{case.tag}-cloudtoid"
        os.mkdir(self._folder, 0o700)

    def worker(self, case: Case, index: int) -> PythonPart:
        return PythonPart(cloudtoid_receive, (self._names[index], self._folder), "raw")

    def writer(self, case: Case) -> PythonPart:
        return PythonPart(cloudtoid_send, (self._names, self._folder, case.tick))


@contextmanager
def membridge_pop(name: str) -> Iterator[Iterator[bytes]]:
    import membridge

    memory = membridge.SharedMemory.open(name)
    ring = memory.spsc()
    yield _poll(ring.pop)


@contextmanager
def membridge_push(names: list[str], tick: bytes) -> Iterator[Send]:
    import membridge

    memories = [membridge.SharedMemory.open(name) for name in names]
    rings = [memory.spsc() for memory in memories]
    yield bytes_to_each([_until_taken(ring.push) for ring in rings], tick)


@dataclass
class Membridge(Transport):
    names: list[str] = field(default_factory=list)

    def open(self, case: Case) -> None:
        import membridge

        self.names = [f"/{case.tag}-{i}" for i in range(case.workers)]
        for name in self.names:
            membridge.SharedMemory.create(name, 24 + BYTES).spsc()  # writes the ring's head
            self.held.callback(membridge.SharedMemory.remove, name)

    def worker(self, case: Case, index: int) -> PythonPart:
        return PythonPart(membridge_pop, (self.names[index],), "raw")

    def writer(self, case: Case) -> PythonPart:
        return PythonPart(membridge_push, (self.names, case.tick))


def transports() -> list[Transport]:
    return [
        Msgq("msgq-ipc", "blocks", "msgq-ipc"),
        Slick("slick-queue-py", "polls", "slick-queue-py"),
        Zeroq("zeroq", "blocks", "zeroq"),
        Cloudtoid("cloudtoid-interprocess", "blocks", "cloudtoid-interprocess"),
        Membridge("membridge SPSC", "polls", "membridge"),
    ]
