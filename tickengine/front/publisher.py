"""Makes batches of the market's ticks when they are due and gives every client its part."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickengine.front import clock
from tickengine.front.connection import Connection, TickRun
from tickengine.front.market import IndexedMarket, InPlaceMarket, Market, SnapshotMarket
from tickengine.front.pace import Pace, SnapshotClock
from tickengine.front.tickpackets import TICKS_PER_PACKET, TickBuffer, encode_ticks

log = logging.getLogger(__name__)

BATCH_TICKS = 372 * TICKS_PER_PACKET
"""Ticks made and sent in one go, 1.5 MB: large enough to spread the cost of a batch, small enough to
stay in the processor's cache and to give room to answers in between."""


@dataclass(frozen=True)
class _Selection:
    """What one subscription means in this market."""

    complete: bool
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class _Batch:
    """Ticks *first* to *first + count - 1* as packets, and their bodies for those who want a part."""

    first: int
    count: int
    data: memoryview
    bodies: NDArray[Any]


class Publisher:
    """Belongs to the front's thread. `step` does all the work and never blocks."""

    def __init__(
        self,
        market: Market,
        pace: Pace,
        *,
        count: int | None = None,
        prepared: int = 0,
        wait_clients: int = 1,
        wait_ids: int = 1,
        paused: bool = False,
    ) -> None:
        self.market = market
        self.next_number = 0
        self.paused = paused
        self.failure: str | None = None
        self.observer: Callable[[NDArray[Any]], None] | None = None
        self._pace = pace
        self._count = count
        self._wait_clients = wait_clients
        self._wait_ids = wait_ids
        self._started = False
        self._running = False
        self._buffer = TickBuffer(BATCH_TICKS)
        self._selections: dict[frozenset[bytes], _Selection] = {}
        self._ids = np.array([name.encode() for name in market.instruments], "S31")
        self._order = np.argsort(self._ids)
        self._sorted_ids = self._ids[self._order]
        self._prepared: TickBuffer | None = None
        self._prepared_ticks = prepared
        if prepared:
            self._prepared = TickBuffer(prepared)
            self._fill(self._prepared, 0, prepared)

    @property
    def exhausted(self) -> bool:
        """`count` ticks were made."""
        return self._count is not None and self.next_number >= self._count

    def set_pace(self, pace: Pace) -> None:
        """Another schedule, which begins with the next `step`."""
        self._pace = pace
        self.hold()

    def hold(self) -> None:
        """Publishing is interrupted: the schedule begins anew with the next `step`."""
        self._running = False

    def step(self, now: float, connections: Iterable[Connection]) -> float | None:
        """Publish what is due, at most one batch; return when to come again, None when something else
        must happen first (a client subscribes or takes what waits for it). An error of the market ends
        publishing; it is kept in `failure`."""
        if self.paused or self.failure is not None:
            self.hold()
            return None
        try:
            return self._step(now, connections)
        except Exception as error:  # a market is the user's code: its mistake must not end the front
            log.exception("market failed at tick %d, publishing ends", self.next_number)
            self.failure = f"{type(error).__name__}: {error}"
            return None

    def _step(self, now: float, connections: Iterable[Connection]) -> float | None:
        readers = [c for c in connections if c.session.subscribed and c.session.admitted]
        if self.exhausted or not self._may_run(readers):
            self.hold()
            return None
        if not self._running:
            self._pace.begin(now)
            self._running = True
        # The buffer is shared by all readers and made anew by the next batch. The wait also is what
        # carries a slow reader's back-pressure to the market.
        if any(c.ticks_waiting for c in readers):
            return None
        due = self._pace.due(now)
        if due > 0:
            batch = self._make(due)
            if self.observer is not None:
                self.observer(batch.bodies.reshape(-1)[: batch.count])
            self._deliver(batch, readers, now)
            self.next_number += batch.count
            self._pace.done(batch.count)
        return self._pace.wake()

    def _may_run(self, readers: Sequence[Connection]) -> bool:
        if not self._started:
            ready = sum(len(c.session.subscribed) >= self._wait_ids for c in readers)
            self._started = ready >= self._wait_clients
        return self._started and bool(readers)

    def _make(self, due: int) -> _Batch:
        first = self.next_number
        room = BATCH_TICKS if self._count is None else min(BATCH_TICKS, self._count - first)
        if isinstance(self._pace, SnapshotClock):
            if isinstance(self.market, SnapshotMarket):
                return self._encode_own(first, self.market.snapshot(clock.now())[: self._left()])
            due = len(self.market.instruments)
        count = min(due, room)
        if self._prepared is not None:
            at = first % self._prepared_ticks
            count = min(count, self._prepared_ticks - at)
            return _Batch(first, count, self._prepared.data(count, at), self._prepared.bodies(count, at))
        self._fill(self._buffer, first, count)
        return _Batch(first, count, self._buffer.data(count), self._buffer.bodies(count))

    def _left(self) -> int | None:
        return None if self._count is None else self._count - self.next_number

    def _encode_own(self, first: int, ticks: NDArray[Any]) -> _Batch:
        buffer = TickBuffer(max(1, len(ticks)))
        return _Batch(first, len(ticks), buffer.put(ticks), buffer.bodies(len(ticks)))

    def _fill(self, buffer: TickBuffer, first: int, count: int) -> None:
        if isinstance(self.market, InPlaceMarket):
            self.market.fill(buffer.bodies(count), first)
        else:
            buffer.put(self.market.batch(first, count))

    def _deliver(self, batch: _Batch, readers: Sequence[Connection], now: float) -> None:
        stop = batch.first + batch.count
        parts: dict[frozenset[bytes], tuple[memoryview, NDArray[np.int64]]] = {}
        index: NDArray[np.int64] | None = None
        for reader in readers:
            wanted = reader.session.subscribed
            selection = self._select(wanted)
            if selection.complete:
                reader.send_ticks(batch.data, TickRun(batch.first, stop, wanted), now)
                continue
            if wanted not in parts:
                if index is None:
                    index = self._index(batch)
                parts[wanted] = _pick(batch, selection.mask[index])
            data, numbers = parts[wanted]
            reader.send_ticks(data, TickRun(batch.first, stop, wanted, numbers), now)

    def _select(self, wanted: frozenset[bytes]) -> _Selection:
        selection = self._selections.get(wanted)
        if selection is None:
            mask = np.array([name in wanted for name in self._ids.tolist()])
            selection = _Selection(bool(mask.all()), mask)
            # Subscriptions come and go; the few that are alive are found again at once.
            if len(self._selections) >= 256:
                self._selections.clear()
            self._selections[wanted] = selection
        return selection

    def _index(self, batch: _Batch) -> NDArray[np.int64]:
        """For each tick of the batch, the position of its instrument in the market's list."""
        # Prepared ticks are those of the loop's numbers, so only their own text tells.
        if isinstance(self.market, IndexedMarket) and self._prepared is None:
            return self.market.indices(batch.first, batch.count)
        ids = batch.bodies["InstrumentID"].reshape(-1)[: batch.count]
        found: NDArray[np.int64] = self._order[np.searchsorted(self._sorted_ids, ids)]
        return found


def _pick(batch: _Batch, keep: NDArray[np.bool_]) -> tuple[memoryview, NDArray[np.int64]]:
    places = np.flatnonzero(keep)
    ticks = batch.bodies[places // TICKS_PER_PACKET, places % TICKS_PER_PACKET]
    return encode_ticks(ticks), places + batch.first
