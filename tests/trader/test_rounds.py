"""Two hundred rounds of orders with cuts, kills and refusals at random moments: the book is always the front's.

Each round's plan comes from the seed and its number alone; a failure names both, and
``PYTHONPATH=tests/trader python -m rounds --seed S --round N`` plays it again.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import Counter

import pytest
from rounds.lane import Lane
from rounds.plan import make_plan

from tickengine.front.trading import MOMENTS

SEED = int(os.environ.get("TICKENGINE_ROUNDS_SEED", "1"))
ROUNDS = 200
BATCH = 100
LANES = 12
"""A round is mostly waiting for the pace of queries, so several are played at once."""


def play_all(numbers: range, library: str) -> Counter[str]:
    """Play these rounds, in as many lanes; returns what was done."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in numbers:
        waiting.put(number)
    done: Counter[str] = Counter()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with Lane(library) as lane:
                while not errors:
                    try:
                        number = waiting.get_nowait()
                    except queue.Empty:
                        break
                    lane.play(make_plan(SEED, number))
            done.update(lane.done)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(LANES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return done


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(0, ROUNDS, BATCH))
def test_the_book_of_record_equals_the_fronts(first: int, genuine_trader: str) -> None:
    done = play_all(range(first, first + BATCH), genuine_trader)
    assert done["orders_received"] > BATCH and done["actions_received"] > BATCH // 10 and done["trades"] > BATCH
    assert done["faults_happened"] > BATCH // 3 and done["killed"] and done["kill_strategy"]


def test_a_plan_is_its_numbers() -> None:
    assert make_plan(1, 7) == make_plan(1, 7) != make_plan(1, 8) != make_plan(2, 8)
    steps = [step for number in range(ROUNDS) for step in make_plan(SEED, number).steps]
    assert {step.values[0] for step in steps if step.what == "cut_at"} == set(MOMENTS)
    kinds = {step.what for step in steps}
    assert kinds >= {"cut", "silence", "delay_returns", "repeat_at_login", "refuse_logins", "refuse_orders"}
    assert kinds >= {"reject_orders", "disconnect", "connect", "kill_trader", "kill_strategy", "stop_strategy"}
    modes = {step.values[0] for step in steps if step.what in ("kill_strategy", "stop_strategy")}
    assert modes == {"resume", "restart", "quick"}
