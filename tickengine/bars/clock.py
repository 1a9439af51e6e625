"""What time it is for ticks that come: today, or whenever a recording was made."""

from __future__ import annotations

import time


class ReceiveClock:
    """The receive time of the newest tick, and what has passed since it was read.

    Live that is the time of day. For ticks that waited in the log, or come from a recording, it is theirs.
    """

    def __init__(self) -> None:
        self._recv = 0
        self._at = 0

    def saw(self, recv_ns: int) -> None:
        """A tick was read that was received at *recv_ns* (ns UTC)."""
        self._recv, self._at = recv_ns, time.monotonic_ns()

    def now(self) -> int:
        """Nanoseconds UTC on that clock; 0 before the first tick."""
        return self._recv and self._recv + time.monotonic_ns() - self._at
