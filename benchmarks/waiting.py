"""What does each way of waiting for a tick cost: a call, callbacks, asyncio, a descriptor?

    writer in this process, --rate ticks/s, one at a time ──▶ log ──▶ one worker process, which waits in one way

``p50``, ``p99``: microseconds from the tick's receive stamp, which is made before it is published, until the worker's
Python has the tick. ``cpu``: processor microseconds of the worker's process per tick, its waiting included. ``there``:
processor nanoseconds per tick when ticks are there already and nothing waits.
"""

from __future__ import annotations

import asyncio
import ctypes as ct
import select
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import Empty

from parts.depth import depth_struct
from parts.environment import surroundings
from parts.logs import FULL, OwnWriter, own_log
from parts.processes import Crew, script, tag
from parts.report import Report, Row, check, medians, options, with_spread

from tickengine import TickQueue
from tickengine._shim import lib

Note = Callable[[int], None]


def get(queue: TickQueue, note: Note, count: int) -> None:
    for _ in range(count):
        note(queue.get().RecvMonotonic)


def run(queue: TickQueue, note: Note, count: int) -> None:
    left = count

    def on_tick(tick: object) -> None:
        nonlocal left
        note(tick.RecvMonotonic)  # type: ignore[attr-defined]
        left -= 1
        if not left:
            queue.stop()

    queue.run(on_tick)


def async_for(queue: TickQueue, note: Note, count: int) -> None:
    async def follow() -> None:
        left = count
        async for tick in queue:
            note(tick.RecvMonotonic)
            left -= 1
            if not left:
                break

    asyncio.run(follow())


def get_async(queue: TickQueue, note: Note, count: int) -> None:
    async def follow() -> None:
        for _ in range(count):
            note((await queue.get_async()).RecvMonotonic)

    asyncio.run(follow())


def epoll(queue: TickQueue, note: Note, count: int) -> None:
    poll = select.epoll()
    poll.register(queue.fileno(), select.EPOLLIN)
    left = count
    while left:
        poll.poll()
        try:
            while left:
                note(queue.get_nowait().RecvMonotonic)
                left -= 1
        except Empty:
            pass


WAYS: dict[str, tuple[Callable[[TickQueue, Note, int], None], str]] = {
    "get, spin": (get, "spin"),
    "get, adaptive": (get, "adaptive"),
    "get, block": (get, "block"),
    "run, adaptive": (run, "adaptive"),
    "epoll on fileno()": (epoll, "adaptive"),
    "async for": (async_for, "adaptive"),
    "await get_async()": (get_async, "adaptive"),
}


def _work(way: str, queue: TickQueue, count: int, pipe: Connection) -> None:
    ages: list[int] = []
    now = time.monotonic_ns

    def note(stamp: int) -> None:
        ages.append(now() - stamp)

    queue.qsize()  # opens the reader
    pipe.send("ready")
    before = time.process_time_ns()
    WAYS[way][0](queue, note, count)
    cpu = time.process_time_ns() - before
    pipe.send((sorted(ages), cpu, queue.lost))


def waiting(way: str, rate: float, count: int) -> Row:
    """One worker, ticks one by one."""
    with own_log(tag("waiting")) as log, OwnWriter(log) as writer, Crew() as crew:
        with TickQueue(wait=WAYS[way][1]) as queue:
            queue.bind(log)
            crew.start(way, _work, way, queue, count)
            crew.hear("start")
            times = (ct.c_int64 * (2 * count))()
            start, interval = time.monotonic_ns() + 20_000_000, int(1e9 / rate)
            lib().writer_paced(writer._writer, 1, depth_struct(1), start, interval, 1, count, times)
            ((ages, cpu, lost),) = crew.hear()
            crew.join()
    check(len(ages) == count and lost == 0, f"{way}: {len(ages)} of {count} ticks, {lost} lost")
    return {"p50": ages[count // 2] / 1e3, "p99": ages[count * 99 // 100] / 1e3, "cpu": cpu / count / 1e3}


def there(way: str) -> float:
    """The whole ring, in this process; nothing waits."""
    with own_log(tag("waiting")) as log, OwnWriter(log) as writer:
        writer.flood(1, FULL)
        with TickQueue(start="oldest", wait=WAYS[way][1]) as queue:
            queue.bind(log)
            queue.qsize()
            seen: list[int] = []
            before = time.thread_time_ns()
            WAYS[way][0](queue, seen.append, FULL)
            took = time.thread_time_ns() - before
            check(len(seen) == FULL and queue.lost == 0, f"{way}: {len(seen)} of {FULL} ticks, {queue.lost} lost")
    return took / FULL


def main() -> None:
    parser = options(__doc__ or "", rounds=5)
    parser.add_argument("--rate", type=float, default=500.0, help="ticks a second (default 500)")
    parser.add_argument("--ticks", type=int, default=1000, help="of each case (default 1000)")
    args = parser.parse_args()
    report = Report(
        "waiting: microseconds until Python has the tick",
        surroundings("left to the scheduler", args.commit, rate=f"{args.rate:g} ticks/s"),
        args.json,
    )
    rows: list[Row] = []
    for number in range(1, args.rounds + 1):
        for way in WAYS:
            rows.append({"round": number, "way": way, **waiting(way, args.rate, args.ticks), "there": there(way)})
    values = ["p50", "p99", "cpu", "there"]
    report.table("rounds", rows, ["round", "way", *values])
    report.table("medians", medians(rows, ["way"], values), ["way", *with_spread(values)])
    report.save()


if __name__ == "__main__":
    script(main)
