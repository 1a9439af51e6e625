"""What the writer is told of products and trading days: the tables of `products` and `trading_calendar`.

The writer looks up each tick's exchange and hours in them, for ``ExchangeTime`` and ``Flags``
(``docs/data.md``). Everything they do not name is an unknown product or an uncovered year, and the tick
says so.
"""

from __future__ import annotations

import ctypes as ct
from collections.abc import Iterable
from typing import Protocol

from . import products, trading_calendar
from ._errors import ConfigError
from ._shim import ProductRule, lib


class Span(Protocol):
    """Seconds of the local day, ``start`` included, ``end`` not."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


class RuledProduct(Protocol):
    """The part of a product that the writer needs."""

    @property
    def ProductID(self) -> str: ...
    @property
    def ExchangeID(self) -> str: ...
    @property
    def Sessions(self) -> tuple[Span, ...]: ...
    @property
    def Auctions(self) -> tuple[Span, ...]: ...


class Rules:
    """Tables in the form the writer takes: made at leisure, given in a moment.

    Args:
        holidays: weekdays without trading, YYYYMMDD.
        covered: first and last day for which *holidays* is complete; None: for none.

    Raises `ConfigError` if a product has more sessions or auctions than the writer has room for.
    """

    def __init__(
        self,
        table: Iterable[RuledProduct],
        holidays: Iterable[str] = (),
        covered: tuple[str, str] | None = None,
    ) -> None:
        rules = [_rule(product) for product in table]
        days = [_day(day, "holiday") for day in holidays]
        self._count, self._products = len(rules), (ProductRule * max(1, len(rules)))(*rules)
        self._day_count, self._days = len(days), (ct.c_int32 * max(1, len(days)))(*days)
        self._first, self._last = (_day(covered[0], "calendar"), _day(covered[1], "calendar")) if covered else (0, 0)

    def give(self, writer: ct.c_void_p) -> None:
        """Replace what *writer* knows. Raises `ShimError` if a day is no date or hours lie outside a day."""
        lib().writer_set_rules(
            writer, self._products, self._count, self._days, self._day_count, self._first, self._last
        )


def _day(day: str, what: str) -> int:
    if len(day) != 8 or not (day.isascii() and day.isdigit()):
        raise ConfigError(f"{what} day {day!r} is not YYYYMMDD")
    return int(day)


def _id(text: str, what: str) -> bytes:
    if not text.isascii() or "\0" in text or len(text) > 11:
        raise ConfigError(f"product rule: {what} {text!r} must have at most 11 ASCII characters")
    return text.encode("ascii")


def _rule(product: RuledProduct) -> ProductRule:
    rule = ProductRule(_id(product.ProductID, "product id"), _id(product.ExchangeID, "exchange id"))
    for what, spans in (("session", product.Sessions), ("auction", product.Auctions)):
        starts, ends = getattr(rule, f"{what}_start"), getattr(rule, f"{what}_end")
        if len(spans) > len(starts):
            raise ConfigError(f"product {product.ProductID!r} has {len(spans)} {what}s, at most {len(starts)} fit")
        setattr(rule, f"{what}_count", len(spans))
        for i, span in enumerate(spans):
            for seconds in (span.start, span.end):
                if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 <= seconds <= 86400:
                    raise ConfigError(
                        f"product {product.ProductID!r}: {what} at {seconds!r}, seconds of a day are 0 to 86400"
                    )
            starts[i], ends[i] = span.start, span.end
    return rule


def own_rules(trading_day: str = "") -> Rules:
    """The package's own tables as of *trading_day* (YYYYMMDD; anything else: today)."""
    first, last = trading_calendar.covered()
    known = len(trading_day) == 8 and trading_day.isdigit() and trading_day >= first  # "19800100" before a login
    table = products.product_table(trading_day if known else None)
    return Rules(table, sorted(trading_calendar.holidays()), (first, last))
