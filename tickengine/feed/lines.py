"""On which line of a TOML text each key stands.

The parser gives no places. This reads a text that the parser has taken already, so it need not be strict: it
finds keys, headers and the elements of arrays, and steps over everything else.
"""

from __future__ import annotations

from bisect import bisect_right

from .._toml import tomllib

Path = tuple[str | int, ...]


def lines_of(text: str) -> dict[Path, int]:
    """The line, from 1, of every key, table and array element of a valid TOML text.

    A path has a text for each key and a number for each element: ``("front", 1)`` is the second front.
    """
    return _Scanner(text).scan()


def split_key(text: str) -> tuple[str, ...] | None:
    """The parts of a dotted key, such as ``queues."a.b".wait``; None if it is none."""
    scanner = _Scanner(text + "=")
    try:
        parts = scanner.key()
    except (IndexError, tomllib.TOMLDecodeError):
        return None
    return parts if scanner.at == len(text) and all(parts) else None


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0
        self._starts = [0, *(i + 1 for i, c in enumerate(text) if c == "\n")]
        self._found: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}  # of arrays of tables: how many so far

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while self._blank():
            line = self._line()
            if self._text[self.at] == "[":
                table = self._header(line)
            else:
                self._pair(table)
        return self._found

    def _line(self) -> int:
        return bisect_right(self._starts, self.at)

    def _note(self, base: Path, parts: Path, line: int) -> Path:
        """Remember *parts* below *base*, and all tables that a dotted key makes on its way."""
        path = base
        for part in parts:
            path = (*path, part)
            self._found.setdefault(path, line)
        return path

    def _header(self, line: int) -> Path:
        many = self._text.startswith("[[", self.at)
        self.at += 2 if many else 1
        parts = self.key()
        self.at += 2 if many else 1
        path: Path = ()
        for part in parts[:-1]:
            path = self._note(path, (part,), line)
            if path in self._counts:  # further down, the newest of them is meant
                path = (*path, self._counts[path] - 1)
        path = self._note(path, (parts[-1],), line)
        if many:
            number = self._counts.get(path, 0)
            self._counts[path] = number + 1
            path = self._note(path, (number,), line)
        return path

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = self._note(table, self.key(), line)
        self.at += 1  # the equals sign
        self._value(path)

    def key(self) -> tuple[str, ...]:
        parts = []
        while True:
            self._spaces()
            parts.append(self._part())
            self._spaces()
            if self._text[self.at] != ".":
                return tuple(parts)
            self.at += 1

    def _part(self) -> str:
        start = self.at
        if self._text[start] in "\"'":
            self._string()
            found: str = tomllib.loads(f"k = {self._text[start : self.at]}")["k"]
            return found
        while self._text[self.at].isalnum() or self._text[self.at] in "-_":
            self.at += 1
        return self._text[start : self.at]

    def _value(self, path: Path) -> None:
        self._spaces()
        first = self._text[self.at]
        if first in "\"'":
            self._string()
        elif first == "[":
            self.at += 1
            number = 0
            while self._inside("]"):
                self._value(self._note(path, (number,), self._line()))
                number += 1
        elif first == "{":
            self.at += 1
            while self._inside("}"):
                self._pair(path)
        else:
            while self.at < len(self._text) and self._text[self.at] not in ",]}#\n":
                self.at += 1

    def _inside(self, end: str) -> bool:
        """Go to the next element; False behind the closing bracket."""
        self._blank()
        while self._text[self.at] == ",":
            self.at += 1
            self._blank()
        if self._text[self.at] == end:
            self.at += 1
            return False
        return True

    def _string(self) -> None:
        quote = self._text[self.at]
        literal = quote == "'"
        if self._text.startswith(quote * 3, self.at):
            self.at += 3
            while not self._text.startswith(quote * 3, self.at):
                self.at += 2 if self._text[self.at] == "\\" and not literal else 1
            self.at += 3
            for _ in range(2):  # up to two quotes may stand before the closing three
                if self._text.startswith(quote, self.at):
                    self.at += 1
            return
        self.at += 1
        while self._text[self.at] != quote:
            self.at += 2 if self._text[self.at] == "\\" and not literal else 1
        self.at += 1

    def _spaces(self) -> None:
        while self._text[self.at] in " \t":
            self.at += 1

    def _blank(self) -> bool:
        """Step over blanks, ends of lines and comments; False at the end of the text."""
        while self.at < len(self._text):
            if self._text[self.at] == "#":
                end = self._text.find("\n", self.at)
                self.at = len(self._text) if end < 0 else end
            elif self._text[self.at] in " \t\r\n":
                self.at += 1
            else:
                return True
        return False
