"""Every script of benchmarks/ runs to its end with next to nothing to measure: what it prints, and what stays of it.

Its own checks (each tick read once, in order, none lost unseen) hold in these runs too. No figure is looked at.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
LIMIT_S = 100.0

pytestmark = pytest.mark.timeout(240)
GENUINE = ("order_latency", "vendor", "vendor_rate")

# By script: the least that it can be asked for, then the columns of a table that must be there.
SCRIPTS = {
    "bars": ("--ticks 5000 --instruments 1 3", {"medians": "ticks/s"}),
    "fanout": (
        "--chunks 1 --seconds 0.01 --queues 0 1 --spin --block 1 --no-valgrind",
        {"bound, medians": "wall ns", "flood, medians": "lost %", "burst and paced, medians": "wakes"},
    ),
    "following": ("--readers 0 1 --ticks 20000", {"medians": "mean"}),
    "latency": ("--seconds 0.01 --workers 1 --waits block --take get --only tickengine,mp.Queue", {"medians": "p99"}),
    "memory": ("--workers 1", {"medians": "own"}),
    "normalise": ("--instruments 1 --pieces 1 --no-valgrind", {"medians": "whole ns"}),
    "order_latency": (
        "--seconds 0.2 --waits adaptive",
        {"medians": "naive / this", "where the time goes, medians": "insert"},
    ),
    "peers": (
        "--seconds 0.01 --workers 1 --shapes paced flat held "
        "--only 'dict,Pipe,forwarder,block get_many,futex,zmq,iceoryx2,msgq,slick,zeroq,cloudtoid,membridge'",
        {"paced, medians": "p50", "flat, medians": "msgs/s", "held, medians": "msgs/s"},
    ),
    "reading": ("", {"medians": "ns"}),
    "recorder": (
        "--ticks 70000 --seconds 0.3",
        {"flat out, medians": "ticks/s", "paced, medians": "cpu %"},
    ),
    "replay": ("--passes 1 --workers 0 1 --styles get_many", {"medians": "records/s"}),
    "throughput": (
        "--seconds 0.3 --workers 1 --drains 1 --sources flood,compatible --styles iterate,get_many",
        {"drain": "ns", "medians": "read/s", "lost": "lost %"},
    ),
    "watching": ("--refreshes 2", {"medians": "look ms", "sampled": "samples"}),
    "vendor": ("--seconds 0.3", {"flat out, medians": "written/s", "bursts, medians": "p50"}),
    "vendor_rate": ("--seconds 0.3 --cases A,C", {"medians": "ratio"}),
    "waiting": ("--ticks 20", {"medians": "p50"}),
}
PEERS = ("pyzmq", "iceoryx2", "msgq-ipc", "slick-queue-py", "zeroq", "cloudtoid-interprocess", "membridge")


def _left_by_scripts() -> set[str]:
    """Files and folders of scripts that run no more."""
    folders = (Path("/dev/shm"), Path(tempfile.gettempdir()))
    found = {str(path): re.search(r"tickbench-(\d+)-", path.name) for d in folders for path in d.iterdir()}
    return {path for path, tag in found.items() if tag is not None and not os.path.exists(f"/proc/{tag[1]}")}


@pytest.fixture(autouse=True)
def compiler() -> None:
    name = os.environ.get("CXX", "g++")
    if shutil.which(name) is None:
        pytest.skip(f"no C++ compiler: {name!r} was not found")


@pytest.fixture(autouse=True)
def nothing_of_scripts_stays(compiler: None, nothing_stays: None) -> Iterator[None]:
    before = _left_by_scripts()
    yield
    assert _left_by_scripts() <= before


def start(name: str, options: str, *more: str) -> subprocess.Popen[str]:
    """As the README says, from its folder."""
    command = [sys.executable, f"{name}.py", "--rounds", "1", *shlex.split(options), *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=FOLDER, text=True, **pipes)


def finish(script: subprocess.Popen[str]) -> tuple[str, str]:
    try:
        return script.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        script.terminate()  # it clears up behind itself
        output, errors = script.communicate(timeout=LIMIT_S)
        pytest.fail(f"not done within {LIMIT_S:g} s:\n{output}\n{errors}")


def run(name: str, folder: Path) -> tuple[str, dict[str, Any]]:
    """What the script has printed, and its JSON."""
    options, tables = SCRIPTS[name]
    path = folder / "result.json"
    script = start(name, options, "--json", str(path))
    output, errors = finish(script)
    assert script.returncode == 0, f"{name} ended with status {script.returncode}:\n{output}\n{errors}"
    content = json.loads(path.read_text())
    assert {"title", "surroundings"} <= content.keys()
    assert output.startswith(content["title"])
    for table, column in tables.items():
        assert re.search(rf"^{re.escape(table)}:\n.*\b{re.escape(column)}", output, re.MULTILINE), (
            f"no {table!r} in:\n{output}"
        )
        assert content[table], f"{table} is empty"
        assert any(column in row for row in content[table]), f"no {column!r} in {content[table]}"
    return output, content


def test_each_script_is_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == SCRIPTS.keys()


@pytest.mark.parametrize("name", [n for n in SCRIPTS if n not in GENUINE and n != "peers"])
def test_script_runs_to_its_end(name: str, tmp_path: Path) -> None:
    run(name, tmp_path)


@pytest.mark.genuine
@pytest.mark.parametrize("name", GENUINE)
def test_script_on_the_genuine_library_runs_to_its_end(name: str, tmp_path: Path, genuine: str) -> None:
    run(name, tmp_path)


def test_peers_runs_what_is_installed_and_names_the_rest(tmp_path: Path) -> None:
    output, content = run("peers", tmp_path)
    installed = {d.metadata["Name"] for d in importlib.metadata.distributions()}
    for peer in PEERS:
        skipped = re.search(rf"^SKIPPED .*: {re.escape(peer)} is not installed", output, re.MULTILINE) is not None
        assert skipped == (peer not in installed), f"{peer}:\n{output}"
    failed = [row for table in content.values() if isinstance(table, list) for row in table if "FAILED" in row["note"]]
    assert not failed
    missing = [peer for peer in PEERS if peer not in installed]
    if missing:
        pytest.skip(f"ran without {', '.join(missing)} (pip install 'tickengine[bench]')")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_script_that_is_ended_leaves_nothing(number: int, tmp_path: Path) -> None:
    """Of one killed on the spot the processes end with it, and the next script takes its files away."""
    script = start("latency", "--seconds 60 --workers 1 --only spin --waits spin --take get --shapes paced")
    deadline = time.monotonic() + LIMIT_S
    log = f"/dev/shm/tickengine-{os.geteuid()}-tickbench-{script.pid}-1x-log.log"
    while not os.path.exists(log):
        assert script.poll() is None, finish(script)
        assert time.monotonic() < deadline, f"{log} is not there"
        time.sleep(0.005)  # the pace of looking, not a wait for the thing itself
    script.send_signal(number)
    finish(script)
    if number == signal.SIGKILL:
        assert script.returncode == -number
        run("reading", tmp_path)
    else:
        assert script.returncode == 128 + number
