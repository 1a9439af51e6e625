"""What latency.py and peers.py share: every transport in turn, one run after another, into rows."""

from __future__ import annotations

import argparse
import ctypes as ct
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from _depth import depth_struct
from _environment import Programs, shim_source
from _processes import Failed, on_core, run
from _schedule import Schedule, evaluate
from _table import BrokenRun, Row
from transports._base import Case, Transport

from tickengine import TickLog
from tickengine._shim import lib, new_handle

LAYOUT = 3
GRACE_S = 25.0  # beyond the schedule: starting processes, reading what is left
POLLING = ("spins", "polls")
_TAG = re.compile(r"bench-(\d+)-\d+x")
PLACES = {"no": ("free",), "yes": ("pinned",), "both": ("free", "pinned")}


def add_options(
    parser: argparse.ArgumentParser, *, seconds: float, workers: Sequence[int], shapes: Sequence[str]
) -> None:
    parser.add_argument("--seconds", type=float, default=seconds, help=f"length of each run (default {seconds:g})")
    numbers = " ".join(map(str, workers))
    parser.add_argument("--workers", type=int, nargs="+", default=list(workers), help=f"default {numbers}")
    parser.add_argument(
        "--pin",
        nargs="?",
        const="yes",
        default="no",
        choices=list(PLACES),
        help="yes: writer on the last core, workers on the others; both: every case without and with",
    )
    parser.add_argument("--shapes", nargs="+", default=list(shapes), choices=shapes, help="default all")


def placement(pin: str) -> str:
    pinned = "pinned: writer on the last core, workers on the others in turn"
    return {"no": "left to the scheduler", "yes": pinned, "both": f"free: left to the scheduler; {pinned}"}[pin]


def spare_cores() -> int:
    """Workers that can have a core for themselves, with one left for the writer."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


def vendor_dict(tick: bytes) -> dict[str, Any]:
    """AlgoPlus's dict of a vendor struct: all fields."""
    log = TickLog.create(f"bench-{os.getpid()}-dict", 64)
    writer = new_handle()
    lib().writer_open(log.handle, True, ct.byref(writer))
    lib().writer_tick(writer, LAYOUT, tick)
    fields = dict(log[-1].to_dict())
    lib().writer_close(writer)
    log.end()
    log.unlink()
    log.close()
    return fields


def _remove_shared(pattern: str) -> None:
    for path in Path("/dev/shm").glob(pattern):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _sweep_killed() -> None:
    """What runs of a script left that was killed on the spot."""
    for path in Path("/dev/shm").glob("*bench-*-*x*"):
        found = _TAG.search(path.name)
        if found is not None and not Path("/proc", found[1]).exists():
            _remove_shared(f"*{found[0]}*")


def _stop(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)  # not to be killed on the spot: there are processes and segments to clear


class Bench:
    """Runs cases, one at a time; owns the programs and the folder of what they write."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._runs = 0
        self._context = multiprocessing.get_context("spawn")
        self.failed = False

    def __enter__(self) -> Bench:
        signal.signal(signal.SIGTERM, _stop)
        _sweep_killed()
        self._programs = Programs()
        self._folder = tempfile.TemporaryDirectory(prefix="tickengine-bench-")
        sources = [f"-I{shim_source() / 'src'}"]
        self._paths = {
            "paced_writer": self._programs.build("paced_writer", with_shim=True),
            "ring_limit": self._programs.build("ring_limit", with_shim=False, libraries=sources),
        }
        self._tick = bytes(depth_struct(LAYOUT))
        self._tick_file = os.path.join(self._folder.name, "tick")
        with open(self._tick_file, "wb") as f:
            f.write(self._tick)
        self._fields = vendor_dict(self._tick)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._folder.cleanup()
        self._programs.__exit__(kind, error, tb)

    def row(self, transport: Transport, shape: str, workers: int, place: str) -> Row:
        """One run of one transport. What goes wrong stands in its ``note``."""
        self._runs += 1
        case = Case(
            Schedule.of(shape, self._seconds),
            workers,
            f"bench-{os.getpid()}-{self._runs}x",  # no tag is the beginning of another
            self._context,
            self._tick,
            self._tick_file,
            self._fields,
            self._folder.name,
            self._paths,
        )
        cores = sorted(os.sched_getaffinity(0)) if place == "pinned" else None
        row: Row = {
            "shape": shape,
            "n": workers,
            "placed": place,
            "transport": transport.name,
            "waits": transport.waits,
        }
        notes = []
        if transport.waits in POLLING and workers > spare_cores():
            notes.append("polls without a core of its own")
        try:
            try:
                # What a transport starts in this process belongs to the writer's side.
                with on_core(None if cores is None else cores[-1]):
                    transport.open(case)
                parts = [transport.worker(case, i) for i in range(workers)]
                row.update(evaluate(case.schedule, *run(case, transport.writer(case), parts, cores, GRACE_S)))
            finally:
                transport.close()
                # What a peer, or a process of it that was killed, has left under the run's name.
                _remove_shared(f"*{case.tag}*")
        except (Failed, BrokenRun) as error:
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
