"""How fast does the genuine vendor library run with the engine behind it, compared with nothing behind it?

    front process, flat out ──tcp──▶ vendor library ──▶ A      empty C++ callback that counts
    (ticks encoded beforehand)                          B      engine, log, nobody reads
                                                        C      engine, one worker, get_many
                                                        D      engine, one worker, `for tick in queue`
                                                        E2 E4  engine, two and four workers, get_many

Every case gets a new front and the same number of seconds, all cases once per round. ``written``: ticks a
second that came out of the library; ``read``: ticks a second at the slowest worker; ``ratio``: read (A, B:
written) to the same round's A. ``cpu``: processor nanoseconds per written tick of the front, of the
process with the library, of all workers. Three busy processes on two cores slow each other down: look at
cpu before blaming the code.
"""

from __future__ import annotations

from functools import partial

from parts.environment import surroundings
from parts.feed import INSTRUMENTS, FeedRuns, add_feed_options, find_library
from parts.placement import Cores
from parts.processes import script
from parts.programs import Programs
from parts.report import Report, Row, medians, options, with_spread


def main() -> None:
    parser = options(__doc__ or "", rounds=5)
    add_feed_options(parser, seconds=2.0)
    parser.add_argument("--cases", default="A,B,C,D,E2,E4", help="comma-separated; A is needed for ratios")
    args = parser.parse_args()
    library, _info, words = find_library(args.library)
    cores = Cores(args.pin, front=True)
    report = Report(
        "vendor_rate: ticks a second through the genuine library, flat out",
        surroundings(
            cores.words,
            args.commit,
            vendor=words,
            instruments=str(len(INSTRUMENTS)),
        ),
        args.json,
    )
    with Programs() as programs:
        bench = FeedRuns(args.seconds, cores, programs)
        engine = partial(bench.through, library)
        cases = {
            "A": partial(bench.empty_callback, library),
            "B": partial(engine, "get_many", 0),
            "C": partial(engine, "get_many", 1),
            "D": partial(engine, "iterate", 1),
            "E2": partial(engine, "get_many", 2),
            "E4": partial(engine, "get_many", 4),
        }
        chosen = args.cases.split(",")
        rows: list[Row] = []
        for number in range(1, args.rounds + 1):
            base = None
            for name in chosen:
                row: Row = {"round": number, "case": name, **cases[name]()}
                rate = row["written/s"] if row.get("read/s") is None else row["read/s"]
                base = rate if name == "A" else base
                row["ratio"] = None if base is None else rate / base
                row["written ratio"] = None if base is None else row["written/s"] / base
                rows.append(row)
    values = ["written/s", "read/s", "ratio", "written ratio", "front cpu", "library cpu", "worker cpu", "lost %"]
    report.table("rounds", rows, ["round", "case", *values])
    report.table("medians", medians(rows, ["case"], values), ["case", *with_spread(values[:4]), *values[4:]])
    report.save()


if __name__ == "__main__":
    script(main)
