"""One stream, every layout: whatever the vendor library, the worker sees the same record.

100,000 ticks, the same each time, flat out: through the genuine libraries that speak the plain protocol (G1, L1)
and through the compatible library in each variant (G1/L1, G2/L1, G2/L2, G2/L3).
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from feed_support import engine_on, wait_for
from feeding import drain
from vendor_files import COMPATIBLE_VARIANTS, Known, known_libraries

from tickengine import TICK_DTYPE, TickQueue
from tickengine.front import FrontProcess, MarketSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

COUNT = 100_000
START = datetime.datetime(2026, 1, 5, 9, 0)
IDS = ["rb2601", "IF2512", "m2605", "SR601", "ag2602", "sc2603", "m2605-C-3000", "IO2601-C-3900"]
# What differs by nature: when each tick was received. Layouts without banding prices have NaN there, and
# so has L3 here: the plain protocol does not carry them.
RECEIVED = ("RecvTime", "RecvMonotonic")


@dataclass(frozen=True)
class Result:
    records: np.ndarray
    digests: dict[str, str]
    """Of each field's bytes."""
    generation: str
    layout: int


def run(path: str) -> Result:
    from tickengine import vendor

    found = vendor.describe(path, "test")
    market = MarketSpec(IDS, kind="random-walk", seed=20260105, start=START)
    with TickQueue() as queue:
        with (
            FrontProcess(market, flat_out=True, count=COUNT, wait_ids=len(IDS)) as front,
            engine_on(front.address, path, IDS, [queue], capacity=COUNT + 64) as engine,
        ):
            front.wait_until(finished=True, timeout=60)
            wait_for(lambda: engine.status()["ticks"] >= COUNT, f"{COUNT} ticks in the log", 60)
        ticks, _ = drain(queue)
        assert queue.lost == 0
    digests = {n: hashlib.sha256(np.ascontiguousarray(ticks[n]).tobytes()).hexdigest() for n in TICK_DTYPE.names or ()}
    return Result(ticks, digests, found.generation, found.layout)


@pytest.fixture(scope="module")
def reference(genuine: str) -> Result:
    """The stream as the genuine 6.3.6 library delivers it."""
    return run(genuine)


def test_the_reference_is_worth_comparing_with(reference: Result) -> None:
    ticks = reference.records
    assert len(ticks) == COUNT and (reference.generation, reference.layout) == ("G1", 1)
    assert {i.decode() for i in set(ticks["InstrumentID"])} == set(IDS)
    assert np.array_equal(ticks["TickNumber"], np.arange(COUNT))
    for name in ("LastPrice", "BidPrice1", "Volume", "Turnover", "AskVolume1", "UpdateTime", "ExchangeTime"):
        assert len(set(ticks[name].tolist())) > 100, f"{name} hardly varies"
    assert np.isnan(ticks["BandingUpperPrice"]).all() and np.isnan(ticks["BandingLowerPrice"]).all()


def check_same(result: Result, reference: Result) -> None:
    assert len(result.records) == COUNT
    different = [n for n, digest in result.digests.items() if digest != reference.digests[n] and n not in RECEIVED]
    # The stamp holds the sequence: events between ticks would move it, the ticks' own numbers they would not.
    assert not [n for n in different if n != "Stamp"], f"differ: {different}"


@pytest.mark.parametrize("variant", COMPATIBLE_VARIANTS)
def test_the_compatible_library_in_every_layout_gives_the_same_records(
    compatible: Callable[[str], str], reference: Result, variant: str
) -> None:
    result = run(compatible(variant))
    expected = {"636": ("G1", 1), "63152": ("G2", 1), "651": ("G2", 2), "6711": ("G2", 3)}[variant]
    assert (result.generation, result.layout) == expected
    check_same(result, reference)


@pytest.mark.genuine
@pytest.mark.parametrize("known", [k for k in known_libraries() if k.version == "6.3.11"], ids=lambda k: k.name)
def test_another_genuine_library_gives_the_same_records(
    fetched: Callable[[Known], str], reference: Result, known: Known
) -> None:
    check_same(run(fetched(known)), reference)
