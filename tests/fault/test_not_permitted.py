"""Real-time scheduling without the permission for it: one error that says what to do, and no connection."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap

import pytest
from feed_support import IDS

from tickengine import placement
from tickengine.front import Front, NumberedMarket

# Runs a program without CAP_SYS_NICE and with a limit. PR_CAPBSET_DROP, then exec: that is what root loses it by.
UNPRIVILEGED = """
    import ctypes, os, resource, sys
    ctypes.CDLL(None).prctl(24, 23, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_RTPRIO, (int(sys.argv[1]),) * 2)
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""

PROGRAM = """
    import os, sys
    from tickengine import TickEngine, TickEngineError
    engine = TickEngine(sys.argv[1], "9999", "inv", "pw", "app", "auth", ["rb2601"], library="compatible",
                        realtime=int(sys.argv[2]))
    try:
        engine.start()
    except TickEngineError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    threads = os.listdir(f"/proc/{engine.pid}/task")
    print(sorted({os.sched_getparam(int(t)).sched_priority for t in threads}))
    engine.stop()
"""


@pytest.fixture(autouse=True)
def _two_cpus() -> None:
    mask = os.sched_getaffinity(0)
    if len(mask) < 2:
        pytest.skip(f"a second CPU is needed; this process may use {placement.words(mask)} only")


def run(limit: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(UNPRIVILEGED), str(limit), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    hard = resource.getrlimit(resource.RLIMIT_RTPRIO)[1]
    if limit > hard and "not allowed to raise maximum limit" in done.stderr:
        pytest.skip(f"the kernel does not let this process raise RLIMIT_RTPRIO from {hard} to {limit}")
    return done


@pytest.mark.parametrize("limit", [0, 9])
def test_a_priority_above_the_limit_is_refused_before_any_connection(limit: int) -> None:
    with Front(NumberedMarket(IDS)) as front:
        done = run(limit, "-c", textwrap.dedent(PROGRAM), front.address, "10")
        assert front.stats().connections == 0
    assert done.returncode == 1, done.stdout + done.stderr
    (error,) = done.stderr.splitlines()
    assert error.startswith("EngineError: realtime=10: SCHED_FIFO with priority 10 is not permitted to this process")
    for words in (f"RLIMIT_RTPRIO is {limit}", "ulimit -r 10", "LimitRTPRIO=10", "CAP_SYS_NICE"):
        assert words in error


def test_the_limit_alone_is_permission_enough() -> None:
    with Front(NumberedMarket(IDS)) as front:
        done = run(10, "-c", textwrap.dedent(PROGRAM), front.address, "10")
    assert (done.returncode, done.stdout.strip()) == (0, "[0, 10]"), done.stderr


def test_the_command_line_ends_with_the_reason() -> None:
    done = run(0, "-m", "tickengine", "demo", "--library", "compatible", "--realtime", "10")
    assert done.returncode == 1, done.stderr
    assert "tickengine: realtime=10: SCHED_FIFO" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cpus", "4000"], "CPU 4000 does not exist or is offline; this process may use"),
        (["--cpus", "one"], "cpus must be a CPU number"),
        (["--realtime", "100"], "realtime must be a SCHED_FIFO priority from 1 to 99"),
    ],
)
def test_the_command_line_refuses_what_cannot_be(arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", "tickengine", "demo", "--library", "compatible", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert f"tickengine: {words}" in done.stderr.replace("cpus: ", "") and "Traceback" not in done.stderr


def test_a_cpu_that_was_taken_away_from_the_program_is_refused() -> None:
    mask = os.sched_getaffinity(0)
    program = f"import os; os.sched_setaffinity(0, {{{min(mask)}}})\n" + textwrap.dedent(PROGRAM).replace(
        "realtime=int(sys.argv[2])", f"cpus={max(mask)}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "tcp://127.0.0.1:9"], capture_output=True, text=True, timeout=60
    )
    words = f"CPU {max(mask)} is not allowed to this process, which may use {min(mask)}; taskset"
    assert done.returncode == 1 and f"ConfigError: cpus: {words}" in done.stderr
