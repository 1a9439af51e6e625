"""What a reader's latency histogram says, seen from outside, and what it is made of."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from writing import Feed

from tickengine._shim import LatencyTable, lib
from tickengine.latency import BOUNDS, BUCKETS, LatencyHistogram
from tickengine.tick import LATEST_DTYPE, TICK_DTYPE


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed(capacity=64)
    yield feed
    feed.close()


def histogram_of(values: list[int], place: tuple[int, int] = (0, 1)) -> LatencyHistogram:
    counts = np.histogram(np.minimum(values, BOUNDS[-1] - 1), BOUNDS)[0].astype(np.uint64)
    return LatencyHistogram(counts, len(values), sum(values), max(values, default=0), place)


def test_buckets_are_the_documents() -> None:
    assert len(BOUNDS) == BUCKETS + 1 == len(LatencyTable().counts) + 1
    formula = [8 * i if i < 4 else 8 * (4 + i % 4) * 2 ** (i // 4 - 1) for i in range(BUCKETS)]
    assert BOUNDS[:-1].tolist() == formula and BOUNDS[-1] == 2**36


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**38), min_size=1, max_size=200), st.floats(0, 1))
def test_a_percentile_lies_in_the_bucket_of_the_value_it_is(values: list[int], share: float) -> None:
    histogram = histogram_of(values)
    found = histogram.percentile(share)
    rank = max(1, int(np.ceil(share * len(values))))
    exact = sorted(values)[rank - 1]
    bucket = int(np.searchsorted(BOUNDS, min(exact, BOUNDS[-1] - 1), side="right")) - 1
    assert found is not None and BOUNDS[bucket] <= found <= max(BOUNDS[bucket + 1], exact)
    assert found <= histogram.max


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**9), max_size=50), st.lists(st.integers(0, 10**9), max_size=50))
def test_the_difference_of_two_looks_is_what_came_between(before: list[int], between: list[int]) -> None:
    first, second = histogram_of(before), histogram_of(before + between)
    difference, alone = second.since(first), histogram_of(between)
    assert difference.counts.tolist() == alone.counts.tolist()
    assert (difference.count, difference.samples, difference.sum) == (len(between), len(between), sum(between))
    assert difference.max >= alone.max and (difference.summary() is None) == (not between)
    assert second.since(None) is second
    assert second.since(histogram_of(before, place=(0, 2))) is second, "another queue has the name now"


def test_a_queue_tells_its_latency_to_whoever_looks(feed: Feed) -> None:
    queue = feed.queue()
    assert feed.log.queues()[0]["latency"] is None
    queue.empty()  # opens the reader
    lib().clock_refresh()  # as a session does every second: else the log's clock is beside the kernel's by now
    begun = time.monotonic_ns()
    for _ in range(20):
        feed.tick("rb2601")
    while queue.qsize():
        queue.get()
    longest = time.monotonic_ns() - begun
    (entry,) = feed.log.queues()
    assert 0 < entry["latency"]["p50"] <= entry["latency"]["p99"] <= entry["latency"]["max"] <= longest
    assert 1 <= entry["latency"]["count"] <= 20 + 64
    assert set(entry["latency"]) == {"p50", "p90", "p99", "max", "count"}
    histogram = feed.log.latencies()[queue.name]
    assert histogram.summary() == entry["latency"]
    assert histogram.since(histogram).summary() is None
    assert feed.log.status()["queues"][0]["latency"] == entry["latency"]


def test_what_waits_before_the_reader_comes_is_not_measured(feed: Feed) -> None:
    queue = feed.queue()
    feed.tick("rb2601")
    queue.get()
    assert feed.log.queues()[0]["latency"] is None


def test_events_are_found_between_any_number_of_ticks(feed: Feed) -> None:
    assert feed.log.events() == []
    sent = []
    for round_ in range(12):  # more than the ring of 64 holds
        for _ in range(round_ % 4 * 3):
            feed.tick("rb2601")
        feed.event("front_disconnected", reason=4097 + round_)
        sent.append(4097 + round_)
    found = feed.log.events()
    reasons = [e.Reason for e in found if e.name == "front_disconnected"]
    assert reasons == sent[-len(reasons) :] and reasons
    kept = [s for s in range(feed.log.oldest, feed.log.head) if feed.log.read(s, s + 1).size == 0]
    assert [e.Sequence for e in found] == kept
    assert [e.Reason for e in feed.log.events(found[-1].EventNumber)] == [sent[-1]]
    assert feed.log.events(found[-1].EventNumber + 1) == []
    assert [e.Reason for e in feed.log.events(limit=2)] == sent[-2:]


def test_events_that_were_overwritten_are_gone(feed: Feed) -> None:
    feed.event("front_connected")
    for _ in range(100):
        feed.tick("rb2601")
    assert feed.log.events() == []
    feed.event("stale")
    assert [e.name for e in feed.log.events()] == ["stale"]


def test_the_newest_ticks_of_all_instruments(feed: Feed) -> None:
    assert len(feed.log.latest_all()) == 0
    feed.tick("au2602", LastPrice=601.5)
    for volume in range(100):  # passes the ring
        feed.tick("rb2601", LastPrice=4000.0, Volume=volume)
    rows = feed.log.latest_all()
    assert rows.dtype == LATEST_DTYPE and LATEST_DTYPE.itemsize == 128
    assert {name: TICK_DTYPE.fields[name][1] for name in LATEST_DTYPE.names} == {  # type: ignore[index]
        name: field[1]
        for name, field in LATEST_DTYPE.fields.items()  # type: ignore[union-attr]
    }
    assert rows["LastPrice"].tolist() == [601.5, 4000.0] and rows["Volume"].tolist() == [0, 99]
    assert rows["InstrumentNumber"].tolist() == [0, 99]
    assert [feed.log.latest(i["InstrumentID"]).Stamp for i in feed.log.instruments()] == rows["Stamp"].tolist()
    assert feed.log.latest_all(1)["Volume"].tolist() == [99] and len(feed.log.latest_all(5)) == 0
