"""Instrument ids taken apart: product, delivery month, option type and strike, legs of a combination.

The grammar is each exchange's own, as its ids appear in the vendor's ``InstrumentID``:

=============  =======================  ==================================
exchange       future                   option
=============  =======================  ==================================
SHFE, INE      ``rb2601``               ``cu2601C70000``
DCE            ``m2601``, ``l2605F``    ``m2601-C-3000``, ``m2601-MS-C-3000``
GFEX           ``si2601``               ``si2601-C-10000``
CZCE           ``SR601``                ``SR601C6000``, ``SR601MSC6000``
CFFEX          ``IF2601``               ``IO2601-C-4000``
=============  =======================  ==================================

A combination is a word, a space and two legs: ``SP a2601&a2605``, ``SPC a2601&m2601``, ``SPD SR601&SR605``,
``IPS SF601&SM601``, ``STD m2601-C-2400&m2601-P-2400``, ``STG``, ``PRT``. An ``F`` behind the month is DCE's
monthly-average future, ``MS`` a series that expires before the standard one.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from .products import exchange_of
from .trading_calendar import today

FUTURE, OPTION, SPREAD, UNKNOWN = "future", "option", "spread", "unknown"

_YEARS_BACK = 2  # a CZCE id read on a day means one of the ten years from this many before it
_SINGLE = re.compile(
    r"""(?P<letters>[A-Za-z]{1,2})(?P<year>\d{1,2})(?P<month>0[1-9]|1[0-2])
        (?: (?P<average>F)
          | (?P<dash>-?)(?:(?P<series>MS)(?P=dash))?(?P<type>[CP])(?P=dash)(?P<strike>\d+(?:\.\d+)?)
        )?""",
    re.VERBOSE | re.ASCII,
)
_SPREAD = re.compile(r"(?P<word>[A-Z]{2,4}) (?P<first>[^ &]+)&(?P<second>[^ &]+)", re.ASCII)
_MONTHLY_AVERAGE = "_f"


@dataclass(frozen=True)
class Instrument:
    """What an id says.

    Attributes:
        InstrumentID: the id as given.
        kind: ``"future"``, ``"option"``, ``"spread"`` (any combination of two legs) or ``"unknown"``.
        ProductID: the product's id in the table of products; of a spread its first leg's.
        ExchangeID: as given, or the exchange whose product it is; ``""`` if no table row says so.
        DeliveryYear, DeliveryMonth: of the contract, of an option's underlying, of a spread's first leg.
        OptionsType: ``"C"`` call, ``"P"`` put, ``""`` no option.
        StrikePrice: in the unit of the underlying's price; 0.0 for what is no option.
        Underlying: an option's underlying id (``"cu2601"``). Of an index option (``"IO2601"``) it names the
            series: the index itself has no instrument id.
        Combination: a spread's word (``"SP"``, ``"SPC"``, ``"SPD"``, ``"IPS"``, ``"STD"``, ``"STG"``, ``"PRT"``…).
        Legs: a spread's two legs.

    Of an unknown id everything but ``InstrumentID`` and ``kind`` is empty.
    """

    InstrumentID: str
    kind: str = UNKNOWN
    ProductID: str = ""
    ExchangeID: str = ""
    DeliveryYear: int = 0
    DeliveryMonth: int = 0
    OptionsType: str = ""
    StrikePrice: float = 0.0
    Underlying: str = ""
    Combination: str = ""
    Legs: tuple[Instrument, ...] = ()


def parse_instrument(instrument_id: str | bytes, exchange: str = "", day: str | None = None) -> Instrument:
    """What *instrument_id* says; an `Instrument` of kind ``"unknown"`` if it says nothing. No id raises.

    Args:
        instrument_id: as the vendor writes it; upper and lower case count.
        exchange: its ``ExchangeID``. Without one the table of products tells, if it knows the product; an id
            of the right form whose product is in no table parses all the same, with ``ExchangeID`` empty.
        day: the trading day, YYYYMMDD, on which the id is read (default: today in China). CZCE ids have one
            digit of the year: it is resolved to the year from two before to seven after *day*'s.

    An id whose form is not its exchange's (``rb2601`` at CZCE, ``SR2601`` at CZCE) is unknown.
    """
    if isinstance(instrument_id, bytes):
        instrument_id = instrument_id.decode("ascii", "replace")
    return _parse(instrument_id, exchange, day or today())


@functools.lru_cache(maxsize=65536)
def _parse(text: str, exchange: str, day: str) -> Instrument:
    single = _SINGLE.fullmatch(text)
    if single is not None:
        return _single(text, single, exchange, day)
    spread = _SPREAD.fullmatch(text)
    if spread is not None:
        return _spread(text, spread, exchange, day)
    return Instrument(text)


def _single(text: str, match: re.Match[str], exchange: str, day: str) -> Instrument:
    letters, year = match["letters"], match["year"]
    product = letters + _MONTHLY_AVERAGE if match["average"] else letters
    at = exchange or exchange_of(letters, day)
    if not _fits(match, at):
        return Instrument(text)
    option = match["type"] is not None
    return Instrument(
        InstrumentID=text,
        kind=OPTION if option else FUTURE,
        ProductID=product,
        ExchangeID=at,
        DeliveryYear=2000 + int(year) if len(year) == 2 else _czce_year(int(year), day),
        DeliveryMonth=int(match["month"]),
        OptionsType=match["type"] or "",
        StrikePrice=float(match["strike"]) if option else 0.0,
        Underlying=letters + year + match["month"] if option else "",
    )


def _fits(match: re.Match[str], exchange: str) -> bool:
    """Whether the id has the form of its exchange's ids; of an unknown exchange: of any."""
    upper, short = match["letters"].isupper(), len(match["year"]) == 1
    if not upper and not match["letters"].islower():
        return False
    option, dashed, series, average = match["type"], bool(match["dash"]), match["series"], match["average"]
    at = [
        ("SHFE", not upper and not short and not dashed and not series and not average),
        ("INE", not upper and not short and not dashed and not series and not average),
        ("DCE", not upper and not short and (dashed or not option)),
        ("GFEX", not upper and not short and (dashed or not option) and not average),
        ("CZCE", upper and short and not dashed and not average and len(match["letters"]) == 2),
        ("CFFEX", upper and not short and (dashed or not option) and not series and not average),
    ]
    return any(fits for name, fits in at if not exchange or name == exchange)


def _czce_year(digit: int, day: str) -> int:
    """The year that ends in *digit*, from two years before *day*'s to seven after."""
    first = int(day[:4]) - _YEARS_BACK
    return first + (digit - first) % 10


def _spread(text: str, match: re.Match[str], exchange: str, day: str) -> Instrument:
    first, second = _parse(match["first"], exchange, day), _parse(match["second"], exchange, day)
    both = {first.kind, second.kind}
    if not both <= {FUTURE, OPTION} or first.ExchangeID != second.ExchangeID:
        return Instrument(text)
    return Instrument(
        InstrumentID=text,
        kind=SPREAD,
        ProductID=first.ProductID,
        ExchangeID=first.ExchangeID,
        DeliveryYear=first.DeliveryYear,
        DeliveryMonth=first.DeliveryMonth,
        Combination=match["word"],
        Legs=(first, second),
    )
