"""When ticks are due: a clock of its own, moved by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tickengine import ConfigError
from tickengine.replay import player
from tickengine.replay.player import _Clock, checked_speed

SECOND = 1_000_000_000


class Monotonic:
    """A clock that goes only where it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000 * SECOND
        monkeypatch.setattr(player.time, "monotonic_ns", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    return Monotonic(monkeypatch)


def received(*seconds: float) -> np.ndarray:
    return np.array([50_000 * SECOND + int(s * SECOND) for s in seconds], np.int64)


def test_ticks_are_due_in_the_spacing_in_which_they_were_received(clock: Monotonic) -> None:
    for speed in (1.0, 10.0, 0.5):
        due = _Clock(None).due(received(0, 0.5, 0.5, 2), speed)
        assert ((due - clock.now) * speed).tolist() == [0, 0.5 * SECOND, 0.5 * SECOND, 2 * SECOND]


def test_the_spacing_goes_on_from_one_piece_to_the_next_however_late_it_is_asked_for(clock: Monotonic) -> None:
    c = _Clock(None)
    first = c.due(received(0, 1), 2.0)
    c.published(int(first[1]), int(received(1)[0]))
    clock.now += 77 * SECOND  # a schedule that could not be held is not stretched
    assert c.due(received(2, 4), 2.0).tolist() == [first[0] + SECOND, first[0] + 2 * SECOND]


def test_a_clock_that_was_set_back_makes_no_gap_and_long_gaps_can_be_shortened(clock: Monotonic) -> None:
    due = _Clock(None).due(received(0, 10, 5, 6), 1.0) - clock.now
    assert due.tolist() == [0, 10 * SECOND, 10 * SECOND, 11 * SECOND]
    due = _Clock(3 * SECOND).due(received(0, 2, 20_000, 20_001), 2.0) - clock.now
    assert due.tolist() == [0, SECOND, 2.5 * SECOND, 3 * SECOND]


def test_a_pause_leaves_what_was_left_to_wait(clock: Monotonic) -> None:
    c = _Clock(None)
    due = c.due(received(0, 10), 1.0)
    c.published(int(due[0]), int(received(0)[0]))
    clock.now += 4 * SECOND
    c.stop()
    c.stop()  # still
    clock.now += 3600 * SECOND
    c.go_on()
    c.go_on()
    assert (c.due(received(10), 1.0) - clock.now).tolist() == [6 * SECOND]


def test_a_new_speed_counts_from_the_last_tick(clock: Monotonic) -> None:
    c = _Clock(None)
    due = c.due(received(0, 10, 20), 1.0)
    c.published(int(due[0]), int(received(0)[0]))
    assert (c.due(received(10, 20), 10.0) - clock.now).tolist() == [SECOND, 2 * SECOND]


@pytest.mark.parametrize(("speed", "expected"), [("max", None), ("10", 10.0), (0.25, 0.25), (1, 1.0)])
def test_speeds(speed: float | str, expected: float | None) -> None:
    assert checked_speed(speed) == expected


@pytest.mark.parametrize("speed", [0, -1, "fast", "nan", "inf", None, True, ""])
def test_what_is_no_speed_is_refused(speed: float | str) -> None:
    with pytest.raises(ConfigError, match="speed must be a number above 0"):
        checked_speed(speed)
