"""``tickengine_log.h`` and examples/c/follow.c read a live log as Python does, with nothing of the shim."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from feed_support import wait_for
from writing import Feed

from tickengine.tick import RECORD_FIELDS, TICK_DTYPE

ROOT = Path(__file__).parents[2]
HEADER = ROOT / "shim" / "include"
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-O2", f"-I{HEADER}"]

LOOKS = r"""
#include "tickengine_log.h"
int main(int argc, char **argv) {
    char error[256], status[3073];
    tkl_log log;
    tkl_record r;
    const int rc = tkl_attach(&log, argv[1], error, sizeof error);
    if (rc != TKL_OK) return printf("%d %s\n", rc, error), 1;
    for (int i = 2; i < argc; ++i) {
        const int found = tkl_latest(&log, argv[i], &r);
        if (found != TKL_OK) r.LastPrice = 0, r.ExchangeID[0] = 0;
        printf("%s %d %.10g %s\n", argv[i], found, r.LastPrice, r.ExchangeID);
    }
    tkl_status(&log, status, sizeof status);
    printf("%s\n", status);
    printf("%d %d ", tkl_read(&log, 0, &r), tkl_read(&log, tkl_head(&log), &r));
    printf("%d\n", tkl_read(&log, tkl_oldest(&log), &r));
    tkl_detach(&log);
    return 0;
}
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``follow`` by gcc and by g++, ``looks``."""
    folder = tmp_path_factory.mktemp("c")
    source, looks = ROOT / "examples" / "c" / "follow.c", folder / "looks.c"
    looks.write_text(LOOKS)
    for command in (
        ["gcc", "-std=c11", *WARNINGS, str(source), "-o", str(folder / "follow")],
        ["g++", "-std=c++11", "-x", "c++", *WARNINGS, str(source), "-o", str(folder / "follow++")],
        ["gcc", "-std=c11", *WARNINGS, str(looks), "-o", str(folder / "looks")],
    ):
        built = subprocess.run(command, capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
    return folder


def test_the_records_fields_stand_where_python_has_them(tmp_path: Path) -> None:
    lines = [f'printf("{name} %zu\\n", offsetof(tkl_record, {name}));' for name, _ in RECORD_FIELDS]
    source = tmp_path / "offsets.c"
    source.write_text(f'#include "tickengine_log.h"\nint main(void) {{ {" ".join(lines)} return 0; }}\n')
    subprocess.run(["gcc", "-std=c11", *WARNINGS, str(source), "-o", str(tmp_path / "offsets")], check=True)
    printed = subprocess.run([str(tmp_path / "offsets")], capture_output=True, text=True, check=True).stdout
    names, offsets = zip(*(line.split() for line in printed.splitlines()))
    assert list(names) == list(TICK_DTYPE.names or ())
    assert [int(offset) for offset in offsets] == [TICK_DTYPE.fields[name][1] for name in names]  # type: ignore[index]


@contextmanager
def following(program: Path, feed: Feed, *more: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [str(program), feed.log.name, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def _lines(feed: Feed, start: int = 0) -> list[str]:
    rows = feed.log.read(start)
    return [
        f"{r['Stamp'] - 1} {r['InstrumentID'].decode()} {r['LastPrice']:.10g} {r['Volume']} "
        f"{r['UpdateTime'].decode()}.{r['UpdateMillisec']:03d}"
        for r in rows
    ]


@pytest.mark.parametrize("name", ["follow", "follow++"])
def test_it_prints_what_python_reads_and_ends_with_the_log(programs: Path, feed: Feed, name: str) -> None:
    feed.log.set_status_text({"state": "live"})
    expected: list[str] = []
    with following(programs / name, feed, "oldest") as process:
        assert process.stdout is not None and process.stderr is not None
        for number in range(200):  # the ring is passed three times, with events in it; it keeps up
            feed.tick(("rb2601", "IF2512")[number % 2], LastPrice=3000 + number / 4, Volume=number, UpdateMillisec=500)
            if number % 5 == 0:
                feed.event("subscribed")
            expected += _lines(feed, feed.log.head - (2 if number % 5 == 0 else 1))
            assert process.stdout.readline().rstrip() == expected[-1]
        feed.log.end()
        rest, errors = process.communicate(timeout=60)
    assert (rest, process.returncode, len(expected)) == ("", 0, 200)
    assert '"state":"live"' in errors
    assert errors.endswith("200 ticks, 0 lost; the engine has stopped\n")


def test_what_it_is_too_slow_for_is_counted(programs: Path, feed: Feed) -> None:
    with following(programs / "follow", feed, "oldest") as process:
        assert process.stdout is not None
        feed.tick("rb2601")
        assert process.stdout.readline().startswith("0 rb2601")
        os.kill(process.pid, signal.SIGSTOP)
        wait_for(lambda: _state(process.pid) == "T", "the stop")
        for _ in range(500):
            feed.tick("rb2601")
            feed.event("subscribed")
        feed.log.end()
        os.kill(process.pid, signal.SIGCONT)
        rest, errors = process.communicate(timeout=60)
    sequences = [int(line.split()[0]) for line in rest.splitlines()]
    assert sequences == sorted(sequences) and sequences[-1] == 999
    assert 0 < len(sequences) < 64
    assert errors.endswith(f"{1 + len(sequences)} ticks, {500 - len(sequences)} lost; the engine has stopped\n")


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_last_values_status_and_single_records(programs: Path, feed: Feed) -> None:
    feed.tick("rb2601", LastPrice=1.25)
    for number in range(100):
        feed.tick("IF2512", LastPrice=float(number), ExchangeID=b"CFFEX")
    feed.log.set_status_text({"state": "stale", "words": "沪"})
    name = feed.log.name
    done = subprocess.run(
        [str(programs / "looks"), name, "rb2601", "IF2512", "zz"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "rb2601 0 1.25 SHFE",  # behind the ring: from the saved table
        "IF2512 0 99 CFFEX",
        "zz -1 0 ",
        '{"state":"stale","words":"沪"}',
        "-3 -4 0",
    ]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ((0, b"\0"), "wrong magic"),
        ((8, b"\x09"), "layout version 9, this program reads 4"),
        ((16, b"\x00\x02"), "parts of 512 bytes where this program reads 448"),
        ((32, b"\x03"), "capacities cannot be"),
        ((72, b"\x01"), "not in its place"),
        ((216, b"\xff\xff\xff"), "its table or its name"),
        (None, "no tick log named"),
        ("short", "bytes, expected"),
        ("mode", "mode 600"),
    ],
)
def test_what_is_not_a_log_of_ours_is_refused(programs: Path, feed: Feed, damage: object, words: str) -> None:
    name = f"copy-{os.getpid()}"
    copy = Path(os.fsdecode(feed.log.path).replace(feed.log.name, name))
    raw = bytearray(Path(os.fsdecode(feed.log.path)).read_bytes())
    if isinstance(damage, tuple):
        offset, bytes_ = damage
        raw[offset : offset + len(bytes_)] = bytes_
    try:
        if damage is not None:
            copy.touch(0o644 if damage == "mode" else 0o600)
            copy.write_bytes(raw[:-4096] if damage == "short" else raw)
        done = subprocess.run([str(programs / "looks"), name], capture_output=True, text=True)
    finally:
        copy.unlink(missing_ok=True)
    assert done.returncode == 1
    assert words in done.stdout, done.stdout


def test_a_dead_engine_is_noticed(programs: Path) -> None:
    from children import in_child

    paths, told = os.pipe()

    def owner() -> None:
        feed = Feed()
        feed.tick("rb2601")
        os.write(told, os.fsencode(feed.log.name))
        os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(in_child(owner), 0)
    name = os.read(paths, 100).decode()
    os.close(paths)
    os.close(told)
    try:
        done = subprocess.run([str(programs / "follow"), name, "oldest"], capture_output=True, text=True, timeout=60)
    finally:
        os.unlink(f"/dev/shm/tickengine-{os.geteuid()}-{name}.log")
    assert done.returncode == 3
    assert done.stderr.endswith("1 ticks, 0 lost; the engine has died\n")
