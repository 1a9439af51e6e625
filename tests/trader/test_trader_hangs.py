"""The genuine trader library hangs in the middle of its own work: one process, and each order's fate is known again."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_support import buy, engine_on, same_as_the_front, settled, until
from preloaded import SENDER, VendorFault

from tickengine import _watchdog
from tickengine.front.trading import TradingFront
from tickengine.trader.engine import TraderEngine

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(180)]

PRICES = {"rb2605": 3000.0}
LIMIT = _watchdog.LEAST_S


def _well_again(engine: TraderEngine, front: TradingFront) -> None:
    engine._watchdog_limit = 600.0  # of the next: a busy machine may keep a healthy one waiting
    until(engine, lambda: engine.status()["restarts"] == 1, "the watchdog")
    engine.wait_ready(60, reconciled=True)
    settled(engine, buy(engine))
    assert engine.status()["restarts"] == 1


def test_an_order_in_which_the_genuine_library_hangs_is_uncertain_and_then_reconciled(
    genuine_trader: str, vendor_fault: VendorFault, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        TradingFront(PRICES) as front,
        engine_on(front, genuine_trader, tmp_path / "flow", watchdog=LIMIT) as engine,
    ):
        engine.wait_ready(30, reconciled=True)
        vendor_fault.plan("hang", SENDER)
        order, behind = buy(engine), buy(engine)
        _well_again(engine, front)
        assert (order.state, behind.state) == ("missing", "not_sent")
        same_as_the_front(engine, front)
    assert vendor_fault.happened == 1
    assert "hung in the vendor library's ReqOrderInsert for" in caplog.text
