"""Runs of a transport, one after another, into rows: what latency.py and peers.py have in common."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import product
from typing import Any

import numpy as np
from parts.depth import depth_struct
from parts.logs import OwnWriter, own_log
from parts.placement import Cores, on_core, placement
from parts.processes import Crew, Process, Program, PythonProcess, hear, remove_tagged, tag
from parts.programs import Programs
from parts.report import BrokenRun, Report, Row
from parts.schedule import END, Read, Schedule, Written, evaluate, write

from .base import Case, Part, ProgramPart, PythonPart, Transport
from .loops import LOOPS

LAYOUT = 3
POLLING = ("spins", "polls")
PLACES = {"no": ("free",), "yes": ("pinned",), "both": ("free", "pinned")}
_GRACE_S = 25.0  # beyond the schedule: starting processes, reading what is left
_END_PATIENCE_S = 5.0
_AGAIN_S = 0.1


def add_options(
    parser: argparse.ArgumentParser, *, seconds: float, workers: Sequence[int], shapes: Sequence[str]
) -> None:
    parser.add_argument("--seconds", type=float, default=seconds, help=f"length of each run (default {seconds:g})")
    numbers = " ".join(map(str, workers))
    parser.add_argument("--workers", type=int, nargs="+", default=list(workers), help=f"default {numbers}")
    words = f"yes: {placement(front=False)}; both: every case without and with"
    parser.add_argument("--pin", nargs="?", const="yes", default="no", choices=list(PLACES), help=words)
    parser.add_argument("--shapes", nargs="+", default=list(shapes), choices=shapes, help="default all")
    parser.add_argument("--only", metavar="A,B", help="transports whose name contains one of these")


def placement_words(pin: str) -> str:
    words = {"free": Cores(False).words, "pinned": Cores(True).words}
    return "; ".join(words[place] if pin != "both" else f"{place}: {words[place]}" for place in PLACES[pin])


def chosen(transports: list[Transport], only: str | None) -> list[Transport]:
    """Those that ``--only`` names."""
    if only is None:
        return transports
    parts = only.split(",")
    for part in parts:
        if not any(part in t.name for t in transports):
            raise SystemExit(f"--only {part!r} is in none of: {', '.join(t.name for t in transports)}")
    return [t for t in transports if any(part in t.name for part in parts)]


def skip_missing(transports: list[Transport], report: Report) -> list[Transport]:
    """Those whose package is installed; the others are named."""
    for package in dict.fromkeys(t.needs for t in transports if t.version is None):
        names = ", ".join(t.name for t in transports if t.needs == package)
        report.note(f"SKIPPED {names}", f"{package} is not installed; pip install {package}, or 'tickengine[bench]'")
    return [t for t in transports if t.version is not None]


def spare_cores() -> int:
    """Workers that can have a core for themselves, with one left for the writer."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


def polls_without_core(transport: Transport, workers: int) -> bool:
    return transport.waits in POLLING and workers > spare_cores()


# ---- in the processes of a run -----------------------------------------------------------------


def _work(part: PythonPart, schedule: Schedule, pipe: Any) -> None:
    timed, flat = LOOPS[part.loop]
    loop = timed if schedule.count else flat
    if loop is None:
        raise BrokenRun(f"there is no loop for {part.loop} flat out")
    seen = [0] * schedule.count  # storing into numpy would cost as much as a tick
    with part.make(*part.args) as ticks:
        pipe.send("ready")
        cpu, begin = time.process_time_ns(), time.monotonic_ns()
        received, ordered = loop(ticks, seen)
        end = time.monotonic_ns()
        share = (time.process_time_ns() - cpu) / (end - begin)
        pipe.send(Read(np.array(seen, np.int64) if seen else None, received, ordered, end, share))


def _write(part: PythonPart, schedule: Schedule, pipe: Any) -> None:
    with part.make(*part.args) as send:
        pipe.send("ready")
        pipe.recv()  # all workers are there
        pipe.send(write(schedule, send))
        while not pipe.poll(_AGAIN_S if part.repeat_end else None):  # until all workers have met the end
            send(END)


# ---- in the script -----------------------------------------------------------------------------


def _read_of(part: Part, schedule: Schedule, answer: Any) -> Read:
    if isinstance(part, PythonPart):
        read: Read = answer
        return read
    received, ordered, end, cpu, wall = map(int, answer.split())
    seen = np.fromfile(part.seen_file, np.int64) if schedule.count else None
    return Read(seen, received, bool(ordered), end, cpu / wall)


def _written_of(part: Part, answer: Any) -> Written:
    if isinstance(part, PythonPart):
        written: Written = answer
        return written
    start, p50, p99, late, count = answer.split()
    return Written(int(start), float(p50), float(p99), int(late), int(count))


def _start(name: str, part: Part, target: Any, schedule: Schedule, core: int | None) -> Process:
    if isinstance(part, ProgramPart):
        return Program(part.command, core)
    return PythonProcess(name, target, part, schedule, core=core)


def run(case: Case, writer_part: Part, worker_parts: list[Part], cores: Cores) -> tuple[Written, list[Read]]:
    """What the writer and each worker say. Raises `BrokenRun`; leaves no process behind."""
    schedule = case.schedule
    with Crew() as crew:
        # A writer in Python makes its end of the channels first, alone: there are publishers that turn out the
        # readers they find. A program begins to write when it is started.
        if isinstance(writer_part, PythonPart):
            writer = crew.add(_start("writer", writer_part, _write, schedule, cores.writer))
            hear([writer], "start", _GRACE_S)
        workers = [
            crew.add(_start(f"worker {i}", part, _work, schedule, cores.worker(i)))
            for i, part in enumerate(worker_parts)
        ]
        hear(workers, "start", _GRACE_S)
        if isinstance(writer_part, PythonPart):
            writer.tell("go")
        else:
            writer = crew.add(_start("writer", writer_part, _write, schedule, cores.writer))
        limit = schedule.seconds + _GRACE_S
        wrote, *read = hear([writer, *workers], "result (is the last tick lost?)", limit)
        writer.tell("all have met the end")
        crew.end(_END_PATIENCE_S)
        reads = [_read_of(part, schedule, answer) for part, answer in zip(worker_parts, read)]
        return _written_of(writer_part, wrote), reads


class TransportRuns:
    """Owns the programs and the folder of what the runs write. `failed`: something of ours went wrong."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._count = 0
        self.failed = False

    def __enter__(self) -> TransportRuns:
        with ExitStack() as held:
            programs = held.enter_context(Programs())
            self._folder = held.enter_context(programs.folder())
            self._paths = {name: programs.build(name) for name in ("paced_writer", "ring_limit")}
            self._tick, self._tick_file = bytes(depth_struct(LAYOUT)), programs.tick_file(LAYOUT)
            # AlgoPlus's dict of a vendor struct: all fields.
            with own_log(tag("dict"), 64) as log, OwnWriter(log) as writer:
                writer.flood(LAYOUT, 1)
                self._fields = dict(log[-1].to_dict())
            self._held = held.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._held.close()

    def rounds(
        self, args: Any, transports: list[Transport], wanted: Callable[[Transport, str, int], bool]
    ) -> list[Row]:
        """All cases in turn, again in each round. *wanted*: with this transport, shape and number of workers?"""
        rows: list[Row] = []
        for number in range(1, args.rounds + 1):
            for shape, workers, place in product(args.shapes, args.workers, PLACES[args.pin]):
                for transport in transports:
                    if wanted(transport, shape, workers):
                        rows.append({"round": number, **self.row(transport, shape, workers, place)})
            print(f"round {number} of {args.rounds} done", file=sys.stderr, flush=True)
        return rows

    def row(self, transport: Transport, shape: str, workers: int, place: str) -> Row:
        """One run of one transport. What goes wrong stands in its ``note``."""
        self._count += 1
        case = Case(
            Schedule.of(shape, self._seconds),
            workers,
            tag(f"{self._count}x"),  # no tag is the beginning of another
            self._tick,
            self._tick_file,
            self._fields,
            self._folder,
            self._paths,
        )
        cores = Cores(place == "pinned")
        row: Row = {
            "shape": shape,
            "n": workers,
            "placed": place,
            "transport": transport.name,
            "waits": transport.waits,
        }
        notes = []
        if polls_without_core(transport, workers):
            notes.append("polls without a core of its own")
        try:
            try:
                # What a transport starts in this process belongs to the writer's side.
                with on_core(cores.writer):
                    transport.open(case)
                parts = [transport.worker(case, i) for i in range(workers)]
                row.update(evaluate(case.schedule, *run(case, transport.writer(case), parts, cores)))
            finally:
                transport.close()
                # What a peer, or a process of it that was killed, has left under the run's name.
                remove_tagged(case.tag)
        except BrokenRun as error:
            self._say(transport, notes, f"FAILED: {error}")
        except Exception as error:
            if transport.ours:
                raise
            self._say(transport, notes, f"FAILED: {type(error).__name__}: {error}")
        if row.get("lost %"):
            notes.append("lost ticks" if case.schedule.count == 0 else "LOST TICKS")
            self.failed |= transport.ours and case.schedule.count != 0
        row["note"] = "; ".join(notes)
        return row

    def _say(self, transport: Transport, notes: list[str], words: str) -> None:
        words = " ".join(words.split())
        notes.append(words)
        print(f"{transport.name}: {words}", file=sys.stderr, flush=True)
        self.failed |= transport.ours
