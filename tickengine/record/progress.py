"""How far a long job is: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from types import TracebackType
from typing import Any

_LINE_S = 5.0


class Progress:
    """Counts towards *total* on standard error: with rich's bar on a terminal, if rich (extra ``watch``) is
    installed, else a line every five seconds.

    Use it in a ``with`` block and call it with each number done.

    Args:
        words: what is done. `at` may change them.
        total: when it is done.
        unit: what is counted.
    """

    def __init__(self, words: str, total: int, unit: str = "ticks") -> None:
        self._words, self._total, self._unit, self._done = words, total, unit, 0
        self._next_line = time.monotonic() + _LINE_S
        self._said = ""
        self._bar: Any = None
        if sys.stderr.isatty() and _in_front() and importlib.util.find_spec("rich") is not None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            words_column = TextColumn("{task.description}", markup=False)
            columns = words_column, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            self._bar = Bars(*columns, console=Console(stderr=True), transient=True)
            self._bar.add_task(words, total=total)

    def __enter__(self) -> Progress:
        self.show()
        return self

    def __call__(self, more: int) -> None:
        self.at(self._done + more)

    def at(self, done: int, words: str | None = None, total: int | None = None) -> None:
        """So far it is now, which may be farther back than it was. None: as before."""
        self._done = done
        self._words = self._words if words is None else words
        self._total = self._total if total is None else total
        if self._bar is not None:
            task = self._bar.task_ids[0]
            self._bar.update(task, completed=done, description=self._words, total=self._total)
        elif time.monotonic() >= self._next_line:
            share = 100 * done // max(1, self._total)
            line = f"{self._words}: {done:,} of {self._total:,} {self._unit} ({share} %)"
            if line != self._said:
                print(line, file=sys.stderr, flush=True)
            self._next_line, self._said = time.monotonic() + _LINE_S, line

    def show(self) -> None:
        """The bar is there, again after `hide`."""
        if self._bar is not None:
            self._bar.start()

    def hide(self) -> None:
        """No bar until `show`: the terminal is somebody else's. Can be repeated."""
        if self._bar is not None:
            self._bar.stop()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hide()


def _in_front() -> bool:
    """Whether the terminal is ours: a job in the background draws nothing over the shell."""
    try:
        return os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except OSError:  # not the one that we were started on
        return False
