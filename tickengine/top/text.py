"""Numbers and names as short texts, and lines of styled pieces that know their width in a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from ..words import clean as clean

Piece = tuple[str, str]
"""A text and its style: words that rich knows, such as ``"bold red"``; "" for none."""
Line = list[Piece]


def cells(text: str) -> int:
    """Columns that a text takes in a terminal: Chinese characters take two."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in text
    )


def cut(text: str, width: int) -> str:
    """At most *width* columns of it; what is cut off shows as ``~`` at the end."""
    if cells(text) <= width:
        return text
    kept, used = [], 1
    for c in text:
        used += cells(c)
        if used > width:
            break
        kept.append(c)
    return ("".join(kept) + "~")[: max(0, width)]


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most *width* columns, broken at blanks where there are any."""
    lines, line = [], ""
    for word in text.split():
        while cells(word) > width:  # no blank to break at
            room = 0
            while cells(word[: room + 1]) <= width:
                room += 1
            lines += [line, word[:room]] if line else [word[:room]]
            line, word = "", word[room:]
        if line and cells(line) + 1 + cells(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line or not lines else lines


def pad(text: str, width: int, right: bool = False) -> str:
    """Exactly *width* columns."""
    text = cut(text, width)
    blanks = " " * (width - cells(text))
    return blanks + text if right else text + blanks


def fit(line: Line, width: int) -> Line:
    """The pieces of a line as far as they fit."""
    kept: Line = []
    for text, style in line:
        if width <= 0:
            break
        text = cut(clean(text), width)
        width -= cells(text)
        kept.append((text, style))
    return kept


def spread(left: Line, right: Line, width: int) -> Line:
    """One at each end of a line; the right one is left out when there is no room for it."""
    used = sum(cells(clean(text)) for text, _ in (*left, *right))
    if used + 2 > width:
        return fit(left, width)
    return fit([*left, (" " * (width - used), ""), *right], width)


def plain(lines: Iterable[Line]) -> str:
    """The lines without styles."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


# ---- numbers -----------------------------------------------------------------------------------


def number(value: float | None, digits: int = 10) -> str:
    """As many digits as it needs; "-" for what is absent."""
    return "-" if value is None or value != value else f"{value:.{digits}g}"


def count(value: int | None) -> str:
    """``12,345``; ``1.23M`` from ten millions on."""
    if value is None:
        return "-"
    for unit, size in (("G", 10**9), ("M", 10**6)):
        if abs(value) >= 10 * size:
            return f"{value / size:.2f}{unit}"
    return f"{value:,}"


def rate(value: float | None) -> str:
    """Ticks a second."""
    if value is None or value != value:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def signed(value: float) -> str:
    if value != value:
        return "-"
    # A difference of prices: what binary fractions leave at its end is no part of it.
    rounded = round(value, 6) + 0.0
    return f"{rounded:+.10g}" if rounded else "0"


def age(seconds: float) -> str:
    """``0.3s``, ``12s``, ``3m05``, ``2h10``, ``3d04``."""
    if seconds != seconds:
        return "-"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}"


def latency(ns: int | None) -> str:
    """``310ns``, ``1.2us``, ``3.4ms``, ``2.1s``."""
    if ns is None:
        return "-"
    if ns < 1000:
        return f"{ns}ns"
    for unit, size in (("us", 1e3), ("ms", 1e6), ("s", 1e9)):
        value = ns / size
        if value < 999.5 or unit == "s":
            return f"{value:.1f}{unit}" if value < 99.95 else f"{value:.0f}{unit}"
    raise AssertionError
