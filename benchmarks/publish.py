"""What does publishing a tick cost on the writer's thread, and who makes it dearer?

    writer process, C++ loop: normalise, stamp, publish ──▶ log ◀── 0..64 queues bound
                                                                ◀── 0..8 reader processes

``bound``: queues are bound and nobody reads. ``spin``: that many processes read with get_many and never
sleep. ``block``: they sleep when there is nothing. ``wall`` is elapsed time per tick of the median chunk,
``cpu`` the writer thread's processor time: where there are more processes than cores, only cpu means
anything. ``instructions``: counted by valgrind, exact and the same on every machine.
"""

from __future__ import annotations

import ctypes as ct
import multiprocessing
import os
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from _depth import depth_struct
from _environment import Programs, surroundings, version_of
from _table import Report, Row, check, medians, options, with_spread

from tickengine import Closed, TickLog, TickQueue
from tickengine._shim import lib, new_handle

CAPACITY = 65536
CHUNK_TICKS = 50_000


class Bench:
    """A log, its writer, and queues bound to it."""

    def __init__(self, name: str, queues: int, wait: str = "adaptive") -> None:
        self.log = TickLog.create(f"bench-{os.getpid()}-{name}", CAPACITY)
        self.writer = new_handle()
        lib().writer_open(self.log.handle, True, ct.byref(self.writer))
        self.queues = [TickQueue(wait=wait) for _ in range(queues)]
        for queue in self.queues:
            queue.bind(self.log)
        self.written = 0

    def flood(self, layout: int, count: int, stamped: bool) -> tuple[float, float]:
        """Nanoseconds per tick: elapsed, and of this thread's processor time."""
        elapsed = ct.c_int64()
        before = time.thread_time_ns()
        lib().writer_flood(self.writer, layout, depth_struct(layout), count, stamped, ct.byref(elapsed))
        self.written += count
        return elapsed.value / count, (time.thread_time_ns() - before) / count

    def end(self) -> None:
        lib().writer_close(self.writer)
        self.log.end()

    def close(self) -> None:
        for queue in self.queues:
            queue.close()
        self.log.unlink()
        self.log.close()


def read_all(queue: TickQueue, ready: Any, results: Any) -> None:
    """One reader process: every batch in order, and received + lost in the end."""
    ready.release()
    received = gaps = expected = lost_seen = 0
    try:
        while True:
            numbers = queue.get_many()["TickNumber"]
            lost_seen += int(numbers[0]) - expected
            span = int(numbers[-1]) - int(numbers[0]) + 1
            lost_seen += span - len(numbers)
            gaps += int(numbers[-1]) < int(numbers[0])
            received += len(numbers)
            expected = int(numbers[-1]) + 1
    except Closed:
        pass
    results.put((received, queue.lost, lost_seen, gaps))


@contextmanager
def readers(bench: Bench) -> Iterator[Any]:
    """A process per queue, all ready; checked when the log has ended."""
    context = multiprocessing.get_context("spawn")
    ready, results = context.Semaphore(0), context.SimpleQueue()
    processes = [context.Process(target=read_all, args=(q, ready, results), daemon=True) for q in bench.queues]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    totals: dict[str, int] = {}
    yield totals
    bench.end()
    answers = [results.get() for _ in processes]
    for process in processes:
        process.join()
    for received, lost, lost_seen, gaps in answers:
        check(received + lost == bench.written, f"received {received} + lost {lost} != written {bench.written}")
        check(lost == lost_seen and gaps == 0, f"lost {lost}, seen {lost_seen}, {gaps} batches out of order")
    totals["received"] = sum(a[0] for a in answers)
    totals["lost"] = sum(a[1] for a in answers)


def measure(bench: Bench, layout: int, stamped: bool, chunks: int) -> tuple[float, float]:
    pairs = [bench.flood(layout, CHUNK_TICKS, stamped) for _ in range(chunks)]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)


def bound_rows(number: int, counts: list[int], chunks: int) -> list[Row]:
    rows: list[Row] = []
    for queues in counts:
        bench = Bench(f"bound{queues}", queues)
        bench.flood(1, CAPACITY + 1000, True)  # the whole ring once
        for layout in (1, 3):
            for stamped in (True, False):
                wall, cpu = measure(bench, layout, stamped, chunks)
                rows.append(
                    {
                        "round": number,
                        "case": "bound",
                        "n": queues,
                        "layout": layout,
                        "stamp": "yes" if stamped else "no",
                        "wall ns": wall,
                        "cpu ns": cpu,
                    }
                )
        check(bench.log.info().ticks == bench.written, "the log has not counted what was written")
        bench.end()
        bench.close()
    return rows


def reader_rows(number: int, case: str, counts: list[int], chunks: int) -> list[Row]:
    rows = []
    for count in counts:
        bench = Bench(f"{case}{count}", count, wait=case)
        with readers(bench) as totals:
            bench.flood(1, CAPACITY + 1000, True)
            wall, cpu = measure(bench, 1, True, chunks)
            wakes_before = bench.log.info().wakes
        rows.append(
            {
                "round": number,
                "case": case,
                "n": count,
                "layout": 1,
                "stamp": "yes",
                "wall ns": wall,
                "cpu ns": cpu,
                "wakes": wakes_before,
                "lost %": 100.0 * totals["lost"] / (bench.written * count),
            }
        )
        bench.close()
    return rows


def instructions(programs: Programs) -> list[Row]:
    """Per tick, from the difference of two runs under valgrind."""
    program = programs.build("publish_count", with_shim=True)
    rows = []
    few, many = 20_000, 40_000
    for layout, stamped, queues in ((1, 1, 0), (1, 1, 64), (1, 0, 0), (3, 1, 0), (3, 0, 0)):
        totals = []
        for ticks in (few, many):
            name = f"bench-{os.getpid()}-count"
            command = [
                "valgrind",
                "--tool=callgrind",
                "--callgrind-out-file=/dev/null",
                program,
                f"/dev/shm/{name}",
                str(layout),
                str(stamped),
                str(queues),
                str(ticks),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
            check(found is not None, f"valgrind has printed no count: {done.stderr[-300:]}")
            assert found is not None
            totals.append(int(found.group(1)))
        rows.append(
            {
                "layout": layout,
                "stamp": "yes" if stamped else "no",
                "queues": queues,
                "instructions": (totals[1] - totals[0]) / (many - few),
            }
        )
    return rows


def main() -> None:
    parser = options(__doc__ or "", rounds=5)
    parser.add_argument("--chunks", type=int, default=20, help=f"floods of {CHUNK_TICKS} ticks per case and round")
    parser.add_argument("--queues", type=int, nargs="*", default=[0, 1, 2, 4, 8, 16, 64])
    parser.add_argument("--spin", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--block", type=int, nargs="*", default=[1, 2, 4])
    args = parser.parse_args()
    report = Report(
        "publish: nanoseconds per tick on the writer's thread",
        surroundings(
            "left to the scheduler",
            args.commit,
            valgrind=version_of_valgrind(),
            ring=f"{CAPACITY} ticks",
            tickengine=version_of("tickengine"),
        ),
        args.json,
    )
    rows: list[Row] = []
    for number in range(1, args.rounds + 1):
        rows += bound_rows(number, args.queues, args.chunks)
        rows += reader_rows(number, "spin", args.spin, args.chunks)
        rows += reader_rows(number, "block", args.block, args.chunks)
    case = ["case", "n", "layout", "stamp"]
    values = ["wall ns", "cpu ns", "wakes", "lost %"]
    report.table("rounds", rows, ["round", *case, *values])
    summary = medians(rows, case, values)
    one = {(r["layout"], r["stamp"]): r["wall ns"] for r in summary if r["case"] == "bound" and r["n"] == 1}
    for row in summary:
        base = one.get((row["layout"], row["stamp"]))
        row["to 1 queue"] = None if base is None else row["wall ns"] / base
    report.table("medians", summary, [*case, *with_spread(["wall ns", "cpu ns"]), "wakes", "lost %", "to 1 queue"])
    if shutil.which("valgrind") is None:
        report.note("instructions", "not counted: valgrind was not found")
    else:
        with Programs() as programs:
            report.table(
                "instructions per tick (valgrind)",
                instructions(programs),
                ["layout", "stamp", "queues", "instructions"],
            )
    report.save()


def version_of_valgrind() -> str:
    try:
        return subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "none"


if __name__ == "__main__":
    main()
