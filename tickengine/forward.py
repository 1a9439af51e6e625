"""Forwarders: from the log into queues that are not ours.

A forwarder is a reader of the log like any other, so what blocks or dies behind it never reaches the
vendor's thread. When the queue behind it is full it waits; what the log overwrites meanwhile is
counted as lost, in its place in the log (`TickLog.queues`).
"""

from __future__ import annotations

import ctypes as ct
import importlib.util
import logging
import queue as stdlib_queue
import threading
from collections.abc import Callable, Iterable
from typing import Any

from . import _segments
from ._errors import Closed, ConfigError, ShimError
from ._shim import ForwarderInfo, lib, new_handle
from .log import TickLog
from .queue import TickQueue
from .tick import from_message, message_frame, message_size

logger = logging.getLogger("tickengine")

_QUEUE_PUT = "_Z9queue_putPvS_PPKvPKmmif"  # queue_put(void*, void*, void const**, size_t const*, size_t, int, float)
_FULL_PAUSE_S = 0.001
_DRAIN_S = 5.0


def is_faster_fifo(queue: Any) -> bool:
    return type(queue).__module__ == "faster_fifo" or any(c.__module__ == "faster_fifo" for c in type(queue).__mro__)


def check_queue_list(
    md_queue_list: Iterable[Any] | None, carries: str = "ticks", make: Callable[..., Any] = from_message
) -> list[Any]:
    """The queues, each of a kind that can be served with what the engine *carries*. Raises `ConfigError`."""
    name, own = ("bar_queue_list", "BarQueue") if carries == "bars" else ("md_queue_list", "TickQueue")
    if md_queue_list is None:
        return []
    queues = list(md_queue_list)
    for position, queue in enumerate(queues):
        if isinstance(queue, TickQueue):
            if queue.carries != carries:
                raise ConfigError(f"{name}[{position}] is a {type(queue).__name__}: {carries} need a {own}")
            continue
        if is_faster_fifo(queue):
            needed = message_size(make) + 8
            if queue.max_size_bytes < needed:
                raise ConfigError(
                    f"{name}[{position}]: a faster_fifo.Queue of {queue.max_size_bytes} bytes "
                    f"cannot hold one {carries[:-1]} ({needed} bytes)"
                )
        elif not callable(getattr(queue, "put_nowait", None)):
            raise ConfigError(
                f"{name}[{position}] is a {type(queue).__name__}: it must be a {own}, "
                "a faster_fifo.Queue or have put_nowait"
            )
    if len({id(queue) for queue in queues}) != len(queues):
        raise ConfigError(f"{name} names the same queue twice")
    return queues


def place_for(queue: Any, position: int) -> TickQueue:
    """The cursor through which a foreign queue is served."""
    kind = "fifo" if is_faster_fifo(queue) else "put"
    return TickQueue(wait="block", name=_segments.random_name(f"{kind}{position}"))


class FifoForwarder:
    """The shim's own thread and faster-fifo's exported C++ ``queue_put``: no GIL, no Python per tick."""

    def __init__(self, place: TickQueue, fifo: Any, log: TickLog, make: Callable[..., Any] = from_message) -> None:
        spec = importlib.util.find_spec("faster_fifo")
        if spec is None or spec.origin is None:
            raise ConfigError("the faster_fifo module cannot be found")
        put = getattr(ct.CDLL(spec.origin), _QUEUE_PUT, None)
        if put is None:
            raise ConfigError(f"{spec.origin!r} does not export queue_put; install faster-fifo 1.4.7 or later")
        self.place, self.fifo, self._log = place, fifo, log  # what the thread uses must outlive it
        self._handle = new_handle()
        prefix, suffix = message_frame(make)
        lib().forwarder_start(
            place.handle,
            log.handle,
            ct.cast(put, ct.c_void_p),
            ct.addressof(fifo.queue_obj_buffer),
            ct.addressof(fifo.shared_memory),
            prefix,
            len(prefix),
            suffix,
            len(suffix),
            ct.byref(self._handle),
        )

    def info(self) -> ForwarderInfo:
        info = ForwarderInfo()
        lib().forwarder_info_get(self._handle, ct.byref(info))
        return info

    def stop(self, drain: bool) -> None:
        """Deliver what is left if *drain* (at most 5 s), then end the thread."""
        try:
            lib().forwarder_stop(self._handle, drain, int(_DRAIN_S * 1e9) if drain else 500_000_000)
        except ShimError as error:
            logger.warning("%s; it is left behind", error)
            _stuck.append(self)


_stuck: list[FifoForwarder] = []


class PutForwarder:
    """A Python thread that calls ``put_nowait`` with each `Tick`."""

    def __init__(self, place: TickQueue, target: Any, log: TickLog) -> None:
        self.place, self._target = place, target
        self._backlog = log.capacity
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"tickengine-{place.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    tick = self.place.get(timeout=0.2)
                except stdlib_queue.Empty:
                    continue
                if not self._put(tick):
                    return
        except Closed:
            return
        except Exception:
            logger.exception("forwarder %s has stopped", self.place.name)

    def _put(self, tick: Any) -> bool:
        while not self._stop.is_set():
            try:
                if self._behind() < self._backlog:
                    self._target.put_nowait(tick)
                    return True
            except stdlib_queue.Full:
                pass
            self._stop.wait(_FULL_PAUSE_S)  # such a queue has no way to tell when it has room again
        return False

    def _behind(self) -> int:
        """What waits in an unbounded queue: multiprocessing's would grow in this process for ever."""
        try:
            return int(self._target.qsize())
        except (AttributeError, NotImplementedError, OSError):
            return 0

    def stop(self, drain: bool) -> None:
        if drain:
            self._thread.join(_DRAIN_S)
        self._stop.set()
        self._thread.join(1.0)
        if self._thread.is_alive():
            logger.warning("forwarder %s is stuck in put_nowait; it is left behind", self.place.name)


Forwarder = FifoForwarder | PutForwarder


def start_forwarder(place: TickQueue, target: Any, log: TickLog, make: Callable[..., Any] = from_message) -> Forwarder:
    """*make*: what turns a message back into an object, where the queue carries bytes."""
    return FifoForwarder(place, target, log, make) if is_faster_fifo(target) else PutForwarder(place, target, log)
