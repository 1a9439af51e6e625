"""asyncio: ``async for``, `get_async` and `get_many_async`; a cancelled task has taken nothing."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from queue import Empty

import pytest
from writing import Feed

from tickengine import BusyError, Closed, Event, TickQueue

LONG = 60


def in_thread(body: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=body)
    thread.start()
    return thread


def test_iteration_ends_with_the_log_and_other_tasks_run_beside_it(feed: Feed) -> None:
    many = 1500
    ticks = feed.queue(events=True, start="oldest")
    beats = 0

    def write() -> None:
        feed.event("logged_in", text=b"20260105")
        for _ in range(many):
            feed.tick("rb2601")
        feed.log.end()

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    async def main() -> list[object]:
        other = asyncio.create_task(beat())
        got = [record async for record in ticks]
        other.cancel()
        return got

    writer = in_thread(write)
    got = asyncio.run(asyncio.wait_for(main(), LONG))
    writer.join()
    assert isinstance(got[0], Event)
    assert [record.Sequence for record in got] == list(range(many + 1))  # type: ignore[attr-defined]
    assert beats >= 5
    assert (ticks.received, ticks.lost) == (many, 0)


def test_each_kind_of_call(feed: Feed) -> None:
    ticks = feed.queue()

    async def main() -> None:
        asyncio.get_running_loop().call_later(0.005, feed.tick, "rb2601")
        assert (await ticks.get_async()).Sequence == 0
        for _ in range(5):
            feed.tick("rb2601")
        assert (await ticks.get_many_async(3))["Stamp"].tolist() == [2, 3, 4]
        async for tick in ticks:
            assert tick.Sequence == 4
            break
        asyncio.get_running_loop().call_later(0.005, feed.tick, "rb2601")
        assert (await ticks.get_async()).Sequence == 5
        assert (await ticks.get_many_async())["Stamp"].tolist() == [7]
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ticks.get_async(), 0.01)
        feed.tick("rb2601")
        assert (await asyncio.wait_for(ticks.get_async(), LONG)).Sequence == 7

    asyncio.run(main())


def test_an_interruption_a_close_and_the_end(feed: Feed) -> None:
    interrupted, ended, closed = feed.queue(), feed.queue(), feed.queue()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.005, interrupted.interrupt)
        with pytest.raises(Empty):
            await interrupted.get_async()
        feed.tick("rb2601")
        assert (await interrupted.get_async()).Sequence == 0
        loop.call_later(0.005, interrupted.interrupt)
        with pytest.raises(Empty):
            [tick async for tick in interrupted]
        waiting = asyncio.create_task(_all(closed))
        await asyncio.sleep(0)
        other = in_thread(closed.close)
        assert [tick.Sequence for tick in await waiting] in ([0], [])
        other.join()
        with pytest.raises(Closed):
            await closed.get_async()
        loop.call_later(0.005, feed.log.end)
        assert len(await _all(ended)) == 1
        with pytest.raises(Closed):
            await ended.get_many_async()

    asyncio.run(asyncio.wait_for(main(), LONG))


async def _all(queue: TickQueue) -> list[object]:
    return [tick async for tick in queue]


def test_two_tasks_of_one_loop_share_and_two_loops_take_turns(feed: Feed) -> None:
    ticks = feed.queue()

    async def main(first: int) -> None:
        got: list[int] = []

        async def take() -> None:
            while len(got) < 40:
                got.append((await ticks.get_async()).Sequence)

        tasks = [asyncio.create_task(take()) for _ in range(2)]
        for _ in range(40):
            feed.tick("rb2601")
            await asyncio.sleep(0)
        await asyncio.wait(tasks, timeout=LONG, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert got == list(range(first, first + 40))

    for first in (0, 40):
        asyncio.run(main(first))


def test_two_loops_at_once_are_refused(feed: Feed) -> None:
    """Whichever of them comes to wait second."""
    ticks = feed.queue()
    waiting, refused = threading.Event(), threading.Event()
    outcomes: list[object] = []

    async def ask() -> None:
        task = asyncio.create_task(ticks.get_async())
        await asyncio.sleep(0)
        waiting.set()
        try:
            outcomes.append((await task).Sequence)
        except BusyError as error:
            outcomes.append("another event loop" in str(error))
            refused.set()

    first = in_thread(lambda: asyncio.run(ask()))
    assert waiting.wait(LONG)
    second = in_thread(lambda: asyncio.run(ask()))
    try:
        assert refused.wait(LONG)
    finally:
        feed.tick("rb2601")
        feed.log.end()  # nobody waits for ever
        first.join()
        second.join()
    assert sorted(outcomes, key=repr) == [0, True]


def test_of_two_loops_that_ask_at_the_same_moment_one_is_refused(feed: Feed) -> None:
    both = threading.Barrier(2)

    class Slow(TickQueue):
        def fileno(self) -> int:
            try:
                both.wait(0.5)  # until the other one is here, too: it must not come
            except threading.BrokenBarrierError:
                pass
            return super().fileno()

    outcomes: list[str] = []
    refused = threading.Event()

    async def ask() -> None:
        try:
            await ticks._readable()
            outcomes.append("a tick")
        except BusyError:
            outcomes.append("refused")
            refused.set()

    with Slow() as ticks:
        ticks.bind(feed.log)
        TickQueue.fileno(ticks)  # by now the bell is there
        with pytest.raises(Empty):
            ticks.get_nowait()
        threads = [in_thread(lambda: asyncio.run(ask())) for _ in range(2)]
        try:
            assert refused.wait(LONG)
        finally:
            feed.tick("rb2601")
            feed.log.end()
            for thread in threads:
                thread.join()
    assert sorted(outcomes) == ["a tick", "refused"]


@pytest.mark.parametrize("seed", range(3))
def test_tasks_cancelled_at_any_moment_lose_no_tick(feed: Feed, seed: int) -> None:
    many = 600
    ticks = feed.queue()
    got: list[int] = []
    cancelled = 0
    choose = random.Random(seed)
    written = threading.Event()

    def write() -> None:
        for number in range(many):
            feed.tick("rb2601")
            if number % 3 == 0:
                written.wait(choose.random() * 0.0004)
        feed.log.end()

    async def one(kind: int) -> None:
        if kind == 0:
            got.append((await ticks.get_async()).Sequence)
        elif kind == 1:
            got.extend(int(stamp) - 1 for stamp in (await ticks.get_many_async(4))["Stamp"])
        else:
            async for tick in ticks:
                got.append(tick.Sequence)

    async def main() -> None:
        nonlocal cancelled
        while True:
            task = asyncio.create_task(one(choose.randrange(3)))
            for _ in range(choose.randrange(6)):
                await asyncio.sleep(0)
            if choose.random() < 0.3:
                await asyncio.sleep(choose.random() * 0.001)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                cancelled += 1
            except Closed:
                return
            if ticks.log is None or (ticks.log.closed and len(got) >= many):
                return

    writer = in_thread(write)
    asyncio.run(asyncio.wait_for(main(), LONG))
    writer.join()
    assert got == list(range(many))
    assert cancelled
