"""`tickengine bench`: what it refuses, what it says, that its figures are right, and that nothing stays."""

from __future__ import annotations

import glob
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tickengine import ConfigError, TickLog, TickQueue
from tickengine.bench import cases, crew, figures, parts, plot
from tickengine.bench.cases import CASES, MP_QUEUE, Schedule
from tickengine.bench.figures import UNITS, WrongRun, evaluate, medians
from tickengine.bench.interrupts import Interrupts
from tickengine.bench.parts import END, Read, Written
from tickengine.cli import main
from tickengine.tick import VENDOR_FIELDS

RATIOS = {"mp_queue_paced", "mp_queue_burst"}


# ---- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seconds", "0"], "--seconds must be above 0 and at most 86400, not 0"),
        (["--seconds", "nan"], "--seconds must be above 0"),
        (["--seconds", "1e9"], "--seconds must be above 0"),
        (["--rounds", "0"], "--rounds must be from 1 to 1000, not 0"),
        (["--workers", "0"], "--workers must be from 1 to 64, not 0"),
        (["--workers", "65"], "--workers must be from 1 to 64, not 65"),
        (["--only", "zmq"], "--only 'zmq' is in none of: tickengine spin get, "),
        (["--json", "/nowhere/at/all"], "--json /nowhere/at/all: No such file or directory"),
        (["--plot", "/nowhere/at/all.png"], "--plot /nowhere/at/all.png: No such file or directory"),
        (["--plot", "latency.pdf"], "--plot latency.pdf: must end with .png or .svg"),
    ],
)
def test_bad_arguments_get_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"tickengine bench: {words}") and said.err.count("\n") == 1


def test_a_file_that_exists_is_refused_and_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    file.write_text("precious")
    assert main(["bench", "--json", str(file)]) == 2
    said = capsys.readouterr()
    assert f"--json {file}: exists already; name a new file" in said.err and said.out == ""
    assert file.read_text() == "precious"


def test_a_plot_without_matplotlib_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    path = tmp_path / "latency.svg"
    assert main(["bench", "--plot", str(path)]) == 2
    said = capsys.readouterr()
    assert "--plot needs matplotlib" in said.err and "pip install 'tickengine[plot]'" in said.err
    assert said.err.count("\n") == 1 and said.out == "" and not path.exists()


def _summary() -> list[figures.Row]:
    rows = [
        {"name": "tickengine spin get", "paced_p50": 2.0, "paced_p99": 9.0, "paced_p99_9": 80.0, "flat_rate": 2.6e6},
        {"name": "tickengine spin get", "paced_p50": 4.0, "paced_p99": 11.0, "paced_p99_9": 90.0, "flat_rate": 2.4e6},
        {"name": MP_QUEUE.name, "paced_p50": 67.0, "paced_p99": 120.0, "paced_p99_9": 900.0, "flat_rate": 9e4},
        {"name": "broken row", "wrong": "paced: why"},
    ]
    return medians(rows)


def test_a_plot_has_the_rows_the_percentiles_and_the_medians(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "latency.svg"
    with path.open("wb") as file:
        plot.draw(file, plot.check(str(path)), _summary(), "the machine")
    text = path.read_text("utf-8")
    for words in ("tickengine spin get", MP_QUEUE.name, "p99.9", "3.00", "67.0", "flat out: ticks/s", "the machine"):
        assert words in text, words
    assert "broken row" not in text and "800 at once" not in text  # no figure of either
    again = tmp_path / "again.svg"
    with again.open("wb") as file:
        plot.draw(file, "svg", _summary(), "the machine")
    assert again.read_bytes() == path.read_bytes()


def test_a_run_draws_what_it_has_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "latency.png"
    assert main(["bench", "--seconds", "0.2", "--rounds", "1", "--only", "adaptive get", "--plot", str(path)]) == 0
    assert capsys.readouterr().err == ""
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    assert main(["bench", "--plot", str(path)]) == 2
    assert f"--plot {path}: exists already" in capsys.readouterr().err


def test_pinning_needs_a_cpu_for_each(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 2, 5})
    assert main(["bench", "--pin", "--workers", "3"]) == 2
    assert "--pin needs a CPU for each worker and one for the writer: 4, but this process may use 3" in (
        capsys.readouterr().err
    )


def test_rows_that_spin_are_left_out_where_they_have_no_cpu_unless_named() -> None:
    assert cases.choose(None, 1, 2) == (list(CASES), [])
    chosen, words = cases.choose(None, 2, 2)
    assert [c for c in CASES if c not in chosen] == [c for c in CASES if c.wait == "spin"]
    assert len(words) == 1 and "need 3 CPUs and this process may use 2" in words[0]
    assert cases.choose(["spin"], 9, 1) == ([c for c in CASES if c.wait == "spin"], [])
    with pytest.raises(ConfigError, match="'nothing'"):
        cases.choose(["spin", "nothing"], 1, 2)


@pytest.mark.parametrize("workers", [1, 4, 64])
def test_three_runs_fit_into_the_time_of_a_row(workers: int) -> None:
    for row_s in (5.0, 60.0):
        runs = [cases.schedule(shape, row_s, workers) for shape in cases.SHAPES]
        assert 0.8 * row_s < sum(run.seconds for run in runs) < row_s
    for shape in ("paced", "burst"):  # as little as there may be: still something to take a percentile of
        least = cases.schedule(shape, 1e-9, workers)
        assert least.count >= 2 * least.burst
    assert cases.schedule("flat", 1e-9, workers).flood_ns > 0


# ---- figures -----------------------------------------------------------------------------------


def _run(schedule: Schedule, delays_us: list[list[float]], **changes: Any) -> figures.Row:
    """A run whose workers read each tick so many microseconds after it was due."""
    due = 1_000_000 + np.arange(schedule.count) // schedule.burst * schedule.interval_ns
    times = np.stack([due + 1000, due + 1500], axis=1).ravel()
    reads = [
        Read(due + (np.array(d) * 1000).astype(np.int64), schedule.count, True, 0, int(due[-1]) + 9) for d in delays_us
    ]
    for name, value in changes.items():
        setattr(reads[0], name, value)
    shape = "paced" if schedule.burst == 1 else "burst"
    return evaluate(shape, schedule, Written(1_000_000, schedule.count, times), reads)


def test_paced_latencies_count_from_due_without_the_first_tenth() -> None:
    row = _run(Schedule(500_000, 1, 20), [[1e6] * 2 + [10.0] * 9 + [30.0] * 9])
    assert row["paced_p50"] == pytest.approx(20.0) and row["paced_p99_9"] == pytest.approx(30.0)
    assert (row["publish_p50"], row["paced_late"], row["paced_lost"], row["paced_ticks"]) == (500.0, 0, 0, 20)


def test_a_burst_is_judged_by_its_last_tick_at_the_slowest_worker() -> None:
    row = _run(Schedule(1_000_000, 3, 6), [[1, 2, 50, 1, 2, 3], [1, 2, 3, 1, 2, 70]])
    assert row["burst_last_p50"] == pytest.approx(60.0)  # of 50 and 70


def test_flat_out_is_the_slowest_workers_rate_and_the_greatest_loss() -> None:
    reads = [Read(np.array([]), 60, True, 40, 3000), Read(np.array([]), 100, True, 0, 2000)]
    row = evaluate("flat", Schedule(flood_ns=1), Written(1000, 100, np.array([1000, 1400])), reads)
    assert row["flat_rate"] == pytest.approx(60 / 2000e-9)
    assert (row["flat_lost"], row["flat_lost_percent"], row["flat_publish"]) == (40, 40.0, 4.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ordered": False}, "ticks came out of order, or twice"),
        ({"received": 19}, "20 ticks were written, 19 read and 0 lost"),
        ({"lost": 1}, "20 ticks were written, 20 read and 1 lost"),
        ({"received": 19, "lost": 1}, "1 ticks were lost"),
        ({"seen": np.full(20, 5)}, "a tick was read before it was due"),
    ],
)
def test_a_wrong_run_gives_no_figures(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(WrongRun, match=words):
        _run(Schedule(500_000, 1, 20), [[10.0] * 20], **changes)


def test_medians_ratios_and_their_table() -> None:
    rows = [
        *({"name": "this", "paced_p50": us, "flat_rate": 1234567.0} for us in (3.0, 5.0, 4.0)),
        *({"name": MP_QUEUE.name, "paced_p50": us} for us in (80.0, 100.0)),
        {"name": "broken", "wrong": "paced: why"},
    ]
    this, mp, broken = summary = medians(rows)
    assert this["paced_p50"] == {"median": 4.0, "min": 3.0, "max": 5.0}
    assert (this["mp_queue_paced"], mp["mp_queue_paced"]) == (22.5, 1.0)
    assert broken["wrong"] == ["paced: why"] and "paced_p50" not in broken
    lines = figures.table(summary).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["this", "min..max", "mp.Queue", "min..max", "broken"]
    assert lines[2].split() == ["this", "4.00", "-", "-", "-", "-", "1,234,567", "-", "-", "22.5", "-"]
    assert lines[3].split() == ["min..max", "3.00..5.00"]
    assert len({len(line) for line in lines if line.split()[0] in ("this", "broken")}) == 1  # aligned


# ---- whole runs --------------------------------------------------------------------------------


def test_the_writers_tick_is_a_whole_one() -> None:
    log = TickLog.create(f"bench-test-{os.getpid()}", 64)
    try:
        writer = parts.LogWriter(log)
        fields = writer.fields()
        assert tuple(fields) == VENDOR_FIELDS
        assert all(v for v in fields.values() if isinstance(v, bytes))
        assert not [name for name, v in fields.items() if isinstance(v, float) and not v > 0]
        written = writer.write(Schedule(1000, 2, 6))
        last = [log[-n].Volume for n in range(7, 0, -1)]  # type: ignore[union-attr]
        assert last == [0, 1, 2, 3, 4, 5, END] and written.count == 6
    finally:
        log.unlink()
        log.close()


def test_a_short_run_prints_the_table_and_writes_it_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    arguments = ["--seconds", "0.5", "--rounds", "2", "--workers", "2", "--json", str(file)]
    assert main(["bench", *arguments, "--only", "adaptive", "--only", "dicts"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    names = [f"tickengine adaptive {take}" for take in ("get", "iter", "get_many")]
    names += ["mp.Queue of dicts", "faster-fifo of dicts"]
    content = json.loads(file.read_text())
    assert list(content) == ["title", "machine", "options", "units", "rounds", "medians", "notes", "wrong"]
    assert content["wrong"] == [] and content["units"] == UNITS
    assert content["options"] == {**content["options"], "rounds": 2, "workers": 2, "pin": False}
    # Round by round, each row in turn.
    assert [(row["round"], row["name"]) for row in content["rounds"]] == [(n, name) for n in (1, 2) for name in names]
    for row in content["rounds"]:
        assert set(row) == {"round", "name", *UNITS} - RATIOS
        assert row["paced_lost"] == row["burst_lost"] == 0
        assert 0 < row["paced_p50"] <= row["paced_p99"] <= row["paced_p99_9"]
        assert row["flat_rate"] > 0 and row["flat_lost"] <= row["flat_ticks"]
        if "dicts" in row["name"]:
            assert row["flat_lost"] == 0
    reference = content["medians"][names.index("mp.Queue of dicts")]["paced_p50"]["median"]
    for row in content["medians"]:
        assert row["mp_queue_paced"] == pytest.approx(reference / row["paced_p50"]["median"])
        for name in set(UNITS) - RATIOS:
            assert row[name]["min"] <= row[name]["median"] <= row[name]["max"]
    for name, value in content["machine"].items():
        assert f"{name} " in said.out and value in said.out
    assert [line.split("  ")[0] for line in said.out.splitlines() if line.startswith(tuple(names))] == names
    for note in content["notes"]:
        assert f"- {note}\n" in said.out
    assert "RecvTime stamps come from" in said.out and 'wait="spin" needs a CPU for each worker' in said.out


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the writer and a worker need a CPU each")
def test_every_way_to_take_a_tick_runs_pinned(capsys: pytest.CaptureFixture[str]) -> None:
    before = os.sched_getaffinity(0)
    assert main(["bench", "--seconds", "0.1", "--rounds", "1", "--pin", "--only", "tickengine"]) == 0
    out = capsys.readouterr().out
    for case in CASES:
        assert (case.name in out) == (case.channel == "log")
    assert f"pinned: writer on CPU {max(before)}, workers on {min(before)}\n" in out
    assert os.sched_getaffinity(0) == before


class Command:
    """The command in a session of its own, as a terminal would start it."""

    def __init__(self, *arguments: str) -> None:
        program = (
            "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
            "signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored\n"
            "from tickengine.cli import main; sys.exit(main(['bench', *sys.argv[1:]]))"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def members(self) -> dict[int, str]:
        """Processes of the session: pid and command line."""
        found = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                state, _ppid, _group, session = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[:4]
                if int(session) == self.process.pid and state not in "ZX":
                    found[int(entry)] = Path("/proc", entry, "cmdline").read_bytes().decode()
            except OSError:
                continue  # it has ended meanwhile
        return found

    def parts(self) -> list[int]:
        """The writer and the workers, in the order of their start."""
        return sorted(pid for pid, words in self.members().items() if "spawn_main" in words)

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.fixture
def command() -> Iterator[Callable[..., Command]]:
    started: list[Command] = []

    def start(*arguments: str) -> Command:
        started.append(Command(*arguments))
        return started[-1]

    yield start
    for each in started:
        for pid in each.members():
            os.kill(pid, signal.SIGKILL)
        each.process.communicate()


def _until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 30
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within 30 s: {what}"
        time.sleep(0.002)  # the pace of looking
    return value


def _shared() -> set[str]:
    return set(glob.glob("/dev/shm/*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("stage", ["making the log", "starting processes", "measuring"])
def test_a_signal_ends_everything_at_once(
    number: signal.Signals, stage: str, command: Callable[..., Command], tmp_path: Path
) -> None:
    before = _shared()
    file = tmp_path / "figures.json"
    bench = command("--seconds", "60", "--json", str(file))
    segments = f"/dev/shm/tickengine-{os.geteuid()}-*"
    reached = {
        "making the log": lambda: set(glob.glob(segments)) - before,
        "starting processes": bench.parts,
        "measuring": lambda: set(glob.glob(f"{segments}.queue")) - before,
    }
    _until(reached[stage], stage)
    os.killpg(bench.process.pid, number)
    status, _, err = bench.end()
    assert (status, err) == (130 if number == signal.SIGINT else 128 + number, "")
    _until(lambda: not bench.members(), "the end of all its processes")
    assert _shared() - before == set()
    assert not file.exists()


def test_an_interrupted_run_ends_its_processes_before_their_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was still to open its queue would say on the terminal that it is gone."""
    closed: list[tuple[list[int], list[str]]] = []

    class Queue(TickQueue):
        def close(self) -> None:
            closed.append(([p.pid for p in multiprocessing.active_children()], glob.glob("/dev/shm/*.queue")))
            super().close()

    def interrupted(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(crew, "TickQueue", Queue)
    with Interrupts() as interrupts, crew.Crew(2, None, interrupts) as running:
        assert len(multiprocessing.active_children()) == 3
        monkeypatch.setattr(running, "_answers", interrupted)
        with pytest.raises(KeyboardInterrupt):
            running.run(CASES[0], cases.schedule("paced", 1.0, 2))
    assert [alive for alive, _ in closed] == [[], []] and closed[0][1]
    assert not glob.glob("/dev/shm/*.queue")


def test_a_killed_worker_makes_the_run_wrong_and_the_others_go_on(command: Callable[..., Command]) -> None:
    before = _shared()
    bench = command("--seconds", "4", "--rounds", "1", "--only", "adaptive get", "--only", "mp.Queue")
    queues = f"/dev/shm/tickengine-{os.geteuid()}-*.queue"
    _until(lambda: set(glob.glob(queues)) - before and len(bench.parts()) == 2, "a run")
    os.kill(bench.parts()[0], signal.SIGKILL)
    status, out, err = bench.end()
    assert status == 1
    assert "tickengine bench: WRONG: tickengine adaptive get: paced: the worker process ended with -9\n" in err
    rows = {line[:24].strip(): line[24:].split() for line in out.splitlines() if line.startswith(("tick", "mp.Q"))}
    assert set(rows["tickengine adaptive get"]) == {"-"}
    assert "-" not in rows["mp.Queue of dicts"] and rows["mp.Queue of dicts"]
    assert _shared() - before == set()
