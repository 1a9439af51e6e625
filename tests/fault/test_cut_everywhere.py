"""A front that ends its connections after every number of bytes, one connection after the other.

One api lives through all of them: cut before, inside and behind the login's answer, the answers to the
subscriptions and the first ticks, and inside what it sends itself. Then a whole connection is as good as ever.

It lives in a process of its own. Should the vendor library crash in a request all the same, the next process goes on
from the connection it had come to: a few times, and not unseen.
"""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from api_child import ApiChild, CrashedInRequest
from feed_support import IDS, api_on, check_ticks, wait_for

from tickengine import Closed, TickQueue
from tickengine.front import Controls, Front, FrontProcess, FrontStats, MarketSpec, NumberedMarket, wire

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(180)]

Cut = Literal["fin", "rst"]
MARKET = NumberedMarket(IDS)
TICK_PACKET = len(wire.message(wire.TID_TICK, [wire.field(0x12, bytes(354))]))
# Register, login and one packet of subscriptions. All that the library says before its first heartbeat.
REQUESTS = 10 + 274 + 26 + 35 * len(IDS)
CRASHES = 3


@pytest.fixture(scope="module")
def answers(genuine: str) -> int:
    """Bytes from the front until everything is acknowledged."""
    with Front(MARKET, paused=True) as front, api_on(front.address, genuine, IDS) as api:
        wait_for(lambda: api.status()["state"] == "live", "state live")
        return front.stats().bytes_sent


@dataclass
class Crashes:
    """The vendor library's, in its requests."""

    connections: list[int]

    def one_more(self, connection: int, crash: CrashedInRequest) -> None:
        self.connections.append(connection)
        if len(self.connections) > CRASHES:
            raise AssertionError(f"more than {CRASHES} crashes in the vendor library's requests: {crash}")
        warnings.warn(f"the vendor library crashed in a request, on connection {connection}", stacklevel=2)


@dataclass
class Outcome:
    numbers: np.ndarray
    status: dict[str, Any]
    stats: FrontStats
    last_cuts: int
    """Cuts that the last process has lived through: all, if none has crashed."""
    crashes: Crashes

    def certain(self, numbers: np.ndarray) -> np.ndarray:
        """Without those of connections that a crash may have taken with it."""
        lost = [_sent(self.stats, c) for crashed in self.crashes.connections for c in (crashed - 1, crashed) if c]
        return numbers[~np.isin(numbers, np.concatenate([np.empty(0, np.int64), *lost]))]


def _sent(stats: FrontStats, connection: int = 0) -> np.ndarray:
    """Running numbers in whole packets, on one connection or on all."""
    ranges = [r for r in stats.sent_ranges if connection in (0, r.connection)]
    numbers = [n for r in ranges for n in range(r.first, r.stop) if IDS[n % len(IDS)] in r.instruments]
    return np.array(numbers, np.int64)


def _read(queue: TickQueue) -> np.ndarray:
    """The numbers of all ticks, each with every field checked."""
    numbers = [np.empty(0, np.int64)]
    while True:
        try:
            numbers.append(check_ticks(queue.get_many(timeout=120), MARKET))
        except Closed:
            assert queue.lost == 0
            return np.concatenate(numbers)


@contextmanager
def _reading() -> Iterator[tuple[TickQueue, Future[np.ndarray]]]:
    """A queue that is read from the beginning: its log goes with the process that writes it."""
    with TickQueue() as queue, ThreadPoolExecutor(1, "reader") as reader:
        yield queue, reader.submit(_read, queue)


def _until(front: Controls, api: ApiChild, **goal: int) -> None:
    """`Controls.wait_until`, which would not notice that the api is gone."""
    deadline = time.monotonic() + 120
    while True:
        try:
            front.wait_until(**goal, timeout=1)
            return
        except TimeoutError:
            api.check()
            if time.monotonic() > deadline:
                raise


def _live_after(front: FrontProcess, api: ApiChild, connections: int) -> dict[str, Any]:
    """Behind all cuts: a connection that stays, ticks on it, then a pause."""
    _until(front, api, connections=connections, subscribers=1, subscriber_ids=len(IDS))
    api.wait_live()
    front.wait_until(next_number=front.stats().next_number + 1000, timeout=20)
    front.pause()
    last = _sent(front.stats())[-1]
    wait_for(lambda: last in api.ask("last numbers"), f"tick {last}, the last one")
    status: dict[str, Any] = api.ask("status")
    return status


def _check_disconnects(disconnects: int, cuts: int, how: Cut) -> None:
    """A connection that is reset before the library has seen it open is none to it: it tries again and says nothing."""
    unseen = cuts - disconnects
    assert 0 <= unseen <= (0 if how == "fin" else cuts // 20), f"{disconnects} disconnects of {cuts} cuts"


def _live_through(
    library: str, folder: Path, cuts: Sequence[int], how: Cut, counted: Literal["sent", "received"]
) -> Outcome:
    numbers = []
    crashes = Crashes([])
    with FrontProcess(MarketSpec(IDS), rate=5000) as front:
        while True:
            begun = front.stats().connections
            front.cut_next(cuts, how, counted=counted)
            front.resume()
            with _reading() as (queue, read):
                try:
                    with _api(front, library, queue, folder) as api:
                        status = _live_after(front, api, begun + len(cuts) + 1)
                        stats = front.stats()
                    return Outcome(np.concatenate([*numbers, read.result()]), status, stats, len(cuts), crashes)
                except CrashedInRequest as crash:
                    reached = front.stats().connections
                    crashes.one_more(reached, crash)
                    cuts = cuts[max(0, reached - begun - 1) :]
                    numbers.append(read.result())


def _api(front: Controls, library: str, queue: TickQueue, folder: Path) -> ApiChild:
    flow = folder / "flow"
    flow.mkdir(exist_ok=True)
    return ApiChild(front.address, library, queue, folder / "crash", capacity=1 << 17, page_dir=str(flow))


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_front_that_cuts_after_every_number_of_bytes_it_sends(
    genuine: str, answers: int, how: Cut, tmp_path: Path
) -> None:
    cuts = answers + 2 * TICK_PACKET + 1
    got = _live_through(genuine, tmp_path, range(cuts), how, "sent")
    status, stats = got.status, got.stats
    assert (status["subscribed"], status["unacknowledged"], status["refused"]) == (len(IDS), 0, [])
    assert status["last_disconnect_reason"] == 4097
    _check_disconnects(status["disconnects"], got.last_cuts, how)
    # Fewer when the library has closed such a connection before the front did.
    assert -(0 if how == "fin" else cuts // 20) <= stats.cuts - cuts <= len(got.crashes.connections)
    sent, numbers = _sent(stats), got.numbers
    assert (np.diff(numbers) > 0).all() and np.isin(numbers, sent).all()
    if how == "fin":
        assert np.array_equal(got.certain(numbers), got.certain(sent)), "what arrived is not what the front sent whole"
    else:  # a reset throws away what is under way, and nothing else
        whole = _sent(stats, stats.connections)
        assert np.array_equal(numbers[-len(whole) :], whole)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_front_that_cuts_after_every_number_of_bytes_it_receives(genuine: str, how: Cut, tmp_path: Path) -> None:
    got = _live_through(genuine, tmp_path, range(REQUESTS + 1), how, "received")
    status, stats = got.status, got.stats
    assert (status["subscribed"], status["unacknowledged"]) == (len(IDS), 0)
    _check_disconnects(status["disconnects"], got.last_cuts, how)
    whole = _sent(stats, stats.connections)
    assert np.array_equal(got.numbers[-len(whole) :], whole)
    assert (np.diff(got.numbers) > 0).all() and np.isin(got.numbers, _sent(stats)).all()


def test_a_front_that_cuts_compressed_ticks_after_every_number_of_bytes(
    genuine: str, answers: int, tmp_path: Path
) -> None:
    def tick(number: int) -> dict[str, Any]:
        members = MARKET.expected(np.array([number]))
        return {name: column[0] for name, column in members.items()}

    with Front(MARKET, paused=True) as front, api_on(front.address, genuine, IDS) as api:
        wait_for(lambda: api.status()["state"] == "live", "state live")
        lengths = []
        for number in (0, 1):
            before = front.stats().bytes_sent
            front.push(tick(number), compress=True)
            lengths.append(wait_for(lambda before=before: front.stats().bytes_sent - before, "the packet sent"))
    assert max(lengths) < TICK_PACKET, "not compressed"
    first, both = lengths[0], sum(lengths)
    crashes = Crashes([])
    begin = 1  # bytes of ticks on the next connection
    with Front(MARKET, paused=True) as front:
        while begin <= both + 1:  # the last connection stays
            begun = front.stats().connections
            front.cut_next(range(answers + begin, answers + both + 1))
            expected: list[int] = []
            with _reading() as (queue, read):
                try:
                    with _api(front, genuine, queue, tmp_path) as api:
                        for bytes_of_ticks in range(begin, both + 2):
                            connections = begun + bytes_of_ticks - begin + 1
                            _until(front, api, connections=connections, subscribers=1, subscriber_ids=len(IDS))
                            front.push(tick(0), compress=True)
                            if bytes_of_ticks > first:  # else the next connection may be there already, and take it
                                front.push(tick(1), compress=True)
                            expected += [n for n in (0, 1) if bytes_of_ticks >= (first, both)[n]]
                        api.wait_ticks(len(expected))
                        assert api.ask("status")["disconnects"] == both + 1 - begin
                    begin = both + 2
                    assert read.result().tolist() == expected
                except CrashedInRequest as crash:
                    reached = front.stats().connections
                    crashes.one_more(reached, crash)
                    got = read.result().tolist()
                    # The last two connections may have taken theirs with them.
                    assert got == expected[: len(got)] and len(got) >= len(expected) - 4
                    begin += max(0, reached - begun - 1)


def test_a_death_of_any_other_kind_is_no_crash_in_a_request(genuine: str, tmp_path: Path) -> None:
    with (
        Front(MARKET, paused=True) as front,
        TickQueue() as queue,
        pytest.raises(AssertionError, match="ended with status -11: Fatal Python error"),
        _api(front, genuine, queue, tmp_path) as api,
    ):
        api.wait_live()
        assert api.process.pid is not None
        os.kill(api.process.pid, signal.SIGSEGV)
        wait_for(lambda: not api.process.is_alive(), "its end")
        api.check()
