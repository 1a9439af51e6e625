"""The ``[instruments]`` section: which ids it comes to, and how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .document import Document
from .ids import MONTHS, Line, as_id, doubts_about, futures_of_the_tables, is_pattern, matching, read_ids
from .mistakes import Notes
from .schema import Values

_SECTION = "instruments"
_MOST_DOUBTS = 10


@dataclass(frozen=True)
class Choice:
    """Attributes:
    ids: to subscribe, without repeats.
    words: what each file and pattern came to, for people.
    """

    ids: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


def chosen(document: Document, values: Values, notes: Notes, real: bool = True) -> Choice:
    """What the section asks for. Mistakes go into *notes*; doubts, too, if the market is a *real* one."""
    known = len(notes.mistakes)
    lines = [Line(text, "") for text in as_list(values.get(_SECTION, "ids"))]
    words: list[str] = []
    for path in as_list(values.get(_SECTION, "file")):
        with notes.at(_SECTION, "file"):
            found = read_ids(document.resolve(path, _SECTION, "file"))
            words.append(f"{path}: {len(found)} lines")
            lines += found
    universe, source = _universe(document, values, notes, lines)
    ids: dict[str, None] = {}
    for number, line in enumerate(lines):
        key: tuple[str | int, ...] = (_SECTION, "file") if line.place else (_SECTION, "ids", number)
        where = f"{line.place}: " if line.place else ""
        taken, explained = _one(line, where, key, universe, source, notes)
        ids.update(dict.fromkeys(taken))
        words += explained
    if not ids and len(notes.mistakes) == known:
        notes.mistake('no instruments: give ids = ["rb2605", "IF*"] or file = "ids.txt" below [instruments]', _SECTION)
    if real:
        _doubt(ids, notes)
    return Choice(tuple(ids), tuple(words))


def as_list(value: str | Sequence[str] | None) -> list[str]:
    """One text stands for a list of itself; commas part ids, as on a command line."""
    if value is None:
        return []
    items = value.split(",") if isinstance(value, str) else value
    return [item.strip() for item in items]


def _universe(document: Document, values: Values, notes: Notes, lines: Iterable[Line]) -> tuple[list[str] | None, str]:
    """What patterns are matched with; None if that has a mistake of its own."""
    given = values.get(_SECTION, "list")
    if given is not None:
        if values.has(_SECTION, "months"):
            notes.doubt("has no effect beside list", _SECTION, "months")
        with notes.at(_SECTION, "list"):
            found = read_ids(document.resolve(given, _SECTION, "list"))
            return [line.text for line in found], f"of {len(found)} in {given}"
        return None, ""
    months = values.get(_SECTION, "months")
    with notes.at(_SECTION, "months"):
        found_ids = futures_of_the_tables(MONTHS if months is None else months)
        return found_ids, f"by the product tables, {months or MONTHS} months; not all of them need be listed"
    return None, ""


def _one(
    line: Line, where: str, key: tuple[str | int, ...], universe: list[str] | None, source: str, notes: Notes
) -> tuple[list[str], list[str]]:
    try:
        if not is_pattern(line.text):
            return [as_id(line.text)], []
        if universe is None:
            return [], []
        found = matching(line.text, universe)
        return found, [f"{where}{line.text}: {span(found)} ({source})"]
    except ValueError as error:  # a ConfigError is one
        notes.mistake(f"{where}{error}", *key)
        return [], []


def span(ids: Sequence[str]) -> str:
    """``"13 ids, rb2611 to rb2711"``."""
    return f"1 id, {ids[0]}" if len(ids) == 1 else f"{len(ids)} ids, {ids[0]} to {ids[-1]}"


def _doubt(ids: Iterable[str], notes: Notes) -> None:
    doubts = [words for words in map(doubts_about, ids) if words]
    for words in doubts[:_MOST_DOUBTS]:
        notes.doubt(words, _SECTION)
    if len(doubts) > _MOST_DOUBTS:
        notes.doubt(f"and {len(doubts) - _MOST_DOUBTS} more ids look wrong", _SECTION)


def filter_of(texts: Sequence[str], ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """A queue's filter out of the subscribed *ids*, and what is wrong with it, in words."""
    found: dict[str, None] = {}
    wrong = []
    subscribed = set(ids)
    for text in texts:
        if is_pattern(text):
            try:
                found.update(dict.fromkeys(matching(text, ids)))
            except ValueError as error:
                wrong.append(f"{error}, of the instruments that are subscribed")
        elif text in subscribed:
            found[text] = None
        else:
            wrong.append(f"{text!r} is not among the instruments that are subscribed: add it below [instruments]")
    return list(found), wrong
