"""What a notebook shows of a tick, a log and a status: small tables, everything in them escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .words import decode

if TYPE_CHECKING:
    from .tick import Tick

_SHANGHAI = timezone(timedelta(hours=8))
_COLUMNS = ("InstrumentID", "LastPrice", "BidPrice1", "BidVolume1", "AskPrice1", "AskVolume1", "Volume")


def tick(tick: Tick) -> str:
    """One tick: a row."""
    rows = [[tick.Sequence, *(getattr(tick, name) for name in _COLUMNS), _time(tick.ExchangeTime)]]
    return _table(["Sequence", *_COLUMNS, "ExchangeTime"], rows)


def log(status: Mapping[str, Any], tail: npt.NDArray[np.void]) -> str:
    """A log: its status in a line, and its newest ticks."""
    rows = [[int(row["Stamp"]) - 1, *(row[name] for name in _COLUMNS), _time(int(row["ExchangeTime"]))] for row in tail]
    line = ", ".join(f"{name} {status.get(name)}" for name in ("state", "ticks", "head", "oldest", "epoch"))
    title = f"<b>TickLog {_text(status.get('name', ''))}</b>: {_text(line)}"
    return title + _table(["Sequence", *_COLUMNS, "ExchangeTime"], rows)


def status(status: Mapping[str, Any]) -> str:
    """A status: a row for each thing it says, the queues in a table of their own."""
    queues = status.get("queues") or []
    rows = [[name, value] for name, value in status.items() if name != "queues"]
    text = _table(["status", ""], rows)
    if queues:
        names = list(queues[0])
        text += _table(names, [[queue.get(name) for name in names] for queue in queues])
    return text


def _table(names: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{_text(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = decode(value)
    if isinstance(value, float):
        value = "" if value != value else f"{value:g}" if abs(value) < 1e5 else f"{value:.2f}"
    return html.escape("" if value is None else str(value))


def _time(ns: int) -> str:
    if not ns:
        return ""
    at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=ns // 1000)
    return at.astimezone(_SHANGHAI).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
