"""Rounds into a table: every round is shown, then medians with their spread, then ratios."""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]


class BrokenRun(Exception):
    """Something was lost, repeated or out of order, or a process has failed: what was measured is no number."""


def check(condition: bool, words: str) -> None:
    """Not an assert: it also holds under ``python -O``."""
    if not condition:
        raise BrokenRun(words)


def options(description: str, *, rounds: int) -> argparse.ArgumentParser:
    """A parser with what all scripts have in common."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"rounds over all cases (default {rounds})")
    parser.add_argument("--json", metavar="FILE", help="write surroundings, rounds and medians to FILE as well")
    parser.add_argument("--commit", help="commit id to print, for a tree without git")
    return parser


def number(value: Any) -> str:
    """Three significant digits at least; integers whole."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, int):
        return str(value)
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def print_table(rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Texts to the left, numbers to the right."""
    cells = [[number(row.get(c)) for c in columns] for row in rows]
    widths = [max([len(c), *(len(line[i]) for line in cells)]) for i, c in enumerate(columns)]
    left = [bool(rows) and isinstance(rows[0].get(c), str) for c in columns]

    def line(texts: Sequence[str]) -> str:
        return "  ".join(t.ljust(w) if at else t.rjust(w) for t, w, at in zip(texts, widths, left)).rstrip()

    print(line(columns))
    for texts in cells:
        print(line(texts))


def medians(rows: Sequence[Row], case_columns: Sequence[str], value_columns: Sequence[str]) -> list[Row]:
    """One row per case, in order of first appearance; a value is its median, ``name min..max`` beside it."""
    cases: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        cases.setdefault(tuple(row[c] for c in case_columns), []).append(row)
    result = []
    for case, members in cases.items():
        summary: Row = dict(zip(case_columns, case))
        for column in value_columns:
            values = [m[column] for m in members if m.get(column) is not None]
            if not values:
                continue
            summary[column] = statistics.median(values)
            summary[f"{column} min..max"] = f"{number(min(values))}..{number(max(values))}"
        summary["rounds"] = len(members)
        result.append(summary)
    return result


def with_spread(columns: Sequence[str]) -> list[str]:
    """Each column followed by its spread."""
    return [name for c in columns for name in (c, f"{c} min..max")]


class Report:
    """Prints as it goes; at the end writes the same as JSON if asked to."""

    def __init__(self, title: str, surroundings: dict[str, str], json_path: str | None) -> None:
        self._json_path = json_path
        self._content: dict[str, Any] = {"title": title, "surroundings": surroundings}
        print(title)
        width = max(map(len, surroundings))
        for name, value in surroundings.items():
            print(f"  {name.ljust(width)}  {value}")
        print(flush=True)

    def table(self, name: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
        """One named table."""
        print(f"{name}:")
        print_table(rows, columns)
        print(flush=True)
        self._content[name] = list(rows)

    def note(self, name: str, text: str) -> None:
        """A line of its own."""
        print(f"{name}: {text}\n", flush=True)
        self._content[name] = text

    def save(self) -> None:
        """Write the file if one was asked for."""
        if self._json_path is not None:
            with open(self._json_path, "w", encoding="utf-8") as f:
                json.dump(self._content, f, indent=1, ensure_ascii=False)
                f.write("\n")
