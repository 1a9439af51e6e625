"""Records that went to a file and on to Parquet, Arrow or CSV come back as they were, bit for bit."""

from __future__ import annotations

import csv
import math
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as dataset
import pyarrow.parquet as parquet
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from writing import Feed

from tickengine import ConfigError
from tickengine._errors import MissingPackage, RecordingError
from tickengine.front.fields import DBL_MAX
from tickengine.record import Recorder, Recording, columns, export, to_records
from tickengine.record.segment import Directory, Segment
from tickengine.replay.csvfile import CsvTicks
from tickengine.tick import TICK_DTYPE, VENDOR_FIELDS

DAY = "20260105"

DOUBLES = st.one_of(
    st.floats(),
    st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, -1234.5, 0.1 + 0.2]),
    # NaNs of other bits
    st.integers(0, 2**51 - 1).map(lambda n: np.array(0x7FF8 << 48 | n, "<u8").view("<f8").item()),
)
TEXTS = st.one_of(
    st.sampled_from(
        [b"rb2601", b"IF2512", b"SP a2601&a2605", b"", "螺纹钢".encode("gbk"), b"\xff\xfe", b'a,"b"\r\n', b"../x"]
    ),
    st.binary(max_size=30).map(lambda raw: raw.replace(b"\0", b"?")),
)
NUMBERS = {
    "i4": st.integers(-(2**31), 2**31 - 1),
    "i8": st.integers(-(2**63), 2**63 - 1),
    "u8": st.integers(0, 2**64 - 1),
}
NUMBERS |= {"u4": st.integers(0, 2**32 - 1), "u2": st.integers(0, 2**16 - 1)}


def value_of(name: str) -> st.SearchStrategy[object]:
    kind = TICK_DTYPE[name]
    if kind.kind == "S":
        return TEXTS.map(lambda raw: raw[: kind.itemsize])
    return DOUBLES if kind.kind == "f" else NUMBERS[kind.str[1:]]


FREE = [
    name for name in TICK_DTYPE.names or () if name not in ("Stamp", "Kind", "Reserved0", "Reserved1", "Instrument")
]
TICKS = st.lists(st.fixed_dictionaries({name: value_of(name) for name in FREE}), min_size=1, max_size=6)


def recording_of(directory: str, ticks: list[dict[str, object]], names: list[bytes]) -> Recording:
    rows = np.zeros(len(ticks), TICK_DTYPE)
    for i, tick in enumerate(ticks):
        for name, value in tick.items():
            rows[name][i] = value
    rows["Stamp"] = np.arange(len(ticks)) + 1
    rows["Instrument"] = np.arange(len(ticks)) % len(names)
    place = Directory(directory)
    segment = Segment(place, DAY, "md", 2**64 - 1)
    session = {"log": "md", "unique_id": 2**64 - 1, "epoch": 1, "pid": 1, "instruments": None, "next": 0, "numbers": {}}
    segment.note("session", **session)
    for index, name in enumerate(names):
        segment.note("instrument", index=index, ExchangeInstID=name.decode("latin-1"))
    assert segment.append(rows) == len(rows)
    segment.close()
    place.close()
    return Recording.open(f"{directory}/{DAY}.ticks")


def same(got: tuple[np.ndarray, np.ndarray], recording: Recording) -> None:
    rows, names = got
    order = np.argsort(rows["Stamp"], kind="stable")
    assert rows[order].tobytes() == recording.ticks.tobytes()
    assert names[order].tolist() == recording.exchange_inst_ids(0, len(recording)).tolist()


@settings(max_examples=20, deadline=None)
@given(TICKS, st.lists(TEXTS, min_size=1, max_size=3))
def test_parquet_and_arrow_give_every_bit_back(ticks: list[dict[str, object]], names: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        recording = recording_of(directory, ticks, names)
        paths = export(recording, "parquet", f"{directory}/p")
        assert {Path(path).name for path in paths} == {f"{DAY}.parquet"}
        same(to_records(pa.concat_tables([parquet.ParquetFile(path).read() for path in paths])), recording)
        [path] = export(recording, "arrow", f"{directory}/a")
        with pa.OSFile(path) as file:
            table = pa.ipc.open_file(file).read_all()
        same(to_records(table), recording)
        assert set(table.column("LogId").to_pylist()) == {2**64 - 1}


@settings(max_examples=20, deadline=None)
@given(TICKS, st.lists(TEXTS, min_size=1, max_size=3))
def test_csv_gives_every_value_back(ticks: list[dict[str, object]], names: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        recording = recording_of(directory, ticks, names)
        paths = export(recording, "csv", f"{directory}/c")
        ids = recording.exchange_inst_ids(0, len(recording))
        by_instrument: dict[bytes, list[int]] = {}
        for i, name in enumerate(recording.ticks["InstrumentID"].tolist()):
            by_instrument.setdefault(name, []).append(i)
        assert len(paths) == len(by_instrument) == len(set(paths))
        seen = 0
        for path in paths:
            assert Path(path).parent == Path(directory) / "c"
            with open(path, newline="", encoding="latin-1") as file:
                header, *lines = csv.reader(file)
            assert tuple(header) == VENDOR_FIELDS
            positions = by_instrument[lines[0][1].encode("latin-1")]
            assert len(lines) == len(positions)
            for line, i in zip(lines, positions):
                seen += 1
                for name, text in zip(header, line):
                    want = ids[i] if name == "ExchangeInstID" else recording.ticks[name][i]
                    if isinstance(want, bytes):
                        assert text.encode("latin-1") == want
                    elif isinstance(want, np.floating) and np.isnan(want):
                        assert text == ""
                    elif isinstance(want, np.floating):
                        assert np.float64(float(text)).tobytes() == want.tobytes()
                    else:
                        assert int(text) == want
        assert seen == len(recording)


def as_recorded(tick: dict[str, object]) -> dict[str, object]:
    """What a writer makes of these values: texts end before their array does, absent prices are NaN."""
    values = dict(tick)
    for name, value in tick.items():
        if isinstance(value, bytes):
            values[name] = value[: TICK_DTYPE[name].itemsize - 1]
        elif value == DBL_MAX:
            values[name] = math.nan
    return {**values, "TradingDay": DAY.encode(), "InstrumentID": values["InstrumentID"] or b"rb2601"}


# Not b'rb2601': so other recorders write bytes.
PLAIN = TEXTS.filter(lambda raw: not raw.startswith((b"b'", b'b"')))


@settings(max_examples=20, deadline=None)
@given(TICKS.map(lambda ticks: [as_recorded(tick) for tick in ticks]), st.lists(PLAIN, min_size=1, max_size=3))
@example([as_recorded(dict.fromkeys(FREE, 0) | {"InstrumentID": b"rb2601"})], ["螺纹钢".encode("gbk")])
def test_a_replay_reads_a_csv_export_as_it_was_recorded(ticks: list[dict[str, object]], names: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        recording = recording_of(directory, ticks, names)
        ids = recording.exchange_inst_ids(0, len(recording))
        seen = 0
        for path in export(recording, "csv", f"{directory}/c"):
            found = CsvTicks(path)
            assert found.trading_day == DAY
            positions = np.flatnonzero(recording.ticks["InstrumentID"] == found.ticks["InstrumentID"][0])
            own = recording.ticks[positions]
            for name in set(VENDOR_FIELDS) - {"ExchangeInstID"}:
                got, want = found.ticks[name], own[name]
                if want.dtype.kind == "f":  # one NaN is as good as another
                    got, want = (np.where(np.isnan(values), np.nan, values) for values in (got, want))
                assert got.tobytes() == want.tobytes(), name
            assert [found.exchange_inst_id(i) for i in range(len(own))] == ids[positions].tolist()
            seen += len(own)
        assert seen == len(recording)


@pytest.fixture
def recorded(feed: Feed, tmp_path: Path) -> Recording:
    for i in range(1000):
        feed.tick(("rb2601", "IF2512", "SP rb2601&rb2605", "rb2601C3000", "??")[i % 5], Volume=i, LastPrice=i / 3)
    recorder = Recorder(feed.queue(), tmp_path / "r")
    recorder.poll()
    recorder.close()
    return Recording.open(tmp_path / "r" / f"{DAY}.ticks")


@pytest.mark.parametrize("held", [10, 10**6])
def test_parquet_is_partitioned_by_day_and_product_however_little_memory(
    recorded: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr("tickengine.record.exporting._HELD", held)
    monkeypatch.setattr("tickengine.record.exporting._READ", 64)
    done: list[int] = []
    export(recorded, "parquet", tmp_path / "p", done.append)
    assert sum(done) == 1000 and len(done) == 16
    found = dataset.dataset(tmp_path / "p", partitioning="hive").to_table()
    same(to_records(found), recorded)
    counts = {p.as_py(): n.as_py() for p, n in zip(*found.group_by("product").aggregate([("Volume", "count")]).columns)}
    assert counts == {"rb": 600, "IF": 200, "unknown": 200}
    assert set(found.column("trading_day").to_pylist()) == {int(DAY)}
    rb = dataset.dataset(tmp_path / "p", partitioning="hive").to_table(filter=dataset.field("product") == "rb")
    assert rb.num_rows == 600


def test_an_unknown_exchange_time_is_null(feed: Feed, tmp_path: Path) -> None:
    feed.tick("rb2601", UpdateTime=b"")
    feed.tick("rb2601")
    recorder = Recorder(feed.queue(), tmp_path)
    recorder.poll()
    recorder.close()
    [path] = export(Recording.open(tmp_path / f"{DAY}.ticks"), "arrow", tmp_path)
    with pa.OSFile(path) as file:
        times = pa.ipc.open_file(file).read_all().column("ExchangeTime")
    assert times.null_count == 1 and times[0].as_py() is None and times.type == pa.timestamp("ns", "UTC")


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv"])
def test_an_export_that_fails_leaves_what_was_there(
    recorded: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    out = tmp_path / "out"
    before = {path: Path(path).read_bytes() for path in export(recorded, kind, out)}
    monkeypatch.setattr("tickengine.record.exporting._HELD", 10)
    monkeypatch.setattr("tickengine.record.exporting._READ", 64)
    calls = 0

    def breaks(_: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise OSError(28, "No space left on device")

    with pytest.raises(RecordingError, match=r"No space left on device; nothing was changed"):
        export(recorded, kind, out, breaks)
    assert {str(p): p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_what_cannot_be_exported_says_why(recorded: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="parquet, csv, arrow, not to 'hdf5'"):
        export(recorded, "hdf5", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="cannot be written"):
        export(recorded, "csv", tmp_path / "file")

    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(columns.importlib, "import_module", missing)
    with pytest.raises(MissingPackage, match=r"pip install 'tickengine\[parquet\]'"):
        export(recorded, "parquet", tmp_path / "p")
    assert not list((tmp_path / "p").iterdir())
