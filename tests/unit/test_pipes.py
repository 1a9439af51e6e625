"""A command whose output nobody reads any more ends without a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from writing import Feed

from tickengine import cli


@pytest.mark.parametrize("command", [("init", "{folder}/feed.toml"), ("front",), ("bars", "{log}", "--oldest")])
def test_a_reader_that_has_enough_gets_no_traceback(tmp_path: Path, command: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    feed = Feed()
    try:
        arguments = [argument.format(folder=tmp_path, log=feed.log.name) for argument in command]
        done = subprocess.run(
            [sys.executable, "-m", "tickengine", *arguments],
            stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    finally:
        os.close(writing)
        feed.close()
    assert (done.returncode, done.stderr) == (141, "")


def test_a_pipe_that_is_not_stdout_is_an_error_still(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(_args: object) -> int:
        raise BrokenPipeError("another one")

    words, add_arguments, _ = cli.COMMANDS["vendor"]
    monkeypatch.setitem(cli.COMMANDS, "vendor", (words, add_arguments, broken))
    with pytest.raises(BrokenPipeError, match="another one"):
        cli.main(["vendor"])
