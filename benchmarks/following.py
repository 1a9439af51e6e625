"""What does publishing cost while readers follow tick by tick, and what would a barrier in the writer add?

    writer thread, a tick every 400 ns ──▶ log ◀── 0, 1, 2, 4 spinning reader threads, C++

Readers that keep up look at each line right after it is written, so the writer has to fetch it back for
the next record: what a flood on an idle log (fanout.py) does not show. ``none``: as the writer is, the
barrier of the sleep protocol being made by readers that go to sleep. ``writer``: with a full barrier behind
each publication, as a writer would need that makes it itself. Nanoseconds of one publication; ``read %``: of
the ticks, by the slowest reader. With more threads than cores, readers are not always there to follow.
"""

from __future__ import annotations

from parts.environment import surroundings
from parts.processes import run_to_end, script, tag
from parts.programs import Programs
from parts.report import Report, Row, medians, options, with_spread

PAUSE_NS = 400


def main() -> None:
    parser = options(__doc__ or "", rounds=7)
    parser.add_argument("--readers", type=int, nargs="*", default=[0, 1, 2, 4])
    parser.add_argument("--ticks", type=int, default=500_000, help="of each case (default 500000)")
    args = parser.parse_args()
    report = Report(
        "following: nanoseconds of one publication",
        surroundings("left to the scheduler", args.commit, pause=f"{PAUSE_NS} ns between ticks"),
        args.json,
    )
    rows: list[Row] = []
    with Programs() as programs:
        program = programs.build("following")
        for number in range(1, args.rounds + 1):
            for readers in args.readers:
                for barrier in ("none", "writer"):
                    command = [program, f"/dev/shm/{tag('following')}", programs.tick_file(1), str(readers)]
                    done = run_to_end([*command, str(int(barrier == "writer")), str(PAUSE_NS), str(args.ticks)])
                    mean, p50, p90, p99, received = map(float, done.stdout.split())
                    rows.append(
                        {
                            "round": number,
                            "readers": readers,
                            "barrier": barrier,
                            "mean": mean,
                            "p50": p50,
                            "p90": p90,
                            "p99": p99,
                            "read %": 100.0 * received / args.ticks,
                        }
                    )
    case, values = ["readers", "barrier"], ["mean", "p50", "p90", "p99", "read %"]
    report.table("rounds", rows, ["round", *case, *values])
    summary = medians(rows, case, values)
    none = {r["readers"]: r["mean"] for r in summary if r["barrier"] == "none"}
    for row in summary:
        row["ratio"] = row["mean"] / none[row["readers"]]
    report.table("medians", summary, [*case, *with_spread(["mean"]), "p50", "p90", "p99", "read %", "ratio"])
    report.save()


if __name__ == "__main__":
    script(main)
