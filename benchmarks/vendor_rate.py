"""How fast does the genuine vendor library run with the engine behind it, compared with nothing behind it?

    front process, flat out ──tcp──▶ vendor library ──▶ A      empty C++ callback that counts
    (ticks encoded beforehand)                          B      engine, log, nobody reads
                                                        C      engine, one worker, get_many
                                                        D      engine, one worker, `for tick in queue`
                                                        E2 E4  engine, two and four workers, get_many

Every case gets a new front and the same number of seconds, all cases once per round. ``written``: ticks a
second that came out of the library; ``read``: ticks a second at the slowest worker; ``ratio``: read (A, B:
written) to the same round's A. ``cpu``: processor nanoseconds per written tick of the front, of the
process with the library, of all workers; ``idle``: what was left of the cores. Three busy processes on
two cores slow each other down: look at cpu before blaming the code.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from _environment import Programs, surroundings
from _table import Report, Row, check, medians, options, with_spread

from tickengine import Closed, TickEngine, TickQueue, vendor
from tickengine.front import FrontProcess, MarketSpec

INSTRUMENTS = tuple(f"rb26{n:02d}" for n in range(1, 13))
PREPARED = 4092 * len(INSTRUMENTS)  # a whole number of packets and of instruments
WARM_TICKS = 200_000
_HZ = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _HZ


def work_many(queue: TickQueue, counter: Any, results: Any) -> None:
    """Takes batches, counts, and compares a batch's ends with the last one's; now and then every tick of one."""
    counts = np.frombuffer(counter, np.uint64)
    received = lost_seen = wrong = expected = batches = 0
    try:
        while True:
            ticks = queue.get_many()
            numbers = ticks["TickNumber"]
            first, last, count = int(numbers[0]), int(numbers[-1]), len(numbers)
            lost_seen += first - expected
            if last - first + 1 != count:
                lost_seen += last - first + 1 - count
            batches += 1
            if not batches & 15:
                # NumberedMarket: Turnover is the tick's number in the market, which repeats.
                shift = (
                    ticks["Turnover"].astype(np.int64) - int(ticks["Turnover"][0]) - (numbers - first).astype(np.int64)
                )
                wrong += int(np.count_nonzero(shift % PREPARED)) + int(np.count_nonzero(np.diff(numbers) < 1))
            expected = last + 1
            received += count
            counts[0] = received
    except Closed:
        pass
    results.put((received, queue.lost, lost_seen, wrong))


def work_iterating(queue: TickQueue, counter: Any, results: Any) -> None:
    """One `Tick` at a time; looks at its number and at its price."""
    counts = np.frombuffer(counter, np.uint64)
    received = lost_seen = wrong = expected = 0
    for tick in queue:
        number = tick.TickNumber
        if number != expected:
            wrong += number < expected
            lost_seen += number - expected
        expected = number + 1
        if not tick.LastPrice > 0:
            wrong += 1
        received += 1
        if not received & 1023:
            counts[0] = received
    results.put((received, queue.lost, lost_seen, wrong))


class Workers:
    """Processes on queues of their own, and where each of them stands."""

    def __init__(self, target: Any, count: int, cores: set[int] | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.queues = [TickQueue() for _ in range(count)]
        self.counters = [context.RawArray("Q", 1) for _ in range(count)]
        self.results = context.SimpleQueue()
        self.processes = [
            context.Process(target=target, args=(q, c, self.results), daemon=True)
            for q, c in zip(self.queues, self.counters)
        ]
        for process in self.processes:
            process.start()
            if cores:
                os.sched_setaffinity(process.pid, cores)

    def received(self) -> list[int]:
        return [int(c[0]) for c in self.counters]

    def cpu(self) -> float:
        return sum(cpu_seconds(p.pid) for p in self.processes)

    def finish(self, written: int) -> int:
        """Ticks lost, after checking each worker's account."""
        answers = [self.results.get() for _ in self.processes]
        for process in self.processes:
            process.join()
        for queue in self.queues:
            queue.close()
        for received, lost, lost_seen, wrong in answers:
            check(wrong == 0, f"{wrong} ticks out of order or not themselves")
            check(lost == lost_seen, f"the queue counts {lost} lost, the numbers say {lost_seen}")
            check(received + lost == written, f"received {received} + lost {lost} != written {written}")
        return sum(a[1] for a in answers)


class Bench:
    def __init__(self, args: Any, library: str, program: str, programs: Programs) -> None:
        self.seconds: float = args.seconds
        self.library = library
        self._program = program
        self._programs = programs
        self._flows = 0
        cores = sorted(os.sched_getaffinity(0))
        self._front_cores = {cores[0]} if args.pin else None
        self._engine_cores = {cores[1 % len(cores)]} if args.pin else None
        self._worker_cores = set(cores[2:] or cores[:1]) if args.pin else None

    @contextmanager
    def front(self) -> Iterator[FrontProcess]:
        with FrontProcess(
            MarketSpec(INSTRUMENTS), flat_out=True, prepared=PREPARED, wait_ids=len(INSTRUMENTS), send_timeout_s=60.0
        ) as front:
            if self._front_cores:
                self._pin(front.pid, self._front_cores)
            yield front

    @staticmethod
    def _pin(pid: int, cores: set[int]) -> None:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), cores)

    def empty_callback(self) -> Row:
        self._flows += 1
        flow = self._programs.folder(f"flow{self._flows}") + "/"
        with self.front() as front:
            cpu, start = cpu_seconds(front.pid), time.monotonic()
            command = [
                self._program,
                self.library,
                flow,
                front.address,
                str(self.seconds),
                str(WARM_TICKS),
                *INSTRUMENTS,
            ]
            if self._engine_cores:
                command = ["taskset", "-c", ",".join(map(str, self._engine_cores)), *command]
            done = subprocess.run(command, capture_output=True, text=True)
            check(done.returncode == 0, f"empty_callback: {done.stderr}")
            elapsed = time.monotonic() - start
            ticks, ns, cpu_ns, total = map(int, done.stdout.split()[-4:])
            sent = front.stats().ticks_sent
            check(total <= sent, f"{total} callbacks for {sent} ticks sent")
            # The front is watched over the program's whole life, which is a little longer than the window.
            front_share = (cpu_seconds(front.pid) - cpu) / elapsed
        rate = ticks / ns * 1e9
        return {
            "written/s": rate,
            "read/s": None,
            "front cpu": front_share * 1e9 / rate,
            "library cpu": cpu_ns / ticks,
            "worker cpu": None,
            "lost %": None,
        }

    def engine(self, target: Any, count: int) -> Row:
        workers = Workers(target, count, self._worker_cores)
        with self.front() as front:
            engine = TickEngine(
                front.address,
                "9999",
                "bench",
                "bench",
                "app",
                "auth",
                INSTRUMENTS,
                workers.queues,
                library=self.library,
            )
            with engine:
                assert engine.pid is not None
                if self._engine_cores:
                    self._pin(engine.pid, self._engine_cores)
                engine.wait_live()
                deadline = time.monotonic() + 30
                while engine.log.info().ticks < WARM_TICKS or not all(workers.received()):
                    check(time.monotonic() < deadline, "no ticks, or a worker without any, within 30 s")
                    time.sleep(0.005)

                def look() -> tuple[float, int, list[int], float, float, float]:
                    assert engine.pid is not None
                    return (
                        time.monotonic(),
                        engine.log.info().ticks,
                        workers.received(),
                        cpu_seconds(front.pid),
                        cpu_seconds(engine.pid),
                        workers.cpu(),
                    )

                a = look()
                time.sleep(self.seconds)
                b = look()
                # The front stops first, so that all that it sent is in the log when the engine ends.
                status = engine.status()
                check(status["disconnects"] == 0, f"disconnected: {status}")
                front.pause()
                log = engine.log
            written = log.info().ticks
            check(written <= front.stats().ticks_sent, f"{written} ticks written of {front.stats().ticks_sent} sent")
        lost = workers.finish(written)
        took, ticks = b[0] - a[0], b[1] - a[1]
        reads = [(n - m) / took for m, n in zip(a[2], b[2])]
        return {
            "written/s": ticks / took,
            "read/s": min(reads) if reads else None,
            "front cpu": (b[3] - a[3]) / ticks * 1e9,
            "library cpu": (b[4] - a[4]) / ticks * 1e9,
            "worker cpu": (b[5] - a[5]) / ticks * 1e9 if count else None,
            "lost %": 100.0 * lost / (written * count) if count else None,
        }


def main() -> None:
    parser = options(__doc__ or "", rounds=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="measured window of each case (default 2)")
    parser.add_argument("--cases", default="A,B,C,D,E2,E4", help="comma-separated; A is needed for ratios")
    parser.add_argument(
        "--pin",
        action="store_true",
        help="front on the first core, library on the second, workers on the others (with two cores: on the front's)",
    )
    args = parser.parse_args()
    library, source = vendor.resolve(None)
    info = vendor.probe(library)
    report = Report(
        "vendor_rate: ticks a second through the genuine library, flat out",
        surroundings(
            "front first core, library second, workers the rest" if args.pin else "left to the scheduler",
            args.commit,
            vendor=f"{info.version} ({os.path.basename(library)}, {source})",
            instruments=str(len(INSTRUMENTS)),
        ),
        args.json,
    )
    with Programs() as programs:
        program = programs.build("empty_callback", with_shim=False, libraries=["-ldl"])
        bench = Bench(args, library, program, programs)
        cases = {
            "A": bench.empty_callback,
            "B": lambda: bench.engine(None, 0),
            "C": lambda: bench.engine(work_many, 1),
            "D": lambda: bench.engine(work_iterating, 1),
            "E2": lambda: bench.engine(work_many, 2),
            "E4": lambda: bench.engine(work_many, 4),
        }
        chosen = args.cases.split(",")
        rows: list[Row] = []
        for number in range(1, args.rounds + 1):
            base = None
            for name in chosen:
                row: Row = {"round": number, "case": name, **cases[name]()}
                rate = row["read/s"] if row["read/s"] is not None else row["written/s"]
                base = rate if name == "A" else base
                row["ratio"] = None if base is None else rate / base
                row["written ratio"] = None if base is None else row["written/s"] / base
                rows.append(row)
    values = ["written/s", "read/s", "ratio", "written ratio", "front cpu", "library cpu", "worker cpu", "lost %"]
    report.table("rounds", rows, ["round", "case", *values])
    report.table("medians", medians(rows, ["case"], values), ["case", *with_spread(values[:4]), *values[4:]])
    report.save()


if __name__ == "__main__":
    main()
