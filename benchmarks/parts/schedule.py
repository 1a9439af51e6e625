"""When ticks are due, the writers in Python that keep to it, and what comes of the times that workers saw.

``paced``: 2,000 ticks a second. ``burst``: 800 due at once every 500 ms. ``flat``: as fast as it goes.
Latency counts from the time a tick was due, never from the time it was sent, so a writer that is held up
by its transport, or by the machine, does not hide it. programs/writing.hpp is the same for the writers in C++.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .report import Row, check

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
SPIN_NS = 100_000
FAR_NS = 20_000_000
LATE_NS = 100_000
FLOOD_SLICE = 64
END = -1  # the number of the tick behind the last one
TIMED_VALUES = [*(f"p{p:g}" for p in PERCENTILES), "max", "last", "last p99", "last max"]

Send = Callable[[int], Any]


@dataclass(frozen=True)
class Schedule:
    """``count`` 0: flat out, for ``flood_ns``."""

    shape: str
    interval_ns: int = 0
    burst: int = 1
    count: int = 0
    flood_ns: int = 0
    hold: bool = False

    @classmethod
    def of(cls, shape: str, seconds: float) -> Schedule:
        if shape in ("flat", "held"):
            return cls(shape, flood_ns=int(seconds * 1e9), hold=shape == "held")
        interval, burst = (500_000, 1) if shape == "paced" else (500_000_000, 800)
        return cls(shape, interval, burst, max(2, int(seconds * 1e9 / interval)) * burst)

    @property
    def seconds(self) -> float:
        return (self.flood_ns or self.count // self.burst * self.interval_ns) / 1e9

    @property
    def arguments(self) -> list[str]:
        """For a program with writing.hpp."""
        if self.count:
            return ["paced", str(self.interval_ns), str(self.burst), str(self.count)]
        return ["flood", str(self.flood_ns), str(int(self.hold))]


@dataclass
class Written:
    """What a writer says when it is done."""

    start: int
    put_ns: float
    put_p99: float
    late: int
    count: int


@dataclass
class Read:
    """What a worker says when it has met the end. ``seen``: 0 for a tick that never came."""

    seen: npt.NDArray[np.int64] | None
    received: int
    ordered: bool
    end: int
    cpu: float


def write(schedule: Schedule, send: Send) -> Written:
    """Send every tick when it is due, then the end."""
    return _write_timed(schedule, send) if schedule.count else _write_flat(schedule, send)


def _write_timed(schedule: Schedule, send: Send) -> Written:
    clock = time.monotonic_ns
    burst, interval_ns = schedule.burst, schedule.interval_ns
    took = [0] * schedule.count
    late = 0
    start = clock() + FAR_NS
    for number in range(schedule.count):
        due = start + number // burst * interval_ns
        if number % burst == 0:
            left = due - SPIN_NS - clock()
            if left > 0:
                time.sleep(left / 1e9)
            while clock() < due:
                pass
        before = clock()
        late += burst == 1 and before - due > LATE_NS
        send(number)
        took[number] = clock() - before
    send(END)
    return Written(start, float(np.median(took)), float(np.percentile(took, 99)), late, schedule.count)


def _write_flat(schedule: Schedule, send: Send) -> Written:
    clock = time.monotonic_ns
    start = now = clock()
    number = 0
    while now - start < schedule.flood_ns:
        for number in range(number, number + FLOOD_SLICE):  # noqa: B020 (goes on where it was)
            send(number)
        number += 1
        now = clock()
    send(END)
    mean = (now - start) / number
    return Written(start, mean, mean, 0, number)


def evaluate(schedule: Schedule, written: Written, reads: Sequence[Read]) -> Row:
    """Columns of one run. What is lost is said, not hidden: latencies are of the ticks that came."""
    row: Row = {"put ns": written.put_ns, "put p99": written.put_p99, "late": written.late}
    row["cpu %"] = 100.0 * max(r.cpu for r in reads)
    check(all(r.ordered for r in reads), "ticks came out of order, or twice")
    row["lost %"] = 100.0 * max(1.0 - r.received / written.count for r in reads)
    row["ticks"] = written.count
    if schedule.count:
        row.update(_latencies(schedule, written, [r.seen for r in reads if r.seen is not None]))
    else:
        row["msgs/s"] = min(r.received / (r.end - written.start) for r in reads) * 1e9
        row["put p99"] = None
    return row


def _latencies(schedule: Schedule, written: Written, seen: list[npt.NDArray[np.int64]]) -> Row:
    burst, count = schedule.burst, schedule.count
    times = np.stack(seen).astype(np.float64)
    times[times == 0] = np.nan
    due = written.start + np.arange(count) // burst * schedule.interval_ns
    latency = (times - due) / 1000.0
    check(not bool((latency <= 0).any()), "a tick was seen before it was due")
    counted = latency[:, count // 10 // burst * burst :]  # the first tenth is not counted
    arrived = counted[~np.isnan(counted)]
    check(len(arrived) > 0, "no tick arrived")
    row: Row = {f"p{p:g}": float(np.percentile(arrived, p)) for p in PERCENTILES}
    row["max"] = float(arrived.max())
    if burst > 1:
        lasts = counted[:, burst - 1 :: burst].max(axis=0)  # the slowest worker's; NaN where one lost it
        lasts = lasts[~np.isnan(lasts)]
        if len(lasts):
            row["last"], row["last p99"] = float(np.median(lasts)), float(np.percentile(lasts, 99))
            row["last max"] = float(lasts.max())
    return row
