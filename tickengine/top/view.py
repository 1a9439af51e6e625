"""What is shown of a snapshot: the state that the keys change. No terminal in here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

PAGES = ("instruments", "queues", "exchanges", "events")

SORTS: dict[str, tuple[str, ...]] = {
    "instruments": ("id", "last", "change", "volume", "OI", "ticks", "ticks/s", "age"),
    "queues": ("name", "lag", "lost", "ticks/s", "p99"),
    "exchanges": ("exchange", "ticks", "ticks/s", "age"),
    "events": ("time",),
}
"""By what each page can be sorted, in the order of the key ``s``. Names ascend, numbers descend, until ``r``."""

ASCENDING = frozenset({"id", "name", "exchange"})

KEYS = (
    ("1 2 3 4", "instruments, queues, exchanges, events"),
    ("s", "sort by the next column"),
    ("r", "reverse the order"),
    ("/", "show only names with a text in them: Enter keeps it, Esc ends it"),
    ("up down PgUp PgDn", "move through the list, also with k and j; g goes to its top"),
    ("p", "pause: what is shown stays; p again goes on"),
    ("?", "this help"),
    ("q", "quit"),
)


@dataclass(frozen=True)
class View:
    """What to show. `press` gives the next one.

    Attributes:
        page: one of `PAGES`.
        sorts: for each page the position in its `SORTS`.
        reverse: the other way round.
        filter: text that a name must contain, upper or lower case alike; "" all.
        typing: keys go into the filter.
        paused: the numbers stay as they are.
        top: rows left out above.
        help: the keys are shown in place of the list.
        note: a line of its own, such as that the engine has stopped.
    """

    page: str = "instruments"
    sorts: dict[str, int] = field(default_factory=dict)
    reverse: bool = False
    filter: str = ""
    typing: bool = False
    paused: bool = False
    top: int = 0
    help: bool = False
    note: str = ""

    @property
    def sort(self) -> str:
        """The column that the page is sorted by."""
        names = SORTS[self.page]
        return names[self.sorts.get(self.page, 0) % len(names)]

    @property
    def descending(self) -> bool:
        return (self.sort not in ASCENDING) != self.reverse

    def sorted_by(self, column: str) -> View:
        """The same, sorted by a column of its page."""
        return dataclasses.replace(self, sorts={**self.sorts, self.page: SORTS[self.page].index(column)})

    def press(self, key: str, rows: int = 10) -> View | None:
        """The view after a key (a character, or a name from `keys`); None: quit. *rows*: in the list, for paging."""
        if self.typing:
            return self._type(key)
        if key in ("1", "2", "3", "4"):
            return dataclasses.replace(self, page=PAGES[int(key) - 1], top=0, help=False, reverse=False)
        moves = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -rows, "page down": rows, " ": rows}
        if key in moves:
            return dataclasses.replace(self, top=max(0, self.top + moves[key]))
        match key:
            case "q":
                return None
            case "s":
                return dataclasses.replace(self.sorted_by(self._next_sort()), top=0, reverse=False)
            case "r":
                return dataclasses.replace(self, reverse=not self.reverse, top=0)
            case "p":
                return dataclasses.replace(self, paused=not self.paused)
            case "/":
                return dataclasses.replace(self, typing=True, filter="", top=0, help=False)
            case "escape":
                return dataclasses.replace(self, filter="", help=False, top=0)
            case "?" | "h":
                return dataclasses.replace(self, help=not self.help)
            case "g" | "home":
                return dataclasses.replace(self, top=0)
        return self

    def _next_sort(self) -> str:
        names = SORTS[self.page]
        return names[(names.index(self.sort) + 1) % len(names)]

    def _type(self, key: str) -> View:
        match key:
            case "enter":
                return dataclasses.replace(self, typing=False)
            case "escape":
                return dataclasses.replace(self, typing=False, filter="")
            case "backspace":
                return dataclasses.replace(self, filter=self.filter[:-1], top=0)
        if len(key) == 1 and key.isprintable():
            return dataclasses.replace(self, filter=self.filter + key, top=0)
        return self
