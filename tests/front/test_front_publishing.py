"""What is published, when, to whom, and that the accounts of it are exact."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ftd_client import FtdClient

from tickengine.front import TICK, Front, FrontProcess, MarketSpec, NumberedMarket, RandomWalkMarket, wire

pytestmark = pytest.mark.timeout(60)
IDS = [f"rb{2600 + k}" for k in range(20)]


def _subscribed(front: Front, ids: list[str], **options: Any) -> FtdClient:
    client = FtdClient(front.address, **options)
    client.login()
    client.subscribe(ids)
    return client


@pytest.mark.parametrize("pace", [{"flat_out": True}, {"rate": 50_000}, {"burst": (3000, 0.05)}])
def test_every_tick_arrives_once_in_order_with_the_right_content(pace: dict[str, Any]) -> None:
    market = NumberedMarket(IDS, seed=3)
    with Front(market, count=10_007, wait_ids=20, **pace) as front, _subscribed(front, IDS) as client:
        client.read_until(lambda: len(client.tick_bodies) >= 10_007, "all ticks")
        stats = front.wait_until(timeout=20, finished=True)
        client.read_for(0.1)
    numbers = client.numbers()
    np.testing.assert_array_equal(numbers, np.arange(10_007))
    for name, column in market.expected(numbers).items():
        np.testing.assert_array_equal(client.ticks()[name], column, err_msg=name)
    assert stats.next_number == stats.ticks_sent == 10_007
    (sent,) = stats.sent_ranges
    assert (sent.first, sent.stop, sent.instruments) == (0, 10_007, frozenset(IDS))


@pytest.mark.parametrize("prepared", [0, 5000])
def test_a_client_gets_its_own_ids_only(prepared: int) -> None:
    market = NumberedMarket(IDS)
    with Front(market, flat_out=True, count=12_000, wait_clients=3, prepared=prepared) as front:
        some = _subscribed(front, IDS[3:6])
        none = _subscribed(front, ["ag2612"])
        every = _subscribed(front, IDS)
        with some, none, every:
            every.read_until(lambda: len(every.tick_bodies) >= 12_000, "all ticks")
            some.read_until(lambda: len(some.tick_bodies) >= 1800, "its ticks")
            front.wait_until(timeout=20, finished=True)
            none.read_for(0.05)
            assert not none.tick_bodies
    wanted = [n for n in range(12_000) if 3 <= n % 20 < 6]
    repeated = np.array(wanted) % (prepared or 12_000)
    np.testing.assert_array_equal(some.numbers(), repeated)
    assert set(some.ticks()["InstrumentID"].tolist()) == {name.encode() for name in IDS[3:6]}
    assert [(r.connection, r.first, r.stop) for r in front.stats().sent_ranges] == [
        (1, 0, 12_000),
        (2, 0, 12_000),
        (3, 0, 12_000),
    ]


def test_prepared_ticks_repeat() -> None:
    with Front(NumberedMarket(IDS), flat_out=True, prepared=1000, count=2503, wait_ids=20) as front:
        with _subscribed(front, IDS) as client:
            client.read_until(lambda: len(client.tick_bodies) >= 2503, "ticks")
            client.read_for(0.05)
    np.testing.assert_array_equal(client.numbers(), np.arange(2503) % 1000)
    assert front.stats().next_number == 2503


def test_publishing_waits_for_clients_and_ids() -> None:
    with Front(NumberedMarket(IDS), rate=10_000, wait_clients=2, wait_ids=5) as front:
        with _subscribed(front, IDS) as first, _subscribed(front, IDS[:4]) as second:
            first.read_for(0.1)
            assert front.stats().next_number == 0
            second.subscribe(IDS[:5])
            first.read_until(lambda: first.tick_bodies, "ticks")


def test_number_stands_still_without_clients_and_goes_on_after() -> None:
    with Front(NumberedMarket(IDS), rate=20_000) as front:
        with _subscribed(front, IDS) as client:
            client.read_until(lambda: len(client.tick_bodies) > 100, "ticks")
        front.wait_until(timeout=20, max_open_clients=0)
        number = front.stats().next_number
        time.sleep(0.1)  # time in which ticks would have been due
        assert front.stats().next_number == number
        begin = time.monotonic()
        with _subscribed(front, IDS) as client:
            client.read_until(lambda: client.tick_bodies, "ticks")
            assert client.numbers()[0] == number
            # What was due meanwhile was not made up for.
            made = front.stats().next_number - number
            assert made <= 20_000 * (time.monotonic() - begin) + 10


def test_pause_and_resume() -> None:
    with Front(NumberedMarket(IDS), rate=20_000, paused=True) as front, _subscribed(front, IDS) as client:
        client.read_for(0.1)
        assert front.stats().next_number == 0
        front.resume()
        front.wait_until(timeout=20, next_number=200)
        front.pause()
        number = front.stats().next_number
        client.read_until(lambda: len(client.tick_bodies) == number, "what was sent")
        client.read_for(0.1)
        assert front.stats().next_number == number
        client.login()


@pytest.mark.parametrize("front_type", [Front, FrontProcess])
def test_the_pace_can_be_changed_and_no_number_is_lost_by_it(front_type: type[Front] | type[FrontProcess]) -> None:
    market = NumberedMarket(IDS) if front_type is Front else MarketSpec(IDS)
    with front_type(market, rate=0.01) as front, _subscribed(front, IDS) as client:  # type: ignore[arg-type]
        front.wait_until(timeout=20, next_number=1)
        for pace in ({"burst": (500, 60.0)}, {"rate": 20_000}, {"flat_out": True}):
            before = front.stats().next_number
            front.pace(**pace)
            front.wait_until(timeout=20, next_number=before + 500)
        front.pace(rate=0.01)
        number = front.stats().next_number
        client.read_until(lambda: len(client.tick_bodies) >= number, "what was sent")
        assert front.stats().next_number <= number + 1, "a tick is due when the pace begins, and none for 100 s"
        with pytest.raises(ValueError, match="exclude each other"):
            front.pace(rate=5, flat_out=True)
        front.pause()
        number = front.stats().next_number
        client.read_until(lambda: len(client.tick_bodies) == number, "all of it")
    np.testing.assert_array_equal(client.numbers(), np.arange(number))


def test_rate_is_kept_from_the_intended_time() -> None:
    with Front(NumberedMarket(IDS), rate=3000, wait_ids=20) as front, _subscribed(front, IDS) as client:
        front.wait_until(timeout=20, next_number=1)
        before, first, begin = time.monotonic(), front.stats().next_number, time.monotonic()

        def all_of_them() -> bool:
            due = 3000 * (time.monotonic() - begin)
            made = front.stats().next_number - first
            assert made <= 3000 * (time.monotonic() - before) + 10, "never more than due"
            return due > 1500 and made >= due - 10

        # A stall is made up for: whatever the machine does in between, what is due is there again and again.
        client.read_until(all_of_them, "moment at which all that was due had been made")


def test_snapshot_clock_sends_believable_ticks_of_now() -> None:
    with Front(RandomWalkMarket(IDS, seed=2), trading_day="20261123") as front:
        with _subscribed(front, IDS) as client:
            client.read_until(lambda: len(client.tick_bodies) >= 25, "two snapshots")
            stats = front.stats()
    ticks = client.ticks()
    assert set(ticks["UpdateMillisec"].tolist()) <= {0, 500}
    assert set(ticks[:20]["InstrumentID"].tolist()) == {name.encode() for name in IDS}
    assert stats.next_number >= 25


def test_snapshot_clock_of_a_numbered_market_sends_one_of_each() -> None:
    with Front(NumberedMarket(IDS), count=40) as front, _subscribed(front, IDS) as client:
        client.read_until(lambda: len(client.tick_bodies) == 40, "two snapshots")
    assert client.numbers().tolist() == list(range(40))


def test_default_market_serves_a_client() -> None:
    with Front(seed=1) as front, _subscribed(front, ["rb2605"]) as client:
        client.read_until(lambda: client.tick_bodies, "tick")
    assert client.ticks()["InstrumentID"][0] == b"rb2605"


def test_changed_subscriptions_are_in_the_accounts() -> None:
    with Front(NumberedMarket(IDS), rate=50_000) as front, _subscribed(front, IDS[:1]) as client:
        client.read_until(lambda: client.tick_bodies, "ticks")
        client.subscribe(IDS)
        front.wait_until(timeout=20, next_number=front.stats().next_number + 2000)
        assert front.cut() == 1
        assert client.read_to_end() is False
        client.close()
        ranges = front.wait_until(timeout=20, max_open_clients=0).sent_ranges
    assert [r.instruments for r in ranges] == [frozenset(IDS[:1]), frozenset(IDS)]
    promised = [n for r in ranges for n in range(r.first, r.stop) if IDS[n % 20] in r.instruments]
    assert client.numbers().tolist() == promised


def test_slow_single_client_is_back_pressure_and_loses_nothing() -> None:
    with Front(NumberedMarket(IDS), flat_out=True, count=60_000, send_timeout_s=0.1) as front:
        with _subscribed(front, IDS, receive_buffer=65_536) as client:
            time.sleep(0.5)  # much longer than the send time-out
            client.read_until(lambda: len(client.tick_bodies) >= 60_000, "all ticks", 30)
            assert front.stats().slow_clients_dropped == 0
    assert (np.diff(client.numbers()) == 1).all()


def test_market_that_fails_ends_publishing_but_not_the_front() -> None:
    class Broken:
        instruments: Sequence[str] = IDS
        trading_day = "20260105"

        def batch(self, start: int, count: int) -> np.ndarray[Any, Any]:
            if start:
                raise RuntimeError("no more")
            return np.zeros(count, TICK)

    with Front(Broken(), rate=1000) as front, _subscribed(front, IDS) as client:
        client.read_until(lambda: client.tick_bodies, "ticks")
        client.login()
        deadline = time.monotonic() + 20
        while front.stats().failure is None and time.monotonic() < deadline:
            client.read_for(0.01)
        assert front.stats().failure == "RuntimeError: no more"
        assert client.subscribe(["x"], wire.TID_UNSUBSCRIBE) == {"x": 0}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"rate": 5, "flat_out": True}, "exclude each other"),
        ({"rate": 0}, "rate 0"),
        ({"rate": float("nan")}, "rate nan"),
        ({"burst": (0, 1.0)}, "burst 0"),
        ({"prepared": 5}, "flat_out only"),
        ({"count": -1}, "count -1"),
        ({"max_clients": 0}, "max_clients 0"),
        ({"faults": ["cut"]}, "cut@TIME"),
        ({"trading_day": "tomorrow"}, "YYYYMMDD"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_opened(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Front(NumberedMarket(IDS), **options)
