"""Signals that end the command, noticed where it waits and nowhere else.

So they never come in the middle of making a segment or a process, or of taking one away: each is then either
not there or somebody's to remove.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """A context of the main thread. `fd` becomes readable when a signal has come; `check` then raises."""

    def __enter__(self) -> Interrupts:
        self._came: list[int] = []
        self.fd, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        # What is ignored (nohup, a background job) stays so.
        numbers = [number for number in _NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._remember) for number in numbers}
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exc: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._writer)
        os.close(self.fd)
        if kind is None:
            self.check()

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self._came.append(number)

    def check(self) -> None:
        """Raises `KeyboardInterrupt` after SIGINT, `SystemExit` with the shell's status after another."""
        for number in self._came:
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


@contextmanager
def not_inherited() -> Iterator[None]:
    """Processes started inside do not see these signals: they end when they are told to, without a word."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
