from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tickengine import vendor
from tickengine.flow import FlowDirectory
from tickengine.front.trading import TradingFront
from tickengine.trader.engine import TraderEngine

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "vendor"))

from engine_support import PRICES, engine_on


@pytest.fixture(scope="session")
def genuine_trader() -> str:
    """Path of the genuine 6.3.6 trader library."""
    paths = vendor.package_libraries(vendor.PLAIN_FTD_PACKAGE, vendor.TRADER)
    if not paths:
        pytest.skip(f"the genuine vendor library is not installed (pip install {vendor.PLAIN_FTD_PACKAGE})")
    return paths[0]


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[FlowDirectory]:
    directory = FlowDirectory(str(tmp_path / "flow"))
    yield directory
    directory.close()


@pytest.fixture
def front() -> Iterator[TradingFront]:
    with TradingFront(PRICES) as front:
        yield front


@pytest.fixture
def engine(front: TradingFront, genuine_trader: str, tmp_path: Path) -> Iterator[TraderEngine]:
    """On that front, ready."""
    with engine_on(front, genuine_trader, tmp_path / "flow") as engine:
        engine.wait_ready()
        yield engine


@pytest.fixture(autouse=True)
def no_thread_of_the_library_stays() -> Iterator[None]:
    """Release has joined what Init has started."""
    before = set(os.listdir("/proc/self/task"))
    yield
    from feed_support import wait_for

    # A thread that has been joined may still be listed for a moment.
    wait_for(lambda: not set(os.listdir("/proc/self/task")) - before, "the library's threads to end")
