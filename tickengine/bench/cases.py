"""What is measured: the ways a tick can take, and when ticks are due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tickengine._errors import ConfigError

BURST = 800
PACED_NS = 500_000  # 2,000 a second
_BURST_NS = 100_000_000
_MOST_BURST_NS = 500_000_000
_MARGIN_S = 0.1  # of three runs: what lies between and behind them

SHAPES = ("paced", "burst", "flat")
_SHARES = {"paced": 0.55, "burst": 0.30, "flat": 0.15}


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    channel: str  # "log", "mp.Queue" or "faster-fifo"
    wait: str = ""
    take: str = "get"


@dataclass(frozen=True)
class Schedule:
    """``burst`` ticks are due every ``interval_ns``, ``count`` in all; ``count`` 0: flat out, for ``flood_ns``."""

    interval_ns: int = 0
    burst: int = 1
    count: int = 0
    flood_ns: int = 0

    @property
    def seconds(self) -> float:
        return (self.flood_ns + self.count // self.burst * self.interval_ns) / 1e9


MP_QUEUE = Case("mp.Queue of dicts", "mp.Queue")
CASES: tuple[Case, ...] = (
    *(
        Case(f"tickengine {wait} {take}", "log", wait, take)
        for wait in ("spin", "adaptive", "block")
        for take in ("get", "iter", "get_many")
    ),
    MP_QUEUE,
    Case("faster-fifo of dicts", "faster-fifo"),
)


def schedule(shape: str, row_s: float, workers: int) -> Schedule:
    """The run of that shape when all three of a row may take *row_s* seconds together."""
    seconds = max(0.0, row_s - _MARGIN_S) * _SHARES[shape]
    if shape == "flat":
        return Schedule(flood_ns=max(20_000_000, int(seconds * 1e9)))
    if shape == "paced":
        return Schedule(PACED_NS, 1, max(20, int(seconds * 1e9 / PACED_NS)))
    # Time enough for queues that need some ten milliseconds for each worker's 800.
    interval = min(_MOST_BURST_NS, _BURST_NS * workers)
    return Schedule(interval, BURST, max(2, int(seconds * 1e9 / interval)) * BURST)


def choose(only: Sequence[str] | None, workers: int, cpus: int) -> tuple[list[Case], list[str]]:
    """The cases to run, and words on those that are left out. Raises `ConfigError` for a name of none."""
    if only is not None:
        for part in only:
            if not any(part in case.name for case in CASES):
                raise ConfigError(f"--only {part!r} is in none of: {', '.join(case.name for case in CASES)}")
        return [case for case in CASES if any(part in case.name for part in only)], []
    if workers < cpus:
        return list(CASES), []
    # What they would show is the scheduler's time slice; who wants to see that names them.
    left_out = (
        f'left out: wait="spin", for which {workers} worker{"s" if workers > 1 else ""} and the writer need '
        f"{workers + 1} CPUs and this process may use {cpus}; --only spin measures it all the same"
    )
    return [case for case in CASES if case.wait != "spin"], [left_out]
