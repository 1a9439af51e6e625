"""Paper trading: orders trade at the ticks' prices, and the account looks like a real one's."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from tickengine import ConfigError
from tickengine.trader.limits import LimitRefused, Limits
from tickengine.trader.paper import PaperTrader
from tickengine.trader.positions import LONG, SHORT


def tick(
    last: float, *, bid: float | None = None, ask: float | None = None, instrument: str = "rb2605"
) -> SimpleNamespace:
    return SimpleNamespace(
        InstrumentID=instrument,
        LastPrice=last,
        BidPrice1=last - 1 if bid is None else bid,
        AskPrice1=last + 1 if ask is None else ask,
        UpperLimitPrice=math.nan,
        LowerLimitPrice=math.nan,
    )


@pytest.fixture
def trader() -> PaperTrader:
    trader = PaperTrader()
    trader.take_tick(tick(3000.0))
    trader.poll()
    return trader


def test_an_order_trades_at_the_other_side(trader: PaperTrader) -> None:
    order = trader.insert("rb2605", "0", "0", 3005.0, 2)
    assert trader.book.open_orders() == [order]
    kinds = [change.kind for change in trader.poll()]
    assert kinds.count("trade") == 1 and kinds[0] == "order"
    assert order.state == "filled" and order.is_settled and order.trades[0].Price == 3001.0
    assert trader.positions.net("rb2605") == 2 and trader.positions.complete


def test_an_order_waits_for_its_price_and_can_be_cancelled(trader: PaperTrader) -> None:
    first, second = (trader.insert("rb2605", "0", "0", price, 1) for price in (2990.0, 2980.0))
    trader.poll()
    trader.take_tick(tick(2989.0))
    trader.poll()
    assert (first.state, second.state) == ("filled", "queueing")
    trader.cancel(second)
    trader.poll()
    assert second.state == "cancelled" and not trader.book.open_orders()
    with pytest.raises(ConfigError, match="nothing is left to cancel"):
        trader.cancel(second)


def test_a_side_without_a_price_trades_nothing(trader: PaperTrader) -> None:
    trader.take_tick(tick(3000.0, ask=math.nan))
    order = trader.insert("rb2605", "0", "0", 3010.0, 1)
    trader.poll()
    assert order.state == "queueing"


def test_what_happens_while_disconnected_is_told_afterwards_once(trader: PaperTrader) -> None:
    order = trader.insert("rb2605", "0", "0", 2990.0, 1)
    trader.poll()
    trader.disconnect()
    trader.take_tick(tick(2980.0))
    assert [c.kind for c in trader.poll()] == ["connection"] and order.state == "queueing"
    late = trader.insert("rb2605", "0", "0", 2982.0, 1)
    trader.poll()
    assert late.state == "not_sent" and not trader.connected
    trader.connect()
    kinds = [change.kind for change in trader.poll()]
    assert kinds.count("trade") == 1 and order.state == "filled"
    assert trader.poll() == []


def test_limits_hold_and_a_refused_order_is_nowhere(trader: PaperTrader) -> None:
    with pytest.raises(LimitRefused) as refused:
        trader.insert("rb2605", "0", "0", 3005.0, 99)
    assert refused.value.limit == "order_volume" and not trader.book.open_orders() and len(trader.book) == 0


def test_the_exchange_refuses_what_a_real_one_would() -> None:
    trader = PaperTrader(Limits(order_volume=None, position=None), balance=1000.0)
    trader.take_tick(tick(3000.0))
    trader.poll()
    order = trader.insert("rb2605", "0", "0", 3005.0, 50)
    trader.poll()
    assert (order.state, order.ErrorID) == ("rejected", 31) and order.ErrorMsg


def test_lots_of_the_day_before_are_closed_by_their_offset() -> None:
    trader = PaperTrader(lots={"rb2605": (3, 1)})
    trader.take_tick(tick(3000.0))
    trader.poll()
    holding = trader.positions.holding("rb2605", LONG)
    assert (holding.yesterday, holding.today) == (3, 0)
    assert trader.positions.holding("rb2605", SHORT).total == 1
    (closing,) = trader.positions.closings(trader.book, "rb2605", LONG, 2)
    trader.insert("rb2605", "1", closing.Offset, 2990.0, closing.Volume)
    trader.poll()
    assert holding.yesterday == 1


@pytest.mark.parametrize(
    "wrong", [("rb2605", "buy", "0", 3000.0, 1), ("rb2605", "0", "open", 3000.0, 1), ("", "0", "0", 3000.0, 1),
              ("rb2605", "0", "0", 3000.0, 1.0), ("rb2605", "0", "0", "3000 yuan", 1), ("rb2605", "0", "0", None, 1)],
)  # fmt: skip
def test_wrong_arguments_are_named(trader: PaperTrader, wrong: tuple) -> None:
    with pytest.raises(ConfigError, match="must be"):
        trader.insert(*wrong)
