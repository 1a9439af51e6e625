"""Paper trading: orders trade at the ticks' prices, and the account looks like a real one's."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from tickengine import ConfigError
from tickengine.trader import words
from tickengine.trader.engine import TraderEngine
from tickengine.trader.limits import NO_LIMITS, LimitRefused, Limits
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


# What `Trader.insert` itself does not look at.
UNFIT: list[tuple[str, Any]] = [
    ("instrument_id", "x" * 100),
    ("instrument_id", "rb\0"),
    ("instrument_id", "\ud800"),
    ("exchange_id", 5),
    ("exchange_id", "x" * 20),
    ("hedge", []),
    ("hedge", "11111"),
    ("order_price_type", 2),
    ("time_condition", "33"),
    ("volume_condition", {}),
    ("min_volume", 2**40),
    ("min_volume", "1"),
    ("min_volume", 0.5),
    ("volume", 2**40),
]
GOOD: dict[str, Any] = {"instrument_id": "rb2605", "direction": "0", "offset": "0", "price": 2990.0, "volume": 1}


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize(("name", "value"), UNFIT)
def test_what_does_not_fit_an_order_is_refused_and_nowhere(name: str, value: Any, connected: bool) -> None:
    trader = PaperTrader(NO_LIMITS)
    trader.take_tick(tick(3000.0))
    if not connected:
        trader.disconnect()
    trader.poll()
    with pytest.raises(ConfigError):
        trader.insert(**{**GOOD, name: value})
    assert trader.poll() == [] and len(trader.book) == 0 and not trader.book.open_orders()


@pytest.mark.genuine
@pytest.mark.parametrize(("name", "value"), UNFIT)
def test_a_real_trader_refuses_the_same(genuine_trader: str, tmp_path: Path, name: str, value: Any) -> None:
    engine = TraderEngine("127.0.0.1:9", "9999", "me", "pw", "app", "code", str(tmp_path), library=genuine_trader,
                          limits=NO_LIMITS)  # fmt: skip
    with pytest.raises(ConfigError):
        engine.insert(**{**GOOD, name: value})
    assert not engine.book.open_orders()


@example("au2606", "0", "1", 1e308, 1, {})  # more steps than a float has
@given(
    st.sampled_from(["rb2605", "au2606", "T2603", "rb" * 20, "螺纹", "none"]),
    st.sampled_from(["0", "1"]),
    st.sampled_from([*words.OFFSETS, "9"]),
    st.one_of(st.sampled_from([2990.0, 3010.0, 0, True, "3000", None]), st.floats()),
    st.one_of(st.integers(-(2**31), 2**33), st.integers(1, 3)),
    st.dictionaries(
        st.sampled_from(
            ["exchange_id", "hedge", "order_price_type", "time_condition", "volume_condition", "min_volume"]
        ),
        st.one_of(st.sampled_from(["1", "3", "", b"1", "SHFE", "\0", None, 2, 2**31, 1.0, math.nan]), st.text()),
        max_size=3,
    ),
)
def test_whatever_is_asked_for_has_an_answer(
    instrument: str, direction: str, offset: str, price: Any, volume: int, more: dict[str, Any]
) -> None:
    """Refused, and then nowhere; or in the book, and then the exchange has said what became of it."""
    trader = PaperTrader(NO_LIMITS, lots={"rb2605": (3, 1), "au2606": (1, 1), "T2603": (1, 1)})
    for name in ("rb2605", "au2606", "T2603", "螺纹"):
        trader.take_tick(tick(3000.0, instrument=name))
    trader.poll()
    asked = []
    with suppress(ConfigError, LimitRefused):
        asked.append(trader.insert(instrument, direction, offset, price, volume, **more))
    assert trader.book.open_orders() == asked
    trader.poll()
    assert list(trader.book) == asked
    assert all(order.is_final or order.state == "queueing" for order in asked)


def test_a_cancellation_that_does_not_fit_is_refused_and_nowhere(trader: PaperTrader) -> None:
    order = trader.insert("rb2605", "0", "0", 2990.0, 1)
    trader.poll()
    order.SessionID = 2**40
    with pytest.raises(ConfigError, match="SessionID"):
        trader.cancel(order)
    assert trader.poll() == [] and order.cancel == ""
