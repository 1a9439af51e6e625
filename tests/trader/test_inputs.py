"""Arguments of an order: whatever they are, it is sent as it says, or refused with one error before anything is."""

from __future__ import annotations

import math
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickengine import ConfigError
from tickengine.trader.book import Order
from tickengine.trader.comfort import OrderCalls
from tickengine.trader.inputs import check_input_order
from tickengine.trader.journal import TradeLogWriter
from tickengine.trader.ledger import Ledger
from tickengine.trader.limits import NO_LIMITS, LimitRefused, Limits
from tickengine.trader.paper import PaperTrader
from tickengine.trader.records import decode_struct, encode_struct
from tickengine.trader.trader import Terms, Trader

GOOD: dict[str, Any] = {"instrument_id": "rb2605", "direction": "0", "offset": "0", "price": 3000.0, "volume": 1}
FIELDS: dict[str, Any] = {
    "InstrumentID": "rb2605",
    "ExchangeID": "SHFE",
    "OrderPriceType": "2",
    "Direction": "0",
    "CombOffsetFlag": "0",
    "CombHedgeFlag": "1",
    "LimitPrice": 3000.0,
    "VolumeTotalOriginal": 1,
    "TimeCondition": "3",
    "MinVolume": 1,
    "VolumeCondition": "1",
    "ContingentCondition": "1",
    "ForceCloseReason": "0",
}
ARGUMENTS = {
    "instrument_id": "InstrumentID",
    "direction": "Direction",
    "offset": "CombOffsetFlag",
    "price": "LimitPrice",
    "volume": "VolumeTotalOriginal",
    "exchange_id": "ExchangeID",
    "hedge": "CombHedgeFlag",
    "order_price_type": "OrderPriceType",
    "time_condition": "TimeCondition",
    "volume_condition": "VolumeCondition",
    "min_volume": "MinVolume",
}
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=40), st.binary(max_size=40),
    st.characters(), st.decimals(), st.fractions(), st.complex_numbers(), st.lists(st.integers(), max_size=2),
    st.sampled_from([10**400, -(10**400), 10**5000, 2**31, 2**31 - 1, -1, 0, 1, 3000, 3000.0, math.inf, math.nan]),
    st.sampled_from(["0", "1", "2", "3", "4", "", " ", "\ud800", "rb\udfff", "a\0b", "x" * 99, "²", "rb²605", "报单"]),
    st.sampled_from([np.float64(3000), np.int64(1), np.int32(2), np.bool_(True), np.float32(1.5), {}, object(), b"1"]),
    st.sampled_from([Decimal("sNaN"), Decimal("1e999"), Fraction(10**400), bytearray(b"1"), "buy", "open", "SHFE"]),
)  # fmt: skip


class Sent(Trader):
    """Keeps what an engine would put into its ring."""

    def __init__(self) -> None:
        super().__init__("9999", "me", NO_LIMITS)
        self.sent: list[dict[str, Any]] = []

    def _read(self) -> tuple[()]:
        return ()

    def _send_order(self, order: Order, terms: Terms, min_volume: int) -> None:
        numbers = (order.LimitPrice, order.VolumeTotalOriginal, min_volume, order.ClientID)
        self.sent.append(decode_struct("InputOrder", self._form(terms).filled(*numbers)))


@settings(max_examples=600)
@given(st.dictionaries(st.sampled_from(list(ARGUMENTS)), ANYTHING, max_size=3))
def test_an_order_is_sent_as_its_arguments_say_or_refused(changes: dict[str, Any]) -> None:
    trader = Sent()
    arguments = {**GOOD, **changes}
    try:
        order = trader.insert(**arguments)
    except (ConfigError, LimitRefused):
        assert not trader.sent and not trader.book.open_orders()
        return
    (sent,) = trader.sent
    for name, value in arguments.items():
        if (name, value) != ("exchange_id", ""):
            assert sent[ARGUMENTS[name]] == value or float(value) == sent[ARGUMENTS[name]]
            assert not isinstance(value, (bool, bytes))
    assert sent["CombHedgeFlag"] and sent["OrderPriceType"] and sent["VolumeTotalOriginal"] > 0
    assert (order.InstrumentID, order.LimitPrice) == (sent["InstrumentID"], sent["LimitPrice"])


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(list(ARGUMENTS)), ANYTHING, min_size=1, max_size=2))
def test_on_paper_too(changes: dict[str, Any]) -> None:
    trader = PaperTrader(NO_LIMITS)
    try:
        order = trader.insert(**{**GOOD, **changes})
    except (ConfigError, LimitRefused):
        assert len(trader.book) == 0 and not trader.book.open_orders()
        return
    trader.poll()
    assert trader.book.order(order.ClientID) is order


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Any:
    place: Path = tmp_path_factory.mktemp("flow")
    place.chmod(0o700)
    TradeLogWriter(str(place)).close()
    ledger = Ledger(str(place), Limits(price_band=None, position=None, orders_per_second=None, orders_per_day=None))
    yield ledger
    ledger.close()


class Calls(OrderCalls):
    """`TraderApi` as far as an order goes before it is written."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def ReqOrderInsert(self, pInputOrder: Any, nRequestID: int | None = None) -> int:
        check_input_order(pInputOrder)
        self._ledger.check_order(pInputOrder)
        encode_struct("InputOrder", pInputOrder)
        return 0


@settings(max_examples=600)
@given(st.dictionaries(st.sampled_from([*FIELDS, "BrokerID", "StopPrice", "Colour"]), ANYTHING, max_size=3))
def test_the_vendors_fields_too(ledger: Ledger, changes: dict[str, Any]) -> None:
    with suppress(ConfigError, LimitRefused):
        assert Calls(ledger).ReqOrderInsert({**FIELDS, **changes}) == 0


@settings(max_examples=300)
@given(st.sampled_from(["buy_open", "sell_open", "buy_close", "sell_close"]), st.integers(0, 3), ANYTHING)
def test_the_short_forms_too(ledger: Ledger, name: str, place: int, value: Any) -> None:
    arguments: list[Any] = ["SHFE", "rb2605", 3000.0, 1]
    arguments[place] = value
    with suppress(ConfigError, LimitRefused):
        assert getattr(Calls(ledger), name)(*arguments) == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"price": 10**400}, "LimitPrice must be a number"),
        ({"price": True}, "LimitPrice must be a number .*, not True"),
        ({"price": "3000"}, "LimitPrice must be a number"),
        ({"instrument_id": "rb\ud800"}, "InstrumentID has characters that no encoding has"),
        ({"order_price_type": ""}, "OrderPriceType must be given"),
        ({"order_price_type": b"2"}, "OrderPriceType must be a text"),
        ({"volume": True}, "volume True must be a whole number"),
        ({"volume": 10**5000}, "VolumeTotalOriginal must fit 32 bits, not such a long int"),
        ({"min_volume": True}, "MinVolume must be a number"),
        ({"min_volume": math.nan}, "MinVolume must be a number"),
        ({"exchange_id": 5}, "ExchangeID must be a text, not 5"),
        ({"exchange_id": None}, "ExchangeID must be a text, not None"),
        ({"hedge": []}, r"CombHedgeFlag must be a text, not \[\]"),
        ({"hedge": ""}, "CombHedgeFlag must be given"),
        ({"direction": 10**5000}, "direction such a long int must be"),
    ],
)
def test_what_is_wrong_is_named_and_counts_for_no_limit(wrong: dict[str, Any], words: str) -> None:
    trader = Sent()
    trader.gate.limits = Limits(price_band=None, position=None, orders_per_second=1)
    with pytest.raises(ConfigError, match=words):
        trader.insert(**{**GOOD, **wrong})
    trader.insert(**GOOD)
    assert len(trader.sent) == 1
