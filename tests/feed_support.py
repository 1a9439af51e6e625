"""What the feed tests share: engines on a front, workers that verify every tick, waiting for conditions."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from tickengine import MdApi, TickEngine, TickQueue
from tickengine.front import NumberedMarket
from tickengine.tick import VENDOR_FIELDS

IDS = ["rb2601", "IF2512", "m2605", "SR601"]
SPAWN = multiprocessing.get_context("spawn")
FORK = multiprocessing.get_context("fork")

# ExchangeInstID is not in the record but in the log's table; no 6.3.6 tick has banding prices.
CHECKED = [name for name in VENDOR_FIELDS if name not in ("ExchangeInstID", "BandingUpperPrice", "BandingLowerPrice")]


def engine_on(
    address: str | Sequence[str], library: str, ids: Sequence[str], queues: Sequence[Any], **options: Any
) -> TickEngine:
    return TickEngine(
        address, "9999", "investor", "pass-word-1", "app", "auth-code-1", ids, queues, library=library, **options
    )


@contextmanager
def api_on(
    address: str | Sequence[str], library: str, ids: Sequence[str], queues: Sequence[Any] = (), **options: Any
) -> Iterator[MdApi]:
    """An api in this process, where a test can change the session's deadlines."""
    api = MdApi(
        address, "9999", "investor", "pass-word-1", "app", "auth-code-1", ids, queues, library=library, **options
    )
    try:
        yield api
    finally:
        api.Release()


def wait_for(condition: Callable[[], Any], what: str, timeout: float = 60.0) -> Any:
    """The condition's first true value; a failure that says what was waited for."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(0.005)  # the pace of looking, not a wait for the thing itself


def numbers_of(records: np.ndarray) -> np.ndarray:
    """The running numbers of `NumberedMarket` ticks: Turnover holds them."""
    return records["Turnover"].astype(np.int64)


def check_ticks(records: np.ndarray, market: NumberedMarket) -> np.ndarray:
    """Every field of every tick is what its running number demands; returns the numbers."""
    numbers = numbers_of(records)
    expected = market.expected(numbers)
    for name in CHECKED:
        got, want = records[name], expected[name]
        wrong = got != want
        assert not wrong.any(), f"{name} of tick {numbers[wrong][0]}: {got[wrong][0]!r}, expected {want[wrong][0]!r}"
    return numbers


def verify_all(queue: TickQueue, market: NumberedMarket, answer: Connection) -> None:
    """A worker: takes everything until the end, checks every field and the order, reports runs of numbers.

    Reports ``{"runs": [(first, stop, step)...], "count", "lost", "sequences ascending"}`` as found.
    """
    answer.send("ready")
    count = 0
    runs: list[list[int]] = []
    last_stamp = 0
    step = 0
    while True:
        try:
            records = queue.get_many()
        except Exception as error:
            if type(error).__name__ != "Closed":
                raise
            break
        stamps = records["Stamp"]
        assert (np.diff(stamps.astype(np.int64)) > 0).all() and stamps[0] > last_stamp
        last_stamp = int(stamps[-1])
        numbers = check_ticks(records, market)
        count += len(numbers)
        if not step and len(numbers) + len(runs) > 1:  # the first batches may be of one tick each
            step = int(numbers[1] - numbers[0] if len(numbers) > 1 else numbers[0] - runs[-1][1])
        breaks = np.flatnonzero(np.diff(numbers) != max(step, 1))
        starts = np.concatenate(([0], breaks + 1))
        stops = np.concatenate((breaks, [len(numbers) - 1]))
        for a, b in zip(starts, stops):
            first, last = int(numbers[a]), int(numbers[b])
            if runs and first == runs[-1][1] + max(step, 1):
                runs[-1][1] = last
            else:
                runs.append([first, last])
    answer.send({"runs": runs, "count": count, "lost": queue.lost, "received": queue.received})
    answer.close()


@contextmanager
def workers(
    jobs: Sequence[tuple[Callable[..., None], tuple[Any, ...]]], context: Any = SPAWN, ready: bool = True
) -> Iterator[list[Connection]]:
    """Processes running ``target(*args, connection)``; yields our ends after each has said it is ready."""
    connections, processes = [], []
    try:
        for target, args in jobs:
            ours, theirs = context.Pipe()
            process = context.Process(target=target, args=(*args, theirs))
            process.start()
            theirs.close()
            connections.append(ours)
            processes.append(process)
        if ready:
            for connection in connections:
                assert receive(connection) == "ready"
        yield connections
    finally:
        for process in processes:
            process.join(20)
            if process.is_alive():
                process.kill()
                process.join()
        for connection in connections:
            connection.close()


def receive(connection: Connection, timeout: float = 60.0) -> Any:
    """The next message; a worker that died or hangs is a failure, not a wait for ever."""
    if not connection.poll(timeout):
        raise AssertionError(f"no answer from a worker within {timeout:g} s")
    try:
        return connection.recv()
    except EOFError:
        raise AssertionError("a worker died (its traceback is above)") from None
