"""The products of China's futures exchanges: price tick, multiplier, trading sessions, dated.

The facts are the exchanges' own rules, kept as rows in ``tickengine/data/products.csv``; docs/products.md
says where each comes from and how to add one. A product that is not in the table is *unknown*: `product_of`
gives None, and whoever asked treats its sessions, tick and multiplier as not known. Nothing is guessed from
a similar product.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

from .trading_calendar import has_night_session, today

EXCHANGES = ("SHFE", "INE", "DCE", "GFEX", "CZCE", "CFFEX")
"""The ids that the vendor's ``ExchangeID`` can have for futures and their options."""

MORNING, EVENING = 6 * 3600, 18 * 3600
"""Sessions before the one and from the other on are the night's, which belongs to the next trading day."""

_AUCTION = 300  # seconds: four minutes of orders, then one of matching, at every exchange
_NIGHT_OPENS = 21 * 3600
_DAY_OPENS = 9 * 3600
_DAY = 86400

# Products with a night session have a second call auction before the day session here, since that day
# (amended trading rules of the three exchanges). CZCE only lets orders be cancelled then.
_SECOND_AUCTION_SINCE = "20230526"
_SECOND_AUCTION_AT = ("SHFE", "INE", "DCE")


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
        ProductID: the letters of its instrument ids, upper and lower case as the exchange writes them. DCE's
            monthly-average futures (``l2605F``) have the vendor's ``l_f``, ``v_f``, ``pp_f``.
        ExchangeID: one of `EXCHANGES`.
        PriceTick: smallest price step, in the unit of the price; NaN where it is not established.
        VolumeMultiple: units of the underlying in one lot; 0 where it is not known.
        Sessions: continuous trading, in the order in which it is traded: night first. They are the rule;
            `sessions_on` leaves out the night of a day that had none.
        Auctions: call auctions before the open, likewise.
        Since, Until: first and last trading day of these rules, YYYYMMDD; ``""``: open.
        NameEnglish, NameChinese: the product's name.
        OptionTick: price step of the options on it, NaN if there are none or it is not established.
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
    OptionTick: float = math.nan

    @property
    def has_night(self) -> bool:
        """Whether the rule has a night session."""
        return not MORNING <= self.Sessions[0].start < EVENING

    def sessions_on(self, trading_day: str) -> tuple[Session, ...]:
        """Continuous trading that belongs to *trading_day* (YYYYMMDD).

        The rule, without the night session on a day that has none; outside the years that the calendar
        covers, the rule.
        """
        if self.has_night and has_night_session(trading_day) is False:
            return tuple(s for s in self.Sessions if MORNING <= s.start < EVENING)
        return self.Sessions

    def auctions_on(self, trading_day: str) -> tuple[Session, ...]:
        """Call auctions that belong to *trading_day*: before the day session if there is no night session."""
        opens = self.sessions_on(trading_day)[0].start
        if opens == self.Sessions[0].start:
            return self.Auctions
        return (Session(opens - _AUCTION, opens),)


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
        PriceTick=float(row["tick"] or "nan"),
        VolumeMultiple=int(row["multiplier"]),
        Sessions=sessions,
        Auctions=(Session(opens - _AUCTION, opens),),
        Since=row["since"],
        Until=row["until"],
        NameEnglish=row["name_en"],
        NameChinese=row["name_zh"],
        OptionTick=float(row["option_tick"] or "nan"),
    )


@functools.cache
def _rows() -> tuple[Product, ...]:
    text = files("tickengine").joinpath("data/products.csv").read_text("utf-8")
    return tuple(_product(row) for row in csv.DictReader(line for line in text.splitlines() if line[:1] != "#"))


def _with_auctions(p: Product, day: str) -> Product:
    if p.has_night and p.ExchangeID in _SECOND_AUCTION_AT and day >= _SECOND_AUCTION_SINCE:
        return dataclasses.replace(p, Auctions=(*p.Auctions, Session(_DAY_OPENS - _AUCTION, _DAY_OPENS)))
    return p


@functools.lru_cache(maxsize=64)
def _as_of(day: str) -> dict[str, Product]:
    """Product ids are unique across the exchanges, in upper and lower case; a test holds this."""
    valid = (p for p in _rows() if p.Since <= day and (p.Until == "" or day <= p.Until))
    return {p.ProductID: _with_auctions(p, day) for p in valid}


OwnHours = Mapping[str, tuple[Session, ...]]
"""Sessions in place of the table's, in the order in which they are traded, by ProductID."""


def _with_hours(day: str, hours: OwnHours | None) -> dict[str, Product]:
    table = _as_of(day)
    if not hours:
        return table
    own: dict[str, Product] = {}
    for product_id, sessions in hours.items():
        opens = sessions[0].start
        first = opens - _AUCTION
        # One that would be in the day for a session of the night, or the other way round, has none.
        apart = first < 0 or (first < MORNING) != (opens < MORNING) or (first < EVENING) != (opens < EVENING)
        auctions = () if apart else (Session(first, opens),)
        product = table.get(product_id)
        if product is None:
            exchange = exchange_of(product_id, day)
            own[product_id] = Product(product_id, exchange, math.nan, 0, sessions, auctions, "", "")
        else:
            own[product_id] = _with_auctions(dataclasses.replace(product, Sessions=sessions, Auctions=auctions), day)
    return {**table, **own}


def product_table(day: str | None = None, hours: OwnHours | None = None) -> tuple[Product, ...]:
    """Every product as of the trading day *day* (YYYYMMDD; default: today in China), one entry each.

    *hours*: sessions in place of the table's, also of products that are not in it.
    """
    return tuple(_with_hours(day or today(), hours).values())


def exchange_of(product_id: str, day: str | None = None) -> str:
    """The exchange of a product, also of one that is listed no more or not yet; ``""``: not in the table."""
    product = _as_of(day or today()).get(product_id)
    return product.ExchangeID if product else _exchanges().get(product_id, "")


@functools.cache
def _exchanges() -> dict[str, str]:
    return {p.ProductID: p.ExchangeID for p in _rows()}


def product_of(
    instrument_id: str | bytes, exchange_id: str = "", day: str | None = None, hours: OwnHours | None = None
) -> Product | None:
    """The product of an instrument, as of the trading day *day* (YYYYMMDD; default: today in China).

    *hours*: as in `product_table`.

    Of an option it is the underlying's product with the option's ``PriceTick``. Of a combination it is the
    first leg's product if both legs trade in the same hours, with ``PriceTick`` NaN where theirs differ.

    Returns:
        None for the unknown: no id of any exchange's, a product that is not in the table, or not on that day,
        or a combination whose legs trade in different hours. No id raises.
    """
    from .instruments import OPTION, SPREAD, Instrument, parse_instrument  # they import this table

    table = _with_hours(day or today(), hours)

    def known(instrument: Instrument) -> Product | None:
        product = table.get(instrument.ProductID)
        if product is None or product.ExchangeID != instrument.ExchangeID:
            return None
        return dataclasses.replace(product, PriceTick=product.OptionTick) if instrument.kind == OPTION else product

    instrument = parse_instrument(instrument_id, exchange_id, day)
    if instrument.kind != SPREAD:
        return known(instrument)
    first, second = (known(leg) for leg in instrument.Legs)
    if first is None or second is None or first.Sessions != second.Sessions:
        return None
    return first if first.PriceTick == second.PriceTick else dataclasses.replace(first, PriceTick=math.nan)


def products_of(instrument_ids: Iterable[str | bytes], hours: OwnHours | None = None) -> tuple[Product, ...]:
    """The products of these instruments, today, one entry each; of all there are if none is known.

    *hours*: as in `product_table`.
    """
    from .instruments import parse_instrument

    found: dict[str, Product] = {}
    for instrument in instrument_ids:
        letters = parse_instrument(instrument).ProductID
        if letters and letters not in found:
            product = product_of(instrument, hours=hours)
            if product is not None:
                found[letters] = product
    return tuple(found.values()) or product_table(hours=hours)
