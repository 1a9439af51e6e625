"""The table of products: golden rows, and what must hold for every row and day."""

from __future__ import annotations

import datetime
import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tickengine
from tickengine.products import EXCHANGES, Product, Session, _rows, exchange_of, product_of, product_table
from tickengine.trading_calendar import covered, has_night_session, is_trading_day

DAY_SESSIONS = (Session(32400, 36900), Session(37800, 41400), Session(48600, 54000))
NIGHT_23 = Session(75600, 82800)
FIRST, LAST = (datetime.datetime.strptime(day, "%Y%m%d").date() for day in covered())
trading_days = st.dates(FIRST, LAST).map(lambda d: d.strftime("%Y%m%d")).filter(is_trading_day)


def of(instrument: str, day: str, exchange: str = "") -> Product:
    product = product_of(instrument, exchange, day)
    assert product is not None, instrument
    return product


@pytest.mark.parametrize(
    ("instrument", "exchange", "tick", "multiple", "night"),
    [
        ("rb2601", "SHFE", 1, 10, (NIGHT_23,)),
        ("cu2601", "SHFE", 10, 5, (Session(75600, 86400), Session(0, 3600))),
        ("au2606", "SHFE", 0.02, 1000, (Session(75600, 86400), Session(0, 9000))),
        ("wr2605", "SHFE", 1, 10, ()),
        ("sc2601", "INE", 0.1, 1000, (Session(75600, 86400), Session(0, 9000))),
        ("nr2601", "INE", 5, 10, (NIGHT_23,)),
        ("ec2604", "INE", 0.1, 50, ()),
        ("i2605", "DCE", 0.5, 100, (NIGHT_23,)),
        ("jd2605", "DCE", 1, 10, ()),
        ("l2605F", "DCE", 1, 5, (NIGHT_23,)),
        ("lc2605", "GFEX", 20, 1, ()),
        ("pt2606", "GFEX", 0.05, 1000, ()),
        ("SR605", "CZCE", 1, 10, (NIGHT_23,)),
        ("AP605", "CZCE", 1, 10, ()),
        ("PR605", "CZCE", 2, 15, (NIGHT_23,)),
    ],
)
def test_golden_products_at_the_start_of_2026(
    instrument: str, exchange: str, tick: float, multiple: int, night: tuple[Session, ...]
) -> None:
    product = of(instrument, "20260106")
    assert (product.ExchangeID, product.PriceTick, product.VolumeMultiple) == (exchange, tick, multiple)
    assert product.Sessions == (*night, *DAY_SESSIONS)
    assert product.has_night == bool(night)


@pytest.mark.parametrize(
    ("instrument", "tick", "multiple", "end"),
    [
        ("IF2606", 0.2, 300, 54000),
        ("IM2606", 0.2, 200, 54000),
        ("T2606", 0.005, 10000, 54900),
        ("TS2606", 0.002, 20000, 54900),
        ("TL2606", 0.01, 10000, 54900),
        ("IO2606-C-4000", 0.2, 100, 54000),
    ],
)
def test_golden_products_of_cffex(instrument: str, tick: float, multiple: int, end: int) -> None:
    product = of(instrument, "20260106", "CFFEX")
    assert (product.PriceTick, product.VolumeMultiple) == (tick, multiple)
    assert product.Sessions == (Session(34200, 41400), Session(46800, end))
    assert product.Auctions == (Session(33900, 34200),)


@pytest.mark.parametrize(
    ("instrument", "last_old", "first_new", "what", "old", "new"),
    [
        ("au1912", "20191209", "20191210", "PriceTick", 0.05, 0.02),
        ("TS2312", "20231106", "20231107", "PriceTick", 0.005, 0.002),
        ("lc2501", "20241217", "20241218", "PriceTick", 50, 20),
        ("ec2606", "20260508", "20260511", "PriceTick", 0.1, 0.5),
        ("fu1901", "20180629", "20180716", "VolumeMultiple", 50, 10),
    ],
)
def test_rules_change_on_their_day(
    instrument: str, last_old: str, first_new: str, what: str, old: float, new: float
) -> None:
    assert getattr(of(instrument, last_old), what) == old
    assert getattr(of(instrument, first_new), what) == new


@pytest.mark.parametrize(
    ("instrument", "day", "end"),
    [
        ("rb1605", "20160503", 3600),
        ("rb1610", "20160504", 82800),
        ("m1505", "20150508", 9000),
        ("m1509", "20150511", 84600),
        ("m1905", "20190401", 82800),
        ("SR001", "20191211", 84600),
        ("SR001", "20191212", 82800),
    ],
)
def test_nights_became_shorter_on_their_day(instrument: str, day: str, end: int) -> None:
    nights = [s for s in of(instrument, day).Sessions if s.start in (75600, 0)]
    assert nights[-1].end == end


def test_a_tick_that_is_not_established_is_nan_and_not_a_guess() -> None:
    """DCE proposed 1 instead of 2 for y and p in January 2026; by September ticks of 1 were seen."""
    assert of("y2605", "20260105").PriceTick == 2
    assert math.isnan(of("y2605", "20260401").PriceTick)
    assert of("y2701", "20261109").PriceTick == 1


def test_a_product_exists_from_its_listing_to_its_end() -> None:
    assert product_of("ps2506", "GFEX", "20241225") is None
    assert of("ps2506", "20241226", "GFEX").PriceTick == 5
    assert product_of("fu1809", "SHFE", "20180705") is None
    assert exchange_of("fu", "20180705") == "SHFE"


def test_the_second_auction_of_products_with_a_night() -> None:
    night, day = Session(75300, 75600), Session(32100, 32400)
    assert of("rb2310", "20230525").Auctions == (night,)
    assert of("rb2310", "20230526").Auctions == (night, day)
    assert of("m2309", "20230526").Auctions == (night, day)
    assert of("SR309", "20230526").Auctions == (night,)  # CZCE only takes cancellations then
    assert of("jd2309", "20230526").Auctions == (day,)


def test_a_day_without_a_night_has_its_auction_in_the_morning() -> None:
    sugar = of("SR405", "20240219")
    assert sugar.sessions_on("20240219") == DAY_SESSIONS
    assert sugar.auctions_on("20240219") == (Session(32100, 32400),)
    assert sugar.sessions_on("20240220") == (NIGHT_23, *DAY_SESSIONS)
    assert sugar.auctions_on("20240220") == (Session(75300, 75600),)
    assert of("au2006", "20200401").sessions_on("20200401") == DAY_SESSIONS


def test_options_have_ticks_of_their_own() -> None:
    assert (of("m2605-C-3000", "20261109").PriceTick, of("m2605", "20261109").PriceTick) == (0.5, 1)
    assert of("cu2701C70000", "20261109").VolumeMultiple == 5
    assert math.isnan(of("jm2701-C-1000", "20261109").PriceTick)  # not in the table


def test_combinations() -> None:
    assert of("SP a2601&a2605", "20260106").ProductID == "a"
    assert of("IPS SF605&SM605", "20260106").PriceTick == 2
    assert math.isnan(of("PRT SR605C6000&SR605", "20261109").PriceTick)  # 0.5 and 1
    assert product_of("SPC m2605&lh2605", "DCE", "20260106") is None  # one with a night, one without


@pytest.mark.parametrize(
    "text", ["", "rb", "xx2601", "600000", "rb2601 ", "\N{CJK UNIFIED IDEOGRAPH-91D1}2601", b"\xff"]
)
def test_the_unknown_is_none(text: str | bytes) -> None:
    assert product_of(text) is None
    assert product_of("rb2601", "CZCE") is None
    assert product_of("rb2601", "NYMEX") is None


def test_rows_of_one_product_follow_each_other_without_overlap() -> None:
    rows: dict[str, list[Product]] = {}
    for row in _rows():
        rows.setdefault(row.ProductID, []).append(row)
    for product, periods in rows.items():
        assert len({p.ExchangeID for p in periods}) == 1, f"{product}: an id must tell the exchange"
        for one, two in pairwise(periods):
            assert one.Until and one.Until < two.Since, f"{product}: {one.Until} {two.Since}"
        for p in periods:
            assert p.ExchangeID in EXCHANGES
            assert p.VolumeMultiple > 0
            assert math.isnan(p.PriceTick) or p.PriceTick > 0
            assert p.NameEnglish and p.NameChinese
            for bound in filter(None, (p.Since, p.Until)):
                assert is_trading_day(bound) or bound < covered()[0], f"{product}: {bound}"
            assert (p.ProductID[0].isupper()) == (p.ExchangeID in ("CZCE", "CFFEX"))


def test_every_row_says_where_it_comes_from() -> None:
    import csv
    from importlib.resources import files

    lines = files("tickengine").joinpath("data/products.csv").read_text("utf-8").splitlines()
    for row in csv.DictReader(line for line in lines if line[:1] != "#"):
        assert row["source"], row


@given(trading_days)
def test_sessions_are_disjoint_in_order_and_never_cross_midnight(day: str) -> None:
    table = product_table(day)
    assert len({p.ProductID for p in table}) == len(table) > 40
    for p in table:
        spans = p.sessions_on(day)
        assert all(0 <= s.start < s.end <= 86400 for s in (*spans, *p.auctions_on(day)))
        # In the order of the trading day, which begins in the evening.
        starts = [(s.start - 18 * 3600) % 86400 for s in spans]
        ends = [(s.end - 1 - 18 * 3600) % 86400 for s in spans]
        assert all(end < start for end, start in zip(ends, starts[1:]))
        assert any(s.start == 75600 for s in spans) == (p.has_night and bool(has_night_session(day)))
        for auction in p.auctions_on(day):
            assert any(auction.end == s.start for s in spans), (p.ProductID, auction)


def test_the_table_is_installed_with_the_package_and_read_without_a_locale() -> None:
    code = (
        "from tickengine.products import product_table as t; print(len(t('20260106')), t()[0].NameChinese == '\\u94dc')"
    )
    env = {
        "PYTHONPATH": str(Path(tickengine.__file__).parents[1]),
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "utf-8",
    }
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [str(len(product_table("20260106"))), "True"], done.stderr
