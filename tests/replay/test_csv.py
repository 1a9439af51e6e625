"""CSV files become the records that a live feed would have made of them; a wrong row is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings import IDS, MS, at, csv_rows, same_but_new, ticks_every, write_csv, write_recording

from tickengine import ConfigError, TickFlag
from tickengine.record import Recording
from tickengine.record.exporting import export
from tickengine.replay.csvfile import CsvTicks
from tickengine.tick import VENDOR_FIELDS


def row(instrument: str = "rb2601", time: str = "09:30:00", **fields: Any) -> dict[str, Any]:
    return {
        "TradingDay": "20260105",
        "ActionDay": "20260105",
        "InstrumentID": instrument,
        "ExchangeID": "",
        "UpdateTime": time,
        "UpdateMillisec": 0,
        "LastPrice": 3000.5,
        "Volume": 7,
        **fields,
    }


def read(path: Path, rows: list[dict[str, Any]], columns: Any = None) -> CsvTicks:
    return CsvTicks(str(write_csv(path, rows, columns or list(rows[0]))))


def test_rows_become_what_a_live_feed_made_of_the_same_structs(tmp_path: Path) -> None:
    ticks = ticks_every(5 * MS, 64)
    path = write_csv(tmp_path / "day.csv", csv_rows(ticks))
    write_csv(path, [])  # a recorder that was started again: the header once more
    found = CsvTicks(str(path))
    assert found.trading_day == "20260105"
    expected = ticks.copy()
    expected["RecvTime"] = ticks["ExchangeTime"]  # the file has no other
    same_but_new(found.ticks, expected)
    assert (found.ticks["Flags"] == ticks["Flags"]).all()
    assert [found.exchange_inst_id(i) for i in range(4)] == [b"x-" + id.encode() for id in IDS]


def test_an_export_comes_back_as_it_was_recorded(tmp_path: Path) -> None:
    ticks = ticks_every(500 * MS, 40)
    ticks["LastPrice"][4] = -0.0
    exported = export(Recording.open(write_recording(tmp_path, ticks)), "csv", tmp_path / "csv")
    assert len(exported) == len(IDS)
    for path in exported:
        found = CsvTicks(str(path))
        own = ticks[ticks["InstrumentID"] == found.ticks["InstrumentID"][0]]
        for name in set(VENDOR_FIELDS) - {"ExchangeInstID"}:
            assert found.ticks[name].tobytes() == own[name].tobytes(), name
        assert (found.ticks["ExchangeTime"] == own["ExchangeTime"]).all()
        assert found.exchange_inst_id(0) == b"x-" + own["InstrumentID"][0]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-8-sig"])
def test_texts_are_the_bytes_of_the_file(tmp_path: Path, encoding: str) -> None:
    rows = [row("螺纹2601", ExchangeInstID="螺纹钢"), row(ExchangeInstID=str("钢".encode("gbk")))]
    path = tmp_path / "day.csv"
    path.write_bytes(write_csv(path, rows, list(rows[0])).read_bytes().decode().encode(encoding))
    found = CsvTicks(str(path))
    written = encoding.removesuffix("-sig")
    assert found.ticks["InstrumentID"].tolist() == ["螺纹2601".encode(written), b"rb2601"]
    assert found.exchange_inst_id(0) == "螺纹钢".encode(written)
    assert found.exchange_inst_id(1) == "钢".encode("gbk")


def test_a_receive_time_in_the_file_is_kept(tmp_path: Path) -> None:
    ticks = ticks_every(5 * MS, 16)
    rows = [{**row, "RecvTime": recv} for row, recv in zip(csv_rows(ticks), ticks["RecvTime"].tolist())]
    found = CsvTicks(str(write_csv(tmp_path / "day.csv", rows, [*VENDOR_FIELDS, "RecvTime"])))
    same_but_new(found.ticks, ticks)


def test_what_is_absent_or_written_in_another_way_means_the_same(tmp_path: Path) -> None:
    rows = [
        row(LastPrice="", Volume="", BidPrice1="1.7976931348623157e+308"),
        row("b'rb2601'", LastPrice="-0.0", Volume="12.0", BidPrice1="None"),
        row(LastPrice="1e308", Volume=2**31 - 1, BidPrice1="0.1"),
    ]
    ticks = read(tmp_path / "odd.csv", rows, [*rows[0], "LocalTime"]).ticks
    assert np.isnan(ticks["LastPrice"][0]) and np.isnan(ticks["BidPrice1"][:2]).all()
    assert np.isnan(ticks["AskPrice5"]).all()  # no column
    assert ticks["Volume"].tolist() == [0, 12, 2**31 - 1]
    assert ticks["InstrumentID"].tolist() == [b"rb2601"] * 3
    assert np.signbit(ticks["LastPrice"][1]) and ticks["BidPrice1"][2] == 0.1


def test_nights_and_old_ticks_under_a_new_date_get_their_own_times_without_a_receive_time(tmp_path: Path) -> None:
    # Monday 15 April 2024. DCE's night carries Monday in both fields, SHFE's says Friday and Saturday; CZCE pushes
    # Friday night's last tick on Monday morning under Monday's date.
    def day(instrument: str, exchange: str, action: str, time: str) -> dict[str, Any]:
        return row(instrument, time, ExchangeID=exchange, TradingDay="20240415", ActionDay=action)

    minutes = [f"09:{minute:02d}:00" for minute in range(30)]
    rows = [
        *(day("m2409", "DCE", "20240415", time) for time in ("21:00:00", "22:59:59", *minutes)),
        *(day("ag2406", "SHFE", a, t) for a, t in (("20240412", "21:00:00"), ("20240413", "02:29:59"))),
        *(day("ag2406", "SHFE", "20240415", time) for time in minutes),
        *(day("SR409", "CZCE", "20240415", time) for time in ("22:59:59", *minutes)),
    ]
    ticks = read(tmp_path / "monday.csv", rows).ticks
    made = {id: ticks["ExchangeTime"][ticks["InstrumentID"] == id].tolist() for id in (b"m2409", b"ag2406", b"SR409")}
    morning = [at(time, "20240415") for time in minutes]
    assert made[b"m2409"] == [at("21:00:00", "20240412"), at("22:59:59", "20240412"), *morning]
    assert made[b"ag2406"] == [at("21:00:00", "20240412"), at("02:29:59", "20240413"), *morning]
    assert made[b"SR409"] == [at("22:59:59", "20240412"), *morning]
    assert (ticks["RecvTime"] == ticks["ExchangeTime"]).all()
    assert not (ticks["Flags"] & (TickFlag.OUT_OF_ORDER | TickFlag.VOLUME_DOWN)).any()


def test_a_row_without_a_time_is_received_when_the_one_before_it_was(tmp_path: Path) -> None:
    ticks = read(
        tmp_path / "gap.csv", [row(time=""), row(time="09:30:01"), row(time="none"), row(time="09:30:02")]
    ).ticks
    assert ticks["ExchangeTime"].tolist() == [0, at("09:30:01"), 0, at("09:30:02")]
    assert ticks["RecvTime"].tolist() == [at("09:30:01"), at("09:30:01"), at("09:30:01"), at("09:30:02")]
    assert (ticks["Flags"][[0, 2]] & TickFlag.TIME_MISSING).all()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"LastPrice": "3ooo"}, "line 3: LastPrice '3ooo' is no number: correct the value or delete this line"),
        ({"Volume": "7.5"}, "line 3: Volume '7.5' is no whole number of 32 bits"),
        ({"Volume": 2**31}, "line 3: Volume '2147483648' is no whole number of 32 bits"),
        ({"Volume": "nan"}, "line 3: Volume 'nan' is no whole number of 32 bits"),
        ({"InstrumentID": ""}, "line 3: InstrumentID '' is empty"),
        ({"LastPrice": "三千"}, "line 3: LastPrice '三千' is no number"),
        ({"Volume": "\x1b[31m7"}, r"line 3: Volume '\x1b[31m7' is no number"),
        ({"ExchangeID": "SHANGHAIX"}, "line 3: ExchangeID 'SHANGHAIX' is longer than 8 bytes"),
    ],
)
def test_a_value_that_cannot_be_one_is_named_with_its_line(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    path = tmp_path / "wrong.csv"
    with pytest.raises(ConfigError) as raised:
        read(path, [row(), row(**fields), row(**fields)])
    assert str(raised.value).startswith(f"{path}, {words}") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: no column TradingDay: the first line must name the vendor's fields"),
        ("a,b\n1,2\n", "line 1: no column TradingDay"),
        ("TradingDay,InstrumentID,UpdateTime,LastPrice,Volume\n", "no ticks in it"),
        ("TradingDay,InstrumentID,UpdateTime,LastPrice,Volume,Volume\n", "line 1: column 'Volume' stands twice"),
        ("TradingDay,InstrumentID,UpdateTime,LastPrice,Volume\n,rb2601,09:30:00,1,1\n", "no row has a TradingDay"),
        (
            "TradingDay,InstrumentID,UpdateTime,LastPrice,Volume\n20260105,rb2601,09:30:00,1,1\n20260105,rb26",
            "line 3: 2",
        ),
        ("TradingDay,InstrumentID,UpdateTime,LastPrice,Volume\n" + "x" * 200_000, "line 2: no CSV"),
    ],
)
def test_a_file_that_is_no_such_file_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        CsvTicks(str(path))
    assert words in str(raised.value) and str(path) in str(raised.value) and "\n" not in str(raised.value)
