"""A vendor library, or the engine process itself, that hangs: killed, started again, and told from standing still."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from feed_support import IDS, engine_on, wait_for
from feeding import drain

from tickengine import ConfigError, EngineError, TickEngine, TickQueue, _supervisor, _watchdog
from tickengine.front import Front, NumberedMarket

pytestmark = pytest.mark.timeout(120)

FAULTS = "TICKENGINE_COMPAT_FAULTS"
LIMIT = _watchdog.LEAST_S
Compatible = Callable[[str], str]


@pytest.fixture
def library(compatible: Compatible) -> str:
    return compatible("6711")


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the library does wrong from its next process on; nothing so far."""
    path = tmp_path / "faults"
    path.write_text("# nothing\n")
    monkeypatch.setenv(FAULTS, f"@{path}")
    return path


def _hang_main_thread(engine: TickEngine) -> None:
    """It waits for the rest of a message that never comes."""
    assert engine._connection is not None
    os.write(engine._connection.fileno(), struct.pack("!i", 1000))


@pytest.mark.parametrize("request_", ["ReqUserLogin", "SubscribeMarketData"])
def test_a_request_that_never_returns_costs_one_process_and_the_feed_goes_on(
    library: str, script: Path, request_: str, caplog: pytest.LogCaptureFixture
) -> None:
    script.write_text(f"hang-in={request_}\n")
    with TickQueue(events=True) as queue:
        with (
            Front(NumberedMarket(IDS), rate=500) as front,
            engine_on(front.address, library, IDS, [queue], watchdog=600.0) as engine,
        ):
            script.write_text("# behaves\n")  # this process has read it
            watchdog = engine._watchdog
            assert watchdog is not None
            wait_for(lambda: watchdog.call == request_, "the word where it stands")
            assert f"stood still for 3 s, in the vendor library's {request_}" in caplog.text
            # Of this process alone, and only now: a busy machine may keep a healthy one waiting for as long, and one
            # that hangs from saying so in time.
            watchdog._limit = LIMIT
            wait_for(lambda: engine.status()["restarts"] == 1, "the watchdog")
            engine.wait_live()
            before = engine.status()["ticks"]
            wait_for(lambda: engine.status()["ticks"] > before + 100, "ticks of the new process")
            assert engine.status()["front_error"] == ""
        _, events = drain(queue)
    (lost,) = [e for e in events if e.name == "engine_lost"]
    assert (lost.Value, lost.Text) == (-signal.SIGKILL, request_) and lost.Reason >= LIMIT
    assert f"it hung in {request_} for {lost.Reason} s and was killed" in lost.words
    assert f"停滞于 {request_} {lost.Reason} 秒" in lost.words_zh
    assert f"hung in the vendor library's {request_} for {lost.Reason} s and was killed; starting" in caplog.text


@pytest.mark.parametrize(("request_", "logins"), [("ReqUserLogin", 0), ("SubscribeMarketData", 1)])
def test_a_library_that_aborts_in_a_request_each_time_meets_the_front_after_growing_pauses_only(
    library: str,
    script: Path,
    request_: str,
    logins: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(_supervisor, "RESTART_PAUSES_S", (0.1, 0.3, 1.0))
    with Front(NumberedMarket(IDS), rate=500) as front, engine_on(front.address, library, IDS, []) as engine:
        engine.wait_live()
        script.write_text(f"abort-in={request_}\n")
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        # It may come before the word that the process has started, or after: both are a crash.
        wait_for(lambda: caplog.text.count("status -6 (SIGABRT)") >= 3, "three crashes")
        met = front.stats()
        processes = 1 + caplog.text.count("status -6 (SIGABRT)")  # since the first; one may be there just now
        assert met.connections <= 1 + processes and met.logins <= 1 + processes * logins
        said = [m.group(1) for m in re.finditer(r"starting it again in ([0-9.]+) s", caplog.text)]
        assert said[:4] == ["0.1", "0.3", "1", "1"]
        script.write_text("# behaves\n")
        engine.wait_live()


def test_a_main_thread_that_hangs_is_noticed_while_the_ticks_go_on(
    library: str, caplog: pytest.LogCaptureFixture
) -> None:
    with TickQueue(events=True) as queue:
        with (
            Front(NumberedMarket(IDS), rate=500) as front,
            engine_on(front.address, library, IDS, [queue], watchdog=LIMIT) as engine,
        ):
            engine.wait_live()
            _hang_main_thread(engine)
            engine._watchdog_limit = 600.0  # of the next process
            wait_for(lambda: engine.status()["restarts"] == 1, "the watchdog")
            engine.wait_live()
            engine.unsubscribe(IDS[:1])
            wait_for(lambda: engine.status()["subscribed"] == len(IDS) - 1, "a command to be obeyed again")
        ticks, events = drain(queue)
        assert queue.lost == 0
    (lost,) = [e for e in events if e.name == "engine_lost"]
    assert lost.Reason >= LIMIT and lost.Text == "" and "it hung for" in lost.words
    stamps = ticks["Stamp"]
    assert np.array_equal(stamps, np.unique(stamps))


def test_a_process_that_hangs_while_it_is_started_again_is_killed_and_each_has_its_mark(
    library: str, script: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_supervisor, "RESTART_PAUSES_S", (0.05,))
    with TickQueue(events=True) as queue:
        with Front(NumberedMarket(IDS), rate=500) as front, engine_on(front.address, library, IDS, [queue]) as engine:
            engine.wait_live()
            monkeypatch.setattr(_supervisor, "START_TIMEOUT_S", 3.0)
            script.write_text("hang-init\n")
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            # A machine that is slow may need more than one to come as far as the log in that time.
            wait_for(lambda: engine.status()["restarts"] >= 2, "a start that hangs")
            wait_for(lambda: "did not answer within 3 s" in caplog.text, "the word of it")
            monkeypatch.setattr(_supervisor, "START_TIMEOUT_S", 60.0)
            script.write_text("# behaves\n")
            engine.wait_live()
            restarts = engine.status()["restarts"]
        _, events = drain(queue)
    marks = [e.name for e in events if e.name.startswith("engine_")]
    assert marks == ["engine_started", "engine_lost"] * restarts + ["engine_started", "engine_stopped"]


def test_without_restart_the_hang_is_the_reason_of_the_end(
    library: str, script: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script.write_text("hang-in=ReqUserLogin\n")
    with Front(NumberedMarket(IDS), rate=500) as front, TickQueue() as queue:
        engine = engine_on(front.address, library, IDS, [queue], watchdog=LIMIT, restart=False)
        engine.start()
        with pytest.raises(EngineError, match="hung in the vendor library's ReqUserLogin for"):
            engine.join(60)
        assert "ReqUserLogin" in engine.status()["failure"]


def test_without_a_watchdog_a_hang_lasts_and_stop_still_ends_it(
    library: str, script: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script.write_text("hang-in=ReqUserLogin\n")
    with Front(NumberedMarket(IDS), rate=500) as front, TickQueue() as queue:
        engine = engine_on(front.address, library, IDS, [queue], watchdog=None)
        engine.start()
        wait_for(lambda: "stood still" in caplog.text, "a warning")
        first, silent = engine.pid, engine._watchdog
        assert silent is not None
        wait_for(lambda: silent.silent > LIMIT + 1, "longer than a watchdog would have waited")
        assert (engine.pid, engine.status()["restarts"]) == (first, 0)
        engine.stop()
    assert "has not returned from ReqUserLogin; the process ends without Release" in caplog.text
    assert engine.status()["state"] == "stopped"


def _stopped_for(pid: int, seconds: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        until = time.monotonic() + seconds
        wait_for(lambda: time.monotonic() > until, "the time of standing still", seconds + 5)
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.genuine
def test_a_stopped_process_is_not_taken_for_a_hung_one(genuine: str) -> None:
    """Twice, with less than the limit between them: each stop is followed by the whole time."""
    with TickQueue() as queue:
        with (
            Front(NumberedMarket(IDS), rate=500) as front,
            engine_on(front.address, genuine, IDS, [queue], watchdog=LIMIT) as engine,
        ):
            engine.wait_live()
            pid = engine.pid
            assert pid is not None
            for _ in range(2):
                _stopped_for(pid, LIMIT + 2)
                before = engine.status()["ticks"]
                wait_for(lambda before=before: engine.status()["ticks"] > before + 100, "ticks after SIGCONT")
            assert (engine.pid, engine.status()["restarts"]) == (pid, 0)
            assert engine.status()["disconnects"] == 0
            front.pause()
            sent = front.stats().next_number
            wait_for(lambda: engine.status()["ticks"] == sent, "all that the front had kept")
        ticks, _ = drain(queue)
    assert queue.lost == 0 and len(ticks) == sent


PROGRAM = """
    import sys
    from tickengine import TickEngine, TickLog
    engine = TickEngine(sys.argv[1], "9999", "inv", "pw", "app", "auth", ["rb2601"], library=sys.argv[2],
                        name="watched", watchdog=float(sys.argv[3]))
    with engine:
        engine.wait_live()
        print(engine.pid, flush=True)
        sys.stdin.readline()
        print(engine.pid, engine.status()["restarts"], flush=True)
"""


@pytest.mark.genuine
def test_a_supervisor_that_was_stopped_itself_does_not_count_that_time(genuine: str) -> None:
    """And a machine that was suspended, or a debugger that held both, look the same to it."""
    with Front(NumberedMarket(IDS), rate=500) as front:
        program = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROGRAM), front.address, genuine, str(LIMIT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert program.stdout is not None and program.stdin is not None
        try:
            pid = int(program.stdout.readline())
            os.kill(program.pid, signal.SIGSTOP)
            _stopped_for(pid, LIMIT + 2)  # no beat comes in this time, and nobody looks
            os.kill(program.pid, signal.SIGCONT)
            ticks = front.stats().ticks_sent
            wait_for(lambda: front.stats().ticks_sent > ticks + 1000, "two seconds of ticks")
            program.stdin.write("\n")
            program.stdin.flush()
            assert program.stdout.readline().split() == [str(pid), "0"]
            assert program.wait(60) == 0
        finally:
            program.kill()
            program.wait()
            program.stdin.close()
            program.stdout.close()


def test_a_parent_that_dies_leaves_no_engine_hanging_in_the_library(library: str, script: Path) -> None:
    """Nobody is left to kill it: it ends by itself, and takes its log along."""
    script.write_text("hang-in=SubscribeMarketData\n")
    program = textwrap.dedent(PROGRAM).replace("engine.wait_live()", "")
    with Front(NumberedMarket(IDS), rate=500) as front:
        process = subprocess.Popen(
            [sys.executable, "-c", program, front.address, library, "600"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None and process.stdin is not None
        try:
            pid = int(process.stdout.readline())
            wait_for(lambda: front.stats().logins == 1, "the login; what follows it hangs")
            process.kill()
            process.wait()
            wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the engine process gone")
            wait_for(lambda: not os.path.exists(f"/dev/shm/tickengine-{os.geteuid()}-watched.log"), "its log removed")
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


def test_what_passed_between_two_looks_counts_no_more_than_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long nobody looked, a hang needs the limit's worth of looks after it."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(_watchdog, "time", SimpleNamespace(monotonic=lambda: clock.now))
    there, beats = multiprocessing.Pipe(duplex=False)
    with subprocess.Popen(["sleep", "60"]) as process, beats:
        watchdog, pulse = _watchdog.Watchdog(LIMIT, process.pid, there), _watchdog.Pulse(beats)
        try:
            clock.now += 3600
            assert not watchdog.look() and watchdog.silent == 2 * _watchdog.LOOK_S
            pulse.beat()
            assert not watchdog.look() and watchdog.silent == 0
            looks = 0
            while not watchdog.look():
                clock.now += _watchdog.LOOK_S
                looks += 1
            assert looks > LIMIT / _watchdog.LOOK_S
            pulse.close()  # a process that ends in order is not watched any more
            clock.now += _watchdog.LOOK_S
            assert not watchdog.look() and not watchdog.look()
        finally:
            watchdog.close()
            process.kill()


@pytest.mark.parametrize("wrong", [0, -1, 4.9, float("nan"), float("inf"), True, "30"])
def test_a_limit_that_cannot_be(library: str, wrong: object) -> None:
    with pytest.raises(ConfigError, match="watchdog must be at least 5 seconds, or None for never"):
        engine_on("tcp://127.0.0.1:9", library, IDS, [], watchdog=wrong)
