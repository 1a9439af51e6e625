"""What does it cost to know what a tick means: fields in place, exchange time, flags?

    a market's ticks, all instruments in turn ──▶ copy | record | judge | whole ──▶ ring in private memory

``copy``: a plain copy of 448 bytes. ``record``: every field to its place in the record. ``judge``: exchange
time and flags. ``whole``: both, as the writer does for each tick. All cases make the tick first; what that
takes (``none``) is subtracted. One process, one thread, no shared memory. ``instructions``: counted by
valgrind, exact and the same on every machine.
"""

from __future__ import annotations

import statistics

from parts.environment import surroundings
from parts.processes import run_to_end, script
from parts.programs import Programs, add_valgrind_option, instructions_per_tick, report_instructions, valgrind_version
from parts.report import Report, Row, medians, options, with_spread

CASES = ("none", "copy", "record", "judge", "whole")
# Of the shim, whose library shows only its C functions.
FILES = [f"{name}.cpp" for name in ("calendar", "errors", "judge", "layout_text", "rules", "vendor_tables")]
TICKS = 150_000  # a piece of a run; the ticks walk through a morning session again and again


def pieces(program: str, case: str, instruments: int, count: int) -> float:
    """Median nanoseconds per tick over *count* pieces of one process."""
    command = [program, case, str(instruments), str(count), str(TICKS)]
    return statistics.median(float(line) for line in run_to_end(command).stdout.split())


def instructions(program: str, instruments: int) -> list[Row]:
    counts = {case: instructions_per_tick([program, case, str(instruments), "1"], 100_000) for case in CASES}
    return [{"case": case, "instructions": counts[case] - counts["none"]} for case in CASES[1:]]


def main() -> None:
    parser = options(__doc__ or "", rounds=7)
    parser.add_argument("--instruments", type=int, nargs="*", default=[1, 50, 500, 5000])
    parser.add_argument("--pieces", type=int, default=15, help=f"pieces of {TICKS} ticks per case and round")
    add_valgrind_option(parser)
    args = parser.parse_args()
    report = Report(
        "normalise: nanoseconds per tick",
        surroundings("left to the scheduler", args.commit, valgrind=valgrind_version()),
        args.json,
    )
    rows: list[Row] = []
    with Programs() as programs:
        program = programs.build("normalise", FILES)
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
        report_instructions(report, ["case"], lambda: instructions(program, 500), unwanted=args.no_valgrind)
    report.save()


if __name__ == "__main__":
    script(main)
