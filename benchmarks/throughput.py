"""How many ticks a second get into Python, and what is lost when more are written?

    flood      steady_writer.cpp, flat out: it waits for nobody                ┐
    paced      the same at --rate ticks a second, never slower for a reader    ├──▶ log ──▶ 1, 2, 4 workers
    genuine    front, flat out ──tcp──▶ genuine vendor library, engine         │
    compatible front, flat out ──tcp──▶ compatible library, engine             ┘

    get, iterate    three fields read of each tick: LastPrice, BidPrice1, Volume
    get_many        one column summed: LastPrice
    view            the same, where it stands in the log (`TickLog.view`)

``read/s``: ticks a second at the slowest worker; ``sum/s``: at all of them; ``written/s``: into the log in the
same window. ``kept``: read of written. ``lost``: ticks overwritten before they were read, over the whole case and
all workers, the way from start to end included; ``lost by``: worker by worker. ``ns/read``: processor time of a
worker per tick it got. ``behind``: the most ticks the paced writer was late by, when the machine held it up;
``stolen %``: of the machine's processor time in the window, by its hypervisor.

``drain``: one reader on a full log, nobody writing: what a worker does when it has a core for itself. ``of drain``:
read/s by that. With more busy processes than cores it shows what the scheduler leaves.
"""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Any

from parts.environment import surroundings
from parts.feed import FeedRuns, add_feed_options, find_library
from parts.logs import CAPACITY, FULL, VOLUMES, OwnWriter, own_log
from parts.placement import Cores
from parts.processes import script, tag
from parts.programs import Programs
from parts.report import Report, Row, check, medians, options, with_spread
from parts.workers import STYLES, Account

from tickengine import TickQueue

SOURCES = ("flood", "paced", "genuine", "compatible")


def drain(style: str, times: int) -> Row:
    """A full log, read to its end in this process; the median of so many times."""
    read = STYLES[style]
    with own_log(tag("drain")) as log:
        with OwnWriter(log) as writer:
            writer.flood(1, FULL)
        log.end()
        walls, cpus = [], []
        for _ in range(times):
            with TickQueue(start="oldest") as queue:
                queue.bind(log)
                queue.qsize()  # opens the reader
                account = Account(VOLUMES)
                wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
                count = read(log if style == "view" else queue, account, [0, 0])
                walls.append((time.perf_counter_ns() - wall) / FULL)
                cpus.append((time.thread_time_ns() - cpu) / FULL)
                check(
                    count == FULL and account.lost == account.wrong == queue.lost == 0,
                    f"{style}: read {count} of {FULL}, lost {account.lost} and {queue.lost}, wrong {account.wrong}",
                )
    return {
        "ns": statistics.median(cpus),
        "wall ns": statistics.median(walls),
        "ticks/s": 1e9 / statistics.median(walls),
    }


def sources(args: Any, bench: FeedRuns) -> tuple[dict[str, Any], dict[str, str]]:
    """What to call for each source, and what there is to say of it."""
    calls: dict[str, Any] = {}
    words = {}
    chosen = args.sources.split(",")
    check(set(chosen) <= set(SOURCES), f"--sources {args.sources}: must be some of {','.join(SOURCES)}")
    if {"flood", "paced"} & set(chosen):
        calls["flood"] = partial(bench.from_writer, 0)
        calls["paced"] = partial(bench.from_writer, args.rate)
    for name, library in (("genuine", args.library), ("compatible", "compatible")):
        if name in chosen:
            path, _info, words[name] = find_library(library)
            calls[name] = partial(bench.through, path)
    return {name: calls[name] for name in chosen}, words


def main() -> None:
    parser = options(__doc__ or "", rounds=5)
    add_feed_options(parser, seconds=1.0)
    parser.add_argument("--rate", type=float, default=2.8e6, help="ticks a second of the paced writer (default 2.8e6)")
    parser.add_argument("--sources", default=",".join(SOURCES), help="comma-separated (default all)")
    parser.add_argument("--styles", default=",".join(STYLES), help="comma-separated (default all)")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--drains", type=int, default=5, help="drains per style and round (default 5)")
    args = parser.parse_args()
    styles = args.styles.split(",")
    check(set(styles) <= set(STYLES), f"--styles {args.styles}: must be some of {','.join(STYLES)}")
    cores = Cores(args.pin, front=True)
    rows: list[Row] = []
    drains: list[Row] = []
    with Programs() as programs:
        calls, words = sources(args, FeedRuns(args.seconds, cores, programs))
        report = Report(
            "throughput: ticks a second into Python workers",
            surroundings(cores.words, args.commit, ring=f"{CAPACITY} ticks", rate=f"{args.rate:g}/s paced", **words),
            args.json,
        )
        for number in range(1, args.rounds + 1):
            drains += [{"round": number, "style": style, **drain(style, args.drains)} for style in styles]
            for source, call in calls.items():
                for style in styles:
                    for count in args.workers:
                        row = call(style, count)
                        own = next(d["ticks/s"] for d in drains if d["round"] == number and d["style"] == style)
                        row.update(kept=row["read/s"] / row["written/s"], **{"of drain": row["read/s"] / own})
                        rows.append({"round": number, "source": source, "style": style, "workers": count, **row})
    case = ["source", "style", "workers"]
    values = ["written/s", "read/s", "sum/s", "kept", "of drain", "ns/read", "lost", "lost %", "behind", "stolen %"]
    report.table("rounds", rows, ["round", *case, *values, "lost by"])
    report.table("drain", medians(drains, ["style"], ["ns", "ticks/s"]), ["style", *with_spread(["ns", "ticks/s"])])
    report.table(
        "medians",
        medians(rows, case, values),
        [
            *case,
            "written/s",
            *with_spread(["read/s"]),
            "sum/s",
            *with_spread(["kept"]),
            "of drain",
            "ns/read",
            "stolen %",
        ],
    )
    losses = medians(rows, case, ["lost", "lost %", "behind"])
    report.table("lost", losses, [*case, *with_spread(["lost", "lost %"]), "behind"])
    report.save()


if __name__ == "__main__":
    script(main)
