"""The run itself, in short: each kind of fault once, and that it notices, tells and ends."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from . import faults
from .__main__ import main
from .lanes import Until, Waits
from .plan import KINDS, Plan, cut_down, short_plan, to_json
from .run import run
from .scene import Scene

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(300)]

# Ten seconds and more each, for they wait for the session's own deadlines; tests/genuine/ has tests of their own.
LONG = ("login_unanswered", "subscription_unanswered", "outage")


@pytest.mark.slow
def test_each_kind_of_fault_once_and_every_tick_accounted_for(genuine: str, tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    report = run(short_plan(seed, 150, LONG), genuine, "pytest", balance_s=10)
    report.write(str(tmp_path / "report.json"), str(tmp_path / "report.md"))
    assert report.wrongs == [], f"seed {seed}"
    assert {f["kind"] for f in report.faults if f["end"] == "mended"} == set(KINDS) - set(LONG)
    data = json.loads((tmp_path / "report.json").read_text())
    assert data["seed"] == seed and data["totals"]["restarts"] == 4
    assert data["totals"]["received"] > 0 and data["totals"]["lost"] > 0, "too small a run to prove anything"
    assert data["totals"]["promised"] == data["totals"]["written"] + data["totals"]["undelivered"]
    words = (tmp_path / "report.md").read_text()
    assert all(kind in words for kind in data["kinds"]) and str(seed) in words


def quiet_plan(seconds: float, *kinds: str) -> Plan:
    return cut_down(short_plan(1, seconds), kinds)


def test_a_worker_that_dies_unasked_is_a_violation_with_its_time_and_the_last_faults(
    genuine: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def murder(scene: Scene, args: dict[str, Any]) -> Waits:
        victim = next(p for p in scene.posts if p.reader.style == "get")
        pid = victim.pid
        os.kill(pid, signal.SIGKILL)
        yield Until(lambda: scene.report.wrongs or not victim.employed, "its death noticed", 20)
        victim.employ(by_name=True)
        yield from victim.reading()

    monkeypatch.setitem(faults.ACTIONS, "worker_stop", murder)
    plan = tmp_path / "plan.json"
    plan.write_text(to_json(quiet_plan(30, "worker_stop")))
    report = tmp_path / "report.json"
    assert main(["--plan", str(plan), "--library", genuine, "--json", str(report)]) == 1
    (wrong,) = json.loads(report.read_text())["wrong"]
    assert "its worker ended by itself with status -9" in wrong["what"]
    assert wrong["round"] == 1 and wrong["at"] > 0 and "worker_stop" in wrong["last_faults"][-1]
    assert "seed 1" in capsys.readouterr().out


def test_a_tick_that_a_worker_keeps_to_itself_is_missed_at_the_balance(
    genuine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted at the last place before the accountant: one row of a ledger is not passed on."""
    from .ledger import Ledger

    drain, dropped = Ledger.drain, threading.Event()

    def careless(self: Ledger) -> Any:
        rows = drain(self)
        if "witness" in self.path and len(rows) > 10 and not dropped.is_set():
            dropped.set()
            return rows[:-1]
        return rows

    monkeypatch.setattr(Ledger, "drain", careless)
    monkeypatch.setattr("soak.scene.BALANCE_S", 2.0)
    report = run(quiet_plan(30, "cut_fin"), genuine, "pytest", balance_s=10)
    assert dropped.is_set()
    assert any("received" in w["what"] and "saw" in w["what"] for w in report.wrongs), report.wrongs


@pytest.mark.parametrize("whole_group", [False, True], ids=["to the run alone", "to the whole terminal"])
def test_sigint_ends_it_early_with_a_right_report(genuine: str, tmp_path: Path, whole_group: bool) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "soak", "--minutes", "5", "--seed", "2", "--balance", "2", "--json", str(report)]
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parent), str(here.parent.parent)])}
    process = subprocess.Popen(
        [*command, "--library", genuine, "--only", "cut_fin,worker_kill,visit"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert "SEED 2" in process.stdout.readline()
        assert "balanced" in process.stdout.readline()
        if whole_group:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        words, _ = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    data = json.loads(report.read_text())
    assert data["wrong"] == [] and process.returncode == 0, words
    assert data["interrupted"] and data["seconds"] < 290
    assert data["totals"]["written"] > 0 and data["totals"]["received"] > 0
    assert "nothing was wrong" in words


def test_arguments_that_make_no_sense_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "cut_fun"]) == 2
    assert "cut_fun" in capsys.readouterr().err
    assert main(["--plan", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
    for words in (["--minutes", "0"], ["--balance", "-1"]):
        with pytest.raises(SystemExit):
            main(words)
        assert "must be above 0" in capsys.readouterr().err
