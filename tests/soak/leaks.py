"""Memory, descriptors, threads, processes and files: sampled, and judged by a rule that a test shows to fail.

A series belongs to one process, from the moment that it is at work; its successor begins a new one. Its first part is
warm-up and is thrown away. Of the rest the lowest value of the last third must not lie above the highest of the first
third by more than an allowance: noise goes up and comes down again, a leak does not. Of memory, which noise can hide,
the slope must not make more than the allowance either. What is counted has no allowance.
"""

from __future__ import annotations

import glob
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LEAST_SAMPLES = 9
WARM_UP = 0.2
"""Of a series' time; at least the first sample."""


def process_sample(pid: int) -> dict[str, int] | None:
    """Private memory (anonymous pages, in KiB: without what is shared), RSS, descriptors, threads. None: it is gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        threads = len(os.listdir(f"/proc/{pid}/task"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None  # it died between two looks
    sizes = {}
    for line in rollup.splitlines()[1:]:
        name, value, _ = line.split()
        sizes[name.rstrip(":")] = int(value)
    return {"private_kib": sizes["Anonymous"], "rss_kib": sizes["Rss"], "fds": descriptors, "threads": threads}


def children_of(pid: int) -> list[int]:
    """Direct children that live."""
    found = []
    for task in glob.glob(f"/proc/{pid}/task/*/children"):
        try:
            found += [int(child) for child in Path(task).read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread that has just ended
    return found


def run_name() -> str:
    """What the names of this run's engines and queues begin with: others use the machine too."""
    return f"soak-{os.getpid()}"


def segments() -> list[str]:
    """The files of this run's engines and queues, and of the queues that guests have made on these engines."""
    found = []
    for path in sorted(glob.glob(f"/dev/shm/tickengine-{os.geteuid()}-*")):
        try:
            ours = f"-{run_name()}-" in path or (path.endswith(".queue") and _log_of(path).find(run_name()) >= 0)
        except FileNotFoundError:
            continue  # somebody has just removed it
        if ours:
            found.append(path)
    return found


def _log_of(queue_path: str) -> str:
    """LogPath, as docs/layout.md has it."""
    return Path(queue_path).read_bytes()[152:408].partition(b"\0")[0].decode()


@contextmanager
def flow_directories_in(directory: str) -> Iterator[None]:
    """An engine that starts meanwhile makes its temporary directory there."""
    before, tempfile.tempdir = tempfile.tempdir, directory
    try:
        yield
    finally:
        tempfile.tempdir = before


def flow_files(directory: str) -> int:
    return sum(len(files) for _, _, files in os.walk(directory))


@dataclass(frozen=True)
class Growth:
    """What a series did after its warm-up."""

    first: float
    last: float
    per_hour: float
    leaked: bool


def slope_per_hour(times: list[float], values: list[float]) -> float:
    """The median of the slopes of all pairs (Theil and Sen): a few odd samples do not move it."""
    slopes = [
        (values[j] - values[i]) / (times[j] - times[i])
        for i in range(len(times))
        for j in range(i + 1, len(times))
        if times[j] > times[i]
    ]
    return statistics.median(slopes) * 3600 if slopes else 0.0


def judge(times: list[float], values: list[float], allowance: float) -> Growth | None:
    """The rule. None: too few samples to say anything."""
    if not times:
        return None
    begin = times[0] + WARM_UP * (times[-1] - times[0])
    kept = [(t, v) for t, v in list(zip(times, values))[1:] if t >= begin]
    if len(kept) < LEAST_SAMPLES:
        return None
    third = len(kept) // 3
    first, last = [v for _, v in kept[:third]], [v for _, v in kept[-third:]]
    thin = kept[:: max(1, len(kept) // 200)]
    slope = slope_per_hour([t for t, _ in thin], [v for _, v in thin])
    apart = min(last) > max(first) + allowance
    steep = allowance > 0 and slope * (kept[-1][0] - kept[0][0]) / 3600 > allowance
    return Growth(statistics.median(first), statistics.median(last), slope, apart or steep)


# What is judged of each kind of series, and how much may stay more: the heap's own slack, in a reader the arrays of its
# greatest catch, in a front what waits to be sent, and in this process what the run keeps of its samples and faults.
ALLOWANCES: dict[str, dict[str, float]] = {
    "engine": {"private_kib": 1024.0},
    "live": {"fds": 0.0, "threads": 0.0},
    "reader": {"private_kib": 16384.0, "fds": 0.0, "threads": 0.0},
    "front": {"private_kib": 8192.0},
    "memory": {"private_kib": 8192.0},
    "rest": {"fds": 0.0, "threads": 0.0, "children": 0.0, "flow_files": 0.0},
    "rounds": {"private_kib": 8192.0},
}


@dataclass
class Series:
    """Samples of one process, or of the machine."""

    what: str
    label: str
    times: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, now: float, sample: dict[str, int]) -> None:
        self.times.append(round(now, 1))
        for name, value in sample.items():
            self.values.setdefault(name, []).append(value)

    def growths(self) -> dict[str, Growth]:
        found = {}
        for name, allowance in ALLOWANCES[self.what].items():
            growth = judge(self.times, self.values.get(name, []), allowance)
            if growth is not None:
                found[name] = growth
        return found

    def leaks(self) -> list[str]:
        return [
            f"{self.label}: {name} grew from {g.first:g} to {g.last:g} ({g.per_hour:+.1f} an hour) and stayed there"
            for name, g in self.growths().items()
            if g.leaked
        ]


class Role:
    """Whoever does a piece of work just now. Each process that does has a series of its own, which begins when it is
    seen at work: before, it loads its modules and grows, on a busy machine for as long as a warm-up lasts or longer."""

    def __init__(self, what: str, label: str, kept: list[Series]) -> None:
        self._what = what
        self._label = label
        self._kept = kept
        self._pid: int | None = None
        self._processes = 0
        self._series: Series | None = None

    def look(self, now: float, pid: int, at_work: bool) -> None:
        if pid != self._pid:
            self._pid, self._series = pid, None
            self._processes += 1
        if self._series is None and not at_work:
            return
        sample = process_sample(pid)
        if sample is None:
            return  # it has just died
        if self._series is None:
            self._series = Series(self._what, self._label.format(self._processes))
            self._kept.append(self._series)
        self._series.add(now, sample)


def left_over(before: dict[str, int], after: dict[str, int]) -> list[str]:
    """Of what is counted between two rounds, when everything is closed, nothing may be more than after the first."""
    return [
        f"after the round: {name} {after[name]}, after the first {before[name]}"
        for name in before
        if name != "private_kib" and name != "rss_kib" and after[name] > before[name]
    ]
