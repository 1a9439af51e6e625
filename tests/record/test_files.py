"""Files that are torn, damaged, foreign or on a full disk."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from writing import Feed

from tickengine._errors import RecordingError
from tickengine.record import Recorder, Recording, export, segment
from tickengine.record.info import describe, text
from tickengine.record.layout import HEADER_SIZE, LAYOUT_TEXT
from tickengine.record.notes import NotANote, parse_notes, sessions_of
from tickengine.tick import RECORD_SIZE, TICK_DTYPE

DAY = "20260105"


@pytest.fixture
def recorded(feed: Feed, tmp_path: Path) -> Path:
    """Ten ticks in a file."""
    for i in range(10):
        feed.tick("rb2601", Volume=i, ExchangeInstID=b"rb")
    record(feed, tmp_path)
    return tmp_path / f"{DAY}.ticks"


def record(feed: Feed, directory: Path) -> None:
    recorder = Recorder(feed.queue(), directory)
    recorder.poll()
    recorder.close()


def test_the_record_torn_at_every_byte_is_recognised_cut_and_filled(
    feed: Feed, recorded: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = recorded.read_bytes()
    expected = feed.log.read(0).tobytes()
    for cut in range(1, RECORD_SIZE):
        recorded.write_bytes(whole[:-cut])
        found = Recording.open(recorded)
        assert len(found) == 9 and found.torn == RECORD_SIZE - cut
        if cut % 37 == 1 or cut == RECORD_SIZE - 1:  # with a file system's and a log's help: some of them
            caplog.clear()
            record(feed, recorded.parent)
            assert recorded.read_bytes() == whole
            assert f"cut {RECORD_SIZE - cut} bytes" in caplog.text
            assert [n["bytes"] for n in Recording.open(recorded).notes if n["kind"] == "cut"][-1] == RECORD_SIZE - cut
    assert whole[HEADER_SIZE:] == expected


def test_zeros_that_a_power_cut_left_are_no_ticks(feed: Feed, recorded: Path) -> None:
    whole = recorded.read_bytes()
    recorded.write_bytes(whole[: -2 * RECORD_SIZE] + bytes(2000 * RECORD_SIZE + 17))
    found = Recording.open(recorded)
    assert len(found) == 8 and found.torn == 2000 * RECORD_SIZE + 17
    record(feed, recorded.parent)
    assert recorded.read_bytes() == whole


def test_a_note_torn_at_every_byte_is_left_out_and_cut(feed: Feed, recorded: Path) -> None:
    path = recorded.with_suffix(".notes")
    whole = path.read_bytes()
    notes, used = parse_notes(whole)
    assert used == len(whole) and [n["kind"] for n in notes] == ["session", "instrument"]
    last = whole.rstrip(b"\n").rindex(b"\n") + 1
    for size in range(last, len(whole)):
        path.write_bytes(whole[:size])
        found = Recording.open(recorded)
        assert len(found.notes) == 1 and found.torn_notes == size - last
    feed.tick("rb2601", Volume=10, ExchangeInstID=b"rb")
    record(feed, recorded.parent)
    found = Recording.open(recorded)
    assert found.torn_notes == 0 and found.exchange_inst_id(0) == b"rb" and len(found) == 11


def test_notes_without_their_ticks_after_a_power_cut(feed: Feed, recorded: Path) -> None:
    recorded.write_bytes(recorded.read_bytes()[: -4 * RECORD_SIZE])
    notes = recorded.with_suffix(".notes")
    notes.write_bytes(notes.read_bytes() + b'{"kind":"blocked","record":10,"time":1,"seconds":1}\n')
    record(feed, recorded.parent)
    found = Recording.open(recorded)
    assert [n["kind"] for n in found.notes].count("blocked") == 0
    assert found.ticks["Volume"].tolist() == list(range(10))


def test_a_lost_notes_file_is_no_disaster(feed: Feed, recorded: Path) -> None:
    recorded.with_suffix(".notes").unlink()
    found = Recording.open(recorded)
    assert len(found) == 10 and found.exchange_inst_id(3) == b"" and found.session_at(0) is None


@pytest.mark.parametrize("size", [0, 1, 7, 8, 100, HEADER_SIZE - 1])
def test_a_file_without_a_whole_header_is_a_clear_error(recorded: Path, size: int) -> None:
    recorded.write_bytes(recorded.read_bytes()[:size])
    with pytest.raises(RecordingError, match=r"ends in its header|is no recording"):
        Recording.open(recorded)


def test_any_damaged_byte_of_the_header_is_found(recorded: Path) -> None:
    whole = bytearray(recorded.read_bytes())
    for at in [*range(200), 2000, HEADER_SIZE - 1]:
        damaged = bytearray(whole)
        damaged[at] ^= 0x5A
        recorded.write_bytes(damaged)
        with pytest.raises(RecordingError, match=str(recorded)):
            Recording.open(recorded)


def header_with(recorded: Path, at: int, value: bytes) -> None:
    raw = bytearray(recorded.read_bytes())
    raw[at : at + len(value)] = value
    raw[HEADER_SIZE - 4 : HEADER_SIZE] = zlib.crc32(raw[: HEADER_SIZE - 4]).to_bytes(4, "little")
    recorded.write_bytes(raw)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (8, b"\2\0\0\0", "format version 2, this tickengine reads 1"),
        (16, b"\xc8\1\0\0", "another layout"),
        (20, b"\1\2\3\4", "another byte order"),
        (40, b"2026010x", "for a trading day"),
        (128, LAYOUT_TEXT.replace(b"Stamp", b"stamp"), "another layout"),
    ],
)
def test_another_version_or_layout_is_named(recorded: Path, at: int, value: bytes, words: str) -> None:
    header_with(recorded, at, value)
    with pytest.raises(RecordingError, match=words):
        Recording.open(recorded)


@pytest.mark.parametrize(
    "note",
    [
        b"{",
        b"7",
        b'{"kind":"other","record":-1,"time":1}',
        b'{"kind":"session","record":0,"time":1}',
        b'{"kind":"lost","record":0,"time":1}',
        b'{"kind":"instrument","record":0,"time":1,"index":0,"ExchangeInstID":7}',
    ],
)
def test_a_note_that_is_none_is_a_clear_error(recorded: Path, note: bytes) -> None:
    path = recorded.with_suffix(".notes")
    path.write_bytes(path.read_bytes() + note + b"\n")
    with pytest.raises(RecordingError, match="is damaged: .*taken away"):
        Recording.open(recorded)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=4,
)
KEYS = ["record", "time", "log", "unique_id", "instruments", "next", "numbers", "index", "ExchangeInstID", "ticks"]
KEYS += ["sequence", "recv_time", "words", "after"]
KINDS = ["session", "instrument", "lost", "event", "ended", "cut", "unknown", "blocked", "other"]
ANY_NOTE = st.builds(
    lambda kind, good, bad, left_out: {**good, **bad, "kind": kind} if left_out is None else {**bad, "kind": kind},
    st.sampled_from(KINDS),
    st.fixed_dictionaries({key: st.integers(0, 20) for key in ("record", "time", "next", "ticks", "sequence")}),
    st.dictionaries(st.sampled_from(KEYS), JSON, max_size=5),
    st.sampled_from([None, "record"]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(ANY_NOTE, JSON), max_size=4), st.binary(max_size=8))
def test_whatever_the_notes_say_it_is_a_recording_or_a_clear_error(notes: list[object], tail: bytes) -> None:
    good = False
    with tempfile.TemporaryDirectory() as name:
        place = segment.Directory(name)
        file = segment.Segment(place, DAY, "md", 7)
        known = {"kind": "session", "log": "md", "unique_id": 7, "instruments": None, "next": 0, "numbers": {}}
        file.note_all([known])
        rows = np.zeros(5, TICK_DTYPE)
        rows["Stamp"] = range(1, 6)
        file.append(rows)
        file.close()
        place.close()
        with open(f"{name}/{DAY}.notes", "ab") as raw:
            raw.write(b"".join(json.dumps(note).encode() + b"\n" for note in notes) + tail)
        with contextlib.suppress(NotANote):
            sessions_of(parse_notes(Path(f"{name}/{DAY}.notes").read_bytes())[0])
            good = True
        if not good:
            with pytest.raises(RecordingError, match=rf"{DAY}\.notes.* is damaged: .*taken away"):
                Recording.open(f"{name}/{DAY}.ticks")
            os.unlink(f"{name}/{DAY}.notes")
        found = Recording.open(f"{name}/{DAY}.ticks")
        assert len(found) == 5 and len(found.exchange_inst_ids(0, 5)) == 5
        assert "\x1b" not in text(describe(found))
        assert export(found, "csv", f"{name}/out")


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="there is no recording at"):
        Recording.open(tmp_path / "20260105.ticks")
    for name in ("20260106.ticks", "20260107.notes"):
        (tmp_path / name).mkdir()
        with pytest.raises(RecordingError, match=rf"{name}.* cannot be read: Is a directory"):
            Recording.open(tmp_path / f"{name[:8]}.ticks")


def test_a_recorder_refuses_a_foreign_file_under_its_name(feed: Feed, tmp_path: Path) -> None:
    (tmp_path / f"{DAY}.ticks").write_bytes(b"something else" * 1000)
    feed.tick("rb2601")
    recorder = Recorder(feed.queue(), tmp_path)
    with pytest.raises(RecordingError, match="is no recording"):
        recorder.run()
    assert (tmp_path / f"{DAY}.ticks").read_bytes() == b"something else" * 1000


def test_a_file_under_another_days_name_is_refused(feed: Feed, recorded: Path) -> None:
    os.rename(recorded, recorded.with_name("20260106.ticks"))
    feed.tick("rb2601", TradingDay=b"20260106")
    with pytest.raises(RecordingError, match="is the recording of 20260105"):
        record(feed, recorded.parent)


# ---- a full disk -----------------------------------------------------------------------------------


@pytest.fixture
def limit() -> Iterator[object]:
    """Files may not grow beyond a size: the kernel's own refusal, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size or before[0], before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("room", [0, 1, RECORD_SIZE - 1, RECORD_SIZE, 7 * RECORD_SIZE + 100])
def test_a_full_disk_leaves_whole_records_and_is_waited_for(
    feed: Feed,
    tmp_path: Path,
    limit: object,
    monkeypatch: pytest.MonkeyPatch,
    room: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(segment, "_FULL", (errno.ENOSPC, errno.EFBIG))
    path = tmp_path / f"{DAY}.ticks"
    recorder = Recorder(feed.queue(), tmp_path)
    feed.tick("rb2601", Volume=0)
    recorder.poll()
    limit(HEADER_SIZE + RECORD_SIZE + room)  # type: ignore[operator]
    for i in range(1, 30):
        feed.tick("rb2601", Volume=i)
    for _ in range(3):
        recorder.poll()
        assert recorder.blocked
        assert path.stat().st_size == HEADER_SIZE + (1 + room // RECORD_SIZE) * RECORD_SIZE
    for i in range(30, 40):
        feed.tick("rb2601", Volume=i)
    limit(0)  # type: ignore[operator]
    recorder.poll()
    recorder.poll()
    assert not recorder.blocked
    recorder.close()
    found = Recording.open(path)
    assert found.ticks["Volume"].tolist() == list(range(40)) and found.lost == 0
    assert [n["kind"] for n in found.notes].count("blocked") == 1
    assert caplog.text.count("the disk is full") == 1 and "there is room again" in caplog.text


def test_a_disk_that_is_full_from_the_start_and_at_the_end(
    feed: Feed, tmp_path: Path, limit: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "_FULL", (errno.ENOSPC, errno.EFBIG))
    feed.tick("rb2601")
    recorder = Recorder(feed.queue(), tmp_path)
    limit(100)  # type: ignore[operator]
    recorder.poll()
    assert recorder.blocked and not (tmp_path / f"{DAY}.ticks").exists()
    recorder.stop()
    with pytest.raises(RecordingError, match="the disk is full.*ended at sequence 0"):
        recorder.run()
    limit(0)  # type: ignore[operator]
    record(feed, tmp_path)
    assert len(Recording.open(tmp_path / f"{DAY}.ticks")) == 1


def test_another_failure_of_the_disk_ends_it(feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(feed.queue(), tmp_path)
    feed.tick("rb2601")
    recorder.poll()

    def broken(fd: int, data: bytes) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    feed.tick("rb2601")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", broken)
        with pytest.raises(RecordingError, match="cannot be written: Input/output error"):
            recorder.poll()
    recorder.close()
    assert len(Recording.open(tmp_path / f"{DAY}.ticks")) == 1


# ---- without the package -----------------------------------------------------------------------------


def modes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o7777 for path in (directory, *directory.iterdir())}


@pytest.mark.parametrize("umask", [0, 0o022], ids=oct)
def test_what_a_recorder_makes_is_this_users_alone_and_what_is_shared_stays_shared(
    feed: Feed, tmp_path: Path, umask: int
) -> None:
    directory = tmp_path / "above" / "recordings"
    files = (f"{DAY}.ticks", f"{DAY}.notes", "recorder.lock")
    feed.tick("rb2601")
    before = os.umask(umask)
    try:
        record(feed, directory)
        assert modes(directory) == {"recordings": 0o700, **dict.fromkeys(files, 0o600)}
        directory.chmod(0o750)
        for name in files:
            (directory / name).chmod(0o640)
        feed.tick("rb2601")
        record(feed, directory)
        assert len(Recording.open(directory / files[0])) == 2
        assert modes(directory) == {"recordings": 0o750, **dict.fromkeys(files, 0o640)}
        (directory / files[0]).unlink()
        left = directory / f"{files[0]}.new"  # of a recorder that was killed while it made the file
        left.touch()
        left.chmod(0o644)
        record(feed, directory)
        assert len(Recording.open(directory / files[0])) == 2
        assert modes(directory)[files[0]] == modes(directory)[files[1]] == 0o600
    finally:
        os.umask(before)


def test_the_documents_reader_needs_no_tickengine(recorded: Path, feed: Feed, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "recording.md").read_text()
    program = text.split("```python\n# a reader in ten lines\n")[1].split("```")[0]
    assert len(program.strip().splitlines()) <= 10
    program += "\nimport sys\nassert 'tickengine' not in sys.modules\nsys.stdout.buffer.write(ticks.tobytes())\n"
    program = program.replace("recordings/20260105.ticks", str(recorded))
    with open(recorded, "ab") as file:
        file.write(b"torn")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=tmp_path, env=environment, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == feed.log.read(0).tobytes()
    assert np.frombuffer(done.stdout, TICK_DTYPE)["Volume"].tolist() == list(range(10))
