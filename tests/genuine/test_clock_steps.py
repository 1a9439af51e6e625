"""The wall clock is set forward and back under a running engine: RecvTime follows, and nothing else notices.

No clock is touched: a small library between the engine process and libc adds an offset to what is read as
the time of day, with the genuine vendor library in the same process.
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
import struct
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from feed_support import IDS, engine_on, wait_for

from tickengine import TickEngine, TickQueue
from tickengine.front import Front, NumberedMarket

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(120)]

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long* offset_s;

__attribute__((constructor)) static void find_offset(void) {
    const char* path = getenv("WALL_CLOCK_OFFSET");
    const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void* mapped = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) offset_s = mapped;
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec* t) {
    const int rc = (int)syscall(SYS_clock_gettime, clock, t);
    if (rc == 0 && offset_s && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) t->tv_sec += *offset_s;
    return rc;
}

int gettimeofday(struct timeval* restrict tv, void* restrict zone) {
    struct timespec t;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    tv->tv_sec = t.tv_sec;
    tv->tv_usec = t.tv_nsec / 1000;
    return 0;
}

time_t time(time_t* out) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out) *out = t.tv_sec;
    return t.tv_sec;
}
"""

HOUR = 3600
SUNDAY, MONDAY = 1_795_320_000, 1_795_399_200  # 12:00 on 2026-11-22 and 10:00 on the 23rd, in China


@pytest.fixture
def wall_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> mmap.mmap:
    """The offset in seconds, for processes started from now on."""
    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if compiler is None:
        pytest.skip("no C compiler (gcc) for the library that shifts the time of day")
    (tmp_path / "shift.c").write_text(SOURCE)
    library, offset = tmp_path / "shift.so", tmp_path / "offset"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(tmp_path / "shift.c"), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    offset.write_bytes(bytes(mmap.PAGESIZE))
    with offset.open("r+b") as f:
        shared = mmap.mmap(f.fileno(), 0)
    monkeypatch.setenv("WALL_CLOCK_OFFSET", str(offset))
    monkeypatch.setenv("LD_PRELOAD", str(library))
    return shared


def _ahead(running: TickEngine) -> float:
    """Seconds by which the newest tick's RecvTime is before this process's wall clock; rounded to an hour."""
    head = running.log.head
    records = running.log.read(max(0, head - 10))
    return round((float(records["RecvTime"][-1]) / 1e9 - time.time()) / HOUR) if len(records) else float("nan")


def _set(wall_clock: mmap.mmap, hours: int) -> None:
    wall_clock[:8] = struct.pack("<q", hours * HOUR)


def test_timers_do_not_follow_the_wall_clock_and_recvtime_does(
    wall_clock: mmap.mmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the compatible library, whose own timers are monotonic: nothing but RecvTime changes."""
    with TickQueue() as queue, Front(NumberedMarket(IDS), rate=500) as front:
        with engine_on(front.address, "compatible", IDS, [queue], watchdog=30, stale_after=60) as running:
            monkeypatch.delenv("LD_PRELOAD")
            running.wait_live()
            first = queue.get(timeout=20).Sequence
            assert _ahead(running) == 0
            for hours in (1, -2, 30, 0):
                _set(wall_clock, hours)
                wait_for(lambda hours=hours: _ahead(running) == hours, f"RecvTime to follow by {hours} h")
                ticks = running.status()["ticks"]
                wait_for(lambda ticks=ticks: running.status()["ticks"] > ticks + 500, "a second of ticks")
                assert (running.status()["state"], running.status()["disconnects"]) == ("live", 0)
            # What waits for a time: a refused login is tried again after its second, whatever the clock says.
            front.refuse_logins(7, times=1)
            before = time.monotonic()
            front.cut()
            wait_for(lambda: front.stats().logins_refused == 1, "the refusal")
            _set(wall_clock, 50)
            wait_for(lambda: running.status()["logins"] == 2, "the next login")
            assert time.monotonic() - before > 0.99, "the pause was over at once"
            _set(wall_clock, -50)
            front.refuse_logins(7, times=1)
            front.cut()
            wait_for(lambda: running.status()["logins"] == 3, "the login after that")
            running.wait_live()
            assert (running.status()["restarts"], running.status()["disconnects"]) == (0, 2)
            records = running.log.read(first)
        assert (np.diff(records["RecvMonotonic"]) > 0).all(), "the monotonic clock went back"


def test_the_genuine_library_which_follows_the_wall_clock_connects_again_after_each_step(
    genuine: str, wall_clock: mmap.mmap, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """6.3.6 may take a step for a long silence (8193); the warning in the log tells why."""
    with Front(NumberedMarket(IDS), rate=500) as front, engine_on(front.address, genuine, IDS, []) as running:
        monkeypatch.delenv("LD_PRELOAD")
        running.wait_live()
        for hours, words in ((1, "forward by 3600 s"), (-50, "back by 183600 s")):
            _set(wall_clock, hours)
            wait_for(lambda words=words: f"the wall clock has been set {words}" in caplog.text, "the warning")
            logins = front.stats().logins
            front.cut()
            wait_for(lambda logins=logins: front.stats().logins > logins, "the next login", 60)
            running.wait_live()
            ticks = running.status()["ticks"]
            wait_for(lambda ticks=ticks: running.status()["ticks"] > ticks + 100, "ticks")
            assert _ahead(running) == hours
        assert running.status()["restarts"] == 0


def test_silence_ends_a_process_in_trading_hours_alone(
    wall_clock: mmap.mmap, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A front that is well and has nothing to send: left alone on a Sunday, and not on a Monday morning."""

    def set_to(day: int) -> None:
        wall_clock[:8] = struct.pack("<q", day - int(time.time()))

    set_to(SUNDAY)
    with (
        Front(NumberedMarket(IDS), rate=500) as front,
        engine_on(front.address, "compatible", IDS, [], stale_after=2, on_stale="restart") as running,
    ):
        running.wait_live()
        front.pause()
        until = time.monotonic() + 8
        wait_for(lambda: time.monotonic() > until, "four times too much silence")
        assert (running.status()["state"], running.status()["restarts"]) == ("live", 0)
        set_to(MONDAY)
        wait_for(lambda: running.status()["restarts"] >= 1, "the next process")
        monkeypatch.delenv("LD_PRELOAD")
        front.resume()
        ticks = running.status()["ticks"]
        wait_for(lambda: running.status()["ticks"] > ticks + 500, "ticks again")
        assert running.status()["epoch"] == 1 + running.status()["restarts"]
    assert re.findall(r"starting it again in ([0-9.]+) s", caplog.text)[0] == "0.2"
