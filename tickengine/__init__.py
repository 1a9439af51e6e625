"""tickengine: a multiprocessing tick-to-queue engine for CTP market data."""

from ._errors import (
    BusyError,
    Closed,
    ConfigError,
    EngineError,
    NameTakenError,
    NotFoundError,
    OverwrittenError,
    SegmentError,
    ShimError,
    TickEngineError,
    VendorLibraryError,
)
from ._secret import Secret, secret
from .account import FutureAccount, run_tick_engine
from .engine import TickEngine
from .log import TickLog
from .mdapi import MdApi
from .queue import TickQueue
from .tick import TICK_DTYPE, Event, Tick, TickFlag
from .trader.api import TraderApi

__all__ = [
    "TICK_DTYPE",
    "BusyError",
    "Closed",
    "ConfigError",
    "EngineError",
    "Event",
    "FutureAccount",
    "MdApi",
    "NameTakenError",
    "NotFoundError",
    "OverwrittenError",
    "Secret",
    "SegmentError",
    "ShimError",
    "Tick",
    "TickEngine",
    "TickEngineError",
    "TickFlag",
    "TickLog",
    "TickQueue",
    "TraderApi",
    "VendorLibraryError",
    "run_tick_engine",
    "secret",
]
