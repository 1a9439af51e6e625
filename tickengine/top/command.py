"""``tickengine top``: the command's arguments, and the loop of looks, keys and screens."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shutil
import signal
import sys
import time

from .._coming import Coming
from .._errors import ConfigError, NotFoundError
from .._keys import Keyboard
from ..log import TickLog
from .find import running
from .frame import as_text, list_rows
from .screen import Screen, save_svg
from .snapshot import Snapshot, Watcher
from .view import PAGES, SORTS, View

_LOOK_FOR_S = 0.5  # between looks whether an engine has come
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)

_EPILOG = """\
examples:
  tickengine top                      the engine that is running here, or a list if there are several
  tickengine top md                   the engine called md
  tickengine top md --view queues --sort p99
  tickengine top md --once            one screen as text, after a second of looking
  tickengine top md --once --json     everything as JSON, for scripts:
      tickengine top md --once --json | jq '.queues[] | select(.lost > 0) | .name'

keys: 1 instruments, 2 queues, 3 exchanges, 4 events; s sort, r reverse, / filter, p pause, ? help, q quit

The engine does not notice that somebody looks: top takes no place in its log and writes nothing.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    columns = "; ".join(f"{page}: {', '.join(SORTS[page])}" for page in PAGES[:3])
    parser.add_argument("name", nargs="?", help="the engine's name (default: the only one that runs)")
    parser.add_argument("--once", action="store_true", help="print one screen as text and end; needs no terminal")
    parser.add_argument("--json", action="store_true", help="with --once: everything as one JSON object")
    parser.add_argument("--wait", action="store_true", help="wait for the engine to come, and to come back")
    parser.add_argument("--interval", type=float, default=1.0, metavar="S", help="seconds between looks (default 1)")
    parser.add_argument("--view", choices=PAGES, default=PAGES[0], help="the list to begin with (default instruments)")
    parser.add_argument("--sort", metavar="COLUMN", help=f"the column to sort by ({columns})")
    parser.add_argument("--reverse", action="store_true", help="the other way round")
    parser.add_argument("--filter", default="", metavar="TEXT", help="only names that contain this")
    parser.add_argument("--svg", metavar="FILE", help=argparse.SUPPRESS)  # with --once: a picture, for the documents


def run(args: argparse.Namespace) -> int:
    view = _first_view(args)
    if args.once:
        return _once(args, view)
    screen = Screen()  # says what is missing before anything is waited for
    name = _name(args)
    if name is None:
        return 2
    return _Live(name, args.interval, args.wait, screen, view).run()


def _first_view(args: argparse.Namespace) -> View:
    if not 0.1 <= args.interval <= 3600:
        raise ConfigError(f"--interval must be from 0.1 to 3600 seconds, not {args.interval:g}")
    if args.json and not args.once:
        raise ConfigError("--json prints one look: add --once")
    view = View(page=args.view, filter=args.filter, reverse=args.reverse)
    if args.sort is None:
        return view
    if args.sort not in SORTS[args.view]:
        raise ConfigError(f"--sort {args.sort}: the {args.view} can be sorted by {', '.join(SORTS[args.view])}")
    return view.sorted_by(args.sort)


def _name(args: argparse.Namespace) -> str | None:
    """The engine meant. None: there are several, and their list has been printed."""
    if args.name is not None:
        return str(args.name)
    while not (names := running()):
        if not args.wait:
            raise ConfigError(
                "no engine is running here (of this user); start one, for example with tickengine demo, or use --wait"
            )
        time.sleep(_LOOK_FOR_S)
    if len(names) == 1:
        return names[0]
    print(f"{len(names)} engines are running; name one: tickengine top NAME\n")
    print(f"{'name':<32}{'state':<12}{'trading day':<13}{'ticks':>14}{'pid':>9}")
    for name in names:
        try:
            log = TickLog.attach(name)
        except NotFoundError:  # it has just ended
            continue
        status = log.status()
        log.close()
        day, pid = status.get("trading_day") or "-", status["pid"] or "-"
        print(f"{name:<32}{status['state']:<12}{day:<13}{status['ticks']:>14,}{pid:>9}")
    return None


def _attach(name: str, wait: bool) -> TickLog:
    if wait:
        coming = Coming(name)
        while (log := coming.look()) is None:
            time.sleep(_LOOK_FOR_S)
        return log
    try:
        return TickLog.attach(name)
    except NotFoundError:
        others = running()
        hint = f"; running: {', '.join(others)}" if others else "; no engine is running here (of this user)"
        raise ConfigError(f"no engine named {name!r}{hint}; --wait waits for it") from None


def _once(args: argparse.Namespace, view: View) -> int:
    name = _name(args)
    if name is None:
        return 2
    log = _attach(name, args.wait)
    try:
        watcher = Watcher(log)
        watcher.look()
        time.sleep(args.interval)  # rates are differences of two looks
        snapshot = watcher.look()
    finally:
        log.close()
    width, height = shutil.get_terminal_size((120, 40))
    if args.svg:
        save_svg(args.svg, snapshot, width, height, view)
        return 0
    # It has seen one rate, which is no peak.
    snapshot = dataclasses.replace(snapshot, peak=None)
    if args.json:
        print(json.dumps(snapshot.to_dict(), ensure_ascii=False, allow_nan=False))
    else:
        print(_whole(snapshot, width, height, view))
    return 0


def _whole(snapshot: Snapshot, width: int, height: int, view: View) -> str:
    """One screen where there is a terminal; elsewhere one so high that all of the list is on it."""
    if not sys.stdout.isatty():
        height = 60 + max(len(snapshot.instruments), len(snapshot.queues), 2 * len(snapshot.events))
    text = as_text(snapshot, width, height, dataclasses.replace(view, note=" "))
    return re.sub(r"\n{3,}", "\n\n", text).rstrip()


class _Live:
    """Looks, draws, waits for keys, until ``q`` or the engine's end."""

    def __init__(self, name: str, interval: float, wait: bool, screen: Screen, view: View) -> None:
        self._name, self._interval, self._wait = name, interval, wait
        self._screen, self._view = screen, view
        self._log = _attach(name, wait)
        self._coming = Coming(name)  # the next one, when it has ended
        self._watcher = Watcher(self._log)
        self._shown = self._watcher.look()

    def run(self) -> int:
        try:
            with Keyboard(_SIGNALS) as keyboard:
                self._screen.enter()
                try:
                    status = self._loop(keyboard)
                finally:
                    self._screen.leave()
        finally:
            self._log.close()
        if status == 128 + signal.SIGINT:
            raise KeyboardInterrupt
        if self._shown.ended and status <= 1:
            failure = self._shown.status.get("failure")
            print(f"engine {self._name} has {self._shown.state}{f': {failure}' if failure else ''}")
        return status

    def _loop(self, keyboard: Keyboard) -> int:
        self._draw()
        next_look = time.monotonic() + self._interval
        while True:
            try:
                keys, signals = keyboard.wait(next_look - time.monotonic())
            except EOFError:
                return 128 + signal.SIGHUP
            for number in signals:
                if number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    return 128 + number
                if number == signal.SIGTSTP:
                    self._pause_process(keyboard)
            for key in keys:
                view = self._view.press(key, list_rows(self._shown, *self._screen.size(), self._view))
                if view is None:
                    return 0
                self._view = view
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + self._interval
                if not self._look():
                    return int(self._shown.state == "failed")
            self._draw()

    def _pause_process(self, keyboard: Keyboard) -> None:
        self._screen.leave()
        keyboard.give_back()
        keyboard.stop()
        keyboard.take()
        self._screen.enter()

    def _look(self) -> bool:
        """False: the engine has ended, and nobody waits for another one."""
        if self._shown.ended:
            return self._come_back()
        snapshot = self._watcher.look()
        if snapshot.ended:
            self._shown = snapshot
            if not self._wait:
                return False
            self._view = dataclasses.replace(
                self._view, note=f"engine {self._name} has {snapshot.state}; waiting for it to come back (q quits)"
            )
        elif not self._view.paused:
            self._shown = snapshot
        return True

    def _come_back(self) -> bool:
        log = self._coming.look()
        if log is None:
            return True
        if log.info().unique_id == self._log.info().unique_id:
            log.close()
            return True
        self._log.close()
        self._log, self._watcher = log, Watcher(log)
        self._view = dataclasses.replace(self._view, note="")
        self._shown = self._watcher.look()
        return True

    def _draw(self) -> None:
        self._screen.show(self._shown, self._view)
