"""Signals for a main thread that waits: as bytes in a pipe for `select`, or as a latch."""

from __future__ import annotations

import os
import queue
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Latch:
    """Set once, from any thread or signal handler, for the threads that ask or wait for it.

    No `threading.Event`: a handler would wait for ever for its lock when the thread that it interrupts has it.
    """

    def __init__(self) -> None:
        self._set = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()  # its put may interrupt its get

    def set(self) -> None:
        self._set = True
        self._wake.put(None)

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        """At most so many seconds; None: for ever. Returns whether it is set."""
        if not self._set:
            try:
                self._wake.get(timeout=timeout)
            except queue.Empty:
                pass
            else:
                self._wake.put(None)  # for the next one who waits
        return self._set


@contextmanager
def signal_pipe(numbers: Iterable[signal.Signals]) -> Iterator[int]:
    """A descriptor that becomes readable at these signals, whichever thread the kernel gives them to.

    Each byte in it is a signal's number; reading does not block. Call from the main thread.

    Handlers, not a mask: threads that a library started at import (numpy's) would not have the mask, and
    one of them would take the signal with its default action.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    handlers = {number: signal.signal(number, lambda *_: None) for number in numbers}
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: of a library's own
        os.close(reader)
        os.close(writer)
