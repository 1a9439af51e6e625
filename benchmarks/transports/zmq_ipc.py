"""pyzmq: one PUB socket for all workers, over ipc."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat, starmap

from parts.schedule import Send

from .base import Case, PythonPart, Transport
from .payload import bytes_to_each

HIGH_WATER = 65536  # messages, at each end


@contextmanager
def subscribe(address: str) -> Iterator[Iterator[bytes]]:
    import zmq

    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.set(zmq.RCVHWM, HIGH_WATER)
        socket.subscribe(b"")
        socket.connect(address)
        yield starmap(socket.recv, repeat(()))


@contextmanager
def publish(address: str, workers: int, tick: bytes) -> Iterator[Send]:
    import zmq

    # XPUB is PUB that also says who subscribes, and that can wait at the high-water mark, where PUB drops.
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.set(zmq.SNDHWM, HIGH_WATER)
        socket.set(zmq.XPUB_NODROP, 1)
        socket.set(zmq.XPUB_VERBOSE, 1)  # says each subscription, not only the first to a topic
        socket.bind(address)
        awaited = list(range(workers))

        def put(message: bytes) -> None:
            while awaited:  # before the first tick
                socket.recv()
                awaited.pop()
            socket.send(message)

        yield bytes_to_each([put], tick)


@dataclass
class Zmq(Transport):
    def open(self, case: Case) -> None:
        self._address = f"ipc://{case.folder}/{case.tag}"  # the file goes with the folder

    def worker(self, case: Case, index: int) -> PythonPart:
        return PythonPart(subscribe, (self._address,), "raw")

    def writer(self, case: Case) -> PythonPart:
        return PythonPart(publish, (self._address, case.workers, case.tick))


def transports() -> list[Transport]:
    return [Zmq("pyzmq ipc PUB/SUB", "blocks", "pyzmq")]
