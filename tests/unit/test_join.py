"""`Join`, and a `Release` that interrupts it."""

from __future__ import annotations

import inspect
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from children import ended_well, in_child

from tickengine._inprocess import InProcessApi


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


def test_a_signals_handler_may_release_wherever_join_is() -> None:
    """A trace function comes between two lines, as a signal's handler does."""

    def released_at_each_line() -> None:
        line, left = 0, 0
        while left <= 0:  # not all lines of the last one
            line = left = line + 1
            api = make()

            def trace(*_: object, api: Api = api) -> object:
                nonlocal left
                left -= 1
                if not left:
                    api.Release()
                return trace

            timer = threading.Timer(0.05, api._session.stop)  # where so many lines do not come
            timer.start()
            sys.settrace(trace)  # type: ignore[arg-type]
            assert api.Join() == 0
            sys.settrace(None)
            timer.join()
        assert line > 10

    assert ended_well(in_child(released_at_each_line))


def test_all_who_join_are_told() -> None:
    api = make()
    threads = [threading.Thread(target=api.Join) for _ in range(3)]
    for thread in threads:
        thread.start()
    api.Release()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
