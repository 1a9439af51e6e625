"""The lists of `top`: which rows in which order, and as many columns as the width has room for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .snapshot import EventLine, Exchange, Instruments, Queue, Snapshot
from .text import Line, age, cells, clean, count, fit, latency, number, pad, rate, signed, wrap
from .view import View

_GAP = 2
_OLD_S = 60.0  # an age from here on stands out
_BAD_EVENTS = frozenset(
    {"front_disconnected", "login_refused", "subscribe_refused", "error", "gave_up", "engine_lost", "stale"}
)


@dataclass(frozen=True)
class Column:
    """A column: its cells are texts, with a style each; the higher *rank*, the sooner it is left out."""

    title: str
    cells: Sequence[str]
    rank: int = 0
    right: bool = True
    styles: Sequence[str] | None = None


def lay_out(columns: Sequence[Column], width: int, sort: str = "", descending: bool = True) -> list[Line]:
    """A line of titles and one for each row. The columns of the highest ranks go until the rest has room."""
    titles = {c.title: c.title + (("v" if descending else "^") if c.title == sort else "") for c in columns}
    widths = {c.title: max(cells(titles[c.title]), *map(cells, c.cells), 1) for c in columns if c.cells}
    widths.update({c.title: cells(titles[c.title]) for c in columns if not c.cells})
    kept = list(columns)

    def needed() -> int:
        return sum(widths[c.title] + _GAP for c in kept) - _GAP

    while len(kept) > 1 and needed() > width:
        worst = max(kept, key=lambda c: c.rank)
        if not worst.rank:
            break
        kept.remove(worst)
    over = needed() - width
    if over > 0:  # what cannot be left out is cut: the widest
        widest = max(kept, key=lambda c: widths[c.title])
        widths[widest.title] = max(3, widths[widest.title] - over)
    gap = (" " * _GAP, "")
    lines: list[Line] = []
    for row in range(-1, len(kept[0].cells)):
        line: Line = []
        for c in kept:
            text = titles[c.title] if row < 0 else c.cells[row]
            style = "bold" if row < 0 else c.styles[row] if c.styles is not None else ""
            line += [(pad(text, widths[c.title], c.right), style), gap]
        lines.append(fit(line[:-1], width))
    return lines


def visible(total: int, top: int, rows: int) -> tuple[int, int]:
    """Which rows of so many are seen."""
    first = max(0, min(top, total - rows))
    return first, min(total, first + rows)


def instrument_order(table: Instruments, view: View) -> list[int]:
    """Rows that the filter lets through, in the view's order. What is absent comes last."""
    wanted = view.filter.lower()
    rows = [i for i, name in enumerate(table.ids) if wanted in name.lower() or wanted == table.exchanges[i].lower()]
    rows.sort(key=lambda i: table.ids[i])
    if view.sort == "id":
        return rows[::-1] if view.descending else rows
    column = {
        "last": table.last,
        "change": table.percent,
        "volume": table.volume,
        "OI": table.open_interest,
        "ticks": table.ticks,
        "ticks/s": table.rate,
        "age": table.age,
    }[view.sort][rows].astype(float)
    order = np.argsort(-column if view.descending else column, kind="stable")  # NaN goes to the end either way
    return [rows[i] for i in order]


def _signs(values: Sequence[float]) -> list[str]:
    # China's colours: red has risen, green has fallen. The sign is in the text.
    return ["red" if v > 0 else "green" if v < 0 else "" for v in values]


def instruments(table: Instruments, view: View, rows: int, width: int) -> tuple[list[Line], int]:
    """The lines, the titles first, and how many rows there are in all."""
    order = instrument_order(table, view)
    first, stop = visible(len(order), view.top, rows)
    shown = order[first:stop]
    change, ages = [float(table.change[i]) for i in shown], [float(table.age[i]) for i in shown]
    percent = [float(table.percent[i]) for i in shown]
    columns = [
        Column("id", [clean(table.ids[i]) for i in shown], right=False, styles=["bold"] * len(shown)),
        Column("exchange", [clean(table.exchanges[i]) for i in shown], rank=8, right=False),
        Column("last", [number(table.last[i]) for i in shown]),
        Column("change", [signed(v) for v in change], rank=2, styles=_signs(change)),
        Column("%", ["-" if v != v else f"{v:+.2f}" for v in percent], rank=6, styles=_signs(percent)),
        Column("bid", [number(table.bid[i]) for i in shown], rank=3),
        Column("ask", [number(table.ask[i]) for i in shown], rank=3),
        Column("volume", [count(int(table.volume[i])) for i in shown], rank=4),
        Column("OI", [number(table.open_interest[i]) for i in shown], rank=7),
        Column("ticks", [count(int(table.ticks[i])) for i in shown], rank=5),
        Column("ticks/s", [rate(float(table.rate[i])) for i in shown], rank=1),
        Column("age", [age(v) for v in ages], styles=["yellow" if v >= _OLD_S else "" for v in ages]),
    ]
    return lay_out(columns, width, view.sort, view.descending), len(order)


def _by(key: Callable[[Queue], float | None]) -> Callable[[Queue], float]:
    return lambda q: -1.0 if (value := key(q)) is None else float(value)


_QUEUE_KEYS: dict[str, Callable[[Queue], float]] = {
    "lag": _by(lambda q: q.lag),
    "lost": _by(lambda q: q.lost),
    "ticks/s": _by(lambda q: q.rate),
    "p99": _by(lambda q: (q.recent or q.latency or {}).get("p99")),
}


def _reader(q: Queue) -> str:
    if q.alive:
        return "asleep" if q.asleep else "awake"
    return "no reader" if q.pid is None else "DEAD"


def queues(found: Sequence[Queue], view: View, rows: int, width: int) -> tuple[list[Line], int]:
    """As `instruments`. Latencies: p50, p90, p99 of the last seconds, then p99 and max since the start."""
    mine = sorted((q for q in found if view.filter.lower() in q.name.lower()), key=lambda q: q.name)
    if view.sort in _QUEUE_KEYS:
        mine.sort(key=_QUEUE_KEYS[view.sort], reverse=view.descending)
    elif view.descending:
        mine.reverse()
    first, stop = visible(len(mine), view.top, rows)
    shown = mine[first:stop]
    recent, total = [q.recent or {} for q in shown], [q.latency or {} for q in shown]
    lost = ["bold red" if q.lost or q.lost_events else "" for q in shown]
    columns = [
        Column("name", [clean(q.name) for q in shown], right=False, styles=["bold"] * len(shown)),
        Column("pid", [number(q.pid) for q in shown], rank=8),
        Column("reader", [_reader(q) for q in shown], right=False, styles=["" if q.alive else "red" for q in shown]),
        Column("lag", [count(q.lag) for q in shown]),
        Column("lost", [count(q.lost) for q in shown], styles=lost),
        Column("lost events", [count(q.lost_events) for q in shown], rank=12, styles=lost),
        Column("skipped", [count(q.skipped) for q in shown], rank=11),
        Column("received", [count(q.received) for q in shown], rank=7),
        Column("ticks/s", [rate(q.rate) for q in shown], rank=3),
        Column("p50", [latency(r.get("p50")) for r in recent], rank=2),
        Column("p90", [latency(r.get("p90")) for r in recent], rank=9),
        Column("p99", [latency(r.get("p99")) for r in recent], rank=1),
        Column("all p50", [latency(r.get("p50")) for r in total], rank=10),
        Column("all p99", [latency(r.get("p99")) for r in total], rank=5),
        Column("all max", [latency(r.get("max")) for r in total], rank=6),
    ]
    return lay_out(columns, width, view.sort, view.descending), len(mine)


def exchanges(found: Sequence[Exchange], view: View, rows: int, width: int) -> tuple[list[Line], int]:
    """As `instruments`."""
    mine = sorted((e for e in found if view.filter.lower() in e.ExchangeID.lower()), key=lambda e: e.ExchangeID)
    keys: dict[str, Callable[[Exchange], float]] = {
        "ticks": lambda e: e.ticks,
        "ticks/s": lambda e: e.rate or 0.0,
        "age": lambda e: e.age,
    }
    if view.sort in keys:
        mine.sort(key=keys[view.sort], reverse=view.descending)
    elif view.descending:
        mine.reverse()
    first, stop = visible(len(mine), view.top, rows)
    shown = mine[first:stop]
    columns = [
        Column("exchange", [clean(e.ExchangeID) for e in shown], right=False, styles=["bold"] * len(shown)),
        Column("instruments", [count(e.instruments) for e in shown], rank=2),
        Column("ticks", [count(e.ticks) for e in shown], rank=1),
        Column("ticks/s", [rate(e.rate) for e in shown]),
        Column("age", [age(e.age) for e in shown], styles=["yellow" if e.age >= _OLD_S else "" for e in shown]),
    ]
    return lay_out(columns, width, view.sort, view.descending), len(mine)


def _event_style(event: EventLine) -> str:
    return "red" if event.name in _BAD_EVENTS else "yellow" if event.name.endswith(("overdue", "warning")) else ""


def event_line(event: EventLine, width: int) -> Line:
    """``09:30:00  front disconnected: …`` in this machine's time, cut at the width."""
    at = time.strftime("%H:%M:%S", time.localtime(event.time // 10**9))
    return fit([(at, "dim"), ("  ", ""), (event.words, _event_style(event))], width)


def _event_lines(event: EventLine, width: int) -> list[Line]:
    """All of it, with the day, on as many lines as it takes."""
    seconds, ns = divmod(event.time, 10**9)
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) + f".{ns // 10**6:03d}  "
    parts = wrap(clean(event.words), max(10, width - len(at)))
    style = _event_style(event)
    return [fit([(at if not i else " " * len(at), "dim"), (part, style)], width) for i, part in enumerate(parts)]


def events(found: Sequence[EventLine], view: View, rows: int, width: int) -> tuple[list[Line], int]:
    """As `instruments`, the newest first; a row here is a line, long words take several."""
    mine = [e for e in found if view.filter.lower() in e.words.lower() or view.filter.lower() in e.name]
    if view.descending:
        mine.reverse()
    lines = [line for e in mine for line in _event_lines(e, width)]
    first, stop = visible(len(lines), view.top, rows)
    return [fit([("event", "bold")], width), *lines[first:stop]], len(lines)


def page(snapshot: Snapshot, view: View, rows: int, width: int) -> tuple[list[Line], int]:
    """The list of the view's page."""
    match view.page:
        case "queues":
            return queues(snapshot.queues, view, rows, width)
        case "exchanges":
            return exchanges(snapshot.exchanges, view, rows, width)
        case "events":
            return events(snapshot.events, view, rows, width)
    return instruments(snapshot.instruments, view, rows, width)
