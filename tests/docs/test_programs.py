"""The programs that the documents show whole are run: as they stand there, but for names of what this test has."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from writing import Feed

from tickengine import TickQueue
from tickengine.front import FrontProcess, MarketSpec
from tickengine.record import Recorder, Recording, export

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ["", ".zh-CN"]


def program(page: str, mark: str) -> str:
    """The one Python block of a page that has *mark* in it."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (found,) = (block for block in blocks if mark in block)
    return str(found)


def start(folder: Path, text: str, *arguments: str) -> subprocess.Popen[str]:
    file = folder / "program.py"
    file.write_text(text, "utf-8")
    return subprocess.Popen(
        [sys.executable, "-u", str(file), *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_worker_prints_what_has_come_and_what_comes(language: str, tmp_path: Path) -> None:
    text = program(f"start{language}.md", 'TickQueue.attach("strategy-1")')
    feed, name = Feed(), f"docs-{secrets.token_hex(4)}"
    queue = TickQueue(name=name)
    process = None
    try:
        queue.bind(feed.log)
        feed.tick("rb2705", LastPrice=3100.0, Volume=7)
        process = start(tmp_path, text.replace('"strategy-1"', repr(name)))
        assert process.stdout is not None
        assert process.stdout.readline() == "rb2705 3100.0 7\n"
        feed.tick("m2705", LastPrice=2950.0, Volume=8)
        assert process.stdout.readline() == "m2705 2950.0 8\n"
    finally:
        if process is not None:
            process.kill()
            process.communicate()
        queue.close()
        feed.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_chart_is_drawn_from_an_exported_recording(language: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("pyarrow")
    feed = Feed()
    try:
        recorder = Recorder(feed.queue(events=True), str(tmp_path / "recordings"))
        for second in range(30):
            for instrument in ("rb2705", "IF2705"):
                feed.tick(instrument, UpdateTime=b"09:30:%02d" % second, Volume=second, LastPrice=3100.0 + second)
        while recorder.poll():
            pass
        recorder.close()
    finally:
        feed.close()
    export(Recording.open(tmp_path / "recordings" / "20260105.ticks"), "parquet", str(tmp_path / "lake"))
    process = start(tmp_path, program(f"start{language}.md", "rb2705.png"))
    out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (0, ""), err
    assert (tmp_path / "rb2705.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_strategy_runs_on_paper(language: str, tmp_path: Path) -> None:
    with FrontProcess(MarketSpec(["rb2605"], kind="random-walk"), rate=20) as front:
        (tmp_path / "tickengine.toml").write_text(
            f'[accounts.paper]\npaper = true\nmd_front = "{front.address}"\n'
            'broker_id = "9999"\ninvestor_id = "me"\nlibrary = "compatible"\n'
        )
        words = ["--account", "paper", "--name", "follow", "--instruments", "rb2605", "--seconds", "3"]
        process = start(tmp_path, program(f"trading{language}.md", "class Follow"), *words)
        _, err = process.communicate(timeout=100)
        assert process.returncode == 0 and "Traceback" not in err, err
        front.wait_until(timeout=60, logins=1)
