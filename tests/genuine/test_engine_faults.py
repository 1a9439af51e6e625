"""The engine process killed at any moment, stopped, kept from starting: the log stays whole, and the feed goes on."""

from __future__ import annotations

import operator
import os
import random
import re
import shutil
import signal
import threading
import time
from pathlib import Path
from queue import Empty

import numpy as np
import pytest
from feed_support import IDS, check_ticks, engine_on, numbers_of, wait_for

from tickengine import Closed, Event, ShimError, TickEngine, TickLog, TickQueue, _supervisor
from tickengine._watchdog import Watchdog
from tickengine.front import Front, FrontProcess, MarketSpec, NumberedMarket

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(180)]

MARKET = NumberedMarket(IDS)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_supervisor, "RESTART_PAUSES_S", (0.01,))


def _all(queue: TickQueue) -> np.ndarray:
    """Every record of an ended queue, events too."""
    parts = []
    while True:
        try:
            parts.append(queue.get_many(timeout=20))
        except Closed:
            return np.concatenate(parts)


def _kill_now_and_then(running: TickEngine, kills: int, rng: random.Random) -> list[int]:
    """Kill at random moments of a life of some tenths of a second: Init, login, subscribing, flood. Returns heads."""
    heads = []
    for kill in range(kills):
        wait_for(lambda kill=kill: running.log.info().epoch == kill + 1, f"engine process {kill + 1}")
        until = time.monotonic() + rng.random() * rng.choice([0.02, 0.1, 0.4])
        while time.monotonic() < until:
            pass  # the moment, to the microsecond; a sleep would end on the scheduler's ticks
        pid = running.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        heads.append(running.log.head)
    return heads


def test_kills_at_random_moments_lose_nothing_that_was_in_the_log(genuine: str, quick: None) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    kills = 24
    with TickQueue(events=True) as queue:
        with (
            FrontProcess(MarketSpec(IDS), rate=20_000) as front,
            engine_on(front.address, genuine, IDS, [queue], capacity=1 << 20) as running,
        ):
            heads = _kill_now_and_then(running, kills, random.Random(seed))
            wait_for(lambda: running.log.info().epoch == kills + 1, "the last engine process")
            running.wait_live()
            wait_for(lambda: running.log.head > heads[-1] + 1000, "ticks of the last one")
            assert running.status()["restarts"] == kills
        records = _all(queue)
        assert queue.lost == 0
    assert np.array_equal(records["Stamp"], np.arange(1, len(records) + 1)), "the sequence goes on without a gap"
    assert heads == sorted(heads) and heads[-1] < len(records)
    is_event = records["Kind"] == 1
    ticks = records[~is_event]
    numbers = check_ticks(ticks, MARKET)
    assert (np.diff(numbers) > 0).all(), "no tick twice, and in the front's order"
    events = [Event.from_buffer_copy(r.tobytes()) for r in records[is_event]]
    ends = [(e.Epoch, e.name) for e in events if e.name in ("engine_lost", "engine_stopped")]
    assert ends == [*((epoch, "engine_lost") for epoch in range(1, kills + 1)), (kills + 1, "engine_stopped")]
    # What a process writes begins with `engine_started`. One that took the log and was killed before that has only
    # its end there: it was loading the vendor library, which may take a while.
    names = {e.Sequence: e.name for e in events}
    behind = [names.get(e.Sequence + 1) for e in events if e.name == "engine_lost"]
    assert names[0] == "engine_started" and set(behind) <= {"engine_started", "engine_lost"}
    started = [e.Epoch for e in events if e.name == "engine_started"]
    assert started == sorted(set(started)) and len(started) == 1 + behind.count("engine_started")
    assert (started[0], started[-1]) == (1, kills + 1)
    assert {e.Value for e in events if e.name == "engine_lost"} == {-signal.SIGKILL}
    # Within one life every tick that the front sent from the first one on is there: gaps are at the marks only.
    gaps = ticks["Stamp"][1:][np.diff(numbers) > 1]
    lost_at = np.array([e.Sequence for e in events if e.name == "engine_lost"])
    before = ticks["Stamp"][:-1][np.diff(numbers) > 1]
    assert all(((lost_at >= a - 1) & (lost_at <= b)).any() for a, b in zip(before, gaps)), "a gap without engine_lost"


def test_the_pauses_between_restarts_grow_and_the_front_is_not_hammered(
    genuine: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies as soon as it is there, again and again."""
    pauses = (0.1, 0.4, 1.6)
    monkeypatch.setattr(_supervisor, "RESTART_PAUSES_S", pauses)
    died, born = [], []
    with Front(NumberedMarket(IDS), rate=100) as front, engine_on(front.address, genuine, IDS, []) as running:
        for restart in range(4):
            wait_for(lambda restart=restart: running.log.info().epoch == restart + 1, "an engine process")
            born.append(time.monotonic())
            assert running.pid is not None
            died.append(time.monotonic())
            os.kill(running.pid, signal.SIGKILL)
        wait_for(lambda: running.log.info().epoch == 5, "the last one")
        born.append(time.monotonic())
        running.wait_live()
    waits = [b - d for d, b in zip(died, born[1:])]
    # Each wait is the pause and the time of a start, which may be any; the last pause is kept.
    for wait, pause in zip(waits, (*pauses, pauses[-1])):
        assert wait > pause
    said = [m.group(1) for m in re.finditer(r"starting it again in ([0-9.]+) s", caplog.text)]
    assert said == ["0.1", "0.4", "1.6", "1.6"]


def test_a_life_long_enough_makes_the_pauses_short_again(
    genuine: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_supervisor, "RESTART_PAUSES_S", (0.1, 0.2))
    monkeypatch.setattr(_supervisor, "_HEALTHY_S", 3600.0)
    heard: list[int] = []
    beaten = Watchdog._beaten

    def hear(self: Watchdog) -> bool:
        found = beaten(self)
        heard.extend([self._pid] * found)
        return found

    monkeypatch.setattr(Watchdog, "_beaten", hear)
    with Front(NumberedMarket(IDS), rate=100) as front, engine_on(front.address, genuine, IDS, []) as running:
        for restart, long in enumerate((False, False, True)):
            wait_for(lambda restart=restart: running.log.info().epoch == restart + 1, "an engine process")
            if long:  # told by what is enough, not by a clock: it has run, and was heard of
                monkeypatch.setattr(_supervisor, "_HEALTHY_S", 0.0)
                wait_for(lambda: running.pid in heard, "a sign of its life")
            assert running.pid is not None
            os.kill(running.pid, signal.SIGKILL)
        wait_for(lambda: running.log.info().epoch == 4, "the last one")
    said = [m.group(1) for m in re.finditer(r"starting it again in ([0-9.]+) s", caplog.text)]
    assert said == ["0.1", "0.2", "0.1"]


def test_the_words_about_a_death_name_the_signal_and_are_in_the_status(
    genuine: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_supervisor, "RESTART_PAUSES_S", (0.01,))
    with (
        Front(NumberedMarket(IDS), rate=100) as front,
        engine_on(front.address, genuine, IDS, [], name="faults-words") as running,
    ):
        running.wait_live()
        seen, launch = threading.Event(), running._launch
        monkeypatch.setattr(running, "_launch", lambda: seen.wait(60) and launch())
        pid = running.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        outside = TickLog.attach("faults-words")
        words = f"the engine process {pid} died with status -9 (SIGKILL: somebody, or the kernel for want of memory"
        wait_for(lambda: outside.status()["front_error"].startswith(words), "the reason in the status")
        assert outside.status()["state"] == "connecting"
        seen.set()
        running.wait_live()
        assert outside.status()["front_error"] == ""
    assert words in caplog.text


def test_a_process_killed_while_it_wrote_its_status_is_followed_by_another(genuine: str, quick: None) -> None:
    """It leaves the status locked: odd, as while it is being written (docs/layout.md)."""
    with Front(NumberedMarket(IDS), rate=100) as front, engine_on(front.address, genuine, IDS, []) as running:
        running.wait_live()
        first = running.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        wait_for(lambda: _states(first) == {"T"}, "all its threads to stand still")
        with open(running.log.path, "r+b") as log:
            log.seek(448)
            version = int.from_bytes(log.read(4), "little")
            log.seek(448)
            log.write((version | 1).to_bytes(4, "little"))
        with pytest.raises(ShimError, match="being written by a process that has stopped"):
            running.status()
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: running.pid != first, "another engine process")
        running.wait_live()
        assert running.status()["restarts"] == 1


@pytest.fixture
def own_library(genuine: str, tmp_path: Path) -> Path:
    copy = tmp_path / os.path.basename(genuine)
    shutil.copyfile(genuine, copy)
    return copy


def test_a_library_removed_meanwhile_is_waited_for(
    own_library: Path, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    away = own_library.with_name("away")
    with Front(NumberedMarket(IDS), rate=100) as front, engine_on(front.address, str(own_library), IDS, []) as running:
        running.wait_live()
        own_library.rename(away)
        assert running.pid is not None
        os.kill(running.pid, signal.SIGKILL)
        wait_for(lambda: caplog.text.count("could not be started again") >= 3, "some tries")
        status = running.status()
        assert status["state"] == "connecting" and f"'{own_library}' does not exist" in status["front_error"]
        away.rename(own_library)
        running.wait_live()
        assert running.status()["restarts"] == 1


def test_a_flow_directory_that_cannot_be_used_for_a_while_is_waited_for(
    genuine: str, tmp_path: Path, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    flow = tmp_path / "flow"
    with (
        Front(NumberedMarket(IDS), rate=100) as front,
        engine_on(front.address, genuine, IDS, [], page_dir=str(flow)) as running,
    ):
        running.wait_live()
        assert running.pid is not None
        os.kill(running.pid, signal.SIGSTOP)  # it makes no files meanwhile
        shutil.rmtree(flow)
        flow.write_text("a file in its place")
        os.kill(running.pid, signal.SIGKILL)
        wait_for(lambda: caplog.text.count("could not be started again") >= 3, "some tries")
        assert "cannot be made" in running.status()["front_error"]
        flow.unlink()
        running.wait_live()


def test_stop_ends_the_tries_at_once(own_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_supervisor, "RESTART_PAUSES_S", (0.01, 3600.0))
    with Front(NumberedMarket(IDS), rate=100) as front, engine_on(front.address, str(own_library), IDS, []) as running:
        running.wait_live()
        own_library.unlink()
        assert running.pid is not None
        os.kill(running.pid, signal.SIGKILL)
        wait_for(lambda: "could not be started again" in running.status().get("front_error", ""), "a try")
        running.stop()
        assert running.join(0) and running.status()["state"] == "stopped"


def test_a_stop_while_the_next_process_starts_ends_that_one_too(
    genuine: str, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Front(NumberedMarket(IDS), rate=100) as front, engine_on(front.address, genuine, IDS, []) as running:
        running.wait_live()
        first, await_ready, stopper = running.pid, running._await_ready, threading.Thread(target=running.stop)

        def ready_when_told_to_stop() -> None:
            await_ready()
            stopper.start()
            wait_for(running._stopping.is_set, "the stop")

        monkeypatch.setattr(running, "_await_ready", ready_when_told_to_stop)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert running.join(20)
        assert running.pid != first and not running.is_alive()
        assert running.status()["state"] == "stopped"
        stopper.join(20)


def test_an_instrument_that_the_library_cannot_take_is_refused_and_hurts_nothing(
    genuine: str, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    """6.3.6 has ids of 30 bytes; newer libraries have 80."""
    with Front(NumberedMarket(IDS), rate=500) as front, engine_on(front.address, genuine, IDS[:3], []) as running:
        running.wait_live()
        running.subscribe(["x" * 40])
        running.subscribe([IDS[3]])
        wanted = {"subscribed": 4, "unacknowledged": 0, "state": "live"}
        wait_for(lambda: running.status().items() >= wanted.items(), "the next subscription")
        wait_for(lambda: f"'{'x' * 40}' must have 1 to 30 bytes" in caplog.text, "the refusal")
        first = running.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)  # the next process is not asked for it
        wait_for(lambda: running.pid != first and running.status()["state"] == "live", "a new engine process")
        assert running.status()["subscribed"] == 4


def _states(pid: int) -> set[str]:
    """Of all its threads."""
    return {path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")}


def _descriptors(pid: int | str) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_twenty_restarts_leak_no_descriptor_and_no_thread(genuine: str, quick: None) -> None:
    with Front(NumberedMarket(IDS), rate=500) as front, engine_on(front.address, genuine, IDS, []) as running:
        most = [0, 0, 0]

        def counts() -> list[int]:
            assert running.pid is not None
            return [_descriptors("self"), _descriptors(running.pid), len(os.listdir("/proc/self/task"))]

        for restart in range(21):
            wait_for(lambda restart=restart: running.log.info().epoch == restart + 1, "an engine process")
            running.wait_live()
            # What belongs to the one before may go a little later than the new one is live.
            front.wait_until(max_open_clients=1, timeout=20)
            if restart < 5:
                most = list(map(max, most, counts()))
            else:
                wait_for(lambda: all(map(operator.le, counts(), most)), f"no more than {most}")  # noqa: B023
            assert running.pid is not None
            if restart < 20:
                os.kill(running.pid, signal.SIGKILL)
        assert front.stats().logins == 21


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_a_process_that_is_just_starting_stops_it_in_order(genuine: str, number: int) -> None:
    """It has no handler yet, and would die of it: with a traceback, or as if it had crashed."""
    with Front(NumberedMarket(IDS), rate=100) as front:
        running = engine_on(front.address, genuine, IDS, [])

        def send() -> None:
            os.kill(wait_for(lambda: running.pid, "an engine process"), number)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            running.start()
            assert running.join(20)
            status = running.status()
            assert (status["state"], status["restarts"], running.is_alive()) == ("stopped", 0, False)
        finally:
            sender.join()
            running.stop()


def test_ticks_wait_in_the_front_while_the_engine_stands_still_and_workers_wait_with_them(genuine: str) -> None:
    with TickQueue() as queue:
        with (
            Front(NumberedMarket(IDS), rate=2_000) as front,
            engine_on(front.address, genuine, IDS, [queue]) as running,
        ):
            first = queue.get(timeout=20).Sequence
            wait_for(lambda: running.log.head > first + 100, "more ticks")
            pid = running.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            try:
                wait_for(lambda: _states(pid) == {"T"}, "all its threads to stand still")
                sent = front.stats().next_number
                wait_for(lambda: front.stats().next_number > sent + 2_000, "the front to go on")
                there, taken = numbers_of(running.log.read(first + 1)), np.empty(0, np.int64)
                while len(taken) < len(there):
                    taken = np.concatenate((taken, numbers_of(queue.get_many(timeout=20))))
                assert np.array_equal(taken, there)
                with pytest.raises(Empty):
                    queue.get(timeout=0.2)
                assert running.status()["restarts"] == 0
            finally:
                os.kill(pid, signal.SIGCONT)
            front.pause()
            sent = front.stats().next_number
            wait_for(lambda: running.status()["ticks"] == sent, "everything that was sent")
            assert running.status()["disconnects"] == 0
            rest = running.log.read(0)
        assert np.array_equal(numbers_of(rest), np.arange(sent))


def test_a_front_that_cuts_a_stopped_engine_gets_it_back(genuine: str) -> None:
    with TickQueue(events=True) as queue:
        with Front(NumberedMarket(IDS), rate=500) as front, engine_on(front.address, genuine, IDS, [queue]) as running:
            running.wait_live()
            assert running.pid is not None
            os.kill(running.pid, signal.SIGSTOP)
            try:
                assert front.cut() == 1
            finally:
                os.kill(running.pid, signal.SIGCONT)
            wait_for(lambda: running.status()["logins"] == 2, "the second login")
            running.wait_live()
            assert running.status()["restarts"] == 0
        names = [Event.from_buffer_copy(r.tobytes()).name for r in _all(queue) if r["Kind"] == 1]
    first = ["engine_started", "front_connected", "logged_in", "subscribed", "front_disconnected"]
    assert names[:6] == [*first, "front_connected"] and "engine_lost" not in names
