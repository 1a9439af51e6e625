"""The ``[sessions]`` section: what it takes, and that `health` and `bars` count by it."""

from __future__ import annotations

import csv
import datetime
import io
import math
import os
from collections.abc import Callable, Iterator

import pytest
from writing import Feed

from tickengine import cli, hours
from tickengine.feed import Mistakes, load
from tickengine.feed.plan import engine_and_hours
from tickengine.products import Session, product_of, product_table

Write = Callable[..., str]

BASE = "front = 'loopback'\n[instruments]\nids = 'rb2705'\n[engine]\nlibrary = 'compatible'\n"
HOURS = "[sessions.hours]\n"


def clock(text: str) -> int:
    return int(text[:2]) * 3600 + int(text[3:]) * 60


def spans(*texts: str) -> tuple[Session, ...]:
    return tuple(Session(*map(clock, text.split("-"))) for text in texts)


def test_own_hours_are_read_in_the_order_in_which_they_are_traded(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    own = "rb = ['9:00-10:15', '13:30-15:00', '21:00-02:30']\nl_f = [\n'09:00-15:00', '20:00-24:00']\n"
    path = write(BASE + HOURS + own)
    feed = load(path)
    assert feed.hours.own == {
        "rb": spans("21:00-24:00", "00:00-02:30", "09:00-10:15", "13:30-15:00"),
        "l_f": spans("20:00-24:00", "09:00-15:00"),
    }
    assert not feed.hours.any_hour and not feed.doubts
    assert cli.main(["check", path]) == 0
    assert "sessions:     by the product tables, but own hours of rb, l_f" in capsys.readouterr().out
    assert feed.options["hours"] == feed.hours.own and not feed.options["any_hour"]
    always = load(path, ["sessions.any_hour=true"])
    assert always.hours.any_hour and always.options["any_hour"]
    assert load(path, ["sessions.hours.rb=['09:00-15:00']"]).hours.own["rb"] == spans("09:00-15:00")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[sessions]\nany_hour = 1\n", ":7: sessions.any_hour: must be true or false, not a number"),
        ("[sessions]\nhours = ['9:00-15:00']\n", ":7: sessions.hours: must be a section with a list of texts for"),
        ("[sessions]\nhour = 1\n", ":7: sessions.hour: is not known; did you mean hours?"),
        (HOURS + "rb = '09:00-15:00'\n", ":7: sessions.hours.rb: must be a list of spans, such as "),
        (HOURS + "rb = []\n", ":7: sessions.hours.rb: must be a list of spans, such as "),
        (HOURS + "\nrb2705 = ['09:00-15:00']\n", ":8: sessions.hours.rb2705: is no product: write the letters that"),
        (HOURS + "rb = ['9-15']\n", ":7: sessions.hours.rb: '9-15' must be HH:MM-HH:MM, such as 21:00-02:30"),
        (HOURS + "rb = ['09:00-15:60']\n", "'09:00-15:60' must be HH:MM-HH:MM"),
        (HOURS + "rb = ['15:00-09:00']\n", "'15:00-09:00' must end behind its begin, and lie in the day (06:00 to"),
        (HOURS + "rb = ['05:00-09:00']\n", "'05:00-09:00' must end behind its begin, and"),
        (HOURS + "rb = ['00:00-24:00']\n", "'00:00-24:00' must end behind its begin, and"),
        (HOURS + "rb = ['09:00-10:15', '10:00-11:30']\n", ":7: sessions.hours.rb: 10:00 is in two of the spans"),
        (HOURS + "rb = ['22:00-23:00', '21:00-02:00', '09:00-15:00']\n", ":7: sessions.hours.rb: 22:00 is in two"),
        (HOURS + "rb = ['21:00-23:00']\n", ":7: sessions.hours.rb: has no span by day"),
    ],
)  # fmt: skip
def test_what_is_no_session_is_a_line_for_check_run_and_whoever_counts_by_it(
    write: Write, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(BASE + text)
    commands = (("check", path), ("run", path), ("health", "--config", path), ("bars", "--config", path))
    for command, status in zip(commands, (1, 3, 2, 1)):
        assert cli.main(list(command)) == status
        said = capsys.readouterr().err
        assert words in said and said.startswith(f"tickengine: {path}:")


def test_what_may_not_be_meant_is_a_doubt(write: Write) -> None:
    doubts = load(write(BASE + "[sessions]\nany_hour = true\nhours = { RB = ['09:00-15:00'] }\n")).doubts
    for words in ("sessions.hours: has no effect beside any_hour", "sessions.hours.RB: is in no product table"):
        assert sum(words in doubt for doubt in doubts) == 1


def test_the_engine_is_the_one_of_the_file_unless_it_is_named(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("[sessions]\nany_hour = true\n", "some.toml")
    assert engine_and_hours(None, path)[0] == "some" and engine_and_hours("other", path)[0] == "other"
    assert engine_and_hours(None, write("[engine]\nname = 'md'\n"))[0] == "md"
    with pytest.raises(Mistakes, match=r"feed.toml:2: engine.name: 'a b' cannot be used"):
        engine_and_hours(None, write("[engine]\nname = 'a b'\n"))
    for command, status in (("health", 2), ("bars", 1)):
        assert cli.main([command]) == status
        assert capsys.readouterr().err == (
            "tickengine: whose? Name the engine, or give its configuration: --config feed.toml\n"
        )


def test_products_with_hours_of_their_own() -> None:
    own = {"rb": spans("20:00-22:00", "08:30-15:00"), "zz": spans("09:00-15:00")}
    table = product_of("rb2705", day="20261123")
    mine = product_of("rb2705", day="20261123", hours=own)
    assert table is not None and mine is not None
    assert mine.Sessions == own["rb"] and mine.has_night and mine.PriceTick == table.PriceTick
    assert mine.Auctions == (*spans("19:55-20:00"), *spans("08:55-09:00"))
    # The first trading day behind a holiday has no night.
    assert mine.sessions_on("20261008") == spans("08:30-15:00") and mine.sessions_on("20261009") == own["rb"]
    unknown = product_of("zz2705", day="20261123", hours=own)
    assert product_of("zz2705", day="20261123") is None and unknown is not None
    assert unknown.Sessions == own["zz"] and math.isnan(unknown.PriceTick) and unknown.VolumeMultiple == 0
    by_id = {product.ProductID: product for product in product_table("20261123", own)}
    assert by_id["rb"] == mine and by_id["zz"] == unknown and len(by_id) == len(product_table("20261123")) + 1
    assert product_of("SP rb2705&rb2710", "SHFE", "20261123", own) is not None


# ---- who counts by them ----------------------------------------------------------------------------


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed(name=f"sessions-{os.getpid()}")
    feed.log.set_status_text({"state": "live"})
    yield feed
    feed.close()


@pytest.mark.parametrize(
    ("text", "when", "out"),
    [
        ("", "2026-11-23 16:00", True),
        ("[sessions]\nany_hour = true\n", "2026-11-22 16:00", False),
        (HOURS + "rb = ['15:30-17:00']\n", "2026-11-23 16:00", False),
        (HOURS + "rb = ['15:30-17:00']\n", "2026-11-23 10:00", True),
        (HOURS + "rb = ['15:30-17:00']\n", "2026-11-22 16:00", True),  # a Sunday
        (HOURS + "zz = ['15:30-17:00']\n", "2026-11-23 16:00", False),
        (HOURS + "zz = ['19:00-20:00', '15:30-17:00']\n", "2026-11-23 19:30", False),
        (HOURS + "cu = ['15:30-17:00']\n", "2026-11-23 16:00", True),
    ],
)
def test_health_counts_by_them(
    feed: Feed, write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    text: str, when: str, out: bool,
) -> None:  # fmt: skip
    for instrument in ("rb2705", "zz2705"):
        feed.tick(instrument)
    at = datetime.datetime.fromisoformat(when + ":00+08:00")
    monkeypatch.setattr(hours, "china_now", lambda: at)
    path = write(f"[engine]\nname = '{feed.log.name}'\n{text}")
    assert cli.main(["health", "--config", path, "--max-age", "100000"]) == 0
    assert ("out of session hours" in capsys.readouterr().out) == out


@pytest.mark.parametrize(
    ("text", "rb", "zz"),
    [
        ("", ["09:01"], ["09:01 NO_HOURS", "16:00 NO_HOURS", "16:01 UNFINISHED|NO_HOURS"]),
        (
            HOURS + "rb = ['09:00-17:00']\n",
            ["09:00", "09:01", "16:00", "16:01 UNFINISHED"],
            ["09:01 NO_HOURS", "16:00 NO_HOURS", "16:01 UNFINISHED|NO_HOURS"],
        ),
        (HOURS + "zz = ['13:30-17:00']\n", ["09:01"], ["16:00", "16:01 UNFINISHED"]),
        (
            "[sessions]\nany_hour = true\n",
            ["09:01 NO_HOURS", "16:00 NO_HOURS", "16:01 UNFINISHED|NO_HOURS"],
            ["09:01 NO_HOURS", "16:00 NO_HOURS", "16:01 UNFINISHED|NO_HOURS"],
        ),
    ],
)
def test_bars_count_by_them(
    feed: Feed, write: Write, capsys: pytest.CaptureFixture[str], text: str, rb: list[str], zz: list[str]
) -> None:
    days = {"TradingDay": b"20261123", "ActionDay": b"20261123", "LastPrice": 3000.0}
    base = datetime.datetime.fromisoformat("2026-11-23T00:00:00+08:00").timestamp()
    for volume, at in enumerate(("09:00", "09:01", "16:00", "16:01"), 1):
        for instrument in ("rb2705", "zz2705"):
            recv = int(base + clock(at)) * 10**9
            feed.tick(instrument, recv, **days, UpdateTime=f"{at}:00".encode(), Volume=volume)
    feed.log.end()
    path = write(f"[engine]\nname = '{feed.log.name}'\n{text}")
    assert cli.main(["bars", "--config", path, "--oldest"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    for instrument, bars in (("rb2705", rb), ("zz2705", zz)):
        mine = [row for row in rows if row["InstrumentID"] == instrument]
        assert [f"{row['Start'][11:16]} {row['Flags']}".strip() for row in mine] == bars
