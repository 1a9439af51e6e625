"""What a program was given stays what it was: objects and arrays are used again only when nobody has them."""

from __future__ import annotations

import queue as stdlib_queue
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from writing import Feed

from tickengine import Closed, Event, Tick, TickQueue
from tickengine._taking import BATCH, ROWS


@pytest.fixture
def long_feed() -> Iterator[Feed]:
    feed = Feed(capacity=16 * ROWS)
    yield feed
    feed.close()


def test_ticks_that_are_kept_keep_their_contents(long_feed: Feed) -> None:
    queue = long_feed.queue()
    kept: list[Tick] = []
    for n in range(5 * BATCH + 7):
        long_feed.tick(("rb2601", "IF2512")[n % 2], Volume=n)
        if n % 3 == 0:  # batches of all sizes
            while not queue.empty():
                kept.append(queue.get_nowait())
                if len(kept) % 5 == 4:
                    kept[-1] = kept[-2]  # some are let go, and their memory is used again
    kept.extend(queue.get_nowait() for _ in range(queue.qsize()))
    assert len(kept) == 5 * BATCH + 7
    for n, tick in enumerate(kept):
        expected = n - 1 if n % 5 == 3 else n
        assert (tick.Volume, tick.Sequence) == (expected, expected)


def test_arrays_that_are_kept_keep_their_contents(long_feed: Feed) -> None:
    queue, kept, columns = long_feed.queue(), [], []
    pieces = [ROWS, ROWS // 2, 1, ROWS, ROWS, 3, ROWS, ROWS, ROWS // 4, ROWS, ROWS]
    total = 0
    for piece in pieces:
        for n in range(total, total + piece):
            long_feed.tick("rb2601", Volume=n)
        array = queue.get_many()
        assert len(array) == piece
        (kept if total % 2 else columns).append((total, array if total % 2 else array["Volume"]))
        total += piece
    for start, array in kept:
        assert array["Volume"].tolist() == list(range(start, start + len(array)))
    for start, volumes in columns:
        assert volumes.tolist() == list(range(start, start + len(volumes)))
    array = kept[0][1]
    array["Volume"] = -1  # one's own: nobody else sees it
    assert all(volumes[0] >= 0 for _, volumes in columns)


def test_arrays_that_are_let_go_give_their_memory_to_the_next(long_feed: Feed) -> None:
    queue, addresses = long_feed.queue(), set()
    for _ in range(6):
        for n in range(ROWS):
            long_feed.tick("rb2601", Volume=n)
        array = queue.get_many()
        addresses.add(array.ctypes.data)
        del array
    assert len(addresses) == 1


def test_a_small_array_does_not_hold_a_large_one(long_feed: Feed) -> None:
    queue = long_feed.queue()
    long_feed.tick("rb2601", Volume=1)
    array = queue.get_many()
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    assert memoryview(base).nbytes == array.nbytes


def test_more_than_the_usual_can_be_asked_for(long_feed: Feed) -> None:
    queue = long_feed.queue()
    for n in range(3 * ROWS):
        long_feed.tick("rb2601", Volume=n)
    assert queue.get_many(3 * ROWS)["Volume"].tolist() == list(range(3 * ROWS))
    with pytest.raises(stdlib_queue.Empty):
        queue.get_many(3 * ROWS, block=False)


def test_events_are_not_used_again_as_ticks(long_feed: Feed) -> None:
    queue = long_feed.queue(events=True)
    kept = []
    for n in range(3 * BATCH):
        if n % 7 == 3:
            long_feed.event("subscribed", text=b"%d" % n)
        else:
            long_feed.tick("rb2601", Volume=n)
        kept.append(queue.get_nowait())
    for n, record in enumerate(kept):
        assert isinstance(record, Event) == (n % 7 == 3)
        assert (record.Text if isinstance(record, Event) else record.Volume) == (str(n) if n % 7 == 3 else n)


@pytest.mark.parametrize("wait", ["spin", "adaptive", "block"])
def test_a_wait_ends_in_time_and_not_before(feed: Feed, wait: str) -> None:
    queue = feed.queue(wait=wait)
    for call in (queue.get, queue.get_many):
        start = time.monotonic()
        with pytest.raises(stdlib_queue.Empty):
            call(timeout=0.05)
        assert time.monotonic() - start >= 0.05
        with pytest.raises(stdlib_queue.Empty):
            call(timeout=0)
        with pytest.raises(stdlib_queue.Empty):
            call(block=False)


@pytest.mark.parametrize("wait", ["spin", "adaptive", "block"])
def test_a_waiting_thread_lets_the_others_work(feed: Feed, wait: str) -> None:
    queue, got = feed.queue(wait=wait), []
    reader = threading.Thread(target=lambda: got.extend(tick.Volume for tick in queue))
    reader.start()
    for n in range(200):
        feed.tick("rb2601", Volume=n)
        sum(range(2000))
    feed.log.end()
    reader.join(20)
    assert not reader.is_alive()
    assert got == list(range(200))


def test_a_loop_and_its_body_share_the_ticks(long_feed: Feed) -> None:
    queue, seen = long_feed.queue(), []
    for n in range(4 * BATCH):
        long_feed.tick("rb2601", Volume=n)
    long_feed.log.end()
    for n, tick in enumerate(queue):
        seen.append(tick.Volume)
        if n % 10 == 9 and not queue.empty():
            seen.append(queue.get().Volume)
        if n % 90 == 60:
            seen.extend(queue.get_many(30)["Volume"].tolist())
        assert queue.received == len(seen)
    assert seen == list(range(4 * BATCH))


@pytest.mark.parametrize("wait", ["spin", "adaptive", "block"])
@pytest.mark.parametrize("call", ["get", "get_many", "__iter__"])
def test_a_queue_closed_by_another_thread_frees_the_waiting_one(feed: Feed, wait: str, call: str) -> None:
    for _ in range(5):
        queue, said = feed.queue(wait=wait), []

        def read(queue: TickQueue = queue, said: list[object] = said) -> None:
            try:
                said.append(list(queue) if call == "__iter__" else getattr(queue, call)())
            except Closed as e:
                said.append(e)

        reader = threading.Thread(target=read)
        reader.start()
        feed.tick("rb2601", Volume=1)
        while not queue.received and not said:
            time.sleep(0)
        queue.close()
        reader.join(20)
        assert not reader.is_alive()
        assert len(said) == 1


@pytest.mark.parametrize("wait", ["spin", "adaptive", "block"])
def test_a_thread_whose_queue_is_closed_anywhere_has_read_its_ticks_once_and_in_order(feed: Feed, wait: str) -> None:
    for ticks in range(0, 60, 2):
        queue, said = feed.queue(wait=wait, start="now"), []

        def read(queue: TickQueue = queue, said: list[object] = said) -> None:
            said.append([tick.Volume for tick in queue])

        reader = threading.Thread(target=read)
        reader.start()
        for n in range(ticks):
            feed.tick("rb2601", Volume=n)
        queue.close()
        reader.join(20)
        assert not reader.is_alive()
        assert said and said[0] == list(range(len(said[0])))


def test_a_queue_without_an_engine_closed_by_another_thread_frees_the_waiting_one() -> None:
    queue, said = TickQueue(), []

    def read() -> None:
        try:
            queue.get()
        except Closed as e:
            said.append(e)

    reader = threading.Thread(target=read)
    reader.start()
    queue.close()
    reader.join(20)
    assert not reader.is_alive()
    assert len(said) == 1
