"""A command on a terminal of its own, seen as its user sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")


class Terminal:
    """Starts ``python ARGUMENTS`` on a new pseudo terminal; the process and the terminal go with the ``with``."""

    def __init__(self, arguments: Sequence[str], width: int = 80, height: int = 24, **environment: str) -> None:
        self.out = ""
        self.status: int | None = None
        self.height = height
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                for number in (signal.SIGINT, signal.SIGQUIT):  # as a login gives them, also where ours are ignored
                    signal.signal(number, signal.SIG_DFL)
                inherited = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
                env = {**inherited, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **environment}
                os.execve(sys.executable, [sys.executable, *arguments], env)
            finally:
                os._exit(127)
        self.before = termios.tcgetattr(self.fd)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def resize(self, width: int, height: int) -> None:
        self.height = height
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def screen(self) -> str:
        """What was drawn last and has come whole, without escapes."""
        frames = [f for f in re.split(r"\x1b\[H", self.out) if f.count("\n") >= self.height - 1]
        return _ESCAPES.sub("", frames[-1]).replace("\r", "") if frames else ""

    def until(self, condition: Callable[[str], object], what: str, timeout: float = 30.0) -> str:
        """The first screen for which the condition holds."""
        deadline = time.monotonic() + timeout
        while not condition(self.screen()):
            left = deadline - time.monotonic()
            if left <= 0 or not self._read(left):
                raise AssertionError(f"not seen: {what}; the terminal has:\n{self.screen()}\n{self.out[-2000:]!r}")
        return self.screen()

    def ended(self, timeout: float = 30.0) -> int:
        """The exit status (negative: the signal's number), after all of its output."""
        deadline = time.monotonic() + timeout
        while self._read(deadline - time.monotonic()):
            pass
        while not (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                raise AssertionError(f"it has not ended; the terminal has:\n{self.out[-2000:]!r}")
            time.sleep(0.005)  # the pace of looking
        self.status = os.waitstatus_to_exitcode(ended[1])
        return self.status

    def text(self) -> str:
        """All that came, without escapes."""
        return _ESCAPES.sub("", self.out).replace("\r", "")

    def put_back(self) -> bool:
        """The terminal's settings are those from before, its own screen is back and has its cursor."""
        left = self.out.rfind("\x1b[?1049l") > self.out.rfind("\x1b[?1049h")
        seen = self.out.rfind("\x1b[?25h") > self.out.rfind("\x1b[?25l")
        return left and seen and termios.tcgetattr(self.fd) == self.before

    def _read(self, timeout: float) -> bool:
        ready, _, _ = select.select([self.fd], [], [], max(0.0, timeout))
        if not ready:
            return False
        try:
            raw = os.read(self.fd, 65536)
        except OSError:  # the other end is closed
            return False
        self.out += raw.decode("utf-8", "replace")
        return bool(raw)
