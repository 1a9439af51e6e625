"""`tickengine front`: a front on the command line."""

from __future__ import annotations

import argparse
import logging
import re
import select
import signal
import sys
import time
from pathlib import Path

from tickengine._secret import secret
from tickengine._signals import signal_pipe
from tickengine.front import clock
from tickengine.front.faults import FAULT_FORMS, parse_fault
from tickengine.front.market import Market, NumberedMarket
from tickengine.front.randomwalk import RandomWalkMarket
from tickengine.front.recorded import RecordedMarket
from tickengine.front.server import DEFAULT_INSTRUMENTS, Front
from tickengine.replay.days import Selection

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tickengine front`."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen at (default: %(default)s); others are warned of")
    add("--port", type=int, default=0, help="port to listen at (default: any free one)")
    ids = parser.add_mutually_exclusive_group()
    ids.add_argument("--instruments", metavar="ID,ID", help="instruments of the market")
    ids.add_argument("--instruments-file", type=Path, metavar="FILE", help="the same, from a file, blanks between")
    add("--numbered", action="store_true", help="ticks whose every member follows from a running number")
    add("--seed", type=int, default=0, help="seed of the market (default: %(default)s)")
    add(
        "--replay",
        nargs="+",
        metavar="FILE",
        help="the ticks of a day's recordings (.ticks) or CSV files in the vendor's columns, once, in their spacing",
    )
    add("--speed", metavar="N", help="with --replay: times faster than it was, or 'max' (default: 1)")
    add("--trading-day", metavar="YYYYMMDD", help="trading day (default: the present one)")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--rate", type=float, metavar="N", help="ticks a second (default: a snapshot every 500 ms)")
    pace.add_argument("--burst", metavar="N/SECONDS", help="N ticks at once every SECONDS")
    pace.add_argument("--flat-out", action="store_true", help="as fast as the client reads")
    add("--count", type=int, metavar="N", help="stop publishing after N ticks")
    add("--password-env", metavar="NAME", help="environment variable that holds the only password accepted")
    add("--password-file", metavar="FILE", help="the same, from a file that only this user can read")
    add(
        "--fault",
        action="append",
        default=[],
        metavar="SPEC",
        help="something to go wrong, may be repeated: " + "; ".join(FAULT_FORMS).replace("%", "%%"),
    )
    add("--stats", type=float, metavar="SECONDS", help="print counters every SECONDS")
    add("--for", dest="for_s", type=float, metavar="SECONDS", help="end after SECONDS (default: on a signal)")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT, SIGTERM or the end of `--for`; call from the main thread.

    Prints the address on the first line. Returns 0 after a clean stop, 2 after one line about bad input.
    """
    try:
        front, stats_s, for_s = _make(args)
    except (ValueError, OSError) as error:
        return _refuse(error)
    with signal_pipe(_SIGNALS) as signalled:
        try:
            front.start()
        except OSError as error:
            return _refuse(error)
        try:
            print(front.address, flush=True)
            _wait(front, stats_s, for_s, signalled)
        finally:
            front.stop()
        return 0


def _refuse(error: Exception) -> int:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {text}"
    print(f"tickengine front: {text}", file=sys.stderr)
    return 2


def _make(args: argparse.Namespace) -> tuple[Front, float | None, float | None]:
    for name, value in (("--stats", args.stats), ("--for", args.for_s)):
        if value is not None and not 0 < value < 1e9:
            raise ValueError(f"{name} {value}: must be above 0 seconds")
    if not 0 <= args.port <= 65535:
        raise ValueError(f"--port {args.port}: must be from 0 to 65535")
    password = None
    if args.password_env is not None or args.password_file is not None:
        password = secret(env=args.password_env, file=args.password_file)
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    front = Front(
        _market(args),
        host=args.host,
        port=args.port,
        rate=args.rate,
        burst=_burst(args.burst),
        flat_out=args.flat_out,
        count=args.count,
        password=password,
        faults=[parse_fault(text) for text in args.fault],
    )
    return front, args.stats, args.for_s


def _market(args: argparse.Namespace) -> Market:
    if args.replay is not None:
        return _recorded(args)
    if args.speed is not None:
        raise ValueError(f"--speed {args.speed}: goes with --replay only; a market of its own has --rate")
    names = list(DEFAULT_INSTRUMENTS)
    if args.instruments is not None:
        names = args.instruments.split(",")
    elif args.instruments_file is not None:
        try:
            names = args.instruments_file.read_text(encoding="utf-8").split()
        except UnicodeDecodeError:
            raise ValueError(f"--instruments-file {args.instruments_file}: is not a text file") from None
    day = args.trading_day if args.trading_day is not None else clock.trading_day(clock.now())
    if args.numbered:
        return NumberedMarket(names, args.seed, trading_day=day)
    return RandomWalkMarket(names, args.seed, trading_day=day)


def _recorded(args: argparse.Namespace) -> Market:
    for option, given in (("--numbered", args.numbered), ("--trading-day", args.trading_day is not None)):
        if given:
            raise ValueError(f"{option}: does not go with --replay, whose ticks are what they are")
    if args.instruments_file is not None:
        raise ValueError("--instruments-file: name the instruments with --instruments beside --replay")
    ids = () if args.instruments is None else tuple(name.encode() for name in args.instruments.split(","))
    return RecordedMarket(args.replay, args.speed or 1.0, Selection(ids))


def _burst(text: str | None) -> tuple[int, float] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]+(?:\.[0-9]+)?)", text)
    if match is None:
        raise ValueError(f"--burst '{text}': must be N/SECONDS, such as 1000/0.5")
    return int(match[1]), float(match[2])


def _wait(front: Front, stats_s: float | None, for_s: float | None, signalled: int) -> None:
    begin = time.monotonic()
    end = begin + for_s if for_s is not None else None
    shown = begin
    last = front.stats()
    while True:
        now = time.monotonic()
        if end is not None and now >= end:
            return
        if stats_s is not None and now >= shown + stats_s:
            stats = front.stats()
            rate = (stats.ticks_sent - last.ticks_sent) / (now - shown)
            print(f"{stats.summary()}  rate {rate:.0f}/s", flush=True)
            shown, last = now, stats
        times = [t for t in (end, shown + stats_s if stats_s is not None else None) if t is not None]
        left = max(0.0, min(times) - time.monotonic()) if times else 3600.0
        if select.select([signalled], [], [], min(left, 3600.0))[0]:
            return
