"""The keyboard: keys as they are pressed, signals as they come, and the terminal as it was when all is over."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from ._signals import signal_pipe

NAMES = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\x1bOC": "right",
    "\x1bOD": "left",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[H": "home",
    "\x1b[1~": "home",
    "\x1bOH": "home",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x1b": "escape",
}


def split(raw: str) -> list[str]:
    """What a terminal has sent, key by key: characters, and the names of `NAMES`. Unknown sequences are dropped."""
    keys = []
    i = 0
    while i < len(raw):
        size = 1
        if raw[i] == "\x1b" and raw[i + 1 : i + 2] in ("[", "O"):
            size = 2
            while i + size < len(raw) and not 0x40 <= ord(raw[i + size]) <= 0x7E:
                size += 1
            size = min(size + 1, len(raw) - i)
        text = raw[i : i + size]
        i += size
        if text in NAMES:
            keys.append(NAMES[text])
        elif size == 1 and text.isprintable():
            keys.append(text)
    return keys


class Keyboard:
    """Keys one by one, without Enter and without an echo, for as long as the ``with`` lasts.

    These signals do not interrupt anything: they end `wait`, which tells them. So whatever comes, the terminal is put
    back by leaving the ``with``. Where the standard input is no terminal there are no keys.

    Args:
        signals: those.
        background: False: no keys either where another job has the terminal; True: it stops us until we have it.
    """

    def __init__(self, signals: Iterable[signal.Signals], background: bool = True) -> None:
        self._signals = signals
        fd = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else -1
        self._fd = fd if fd < 0 or background or os.getpgrp() == os.tcgetpgrp(fd) else -1
        self._saved: Any = None
        self._stack = ExitStack()

    def __enter__(self) -> Keyboard:
        self._signalled = self._stack.enter_context(signal_pipe(self._signals))
        self._stack.callback(self.give_back)
        self.take()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()

    def take(self) -> None:
        """The terminal gives each key at once."""
        if self._fd >= 0 and self._saved is None:
            self._saved = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd, termios.TCSADRAIN)

    def give_back(self) -> None:
        """The terminal is as it was."""
        if self._saved is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)
            self._saved = None

    def stop(self) -> None:
        """Stop this process as Ctrl-Z does; returns when it goes on. The caller gives the terminal back before."""
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        try:
            os.kill(os.getpid(), signal.SIGTSTP)
        finally:
            signal.signal(signal.SIGTSTP, handler)

    def wait(self, seconds: float) -> tuple[list[str], list[int]]:
        """Until a key is pressed, a signal comes or the time is over: the keys and the signals there are.

        Raises `EOFError` when the terminal has gone.
        """
        fds = [self._signalled, *([self._fd] if self._fd >= 0 else [])]
        ready, _, _ = select.select(fds, [], [], max(0.0, seconds))
        signals = list(os.read(self._signalled, 1024)) if self._signalled in ready else []
        raw = b""
        if self._fd in ready:
            try:
                raw = os.read(self._fd, 1024)
            except OSError:
                pass  # hung up: as its end
            if not raw and not signals:
                raise EOFError("the terminal has gone")
        return split(raw.decode("utf-8", "replace")), signals
