"""``tickengine bars``: the bars of a running engine, as lines."""

from __future__ import annotations

import argparse
import datetime
import json
import queue as stdlib_queue
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .._errors import Closed, ConfigError
from ..feed import sessions
from ..feed.plan import engine_and_hours
from ..log import TickLog
from ..queue import TickQueue
from .builder import GRACE_S, BarBuilder
from .clock import ReceiveClock
from .periods import ALIGNMENTS, seconds_of
from .queue import BarQueue
from .record import Bar, BarFlag

CHINA = datetime.timezone(datetime.timedelta(hours=8))
COLUMNS = (
    *("TradingDay", "Start", "End", "Period", "InstrumentID", "ExchangeID", "UpdateTime"),
    *("OpenPrice", "HighPrice", "LowPrice", "LastPrice", "BarVolume", "BarTurnover", "BarSettlement"),
    *("BVolume", "SVolume", "FVolume", "DayVolume", "DayTurnover", "DaySettlement", "OpenInterest"),
    *("Ticks", "TicksLost", "Flags"),
)
_WAIT_S = 0.25

EPILOG = f"""\
NAME is a TickEngine's (the bars are built here) or a BarEngine's (its bars are shown as they come).
A bar is printed when it has ended, at most {GRACE_S:g} s after its time.

example:
  tickengine bars md --period 1m --period 5m --instruments rb2601,IF2512 > bars.csv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add = parser.add_argument
    sessions.add_arguments(parser)
    add("--period", action="append", metavar="P", help="30s, 1m, 5m, 1h, 1d (default: 1m); can be repeated")
    add("--instruments", metavar="ID,ID", help="only these")
    add("--align", choices=ALIGNMENTS, default=ALIGNMENTS[0], help="what bars begin by (default: %(default)s)")
    add("--any-hour", action="store_true", help="bars by the clock alone, without sessions: for fronts at any hour")
    add("--flat", action="store_true", help="also bars in which nothing was traded")
    add("--oldest", action="store_true", help="begin with the oldest tick (or bar) still in the log")
    add("--json", action="store_true", help="a JSON object per line in place of CSV")
    add("--count", type=int, metavar="N", help="end after so many bars")


def run(args: argparse.Namespace) -> int:
    if args.count is not None and args.count < 1:
        raise ConfigError(f"--count must be at least 1, not {args.count}")
    ids = None if args.instruments is None else [part for part in args.instruments.split(",") if part]
    if ids == []:
        raise ConfigError("--instruments is empty: give ids separated by commas, such as rb2601,IF2512")
    start = "oldest" if args.oldest else "now"
    periods = args.period or ["1m"]
    name, hours = engine_and_hours(args.name, args.config)
    any_hour = args.any_hour or hours.any_hour
    builder = BarBuilder(periods, align=args.align, any_hour=any_hour, hours=hours.own, flat=args.flat)
    if TickLog.attach(name).carries == "bars":
        source = _from_engine(name, ids, start, {seconds_of(p) for p in args.period or ()})
    else:
        source = _built(TickQueue.attach(name, ids, start=start), builder)
    _print(source, args.json, args.count)
    return 0


def _built(queue: TickQueue, builder: BarBuilder) -> Iterator[Bar]:
    clock = ReceiveClock()
    with queue:
        while True:
            try:
                ticks = queue.get_many(timeout=_WAIT_S)
            except stdlib_queue.Empty:
                pass
            except Closed:
                break
            else:
                yield from builder.take_many(ticks)
                clock.saw(int(ticks["RecvTime"][-1]))
            yield from builder.advance(clock.now())
        yield from builder.finish()
        missed = builder.left_out["out_of_hours"]
        if missed:
            print(f"tickengine: {missed} ticks were out of trading hours (--any-hour takes them)", file=sys.stderr)
        if queue.lost:
            print(f"tickengine: {queue.lost} ticks were lost: this process was too slow", file=sys.stderr)


def _from_engine(name: str, ids: list[str] | None, start: str, periods: set[int]) -> Iterator[Bar]:
    queue = BarQueue.attach(name, ids, start=start)
    with queue:
        for bar in queue:
            if not periods or bar.Period in periods:
                yield bar


def _print(bars: Iterable[Bar], as_json: bool, count: int | None) -> None:
    if not as_json:
        print(",".join(COLUMNS), flush=True)
    for n, bar in enumerate(bars, 1):
        values = values_of(bar)
        line = json.dumps(values) if as_json else ",".join("" if v is None else str(v) for v in values.values())
        print(line, flush=True)
        if n == count:
            return


def values_of(bar: Bar) -> dict[str, Any]:
    """A bar for people: times in China, flags as words joined by ``|``, None for what is not known."""
    values: dict[str, Any] = {name: getattr(bar, name) for name in COLUMNS}
    for name in ("Start", "End"):
        values[name] = datetime.datetime.fromtimestamp(values[name] // 10**9, CHINA).strftime("%Y-%m-%d %H:%M:%S")
    values["Period"] = bar.period
    values["Flags"] = "|".join(flag.name or "" for flag in BarFlag if flag & bar.Flags)
    return {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in values.items()}
