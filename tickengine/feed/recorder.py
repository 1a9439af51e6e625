"""The recorder of a feed: started with it, started again when it dies, ended behind it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from .._errors import TickEngineError
from ..queue import TickQueue
from ..record import RecorderProcess
from .feed import RecorderPlan

logger = logging.getLogger("tickengine")

_PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
_HEALTHY_S = 60.0
_END_S = 60.0  # a slow disk may have much to write


class FeedRecorder:
    """Records what its queue gives. A recorder that dies is no reason to end a feed: it is logged and started again.

    Args:
        queue: for the recorder alone.
        prepare: called first in its process: its log goes where the feed's goes.
    """

    def __init__(self, plan: RecorderPlan, queue: TickQueue, prepare: Callable[[], None]) -> None:
        self._process = RecorderProcess(queue, plan.directory, prepare=prepare)
        self._attempt = 0
        self._started = self._due = 0.0
        self._start()

    def _start(self) -> None:
        self._process.start()
        self._started, self._due = time.monotonic(), 0.0
        logger.info("recorder: process %d records into %s", self._process.pid, self._process.directory)

    def look(self) -> None:
        """Call every few seconds: logs the process's death, and starts it again after growing pauses."""
        if self._process.is_alive():
            return
        now = time.monotonic()
        if not self._due:
            if now - self._started > _HEALTHY_S:
                self._attempt = 0
            pause = _PAUSES_S[min(self._attempt, len(_PAUSES_S) - 1)]
            self._attempt += 1
            self._due = now + pause
            logger.error("recorder: %s; it is started again in %g s", self._process.failure or "it has ended", pause)
        elif now >= self._due:
            self._start()

    def counters(self) -> dict[str, Any]:
        """For the metrics."""
        return {**self._process.counters, "alive": self._process.is_alive()}

    def finish(self) -> None:
        """Behind the engine's end: wait until everything is written, a minute at most."""
        try:
            self._process.join(_END_S)
        except TickEngineError as error:
            logger.error("recorder: %s", error)
        if not self._process.stop():
            logger.error("recorder: it did not end in order; what is written is whole")
        counters = self._process.counters
        logger.info("recorder: %d ticks recorded, %d lost", counters["recorded"], counters["lost"])
