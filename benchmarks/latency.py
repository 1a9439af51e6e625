"""How long from the moment a tick is due until a Python worker has read its price and instrument?

    writer process, paced by the clock ──▶ transport ──▶ one worker process

    tickengine spin, adaptive, block    C++ writer, log, TickQueue.get
    mp.Queue of dicts                   Python writer, put(dict), get()
    faster-fifo of dicts                Python writer, put(dict), get()

``paced``: 2,000 ticks a second. ``burst``: 800 ticks due at once every 500 ms; ``last`` is the last tick of
each burst, all other columns are over all ticks. Microseconds on CLOCK_MONOTONIC from the scheduled time,
so that a writer held up by its transport, or by the machine, does not hide it. ``put``: median nanoseconds
the writer spends on one tick. The first tenth of each run is not counted.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import time
from typing import Any

import faster_fifo
import numpy as np
from _environment import Programs, surroundings, version_of
from _table import Report, Row, check, medians, options

from tickengine import TickLog, TickQueue
from tickengine.tick import VENDOR_FIELDS

CAPACITY = 65536
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
SPIN_NS = 100_000
FAR_NS = 20_000_000


def work_ticks(queue: TickQueue, count: int, ready: Any, results: Any) -> None:
    """Reads price and instrument, then looks at the clock."""
    clock = time.monotonic_ns
    due, seen = [0] * count, [0] * count  # storing into numpy would cost as much as a tick
    ordered = True
    ready.release()
    for i in range(count):
        tick = queue.get(timeout=30)
        _price, _instrument = tick.LastPrice, tick.InstrumentID
        seen[i] = clock()
        due[i] = tick.Turnover
        ordered = ordered and tick.Volume == i
    results.put((due, seen, ordered, queue.lost))


def work_dicts(queue: Any, count: int, ready: Any, results: Any) -> None:
    """The same from a queue of dicts."""
    clock = time.monotonic_ns
    due, seen = [0] * count, [0] * count  # storing into numpy would cost as much as a tick
    ordered = True
    ready.release()
    for i in range(count):
        tick = queue.get(timeout=30)
        _price, _instrument = tick["LastPrice"], tick["InstrumentID"]
        seen[i] = clock()
        due[i] = tick["Turnover"]
        ordered = ordered and tick["Volume"] == i
    results.put((due, seen, ordered, 0))


def write_dicts(queue: Any, interval_ns: int, burst: int, count: int, results: Any) -> None:
    """What paced_writer.cpp does, in Python: sleep, spin the rest, keep the schedule."""
    clock = time.monotonic_ns
    fields: dict[str, Any] = dict.fromkeys(VENDOR_FIELDS, 3123.5)
    fields.update(
        InstrumentID=b"rb2601",
        ExchangeInstID=b"rb2601",
        ExchangeID=b"SHFE",
        TradingDay=b"20260105",
        ActionDay=b"20260105",
        UpdateTime=b"09:30:01",
        UpdateMillisec=500,
    )
    took = np.zeros(count, np.int64)
    late = 0
    start = clock() + FAR_NS
    for i in range(count):
        due = start + i // burst * interval_ns
        if i % burst == 0:
            left = due - SPIN_NS - clock()
            if left > 0:
                time.sleep(left / 1e9)
            while clock() < due:
                pass
        # A new dict each time: mp.Queue pickles it later, on a thread of its own.
        tick = dict(fields, Turnover=float(due), Volume=i)
        before = clock()
        late += burst == 1 and before - due > 100_000
        queue.put(tick)
        took[i] = clock() - before
    results.put((float(np.median(took)), float(np.percentile(took, 99)), late))


class Bench:
    def __init__(self, program: str, seconds: float, cores: list[int] | None) -> None:
        self._program = program
        self._seconds = seconds
        self._cores = cores
        self._context = multiprocessing.get_context("spawn")

    def schedule(self, shape: str) -> tuple[int, int, int]:
        """Nanoseconds between bursts, ticks in one, ticks in all."""
        interval, burst = (500_000, 1) if shape == "paced" else (500_000_000, 800)
        return interval, burst, max(2, int(self._seconds * 1e9 / interval)) * burst

    def _reader(self, target: Any, queue: Any, count: int) -> tuple[Any, Any]:
        ready, results = self._context.Semaphore(0), self._context.SimpleQueue()
        process = self._context.Process(target=target, args=(queue, count, ready, results), daemon=True)
        process.start()
        if self._cores:
            os.sched_setaffinity(process.pid, {self._cores[0]})
        ready.acquire()
        return process, results

    def ticks(self, wait: str, shape: str) -> Row:
        interval, burst, count = self.schedule(shape)
        log = TickLog.create(f"bench-{os.getpid()}-latency", CAPACITY)
        queue = TickQueue(wait=wait)
        queue.bind(log)
        process, results = self._reader(work_ticks, queue, count)
        command = [self._program, log.path.decode(), "1", str(interval), str(burst), str(count)]
        if self._cores:
            command = ["taskset", "-c", str(self._cores[-1]), *command]
        done = subprocess.run(command, capture_output=True, text=True)
        check(done.returncode == 0, f"paced_writer: {done.stderr}")
        put, put99, late = map(float, done.stdout.split())
        row = self._evaluate(results.get(), burst, put, put99, late)
        process.join()
        log.end()
        queue.close()
        log.unlink()
        log.close()
        return row

    def dicts(self, kind: str, shape: str) -> Row:
        interval, burst, count = self.schedule(shape)
        queue: Any = self._context.Queue() if kind == "mp.Queue" else faster_fifo.Queue(64 << 20)
        process, results = self._reader(work_dicts, queue, count)
        answers = self._context.SimpleQueue()
        writer = self._context.Process(target=write_dicts, args=(queue, interval, burst, count, answers), daemon=True)
        writer.start()
        if self._cores:
            os.sched_setaffinity(writer.pid, {self._cores[-1]})
        put, put99, late = answers.get()
        row = self._evaluate(results.get(), burst, put, put99, late)
        writer.join()
        process.join()
        return row

    @staticmethod
    def _evaluate(answer: Any, burst: int, put: float, put99: float, late: float) -> Row:
        due, seen, ordered, lost = answer
        check(ordered and lost == 0, f"ordered {ordered}, lost {lost}")
        latency = (np.array(seen) - np.array(due, np.int64)) / 1000.0
        check(bool((latency > 0).all()), "a tick was seen before it was due")
        counted = latency[len(latency) // 10 // burst * burst :]
        row: Row = {f"p{p:g}": float(np.percentile(counted, p)) for p in PERCENTILES}
        row["max"] = float(counted.max())
        if burst > 1:
            lasts = counted[burst - 1 :: burst]
            row["last"], row["last max"] = float(np.median(lasts)), float(lasts.max())
        row.update({"put ns": put, "put p99": put99, "late": int(late), "ticks": len(counted)})
        return row


def main() -> None:
    parser = options(__doc__ or "", rounds=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each run (default 3)")
    parser.add_argument("--pin", action="store_true", help="worker on the first core, writer on the last")
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if args.pin else None
    report = Report(
        "latency: microseconds from the scheduled time to price and instrument read in Python",
        surroundings(
            "worker first core, writer last core" if args.pin else "left to the scheduler",
            args.commit,
            **{"faster-fifo": version_of("faster-fifo")},
            ring=f"{CAPACITY} ticks",
        ),
        args.json,
    )
    rows: list[Row] = []
    with Programs() as programs:
        bench = Bench(programs.build("paced_writer", with_shim=True), args.seconds, cores)
        for number in range(1, args.rounds + 1):
            for shape in ("paced", "burst"):
                for wait in ("spin", "adaptive", "block"):
                    rows.append(
                        {"round": number, "shape": shape, "transport": f"tickengine {wait}", **bench.ticks(wait, shape)}
                    )
                for kind in ("mp.Queue", "faster-fifo"):
                    rows.append(
                        {"round": number, "shape": shape, "transport": f"{kind} dict", **bench.dicts(kind, shape)}
                    )
    values = [*(f"p{p:g}" for p in PERCENTILES), "max", "last", "last max", "put ns", "put p99", "late"]
    case = ["shape", "transport"]
    report.table("rounds", rows, ["round", *case, *values, "ticks"])
    summary = medians(rows, case, values)
    for row in summary:
        # The worker is woken per tick when paced; a burst is judged by its last tick.
        key = "p50" if row["shape"] == "paced" else "last"
        queue = next(r for r in summary if r["shape"] == row["shape"] and r["transport"] == "mp.Queue dict")
        row["mp.Queue / this"] = queue[key] / row[key]
    report.table("medians", summary, [*case, *values, "mp.Queue / this"])
    report.table("spread", summary, [*case, *(f"{v} min..max" for v in ("p50", "p99", "p99.9", "last"))])
    report.save()


if __name__ == "__main__":
    main()
