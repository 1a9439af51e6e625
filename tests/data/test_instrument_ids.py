"""Instrument ids: built by each exchange's grammar, taken apart again; and whatever else may come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickengine.instruments import FUTURE, OPTION, SPREAD, UNKNOWN, Instrument, parse_instrument
from tickengine.products import product_table

DAY = "20260106"
PRODUCTS = {
    exchange: sorted(p.ProductID for p in product_table(DAY) if p.ExchangeID == exchange and "_" not in p.ProductID)
    for exchange in ("SHFE", "INE", "DCE", "GFEX", "CZCE", "CFFEX")
}
INDEX_OPTIONS = ("IO", "MO", "HO")

exchanges = st.sampled_from(sorted(PRODUCTS))
years, months = st.integers(2024, 2033), st.integers(1, 12)
strikes = st.integers(1, 400000)


def future_id(exchange: str, product: str, year: int, month: int) -> str:
    return f"{product}{year % 10 if exchange == 'CZCE' else f'{year % 100:02d}'}{month:02d}"


def option_id(exchange: str, underlying: str, kind: str, strike: int, series: str = "") -> str:
    if exchange in ("SHFE", "INE", "CZCE"):
        return f"{underlying}{series}{kind}{strike}"
    return f"{underlying}-{series}-{kind}-{strike}" if series else f"{underlying}-{kind}-{strike}"


@st.composite
def futures(draw: st.DrawFn) -> tuple[str, Instrument]:
    exchange = draw(exchanges)
    product = draw(st.sampled_from([p for p in PRODUCTS[exchange] if p not in INDEX_OPTIONS]))
    year, month = draw(years), draw(months)
    text = future_id(exchange, product, year, month)
    return exchange, Instrument(text, FUTURE, product, exchange, year, month)


@st.composite
def options(draw: st.DrawFn) -> tuple[str, Instrument]:
    exchange = draw(exchanges)
    product = draw(st.sampled_from(INDEX_OPTIONS if exchange == "CFFEX" else PRODUCTS[exchange]))
    year, month, strike = draw(years), draw(months), draw(strikes)
    kind = draw(st.sampled_from("CP"))
    series = draw(st.sampled_from(["", "MS"])) if exchange in ("DCE", "CZCE", "GFEX") else ""
    underlying = future_id(exchange, product, year, month)
    text = option_id(exchange, underlying, kind, strike, series)
    return exchange, Instrument(text, OPTION, product, exchange, year, month, kind, float(strike), underlying)


@given(futures() | options(), st.booleans())
def test_an_id_comes_apart_into_what_it_was_made_of(made: tuple[str, Instrument], told: bool) -> None:
    exchange, instrument = made
    assert parse_instrument(instrument.InstrumentID, exchange if told else "", DAY) == instrument
    assert parse_instrument(instrument.InstrumentID.encode(), exchange, DAY) == instrument


@given(futures() | options(), exchanges)
def test_at_another_exchange_it_is_unknown_or_has_that_form(made: tuple[str, Instrument], other: str) -> None:
    """``rb2601`` may be an id of DCE's form; ``SR601`` and ``cu2601C1`` may not."""
    exchange, instrument = made
    found = parse_instrument(instrument.InstrumentID, other, DAY)
    if other == exchange:
        assert found == instrument
    elif (other == "CZCE") != (exchange == "CZCE") or (other == "CFFEX") != (exchange == "CFFEX"):
        assert found == Instrument(instrument.InstrumentID)


@given(st.sampled_from(["SP", "SPC", "SPD", "IPS", "STD", "STG", "PRT"]), st.data())
def test_a_combination_comes_apart_into_its_legs(word: str, data: st.DataObject) -> None:
    kind = options() if word in ("STD", "STG") else futures()
    first = data.draw(kind)[1]
    second = data.draw(kind.filter(lambda made: made[0] == first.ExchangeID))[1]
    text = f"{word} {first.InstrumentID}&{second.InstrumentID}"
    found = parse_instrument(text, "", DAY)
    assert (found.kind, found.Combination, found.Legs) == (SPREAD, word, (first, second))
    assert (found.ExchangeID, found.ProductID, found.DeliveryYear, found.DeliveryMonth) == (
        first.ExchangeID,
        first.ProductID,
        first.DeliveryYear,
        first.DeliveryMonth,
    )


@given(st.integers(2016, 2030), st.integers(-2, 7), months)
def test_czce_years_lie_around_the_day(year: int, ahead: int, month: int) -> None:
    contract = year + ahead
    found = parse_instrument(future_id("CZCE", "SR", contract, month), "CZCE", f"{year}0615")
    assert (found.DeliveryYear, found.DeliveryMonth) == (contract, month)


@given(st.text(max_size=30) | st.binary(max_size=30) | st.from_regex(r"[A-Za-z]{1,3}[0-9]{2,5}[-CPMSF0-9]{0,9}"))
def test_anything_parses_or_is_unknown(text: str | bytes) -> None:
    found = parse_instrument(text, "", DAY)
    given_text = text.decode("ascii", "replace") if isinstance(text, bytes) else text
    if found.kind == UNKNOWN:
        assert found == Instrument(given_text)
    else:
        assert found.InstrumentID == given_text
        assert found.ProductID and 1 <= found.DeliveryMonth <= 12


NO_IDS = ("rb2613", "rb2600", "rb26", "rB2601", "abc2601", "SR2601", "a2601&a2605", "IF2601F", "rb２601", "601")
NO_OPTIONS = ("rb2601C", "m2601-C3000", "m2601C-3000", "cu2601-MSC-3000", "m2601-C-", "SR601-C-6000X")


@pytest.mark.parametrize(
    "text",
    [
        *NO_IDS,
        *NO_OPTIONS,
        *("SP a2601", "SP a2601&", "SP a2601&cu2601", "sp a2601&a2605", "SP SP a2601&a2605&a2609"),
        *("rb2601\n", "rb2601\0", "T 2603", " rb2601"),
    ],
)
def test_what_is_no_id_is_unknown(text: str) -> None:
    assert parse_instrument(text, "", DAY) == Instrument(text)


def test_a_new_product_parses_before_the_table_knows_it() -> None:
    assert parse_instrument("zz2601", "DCE", DAY) == Instrument("zz2601", FUTURE, "zz", "DCE", 2026, 1)
    assert parse_instrument("zz2601", "", DAY) == Instrument("zz2601", FUTURE, "zz", "", 2026, 1)


def test_golden_ids() -> None:
    assert parse_instrument("l2605F", "", DAY).ProductID == "l_f"
    assert parse_instrument("sc2602C520.5", "INE", DAY).StrikePrice == 520.5
    assert parse_instrument("SR709C6400", "CZCE", "20170419").DeliveryYear == 2017
    assert parse_instrument("SR709C6400", "CZCE", DAY).DeliveryYear == 2027
    assert parse_instrument("IO2601-C-4000", "CFFEX", DAY).Underlying == "IO2601"
