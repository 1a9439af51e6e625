"""Memory, disk and descriptors that run out: one clear error at the start, and later no harm that does not heal."""

from __future__ import annotations

import os
import resource
import secrets
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from feed_support import IDS, engine_on, wait_for

from tickengine import ConfigError, TickQueue, _supervisor
from tickengine.front import Front, NumberedMarket

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(120)]

PASSWORD, AUTH_CODE = f"pw{secrets.token_hex(10)}", f"au{secrets.token_hex(6)}"  # that occur nowhere else

HEAD = f"""
    import os, resource, signal, subprocess, sys, time
    from tickengine import TickEngine, TickEngineError, TickLog, TickQueue, _supervisor as module
    module.RESTART_PAUSES_S = (0.05,)
    IDS = ["rb2601", "IF2512", "m2605", "SR601"]

    def make(queues=(), **options):
        return TickEngine(sys.argv[1], "9999", "inv", "{PASSWORD}", "app", "{AUTH_CODE}", IDS, list(queues),
                          library=sys.argv[2], **options)

    def fill(directory):
        with open(directory + "/fill", "wb", buffering=0) as f:
            for size in (1 << 16, 1):
                try:
                    while True:
                        f.write(bytes(size))
                except OSError:
                    pass

    def wait_for(condition, what):
        deadline = time.monotonic() + 60
        while not condition():
            if time.monotonic() > deadline:
                sys.exit("not within 60 s: " + what)
            time.sleep(0.005)
"""


@pytest.fixture(scope="module")
def own_mounts() -> None:
    done = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a mount of its own is not permitted here: {done.stderr.strip()}")


@contextmanager
def program(text: str, front: Front, genuine: str, *more: str, tmpfs: str = "") -> Iterator[subprocess.Popen[str]]:
    """HEAD and *text* in an interpreter, with a small tmpfs mounted, ``size=...,PATH``, that only it sees."""
    command = [sys.executable, "-c", textwrap.dedent(HEAD) + textwrap.dedent(text), front.address, genuine, *more]
    if tmpfs:
        size, path = tmpfs.split(",")
        command = [
            "unshare",
            "-m",
            "sh",
            "-c",
            f'mount -t tmpfs -o mode=700,{size} none {path} && exec "$@"',
            "sh",
            *command,
        ]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def one_error(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=110)
    assert process.returncode == 1, out + err
    (line,) = err.splitlines()
    return line


START = """
    try:
        make([TickQueue()], page_dir=sys.argv[3]).start()
    except TickEngineError as error:
        left = [name for name in os.listdir("/dev/shm") if name.endswith(".log")]
        sys.exit(f"{type(error).__name__}: {error}" + f" LEFT {left}" * bool(left))
"""


@pytest.fixture
def front() -> Iterator[Front]:
    with Front(NumberedMarket(IDS), rate=5_000) as front:
        yield front


# ---- /dev/shm ----------------------------------------------------------------------------------


def test_a_log_that_does_not_fit_into_dev_shm_fails_the_start_and_leaves_nothing(
    front: Front, genuine: str, own_mounts: None, tmp_path: Path
) -> None:
    with program(START, front, genuine, str(tmp_path / "flow"), tmpfs="size=20m,/dev/shm") as process:
        error = one_error(process)
    assert error.startswith("ShimError: cannot reserve 42323968 bytes for '/dev/shm/tickengine-")
    assert "(ask for less capacity or make room): No space left on device" in error and "LEFT" not in error
    assert front.stats().connections == 0


FULL = """
    from tickengine.tick import TICK_DTYPE
    first, late = TickQueue(start="oldest"), TickQueue(["rb2601"], name="late")
    with make([first, late], capacity=4096, name="full") as engine:
        engine.wait_live()
        fill("/dev/shm")
        assert os.statvfs("/dev/shm").f_bavail == 0
        try:
            TickQueue()
            sys.exit("a queue was made in a full /dev/shm")
        except TickEngineError as error:
            print(type(error).__name__, error, flush=True)
        taken = 0
        while taken < 5 * 4096:  # every page of the ring several times
            taken += len(first.get_many(timeout=20))
        reader = ("import sys; from tickengine import TickQueue; q = TickQueue.attach('late')\\n"
                  "for n, tick in enumerate(q):\\n    if n == 500: break\\nprint(tick.InstrumentID)")
        subprocess.run([sys.executable, "-c", reader], check=True, timeout=60)
        assert TickLog.attach("full").status()["state"] == "live"
        pid = engine.pid
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: engine.pid != pid and engine.status()["state"] == "live", "the next engine process")
        head = engine.log.head
        wait_for(lambda: engine.log.head > head + 2 * 4096, "two more laps")
    late.close()
    first.close()
    print(sorted(os.listdir("/dev/shm")), flush=True)
"""


def test_a_full_dev_shm_hurts_nothing_that_was_made_before(front: Front, genuine: str, own_mounts: None) -> None:
    """All of it is reserved: no SIGBUS where a page is entered for the first time."""
    with program(FULL, front, genuine, tmpfs="size=16m,/dev/shm") as process:
        out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err
    error, tick, left = out.splitlines()
    assert error.startswith("ShimError cannot reserve 4096 bytes for '/dev/shm/tickengine-")
    assert "No space left on device" in error
    assert (tick, left) == ("rb2601", "['fill']")


# ---- the flow directory's disk -----------------------------------------------------------------


def test_a_full_disk_under_the_flow_directory_refuses_the_start(
    front: Front, genuine: str, own_mounts: None, tmp_path: Path
) -> None:
    with program("fill(sys.argv[3])\n" + textwrap.dedent(START), front, genuine, str(tmp_path),
                 tmpfs=f"size=64k,{tmp_path}") as process:  # fmt: skip
        error = one_error(process)
    assert error == f"ConfigError: flow directory '{tmp_path}/' cannot be written: No space left on device"
    assert front.stats().connections == 0


def test_what_the_engine_process_cannot_open_is_one_error_without_a_traceback(
    front: Front, genuine: str, tmp_path: Path
) -> None:
    (tmp_path / "engine.log").mkdir()
    with (
        TickQueue() as queue,
        pytest.raises(ConfigError, match="cannot be written: engine.log: Is a directory") as error,
    ):
        engine_on(front.address, genuine, IDS, [queue], page_dir=str(tmp_path)).start()
    assert "Traceback" not in str(error.value)


FILLED_LATER = """
    with make(page_dir=sys.argv[3], name="disk") as engine:
        engine.wait_live()
        fill(sys.argv[3])
        print("full", flush=True)
        wait_for(lambda: engine.status()["logins"] == 2, "the second login")
        engine.wait_live()
        ticks = engine.status()["ticks"]
        wait_for(lambda: engine.status()["ticks"] > ticks + 1000, "ticks")
        assert engine.status()["restarts"] == 0
        pid = engine.pid
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: engine.pid != pid and engine.status()["state"] == "live", "the next process, disk still full")
"""


def test_a_disk_that_fills_up_later_stops_neither_the_feed_nor_the_next_process(
    front: Front, genuine: str, own_mounts: None, tmp_path: Path
) -> None:
    with program(FILLED_LATER, front, genuine, str(tmp_path), tmpfs=f"size=256k,{tmp_path}") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "full\n", process.stderr and process.stderr.read()
        assert front.cut() == 1
        out, err = process.communicate(timeout=110)
    assert process.returncode == 0, out + err


# ---- descriptors -------------------------------------------------------------------------------

FEW = """
    queue = TickQueue()
    engine = make([queue], page_dir=sys.argv[3])
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[4]), 4096))
    try:
        engine.start()
    except TickEngineError as error:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4096))
        left = [name for name in os.listdir("/dev/shm") if name.endswith(".log")]
        sys.exit(f"{type(error).__name__}: {error}" + f" LEFT {left}" * bool(left))
"""


@pytest.mark.parametrize("limit", [3, 6, 8, 10, 12, 14])
def test_too_few_descriptors_are_one_error_at_the_start(front: Front, genuine: str, tmp_path: Path, limit: int) -> None:
    with program(FEW, front, genuine, str(tmp_path), str(limit)) as process:
        _, err = process.communicate(timeout=110)
    # With the last of these limits the engine process begins; what ends it, Python or the vendor library, is quoted.
    errors = [line for line in err.splitlines() if line.startswith(("ShimError", "EngineError"))]
    assert process.returncode == 1 and len(errors) == 1 and "LEFT" not in err, err
    assert limit == 14 or "Too many open files" in errors[0]


RESTARTED = """
    import logging
    tries = []
    logging.getLogger("tickengine").addFilter(lambda record: tries.append(record) or True)
    with make() as engine:
        engine.wait_live()
        count = lambda: len(os.listdir("/proc/self/fd"))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        used, before = max(map(int, os.listdir("/proc/self/fd"))) + 1, count()
        resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
        os.kill(engine.pid, signal.SIGKILL)
        wait_for(lambda: "Too many open files" in engine.status().get("front_error", ""), "a try that fails")
        for more in range(5):  # each further one lets a try come a step further; none may use anything up
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + more, hard))
            said = len(tries)
            wait_for(lambda: len(tries) > said + 5 or engine.status()["state"] == "live", "five tries more")
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        engine.wait_live()
        print(before, count(), flush=True)
"""


def test_a_process_that_cannot_be_started_for_want_of_descriptors_is_tried_again(front: Front, genuine: str) -> None:
    with program(RESTARTED, front, genuine) as process:
        out, err = process.communicate(timeout=110)
    assert process.returncode == 0, out + err
    assert "(ulimit -n is too low for this program); starting it again" in err
    before, after = map(int, out.split())
    assert after <= before


def test_an_engine_process_without_descriptors_connects_again_when_it_has_some(
    front: Front, genuine: str, caplog: pytest.LogCaptureFixture
) -> None:
    with TickQueue() as queue, engine_on(front.address, genuine, IDS, [queue]) as running:
        running.wait_live()
        pid = running.pid
        assert pid is not None
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        open_ones = {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
        first_free = next(fd for fd in range(len(open_ones) + 1) if fd not in open_ones)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (first_free, before[1]))
        front.cut()
        wait_for(lambda: running.status()["disconnects"] == 1, "the disconnect")
        wait_for(lambda: running.status()["logins"] == 2, "the connection in the closed one's place")
        running.wait_live()
        said = "descriptors could not be looked at: Too many open files"
        wait_for(lambda: said in caplog.text, "the engine process's warning")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        ticks = running.status()["ticks"]
        wait_for(lambda: running.status()["ticks"] > ticks + 100, "ticks")
        assert (running.pid, running.status()["restarts"]) == (pid, 0)


# ---- memory ------------------------------------------------------------------------------------

TIGHT = """
    import numpy, tickengine.session  # what is loaded by now is the same in the engine process
    size = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmSize"))
    for more in range(44, 400, 4):
        resource.setrlimit(resource.RLIMIT_AS, (size + (more << 20), resource.RLIM_INFINITY))
        engine = make(name="tight")
        try:
            engine.start()
        except TickEngineError as error:
            print(f"{type(error).__name__}: {error}", flush=True)
            assert not os.path.exists(f"/dev/shm/tickengine-{os.geteuid()}-tight.log"), "left behind"
            continue
        engine.wait_live()
        engine.stop()
        break
    else:
        sys.exit("it never started")
"""


def test_memory_that_runs_out_at_the_start_is_an_error_and_leaves_nothing(front: Front, genuine: str) -> None:
    with program(TIGHT, front, genuine) as process:
        out, err = process.communicate(timeout=110)
    assert process.returncode == 0, out + err
    assert "Traceback" not in out and PASSWORD not in out + err and AUTH_CODE not in out + err


def test_memory_that_runs_out_later_costs_one_process(
    front: Front, genuine: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a front the session starts a thread that finds out why; that needs memory."""
    monkeypatch.setattr(_supervisor, "RESTART_PAUSES_S", (0.05,))
    with TickQueue() as queue, engine_on(front.address, genuine, IDS, [queue]) as running:
        running.wait_live()
        assert running.pid is not None
        with open(f"/proc/{running.pid}/status") as f:
            used = next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmSize"))
        resource.prlimit(running.pid, resource.RLIMIT_AS, (used, resource.RLIM_INFINITY))
        front.refuse_connections(True)
        front.cut()
        wait_for(lambda: running.status()["restarts"] == 1, "the next engine process")
        front.refuse_connections(False)
        running.wait_live()
        ticks = running.status()["ticks"]
        wait_for(lambda: running.status()["ticks"] > ticks + 100, "ticks")
        assert "died with status" in caplog.text
    assert not running.status().get("failure")
