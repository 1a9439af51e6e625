"""All that is wrong with a configuration, not only the first thing."""

from __future__ import annotations

from .._errors import ConfigError, TickEngineError
from .document import Document


class Mistakes(ConfigError):
    """Raised with one line for each mistake: where it is, what is wrong, what to do."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Notes:
    """Mistakes and doubts about one document, in the order of its lines."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._mistakes: list[tuple[int, str]] = []
        self._doubts: list[tuple[int, str]] = []

    def mistake(self, words: str, *key: str | int) -> None:
        """Something that must be put right. *key* is where."""
        self._mistakes.append(self._placed(words, key))

    def doubt(self, words: str, *key: str | int) -> None:
        """Something that may be meant, and more often is not."""
        self._doubts.append(self._placed(words, key))

    def _placed(self, words: str, key: tuple[str | int, ...]) -> tuple[int, str]:
        name = ".".join(part for part in key if isinstance(part, str))
        line = f"{self._document.where(*key)}: {name + ': ' if name else ''}{words}"
        return self._document.order(*key), " ".join(line.splitlines())

    def at(self, *key: str | int) -> _At:
        """``with notes.at(...)``: what is raised inside becomes a mistake at *key*, and the program goes on behind."""
        return _At(self, key)

    @property
    def mistakes(self) -> list[str]:
        return [line for _, line in sorted(self._mistakes, key=lambda item: item[0])]

    @property
    def doubts(self) -> list[str]:
        return [line for _, line in sorted(self._doubts, key=lambda item: item[0])]


class _At:
    def __init__(self, notes: Notes, key: tuple[str | int, ...]) -> None:
        self._notes = notes
        self._key = key

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if not isinstance(error, TickEngineError):
            return False
        name = self._key[-1]
        words = str(error).removeprefix(f"{name}: ").removeprefix(f"{name} ")
        self._notes.mistake(words.replace("or None", "or be left out"), *self._key)
        return True
