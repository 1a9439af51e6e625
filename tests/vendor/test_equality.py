"""One stream, every layout: whatever the vendor library, the worker sees the same record.

100,000 ticks, the same each time, flat out: through the genuine libraries that speak the plain protocol (G1, L1)
and through the compatible library in each variant (G1/L1, G2/L1, G2/L2, G2/L3).
"""

from __future__ import annotations

import datetime
import hashlib
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pytest
from feed_support import engine_on, wait_for
from feeding import drain
from vendor_files import COMPATIBLE_VARIANTS, Unavailable, compatible_library, genuine_library, known_libraries

from tickengine import TICK_DTYPE, TickQueue, vendor
from tickengine.front import FrontProcess, MarketSpec

pytestmark = [pytest.mark.genuine, pytest.mark.slow, pytest.mark.timeout(240)]

COUNT = 100_000
START = datetime.datetime(2026, 1, 5, 9, 0)
IDS = ["rb2601", "IF2512", "m2605", "SR601", "ag2602", "sc2603", "m2605-C-3000", "IO2601-C-3900"]
# What differs by nature: when each tick was received. Layouts without banding prices have NaN there, and
# so has L3 here: the plain protocol does not carry them.
# The stamp also counts the events between the ticks, which are the session's own.
FIELDS = [n for n in TICK_DTYPE.names or () if n not in ("RecvTime", "RecvMonotonic", "Stamp")]


@dataclass(frozen=True)
class Result:
    records: np.ndarray
    digests: dict[str, str]
    """Of each field's bytes."""
    generation: str
    layout: int


GENUINE = {k.name: k for k in known_libraries() if k.speaks == "plain"}
REFERENCE = next(name for name, k in GENUINE.items() if k.version == "6.3.6")


@pytest.fixture(scope="module")
def results() -> dict[str, Result | Unavailable]:
    """One front, and an engine for each library that can be had; the stream begins when all have subscribed."""
    results: dict[str, Result | Unavailable] = {}
    paths: dict[str, str] = {}
    for name in [*GENUINE, *COMPATIBLE_VARIANTS]:
        try:
            paths[name] = str(genuine_library(GENUINE[name]) if name in GENUINE else compatible_library(name))
        except Unavailable as why:
            results[name] = why
    market = MarketSpec(IDS, kind="random-walk", seed=20260105, start=START)
    with (
        ExitStack() as queues,
        FrontProcess(market, flat_out=True, count=COUNT, wait_ids=len(IDS), wait_clients=len(paths)) as front,
    ):
        readers = {name: queues.enter_context(TickQueue()) for name in paths}
        with ExitStack() as engines:
            running = {
                name: engines.enter_context(engine_on(front.address, path, IDS, [readers[name]], capacity=COUNT + 64))
                for name, path in paths.items()
            }
            front.wait_until(finished=True, timeout=120)
            for name, engine in running.items():
                wait_for(lambda engine=engine: engine.status()["ticks"] >= COUNT, f"{COUNT} ticks through {name}", 60)
        for name, queue in readers.items():
            ticks, _ = drain(queue)
            assert queue.lost == 0
            digests = {n: hashlib.sha256(np.ascontiguousarray(ticks[n]).tobytes()).hexdigest() for n in FIELDS}
            found = vendor.describe(paths[name], name)
            results[name] = Result(ticks, digests, found.generation, found.layout)
    return results


def result_of(results: dict[str, Result | Unavailable], name: str) -> Result:
    result = results[name]
    if isinstance(result, Unavailable):
        pytest.skip(str(result))
    return result


def test_the_reference_is_worth_comparing_with(results: dict[str, Result | Unavailable]) -> None:
    reference = result_of(results, REFERENCE)
    ticks = reference.records
    assert len(ticks) == COUNT and (reference.generation, reference.layout) == ("G1", 1)
    assert {i.decode() for i in set(ticks["InstrumentID"])} == set(IDS)
    assert np.array_equal(ticks["TickNumber"], np.arange(COUNT))
    for name in ("LastPrice", "BidPrice1", "Volume", "Turnover", "AskVolume1", "UpdateTime", "ExchangeTime"):
        assert len(set(ticks[name].tolist())) > 100, f"{name} hardly varies"
    assert np.isnan(ticks["BandingUpperPrice"]).all() and np.isnan(ticks["BandingLowerPrice"]).all()


OTHERS = {
    "636": ("G1", 1),
    "63152": ("G2", 1),
    "651": ("G2", 2),
    "6711": ("G2", 3),
    **{name: ("G1", 1) for name in GENUINE if name != REFERENCE},
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_library_and_layout_gives_the_same_records(results: dict[str, Result | Unavailable], name: str) -> None:
    reference, result = result_of(results, REFERENCE), result_of(results, name)
    assert (result.generation, result.layout) == OTHERS[name]
    assert len(result.records) == COUNT
    assert [field for field in FIELDS if result.digests[field] != reference.digests[field]] == []
