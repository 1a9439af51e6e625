"""`BarQueue`: a worker's queue of bars, a cursor into the log of a `BarEngine`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..queue import TickQueue
from .record import BAR_DTYPE, Bar


class BarQueue(TickQueue):
    """Bars for one worker. Everything else is as in `TickQueue`, of which it is a kind: a filter, a late start with
    ``start="oldest"``, exact `lost` counts, a name by which a successor takes it up.

    Args:
        skip: `BarFlag`\\ s, joined with ``|``: bars that have one of them are passed over and counted in `skipped`.
        instruments, start, wait, name: as in `TickQueue`.
    """

    carries = "bars"

    def __init__(
        self,
        instruments: Iterable[str | bytes] | None = None,
        *,
        start: str | int = "now",
        wait: str = "adaptive",
        skip: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(instruments, start=start, wait=wait, skip=skip, name=name)

    @classmethod
    def attach(  # type: ignore[override]
        cls,
        name: str,
        instruments: Iterable[str | bytes] | None = None,
        *,
        start: str | int = "now",
        wait: str = "adaptive",
        skip: int = 0,
    ) -> BarQueue:
        """From an unrelated process: the queue called *name*, or a new one on the `BarEngine` called *name*.

        Raises: as `TickQueue.attach`; `ConfigError` also for an engine that carries ticks.
        """
        if cls._is_queue(name):
            queue = super().attach(name, instruments, start=start, wait=wait, skip=skip)
        else:
            log = cls._log_to_read(name)
            queue = cls(instruments, start=start, wait=wait, skip=skip)
            queue.bind(log)
        assert isinstance(queue, BarQueue)
        return queue

    def get(self, block: bool = True, timeout: float | None = None) -> Bar:  # type: ignore[override]
        """The next bar. As `TickQueue.get`."""
        return Bar.from_buffer_copy(super().get(block, timeout))

    def get_nowait(self) -> Bar:  # type: ignore[override]
        """`get` without waiting."""
        return self.get(False)

    def __iter__(self) -> Iterator[Bar]:  # type: ignore[override]
        """Bars until the engine has stopped and the queue is drained."""
        for record in super().__iter__():
            yield Bar.from_buffer_copy(record)

    def get_many(
        self, max_ticks: int | None = None, block: bool = True, timeout: float | None = None
    ) -> npt.NDArray[np.void]:
        """What is there, at least one bar: a structured array of `BAR_DTYPE`, a copy. As `TickQueue.get_many`."""
        bars: npt.NDArray[np.void] = super().get_many(max_ticks, block, timeout).view(BAR_DTYPE)
        return bars

    def __reduce__(self) -> tuple[Any, ...]:
        _, arguments = super().__reduce__()
        return BarQueue._from_path, arguments
