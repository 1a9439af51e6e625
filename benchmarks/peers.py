"""The same tick through what one could take instead: latency, bursts and messages a second, side by side.

    writer process ──▶ transport ──▶ 1 or 4 worker processes, each of which receives everything

One vendor struct of 584 bytes, all 46 fields. Peers are written to by Python, as dicts (AlgoPlus's pattern)
or as raw bytes; the rows with ``forwarder``, ``tickengine`` and ``C++ ring`` have a writer in C++. A worker
reads price and instrument: of a dict, by unpacking the bytes, from a struct, from a `Tick`, or as two columns
(``get_many``). Transports for one reader get one channel for each worker.

``paced``: 2,000 a second, microseconds from the scheduled time. ``burst``: 800 due at once every 500 ms,
``last`` is when the slowest worker has read the last one. ``flat``: as fast as it goes, for the given seconds;
``msgs/s`` at the slowest worker, from the writer's start to its last tick. Flat out, a peer with bounded
buffers holds its writer back and loses nothing. msgq-ipc, slick-queue-py, tickengine and the C++ ring never
wait: see ``lost %``. ``held`` is the same, for those with a writer in C++, with one that waits for the slowest
worker.

``/ours spin`` and ``/ours block``: this row's figure over that of ``tickengine spin get`` and ``tickengine
block get`` in the same placement with as many workers; p50 of paced, median ``last`` of burst (above 1:
slower than ours), msgs/s (below 1: slower than ours). A flat row is put over ours held back, as the peers are.
``cpu %``: of the worker that takes most. The first tenth of a timed run is not counted.
"""

from __future__ import annotations

import importlib.util
import statistics
from typing import Any

from parts.environment import surroundings
from parts.logs import CAPACITY
from parts.processes import script
from parts.report import Report, Row, medians, options, with_spread
from parts.schedule import TIMED_VALUES
from transports import engine, fifo, iceoryx, rings, runs, stdlib, zmq_ipc
from transports.base import Transport

SHAPES = ("paced", "burst", "flat", "held")
KEYS = {"paced": "p50", "burst": "last", "flat": "msgs/s", "held": "msgs/s"}
AXES = {"paced": "paced: p50, µs", "burst": "burst: last of 800, µs", "flat": "flat out: messages/s"}
OURS = ("spin", "block")
CASE = ["shape", "n", "placed", "transport"]


def all_transports() -> list[Transport]:
    ours = [engine.tickengine(wait, how) for wait in engine.WAITS for how in ("get", "iter", "get_many")]
    families = (stdlib, fifo, zmq_ipc, iceoryx, rings)
    return [*(t for family in families for t in family.transports()), *ours, *engine.limits()]


def over_ours(summary: list[Row]) -> None:
    """Adds the two ratios to each row that has a figure."""
    figures = {tuple(r[c] for c in CASE): r.get(KEYS[r["shape"]]) for r in summary}
    for row in summary:
        figure = row.get(KEYS[row["shape"]])
        for wait in OURS:
            shapes = ("held", "flat") if row["shape"] == "flat" else (row["shape"],)
            names = [(shape, row["n"], row["placed"], f"tickengine {wait} get") for shape in shapes]
            ours = next((figures[name] for name in names if figures.get(name)), None)
            if figure is not None and ours is not None:
                row[f"/ours {wait}"] = figure / ours


def add_notes(summary: list[Row], rows: list[Row]) -> None:
    for row in summary:
        notes = [r["note"] for r in rows if r["note"] and all(r[c] == row[c] for c in CASE)]
        row["note"] = "; ".join(dict.fromkeys(notes))


def plot(path: str, rows: list[Row], title: str) -> None:
    """A panel for each shape and number of workers: medians, from the least to the greatest of the rounds."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot, ticker

    shapes = [s for s in AXES if any(r["shape"] == s for r in rows)]
    groups = list(dict.fromkeys((r["n"], r["placed"]) for r in rows))
    names = list(dict.fromkeys(r["transport"] for r in rows))
    size = (6.0 * len(shapes), (0.26 * len(names) + 1.0) * len(groups) + 0.6)
    figure, axes = pyplot.subplots(len(groups), len(shapes), figsize=size, squeeze=False, sharey=True)
    for line, (workers, placed) in enumerate(groups):
        for column, shape in enumerate(shapes):
            panel = axes[line][column]
            # Held back where it can be: then no bar stands for a transport that loses most.
            for place, name in enumerate(names):
                found: list[Any] = []
                for kind in ("held", "flat") if shape == "flat" else (shape,):
                    case = (kind, workers, placed, name)
                    values = [r.get(KEYS[kind]) for r in rows if tuple(r[c] for c in CASE) == case]
                    found = found or [v for v in values if v]
                if not found:
                    continue
                middle = statistics.median(found)
                color = "tab:red" if name.startswith("tickengine") else "tab:gray" if "C++" in name else "tab:blue"
                spread = [[middle - min(found)], [max(found) - middle]]
                panel.barh(place, middle, color=color, xerr=spread, ecolor="black", capsize=2)
                words = f" {middle:,.3g}" if middle < 1000 else f" {middle:,.0f}"
                panel.text(max(found), place, words, va="center", fontsize=7)
            panel.set_xscale("log")
            panel.xaxis.set_minor_formatter(ticker.NullFormatter())
            panel.margins(x=0.2)
            panel.set_yticks(range(len(names)), names, fontsize=8)
            panel.set_title(f"{AXES[shape]} ({workers} worker{'s' if workers > 1 else ''}, {placed})", fontsize=9)
            panel.grid(axis="x", alpha=0.3)
    axes[0][0].invert_yaxis()  # shared by all
    figure.suptitle(f"red: tickengine, grey: C++ to C++, blue: peers\n{title}", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    print(f"plot: {path}\n", flush=True)


def main() -> int:
    parser = options(__doc__ or "", rounds=5)
    runs.add_options(parser, seconds=2.0, workers=(1, 4), shapes=SHAPES)
    parser.add_argument("--plot", metavar="FILE", help="draw the medians into FILE (PNG); needs matplotlib")
    args = parser.parse_args()
    if args.plot and importlib.util.find_spec("matplotlib") is None:
        raise SystemExit("--plot needs matplotlib, which is not installed: pip install 'tickengine[bench]'")
    wanted = runs.chosen(all_transports(), args.only)
    facts = surroundings(
        runs.placement_words(args.pin),
        args.commit,
        **{t.needs: t.version or "not installed" for t in wanted if t.needs},
        buffers=f"{CAPACITY} ticks, or the nearest that the transport allows",
        spare=f"polling workers that can have a core of their own: {runs.spare_cores()}",
    )
    report = Report("peers: the same tick through every transport", facts, args.json)
    transports = runs.skip_missing(wanted, report)
    with runs.TransportRuns(args.seconds) as bench:
        rows = bench.rounds(args, transports, lambda t, shape, _workers: shape in t.shapes)
    timed = [*TIMED_VALUES, "put ns", "put p99", "late", "cpu %", "lost %"]
    flat = ["msgs/s", "lost %", "put ns", "cpu %"]
    summary = medians(rows, [*CASE, "waits"], list(dict.fromkeys([*timed, *flat])))
    over_ours(summary)
    add_notes(summary, rows)
    ratios = [f"/ours {wait}" for wait in OURS]
    for shape in dict.fromkeys(r["shape"] for r in rows):
        values = (
            flat if shape in ("flat", "held") else timed if shape == "burst" else [v for v in timed if "last" not in v]
        )
        report.table(f"{shape}, rounds", [r for r in rows if r["shape"] == shape], ["round", *CASE, *values, "note"])
    for shape in dict.fromkeys(r["shape"] for r in rows):
        of_shape = [r for r in summary if r["shape"] == shape]
        start = [*CASE, "waits", *with_spread([KEYS[shape]]), *ratios]
        rest = {"paced": timed[1:5], "burst": ["last p99", "last max", "p50", "p99"]}.get(shape, [])
        more = ["late"] if shape == "paced" else []
        report.table(f"{shape}, medians", of_shape, [*start, *rest, "put ns", *more, "cpu %", "lost %", "note"])
    report.save()
    if args.plot:
        machine = f"{facts['cpu']}; Linux {facts['kernel']}; Python {facts['python']}"
        plot(args.plot, rows, f"{machine}; {args.rounds} rounds; {facts['commit']}")
    return int(bench.failed)


if __name__ == "__main__":
    script(main)
