"""Bad input gets one clear error that names what is wrong, before anything is started."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from feed_support import IDS, SPAWN, engine_on, wait_for

from tickengine import (
    ConfigError,
    EngineError,
    MdApi,
    NotFoundError,
    SegmentError,
    TickEngine,
    TickEngineError,
    TickLog,
    TickQueue,
    VendorLibraryError,
)
from tickengine.front import Front, NumberedMarket

ADDRESS = "tcp://127.0.0.1:9"  # nobody listens there


def make(library: str = "compatible", **changes: Any) -> TickEngine:
    arguments: dict[str, Any] = {
        "md_server": ADDRESS,
        "broker_id": "9999",
        "investor_id": "investor",
        "password": "pass-word-1",
        "app_id": "app",
        "auth_code": "auth",
        "instrument_id_list": IDS,
        **changes,
    }
    return TickEngine(library=library, **arguments)


@pytest.mark.parametrize(
    "front",
    ["", "tcp://", "tcp://host", "tcp://host:0", "tcp://host:65536", "tcp://host:port", "udp://host:1", "TCP://host:1",
     "ssl://host:1", "tcp://ho st:1", "tcp://host:1:2", b"\xff\xfe", 41213, []],
)  # fmt: skip
def test_malformed_front_address(front: Any) -> None:
    with pytest.raises(ConfigError, match="md_server|front address"):
        make(md_server=front)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"instrument_id_list": []}, "instrument_id_list is empty"),
        ({"instrument_id_list": "rb2601"}, "must be a list of ids"),
        ({"instrument_id_list": ["x" * 81]}, "1 to 80 characters"),
        ({"instrument_id_list": [""]}, "1 to 80 characters"),
        ({"instrument_id_list": ["rb 2601 "]}, "no blanks around"),
        ({"instrument_id_list": ["rb2705", "rb27\n05"]}, r"'rb27\\n05' must have .* characters, all printable"),
        ({"instrument_id_list": [b"rb27\x0005"]}, "all printable"),
        ({"instrument_id_list": [b"rb27\x7f05"]}, "all printable"),
        ({"instrument_id_list": ["螺纹2601"]}, "not ASCII"),
        ({"instrument_id_list": [2601]}, "must be str or bytes"),
        ({"broker_id": "12345678901"}, "broker_id must have at most 10"),
        ({"investor_id": "x" * 16}, "investor_id must have at most 15"),
        ({"password": "x" * 41}, "password must have at most 40"),
        ({"password": None}, "password must be a text"),
        ({"md_queue_list": [object()]}, r"md_queue_list\[0\] is a object"),
        ({"name": "a/b"}, "name 'a/b' cannot be used"),
        ({"stale_after": -1}, "stale_after"),
        ({"hours": {"rb": "09:00-15:00"}}, "hours must be sessions by ProductID"),
        ({"on_stale": "kill"}, "on_stale must be 'tell' or 'restart', not 'kill'"),
        ({"on_stale": "restart"}, "on_stale must be 'tell' without stale_after"),
        ({"on_stale": "restart", "stale_after": 5, "restart": False}, "on_stale must be 'tell' with restart=False"),
    ],
)
def test_wrong_argument(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        make(**changes)
    assert "x" * 40 not in str(caught.value) or "password" not in str(caught.value)


def test_a_combination_has_a_blank_in_its_id() -> None:
    assert make(instrument_id_list=["SP a2601&a2605"])._settings.instruments == (b"SP a2601&a2605",)


def test_the_same_queue_twice() -> None:
    with TickQueue() as queue, pytest.raises(ConfigError, match="the same queue twice"):
        make(md_queue_list=[queue, queue])


def test_no_such_library() -> None:
    with pytest.raises(ConfigError, match="'/nowhere/lib.so' does not exist"):
        make("/nowhere/lib.so")
    with pytest.raises(ConfigError, match="package 'no-such-package' is not installed"):
        make("no-such-package")


def test_no_library_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickengine.vendor.PACKAGES", ())
    monkeypatch.delenv("TICKENGINE_MDAPI", raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    with pytest.raises(VendorLibraryError, match="no vendor library was found for market data: install one"):
        make(None)  # type: ignore[arg-type]


def test_a_library_that_is_not_ctps(tmp_path: Path) -> None:
    import tickengine._shim

    engine = make(tickengine._shim.lib().path)
    with pytest.raises(VendorLibraryError, match="it is no CTP market-data library"):
        engine.start()
    text = tmp_path / "lib.so"
    text.write_text("not a library")
    with pytest.raises(VendorLibraryError, match="cannot be loaded"):
        make(str(text)).start()


def test_the_trader_library_is_told_apart(genuine: str) -> None:
    trader = genuine.replace("mduser", "trader")
    assert os.path.exists(trader)
    with pytest.raises(VendorLibraryError, match="trader library"):
        make(trader).start()


@pytest.mark.genuine
def test_an_unreachable_front_is_named_with_the_reason(genuine: str) -> None:
    with socket.socket() as taken:  # and nobody listens there
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with engine_on(address, genuine, IDS, []) as engine:
            wait_for(lambda: engine.status()["front_error"], "a reason")
            with pytest.raises(EngineError, match=f"{address}: connection refused"):
                engine.wait_live(0.1)
            assert engine.status()["state"] == "connecting"


@pytest.mark.genuine
def test_a_front_whose_name_does_not_resolve_is_named(genuine: str) -> None:
    with engine_on("tcp://no-such-host.invalid:41213", genuine, IDS, []) as engine:
        wait_for(lambda: engine.status()["front_error"], "a reason", 60)
        with pytest.raises(EngineError, match="'no-such-host.invalid' does not resolve"):
            engine.wait_live(0.1)


def test_a_flow_directory_that_cannot_be_made_or_written(tmp_path: Path) -> None:
    # /proc can be written by nobody, root included; the genuine library would end the process there.
    with pytest.raises(ConfigError, match="flow directory '/proc/flow' cannot be made"):
        make(page_dir="/proc/flow").start()
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        make(page_dir=str(file)).start()
    with pytest.raises(ConfigError, match="cannot be written"):
        make(page_dir="/proc").start()


def test_two_apis_in_one_flow_directory(tmp_path: Path) -> None:
    with make(page_dir=str(tmp_path / "flow")) as engine:
        with pytest.raises(ConfigError, match=f"in use by process {engine.pid}"):
            make(page_dir=str(tmp_path / "flow")).start()
    with make(page_dir=str(tmp_path / "flow")):
        pass


def test_capacity_that_memory_cannot_hold() -> None:
    with pytest.raises(TickEngineError, match="cannot reserve|capacity"):
        make(capacity=1 << 31).start()
    for wrong in (0, 1, -5):
        with pytest.raises((ConfigError, OverflowError)):
            make(capacity=wrong).start()


def test_attach_to_nothing() -> None:
    with pytest.raises(NotFoundError, match="no tick log named 'nobody'"):
        TickLog.attach("nobody")
    with pytest.raises(NotFoundError, match="no tick log named 'nobody'"):
        TickQueue.attach("nobody")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has 0 bytes: it is being made just now"),
        (b"x" * 10, "damaged: 10 bytes"),
        (b"\0" * 8192, "wrong magic"),
        (b"TKLOG\r\n\0" + b"\xff" * 8184, "layout version 4294967295, this build reads 4"),
        (b"TKLOG\r\n\0" + b"\x04\0\0\0" + b"\xff" * 8180, "records of 4294967295 bytes"),
    ],
)
def test_damaged_or_foreign_segments_are_refused(content: bytes, words: str) -> None:
    path = f"/dev/shm/tickengine-{os.geteuid()}-damaged.log"
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        os.write(fd, content)
        with pytest.raises(SegmentError, match=words):
            TickLog.attach("damaged")
        os.fchmod(fd, 0o644)
        with pytest.raises(SegmentError, match="mode 644: a segment must be this user's own"):
            TickLog.attach("damaged")
    finally:
        os.close(fd)
        os.unlink(path)


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    path = f"/dev/shm/tickengine-{os.geteuid()}-linked.log"
    os.symlink(tmp_path / "elsewhere", path)
    try:
        with pytest.raises(TickEngineError, match="cannot open"):
            TickLog.attach("linked")
    finally:
        os.unlink(path)


def read_in_child(queue: TickQueue, answer: Any) -> None:
    answer.send("ready")
    try:
        queue.get(timeout=5)
    except Exception as error:
        answer.send(repr(error))


def test_two_readers_of_one_queue_are_told_apart(genuine: str) -> None:
    from feed_support import receive, workers

    with TickQueue() as queue, Front(NumberedMarket(IDS), rate=500) as front:
        with engine_on(front.address, genuine, IDS, [queue]):
            queue.get(timeout=20)
            with workers([(read_in_child, (queue,))], SPAWN) as (end,):
                assert f"is being read by process {os.getpid()}" in receive(end)


def test_a_queue_belongs_to_one_engine_at_a_time(genuine: str) -> None:
    with TickQueue() as queue, Front(NumberedMarket(IDS), rate=500) as front:
        with engine_on(front.address, genuine, IDS, [queue], name="first-one"):
            with pytest.raises(ConfigError, match="fed by engine 'first-one' already"):
                engine_on(front.address, genuine, IDS, [queue]).start()
            first = queue.get(timeout=20)
        list(queue)
        with engine_on(front.address, genuine, IDS, [queue]):  # after the first has ended it may
            assert queue.get(timeout=20).Turnover > first.Turnover


def test_a_subclass_that_hides_the_constructor_is_told_so() -> None:
    class Wrong(MdApi):
        def __init__(self, config: str) -> None:
            self.config = config

    with pytest.raises(ConfigError, match=r"Wrong.__init__ must call MdApi.__init__"):
        Wrong("something")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["status", "nobody"], 1, "no tick log named 'nobody'"),
        (["vendor", "--library", "/nowhere.so"], 1, "does not exist"),
        (["orders", "\x1b[31mno"], 1, "/?[31mno' does not exist"),
        (["run", "\x1b[31mno"], 3, "?[31mno: No such file"),
        (["demo", "--library", "nothing-here"], 1, "not installed"),
        (["front", "--instruments", "x" * 40], 2, ""),
        (["nonsense"], 2, "invalid choice"),
        ([], 2, "required"),
    ],
)
def test_the_command_line_says_what_is_wrong(arguments: list[str], status: int, words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "tickengine", *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == status, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr
