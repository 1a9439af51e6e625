"""``tickengine health NAME``: one line and an exit status for whoever watches feeds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from .._errors import ConfigError, NotFoundError, TickEngineError
from ..feed import sessions
from ..feed.plan import engine_and_hours
from ..hours import open_for
from ..log import TickLog
from ..products import OwnHours, Product, products_of
from ..words import complain
from .age import last_tick_age

LIVE, DOUBTFUL, DEAD = 0, 1, 2
MAX_AGE_S = 60.0


def judge(
    status: dict[str, Any], running: bool, age: float | None, open_s: float, max_age: float = MAX_AGE_S
) -> tuple[int, str]:
    """The verdict and its words.

    Args:
        status: as `TickLog.status` gives it.
        running: whether the engine process lives.
        age: seconds since the newest tick; None: there was none.
        open_s: seconds since a session of its instruments began; 0: none is under way.
        max_age: seconds without a tick, within a session, that are too many.

    Returns:
        `DEAD` (2): stopped, failed, or without a process.
        `DOUBTFUL` (1): in a session, and not live or without ticks for more than *max_age*.
        `LIVE` (0): anything else; out of session hours a front may be closed and ticks do not come.
    """
    state = str(status["state"])
    why = status.get("failure") or status.get("front_error") or ""
    told = f"{state}{': ' + str(why) if why else ''}"
    if state in ("stopped", "failed"):
        return DEAD, told
    last = "no tick yet" if age is None else f"last tick {age:.1f} s ago"
    if not running:
        return DEAD, f"its process is dead and not started again yet; {last}{': ' + str(why) if why else ''}"
    words = f"{told}, {last}, {status.get('subscribed', 0)} subscribed"
    if status.get("unacknowledged"):
        words += f", {status['unacknowledged']} unacknowledged"
    if not open_s:
        return LIVE, f"{words} (out of session hours)"
    if state not in ("live", "stale") and open_s > max_age:
        return DOUBTFUL, words
    silent = open_s if age is None else min(age, open_s)
    if silent > max_age:
        return DOUBTFUL, f"{words}; more than {max_age:g} s without a tick"
    return LIVE, words


def products_seen(log: TickLog, hours: OwnHours | None = None) -> Iterable[Product]:
    """The products of the instruments that have ticked; before the first tick, and if none is known, all.

    *hours*: sessions in place of the tables'.
    """
    return products_of((entry["InstrumentID"] for entry in log.instruments()), hours)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    sessions.add_arguments(parser)
    parser.add_argument(
        "--max-age",
        type=_seconds,
        default=MAX_AGE_S,
        metavar="SECONDS",
        help="without a tick for longer, within session hours, is 1 (default: %(default)g)",
    )
    parser.add_argument("--always", action="store_true", help="count every hour as session hours (test fronts, SimNow)")
    parser.epilog = (
        "Exit status: 0 live, or resting out of session hours; 1 in session hours and not live, or without ticks; "
        "2 not running, failed, or its process dead. Example: tickengine health feed --max-age 30"
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of seconds above 0")
    return value


def run(args: argparse.Namespace) -> int:
    """Print the verdict; its number is the exit status."""
    try:
        name, hours = engine_and_hours(args.name, args.config)
    except ConfigError as error:  # a monitor must not take it for a feed that is well
        complain(error)
        return DEAD
    try:
        log = TickLog.attach(name)
        open_s = float("inf") if args.always or hours.any_hour else open_for(products_seen(log, hours.own))
        code, words = judge(log.status(), bool(log.info().writer_alive), last_tick_age(log), open_s, args.max_age)
    except NotFoundError:
        print(f"{name}: not running", file=sys.stderr)
        return DEAD
    except TickEngineError as error:  # a log that is damaged or of another version; no name at all
        print(f"{name}: {error}", file=sys.stderr)
        return DEAD
    print(f"{name}: {words}")
    return code
