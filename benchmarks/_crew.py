"""Processes of a benchmark: spawned, spoken to through a pipe each, never left behind. And what they use."""

from __future__ import annotations

import ctypes as ct
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from _table import BrokenRun, check

ANSWER_LIMIT_S = 60.0
_PR_SET_PDEATHSIG = 1
CONTEXT = multiprocessing.get_context("spawn")
_CPUCLOCK_SCHED = 2  # linux/posix-timers.h: how the number of a process's clock is made of its pid


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads: its clock, which is finer than /proc's hundredths."""
    try:
        return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED) / 1e9
    except OSError:
        raise BrokenRun(f"process {pid} is gone") from None


def resident_mib(pid: int) -> float:
    """Memory of a process."""
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def machine_time() -> tuple[int, int]:
    """Of all processors together since the start: stolen by the hypervisor, and all of it."""
    with open("/proc/stat") as f:
        times = [int(word) for word in f.readline().split()[1:9]]  # user nice system idle iowait irq softirq steal
    return times[7], sum(times)


def pin(pid: int, cores: set[int]) -> None:
    """All threads of a process."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), cores)


def _main(parent: int, target: Callable[..., None], args: tuple[Any, ...], pipe: Connection) -> None:
    """Who only reads would not notice that a script was killed."""
    ct.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:
        target(*args, pipe)


class Crew:
    """Processes that each have a pipe to this one. With it as context they are gone behind it, whatever happened."""

    def __init__(self) -> None:
        self._processes: list[Any] = []
        self._pipes: list[Connection] = []

    def start(self, target: Callable[..., None], *args: Any, cores: set[int] | None = None) -> int:
        """``target(*args, pipe)`` in a process of its own; its pid."""
        ours, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=_main, args=(os.getpid(), target, args, theirs), daemon=True)
        process.start()
        theirs.close()
        self._processes.append(process)
        self._pipes.append(ours)
        if cores:
            os.sched_setaffinity(process.pid, cores)
        return int(process.pid)

    def tell(self, message: Any) -> None:
        """The same to each."""
        for pipe in self._pipes:
            pipe.send(message)

    def hear(self) -> list[Any]:
        """One message from each. Raises `BrokenRun` if one dies or says nothing for 60 s."""
        deadline = time.monotonic() + ANSWER_LIMIT_S
        messages = []
        for process, pipe in zip(self._processes, self._pipes):
            wait([pipe, process.sentinel], max(0.0, deadline - time.monotonic()))
            check(pipe.poll(), f"process {process.pid} does not answer (status {process.exitcode})")
            try:
                messages.append(pipe.recv())
            except EOFError:
                process.join(1.0)
                check(False, f"process {process.pid} has died (status {process.exitcode}); its words are above")
        return messages

    def join(self) -> None:
        """Wait for their ends, which must be good ones."""
        for process in self._processes:
            process.join(ANSWER_LIMIT_S)
            check(process.exitcode == 0, f"process {process.pid} ended with status {process.exitcode}")

    def cpu(self) -> float:
        """Processor seconds of all of them."""
        return sum(cpu_seconds(p.pid) for p in self._processes)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_exc: object) -> None:
        for process in self._processes:
            process.kill()
            process.join()
        for pipe in self._pipes:
            pipe.close()
