"""The program that has the engine: killed at any moment, stopped, forked, replaced, interrupted. Nothing is left."""

from __future__ import annotations

import glob
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from feed_support import IDS, wait_for

from tickengine import TickLog
from tickengine.front import Front, NumberedMarket

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(180)]

HEAD = """
    import logging, multiprocessing, os, signal, sys, threading, time
    from tickengine import TickEngine, TickLog, TickQueue
    queue = TickQueue(start="oldest")
    engine = TickEngine(sys.argv[1], "9999", "inv", "pw", "app", "auth", sys.argv[4:] or ["rb2601"], [queue],
                        library=sys.argv[2], name=sys.argv[3])
    def say(*words):
        print(*words, flush=True)
"""


@pytest.fixture
def front() -> Iterator[Front]:
    with Front(NumberedMarket(IDS), rate=1_000) as front:
        yield front


def _members(session: int) -> list[int]:
    """Living processes of a session, all of them: whoever the program started is in it."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/stat") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(entry))
    return found


@contextmanager
def program(
    text: str, front: Front, genuine: str, name: str, *ids: str, **options: object
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HEAD) + textwrap.dedent(text), front.address, genuine, name, *ids],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=options.get("stderr", subprocess.PIPE), text=True,
        start_new_session=True, env={**os.environ, **options.get("env", {})},  # type: ignore[call-overload, dict-item]
    )  # fmt: skip
    try:
        yield process
    finally:
        for pid in _members(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.communicate()


def _nothing_left(front: Front, process: subprocess.Popen[str], name: str) -> None:
    wait_for(lambda: not _members(process.pid), "every process of the program gone")
    wait_for(lambda: not glob.glob(f"/dev/shm/tickengine-*{name}*"), "its log removed")
    wait_for(lambda: not glob.glob("/dev/shm/tickengine-*.queue"), "its queue removed")
    wait_for(lambda: front.stats().open_clients == 0, "its connection closed")


def _sweep() -> None:
    """What the next program does first."""
    text = "from tickengine import TickLog; log = TickLog.create('next-program', 16); log.unlink()"
    subprocess.run([sys.executable, "-c", text], check=True, timeout=30)


@pytest.mark.parametrize("phase", ["start", "stop"])
def test_a_kill_at_any_moment_of_start_and_stop_leaves_nothing_for_long(
    front: Front, genuine: str, phase: str, tmp_path: Path
) -> None:
    """Nothing runs on; what nobody could remove the next program removes."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    before = (
        "say('go')\nengine.start()\n"
        if phase == "start"
        else "engine.start()\nengine.wait_live()\nsay('go')\nengine.stop()\n"
    )
    for kill in range(10):
        name = f"parent-{phase}-{kill}"
        with program(before + "say('done')\n", front, genuine, name, env={"TMPDIR": str(tmp_path)}) as process:
            assert process.stdout is not None and process.stdout.readline() == "go\n"
            until = time.monotonic() + rng.random() * (0.8 if phase == "start" else 0.1)
            while time.monotonic() < until:
                pass  # the moment, to the microsecond; a sleep would end on the scheduler's ticks
            process.kill()
            process.wait()
            wait_for(lambda process=process: not _members(process.pid), "every process of the program gone")
            wait_for(lambda: front.stats().open_clients == 0, "its connection closed")
            _sweep()
            assert not glob.glob("/dev/shm/tickengine-*"), f"kill {kill}"


def test_an_exit_past_everything_is_as_a_kill(front: Front, genuine: str) -> None:
    with program("engine.start()\nengine.wait_live()\nos._exit(7)\n", front, genuine, "parent-os-exit") as process:
        assert process.wait(30) == 7
        _nothing_left(front, process, "parent-os-exit")


def test_sys_exit_within_with_stops_the_engine_and_keeps_the_status(front: Front, genuine: str) -> None:
    text = "with engine:\n    engine.wait_live()\n    sys.exit(5)\n"
    with program(text, front, genuine, "parent-sys-exit") as process:
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (5, "")
        _nothing_left(front, process, "parent-sys-exit")


def test_ctrl_c_while_it_starts_leaves_nothing_and_one_traceback(front: Front, genuine: str) -> None:
    """At many moments, to the whole group as a terminal sends it: the engine process has no word of its own."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(6):
        with program("say('go')\nengine.start()\nengine.join()\n", front, genuine, "parent-ctrl-c") as process:
            assert process.stdout is not None and process.stdout.readline() == "go\n"
            until = time.monotonic() + rng.random() * 0.5
            while time.monotonic() < until:
                pass
            os.killpg(process.pid, signal.SIGINT)
            _, err = process.communicate(timeout=30)
            # A signal that stopped the engine before join waited ends the program in order.
            assert process.returncode in (0, -signal.SIGINT), err
            assert err.count("Traceback") == (process.returncode != 0), err
            _nothing_left(front, process, "parent-ctrl-c")


def test_ctrl_c_while_the_log_is_made_takes_it_away(front: Front, genuine: str) -> None:
    """The signal waits for the call that reserves the memory, and comes before anybody has the result."""
    text = """
        path = f"/dev/shm/tickengine-{os.geteuid()}-{sys.argv[3]}.log"
        def send():
            while not os.path.exists(path):
                pass
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=send).start()
        try:
            engine.start()
        except KeyboardInterrupt:
            say(os.path.exists(path))
    """
    with program(text, front, genuine, "parent-ctrl-c-log") as process:
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (0, "False\n"), err
        _nothing_left(front, process, "parent-ctrl-c-log")


def test_ctrl_c_while_it_stops_ends_it_all_the_same(front: Front, genuine: str) -> None:
    text = """
        def tell():
            engine._stopping.wait()
            say("stops")
        engine.start()
        engine.wait_live()
        os.kill(engine.pid, signal.SIGSTOP)
        threading.Thread(target=tell).start()
        engine.stop()
    """
    with program(text, front, genuine, "parent-ctrl-c-stop") as process:
        assert process.stdout is not None and process.stdout.readline() == "stops\n"
        (engine,) = [p for p in _members(process.pid) if _is_engine(p)]
        wait_for(lambda: _waits(process.pid), "stop to wait")
        os.kill(process.pid, signal.SIGINT)
        os.kill(engine, signal.SIGCONT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == -signal.SIGINT and "main thread ended" not in err, err
        _nothing_left(front, process, "parent-ctrl-c-stop")


def _is_engine(pid: int) -> bool:
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return b"spawn_main" in f.read()


def _waits(pid: int) -> bool:
    """Whether the main thread waits for a lock: a futex, as Event.wait does."""
    with open(f"/proc/{pid}/syscall") as f:
        return f.read().split()[0] == "202"


@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)", "raise SystemError('the child')", "engine.stop()"])
def test_a_forked_childs_end_is_no_matter_to_the_engine(front: Front, genuine: str, end: str) -> None:
    """Also while an ended log waits for a worker that has not come yet."""
    text = f"""
        engine.start()
        engine.wait_live()
        def fork():
            pid = os.fork()
            if pid == 0:
                {end}
                sys.exit(0)
            os.waitpid(pid, 0)
        fork()
        ticks = engine.status()["ticks"]
        while engine.status()["ticks"] < ticks + 200:
            time.sleep(0.01)
        assert engine.is_alive() and engine.status()["restarts"] == 0
        engine.stop()
        assert os.path.exists(os.fsdecode(engine.log.path))
        fork()
        assert TickLog.attach(sys.argv[3]).closed
        say(sum(1 for _ in queue) > 200)
    """
    with program(text, front, genuine, "parent-fork") as process:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "True\n"), err
        _nothing_left(front, process, "parent-fork")


def test_a_forked_child_that_waits_for_the_engine_is_told_so(front: Front, genuine: str) -> None:
    text = """
        engine.start()
        if os.fork() == 0:
            try:
                engine.join()
            except Exception as error:
                say(error)
            os._exit(0)
        os.wait()
        engine.stop()
    """
    with program(text, front, genuine, "parent-fork-join") as process:
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert out == f"this engine belongs to process {process.pid}; a forked child cannot wait for it\n"


def test_a_program_that_replaces_itself_finds_its_name_free(front: Front, genuine: str) -> None:
    """exec: the same pid, so the old engine's owner seems to live on for ever."""
    text = """
        if "again" in os.environ:
            path, deadline = f"/dev/shm/tickengine-{os.geteuid()}-{sys.argv[3]}.log", time.monotonic() + 20
            while os.path.exists(path) and time.monotonic() < deadline:
                time.sleep(0.01)
            with engine:
                engine.wait_live()
                say(len(queue.get_many()) > 0)
        else:
            engine.start()
            engine.wait_live()
            code = open("/proc/self/cmdline", "rb").read().split(b"\\0")[:-1]
            os.execve(sys.executable, code, {**os.environ, "again": "1"})
    """
    with program(text, front, genuine, "parent-exec") as process:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "True\n"), err
        _nothing_left(front, process, "parent-exec")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_a_daemon_process_and_a_daemon_thread_hold_up_no_exit(front: Front, genuine: str, method: str) -> None:
    """None of them is ended by the program: what stands in atexit, in whatever order, must do."""
    text = f"""
        import operator
        context = multiprocessing.get_context("{method}")
        pool = context.Pool(2)
        threading.Thread(target=lambda: [tick.LastPrice for tick in queue], daemon=True).start()
        context.Process(target=time.sleep, args=(3600,), daemon=True).start()
        engine.start()
        engine.wait_live()
        assert pool.map(operator.neg, [1, 2]) == [-1, -2]
    """
    with program(text, front, genuine, f"parent-{method}") as process:
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert "main thread ended" in err and "Traceback" not in err
        _nothing_left(front, process, f"parent-{method}")


def test_log_lines_that_a_stopped_parent_did_not_take_are_counted(front: Front, genuine: str, tmp_path: Path) -> None:
    """Each refused subscription is a line; the engine itself goes on meanwhile."""
    ids = [f"no{n:04d}" for n in range(4000)]
    front.refuse_subscription(["no*"])
    text = "with engine:\n    engine.wait_live()\n    say('go')\n    sys.stdin.readline()\n"
    errors = tmp_path / "stderr"
    with errors.open("w") as f, program(text, front, genuine, "parent-lines", "rb2601", *ids, stderr=f) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "go\n"
        os.kill(process.pid, signal.SIGSTOP)
        outside = TickLog.attach("parent-lines")
        for cut in range(5):
            front.cut()
            wait_for(lambda cut=cut: outside.status()["logins"] == cut + 2, "the next login", 30)
            wait_for(
                lambda: len(outside.status()["refused"]) and outside.status()["state"] == "live", "all answers", 30
            )
        ticks = outside.status()["ticks"]
        wait_for(lambda: outside.status()["ticks"] > ticks + 100, "ticks, with nobody to take the lines")
        refused_lines = 6 * len(ids)
        os.kill(process.pid, signal.SIGCONT)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait(60) == 0
        outside.close()
    lines = errors.read_text()
    dropped = [int(n) for n in re.findall(r"(\d+) log lines were dropped here", lines)]
    assert dropped, "nothing was dropped: more lines are needed"
    taken = lines.count("refused:") + lines.count("front disconnected")
    assert taken + sum(dropped) >= refused_lines + 5, (taken, dropped)
