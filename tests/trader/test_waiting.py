"""Waiting costs nothing, also while there are changes that nobody has asked for."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from feed_support import wait_for

from tickengine import EngineError
from tickengine.front.trading import TradingFront
from tickengine.trader.engine import TraderEngine


def test_waiting_with_changes_that_were_not_taken_uses_no_cpu(genuine_trader: str, tmp_path: Path) -> None:
    with TradingFront({"rb2605": 3000.0}) as front:
        with TraderEngine(
            front.address, "9999", "me", "secret", "", "", str(tmp_path), library=genuine_trader
        ) as engine:
            engine.wait_ready(20)
            front.refuse_connections()
            front.cut()
            wait_for(lambda: engine.status() and not engine.connected, "the cut")
            before, began = time.thread_time(), time.monotonic()
            with pytest.raises(EngineError, match="not ready within"):
                engine.wait_ready(1)
            used, passed = time.thread_time() - before, time.monotonic() - began
            assert engine.poll() and used < passed / 4
