"""What a recorder writes is what the log had, in order, once, and what is missing it says."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from writing import Feed

from tickengine import Closed, ConfigError, TickFlag, TickQueue
from tickengine._errors import RecordingError
from tickengine.record import Recorder, Recording, recording, segment

DAY = "20260105"
# 2026-01-05 09:30:00 in China
MORNING = 1767576600 * 10**9


def full(*_: object) -> None:
    raise segment.NoRoom("no room")


def opened(directory: Path, day: str = DAY) -> Recording:
    return Recording.open(directory / f"{day}.ticks")


def test_all_ticks_of_the_log_bit_for_bit(feed: Feed, tmp_path: Path) -> None:
    recorder = Recorder(feed.queue(), tmp_path)
    for i in range(3000):
        feed.tick(("rb2601", "IF2512")[i % 2], LastPrice=float(i), ExchangeInstID=b"x\xff%d" % (i % 2))
        if i % 700 == 0:
            recorder.poll()
    assert recorder.poll() and recorder.poll() == 0
    recorder.close()
    found = opened(tmp_path)
    assert found.trading_day == DAY and found.torn == 0 and found.lost == 0
    assert found.ticks.tobytes() == feed.log.read(0).tobytes()
    assert not found.ticks.flags.writeable
    assert found.exchange_inst_id(0) == b"x\xff0" and found.exchange_inst_id(2999) == b"x\xff1"
    assert found.exchange_inst_ids(1, 3).tolist() == [b"x\xff1", b"x\xff0"]
    assert [s.log for s in found.sessions] == [feed.log.name]


def test_a_tick_that_comes_while_a_file_is_opened_has_its_notes(
    feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(feed.queue(), tmp_path)
    ids = iter(("m2605", "IF2512"))
    whole = recording._whole

    def record(id: str) -> None:
        feed.tick(id, ExchangeInstID=id[:2].encode())
        recorder.poll()

    def slow(path: str) -> bytes:
        raw = whole(path)
        for id in ids:
            record(id)
            break
        return raw

    record("rb2601")
    monkeypatch.setattr(recording, "_whole", slow)
    found = opened(tmp_path)
    recorder.close()
    assert found.exchange_inst_ids(0, 3).tolist() == [b"rb", b"m2", b"IF"]


def test_goes_on_where_the_file_ends_with_the_same_queue_and_with_another(feed: Feed, tmp_path: Path) -> None:
    queue = feed.queue()
    for round_ in range(4):
        for i in range(100):
            feed.tick("rb2601", Volume=round_ * 100 + i)
        if round_ == 2:  # taken by somebody who died before he wrote it
            queue.get_many()
        recorder = Recorder(queue if round_ % 2 == 0 else feed.queue(start="now"), tmp_path)
        recorder.poll()
        recorder.close()
    found = opened(tmp_path)
    assert found.ticks["Volume"].tolist() == list(range(400))
    assert len(found.sessions) == 1 and found.lost == 0


def test_a_fresh_recorder_takes_what_a_dead_one_had_in_hand(feed: Feed, tmp_path: Path) -> None:
    queue = feed.queue()
    for i in range(50):
        feed.tick("rb2601", Volume=i)
    queue.get_many(20)
    recorder = Recorder(queue, tmp_path)
    recorder.poll()
    recorder.close()
    assert opened(tmp_path).ticks["Volume"].tolist() == list(range(50))


def test_a_fresh_recorder_at_the_end_of_a_log_that_another_reader_took(feed: Feed, tmp_path: Path) -> None:
    queue = feed.queue()
    for i in range(50):
        feed.tick("rb2601", Volume=i)
    queue.get_many()
    feed.log.end()
    Recorder(queue, tmp_path).run()
    found = opened(tmp_path)
    assert found.ticks["Volume"].tolist() == list(range(50))
    assert found.sessions[-1].ended


@pytest.mark.parametrize("instruments", [None, ["rb2601"], ["rb2601", "m2605"]])
@pytest.mark.parametrize("when", ["running", "down", "before"])
def test_what_was_overwritten_is_counted_exactly(
    small: Feed, tmp_path: Path, instruments: list[str] | None, when: str, caplog: pytest.LogCaptureFixture
) -> None:
    ids = ["rb2601", "m2605", "IF2512"]
    wanted = ids if instruments is None else instruments
    queue = small.queue(instruments, start="oldest")
    written = 0

    def write(count: int) -> None:
        nonlocal written
        for _ in range(count):
            small.tick(ids[written % 3], Volume=written)
            written += 1

    recorder = Recorder(queue, tmp_path)
    if when != "before":
        write(30)
        recorder.poll()
    if when == "down":
        recorder.close()
        recorder = Recorder(queue, tmp_path)
    write(500)
    recorder.poll()
    write(20)
    recorder.poll()
    small.log.end()
    with pytest.raises(Closed):
        recorder.poll()
    recorder.close()
    found = opened(tmp_path)
    volumes = found.ticks["Volume"]
    assert (np.diff(volumes) > 0).all()
    expected = sum(1 for i in range(written) if ids[i % 3] in wanted)
    assert len(volumes) + found.lost == expected
    assert recorder.lost == found.lost > 0
    assert f"{found.lost} ticks were overwritten" in caplog.text or len(found.notes) > 3
    [note, *_] = [n for n in found.notes if n["kind"] == "lost"]
    if instruments is None:  # at its place
        position = note["record"]
        assert found.ticks["Stamp"][position] - 1 == note["next"]
        if position:
            assert found.ticks["Stamp"][position - 1] - 1 == note["after"]


def test_ticks_lost_at_the_very_end_are_counted_too(small: Feed, tmp_path: Path) -> None:
    queue = small.queue(["rb2601"])
    recorder = Recorder(queue, tmp_path)
    small.tick("rb2601")
    recorder.poll()
    for _ in range(5):
        small.tick("rb2601")
    for _ in range(200):
        small.tick("IF2512")
    small.log.end()
    recorder.run()
    assert opened(tmp_path).lost == 5


def test_a_log_that_ends_ends_the_run_and_is_noted(feed: Feed, tmp_path: Path) -> None:
    feed.tick("rb2601")
    feed.log.end()
    recorder = Recorder(feed.queue(), tmp_path)
    recorder.run()
    assert opened(tmp_path).sessions[0].ended
    recorder.close()


def test_stop_records_what_is_there(feed: Feed, tmp_path: Path) -> None:
    feed.tick("rb2601")
    recorder = Recorder(feed.queue(), tmp_path)
    recorder.stop()
    recorder.run()
    assert len(opened(tmp_path)) == 1 and not opened(tmp_path).sessions[0].ended


def test_a_second_log_of_the_day_is_a_second_session(tmp_path: Path) -> None:
    for volume in range(2):
        feed = Feed()
        try:
            for i in range(10):
                feed.tick(
                    "rb2601" if i % 2 else "m2605", Volume=volume * 10 + i, ExchangeInstID=b"%d" % (volume * 10 + i % 2)
                )
            recorder = Recorder(feed.queue(), tmp_path)
            recorder.poll()
            recorder.close()
        finally:
            feed.close()
    found = opened(tmp_path)
    assert found.ticks["Volume"].tolist() == list(range(20))
    assert [s.record for s in found.sessions] == [0, 10]
    assert found.exchange_inst_id(9) == b"1" and found.exchange_inst_id(10) == b"10"
    assert [n["kind"] for n in found.notes].count("unknown") == 1


def test_a_queue_that_another_engine_takes(tmp_path: Path) -> None:
    first, second = Feed(), Feed()
    try:
        queue = first.queue(start="oldest")
        recorder = Recorder(queue, tmp_path)
        first.tick("rb2601", Volume=1)
        recorder.poll()
        first.tick("rb2601", Volume=2)
        first.log.end()
        queue.bind(second.log)
        second.tick("rb2601", Volume=3)
        recorder.poll()
        recorder.poll()
        recorder.close()
        found = opened(tmp_path)
        assert found.ticks["Volume"].tolist() == [1, 2, 3]
        assert [s.unique_id for s in found.sessions] == [f.log.info().unique_id for f in (first, second)]
        assert found.sessions[0].ended
    finally:
        first.close()
        second.close()


def test_events_are_noted_in_their_place_once(feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = feed.queue(start="oldest", events=True)
    feed.event("front_connected")
    feed.tick("rb2601")
    feed.event("front_disconnected", 4097)
    with monkeypatch.context() as patch:  # a full disk when the event is in hand and the file not yet made
        patch.setattr(segment, "_make", full)
        recorder = Recorder(queue, tmp_path)
        for _ in range(3):
            recorder.poll()
        assert recorder.blocked and not recorder.recorded
    recorder.poll()
    recorder.close()
    recorder = Recorder(queue, tmp_path)
    recorder.poll()
    recorder.close()
    feed.tick("rb2601")
    recorder = Recorder(feed.queue(start="oldest", events=True), tmp_path)
    recorder.poll()
    recorder.close()
    found = opened(tmp_path)
    assert [(e["record"], e["name"], e["reason"]) for e in found.events] == [
        (0, "front_connected", 0),
        (1, "front_disconnected", 4097),
    ]
    assert len(found) == 2 and found.lost == 0


def test_a_new_trading_day_is_a_new_file_and_a_restart_goes_on_in_it(feed: Feed, tmp_path: Path) -> None:
    queue = feed.queue()
    for day in (b"20260105", b"20260106"):
        for i in range(30):
            feed.tick("rb2601", MORNING, TradingDay=day, ActionDay=day, Volume=i, ExchangeInstID=day)
            if i % 10 == 0:
                recorder = Recorder(queue, tmp_path)
                recorder.poll()
                recorder.close()
    recorder = Recorder(queue, tmp_path)
    recorder.poll()
    recorder.close()
    for day in ("20260105", "20260106"):
        found = opened(tmp_path, day)
        assert found.ticks["Volume"].tolist() == list(range(30))
        assert len(found.sessions) == 1 and found.lost == 0
        assert found.exchange_inst_id(29) == day.encode()


def test_two_recorders_in_one_directory_are_refused(feed: Feed, tmp_path: Path) -> None:
    recorder = Recorder(feed.queue(), tmp_path)
    with pytest.raises(RecordingError, match=f"in use by the recorder in process {os.getpid()}"):
        Recorder(feed.queue(), tmp_path)
    recorder.close()
    Recorder(feed.queue(), tmp_path).close()


def test_a_queue_that_skips_is_refused(tmp_path: Path) -> None:
    with TickQueue(skip=TickFlag.SNAPSHOT) as queue, pytest.raises(ConfigError, match="without skip="):
        Recorder(queue, tmp_path)


def test_a_directory_that_cannot_be_made_is_one_clear_error(feed: Feed, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be kept in"):
        Recorder(feed.queue(), tmp_path / "file" / "x")


def test_a_queue_that_is_closed_is_no_end_of_the_log(feed: Feed, tmp_path: Path) -> None:
    queue = feed.queue()
    recorder = Recorder(queue, tmp_path)
    for i in range(10):
        feed.tick("rb2601", Volume=i)
    recorder.poll()
    feed.tick("rb2601", Volume=10)
    queue.close()
    recorder.run()
    found = opened(tmp_path)
    assert len(found) == 10 and found.lost == 0 and not found.sessions[0].ended


def test_a_restart_by_another_queue_tells_the_gap_exactly(small: Feed, tmp_path: Path) -> None:
    for part in (20, 200):
        for _ in range(part):
            small.tick("rb2601")
        recorder = Recorder(small.queue(start="oldest"), tmp_path)
        recorder.poll()
        recorder.close()
    found = opened(tmp_path)
    [note] = [n for n in found.notes if n["kind"] == "lost"]
    assert (note["record"], note["after"], note["next"], note["ticks"]) == (20, 19, 220 - 63, 220 - 63 - 20)
    assert len(found) == 20 + 63


def test_a_full_disk_while_it_catches_up(feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever step it fails at, nothing is doubled and nothing left out."""
    queue = feed.queue()
    for i in range(3000):
        feed.tick("rb2601", Volume=i)
    queue.get_many(2000)  # and died with them in hand
    recorder = Recorder(queue, tmp_path)
    real, calls = os.write, 0

    def sometimes(fd: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data[: max(1, len(data) // 2)])

    monkeypatch.setattr(os, "write", sometimes)
    for _ in range(200):
        recorder.poll()
    monkeypatch.undo()
    recorder.poll()
    recorder.close()
    assert calls > 10
    found = opened(tmp_path)
    assert found.ticks["Volume"].tolist() == list(range(3000)) and found.lost == 0


@pytest.mark.parametrize("instruments", [None, ["rb2601"]])
def test_killed_between_a_loss_noted_and_the_tick_behind_it(
    small: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instruments: list[str] | None
) -> None:
    queue = small.queue(instruments, start="oldest")
    recorder = Recorder(queue, tmp_path)
    small.tick("rb2601")
    recorder.poll()
    for _ in range(200):
        small.tick("rb2601")
    with monkeypatch.context() as patch:
        patch.setattr(segment.Segment, "append", full)
        recorder.poll()
    assert recorder.blocked and opened(tmp_path).lost > 100 and len(opened(tmp_path)) == 1
    recorder.close()
    again = Recorder(queue, tmp_path)
    again.poll()
    again.close()
    found = opened(tmp_path)
    assert len(found) + found.lost == 201 and (np.diff(found.ticks["Stamp"].astype(np.int64)) > 0).all()
    assert [n["kind"] for n in found.notes].count("lost") == 1


class Looks:
    """In the place of what tells `run` to stop: how long it would wait between looks, and an end after three."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def is_set(self) -> bool:
        return len(self.waits) >= 3

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.mark.parametrize(
    ("capacity", "interval", "most"), [(64, 60, 0.001), (4096, 60, 0.004096), (4096, 0.002, 0.002)]
)
def test_between_two_looks_a_million_ticks_a_second_do_not_come_round(
    tmp_path: Path, capacity: int, interval: float, most: float
) -> None:
    feed = Feed(capacity)
    try:
        recorder = Recorder(feed.queue(), tmp_path, interval=interval)
        recorder._stopping = looks = Looks()  # type: ignore[assignment]
        recorder.run()
        assert len(looks.waits) == 3 and 0 < max(looks.waits) <= most
    finally:
        feed.close()


def test_files_are_synced_when_a_day_or_a_run_ends(feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: dict[str, int] = {}

    def sync(fd: int) -> None:
        synced[os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))] = os.fstat(fd).st_size

    monkeypatch.setattr(segment.os, "fdatasync", sync)
    recorder = Recorder(feed.queue(), tmp_path)
    sizes: dict[str, int] = {}
    for day in ("20260105", "20260106"):
        feed.tick("rb2601", TradingDay=day.encode(), ActionDay=day.encode())
        recorder.poll()
        assert synced == sizes  # of the day before
        sizes |= {name: (tmp_path / name).stat().st_size for name in (f"{day}.ticks", f"{day}.notes")}
    recorder.close()
    assert synced == sizes
