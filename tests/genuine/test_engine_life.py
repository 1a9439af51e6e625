"""Signals, parents that die, exits without join, crashes: the engine ends in order or comes back."""

from __future__ import annotations

import glob
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest
from feed_support import IDS, engine_on, wait_for

from tickengine import EngineError, NameTakenError, TickLog, TickQueue
from tickengine.front import Front, FrontProcess, MarketSpec, NumberedMarket

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(90)]

PROGRAM = """
    import signal, sys, time
    if "orderly" in sys.argv:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from tickengine import TickEngine, TickQueue
    queue = TickQueue()
    engine = TickEngine(sys.argv[1], "9999", "inv", "pw-secret", "app", "auth-secret", ["rb2601"], [queue],
                        library=sys.argv[2], name=sys.argv[3])
    engine.start()
    engine.wait_live()
    print(engine.pid, flush=True)
"""


@pytest.fixture
def front() -> Iterator[FrontProcess]:
    with FrontProcess(MarketSpec(IDS), rate=500) as front:
        yield front


def _program(rest: str, front: FrontProcess, genuine: str, name: str, *more: str) -> tuple[subprocess.Popen[str], int]:
    text = textwrap.dedent(PROGRAM) + textwrap.dedent(rest)
    process = subprocess.Popen(
        [sys.executable, "-c", text, front.address, genuine, name, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate(timeout=10)[1])
    return process, int(line)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _gone(front: FrontProcess, pid: int, name: str) -> None:
    wait_for(lambda: not _alive(pid), "the engine process gone")
    wait_for(lambda: not glob.glob(f"/dev/shm/tickengine-*{name}*"), "its log removed")
    wait_for(lambda: front.stats().open_clients == 0, "its connection closed")


def test_an_engine_never_joined_is_stopped_at_interpreter_exit_with_a_warning(
    front: FrontProcess, genuine: str
) -> None:
    process, pid = _program("", front, genuine, "life-exit")
    _out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert sum(line.startswith("tickengine:") for line in err.splitlines()) == 1 and "4097" in err
    _gone(front, pid, "life-exit")


def test_a_killed_parent_takes_its_engine_and_its_segments_with_it(front: FrontProcess, genuine: str) -> None:
    process, pid = _program("engine.join()\n", front, genuine, "life-parent")
    assert glob.glob("/dev/shm/tickengine-*life-parent*") and glob.glob("/dev/shm/tickengine-*.queue")
    process.kill()
    process.communicate(timeout=20)
    _gone(front, pid, "life-parent")
    wait_for(lambda: not glob.glob("/dev/shm/tickengine-*.queue"), "its queues removed")


@pytest.mark.parametrize(
    ("number", "more"), [(signal.SIGINT, ()), (signal.SIGTERM, ("orderly",)), (signal.SIGTERM, ())]
)
def test_a_signal_to_the_whole_group_leaves_nothing_behind(
    front: FrontProcess, genuine: str, number: int, more: tuple[str, ...]
) -> None:
    """As ctrl-C and service managers send it. A program that does not handle SIGTERM is dead at once."""
    process, pid = _program("engine.join()\n", front, genuine, "life-group", *more)
    os.killpg(process.pid, number)
    _out, err = process.communicate(timeout=30)
    assert process.returncode in (0, 1, 130, -signal.SIGINT, -signal.SIGTERM), err
    assert (process.returncode == -signal.SIGTERM) == (number == signal.SIGTERM and not more)
    assert "secret" not in err
    _gone(front, pid, "life-group")
    wait_for(lambda: not glob.glob("/dev/shm/tickengine-*.queue"), "its queues removed")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_engine_process_alone_stops_it_for_good(front: FrontProcess, genuine: str, number: int) -> None:
    with TickQueue() as queue:
        engine = engine_on(front.address, genuine, IDS, [queue])
        engine.start()
        wait_for(lambda: engine.status()["ticks"] > 0, "ticks")
        assert engine.pid is not None
        os.kill(engine.pid, number)
        assert engine.join(20)
        assert engine.status()["state"] == "stopped" and not engine.is_alive()
        assert queue.received == 0 and sum(1 for _ in queue) > 0
        engine.stop()


def test_an_engine_killed_comes_back_with_a_new_epoch_and_its_subscriptions(front: FrontProcess, genuine: str) -> None:
    with TickQueue(events=True) as queue, engine_on(front.address, genuine, IDS[:2], [queue]) as engine:
        engine.wait_live()
        engine.subscribe([IDS[2]])
        wait_for(lambda: engine.status()["subscribed"] == 3, "three subscriptions")
        first = engine.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: engine.pid != first and engine.status()["state"] == "live", "a new engine process")
        assert engine.status()["subscribed"] == 3 and engine.status()["restarts"] == 1
        head = engine.log.head
        wait_for(lambda: engine.log.head > head + 20, "ticks from the new process")
        engine.stop()
        records = list(queue)
    assert [r.Sequence for r in records] == list(range(len(records)))
    events = [r for r in records if hasattr(r, "words")]
    names = [e.name for e in events]
    lost = names.index("engine_lost")
    assert events[lost].Value == -signal.SIGKILL
    assert names[lost + 1 : lost + 5] == ["engine_started", "front_connected", "logged_in", "subscribed"]
    assert [e.Epoch for e in events if e.name == "engine_started"] == [1, 2]


def test_an_engine_that_is_not_to_be_restarted_says_why_it_died(front: FrontProcess, genuine: str) -> None:
    with TickQueue() as queue:
        engine = engine_on(front.address, genuine, IDS, [queue], restart=False)
        with engine:
            engine.wait_live()
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            with pytest.raises(EngineError, match="died with status -9"):
                engine.join(20)
            assert engine.status()["state"] == "failed"


def test_a_second_engine_of_the_same_name_is_refused_with_the_owners_pid(front: FrontProcess, genuine: str) -> None:
    with engine_on(front.address, genuine, IDS, [], name="life-twice"):
        second = engine_on(front.address, genuine, IDS, [], name="life-twice")
        with pytest.raises(NameTakenError, match=f"'life-twice' is already running \\(pid {os.getpid()}\\)"):
            second.start()
        assert TickLog.attach("life-twice").status()["name"] == "life-twice"
    with engine_on(front.address, genuine, IDS, [], name="life-twice") as third:
        third.wait_live()


@pytest.mark.parametrize("error_id", [3, 75])
def test_a_login_refused_for_good_is_not_tried_again(genuine: str, error_id: int) -> None:
    with TickQueue(events=True) as queue, Front(NumberedMarket(IDS), rate=500) as front:
        front.refuse_logins(error_id)
        engine = engine_on(front.address, genuine, IDS, [queue])
        engine.start()
        with pytest.raises(EngineError, match=f"login refused: {error_id}"):
            engine.join(20)
        assert engine.status()["state"] == "failed" and "login refused" in engine.status()["failure"]
        assert front.stats().logins_refused == 1
        names = [r.name for r in queue]
        assert names[1:4] == ["front_connected", "login_refused", "gave_up"]
        engine.stop()


def test_a_login_refused_for_now_is_tried_again_after_a_pause(genuine: str) -> None:
    with TickQueue() as queue, Front(NumberedMarket(IDS), rate=500) as front:
        front.refuse_logins(7, times=2)
        with engine_on(front.address, genuine, IDS, [queue]) as engine:
            engine.wait_live(20)
            assert (front.stats().logins_refused, engine.status()["logins"]) == (2, 1)


def test_an_exception_inside_with_engine_stops_it(front: FrontProcess, genuine: str) -> None:
    with pytest.raises(RuntimeError, match="the user's own"), engine_on(front.address, genuine, IDS, []) as engine:
        raise RuntimeError("the user's own")
    assert not engine.is_alive()
