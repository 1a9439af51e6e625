"""Signals as bytes in a pipe, for a main thread that waits in `select`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


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
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
