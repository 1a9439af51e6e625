"""What every script prints first: where and with what it ran."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np

from tickengine._shim import lib

from .programs import CXX, HERE


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().splitlines()[0].strip()
    except (OSError, IndexError):
        return "unknown"


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _governor() -> str:
    return _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").replace(
        "unknown", "not visible (guest?)"
    )


def _virtual() -> str:
    flags = Path("/proc/cpuinfo").read_text()
    return "virtual machine" if " hypervisor" in flags else "no hypervisor flag"


def commit() -> str:
    """The commit the tree stands on, with "+dirty" if files differ from it."""
    head = _output("git", "--no-optional-locks", "rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown"
    return head + ("+dirty" if _output("git", "--no-optional-locks", "status", "--porcelain") else "")


def surroundings(placement: str, commit_id: str | None = None, **more: str) -> dict[str, str]:
    """*placement*: in words, which process runs on which cores."""
    cores = sorted(os.sched_getaffinity(0))
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "command": " ".join(["python", os.path.relpath(sys.argv[0]), *sys.argv[1:]]),
        "cpu": f"{_cpu_model()}, {os.cpu_count()} cores, {_virtual()}",
        "governor": _governor(),
        "cores": ",".join(map(str, cores)),
        "placement": placement,
        "kernel": platform.release(),
        "clocksource": _first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "load": " ".join(f"{x:.2f}" for x in os.getloadavg()),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "compiler": _output(CXX, "--version").split("\n")[0] or "none",
        "commit": commit_id or commit(),
        "shim": os.path.realpath(lib().path),
        **more,
    }


def version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
