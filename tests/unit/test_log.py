"""Reading a log directly."""

from __future__ import annotations

import os

import numpy as np
import pytest
from writing import Feed

from tickengine import Closed, Event, NotFoundError, OverwrittenError, Tick, TickLog


def test_records_are_found_by_sequence(feed: Feed) -> None:
    for n in range(5):
        feed.tick("rb2601", Volume=n)
    feed.event("front_connected")
    log = feed.log
    assert (log.head, log.oldest, len(log)) == (6, 0, 6)
    record = log[3]
    assert isinstance(record, Tick)
    assert (record.Volume, record.Sequence) == (3, 3)
    assert isinstance(log[-1], Event)
    for wrong in (6, -7):
        with pytest.raises(IndexError):
            log[wrong]


def test_what_has_been_overwritten_is_said_so() -> None:
    feed = Feed(capacity=8)
    try:
        for n in range(20):
            feed.tick("rb2601", Volume=n)
        assert feed.log.oldest == 13
        with pytest.raises(OverwrittenError, match="record 12 has been overwritten"):
            feed.log[12]
        assert feed.log.read(0)["Volume"].tolist() == list(range(13, 20))
        assert feed.log.read(15, 17)["Volume"].tolist() == [15, 16]
        assert len(feed.log.read(20)) == 0
        assert not feed.log.intact(12)
        assert feed.log.intact(13)
    finally:
        feed.close()


def test_the_latest_tick_of_an_instrument_outlives_the_ring() -> None:
    feed = Feed(capacity=8)
    try:
        feed.tick("quiet", Volume=1)
        feed.tick("quiet", Volume=2)
        for n in range(50):
            feed.tick("busy", Volume=n)
        assert feed.log.latest("quiet").Volume == 2
        assert feed.log.latest("busy").Volume == 49
        with pytest.raises(NotFoundError, match="no tick of 'unheard'"):
            feed.log.latest("unheard")
    finally:
        feed.close()


def test_the_instrument_table_counts(feed: Feed) -> None:
    for _ in range(3):
        feed.tick("rb2601", ExchangeInstID=b"a")
    feed.tick("rb2601", ExchangeInstID=b"b")
    feed.tick("IF2512")
    entries = feed.log.instruments()
    assert [(e["InstrumentID"], e["ExchangeInstID"], e["count"]) for e in entries] == [
        ("rb2601", "a", 4),
        ("rb2601", "b", 4),
        ("IF2512", "", 1),
    ]


def test_the_view_is_the_ring_itself_and_cannot_be_written(feed: Feed) -> None:
    view = feed.log.view()
    feed.tick("rb2601", Volume=41)
    feed.tick("rb2601", Volume=42)
    assert view["Volume"][:2].tolist() == [41, 42]
    assert len(view) == feed.log.capacity
    with pytest.raises(ValueError, match="read-only"):
        view["Volume"][0] = 1


def test_an_array_of_ticks_leaves_events_out(feed: Feed) -> None:
    feed.tick("rb2601", Volume=1)
    feed.event("front_connected")
    feed.tick("rb2601", Volume=2)
    records = feed.log.read(0)
    assert records["Volume"].tolist() == [1, 2]
    assert (records["Stamp"] - 1).tolist() == [0, 2]
    assert np.isnan(records["BandingUpperPrice"]).all()


def test_status_and_queues_are_seen_from_outside(feed: Feed) -> None:
    queue = feed.queue(["rb2601"])
    feed.tick("rb2601")
    feed.tick("IF2512")
    queue.get()
    other = TickLog.attach(feed.log.name)
    status = other.status()
    assert (status["state"], status["ticks"], status["epoch"]) == ("connecting", 2, 1)
    (entry,) = status["queues"]
    assert (entry["name"], entry["received"], entry["lost"], entry["alive"]) == (queue.name, 1, 0, True)
    other.close()


def test_a_status_that_has_no_room_is_cut_at_its_longest_texts(feed: Feed) -> None:
    """Escaped, a character of what a crashed process printed may take six bytes."""
    said = {
        "state": "failed",
        "front": "tcp://" + "f" * 490,
        "refused": [f"{n:080}" for n in range(20)],
        "front_error": "\x1b" * 300,
        "failure": "\udcff行" * 250,
    }
    feed.log.set_status_text(said)
    kept = feed.log.status_text()
    assert kept["state"] == "failed" and kept["front"] == said["front"]
    for name in ("refused", "front_error"):
        assert kept[name] == said[name][: len(kept[name])] and len(kept[name]) > 0
    assert kept["failure"].startswith("?行?行")
    feed.log.set_status_text(said | {"state": "live", "failure": ""})
    assert feed.log.status_text()["state"] == "live"


def test_a_closed_log_explains_itself(feed: Feed) -> None:
    other = TickLog.attach(feed.log.name)
    other.close()
    other.close()
    with pytest.raises(Closed, match="has been closed"):
        other.info()
    assert repr(other) == "TickLog(closed)"


def test_a_tick_keeps_the_log_it_takes_texts_from(feed: Feed) -> None:
    feed.tick("rb2601", ExchangeInstID=b"text")
    tick = TickLog.attach(feed.log.name).latest("rb2601")
    assert tick.ExchangeInstID == "text"


def test_an_attached_log_has_all_its_pages() -> None:
    """The file's pages are there from the start; without this each process enters them while ticks arrive."""
    if tuple(int(n) for n in os.uname().release.split(".")[:2]) < (5, 14):
        pytest.skip(f"Linux {os.uname().release} does not know MADV_POPULATE_READ")
    feed = Feed(capacity=8192)
    try:
        log = TickLog.attach(feed.log.info().name.decode())
        mapped: list[tuple[int, int]] = []
        with open("/proc/self/smaps") as f:
            ours = False
            for line in f:
                words = line.split()
                if "-" in words[0]:
                    ours = words[-1].encode() == feed.log.path
                elif ours and words[0] == "Size:":
                    size = int(words[1])
                elif ours and words[0] == "Rss:":
                    mapped.append((size, int(words[1])))
        assert len(mapped) == 2 and all(size == rss > 3584 for size, rss in mapped), mapped
        log.close()
    finally:
        feed.close()
