"""Every command in the documents is one: the real parser takes it, and what can run on this machine is run.

A command is a line of a fenced ``bash`` or ``console`` block, or of a block without a language if it begins with
``tickengine`` or another program's name. What is inline (`tickengine front --port 41213`) has to name a command and
options that exist.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from feed_support import wait_for
from writing import Feed

from tickengine import TickLog, cli
from tickengine._errors import TickEngineError
from tickengine.front import FrontProcess, MarketSpec
from tickengine.record import Recorder, Recording, export

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("README*.md")])
IDS = ["rb2705", "IF2705", "m2705"]
DAY = "20260105"

# What else stands in shell blocks, and why it is not run here.
NOT_OURS = {
    "apt-get": "changes the machine",
    "pip": "installs",
    "umask": "the shell's",
    "read": "asks for a password",
    "printf": "of a password into a file",
    "cd": "the shell's",
    "mkdir": "the shell's",
    ".": "enters a virtual environment",
    "jq": "not ours",
    "bash": "scripts of this repository, longer than this",
    "make": "an hour and longer; tests/soak",
    "curl": "asks a feed for its metrics; tests/feed/test_run.py",
    "gcc": "a C program: tests/examples",
    "./follow": "a C program: tests/examples",
    "python3": "makes a virtual environment",
}
# Commands that the parser takes and that are not run here.
PARSED_ONLY = {
    "bench": "20 s; tests/unit/test_bench.py",
    "orders": "needs an account's journal; tests/trader",
    "demo": "with the genuine library; tests/genuine/test_demo.py, tests/trader/test_demo_trading.py",
}
# The documents' programs in Python, and where they are run.
PROGRAMS = {
    "-c": "test_python_in_a_line_runs",
    "follow.py": "tests/docs/test_programs.py",
}
# Those that go on until they are told to end, and what shows that they have begun.
UNTIL_TOLD = {"front": "tcp://127.0.0.1:", "run": "subscribed:", "record": "recording ", "replay": "replay "}


COMMANDS_AT_ONCE = re.compile(r"(\$ )?(tickengine|python|pip|curl|make)( +[^\d ]|$)")


@dataclass(frozen=True)
class Command:
    where: str
    words: tuple[str, ...]


def _segments(line: str) -> list[list[str]]:
    """The commands of a shell line, without what is redirected."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    found: list[list[str]] = [[]]
    words = iter(lexer)
    for word in words:
        if set(word) <= set("<>"):
            next(words)
        elif set(word) <= set("|&;()"):
            found.append([])
        elif found[-1] or not re.fullmatch(r"\w+=.*", word):  # a variable for the command behind it
            found[-1].append(word)
    return [segment for segment in found if segment]


def _shell_lines(page: Path) -> Iterator[tuple[int, str, str]]:
    """(line number, language, command line) of the shell blocks of a page; continued lines are one."""
    language: str | None = None
    held = ""
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        fence = re.match(r"\s*```(\S*)", line)
        if fence:
            language = None if language is not None else fence[1]
            continue
        text = line.strip()
        if language == "console":
            if not text.startswith("$ "):
                continue  # what the command says
            text = text[2:]
        elif language != "bash" and (language != "" or not COMMANDS_AT_ONCE.match(text)):
            continue
        text = held + text.removeprefix("$ ")
        held = text[:-1] if text.endswith("\\") else ""
        if text and not held and not text.startswith("#"):
            yield number, language, text


def commands() -> list[Command]:
    found = []
    for page in PAGES:
        for number, _, line in _shell_lines(page):
            found += [Command(f"{page.name}:{number}", tuple(words)) for words in _segments(line)]
    return found


def arguments_of(command: Command) -> list[str] | None:
    """What stands behind ``tickengine``; None for what is not ours."""
    words = list(command.words)
    if words[:3] == ["python", "-m", "tickengine"]:
        return words[3:]
    return words[1:] if words[0] == "tickengine" else None


ALL = commands()
OURS = [(command, arguments) for command in ALL if (arguments := arguments_of(command)) is not None]


def test_every_command_is_shown_in_english_and_in_chinese() -> None:
    assert len(OURS) > 40
    for chinese in (False, True):
        texts = [page.read_text("utf-8") for page in PAGES if page.name.endswith(".zh-CN.md") == chinese]
        shown = {name for text in texts for name in re.findall(r"tickengine ([a-z]+)", text)}
        assert not set(cli.COMMANDS) - shown


def test_what_is_not_ours_is_on_the_list() -> None:
    others = [c for c in ALL if arguments_of(c) is None]
    known = {*NOT_OURS, "python"}
    assert not [f"{c.where}: {c.words[0]}" for c in others if c.words[0] not in known]
    assert not known - {c.words[0] for c in others}
    assert {c.words[1] for c in others if c.words[0] == "python"} == set(PROGRAMS)
    assert not set(PARSED_ONLY) - set(cli.COMMANDS)


def test_what_the_lists_name_exists() -> None:
    """Where else a command is run."""
    reasons = " ".join([*NOT_OURS.values(), *PARSED_ONLY.values(), *PROGRAMS.values()])
    named = re.findall(r"tests/[\w/.]+", reasons)
    assert len(named) > 8 and not [name for name in named if not (ROOT / name).exists()]


def test_scripts_that_are_named_exist() -> None:
    for command in ALL:
        if command.words[0] == "bash":
            assert (ROOT / command.words[1]).exists(), command.where


def test_the_parser_takes_every_one(capsys: pytest.CaptureFixture[str]) -> None:
    parser, refused = cli.build_parser(), []
    for command, arguments in OURS:
        try:
            parser.parse_args(arguments)
        except SystemExit:
            refused.append(f"{command.where}: {capsys.readouterr().err.splitlines()[-1]}")
    assert not refused


def test_inline_commands_and_options_exist() -> None:
    choices = next(a for a in cli.build_parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    wrong, seen = [], 0
    for page in PAGES:
        prose = re.sub(r"^\s*```.*?^\s*```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        for text in re.findall(r"`tickengine ([^`]+)`", prose):
            name, *rest = text.split()
            seen += 1
            if not re.fullmatch(r"[a-z]+", name):
                continue  # COMMAND
            if name not in choices:
                wrong.append(f"{page.name}: {text}: no such command")
                continue
            options = [word.partition("=")[0] for word in rest if word.startswith("--")]
            wrong += [f"{page.name}: {text}: {o}" for o in options if o not in choices[name]._option_string_actions]
    assert not wrong and seen > 20


@pytest.mark.parametrize("page", ["start.md", "start.zh-CN.md", "configure.md", "configure.zh-CN.md"])
def test_a_file_that_is_shown_has_no_mistake(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (shown,) = re.findall(
        r"^```toml\n(front = .*?)^```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    Path("demo.toml").write_text(shown)
    assert cli.main(["check", "demo.toml", "--set", "engine.library=compatible"]) == 0, capsys.readouterr().err


# ---- run -----------------------------------------------------------------------------------------


def test_python_in_a_line_runs() -> None:
    lines = {c.words[2] for c in ALL if c.words[:2] == ("python", "-c")}
    assert lines
    for line in lines:
        done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, cwd=ROOT, timeout=60)
        assert done.returncode == 0, done.stderr
        assert Path(done.stdout.strip()).exists(), "it prints a file's path"


@dataclass(frozen=True)
class Place:
    """A directory with what the documents' commands name, and a feed that runs."""

    directory: Path
    address: str
    feed: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("docs")
    mark = secrets.token_hex(4)
    with FrontProcess(MarketSpec(IDS, kind="random-walk"), rate=50) as front:
        for name in ("base", "feed", "demo"):
            (directory / f"{name}.toml").write_text(
                f'front = "{front.address}"\nbroker = "9999"\nuser = "me"\npassword_file = "password"\n'
                f'[instruments]\nids = {IDS}\n[engine]\nname = "docs-{name}-{mark}"\nlibrary = "compatible"\n'
                f"[queues.docs-{name}-{mark}-1]\n"
            )
        (directory / "password").touch(0o600)
        (directory / "password").write_text("pass-word-1\n")
        _record(directory)
        process = _start(["run", "base.toml"], directory)
        try:
            name = f"docs-base-{mark}"
            wait_for(lambda: process.poll() is not None or _ticks(name) > 20, "ticks of the feed")
            assert process.poll() is None, process.communicate()[0]
            yield Place(directory, front.address, name)
        finally:
            _end(process)


def _record(directory: Path) -> None:
    """A recording of a day, and it as CSV, under the names that the documents have."""
    feed = Feed()
    try:
        recorder = Recorder(feed.queue(events=True), str(directory / "recordings"))
        for second in range(30):
            for instrument in ("rb2601", "rb2705", "IF2512"):
                feed.tick(instrument, UpdateTime=b"09:30:%02d" % second, Volume=second, LastPrice=3100.0 + second)
        while recorder.poll():
            pass
        recorder.close()
    finally:
        feed.close()
    export(Recording.open(directory / "recordings" / f"{DAY}.ticks"), "csv", str(directory / "once"))
    shutil.copy(directory / "once" / f"rb2601-{DAY}.csv", directory / f"rb2601-{DAY}.csv")


def _ticks(name: str) -> int:
    try:
        return int(TickLog.attach(name).status()["ticks"])
    except TickEngineError:
        return 0


def _start(arguments: list[str], directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "tickengine", *arguments],
        cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def _end(process: subprocess.Popen[str]) -> str:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=60)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise


def _here(arguments: list[str], place: Place) -> list[str]:
    """A command of the documents with the names and ports of this test in place of the documents'."""
    command, *rest = arguments
    if command in ("status", "health", "record", "bars", "top"):
        rest = [place.feed if word in ENGINES else word for word in rest]
    rest = [f"front={place.address}" if word.startswith("front=") else word for word in rest]
    rest = [word.replace("*", DAY) if word.endswith("*.ticks") else word for word in rest]
    _give(rest, "--port", "0")
    _give(rest, "--metrics", f"127.0.0.1:{_free_port()}")
    _give(rest, "--wait-for-readers", "1")
    _give(rest, "--period", "1s")
    _give(rest, "--config", "base.toml")  # of the feed that runs
    if command == "top":
        rest += ["--once", "--interval", "0.1", *([] if place.feed in rest else [place.feed])]
    more = {
        "bars": ["--any-hour", "--count", "1"],
        "replay": ["--name", f"{place.feed}-replay", "--max-gap", "0.01"],
        "run": ["--set", f"engine.name={place.feed}-run"],
    }
    return [command, *rest, *more.get(command, [])]


# The engines' names in the documents; only one of the test's runs.
ENGINES = {"md", "feed", "demo", "NAME", "test", "replay"}


def _give(words: list[str], option: str, value: str) -> None:
    for at, word in enumerate(words):
        if word == option:
            words[at + 1] = value


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


ONCE = {" ".join(arguments): (command, arguments) for command, arguments in OURS if arguments}.values()
IN_HERE = [(c, a) for c, a in ONCE if a[0] not in PARSED_ONLY and a[0] not in UNTIL_TOLD and "--wait" not in a]
ON_THEIR_OWN = [(c, a) for c, a in ONCE if a[0] in UNTIL_TOLD]


def _ids(cases: list[tuple[Command, list[str]]]) -> list[str]:
    return [" ".join(arguments)[:60] for _, arguments in cases]


@pytest.mark.parametrize(("command", "arguments"), IN_HERE, ids=_ids(IN_HERE))
def test_it_runs(
    command: Command,
    arguments: list[str],
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path if arguments[0] == "init" else place.directory)
    status = cli.main(_here(arguments, place))
    said = capsys.readouterr()
    if arguments[0] == "vendor" and "--library" not in arguments:
        status = 0  # what is installed on this machine is not the documents' matter
    assert status == 0, f"{command.where}: {said.err}"
    assert said.out, f"{command.where} says nothing"


@pytest.mark.parametrize(("command", "arguments"), ON_THEIR_OWN, ids=_ids(ON_THEIR_OWN))
def test_it_runs_until_it_is_told(
    command: Command, arguments: list[str], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRONT_PASSWORD", "pass-word-1")
    process = _start(_here(arguments, place), place.directory)
    said = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:  # ends with the process, so a failure is no wait
            said += line
            if UNTIL_TOLD[arguments[0]] in line:
                break
        else:
            pytest.fail(f"{command.where}: {said}")
    finally:
        rest = _end(process)
    # A replay that Ctrl-C ends before it has played everything says so.
    expected = (0, 130) if arguments[0] == "replay" else (0,)
    assert process.returncode in expected, f"{command.where}: {said}{rest}"
