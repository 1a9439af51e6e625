"""A `BarEngine` over a log written here: its process, its queues of every kind, its end."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Iterator
from typing import Any

import faster_fifo
import pytest
from feed_support import SPAWN, receive, wait_for, workers
from making import ns
from writing import Feed

from tickengine import ConfigError, EngineError, NotFoundError, TickFlag, TickLog, TickQueue
from tickengine.bars import BAR_DTYPE, Bar, BarEngine, BarFlag, BarQueue, bars_array
from tickengine.rules import own_rules


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed(capacity=4096)
    feed.give(own_rules("20240412"))
    yield feed
    feed.log.end()
    feed.close()


def send(feed: Feed, clock: str, price: float, volume: int, instrument: str = "rb2405") -> None:
    """A tick of 2024-04-12, received when it was made."""
    text, _, fraction = clock.partition(".")
    feed.tick(
        instrument,
        ns(f"2024-04-12 {clock}"),
        TradingDay=b"20240412",
        ActionDay=b"20240412",
        UpdateTime=text.encode(),
        UpdateMillisec=int(fraction or 0),
        LastPrice=price,
        Volume=volume,
        Turnover=volume * price * 10,
    )


def three_minutes(feed: Feed) -> None:
    for minute in range(3):
        for second in (1, 30, 59):
            volume = 100 * minute + second
            send(feed, f"09:0{minute}:{second:02d}", 3000.0 + second, volume)
            send(feed, f"09:0{minute}:{second:02d}", 6000.0 + second, volume, "cu2405")


def told(bar: Bar) -> tuple[Any, ...]:
    return bar.InstrumentID, bar.UpdateTime, bar.OpenPrice, bar.HighPrice, bar.LastPrice, bar.BarVolume


FIRST = ("rb2405", "09:00:59", 3001.0, 3059.0, 3059.0, 58)
SECOND = ("rb2405", "09:01:59", 3001.0, 3059.0, 3059.0, 100)


def test_every_kind_of_queue_gets_every_bar(feed: Feed) -> None:
    own, filtered = BarQueue(), BarQueue(["cu2405"])
    fifo, mp = faster_fifo.Queue(100_000), multiprocessing.Queue()
    with BarEngine(feed.log.name, ["1m"], [own, filtered, fifo, mp], instruments=["rb2405"], any_hour=False) as engine:
        assert engine.status()["records"] == "bars" and engine.status()["periods"] == ["1m"]
        three_minutes(feed)
        bars = [own.get(timeout=20), own.get(timeout=20)]
        assert [told(bar) for bar in bars] == [FIRST, SECOND]
        assert bars[0].Flags == BarFlag.PARTIAL and bars[1].Flags == 0 and bars[1].Sequence == 1
        assert bars_array(bars).dtype == BAR_DTYPE and pickle.loads(pickle.dumps(bars[1])) == bars[1]
        for got in (fifo.get(timeout=20), mp.get(timeout=20)):
            assert isinstance(got, Bar) and told(got) == FIRST and got["BarVolume"] == 58
            assert got.to_dict()["InstrumentID"] == b"rb2405"
        late = BarQueue.attach(engine.name, start="oldest")
        assert late.get_many(timeout=20)["BarVolume"].tolist() == [58, 100]
        assert engine.log.latest("rb2405").Sequence == 1
        late.close()
        engine.stop()
        rest = list(own)
    assert [(bar.UpdateTime, BarFlag(bar.Flags)) for bar in rest] == [("09:02:59", BarFlag.UNFINISHED)]
    assert filtered.empty()
    for queue in (own, filtered):
        queue.close()
    mp.close()
    mp.join_thread()


def collect(queue: BarQueue, answer: Any) -> None:
    answer.send("ready")
    answer.send([told(bar) for bar in queue])
    answer.close()


def test_workers_in_other_processes_and_the_end_of_the_ticks(feed: Feed) -> None:
    queues = [BarQueue(["rb2405"]), BarQueue(["rb2405"], wait="block")]
    with BarEngine(feed.log.name, ["1m", "5m"], queues, name="bars-of-test") as engine:
        with workers([(collect, (queue,)) for queue in queues], SPAWN) as answers:
            three_minutes(feed)
            wait_for(lambda: engine.log.head == 4, "two minutes of two instruments")
            feed.log.end()
            assert engine.join(20)
            for answer in answers:
                got = receive(answer)
                assert got[:2] == [FIRST, SECOND]
                # What was open when the ticks ended: the third minute, and the five.
                assert [bar[1] for bar in got[2:]] == ["09:02:59", "09:02:59"]
        assert engine.status()["state"] == "stopped" and engine.status()["restarts"] == 0
    for queue in queues:
        queue.close()


def test_a_bar_ends_without_another_tick(feed: Feed) -> None:
    """The clock is the ticks' own, so a market of long ago ends its bars by what has passed since its last tick."""
    send(feed, "09:00:01.000", 3000.0, 1)
    send(feed, "09:00:01.500", 3001.0, 2)
    with BarQueue() as queue, BarEngine(feed.log.name, ["1s"], [queue], grace=0.1, start="oldest"):
        assert told(queue.get(timeout=20))[1:] == ("09:00:01", 3000.0, 3001.0, 3001.0, 1)


def test_a_killed_process_is_started_again_and_its_next_bars_say_so(feed: Feed) -> None:
    with BarQueue() as queue, BarEngine(feed.log.name, ["1m"], [queue]) as engine:
        send(feed, "09:00:01", 3000.0, 1)
        send(feed, "09:00:02", 3000.0, 2)
        wait_for(lambda: engine.status().get("received") == 2, "the ticks are read")
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        wait_for(lambda: engine.status()["restarts"] == 1 and engine.status()["epoch"] == 2, "a new process")
        send(feed, "09:00:03", 3000.0, 4)
        send(feed, "09:00:04", 3000.0, 7)
        send(feed, "09:01:00", 3000.0, 8)
        bar = queue.get(timeout=20)
        assert (bar.BarVolume, bar.Flags) == (3, BarFlag.PARTIAL)


def test_a_connection_that_was_gone_is_in_the_bars(feed: Feed) -> None:
    with BarQueue() as queue, BarEngine(feed.log.name, ["1m"], [queue]):
        feed.event("logged_in")
        send(feed, "09:00:01", 3000.0, 1)
        send(feed, "09:00:02", 3000.0, 2)
        feed.event("front_disconnected", 4097)
        feed.event("logged_in")
        send(feed, "09:02:30", 3000.0, 50)
        send(feed, "09:03:00", 3000.0, 51)
        first, second = queue.get(timeout=20), queue.get(timeout=20)
        assert first.Flags == BarFlag.PARTIAL | BarFlag.GAP
        assert (second.Flags, second.BarVolume, second.FVolume) == (BarFlag.GAP, 48, 48)


def test_what_cannot_be_is_refused_in_words(feed: Feed) -> None:
    name = feed.log.name
    with pytest.raises(NotFoundError, match="no tick log named 'nobody'"):
        BarEngine("nobody")
    with pytest.raises(ConfigError, match=r"bar_queue_list\[0\] is a TickQueue: bars need a BarQueue"):
        BarEngine(name, ["1m"], [TickQueue()])
    with pytest.raises(ConfigError, match="periods is empty"):
        BarEngine(name, [])
    with pytest.raises(ConfigError, match="'1m' twice"):
        BarEngine(name, ["1m", 60])
    with pytest.raises(ConfigError, match="align must be 'clock' or 'session', not 'x'"):
        BarEngine(name, align="x")
    with pytest.raises(ConfigError, match="grace must be seconds"):
        BarEngine(name, grace=-1)
    with pytest.raises(ConfigError, match="source is a BarQueue"), BarQueue() as queue:
        BarEngine(queue)
    with pytest.raises(ConfigError, match="source skips ticks"), TickQueue(skip=TickFlag.AUCTION) as skipping:
        BarEngine(skipping)
    with pytest.raises(ConfigError, match="leave the others out"), TickQueue() as ticks:
        BarEngine(ticks, instruments=["rb2405"])
    with pytest.raises(ConfigError, match=f"engine '{name}' gives ticks: use TickQueue.attach"):
        BarQueue.attach(name)
    with BarEngine(name) as engine:
        with pytest.raises(ConfigError, match=f"engine '{engine.name}' gives bars: use BarQueue.attach"):
            TickQueue.attach(engine.name)
        with BarQueue() as bars, TickQueue() as ticks:
            bars.bind(engine.log)
            ticks.bind(feed.log)
            with pytest.raises(ConfigError, match=f"queue '{bars.name}' is one of bars: attach it as a BarQueue"):
                TickQueue.attach(bars.name).get_nowait()
            with pytest.raises(ConfigError, match=f"queue '{ticks.name}' is one of ticks: attach it as a TickQueue"):
                BarQueue.attach(ticks.name).get_nowait()
        with pytest.raises(EngineError, match="started already"):
            engine.start()
        assert TickLog.attach(engine.name).carries == "bars" and feed.log.carries == "ticks"
    assert not engine.is_alive()
