"""The loopback front, a vendor library in an engine, and workers behind it: set up, watched for some seconds,
and accounted for. With a writer of our own in the place of front and library too."""

from __future__ import annotations

import ctypes as ct
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from _crew import cpu_seconds, machine_time, pin
from _depth import depth_struct
from _environment import Programs
from _table import Row, check
from _workers import Workers

from tickengine import TickEngine, TickLog
from tickengine._shim import lib, new_handle
from tickengine.front import FrontProcess, MarketSpec

INSTRUMENTS = tuple(f"rb26{n:02d}" for n in range(1, 13))
PREPARED = 4092 * len(INSTRUMENTS)  # a whole number of packets and of instruments
WARM_TICKS = 200_000
CAPACITY = 65536
VOLUMES = 1 << 31  # a writer's Volume is the tick's number modulo this
PLACEMENT = "front first core, library or writer second, workers on the others (with two cores: the first)"
_START_LIMIT_S = 30.0


class Cores:
    """Which process runs where: with `--pin` the source's on the first cores, workers on what is left."""

    def __init__(self, pinned: bool) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.front = {cores[0]} if pinned else None
        self.library = {cores[1 % len(cores)]} if pinned else None
        self.workers = set(cores[2:] or cores[:1]) if pinned else None
        self.words = (
            "front first core, library or writer second, workers the rest" if pinned else "left to the scheduler"
        )


def wait_until(condition: Callable[[], bool], words: str) -> None:
    """Raise with *words* if it is not so within 30 s. Nothing tells when it becomes so: it is looked at."""
    deadline = time.monotonic() + _START_LIMIT_S
    while not condition():
        check(time.monotonic() < deadline, f"not within {_START_LIMIT_S:g} s: {words}")
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


def account(workers: Workers, written: int) -> Row:
    """What was lost in all, after each worker's account has been checked."""
    lost = [answer.lost for answer in workers.finish(written)]
    return {
        "lost": sum(lost) if lost else None,
        "lost %": 100.0 * sum(lost) / (written * len(lost)) if lost else None,
        "lost by": "/".join(map(str, lost)) or "-",
    }


@contextmanager
def own_log(name: str, capacity: int = CAPACITY) -> Iterator[TickLog]:
    """A log of this process, ended and removed behind the context."""
    log = TickLog.create(f"bench-{os.getpid()}-{name}", capacity)
    try:
        yield log
    finally:
        log.end()
        log.unlink()
        log.close()


class OwnWriter:
    """A writer in this process: floods of any length."""

    def __init__(self, log: TickLog) -> None:
        self._writer = new_handle()
        lib().writer_open(log.handle, True, ct.byref(self._writer))
        self.written = 0

    def flood(self, layout: int, count: int, stamped: bool = True) -> tuple[float, float]:
        """Nanoseconds per tick: elapsed, and of this thread's processor time."""
        elapsed = ct.c_int64()
        before = time.thread_time_ns()
        lib().writer_flood(self._writer, layout, depth_struct(layout), count, stamped, ct.byref(elapsed))
        self.written += count
        return elapsed.value / count, (time.thread_time_ns() - before) / count

    def close(self) -> None:
        lib().writer_close(self._writer)

    def __enter__(self) -> OwnWriter:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


class Bench:
    """Cases on fresh fronts, logs and workers, all watched for the same number of seconds."""

    def __init__(self, seconds: float, cores: Cores, programs: Programs) -> None:
        self.seconds = seconds
        self.cores = cores
        self.programs = programs

    @contextmanager
    def front(self, **options: Any) -> Iterator[FrontProcess]:
        """One that begins when all instruments are subscribed; by default flat out with ticks made beforehand."""
        chosen = options or {"flat_out": True, "prepared": PREPARED}
        with FrontProcess(MarketSpec(INSTRUMENTS), wait_ids=len(INSTRUMENTS), send_timeout_s=60.0, **chosen) as front:
            if self.cores.front:
                pin(front.pid, self.cores.front)
            yield front

    @contextmanager
    def engine(self, front: FrontProcess, library: str, workers: Workers) -> Iterator[TickEngine]:
        """Live, workers reading."""
        login = (front.address, "9999", "bench", "bench", "app", "auth")
        engine = TickEngine(*login, INSTRUMENTS, workers.queues, library=library, restart=False)
        with engine:
            assert engine.pid is not None
            if self.cores.library:
                pin(engine.pid, self.cores.library)
            workers.begin(engine.log)
            engine.wait_live()
            yield engine

    def through(
        self, library: str, style: str, count: int, also: Callable[[FrontProcess, int], Row] | None = None
    ) -> Row:
        """Flat out through a vendor library, into so many workers. *also* may add to the row: it is called with
        the front and the number of disconnects while the connection still stands."""
        with Workers(style, count, PREPARED, cores=self.cores.workers) as workers, ExitStack() as running:
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
            row.update(account(workers, written))
        return row

    def empty_callback(self, library: str) -> Row:
        """Flat out through a vendor library into a C++ callback that counts: the library's own speed."""
        program = self.programs.build("empty_callback", with_shim=False, libraries=["-ldl"])
        with self.programs.folder() as flow, self.front() as front:
            cpu, start = cpu_seconds(front.pid), time.monotonic()
            command = [program, library, f"{flow}/", front.address, str(self.seconds), str(WARM_TICKS), *INSTRUMENTS]
            if self.cores.library:
                command = ["taskset", "-c", ",".join(map(str, self.cores.library)), *command]
            done = subprocess.run(command, capture_output=True, text=True)
            check(done.returncode == 0, f"empty_callback: {done.stderr}")
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
        program = self.programs.build("steady_writer", with_shim=True)
        with Workers(style, count, VOLUMES, cores=self.cores.workers) as workers:
            with own_log("steady") as log:
                for queue in workers.queues:
                    queue.bind(log)
                workers.begin(log)
                command = [program, os.fsdecode(log.path), "1", str(rate)]
                with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
                    try:
                        if self.cores.library:
                            pin(writer.pid, self.cores.library)
                        wait_until(lambda: all(workers.received()), "a tick for each of the workers")
                        row = watch(self.seconds, lambda: log.info().ticks, workers, {"writer": writer.pid})
                        output, _ = writer.communicate("")  # the end of its input ends it
                    except BaseException:
                        writer.kill()
                        raise
                check(writer.returncode == 0, f"steady_writer ended with status {writer.returncode}")
                written, _ns, _cpu, behind = map(int, output.split())
                check(log.info().ticks == written, f"the log counts {log.info().ticks} ticks, {written} were written")
                log.end()
                row.update(account(workers, written))
        return {**row, "behind": behind if rate else None}
