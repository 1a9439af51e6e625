"""The processes of the benchmark: started once, given one run after another, always ended."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

import faster_fifo

from tickengine._errors import TickEngineError
from tickengine._segments import random_name
from tickengine._spawn import SpawnedProcess
from tickengine.log import TickLog
from tickengine.queue import TickQueue

from . import parts
from .cases import Case, Schedule
from .interrupts import Interrupts, not_inherited
from .parts import Failed, Read, Written

CAPACITY = 65536
_BOUND = 4096  # ticks in a queue of dicts: flat out its writer is then soon held back
_FIFO_BYTES = 16 << 20
_GRACE_S = 20.0  # for a start, or for a run beyond its schedule


class RunError(TickEngineError):
    """A process ended, said why it cannot go on, or did not answer in time."""


class _Process:
    def __init__(self, target: Any, name: str, *args: Any) -> None:
        self.name = name
        self.link, there = multiprocessing.Pipe()
        self._process = SpawnedProcess(target=target, args=(there, os.getpid(), *args), name=name, daemon=True)
        with not_inherited():
            self._process.start()
        there.close()

    def tell(self, message: Any) -> None:
        try:
            self.link.send(message)
        except ConnectionError:
            raise RunError(self._ended()) from None

    def answer(self) -> Any:
        try:
            answer = self.link.recv()
        except (EOFError, ConnectionError):
            raise RunError(self._ended()) from None
        if isinstance(answer, Failed):
            raise RunError(answer.words)
        return answer

    def end(self) -> None:
        self._process.kill()  # between two runs it does nothing that it could not be killed in
        self._process.join()
        self._process.close()
        self.link.close()

    def _ended(self) -> str:
        self._process.join(_GRACE_S)
        return f"the {self.name} process ended with {self._process.exitcode}"


class Crew:
    """A writer and its workers, with a log and with queues of dicts between them.

    Args:
        cpus: the writer's CPU last, the workers' before it; None: left to the scheduler.
    """

    def __init__(self, workers: int, cpus: Sequence[int] | None, interrupts: Interrupts) -> None:
        self.size = workers
        self._interrupts = interrupts
        self._stack = ExitStack()
        try:
            self._start(workers, cpus)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def _start(self, workers: int, cpus: Sequence[int] | None) -> None:
        with not_inherited():  # here and by itself: it ends with this process, when all is tidied up
            resource_tracker.ensure_running()
        self._log = TickLog.create(random_name("bench"), CAPACITY)
        self._stack.callback(_remove, self._log)
        spawning = multiprocessing.get_context("spawn")
        queues: dict[str, list[Any]] = {"mp.Queue": [], "faster-fifo": []}
        for _ in range(workers):
            queues["mp.Queue"].append(spawning.Queue(_BOUND))
            queues["faster-fifo"].append(faster_fifo.Queue(_FIFO_BYTES))
        for queue in (*queues["mp.Queue"], *queues["faster-fifo"]):
            self._stack.callback(queue.close)
        self._workers: list[_Process] = []
        for index in range(workers):
            own = {channel: members[index] for channel, members in queues.items()}
            self._workers.append(self._process(parts.work, "worker", cpus and cpus[index], own))
        self._writer = self._process(parts.write, "writer", cpus and cpus[-1], self._log.name, queues)
        self._answers([*self._workers, self._writer], _GRACE_S)

    def _process(self, target: Any, name: str, *args: Any) -> _Process:
        process = _Process(target, name, *args)
        self._stack.callback(process.end)
        return process

    def run(self, case: Case, schedule: Schedule) -> tuple[Written, list[Read]]:
        """One run. After a `RunError` the crew is good for nothing but its end."""
        with ExitStack() as queues:
            try:
                return self._run(case, schedule, queues)
            except BaseException:
                self._stack.close()  # first: a worker that is about to open its queue would not find it
                raise

    def _run(self, case: Case, schedule: Schedule, queues: ExitStack) -> tuple[Written, list[Read]]:
        for worker in self._workers:
            queue = None
            if case.channel == "log":
                queue = queues.enter_context(TickQueue(wait=case.wait))
                queue.bind(self._log)
            worker.tell((case, schedule, queue))
        self._answers(self._workers, _GRACE_S)
        self._writer.tell((case, schedule))
        answers = self._answers([self._writer, *self._workers], schedule.seconds + _GRACE_S)
        return answers[self._writer], [answers[worker] for worker in self._workers]

    def _answers(self, processes: list[_Process], patience_s: float) -> dict[_Process, Any]:
        """One of each, in any order: who fails is heard even while others wait for it."""
        deadline = time.monotonic() + patience_s
        left: dict[Any, _Process] = {process.link: process for process in processes}
        answers: dict[_Process, Any] = {}
        while left:
            there = wait([self._interrupts.fd, *left], max(0.0, deadline - time.monotonic()))
            self._interrupts.check()
            if not there:
                names = ", ".join(sorted(process.name for process in left.values()))
                raise RunError(f"no answer within {patience_s:.0f} s from: {names}")
            for link in there:
                assert isinstance(link, Connection)
                process = left.pop(link)
                answers[process] = process.answer()
        return answers


def _remove(log: TickLog) -> None:
    log.end()
    log.unlink()
    log.close()
