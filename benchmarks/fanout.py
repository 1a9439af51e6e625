"""What does a tick cost on the writer's thread, whoever reads it: nobody, 64 queues, workers that must be woken?

    writer, C++: normalise, stamp, publish ──▶ log ◀── 0..64 queues bound, nobody reads     bound
                                                   ◀── 1, 2, 4 workers, `get_many`           flood, burst, paced

``bound`` and ``flood`` write flat out: nanoseconds per tick of the median chunk, elapsed (``wall``) and of the
thread's processor time (``cpu``). A flood is more than a Python reader can follow; where there are more busy
processes than cores only ``cpu`` means anything. ``burst``: 800 ticks at once every 500 ms, workers asleep
(``block``) or not (``spin``) in between: ``mean``, of the whole burst per tick, wake-ups included, ``p50`` and
``p99`` of single ticks. ``paced``: a tick every 500 us, so that a blocking worker is asleep each time, and the
writer's caches have gone cold (see 0 workers). Single ticks hold the two looks at the clock (``pair``). ``wakes``:
wake-ups per burst or paced tick, of all workers.
``instructions``: counted by valgrind, exact and the same on every machine.
"""

from __future__ import annotations

import os
import statistics
from contextlib import ExitStack

from parts.environment import surroundings, version_of
from parts.logs import CAPACITY, VOLUMES, OwnWriter, own_log
from parts.placement import Cores, placement
from parts.processes import run_to_end, script, tag
from parts.programs import Programs, add_valgrind_option, instructions_per_tick, report_instructions, valgrind_version
from parts.report import Report, Row, check, medians, options, with_spread
from parts.workers import workers_on_own_log

from tickengine import TickQueue

CHUNK_TICKS = 50_000
WARM_CHUNKS = -(-CAPACITY // CHUNK_TICKS)  # the whole ring once
SHAPES = {"burst": (500_000_000, 800), "paced": (500_000, 1)}  # nanoseconds between, ticks at once


def measure(writer: OwnWriter, layout: int, stamped: bool, chunks: int) -> Row:
    pairs = [writer.flood(layout, CHUNK_TICKS, stamped) for _ in range(chunks)]
    return {"wall ns": statistics.median(p[0] for p in pairs), "cpu ns": statistics.median(p[1] for p in pairs)}


def bound_rows(counts: list[int], chunks: int) -> list[Row]:
    rows: list[Row] = []
    for count in counts:
        with ExitStack() as held:
            log = held.enter_context(own_log(tag("fanout")))
            for _ in range(count):
                held.enter_context(TickQueue()).bind(log)
            writer = held.enter_context(OwnWriter(log))
            writer.flood(1, WARM_CHUNKS * CHUNK_TICKS)
            for layout in (1, 3):
                for stamped in (True, False):
                    case = {"queues": count, "layout": layout, "stamp": "yes" if stamped else "no"}
                    rows.append({**case, **measure(writer, layout, stamped, chunks)})
            check(log.info().ticks == writer.written, "the log has not counted what was written")
    return rows


def flood_row(wait: str, count: int, chunks: int, cores: Cores) -> Row:
    # Each flood counts its ticks from 0 in Volume; all of them are of a chunk's length.
    with workers_on_own_log("get_many", count, CHUNK_TICKS, wait=wait, cores=cores) as (log, workers):
        with OwnWriter(log) as writer:
            for _ in range(WARM_CHUNKS):
                writer.flood(1, CHUNK_TICKS)
            row = measure(writer, 1, True, chunks)
            row["wakes"] = log.info().wakes
        log.end()
        return {**row, **workers.losses(writer.written)}


def shaped_row(programs: Programs, shape: str, wait: str, count: int, seconds: float, cores: Cores) -> Row:
    """Bursts or paced ticks, from a process of its own. Nothing may be lost of so few."""
    interval, burst = SHAPES[shape]
    bursts = max(4, int(seconds * 1e9 / interval))
    program = programs.build("burst_writer")
    with workers_on_own_log("get_many", count, VOLUMES, wait=wait, cores=cores) as (log, workers):
        command = [program, os.fsdecode(log.path), programs.tick_file(1)]
        schedule = ["paced", str(interval), str(burst), str(bursts * burst)]
        done = run_to_end([*command, *schedule], core=cores.writer, limit_s=60 + 2 * seconds)
        written, mean, p50, p99, most, pair, wakes = map(float, done.stdout.split())
        log.end()
        lost = workers.losses(int(written))["lost"]
    check(not lost, f"{lost} of {written:.0f} ticks lost at a pace that any worker can follow")
    return {
        "mean": mean if burst > 1 else None,
        "p50": p50,
        "p99": p99,
        "max": most,
        "pair": pair,
        "wakes": wakes / bursts,
    }


def instructions(programs: Programs) -> list[Row]:
    program, path = programs.build("fanout_count"), f"/dev/shm/{tag('count')}"
    rows = []
    cases = [(1, 1, queues) for queues in (0, 1, 4, 16, 64)] + [(1, 0, 0), (1, 0, 64), (3, 1, 0), (3, 0, 0)]
    for layout, stamped, queues in cases:
        command = [program, path, programs.tick_file(layout), str(stamped), str(queues)]
        counted = instructions_per_tick(command, 20_000)
        case = {"layout": layout, "stamp": "yes" if stamped else "no", "queues": queues}
        rows.append({**case, "instructions": counted})
    return rows


def main() -> None:
    parser = options(__doc__ or "", rounds=5)
    parser.add_argument("--chunks", type=int, default=20, help=f"floods of {CHUNK_TICKS} ticks per case (default 20)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of bursts, and of paced ticks (default 4)")
    parser.add_argument("--queues", type=int, nargs="*", default=[0, 1, 4, 16, 64], help="bound")
    parser.add_argument("--spin", type=int, nargs="*", default=[1], help="spinning workers (default 1)")
    parser.add_argument("--block", type=int, nargs="*", default=[1, 2, 4], help="blocking workers (default 1 2 4)")
    parser.add_argument("--pin", action="store_true", help=placement(front=False))
    add_valgrind_option(parser)
    args = parser.parse_args()
    cores = Cores(args.pin)
    report = Report(
        "fanout: what a tick costs on the writer's thread",
        surroundings(
            cores.words,
            args.commit,
            valgrind=valgrind_version(),
            ring=f"{CAPACITY} ticks",
            tickengine=version_of("tickengine"),
        ),
        args.json,
    )
    waits = [*(("spin", n) for n in args.spin), *(("block", n) for n in args.block)]
    bound: list[Row] = []
    flood: list[Row] = []
    shaped: list[Row] = []
    with Programs() as programs:
        for number in range(1, args.rounds + 1):
            bound += [{"round": number, **row} for row in bound_rows(args.queues, args.chunks)]
            for wait, count in waits:
                case = {"round": number, "wait": wait, "workers": count}
                flood.append({**case, **flood_row(wait, count, args.chunks, cores)})
            for shape in SHAPES:
                for wait, count in [("none", 0), *waits]:
                    chosen = "block" if wait == "none" else wait
                    row = shaped_row(programs, shape, chosen, count, args.seconds, cores)
                    shaped.append({"round": number, "shape": shape, "wait": wait, "workers": count, **row})
        table(report, "bound", bound, ["queues", "layout", "stamp"], ["wall ns", "cpu ns"], ["wall ns"])
        table(report, "flood", flood, ["wait", "workers"], ["wall ns", "cpu ns", "wakes", "lost %"], [])
        values = ["mean", "p50", "p99", "max", "pair", "wakes"]
        table(report, "burst and paced", shaped, ["shape", "wait", "workers"], values, ["mean", "p50"])
        report_instructions(
            report, ["layout", "stamp", "queues"], lambda: instructions(programs), unwanted=args.no_valgrind
        )
    report.save()


def table(report: Report, name: str, rows: list[Row], case: list[str], values: list[str], by: list[str]) -> None:
    """Rounds and medians. The ratio, of the first of *by* that there is, is to the first case that differs in nothing
    but who is there to read."""
    report.table(f"{name}, rounds", rows, ["round", *case, *values])
    summary = medians(rows, case, values)
    same = [c for c in case if c not in ("queues", "wait", "workers")]
    for row in summary:
        base = next(r for r in summary if all(r[c] == row[c] for c in same))
        value = next((name for name in by if name in row), None)
        if value is not None:
            row["ratio"] = row[value] / base[value]
    columns = [*with_spread(values[:3]), *values[3:], *(["ratio"] if by else [])]
    report.table(f"{name}, medians", summary, [*case, *columns])


if __name__ == "__main__":
    script(main)
