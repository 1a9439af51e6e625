"""What does taking a tick out of a `TickQueue` cost in Python, when ticks are there?

    log of 65,536 ticks, written beforehand ──▶ one reader, in this process

Every style reads the same 65,535 ticks from its own queue; nanoseconds of processor time per tick,
nothing waits. ``get_many(n)`` takes n at a time: small n is what a worker sees that keeps up with the feed.
"""

from __future__ import annotations

import ctypes as ct
import os
import time
from collections.abc import Callable
from queue import Empty

from _depth import depth_struct
from _environment import surroundings
from _table import Report, Row, check, medians, options, with_spread

from tickengine import TickLog, TickQueue
from tickengine._shim import lib, new_handle

CAPACITY = 65536
TICKS = CAPACITY - 1
Style = Callable[[TickQueue], tuple[int, int]]


def get(queue: TickQueue) -> tuple[int, int]:
    for _ in range(TICKS):
        tick = queue.get()
    return TICKS, tick.Volume


def get_fields(queue: TickQueue) -> tuple[int, int]:
    for _ in range(TICKS):
        tick = queue.get()
        _fields = tick.LastPrice, tick.BidPrice1, tick.AskPrice1, tick.InstrumentID
    return TICKS, tick.Volume


def get_dict(queue: TickQueue) -> tuple[int, int]:
    for _ in range(TICKS):
        tick = queue.get().to_dict()
    return TICKS, tick["Volume"]


def get_kept(queue: TickQueue) -> tuple[int, int]:
    kept = [queue.get() for _ in range(TICKS)]
    return len(kept), kept[-1].Volume


def iterate(queue: TickQueue) -> tuple[int, int]:
    for n, tick in enumerate(queue, 1):  # noqa: B007 (used behind the loop)
        if n == TICKS:
            break
    return n, tick.Volume


def many(limit: int | None) -> Style:
    def read(queue: TickQueue) -> tuple[int, int]:
        n = 0
        try:
            while True:
                ticks = queue.get_many(limit, block=False)
                n += len(ticks)
        except Empty:
            return n, int(ticks["Volume"][-1])

    return read


STYLES: dict[str, Style] = {
    "get": get,
    "get, four fields": get_fields,
    "get, to_dict": get_dict,
    "get, all kept": get_kept,
    "for tick in queue": iterate,
    "get_many(1)": many(1),
    "get_many(32)": many(32),
    "get_many(256)": many(256),
    "get_many()": many(None),
}


class Bench:
    def __init__(self) -> None:
        self.log = TickLog.create(f"bench-{os.getpid()}-reading", CAPACITY)
        self.writer = new_handle()
        lib().writer_open(self.log.handle, True, ct.byref(self.writer))
        self.flood(TICKS)

    def flood(self, count: int) -> None:
        elapsed = ct.c_int64()
        lib().writer_flood(self.writer, 1, depth_struct(1), count, True, ct.byref(elapsed))

    def whole(self, read: Style) -> float:
        """One queue, the whole ring."""
        with TickQueue(start="oldest") as queue:
            queue.bind(self.log)
            queue.qsize()  # opens the reader
            before = time.thread_time_ns()
            count, last = read(queue)
            took = time.thread_time_ns() - before
            check(count == TICKS and queue.lost == 0, f"read {count}, lost {queue.lost}")
            check(last == int(self.log[-1].Volume), f"the last one read is number {last}")
        return took / TICKS

    def trickle(self, size: int, calls: int = 300) -> float:
        """`get_many` without a limit where only *size* ticks are there each time."""
        took = 0
        with TickQueue() as queue:
            queue.bind(self.log)
            queue.qsize()
            for _ in range(calls):
                self.flood(size)
                before = time.thread_time_ns()
                ticks = queue.get_many()
                took += time.thread_time_ns() - before
                check(len(ticks) == size and int(ticks["Volume"][-1]) == size - 1, f"{len(ticks)} of {size} ticks")
        return took / calls / size

    def close(self) -> None:
        lib().writer_close(self.writer)
        self.log.end()
        self.log.unlink()
        self.log.close()


def main() -> None:
    parser = options(__doc__ or "", rounds=7)
    args = parser.parse_args()
    report = Report(
        "reading: processor nanoseconds per tick in the reader",
        surroundings("left to the scheduler", args.commit),
        args.json,
    )
    rows: list[Row] = []
    for number in range(1, args.rounds + 1):
        bench = Bench()
        for name, read in STYLES.items():
            rows.append({"round": number, "style": name, "ns": bench.whole(read)})
        for size in (1, 8, 32, 128):
            rows.append({"round": number, "style": f"get_many(), {size} there", "ns": bench.trickle(size)})
        bench.close()
    report.table("rounds", rows, ["round", "style", "ns"])
    report.table("medians", medians(rows, ["style"], ["ns"]), ["style", *with_spread(["ns"])])
    report.save()


if __name__ == "__main__":
    main()
