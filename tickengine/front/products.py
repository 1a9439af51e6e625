"""What a product code tells about its instruments: exchange, price step, contract size, price level.

The table is small on purpose. An unknown product gets a plausible guess, so any id can be served.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Product(NamedTuple):
    """Facts about one product."""

    exchange: str
    price_step: float
    multiplier: int
    base_price: float


FIVE_LEVELS = frozenset({"SHFE", "INE"})
"""Exchanges whose feed carries five levels; the others send one."""

PRODUCTS: dict[str, Product] = {
    "cu": Product("SHFE", 10, 5, 78000),
    "al": Product("SHFE", 5, 5, 20500),
    "zn": Product("SHFE", 5, 5, 22500),
    "ni": Product("SHFE", 10, 1, 122000),
    "au": Product("SHFE", 0.02, 1000, 780),
    "ag": Product("SHFE", 1, 15, 9200),
    "rb": Product("SHFE", 1, 10, 3100),
    "hc": Product("SHFE", 1, 10, 3250),
    "ru": Product("SHFE", 5, 10, 14500),
    "fu": Product("SHFE", 1, 10, 2900),
    "bu": Product("SHFE", 1, 10, 3400),
    "sp": Product("SHFE", 2, 10, 5100),
    "ss": Product("SHFE", 5, 5, 12800),
    "sn": Product("SHFE", 10, 1, 265000),
    "pb": Product("SHFE", 5, 5, 16900),
    "ao": Product("SHFE", 1, 20, 3000),
    "sc": Product("INE", 0.1, 1000, 480),
    "lu": Product("INE", 1, 10, 3500),
    "nr": Product("INE", 5, 10, 12400),
    "bc": Product("INE", 10, 5, 69000),
    "ec": Product("INE", 0.1, 50, 1600),
    "a": Product("DCE", 1, 10, 4000),
    "b": Product("DCE", 1, 10, 3600),
    "m": Product("DCE", 1, 10, 2950),
    "y": Product("DCE", 2, 10, 8200),
    "p": Product("DCE", 2, 10, 9200),
    "c": Product("DCE", 1, 10, 2250),
    "cs": Product("DCE", 1, 10, 2600),
    "i": Product("DCE", 0.5, 100, 790),
    "j": Product("DCE", 0.5, 100, 1650),
    "jm": Product("DCE", 0.5, 60, 1150),
    "l": Product("DCE", 1, 5, 7200),
    "v": Product("DCE", 1, 5, 4900),
    "pp": Product("DCE", 1, 5, 6900),
    "eg": Product("DCE", 1, 10, 4300),
    "eb": Product("DCE", 1, 5, 7000),
    "pg": Product("DCE", 1, 20, 4300),
    "jd": Product("DCE", 1, 10, 3100),
    "lh": Product("DCE", 5, 16, 13800),
    "SR": Product("CZCE", 1, 10, 5700),
    "CF": Product("CZCE", 5, 5, 13600),
    "TA": Product("CZCE", 2, 5, 4700),
    "MA": Product("CZCE", 1, 10, 2350),
    "FG": Product("CZCE", 1, 20, 1150),
    "RM": Product("CZCE", 1, 10, 2500),
    "OI": Product("CZCE", 1, 10, 9400),
    "SA": Product("CZCE", 1, 20, 1300),
    "AP": Product("CZCE", 1, 10, 8100),
    "UR": Product("CZCE", 1, 20, 1700),
    "SF": Product("CZCE", 2, 5, 5600),
    "SM": Product("CZCE", 2, 5, 5800),
    "PK": Product("CZCE", 2, 5, 8000),
    "PF": Product("CZCE", 2, 5, 6400),
    "IF": Product("CFFEX", 0.2, 300, 4600),
    "IH": Product("CFFEX", 0.2, 300, 3000),
    "IC": Product("CFFEX", 0.2, 200, 7100),
    "IM": Product("CFFEX", 0.2, 200, 7300),
    "T": Product("CFFEX", 0.005, 10000, 108),
    "TF": Product("CFFEX", 0.005, 10000, 106),
    "TS": Product("CFFEX", 0.002, 20000, 102),
    "TL": Product("CFFEX", 0.01, 10000, 116),
    "si": Product("GFEX", 5, 5, 9000),
    "lc": Product("GFEX", 20, 1, 85000),
    "ps": Product("GFEX", 5, 3, 53000),
}

_LETTERS = re.compile(r"[A-Za-z]*")
_UNKNOWN = Product("SHFE", 1, 10, 3000)
_UNKNOWN_THREE_DIGITS = Product("CZCE", 1, 10, 5000)


def product_of(instrument: str) -> Product:
    """The product of an instrument id; an unknown one with upper-case letters and three digits is CZCE's."""
    match = _LETTERS.match(instrument)
    letters = match[0] if match else ""
    known = PRODUCTS.get(letters)
    if known is not None:
        return known
    digits = instrument[len(letters) :]
    return _UNKNOWN_THREE_DIGITS if letters.isupper() and len(digits) == 3 and digits.isdigit() else _UNKNOWN
