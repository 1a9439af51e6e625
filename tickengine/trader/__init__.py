"""The trading side: orders, returns and positions of one account, kept through every cut and crash."""

from .api import TraderApi
from .book import Change, Order, OrderBook, Trade
from .engine import TraderEngine
from .journal import TradeLog
from .limits import NO_LIMITS, LimitRefused, Limits, Quote
from .paper import PaperTrader
from .positions import Positions
from .records import Record
from .trader import Trader

__all__ = [
    "NO_LIMITS",
    "Change",
    "LimitRefused",
    "Limits",
    "Order",
    "OrderBook",
    "PaperTrader",
    "Positions",
    "Quote",
    "Record",
    "Trade",
    "TradeLog",
    "Trader",
    "TraderApi",
    "TraderEngine",
]
