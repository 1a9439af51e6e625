"""Plays days into a log: when each tick is due, pauses, seeks, and what the log's readers are told.

A tick is due as long after the one before it as it was received then, divided by the speed. The shim waits for the
last milliseconds and publishes; everything slower is here, on one thread, so nothing has a lock.
"""

from __future__ import annotations

import ctypes as ct
import functools
import logging
import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from .._errors import ConfigError, TickEngineError
from .._shim import QueueInfo, ReaderInfo, ReplayRun, lib, new_handle
from ..log import MAX_READERS, TickLog
from ..tick import NO_INSTRUMENT
from ..words import EVENT_CODES, clean
from . import times
from .days import MOST_INSTRUMENTS, Day, Positions
from .times import Time

logger = logging.getLogger("tickengine")

MAX_SPEED = "max"
_CHUNK = 2048  # ticks looked up in one go: they stay in the processor's cache until they are published
_UNKNOWN = NO_INSTRUMENT - 1  # of a place that has not been asked for
_WINDOW_NS = 20_000_000  # what is due within it is given to the shim at once
_EARLY_NS = 2_000_000  # a wait of ours ends so long before
_LONGEST_WAIT_S = 0.5
_ROOM_NS = 100_000_000  # the shim waits so long for readers before it asks whether there is something else
_WORKERS_S = 0.01
_STATUS_S = 0.25
_SAY_WAITING_S = 5.0

Command = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How it is played. `Replay` says what each means.

    Attributes:
        speed: None: flat out.
        rounds: how often; None: for ever.
        max_gap_ns: None: as long as it was.
    """

    speed: float | None
    rounds: int | None
    lossless: bool
    max_gap_ns: int | None
    paused: bool
    wait_for_workers: int


def checked_speed(speed: float | str) -> float | None:
    """None for flat out. Raises `ConfigError`."""
    if speed == MAX_SPEED:
        return None
    try:
        value = float(speed)
    except (TypeError, ValueError):
        value = 0.0
    if isinstance(speed, bool) or not 0 < value < 1e9:
        raise ConfigError(f"speed must be a number above 0, such as 10, or {MAX_SPEED!r} for flat out, not {speed!r}")
    return value


class Seek(Exception):
    """Go on somewhere else: a day and a tick in it."""

    def __init__(self, day: int, position: int) -> None:
        super().__init__()
        self.day, self.position = day, position


class Stop(Exception):
    """Play no more."""


class Player:
    """The replay's session, in its process. `post` and its kind may be called from any thread and from signal
    handlers; the rest belongs to the thread that is in `run`."""

    call = ""  # no vendor library

    def __init__(self, days: Sequence[Day], manner: Manner, log: TickLog, own: Sequence[ct.c_void_p]) -> None:
        self.steps = 0
        self.failure = ""
        self.state = "connecting"
        self._days, self._manner, self._log, self._own = days, manner, log, own
        self._log_id = log.info().unique_id
        # Its put may interrupt itself, as that of a signal handler does: no other queue's may.
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._paused = manner.paused
        self._speed = manner.speed
        self._waiting_since: float | None = None
        self._waiting_for = ""
        self._said_waiting = False
        self._day, self._position, self._round = 0, 0, 0
        self._played = 0
        self._last_tick = 0
        self._clock = _Clock(manner.max_gap_ns)
        self._status_at = 0.0
        self._refreshed = time.monotonic()
        self._writer = new_handle()
        lib().writer_open(log.handle, True, ct.byref(self._writer))
        self._instruments = _Instruments(self._writer)
        self._write_status()

    # ---- from outside --------------------------------------------------------------------------

    def stop(self) -> None:
        """Make `run` return soon. Never blocks."""
        self._commands.put(_raise_stop)

    def pause(self) -> None:
        self._commands.put(self._pause)

    def resume(self) -> None:
        self._commands.put(self._resume)

    def seek(self, where: Time) -> None:
        self._commands.put(lambda: self._seek(where))

    def step(self, seconds: float) -> None:
        self._commands.put(lambda: self._step(round(seconds * 1e9)))

    def set_speed(self, speed: float | None) -> None:
        self._commands.put(lambda: self._set_speed(speed))

    def release(self) -> None:
        """Nobody is in `run`."""
        self.state = "failed" if self.failure else "stopped"
        self._event("engine_stopped")
        self._write_status()
        lib().writer_close(self._writer)

    # ---- playing -------------------------------------------------------------------------------

    def run(self) -> None:
        """Play everything, or until `stop`. What is wrong with a file is in `failure`."""
        try:
            self._event("engine_started")
            self._write_status()
            begin = self._await_workers()
            while self._manner.rounds is None or self._round < self._manner.rounds:
                self._round += 1
                self._play_round(*begin)
                begin = 0, 0
        except Stop:
            pass
        except TickEngineError as error:
            self.failure = str(error)
            logger.error("%s", error)

    def _play_round(self, day: int, position: int) -> None:
        while day < len(self._days):
            try:
                self._play_day(day, position)
                day, position = day + 1, 0
            except Seek as seek:
                day, position = seek.day, seek.position

    def _play_day(self, number: int, position: int) -> None:
        day = self._days[number]
        self._day, self._position = number, position
        self.state = "live"
        self._event("logged_in", day.trading_day.encode())
        self._write_status()
        self._clock.begin_anew()
        while self._position < len(day):
            self._look()
            self._play_chunk(_Chunk(day, self._position, self._instruments))

    def _play_chunk(self, chunk: _Chunk) -> None:
        """Until it has been published, or after a pause or a new speed: then what is left of it is due anew."""
        speed = self._speed
        due = None if speed is None else self._clock.due(chunk.received, speed)
        while chunk.done < chunk.count:
            self._look()
            if self._paused:
                self._stand_still()
                return
            if self._speed != speed:
                return
            stop = chunk.count
            if due is not None:
                now = time.monotonic_ns()
                ahead = int(due[chunk.done]) - now
                if ahead > _WINDOW_NS:
                    self._wait(min(_LONGEST_WAIT_S, (ahead - _EARLY_NS) / 1e9))
                    continue
                stop = max(chunk.done + 1, int(np.searchsorted(due, now + _WINDOW_NS, "right")))
            self._publish(chunk, stop, due)

    def _stand_still(self) -> None:
        self._clock.stop()
        while self._paused:
            self._wait(_LONGEST_WAIT_S)
        self._clock.go_on()

    def _publish(self, chunk: _Chunk, stop: int, due: npt.NDArray[np.int64] | None) -> None:
        begin = chunk.done
        run = chunk.run(stop, due)
        if self._manner.lossless:
            run.lossless = 1
            run.deadline_ns = time.monotonic_ns() + _ROOM_NS
            for slot in self._own_slots():
                run.owned[slot // 64] |= 1 << slot % 64
        try:
            lib().writer_replay(self._writer, ct.byref(run))
        except ConfigError as error:
            raise damaged(chunk.day, chunk.place(begin + run.done), error) from None
        chunk.done += run.done
        self._position += run.done
        self._played += run.done
        if run.done:
            self._last_tick = int(chunk.made[chunk.done - 1])
            if due is not None:
                self._clock.published(int(due[chunk.done - 1]), int(chunk.received[chunk.done - 1]))
            else:
                self._clock.begin_anew()
        self._note_waiting(run.slowest)

    def _own_slots(self) -> list[int]:
        """Where the queues stand that were given to the replay, as long as they are not closed."""
        slots, info = [], QueueInfo()
        for own in self._own:
            lib().queue_info_get(own, ct.byref(info))
            if info.log_id == self._log_id and not info.closed:
                slots.append(int(info.slot))
        return slots

    # ---- waiting -------------------------------------------------------------------------------

    def _await_workers(self) -> tuple[int, int]:
        """The day and the tick to begin with: a seek may have come meanwhile."""
        wanted, begin = self._manner.wait_for_workers, (0, 0)
        while sum(q["alive"] for q in self._log.queues()) < wanted:
            self._waiting_for = f"{wanted} workers"
            try:
                self._wait(_WORKERS_S)
            except Seek as seek:
                begin = seek.day, seek.position
        self._waiting_for = ""
        return begin

    def _note_waiting(self, slot: int) -> None:
        if slot < 0:
            self._waiting_since, self._waiting_for, self._said_waiting = None, "", False
            return
        now = time.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
        table = (ReaderInfo * MAX_READERS)()
        count = min(lib().log_readers(self._log.handle, table, MAX_READERS), MAX_READERS)
        slow = next((r for r in table[:count] if r.slot == slot), None)
        self._waiting_for = "" if slow is None else clean(slow.name.decode("ascii", "replace"))
        if not self._said_waiting and slow is not None and now - self._waiting_since > _SAY_WAITING_S:
            self._said_waiting = True
            who = "nobody reads it" if not slow.reader_pid else f"process {slow.reader_pid} reads it"
            dead = " and is dead: start a successor" if slow.reader_pid and not slow.reader_alive else ""
            logger.warning("waiting for room in queue %s: %s%s", self._waiting_for, who, dead)

    def _wait(self, seconds: float) -> None:
        """Until there is a command, at most so long; carries it out."""
        try:
            command = self._commands.get(timeout=seconds)
        except queue.Empty:
            self._look()
            return
        command()
        self._look()

    def _look(self) -> None:
        """Commands that have come, and what is due now and then."""
        self.steps += 1
        while True:
            try:
                self._commands.get_nowait()()
            except queue.Empty:
                break
        now = time.monotonic()
        if now - self._refreshed > 1.0:
            self._refreshed = now
            lib().clock_refresh()
        if now - self._status_at > _STATUS_S:
            self._write_status()

    def _pause(self) -> None:
        self._paused = True
        self._write_status()

    def _resume(self) -> None:
        self._paused = False
        self._write_status()

    def _set_speed(self, speed: float | None) -> None:
        self._speed = speed
        self._write_status()

    def _seek(self, where: Time) -> None:
        value = times.checked_time(where, "seek")
        assert value is not None
        dated = hasattr(value, "year")
        numbers = range(len(self._days)) if dated else [self._day]
        for number in numbers:
            day = self._days[number]
            position = day.find(times.moment(value, day.trading_day), self._alive)
            if position is not None:
                self._go(number, position)
        logger.warning("seek: no tick was made at %s or later; it goes on where it is", where)

    def _step(self, ns: int) -> None:
        """From the last tick. Where nothing was made in between, over that."""
        number, position = self._day, self._position
        day, made = self._days[number], self._last_tick or self._days[number].made_at(position)
        if ns > 0:
            found = day.find(made + ns, self._alive, position)
            if found is not None:
                self._go(number, found)
            if number + 1 < len(self._days):
                self._go(number + 1, 0)
            logger.warning("step: no tick was made so late; it goes on where it is")
            return
        found = day.find(made + ns, self._alive)
        if found is None or found >= position:  # from what lies before the break, or on the day before
            if position == 0 and number > 0:
                number -= 1
                day = self._days[number]
                position = len(day)
            found = day.find(day.made_at(max(0, position - 1)) + ns, self._alive)
        self._go(number, found or 0)

    def _go(self, day: int, position: int) -> NoReturn:
        self._day, self._position = day, position
        self._last_tick = self._days[day].made_at(position)
        raise Seek(day, position)

    def _alive(self) -> None:
        """To the watchdog, from what takes long."""
        self.steps += 1

    # ---- words ---------------------------------------------------------------------------------

    def _event(self, name: str, text: bytes = b"") -> None:
        lib().writer_event(self._writer, EVENT_CODES[name], 0, 0, 0, text, len(text), 0)

    def status(self) -> dict[str, Any]:
        """The same keys as a session's, and ``replay``."""
        day = self._days[self._day]
        return {
            "state": self.state,
            "front": f"replay of {day.files}"[:500],
            "broker_id": "",
            "trading_day": day.trading_day,
            "api_version": "",
            "logins": int(self.state != "connecting"),
            "disconnects": 0,
            "last_disconnect_reason": 0,
            "subscribed": len(self._instruments),
            "unacknowledged": 0,
            "refused": [],
            "front_error": "",
            "failure": self.failure[:500],
            "replay": {
                "paused": self._paused,
                "speed": MAX_SPEED if self._speed is None else self._speed,
                "round": self._round,
                "day": self._day + 1,
                "days": len(self._days),
                "tick": self._position,
                "ticks": len(day),
                "played": self._played,
                "time": times.words(self._last_tick) if self._last_tick else "",
                "waiting_for": self._waiting_for,
            },
        }

    def _write_status(self) -> None:
        self._status_at = time.monotonic()
        self._log.set_status_text(self.status())


def _raise_stop() -> None:
    raise Stop


def damaged(day: Day, place: int, why: ConfigError) -> ConfigError:
    path, number = day.file_of(place)
    return ConfigError(f"{path}: tick {number} of it is damaged: {clean(str(why))}; record or export it again")


class _Instruments:
    """Where the log's table has the instruments of the recordings' own tables."""

    def __init__(self, writer: ct.c_void_p) -> None:
        self._writer = writer
        self._tables: dict[tuple[str, int], npt.NDArray[np.uint32]] = {}
        self._by_name: dict[tuple[bytes, bytes, bytes], int] = {}

    def __len__(self) -> int:
        return len(set(self._by_name.values()) - {NO_INSTRUMENT})

    def entries(
        self, day: Day, records: npt.NDArray[np.void], places: Positions, tables: Positions
    ) -> npt.NDArray[np.uint32]:
        """For a batch of *day*: the place of each tick's instrument, entered in the order in which they come."""
        indices = records["Instrument"]
        beyond = indices >= MOST_INSTRUMENTS  # of the log that they come from, or damaged
        entries = np.full(len(records), _UNKNOWN, np.uint32)
        seen = {int(tables[0])} if tables[0] == tables[-1] and (tables == tables[0]).all() else set(tables.tolist())
        for table in seen - {-1}:
            known = self._table(day, table, int(indices.max(initial=0, where=~beyond)))
            own = slice(None) if len(seen) == 1 else np.flatnonzero(tables == table)
            entries[own] = known.take(indices[own], mode="clip")
        entries[beyond] = _UNKNOWN
        while len(unknown := np.flatnonzero(entries == _UNKNOWN)):
            at = int(unknown[0])
            table, index, record = int(tables[at]), int(indices[at]), records[at]
            names = bytes(record["InstrumentID"]), day.exchange_inst_id(int(places[at])), bytes(record["ExchangeID"])
            try:
                found = self._named(names)
            except ConfigError as error:
                raise damaged(day, int(places[at]), error) from None
            if table < 0 or beyond[at]:  # no table says what the index means: the names do
                same = (records["InstrumentID"] == names[0]) & (records["ExchangeID"] == names[2])
                entries[same & ((tables < 0) | beyond)] = found
            else:
                self._tables[day.trading_day, table][index] = found
                entries[(indices == index) & (tables == table)] = found
        return entries

    def _table(self, day: Day, table: int, highest: int) -> npt.NDArray[np.uint32]:
        known = self._tables.get((day.trading_day, table), np.empty(0, np.uint32))
        if highest >= len(known):
            grown = np.full(2 * highest + 64, _UNKNOWN, np.uint32)
            grown[: len(known)] = known
            known = self._tables[day.trading_day, table] = grown
        return known

    def _named(self, names: tuple[bytes, bytes, bytes]) -> int:
        found = self._by_name.get(names)
        if found is None:
            index = ct.c_uint32()
            lib().writer_instrument(self._writer, *names, ct.byref(index))
            found = self._by_name[names] = index.value
        return found


class _Chunk:
    """Some ticks of a day, ready for the shim."""

    def __init__(self, day: Day, start: int, instruments: _Instruments) -> None:
        self.records, self._places, tables = day.batch(start, start + _CHUNK)
        self.day = day
        self._entries = instruments.entries(day, self.records, self._places, tables)
        self.count, self.done = len(self.records), 0
        self.made = self.records["ExchangeTime"]

    @functools.cached_property
    def received(self) -> npt.NDArray[np.int64]:
        return self.records["RecvTime"].astype(np.int64)

    def run(self, stop: int, due: npt.NDArray[np.int64] | None) -> ReplayRun:
        """For the ticks from `done` to *stop*. This object must outlive it, and *due* too."""
        done = self.done
        return ReplayRun(
            records=self.records.ctypes.data + done * self.records.itemsize,
            entries=self._entries.ctypes.data + done * self._entries.itemsize,
            due_ns=None if due is None else due.ctypes.data + done * due.itemsize,
            count=stop - done,
        )

    def place(self, number: int) -> int:
        """Where the day has the tick."""
        return int(self._places[number])


class _Clock:
    """When ticks are due, from when they were received. Times are of CLOCK_MONOTONIC."""

    def __init__(self, max_gap_ns: int | None) -> None:
        self._max_gap = np.iinfo(np.int64).max if max_gap_ns is None else max_gap_ns
        self._due: int | None = None  # of the last tick
        self._received = 0
        self._stopped: int | None = None

    def begin_anew(self) -> None:
        """The next tick is due at once."""
        self._due = None

    def due(self, received: npt.NDArray[np.int64], speed: float) -> npt.NDArray[np.int64]:
        """When ticks are due that were received then. A clock that was set back makes no gap."""
        if self._due is None:
            self._due, self._received = time.monotonic_ns(), int(received[0])
        gaps = np.clip(np.diff(received, prepend=self._received), 0, self._max_gap)
        due: npt.NDArray[np.int64] = self._due + (np.cumsum(gaps) / speed).astype(np.int64)
        return due

    def published(self, due: int, received: int) -> None:
        self._due, self._received = due, received

    def stop(self) -> None:
        """What is left to wait for the next tick stays as it is until `go_on`."""
        if self._stopped is None:
            self._stopped = time.monotonic_ns()

    def go_on(self) -> None:
        if self._stopped is not None and self._due is not None:
            self._due += time.monotonic_ns() - self._stopped
        self._stopped = None
