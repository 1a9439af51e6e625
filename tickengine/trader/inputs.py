"""What an order must say to be one. Looked at before the limits, which go by it, and before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._errors import ConfigError
from . import words
from .records import encode_struct, shown

_NEEDED = (
    *("InstrumentID", "OrderPriceType", "Direction", "CombOffsetFlag", "CombHedgeFlag"),
    *("TimeCondition", "VolumeCondition", "ContingentCondition", "ForceCloseReason"),
)
_CODES = {"Direction": (words.BUY, words.SELL), "CombOffsetFlag": tuple(words.OFFSETS)}


def check_terms(fields: Mapping[str, Any]) -> None:
    """Look at an ``InputOrder``'s texts, `str` or `bytes`.

    Raises:
        ConfigError: one is missing, or the direction or the offset is none of the vendor's.
    """
    for name in _NEEDED:
        if not fields.get(name):
            raise ConfigError(f"InputOrder.{name} must be given: no front takes an order without it")
    for name, known in _CODES.items():
        if text_of(fields, name)[:1] not in known:
            raise ConfigError(f"InputOrder.{name} must be one of {', '.join(known)}, not {shown(fields[name])}")


def check_input_order(fields: Mapping[str, Any]) -> None:
    """Look at a whole ``InputOrder``.

    Raises:
        ConfigError: a field is none of the struct's, has another type or does not fit; or one is missing.
    """
    encode_struct("InputOrder", fields)
    check_terms(fields)
    priced = text_of(fields, "OrderPriceType") == words.LIMIT_PRICE
    for name in ("VolumeTotalOriginal", "LimitPrice") if priced else ("VolumeTotalOriginal",):
        if fields.get(name) is None:
            raise ConfigError(f"InputOrder.{name} must be given")


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """A text field, "" where there is none."""
    value = fields.get(name) or ""
    return value.decode("gb18030", "replace") if isinstance(value, bytes) else str(value)
