"""Flags: nothing is dropped unless asked for, and what is asked for is counted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from market_time import local
from writing import Feed

from tickengine import ConfigError, TickFlag, TickQueue
from tickengine.rules import own_rules

ROOT = Path(__file__).resolve().parents[2]
DIRTY = TickFlag.SNAPSHOT | TickFlag.BEFORE_OPEN | TickFlag.OUT_OF_SESSION | TickFlag.AFTER_CLOSE
DBL_MAX = 1.7976931348623157e308
LONG_AFTER = local("2030-01-01 12:00:00")


@pytest.fixture
def market() -> Iterator[Feed]:
    feed = Feed()
    feed.give(own_rules("20240416"))
    yield feed
    feed.close()


def send(market: Feed, instrument: str, time: str, **fields: object) -> TickFlag:
    day = {"TradingDay": b"20240416", "ActionDay": b"20240416", "ExchangeID": b""}
    return TickFlag(market.sent(instrument, LONG_AFTER, **{**day, "UpdateTime": time.encode(), **fields}).Flags)


def test_names_and_values_are_those_of_the_shims_header() -> None:
    text = (ROOT / "shim" / "include" / "tickshim.h").read_text()
    assert {n: int(v) for n, v in re.findall(r"TK_FLAG_(\w+) = (\d+)", text)} == {f.name: f.value for f in TickFlag}


def test_the_snapshot_pushed_on_subscribing_is_marked(market: Feed) -> None:
    """vnpy #81, #254, #369: the first tick after subscribing may be hours old and opens a bar of its own."""
    market.event("logged_in", text=b"20240416")
    assert send(market, "rb2410", "02:29:59") & TickFlag.SNAPSHOT
    assert not send(market, "rb2410", "09:00:00") & TickFlag.SNAPSHOT
    market.event("front_disconnected", reason=4097)
    market.event("front_connected")
    market.event("logged_in", text=b"20240416")
    assert send(market, "rb2410", "09:10:00") & TickFlag.SNAPSHOT
    market.event("unsubscribed", text=b"rb2410")
    assert send(market, "rb2410", "09:20:00") & TickFlag.SNAPSHOT


def test_ticks_around_breaks_and_closes_are_told_apart(market: Feed) -> None:
    """vnpy #377, #381, #670, wondertrader #41: 10:15, 11:30 and 15:00 have a last tick that trades and later ones
    that do not."""
    for instrument, time, flag in [
        ("rb2410", "08:54:00", TickFlag.BEFORE_OPEN),
        ("rb2410", "08:59:00", TickFlag.AUCTION),
        ("rb2410", "09:00:00", TickFlag(0)),
        ("rb2410", "10:15:00", TickFlag(0)),
        ("rb2410", "10:15:01", TickFlag.OUT_OF_SESSION),
        ("rb2410", "10:30:00", TickFlag(0)),
        ("rb2410", "11:30:00", TickFlag(0)),
        ("rb2410", "12:00:00", TickFlag.OUT_OF_SESSION),
        ("rb2410", "15:00:00", TickFlag(0)),
        ("rb2410", "15:19:00", TickFlag.AFTER_CLOSE),
        ("IF2404", "10:20:00", TickFlag(0)),  # CFFEX knows no break at 10:15
        ("IF2404", "15:00:01", TickFlag.AFTER_CLOSE),
        ("T2406", "15:10:00", TickFlag(0)),
        ("IF2406", "09:29:00", TickFlag.AUCTION),
    ]:
        assert send(market, instrument, time, UpdateMillisec=500) & ~TickFlag.SNAPSHOT == flag, (instrument, time)


def test_an_option_that_has_not_traded_is_never_dropped(market: Feed) -> None:
    """vnpy #1221: a filter on Volume == 0 kills the quotes of options."""
    queue = market.queue(skip=DIRTY | TickFlag.DUPLICATE | TickFlag.VOLUME_DOWN | TickFlag.TURNOVER_DOWN)
    for second in range(10):
        price = 12.5 + second
        send(market, "m2409-C-3050", f"09:30:0{second}", Volume=0, LastPrice=DBL_MAX, BidPrice1=price)
    ticks = queue.get_many()
    assert (len(ticks), queue.skipped, queue.lost) == (9, 1, 0)  # the first is a snapshot
    assert (ticks["Volume"] == 0).all() and ticks["BidPrice1"][0] == 13.5


def test_nothing_is_dropped_unless_asked_for(market: Feed) -> None:
    """QuantBox/CTP PR #4: let the user decide."""
    everything, chosen = market.queue(), market.queue(skip=DIRTY)
    times = ["08:00:00", "09:00:00", "10:20:00", "10:30:00", "15:30:00"]
    for time in times:
        send(market, "rb2410", time)
    assert [everything.get().UpdateTime for _ in times] == times
    assert [tick.UpdateTime for tick in (chosen.get(), chosen.get())] == ["09:00:00", "10:30:00"]
    market.log.end()
    assert list(chosen) == [] and (chosen.received, chosen.skipped, chosen.lost) == (2, 3, 0)


def test_a_repeated_tick_is_marked(market: Feed) -> None:
    """vnpy_datarecorder, vnpy #3044: the same tick twice is two rows with one key."""
    send(market, "rb2410", "09:30:00", Volume=5, LastPrice=3600.0)
    assert send(market, "rb2410", "09:30:00", Volume=5, LastPrice=3600.0) == TickFlag.DUPLICATE
    assert send(market, "rb2410", "09:30:00", Volume=5, LastPrice=3601.0) == 0
    market.event("front_disconnected", reason=4097)
    market.event("logged_in", text=b"20240416")
    again = send(market, "rb2410", "09:30:00", Volume=5, LastPrice=3601.0)
    assert again == TickFlag.DUPLICATE | TickFlag.SNAPSHOT


def test_czce_turnover_may_go_down_and_says_so(market: Feed) -> None:
    """CZCE has no turnover: the vendor derives it from a rounded average, so it can go down while volume goes up."""
    send(market, "SR409", "09:30:00", Volume=1000, Turnover=6_300_500.0)
    assert send(market, "SR409", "09:30:01", Volume=1001, Turnover=6_300_400.0) == TickFlag.TURNOVER_DOWN
    assert send(market, "SR409", "09:30:02", Volume=1000, Turnover=6_300_500.0) == TickFlag.VOLUME_DOWN
    assert send(market, "SR409", "09:30:03", Volume=1000, Turnover=DBL_MAX) == 0


def test_a_new_trading_day_begins_at_nothing(market: Feed) -> None:
    send(market, "rb2410", "14:59:59", Volume=1000, Turnover=9e6)
    night = {"TradingDay": b"20240417", "ActionDay": b"20240416"}
    assert send(market, "rb2410", "21:00:00", Volume=2, Turnover=7e4, **night) == 0


def test_an_empty_exchange_is_found_by_the_id(market: Feed) -> None:
    """homalos-webctp's sample: ExchangeID is empty in the md feed."""
    assert send(market, "SR409", "10:20:00") == TickFlag.SNAPSHOT | TickFlag.OUT_OF_SESSION
    assert send(market, "SPD SR409&SR501", "10:20:00") == TickFlag.SNAPSHOT | TickFlag.OUT_OF_SESSION
    assert send(market, "rb2410P3600", "10:20:00") == TickFlag.SNAPSHOT | TickFlag.OUT_OF_SESSION
    assert send(market, "unknown", "10:20:00") == TickFlag.SNAPSHOT | TickFlag.UNKNOWN_PRODUCT


# ---- queues that skip ------------------------------------------------------------------------------


def test_skip_reaches_every_way_of_reading(market: Feed) -> None:
    queues = [
        market.queue(["rb2410"], skip=TickFlag.OUT_OF_SESSION, start="oldest", events=events)
        for events in (False, True)
    ]
    for n in range(300):
        send(market, "rb2410", "10:20:00" if n % 3 else "09:30:00", Volume=n)
        send(market, "m2409", "09:30:00", Volume=n)
    market.log.end()
    one, many = queues
    assert [tick.Volume for tick in one] == list(range(0, 300, 3))
    assert many.get().Volume == 0
    rest = many.get_many(20)["Volume"].tolist() + [tick.Volume for tick in many]
    assert rest == list(range(3, 300, 3))
    assert (many.received, many.skipped, many.lost) == (100, 200, 0)
    assert (one.received, one.skipped, one.lost) == (100, 200, 0)


def test_skip_travels_with_the_queue(market: Feed) -> None:
    queue = market.queue(skip=TickFlag.SNAPSHOT | TickFlag.DUPLICATE, start="oldest")
    for _ in range(3):
        send(market, "rb2410", "09:30:00")
    send(market, "rb2410", "09:30:01")
    worker = TickQueue.attach(queue.name)
    assert worker.skip == TickFlag.SNAPSHOT | TickFlag.DUPLICATE == queue.skip
    assert worker.get().UpdateTime == "09:30:01"
    (entry,) = market.log.queues()
    assert (entry["received"], entry["skipped"], entry["lost"]) == (1, 3, 0)
    worker.close()


def test_what_is_overwritten_is_lost_whatever_its_flags() -> None:
    feed = Feed(capacity=64)
    try:
        feed.give(own_rules("20240416"))
        queue = feed.queue(skip=TickFlag.OUT_OF_SESSION, start="oldest")
        for n in range(500):
            send(feed, "rb2410", "10:20:00" if n % 2 else "09:30:00", Volume=n)
        taken = queue.get_many(1000)["Volume"].tolist()
        assert all(n % 2 == 0 for n in taken) and all(b - a == 2 for a, b in pairwise(taken))
        assert queue.lost > 400 and queue.received + queue.lost + queue.skipped == 500
        assert queue.received == len(taken)
    finally:
        feed.close()


def test_a_sleeping_reader_is_not_woken_for_what_it_skips(market: Feed) -> None:
    import threading

    queue = market.queue(skip=TickFlag.OUT_OF_SESSION, start="now", wait="block")
    send(market, "rb2410", "09:30:00")
    queue.get()
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(queue.get(timeout=60).Volume))
    thread.start()
    while not market.log.queues()[0]["asleep"]:
        pass
    before = market.log.info().wakes
    for n in range(50):
        send(market, "rb2410", "10:20:00", Volume=n)
    assert market.log.info().wakes == before
    send(market, "rb2410", "10:30:00", Volume=77)
    thread.join(60)
    assert got == [77] and market.log.info().wakes <= before + 1
    assert queue.skipped == 50


@pytest.mark.parametrize("skip", [-1, 1 << 14, 1 << 40, True, "SNAPSHOT", 1.0, None])
def test_skip_must_be_flags(skip: object) -> None:
    with pytest.raises(ConfigError, match="skip must be TickFlags joined with"):
        TickQueue(skip=skip)  # type: ignore[arg-type]
