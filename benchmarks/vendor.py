"""What does the engine spare the vendor's thread, compared with a Python callback that puts dicts into a Queue?

    front ──tcp──▶ genuine vendor library ──▶ empty       C++ callback that counts: the library's own speed
                                              naive       ctypes callback, dict of 44 fields, mp.Queue, one worker
                                              iterate     engine, one worker, `for tick in queue`
                                              get_many    engine, one worker, one column

``flat out``: the front sends as fast as the library takes it. ``written/s``: ticks a second out of the library's
callback, ``read/s``: at the worker, ``/ naive``: read/s by that of the naive design in the same round, ``/ empty``:
written/s by the library's own. ``library ns``, ``worker ns``: processor time of the process with the library and of
the worker per tick written. ``front idle %``: of its time the front was held up by a library that did not read, TCP
pushing back. ``connects``: connections of the run, 1 if the first has survived; ``disconnects``: that the library
told of; ``dropped``: by the front for being slow. ``unread``: ticks put and not yet read at the end of the window,
``MiB/s``: growth of the library's process.

``bursts``: --burst ticks every --period seconds, 20,000 a second: microseconds from the entry of the library's callback
to a worker that has read the price. Both designs take the time at the callback's entry, the naive one when Python has
got there, ours in C++ (RecvMonotonic). ``last``: the last tick of each burst. The first tenth is not counted.
Nothing may be lost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from parts.environment import surroundings
from parts.feed import INSTRUMENTS, PREPARED, FeedRuns, add_feed_options, find_library, wait_until, watch
from parts.logs import VOLUMES
from parts.naive import Naive
from parts.placement import Cores
from parts.processes import script
from parts.programs import Programs
from parts.report import Report, Row, check, medians, options, with_spread
from parts.usage import cpu_seconds, resident_mib
from parts.workers import Workers

from tickengine import vendor
from tickengine.front import FrontProcess

NAIVE_WARM_TICKS = 20_000
PERCENTILES = (50.0, 90.0, 99.0)


class Comparison(FeedRuns):
    """Both designs, flat out and in bursts."""

    def __init__(self, args: Any, cores: Cores, programs: Programs, library: str) -> None:
        super().__init__(args.seconds, cores, programs)
        self._library = library
        self._burst, self._period = args.burst, args.period
        self._bursts = max(10, round(args.seconds / args.period))

    def _naive(self, front: FrontProcess, flow: str, modulus: int, stamped: bool) -> Naive:
        return Naive(
            self._library,
            flow,
            front.address,
            INSTRUMENTS,
            modulus,
            stamped=stamped,
            cores=self.cores,
        )

    @staticmethod
    def _connection(front: FrontProcess, disconnects: int) -> Row:
        stats = front.stats()
        return {
            "connects": stats.connections,
            "disconnects": disconnects,
            "dropped": stats.slow_clients_dropped,
        }

    def flat_out_empty(self) -> Row:
        return self.empty_callback(self._library)

    def flat_out_naive(self) -> Row:
        with self.programs.folder() as flow, self.front() as front:
            with self._naive(front, flow, PREPARED, False) as naive:
                wait_until(lambda: naive.put() >= NAIVE_WARM_TICKS and all(naive.received()), "ticks for the worker")
                memory = resident_mib(naive.pid)
                row = watch(self.seconds, naive.put, naive, {"front": front.pid, "library": naive.pid})
                row["unread"] = naive.put() - naive.received()[0]
                row["MiB/s"] = (resident_mib(naive.pid) - memory) / self.seconds
                front.pause()
                row.update(self._connection(front, naive.disconnects))
                # What the front had begun to send still leaves it, and counts as sent when it has.
                wait_until(lambda: naive.put() == front.stats().ticks_sent, "the last of the ticks sent")
                naive.finish(front.stats().ticks_sent)
        return row

    def flat_out_engine(self, style: str) -> Row:
        return self.through(self._library, style, 1, self._connection)

    def in_bursts(self, design: str) -> Row:
        count = self._burst * self._bursts
        with self.front(burst=(self._burst, self._period), count=count) as front:
            row, delays = self._bursts_naive(front, count) if design == "naive" else self._bursts_engine(front, count)
        check(len(delays) == count, f"{len(delays)} of {count} ticks were read")
        counted = delays[self._bursts // 10 * self._burst :] / 1000.0
        check(bool((counted > 0).all()), "a tick was read before its callback began")
        row.update({f"p{p:g}": float(np.percentile(counted, p)) for p in PERCENTILES})
        row.update(max=float(counted.max()), last=float(np.median(counted[self._burst - 1 :: self._burst])))
        return row

    def _limit(self) -> float:
        return 60.0 + self._bursts * self._period

    def _bursts_naive(self, front: FrontProcess, count: int) -> tuple[Row, Any]:
        with self.programs.folder() as flow, self._naive(front, flow, VOLUMES, True) as naive:
            wait_until(lambda: naive.put() > 0, "a tick")
            before = cpu_seconds(naive.pid), naive.cpu()
            front.wait_until(timeout=self._limit(), finished=True)
            wait_until(lambda: naive.put() == count and naive.received()[0] == count, f"all of {count} ticks")
            row = {
                "library ns": (cpu_seconds(naive.pid) - before[0]) / count * 1e9,
                "worker ns": (naive.cpu() - before[1]) / count * 1e9,
                **self._connection(front, naive.disconnects),
            }
            return row, naive.finish(count).delays

    def _bursts_engine(self, front: FrontProcess, count: int) -> tuple[Row, Any]:
        with Workers("stamped", 1, VOLUMES, cores=self.cores) as workers:
            with self.engine(front, self._library, workers) as engine:
                assert engine.pid is not None
                log = engine.log
                before = cpu_seconds(engine.pid), workers.cpu()
                front.wait_until(timeout=self._limit(), finished=True)
                wait_until(lambda: log.info().ticks == workers.received()[0] == count, f"all of {count} ticks")
                row = {
                    "library ns": (cpu_seconds(engine.pid) - before[0]) / count * 1e9,
                    "worker ns": (workers.cpu() - before[1]) / count * 1e9,
                    **self._connection(front, engine.status()["disconnects"]),
                }
            return row, workers.finish(count)[0].delays


def main() -> None:
    parser = options(__doc__ or "", rounds=5)
    add_feed_options(parser, seconds=2.0)
    parser.add_argument("--burst", type=int, default=800, help="ticks in a burst (default 800)")
    parser.add_argument("--period", type=float, default=0.04, help="seconds from burst to burst (default 0.04)")
    args = parser.parse_args()
    library, found, words = find_library(args.library)
    check(
        (found.generation, found.layout) == ("G1", 1),
        f"{found.version}: the naive design is made for the 6.3.6 generation; install {vendor.PLAIN_FTD_PACKAGE}",
    )
    cores = Cores(args.pin, front=True)
    report = Report(
        "vendor: the engine beside a Python callback, on the genuine library",
        surroundings(
            cores.words,
            args.commit,
            vendor=words,
            bursts=f"{args.burst} every {args.period:g} s",
        ),
        args.json,
    )
    flat: list[Row] = []
    bursts: list[Row] = []
    with Programs() as programs:
        bench = Comparison(args, cores, programs, library)
        for number in range(1, args.rounds + 1):
            rows: dict[str, Row] = {"empty": bench.flat_out_empty(), "naive": bench.flat_out_naive()}
            rows.update({style: bench.flat_out_engine(style) for style in ("iterate", "get_many")})
            for design, row in rows.items():
                row["library ns"], row["worker ns"] = row.get("library cpu"), row.get("worker cpu")
                row["front idle %"] = max(0.0, 100.0 - row["front cpu"] * row["written/s"] / 1e7)
                row["/ empty"] = row["written/s"] / rows["empty"]["written/s"]
                if "read/s" in row:
                    row["/ naive"] = row["read/s"] / rows["naive"]["read/s"]
                flat.append({"round": number, "design": design, **row})
            for design in ("naive", "iterate"):
                bursts.append({"round": number, "design": design, **bench.in_bursts(design)})
    connection = ["connects", "disconnects", "dropped"]
    rates = ["written/s", "read/s", "/ naive", "/ empty"]
    others = ["library ns", "worker ns", "front idle %", *connection, "unread", "MiB/s", "lost"]
    report.table("flat out, rounds", flat, ["round", "design", *rates, *others])
    report.table(
        "flat out, medians", medians(flat, ["design"], rates + others), ["design", *with_spread(rates), *others]
    )
    delays = ["p50", "p90", "p99", "max", "last"]
    costs = ["library ns", "worker ns", *connection]
    report.table("bursts, rounds", bursts, ["round", "design", *delays, *costs])
    summary = medians(bursts, ["design"], [*delays, *costs])
    for row in summary:
        row["naive / this"] = summary[0]["last"] / row["last"]
    columns = [*with_spread(["p50", "p99", "last"]), "p90", "max", *costs, "naive / this"]
    report.table("bursts, medians", summary, ["design", *columns])
    report.save()


if __name__ == "__main__":
    script(main)
