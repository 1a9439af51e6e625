"""`Replay`: recordings in the place of a `TickEngine`."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .._errors import ConfigError, EngineError
from .._feeding import Feeding
from ..flow import temporary_directory
from ..log import DEFAULT_CAPACITY, Status
from . import times
from ._process import Orders, replay_main
from .days import check_files, selection
from .player import Manner, checked_speed
from .times import Time

logger = logging.getLogger("tickengine")

_START_LIMIT_S = 3600.0  # large CSV files


class Replay(Feeding):
    """Recordings, played from a process of its own into a log, as a `TickEngine` feeds one.

    Workers get the same ticks by the same queues, each with `TickFlag.REPLAYED`. Nothing is started before `start` (or
    ``with replay:``). It ends by itself when everything has been played: `join` returns, and queues that are drained
    are closed.

    Args:
        files: recordings (``.ticks``), CSV files in the vendor's columns, or directories of them. The files of one
            trading day are played together in the order of their receive times, the days one after another.
        name: name of the log, for others to attach; default random.
        md_queue_list: as `TickEngine` takes it.
        speed: 1 for the original spacing, N for N times faster, ``"max"`` for flat out.
        instruments, products: only these ids, or ids of these products (``"rb"``, ``"IF"``); None: all.
        start, stop: only ticks that the exchange made at or after *start* and before *stop*, China time:
            ``"09:30:00"`` of each trading day (``"21:00"``: on the evening before it), or with a date,
            ``"2026-01-05 09:30:00"``; or a `datetime.time`, a `datetime.datetime`.
        loop: True: again and again; a number: so many times.
        lossless: wait for the slowest queue rather than overwrite what it has not read: for those of *md_queue_list*,
            whether they are read yet or not, and for others that a living process reads. None: only flat out.
        max_gap: seconds; longer gaps between ticks (lunch, the night) are shortened to it. None: never.
        paused: begin in a pause, until `resume`.
        wait_for_workers: begin when so many queues have a reader.
        capacity: ticks kept in the log, rounded up to a power of two (448 bytes each).
        watchdog: as for `TickEngine`.

    Raises:
        ConfigError: an argument is wrong, or a file is not there.
    """

    _kind = "replay"
    _class_words = "a Replay"

    def __init__(
        self,
        files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        name: str | None = None,
        md_queue_list: Iterable[Any] | None = None,
        speed: float | str = 1.0,
        instruments: Iterable[str | bytes] | None = None,
        products: Iterable[str] | None = None,
        start: Time | None = None,
        stop: Time | None = None,
        loop: bool | int = False,
        lossless: bool | None = None,
        max_gap: float | None = None,
        paused: bool = False,
        wait_for_workers: int = 0,
        capacity: int = DEFAULT_CAPACITY,
        watchdog: float | None = 30.0,
    ) -> None:
        self._files = check_files(files)
        self._wanted = selection(instruments, products, start, stop)
        chosen = checked_speed(speed)
        self._manner = Manner(
            speed=chosen,
            rounds=_rounds(loop),
            lossless=chosen is None if lossless is None else bool(lossless),
            max_gap_ns=_nanoseconds(max_gap),
            paused=bool(paused),
            wait_for_workers=_count(wait_for_workers),
        )
        # What died half-way has no place to go on from that its workers would understand.
        super().__init__("replay", name, capacity, md_queue_list, False, watchdog)
        self._temporary: str | None = None

    def _start_limit(self) -> float:
        return _START_LIMIT_S

    def _prepare(self) -> None:
        super()._prepare()
        self._temporary = temporary_directory()

    def _work(self) -> tuple[Callable[..., None], Any]:
        assert self._temporary is not None
        return replay_main, Orders(
            files=tuple(self._files),
            wanted=self._wanted,
            manner=self._manner,
            log_path=self.log.path,
            queue_paths=self._queue_paths(),
            directory=self._temporary,
            parent_pid=os.getpid(),
            log_level=logger.getEffectiveLevel(),
            core_dumps=True,
            secret_variables=(),
        )

    def _directory(self) -> str:
        assert self._temporary is not None
        return self._temporary

    def _finish(self) -> None:
        super()._finish()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    # ---- using ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the log, bind the queues, start the process, and wait until it has opened the files.

        Blocks for about half a second, and for some 40 µs for each row of a CSV file.

        Raises:
            NameTakenError: an engine of that name is running.
            ConfigError, RecordingError: a file is wrong, the text says where and what to do; or no tick is wanted.
        """
        super().start()

    def wait_live(self, timeout: float = 30.0) -> None:
        """Block until it plays, or has played everything.

        Raises `EngineError` when the time is over, as it is waiting for workers, say; or when it gave up.
        """
        try:
            super().wait_live(timeout)
        except EngineError:
            if self.is_alive() or self._failure or self._stopping.is_set():
                raise

    def pause(self) -> None:
        """Stand still until `resume`, within about 0.1 s. Does not block. SIGUSR1 to `pid` does the same."""
        self._tell("pause", None)

    def resume(self) -> None:
        """Go on. What was left to wait for the next tick is left still. SIGUSR2 to `pid` does the same."""
        self._tell("resume", None)

    def seek(self, where: Time) -> None:
        """Go on at the first tick that the exchange made at *where* or later, forward or back; does not block.

        A time without a date is of the trading day that is being played. The log is not set back: ticks that come
        again have new sequences. Where there is no such tick it goes on as before, with a warning in the log.

        Raises:
            ConfigError: *where* is no time.
        """
        self._tell("seek", times.checked_time(where, "seek"))

    def step(self, seconds: float) -> None:
        """Go on so many seconds later, or where they are negative earlier, than the last tick was made; does not
        block. Over a break, and into the next day or the one before, where no tick was made in between.

        Raises:
            ConfigError: *seconds* is no number.
        """
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not abs(seconds) < 1e9:
            raise ConfigError(f"step takes seconds, such as 60 or -60, not {seconds!r}")
        self._tell("step", seconds)

    def set_speed(self, speed: float | str) -> None:
        """From now on so fast; ``"max"`` flat out. Does not change *lossless*.

        Raises:
            ConfigError: it is no speed.
        """
        self._tell("speed", checked_speed(speed))

    def _tell(self, command: str, argument: Any) -> None:
        if self._supervisor is None:
            raise EngineError("this replay has not been started")
        self._send(command, argument)

    def status(self) -> Status:
        """As `TickEngine.status`, and ``replay``: ``paused``, ``speed``, ``round``, ``day`` of ``days``, ``tick`` of
        ``ticks`` in the day, ``played`` in all, ``time`` (when the exchange made the last tick, or after a seek the
        one to go on with), ``waiting_for`` (the queue without room, or workers)."""
        return super().status()

    def __repr__(self) -> str:
        if not hasattr(self, "name"):  # a traceback of the constructor's
            return "Replay(not made)"
        return f"Replay({self.name!r}, files={_few(self._files)})"


def _few(files: Sequence[str]) -> str:
    more = f" and {len(files) - 2} more" if len(files) > 2 else ""
    return ", ".join(map(repr, files[:2])) + more


def _rounds(loop: bool | int) -> int | None:
    if isinstance(loop, bool):
        return None if loop else 1
    return _count(loop, "loop", 1)


def _count(value: int, name: str = "wait_for_workers", least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} must be a whole number from {least} on, not {value!r}")
    return value


def _nanoseconds(seconds: float | None) -> int | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < 1e9:
        raise ConfigError(f"max_gap must be seconds from 0 on, or None for never, not {seconds!r}")
    return int(seconds * 1e9)
