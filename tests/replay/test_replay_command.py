"""`tickengine replay` as it is typed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from feed_support import wait_for
from recordings import MS, ticks_every, write_recording
from terminal import Terminal

from tickengine import Closed, TickLog, TickQueue
from tickengine.cli import main


@contextmanager
def replaying(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tickengine", "replay", *arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def attached(process: subprocess.Popen[str], name: str) -> TickQueue:
    """A queue from the first record on, made when the command has said that the log is there."""
    assert process.stdout is not None
    assert process.stdout.readline().startswith(f"replay '{name}' in process ")
    return TickQueue.attach(name, start="oldest")


def paused(name: str) -> bool:
    return bool(TickLog.attach(name).status().get("replay", {}).get("paused"))


def test_a_worker_attaches_by_name_and_gets_everything(tmp_path: Path) -> None:
    file, name = write_recording(tmp_path, ticks_every(MS, 200)), f"unit-command-{os.getpid()}"
    with replaying(str(file), "--name", name, "--speed", "max", "--wait-for-readers", "1") as process:
        with attached(process, name) as queue:
            volumes = []
            try:
                while True:
                    volumes += queue.get_many(timeout=30)["Volume"].tolist()
            except Closed:
                pass
        out, err = process.communicate(timeout=30)
    assert volumes == list(range(200))
    assert (process.returncode, err) == (0, "")
    assert out == "200 ticks played\n"


def test_signals_pause_it_go_on_and_end_it(tmp_path: Path) -> None:
    file, name = write_recording(tmp_path, ticks_every(MS * 1000, 2000)), f"unit-signals-{os.getpid()}"
    with replaying(str(file), "--name", name) as process:
        with attached(process, name) as queue:
            queue.get(timeout=30)
            process.send_signal(signal.SIGUSR1)
            wait_for(lambda: paused(name), "the pause")
            process.send_signal(signal.SIGUSR2)
            wait_for(lambda: not paused(name), "the end of the pause")
            process.send_signal(signal.SIGTERM)
            with pytest.raises(Closed):
                while True:
                    queue.get(timeout=30)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and out.endswith(" ticks played\n") and err == ""


@pytest.mark.parametrize(("key", "status"), [("q", 0), ("\x03", 130)])
def test_keys_pause_it_go_on_and_end_it(tmp_path: Path, key: str, status: int) -> None:
    file, name = write_recording(tmp_path, ticks_every(MS * 1000, 2000)), f"unit-keys-{os.getpid()}"
    with Terminal(["-m", "tickengine", "replay", str(file), "--name", name]) as terminal:
        terminal.until(lambda _: f"replay '{name}' in process" in terminal.text(), "that it plays")
        terminal.press(" ")
        wait_for(lambda: paused(name), "the pause")
        terminal.press(" ")
        wait_for(lambda: not paused(name), "the end of the pause")
        terminal.press(key)
        assert terminal.ended() == status
        assert termios.tcgetattr(terminal.fd) == terminal.before


# A shell in short: its job has not got the terminal.
IN_THE_BACKGROUND = """
import os, subprocess, sys
sys.exit(subprocess.Popen([sys.executable, *sys.argv[1:]], preexec_fn=os.setpgrp).wait())
"""


def test_in_the_background_it_plays_without_keys(tmp_path: Path) -> None:
    arguments = ["replay", str(write_recording(tmp_path, ticks_every(MS, 200))), "--name", f"unit-job-{os.getpid()}"]
    with Terminal(["-c", IN_THE_BACKGROUND, "-m", "tickengine", *arguments]) as terminal:
        assert terminal.ended() == 0 and "200 ticks played" in terminal.text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{file}", "--speed", "quick"], "speed must be a number above 0, such as 10, or 'max' for flat out"),
        (["{folder}/none.ticks"], "no such file: give recordings (.ticks), CSV files, or a directory of them"),
        (["{file}", "--from", "noon"], "start must be a time such as 09:30:00"),
        (["{file}", "--instruments", "nothing"], "widen the filters"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_recording(tmp_path, ticks_every(MS, 8))
    given = [argument.format(file=file, folder=tmp_path) for argument in arguments]
    assert main(["replay", *given, "--name", f"unit-wrong-{os.getpid()}"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("tickengine: ") and words in said.err
    assert said.err.count("\n") == 1
