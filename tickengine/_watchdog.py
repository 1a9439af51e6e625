"""Telling an engine process that hangs from one that only waits, stands still on purpose, or was not looked at.

The engine process sends a byte a second while its session's thread and its main thread both go on: `Pulse`.
The supervisor looks once a second: `Watchdog`. None of it is near the vendor's thread.

What counts is the time in which somebody looked and saw a process that could have run:

- A process that is stopped (SIGSTOP, a debugger) does not hang. When it goes on it has the whole time again.
- Time passes between two looks of a supervisor that was itself stopped, or on a machine that was suspended:
  of that no more than two looks' worth counts.
"""

from __future__ import annotations

import math
import os
import time
from multiprocessing.connection import Connection

from ._errors import ConfigError

BEAT_S = 1.0
LOOK_S = 1.0
LEAST_S = 5.0  # a loaded machine keeps a healthy process waiting for some seconds now and then


def check_limit(watchdog: float | None) -> float | None:
    """Raises `ConfigError`."""
    if watchdog is None:
        return None
    if isinstance(watchdog, bool) or not isinstance(watchdog, (int, float)) or not LEAST_S <= watchdog < math.inf:
        raise ConfigError(f"watchdog must be at least {LEAST_S:g} seconds, or None for never, not {watchdog!r}")
    return float(watchdog)


class Pulse:
    """The engine process's end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        os.set_blocking(connection.fileno(), False)

    def beat(self) -> None:
        try:
            os.write(self._connection.fileno(), b".")
        except (BlockingIOError, BrokenPipeError):
            pass  # a stopped parent finds enough beats in the pipe; that it is gone is seen elsewhere

    def close(self) -> None:
        """The process is about to end in order."""
        self._connection.close()


class Watchdog:
    """The supervisor's end, for one engine process.

    Attributes:
        silent: seconds that count since the last sign of life.
        call: the vendor library's function that the session has not come back from, as the process said.
    """

    def __init__(self, limit: float | None, pid: int, beats: Connection) -> None:
        self._limit, self._pid, self._beats = limit, pid, beats
        os.set_blocking(beats.fileno(), False)
        self._looked = time.monotonic()
        self.silent = 0.0
        self.call = ""

    def close(self) -> None:
        self._beats.close()

    def look(self) -> bool:
        """Once every `LOOK_S`. True when the process hangs."""
        now = time.monotonic()  # stands still while the machine is suspended
        passed, self._looked = now - self._looked, now
        if self._beaten():
            self.silent, self.call = 0.0, ""
        elif _stopped(self._pid):
            self.silent = 0.0
        else:
            self.silent += min(passed, 2 * LOOK_S)
        return self._limit is not None and self.silent > self._limit

    def _beaten(self) -> bool:
        try:
            if not os.read(self._beats.fileno(), 1 << 16):
                self._limit = None  # it ends, or has ended
        except BlockingIOError:
            return False
        return True


def _stopped(pid: int) -> bool:
    """Whether a thread of the process is held by SIGSTOP (T) or a debugger (t)."""
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/stat", "rb") as f:
                if f.read().rpartition(b")")[2].split()[0] in (b"T", b"t"):
                    return True
    except OSError:
        pass  # the thread, or the process, has just ended; or no descriptor is left to look with
    return False
