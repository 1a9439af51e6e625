"""How far a long job is: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import importlib.util
import sys
import time
from types import TracebackType
from typing import Any

_LINE_S = 5.0


class Progress:
    """Counts towards *total* on standard error: with rich's bar on a terminal, if rich (extra ``watch``) is
    installed, else a line every five seconds.

    Use it in a ``with`` block and call it with each number done.
    """

    def __init__(self, words: str, total: int) -> None:
        self._words, self._total, self._done = words, total, 0
        self._next_line = time.monotonic() + _LINE_S
        self._bar: Any = None
        if sys.stderr.isatty() and importlib.util.find_spec("rich") is not None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            self._bar = Bars(*columns, console=Console(stderr=True), transient=True)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
            self._bar.add_task(self._words, total=self._total)
        return self

    def __call__(self, more: int) -> None:
        self._done += more
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_S
            share = 100 * self._done // max(1, self._total)
            print(f"{self._words}: {self._done:,} of {self._total:,} ticks ({share} %)", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
