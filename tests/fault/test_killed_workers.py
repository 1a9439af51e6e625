"""Workers killed by the thousand: every tick is received once or lost and counted, in order, by whoever reads."""

from __future__ import annotations

import mmap
import os
import random
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest
from children import ended_well, in_child
from feed_support import wait_for
from writing import Feed

from tickengine import Closed, TickLog, TickQueue

IDS = ["rb2601", "IF2512", "m2605"]
KILLS = 1000
NUMBERS = 1 << 22  # more ticks than the feed can write meanwhile: 60 at most in a millisecond at least

MANY = 16
BORN, READING, READ = 0, 1, 2  # a worker's stages: nothing asked for, asked for the first tick, has marked one

# How each queue is read, and which ticks it is for.
QUEUES: list[tuple[str, list[str] | None, str]] = [
    ("get", None, "adaptive"),
    ("iteration", ["IF2512", "rb2601"], "block"),
    ("get", ["m2605"], "spin"),
    ("get_many", None, "adaptive"),
]


class Shared:
    """What workers that may die at any moment tell: marks in memory of their queue."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, NUMBERS + 4096)
        self.seen = np.frombuffer(self.memory, np.uint8, NUMBERS)
        self.words = np.frombuffer(self.memory, np.int64, 512, NUMBERS)
        self.words[0] = -1  # the greatest number given out so far

    @property
    def out_of_order(self) -> int:
        return int(self.words[1])

    @property
    def kills(self) -> int:
        return int(self.words[2])

    @property
    def stage(self) -> int:
        """Of the worker that lives, or lived last."""
        return int(self.words[3])

    @property
    def killed_at(self) -> list[int]:
        """Kills by the worker's stage."""
        return [int(word) for word in self.words[8:11]]

    @property
    def gone(self) -> int:
        """Ticks that killed workers had been given and took with them."""
        return int(self.words[4])

    @property
    def marked(self) -> int:
        return int(np.count_nonzero(self.seen))


def ticks_of(queue: TickQueue, method: str) -> Iterator[int]:
    if method == "iteration":
        for tick in queue:
            yield tick.Volume
        return
    try:
        while True:
            if method == "get":
                yield queue.get().Volume
            else:
                yield from queue.get_many(MANY)["Volume"].tolist()
    except Closed:
        return


def work(name: str, method: str, shared: Shared) -> None:
    """A worker's life, up to the end of the log or its own."""
    seen, words = memoryview(shared.memory), shared.words
    with TickQueue.attach(name) as queue:
        words[3] = READING
        for number in ticks_of(queue, method):
            seen[number] += 1
            if number <= words[0]:
                words[1] += 1
            words[0] = number
            words[3] = READ


def await_first_tick(pid: int, shared: Shared) -> None:
    while shared.stage != READ:
        assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None, "it ended before it was killed"
        signal.sigtimedwait([], 0.0005)  # the pace of looking


def kill_and_replace(log_name: str, name: str, method: str, shared: Shared, kills: int, seed: int) -> None:
    """One worker after the other, each killed at some moment of its life: one in four counted from its birth, before
    it has the queue or soon after, the others from their first tick on."""
    rng = random.Random(seed)
    from_birth = [at % 4 == 0 for at in range(kills)]
    rng.shuffle(from_birth)
    log = TickLog.attach(log_name)
    for at_once in from_birth:
        shared.words[3] = BORN
        pid = in_child(work, name, method, shared)
        if not at_once:
            await_first_tick(pid, shared)
        signal.sigtimedwait([], rng.choice((0.0, rng.expovariate(1 / 0.01))))
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        assert os.WTERMSIG(status) == signal.SIGKILL, "it ended before it was killed"
        shared.words[8 + shared.stage] += 1
        # A tick is counted as given before the worker has it, so that no successor is given it again. Killed before
        # it made its mark, the worker took it along: one tick, or one answer of `get_many`. Of those that wait in
        # the queue's memory for the next call it took none.
        (received,) = (place["received"] for place in log.queues() if place["name"] == name)
        cost = received - shared.marked - shared.gone
        most = 0 if shared.stage == BORN else MANY if method == "get_many" else 1
        assert 0 <= cost <= most, f"{method}: killed in stage {shared.stage} it took {cost} ticks with it"
        shared.words[4] += cost
        shared.words[2] += 1
    log.close()
    assert ended_well(in_child(work, name, method, shared)), "the last successor failed"


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_thousand_workers_killed_at_random_moments_cost_no_tick_that_is_not_accounted_for() -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    feed = Feed(capacity=2048)
    written = dict.fromkeys(IDS, 0)
    number = 0
    spawners: list[int] = []
    each = KILLS // len(QUEUES)
    try:
        queues = [feed.queue(ids, start="now", wait=wait) for _, ids, wait in QUEUES]
        shares = [Shared() for _ in QUEUES]
        for queue, (method, _, _), shared in zip(queues, QUEUES, shares):
            one_seed = rng.randrange(1 << 30)
            spawners.append(in_child(kill_and_replace, feed.log.name, queue.name, method, shared, each, one_seed))
        deadline = time.monotonic() + 120
        while sum(shared.kills for shared in shares) < KILLS:
            assert time.monotonic() < deadline, f"{[shared.kills for shared in shares]} killed by now"
            died = [spawner for spawner in spawners if os.waitpid(spawner, os.WNOHANG)[0]]
            spawners = [spawner for spawner in spawners if spawner not in died]
            assert not died, "see the traceback above"
            for _ in range(rng.randrange(1, 60)):
                instrument = rng.choice(IDS)
                feed.tick(instrument, Volume=number)
                written[instrument] += 1
                number += 1
            assert number < NUMBERS
            signal.sigtimedwait([], 0.001)  # the market's pace
        feed.log.end()
        while spawners:
            assert ended_well(spawners[-1]), "see the traceback above"
            spawners.pop()
        numbers = {place["name"]: place for place in feed.log.queues()}
        for queue, (method, ids, _), shared in zip(queues, QUEUES, shares):
            place = numbers[queue.name]
            wanted = sum(written[i] for i in ids or IDS)
            print(method, ids, place["received"], place["lost"], shared.gone, shared.killed_at)
            assert place["received"] + place["lost"] == wanted
            assert shared.seen.max() == 1, "a tick was given out twice"
            assert shared.out_of_order == 0
            assert place["received"] == shared.marked + shared.gone, "given out, and nobody had it"
            assert sum(shared.killed_at) == shared.kills == each
            assert shared.killed_at[READ] >= 3 * each // 4, "too few were killed while they read"
    finally:
        for spawner in spawners:
            os.kill(spawner, signal.SIGKILL)
            os.waitpid(spawner, 0)
        feed.close()


def read_and_report(name: str, shared: Shared) -> None:
    """What is got, and each time what has been lost up to there."""
    with TickQueue.attach(name) as queue:
        expected = 0
        while True:
            try:
                records = queue.get_many()
            except Closed:
                break
            for number in records["Volume"].tolist():
                shared.words[1] += number < expected
                shared.words[3] += number - expected  # missing
                expected = number + 1
            shared.words[0] = expected
            shared.words[4] += len(records)
            shared.words[5] = queue.lost
        shared.words[5] = queue.lost
        shared.words[6] = queue.received


@pytest.mark.parametrize("stopped_while", ["asleep", "reading"])
def test_a_worker_stopped_while_the_log_wraps_forty_times_counts_its_loss_and_nobody_else_notices(
    stopped_while: str,
) -> None:
    capacity, laps = 1024, 40
    feed = Feed(capacity=capacity)
    number = 0
    children: list[int] = []

    def write(count: int) -> None:
        nonlocal number
        for _ in range(count):
            feed.tick("rb2601", Volume=number)
            number += 1

    try:
        slow = feed.queue(start="now", wait="block" if stopped_while == "asleep" else "spin")
        quick = feed.queue(start="now", wait="spin")  # never asleep: all wakes are the stopped one's
        shares = Shared(), Shared()
        for queue, shared in zip((slow, quick), shares):
            children.append(in_child(read_and_report, queue.name, shared))
        write(capacity // 2)
        wait_for(lambda: all(shared.words[0] == number for shared in shares), "both have read the first ticks")
        if stopped_while == "asleep":
            wait_for(lambda: feed.log.queues()[0]["asleep"], "the reader to be stopped sleeps")
        os.kill(children[0], signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(children[0], os.WUNTRACED)[1])
        before, wakes = number, feed.log.info().wakes
        for _ in range(2 * laps):
            write(capacity // 2)
            wait_for(lambda: shares[1].words[0] == number, "the other worker keeps up")
        # It cost the writer one wake at most, not one a tick.
        assert feed.log.info().wakes - wakes <= 1
        assert int(shares[0].words[0]) == before
        os.kill(children[0], signal.SIGCONT)
        wait_for(lambda: shares[0].words[0] == number, "the stopped worker reads on")
        write(10)
        wait_for(lambda: all(shared.words[0] == number for shared in shares), "both read on")
        feed.log.end()
        while children:
            assert ended_well(children[-1])
            children.pop()
        first, second = ([int(word) for word in shared.words[:7]] for shared in shares)
        assert first[3] == first[5] > (laps - 2) * capacity  # missing is what it says it has lost
        assert first[4] == first[6] and first[4] + first[5] == number
        assert second[3:7] == [0, number, 0, number]
        assert first[1] == second[1] == 0
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        feed.close()


def test_a_reader_that_never_reads_costs_the_writer_no_wake_and_the_others_no_tick() -> None:
    feed = Feed(capacity=256)
    try:
        never = [feed.queue(start="now") for _ in range(100)]
        for queue in never:
            assert queue.qsize() == 0  # it has its place and its reader
        quick = feed.queue(start="now")
        for number in range(10_000):
            feed.tick("rb2601", Volume=number)
            assert quick.get_nowait().Volume == number
        assert feed.log.info().wakes == 0
        assert (quick.received, quick.lost) == (10_000, 0)
        assert {(queue.received, queue.lost + queue.qsize()) for queue in never} <= {(0, 10_000)}
        for queue in never[:3]:  # what is there it still gets, and the number of what is not
            got = [tick.Volume for tick in iter(lambda q=queue: q.get_nowait() if q.qsize() else None, None)]
            assert got == list(range(10_000 - len(got), 10_000)) and len(got) > 100
            assert len(got) + queue.lost == 10_000
    finally:
        feed.close()
