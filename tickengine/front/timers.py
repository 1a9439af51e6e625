"""Things to do at a time, for one thread."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class Timers:
    """A heap of (monotonic time, what to do); a named one can be cancelled."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, when: float, fire: Callable[[], None], *, name: str = "") -> None:
        """Have *fire* returned by the first `pop` at or after *when*."""
        heapq.heappush(self._heap, (when, next(self._order), name, fire))

    def cancel(self, name: str) -> None:
        """Forget all of this name."""
        self._heap = [entry for entry in self._heap if entry[2] != name]
        heapq.heapify(self._heap)

    def next(self) -> list[float]:
        """The time of the next one, if there is one."""
        return [self._heap[0][0]] if self._heap else []

    def pop(self, now: float) -> list[Callable[[], None]]:
        """Take out all whose time has come, in order."""
        due: list[Callable[[], None]] = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[3])
        return due
