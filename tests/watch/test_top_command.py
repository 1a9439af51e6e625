"""``tickengine top`` for scripts: one look as text and as JSON, names, and what it says when something is wrong."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from feed_support import IDS, engine_on, wait_for
from writing import Feed

from tickengine import SegmentError, TickQueue, _segments
from tickengine._coming import Coming
from tickengine.cli import build_parser, main
from tickengine.front import FrontProcess, MarketSpec
from tickengine.latency import BUCKETS
from tickengine.top import command, find
from tickengine.top.snapshot import Watcher
from tickengine.top.view import KEYS

ONCE = ("--once", "--interval", "0.2")
# A tickengine without rich, whatever is installed.
WITHOUT_RICH = "import sys; sys.modules['rich'] = None; from tickengine.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed()
    feed.tick("rb2601", LastPrice=4000.5, Volume=7)
    yield feed
    feed.close()


def _without_rich(*arguments: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", WITHOUT_RICH, "top", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)


def test_a_running_engine_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with FrontProcess(MarketSpec(IDS), rate=400) as front, TickQueue(name="top-all") as queue:
        with engine_on(front.address, "compatible", IDS, [queue]) as engine:
            engine.wait_live()
            for _ in range(200):
                queue.get(timeout=20)

            def look() -> Any:
                assert main(["top", engine.name, *ONCE, "--json"]) == 0
                told = json.loads(capsys.readouterr().out)
                return told if told["rate"] else None

            told = wait_for(look, "a tick between its two looks")
            assert main(["top", engine.name, *ONCE]) == 0
            text = capsys.readouterr().out
    assert (told["name"], told["state"], told["front"]) == (engine.name, "live", front.address)
    assert sorted(i["InstrumentID"] for i in told["instruments"]) == sorted(IDS)
    assert told["rate"] > 0 and told["peak"] is None and told["ticks"] >= 200
    assert all(i["ticks"] > 0 and i["age"] >= 0 and i["last"] is not None for i in told["instruments"])
    assert {e["ExchangeID"] for e in told["exchanges"]} == {"SHFE", "CFFEX", "DCE", "CZCE"}
    (mine,) = told["queues"]
    assert mine["name"] == "top-all" and mine["alive"] and mine["lost"] == 0 and mine["received"] >= 200
    latency = mine["latency"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"] and latency["count"] > 0
    assert [e["name"] for e in told["events"]][:4] == ["engine_started", "front_connected", "logged_in", "subscribed"]
    assert text.startswith(f"tickengine {engine.name}  LIVE") and "top-all" in text and "front connected" in text
    assert re.search(r"/s now  instruments \d", text)


def test_once_needs_no_rich(feed: Feed) -> None:
    done = _without_rich(feed.log.name, *ONCE)
    assert done.returncode == 0 and re.search(r"rb2601 .*4000\.5", done.stdout), done.stderr
    done = _without_rich(feed.log.name, *ONCE, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["instruments"][0]["last"] == 4000.5


def test_missing_rich_is_told_in_one_line(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["top", feed.log.name]) == 1
    error = capsys.readouterr().err
    assert "pip install 'tickengine[watch]'" in error and error.count("\n") == 1


def test_without_a_name_the_only_engine_is_meant(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "running", lambda: [feed.log.name])
    assert main(["top", *ONCE]) == 0
    assert feed.log.name in capsys.readouterr().out


def test_of_several_engines_there_is_a_list(feed: Feed, capsys: pytest.CaptureFixture[str]) -> None:
    other = Feed()
    try:
        other.log.set_status_text({"state": "live", "trading_day": "20260105"})
        assert {feed.log.name, other.log.name} <= set(find.running())
        assert main(["top", *ONCE]) == 2
        out = capsys.readouterr().out
        assert re.search(rf"^{other.log.name} +live +20260105 +0 +\d+$", out, re.MULTILINE) and feed.log.name in out
        other.log.end()
        assert other.log.name not in find.running()
    finally:
        other.close()


def test_wrong_names_and_options_are_told_in_one_line(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "running", lambda: ["md"])
    for arguments, words in (
        (("not-there", "--once"), "no engine named 'not-there'; running: md; --wait waits for it"),
        (("no/name", "--once"), "name 'no/name' cannot be used"),
        ((feed.log.name, "--json"), "add --once"),
        ((feed.log.name, "--sort", "price"), "can be sorted by id, last"),
        ((feed.log.name, "--once", "--interval", "0"), "--interval must be from 0.1"),
        ((feed.log.name, *ONCE, "--svg", "/nowhere/top.svg"), "cannot write '/nowhere/top.svg'"),
    ):
        assert main(["top", *arguments]) == 1
        captured = capsys.readouterr()
        assert words in captured.err and captured.err.count("\n") == 1 and not captured.out
    monkeypatch.setattr(command, "running", list)
    assert main(["top"]) == 1 or sys.stdout.isatty()
    assert main(["top", "--once"]) == 1
    assert "tickengine demo" in capsys.readouterr().err


def test_an_engine_that_is_waited_for(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter([[], [], [feed.log.name]])
    monkeypatch.setattr(command, "running", lambda: next(answers))
    monkeypatch.setattr(command, "_LOOK_FOR_S", 0.01)
    assert main(["top", "--wait", *ONCE]) == 0
    assert feed.log.name in capsys.readouterr().out


def test_an_engine_that_is_just_being_made_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = _segments.random_name("coming")
    path = Path(_segments.log_path(name).decode())
    made: list[Feed] = []

    def sleep(seconds: float, real: Callable[[float], None] = time.sleep) -> None:
        if not made:
            assert path.stat().st_size == 0
            made.append(Feed(name=name))
        real(seconds)

    path.touch(0o600)
    try:
        monkeypatch.setattr(time, "sleep", sleep)
        assert main(["top", name, "--wait", *ONCE]) == 0
        assert capsys.readouterr().out.startswith(f"tickengine {name}  ")
        monkeypatch.undo()
    finally:
        for feed in made:
            feed.close()
        path.unlink(missing_ok=True)


def test_one_that_stays_damaged_is_an_error(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(f"{feed.log.path.decode()[:-4]}-x.log")
    path.touch(0o600)
    try:
        coming = Coming(f"{feed.log.name}-x")
        assert [coming.look() for _ in range(10)] == [None] * 10
        with pytest.raises(SegmentError, match="being made just now, or its maker died"):
            coming.look()
    finally:
        path.unlink()
    assert coming.look() is None


def test_damaged_and_unfinished_logs_are_no_engines(feed: Feed) -> None:
    path = Path(f"{feed.log.path.decode()[:-4]}-x.log")
    path.write_bytes(b"no log" * 2000)
    try:
        assert feed.log.name in find.running() and f"{feed.log.name}-x" not in find.running()
    finally:
        path.unlink()


def test_a_picture(feed: Feed, tmp_path: Path) -> None:
    assert main(["top", feed.log.name, *ONCE, "--svg", str(tmp_path / "top.svg")]) == 0
    drawn = (tmp_path / "top.svg").read_text(encoding="utf-8")
    assert drawn.startswith("<svg") and "rb2601" in drawn


def test_the_document_is_the_code(feed: Feed) -> None:
    document = (Path(__file__).parents[2] / "docs" / "top.md").read_text(encoding="utf-8")
    quoted = set(re.findall(r"`([^`\n]+)`", document))
    assert {"p50", "p90", "p99", "count", *(key for keys, _ in KEYS for key in keys.split() if len(key) == 1)} <= quoted
    own = set(Watcher(feed.log).look().to_dict()) - set(feed.log.status())
    assert own <= quoted and f"{BUCKETS} buckets" in document
    assert set(re.findall(r"--[a-z]+", document)) <= set(re.findall(r"--[a-z]+", _help()))


def _help() -> str:
    parser = build_parser()
    with pytest.raises(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:
        parser.parse_args(["top", "--help"])
    return out.getvalue()
