"""Which process runs on which core."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """What is started inside runs on this core, with all its threads; None: anywhere."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Cores:
    """A core for each process of a case; all None, which is anywhere, if they are not pinned."""

    def __init__(self, pinned: bool, *, front: bool = False) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.words = placement(front) if pinned else "left to the scheduler"
        self.front = cores[0] if pinned else None
        self.writer = cores[-1] if pinned else None
        left = cores[1:-1] or cores[:1] if front else cores[:-1] or cores
        self._workers = left if pinned else []

    def worker(self, index: int) -> int | None:
        return self._workers[index % len(self._workers)] if self._workers else None


def placement(front: bool) -> str:
    """What pinned means, in words."""
    if front:
        return "front on the first core, library or writer on the last, workers between (two cores: on the first)"
    return "writer on the last core, workers on the others in turn"
