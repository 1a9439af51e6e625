"""How far a long job is: what a terminal shows, and what is said where there is none."""

from __future__ import annotations

import pytest
from terminal import Terminal

from tickengine.record import progress
from tickengine.record.progress import Progress

HALF = """
import sys
from tickengine.record.progress import Progress
with Progress("20260105 to csv", 4000) as done:
    done(2000)
    done.hide()
    print("hidden")
    done.show()
    done.at(1000, words="20260106 [to] csv", total=5000)
print("over")
"""


def test_a_terminal_shows_a_bar() -> None:
    with Terminal(["-c", HALF], width=120) as terminal:
        assert terminal.ended() == 0
    shown, hidden = terminal.text().split("hidden")
    assert "20260105 to csv" in shown and "2000/4000" in shown and "%" not in shown
    assert "20260106 [to] csv" in hidden and "1000/5000" in hidden and "over" in hidden


def test_elsewhere_it_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_LINE_S", 0.0)
    with Progress("reading", 4000, "bytes") as done:
        done(1000)
        done(0)  # nothing new
        done.at(500, words="again")
    said = capsys.readouterr()
    assert said.err == "reading: 1,000 of 4,000 bytes (25 %)\nagain: 500 of 4,000 bytes (12 %)\n" and said.out == ""


def test_a_short_job_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "_LINE_S", 3600.0)
    with Progress("reading", 4000) as done:
        done(4000)
    assert capsys.readouterr().err == ""
