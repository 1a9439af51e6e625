"""The command: arguments, rounds, and what is printed and written."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, BinaryIO, NamedTuple

from tickengine._errors import ConfigError, MissingPackage

from . import figures, machine, plot
from .cases import SHAPES, Case, choose, schedule
from .crew import Crew, RunError
from .figures import Row, WrongRun
from .interrupts import Interrupts

_MOST_WORKERS = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tickengine bench`."""
    add = parser.add_argument
    add("--seconds", type=float, default=20.0, help="measure for about so long in all (default %(default)g)")
    add("--rounds", type=int, default=3, help="rounds over all rows; shown is the median (default %(default)s)")
    add("--workers", type=int, default=1, metavar="N", help="workers, each of which gets every tick (default 1)")
    add("--pin", action="store_true", help="a CPU for each worker, and the last one for the writer")
    add(
        "--only",
        action="append",
        metavar="TEXT",
        help="rows whose name contains TEXT, such as adaptive or dicts; may be repeated",
    )
    add("--json", metavar="FILE", help="write everything to FILE too, which must not exist")
    add("--plot", metavar="FILE", help="draw it into FILE (.png or .svg), which must not exist; needs matplotlib")


def run(args: argparse.Namespace) -> int:
    """Measure and print. Returns 1 if something went wrong in a run, 2 after one line about bad input."""
    try:
        cases, left_out, cpus = _check(args)
        picture = None if args.plot is None else plot.check(args.plot)
        with (
            Interrupts() as interrupts,
            _new_file("--json", args.json) as file,
            _new_file("--plot", args.plot) as drawn,
        ):
            measured = _measure(args, cases, left_out, cpus, file, interrupts)
            if drawn is not None and picture is not None:
                plot.draw(drawn, picture, measured.summary, _title(args, measured.facts))
            return measured.status
    except (ConfigError, MissingPackage) as error:
        print(f"tickengine bench: {error}", file=sys.stderr)
        return 2


def _check(args: argparse.Namespace) -> tuple[list[Case], list[str], list[int] | None]:
    if not (math.isfinite(args.seconds) and 0 < args.seconds <= 86400):
        raise ConfigError(f"--seconds must be above 0 and at most 86400, not {args.seconds:g}")
    if not 1 <= args.rounds <= 1000:
        raise ConfigError(f"--rounds must be from 1 to 1000, not {args.rounds}")
    if not 1 <= args.workers <= _MOST_WORKERS:
        raise ConfigError(f"--workers must be from 1 to {_MOST_WORKERS}, not {args.workers}")
    allowed = sorted(os.sched_getaffinity(0))
    cpus = None
    if args.pin:
        if args.workers >= len(allowed):
            raise ConfigError(
                f"--pin needs a CPU for each worker and one for the writer: {args.workers + 1}, but this process may "
                f"use {len(allowed)}; give fewer --workers, or leave --pin out"
            )
        cpus = [*allowed[: args.workers], allowed[-1]]
    cases, left_out = choose(args.only, args.workers, len(allowed))
    return cases, left_out, cpus


@contextmanager
def _new_file(option: str, path: str | None) -> Iterator[BinaryIO | None]:
    """Made before anything is measured, so that it cannot fail afterwards; gone again if nothing was written."""
    if path is None:
        yield None
        return
    try:
        file = open(path, "xb")  # noqa: SIM115 (closed below, on every way out)
    except FileExistsError:
        raise ConfigError(f"{option} {path}: exists already; name a new file, or remove it first") from None
    except OSError as error:
        raise ConfigError(f"{option} {path}: {error.strerror}") from None
    try:
        with file:
            yield file
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(path)
        raise


class _Measured(NamedTuple):
    status: int
    summary: list[Row]
    facts: dict[str, str]


def _title(args: argparse.Namespace, facts: dict[str, str]) -> str:
    said = "; ".join(facts[name] for name in ("cpu", "cpus", "kernel", "placement", "date"))
    return f"tickengine bench: medians of {args.rounds} rounds, lines from least to greatest\n{said}"


def _measure(
    args: argparse.Namespace,
    cases: list[Case],
    left_out: list[str],
    cpus: list[int] | None,
    file: BinaryIO | None,
    interrupts: Interrupts,
) -> _Measured:
    load = os.getloadavg()[0]
    facts = machine.surroundings(args.workers, cpus)
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name.ljust(width)}  {value}")
    print(flush=True)
    row_s = args.seconds / (args.rounds * len(cases))
    rows = _rounds(args.rounds, cases, row_s, lambda: Crew(args.workers, cpus, interrupts))
    summary = figures.medians(rows)
    print(figures.table(summary))
    wrong = list(dict.fromkeys(f"{row['name']}: {row['wrong']}" for row in rows if "wrong" in row))
    notes = [*left_out, *machine.meaning(summary, args.workers, facts, load)]
    paced, burst = (schedule(shape, row_s, args.workers) for shape in ("paced", "burst"))
    print(
        f"\nmedians of {args.rounds} round{'s' if args.rounds > 1 else ''}, min..max below; in each, a row had "
        f"{paced.count:,} paced ticks and {burst.count // burst.burst} bursts\n"
    )
    for note in notes:
        print(f"- {note}")
    if file is not None:
        content: dict[str, Any] = {
            "title": "tickengine bench",
            "machine": facts,
            "options": {k: getattr(args, k) for k in ("seconds", "rounds", "workers", "pin", "only")},
            "units": figures.UNITS,
            "rounds": rows,
            "medians": summary,
            "notes": notes,
            "wrong": wrong,
        }
        words_of_it = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        file.write(f"{words_of_it}\n".encode())
    sys.stdout.flush()
    for words in wrong:
        print(f"tickengine bench: WRONG: {words}", file=sys.stderr)
    return _Measured(1 if wrong else 0, summary, facts)


def _rounds(rounds: int, cases: list[Case], row_s: float, make_crew: Callable[[], Crew]) -> list[Row]:
    """Every case in turn, round by round, so that what the machine does meanwhile meets all of them."""
    rows: list[Row] = []
    with _Progress(rounds * len(cases)) as progress, ExitStack() as stack:
        crew: Crew | None = None
        for number in range(1, rounds + 1):
            for case in cases:
                progress.show(number, case.name)
                crew = crew or stack.enter_context(make_crew())
                row: Row = {"round": number, "name": case.name}
                rows.append(row)
                try:
                    for shape in SHAPES:
                        plan = schedule(shape, row_s, crew.size)
                        row.update(figures.evaluate(shape, plan, *crew.run(case, plan)))
                except WrongRun as error:
                    row["wrong"] = f"{shape}: {error}"
                except RunError as error:
                    row["wrong"] = f"{shape}: {error}"
                    stack.close()
                    crew = None  # the others go on with a new one
    return rows


class _Progress:
    """One line on a terminal, nothing elsewhere."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._shown = sys.stderr.isatty()

    def show(self, number: int, name: str) -> None:
        if self._shown:
            percent = 100 * self._done // self._total
            print(f"\r\x1b[K{percent:3} %  round {number}: {name}", end="", file=sys.stderr, flush=True)
        self._done += 1

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
