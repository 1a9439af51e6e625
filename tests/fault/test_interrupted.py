"""A signal's handler that raises, wherever in a read it falls: the queue goes on and not one tick is missing."""

from __future__ import annotations

import os
import queue as stdlib_queue
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from writing import Feed

from tickengine import Event, TickQueue
from tickengine._taking import BATCH, ROWS

ROUNDS = 6000


class Raised(Exception):
    """By the handler."""


@pytest.fixture
def alarms() -> Iterator[None]:
    def handler(_signal: int, _frame: Any) -> None:
        raise Raised

    before = signal.signal(signal.SIGALRM, handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed(capacity=8 * ROWS)
    yield feed
    feed.close()


def one(queue: TickQueue) -> list[int]:
    return [queue.get_nowait().Volume]


def first_of(queue: TickQueue) -> Any:
    for tick in queue:
        return tick
    return None


def one_of_iteration(queue: TickQueue) -> list[int]:
    return [first_of(queue).Volume]


def many(queue: TickQueue) -> list[int]:
    return queue.get_many(block=False)["Volume"].tolist()  # type: ignore[no-any-return]


def raising(read: Callable[[], Any], after: float) -> tuple[Any, bool]:
    """What *read* returned (None: nothing), and whether the handler raised. It fires once, after that many seconds."""
    result = None
    try:
        signal.setitimer(signal.ITIMER_REAL, after)
        result = read()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Raised:
        return result, True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return result, False


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 raises between a return and the assignment, too")
@pytest.mark.parametrize("method", ["get", "get_many", "iteration", "mixed"])
@pytest.mark.parametrize("events", [False, True])
def test_no_tick_is_missing_wherever_the_handler_raises(feed: Feed, alarms: None, method: str, events: bool) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    queue = feed.queue(start="oldest", events=events)
    reads: dict[str, list[Callable[[], Any]]] = {
        "get": [queue.get_nowait],
        "get_many": [lambda: queue.get_many(block=False)],
        "iteration": [lambda: first_of(queue)],
    }
    reads["mixed"] = [read for kind in reads.values() for read in kind]
    got: list[int] = []
    written = raised = 0

    def keep(result: Any) -> None:
        if result is None:
            return
        records = [result] if not hasattr(result, "tolist") else result
        for record in records:
            if (record["Kind"] if isinstance(record, np.void) else isinstance(record, Event)) == 0:
                got.append(int(record["Volume"]))

    def write(count: int) -> None:
        nonlocal written
        for _ in range(count):
            feed.tick("rb2601", Volume=written)
            written += 1
            if events:
                feed.event("front_connected")

    for _ in range(ROUNDS):
        if queue.qsize() == 0:
            write(rng.choice((1, 2, 5, 50, 300)))
        result, was = raising(rng.choice(reads[method]), rng.uniform(1e-6, 40e-6))
        raised += was
        keep(result)
    while queue.qsize():
        keep(queue.get_nowait())
    print(f"{raised} of {ROUNDS} were interrupted")
    assert raised > 100, "the signals fell elsewhere: this proves nothing"
    assert got == list(range(written))
    assert (queue.received, queue.lost) == (written, 0)


def interrupting(function: Callable[..., Any]) -> Callable[..., Any]:
    """As if the signal had come at the end of the call: what it did is done, and then the handler raises."""

    def call(*args: Any) -> Any:
        function(*args)
        raise Raised

    return call


@pytest.mark.parametrize("size", [1, BATCH - 1, BATCH, BATCH + 1, ROWS])
@pytest.mark.parametrize("read", [one, one_of_iteration, many])
@pytest.mark.parametrize("successor", [False, True])
def test_what_was_taken_when_the_handler_raised_comes_next(
    feed: Feed, size: int, read: Callable[[TickQueue], list[int]], successor: bool
) -> None:
    queue = feed.queue()
    feed.tick("rb2601", Volume=0)
    assert queue.get().Volume == 0
    for n in range(1, size + 1):
        feed.tick("rb2601", Volume=n)
    real = queue._poll, queue._first_look
    queue._poll, queue._first_look = map(interrupting, real)
    with pytest.raises(Raised):
        read(queue)
    queue._poll, queue._first_look = real
    feed.tick("rb2601", Volume=size + 1)
    assert (queue.received, queue.qsize(), queue.sequence) == (1, size + 1, 1)
    reader = queue
    if successor:  # what the program was never given is the next reader's
        queue._drop_reader()
        reader = TickQueue.attach(queue.name)
    got = []
    while reader.qsize():
        got += read(reader)
    assert got == list(range(1, size + 2))
    assert (reader.received, reader.lost) == (size + 2, 0)
    feed.tick("rb2601", Volume=size + 2)
    assert reader.get().Volume == size + 2
    if successor:
        reader.close()


def test_events_taken_when_the_handler_raised_are_events(feed: Feed) -> None:
    queue = feed.queue(events=True)
    feed.event("front_connected")
    assert isinstance(queue.get(), Event)
    for read in (queue.get, queue.get_many):
        feed.event("front_connected")
        feed.tick("rb2601")
        real, queue._first_look = queue._first_look, interrupting(queue._first_look)
        with pytest.raises(Raised):
            read()
        queue._first_look = real
        assert [type(queue.get()).__name__ for _ in range(2)] == ["Event", "Tick"]


@pytest.mark.parametrize("call", ["reader_open", "_begin_taking"])
def test_a_handler_that_raises_while_the_place_is_taken_does_not_keep_it(
    feed: Feed, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tickengine import queue as module

    queue = feed.queue()
    feed.tick("rb2601", Volume=5)
    owner: Any = module.lib() if call == "reader_open" else queue
    real = getattr(owner, call)
    try:
        setattr(owner, call, interrupting(real))
        with pytest.raises(Raised):
            queue.get()
    finally:
        setattr(owner, call, real)
    assert [place["pid"] for place in feed.log.queues()] == [None]
    assert queue.get().Volume == 5


def test_a_handler_that_raises_while_a_queue_is_made_leaves_no_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TickQueue, "_setup", interrupting(TickQueue._setup))
    with pytest.raises(Raised):
        TickQueue(name="unit-interrupted")
    monkeypatch.undo()
    TickQueue(name="unit-interrupted").close()


@pytest.mark.parametrize("wait", ["adaptive", "spin", "block"])
@pytest.mark.parametrize("other_thread", [False, True])
@pytest.mark.parametrize("method", ["get", "get_many", "iteration"])
def test_ctrl_c_ends_a_wait_and_the_next_one_reads_on(feed: Feed, wait: str, other_thread: bool, method: str) -> None:
    queue = feed.queue(wait=wait)
    feed.tick("rb2601", Volume=0)
    assert queue.get().Volume == 0
    reads: dict[str, Callable[[], Any]] = {
        "get": queue.get,
        "get_many": queue.get_many,
        "iteration": lambda: first_of(queue),
    }
    told, tell = os.pipe()

    def interrupt() -> None:
        """Once, when the reader is in its wait. A signal that comes a little earlier ends the same call."""
        os.read(told, 1)
        signal.sigtimedwait([], 0.05)
        os.kill(reader, signal.SIGINT)

    # A second Python thread makes a spinning reader let go of the GIL. Without one, another process does it.
    reader, helper, process = os.getpid(), threading.Thread(target=interrupt), 0
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if other_thread:
            helper.start()
        elif (process := os.fork()) == 0:
            try:
                interrupt()
            finally:
                os._exit(0)
        with pytest.raises(KeyboardInterrupt):
            os.write(tell, b"x")
            reads[method]()
    finally:
        if process:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        elif other_thread:
            helper.join(20)
        signal.signal(signal.SIGINT, before)
        os.close(told)
        os.close(tell)
    for n in range(1, 4):
        feed.tick("rb2601", Volume=n)
    assert [queue.get(timeout=20).Volume for _ in range(3)] == [1, 2, 3]
    with pytest.raises(stdlib_queue.Empty):
        queue.get_nowait()


@pytest.mark.parametrize("method", ["get", "get_many", "iteration"])
def test_an_exception_in_the_programs_loop_costs_what_it_was_given_and_nothing_else(feed: Feed, method: str) -> None:
    queue = feed.queue()
    for n in range(3 * BATCH):
        feed.tick("rb2601", Volume=n)
    got: list[int] = []

    def work() -> None:
        ticks: Any = iter(queue) if method == "iteration" else iter(lambda: queue.get(timeout=5), None)
        if method == "get_many":
            ticks = (tick for _ in iter(int, 1) for tick in queue.get_many(1))
        for tick in ticks:
            got.append(int(tick["Volume"]))
            if len(got) % 50 == 49:
                raise ValueError(got[-1])
            if len(got) == 3 * BATCH:
                return

    failures = 0
    while len(got) < 3 * BATCH:
        try:
            work()
        except ValueError:
            failures += 1
    assert (got, failures) == (list(range(3 * BATCH)), 3 * BATCH // 50)
    assert (queue.received, queue.lost) == (3 * BATCH, 0)
