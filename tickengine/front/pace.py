"""When ticks are due: at a rate, in bursts, on the snapshot clock, or at once. Times are monotonic."""

from __future__ import annotations

import math
import time
from typing import Protocol

GROUP_S = 0.001
SNAPSHOT_S = 0.5


class Pace(Protocol):
    """A schedule. It stands still until `begin`, which is called again after every break: what would
    have been due during the break is not made up for."""

    def begin(self, now: float) -> None:
        """Start the schedule at *now*."""

    def due(self, now: float) -> int:
        """How many ticks may leave now (for the snapshot clock: how many snapshots)."""

    def done(self, ticks: int) -> None:
        """That many of them have left."""

    def wake(self) -> float:
        """When to ask again."""


class FlatOut:
    """Always as many as fit."""

    def begin(self, now: float) -> None:
        """Nothing to prepare."""

    def due(self, now: float) -> int:
        """No limit."""
        return 1 << 62

    def done(self, ticks: int) -> None:
        """Nothing to count."""

    def wake(self) -> float:
        """At once."""
        return 0.0


class Rate:
    """*rate* ticks a second: tick i is due at begin + i / rate, in groups of about a millisecond.

    The schedule does not wait for a slow client: what it could not take in time is due at once as soon
    as it reads again.

    Raises:
        ValueError: *rate* is not a positive number.
    """

    def __init__(self, rate: float) -> None:
        if not (math.isfinite(rate) and rate > 0):
            raise ValueError(f"rate {rate}: must be above 0 ticks a second")
        self._rate = float(rate)
        self._group = max(1, int(rate * GROUP_S))
        self._begin = 0.0
        self._made = 0

    def begin(self, now: float) -> None:
        """Tick 0 is due now."""
        self._begin = now
        self._made = 0

    def due(self, now: float) -> int:
        """Ticks whose time has come, not yet made; none while a group is incomplete."""
        due = int((now - self._begin) * self._rate) + 1 - self._made
        return due if due >= self._group else 0

    def done(self, ticks: int) -> None:
        """Count them."""
        self._made += ticks

    def wake(self) -> float:
        """The time of the last tick of the next group."""
        # The hair more keeps the division and the multiplication in `due` from disagreeing.
        return self._begin + (self._made + self._group - 1) / self._rate + 1e-9


class Burst:
    """*ticks* ticks at once every *period_s* seconds.

    Raises:
        ValueError: either is not positive.
    """

    def __init__(self, ticks: int, period_s: float) -> None:
        if ticks < 1 or not (math.isfinite(period_s) and period_s > 0):
            raise ValueError(f"burst {ticks}/{period_s}: must be at least 1 tick per period above 0 s")
        self._ticks = ticks
        self._period_s = float(period_s)
        self._next = 0.0
        self._left = 0

    def begin(self, now: float) -> None:
        """The first burst is due now."""
        self._next = now
        self._left = 0

    def due(self, now: float) -> int:
        """What is left of the bursts whose time has come."""
        if self._left == 0 and now >= self._next:
            self._left = self._ticks
            self._next += self._period_s
        return self._left

    def done(self, ticks: int) -> None:
        """Count them."""
        self._left -= ticks

    def wake(self) -> float:
        """The next burst's time."""
        return 0.0 if self._left else self._next


class SnapshotClock:
    """One snapshot at every full half second of the wall clock; missed ones are left out."""

    def __init__(self) -> None:
        self._next = 0.0

    def begin(self, now: float) -> None:
        """Wait for the next half second."""
        self._next = now + SNAPSHOT_S - time.time() % SNAPSHOT_S

    def due(self, now: float) -> int:
        """1 when it is time."""
        return int(now >= self._next)

    def done(self, ticks: int) -> None:
        """Go on to the next half second."""
        self.begin(time.monotonic())

    def wake(self) -> float:
        """The next half second."""
        return self._next


def make_pace(rate: float | None, burst: tuple[int, float] | None, flat_out: bool, prepared: int) -> Pace:
    """The schedule that the arguments ask for: the snapshot clock if they ask for none.

    Raises:
        ValueError: more than one of them, or prepared ticks without flat out.
    """
    if sum((rate is not None, burst is not None, flat_out)) > 1:
        raise ValueError("rate, burst and flat_out exclude each other; give one")
    if prepared < 0:
        raise ValueError(f"prepared {prepared}: must not be negative")
    if prepared and not flat_out:
        raise ValueError(f"prepared {prepared}: works with flat_out only")
    if rate is not None:
        return Rate(rate)
    if burst is not None:
        return Burst(*burst)
    return FlatOut() if flat_out else SnapshotClock()
