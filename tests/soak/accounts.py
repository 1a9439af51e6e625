"""The proof: what was promised by the front, what stands in the log, what each reader got, missed and saw.

Every tick carries three numbers. The market's running number says what the front made (numbered market), TickNumber
and InstrumentNumber say what the engine wrote. So what is missing between two ticks of a reader can be split exactly:
as many as the InstrumentNumbers jump were written and not read; what the front promised beyond that was never
delivered, which only the end of a connection excuses.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tickengine.front import SentRange
from tickengine.words import EVENT_CODES

KIND_TICK = 0


@dataclass
class Run:
    """Ticks of one instrument, each the next of it in the market and in the log."""

    first: int
    last: int
    own_first: int
    own_last: int


class Promise:
    """What the front says it has handed to sockets, by instrument."""

    def __init__(self, ranges: Iterable[SentRange], ids: Sequence[str]) -> None:
        self.period = len(ids)
        self.overlaps: list[str] = []
        ordered = sorted((r for r in ranges if r.stop > r.first), key=lambda r: r.first)
        for a, b in pairwise(ordered):
            if b.first < a.stop:
                self.overlaps.append(f"connections {a.connection} and {b.connection} both got tick {b.first}")
        self._parts: list[list[tuple[int, int, int]]] = []  # per instrument: first, stop, connection
        self._before: list[list[int]] = []  # per instrument: ticks promised before each part
        for place, name in enumerate(ids):
            parts = [(r.first, r.stop, r.connection) for r in ordered if name in r.instruments]
            counts = [self._count(place, first, stop) for first, stop, _ in parts]
            self._parts.append(parts)
            self._before.append([0, *np.cumsum(counts).tolist()])

    def _count(self, place: int, first: int, stop: int) -> int:
        """Numbers from *first* to *stop* - 1 that belong to the instrument."""
        return max(0, (stop - place + self.period - 1) // self.period) - max(
            0, (first - place + self.period - 1) // self.period
        )

    def before(self, place: int, number: int) -> int:
        """Ticks of the instrument promised with a lower number."""
        parts = self._parts[place]
        at = bisect_right(parts, number, key=lambda p: p[0]) - 1
        if at < 0:
            return 0
        first, stop, _ = parts[at]
        return self._before[place][at] + self._count(place, first, min(stop, max(first, number)))

    def total(self, place: int) -> int:
        return self._before[place][-1]

    def connection(self, place: int, number: int) -> int | None:
        """Who was promised this tick; None: nobody."""
        parts = self._parts[place]
        at = bisect_right(parts, number, key=lambda p: p[0]) - 1
        if at < 0 or number >= parts[at][1] or number % self.period != place:
            return None
        return parts[at][2]

    def excused(self, place: int, after: int | None, until: int | None, graceful: frozenset[int]) -> int:
        """How many promised ticks may have died with connections: those behind tick *after*, of connections
        that ended abruptly, before the connection *until* (None: of all)."""
        low = -1 if after is None else after
        return sum(
            self._count(place, max(first, low + 1), stop)
            for first, stop, connection in self._parts[place]
            if stop > low + 1 and connection not in graceful and (until is None or connection < until)
        )

    def last(self, place: int, connection: int) -> int | None:
        """The last tick of the instrument promised to that connection."""
        for first, stop, owner in reversed(self._parts[place]):
            if owner == connection and self._count(place, first, stop):
                return (stop - 1) - (stop - 1 - place) % self.period
        return None


@dataclass
class ReaderAccount:
    """One queue over its whole life, whoever read it."""

    name: str
    period: int
    wanted: frozenset[int]
    skip: int = 0
    seen: int = 0
    events: int = 0
    graves: int = 0
    """What killed workers may have taken with them: given to them, not yet in the ledger."""
    missing: int = 0
    """Ticks that the InstrumentNumbers show to be in the log between two that were seen."""
    event_values: dict[int, list[int]] = field(default_factory=dict)
    """By event code: the low halves of the values."""
    _runs: dict[int, list[Run]] = field(default_factory=dict)
    _begun: set[int] = field(default_factory=set)
    _stamp: int = 0
    _number: int = -1
    _behind: int = 0
    _event: int = -1

    def add(self, rows: npt.NDArray[np.void]) -> list[str]:
        """Take rows of the ledger; what is wrong with them, in words."""
        wrong: list[str] = []
        if not len(rows):
            return wrong
        stamps = rows["stamp"].astype(np.int64)
        self._rising(np.concatenate(([self._stamp], stamps)), "sequence", wrong)
        self._stamp = int(stamps[-1])
        # Records before this one that are not ticks are events: their number can only grow.
        events_before = stamps - 1 - rows["ticks"].astype(np.int64)
        if events_before[0] < self._behind or (np.diff(events_before) < 0).any():
            wrong.append(f"{self.name}: Sequence and TickNumber disagree near sequence {self._stamp}")
        self._behind = int(events_before[-1])
        is_tick = rows["kind"] == KIND_TICK
        self._add_events(rows[~is_tick], wrong)
        ticks = rows[is_tick]
        if not len(ticks):
            return wrong
        numbers = ticks["number"].astype(np.int64)
        self._rising(np.concatenate(([self._number], numbers)), "number", wrong)
        self._number = int(numbers[-1])
        self.seen += len(ticks)
        foreign = set(np.unique(ticks["place"]).tolist()) - self.wanted
        if foreign:
            wrong.append(f"{self.name}: got ticks of instruments that it did not ask for: places {sorted(foreign)}")
        if self.skip and (ticks["flags"] & self.skip).any():
            wrong.append(f"{self.name}: got ticks with flags that it skips")
        for place in np.unique(ticks["place"]).tolist():
            mine = ticks["place"] == place
            self._add_runs(place, numbers[mine], ticks["own"][mine].astype(np.int64), wrong)
        return wrong

    def _rising(self, values: npt.NDArray[np.int64], what: str, wrong: list[str]) -> None:
        bad = np.flatnonzero(np.diff(values) <= 0)
        if len(bad):
            at = bad[0]
            again = "twice" if values[at + 1] == values[at] else f"after {values[at]}"
            wrong.append(f"{self.name}: {what} {values[at + 1]} came {again} ({len(bad)} such)")

    def _add_events(self, rows: npt.NDArray[np.void], wrong: list[str]) -> None:
        for row in rows:
            if int(row["own"]) <= self._event:
                wrong.append(f"{self.name}: event {int(row['own'])} came after event {self._event}")
            self._event = int(row["own"])
            self.event_values.setdefault(int(row["number"]), []).append(int(row["place"]))
            self.events += 1

    def _add_runs(
        self, place: int, numbers: npt.NDArray[np.int64], own: npt.NDArray[np.int64], wrong: list[str]
    ) -> None:
        runs = self._runs.setdefault(place, [])
        breaks = np.flatnonzero((np.diff(numbers) != self.period) | (np.diff(own) != 1))
        starts = [0, *(breaks + 1).tolist()]
        stops = [*breaks.tolist(), len(numbers) - 1]
        for a, b in zip(starts, stops):
            run = Run(int(numbers[a]), int(numbers[b]), int(own[a]), int(own[b]))
            if not runs:
                runs.append(run)
                continue
            last = runs[-1]
            jump = run.own_first - last.own_last - 1
            if jump < 0:
                wrong.append(f"{self.name}: InstrumentNumber {run.own_first} came after {last.own_last}")
            self.missing += max(0, jump)
            if jump == 0 and run.first == last.last + self.period:
                last.last, last.own_last = run.last, run.own_last
            else:
                runs.append(run)

    def settle(self, promise: Promise, graceful: frozenset[int]) -> list[str]:
        """Compare what was seen with what the front promised; forget all but the last run of each."""
        wrong: list[str] = []
        for place, runs in self._runs.items():
            for run in runs:
                wrong += self._check_run(place, run, promise)
            for last, run in pairwise(runs):
                wrong += self._check_gap(place, last, run, promise, graceful)
            if place not in self._begun:
                wrong += self._check_gap(place, None, runs[0], promise, graceful)
                self._begun.add(place)
            # The newest run goes on; of it nothing but its end matters any more.
            newest = runs[-1]
            self._runs[place] = [Run(newest.last, newest.last, newest.own_last, newest.own_last)]
        return wrong

    def _check_run(self, place: int, run: Run, promise: Promise) -> list[str]:
        promised = promise.before(place, run.last + 1) - promise.before(place, run.first)
        seen = (run.last - run.first) // self.period + 1
        if promised == seen:
            return []
        return [
            f"{self.name}: ticks {run.first} to {run.last} of instrument {place}: {seen} seen, "
            f"but the front sent {promised}"
        ]

    def _check_gap(
        self, place: int, last: Run | None, run: Run, promise: Promise, graceful: frozenset[int]
    ) -> list[str]:
        """Between two runs: promised = written and not seen + not delivered."""
        after = None if last is None else last.last
        jump = run.own_first if last is None else run.own_first - last.own_last - 1
        promised = promise.before(place, run.first) - (0 if after is None else promise.before(place, after + 1))
        undelivered = promised - jump
        excused = promise.excused(place, after, promise.connection(place, run.first), graceful)
        if 0 <= undelivered <= excused:
            return []
        where = f"before tick {run.first}" if after is None else f"between ticks {after} and {run.first}"
        return [
            f"{self.name}: {where} of instrument {place} the front sent {promised} and the log has {jump}; "
            f"cut connections excuse {excused}"
        ]


def check_balance(
    name: str, *, written: int, received: int, lost: int, skipped: int, seen: int, graves: int, doubtful: int = 0
) -> list[str]:
    """A reader that has caught up: every tick written for it is received, lost or skipped, and it saw what it
    received, but for what killed workers took with them. *doubtful*: events that were in their hands and are
    overwritten; a successor has to take them for ticks."""
    wrong = []
    if received + lost + skipped != written:
        wrong.append(
            f"{name}: received {received} + lost {lost} + skipped {skipped} = {received + lost + skipped}, "
            f"but {written} were written for it"
        )
    if not -doubtful <= received - seen <= graves:
        wrong.append(
            f"{name}: received {received} but saw {seen}; its killed workers can have taken {graves} with them"
        )
    return wrong


def check_delivery(counts: Sequence[int], promise: Promise, graceful: frozenset[int]) -> tuple[int, list[str]]:
    """At rest: *counts* ticks of each instrument are in the log. Returns how many promised ones never came."""
    wrong = list(promise.overlaps)
    undelivered = 0
    for place, count in enumerate(counts):
        missing = promise.total(place) - count
        excused = promise.excused(place, None, None, graceful)
        if not 0 <= missing <= excused:
            wrong.append(
                f"instrument {place}: the front sent {promise.total(place)}, the log has {count}; "
                f"cut connections excuse {excused}"
            )
        undelivered += missing
    return undelivered, wrong


def check_story(event_values: dict[int, list[int]], deaths: Sequence[int], disconnects: int) -> list[str]:
    """The events tell what happened and nothing else: each death of the engine with its signal, in order, and no
    more disconnects than there were reasons for."""
    wrong = []
    died = [v - (1 << 32) if v >= 1 << 31 else v for v in event_values.get(EVENT_CODES["engine_lost"], [])]
    if died != [-number for number in deaths]:
        wrong.append(f"engine_lost events {died}, but the engine died of signals {list(deaths)}")
    told = len(event_values.get(EVENT_CODES["front_disconnected"], []))
    if told > disconnects:
        wrong.append(f"{told} front_disconnected events, but there were reasons for {disconnects}")
    return wrong
