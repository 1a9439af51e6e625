"""``tickengine bars``: the lines it prints, of ticks and of bars, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import pytest
from making import ns
from writing import Feed

from tickengine import cli
from tickengine.bars import BarEngine
from tickengine.bars.cli import COLUMNS
from tickengine.bars.record import ALGOPLUS_FIELDS


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed()
    for n in range(8):
        day, clock = "2024-04-12", f"09:{n // 3:02d}:{n % 3 * 20:02d}"
        days = {"TradingDay": b"20240412", "ActionDay": b"20240412"}
        feed.tick(
            "rb2405",
            ns(f"{day} {clock}"),
            **days,
            UpdateTime=clock.encode(),
            LastPrice=3000.0 + n,
            Volume=10 * n,
            Turnover=10 * n * 30000.0,
        )
    yield feed
    feed.close()


def test_lines_of_csv_from_a_log_that_has_ended(feed: Feed, capsys: pytest.CaptureFixture[str]) -> None:
    feed.log.end()
    assert cli.main(["bars", feed.log.name, "--oldest", "--period", "1m", "--period", "1h"]) == 0
    output = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(output.out)))
    assert list(rows[0]) == list(COLUMNS) and set(ALGOPLUS_FIELDS) < set(COLUMNS)
    assert (rows[1]["UpdateTime"], rows[1]["DaySettlement"]) == ("09:01:40", "3000.0")
    assert [(row["Start"], row["Period"], row["LastPrice"], row["BarVolume"], row["Flags"]) for row in rows] == [
        ("2024-04-12 09:00:00", "1m", "3002.0", "20", "PARTIAL"),
        ("2024-04-12 09:01:00", "1m", "3005.0", "30", ""),
        ("2024-04-12 09:02:00", "1m", "3007.0", "20", "UNFINISHED"),
        ("2024-04-12 09:00:00", "1h", "3007.0", "70", "PARTIAL|UNFINISHED"),
    ]
    assert output.err == ""


def test_json_and_a_count_and_a_filter(feed: Feed, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bars", feed.log.name, "--oldest", "--json", "--count", "1", "--instruments", "rb2405,x1"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["InstrumentID"] == "rb2405" and set(ALGOPLUS_FIELDS) < set(json.loads(line))
    assert json.loads(line)["End"] == "2024-04-12 09:01:00"


def test_bars_of_a_bar_engine(feed: Feed, capsys: pytest.CaptureFixture[str]) -> None:
    with BarEngine(feed.log.name, ["1m", "1h"], start="oldest") as engine:
        assert cli.main(["bars", engine.name, "--oldest", "--count", "2"]) == 0
        assert [line.split(",")[3] for line in capsys.readouterr().out.splitlines()] == ["Period", "1m", "1m"]


def test_ticks_out_of_hours_are_told(feed: Feed, capsys: pytest.CaptureFixture[str]) -> None:
    feed.tick(
        "rb2405", ns("2024-04-12 12:00:00"), UpdateTime=b"12:00:00", TradingDay=b"20240412", ActionDay=b"20240412"
    )
    feed.log.end()
    assert cli.main(["bars", feed.log.name, "--oldest"]) == 0
    assert capsys.readouterr().err == "tickengine: 1 ticks were out of trading hours (--any-hour takes them)\n"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["nobody"], "no tick log named 'nobody'"),
        (["nobody", "--period", "7m"], "period '7m' must be such as"),
        (["nobody", "--period", "1m", "--period", "60"], "periods has '1m' twice"),
        (["nobody", "--count", "0"], "--count must be at least 1"),
        (["nobody", "--instruments", ","], "--instruments is empty"),
    ],
)
def test_wrong_arguments_get_one_line(wrong: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bars", *wrong]) == 1
    error = capsys.readouterr().err
    assert error.startswith("tickengine: ") and words in error and error.count("\n") == 1
