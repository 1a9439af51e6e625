"""A queue on a log that this process writes: order, filters, events, starts, losses, ends."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue as stdlib_queue
import subprocess
import sys
import threading
from multiprocessing.connection import Connection

import pytest
from feed_support import wait_for
from writing import Feed

from tickengine import BusyError, Closed, ConfigError, Event, TickFlag, TickQueue, _segments


def volumes(queue: TickQueue, count: int) -> list[int]:
    return [queue.get(timeout=5).Volume for _ in range(count)]


def test_a_filter_passes_its_own_and_nothing_else(feed: Feed) -> None:
    queue = feed.queue(["IF2512", "nothing"])
    for n in range(10):
        feed.tick(("rb2601", "IF2512")[n % 2], Volume=n)
    assert volumes(queue, 5) == [1, 3, 5, 7, 9]
    with pytest.raises(stdlib_queue.Empty):
        queue.get_nowait()
    assert (queue.received, queue.lost, queue.instruments) == (5, 0, ["IF2512", "nothing"])


@pytest.mark.parametrize(("start", "first"), [("now", 5), ("oldest", 0), (3, 3), (5, 5)])
def test_a_queue_starts_where_it_was_told(feed: Feed, start: str | int, first: int) -> None:
    for n in range(5):
        feed.tick("rb2601", Volume=n)
    queue = feed.queue(start=start)
    for n in range(5, 8):
        feed.tick("rb2601", Volume=n)
    assert volumes(queue, 8 - first) == list(range(first, 8))
    assert queue.lost == 0


def test_a_start_in_the_future_is_refused(feed: Feed) -> None:
    queue = TickQueue(start=10)
    with pytest.raises(ConfigError, match="asks for sequence 10, the log has come to 0"):
        queue.bind(feed.log)
    queue.close()


def test_events_come_in_order_to_those_who_ask(feed: Feed) -> None:
    with_events, without = feed.queue(events=True), feed.queue()
    feed.tick("rb2601", Volume=1)
    feed.event("front_disconnected", reason=4097)
    feed.tick("rb2601", Volume=2)
    got = [with_events.get() for _ in range(3)]
    assert [isinstance(r, Event) for r in got] == [False, True, False]
    assert [r.Sequence for r in got] == [0, 1, 2]
    assert volumes(without, 2) == [1, 2]
    assert with_events.received == 2


@pytest.mark.parametrize("filtered", [False, True])
def test_what_the_log_overwrote_is_counted_exactly(filtered: bool) -> None:
    feed = Feed(capacity=16)
    try:
        queue = feed.queue(["rb2601"] if filtered else None)
        got = []
        for n in range(1000):
            feed.tick(("rb2601", "IF2512")[n % 2], Volume=n)
            if n % 50 == 0:
                got += [t.Volume for t in iter_now(queue)]
        got += [t.Volume for t in iter_now(queue)]
        written = 500 if filtered else 1000
        assert len(got) + queue.lost == written
        assert queue.received == len(got)
        assert queue.lost > 0
        assert got == sorted(got)
    finally:
        feed.close()


def iter_now(queue: TickQueue) -> list:
    found = []
    while True:
        try:
            found.append(queue.get_nowait())
        except stdlib_queue.Empty:
            return found


def test_a_loss_of_an_instrument_that_falls_silent_is_known_at_the_end() -> None:
    feed = Feed(capacity=16)
    try:
        queue = feed.queue(["quiet"])
        for n in range(5):
            feed.tick("quiet", Volume=n)
        for _ in range(100):
            feed.tick("busy")
        assert queue.lost == 0 or queue.lost == 5
        feed.log.end()
        with pytest.raises(Closed):
            queue.get()
        assert (queue.received, queue.lost) == (0, 5)
    finally:
        feed.close()


def test_iteration_ends_when_the_log_has_ended(feed: Feed) -> None:
    queue = feed.queue()
    for n in range(3):
        feed.tick("rb2601", Volume=n)
    feed.log.end()
    assert [t.Volume for t in queue] == [0, 1, 2]
    with pytest.raises(Closed, match="has stopped and everything has been read"):
        queue.get()


def test_a_waiting_reader_wakes_for_a_tick_and_for_the_end(feed: Feed) -> None:
    for wait in ("adaptive", "spin", "block"):
        queue = feed.queue(start="now", wait=wait)
        got: list = []
        thread = threading.Thread(target=lambda q=queue, g=got: g.append(q.get(timeout=30)))
        thread.start()
        feed.tick("rb2601", Volume=5)
        thread.join(20)
        assert [t.Volume for t in got] == [5]
    queue = feed.queue(start="now")
    thread = threading.Thread(target=lambda: got.append(list(queue)))
    thread.start()
    feed.log.end()
    thread.join(20)
    assert got[-1] == []


def test_a_queue_waits_to_be_bound() -> None:
    with TickQueue() as queue:
        with pytest.raises(stdlib_queue.Empty):
            queue.get_nowait()
        with pytest.raises(stdlib_queue.Empty):
            queue.get(timeout=0.05)
        assert (queue.qsize(), queue.empty(), queue.sequence, queue.lost) == (0, True, None, 0)


def test_a_second_reader_is_told_who_reads(feed: Feed) -> None:
    queue = feed.queue()
    feed.tick("rb2601")
    queue.get()
    twin = TickQueue.attach(queue.name)
    with pytest.raises(BusyError, match=f"read by process {os.getpid()}"):
        twin.get(timeout=1)


def test_two_threads_in_one_queue_are_told_so(feed: Feed) -> None:
    queue = feed.queue(start="now", wait="spin")
    errors: list[BaseException] = []
    feed.tick("rb2601")
    queue.get()

    def read() -> None:
        try:
            queue.get(timeout=1)
        except (BusyError, stdlib_queue.Empty) as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {type(e) for e in errors} <= {BusyError, stdlib_queue.Empty}
    assert len(errors) == 2


def test_a_closed_queue_explains_itself(feed: Feed) -> None:
    queue = feed.queue()
    queue.close()
    queue.close()
    for call in (queue.get, queue.get_many, lambda: pickle.dumps(queue)):
        with pytest.raises(Closed, match="is closed"):
            call()
    assert feed.log.queues() == []


def test_who_waits_on_a_queue_that_is_closed_elsewhere_is_freed(feed: Feed) -> None:
    queue = TickQueue()
    twin = pickle.loads(pickle.dumps(queue))
    errors: list[BaseException] = []

    def read() -> None:
        try:
            twin.get()
        except Closed as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    queue.close()
    thread.join(20)
    assert len(errors) == 1
    assert "closed by the process that made it" in str(errors[0])


def _read_until_closed(queue: TickQueue, tell: Connection) -> None:
    tell.send(queue.get(timeout=20).Volume)
    try:
        queue.get(timeout=20)
    except Closed as error:
        tell.send(str(error))


def test_a_worker_whose_queue_is_closed_by_its_maker_is_told_at_once(feed: Feed) -> None:
    queue = feed.queue(name="unit-closed-under-a-worker")
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    worker = multiprocessing.get_context("spawn").Process(target=_read_until_closed, args=(queue, theirs))
    worker.start()
    try:
        feed.tick("rb2601", Volume=7)
        assert ours.poll(20)
        assert ours.recv() == 7
        queue.close()
        assert ours.poll(20)
        assert "closed by the process that made it" in ours.recv()
        worker.join(20)
        assert (worker.exitcode, feed.log.queues()) == (0, [])  # its place is free
    finally:
        worker.kill()
        worker.join()


def test_a_busy_queue_can_be_read_once_its_reader_has_left(feed: Feed) -> None:
    queue = feed.queue()
    feed.tick("rb2601", Volume=3)
    feed.tick("rb2601", Volume=4)
    with TickQueue.attach(queue.name) as twin:
        assert twin.get(timeout=5).Volume == 3
        for _ in range(2):
            with pytest.raises(BusyError):
                queue.get(timeout=5)
    assert queue.get(timeout=5).Volume == 4


def test_the_next_queue_in_a_place_begins_with_nothing_of_the_last_ones(feed: Feed) -> None:
    first = feed.queue(["rb2601"], skip=TickFlag.SNAPSHOT, start="now")
    for instrument in ("rb2601", "IF2512", "rb2601"):
        feed.tick(instrument)
    assert first.get_nowait().Sequence == 2  # IF2512 was declined: no wake for it
    feed.tick("rb2601")
    assert first.get_nowait().Sequence == 3  # there are two copies of the counters, written in turn
    assert (first.received, first.skipped) == (2, 1)
    first.close()
    second = feed.queue(["IF2512"], wait="block", start="now")
    (place,) = feed.log.queues()
    assert [place[name] for name in ("received", "lost", "skipped")] == [0] * 3
    wakes = feed.log.info().wakes
    got: list[int] = []
    reader = threading.Thread(target=lambda: got.extend(tick.Sequence for tick in second))
    reader.start()
    try:
        for number in range(5):  # now and then it looks by itself just when a tick comes
            wait_for(lambda: feed.log.queues()[0]["asleep"], "the reader asleep")
            feed.tick("IF2512")
            wait_for(lambda number=number: len(got) > number, "the tick")
        assert feed.log.info().wakes > wakes, "it was never woken"
    finally:
        feed.log.end()
        reader.join(20)
    assert got == [4, 5, 6, 7, 8]
    assert (second.received, second.skipped, second.lost) == (5, 0, 0)


def test_segments_that_died_while_they_were_made_are_swept() -> None:
    left = [_segments.log_path("unit-half-made"), _segments.queue_path("unit-half-made")]
    for path in left:
        with open(path, "xb") as f:
            f.truncate(4096)
    code = "from tickengine import TickQueue; TickQueue().close()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert [os.path.exists(path) for path in left] == [False, False]


def test_get_many_mixes_with_get(feed: Feed) -> None:
    queue = feed.queue()
    for n in range(300):
        feed.tick("rb2601", Volume=n)
    assert volumes(queue, 3) == [0, 1, 2]
    assert queue.get_many(4)["Volume"].tolist() == [3, 4, 5, 6]
    assert queue.sequence == 7
    rest = []
    while len(rest) < 293:
        rest += queue.get_many()["Volume"].tolist()
    assert rest == list(range(7, 300))
    with pytest.raises(ConfigError):
        queue.get_many(0)


@pytest.mark.parametrize(
    "arguments",
    [
        {"instruments": []},
        {"instruments": "rb2601"},
        {"wait": "sometimes"},
        {"start": "later"},
        {"start": -3},
        {"name": ""},
        {"name": "../x"},
    ],
)
def test_wrong_arguments_are_named(arguments: dict) -> None:
    with pytest.raises(ConfigError):
        TickQueue(**arguments)


def test_a_name_is_taken_once() -> None:
    with TickQueue(name="unit-only-one"), pytest.raises(Exception, match="exists already"):
        TickQueue(name="unit-only-one")


def test_more_queues_than_places_are_refused_and_closed_ones_make_room(feed: Feed) -> None:
    queues = [feed.queue() for _ in range(256)]
    extra = TickQueue()
    with pytest.raises(Exception, match="no place for another queue"):
        extra.bind(feed.log)
    queues[17].close()
    extra.bind(feed.log)
    feed.tick("rb2601", Volume=9)
    assert extra.get(timeout=5).Volume == 9
    extra.close()
