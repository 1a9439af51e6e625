"""Every test here must leave no thread, no process and no descriptor behind."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def _descriptors() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
    return {text for text in found if "socket:" in text or "pipe:" in text or "eventpoll" in text}


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    # One per test run, started by the first process; it lives on by design.
    resource_tracker.ensure_running()
    threads = set(threading.enumerate())
    descriptors = _descriptors()
    yield
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        left = [t for t in threading.enumerate() if t not in threads and t.name.startswith(("tickengine", "front"))]
        children = [c for c in multiprocessing.active_children() if c.name == "front"]
        if not left and not children:
            break
        for thread in left:
            thread.join(0.1)
    assert not left, f"threads left: {left}"
    assert not children, f"processes left: {children}"
    more = _descriptors() - descriptors
    assert not more, f"descriptors left: {sorted(more)}"
