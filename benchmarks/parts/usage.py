"""What processes and the machine have used: processor time, memory."""

from __future__ import annotations

import os
import time

from .report import BrokenRun

_CPUCLOCK_SCHED = 2  # linux/posix-timers.h: how the number of a process's clock is made of its pid


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads: its clock, which is finer than /proc's hundredths."""
    try:
        return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED) / 1e9
    except OSError:
        raise BrokenRun(f"process {pid} is gone") from None


def resident_mib(pid: int) -> float:
    """Memory of a process."""
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def own_memory() -> dict[str, int]:
    """Bytes of this process by kind, from the kernel's own sum."""
    sizes = {}
    with open("/proc/self/smaps_rollup") as f:
        for line in f.read().splitlines()[1:]:
            name, _, rest = line.partition(":")
            sizes[name] = int(rest.split()[0]) * 1024
    return {"Rss": sizes["Rss"], "Pss": sizes["Pss"], "own": sizes["Private_Clean"] + sizes["Private_Dirty"]}


def machine_time() -> tuple[int, int]:
    """Of all processors together since the start: stolen by the hypervisor, and all of it."""
    with open("/proc/stat") as f:
        times = [int(word) for word in f.readline().split()[1:9]]  # user nice system idle iowait irq softirq steal
    return times[7], sum(times)
