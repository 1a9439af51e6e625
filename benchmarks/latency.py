"""How long from the moment a tick is due until a Python worker has read its price and instrument?

    writer process, paced by the clock ──▶ transport ──▶ 1, 2, 4, 8 worker processes

    tickengine spin, adaptive, block    C++ writer, log, TickQueue: get() and iteration
    mp.Queue of dicts                   Python writer, put(dict), get(), a queue for each worker
    faster-fifo of dicts                Python writer, put(dict), get(), a queue for each worker
    C++ ring poll, futex                the machine's limit: the same record, no Python, nothing done to it

``paced``: 2,000 ticks a second. ``burst``: 800 ticks due at once every 500 ms. Microseconds on
CLOCK_MONOTONIC from the scheduled time, so that a writer held up by its transport, or by the machine, does
not hide it. All columns are over the ticks of all workers; ``last`` is when the slowest worker has read the
last tick of a burst: median, 99th percentile and maximum over the bursts. ``put``: nanoseconds the writer
spends on one tick, for all workers; ``late``: paced ticks it could not begin to send within 0.1 ms;
``cpu %``: of the worker that takes most. The first tenth of each run is not counted.

A worker reads ``LastPrice`` and ``InstrumentID``; ``--read index`` adds rows that read ``Instrument``, the
instrument's index, in place of the text. Who polls needs a core of its own and one is the writer's: with
more workers than that, ``spin`` and ``C++ ring poll`` are left out.
"""

from __future__ import annotations

from parts.environment import surroundings, version_of
from parts.logs import CAPACITY
from parts.processes import script
from parts.report import Report, medians, options
from parts.schedule import TIMED_VALUES
from transports import engine, fifo, runs, stdlib
from transports.base import Transport

PEERS = ("mp.Queue dict", "faster-fifo dict")
REFERENCE = PEERS[0]


def all_transports(waits: list[str], takes: list[str], reads: list[str]) -> list[Transport]:
    transports: list[Transport] = []
    for wait in waits:
        for how in takes:
            if "text" in reads:
                transports.append(engine.tickengine(wait, how))
            if "index" in reads:
                transports.append(engine.tickengine(wait, how, "indexes", f"tickengine {wait} {how}, index"))
    transports += [t for t in (*stdlib.transports(), *fifo.transports()) if t.name in PEERS]
    return [*transports, *engine.limits()]


def main() -> int:
    parser = options(__doc__ or "", rounds=5)
    runs.add_options(parser, seconds=3.0, workers=(1, 2, 4, 8), shapes=("paced", "burst"))
    parser.add_argument("--waits", nargs="+", default=list(engine.WAITS), choices=list(engine.WAITS))
    parser.add_argument("--take", nargs="+", default=["get", "iter"], choices=["get", "iter"])
    parser.add_argument("--read", nargs="+", default=["text"], choices=["text", "index"])
    args = parser.parse_args()
    wanted = runs.chosen(all_transports(args.waits, args.take, args.read), args.only)
    report = Report(
        "latency: microseconds from the scheduled time to price and instrument read in Python",
        surroundings(
            runs.placement_words(args.pin),
            args.commit,
            **{"faster-fifo": version_of("faster-fifo")},
            ring=f"{CAPACITY} ticks",
            left_out=f"who polls, with more than {runs.spare_cores()} workers: a core for each and one for the writer",
        ),
        args.json,
    )
    transports = runs.skip_missing(wanted, report)
    with runs.TransportRuns(args.seconds) as bench:
        rows = bench.rounds(args, transports, lambda t, _shape, workers: not runs.polls_without_core(t, workers))
    values = [*TIMED_VALUES, "put ns", "put p99", "late", "cpu %"]
    case = ["shape", "n", "placed", "transport"]
    report.table("rounds", rows, ["round", *case, *values, "lost %", "ticks", "note"])
    summary = medians(rows, case, values)
    for row in summary:
        # The worker is woken per tick when paced; a burst is judged by its last tick.
        key = "p50" if row["shape"] == "paced" else "last"
        same = (r for r in summary if r["transport"] == REFERENCE and all(r[c] == row[c] for c in case[:3]))
        reference = next(same, {}).get(key)
        if reference is not None and key in row:
            row["mp.Queue / this"] = reference / row[key]
    report.table("medians", summary, [*case, *values, "mp.Queue / this"])
    report.table("spread", summary, [*case, *(f"{v} min..max" for v in ("p50", "p99", "p99.9", "last"))])
    report.save()
    return int(bench.failed)


if __name__ == "__main__":
    script(main)
