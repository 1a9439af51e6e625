"""What do a log and its workers cost in memory?

    log of 65,536 ticks in /dev/shm ◀── 1, 2, 4, 8 worker processes, each has read the whole ring

The log is paid for once. A worker's Pss counts its share of what several processes map, its private
memory what is its own alone. ``own``: private memory that opening a queue and reading added to a process
which had imported tickengine and numpy already. ``all``: the log file plus the private memory so added by all
workers. ``Rss`` counts the log's pages again in every process that touches them: no sum makes sense of it.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

from parts.environment import surroundings
from parts.logs import CAPACITY, FULL, OwnWriter, own_log
from parts.processes import Crew, script, tag
from parts.report import Report, Row, check, medians, options, with_spread
from parts.usage import own_memory

from tickengine import Closed, TickQueue
from tickengine._shim import lib

MIB = 1 << 20


def work(queue_path: bytes, style: str, connection: Any) -> None:
    """Reads everything, then waits with its memory mapped until all have measured."""
    lib()
    before = own_memory()
    connection.send(before)
    connection.recv()
    queue = TickQueue._from_path(queue_path)
    received, last = 0, -1
    ordered = True
    while received < FULL:
        if style == "get_many":
            numbers = queue.get_many(1024, timeout=30)["TickNumber"].tolist()
        else:
            numbers = [queue.get(timeout=30).TickNumber]
        ordered = ordered and numbers[0] > last and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        last = numbers[-1]
        received += len(numbers)
    connection.send((received, queue.lost, ordered))
    connection.recv()
    connection.send(own_memory())
    connection.recv()
    try:
        queue.get_many(block=False)
    except Closed:
        connection.send("ended")


def one(number: int, style: str, count: int) -> Row:
    with ExitStack() as held:
        log = held.enter_context(own_log(tag("memory")))
        stat = os.stat(log.path)
        check(stat.st_blocks * 512 >= stat.st_size, "the log's memory is not reserved")
        queues = [held.enter_context(TickQueue()) for _ in range(count)]
        for queue in queues:
            queue.bind(log)
        held.enter_context(OwnWriter(log)).flood(1, FULL)
        crew = held.enter_context(Crew())
        for place, queue in enumerate(queues):
            crew.start(f"worker {place}", work, queue.path, style)
        before = crew.hear("start")
        crew.tell("read")
        for received, lost, ordered in crew.hear():
            words = f"received {received}, lost {lost}, ordered {ordered}"
            check(received == FULL and lost == 0 and ordered, words)
        crew.tell("measure")  # while all map the log
        after = crew.hear()
        log.end()
        crew.tell("end")
        check(crew.hear() == ["ended"] * count, "a worker did not see the end")
        crew.join()
        queue_bytes = sum(os.stat(queue.path).st_size for queue in queues)

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
    script(main)
