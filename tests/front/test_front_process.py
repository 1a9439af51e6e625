"""The front in a process of its own, and on the command line."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from ftd_client import FtdClient

from tickengine.front import FrontProcess, MarketSpec, NumberedMarket
from tickengine.front.cli import add_arguments, run

pytestmark = pytest.mark.timeout(90)
IDS = [f"rb{2600 + k}" for k in range(20)]

COMMAND = """
import argparse, sys
from tickengine.front.cli import add_arguments, run
parser = argparse.ArgumentParser()
add_arguments(parser)
sys.exit(run(parser.parse_args()))
"""

PARENT = """
import sys, time
from tickengine.front import FrontProcess
if __name__ == "__main__":
    front = FrontProcess()
    front.start()
    print(front.pid, front.address, flush=True)
    sys.stdin.read()
"""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
    )


def _wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state == "Z":  # dead; whoever adopted it has not yet asked
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} still runs")


def test_front_process_serves_and_obeys() -> None:
    with FrontProcess(MarketSpec(IDS, seed=4), flat_out=True, wait_ids=20) as front:
        with FtdClient(front.address) as client:
            client.login()
            client.subscribe(IDS)
            client.read_until(lambda: len(client.tick_bodies) > 5000, "ticks")
            assert front.push({"InstrumentID": b"x"}) == 1
            assert front.cut() == 1
            assert client.read_to_end() is False
        (sent,) = front.stats().sent_ranges
        pid = front.pid
    assert front.stats().cuts == 1
    _wait_for_end(pid)
    market = NumberedMarket(IDS, 4)
    ticks = client.ticks()
    ticks = ticks[ticks["InstrumentID"] != b"x"]
    numbers = ticks["Turnover"].astype(np.int64)
    np.testing.assert_array_equal(numbers, np.arange(sent.first, sent.stop))
    np.testing.assert_array_equal(ticks["AskPrice3"], market.expected(numbers)["AskPrice3"])
    with pytest.raises(RuntimeError, match="does not run"):
        front.cut()


def test_front_process_hands_over_errors() -> None:
    with pytest.raises(ValueError, match="empty"):
        FrontProcess(MarketSpec([""])).start()
    with FrontProcess() as front:
        port = int(front.address.rpartition(":")[2])
        with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1:{port}: "):
            FrontProcess(port=port).start()
        with pytest.raises(ValueError, match="no member"):
            front.push({"Nothing": 1})
        with pytest.raises(TimeoutError, match="logins 0"):
            front.wait_until(timeout=0.05, logins=1)
        with pytest.raises(RuntimeError, match="once"):
            front.start()


def test_front_process_answers_other_threads_during_a_wait() -> None:
    with FrontProcess() as front:
        waiter = threading.Thread(target=front.wait_until, kwargs={"timeout": 20, "connections": 1})
        waiter.start()
        assert front.stats().connections == 0
        FtdClient(front.address).close()
        waiter.join(20)
        assert not waiter.is_alive()


def test_killed_front_process_is_noticed() -> None:
    with FrontProcess() as front:
        os.kill(front.pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match=r"ended|does not run"):
            front.wait_until(timeout=20, logins=1)


def test_front_process_dies_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(),
    ) as parent:
        assert parent.stdout is not None
        pid, address = parent.stdout.readline().split()
        with FtdClient(address) as client:
            client.login()
            parent.send_signal(signal.SIGKILL)
            assert client.read_to_end() is False
        _wait_for_end(int(pid))


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_command_serves_until_a_signal(end: signal.Signals) -> None:
    with _command("--instruments", "rb2601,IF2512", "--rate", "2000", "--stats", "0.1", "--numbered") as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"tcp://127\.0\.0\.1:\d+", address)
        with FtdClient(address) as client:
            client.login()
            client.subscribe(["IF2512"])
            client.read_until(lambda: client.tick_bodies, "ticks")
            assert process.stdout.readline().startswith("clients ")
            process.send_signal(end)
            assert client.read_to_end() is False
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0
        assert errors == ""


def test_command_ends_by_itself() -> None:
    with _command("--for", "0.2", "--fault", "refuse-login=7", "--burst", "10/0.1") as process:
        output, errors = process.communicate(timeout=30)
        assert process.returncode == 0
        assert output.startswith("tcp://")
        assert errors == ""


def _run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--instruments", "rb2601,,IF2512"], "instrument id '': is empty"),
        (["--instruments", "x" * 31], "31 bytes, at most 30"),
        (["--instruments", "螺纹"], "ASCII"),
        (["--instruments-file", "/nonexistent/ids"], "/nonexistent/ids: No such file"),
        (["--fault", "cut@soon"], "fault 'cut@soon': time 'soon' is not a time"),
        (["--burst", "10"], "--burst '10': must be N/SECONDS"),
        (["--rate", "-1"], "rate -1.0: must be above 0"),
        (["--port", "70000"], "--port 70000"),
        (["--host", "192.0.2.1"], "cannot listen at 192.0.2.1:0"),
        (["--trading-day", "20261350"], "YYYYMMDD"),
        (["--password-env", "TICKENGINE_NO_SUCH_NAME"], "variable TICKENGINE_NO_SUCH_NAME is not set"),
        (["--for", "0"], "--for 0.0"),
        (["--seed", "-5"], "seed -5"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(*arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert output.err.startswith("tickengine front: ")
    assert text in output.err


def test_port_in_use_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with FrontProcess() as front:
        port = front.address.rpartition(":")[2]
        assert _run("--port", port) == 2
    assert f"cannot listen at 127.0.0.1:{port}: " in capsys.readouterr().err


def test_instruments_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = tmp_path / "ids"
    ids.write_text("rb2601 IF2512\nau2606\n")
    assert _run("--instruments-file", str(ids), "--for", "0.05", "--flat-out") == 0
    assert capsys.readouterr().out.startswith("tcp://")
