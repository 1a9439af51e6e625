"""Which CPUs and priorities may be asked for, and what threads started under them have."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tickengine import ConfigError, EngineError, placement


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """CPUs 0 to 7, of which 6 and 7 are isolated; this process may use 0, 1, 2 and 5."""
    (tmp_path / "online").write_text("0-7\n")
    (tmp_path / "isolated").write_text("6-7\n")
    monkeypatch.setattr(placement, "_ONLINE", str(tmp_path / "online"))
    monkeypatch.setattr(placement, "_ISOLATED", str(tmp_path / "isolated"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _thread: {0, 1, 2, 5})


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("cpus", "realtime", "chosen"),
    [
        (None, None, (None, None)),
        (1, None, ((1,), None)),
        ([5, 1, 1], None, ((1, 5), None)),
        ({2}, 99, ((2,), 99)),
        (" 0-2,5 ", None, ((0, 1, 2, 5), None)),
        ("1", 1, ((1,), 1)),
        (range(2), None, ((0, 1), None)),
        (6, 10, ((6,), 10)),
        ("5-7", None, ((5, 6, 7), None)),
        (None, 10, ((1, 2, 5), 10)),
    ],
)
def test_what_is_chosen(cpus: Any, realtime: Any, chosen: Any) -> None:
    """Without CPUs a real-time engine leaves the first one to its own threads; isolated ones may be asked for."""
    assert placement.choose(cpus, realtime) == chosen


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("cpus", "realtime", "words"),
    [
        *((wrong, None, "cpus must be a CPU number, several of them, or a text such as '2-3,5', not") for wrong in
          (True, -1, 1.0, "x", "1-", "2-1", "-1", "1,,2", "0-99999999", ["1"], [-1], [None], b"1", object())),
        ([], None, "cpus is empty"),
        ("", None, "cpus is empty"),
        (8, None, "CPU 8 does not exist or is offline; this process may use 0-2,5-7"),
        (3, None, "CPU 3 is not allowed to this process, which may use 0-2,5-7"),
        ("0-4", None, "CPU 3 is not allowed to this process"),
        *((1, wrong, "realtime must be a SCHED_FIFO priority from 1 to 99 or None, not")
          for wrong in (0, -1, 100, True, False, "10", 10.0)),
        ("0-2,5", 10, "realtime needs a CPU for the engine's own threads .* may use 0-2,5 only"),
        ("0-2,5-7", 10, "realtime needs a CPU for the engine's own threads"),
    ],
)  # fmt: skip
def test_what_is_refused(cpus: Any, realtime: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        placement.choose(cpus, realtime)


@pytest.mark.usefixtures("machine")
def test_one_cpu_is_too_little_for_realtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _thread: {4})
    with pytest.raises(ConfigError, match="may use 4 only"):
        placement.choose(None, 10)


def test_words_and_numbers_are_one() -> None:
    for text in ("0", "0-1", "0-2,5", "1,3,5-7"):
        assert placement.words(placement.parse(text)) == text
    assert placement.words(()) == "none" and placement.parse("\n") == set()


def _as_it_was(before: tuple[set[int], int, int]) -> bool:
    return before == (os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0).sched_priority)


@pytest.fixture
def before() -> Iterator[tuple[set[int], int, int]]:
    state = (os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0).sched_priority)
    yield state
    assert _as_it_was(state), "this thread did not get its own CPUs and policy back"


class Started:
    """A thread that does *first* and stays until the test ends."""

    def __init__(self, first: Callable[[], None]) -> None:
        self._first, self._did, self._end = first, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._did.wait(20)

    def _run(self) -> None:
        self._first()
        self._did.set()
        self._end.wait(60)

    def end(self) -> None:
        self._end.set()
        self._thread.join()


@pytest.mark.usefixtures("before")
def test_threads_started_inside_have_the_cpus_and_keep_them() -> None:
    cpu = max(os.sched_getaffinity(0))
    seen: list[set[int]] = []
    with placement.inherited((cpu,), None):
        thread = Started(lambda: seen.append(os.sched_getaffinity(0)))
    thread.end()
    assert seen == [{cpu}]


@pytest.mark.usefixtures("before")
def test_a_thread_that_goes_elsewhere_is_an_error() -> None:
    mask = os.sched_getaffinity(0)
    if len(mask) < 2:
        pytest.skip(f"a second CPU is needed; this process may use {placement.words(mask)} only")
    threads = []
    with pytest.raises(EngineError, match=f"did not keep cpus or realtime: it runs on CPU {min(mask)} "):
        with placement.inherited((max(mask),), None):
            threads.append(Started(lambda: os.sched_setaffinity(0, {min(mask)})))
    threads[0].end()


@pytest.mark.usefixtures("before")
def test_a_thread_that_gives_its_priority_back_is_an_error(realtime_permitted: None) -> None:
    threads = []
    with pytest.raises(EngineError, match="policy 0 and priority 0"):
        with placement.inherited((max(os.sched_getaffinity(0)),), 1):
            threads.append(Started(lambda: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))))
    threads[0].end()


@pytest.mark.usefixtures("before")
def test_a_cpu_that_the_kernel_cuts_off_is_not_taken_for_granted() -> None:
    """It drops from a mask what the cpuset does not allow, and reports success."""
    cpu = min(os.sched_getaffinity(0))
    for cpus in ((cpu, 8000), (8000,)):
        with pytest.raises(ConfigError, match="CPU 8000 is not allowed to this process, which may use 0"):
            with placement.inherited(cpus, None):
                raise AssertionError("never reached")


def test_nothing_asked_for_is_nothing_done(before: tuple[set[int], int, int]) -> None:
    placement.keep_off(None, None)
    with placement.inherited(None, None):
        assert _as_it_was(before)
