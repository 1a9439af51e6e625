"""Several things that happen side by side in one thread: generators that yield what they wait for."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field


@dataclass
class Until:
    """Go on when *ready*; when it is not within *bound_s*, `Late` is thrown into the generator."""

    ready: Callable[[], object]
    what: str
    bound_s: float
    deadline: float = field(default=0.0)


class Late(Exception):
    """What was waited for did not come in its time."""


Waits = Generator[Until, None, None]


def pause(seconds: float) -> Until:
    end = time.monotonic() + seconds
    return Until(lambda: time.monotonic() >= end, "a pause", seconds + 60)


class Lane:
    """One generator on its way."""

    def __init__(self, work: Waits) -> None:
        self._work = work
        self._waiting: Until | None = None
        self.over = False

    def step(self) -> None:
        """Go on as far as it goes without waiting."""
        while not self.over:
            late: Late | None = None
            if self._waiting is not None and not self._waiting.ready():
                if time.monotonic() < self._waiting.deadline:
                    return
                late = Late(f"not within {self._waiting.bound_s:g} s: {self._waiting.what}")
            try:
                self._waiting = next(self._work) if late is None else self._work.throw(late)
                self._waiting.deadline = time.monotonic() + self._waiting.bound_s
            except StopIteration:
                self.over = True

    def abandon(self) -> None:
        self._work.close()
        self.over = True
