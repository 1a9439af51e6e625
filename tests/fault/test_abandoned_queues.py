"""Queues that nobody closes, and forks in the middle of reading: places, files and segments come back."""

from __future__ import annotations

import gc
import glob
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest
from children import ended_well, in_child
from feed_support import FORK, receive, wait_for
from writing import Feed

from tickengine import BusyError, Closed, ShimError, TickQueue
from tickengine.log import MAX_READERS

MANY = 2 * MAX_READERS + 20


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed(capacity=1024)
    yield feed
    feed.close()


def segments() -> set[str]:
    return set(glob.glob(f"/dev/shm/tickengine-{os.geteuid()}-*"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("read", [False, True])
def test_queues_that_are_only_let_go_give_back_place_segment_and_descriptors(feed: Feed, read: bool) -> None:
    feed.tick("rb2601", Volume=3)
    before, open_before = segments(), descriptors()
    for _ in range(MANY):
        queue = TickQueue(start="oldest")
        queue.bind(feed.log)
        if read:
            assert queue.get(timeout=5).Volume == 3
        del queue
        gc.collect(0)
    assert feed.log.queues() == []
    assert (segments(), descriptors()) == (before, open_before)


def attach_and_read(name: str, told: int, forever: bool) -> None:
    queue = TickQueue.attach(name, start="oldest")
    assert queue.get(timeout=20).Volume == 3
    os.write(told, b"r")
    if forever:
        signal.pause()


def test_workers_that_attached_by_name_and_were_killed_give_their_places_to_others() -> None:
    feed = Feed(capacity=1024)
    feed.tick("rb2601", Volume=3)
    reads, told = os.pipe()
    children: list[int] = []
    try:
        killed = 0
        while killed < MAX_READERS + 40:
            children = [in_child(attach_and_read, feed.log.name, told, True) for _ in range(16)]
            got = b""
            while len(got) < len(children):
                got += os.read(reads, 64)
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                killed += 1
            children = []
        living = {place["name"] for place in feed.log.queues() if place["alive"]}
        assert not living
        queue = feed.queue()
        assert queue.get(timeout=5).Volume == 3
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(reads)
        os.close(told)
        # Their segments go with the log: by the sweep of the next program.
        feed.close()
        subprocess.run([sys.executable, "-c", "from tickengine import TickQueue; TickQueue().close()"], check=True)


def test_the_257th_living_queue_is_told_so_until_one_dies() -> None:
    feed = Feed(capacity=1024)
    feed.tick("rb2601", Volume=3)
    reads, told = os.pipe()
    child = in_child(attach_and_read, feed.log.name, told, True)
    extra = TickQueue(start="oldest")
    try:
        assert os.read(reads, 1) == b"r"
        queues = [feed.queue() for _ in range(MAX_READERS - 1)]
        with pytest.raises(ShimError, match=rf"has no place for another queue \({MAX_READERS} are open\)"):
            extra.bind(feed.log)
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[0] == child
        child = 0
        extra.bind(feed.log)
        assert extra.get(timeout=5).Volume == 3
        assert all(queue.get(timeout=5).Volume == 3 for queue in queues)
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        extra.close()
        os.close(reads)
        os.close(told)
        feed.close()
        subprocess.run([sys.executable, "-c", "from tickengine import TickQueue; TickQueue().close()"], check=True)


def test_handles_from_outside_come_and_go_without_a_trace(feed: Feed) -> None:
    queue = feed.queue()
    for n in range(MANY):
        feed.tick("rb2601", Volume=n)
    gc.collect()
    before, open_before = segments(), descriptors()
    for n in range(MANY):  # each takes the queue up where the last one left it
        twin = TickQueue.attach(queue.name) if n % 2 else pickle.loads(pickle.dumps(queue))
        assert twin.get(timeout=5).Volume == n
        if n % 3:
            twin.close()
        del twin
        gc.collect(0)
    assert (segments(), descriptors()) == (before, open_before)
    (place,) = feed.log.queues()
    assert (place["received"], place["lost"], place["pid"]) == (MANY, 0, None)


# ---- forks --------------------------------------------------------------------------------------


def use_in_child(queue: TickQueue, answer: Connection) -> None:
    """Everything a child may try with the queue that its parent reads."""
    words = []
    for call in (queue.get, queue.get_many, lambda: next(iter(queue)), queue.get_nowait, queue.qsize):
        try:
            words.append(repr(call()))
        except BusyError as error:
            words.append(str(error))
    answer.send((words, queue.lost, queue.received, repr(queue)))
    queue.close()
    answer.close()


@pytest.mark.parametrize("how", ["os.fork", "multiprocessing"])
@pytest.mark.parametrize("ends", ["_exit", "exit", "killed"])
def test_a_fork_in_the_middle_of_reading_leaves_the_queue_to_the_parent(feed: Feed, how: str, ends: str) -> None:
    queue = feed.queue()
    for n in range(100):
        feed.tick("rb2601", Volume=n)
    assert [queue.get().Volume for _ in range(10)] == list(range(10))  # 90 more are in its hands
    before = segments()
    ours, theirs = multiprocessing.Pipe()

    def body() -> None:
        use_in_child(queue, theirs)
        if ends == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if ends == "exit":  # as a program that forks and ends: finalizers run
            import weakref

            weakref.finalize._exitfunc()  # type: ignore[attr-defined]
            gc.collect()

    if how == "os.fork":
        status = os.waitpid(in_child(body), 0)[1]
    else:
        process = FORK.Process(target=body)
        process.start()
        process.join(20)
        status = -process.exitcode if process.exitcode else 0
    assert status == (signal.SIGKILL if ends == "killed" else 0)
    words, lost, received, text = receive(ours)
    told = f"queue {queue.name!r} is being read by process {os.getpid()}; make one queue for each worker"
    assert [word.replace('"', "'") for word in words] == [told] * 5
    assert (lost, received) == (0, 0) and "unbound" in text
    ours.close()
    theirs.close()
    # The parent: as if nothing had been.
    assert segments() == before
    (place,) = feed.log.queues()
    assert (place["pid"], place["received"], place["name"]) == (os.getpid(), 10, queue.name)
    feed.tick("rb2601", Volume=100)
    assert [queue.get().Volume for _ in range(91)] == list(range(10, 101))
    assert (queue.received, queue.lost) == (101, 0)


def test_a_child_has_the_queue_when_its_parent_has_let_it_go(feed: Feed) -> None:
    """The usual case: made by the parent, read by the child alone; the parent looks in between and at the end."""
    queue = feed.queue()
    for n in range(20):
        feed.tick("rb2601", Volume=n)
    assert [queue.get().Volume for _ in range(5)] == list(range(5))
    queue._drop_reader()

    def child() -> None:
        assert [queue.get(timeout=5).Volume for _ in range(10)] == list(range(5, 15))
        queue._drop_reader()

    assert ended_well(in_child(child))
    assert [queue.get(timeout=5).Volume for _ in range(5)] == list(range(15, 20))


def test_a_forked_child_that_lets_a_closed_queue_go_leaves_the_place_to_its_parent(feed: Feed) -> None:
    feed.tick("rb2601", Volume=3)
    queue = feed.queue()
    go, told = multiprocessing.Pipe()

    def reader() -> None:
        held = [TickQueue.attach(queue.name)]
        assert held[0].get(timeout=5).Volume == 3
        told.send("reads")
        assert receive(told) == "closed"

        def let_go() -> None:
            held.clear()
            gc.collect()

        assert ended_well(in_child(let_go))
        told.send("child gone")
        assert receive(told) == "looked"

    child = in_child(reader)
    try:
        assert receive(go) == "reads"
        queue.close()
        go.send("closed")
        assert receive(go) == "child gone"
        assert [place["pid"] for place in feed.log.queues()] == [child]  # given to another it would have two readers
        go.send("looked")
        pid, child = child, 0
        assert ended_well(pid)
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        go.close()
        told.close()


def test_a_fork_while_another_thread_takes_the_queue_up_leaves_the_child_no_lock(feed: Feed) -> None:
    feed.tick("rb2601", Volume=3)
    queue = feed.queue()

    def child() -> None:
        signal.alarm(20)  # a lock whose holder is not here is waited for in vain
        assert queue.get(timeout=5).Volume == 3
        queue._drop_reader()

    with queue._opening:  # as a thread has it that looks for its engine's log
        pid = in_child(child)
    assert ended_well(pid)


@pytest.mark.parametrize("wait", ["adaptive", "block", "spin"])
def test_a_fork_while_another_thread_waits_in_the_queue_disturbs_neither(feed: Feed, wait: str) -> None:
    queue = feed.queue(start="now", wait=wait)
    other = feed.queue(start="oldest")
    got: list[int] = []
    errors: list[BaseException] = []

    def read() -> None:
        try:
            got.extend(tick.Volume for tick in queue)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        feed.tick("rb2601", Volume=0)
        wait_for(lambda: got == [0], "the thread reads")

        def child() -> None:
            # The thread is not here. Its queue says who has it, another one works.
            with pytest.raises(BusyError, match="is being read by process"):
                queue.get(timeout=5)
            queue.close()
            assert other.get(timeout=5).Volume == 0
            gc.collect()

        for n in range(1, 30):
            pid = in_child(child) if n % 10 == 0 else 0
            feed.tick("rb2601", Volume=n)
            wait_for(lambda n=n: got[-1] == n, "the thread reads on")
            if pid:
                assert ended_well(pid)
                other.close()
                other = feed.queue(start=0)
    finally:
        feed.log.end()
        thread.join(20)
    assert not thread.is_alive() and not errors
    assert got == list(range(30))
    with pytest.raises(Closed):
        queue.get()
