"""`tickengine replay`: recordings as a feed, on the command line."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from typing import Any

from .._errors import ConfigError
from .._keys import Keyboard
from ..log import DEFAULT_CAPACITY
from ..record.progress import Progress
from .days import is_csv
from .replay import Replay

EPILOG = """\
examples:
  tickengine replay recordings/20260105.ticks --speed 10          workers attach with TickQueue.attach("replay")
  tickengine replay rb2601-20260105.csv --from 09:30 --to 10:15   a CSV file as AlgoPlus writes it, 45 minutes of it
  tickengine replay recordings/ --speed max --wait-for-readers 2  all days, when two workers are there, losing nothing

While it plays: the blank key pauses and goes on, the left and right keys go a minute back or on, / asks for a time to
go to (10:00, or 2026-01-05 10:00), q ends. SIGUSR1 pauses, SIGUSR2 goes on, SIGINT ends.
"""
_STEPS_S = {"left": -60, "right": 60}
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
    add("--loop", nargs="?", type=int, const=True, default=False, metavar="N", help="again and again, or N times")
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
    replay = _Told(
        args.files,
        name=args.name,
        speed=args.speed,
        instruments=_ids(args.instruments),
        products=_ids(args.products),
        start=args.start,
        stop=args.stop,
        loop=args.loop,
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


class _Told(Replay):
    """Tells how far the reading of its CSV files is."""

    def start(self) -> None:
        size = sum(os.path.getsize(path) for path in self._files if is_csv(path) and os.path.exists(path))
        if not size:
            super().start()
            return
        with Progress("reading", size, "bytes") as self._reading:
            super().start()

    def _take_message(self, kind: str, content: Any) -> None:
        if kind == "read":
            self._reading(content)


def _look_after(replay: Replay, keyboard: Keyboard) -> None:
    with Progress("", 0) as progress:
        keys = _Keys(replay, progress)
        while not replay.join(0):
            keys.show()
            try:
                pressed, numbers = keyboard.wait(_LOOK_S)
            except EOFError:  # the terminal has gone, and with it whoever looked at this
                return
            if not all(map(keys.press, pressed)) or signal.SIGTERM in numbers:
                break
            if signal.SIGUSR1 in numbers:
                replay.pause()
            if signal.SIGUSR2 in numbers:
                replay.resume()
        keys.leave()


class _Keys:
    """What keys do, and what is told meanwhile."""

    def __init__(self, replay: Replay, progress: Progress) -> None:
        self._replay, self._progress = replay, progress
        self._typed: str | None = None  # of a time to go to

    def show(self) -> None:
        """Where it stands, but not into what is being typed."""
        status = self._replay.status()
        at = status.get("replay")
        if at is None or self._typed is not None:
            return
        speed = "flat out" if at["speed"] == "max" else f"speed {at['speed']:g}"
        waiting = f"waiting for {at['waiting_for']}" if at["waiting_for"] else ""
        words = (f"{status['trading_day']} ({at['day']}/{at['days']})", at["time"], "paused" if at["paused"] else speed)
        self._progress.at(at["tick"], " ".join(filter(None, (*words, waiting))), at["ticks"])

    def press(self, key: str) -> bool:
        """False: it is to end."""
        if self._typed is not None:
            self._type(self._typed, key)
        elif key == "q":
            return False
        elif key == " ":
            (self._replay.resume if self._replay.status()["replay"]["paused"] else self._replay.pause)()
        elif key in _STEPS_S:
            self._replay.step(_STEPS_S[key])
        elif key == "/":
            self._progress.hide()
            self._typed = ""
            _write("go to (such as 10:00): ")
        return True

    def leave(self) -> None:
        """What is being typed is of no use any more."""
        if self._typed is not None:
            _write("\n")

    def _type(self, typed: str, key: str) -> None:
        if key in ("enter", "escape"):
            self._typed = None
            _write("\n")
            if key == "enter":
                self._seek(typed)
            self._progress.show()
        elif key == "backspace" and typed:
            self._typed = typed[:-1]
            _write("\b \b")
        elif len(key) == 1 and key.isascii():
            self._typed = typed + key
            _write(key)

    def _seek(self, where: str) -> None:
        try:
            self._replay.seek(where)
        except ConfigError as error:
            _write(f"{error}\n")


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
