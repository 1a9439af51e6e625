"""`Join` and `join`, and the `Release` and `stop` that interrupt them."""

from __future__ import annotations

import inspect
import itertools
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from children import ended_well, in_child

from tickengine._inprocess import InProcessApi
from tickengine._supervisor import Supervised


class Session:
    """Runs until it is stopped."""

    failure = ""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def run(self) -> None:
        self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()


class Api(InProcessApi):
    _signature = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in ("password", "auth_code")]
    )
    _goes_on = "nothing"

    def _start(self, **_arguments: object) -> None:
        self._session = Session()
        self._run()

    def _tidy(self) -> None:
        pass


def make() -> Api:
    return Api(password="", auth_code="")


class Engine(Supervised):
    """With a supervisor, and no process."""

    def __init__(self) -> None:
        super().__init__("unit-join", False, None)
        self._wake_r, self._wake_w = os.pipe()
        self._connection, self._other = multiprocessing.Pipe()
        self._supervisor = threading.Thread(target=self._supervise)
        self._supervisor.start()

    def _supervise(self) -> None:
        os.read(self._wake_r, 1)
        self._ended.set()

    def start(self) -> None:
        pass

    def told_and_joined(self) -> None:
        self._send("subscribe", ["rb2601"])
        self.join()


def joined_and_interrupted(joined: Any, stop: Callable[[], None], line: int) -> bool:
    """False: so many lines did not come. A trace function comes between two lines, as a signal's handler does."""
    left = line

    def trace(*_: object) -> object:
        nonlocal left
        left -= 1
        if not left:
            stop()
        return trace

    ends = threading.Timer(0.5, lambda: left > 0 and stop())
    ends.start()
    sys.settrace(trace)  # type: ignore[arg-type]
    joined()
    sys.settrace(None)
    came = left <= 0
    ends.cancel()
    ends.join()
    return came


@pytest.mark.parametrize("kind", ["api", "engine", "engine that is just told something"])
def test_a_signals_handler_may_end_it_wherever_join_is(kind: str) -> None:
    def ended_at_each_line() -> None:
        for line in itertools.count(1):
            if kind == "api":
                api = make()
                came = joined_and_interrupted(api.Join, api.Release, line)
            else:
                with Engine() as engine:
                    told = engine.told_and_joined if kind != "engine" else engine.join
                    came = joined_and_interrupted(told, engine.stop, line)
            if not came:
                break
        assert line > 10

    assert ended_well(in_child(ended_at_each_line))


def test_all_who_join_are_told() -> None:
    api = make()
    threads = [threading.Thread(target=api.Join) for _ in range(3)]
    for thread in threads:
        thread.start()
    api.Release()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
