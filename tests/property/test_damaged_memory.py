"""Random bytes anywhere in a live log and its queue: who reads gets ticks or an error of ours, and nothing worse.

Another program of the same user can write into the segments. Readers and lookers run in a child here: it must
not die by a signal, and must come back from every call.
"""

from __future__ import annotations

import mmap
import os
import random
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from children import in_child
from writing import Feed

from tickengine import TickEngineError, TickLog, TickQueue

CAPACITY, INSTRUMENTS = 64, 8
IDS = ["rb2601", "IF2512", "m2605"]
CORNERS = [0, 1, 0x7F, 0x80, 0xFF]
# docs/layout.md: where a log has its words. Records are most of the file and the least interesting part of it.
HEADER, SLOTS, TABLES = (0, 512), (4096, 4096 + 2 * 1472), (4096 + 256 * 1472, 4096 + 256 * 1472 + 4096)


def looks_of(log: TickLog) -> list[Callable[[], Any]]:
    return [
        log.info, log.status, log.queues, log.instruments, log.view, lambda: log.read(0), lambda: repr(log),
        lambda: len(log), lambda: [log.latest(i) for i in IDS], lambda: log.exchange_inst_id(3), lambda: log[-1],
        lambda: TickLog.attach(log.name).close(),
    ]  # fmt: skip


def reads_of(queue: TickQueue) -> list[Callable[[], Any]]:
    return [
        lambda: queue.get(timeout=0.002), queue.get_nowait, lambda: queue.get_many(timeout=0.002),
        lambda: queue.get_many(block=False), queue.qsize, lambda: (queue.lost, queue.received, queue.skipped),
        lambda: repr(queue.get_nowait()), lambda: str(queue.get_nowait()), lambda: queue.instruments,
        lambda: TickQueue.attach(queue.name).close(), lambda: repr(queue), queue._drop_reader,
    ]  # fmt: skip


def spoil(rng: random.Random, log: mmap.mmap, queue: mmap.mmap) -> None:
    """One of: a bit, a word of one kind of bytes, a word that is nearly another one, a stretch of noise."""
    where = rng.choice([HEADER, HEADER, SLOTS, TABLES, (0, len(log)), (-1, 0), (-1, 0)])
    memory = queue if where[0] < 0 else log
    start, stop = (0, 1024) if where[0] < 0 else where
    at = rng.randrange(start, stop - 8)
    kind = rng.randrange(5)
    if kind == 0:
        memory[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        memory[at - at % 8 : at - at % 8 + 8] = bytes([rng.choice(CORNERS)]) * 8
    elif kind == 2:
        memory[at - at % 8 : at - at % 8 + 8] = rng.choice([63, 64, 65, 1 << 31, 1 << 62, 2**64 - 65]).to_bytes(
            8, "little"
        )
    else:
        size = min(rng.choice([8, 64, 700]), stop - at)
        memory[at : at + size] = rng.randbytes(size) if kind == 3 else b"\xff" * size


def use(seed: int, name: str, names: list[str], log_bytes: mmap.mmap, queue_bytes: list[mmap.mmap]) -> None:
    rng = random.Random(seed)
    log = TickLog.attach(name)
    queues = [TickQueue.attach(one) for one in names]
    for queue in queues:
        queue.get(timeout=5)
    calls = looks_of(log) + [read for queue in queues for read in reads_of(queue)]
    for _ in range(rng.randrange(1, 12)):
        if rng.random() < 0.7:
            spoil(rng, log_bytes, rng.choice(queue_bytes))
        for call in rng.sample(calls, 8):
            signal.alarm(20)  # to hang is to die by a signal, too
            with suppress(TickEngineError, Empty, IndexError):
                call()


def damage(seed: int, live: bool) -> None:
    rng = random.Random(seed)
    feed = Feed(capacity=CAPACITY, instruments=INSTRUMENTS)
    maps: list[mmap.mmap] = []
    pid = 0
    try:
        queues = [feed.queue(None), feed.queue(["IF2512", "m2605"], start="oldest", events=True)]
        for n in range(3 * CAPACITY):
            feed.tick(IDS[n % 3], Volume=n)
            if n % 7 == 0:
                feed.event("front_connected", text=b"words")
        feed.log.set_status_text({"state": "live"})
        for path in (feed.log.path, *(queue.path for queue in queues)):
            with open(path, "r+b") as f:
                maps.append(mmap.mmap(f.fileno(), 0))
        good = [bytes(one) for one in maps]
        pid = in_child(use, seed, feed.log.name, [queue.name for queue in queues], maps[0], maps[1:])
        ended, status = os.waitpid(pid, os.WNOHANG if live else 0)
        while not ended:  # the log goes on meanwhile: that mends some of it, and some of it reaches the writer
            feed.tick(rng.choice(IDS), Volume=1)
            ended, status = os.waitpid(pid, os.WNOHANG)
        pid = 0
        assert status == 0, f"seed {seed}: wait status {status} (low 7 bits: the signal; {signal.SIGALRM:d}: it hung)"
        for memory, content in zip(maps, good):
            memory[:] = content
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for memory in maps:
            memory.close()
        feed.close()


@pytest.mark.slow
@pytest.mark.timeout(170)
@pytest.mark.parametrize("live", [False, True])
def test_readers_of_memory_that_somebody_spoils_neither_crash_nor_hang(live: bool) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    for n in range(int(os.environ.get("TICKENGINE_DAMAGES", "150"))):
        damage(seed + n, live)
