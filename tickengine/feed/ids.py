"""Ids and patterns into the ids to subscribe.

A front cannot be asked what it has. So patterns are matched either with a list that the user gives, or with the
futures of the product table in the coming months; the table knows products, not which months are listed.
"""

from __future__ import annotations

import csv
import difflib
import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .._checks import check_instruments
from .._errors import ConfigError
from ..instruments import FUTURE, UNKNOWN, parse_instrument
from ..products import product_table
from ..trading_calendar import today

MONTHS = 13
_MOST_MONTHS = 60
_MOST_BYTES = 16 << 20
_PRODUCT = re.compile(r"([A-Za-z]{1,2})\*")
_GLOB = re.compile(r"[*?\[]")
_COLUMN = "InstrumentID"
OPTION_PRODUCTS = frozenset({"IO", "MO", "HO"})
"""CFFEX's index options: products of the table without futures of their own."""


@dataclass(frozen=True)
class Line:
    """An id or a pattern, and where it stands."""

    text: str
    place: str


def is_pattern(text: str) -> bool:
    return _GLOB.search(text) is not None


def read_ids(path: str) -> list[Line]:
    """A file of ids: one a line, with ``#`` comments, or CSV with a column ``InstrumentID``.

    Raises:
        ConfigError: it cannot be read, or has no ids.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except ValueError:
        raise ConfigError(f"{path!r} cannot be a path") from None
    if len(raw) > _MOST_BYTES:
        raise ConfigError(f"{path}: has more than {_MOST_BYTES} bytes: this is no file of ids")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("gb18030", "replace")  # what spreadsheets in China write
    rows = text.splitlines()
    first = next((row for row in rows if row.strip() and not row.lstrip().startswith("#")), "")
    found = _from_csv(path, rows) if "," in first or first.strip() == _COLUMN else _from_lines(path, rows)
    if not found:
        raise ConfigError(f"{path}: has no ids")
    return found


def _from_lines(path: str, rows: Sequence[str]) -> list[Line]:
    texts = ((number, row.partition("#")[0].strip()) for number, row in enumerate(rows, 1))
    return [Line(text, f"{path}:{number}") for number, text in texts if text]


def _from_csv(path: str, rows: Sequence[str]) -> list[Line]:
    table = csv.reader(row for row in rows)
    found: list[Line] = []
    column = None
    for cells in table:
        if not cells or cells[0].lstrip().startswith("#"):
            continue
        if column is None:
            names = [cell.strip() for cell in cells]
            if _COLUMN not in names:
                raise ConfigError(
                    f"{path}:{table.line_num}: is CSV without a column {_COLUMN}; put one id a line, or name the column"
                )
            column = names.index(_COLUMN)
        elif len(cells) > column and cells[column].strip():
            found.append(Line(cells[column].strip(), f"{path}:{table.line_num}"))
    return found


def futures_of_the_tables(months: int, day: str | None = None) -> list[str]:
    """Ids of every product's futures in *months* months from *day*'s (YYYYMMDD, default today in China).

    Raises:
        ConfigError: *months* is out of bounds.
    """
    if not 1 <= months <= _MOST_MONTHS:
        raise ConfigError(f"must be from 1 to {_MOST_MONTHS}, not {months}")
    day = day or today()
    first = int(day[:4]) * 12 + int(day[4:6]) - 1
    ids = []
    for product in product_table(day):
        if product.ProductID in OPTION_PRODUCTS or not product.ProductID.isalpha():
            continue
        for month in range(first, first + months):
            year = str(month // 12)
            digits = year[-1] if product.ExchangeID == "CZCE" else year[-2:]
            ids.append(f"{product.ProductID}{digits}{month % 12 + 1:02d}")
    return ids


def matching(pattern: str, universe: Iterable[str]) -> list[str]:
    """``rb*``: the futures of product rb. Any other pattern is a glob that the whole id must match, case counted.

    Raises:
        ConfigError: nothing matches.
    """
    product = _PRODUCT.fullmatch(pattern)
    if product is not None:
        found = [i for i in universe if _is_future_of(i, product[1])]
    else:
        found = fnmatch.filter(universe, pattern) if _even(pattern) else []
    if not found:
        raise ConfigError(f"pattern {pattern!r} matches nothing{_why_nothing(pattern)}")
    return found


def _is_future_of(instrument_id: str, product: str) -> bool:
    if not instrument_id.startswith(product):
        return False
    instrument = parse_instrument(instrument_id)
    return instrument.kind == FUTURE and instrument.ProductID == product


def _even(pattern: str) -> bool:
    return pattern.count("[") == pattern.count("]")


def _why_nothing(pattern: str) -> str:
    if not _even(pattern):
        return ": a bracket is not closed"
    letters = re.match(r"[A-Za-z]*", pattern)
    product = letters[0] if letters else ""
    known = [p.ProductID for p in product_table() if p.ProductID.isalpha()]
    if product and product not in known:
        near = difflib.get_close_matches(product, known, 1, 0.5)
        near = [k for k in known if k.lower() == product.lower()] or near
        return f": there is no product {product!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    return ""


def doubts_about(instrument_id: str, day: str | None = None) -> str | None:
    """Words if an id looks wrong: no exchange's form, no known product, a month that is over."""
    day = day or today()
    instrument = parse_instrument(instrument_id, day=day)
    if instrument.kind == UNKNOWN:
        return f"{instrument_id!r} has the form of no exchange's ids; the front may refuse it, or stay silent"
    if not instrument.ExchangeID:
        return f"{instrument_id!r}: product {instrument.ProductID!r} is in no table; its hours are not known"
    if instrument.kind != FUTURE:
        return None
    if (instrument.DeliveryYear, instrument.DeliveryMonth) < (int(day[:4]), int(day[4:6])):
        when = f"{instrument.DeliveryYear}-{instrument.DeliveryMonth:02d}"
        return f"{instrument_id!r} was delivered in {when}: it trades no more"
    return None


def as_id(text: str) -> str:
    """Raises `ConfigError` for what cannot be an id."""
    try:
        return check_instruments([text])[0].decode("ascii")
    except ConfigError as error:
        raise ConfigError(str(error).removeprefix("instruments: ")) from None
