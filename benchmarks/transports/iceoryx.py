"""iceoryx2's Python binding: publish and subscribe with the struct as a ctypes payload."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from parts.schedule import Send

from .base import Case, PythonPart, Transport
from .payload import Depth

BUFFER = 65536  # samples, for each worker


def _service(folder: str, tag: str, workers: int) -> tuple[Any, Any]:
    import iceoryx2 as iox2

    iox2.set_log_level(iox2.LogLevel.Error)
    config = iox2.config.default()
    # Names of this run, so that what a killed process leaves can be told from another program's.
    config.global_cfg.prefix = iox2.FileName.new(f"{tag}-")
    config.global_cfg.root_path = iox2.Path.new(folder)
    node = (
        iox2.NodeBuilder.new()
        .config(config)
        .signal_handling_mode(iox2.SignalHandlingMode.Disabled)
        .create(iox2.ServiceType.Ipc)
    )
    service = (
        node.service_builder(iox2.ServiceName.new(tag))
        .publish_subscribe(Depth)
        .subscriber_max_buffer_size(BUFFER)
        .enable_safe_overflow(False)  # a full buffer holds the publisher back
        .history_size(0)
        .max_subscribers(workers)
        .max_publishers(1)
        .max_nodes(workers + 1)
        .open_or_create()
    )
    return node, service


@contextmanager
def subscribe(folder: str, tag: str, workers: int) -> Iterator[Iterator[Depth]]:
    _node, service = _service(folder, tag, workers)
    subscriber = service.subscriber_builder().create()

    def ticks() -> Iterator[Depth]:
        receive = subscriber.receive
        while True:
            sample = receive()
            if sample is not None:
                yield sample.payload().contents

    yield ticks()


@contextmanager
def publish(folder: str, tag: str, workers: int, tick: bytes) -> Iterator[Send]:
    import iceoryx2 as iox2

    _node, service = _service(folder, tag, workers)
    builder = service.publisher_builder().backpressure_strategy(iox2.BackpressureStrategy.RetryUntilDelivered)
    publisher = builder.create()
    depth = Depth.from_buffer_copy(tick)

    def send(number: int) -> None:
        depth.Volume = number
        publisher.loan_uninit().write_payload(depth).send()

    yield send


@dataclass
class Iceoryx2(Transport):
    def open(self, case: Case) -> None:
        """The first process that asks for the service makes it."""

    def worker(self, case: Case, index: int) -> PythonPart:
        return PythonPart(subscribe, (case.folder, case.tag, case.workers), "attributes")

    def writer(self, case: Case) -> PythonPart:
        return PythonPart(publish, (case.folder, case.tag, case.workers, case.tick))


def transports() -> list[Transport]:
    return [Iceoryx2("iceoryx2 ctypes", "polls", "iceoryx2")]
