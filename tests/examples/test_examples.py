"""Every command in examples/README.md runs, ends by itself, and says what it promises."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "examples" / "README.md").read_text()
COMMANDS = re.findall(r"^\| `python (examples/\w+\.py)` \|", README, re.MULTILINE)
# Not in the table: what needs an account, and what the others share.
OTHERS = {"place_order_disconnect_reconnect.py", "_feed.py"}
SAYS = {
    "print_ticks": r"(?s)(\d\d:\d\d:\d\d\.\d{3}  \w+ +[\d.]+\n){6}6 ticks, 0 lost\n$",
    "two_strategies": r"(?s)(?=.*first: 6 ticks, 0 lost, enough)(?=.*second: 6 ticks, 0 lost, enough)",
    "asyncio_ticks": r"(?s).*6 ticks, 0 lost\n$",
    "notebook_tail": r"(?s)TickLog\(.*rb2601 +\d+\.\d\d.*ExchangeTime.*first +max +min +last +count",
    "record_and_export": r"(?s)\d+ ticks recorded, 0 lost\n\d{8}: .*rb2601-\d{8}\.csv: \d+ ticks, \d+ columns",
    "weekend_replay": r"6 ticks live, 0 lost\n6 ticks of a recording, 0 lost\nthe same ticks\n$",
    "algoplus_migration": r"(?s)(b'\w+' [\d.]+ b'[\d:]+'\n){6}6 ticks\n$",
    "vnpy_events": r"(?s)(vn\.py's own event engine|a stand-in, .*)\n(\w+\.\w+ +[\d.]+\n){6}6 ticks handed over\n$",
    "c_reader": r"(?s)(\d+ \w+ [\d.]+ \d+ [\d:.]+\n){6}$",
}


def test_the_list_is_complete() -> None:
    files = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert {Path(command).name for command in COMMANDS} == files - OTHERS
    assert {Path(command).stem for command in COMMANDS} == SAYS.keys()


@pytest.mark.parametrize("command", COMMANDS, ids=[Path(command).stem for command in COMMANDS])
def test_it_runs(command: str) -> None:
    name = Path(command).stem
    if name == "notebook_tail" and importlib.util.find_spec("pandas") is None:
        pytest.skip("pandas is not installed")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, command, "--ticks", "6"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert re.match(SAYS[name], done.stdout), done.stdout
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr, done.stderr
