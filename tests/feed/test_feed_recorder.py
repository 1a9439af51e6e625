"""A feed's recorder that dies is started again, and goes on where its files end."""

from __future__ import annotations

import functools
import json
import os
import signal
from pathlib import Path

import pytest
from feed_support import wait_for
from writing import Feed

from tickengine.feed import recorder
from tickengine.feed.feed import RecorderPlan
from tickengine.record import Recording
from tickengine.watch.jsonlog import set_up


def test_a_dead_recorder_is_started_again_and_nothing_is_missing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("INFO", "tickengine")
    monkeypatch.setattr(recorder, "_PAUSES_S", (0.01,))
    feed = Feed()
    made = None
    try:
        prepare = functools.partial(set_up, "json", "info", "md")
        made = recorder.FeedRecorder(RecorderPlan(str(tmp_path), None), feed.queue(events=True), prepare)
        first = made._process.pid
        assert first is not None
        feed.tick("rb2601")
        wait_for(lambda: made.counters()["recorded"] == 1, "the first tick on disk")
        made.look()
        assert made._process.pid == first and made.counters()["alive"] is True
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: not made.counters()["alive"], "the end of the process")
        feed.tick("rb2601")
        wait_for(lambda: made.look() or made.counters()["alive"], "another process")
        assert made._process.pid != first
        assert "recorder: killed by signal 9; it is started again in 0.01 s" in caplog.text
        feed.tick("IF2601")
        feed.log.end()
    finally:
        if made is not None:
            made.finish()
        feed.close()
    (file,) = tmp_path.glob("*.ticks")
    recording = Recording.open(file)
    assert len(recording) == 3 and recording.lost == 0
    assert "recorder: 2 ticks recorded, 0 lost" in caplog.text  # by the second process
    said = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert any("goes on at sequence 1" in line["message"] and line["engine"] == "md" for line in said)
