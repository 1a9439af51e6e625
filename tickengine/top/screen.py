"""Where the lines go: a terminal that can be redrawn, one that cannot, or a file with a picture. Needs rich."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from .._errors import ConfigError, MissingPackage
from .frame import as_text, render
from .snapshot import Snapshot
from .view import View

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live


def _console(**options: Any) -> Console:
    try:
        from rich.console import Console
    except ImportError:
        raise MissingPackage(
            "the live view needs the package rich, which is not installed: pip install 'tickengine[watch]' brings it "
            "(--once and --once --json do without)"
        ) from None
    return Console(highlight=False, markup=False, emoji=False, **options)


class Screen:
    """The terminal: redrawn in place, or, where it is a dumb one, one screen below the other."""

    def __init__(self) -> None:
        if not sys.stdout.isatty():
            raise ConfigError("the live view needs a terminal: use --once or --once --json where there is none")
        self._console = _console()
        self._live: Live | None = None

    def size(self) -> tuple[int, int]:
        """Columns and lines of the terminal now."""
        width, height = self._console.size
        return max(20, width), max(4, height)

    def enter(self) -> None:
        """Take the screen."""
        if self._console.is_dumb_terminal or self._live is not None:
            return
        from rich.live import Live

        self._live = Live(
            console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()

    def leave(self) -> None:
        """Give it back as it was."""
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def show(self, snapshot: Snapshot, view: View) -> None:
        """Draw."""
        width, height = self.size()
        if self._live is None:
            # A character in the last column would make some terminals begin a line more.
            sys.stdout.write(as_text(snapshot, width - 1, height, view) + "\n")
            sys.stdout.flush()
        else:
            self._live.update(render(snapshot, width, height, view), refresh=True)


def save_svg(path: str, snapshot: Snapshot, width: int, height: int, view: View) -> None:
    """A picture of a screen."""
    with open(os.devnull, "w") as nowhere:
        console = _console(record=True, width=width, height=height, file=nowhere, force_terminal=True)
        console.print(render(snapshot, width, height, view))
    try:
        console.save_svg(path, title="tickengine top")
    except OSError as error:
        raise ConfigError(f"cannot write {path!r}: {error.strerror}") from None
