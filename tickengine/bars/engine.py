"""`BarEngine`: bars from a process of its own, for any number of workers."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from .. import _segments
from .._errors import ConfigError, EngineError
from .._feeding import report_lost
from .._supervisor import Supervised
from .._watchdog import Watchdog
from ..engine import TickEngine
from ..forward import Forwarder, check_queue_list, start_forwarder
from ..log import TickLog
from ..mdapi import finish_log
from ..queue import TickQueue
from ._process import Orders, bars_main
from .builder import GRACE_S, BarBuilder
from .periods import CLOCK, period_text, seconds_of
from .queue import BarQueue
from .record import bar_from_bytes

logger = logging.getLogger("tickengine")

DEFAULT_CAPACITY = 16384


class BarEngine(Supervised):
    """Reads the ticks of an engine and gives each bar, when it has ended, to every queue.

    The process is a worker like any other: it has a place in the ticks' log, and cannot hold the feed up. Bars go
    into a log of their own. It ends by itself when the ticks have ended, with `BarFlag.UNFINISHED` bars for those
    that were open.

    Args:
        source: a running `TickEngine` or its name, or a `TickQueue` (all instruments of its filter; it is this
            engine's from then on, and should have ``events=True``).
        periods: such as ``["1m", "5m"]``.
        bar_queue_list: `BarQueue`, ``faster_fifo.Queue`` and ``multiprocessing.Queue``, mixed. The last two
            give `Bar` objects.
        instruments: only these; None for all.
        align, any_hour, flat, grace: as in `BarBuilder`.
        start: where in the ticks' log to begin: ``"now"``, ``"oldest"`` or a sequence.
        name: of the bars' log, for others to attach with `BarQueue.attach`; default random.
        capacity: bars kept in it, rounded up to a power of two (448 bytes each).
        restart, watchdog: as in `TickEngine`. A process started again has lost the bars that were open: the next
            ones are `BarFlag.PARTIAL`.

    Raises:
        ConfigError: an argument is wrong.
        NotFoundError: no engine of that name is running.
    """

    _kind = "bar engine"
    _class_words = "a BarEngine"

    def __init__(
        self,
        source: str | TickEngine | TickQueue,
        periods: Iterable[str | int] = ("1m",),
        bar_queue_list: Iterable[Any] | None = None,
        *,
        instruments: Iterable[str | bytes] | None = None,
        align: str = CLOCK,
        any_hour: bool = False,
        flat: bool = False,
        grace: float = GRACE_S,
        start: str | int = "now",
        name: str | None = None,
        capacity: int = DEFAULT_CAPACITY,
        restart: bool = True,
        watchdog: float | None = 30.0,
    ) -> None:
        given = [periods] if isinstance(periods, (str, int)) else list(periods)
        # Raises what is wrong before anything is made.
        BarBuilder(given, align=align, any_hour=any_hour, flat=flat, grace=grace)
        self._periods, self._align, self._grace = tuple(given), align, float(grace)
        self._any_hour, self._flat = bool(any_hour), bool(flat)
        self._capacity = capacity
        self._queues = check_queue_list(bar_queue_list, "bars", bar_from_bytes)
        super().__init__(
            _segments.random_name("bars") if name is None else _segments.check_name(name), restart, watchdog
        )
        self._log: TickLog | None = None
        self._places: list[BarQueue] = []
        self._forwarders: list[Forwarder] = []
        if isinstance(source, TickQueue):
            if isinstance(source, BarQueue):
                raise ConfigError("source is a BarQueue: bars are made of ticks, give a TickQueue or an engine's name")
            if source.skip:
                raise ConfigError("source skips ticks, and bars would take them for lost: make it without skip=")
            if instruments is not None or start != "now":
                raise ConfigError("source is a TickQueue with a filter and a start of its own; leave the others out")
            self._ticks, self._source = source, source.name
        else:
            self._source = source.name if isinstance(source, TickEngine) else source
            self._ticks = TickQueue.attach(self._source, instruments, start=start, events=True)
        texts = [period_text(seconds_of(period)) for period in given]
        self._said = {"records": "bars", "source": self._source, "periods": texts}

    def start(self) -> None:
        """Make the log, bind the queues, start the process and wait until it reads. Blocks for about half a second.

        Raises:
            NameTakenError: an engine of that name is running.
            EngineError: the process did not start.
        """
        super().start()

    def _prepare(self) -> None:
        self._log = log = TickLog.create(self.name, self._capacity)
        log.set_status_text({**self._said, "state": "connecting"})
        for position, queue in enumerate(self._queues):
            if isinstance(queue, BarQueue):
                queue.bind(log)
                continue
            place = BarQueue(wait="block", name=_segments.random_name(f"bars{position}"))
            self._places.append(place)
            place.bind(log)
            self._forwarders.append(start_forwarder(place, queue, log, bar_from_bytes))

    def _work(self) -> tuple[Callable[..., None], Any]:
        return bars_main, Orders(
            said=self._said,
            queue_path=self._ticks.path,
            log_path=self.log.path,
            queue_paths=(
                *(q.path for q in self._queues if isinstance(q, BarQueue)),
                *(place.path for place in self._places),
            ),
            periods=self._periods,
            align=self._align,
            any_hour=self._any_hour,
            flat=self._flat,
            grace=self._grace,
            parent_pid=os.getpid(),
            log_level=logger.getEffectiveLevel(),
            core_dumps=True,  # there is no secret in it
            secret_variables=(),
        )

    def _directory(self) -> str:
        return os.devnull  # it prints nothing anywhere

    def _epoch(self) -> int:
        return int(self.log.info().epoch)

    def _say(self, why: str) -> None:
        self.log.set_status_text({**self._said, "state": "connecting", "front_error": why[:300]})

    def _report_lost(self, status: int | None, hung: Watchdog | None) -> None:
        report_lost(self.log, status, hung)

    def _finish(self) -> None:
        log = self._log
        if log is not None:
            if self._failure:
                log.set_status_text({**self._said, "state": "failed", "failure": self._failure[:500]})
            log.end()
            for forwarder in self._forwarders:
                forwarder.stop(drain=True)
            for place in self._places:
                place.close()
            finish_log(log, [q for q in self._queues if isinstance(q, BarQueue)])
        self._ticks.close()

    @property
    def log(self) -> TickLog:
        """The bars' log. Raises `EngineError` before `start`."""
        if self._log is None:
            raise EngineError("this bar engine has not been started")
        return self._log

    def status(self) -> dict[str, Any]:
        """What is going on; from any process: ``TickLog.attach(name).status()``.

        Beside what `TickEngine.status` has of a log and its queues: ``state`` (``waiting`` for ticks, ``live``,
        ``stopped``, ``failed``), ``source``, ``periods``, ``bars``, and of the ticks ``received``, ``lost`` and
        ``left_out`` (`BarBuilder.left_out`), a second old at most.
        """
        return {**self.log.status(), "restarts": self._restarts}

    def __repr__(self) -> str:
        return f"BarEngine({self.name!r}, source={self._source!r}, periods={self._periods!r})"
