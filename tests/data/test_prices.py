"""Prices go through the shim as the vendor gave them: only the vendor's word for "none" becomes NaN."""

from __future__ import annotations

import math
import struct
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from writing import Feed

from tickengine.products import product_table

DBL_MAX = sys.float_info.max


def published(feed: Feed, instrument: str, price: float) -> float:
    """What a worker reads in LastPrice and BidPrice1; both must be the same."""
    queue = feed.queue(start="now")
    feed.tick(instrument, LastPrice=price, BidPrice1=price)
    tick = queue.get()
    (row,) = feed.log.read(tick.Sequence, tick.Sequence + 1)
    queue.close()
    for value in (tick.BidPrice1, tick["LastPrice"], tick.to_dict()["LastPrice"], float(row["LastPrice"])):
        assert struct.pack("d", value) == struct.pack("d", tick.LastPrice) or math.isnan(value)
    return float(tick.LastPrice)


@pytest.mark.parametrize("absent", [DBL_MAX, math.nan])
def test_the_sentinel_is_nan(feed: Feed, absent: float) -> None:
    """vnpy #1199: 1.7976931348623157e+308 reached strategies as a price."""
    assert math.isnan(published(feed, "rb2601", absent))


@pytest.mark.parametrize("price", [0.0, -0.0, -35.0, -0.5, -1234.5, 5e-324, 1e-9, 1e15, math.inf, -math.inf])
def test_zero_negative_and_odd_prices_stay(feed: Feed, price: float) -> None:
    """Spreads quote zero and below it. qactpmdgateway's rule "a price below 0 is none" would lose them."""
    found = published(feed, "SP a2601&a2605", price)
    assert struct.pack("d", found) == struct.pack("d", price)


@pytest.mark.parametrize("price", [101.532, 101.534, 99.998, 100.005, 107.115, 113.01, 1.005, 0.1 + 0.2])
def test_treasury_ticks_are_not_rounded(feed: Feed, price: float) -> None:
    """Ticks of 0.002 and 0.005: two decimals are not enough, and a float is not rounded on the way."""
    assert published(feed, "TS2606", price) == price


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(price=st.floats(allow_nan=False).filter(lambda p: p != DBL_MAX))
def test_every_other_price_comes_through_bit_by_bit(feed: Feed, price: float) -> None:
    assert struct.pack("d", published(feed, "m2601", price)) == struct.pack("d", price)


def test_a_price_on_each_products_grid_comes_through(feed: Feed) -> None:
    for product in product_table("20261109"):
        for steps in (1, 7, 30001):
            price = steps * product.PriceTick
            assert published(feed, product.ProductID + "2701", price) == price


def test_levels_that_the_vendor_did_not_fill(feed: Feed) -> None:
    """A structure of zeros: levels 2 to 5 are what the vendor wrote, 0, and 0 is not taken for absent."""
    feed.tick("rb2601")
    tick = feed.queue().get()
    assert (tick.BidPrice2, tick.BidVolume2, tick.AskPrice5) == (0.0, 0, 0.0)
    assert np.isfinite(tick.LowerLimitPrice)
