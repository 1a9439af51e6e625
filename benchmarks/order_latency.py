"""How long from a tick to the order that answers it, and what does it cost to have a process for each task?

    ours    front ──▶ md library in an engine ──▶ TickQueue, strategy, TraderEngine.insert ──▶ td library ──▶ front
    naive   front ──▶ md library, ctypes callback, dict of 44 fields, strategy, ctypes ReqOrderInsert ──▶ front

Both on the genuine libraries and the same loopback fronts. The front writes the machine's clock into each tick as it
sends it; the strategy answers each tick of one instrument, of twelve, with an order that the front cancels at once.
Counted: microseconds from the clock in the tick to the return of the vendor's ReqOrderInsert; with ours, that is the
time of the journal's record ``sent_order``. Ours checks its limits (all on, with numbers that nothing reaches), keeps
a book of the orders and journals them; the naive design does nothing of that.

``spin``, ``adaptive``, ``block``: how the strategy waits for ticks and the sending thread for orders. ``paced``: --rate
ticks a second, each tenth to be answered. ``burst``: --burst ticks at once every --period seconds, --orders of them,
anywhere in it, to be answered. The first tenth is not counted. ``naive / this``: p99 of the naive design by this one's,
of the same round.

Where the time of ours goes, medians: ``library`` from the front to the vendor's callback, ``queue`` from there to the
strategy that has the tick and has taken its price, ``insert`` the call, ``ring`` from its return to the record before
the order leaves (below 0: the sender was faster than the return), ``send`` from there to the record behind it. Of the
naive one ``library`` is from the front to the callback's entry, ``insert`` from there to the return.

``callback``: the same orders from the moment the vendor's callback has the tick, in C++ or in Python. What waited in
the library until then is missing there, and of the naive design in a burst that is nearly all.

The front has the same work with both designs, on the same cores: a broker's would be on another machine. It is Python,
and takes a core for some 0.2 ms with each order; so it competes with whoever answers fast.

Each tick must come once, in order, and each order must have been received once and cancelled.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import numpy as np
from parts.environment import surroundings
from parts.feed import INSTRUMENTS, find_library
from parts.naive_trader import NaiveTrader
from parts.order_fronts import ORDER_PRICE, OWN, Load, OrderFronts
from parts.placement import Cores, on_core, placement
from parts.processes import script
from parts.programs import Programs
from parts.report import BrokenRun, Report, Row, check, medians, options, with_spread

from tickengine import TickEngine, TickQueue, vendor
from tickengine.trader.engine import TraderEngine
from tickengine.trader.journal import TradeLog
from tickengine.trader.limits import Limits

WAITS = ("adaptive", "block", "spin")
PERCENTILES = (50.0, 99.0, 99.9)
ANSWERED = 10  # of paced ticks each such one
_PATIENCE_S = 30.0
# Every limit is looked at, none is reached.
LIMITS = Limits(order_volume=1000, position=10**6, orders_per_second=10**6, orders_per_day=10**6, open_orders=10**6)
FROM_CALLBACK = ("callback p50", "callback p99")
LEGS = ("library", "queue", "insert", "ring", "send")


class Comparison:
    """Runs of both designs, each on fronts and in processes of its own."""

    def __init__(self, cores: Cores, programs: Programs, libraries: tuple[str, str]) -> None:
        self._cores = cores
        self._programs = programs
        self._libraries = libraries

    def naive(self, load: Load) -> tuple[Row, Any]:
        with self._programs.folder() as md, self._programs.folder() as td, OrderFronts(load, self._cores) as fronts:
            addresses = fronts.md_address, fronts.td_address
            sizes = load.count, load.orders
            with NaiveTrader(self._libraries, (md, td), addresses, INSTRUMENTS, *sizes, self._cores) as naive:
                fronts.begin()
                times = naive.finish(load.seconds + _PATIENCE_S)
            fronts.finish()
        stamp, entered, left = (column / 1000.0 for column in times.T)
        return evaluate(load, left - stamp, {"library": entered - stamp, "insert": left - entered}, left - entered)

    def ours(self, load: Load, wait: str) -> tuple[Row, Any]:
        with self._programs.folder() as flow, OrderFronts(load, self._cores) as fronts, TickQueue(wait=wait) as queue:
            login = ("9999", "bench", "bench", "", "")
            engine = TickEngine(
                fronts.md_address, *login, INSTRUMENTS, [queue], library=self._libraries[0], restart=False
            )
            trader = TraderEngine(
                fronts.td_address, *login, flow, library=self._libraries[1], limits=LIMITS, wait=wait, restart=False
            )
            with ExitStack() as running:
                with on_core(self._cores.worker(1)):
                    running.enter_context(trader)
                trader.wait_ready(_PATIENCE_S, reconciled=True)
                with on_core(self._cores.writer):
                    running.enter_context(engine)
                engine.wait_live()
                with on_core(self._cores.worker(0)):
                    fronts.begin()
                    orders = strategy(queue, trader, load.count)
                    settle(trader, load)
                check(queue.lost == 0, f"the queue has lost {queue.lost} ticks")
            fronts.finish()
            return evaluate(load, *legs(orders, flow))


def strategy(queue: TickQueue, trader: TraderEngine, count: int) -> list[tuple[int, float, int, int, int]]:
    """Answer each tick of the own instrument, *count* ticks long; times of each order, by its ClientID."""
    clock, take_price, insert, poll = time.monotonic_ns, trader.gate.take_price, trader.insert, trader.poll
    times = []
    for number in range(count):
        tick = queue.get(timeout=_PATIENCE_S)
        take_price(tick)
        if tick.Volume != number:
            raise BrokenRun(f"tick {tick.Volume} came, not {number}")
        if tick.InstrumentID == OWN:
            taken = clock()
            order = insert(OWN, "0", "0", ORDER_PRICE, 1, time_condition="1")
            times.append((order.ClientID, tick.Turnover, tick.RecvMonotonic, taken, clock()))
        poll()
    return times


def settle(trader: TraderEngine, load: Load) -> None:
    """Wait until the book has the end of each order."""
    deadline = time.monotonic() + _PATIENCE_S
    while trader.book.open_orders() or len(trader.book) < load.orders:
        check(time.monotonic() < deadline, f"{len(trader.book.open_orders())} orders have not come to their end")
        trader.wait(0.1)
        trader.poll()
    states = {order.state for order in trader.book}
    check(states == {"cancelled"}, f"orders have ended as {', '.join(states)}")
    check(not trader.gate.refused, f"limits have refused: {trader.gate.refused}")


def legs(orders: list[tuple[int, float, int, int, int]], flow: str) -> tuple[Any, dict[str, Any], Any]:
    """Of each order the whole way, its parts, and the way from the vendor's callback, in microseconds, from the
    strategy's times and the journal's."""
    sending, sent = {}, {}
    with TradeLog.attach(flow) as journal:
        for record in journal.records():
            if record.kind == "sending_order":
                sending[record.client_id] = record.recv_monotonic
            elif record.kind == "sent_order":
                sent[record.client_id] = record.recv_monotonic
    check(len(sent) == len(orders), f"the journal has {len(sent)} orders of {len(orders)}")
    rows = [(stamp, came, taken, put, sending[n], sent[n]) for n, stamp, came, taken, put in orders]
    times = np.array(rows, np.float64).T / 1000.0
    return times[-1] - times[0], dict(zip(LEGS, np.diff(times, axis=0))), times[-1] - times[1]


def evaluate(load: Load, latencies: Any, parts: dict[str, Any], from_callback: Any) -> tuple[Row, Any]:
    """A row, and the latencies that are counted."""
    check(len(latencies) == load.orders, f"{len(latencies)} of {load.orders} orders were sent")
    first = len(latencies) // 10
    counted = latencies[first:]
    check(bool((counted > 0).all()), "an order left before its tick")
    row: Row = {f"p{p:g}": float(np.percentile(counted, p)) for p in PERCENTILES}
    row["max"] = float(counted.max())
    row.update({f"callback p{p:g}": float(np.percentile(from_callback[first:], p)) for p in PERCENTILES[:2]})
    row.update({name: float(np.median(part[first:])) for name, part in parts.items()})
    return row, counted


def loads(args: Any) -> list[Load]:
    """The two ways in which ticks come."""
    groups = max(1, round(args.seconds * args.rate / ANSWERED))
    bursts = max(1, round(args.seconds / args.period))
    bursting = {"burst": (args.burst, args.period)}
    return [
        Load("paced", ANSWERED, 1, {"rate": args.rate}, groups * ANSWERED, args.seconds, 1),
        Load("burst", args.burst, args.orders, bursting, bursts * args.burst, args.seconds, 1),
    ]


def main() -> None:
    parser = options(__doc__ or "", rounds=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of ticks in each run (default 4)")
    parser.add_argument("--rate", type=float, default=500.0, help="paced ticks a second (default 500)")
    parser.add_argument("--burst", type=int, default=800, help="ticks in a burst (default 800)")
    parser.add_argument("--period", type=float, default=0.1, help="seconds from burst to burst (default 0.1)")
    parser.add_argument("--orders", type=int, default=8, help="ticks of a burst that are answered (default 8)")
    parser.add_argument("--waits", nargs="+", choices=WAITS, default=list(WAITS), help="default: all")
    parser.add_argument("--library", default=vendor.PLAIN_FTD_PACKAGE, help="the genuine libraries: package")
    parser.add_argument("--pin", action="store_true", help=placement(front=True))
    args = parser.parse_args()
    md_library, found, words = find_library(args.library)
    check(
        (found.generation, found.layout) == ("G1", 1),
        f"{found.version}: the naive design is made for the 6.3.6 generation; install {vendor.PLAIN_FTD_PACKAGE}",
    )
    libraries = md_library, vendor.resolve(args.library, vendor.TRADER)[0]
    cores = Cores(args.pin, front=True)
    report = Report(
        "order_latency: from a tick to the order that answers it, beside one Python process",
        surroundings(
            cores.words,
            args.commit,
            vendor=words,
            paced=f"{args.rate:g} ticks a second, each {ANSWERED}th answered",
            bursts=f"{args.burst} every {args.period:g} s, {args.orders} answered",
        ),
        args.json,
    )
    rows: list[Row] = []
    pooled: dict[tuple[str, str], list[Any]] = {}
    with Programs() as programs:
        bench = Comparison(cores, programs, libraries)
        for number in range(1, args.rounds + 1):
            for load in loads(args):
                load = load._replace(seed=number)
                results = {"naive": bench.naive(load)}
                results.update({f"ours {wait}": bench.ours(load, wait) for wait in args.waits})
                for design, (row, counted) in results.items():
                    row["naive / this"] = results["naive"][0]["p99"] / row["p99"]
                    rows.append({"round": number, "load": load.name, "design": design, **row})
                    pooled.setdefault((load.name, design), []).append(counted)
    whole = [f"p{p:g}" for p in PERCENTILES]
    columns = [*whole, "max", *LEGS, *FROM_CALLBACK, "naive / this"]
    report.table("rounds", rows, ["round", "load", "design", *columns])
    summary = medians(rows, ["load", "design"], columns)
    summary.sort(key=lambda row: [load.name for load in loads(args)].index(row["load"]))
    for row in summary:
        every = np.concatenate(pooled[row["load"], row["design"]])
        row["orders"] = len(every)
        row["all p99.9"] = float(np.percentile(every, 99.9))
    shown = with_spread(["p50", "p99", "p99.9", "naive / this"])
    report.table("medians", summary, ["load", "design", *shown, "orders", "all p99.9"])
    report.table("where the time goes, medians", summary, ["load", "design", *LEGS, *FROM_CALLBACK])
    report.save()


if __name__ == "__main__":
    script(main)
