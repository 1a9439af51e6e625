"""Limits: each refuses what it should, says why, and lets the rest pass."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import pytest
from returns import Journal, input_order, order_return, position_row, trade_return

from tickengine import ConfigError
from tickengine.trader.account import AccountState
from tickengine.trader.limits import NO_LIMITS, Gatekeeper, LimitRefused, Limits, Quote, Wish

SECOND = 1_000_000_000
GOOD = Wish("rb2605", "0", "0", 3000.0, 1)


class Gate:
    def __init__(self, *, known: bool = True, **limits: object) -> None:
        self.journal, self.state = Journal(), AccountState()
        self.state.apply(self.journal.login())
        if known:
            self.state.apply(self.journal.add("qry_position"))
        self.keeper = Gatekeeper(Limits(**limits), self.state.book, self.state.positions)  # type: ignore[arg-type]
        self.keeper.set_price("rb2605", Quote(3000.0, 3180.0, 2820.0))
        self.now = 0

    def refusal(self, wish: Wish = GOOD, **changes: object) -> str:
        """The limit that refuses it, "" if none does."""
        try:
            self.keeper.check(replace(wish, **changes), self.now)  # type: ignore[arg-type]
        except LimitRefused as refused:
            return refused.limit
        return ""

    def open_order(self, number: int, **order: object) -> dict:
        asked = input_order(number, **order)  # type: ignore[arg-type]
        self.state.apply(self.journal.sending(number, asked))
        return asked


def test_a_good_order_passes_all() -> None:
    assert Gate().refusal() == ""


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({"Volume": 11}, "order_volume"),
        ({"Volume": 0}, "order_volume"),
        ({"Volume": -1}, "order_volume"),
        ({"LimitPrice": math.nan}, "price_band"),
        ({"LimitPrice": math.inf}, "price_band"),
        ({"LimitPrice": 3000.5}, "price_tick"),
        ({"LimitPrice": 3091.0}, "price_band"),
        ({"LimitPrice": 2909.0}, "price_band"),
        ({"LimitPrice": 3090.0}, ""),
        ({"LimitPrice": 3200.0}, "price_limits"),
        ({"LimitPrice": 2800.0}, "price_limits"),
        ({"InstrumentID": "hc2605"}, "price_band"),
    ],
)
def test_shape_and_price(changes: dict, limit: str) -> None:
    wish = replace(GOOD, **changes)
    assert Gate().refusal(wish) == limit


def test_an_instrument_without_a_price_passes_without_a_band() -> None:
    assert Gate(price_band=None).refusal(InstrumentID="hc2605", LimitPrice=1.0) == ""


def test_a_price_below_zero_is_judged_by_its_distance() -> None:
    gate = Gate(price_tick=False)
    gate.keeper.set_price("SPD", Quote(-10.0))
    assert gate.refusal(replace(GOOD, InstrumentID="SPD", LimitPrice=-10.2)) == ""
    assert gate.refusal(replace(GOOD, InstrumentID="SPD", LimitPrice=-11.0)) == "price_band"


def test_the_pace_counts_cancellations_too() -> None:
    gate = Gate(orders_per_second=3)
    assert gate.refusal() == gate.refusal() == ""
    gate.keeper.check_cancel(gate.now)
    assert gate.refusal() == "orders_per_second"
    with pytest.raises(LimitRefused):
        gate.keeper.check_cancel(gate.now)
    gate.now += SECOND - 1
    assert gate.refusal() == "orders_per_second"
    gate.now += 1
    assert gate.refusal() == ""
    assert gate.keeper.refused == {"orders_per_second": 3}


def test_a_refused_order_is_not_counted() -> None:
    gate = Gate(orders_per_second=1, orders_per_day=2)
    assert gate.refusal(Volume=99) == "order_volume"
    assert gate.refusal() == ""


def test_orders_of_the_day_begin_with_those_in_the_journal() -> None:
    gate = Gate(orders_per_day=3, self_match=False)
    for number in (1, 2):
        asked = gate.open_order(number)
        gate.state.apply(gate.journal.add("rtn_order", data=order_return(asked, "5", system=str(number))))
    assert gate.refusal() == ""
    assert gate.refusal() == "orders_per_day"
    gate.state.apply(gate.journal.login(day="20261124"))
    gate.state.apply(gate.journal.add("qry_position"))
    assert gate.refusal() == ""


def test_orders_under_way() -> None:
    gate = Gate(open_orders=2)
    gate.open_order(1)
    assert gate.refusal() == ""
    gate.open_order(2)
    assert gate.refusal() == "open_orders"


def test_the_position_counts_what_is_held_and_what_is_coming() -> None:
    gate = Gate(position=5)
    gate.state.apply(gate.journal.add("qry_position", data=position_row("rb2605", "2", 2, 2)))
    gate.open_order(1, volume=2)
    assert gate.refusal() == ""
    assert gate.refusal(Volume=2) == "position"
    assert gate.refusal(Volume=5, Direction="1", LimitPrice=3001.0) == "", "the other side has its own"
    assert gate.refusal(Volume=9, Offset="4") == "", "closing makes it smaller"


def test_nothing_is_opened_before_it_is_known_what_is_held() -> None:
    gate = Gate(known=False, position=50)
    assert gate.refusal() == "position"
    assert gate.refusal(Offset="4") == "", "closing makes it smaller"
    gate.state.apply(gate.journal.add("qry_position", data=position_row("rb2605", "2", 50, 50)))
    assert gate.refusal() == "position"
    assert gate.refusal(Direction="1") == ""
    gate.state.apply(gate.journal.login(day="20261124"))
    assert gate.refusal(Direction="1") == "position", "a new day's lots are not known yet"
    assert Gate(known=False, position=None).refusal() == ""


def test_lots_whose_trades_are_late_count() -> None:
    gate = Gate(position=10, self_match=False)
    asked = gate.open_order(1, volume=10)
    order = order_return(asked, "1", traded=4, system="1")
    gate.state.apply(gate.journal.add("rtn_order", data=order))
    assert gate.refusal() == "position", "4 of them traded, none of the trades is here"
    gate.state.apply(gate.journal.add("rtn_order", data={**order, "OrderStatus": "0", "VolumeTraded": 10}))
    assert gate.refusal() == "position", "at its end, and held nowhere yet"
    gate.state.apply(gate.journal.add("rtn_trade", data=trade_return(asked, "1", 4, system="1")))
    assert gate.refusal() == "position"
    gate.state.apply(gate.journal.add("rtn_trade", data=trade_return(asked, "2", 6, system="1")))
    assert gate.refusal() == "position", "held"
    assert gate.state.positions.lots("rb2605", "2") == 10


def test_of_a_cancelled_order_only_what_was_traded_counts() -> None:
    gate = Gate(position=10)
    asked = gate.open_order(1, volume=10)
    gate.state.apply(gate.journal.add("rtn_order", data=order_return(asked, "5", traded=4, system="1")))
    assert gate.refusal(Volume=7) == "position"
    assert gate.refusal(Volume=6) == ""


def test_trades_that_never_came_do_not_count_on_another_day() -> None:
    gate = Gate(position=10)
    asked = gate.open_order(1, volume=10)
    gate.state.apply(gate.journal.add("rtn_order", data=order_return(asked, "0", traded=10, system="1")))
    gate.state.apply(gate.journal.login(day="20261124"))
    gate.state.apply(gate.journal.add("qry_position", data=position_row("rb2605", "2", 8, 8)))
    assert gate.refusal(Volume=3) == "position"
    assert gate.refusal(Volume=2) == ""


@pytest.mark.parametrize(("price", "limit"), [(3010.0, "self_match"), (3009.0, "self_match"), (3011.0, "")])
def test_an_order_that_meets_ones_own(price: float, limit: str) -> None:
    gate = Gate()
    asked = gate.open_order(1, direction="0", price=3010.0)
    assert gate.refusal(Direction="1", LimitPrice=price) == limit
    gate.state.apply(gate.journal.add("rtn_order", data=order_return(asked, "0", traded=1, system="1")))
    assert gate.refusal(Direction="1", LimitPrice=price) == ""


def test_a_buy_meets_ones_own_sale() -> None:
    gate = Gate()
    gate.open_order(1, direction="1", price=3010.0)
    assert gate.refusal(LimitPrice=3010.0) == "self_match"
    assert gate.refusal(LimitPrice=3009.0) == ""


@pytest.mark.parametrize("side", ["0", "1"])
def test_an_order_of_any_price_meets_whatever_is_on_the_other_side(side: str) -> None:
    gate = Gate(price_band=None)
    other, far = ("1", 3020.0) if side == "0" else ("0", 2980.0)
    gate.open_order(1, direction=other, price=far)
    wish = replace(GOOD, Direction=side, LimitPrice=3000.0)
    assert gate.refusal(wish) == ""
    for price_type in ("1", "3", "G", "x"):
        assert gate.refusal(wish, OrderPriceType=price_type) == "self_match"
        assert gate.refusal(wish, OrderPriceType=price_type, LimitPrice=0.0) == "self_match"
        assert gate.refusal(wish, OrderPriceType=price_type, Direction=other) == "", "the same side"


def test_ones_own_order_of_any_price_is_met_by_all_prices() -> None:
    gate = Gate()
    asked = {**input_order(1, direction="0", price=0.0), "OrderPriceType": "1"}
    gate.state.apply(gate.journal.sending(1, asked))
    assert gate.refusal(Direction="1", LimitPrice=3050.0) == "self_match"


def test_an_order_of_any_price_has_none_that_limits_could_look_at() -> None:
    assert Gate().refusal(OrderPriceType="1") == "price_band"
    assert Gate().refusal(OrderPriceType="1", InstrumentID="hc2605") == "price_band"
    for price in (0.0, 3000.5, 9000.0):
        assert Gate(price_band=None).refusal(OrderPriceType="1", LimitPrice=price) == ""


def test_without_limits_everything_passes() -> None:
    gate = Gate()
    gate.keeper.limits = NO_LIMITS
    gate.open_order(1, direction="1", price=1.0)
    assert gate.refusal(Volume=10_000, LimitPrice=1234.56, InstrumentID="rb2605") == ""


@pytest.mark.parametrize(
    "wrong",
    [{"order_volume": 0}, {"order_volume": 1.5}, {"order_volume": True}, {"price_band": 0}, {"price_band": "3%"},
     {"price_band": math.nan}, {"self_match": 1}, {"orders_per_second": -1}],
)  # fmt: skip
def test_wrong_limits_are_named(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=f"limit {next(iter(wrong))} must be"):
        Limits(**wrong)


def test_a_refusal_travels_between_processes() -> None:
    copy = pickle.loads(pickle.dumps(LimitRefused("position", "too many")))
    assert (copy.limit, str(copy)) == ("position", "too many")
