"""What does it cost to watch an engine? Processor time of `tickengine top` for one refresh, and what readers pay.

    log with 1 or 800 instruments, 3 queues ──▶ a look from outside ──▶ a screen

``look ms``: everything is read out of the log; ``draw ms``: rich lays the screen out and writes it (to nowhere). With
one refresh a second, a millisecond is a thousandth of a core.

``sampled``: nanoseconds of processor time per tick that a reader takes one by one from a full log (`get`), its latency
histogram included; ``samples`` is how many of the ticks were measured for it.
"""

from __future__ import annotations

import io
import time

from parts.depth import depth_struct
from parts.environment import surroundings
from parts.logs import FULL, OwnWriter, own_log
from parts.processes import script, tag
from parts.report import Report, Row, check, medians, options, with_spread

from tickengine import TickLog, TickQueue
from tickengine.top.frame import render
from tickengine.top.snapshot import Snapshot, Watcher
from tickengine.top.view import View

SIZES = ((80, 24), (200, 50))
_ID = 9, 31  # of the InstrumentID in the first layout


def fill(writer: OwnWriter, instruments: int) -> None:
    """A tick of each."""
    raw = bytearray(bytes(depth_struct(1)))
    at, size = _ID
    for n in range(instruments):
        raw[at : at + size] = f"rb{n:04d}".encode().ljust(size, b"\0")
        writer.tick(1, bytes(raw))


def looks(log: TickLog, writer: OwnWriter, instruments: int, refreshes: int) -> tuple[float, Snapshot]:
    """Milliseconds of processor time for a look, and the last one."""
    watcher = Watcher(log)
    snapshot, took = watcher.look(), 0
    for _ in range(refreshes):
        fill(writer, instruments)
        before = time.thread_time_ns()
        snapshot = watcher.look()
        took += time.thread_time_ns() - before
    check(len(snapshot.instruments) == instruments, f"{len(snapshot.instruments)} instruments")
    return took / refreshes / 1e6, snapshot


def draws(snapshot: Snapshot, width: int, height: int, refreshes: int) -> float:
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, height=height, highlight=False)
    before = time.thread_time_ns()
    for _ in range(refreshes):
        console.print(render(snapshot, width, height, View()))
    took = time.thread_time_ns() - before
    check("tickengine" in out.getvalue(), "nothing was drawn")
    return took / refreshes / 1e6


def sampled(log: TickLog, writer: OwnWriter) -> Row:
    """A reader that takes every tick as it comes; what the histogram holds of them."""
    with TickQueue() as queue:
        queue.bind(log)
        queue.qsize()  # opens the reader
        writer.flood(1, FULL)
        before = time.thread_time_ns()
        for _ in range(FULL):
            queue.get()
        took = time.thread_time_ns() - before
        histogram = log.latencies()[queue.name]
        check(abs(histogram.count - FULL) < 1000, f"{histogram.count} of {FULL} ticks are stood for")
    return {"ns": took / FULL, "samples": histogram.samples, "ticks": FULL}


def main() -> None:
    parser = options(__doc__ or "", rounds=5)
    parser.add_argument("--refreshes", type=int, default=20, help="looks and screens in a round (default 20)")
    args = parser.parse_args()
    report = Report("watching: processor time of a look", surroundings("left to the scheduler", args.commit), args.json)
    rows: list[Row] = []
    readers: list[Row] = []
    for number in range(1, args.rounds + 1):
        for instruments in (1, 800):
            with own_log(tag("watching")) as log, OwnWriter(log) as writer:
                queues = [TickQueue() for _ in range(3)]
                try:
                    for queue in queues:
                        queue.bind(log)
                    look, snapshot = looks(log, writer, instruments, args.refreshes)
                finally:
                    for queue in queues:
                        queue.close()
            for width, height in SIZES:
                drawn = draws(snapshot, width, height, args.refreshes)
                size = f"{width}x{height}"
                rows.append(
                    {"round": number, "instruments": instruments, "screen": size, "look ms": look, "draw ms": drawn}
                )
        with own_log(tag("watching")) as log, OwnWriter(log) as writer:
            readers.append({"round": number, **sampled(log, writer)})
    report.table("rounds", rows, ["round", "instruments", "screen", "look ms", "draw ms"])
    columns = ["look ms", "draw ms"]
    case = ["instruments", "screen"]
    report.table("medians", medians(rows, case, columns), [*case, *with_spread(columns)])
    report.table("sampled", readers, ["round", "ns", "samples", "ticks"])
    report.save()


if __name__ == "__main__":
    script(main)
