"""The ``[sessions]`` section: when products trade, in place of the tables' hours."""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .._errors import ConfigError
from ..products import EVENING, MORNING, Session, product_table
from .document import Document
from .mistakes import Notes
from .schema import Values

_SECTION, _HOURS = "sessions", ("sessions", "hours")
_SPAN = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)-([01]?\d|2[0-4]):([0-5]\d)", re.ASCII)
_PRODUCT = re.compile(r"[A-Za-z]{1,2}(_f)?")
_DAY = 86400


@dataclass(frozen=True)
class Hours:
    """Attributes:
    any_hour: every hour counts as session hours.
    own: a product's sessions in place of the table's, by ProductID.
    """

    any_hour: bool = False
    own: Mapping[str, tuple[Session, ...]] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """For people."""
        if self.any_hour:
            return "any hour"
        return "by the product tables" + (f", but own hours of {', '.join(self.own)}" if self.own else "")


def hours_in(document: Document, values: Values, notes: Notes) -> Hours:
    """What the section says. Mistakes go into *notes*."""
    found: dict[str, tuple[Session, ...]] = {}
    known = {product.ProductID for product in product_table()}
    for product, texts in (values.get(*_HOURS) or {}).items():
        with notes.at(*_HOURS, product):
            found[product] = _sessions(product, texts)
            if product not in known:
                notes.doubt("is in no product table: its hours are these alone", *_HOURS, product)
    any_hour = bool(values.get(_SECTION, "any_hour"))
    if any_hour and found:
        notes.doubt("has no effect beside any_hour", *_HOURS)
    return Hours(any_hour, found)


def _sessions(product: str, texts: object) -> tuple[Session, ...]:
    if not _PRODUCT.fullmatch(product):
        raise ConfigError('is no product: write the letters that its ids begin with, such as rb = ["09:00-10:15"]')
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ConfigError('must be a list of spans, such as ["21:00-23:00", "09:00-10:15", "10:30-11:30"]')
    found = sorted((part for text in texts for part in _parts(text)), key=lambda part: _traded(part.start))
    for before, after in itertools.pairwise(found):
        if _traded(after.start) < _traded(before.start) + before.end - before.start:
            raise ConfigError(f"{_clock(after.start)} is in two of the spans: let one end where the other begins")
    if not any(MORNING <= part.start < EVENING for part in found):
        raise ConfigError("has no span by day: every product trades between 06:00 and 18:00, too")
    return tuple(found)


def _parts(text: str) -> Sequence[Session]:
    """A span; two if it goes over midnight."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{text!r} must be HH:MM-HH:MM, such as 21:00-02:30")
    start, end = (int(hours) * 3600 + int(minutes) * 60 for hours, minutes in (match.group(1, 2), match.group(3, 4)))
    if MORNING <= start < end <= EVENING or start < end <= MORNING or EVENING <= start < end <= _DAY:
        return (Session(start, end),)
    if EVENING <= start < _DAY and end <= MORNING:
        return [part for part in (Session(start, _DAY), Session(0, end)) if part.end]
    raise ConfigError(
        f"{text!r} must end behind its begin, and lie in the day (06:00 to 18:00) or in the night (18:00 to 06:00)"
    )


def _traded(second: int) -> int:
    """Seconds since the trading day began, at 18:00."""
    return (second - EVENING) % _DAY


def _clock(second: int) -> str:
    return f"{second // 3600:02d}:{second % 3600 // 60:02d}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """For commands that look at an engine and count by the hours."""
    parser.add_argument("name", nargs="?", help="the engine's name (default: the configuration's)")
    parser.add_argument("--config", metavar="FILE", help="the feed's configuration: its [sessions] count")
