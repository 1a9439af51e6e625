"""The processes of one run: started where they belong, waited for no longer than they may take, always ended."""

from __future__ import annotations

import ctypes as ct
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

import numpy as np
from _schedule import END, Read, Schedule, Written, write
from transports._base import Case, Part, ProgramPart, PythonPart
from transports.loops import LOOPS

_PR_SET_PDEATHSIG = 1
_END_PATIENCE_S = 5.0
_AGAIN_S = 0.1


class Failed(Exception):
    """A process has ended, or said why it cannot go on, or did not answer in time."""


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """What is started inside runs on this core; None: anywhere."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


# ---- in the child ------------------------------------------------------------------------------


def _die_with_parent(parent: int) -> None:
    """A worker that polls would never end by itself if the script were killed."""
    ct.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _work(link: Any, parent: int, part: PythonPart, schedule: Schedule) -> None:
    _die_with_parent(parent)
    try:
        timed, flat = LOOPS[part.loop]
        loop = timed if schedule.count else flat
        if loop is None:
            raise Failed(f"there is no loop for {part.loop} flat out")
        seen = [0] * schedule.count  # storing into numpy would cost as much as a tick
        with part.make(*part.args) as ticks:
            link.send("ready")
            cpu, begin = time.process_time_ns(), time.monotonic_ns()
            received, ordered = loop(ticks, seen)
            end = time.monotonic_ns()
            share = (time.process_time_ns() - cpu) / (end - begin)
            link.send(Read(np.array(seen, np.int64) if seen else None, received, ordered, end, share))
    except Exception as error:
        link.send(Failed(f"worker: {type(error).__name__}: {error}"))


def _write(link: Any, parent: int, part: PythonPart, schedule: Schedule) -> None:
    _die_with_parent(parent)
    try:
        with part.make(*part.args) as send:
            link.send("ready")
            link.recv()  # all workers are there
            link.send(write(schedule, send))
            while not link.poll(_AGAIN_S if part.repeat_end else None):  # until all workers have met the end
                send(END)
    except Exception as error:
        link.send(Failed(f"writer: {type(error).__name__}: {error}"))


# ---- in the script -----------------------------------------------------------------------------


class _PythonProcess:
    def __init__(self, case: Case, part: PythonPart, target: Any) -> None:
        self.source, there = case.context.Pipe()  # what wait() can wait for
        self._process = case.context.Process(target=target, args=(there, os.getpid(), part, case.schedule), daemon=True)
        self._process.start()
        there.close()

    def answer(self) -> Any:
        try:
            answer = self.source.recv()
        except (EOFError, ConnectionError):
            self._process.join(_END_PATIENCE_S)
            raise Failed(f"a process ended with {self._process.exitcode} before it was done") from None
        if isinstance(answer, Failed):
            raise answer
        return answer

    def go(self) -> None:
        try:
            self.source.send("go")
        except ConnectionError:
            pass  # has failed: its answer says why

    def end(self, patience_s: float) -> None:
        self._process.join(patience_s)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._process.close()
        self.source.close()


class _Program:
    def __init__(self, part: ProgramPart) -> None:
        self._name = os.path.basename(part.command[0])
        # Unbuffered, so that what can be read is never hidden from wait().
        self._process = subprocess.Popen(part.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.source = self._process.stdout

    def answer(self) -> str:
        assert self.source is not None and self._process.stderr is not None
        line = self.source.readline().decode()
        if not line.endswith("\n"):
            self._process.wait(_END_PATIENCE_S)
            errors = self._process.stderr.read().decode().strip()
            raise Failed(f"{self._name} ended with {self._process.returncode}: {errors}")
        return line

    def end(self, patience_s: float) -> None:
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process.communicate()


class Worker:
    def __init__(self, case: Case, part: Part) -> None:
        self._case, self._part = case, part
        self._process = _PythonProcess(case, part, _work) if isinstance(part, PythonPart) else _Program(part)
        self.source, self.end = self._process.source, self._process.end

    def ready(self) -> None:
        self._process.answer()

    def result(self) -> Read:
        answer = self._process.answer()
        if isinstance(self._part, PythonPart):
            read: Read = answer
            return read
        received, ordered, end, cpu, wall = map(int, answer.split())
        seen = np.fromfile(self._part.seen_file, np.int64) if self._case.schedule.count else None
        return Read(seen, received, bool(ordered), end, cpu / wall)


class Writer:
    """A writer in Python makes its end of the channels at once; a program starts with `go`."""

    def __init__(self, case: Case, part: Part, core: int | None) -> None:
        self._part, self._core = part, core
        self._python: _PythonProcess | None = None
        self._program: _Program | None = None
        if isinstance(part, PythonPart):
            with on_core(core):
                self._python = _PythonProcess(case, part, _write)

    @property
    def source(self) -> Any:
        process = self._python or self._program
        return None if process is None else process.source

    def ready(self) -> None:
        if self._python is not None:
            self._python.answer()

    def go(self) -> None:
        if self._python is not None:
            self._python.go()
        elif isinstance(self._part, ProgramPart):
            with on_core(self._core):
                self._program = _Program(self._part)

    def result(self) -> Written:
        if self._python is not None:
            written: Written = self._python.answer()
            return written
        assert self._program is not None
        start, p50, p99, late, count = self._program.answer().split()
        return Written(int(start), float(p50), float(p99), int(late), int(count))

    def end(self, patience_s: float) -> None:
        if self._python is not None:
            self._python.go()
            self._python.end(patience_s)
        if self._program is not None:
            self._program.end(patience_s)


def _in_any_order(processes: list[Worker | Writer], deadline: float, what: str) -> Iterator[Worker | Writer]:
    """Each once, when it has something to say: who fails is heard even while others wait for it."""
    left = {process.source: process for process in processes if process.source is not None}
    while left:
        there = wait(list(left), max(0.0, deadline - time.monotonic()))
        if not there:
            workers = sum(isinstance(process, Worker) for process in left.values())
            others = " and the writer" if workers < len(left) else ""
            raise Failed(f"no {what} in time from {workers} of the workers{others}")
        for source in there:
            yield left.pop(source)


def run(
    case: Case, writer_part: Part, worker_parts: list[Part], cores: list[int] | None, grace_s: float
) -> tuple[Written, list[Read]]:
    """One run: what the writer and each worker say. Raises `Failed`; leaves no process behind."""
    started: list[Worker | Writer] = []
    patience_s = 0.0  # after a failure nobody is waited for
    try:
        writer = Writer(case, writer_part, None if cores is None else cores[-1])
        started.append(writer)
        deadline = time.monotonic() + grace_s
        for process in _in_any_order(started, deadline, "start"):
            process.ready()  # alone: there are publishers that turn out the readers they find
        for index, part in enumerate(worker_parts):
            with on_core(None if cores is None else cores[index % max(1, len(cores) - 1)]):
                started.append(Worker(case, part))
        for process in _in_any_order(started[1:], deadline, "start"):
            process.ready()
        writer.go()
        results: dict[Worker | Writer, Any] = {}
        deadline = time.monotonic() + case.schedule.seconds + grace_s
        for process in _in_any_order(started, deadline, "result (is the last tick lost?)"):
            results[process] = process.result()
        patience_s = _END_PATIENCE_S
        return results[writer], [results[process] for process in started[1:]]
    finally:
        for process in started:
            process.end(patience_s)
