"""What does it cost to know what a tick means: fields in place, exchange time, flags?

    a market's ticks, all instruments in turn ──▶ copy | record | judge | whole ──▶ ring in private memory

``copy``: a plain copy of 448 bytes. ``record``: every field to its place in the record. ``judge``: exchange
time and flags. ``whole``: both, as the writer does for each tick. All cases make the tick first; what that
takes (``none``) is subtracted. One process, one thread, no shared memory. ``instructions``: counted by
valgrind, exact and the same on every machine.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
from pathlib import Path

from _environment import Programs, shim_source, surroundings
from _table import Report, Row, check, medians, options, with_spread

CASES = ("none", "copy", "record", "judge", "whole")
TICKS = 150_000  # a piece of a run; the ticks walk through a morning session again and again


def pieces(program: str, case: str, instruments: int, count: int) -> float:
    """Median nanoseconds per tick over *count* pieces of one process."""
    command = [program, case, str(instruments), str(TICKS), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return statistics.median(float(line) for line in done.stdout.split())


def instructions(program: str, instruments: int) -> list[Row]:
    """Per tick, from the difference of two runs under valgrind."""
    counts = {}
    few, many = 100_000, 200_000
    for case in CASES:
        totals = []
        for ticks in (few, many):
            command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, case]
            command += [str(instruments), str(ticks), "1"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
            check(found is not None, f"valgrind has printed no count: {done.stderr[-300:]}")
            assert found is not None
            totals.append(int(found.group(1)))
        counts[case] = (totals[1] - totals[0]) / (many - few)
    return [{"case": c, "instructions": counts[c] - counts["none"]} for c in CASES[1:]]


def main() -> None:
    parser = options(__doc__ or "", rounds=7)
    parser.add_argument("--instruments", type=int, nargs="*", default=[1, 50, 500, 5000])
    parser.add_argument("--pieces", type=int, default=15, help=f"pieces of {TICKS} ticks per case and round")
    args = parser.parse_args()
    report = Report("normalise: nanoseconds per tick", surroundings("left to the scheduler", args.commit), args.json)
    rows: list[Row] = []
    with Programs() as programs:
        shim = shim_source()
        sources = sorted(str(path) for path in Path(shim / "src").glob("*.cpp"))
        flags = [f"-I{shim / 'include'}", f"-I{shim / 'src'}", *sources, "-ldl"]
        program = programs.build("normalise", with_shim=False, libraries=flags)
        for number in range(1, args.rounds + 1):
            for count in args.instruments:
                found = {case: pieces(program, case, count, args.pieces) for case in CASES}
                row: Row = {"round": number, "instruments": count}
                row.update({f"{case} ns": found[case] - found["none"] for case in CASES[1:]})
                row["over a copy ns"] = found["whole"] - found["copy"]
                row["ratio"] = row["whole ns"] / row["copy ns"]
                rows.append(row)
        values = [*(f"{case} ns" for case in CASES[1:]), "over a copy ns", "ratio"]
        report.table("rounds", rows, ["round", "instruments", *values])
        summary = medians(rows, ["instruments"], values)
        report.table("medians", summary, ["instruments", *with_spread(values)])
        if shutil.which("valgrind") is None:
            report.note("instructions", "not counted: valgrind was not found")
        else:
            report.table("instructions per tick (valgrind)", instructions(program, 500), ["case", "instructions"])
    report.save()


if __name__ == "__main__":
    main()
