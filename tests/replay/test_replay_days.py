"""Which ticks are played, in which order."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings import KEPT_FIELDS, MS, at, csv_rows, same_but_new, ticks_every, write_csv, write_recording

from tickengine import ConfigError
from tickengine._errors import RecordingError
from tickengine.replay.days import Day, Selection, check_files, open_days, selection
from tickengine.replay.times import checked_time, moment

SECOND = 1000 * MS


def played(day: Day) -> np.ndarray:
    """Taken in pieces, as a player does."""
    return np.concatenate([day.batch(start, start + 37)[0] for start in range(0, len(day), 37)])


def chosen(files: list[Path], **wanted: Any) -> list[Day]:
    every = {"instruments": None, "products": None, "start": None, "stop": None, **wanted}
    return open_days(check_files(files), selection(**every))


def test_a_recording_is_played_as_it_is_and_not_copied(tmp_path: Path) -> None:
    ticks = ticks_every(MS, 100)
    [day] = chosen([write_recording(tmp_path, ticks)])
    same_but_new(played(day), ticks)
    records, places, tables = day.batch(10, 20)
    assert np.shares_memory(records, day.sources[0].ticks)
    assert places.tolist() == list(range(10, 20)) and set(tables.tolist()) == {0}
    assert day.exchange_inst_id(13) == b"x-IF2601" and day.file_of(13)[1] == 13


def test_without_its_notes_a_recording_has_no_table_of_instruments(tmp_path: Path) -> None:
    [day] = chosen([write_recording(tmp_path, ticks_every(MS, 40), names=False)])
    assert set(day.batch(0, 40)[2].tolist()) == {-1}
    assert day.exchange_inst_id(3) == b""


def test_files_of_one_day_are_merged_by_receive_time_and_each_keeps_its_order(tmp_path: Path) -> None:
    ticks = ticks_every(MS, 90)
    parts = [ticks[0::3], ticks[1::3], ticks[2::3]]
    files = [write_recording(tmp_path, part, name=f"part{i}") for i, part in enumerate(parts)]
    [day] = chosen(files)
    assert (played(day)["Volume"] == ticks["Volume"]).all()
    back = ticks[1::3].copy()
    back["RecvTime"][10:] -= SECOND  # the clock was set back meanwhile
    [changed] = chosen([files[0], write_recording(tmp_path, back, name="back"), files[2]])
    volumes = played(changed)["Volume"]
    assert volumes[volumes % 3 == 1].tolist() == list(range(1, 90, 3))
    by_file = write_csv(tmp_path / "more.csv", csv_rows(ticks[:6]))
    [both] = chosen([*files, by_file])
    assert len(both) == 96
    volumes = played(both)["Volume"].tolist()
    assert sorted(volumes) == sorted([*range(90), *range(6)])
    assert {both.file_of(place)[0] for place in both.batch(0, 96)[1].tolist()} == {*map(str, files), str(by_file)}


def test_days_follow_each_other_whatever_the_order_of_the_files(tmp_path: Path) -> None:
    days = ["20260105", "20260106", "20260107"]
    files = [write_recording(tmp_path, ticks_every(MS, 8, day=day), day) for day in days]
    assert [day.trading_day for day in chosen(files[::-1])] == days
    assert [day.trading_day for day in chosen([tmp_path])] == days  # a directory


def test_filters(tmp_path: Path) -> None:
    ids = ["rb2601", "rb2605", "rb2601C3200", "m2605", "SPD SR601&SR605"]
    ticks = ticks_every(MS, 100, ids=ids)
    file = write_recording(tmp_path, ticks)

    def ids_of(**wanted: Any) -> set[bytes]:
        return set(played(chosen([file], **wanted)[0])["InstrumentID"].tolist())

    assert ids_of(instruments=["m2605", "not there"]) == {b"m2605"}
    assert ids_of(products=["rb"]) == {b"rb2601", b"rb2605", b"rb2601C3200"}
    assert ids_of(products=["SR"], instruments=[b"rb2605"]) == {b"SPD SR601&SR605", b"rb2605"}
    [day] = chosen([file], instruments=["rb2605"])
    same_but_new(played(day), ticks[1::5])
    ticks["Instrument"][::2] = 0xFFFFFFFF  # beyond the table: by their names
    for names in (True, False):
        [day] = chosen([write_recording(tmp_path, ticks, name=f"names{names}", names=names)], products=["m", "rb"])
        assert (played(day)["Volume"] % 5 < 4).all() and len(day) == 80


def test_from_and_to_go_by_the_exchanges_time(tmp_path: Path) -> None:
    ticks = ticks_every(SECOND, 120)  # 09:30:00 to 09:31:59
    ticks["ExchangeTime"][70] = 0  # no UpdateTime: it goes with the one before it
    file = write_recording(tmp_path, ticks)
    assert played(chosen([file], start="09:31")[0])["Volume"].tolist() == list(range(60, 120))
    part = chosen([file], start="2026-01-05 09:30:10", stop=datetime.time(9, 31, 11))[0]
    assert played(part)["Volume"].tolist() == list(range(10, 71))
    looks: list[int] = []
    found = [part.find(at(time), lambda: looks.append(1)) for time in ("09:30:00", "09:30:20", "09:31:11")]
    assert found == [0, 10, None] and len(looks) == 3


def test_nothing_wanted_is_said_with_the_times_that_there_are(tmp_path: Path) -> None:
    file = write_recording(tmp_path, ticks_every(SECOND, 10))
    with pytest.raises(
        ConfigError, match=r"widen the filters; they were made from 2026-01-05 09:30:00.000 to .*09:30:09"
    ):
        chosen([file], start="10:00")
    with pytest.raises(ConfigError, match="no ticks in 20260106.ticks"):
        chosen([write_recording(tmp_path, ticks_every(MS, 4)[:0], "20260106")])


@pytest.mark.parametrize(
    ("text", "trading_day", "expected"),
    [
        ("09:30", "20240415", ("20240415", "09:30:00")),
        ("17:59:59", "20240415", ("20240415", "17:59:59")),
        ("21:00:00", "20240415", ("20240412", "21:00:00")),  # the night of a Monday is Friday's
        ("00:30", "20240415", ("20240413", "00:30:00")),
        ("21:00", "20240408", ("20240403", "21:00:00")),  # behind a holiday
        ("21:00", "20990105", ("20990102", "21:00:00")),  # no calendar: weekends only
        ("2024-04-12 21:00", "20260105", ("20240412", "21:00:00")),
        ("20240412T21:00:00", "20260105", ("20240412", "21:00:00")),
    ],
)
def test_times_without_a_date_belong_to_the_trading_day(text: str, trading_day: str, expected: tuple[str, str]) -> None:
    value = checked_time(text, "start")
    assert value is not None
    assert moment(value, trading_day) == at(expected[1], expected[0])


def test_fractions_of_a_second_are_exact() -> None:
    value = checked_time("09:30:00.5", "start")
    assert value is not None and moment(value, "20260105") == at("09:30:00") + 500 * MS


@pytest.mark.parametrize("text", ["9:30", "25:00", "09:30:60", "2026-02-30 09:30", "", "now", 930, "09:30:00.1234567"])
def test_what_is_no_time_is_refused(text: Any) -> None:
    with pytest.raises(ConfigError, match="start must be a time such as 09:30:00"):
        selection(None, None, text, None)


def test_files_that_are_not_there_or_no_recordings_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    good = write_recording(tmp_path, ticks_every(MS, 4))
    for files, words in (
        ([tmp_path / "none.ticks"], "no such file"),
        ([empty], "no recordings in this directory"),
        ([], "no files given"),
        ([good, good], "given twice"),
    ):
        with pytest.raises(ConfigError, match=words):
            check_files(files)
    bad = tmp_path / "bad.ticks"
    bad.write_bytes(b"no recording" * 1000)
    with pytest.raises(RecordingError, match="is no recording"):
        open_days(check_files(bad), Selection())
    for wrong, words in (
        ({"instruments": []}, "instruments is empty"),
        ({"products": []}, "products is empty"),
        ({"instruments": "rb2601"}, "must be a list"),
    ):
        with pytest.raises(ConfigError, match=words):
            chosen([good], **wrong)


def test_every_field_is_either_kept_or_named_as_new() -> None:
    assert "RecvTime" in KEPT_FIELDS and "ExchangeTime" in KEPT_FIELDS
