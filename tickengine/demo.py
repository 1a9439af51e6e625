"""``tickengine demo``: the whole path on this machine, with no account and no network.

A loopback front in a process of its own, the engine in another one with the vendor library, and two
workers that read it and report what they see twice a second.
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from . import demo_trading, vendor
from ._errors import Closed, TickEngineError
from ._spawn import SpawnedProcess
from .engine import TickEngine
from .front import FrontProcess, MarketSpec
from .queue import TickQueue

INSTRUMENTS = (
    *("rb2601", "hc2601", "au2602", "ag2602", "sc2601", "m2605"),
    *("i2601", "SR601", "TA601", "IF2512", "IC2512", "T2603"),
)
_REPORT_S = 0.5
_SAMPLES = 4096


@dataclass
class Report:
    """What a worker has seen since its last one."""

    name: str
    pid: int
    ticks: int
    rate: float
    lost: int
    p50_us: float
    p99_us: float
    last: dict[str, float] = field(default_factory=dict)
    ended: bool = False


def _percentile(sorted_values: list[int], share: float) -> float:
    if not sorted_values:
        return float("nan")
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))] / 1000.0


def worker(name: str, ticks: TickQueue, reports: Connection) -> None:
    """A strategy's place: takes each tick, remembers prices and how old it was when it arrived."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C stops the engine; the queue then ends
    total = counted = 0
    ages: list[int] = []
    last: dict[str, float] = {}
    since = time.monotonic()
    ended = False
    while not ended:
        try:
            tick = ticks.get(timeout=_REPORT_S)
            age = time.monotonic_ns() - tick.RecvMonotonic
            total += 1
            last[tick.InstrumentID] = tick.LastPrice
            if len(ages) < _SAMPLES:
                ages.append(age)
        except queue.Empty:
            pass
        except Closed:
            ended = True
        now = time.monotonic()
        if ended or now - since >= _REPORT_S:
            ages.sort()
            rate = (total - counted) / (now - since)
            p50, p99 = _percentile(ages, 0.50), _percentile(ages, 0.99)
            reports.send(Report(name, os.getpid(), total, rate, ticks.lost, p50, p99, dict(last), ended))
            counted, since = total, now
            ages.clear()
    reports.close()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trading", action="store_true", help="show how an order in flight survives a cut")
    parser.add_argument("--seconds", type=float, default=15.0, help="stop after so long (default 15; 0: at Ctrl-C)")
    parser.add_argument("--rate", type=float, help="ticks/s, evenly paced (default: snapshots every 500 ms)")
    parser.add_argument("--library", help="vendor library: a path, a package name, or 'compatible'")
    parser.add_argument("--cpus", help="CPUs for the vendor library's threads, such as 1 or 2-3,5")
    parser.add_argument("--realtime", type=int, metavar="PRIORITY", help="SCHED_FIFO priority, 1 to 99, for them")
    parser.add_argument("--seed", type=int, default=0, help="of the invented market (default 0)")


def choose_library(wanted: str | None) -> tuple[str, str]:
    """The library for a front that speaks the plain protocol, and words about the choice."""
    if wanted is not None:
        return vendor.resolve(wanted)
    try:
        return vendor.resolve(vendor.PLAIN_FTD_PACKAGE)
    except TickEngineError:
        path, _ = vendor.resolve("compatible")
        return path, (
            f"tickengine's own compatible library: the genuine one (package {vendor.PLAIN_FTD_PACKAGE}) is not "
            "installed; pip install 'tickengine[demo]' brings it"
        )


def _us(value: float) -> str:
    return "-" if value != value else f"{value:.1f}"


class _Screen:
    """The table: redrawn in place on a terminal, appended line by line elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._drawn = 0

    def show(self, status: dict[str, Any], reports: dict[str, Report]) -> None:
        lines = [
            f"state {status['state']:<10} trading day {status.get('trading_day', ''):<9} ticks {status['ticks']:>9,} "
            f"  logins {status.get('logins', 0)}  disconnects {status.get('disconnects', 0)}",
            f"{'worker':<22}{'pid':>8}{'ticks/s':>10}{'ticks':>10}{'lost':>6}{'p50 us':>9}{'p99 us':>9}  last prices",
        ]
        for r in reports.values():
            prices = "  ".join(f"{name} {price:g}" for name, price in list(r.last.items())[:3])
            ages = f"{_us(r.p50_us):>9}{_us(r.p99_us):>9}"
            lines.append(f"{r.name:<22}{r.pid:>8}{r.rate:>10.1f}{r.ticks:>10,}{r.lost:>6}{ages}  {prices}")
        if self._terminal and self._drawn:
            sys.stdout.write(f"\x1b[{self._drawn}A")
        end = "\x1b[K\n" if self._terminal else "\n"
        sys.stdout.write("".join(line + end for line in lines))
        sys.stdout.flush()
        self._drawn = len(lines)


def run(args: argparse.Namespace) -> int:
    if args.trading:
        return demo_trading.run(args)
    path, source = choose_library(args.library)
    print(f"vendor library: {path}\n                {source}")
    with FrontProcess(MarketSpec(list(INSTRUMENTS), kind="random-walk", seed=args.seed), rate=args.rate) as front:
        print(f"front:          {front.address} (this machine, invented market)")
        with TickQueue() as everything, TickQueue(["rb2601", "IF2512"]) as two:
            engine = TickEngine(
                front.address,
                "9999",
                "demo",
                "",
                "tickengine",
                "",
                INSTRUMENTS,
                md_queue_list=[everything, two],
                library=path,
                cpus=args.cpus,
                realtime=args.realtime,
            )
            return _watch(engine, {"all instruments": everything, "rb2601, IF2512": two}, args.seconds)


def _watch(engine: TickEngine, queues: dict[str, TickQueue], seconds: float) -> int:
    connections, processes = [], []
    reports: dict[str, Report] = {}
    screen = _Screen()
    for name, ticks in queues.items():  # before the engine: a queue waits for its engine
        ours, theirs = Pipe(duplex=False)
        process = SpawnedProcess(target=worker, args=(name, ticks, theirs), name=name, daemon=True)
        process.start()
        theirs.close()
        connections.append(ours)
        processes.append(process)
        reports[name] = Report(name, process.pid or 0, 0, 0.0, 0, float("nan"), float("nan"))
    try:
        engine.start()
    except BaseException:
        for process in processes:  # before their queues go, to which they may be attaching just now
            process.kill()
            process.join()
        raise
    with ExitStack() as stack:
        stack.callback(engine.stop)
        print(f"engine:         process {engine.pid}, log {engine.name}; Ctrl-C stops\n")
        deadline = time.monotonic() + seconds if seconds > 0 else float("inf")
        try:
            engine.wait_live(30)
            shown = 0.0
            while time.monotonic() < deadline and engine.is_alive():
                _take(connections, reports, min(_REPORT_S, max(0.0, deadline - time.monotonic())))
                if time.monotonic() - shown >= _REPORT_S:
                    shown = time.monotonic()
                    screen.show(engine.status(), reports)
        except KeyboardInterrupt:
            print("\nCtrl-C: stopping")
        engine.stop()
        while connections:
            _take(connections, reports, 5.0)
        for process in processes:
            process.join(5.0)
        screen.show(engine.status(), reports)
        written = engine.status()["ticks"]
    print(
        f"\nstopped. {written:,} ticks written; "
        + "; ".join(f"{r.name}: {r.ticks:,} received, {r.lost} lost" for r in reports.values())
    )
    return 0 if all(r.ended for r in reports.values()) and written else 1


def _take(connections: list[Connection], reports: dict[str, Report], timeout: float) -> None:
    for connection in wait(connections, timeout):
        assert isinstance(connection, Connection)
        try:
            report: Report = connection.recv()
            reports[report.name] = report
        except EOFError:
            connections.remove(connection)
            connection.close()
