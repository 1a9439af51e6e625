"""`TickQueue.fileno`: an event loop hears of every tick, and nothing else about a queue changes."""

from __future__ import annotations

import os
import select
import signal
import threading
from multiprocessing.connection import Connection
from queue import Empty
from typing import Any

import pytest
from children import ended_well, in_child
from feed_support import FORK, SPAWN, receive, wait_for, workers
from hypothesis import given, settings
from hypothesis import strategies as st
from writing import Feed

from tickengine import Closed, Event, TickLog, TickQueue

LONG_MS = 20_000


def readable(queue: TickQueue, timeout_ms: int = 0) -> bool:
    poll = select.poll()
    poll.register(queue.fileno(), select.POLLIN)
    return bool(poll.poll(timeout_ms))


def drain(queue: TickQueue) -> list[int]:
    """Sequences until the queue is found empty."""
    got = []
    while True:
        try:
            got.append(queue.get_nowait().Sequence)
        except Empty:
            return got


def test_it_is_readable_until_the_queue_has_been_found_empty(feed: Feed) -> None:
    ticks = feed.queue()
    assert ticks.fileno() == ticks.fileno()
    assert readable(ticks)  # nobody has looked yet
    assert drain(ticks) == []
    assert not readable(ticks)
    for number in range(300):  # more than a batch
        feed.tick("rb2601")
        assert readable(ticks, LONG_MS), number
    assert ticks.get_nowait().Sequence == 0
    assert readable(ticks)
    assert len(ticks.get_many(10, block=False)) == 10
    assert drain(ticks) == list(range(11, 300))
    assert not readable(ticks)
    assert ticks.received == 300
    assert ticks.lost == 0


def test_a_tick_of_another_instrument_does_not_wake(feed: Feed) -> None:
    ticks = feed.queue(["rb2601"], start="oldest")
    ticks.fileno()
    assert drain(ticks) == []
    for _ in range(100):
        feed.tick("m2605")
    assert not readable(ticks, 20)
    feed.tick("rb2601")
    assert readable(ticks, LONG_MS)
    assert drain(ticks) == [100]


def test_what_the_bell_has_taken_is_counted_as_not_yet_received(feed: Feed) -> None:
    ticks = feed.queue(events=True, start="oldest")
    ticks.fileno()
    assert drain(ticks) == []
    feed.event("front_connected")
    feed.tick("rb2601")
    assert readable(ticks, LONG_MS)
    assert (ticks.received, ticks.qsize(), ticks.sequence) == (0, 1, 0)
    assert isinstance(ticks.get_nowait(), Event)
    assert len(ticks.get_many(block=False)) == 1
    assert (ticks.received, ticks.qsize(), ticks.sequence) == (1, 0, 2)


@pytest.mark.parametrize("wait", ["adaptive", "block", "spin"])
def test_blocking_calls_work_beside_it(feed: Feed, wait: str) -> None:
    ticks = feed.queue(wait=wait)
    ticks.fileno()
    for _ in range(3):
        with pytest.raises(Empty):
            ticks.get(timeout=0.001)
        assert not readable(ticks)
        writer = threading.Timer(0.005, feed.tick, ["rb2601"])
        writer.start()
        first = ticks.get(timeout=60)
        writer.join()
        feed.tick("rb2601")
        assert readable(ticks)
        assert ticks.get_many(timeout=60)["Stamp"].tolist() == [first.Sequence + 2]


def test_an_engine_that_takes_the_queue_and_the_end_of_its_log_wake() -> None:
    with TickQueue(start="oldest") as ticks:
        ticks.fileno()
        assert drain(ticks) == []
        assert not readable(ticks)
        for _ in range(2):  # a second engine goes on where the first one ended
            feed = Feed()
            try:
                ticks.bind(feed.log)
                assert readable(ticks, LONG_MS)
                assert drain(ticks) == []
                feed.tick("rb2601")
                assert readable(ticks, LONG_MS)
                assert drain(ticks) == [0]
                feed.log.end()
                assert readable(ticks, LONG_MS)
                for _ in range(2):
                    with pytest.raises(Closed, match="stopped"):
                        ticks.get_nowait()
                    assert readable(ticks)
            finally:
                feed.close()


def test_a_close_and_an_interruption_from_another_thread_wake(feed: Feed) -> None:
    ticks = feed.queue()
    fd = ticks.fileno()
    feed.tick("rb2601")
    assert drain(ticks) == [0]
    other = threading.Timer(0.005, ticks.interrupt)
    other.start()
    assert readable(ticks, LONG_MS)
    other.join()
    assert drain(ticks) == []
    assert not readable(ticks)
    other = threading.Timer(0.005, ticks.close)
    other.start()
    assert readable(ticks, LONG_MS)
    other.join()
    with pytest.raises(Closed):
        ticks.get_nowait()
    assert ticks.fileno() == fd  # to be taken out of a loop
    assert os.fstat(fd)


def test_it_goes_with_the_queue_object() -> None:
    before = set(os.listdir("/proc/self/fd")), threading.active_count()
    tasks = set(os.listdir("/proc/self/task"))
    for _ in range(3):
        ticks = TickQueue()
        ticks.fileno()
        with pytest.raises(Empty):
            ticks.get_nowait()
        ticks.close()
        del ticks
    ticks = TickQueue()
    ticks.close()
    with pytest.raises(Closed):
        ticks.fileno()
    assert (set(os.listdir("/proc/self/fd")), threading.active_count()) == before
    # A thread that has been waited for is listed for a moment still.
    wait_for(lambda: set(os.listdir("/proc/self/task")) <= tasks, "its threads gone")


def test_a_forked_child_has_one_of_its_own(feed: Feed) -> None:
    ticks = feed.queue()
    fd = ticks.fileno()
    assert drain(ticks) == []

    def child() -> None:
        with pytest.raises(OSError):
            os.fstat(fd)
        ticks.close()

    assert ended_well(in_child(child))
    assert not readable(ticks)
    feed.tick("rb2601")  # by the writer's own process
    assert readable(ticks, LONG_MS)
    assert drain(ticks) == [0]
    ticks.close()
    mine = TickQueue(start="oldest")

    def reads_itself() -> None:
        mine.bind(feed.log)
        assert readable(mine)
        assert drain(mine) == [0]
        feed.tick("rb2601")
        assert readable(mine, LONG_MS)
        assert drain(mine) == [1]

    mine.fileno()
    assert ended_well(in_child(reads_itself))
    mine.close()


def test_an_owner_that_has_died_wakes() -> None:
    with TickQueue(start="oldest") as ticks:
        ticks.fileno()
        paths, told = os.pipe()

        def owner() -> None:
            feed = Feed()
            ticks.bind(feed.log)
            feed.tick("rb2601")
            os.write(told, feed.log.path)
            os.kill(os.getpid(), signal.SIGKILL)

        pid = in_child(owner)
        os.waitpid(pid, 0)
        path = os.read(paths, 300)
        os.close(paths)
        os.close(told)
        try:
            assert drain(ticks) == [0]
            assert readable(ticks, LONG_MS)
            for _ in range(2):
                with pytest.raises(Closed, match="died"):
                    ticks.get_nowait()
        finally:
            os.unlink(path)


def _answer(ticks: TickQueue, rounds: int, connection: Connection) -> None:
    """A worker with epoll: answers each tick. It looks when it is woken and not otherwise."""
    epoll = select.epoll()
    epoll.register(ticks.fileno(), select.EPOLLIN | select.EPOLLET)
    connection.send("ready")
    got = 0
    while got < rounds:
        epoll.poll()
        for sequence in drain(ticks):
            assert sequence == got
            got += 1
            connection.send_bytes(b"x")
    connection.send((got, ticks.lost))


@pytest.mark.parametrize("context", [SPAWN, FORK], ids=["spawn", "fork"])
def test_two_processes_answer_each_other_without_a_lost_wake_up(feed: Feed, context: Any) -> None:
    rounds = 250
    ticks = feed.queue()
    with workers([(_answer, (ticks, rounds))], context) as [answers]:
        for _ in range(rounds):
            feed.tick("rb2601")
            assert answers.poll(60), "a tick neither was there before the last look nor woke"
            answers.recv_bytes()
        got, lost = receive(answers)
    assert (got, lost) == (rounds, 0)


def _count(ticks: TickQueue, connection: Connection) -> None:
    poll = select.poll()
    poll.register(ticks.fileno(), select.POLLIN)
    connection.send("ready")
    sequences: list[int] = []
    ended = False
    while not ended:
        assert poll.poll(LONG_MS)
        try:
            while True:
                sequences.append(ticks.get_nowait().Sequence)
        except Empty:
            continue
        except Closed:
            ended = True
    connection.send((sequences == list(range(len(sequences))), len(sequences), ticks.received, ticks.lost))


def test_none_is_lost_at_a_high_rate(feed: Feed) -> None:
    many = 1200
    ticks = feed.queue()
    with workers([(_count, (ticks,))]) as [answers]:
        for number in range(many):
            feed.tick("rb2601")
            if number % 11 == 0:
                os.sched_yield()
        feed.log.end()
        assert receive(answers) == (True, many, many, 0)


class _Model:
    """Ticks as they were written; what was got must be the next of them."""

    def __init__(self) -> None:
        self.written = self.got = 0

    def gets(self, sequences: list[int]) -> None:
        assert sequences == list(range(self.got, self.got + len(sequences)))
        self.got += len(sequences)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(1, 140)),
            st.sampled_from([("one", 0), ("some", 5), ("all", 0), ("wait", 0), ("iterate", 3), ("interrupt", 0)]),
        ),
        max_size=25,
    )
)
def test_any_order_of_calls_gives_each_tick_once_and_the_descriptor_never_sleeps_on_one(steps: list[Any]) -> None:
    feed, model = Feed(), _Model()
    ticks = feed.queue()
    ticks.fileno()
    try:
        for step, number in steps:
            waiting = model.written - model.got
            if step == "write":
                for _ in range(number):
                    feed.tick("rb2601")
                model.written += number
            elif step == "interrupt":
                ticks.interrupt()
            elif step == "iterate":
                if waiting >= number:
                    iterator = iter(ticks)
                    model.gets([next(iterator).Sequence for _ in range(number)])
            else:
                try:
                    if step == "one":
                        model.gets([ticks.get_nowait().Sequence])
                    elif step == "wait":
                        model.gets([ticks.get(timeout=0.0001).Sequence])
                    else:
                        rows = ticks.get_many(number or None, block=False)
                        model.gets([int(stamp) - 1 for stamp in rows["Stamp"]])
                except Empty:
                    assert waiting == 0
            assert ticks.received == model.got
            assert ticks.qsize() == model.written - model.got
            if model.written > model.got:
                assert readable(ticks, LONG_MS)
        model.gets(drain(ticks))
        assert model.got == model.written
    finally:
        feed.close()


def test_a_log_can_be_attached_while_a_queue_has_one(feed: Feed) -> None:
    with TickQueue.attach(feed.log.name, start="oldest") as ticks:
        assert readable(ticks)
        feed.tick("rb2601")
        assert drain(ticks) == [0]
    assert TickLog.attach(feed.log.name).head == 1


def test_a_second_engine_loses_nothing_of_a_worker_that_looks_before_its_first_tick() -> None:
    with TickQueue(start="oldest") as ticks:
        for _ in range(2):
            feed = Feed()
            try:
                ticks.bind(feed.log)
                assert drain(ticks) == []
                for _ in range(50):
                    feed.tick("rb2601")
                assert drain(ticks) == list(range(50))
                assert ticks.lost == 0
                feed.log.end()
                with pytest.raises(Closed):
                    ticks.get(timeout=60)
            finally:
                feed.close()
