"""What an engine's log says at a moment, and what has changed since the looks before."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..instruments import parse_instrument
from ..latency import LatencyHistogram
from ..log import TickLog
from ..watch.own import without_events

WINDOW_S = 5.0
"""Rates of instruments and queues and the recent latencies are over so long."""
NOW_S = 1.0
"""The engine's rate is over so long."""
KEPT_EVENTS = 200

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Instruments:
    """One row per InstrumentID that has had a tick, as columns of equal length.

    ``rate`` in ticks/s (NaN: not known yet), ``age`` in seconds since its last tick, absent prices NaN.
    """

    ids: list[str] = field(default_factory=list)
    exchanges: list[str] = field(default_factory=list)
    last: Floats = field(default_factory=lambda: np.empty(0))
    change: Floats = field(default_factory=lambda: np.empty(0))
    percent: Floats = field(default_factory=lambda: np.empty(0))
    bid: Floats = field(default_factory=lambda: np.empty(0))
    ask: Floats = field(default_factory=lambda: np.empty(0))
    volume: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    open_interest: Floats = field(default_factory=lambda: np.empty(0))
    ticks: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    rate: Floats = field(default_factory=lambda: np.empty(0))
    age: Floats = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Queue:
    """A queue of the engine; ``latency`` since it has its place, ``recent`` of the last `WINDOW_S` (ns)."""

    name: str
    pid: int | None
    alive: bool
    asleep: bool
    lag: int
    received: int
    rate: float | None
    lost: int
    lost_events: int
    skipped: int
    latency: dict[str, int] | None
    recent: dict[str, int] | None


@dataclass(frozen=True)
class Exchange:
    """What has come from an exchange: ``age`` in seconds since its last tick."""

    ExchangeID: str
    instruments: int
    ticks: int
    rate: float | None
    age: float


@dataclass(frozen=True)
class EventLine:
    """A connection event: when (ns since 1970, UTC), its name and its words."""

    time: int
    name: str
    words: str


@dataclass(frozen=True)
class Snapshot:
    """A look at an engine. ``status`` is `TickLog.status` without its queues; ``rate`` and ``peak`` in ticks/s, the
    peak since the first look."""

    name: str
    state: str
    time: int
    status: dict[str, Any]
    rate: float | None = None
    peak: float | None = None
    instruments: Instruments = field(default_factory=Instruments)
    queues: tuple[Queue, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    events: tuple[EventLine, ...] = ()

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self.state in ("stopped", "failed")

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON takes it: what is not known is None."""
        table = self.instruments
        columns = {
            f.name: getattr(table, f.name) for f in dataclasses.fields(table) if f.name not in ("ids", "exchanges")
        }
        listed = {name: [_plain(value) for value in column.tolist()] for name, column in columns.items()}
        return {
            **{key: value for key, value in self.status.items() if key not in ("name", "state")},
            "name": self.name,
            "state": self.state,
            "time": self.time,
            "rate": _plain(self.rate),
            "peak": _plain(self.peak),
            "window_s": WINDOW_S,
            "instruments": [
                {"InstrumentID": table.ids[i], "ExchangeID": table.exchanges[i], **{n: c[i] for n, c in listed.items()}}
                for i in range(len(table))
            ],
            "queues": [dataclasses.asdict(q) for q in self.queues],
            "exchanges": [dataclasses.asdict(e) for e in self.exchanges],
            "events": [dataclasses.asdict(e) for e in self.events],
        }


def _plain(value: Any) -> Any:
    """No NaN and no infinity: JSON has neither."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


@dataclass(frozen=True, eq=False)
class _Look:
    at: int  # ns, CLOCK_MONOTONIC
    ticks: int
    counts: Ints  # by row
    received: dict[str, int]
    latencies: dict[str, LatencyHistogram]


class Watcher:
    """Looks at a log again and again. It takes no place in it and writes nothing: the engine does not notice."""

    def __init__(self, log: TickLog) -> None:
        self._log = log
        self._looks: deque[_Look] = deque()
        self._events: deque[EventLine] = deque(maxlen=KEPT_EVENTS)
        self._next_event = 0
        self._peak: float | None = None
        # The instrument table only grows: row of each entry, and what the rows are.
        self._rows: npt.NDArray[np.intp] = np.empty(0, np.intp)
        self._ids: list[str] = []
        self._exchanges: list[str] = []
        self._row_of: dict[str, int] = {}

    def look(self) -> Snapshot:
        """What there is now. Raises `SegmentError` when the log is damaged."""
        status = self._log.status()
        at = time.monotonic_ns()
        queues, latencies = without_events(status["name"], status.pop("queues")), self._log.latencies()
        latest = self._latest()
        counts = np.where(latest["Stamp"] != 0, latest["InstrumentNumber"].astype(np.int64) + 1, 0)
        look = _Look(at, status["ticks"], counts, {q["name"]: q["received"] for q in queues}, latencies)
        recent, before = self._look_since(at, WINDOW_S), self._look_since(at, NOW_S)
        rate = _rate(look.ticks, before.ticks, at - before.at) if before is not None else None
        if rate is not None:
            self._peak = max(rate, self._peak or 0.0)
        instruments = self._instruments(latest, counts, recent, at)
        self._keep(look)
        self._read_events()
        return Snapshot(
            name=status["name"],
            state=status["state"],
            time=time.time_ns(),
            status=status,
            rate=rate,
            peak=self._peak,
            instruments=instruments,
            queues=tuple(_queue(q, look, recent) for q in queues),
            exchanges=_exchanges(instruments, recent is not None),
            events=tuple(self._events),
        )

    def _look_since(self, at: int, seconds: float) -> _Look | None:
        """The youngest look that is at least so old, or else the oldest there is."""
        old_enough = [look for look in self._looks if at - look.at >= seconds * 1e9]
        return old_enough[-1] if old_enough else self._looks[0] if self._looks else None

    def _keep(self, look: _Look) -> None:
        self._looks.append(look)
        # One that is old enough stays: the window begins there.
        while len(self._looks) > 2 and look.at - self._looks[1].at >= WINDOW_S * 1e9:
            self._looks.popleft()

    def _latest(self) -> npt.NDArray[np.void]:
        """The newest tick of each row; ``Stamp`` 0: none that can be read."""
        entries = self._log.latest_all()
        if len(entries) > len(self._rows):
            self._learn_rows()
        entries = entries[: len(self._rows)]
        rows = np.zeros(len(self._ids), entries.dtype)
        # Entries of one id (it came with two ExchangeIDs) share a row: the newest is stored last.
        order = np.argsort(entries["Stamp"], kind="stable")
        rows[self._rows[: len(entries)][order]] = entries[order]
        return rows

    def _learn_rows(self) -> None:
        found = []
        for entry in self._log.instruments():
            name = entry["InstrumentID"]
            if name not in self._row_of:
                self._row_of[name] = len(self._ids)
                self._ids.append(name)
                self._exchanges.append(entry["ExchangeID"] or parse_instrument(name).ExchangeID or "?")
            found.append(self._row_of[name])
        self._rows = np.array(found, np.intp)

    def _instruments(self, latest: npt.NDArray[np.void], counts: Ints, before: _Look | None, at: int) -> Instruments:
        there = np.flatnonzero(latest["Stamp"])
        rows = latest[there]
        rate = np.full(len(latest), np.nan)
        if before is not None and at > before.at:
            earlier = np.zeros(len(latest), np.int64)
            earlier[: len(before.counts)] = before.counts
            rate = np.maximum(counts - earlier, 0) * 1e9 / (at - before.at)
        settled = rows["PreSettlementPrice"]
        with np.errstate(divide="ignore", invalid="ignore"):
            change = np.where(settled > 0, rows["LastPrice"] - settled, np.nan)
            percent = change / settled * 100
        return Instruments(
            ids=[self._ids[i] for i in there],
            exchanges=[self._exchanges[i] for i in there],
            last=rows["LastPrice"],
            change=change,
            percent=percent,
            bid=rows["BidPrice1"],
            ask=rows["AskPrice1"],
            volume=rows["Volume"].astype(np.int64),
            open_interest=rows["OpenInterest"],
            ticks=counts[there],
            rate=rate[there],
            age=np.maximum(at - rows["RecvMonotonic"], 0) / 1e9,
        )

    def _read_events(self) -> None:
        for event in self._log.events(self._next_event, KEPT_EVENTS):
            self._events.append(EventLine(event.RecvTime, event.name, event.words))
            self._next_event = event.EventNumber + 1


def _rate(now: int, before: int, ns: int) -> float | None:
    return max(0, now - before) * 1e9 / ns if ns > 0 else None


def _queue(q: Mapping[str, Any], look: _Look, before: _Look | None) -> Queue:
    name = q["name"]
    rate = recent = None
    if before is not None:
        histogram = look.latencies.get(name)
        if histogram is not None:
            recent = histogram.since(before.latencies.get(name)).summary()
        if name in before.received:
            rate = _rate(q["received"], before.received[name], look.at - before.at)
    kept = ("pid", "alive", "asleep", "lag", "received", "lost", "lost_events", "skipped", "latency")
    return Queue(name=name, rate=rate, recent=recent, **{key: q[key] for key in kept})


def _exchanges(table: Instruments, rates: bool) -> tuple[Exchange, ...]:
    names = np.array(table.exchanges, object)
    found = []
    for name in sorted(set(table.exchanges)):
        mine = names == name
        rate = float(table.rate[mine].sum()) if rates else None
        age, ticks = float(table.age[mine].min()), int(table.ticks[mine].sum())
        found.append(Exchange(name, int(mine.sum()), ticks, rate, age))
    return tuple(found)
