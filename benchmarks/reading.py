"""What does taking a tick out of a `TickQueue` cost in Python, when ticks are there?

    log of 65,536 ticks, written beforehand ──▶ one reader, in this process

Every style reads the same 65,535 ticks from its own queue; nanoseconds of processor time per tick,
nothing waits. ``three fields``: LastPrice, BidPrice1 and Volume are read of each tick; ``four fields``: LastPrice,
BidPrice1, AskPrice1 and InstrumentID; ``+ one column``: the sum of LastPrice over each batch. ``get_many(n)`` takes n
at a time, ``n there`` finds no more: small n is what a worker sees that keeps up with the feed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Empty

from parts.environment import surroundings
from parts.logs import FULL, OwnWriter, own_log
from parts.processes import script, tag
from parts.report import Report, Row, check, medians, options, with_spread

from tickengine import TickLog, TickQueue

Style = Callable[[TickQueue], tuple[int, int]]


def get(queue: TickQueue) -> tuple[int, int]:
    for _ in range(FULL):
        tick = queue.get()
    return FULL, tick.Volume


def get_three(queue: TickQueue) -> tuple[int, int]:
    for _ in range(FULL):
        tick = queue.get()
        _fields = tick.LastPrice, tick.BidPrice1, tick.Volume
    return FULL, tick.Volume


def get_four(queue: TickQueue) -> tuple[int, int]:
    for _ in range(FULL):
        tick = queue.get()
        _fields = tick.LastPrice, tick.BidPrice1, tick.AskPrice1, tick.InstrumentID
    return FULL, tick.Volume


def get_dict(queue: TickQueue) -> tuple[int, int]:
    for _ in range(FULL):
        tick = queue.get().to_dict()
    return FULL, tick["Volume"]


def get_kept(queue: TickQueue) -> tuple[int, int]:
    kept = [queue.get() for _ in range(FULL)]
    return len(kept), kept[-1].Volume


def iterate(queue: TickQueue) -> tuple[int, int]:
    for n, tick in enumerate(queue, 1):  # noqa: B007 (used behind the loop)
        if n == FULL:
            break
    return n, tick.Volume


def iterate_three(queue: TickQueue) -> tuple[int, int]:
    for n, tick in enumerate(queue, 1):
        _fields = tick.LastPrice, tick.BidPrice1, tick.Volume
        if n == FULL:
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


def many_column(queue: TickQueue) -> tuple[int, int]:
    n, total = 0, 0.0
    try:
        while True:
            ticks = queue.get_many(block=False)
            total += float(ticks["LastPrice"].sum())
            n += len(ticks)
    except Empty:
        check(total > 0, "the prices are not there")
        return n, int(ticks["Volume"][-1])


STYLES: dict[str, Style] = {
    "get": get,
    "get, three fields": get_three,
    "get, four fields": get_four,
    "get, to_dict": get_dict,
    "get, all kept": get_kept,
    "for tick in queue": iterate,
    "for tick in queue, three fields": iterate_three,
    "get_many(1)": many(1),
    "get_many(32)": many(32),
    "get_many(256)": many(256),
    "get_many()": many(None),
    "get_many() + one column": many_column,
}


def whole(log: TickLog, read: Style) -> float:
    """One queue, the whole ring."""
    with TickQueue(start="oldest") as queue:
        queue.bind(log)
        queue.qsize()  # opens the reader
        before = time.thread_time_ns()
        count, last = read(queue)
        took = time.thread_time_ns() - before
        check(count == FULL and queue.lost == 0, f"read {count}, lost {queue.lost}")
        check(last == int(log[-1].Volume), f"the last one read is number {last}")
    return took / FULL


def trickle(log: TickLog, writer: OwnWriter, size: int, calls: int = 300) -> float:
    """`get_many` without a limit where only *size* ticks are there each time."""
    took = 0
    with TickQueue() as queue:
        queue.bind(log)
        queue.qsize()
        for _ in range(calls):
            writer.flood(1, size)
            before = time.thread_time_ns()
            ticks = queue.get_many()
            took += time.thread_time_ns() - before
            check(len(ticks) == size and int(ticks["Volume"][-1]) == size - 1, f"{len(ticks)} of {size} ticks")
    return took / calls / size


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
        with own_log(tag("reading")) as log, OwnWriter(log) as writer:
            writer.flood(1, FULL)
            for name, read in STYLES.items():
                rows.append({"round": number, "style": name, "ns": whole(log, read)})
            for size in (1, 8, 32, 128):
                rows.append({"round": number, "style": f"get_many(), {size} there", "ns": trickle(log, writer, size)})
    report.table("rounds", rows, ["round", "style", "ns"])
    report.table("medians", medians(rows, ["style"], ["ns"]), ["style", *with_spread(["ns"])])
    report.save()


if __name__ == "__main__":
    script(main)
