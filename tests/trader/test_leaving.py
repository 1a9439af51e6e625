"""A connection that is ended on purpose takes with it no order that was given before."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tickengine.front.trading import TradingFront
from tickengine.trader._process import SessionApi
from tickengine.trader.engine import TraderEngine
from tickengine.trader.limits import NO_LIMITS

TIMES = 25


def test_an_order_given_just_before_leaving_reaches_the_front(genuine_trader: str, tmp_path: Path) -> None:
    with TradingFront({"rb2605": 3000.0}) as front:
        front.delay_returns(0.01)  # none is there before it has left
        with TraderEngine(
            front.address, "9999", "me", "secret", "", "", str(tmp_path), library=genuine_trader, limits=NO_LIMITS
        ) as engine:
            for _ in range(TIMES):
                engine.wait_ready(20)
                engine.insert("rb2605", "0", "0", 3000.0, 1)
                engine.disconnect()
                engine.connect()
            engine.wait_ready(20)
            engine.insert("rb2605", "0", "0", 3000.0, 1)
        report = front.report()
        assert report.orders_received == len(report.orders) == TIMES + 1
        assert [order.state for order in engine.book].count("not_sent") == 0


def test_what_is_left_in_the_ring_has_its_answer_before_the_sender_ends() -> None:
    """Without a session it is refused; behind the release nobody would do that."""

    class Ring:
        left = 3

        @property
        def waiting(self) -> int:
            self.left = max(0, self.left - 1)
            return self.left

    ring, left_at_release = Ring(), []
    api: Any = object.__new__(SessionApi)
    api.call, api._ring = "", ring
    api.vendor = SimpleNamespace(gate_open=False, release=lambda: left_at_release.append(ring.left))
    api.release()
    assert left_at_release == [0]
