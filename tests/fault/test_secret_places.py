"""`tickengine.secret`: from the environment, a safe file or the terminal; anything else is one clear error."""

from __future__ import annotations

import fcntl
import os
import pickle
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tickengine import ConfigError, Secret, secret


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("pass-word-1\n")
    path.chmod(0o600)
    return path


def test_a_secret_is_shown_as_stars_and_gets_to_a_process() -> None:
    found = Secret("pass-word-1")
    assert f"{found} {found!r} {found!s} {found:>20} %s" % found == "*** *** *** *** ***"
    assert pickle.loads(pickle.dumps(found)) == found and found.reveal() == "pass-word-1"
    assert found != Secret("other") and found != "pass-word-1" and not Secret("") and Secret(found) == found
    with pytest.raises(TypeError):
        vars(found)  # no attribute to be listed


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_from_a_file(kept: Path, end: str) -> None:
    kept.write_bytes(b" pass word " + end.encode())  # blanks may belong to it
    assert secret(file=kept).reveal() == " pass word "
    kept.chmod(0o400)
    assert secret(env="TICKENGINE_TEST_NOT_THERE", file=str(kept)).reveal() == " pass word "
    link = kept.with_name("link")
    link.symlink_to(kept)  # what it leads to is looked at
    assert secret(file=link).reveal() == " pass word "


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o777])
def test_a_file_that_others_can_use_is_refused_with_the_cure(kept: Path, mode: int) -> None:
    kept.chmod(mode)
    link = kept.with_name("link")
    link.symlink_to(kept)
    for path in (kept, link):
        with pytest.raises(ConfigError, match=f"has mode {mode:o}, so that others can use it: chmod 600 {path}"):
            secret(file=path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(kept: Path) -> None:
    os.chown(kept, 54322, 54322)
    with pytest.raises(ConfigError, match=r"belongs to user 54322: it must belong to this user \(0\)"):
        secret(file=kept)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "exactly one line"),
        (b"\n", "exactly one line"),
        (b"a\nb\n", "exactly one line"),
        (b"x" * 5000, "5000 bytes"),
    ],
)
def test_a_file_with_something_else_is_refused_without_its_content(kept: Path, content: bytes, words: str) -> None:
    kept.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        secret(file=kept)
    assert "xxx" not in str(caught.value)


def test_what_is_no_file_is_refused_and_not_waited_at(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/null")):
        with pytest.raises(ConfigError, match="is not a regular file"):
            secret(file=path)


def test_a_path_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be a path"):
        secret(file="a\0b")


def test_what_is_nowhere_is_one_error_that_names_all_places(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"TICKENGINE_TEST_NOT_THERE is not set; file '.*/missing' does not exist"):
        secret(env="TICKENGINE_TEST_NOT_THERE", file=tmp_path / "missing")
    with pytest.raises(ConfigError, match="name a place: env=, file= or prompt="):
        secret()


ASK = 'from tickengine import secret; print(len(secret(env="TICKENGINE_TEST_NOT_THERE", prompt="Password: ").reveal()))'


def test_at_a_terminal_it_is_asked_for_without_echo() -> None:
    master, slave = os.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", ASK],
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        seen = b""
        while not seen.endswith(b"Password: "):
            seen += os.read(master, 100)
        os.write(master, b"pass-word-1\n")
        out, err = process.communicate(timeout=30)
        os.set_blocking(master, False)
        seen += os.read(master, 1000)
    finally:
        os.close(master)
        os.close(slave)
    assert (out, err) == ("11\n", "") and b"pass-word-1" not in seen


def test_without_a_terminal_it_is_not_read_from_a_pipe() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        input="pass-word-1\n",
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=30,
    )
    assert done.returncode == 1 and "there is no terminal to ask at" in done.stderr
    assert "pass-word-1" not in done.stdout + done.stderr
