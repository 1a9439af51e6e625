"""A CTP trading front on loopback: orders, flows with resume, queries, and faults at exact moments."""

from tickengine.front.trading.controls import TradingControls, TradingReport
from tickengine.front.trading.script import MOMENTS, CutAt
from tickengine.front.trading.server import TradingFront

__all__ = ["MOMENTS", "CutAt", "TradingControls", "TradingFront", "TradingReport"]
