"""Recorders in processes of their own: killed at random, stopped, left behind by their parent; and the commands."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from children import ended_well, in_child
from feed_support import engine_on, wait_for
from writing import Feed

from tickengine import EngineError, TickLog, TickQueue, _segments
from tickengine.cli import main
from tickengine.front import FrontProcess, MarketSpec
from tickengine.record import Recorder, RecorderProcess, Recording

DAY = "20260105"


@contextmanager
def writing(feed: Feed, tick: Callable[[int], None], limit: Callable[[], int]) -> Iterator[None]:
    """A thread that writes ticks at some ten thousand a second, up to so many, until the end of the block."""
    stop = threading.Event()

    def write() -> None:
        i = 0
        while not stop.is_set():
            for _ in range(50 if i < limit() else 0):
                tick(i)
                i += 1
            stop.wait(0.005)

    thread = threading.Thread(target=write, name="a market")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_killed_at_random_moments_the_file_is_the_log(tmp_path: Path) -> None:
    """Ten kills. The ring holds all of it, so nothing may be missing, doubled or changed."""
    feed = Feed(1 << 17)
    share = (1 << 17) // 12  # of the ring for each life, however long it takes
    seed = random.randrange(1 << 30)
    choose = random.Random(seed)
    queue = feed.queue()
    kills = 0

    def tick(i: int) -> None:
        day = b"20260105" if kills < 5 else b"20260106"
        feed.tick(("rb2601", "IF2512")[i % 2], TradingDay=day, ActionDay=day, Volume=i, ExchangeInstID=b"%d" % (i % 2))

    try:
        with writing(feed, tick, lambda: (kills + 1) * share):
            while kills < 10:
                target = queue if kills % 3 else feed.queue()  # the queue of the one before, or another

                def record(target: TickQueue = target) -> None:
                    Recorder(target, tmp_path, interval=0.001).run()

                pid = in_child(record)
                marks = size_of(tmp_path)
                wait_for(lambda marks=marks: size_of(tmp_path) > marks, f"something written (seed {seed})")
                threading.Event().wait(choose.random() * 0.05)  # the moment of the kill, not a wait
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                kills += 1
        tick(0)  # of the second day, whatever the thread came to
        feed.log.end()
        Recorder(feed.queue(), tmp_path).run()
        expected = feed.log.read(0)
        got = [Recording.open(path) for path in sorted(tmp_path.glob("*.ticks"))]
        assert len(expected) == feed.log.head and len(got) == 2, f"seed {seed}"
        assert b"".join(r.ticks.tobytes() for r in got) == expected.tobytes(), f"seed {seed}"
        for recording in got:
            assert recording.lost == 0 and recording.torn == 0 and len(recording.sessions) == 1, f"seed {seed}"
            names = recording.exchange_inst_ids(0, len(recording))
            assert (names == np.array([b"0", b"1"])[recording.ticks["Volume"] % 2]).all(), f"seed {seed}"
    finally:
        feed.close()


def size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("*.ticks"))


def test_a_recorder_process_records_is_stopped_and_started_again(feed: Feed, tmp_path: Path) -> None:
    recorder = RecorderProcess(feed.queue(), tmp_path, interval=0.005)
    assert recorder.pid is None and not recorder.is_alive() and recorder.failure is None and recorder.stop()
    recorder.start()
    for i in range(100):
        feed.tick("rb2601", Volume=i)
    told = {"recorded": 100, "lost": 0, "events": 0, "position": 100, "trading_day": DAY, "blocked": False}
    wait_for(lambda: recorder.counters == told, "100 ticks recorded")  # its numbers come one after the other
    assert recorder.stop(20) and not recorder.is_alive() and recorder.failure is None
    for i in range(100, 150):
        feed.tick("rb2601", Volume=i)
    recorder.start()
    feed.log.end()
    assert recorder.join(20)
    assert Recording.open(tmp_path / f"{DAY}.ticks").ticks["Volume"].tolist() == list(range(150))


def test_a_signals_handler_may_stop_a_recorder_wherever_it_is(feed: Feed, tmp_path: Path) -> None:
    """A trace function comes between two lines, as a signal's handler does."""

    def stopped_at_each_line() -> None:
        for line in range(1, 150):
            recorder = Recorder(queue, tmp_path, interval=0.001)
            recorder.poll = lambda: 0  # type: ignore[method-assign]
            left = line

            def trace(*_: object, recorder: Recorder = recorder) -> object:
                nonlocal left
                left -= 1
                if not left:
                    recorder.stop()
                return trace

            sys.settrace(trace)  # type: ignore[arg-type]
            recorder.run()
            sys.settrace(None)

    queue = feed.queue()
    assert ended_well(in_child(stopped_at_each_line))


def test_stopped_at_once_it_has_recorded_what_was_there(feed: Feed, tmp_path: Path) -> None:
    feed.tick("rb2601")
    recorder = RecorderProcess(feed.queue(), tmp_path)
    recorder.start()
    assert recorder.stop(20)  # at whatever point of its start it is
    assert len(Recording.open(tmp_path / f"{DAY}.ticks")) == 1


def test_why_a_recorder_process_failed_can_be_read(feed: Feed, tmp_path: Path) -> None:
    held = Recorder(feed.queue(), tmp_path)
    recorder = RecorderProcess(feed.queue(), tmp_path)
    recorder.start()
    with pytest.raises(EngineError, match="in use by the recorder in process"):
        recorder.join(20)
    assert f"process {os.getpid()}" in str(recorder.failure)
    held.close()
    recorder.start()
    wait_for(lambda: (tmp_path / "recorder.lock").read_text() == f"{recorder.pid}\n", "it has the directory")
    os.kill(recorder.pid or 0, signal.SIGKILL)
    wait_for(lambda: not recorder.is_alive(), "its end")
    assert recorder.failure == "killed by signal 9"
    assert not recorder.stop()


def test_it_ends_in_order_when_its_parent_is_killed(feed: Feed, tmp_path: Path) -> None:
    queue = feed.queue()

    def parent() -> None:
        recorder = RecorderProcess(queue, tmp_path, interval=0.005)
        recorder.start()
        wait_for(lambda: recorder.counters["recorded"], "a tick recorded")
        os.kill(os.getpid(), signal.SIGKILL)

    feed.tick("rb2601")
    pid = in_child(parent)
    assert not ended_well(pid)
    wait_for(lambda: lock_is_free(tmp_path), "the orphan's end")
    assert len(Recording.open(tmp_path / f"{DAY}.ticks")) == 1


def lock_is_free(directory: Path) -> bool:
    from tickengine._errors import RecordingError
    from tickengine.record.segment import Directory

    try:
        Directory(directory).close()
    except RecordingError:
        return False
    return True


# ---- the commands ------------------------------------------------------------------------------------


def command(*args: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "tickengine", *args]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_record_a_running_engine_from_outside_and_export_it(
    genuine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = ["rb2601", "IF2512"]
    with FrontProcess(MarketSpec(ids), rate=1000) as front, TickQueue() as queue:
        # Room for two minutes: however late a command gets to it, nothing is overwritten.
        with engine_on(front.address, genuine, ids, [queue], name="recorded-md", capacity=1 << 17) as engine:
            arguments = "record", "recorded-md", "--dir", str(tmp_path), "--interval", "5", "--csv"
            process = command(*arguments)
            try:
                wait_for(lambda: size_of(tmp_path) > 500 * 448, "ticks in the file")
                process.kill()
                process.communicate()
                before = size_of(tmp_path)
                process = command(*arguments)
                wait_for(lambda: size_of(tmp_path) > before + 500 * 448, "more of them")
                assert "in use by the recorder" in refused(
                    main, ["record", "recorded-md", "--dir", str(tmp_path)], capsys
                )
                log = TickLog.attach("recorded-md")
                engine.stop()
                out, err = process.communicate(timeout=30)
            finally:
                process.kill()
            assert process.returncode == 0, err
            expected = log.read(0)
            log.close()
    _segments._swept = False
    _segments.sweep_once()  # the queue of the one that was killed, as the next process of any kind does
    [path] = tmp_path.glob("*.ticks")
    found = Recording.open(path)
    assert found.ticks.tobytes() == expected.tobytes() and len(found) > 500
    assert len(found.sessions) == 1 and len(found) > 1000 and found.lost == 0
    assert f"recorded {len(found) - (before - 4096) // 448:,} ticks\n" in out and "LOST" not in out
    assert {e["name"] for e in found.events} >= {"engine_started", "front_connected", "logged_in", "subscribed"}
    assert sorted(p.name for p in (tmp_path / "csv").iterdir()) == [f"{i}-{found.trading_day}.csv" for i in sorted(ids)]
    assert main(["recording", str(path)]) == 0
    assert f"ticks         {len(found):,} of 2 instruments" in capsys.readouterr().out
    assert main(["export", str(tmp_path), "--to", "arrow", "--out", str(tmp_path / "x")]) == 0
    assert f"{found.trading_day}: {len(found):,} ticks in 1 files" in capsys.readouterr().out


def refused(run: Callable[[list[str]], int], args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run(args) == 1
    error = capsys.readouterr().err
    assert error.startswith("tickengine: ") and error.count("\n") == 1
    return error


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_in_order_and_it_tells_what_was_lost(tmp_path: Path, number: int) -> None:
    feed = Feed(64)
    try:
        for _ in range(200):
            feed.tick("rb2601")
        process = command("record", feed.log.name, "--dir", str(tmp_path), "--instruments", "rb2601,IF2512")
        try:
            wait_for(lambda: list(tmp_path.glob("*.ticks")), "a file")
            wait_for(lambda: len(Recording.open(tmp_path / f"{DAY}.ticks")) == 63, "what the ring holds")
            process.send_signal(signal.SIGSTOP)
            for _ in range(300):
                feed.tick("rb2601")
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
        found = Recording.open(tmp_path / f"{DAY}.ticks")
        assert process.returncode == 0, err
        assert len(found) + found.lost == 500 - 137 and found.lost > 200
        assert f"{found.lost:,} ticks LOST" in out and f"{found.lost} ticks were overwritten" in err
    finally:
        feed.close()


def test_record_waits_for_an_engine_and_for_the_next(tmp_path: Path) -> None:
    name = _segments.random_name("late")
    process = command("record", name, "--dir", str(tmp_path), "--wait", "--interval", "5")
    try:
        assert process.stderr is not None and "waiting for an engine called" in process.stderr.readline()
        for round_ in range(2):
            feed = Feed(name=name)
            try:
                feed.tick("rb2601", Volume=round_)
                feed.log.end()
                wait_for(lambda round_=round_: sessions_ended(tmp_path) == round_ + 1, f"session {round_} recorded")
            finally:
                feed.close()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert Recording.open(tmp_path / f"{DAY}.ticks").ticks["Volume"].tolist() == [0, 1]


def sessions_ended(directory: Path) -> int:
    paths = list(directory.glob("*.ticks"))
    return sum(session.ended for session in Recording.open(paths[0]).sessions) if paths else 0


def test_bad_arguments_are_one_line(tmp_path: Path, feed: Feed, capsys: pytest.CaptureFixture[str]) -> None:
    feed.tick("rb2601")
    for part in ("a", "b"):
        recorder = Recorder(feed.queue(), tmp_path / part)
        recorder.poll()
        recorder.close()
    one, two = (str(tmp_path / part / f"{DAY}.ticks") for part in ("a", "b"))
    (tmp_path / "empty").mkdir()
    assert "no tick log named" in refused(main, ["record", "nobody", "--dir", str(tmp_path / "n")], capsys)
    assert "interval is seconds" in refused(
        main, ["record", feed.log.name, "--dir", str(tmp_path / "n"), "--interval", "0"], capsys
    )
    assert "there is no recording" in refused(main, ["recording", str(tmp_path / "none.ticks")], capsys)
    out = ["--to", "csv", "--out", str(tmp_path / "o")]
    assert "both of 20260105" in refused(main, ["export", one, two, *out], capsys)
    assert "holds no recording" in refused(main, ["export", str(tmp_path / "empty"), *out], capsys)
    assert not (tmp_path / "o").exists()


def test_recording_tells_what_is_missing_with_and_without_a_note(
    feed: Feed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(20):
        feed.tick("rb2601", Volume=i)
    recorder = Recorder(feed.queue(), tmp_path)
    recorder.poll()
    recorder.close()
    path = tmp_path / f"{DAY}.ticks"
    raw = path.read_bytes()
    path.write_bytes(raw[: 4096 + 5 * 448] + raw[4096 + 8 * 448 :] + b"torn")
    assert main(["recording", str(path), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert (info["ticks"], info["lost"], info["unnoted"], info["out_of_order"], info["torn_bytes"]) == (17, 0, 3, 0, 4)
    assert info["names"] == ["rb2601"] and info["sessions"][0]["log"] == feed.log.name
    assert main(["recording", str(path)]) == 0
    text = capsys.readouterr().out
    assert "missing       0 noted, 3 without a note" in text and "torn          4 bytes" in text


def test_recordings_of_a_directory_are_told_in_their_order(
    feed: Feed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "holds no recording" in refused(main, ["recording", str(tmp_path)], capsys)
    recorder = Recorder(feed.queue(), tmp_path)
    days = ["20260105", "20260106"]
    for day in days:
        feed.tick("rb2601", TradingDay=day.encode(), ActionDay=day.encode())
        recorder.poll()
        assert main(["recording", str(tmp_path), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert [info["trading_day"] for info in told] == days[: len(told)] and told[-1]["trading_day"] == day
    recorder.close()
    assert main(["recording", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.index("20260105") < said.index("20260106")
