"""A CTP market-data front on this machine, for tests at any hour: real protocol, invented market.

`Front` serves the genuine vendor library (plain FTD, 6.3.6) from this process, `FrontProcess` from one of
its own. `NumberedMarket` makes ticks that prove themselves, `RandomWalkMarket` believable ones. Faults are
called at run time by the methods of `Controls`, or given as a script.
"""

from tickengine.front.controls import Controls
from tickengine.front.faults import Fault, FaultError, parse_fault
from tickengine.front.fields import DBL_MAX, TICK
from tickengine.front.garbage import GARBAGE
from tickengine.front.market import Market, NumberedMarket
from tickengine.front.process import FrontProcess, MarketSpec
from tickengine.front.randomwalk import RandomWalkMarket
from tickengine.front.recorded import RecordedMarket
from tickengine.front.server import Front
from tickengine.front.stats import ClientStats, FrontStats, SentRange

__all__ = [
    "DBL_MAX",
    "GARBAGE",
    "TICK",
    "ClientStats",
    "Controls",
    "Fault",
    "FaultError",
    "Front",
    "FrontProcess",
    "FrontStats",
    "Market",
    "MarketSpec",
    "NumberedMarket",
    "RandomWalkMarket",
    "RecordedMarket",
    "SentRange",
    "parse_fault",
]
