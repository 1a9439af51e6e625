"""Where the benchmark ran, and what its figures mean there."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tickengine import placement

from .cases import MP_QUEUE
from .figures import Row, median_of, number

_CLOCKSOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
_GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"


def _first_line(path: str, otherwise: str) -> str:
    try:
        return Path(path).read_text().splitlines()[0].strip()
    except (OSError, IndexError):
        return otherwise


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    virtual = any(line.startswith("flags") and " hypervisor" in line for line in lines)
    return f"{models[0] if models else platform.machine()}{', virtual machine' if virtual else ''}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed (run from its source)"


def surroundings(workers: int, pinned: Sequence[int] | None) -> dict[str, str]:
    """By name; taken before anything is started, so that the load is that of others."""
    cpus = os.sched_getaffinity(0)
    placed = f"{workers} worker{'s' if workers > 1 else ''} and a writer"
    if pinned is None:
        placed += ", left to the scheduler"
    else:
        placed += f", pinned: writer on CPU {pinned[-1]}, workers on {placement.words(pinned[:-1])}"
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu(),
        "cpus": f"{os.cpu_count()}, of which this process may use {placement.words(cpus)}",
        "kernel": platform.release(),
        "governor": _first_line(_GOVERNOR, "not visible"),
        "clocksource": _first_line(_CLOCKSOURCE, "not visible"),
        "load": " ".join(f"{x:.2f}" for x in os.getloadavg()),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "faster-fifo": _version("faster-fifo"),
        "tickengine": _version("tickengine"),
        "placement": placed,
    }


def meaning(summary: Sequence[Row], workers: int, machine: dict[str, str], load: float) -> list[str]:
    """In plain words, from this machine's own figures."""
    cpus = len(os.sched_getaffinity(0))
    lines = [
        f'wait="spin" needs a CPU for each worker and one for the engine. This process may use {cpus}: '
        + (f"enough for {cpus - 1} such worker{'s' if cpus > 2 else ''}." if cpus > 1 else "too few for it.")
    ]
    # The rule is the shim's (clock.hpp): the counter only where the kernel itself keeps time with it.
    if machine["clocksource"] == "tsc":
        lines.append("RecvTime stamps come from the CPU's time-stamp counter (clocksource tsc).")
    else:
        lines.append(f"RecvTime stamps come from clock_gettime, twice a tick (clocksource {machine['clocksource']}).")
    found = []
    for words, name in (
        ('the default wait="adaptive"', "tickengine adaptive get"),
        ('wait="spin"', "tickengine spin get"),
        ("a multiprocessing.Queue of dicts", MP_QUEUE.name),
    ):
        latency = median_of(summary, name, "paced_p50")
        if latency is not None:
            found.append(f"{number(latency)} µs with {words}")
    if found:
        lines.append(f"From due to read in Python, median: {', '.join(found)}.")
    flat = [
        row["flat_publish"]["median"]
        for row in summary
        if row["name"].startswith("tickengine") and "flat_publish" in row
    ]
    if flat:
        lines.append(
            f"Flat out the engine's thread took {number(min(flat))} to {number(max(flat))} ns a tick. It waits for "
            "nobody: `lost` counts what a worker could not follow. Queues of dicts make their writer wait instead."
        )
    if load > 0.5 * cpus:
        lines.append(
            f"The load was {load:.2f} before this began: other programs may have had part of the time measured."
        )
    late, ticks = (sum(row[f]["median"] for row in summary if f in row) for f in ("paced_late", "paced_ticks"))
    if ticks and late > 0.01 * ticks:
        lines.append(
            f"The writers themselves began {100 * late / ticks:.0f} % of the paced ticks more than 0.1 ms late: "
            "something else had the CPU."
        )
    return lines
