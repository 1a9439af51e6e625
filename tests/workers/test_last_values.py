"""The newest ticks at once, the log's tail, and what a notebook shows of them."""

from __future__ import annotations

import pytest
from writing import Feed

from tickengine import ConfigError, NotFoundError, TickLog, TickQueue
from tickengine.tick import TICK_DTYPE


@pytest.fixture
def small() -> Feed:  # type: ignore[misc]
    feed = Feed(capacity=16)
    yield feed
    feed.close()


def test_a_snapshot_has_the_newest_of_each_also_behind_the_ring(small: Feed) -> None:
    assert len(small.log.snapshot()) == 0
    queue = small.queue(["m2605", "IF2512"], start="now")
    with pytest.raises(NotFoundError):
        queue.latest("m2605")
    for number in range(50):
        small.tick(("rb2601", "m2605")[number % 2] if number > 3 else "IF2512", LastPrice=float(number))
    small.tick("IF2512", LastPrice=7.0, ExchangeID=b"CFFEX", ExchangeInstID=b"other")  # a second entry of its id
    for number in range(20):
        small.tick("rb2601", LastPrice=float(number))
    rows = small.log.snapshot()
    assert rows.dtype == TICK_DTYPE
    assert rows["InstrumentID"].tolist() == [b"IF2512", b"rb2601", b"m2605"]
    assert rows["LastPrice"].tolist() == [7.0, 19.0, 49.0]
    assert small.log.oldest > 50
    assert queue.snapshot()["InstrumentID"].tolist() == [b"IF2512", b"m2605"]
    assert queue.latest("rb2601").LastPrice == 19.0
    several = small.log.snapshot(["m2605", "IF2512"])
    assert several["LastPrice"].tolist() == [49.0, 7.0]
    for id_, row in zip(("IF2512", "m2605"), several[::-1]):
        assert small.log.latest(id_).Stamp == row["Stamp"]
    with pytest.raises(NotFoundError, match="zz9999"):
        small.log.snapshot(["m2605", "zz9999"])
    with TickQueue() as alone, pytest.raises(NotFoundError, match="no engine yet"):
        alone.snapshot()


def test_the_tail_counts_ticks_and_not_events(small: Feed) -> None:
    assert len(small.log.tail(3)) == 0
    for number in range(6):
        small.tick("rb2601", LastPrice=float(number))
        small.event("subscribed")
        small.event("subscribed")
    assert small.log.tail(3)["LastPrice"].tolist() == [3.0, 4.0, 5.0]
    there = small.log.read(0)
    assert small.log.tail(100)["Stamp"].tolist() == there["Stamp"].tolist() == [4, 7, 10, 13, 16]
    with pytest.raises(ConfigError, match="at least 1"):
        small.log.tail(0)


def test_a_notebook_shows_tables_with_everything_escaped(small: Feed) -> None:
    tick = small.sent("<b>&", LastPrice=3000.5)
    small.queue()
    small.log.set_status_text({"state": "live", "front": "<script>"})
    assert "&lt;b&gt;&amp;" in tick._repr_html_() and "<b>" not in tick._repr_html_()
    assert "3000.5" in tick._repr_html_()
    shown = small.log._repr_html_()
    assert "state live" in shown and "3000.5" in shown and "&lt;b&gt;" in shown
    table = small.log.status()._repr_html_()
    assert "&lt;script&gt;" in table and "<script>" not in table and "received" in table
    other = TickLog.attach(small.log.name)
    other.close()
    assert "closed" in other._repr_html_()
