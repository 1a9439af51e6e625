"""`tickengine replay`: recordings as a feed, on the command line."""

from __future__ import annotations

import argparse
import logging
import signal

from .._keys import Keyboard
from ..log import DEFAULT_CAPACITY
from .replay import Replay

EPILOG = """\
examples:
  tickengine replay recordings/20260105.ticks --speed 10          workers attach with TickQueue.attach("replay")
  tickengine replay rb2601-20260105.csv --from 09:30 --to 10:15   a CSV file as AlgoPlus writes it, 45 minutes of it
  tickengine replay recordings/ --speed max --wait-for-readers 2  all days, when two workers are there, losing nothing

While it plays: the blank key pauses and goes on, q ends; so do SIGUSR1 (pause), SIGUSR2 (go on) and SIGINT.
"""
_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)
_LOOK_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tickengine replay`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="recordings (.ticks), CSV files in the vendor's columns, directories")
    add("--name", default="replay", help="name of the log, for workers to attach (default: %(default)s)")
    add("--speed", default="1", metavar="N", help="times faster than it was, or 'max' for flat out (default: 1)")
    add("--from", dest="start", metavar="TIME", help="09:30:00 of each day, or 2026-01-05 09:30:00; exchange time")
    add("--to", dest="stop", metavar="TIME", help="up to this time")
    add("--instruments", metavar="ID,ID", help="only these")
    add("--products", metavar="ID,ID", help="only instruments of these products, such as rb,IF")
    add("--loop", nargs="?", type=int, const=0, metavar="N", help="again and again, or N times")
    add("--max-gap", type=float, metavar="SECONDS", help="longer gaps between ticks are shortened to this")
    add(
        "--wait-for-readers",
        nargs="?",
        type=int,
        const=0,
        metavar="N",
        help="overwrite nothing that a living reader has not taken (default: only with --speed max); "
        "with N, begin when so many are there",
    )
    add("--overrun", action="store_true", help="wait for nobody, as a live feed does, also with --speed max")
    add("--paused", action="store_true", help="begin in a pause")
    add("--capacity", type=int, default=DEFAULT_CAPACITY, metavar="TICKS", help="of the log (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Play everything, or until a signal or a key ends it."""
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    replay = Replay(
        args.files,
        name=args.name,
        speed=args.speed,
        instruments=_ids(args.instruments),
        products=_ids(args.products),
        start=args.start,
        stop=args.stop,
        loop=False if args.loop is None else args.loop or True,
        lossless=False if args.overrun else None if args.wait_for_readers is None else True,
        max_gap=args.max_gap,
        paused=args.paused,
        wait_for_workers=args.wait_for_readers or 0,
        capacity=args.capacity,
    )
    with Keyboard(_SIGNALS, background=False) as keyboard, replay:
        days = replay.status()["replay"]["days"] if replay.is_alive() else len(args.files)
        print(f"replay {replay.name!r} in process {replay.pid}: {days} trading day(s)", flush=True)
        _look_after(replay, keyboard)
        played = replay.log.info().ticks
        replay.stop()
        replay.join()
    print(f"{played} ticks played", flush=True)
    return 0


def _ids(text: str | None) -> list[str] | None:
    return None if text is None else text.split(",")


def _look_after(replay: Replay, keyboard: Keyboard) -> None:
    while not replay.join(0):
        try:
            keys, numbers = keyboard.wait(_LOOK_S)
        except EOFError:  # the terminal has gone, and with it whoever looked at this
            return
        if "q" in keys or signal.SIGTERM in numbers:
            return
        if signal.SIGUSR1 in numbers:
            replay.pause()
        if signal.SIGUSR2 in numbers:
            replay.resume()
        if " " in keys:
            (replay.resume if replay.status()["replay"]["paused"] else replay.pause)()
