"""`tickengine replay` as it is typed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from feed_support import wait_for
from recordings import MS, csv_rows, ticks_every, write_csv, write_recording
from terminal import Terminal

from tickengine import Closed, TickLog, TickQueue
from tickengine.cli import main
from tickengine.record import progress
from tickengine.replay import cli


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
    assert process.returncode == 0 and out.endswith(" ticks played\n")
    assert all("speed 1: " in line or "paused: " in line for line in err.splitlines())  # where it stood


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


def stands_at(name: str) -> str:
    """When the exchange made the tick that it goes on with."""
    return str(TickLog.attach(name).status().get("replay", {}).get("time", ""))[11:]


def test_keys_go_a_minute_back_or_on_and_to_a_time(tmp_path: Path) -> None:
    ids = ["rb2601"]
    morning = ticks_every(1000 * MS, 600, ids=ids)  # to 09:39:59
    file = write_recording(tmp_path, np.concatenate([morning, ticks_every(1000 * MS, 300, ids=ids, begin="13:00:00")]))
    name = f"unit-seek-{os.getpid()}"
    with Terminal(["-m", "tickengine", "replay", str(file), "--name", name, "--paused"], width=160) as terminal:
        terminal.until(lambda _: f"replay '{name}' in process" in terminal.text(), "that it plays")

        def goes(keys: str, where: str) -> None:
            terminal.press(keys)
            wait_for(lambda: stands_at(name) == where, f"{where} after {keys!r}")

        goes("/09:35\r", "09:35:00.000")
        goes("\x1b[C", "09:36:00.000")
        goes("\x1b[D", "09:35:00.000")
        goes("/09:3x\x7f8:30\r", "09:38:30.000")
        goes("\x1b[C", "09:39:30.000")
        goes("\x1b[C", "13:00:00.000")
        goes("\x1b[D", "09:38:59.000")
        goes("/q \x1b\x1b[D", "09:37:59.000")  # nothing typed is a key, and escape leaves it
        terminal.press("/noon\r")
        terminal.until(lambda _: "seek must be a time such as 09:30:00" in terminal.text(), "what is wrong with it")
        terminal.until(lambda _: "2026-01-05 09:37:59.000 paused" in terminal.text(), "where it stands")
        terminal.press("/")  # ended with words half typed
        terminal.until(lambda _: terminal.text().endswith("go to (such as 10:00): "), "the question")
        terminal.press("\x1bq")
        assert terminal.ended() == 0
        assert termios.tcgetattr(terminal.fd) == terminal.before


def test_progress_is_told_where_there_is_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_LINE_S", 0.0)
    monkeypatch.setattr(cli, "_LOOK_S", 0.01)
    name = f"unit-told-{os.getpid()}"
    path = write_csv(tmp_path / "day.csv", csv_rows(ticks_every(5 * MS, 10_000)))
    assert main(["replay", str(path), "--name", name, "--speed", "20"]) == 0
    said = capfd.readouterr()
    assert said.out.endswith("10000 ticks played\n")
    size = path.stat().st_size
    assert re.search(rf"^reading: \d[\d,]* of {size:,} bytes \(\d+ %\)$", said.err, re.MULTILINE)
    playing = r"^20260105 \(1/1\)( 2026-01-05 09:3\d:\d\d\.\d{3})? speed 20: \d[\d,]* of 10,000 ticks \(\d+ %\)$"
    assert re.search(playing, said.err, re.MULTILINE)


def test_a_name_in_a_file_commands_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    ticks = ticks_every(MS, 8)
    ticks["InstrumentID"] = b"\x1b[31mX" + b"x" * 80
    assert main(["replay", str(write_recording(tmp_path, ticks)), "--name", f"unit-evil-{os.getpid()}"]) == 1
    said = capsys.readouterr().err
    assert "tick 0 of it is damaged" in said and "?[31mXxx" in said
    assert "\x1b" not in said + caplog.text


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
        (["{file}", "--loop", "0"], "loop must be a whole number from 1 on, not 0"),
        (["{file}", "--loop", "-2"], "loop must be a whole number from 1 on, not -2"),
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
