"""The C++ programs of `programs/`: compiled, and counted by valgrind."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import tickengine
from tickengine._shim import lib

from .depth import depth_struct
from .processes import run_to_end, tag
from .report import BrokenRun, Report, Row

HERE = Path(__file__).resolve().parents[1]
CXX = os.environ.get("CXX", "g++")
CXX_FLAGS = ("-std=c++17", "-O2", "-g1", "-Wall", "-Wextra", "-pthread")
VALGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
_COUNT_LIMIT_S = 300.0


def shim_source() -> Path:
    """The folder ``shim`` of the tree that `tickengine` is imported from, else of this one."""
    near = Path(tickengine.__file__).resolve().parents[1] / "shim"
    return near if near.is_dir() else HERE.parent / "shim"


class Programs:
    """Programs in a temporary folder, linked with the shim in use, and the ticks that they write."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix=tag("programs-"))

    def build(self, name: str, shim_files: Sequence[str] = ()) -> str:
        """Compile ``NAME.cpp``, once, with files of the shim's source that it needs inside; the program's path."""
        if shutil.which(CXX) is None:
            raise SystemExit(f"no C++ compiler: {CXX!r} was not found; install one or set CXX")
        target = os.path.join(self._folder.name, name)
        if not os.path.exists(target):
            source, shim = shim_source(), os.path.realpath(lib().path)
            files = [HERE / "programs" / f"{name}.cpp", *(source / "src" / file for file in shim_files)]
            includes = [f"-I{source / folder}" for folder in ("include", "src")]
            link = ["-Wl,--as-needed", shim, f"-Wl,-rpath,{os.path.dirname(shim)}", "-ldl"]
            subprocess.run([CXX, *CXX_FLAGS, *includes, *map(str, files), *link, "-o", target], check=True)
        return target

    def tick_file(self, layout: int) -> str:
        """A file with one vendor struct of that layout."""
        path = os.path.join(self._folder.name, f"tick-{layout}")
        Path(path).write_bytes(bytes(depth_struct(layout)))
        return path

    def folder(self) -> tempfile.TemporaryDirectory[str]:
        """A new folder beside the programs, for what a run writes."""
        return tempfile.TemporaryDirectory(dir=self._folder.name)

    def __enter__(self) -> Programs:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._folder.cleanup()


def add_valgrind_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-valgrind", action="store_true", help="count no instructions")


def valgrind_version() -> str:
    if shutil.which(VALGRIND[0]) is None:
        return "none"
    return run_to_end([VALGRIND[0], "--version"]).stdout.strip()


def report_instructions(
    report: Report, case: Sequence[str], rows: Callable[[], Sequence[Row]], *, unwanted: bool
) -> None:
    """A table of what valgrind counts, or why there is none."""
    if unwanted or shutil.which(VALGRIND[0]) is None:
        report.note("instructions", "not counted: " + ("--no-valgrind" if unwanted else "valgrind was not found"))
    else:
        report.table("instructions per tick (valgrind)", rows(), [*case, "instructions"])


def instructions_per_tick(command: Sequence[str], few: int) -> float:
    """From the difference of two runs under valgrind: with so many ticks as last argument, and with twice as many."""
    totals = []
    for ticks in (few, 2 * few):
        done = run_to_end([*VALGRIND, *command, str(ticks)], limit_s=_COUNT_LIMIT_S)
        found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
        if found is None:
            raise BrokenRun(f"valgrind has printed no count: {done.stderr[-300:]}")
        totals.append(int(found.group(1)))
    return (totals[1] - totals[0]) / few
