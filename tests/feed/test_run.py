"""`tickengine run` for real: a loopback front, the genuine vendor library, workers that take queues by name."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from feed_support import wait_for
from writing import Feed

from tickengine import Event, TickLog, TickQueue, cli
from tickengine._errors import TickEngineError
from tickengine.feed import run
from tickengine.feed.run import EXIT_DECIDED
from tickengine.front import Front, RandomWalkMarket
from tickengine.record import Recording

IDS = ["rb2701", "IF2705", "m2705"]
Write = Callable[..., str]

pytestmark = pytest.mark.genuine


@pytest.fixture
def front() -> Iterator[Front]:
    with Front(RandomWalkMarket(IDS), rate=200) as made:
        yield made


@pytest.fixture
def name() -> str:
    return f"feed-{os.getpid()}"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def configuration(front: Front, genuine: str, name: str, more: str = "", user: str = "investor") -> str:
    return (
        f"front = '{front.address}'\nbroker = '9999'\nuser = '{user}'\npassword_file = 'password'\n"
        f"[instruments]\nids = 'rb2701'\nfile = 'more.txt'\n"
        f"[engine]\nname = '{name}'\nlibrary = '{genuine}'\n{more}"
    )


@contextmanager
def running(path: str, *options: str, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tickengine", "run", path, *options],
        stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def manager_at(path: Path) -> Iterator[list[bytes]]:
    """A service manager, and what it has heard. It takes everything at once: the kernel may keep ten messages only."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))

        def hear() -> None:
            while message := manager.recv(4096):
                heard.append(message)

        thread = threading.Thread(target=hear)
        thread.start()
        try:
            yield heard
        finally:
            manager.shutdown(socket.SHUT_RD)
            thread.join()


def live(name: str) -> bool:
    try:
        return bool(TickLog.attach(name).status()["state"] == "live")
    except TickEngineError:
        return False


def ended(process: subprocess.Popen[str], number: signal.Signals | None = None, timeout: float = 60) -> list[str]:
    if number is not None:
        process.send_signal(number)
    _, err = process.communicate(timeout=timeout)
    return err.splitlines()


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text: str = answer.read().decode()
        return text


def test_a_feed_from_its_start_to_its_end(
    front: Front, genuine: str, name: str, write: Write, tmp_path: Path, password: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    ids = tmp_path / "more.txt"
    ids.write_text("IF2705\n")
    more = f"[queues.{name}-w1]\nevents = true\n[queues.{name}-w2]\ninstruments = 'IF*'\n"
    path = write(configuration(front, genuine, name, more + "[recorder]\ndirectory = 'ticks'\n"))
    port = free_port()
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
    options = ("--metrics", str(port), "--log-format", "json")
    with manager_at(tmp_path / "notify") as heard, running(path, *options, environment=environment) as process:
        wait_for(lambda: {b"READY=1", b"WATCHDOG=1"} <= set(heard), "ready, and a sign of life")
        wait_for(lambda: live(name), "live")
        log = TickLog.attach(name)

        # Workers take their queues by name; what came before them is there.
        one, two = TickQueue.attach(f"{name}-w1"), TickQueue.attach(f"{name}-w2")
        assert two.get(timeout=20).InstrumentID == "IF2705"
        first = [one.get(timeout=20) for _ in range(30)]
        begun = ["engine_started", "front_connected", "logged_in", "subscribed"]
        assert [record.name for record in first if isinstance(record, Event)] == begun

        text = scrape(port)
        for line in (
            f'tickengine_state{{engine="{name}",state="live"}} 1.0',
            f'tickengine_subscribed{{engine="{name}"}} 2.0',
            f'tickengine_queue_alive{{engine="{name}",queue="{name}-w2"}} 1.0',
            f'tickengine_recorder_alive{{engine="{name}"}} 1.0',
        ):
            assert line in text
        assert cli.main(["health", name, "--always"]) == 0

        # The queue that the lines of the log come by is nobody's to look after.
        theirs = [f"{name}-w1", f"{name}-w2", f"{name}.recorder"]
        assert {queue["name"] for queue in log.queues()} == {*theirs, f"{name}.events"}
        assert f'queue="{name}.recorder"' in text and f"{name}.events" not in text
        capsys.readouterr()
        for command in (["status", name], ["top", name, "--once", "--interval", "0.1", "--json"]):
            assert cli.main(command) == 0
            assert sorted(queue["name"] for queue in json.loads(capsys.readouterr().out)["queues"]) == theirs

        ids.write_text("m2705\n")
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "m2705" in seen(log), "the new instrument's ticks")

        front.cut()
        wait_for(lambda: log.status()["logins"] == 2 and live(name), "live again")
        wait_for(
            lambda: f'tickengine_disconnects_total{{engine="{name}"}} 1.0' in scrape(port), "the cut in the metrics"
        )

        process.send_signal(signal.SIGTERM)
        for queue in (one, two):  # they get everything up to the end, and the end is no error
            assert sum(1 for _ in queue) > 0 and queue.lost == 0
            queue.close()
        lines = ended(process)
        assert process.returncode == 0
        wait_for(lambda: b"STOPPING=1" in heard, "that it ends")
    assert any(word.startswith(b"STATUS=live, 2 subscribed") for word in heard)
    assert not [f for f in os.listdir("/dev/shm") if name in f]

    recordings = [Recording.open(file) for file in (tmp_path / "ticks").glob("*.ticks")]
    assert sum(map(len, recordings)) == log.info().ticks > 0 and not any(r.lost for r in recordings)

    told = [json.loads(line) for line in lines]
    assert {line["engine"] for line in told} == {name} and "pass-word-1" not in "".join(lines)
    events = [line["event"] for line in told if "event" in line]
    assert events[:4] == begun
    assert "unsubscribed" in events and events[-1] == "engine_stopped"
    cut = next(line for line in told if line.get("event") == "front_disconnected")
    assert cut["reason"] == 4097 and cut["level"] == "warning" and cut["sequence"] > 3


@pytest.mark.parametrize("takes", [True, False])
def test_a_living_worker_has_its_time_to_take_what_is_left(
    takes: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert f"workers have {run._DRAIN_S:g} s" in (Path(__file__).parents[2] / "docs" / "configure.md").read_text(
        "utf-8"
    )
    feed = Feed()
    looks = []

    def look(
        _: TickLog, real: Callable[[TickLog], list[dict[str, object]]] = TickLog.queues
    ) -> list[dict[str, object]]:
        found = real(feed.log)
        looks.append(found[0]["lag"])
        if takes and len(looks) == 3:
            queue.get_many(4, timeout=20)
        return found

    try:
        queue = feed.queue(name=f"drain-{os.getpid()}")
        feed.tick("rb2601")
        queue.get_nowait()  # somebody reads it
        for _ in range(4):
            feed.tick("rb2601")
        monkeypatch.setattr(TickLog, "queues", look)
        if not takes:
            monkeypatch.setattr(run, "_DRAIN_S", 0.05)
        run._leave(SimpleNamespace(stop=feed.log.end, log=feed.log))  # type: ignore[arg-type]
    finally:
        feed.close()
    if takes:
        assert looks == [4, 4, 4, 0] and not caplog.records
    else:
        assert set(looks) == {4}
        assert f"queue drain-{os.getpid()}: its worker has left 4 records unread" in caplog.text


def seen(log: TickLog) -> list[str]:
    return [entry["InstrumentID"] for entry in log.instruments() if entry["count"]]


def test_a_reload_with_mistakes_changes_nothing_and_a_kill_of_all_is_no_obstacle(
    front: Front, genuine: str, name: str, write: Write, tmp_path: Path, password: Path
) -> None:
    ids = tmp_path / "more.txt"
    ids.write_text("m2705\n")
    queue = f"{name}-q"
    path = write(configuration(front, genuine, name, f"[queues.{queue}]\n"))
    with running(path) as process:
        wait_for(lambda: live(name), "live")
        ids.write_text("xx*\n")
        assert process.stderr is not None
        process.send_signal(signal.SIGHUP)
        line = next(line for line in process.stderr if "SIGHUP" in line)
        assert "ERROR" in line and "more.txt:1: pattern 'xx*' matches nothing" in line
        assert TickLog.attach(name).status()["subscribed"] == 2
        process.send_signal(signal.SIGSTOP)  # lest it starts its engine process again
        os.kill(TickLog.attach(name).info().writer_pid, signal.SIGKILL)
        process.kill()
    ids.write_text("m2705\n")
    with running(path) as process:  # as after a power cut: what is left of the dead is taken away
        wait_for(lambda: live(name), "live again")
        with TickQueue.attach(queue) as again:
            assert again.get(timeout=20).InstrumentID in IDS
        ended(process, signal.SIGTERM)
        assert process.returncode == 0


def test_ctrl_c_of_a_terminal_reaches_both_processes_and_is_an_end_in_order(
    front: Front, genuine: str, name: str, write: Write, tmp_path: Path, password: Path
) -> None:
    (tmp_path / "more.txt").write_text("m2705\n")
    with running(write(configuration(front, genuine, name)), "--set", "engine.capacity=1024") as process:
        wait_for(lambda: live(name), "live")
        log = TickLog.attach(name)
        assert log.capacity == 1024 and log.status()["subscribed"] == 2
        assert os.getpgid(log.info().writer_pid) == process.pid
        os.killpg(process.pid, signal.SIGINT)
        lines = ended(process)
    assert process.returncode == 0 and not [f for f in os.listdir("/dev/shm") if name in f]
    assert any("INFO SIGINT: ending in order" in line for line in lines)


def test_a_login_refused_for_good_is_one_clear_line_and_a_failure(
    genuine: str, name: str, write: Write, tmp_path: Path, password: Path, here: None, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "more.txt").write_text("m2705\n")
    with Front(RandomWalkMarket(IDS), password="another") as strict:
        path = write(configuration(strict, genuine, name))
        with running(path, "--log-format", "json") as process:
            lines = ended(process)
        assert process.returncode == EXIT_DECIDED and json.loads(lines[-1])["level"] == "error"
        assert cli.main(["run", path]) == EXIT_DECIDED
        said = capfd.readouterr().err
        assert said.startswith("tickengine: ") and said.count("\n") == 1
        for text in ("\n".join(lines), said):
            assert "3 INVALID_LOGIN: wrong user or password" in text and "pass-word-1" not in text
        assert not [f for f in os.listdir("/dev/shm") if name in f]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """For `run` in this process: it leaves the logging alone."""
    monkeypatch.setattr(run, "set_up", lambda *_: None)


def test_what_is_in_use_is_one_line_and_nothing_stays(
    front: Front, genuine: str, name: str, write: Write, tmp_path: Path, password: Path, here: None,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "more.txt").write_text("m2705\n")
    path = write(configuration(front, genuine, name, f"[queues.{name}-q]\n"))

    def refused(*options: str) -> str:
        assert cli.main(["run", path, *options]) == 1
        said = capfd.readouterr().err
        assert said.startswith("tickengine: ") and said.count("\n") == 1
        return said

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "cannot be listened at" in refused("--metrics", str(taken.getsockname()[1]))
    with TickQueue(name=f"{name}-q"):
        assert f"{name}-q" in refused()
    log = TickLog.create(name, 64)
    try:
        assert str(os.getpid()) in refused()
    finally:
        log.unlink()
        log.close()
    assert cli.main(["run", path, "--set", "engine.capacity=x"]) == EXIT_DECIDED
    assert "--set engine.capacity: engine.capacity: must be a whole number" in capfd.readouterr().err
