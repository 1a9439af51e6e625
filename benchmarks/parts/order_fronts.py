"""Both fronts in a process of its own: a market that says which ticks are to be answered with an order, and when
each was sent, and a trading front that takes the orders.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tickengine.front import TICK, Front
from tickengine.front.trading import TradingFront

from .feed import INSTRUMENTS
from .placement import Cores
from .processes import Crew
from .report import check

OWN = INSTRUMENTS[4]
PRICE, ORDER_PRICE = 3000.0, 2970.0  # an order that must be filled or cancelled at once, and cannot be filled
_LIMITS = 300.0
_DAY = b"20260105"


class Load(NamedTuple):
    """How ticks come. *places*: of each group of *every* ticks so many are the own instrument's, anywhere in it."""

    name: str
    every: int
    places: int
    pace: dict[str, Any]
    count: int
    seconds: float
    seed: int

    @property
    def orders(self) -> int:
        """Ticks of the own instrument, each of which is answered with an order."""
        return self.count // self.every * self.places


class StampedMarket:
    """Prices that stand still. Volume is the tick's number, Turnover the machine's monotonic clock when it left:
    below 2**53 ns, which are 104 days, a double has it exactly."""

    instruments: Sequence[str] = INSTRUMENTS
    trading_day = _DAY.decode()

    def __init__(self, load: Load) -> None:
        choose = random.Random(load.seed)
        own = np.zeros(load.count, bool)
        for first in range(0, load.count - load.every + 1, load.every):
            own[[first + place for place in choose.sample(range(load.every), load.places)]] = True
        others = np.array([name.encode() for name in INSTRUMENTS if name != OWN], "S31")
        numbers = np.arange(load.count)
        ticks = np.zeros(load.count, TICK)
        ticks["InstrumentID"] = np.where(own, OWN.encode(), others[numbers % len(others)])
        ticks["TradingDay"] = ticks["ActionDay"] = _DAY
        ticks["ExchangeID"], ticks["UpdateTime"] = b"SHFE", b"09:30:01"
        ticks["ExchangeInstID"] = ticks["InstrumentID"]
        for name in TICK.names or ():
            if TICK[name].kind == "f":
                ticks[name] = PRICE
        ticks["UpperLimitPrice"], ticks["LowerLimitPrice"] = PRICE + _LIMITS, PRICE - _LIMITS
        for level in range(1, 6):
            ticks[f"BidPrice{level}"], ticks[f"AskPrice{level}"] = PRICE - level, PRICE + level
            ticks[f"BidVolume{level}"] = ticks[f"AskVolume{level}"] = 100
        ticks["Volume"] = numbers
        self._ticks = ticks

    def batch(self, start: int, count: int) -> npt.NDArray[Any]:
        """Ticks number *start* to *start + count - 1*, stamped."""
        ticks = self._ticks[start : start + count].copy()
        ticks["Turnover"] = time.monotonic_ns()
        return ticks

    def fill(self, out: npt.NDArray[Any], start: int) -> None:
        """The same, straight into their places on the wire; the last row may have room for more than there are."""
        numbers = np.arange(start, start + out.size) % len(self._ticks)
        out[...] = self._ticks[numbers].reshape(out.shape)
        out["Turnover"] = time.monotonic_ns()


def serve(load: Load, pipe: Connection) -> None:
    """Main of the process: tells both addresses, begins when told to, and says what the fronts have seen."""
    front = Front(
        StampedMarket(load), count=load.count, wait_ids=len(INSTRUMENTS), send_timeout_s=60.0, paused=True, **load.pace
    )
    # Fixed prices: a trading front that follows the market would look at each batch before it is sent.
    with front, TradingFront(dict.fromkeys(INSTRUMENTS, PRICE)) as trading:
        pipe.send((front.address, trading.address))
        pipe.recv()
        front.resume()
        pipe.send("begun")
        pipe.recv()
        report = trading.report()
        stats = front.stats()
        ended = sum(order["OrderStatus"] == "5" for order in report.orders)
        pipe.send((stats.ticks_sent, report.orders_received, ended, stats.connections, report.connections))


class OrderFronts:
    """The process. With it as context it is gone behind it."""

    def __init__(self, load: Load, cores: Cores) -> None:
        self.load = load
        self._core = cores.front
        self._crew = Crew()

    def __enter__(self) -> OrderFronts:
        try:
            self._crew.start("fronts", serve, self.load, core=self._core)
            ((self.md_address, self.td_address),) = self._crew.hear("start")
        except BaseException:
            self._crew.end()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self._crew.end()

    def begin(self) -> None:
        """Have ticks come from now on."""
        self._crew.tell("begin")
        self._crew.hear("beginning")

    def finish(self) -> None:
        """Check that all ticks left, on one connection, and each order came once and was cancelled at once."""
        self._crew.tell("end")
        ((ticks, received, ended, connections, trading_connections),) = self._crew.hear()
        load = self.load
        check(ticks == load.count, f"the front sent {ticks} of {load.count} ticks")
        check(received == load.orders, f"the front got {received} orders of {load.orders}")
        check(ended == load.orders, f"{ended} of {load.orders} orders were cancelled")
        check((connections, trading_connections) == (1, 1), f"connections: {connections} and {trading_connections}")
        self._crew.join()
