"""No test leaves a process, a segment or a thread behind, whether it passes or fails."""

from __future__ import annotations

import glob
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tickengine import vendor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from preloaded import VendorFault

# No example is wrong for having been slow.
settings.register_profile("tickengine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tickengine")

# Begun in the background of a script, or by nohup, this process and all its children would be deaf to Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SEGMENTS = f"/dev/shm/tickengine-{os.geteuid()}-*"


def _children() -> dict[int, str]:
    """Living descendants of this process."""
    parents: dict[int, tuple[int, str]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as f:
                head, _, tail = f.read().rpartition(")")
        except OSError:
            continue
        fields = tail.split()
        if fields[0] not in "ZX":
            parents[int(entry)] = (int(fields[1]), head.partition("(")[2])
    found: dict[int, str] = {}
    ours = {os.getpid()}
    while True:
        more = {p: name for p, (parent, name) in parents.items() if parent in ours and p not in found}
        if not more:
            return found
        found.update(more)
        ours.update(more)


def _is_tracker(pid: int) -> bool:
    """multiprocessing's resource tracker: one per test run, lives on by design."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return b"resource_tracker" in f.read()
    except OSError:
        return True


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    segments = set(glob.glob(SEGMENTS))
    before = set(_children())
    yield
    deadline = time.monotonic() + 30
    while True:
        multiprocessing.active_children()  # reaps
        left = {p: n for p, n in _children().items() if p not in before and not _is_tracker(p)}
        more = set(glob.glob(SEGMENTS)) - segments
        threads = [t.name for t in threading.enumerate() if t.name.startswith("tickengine-")]
        if not left and not more and not threads:
            return
        if time.monotonic() > deadline:
            break
        threading.Event().wait(0.02)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    for path in more:
        os.unlink(path)
    pytest.fail(f"left behind: processes {left}, segments {sorted(more)}, threads {threads}")


@pytest.fixture(scope="session")
def genuine() -> str:
    """Path of the genuine 6.3.6 library."""
    paths = vendor.package_libraries(vendor.PLAIN_FTD_PACKAGE)
    if not paths:
        pytest.skip(f"the genuine vendor library is not installed (pip install {vendor.PLAIN_FTD_PACKAGE})")
    return paths[0]


@pytest.fixture
def realtime_permitted() -> None:
    """Skips, with the kernel's reason, where this process may not use SCHED_FIFO."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except OSError as error:
        pytest.skip(f"the kernel refuses SCHED_FIFO with priority 10: {error.strerror} (ulimit -r, CAP_SYS_NICE)")
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture
def vendor_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VendorFault:
    """For processes that the test starts."""
    (tmp_path / "fault").mkdir()
    return VendorFault(tmp_path / "fault", monkeypatch)
