"""The rule for leaks: a planted one is found, noise and warm-up are not taken for one."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from . import leaks
from .plan import make_plan
from .report import Report

TIMES = [float(t) for t in range(0, 600, 2)]


def series(what: str, values: dict[str, list[float]]) -> leaks.Series:
    made = leaks.Series(what, "process 1")
    for at, now in enumerate(TIMES):
        made.add(now, {name: int(column[at]) for name, column in values.items()})
    return made


def noisy(level: float, slope: float = 0.0, noise: float = 0.0) -> list[float]:
    rng = random.Random(3)
    return [level + slope * t + rng.uniform(-noise, noise) for t in TIMES]


def test_a_descriptor_leaked_every_minute_is_found() -> None:
    made = series("live", {"fds": noisy(16, 1 / 60), "threads": noisy(6)})
    (text,) = made.leaks()
    assert "fds grew from" in text


def test_one_descriptor_too_many_is_enough() -> None:
    made = series("live", {"fds": [16.0 if t < 300 else 17.0 for t in TIMES], "threads": noisy(6)})
    assert len(made.leaks()) == 1


@pytest.mark.parametrize("noise", [0, 500, 3000])
def test_memory_that_grows_through_noise_is_found(noise: float) -> None:
    # 5 KiB a second: 3 MiB in these ten minutes.
    (text,) = series("engine", {"private_kib": noisy(27_000, 5, noise)}).leaks()
    assert "private_kib grew" in text


def test_memory_that_grows_in_one_step_is_found() -> None:
    assert series("engine", {"private_kib": [27_000.0 if t < 400 else 29_000.0 for t in TIMES]}).leaks() != []


@pytest.mark.parametrize(
    "values",
    [
        noisy(27_000),
        noisy(27_000, 0, 3000),
        [27_000.0 + 60 * min(t, 200) for t in TIMES],  # grows while it warms up, then no more
        noisy(30_000, -5, 10),
        noisy(27_000, 0.5),  # within the allowance
    ],
    ids=["flat", "noise", "warm-up", "shrinks", "allowed"],
)
def test_what_is_no_leak_is_not_called_one(values: list[float]) -> None:
    assert series("engine", {"private_kib": values}).leaks() == []


def test_too_few_samples_say_nothing() -> None:
    made = leaks.Series("live", "process 1")
    for now in range(5):
        made.add(now, {"fds": now, "threads": 1})
    assert made.growths() == {}


LOADING, LOADED = 18_956, 27_428  # KiB of an engine process, as it was seen


def looked_at(monkeypatch: pytest.MonkeyPatch, memory: list[int], at_work: list[bool]) -> list[leaks.Series]:
    """Of one process, a look every two seconds."""
    kept: list[leaks.Series] = []
    role = leaks.Role("engine", "engine process 1.{}", kept)
    for at, (kib, works) in enumerate(zip(memory, at_work)):
        monkeypatch.setattr(leaks, "process_sample", lambda pid, kib=kib: {"private_kib": kib})
        role.look(2.0 * at, 4242, works)
    return kept


@pytest.mark.parametrize("loads", [1, 6, 60], ids=lambda looks: f"{2 * looks} s")
@pytest.mark.parametrize("works", [6, 12, 60], ids=lambda looks: f"{2 * looks} s")
def test_a_process_that_takes_its_time_to_load_is_not_called_a_leak(
    monkeypatch: pytest.MonkeyPatch, loads: int, works: int
) -> None:
    memory = [LOADING] * loads + [LOADED] * works
    (made,) = looked_at(monkeypatch, memory, [False] * loads + [True] * works)
    assert made.leaks() == []
    assert made.values["private_kib"] == [LOADED] * works


def test_it_is_looked_at_from_its_first_work_on_also_when_it_does_not_work_at_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An engine that leaks with each connection is seldom live."""
    memory = [LOADING] * 6 + [LOADED + 200 * at for at in range(60)]
    (made,) = looked_at(monkeypatch, memory, [False] * 6 + [at % 5 == 0 for at in range(60)])
    assert len(made.leaks()) == 1


def test_each_process_of_a_role_has_a_series_of_its_own() -> None:
    kept: list[leaks.Series] = []
    role = leaks.Role("reader", "worker {}", kept)
    with (
        subprocess.Popen(["cat"], stdin=subprocess.PIPE) as first,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE) as second,
    ):
        for now in range(3):
            role.look(now, first.pid, True)
        role.look(3, second.pid, False)
        role.look(4, second.pid, True)
    role.look(5, second.pid, True)  # it has ended
    assert [(made.label, made.times) for made in kept] == [("worker 1", [0, 1, 2]), ("worker 2", [4])]
    assert set(leaks.ALLOWANCES["reader"]) <= set(kept[0].values)


def test_a_reader_that_keeps_what_it_reads_is_found() -> None:
    flat = {"fds": noisy(9), "threads": noisy(2)}
    assert series("reader", {**flat, "private_kib": noisy(30_000, 0, 8000)}).leaks() == []  # its catches
    (text,) = series("reader", {**flat, "private_kib": noisy(30_000, 50, 8000)}).leaks()  # a hundred ticks a second
    assert "private_kib grew" in text


def test_of_readers_the_report_has_the_one_that_grew_most() -> None:
    report = Report(make_plan(1, 3), "pytest")
    for number, slope in enumerate([0.1, 0.3, 0.2]):
        made = series("reader", {"fds": noisy(9), "threads": noisy(2), "private_kib": noisy(30_000, slope)})
        made.label = f"reader {number}"
        report.series += [made, series("engine", {"private_kib": noisy(27_000)})]
    told = [(label, name) for label, name, _ in report.growths()]
    assert told[:3] == [("process 1", "private_kib")] * 3
    assert sorted(told[3:]) == [("reader 0", "fds"), ("reader 0", "threads"), ("reader 1", "private_kib")]


def test_between_rounds_nothing_may_be_more_than_after_the_first() -> None:
    first = {"fds": 12, "threads": 1, "children": 2, "private_kib": 20_000, "rss_kib": 50_000}
    assert leaks.left_over(first, {**first, "private_kib": 21_000, "fds": 11}) == []
    for name in ("fds", "threads", "children"):
        (text,) = leaks.left_over(first, {**first, name: first[name] + 1})
        assert name in text


def test_samples_show_a_real_leak_of_each_kind() -> None:
    """A process that leaks when told to: memory, a descriptor, a thread, a child."""
    program = (
        "import os, subprocess, sys, threading\n"
        "keep = []\n"
        "print('ready', flush=True)\n"
        "for line in sys.stdin:\n"
        "    keep.append(bytearray(os.urandom(4 << 20)))\n"
        "    keep.append(os.open('/dev/null', os.O_RDONLY))\n"
        "    threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "    keep.append(subprocess.Popen(['cat'], stdin=subprocess.PIPE))\n"
        "    print('leaked', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as p:
        assert p.stdin is not None and p.stdout is not None
        try:
            assert p.stdout.readline() == "ready\n"
            before, children = leaks.process_sample(p.pid), leaks.children_of(p.pid)
            print("leak", file=p.stdin, flush=True)
            assert p.stdout.readline() == "leaked\n"
            after = leaks.process_sample(p.pid)
            assert before is not None and after is not None
            assert after["private_kib"] - before["private_kib"] >= 4096
            assert after["fds"] - before["fds"] == 2  # the file, and the pipe to the child
            assert after["threads"] - before["threads"] == 1
            assert len(leaks.children_of(p.pid)) - len(children) == 1
        finally:
            p.stdin.close()
    assert leaks.process_sample(p.pid) is None


def test_segments_of_this_run_are_known_by_their_names_and_a_guests_by_its_log(tmp_path: Path) -> None:
    from tickengine import TickLog, TickQueue

    before = leaks.segments()
    log = TickLog.create(f"{leaks.run_name()}-1", 1024)
    guest = TickQueue()
    stranger = TickQueue()
    try:
        assert leaks.segments() == [*before, os.fsdecode(log.path)]
        guest.bind(log)
        assert sorted(leaks.segments()) == sorted([*before, os.fsdecode(log.path), os.fsdecode(guest.path)])
    finally:
        stranger.close()
        guest.close()
        log.unlink()
        log.close()
    assert leaks.segments() == before
