"""The products of China's futures exchanges: price tick, multiplier, trading sessions, dated.

The facts are the exchanges' own rules, kept as rows in ``tickengine/data/products.csv``; docs/products.md
says where each comes from and how to add one. A product that is not in the table is *unknown*: `product_of`
gives None, and whoever asked treats its sessions, tick and multiplier as not known. Nothing is guessed from
a similar product.
"""

from __future__ import annotations

import csv
import functools
import re
from dataclasses import dataclass
from importlib.resources import files

from .trading_calendar import today

EXCHANGES = ("SHFE", "INE", "DCE", "GFEX", "CZCE", "CFFEX")
"""The ids that the vendor's ``ExchangeID`` can have for futures and their options."""

_AUCTION = 300  # seconds: orders are taken for four minutes and matched in the fifth, everywhere
_NIGHT_OPENS = 21 * 3600
_DAY = 86400
_ID_LETTERS = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class Session:
    """A span of the local day (China Standard Time), ``start`` included, ``end`` not.

    Both are seconds since midnight, 0 to 86400. A span never crosses midnight: a night session from 21:00
    to 02:30 is two, ``Session(75600, 86400)`` and ``Session(0, 9000)``.
    """

    start: int
    end: int


@dataclass(frozen=True)
class Product:
    """One product under the rules of one period.

    Attributes:
        ProductID: the letters of its instrument ids, upper and lower case as the exchange writes them.
        ExchangeID: one of `EXCHANGES`.
        PriceTick: smallest price step, in the unit of the price.
        VolumeMultiple: units of the underlying in one lot.
        Sessions: continuous trading of a trading day that has a night session, in the order in which they
            are traded (night first). `has_night_session` in ``trading_calendar`` tells which days have none.
        Auctions: call auctions before the open.
        Since, Until: first and last trading day of these rules, YYYYMMDD; ``""``: open.
    """

    ProductID: str
    ExchangeID: str
    PriceTick: float
    VolumeMultiple: int
    Sessions: tuple[Session, ...]
    Auctions: tuple[Session, ...]
    Since: str
    Until: str
    NameEnglish: str = ""
    NameChinese: str = ""


def _seconds(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60


def _sessions(day: str, night_end: str) -> tuple[Session, ...]:
    night: list[Session] = []
    if night_end:
        end = _seconds(night_end)
        night = [Session(_NIGHT_OPENS, end)] if end > _NIGHT_OPENS else [Session(_NIGHT_OPENS, _DAY), Session(0, end)]
    spans = (span.split("-") for span in day.split())
    return (*night, *(Session(_seconds(start), _seconds(end)) for start, end in spans))


def _product(row: dict[str, str]) -> Product:
    sessions = _sessions(row["day"], row["night_end"])
    opens = sessions[0].start
    return Product(
        ProductID=row["product"],
        ExchangeID=row["exchange"],
        PriceTick=float(row["tick"]),
        VolumeMultiple=int(row["multiplier"]),
        Sessions=sessions,
        Auctions=(Session(opens - _AUCTION, opens),),
        Since=row["since"],
        Until=row["until"],
        NameEnglish=row["name_en"],
        NameChinese=row["name_zh"],
    )


@functools.cache
def _rows() -> tuple[Product, ...]:
    text = files("tickengine").joinpath("data/products.csv").read_text("utf-8")
    return tuple(_product(row) for row in csv.DictReader(line for line in text.splitlines() if line[:1] != "#"))


@functools.lru_cache(maxsize=64)
def _as_of(day: str) -> dict[tuple[str, str], Product]:
    return {
        (p.ProductID, p.ExchangeID): p for p in _rows() if p.Since <= day and (p.Until == "" or day <= p.Until)
    }


def product_table(day: str | None = None) -> tuple[Product, ...]:
    """Every product as of the trading day *day* (YYYYMMDD; default: today in China), one entry each."""
    return tuple(_as_of(day or today()).values())


def product_of(instrument_id: str | bytes, exchange_id: str = "", day: str | None = None) -> Product | None:
    """The product of an instrument, as of the trading day *day* (YYYYMMDD; default: today in China).

    None means unknown. Never raises.
    """
    text = instrument_id.decode("ascii", "replace") if isinstance(instrument_id, bytes) else instrument_id
    match = _ID_LETTERS.match(text)
    if match is None:
        return None
    table = _as_of(day or today())
    if exchange_id:
        return table.get((match[0], exchange_id))
    found = [table[match[0], e] for e in EXCHANGES if (match[0], e) in table]
    return found[0] if len(found) == 1 else None
