"""A whole screen of `top` as lines: what it is depends on the snapshot, the size and the view, and on nothing else."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from .. import words
from . import tables
from .snapshot import Exchange, Snapshot
from .text import Line, age, count, fit, plain, rate, spread
from .view import KEYS, PAGES, View

if TYPE_CHECKING:
    from rich.text import Text

_STATE_STYLES = {"live": "bold green", "stale": "bold yellow", "stopped": "bold", "failed": "bold red"}
_TALL = 34  # from so many lines on the queues have a place of their own
_SMALLEST = 8
_FOOT = "q quit  ? help  s sort  / filter  p pause"
_MEANINGS = (
    "p50 p90 p99: from callback to reader, last 5 s; all: since the queue's start",
    "lag: records between reader and newest; lost: overwritten before it came",
    "change: against PreSettlementPrice; red has risen, green has fallen",
)


def _head(snapshot: Snapshot, width: int) -> list[Line]:
    status = snapshot.status
    at = time.strftime("%H:%M:%S", time.localtime(snapshot.time / 1e9))
    state = (snapshot.state.upper(), _STATE_STYLES.get(snapshot.state, "bold cyan"))
    name: Line = [("tickengine ", ""), (snapshot.name, "bold"), ("  ", ""), state]
    day = status.get("trading_day")
    told = [str(status.get("front") or "no front yet"), f"day {day}" if day else "no trading day yet"]
    lines = [spread([*name, ("  " + "  ".join(told), "")], [(at, "dim")], width)]
    numbers = [
        f"ticks {count(status['ticks'])}",
        f"{rate(snapshot.rate)}/s now",
        *([] if snapshot.peak is None else [f"{rate(snapshot.peak)}/s peak"]),
        f"instruments {len(snapshot.instruments)}" + (f" of {status['subscribed']}" if "subscribed" in status else ""),
        f"queues {len(snapshot.queues)}",
        f"epoch {status.get('epoch', 0)}",
        f"logins {status.get('logins', 0)}",
        f"disconnects {status.get('disconnects', 0)}",
        f"pid {status.get('pid') or '-'}",
        f"api {status.get('api_version') or '-'}",
    ]
    while len(numbers) > 1 and len("  ".join(numbers)) > width:
        numbers.pop()
    lines.append(fit([("  ".join(numbers), "")], width))
    lines.append(_ages(snapshot.exchanges, width))
    trouble = _trouble(snapshot)
    if trouble:
        lines.append(fit([("! " + trouble, "bold red")], width))
    return lines


def _ages(found: tuple[Exchange, ...], width: int) -> Line:
    line: Line = [("last tick ", "")]
    for e in found:
        line += [(f" {e.ExchangeID} ", "bold"), (age(e.age), "yellow" if e.age >= 60 else ""), (" ", "")]
    return fit(line if found else [("no tick yet", "yellow")], width)


def _trouble(snapshot: Snapshot) -> str:
    """What somebody should look at, in one line; "" nothing."""
    status = snapshot.status
    found = []
    if status.get("failure"):
        found.append(str(status["failure"]))
    elif status.get("front_error"):
        found.append(str(status["front_error"]))
    elif snapshot.state == "connecting" and status.get("last_disconnect_reason"):
        found.append(words.disconnect_reason(int(status["last_disconnect_reason"])))
    if status.get("unacknowledged") and snapshot.state != "connecting":
        found.append(f"{status['unacknowledged']} subscriptions not acknowledged")
    if status.get("refused"):
        found.append("refused: " + ", ".join(map(str, status["refused"])))
    lost = sum(q.lost for q in snapshot.queues)
    if lost:
        slow = sum(1 for q in snapshot.queues if q.lost)
        found.append(f"{count(lost)} ticks lost by {slow} queue{'s' if slow > 1 else ''}")
    dead = [q.name for q in snapshot.queues if q.pid is not None and not q.alive]
    if dead:
        found.append(f"reader dead: {', '.join(dead)}")
    return "; ".join(found)


def _tabs(snapshot: Snapshot, view: View, shown: tuple[int, int, int], width: int) -> Line:
    line: Line = []
    for key, page in enumerate(PAGES, 1):
        # Without colours it is the brackets that tell.
        line.append((f"[{key} {page}]" if page == view.page else f" {key} {page} ", _style(page == view.page)))
    first, stop, total = shown
    where = f"{first + 1}-{stop} of {total}" if stop > first else "none"
    if view.filter or view.typing:
        where = f"/{view.filter}{'_' if view.typing else ''}  {where}"
    if view.paused:
        where = f"PAUSED  {where}"
    return spread(line, [(where, "bold" if view.paused or view.typing else "")], width)


def _style(chosen: bool) -> str:
    return "reverse" if chosen else ""


def _help(rows: int, width: int) -> list[Line]:
    lines = [fit([(f"{keys:<20}", "bold"), (what, "")], width) for keys, what in KEYS]
    return [*lines, [], *(fit([(text, "")], width) for text in _MEANINGS)][:rows]


def frame(snapshot: Snapshot, width: int, height: int, view: View) -> list[Line]:
    """At most *height* lines of at most *width* columns each.

    Head, list and, when the list is another one, the newest events; from 34 lines on the queues too.
    """
    if height < _SMALLEST:
        return _head(snapshot, width)[:height]
    head = _head(snapshot, width)
    foot = fit([(view.note, "bold reverse")] if view.note else [(_FOOT, "dim")], width)
    room = height - len(head) - 2  # the tabs, the foot
    below = _below(snapshot, view, room, width)
    rows = max(1, room - len(below) - 1)
    if view.help:
        body, shown = _help(rows + 1, width), (0, 0, 0)
    else:
        body, total = tables.page(snapshot, view, rows, width)
        shown = (*tables.visible(total, view.top, rows), total)
    body = body[: rows + 1]
    blank: list[Line] = [[] for _ in range(rows + 1 - len(body))]
    return [*head, _tabs(snapshot, view, shown, width), *body, *blank, *below, foot][:height]


def list_rows(snapshot: Snapshot, width: int, height: int, view: View) -> int:
    """Rows that the list has on such a screen."""
    room = height - len(_head(snapshot, width)) - 2
    return max(1, room - len(_below(snapshot, view, room, width)) - 1)


def _below(snapshot: Snapshot, view: View, room: int, width: int) -> list[Line]:
    """What stands under the list."""
    lines: list[Line] = []
    if room >= _TALL - 6 and view.page != "queues" and snapshot.queues:
        usual = dataclasses.replace(view, page="queues", filter="", top=0, reverse=False).sorted_by("lag")
        most = min(len(snapshot.queues), room // 5)
        found, total = tables.queues(snapshot.queues, usual, most, width)
        lines += [[], *found]
        if total > most:
            lines.append(fit([(f"{total - most} more queues: key 2", "dim")], width))
    if view.page != "events" and snapshot.events and room >= 8:
        newest = snapshot.events[-(6 if room >= _TALL - 6 else 3 if room >= 14 else 1) :]
        lines += [[], *(tables.event_line(e, width) for e in newest)]
    return lines


def as_text(snapshot: Snapshot, width: int, height: int, view: View) -> str:
    """The screen without styles."""
    return plain(frame(snapshot, width, height, view)) + "\n"


def render(snapshot: Snapshot, width: int, height: int, view: View) -> Text:
    """The screen as rich draws it. Needs rich."""
    from rich.text import Text

    lines = frame(snapshot, width, height, view)
    text = Text(no_wrap=True, overflow="crop", end="")
    for i, line in enumerate(lines):
        if i:
            text.append("\n")
        for piece, style in line:
            text.append(piece, style or None)
    return text
