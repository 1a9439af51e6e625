"""The vendor's one-character codes of the order path, with names. Values: the vendor's constants."""

from __future__ import annotations

BUY, SELL = "0", "1"

OPEN, CLOSE, CLOSE_TODAY, CLOSE_YESTERDAY = "0", "1", "3", "4"
# All that the vendor knows; the last three are the broker's and the exchange's own.
OFFSETS = {
    OPEN: "open",
    CLOSE: "close",
    "2": "force close",
    CLOSE_TODAY: "close today",
    CLOSE_YESTERDAY: "close yesterday",
    "5": "force off",
    "6": "local force close",
}

SPECULATION = "1"

LIMIT_PRICE, ANY_PRICE = "2", "1"
GOOD_FOR_DAY, IMMEDIATE = "3", "1"
ANY_VOLUME, MIN_VOLUME, COMPLETE_VOLUME = "1", "2", "3"
IMMEDIATELY = "1"  # ContingentCondition
NOT_FORCE_CLOSE = "0"
DELETE = "0"  # ActionFlag

# OrderStatus
ALL_TRADED, PART_TRADED, PART_TRADED_OUT, NO_TRADE, NO_TRADE_OUT = "0", "1", "2", "3", "4"
CANCELED, STATUS_UNKNOWN, NOT_TOUCHED, TOUCHED = "5", "a", "b", "c"
# OrderSubmitStatus
INSERT_REJECTED = "4"

# Where closing today's position and closing yesterday's are two different offsets.
TODAY_APART = frozenset({"SHFE", "INE"})


def opposite(direction: str) -> str:
    """SELL for BUY, BUY for SELL."""
    return SELL if direction == BUY else BUY
