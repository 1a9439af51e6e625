"""Whatever lies in /dev/shm under our names: attaching says what is wrong with it and never ends the program."""

from __future__ import annotations

import ctypes as ct
import fcntl
import os
import pickle
import random
import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from children import ended_well, in_child
from writing import Feed

from tickengine import NameTakenError, NotFoundError, SegmentError, ShimError, TickEngineError, TickLog, TickQueue
from tickengine._segments import log_path, queue_path
from tickengine._shim import lib, new_handle

NAME = "unit-hostile"
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files and processes of other users")


@pytest.fixture(autouse=True)
def tidy() -> Iterator[None]:
    yield
    for path in (log_path(NAME), queue_path(NAME)):
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        elif os.path.lexists(path):
            os.unlink(path)


@contextmanager
def copies() -> Iterator[tuple[bytes, bytes]]:
    """The bytes of a good log and a good queue, and they are gone again."""
    feed = Feed(capacity=64, instruments=8)
    queue = feed.queue(["rb2601", "IF2512"])
    for n in range(100):
        feed.tick(("rb2601", "IF2512", "m2605")[n % 3], Volume=n)
    feed.log.set_status_text({"state": "live"})
    queue.get()
    with open(feed.log.path, "rb") as log, open(queue.path, "rb") as file:
        made = log.read(), file.read()
    feed.close()
    yield made


def put(path: bytes, content: bytes, mode: int = 0o600) -> None:
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, mode)
    os.fchmod(fd, mode)
    os.write(fd, content)
    os.close(fd)


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, **options
    )


def try_everything() -> list[str]:
    """All ways to attach and to look, by name. Returns the errors; anything but ours is raised."""
    errors = []

    def attempt(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except TickEngineError as error:
            errors.append(str(error))
            return None

    log = attempt(lambda: TickLog.attach(NAME))
    if log is not None:
        looks: list[Callable[[], Any]] = [
            log.info, log.status, log.queues, log.instruments, log.view, lambda: log.read(0), lambda: repr(log),
            lambda: len(log), lambda: log.latest("rb2601"), lambda: log.exchange_inst_id(0),
        ]  # fmt: skip
        for look in looks:
            attempt(look)
        for position in (-1, 0, log.head - 1):
            try:
                attempt(lambda position=position: log[position])
            except IndexError:
                pass  # as documented: not written yet
        log.close()
    attempt(lambda: _read_some(TickQueue._from_path(queue_path(NAME))))
    attempt(lambda: _read_some(TickQueue.attach(NAME)))
    return errors


def _read_some(queue: TickQueue) -> None:
    from queue import Empty

    try:
        queue.qsize(), queue.instruments, queue.lost, repr(queue)
        for _ in range(3):
            tick = queue.get(timeout=0.001)
            tick.InstrumentID, tick.Sequence, repr(tick)
        queue.get_many(timeout=0.001)
    except Empty:
        pass
    finally:
        queue.close()


# ---- what is no segment -------------------------------------------------------------------------


def a_directory(path: bytes) -> None:
    os.mkdir(path)


def a_fifo(path: bytes) -> None:
    os.mkfifo(path)


def a_link_to_nothing(path: bytes) -> None:
    os.symlink("/nowhere", path)


def a_link_to_itself(path: bytes) -> None:
    os.symlink(path, path)


def a_socket(path: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.fsdecode(path))


def a_device(path: bytes) -> None:
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero


def an_empty_file(path: bytes) -> None:
    put(path, b"")


OTHER_THINGS = [
    a_directory, a_fifo, a_link_to_nothing, a_link_to_itself, a_socket, an_empty_file,
    pytest.param(a_device, marks=root),
]  # fmt: skip


@pytest.mark.parametrize("thing", OTHER_THINGS)
def test_another_thing_of_the_name_is_refused_and_stands_in_nobodys_way(thing: Callable[[bytes], None]) -> None:
    for path in (log_path(NAME), queue_path(NAME)):
        thing(path)
    with pytest.raises(TickEngineError, match=NAME):
        TickLog.attach(NAME)
    with pytest.raises(TickEngineError, match=NAME):
        TickQueue.attach(NAME)
    done = run("-m", "tickengine", "status", NAME)
    assert (done.returncode, done.stdout) == (1, "") and NAME in done.stderr and "Traceback" not in done.stderr
    # Every program sweeps when it makes its first queue: it neither waits nor fails.
    done = run("-c", "from tickengine import TickQueue; TickQueue().close(); print('made')")
    assert (done.returncode, done.stdout) == (0, "made\n"), done.stderr


def test_a_sweep_over_a_directory_full_of_junk_makes_its_way() -> None:
    rng = random.Random(7)
    with copies() as (log, queue):
        junk = []
        for n in range(120):
            path = (log_path if n % 2 else queue_path)(f"{NAME}-{n}")
            junk.append(path)
            if n % 6 == 0:
                OTHER_THINGS[n // 6 % 6](path)  # type: ignore[operator]
                continue
            content = bytearray((log if n % 2 else queue)[: rng.choice((1 << 20, 4096, 600, 511))])
            for _ in range(rng.randrange(50)):
                content[rng.randrange(min(len(content), 600))] = rng.randrange(256)
            put(path, bytes(content))
        try:
            done = run("-c", "from tickengine import TickQueue; TickQueue().close(); print('made')")
            assert (done.returncode, done.stdout) == (0, "made\n"), done.stderr
        finally:
            for path in junk:
                if os.path.isdir(path):
                    os.rmdir(path)
                elif os.path.lexists(path):
                    os.unlink(path)


def test_a_log_and_a_queue_of_one_name_are_two_things() -> None:
    with TickQueue(name=NAME) as queue, TickQueue(name=NAME + "-2"):
        log = TickLog.create(NAME, 64, 8)
        queue.bind(log)
        with pytest.raises(NameTakenError, match=f"'{NAME}' is already running \\(pid {os.getpid()}\\)"):
            TickLog.create(NAME, 64, 8)
        with pytest.raises(NameTakenError, match="exists already"):
            TickQueue(name=NAME)
        assert TickQueue.attach(NAME).name == NAME and TickLog.attach(NAME).name == NAME
        log.unlink()


def test_a_file_that_somebody_has_locked_is_left_to_them_with_one_clear_error() -> None:
    log = TickLog.create(NAME, 64, 8)
    with TickQueue(name=NAME) as queue:
        for path in (log.path, queue.path):
            fd = os.open(path, os.O_RDONLY)
            fcntl.flock(fd, fcntl.LOCK_EX)
            try:
                TickLog.attach(NAME).info()  # to look at it takes no lock
                assert TickQueue.attach(NAME).name == NAME
                if path == log.path:
                    with pytest.raises(NameTakenError, match="is starting just now; stop it or choose another name"):
                        TickLog.create(NAME, 64, 8)
                else:
                    with pytest.raises(TickEngineError, match="being given to another engine just now"):
                        queue.bind(log)
            finally:
                os.close(fd)
        queue.bind(log)
        log.unlink()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o700, 0o610])
def test_a_segment_that_others_may_touch_is_refused(mode: int) -> None:
    with copies() as (log, queue):
        put(log_path(NAME), log, mode)
        put(queue_path(NAME), queue, mode)
        if mode == 0o700:  # nobody else's, though no mode of ours
            assert TickLog.attach(NAME).capacity == 64
            return
        for attach in (TickLog.attach, TickQueue.attach):
            with pytest.raises(SegmentError, match=f"with mode {mode:o}: a segment must be this user's own"):
                attach(NAME)


@root
def test_another_users_file_is_refused_with_both_users_named() -> None:
    with copies() as (log, queue):
        for path, content in ((log_path(NAME), log), (queue_path(NAME), queue)):
            put(path, content)
            os.chown(path, 12345, 12345)
        for attach in (TickLog.attach, TickQueue.attach):
            with pytest.raises(SegmentError, match=r"belongs to user 12345 with mode 600: .* this user's own \(0\)"):
                attach(NAME)


@root
def test_another_user_is_refused_and_cannot_be_hindered_by_files_in_his_name(feed: Feed) -> None:
    queue = feed.queue(name=NAME)
    other = 23456
    # In his name, with the zeros of an unfinished one, and not his to remove: /dev/shm is sticky.
    os.chmod("/dev/shm", 0o1777)
    mine = [f"/dev/shm/tickengine-{other}-{NAME}.{kind}" for kind in ("log", "queue")]
    for path in mine:
        put(os.fsencode(path), b"\0" * 4096, 0o644)

    def child() -> None:
        os.setgroups([])
        os.setresgid(other, other, other)
        os.setresuid(other, other, other)
        with pytest.raises(NotFoundError, match=f"no tick log named '{feed.log.name}'"):
            TickLog.attach(feed.log.name)  # his names are others than ours
        with pytest.raises(ShimError, match=f"cannot open '{os.fsdecode(queue.path)}': Permission denied"):
            TickQueue._from_path(queue.path)
        with pytest.raises(ShimError, match=f"cannot open '{mine[0]}': Permission denied"):
            TickLog.attach(NAME)
        from tickengine import _segments

        _segments._swept = False
        with TickQueue(name=NAME + "-2") as own:
            assert own.empty()

    try:
        assert ended_well(in_child(child))
    finally:
        for path in mine:
            os.unlink(path)


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed(capacity=64)
    yield feed
    feed.close()


# ---- damaged ones -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["log", "queue"])
def test_a_segment_cut_anywhere_is_refused(kind: str) -> None:
    with copies() as (log, queue):
        content, path, attach = (
            (log, log_path(NAME), TickLog.attach) if kind == "log" else (queue, queue_path(NAME), TickQueue.attach)
        )
        cuts = {0, 1, 7, 8, 511, 512, 513, 4095, 4096, 4097, len(content) - 1, len(content) - 4096, len(content) // 2}
        for size in sorted(cut for cut in cuts if cut < len(content)):
            put(path, content[:size])
            with pytest.raises(SegmentError, match=f"damaged: {size} bytes" if size else "has 0 bytes"):
                attach(NAME)
            assert len(try_everything()) >= 2


# Fields that say how long or where something is: offset and format. docs/layout.md.
LOG_NUMBERS = [(o, "I") for o in (12, 16, 20, 24, 28)] + [(o, "Q") for o in (32, 40, 48, 64, 72, 80, 88)] + [(216, "I")]
QUEUE_NUMBERS = [(12, "I"), (16, "I"), (32, "Q")]


@pytest.mark.parametrize("kind", ["log", "queue"])
def test_every_length_and_offset_is_checked_before_it_is_used(kind: str) -> None:
    with copies() as (log, queue):
        content, path, numbers = (
            (log, log_path(NAME), LOG_NUMBERS) if kind == "log" else (queue, queue_path(NAME), QUEUE_NUMBERS)
        )
        # No more than there is room for, up to the next page.
        harmless = {("log", 40): range(1, 13), ("log", 216): range(9), ("queue", 16): range(1, 38)}
        for offset, form in numbers:
            (good,) = struct.unpack_from("<" + form, content, offset)
            top = 1 << struct.calcsize(form) * 8
            values = {0, 1, good - 1, good + 1, good * 2, top - 1, top // 2, top // 64, top // 64 + good, top - good}
            for value in sorted(value % top for value in values):
                wrong = bytearray(content)
                struct.pack_into("<" + form, wrong, offset, value)
                put(path, bytes(wrong))
                errors = try_everything()
                if value not in harmless.get((kind, offset), (good,)):
                    assert any("damaged" in e or "this build reads" in e for e in errors), (offset, value, errors)


@pytest.mark.parametrize("kind", ["log", "queue"])
def test_a_segment_with_holes_is_refused(kind: str) -> None:
    with copies() as (log, queue):
        path, content = (log_path(NAME), log) if kind == "log" else (queue_path(NAME), queue)
        put(path, content[: 2048 if kind == "queue" else len(content) // 2])
        os.truncate(path, len(content) + (0 if kind == "log" else 4096 * 20))
        attach = TickLog.attach if kind == "log" else TickQueue.attach
        with pytest.raises(SegmentError, match="damaged: it has holes"):
            attach(NAME)


@root
def test_holes_on_a_full_device_are_refused_and_not_touched(tmp_path: Path) -> None:
    """A read of a hole takes a page. Where there is none, that is SIGBUS."""
    program = """
import os, sys
from tickengine import SegmentError, TickLog
with open("/dev/shm/tickengine-0-full.log", "wb") as f:
    os.fchmod(f.fileno(), 0o600)
    f.write(open(sys.argv[1], "rb").read(8192))
    f.truncate(os.path.getsize(sys.argv[1]))
rest = os.open("/dev/shm/rest", os.O_CREAT | os.O_WRONLY)
try:
    while os.write(rest, bytes(4096)):
        pass
except OSError:
    pass
try:
    TickLog.attach("full")
except SegmentError as error:
    print(error)
"""
    with copies() as (log, _):
        (tmp_path / "log").write_bytes(log)
    shell = f'mount -t tmpfs -o size=1m none /dev/shm && exec {sys.executable} -c "$0" {tmp_path}/log'
    done = subprocess.run(["unshare", "-m", "sh", "-c", shell, program], capture_output=True, text=True, timeout=60)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no file system of one's own here: {done.stderr.strip()}")
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert "damaged: it has holes" in done.stdout


def test_a_pickled_queue_whose_file_has_changed_is_refused() -> None:
    queue = TickQueue(name=NAME)
    pickled, path = pickle.dumps(queue), queue.path
    with open(path, "rb") as f:
        good = f.read()
    for wrong, words in (
        (good[:100], "damaged: 100 bytes"),
        (b"\0" * len(good), "wrong magic"),
        (good[:8] + b"\x09" + good[9:], "layout version 9, this build reads 4"),
        (good[:56] + b"\xff" * 63 + good[119:], "its name is"),
    ):
        with open(path, "r+b") as f:
            f.write(wrong)
            f.truncate()
        with pytest.raises(SegmentError, match=words):
            pickle.loads(pickled)
        with open(path, "r+b") as f:
            f.write(good)
    assert pickle.loads(pickled).name == NAME
    queue.close()
    with pytest.raises(NotFoundError, match=f"{NAME}.queue' does not exist"):
        pickle.loads(pickled)


def test_a_status_that_is_no_json_is_an_error_of_ours(feed: Feed) -> None:
    feed.log.set_status_text({"state": "live"})
    with open(feed.log.path, "r+b") as f:
        f.seek(512)
        f.write(b"\xff{nonsense")
    with pytest.raises(SegmentError, match="the status in .* is damaged"):
        feed.log.status()
    done = run("-m", "tickengine", "status", feed.log.name)
    assert done.returncode == 1 and "is damaged" in done.stderr and "Traceback" not in done.stderr


# ---- files that change under one's hands ---------------------------------------------------------


@pytest.mark.parametrize("kind", ["log", "queue"])
def test_attaching_survives_a_file_that_is_cut_and_mended_all_the_time(kind: str) -> None:
    """Between any two looks at it the file may have become shorter: what is mapped beyond its end is SIGBUS."""
    with copies() as (log, queue):
        content, path = (log, log_path(NAME)) if kind == "log" else (queue, queue_path(NAME))
        put(path, content)

        def attach_often() -> None:
            shim = lib()
            attach, close = (
                (shim.log_attach, shim.log_close) if kind == "log" else (shim.queue_attach, shim.queue_close)
            )
            answers = set()
            for _ in range(15_000):
                handle = new_handle()
                try:
                    attach(path, ct.byref(handle))
                except SegmentError as error:
                    answers.add(error.detail.partition("damaged")[1])
                    continue
                answers.add("attached")
                close(handle)
            assert {"attached", "damaged"} <= answers, answers

        stop = threading.Event()

        def cut() -> None:
            fd = os.open(path, os.O_RDWR)
            while not stop.is_set():
                os.ftruncate(fd, 0)
                os.pwrite(fd, content, 0)
                for _ in range(50):
                    os.ftruncate(fd, len(content))
            os.close(fd)

        child = in_child(attach_often)
        cutter = threading.Thread(target=cut)
        cutter.start()
        try:
            assert ended_well(child)
        finally:
            stop.set()
            cutter.join(20)
