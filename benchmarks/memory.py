"""What do a log and its workers cost in memory?

    log of 65,536 ticks in /dev/shm ◀── 1, 2, 4, 8 worker processes, each has read the whole ring

The log is paid for once. A worker's Pss counts its share of what several processes map, its private
memory what is its own alone. ``own``: private memory that opening a queue and reading added to a process
which had imported tickengine and numpy already. ``all``: the log file plus the private memory so added by all
workers. ``Rss`` counts the log's pages again in every process that touches them: no sum makes sense of it.
"""

from __future__ import annotations

import ctypes as ct
import multiprocessing
import os
from typing import Any

from _depth import depth_struct
from _environment import surroundings
from _table import Report, Row, check, medians, options, with_spread

from tickengine import Closed, TickLog, TickQueue
from tickengine._shim import lib, new_handle

MIB = 1 << 20
CAPACITY = 65536


def memory() -> dict[str, int]:
    """Bytes of this process by kind, from the kernel's own sum."""
    sizes = {}
    with open("/proc/self/smaps_rollup") as f:
        for line in f.read().splitlines()[1:]:
            name, _, rest = line.partition(":")
            sizes[name] = int(rest.split()[0]) * 1024
    return {"Rss": sizes["Rss"], "Pss": sizes["Pss"], "own": sizes["Private_Clean"] + sizes["Private_Dirty"]}


def work(queue_path: bytes, style: str, connection: Any) -> None:
    """Reads everything, then waits with its memory mapped until all have measured."""
    lib()
    before = memory()
    connection.send(before)
    connection.recv()
    queue = TickQueue._from_path(queue_path)
    received, last = 0, -1
    ordered = True
    while received < CAPACITY - 1:
        if style == "get_many":
            numbers = queue.get_many(1024, timeout=30)["TickNumber"].tolist()
        else:
            numbers = [queue.get(timeout=30).TickNumber]
        ordered = ordered and numbers[0] > last and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        last = numbers[-1]
        received += len(numbers)
    connection.send((received, queue.lost, ordered))
    connection.recv()
    connection.send(memory())
    connection.recv()
    try:
        queue.get_many(block=False)
    except Closed:
        connection.send("ended")


def one(number: int, style: str, count: int) -> Row:
    log = TickLog.create(f"bench-{os.getpid()}-memory", CAPACITY)
    stat = os.stat(log.path)
    check(stat.st_blocks * 512 >= stat.st_size, "the log's memory is not reserved")
    writer, elapsed = new_handle(), ct.c_int64()
    lib().writer_open(log.handle, True, ct.byref(writer))
    queues = [TickQueue() for _ in range(count)]
    for queue in queues:
        queue.bind(log)
    lib().writer_flood(writer, 1, depth_struct(1), CAPACITY - 1, True, ct.byref(elapsed))
    context = multiprocessing.get_context("spawn")
    ends, processes, before, after = [], [], [], []
    for queue in queues:
        here, there = context.Pipe()
        process = context.Process(target=work, args=(queue.path, style, there), daemon=True)
        process.start()
        ends.append(here)
        processes.append(process)
    before = [end.recv() for end in ends]
    for end in ends:
        end.send("go")
    for end in ends:
        received, lost, ordered = end.recv()
        check(
            received == CAPACITY - 1 and lost == 0 and ordered, f"received {received}, lost {lost}, ordered {ordered}"
        )
    for end in ends:  # one after the other, while all still map the log
        end.send("measure")
    after = [end.recv() for end in ends]
    lib().writer_close(writer)
    log.end()
    for end, process in zip(ends, processes):
        end.send("end")
        check(end.recv() == "ended", "a worker did not see the end")
        process.join()
    queue_bytes = sum(os.stat(queue.path).st_size for queue in queues)
    for queue in queues:
        queue.close()
    log.unlink()
    log.close()

    def mean_growth(kind: str) -> float:
        return sum(a[kind] - b[kind] for a, b in zip(after, before)) / count / MIB

    own = mean_growth("own")
    return {
        "round": number,
        "reads with": style,
        "workers": count,
        "log file": stat.st_size / MIB,
        "queue file KiB": queue_bytes / count / 1024,
        "own": own,
        "Pss": mean_growth("Pss"),
        "Rss": mean_growth("Rss"),
        "process before": sum(b["own"] for b in before) / count / MIB,
        "all": stat.st_size / MIB + own * count,
    }


def main() -> None:
    parser = options(__doc__ or "", rounds=3)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4, 8])
    args = parser.parse_args()
    report = Report(
        f"memory: MiB of a log of {CAPACITY} ticks and of its workers",
        surroundings("left to the scheduler", args.commit),
        args.json,
    )
    rows = [
        one(number, style, count)
        for number in range(1, args.rounds + 1)
        for style in ("get_many", "get")
        for count in args.workers
    ]
    case = ["reads with", "workers"]
    values = ["log file", "queue file KiB", "own", "Pss", "Rss", "process before", "all"]
    report.table("rounds", rows, ["round", *case, *values])
    report.table(
        "medians",
        medians(rows, case, values),
        [*case, *with_spread(["log file", "own", "Pss"]), *values[1:2], *values[4:]],
    )
    report.save()


if __name__ == "__main__":
    main()
