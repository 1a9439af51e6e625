"""The loopback front, a vendor library in an engine, and workers behind it: set up, watched for some seconds,
and accounted for. With a writer of our own in the place of front and library too.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from tickengine import TickEngine, vendor
from tickengine.front import FrontProcess, MarketSpec

from .logs import VOLUMES
from .placement import Cores, on_core, placement
from .processes import Crew, Program, run_to_end
from .programs import Programs
from .report import Row, check
from .usage import cpu_seconds, machine_time
from .workers import Workers, workers_on_own_log

INSTRUMENTS = tuple(f"rb26{n:02d}" for n in range(1, 13))
PREPARED = 4092 * len(INSTRUMENTS)  # a whole number of packets and of instruments
WARM_TICKS = 200_000
_LIMIT_S = 30.0


def wait_until(condition: Callable[[], bool], words: str) -> None:
    """Raise with *words* if it is not so within 30 s. Nothing tells when it becomes so: it is looked at."""
    deadline = time.monotonic() + _LIMIT_S
    while not condition():
        check(time.monotonic() < deadline, f"not within {_LIMIT_S:g} s: {words}")
        time.sleep(0.005)


class Readers(Protocol):
    """Workers of any kind."""

    def received(self) -> list[int]: ...

    def cpu(self) -> float: ...


def watch(seconds: float, written: Callable[[], int], workers: Readers, processes: Mapping[str, int]) -> Row:
    """Rates over a window of so many seconds, and processor time: of *processes* (name to pid) and of the workers.

    ``X cpu``: nanoseconds per written tick, ``ns/read``: of a worker, per tick it has got. ``stolen %``: what the
    hypervisor gave to others.
    """

    def look() -> tuple[float, int, list[int], list[float], float, tuple[int, int]]:
        return (
            time.monotonic(),
            written(),
            workers.received(),
            [cpu_seconds(pid) for pid in processes.values()],
            workers.cpu(),
            machine_time(),
        )

    a = look()
    time.sleep(seconds)
    b = look()
    took, ticks = b[0] - a[0], b[1] - a[1]
    got = [n - m for m, n in zip(a[2], b[2])]
    check(ticks > 0 and all(got), f"{ticks} ticks written and {got} read in {took:.1f} s")
    row: Row = {
        "written/s": ticks / took,
        "read/s": min(got) / took if got else None,
        "sum/s": sum(got) / took if got else None,
        "worker cpu": (b[4] - a[4]) / ticks * 1e9 if got else None,
        "ns/read": (b[4] - a[4]) / sum(got) * 1e9 if got else None,
        "stolen %": 100.0 * (b[5][0] - a[5][0]) / max(1, b[5][1] - a[5][1]),
    }
    for name, m, n in zip(processes, a[3], b[3]):
        row[f"{name} cpu"] = (n - m) / ticks * 1e9
    return row


class FeedRuns:
    """Cases on fresh fronts, logs and workers, all watched for the same number of seconds."""

    def __init__(self, seconds: float, cores: Cores, programs: Programs) -> None:
        self.seconds = seconds
        self.cores = cores
        self.programs = programs

    @contextmanager
    def front(self, **options: Any) -> Iterator[FrontProcess]:
        """One that begins when all instruments are subscribed; by default flat out with ticks made beforehand."""
        chosen = options or {"flat_out": True, "prepared": PREPARED}
        front = FrontProcess(MarketSpec(INSTRUMENTS), wait_ids=len(INSTRUMENTS), send_timeout_s=60.0, **chosen)
        with ExitStack() as running:
            with on_core(self.cores.front):
                running.enter_context(front)
            yield front

    @contextmanager
    def engine(self, front: FrontProcess, library: str, workers: Workers) -> Iterator[TickEngine]:
        """Live, workers reading."""
        login = (front.address, "9999", "bench", "bench", "app", "auth")
        engine = TickEngine(*login, INSTRUMENTS, workers.queues, library=library, restart=False)
        with ExitStack() as running:
            with on_core(self.cores.writer):
                running.enter_context(engine)
            workers.begin(engine.log)
            engine.wait_live()
            yield engine

    def through(
        self, library: str, style: str, count: int, also: Callable[[FrontProcess, int], Row] | None = None
    ) -> Row:
        """Flat out through a vendor library, into so many workers. *also* may add to the row: it is called with
        the front and the number of disconnects while the connection still stands."""
        with Workers(style, count, PREPARED, cores=self.cores) as workers, ExitStack() as running:
            front = running.enter_context(self.front())
            with self.engine(front, library, workers) as engine:
                assert engine.pid is not None
                log = engine.log
                wait_until(
                    lambda: log.info().ticks >= WARM_TICKS and all(workers.received()), "ticks, for each of the workers"
                )
                row = watch(
                    self.seconds, lambda: log.info().ticks, workers, {"front": front.pid, "library": engine.pid}
                )
                # The front stops first, so that all that it sent is in the log when the engine ends.
                status = engine.status()
                check(status["disconnects"] == 0, f"disconnected: {status}")
                front.pause()
                if also is not None:
                    row.update(also(front, status["disconnects"]))
            written = log.info().ticks
            check(written <= front.stats().ticks_sent, f"{written} ticks written of {front.stats().ticks_sent} sent")
            row.update(workers.losses(written))
        return row

    def empty_callback(self, library: str) -> Row:
        """Flat out through a vendor library into a C++ callback that counts: the library's own speed."""
        program = self.programs.build("empty_callback")
        with self.programs.folder() as flow, self.front() as front:
            cpu, start = cpu_seconds(front.pid), time.monotonic()
            command = [program, library, f"{flow}/", front.address, str(self.seconds), str(WARM_TICKS), *INSTRUMENTS]
            done = run_to_end(command, core=self.cores.writer, limit_s=_LIMIT_S + self.seconds)
            elapsed = time.monotonic() - start
            ticks, ns, cpu_ns, total = map(int, done.stdout.split()[-4:])
            sent = front.stats().ticks_sent
            check(total <= sent, f"{total} callbacks for {sent} ticks sent")
            # The front is watched over the program's whole life, which is a little longer than the window.
            front_share = (cpu_seconds(front.pid) - cpu) / elapsed
        rate = ticks / ns * 1e9
        return {"written/s": rate, "front cpu": front_share * 1e9 / rate, "library cpu": cpu_ns / ticks}

    def from_writer(self, rate: float, style: str, count: int) -> Row:
        """From `steady_writer` at that rate, 0 for flat out, into so many workers."""
        program = self.programs.build("steady_writer")
        with workers_on_own_log(style, count, VOLUMES, cores=self.cores) as (log, workers), Crew() as crew:
            command = [program, os.fsdecode(log.path), self.programs.tick_file(1), str(rate)]
            writer = crew.add(Program(command, self.cores.writer))
            wait_until(lambda: all(workers.received()), "a tick for each of the workers")
            row = watch(self.seconds, lambda: log.info().ticks, workers, {"writer": writer.pid})
            crew.tell("end")
            written, _ns, _cpu, behind = map(int, crew.hear()[0].split())
            crew.join()
            check(log.info().ticks == written, f"the log counts {log.info().ticks} ticks, {written} were written")
            log.end()
            row.update(workers.losses(written))
        return {**row, "behind": behind if rate else None}


def add_feed_options(parser: argparse.ArgumentParser, *, seconds: float) -> None:
    parser.add_argument(
        "--seconds", type=float, default=seconds, help=f"measured window of each case (default {seconds:g})"
    )
    parser.add_argument("--library", default=vendor.PLAIN_FTD_PACKAGE, help="the genuine library: package or path")
    parser.add_argument("--pin", action="store_true", help=placement(front=True))


def find_library(name: str) -> tuple[str, vendor.Vendor, str]:
    """Path, what it is, and the same in words."""
    path, source = vendor.resolve(name)
    info = vendor.probe(path)
    return path, info, f"{info.version} ({os.path.basename(path)}, {source})"
