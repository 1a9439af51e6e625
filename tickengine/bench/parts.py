"""What runs in the writer's and the workers' processes.

Ticks are numbered in ``Volume``; one with the number `END` follows the last. A worker reads price and
instrument of each, then looks at the clock. Writers keep to an absolute schedule, in C++ for the log
(``tk_writer_paced``) and in Python for the other queues: a latency counts from the time a tick was due, so
a writer that is held up does not hide it.
"""

from __future__ import annotations

import ctypes as ct
import json
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat, starmap
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import numpy.typing as npt

from tickengine._shim import lib, new_handle
from tickengine.log import TickLog
from tickengine.queue import TickQueue
from tickengine.rules import own_rules
from tickengine.tick import Tick

from . import loops
from .cases import Case, Schedule

END = -1
_LAYOUT = 3
_AHEAD_NS = 20_000_000  # from the word to start to the first tick
_SPIN_NS = 100_000
_FLOOD_SLICE = 64  # ticks between looks at the clock
_PR_SET_PDEATHSIG = 1

Times = npt.NDArray[np.int64]


@dataclass
class Failed:
    """Why a process cannot go on."""

    words: str


@dataclass
class Written:
    """``times``: when publishing began and when it was done, of each tick in turn; flat out: of all together."""

    start: int
    count: int
    times: Times


@dataclass
class Read:
    """``seen``: the clock by a tick's number, 0 for one that never came; flat out: empty."""

    seen: Times
    received: int
    ordered: bool
    lost: int
    end: int


# ---- the struct --------------------------------------------------------------------------------


def vendor_struct() -> tuple[bytearray, int]:
    """The newest layout's DepthMarketData with every field filled, and where its ``Volume`` is."""
    versions = json.loads(lib().vendor_tables())["versions"]
    depth = next(v for v in versions if v["layout"] == _LAYOUT)["structs"]["DepthMarketData"]
    texts = {
        "TradingDay": b"20260105",
        "ActionDay": b"20260105",
        "UpdateTime": b"09:30:01",
        "ExchangeID": b"SHFE",
        "InstrumentID": b"rb2601",
        "ExchangeInstID": b"rb2601",
    }
    data = bytearray(depth["size"])
    for number, (name, (offset, size)) in enumerate(depth["fields"].items()):
        if name in texts:
            data[offset : offset + len(texts[name])] = texts[name]
        elif size == 8:
            struct.pack_into("<d", data, offset, 3123.0 + number)
        elif size == 4:
            struct.pack_into("<i", data, offset, 500)
    return data, depth["fields"]["Volume"][0]


# ---- writers -----------------------------------------------------------------------------------


class LogWriter:
    """Publishes as the vendor's thread does, with the package's product rules."""

    def __init__(self, log: TickLog) -> None:
        self._log = log  # the writer points into it
        self._writer = new_handle()
        lib().writer_open(log.handle, True, ct.byref(self._writer))
        own_rules().give(self._writer)
        self._tick, self._volume_at = vendor_struct()
        self._buffer = (ct.c_char * len(self._tick)).from_buffer(self._tick)
        self._tick_ns = self._flood(log.capacity) / log.capacity  # the ring is in this processor's caches now

    def fields(self) -> dict[str, Any]:
        """The tick as AlgoPlus's dict."""
        tick = self._log[-1]
        assert isinstance(tick, Tick)
        return tick.to_dict()

    def write(self, schedule: Schedule) -> Written:
        if schedule.count:
            count = schedule.count
            times = np.empty(2 * count, np.int64)
            start = time.monotonic_ns() + _AHEAD_NS
            lib().writer_paced(
                *(self._writer, _LAYOUT, self._buffer, start),
                *(schedule.interval_ns, schedule.burst, count, times.ctypes.data),
            )
        else:
            count = max(1, int(schedule.flood_ns / self._tick_ns))
            start = time.monotonic_ns()
            elapsed = self._flood(count)
            self._tick_ns = elapsed / count
            times = np.array([start, start + elapsed], np.int64)
        struct.pack_into("<i", self._tick, self._volume_at, END)
        lib().writer_tick(self._writer, _LAYOUT, self._buffer)
        return Written(start, count, times)

    def _flood(self, count: int) -> int:
        elapsed = ct.c_int64()
        lib().writer_flood(self._writer, _LAYOUT, self._buffer, count, True, ct.byref(elapsed))
        return elapsed.value


def write_dicts(queues: list[Any], fields: dict[str, Any], schedule: Schedule) -> Written:
    """One queue for each worker, as AlgoPlus has it."""
    puts = [queue.put for queue in queues]

    def send(number: int) -> None:
        # A new dict each time, as a callback makes one: mp.Queue pickles it later, on a thread of its own.
        tick = dict(fields, Volume=number)
        for put in puts:
            put(tick)

    written = _write_on_time(schedule, send) if schedule.count else _write_flat_out(schedule, send)
    send(END)
    return written


def _write_on_time(schedule: Schedule, send: Callable[[int], None]) -> Written:
    clock, burst = time.monotonic_ns, schedule.burst
    times = [0] * (2 * schedule.count)
    start = clock() + _AHEAD_NS
    for number in range(schedule.count):
        if number % burst == 0:
            due = start + number // burst * schedule.interval_ns
            left = due - _SPIN_NS - clock()
            if left > 0:
                time.sleep(left / 1e9)
            while clock() < due:
                pass
        times[2 * number] = clock()
        send(number)
        times[2 * number + 1] = clock()
    return Written(start, schedule.count, np.array(times, np.int64))


def _write_flat_out(schedule: Schedule, send: Callable[[int], None]) -> Written:
    start = now = time.monotonic_ns()
    count = 0
    while now - start < schedule.flood_ns:
        for number in range(count, count + _FLOOD_SLICE):
            send(number)
        count += _FLOOD_SLICE
        now = time.monotonic_ns()
    return Written(start, count, np.array([start, now], np.int64))


def _read(case: Case, queue: Any, schedule: Schedule) -> Read:
    loop: Callable[[Iterator[Any], list[int]], tuple[int, bool]]
    if case.channel != "log":
        loop = loops.dicts if schedule.count else loops.dicts_counted
    elif case.take == "get_many":
        loop = loops.columns if schedule.count else loops.columns_counted
    else:
        loop = loops.ticks if schedule.count else loops.ticks_counted
    # Each call as cheap as a loop's own would be.
    source = iter(queue) if case.take == "iter" else starmap(getattr(queue, case.take), repeat(()))
    seen = [0] * schedule.count  # storing into numpy would cost as much as a tick
    received, ordered = loop(source, seen)
    end = time.monotonic_ns()
    lost = queue.lost if case.channel == "log" else 0
    return Read(np.array(seen, np.int64), received, ordered, lost, end)


# ---- the processes -----------------------------------------------------------------------------


def _begin(parent: int, cpu: int | None) -> None:
    """A worker that spins would never end by itself if the command were killed."""
    ct.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})


def work(link: Connection, parent: int, cpu: int | None, queues: dict[str, Any]) -> None:
    """A worker: reads one run after another until the link is closed."""
    _begin(parent, cpu)
    link.send("ready")
    while True:
        try:
            case, schedule, queue = link.recv()
        except EOFError:
            return
        try:
            if isinstance(queue, TickQueue):
                queue.qsize()  # opens the reader
                link.send("ready")
                link.send(_read(case, queue, schedule))
                queue.close()
            else:
                link.send("ready")
                link.send(_read(case, queues[case.channel], schedule))
        except Exception as error:
            link.send(Failed(f"worker: {type(error).__name__}: {error}"))


def write(link: Connection, parent: int, cpu: int | None, log_name: str, queues: dict[str, list[Any]]) -> None:
    """The writer: publishes one run after another until the link is closed."""
    _begin(parent, cpu)
    try:
        writer = LogWriter(TickLog.attach(log_name))
        fields = writer.fields()
    except Exception as error:
        link.send(Failed(f"writer: {type(error).__name__}: {error}"))
        return
    link.send("ready")
    while True:
        try:
            case, schedule = link.recv()
        except EOFError:
            return
        try:
            if case.channel == "log":
                link.send(writer.write(schedule))
            else:
                link.send(write_dicts(queues[case.channel], fields, schedule))
        except Exception as error:
            link.send(Failed(f"writer: {type(error).__name__}: {error}"))
