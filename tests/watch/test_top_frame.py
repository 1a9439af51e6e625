"""The screens of `top`, as text: what is on them, for one instrument and for 800, narrow and wide."""

from __future__ import annotations

import dataclasses
import io
import re
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from writing import Feed

from tickengine.top import text
from tickengine.top.frame import as_text, frame, list_rows, render
from tickengine.top.snapshot import EventLine, Exchange, Instruments, Queue, Snapshot, Watcher
from tickengine.top.view import PAGES, SORTS, View

SIZES = ((80, 24), (200, 50))
LATENCY = {"p50": 4_200, "p90": 8_000, "p99": 1_250_000, "max": 31_000_000, "count": 1000}
STATUS = {
    "ticks": 1_234_567,
    "front": "tcp://180.168.146.187:10211",
    "trading_day": "20260105",
    "subscribed": 800,
    "unacknowledged": 0,
    "epoch": 2,
    "logins": 3,
    "disconnects": 2,
    "pid": 4711,
}


def a_snapshot(instruments: int, queues: int = 3, **changes: object) -> Snapshot:
    n = np.arange(instruments)
    table = Instruments(
        ids=[f"rb{2601 + i}" if i else "IO2601-C-4000" for i in range(instruments)],
        exchanges=["SHFE" if i % 2 else "CFFEX" for i in range(instruments)],
        last=3000.0 + n,
        change=np.where(n % 2 == 0, -1.5, 2.5),
        percent=np.where(n % 2 == 0, -0.05, 0.08),
        bid=2999.0 + n,
        ask=np.full(instruments, np.nan),
        volume=n * 1000,
        open_interest=n * 10.0,
        ticks=n + 1,
        rate=n / 100.0,
        age=n / 10.0,
    )
    given = Snapshot(
        name="md",
        state="live",
        time=1_767_600_000_123_456_789,
        status=dict(STATUS),
        rate=1612.4,
        peak=2010.0,
        instruments=table,
        queues=tuple(
            Queue(f"strategy-{i}", 100 + i, True, True, i, 500, 12.5, 7 * (i == 1), 0, 0, LATENCY, LATENCY)
            for i in range(queues)
        ),
        exchanges=(Exchange("CFFEX", 1, 10, 2.0, 0.25), Exchange("SHFE", 1, 10, 2.0, 75.0)),
        events=(
            EventLine(1_767_600_000_000_000_000, "front_connected", "front connected"),
            EventLine(
                1_767_600_001_000_000_000,
                "front_disconnected",
                "front disconnected: 4097 (0x1001): network read failed: the front closed or reset the connection",
            ),
        ),
    )
    return dataclasses.replace(given, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("instruments", [0, 1, 800])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_fits_its_screen(size: tuple[int, int], instruments: int, page: str) -> None:
    width, height = size
    for view in (View(page=page), View(page=page, help=True), View(page=page, filter="x", typing=True, paused=True)):
        lines = frame(a_snapshot(instruments), width, height, view)
        assert len(lines) == height
        assert all(sum(text.cells(piece) for piece, _ in line) <= width for line in lines)


@pytest.mark.parametrize("size", SIZES)
def test_rich_draws_the_same_text(size: tuple[int, int]) -> None:
    from rich.console import Console

    width, height = size
    snapshot, out = a_snapshot(800), io.StringIO()
    console = Console(file=out, width=width, height=height, color_system=None, highlight=False)
    console.print(render(snapshot, width, height, View()))
    drawn = [line.rstrip() for line in out.getvalue().rstrip("\n").split("\n")]
    assert drawn == as_text(snapshot, width, height, View()).rstrip("\n").split("\n")


def test_one_instrument_on_a_small_screen() -> None:
    seen = as_text(a_snapshot(1), 80, 24, View())
    assert seen.startswith("tickengine md  LIVE  tcp://180.168.146.187:10211  day 20260105")
    assert "ticks 1,234,567  1,612/s now  2,010/s peak  instruments 1 of 800  queues 3" in seen
    assert "CFFEX 0.2s" in seen and "SHFE 1m15" in seen
    assert "! 7 ticks lost by 1 queue" in seen
    assert "front disconnected: 4097 (0x1001)" in seen
    row = next(line for line in seen.splitlines() if line.startswith("IO2601-C-4000"))
    assert row.split() == ["IO2601-C-4000", "3000", "-1.5", "-0.05", "2999", "-", "0", "0", "1", "0.0", "0.0s"] or (
        row.split()[:2] == ["IO2601-C-4000", "CFFEX"] and row.split()[-1] == "0.0s"
    )


def test_800_instruments_on_a_small_and_a_large_screen() -> None:
    small, large = (as_text(a_snapshot(800), *size, View()) for size in SIZES)
    for seen in (small, large):
        assert re.search(r"^id\^ .*last .*change .*ticks/s +age$", seen, re.MULTILINE)
    rows = [line for line in small.splitlines() if re.match(r"rb|IO", line)]
    assert len(rows) > 10 and f"1-{len(rows)} of 800" in small
    assert "exchange  last" not in small and re.search(r"^id\^ +exchange", large, re.MULTILINE), "what has no room goes"
    assert "strategy-1" in large and "4.2us" in large and "1.2ms" in large, "the queues stand below the list"
    assert "strategy-1" not in small


def test_sorting_filtering_and_moving() -> None:
    snapshot = a_snapshot(800)

    def first(view: View) -> str:
        lines = as_text(snapshot, 120, 24, view).splitlines()
        return lines[next(i for i, line in enumerate(lines) if line.startswith("id")) + 1].split()[0]

    assert (
        first(View().sorted_by("last")) == "rb3400" and first(View(reverse=True).sorted_by("last")) == "IO2601-C-4000"
    )
    assert first(View().sorted_by("age")) == "rb3400"
    assert first(View(filter="Io26")) == "IO2601-C-4000"
    assert first(View(top=5)) == "rb2606"
    assert as_text(snapshot, 120, 24, View(top=10**6)).count("rb3400") == 1, "no further than the end"
    assert "none" in as_text(snapshot, 120, 24, View(filter="nothing has this"))


def test_absent_values_come_last_either_way() -> None:
    table = a_snapshot(3).instruments
    holed = dataclasses.replace(table, last=np.array([np.nan, 2.0, 1.0]))
    for reverse in (False, True):
        snapshot = dataclasses.replace(a_snapshot(3), instruments=holed)
        lines = as_text(snapshot, 100, 24, View(reverse=reverse).sorted_by("last")).splitlines()
        rows = [line for line in lines if line.startswith(("rb", "IO"))]
        assert rows[-1].startswith("IO2601-C-4000")


def test_queues_tell_their_latencies_and_what_is_wrong() -> None:
    dead = Queue("worker", 99, False, False, 1234, 5, 0.0, 3, 0, 0, None, None)
    nobody = Queue("later", None, False, False, 0, 0, None, 0, 0, 0, None, None)
    seen = as_text(a_snapshot(1, queues=2), 80, 24, View(page="queues"))
    assert re.search(r"strategy-0 .*asleep +0 +0 .*4\.2us +1\.2ms", seen)
    found = dataclasses.replace(a_snapshot(1), queues=(dead, nobody))
    seen = as_text(found, 120, 24, View(page="queues").sorted_by("lag"))
    assert re.search(r"worker .*DEAD +1,234 +3", seen) and re.search(r"later .*no reader", seen)
    assert "reader dead: worker" in seen


def test_long_events_are_whole_on_their_page() -> None:
    seen = as_text(a_snapshot(1), 80, 24, View(page="events"))
    assert "the front closed or reset the connection" in " ".join(seen.split())


def test_trouble_has_a_line() -> None:
    status = {**STATUS, "unacknowledged": 4, "refused": ["zz9999"], "front_error": "login refused: 3"}
    seen = as_text(a_snapshot(1, status=status), 120, 24, View())
    assert "! login refused: 3; 4 subscriptions not acknowledged; refused: zz9999" in seen


def test_texts_cannot_steer_the_terminal() -> None:
    evil = EventLine(0, "error", "error from the front: \x1b[2J\x07 期货公司 \u202e")
    seen = as_text(a_snapshot(1, events=(evil,), status={**STATUS, "front": "\x1b]0;x\x07"}), 80, 24, View())
    assert "\x1b" not in seen and "\x07" not in seen and "期货公司" in seen and "\u202e" not in seen


@settings(deadline=None)
@given(st.text(max_size=60), st.integers(1, 40))
def test_pieces_never_pass_the_width(words: str, width: int) -> None:
    assert text.cells(text.cut(words, width)) <= width
    assert text.cells(text.pad(text.clean(words), width)) == width
    assert sum(text.cells(piece) for piece, _ in text.fit([(words, ""), (words, "")], width)) <= width
    lines = text.wrap(text.clean(words), max(2, width))
    assert all(text.cells(line) <= max(2, width) for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.clean(words).split())


@settings(deadline=None)
@given(st.lists(st.sampled_from([*"1234srpgkj/?hqx rbE", "up", "down", "page up", "page down", "enter", "escape"])))
def test_no_sequence_of_keys_breaks_a_screen(keys: list[str]) -> None:
    snapshot = a_snapshot(5)
    view = View()
    for key in keys:
        after = view.press(key, list_rows(snapshot, 80, 24, view))
        if after is None:
            assert key == "q" and not view.typing
            break
        view = after
        assert view.sort in SORTS[view.page]
    assert len(frame(snapshot, 80, 24, view)) == 24


@settings(deadline=None)
@given(st.integers(0, 250), st.integers(0, 80))
def test_any_size_of_a_terminal(width: int, height: int) -> None:
    lines = frame(a_snapshot(20), width, height, View())
    assert len(lines) <= max(1, height) and all(sum(text.cells(p) for p, _ in line) <= width for line in lines)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0ns"), (310, "310ns"), (1_234, "1.2us"), (99_960, "100us"), (3_400_000, "3.4ms"), (2_100_000_000, "2.1s")],
)
def test_latencies_in_words(value: int, words: str) -> None:
    assert text.latency(value) == words


def test_numbers_in_words() -> None:
    assert [text.age(s) for s in (0.04, 9.96, 61, 7200, 90000)] == ["0.0s", "10s", "1m01", "2h00", "1d01"]
    assert [text.count(n) for n in (999, 12_345, 12_345_678)] == ["999", "12,345", "12.35M"]
    assert [text.signed(v) for v in (7.259999999999991, -0.5, 0.0, float("nan"))] == ["+7.26", "-0.5", "0", "-"]


# ---- the numbers behind it ---------------------------------------------------------------------


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed(capacity=256, instruments=1024)
    yield feed
    feed.close()


def test_rates_are_those_of_the_ticks_between_two_looks(feed: Feed) -> None:
    queue = feed.queue()
    watcher = Watcher(feed.log)
    first = watcher.look()
    assert first.rate is None and first.to_dict()["rate"] is None
    for name, ticks in (("rb2601", 30), ("au2602", 10)):
        for volume in range(ticks):
            feed.tick(name, LastPrice=4000.0, Volume=volume)
    queue.get_many(5)
    second = watcher.look()
    assert second.rate and second.peak == second.rate and second.status["ticks"] == 40
    rates = dict(zip(second.instruments.ids, second.instruments.rate))
    assert rates["rb2601"] == pytest.approx(3 * rates["au2602"])
    assert sum(rates.values()) == pytest.approx(second.rate)
    (mine,) = second.queues
    assert (mine.received, mine.lag) == (5, feed.log.head - queue.sequence)
    assert mine.rate == pytest.approx(second.rate / 8)
    assert [e.ExchangeID for e in second.exchanges] == ["SHFE"] and second.exchanges[0].ticks == 40


def test_the_peak_is_the_highest_rate_so_far(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher, seen = Watcher(feed.log), []
    for second, ticks in enumerate((0, 30, 40, 10, 0, 20)):
        for volume in range(ticks):
            feed.tick("rb2601", Volume=volume)
        monkeypatch.setattr(time, "monotonic_ns", iter([second * 10**9]).__next__)
        snapshot = watcher.look()
        monkeypatch.undo()
        seen.append((snapshot.rate, snapshot.peak))
    assert seen == [(None, None), (30, 30), (40, 40), (10, 40), (0, 40), (20, 40)]
    assert "20.0/s now  40.0/s peak" in as_text(snapshot, 80, 24, View())


def test_an_exchange_that_the_tick_does_not_name_is_the_products(feed: Feed) -> None:
    feed.tick("IF2601", ExchangeID=b"")
    feed.tick("what-is-this", ExchangeID=b"")
    assert [e.ExchangeID for e in Watcher(feed.log).look().exchanges] == ["?", "CFFEX"]


def test_an_id_that_comes_from_two_exchanges_has_one_row(feed: Feed) -> None:
    feed.tick("rb2601", LastPrice=1.0)
    feed.tick("rb2601", LastPrice=2.0, ExchangeID=b"INE")
    table = Watcher(feed.log).look().instruments
    assert table.ids == ["rb2601"] and table.last.tolist() == [2.0] and table.ticks.tolist() == [2]


def test_events_come_once_and_in_order(feed: Feed) -> None:
    watcher = Watcher(feed.log)
    before = len(watcher.look().events)
    feed.event("front_connected")
    feed.tick("rb2601")
    feed.event("front_disconnected", reason=8193)
    names = [e.name for e in watcher.look().events][before:]
    assert names == ["front_connected", "front_disconnected"]
    assert len(watcher.look().events) == before + 2
    assert "8193" in watcher.look().events[-1].words


def test_instruments_that_come_later_are_seen(feed: Feed) -> None:
    watcher = Watcher(feed.log)
    for n in range(1, 900, 299):
        for i in range(n):
            feed.tick(f"x{i:03d}", LastPrice=float(i))
        assert len(watcher.look().instruments) == n
    assert watcher.look().instruments.last.tolist() == [float(i) for i in range(898)]


def test_looking_leaves_no_trace(feed: Feed) -> None:
    feed.queue()
    feed.tick("rb2601")
    with open(feed.log.path, "rb") as file:
        before = file.read()
    watcher = Watcher(feed.log)
    for _ in range(3):
        watcher.look()
    with open(feed.log.path, "rb") as file:
        assert file.read() == before
