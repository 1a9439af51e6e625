"""How long ticks take from the vendor's callback to a queue's reader: the histogram that each reader keeps."""

from __future__ import annotations

import ctypes as ct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ._errors import NotFoundError
from ._shim import LatencyTable, lib

if TYPE_CHECKING:
    from .log import TickLog

BUCKETS = 128


def _bounds() -> npt.NDArray[np.int64]:
    i = np.arange(4, BUCKETS + 1)
    return np.concatenate((np.arange(4), (4 + i % 4) << (i // 4 - 1))) * 8


BOUNDS = _bounds()
"""Where the buckets begin and end, ns: bucket *i* holds ``BOUNDS[i] <= latency < BOUNDS[i + 1]``. The last one
has all that is longer too. Four buckets to each power of two, so a percentile is right to a quarter at worst."""


@dataclass(frozen=True, eq=False)
class LatencyHistogram:
    """Latencies of one queue's ticks, in ns: from the begin of the vendor's callback to the end of the take that
    brought the tick into the reader's process.

    A sample of the ticks is measured, each standing for its group (``docs/top.md``), so shares are those of all
    ticks. What a program does with the ticks of a batch is not in it, nor are ticks from before the reader came.

    Attributes:
        counts: ticks in each of the 128 buckets of `BOUNDS`.
        samples: how many were measured.
        sum: ns, over all ticks in ``counts``.
        max: ns, the longest measured; of a difference the upper bound of the longest one's bucket.
        place: (slot, generation) of the queue in its log: another queue of the same name has another one.
    """

    counts: npt.NDArray[np.uint64]
    samples: int
    sum: int
    max: int
    place: tuple[int, int]

    @property
    def count(self) -> int:
        """Ticks that the samples stand for."""
        return int(self.counts.sum())

    def percentile(self, share: float) -> float | None:
        """The latency in ns that *share* (0 to 1) of the ticks do not exceed; None without a sample.

        Within a bucket the ticks count as evenly spread.
        """
        count = self.count
        if not count:
            return None
        wanted = share * count
        up_to = np.cumsum(self.counts)
        bucket = int(np.searchsorted(up_to, max(wanted, 1), side="left"))
        before = int(up_to[bucket - 1]) if bucket else 0
        low, high = int(BOUNDS[bucket]), int(BOUNDS[bucket + 1])
        value = low + (high - low) * (wanted - before) / int(self.counts[bucket])
        return float(min(max(value, low), self.max)) if self.max >= low else float(low)

    def since(self, earlier: LatencyHistogram | None) -> LatencyHistogram:
        """What came after *earlier*, a look at the same queue. None, or another queue's: all of this one."""
        if earlier is None or earlier.place != self.place:
            return self
        # A word of the one look may be newer than its neighbours: never below zero.
        counts = np.where(self.counts > earlier.counts, self.counts - earlier.counts, np.uint64(0)).astype(np.uint64)
        used = np.flatnonzero(counts)
        longest = min(self.max, int(BOUNDS[used[-1] + 1])) if len(used) else 0
        if len(used) and used[-1] == BUCKETS - 1:
            longest = self.max
        samples, total = max(0, self.samples - earlier.samples), max(0, self.sum - earlier.sum)
        return LatencyHistogram(counts, samples, total, longest, self.place)

    def summary(self) -> dict[str, int] | None:
        """``p50, p90, p99, max`` in whole ns, and ``count``; None without a sample."""
        if not self.count:
            return None
        shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
        percentiles = {name: int(self.percentile(share) or 0) for name, share in shares.items()}
        return {**percentiles, "max": self.max, "count": self.count}


def of_place(log: TickLog, slot: int, generation: int) -> LatencyHistogram | None:
    """The histogram of the queue in a place; None when it has left."""
    table = LatencyTable()
    try:
        lib().log_latency(log.handle, slot, generation, ct.byref(table))
    except NotFoundError:
        return None
    counts = np.frombuffer(bytes(table.counts), np.uint64)
    return LatencyHistogram(counts, table.samples, table.sum, table.max, (slot, generation))
