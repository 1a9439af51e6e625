"""Bars of 1 second to one trading day, made of ticks.

`BarBuilder` folds ticks as they come, `compute` an array of them; both keep the rules in ``docs/bars.md``.
`BarEngine` builds in a process of its own and gives the bars to any number of workers, through `BarQueue`\\ s.
"""

from .batch import compute
from .builder import BarBuilder
from .clock import ReceiveClock
from .engine import BarEngine
from .periods import seconds_of
from .queue import BarQueue
from .record import BAR_DTYPE, Bar, BarFlag, bars_array

__all__ = [
    "BAR_DTYPE",
    "Bar",
    "BarBuilder",
    "BarEngine",
    "BarFlag",
    "BarQueue",
    "ReceiveClock",
    "bars_array",
    "compute",
    "seconds_of",
]
