"""ExchangeTime: what was reported against other frameworks, one test each, and any day of three years."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from market_time import NS, TRADING_DAYS, Moment, local
from writing import Feed

from tickengine import Tick, TickFlag
from tickengine.products import Product, product_table
from tickengine.rules import Rules, own_rules
from tickengine.trading_calendar import covered, holidays

TIME_DOUBTS = TickFlag.TIME_REPAIRED | TickFlag.TIME_MISSING | TickFlag.DAY_GUESSED | TickFlag.OUT_OF_ORDER
LONG_AFTER = local("2030-01-01 12:00:00")


def shared(examples: int) -> settings:
    """One feed for all examples of a test, an instrument of its own for each."""
    return settings(max_examples=examples, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def market() -> Iterator[Feed]:
    """A feed that knows the package's products and trading days."""
    feed = Feed(instruments=16384)
    feed.give(own_rules())
    yield feed
    feed.close()


def days(trading: str, action: str, time: str, millisec: int = 0) -> dict[str, bytes | int]:
    return {
        "TradingDay": trading.encode(),
        "ActionDay": action.encode(),
        "UpdateTime": time.encode(),
        "UpdateMillisec": millisec,
        "ExchangeID": b"",
    }


def doubts(tick: Tick) -> TickFlag:
    return TickFlag(tick.Flags) & TIME_DOUBTS


# ---- what was reported ---------------------------------------------------------------------------


def test_friday_night_has_four_spellings(market: Feed) -> None:
    """vnpy #559, #581, #773; ctpbee #165: the night of 12 April 2024, as each exchange writes it."""
    truth = local("2024-04-12 21:30:00.500")
    for instrument, trading, action in [
        ("rb2410", "20240415", "20240412"),
        ("sc2406", "20240415", "20240412"),
        ("m2409", "20240415", "20240415"),
        ("SR409", "20240412", "20240412"),
    ]:
        tick = market.sent(instrument, LONG_AFTER, **days(trading, action, "21:30:00", 500))
        assert (tick.ExchangeTime, doubts(tick)) == (truth, 0), instrument
        assert (tick.TradingDay, tick.ActionDay) == (trading, action)  # the vendor's words stay
    late = market.sent("au2406", LONG_AFTER, **days("20240415", "20240413", "01:59:59"))
    assert (late.ExchangeTime, doubts(late)) == (local("2024-04-13 01:59:59"), 0)


def test_simnow_writes_every_exchange_as_shfe(market: Feed) -> None:
    """vnpy_ctp #39, #56: a rule that corrects DCE blindly is a day off on SimNow."""
    for instrument in ("rb2410", "m2409", "SR409"):
        tick = market.sent(instrument, LONG_AFTER, **days("20240415", "20240412", "21:30:00"))
        assert (tick.ExchangeTime, doubts(tick)) == (local("2024-04-12 21:30:00"), 0)


def test_a_tick_before_the_open_is_not_from_the_future(market: Feed) -> None:
    """vnpy_ctp #34: last night's tick, pushed before the open, gets today's date and lies hours ahead."""
    tick = market.sent("SR409", local("2024-04-15 08:55:01"), **days("20240415", "20240415", "22:59:59"))
    assert tick.ExchangeTime == local("2024-04-12 22:59:59")
    assert doubts(tick) == TickFlag.TIME_REPAIRED | TickFlag.DAY_GUESSED
    closed = market.sent("m2409", local("2024-04-12 20:56:00"), **days("20240415", "20240415", "15:00:00"))
    assert closed.ExchangeTime == local("2024-04-12 15:00:00")
    first = market.sent("SR409", local("2024-04-15 09:00:00.300"), **days("20240415", "20240415", "09:00:00"))
    assert (first.ExchangeTime, doubts(first)) == (local("2024-04-15 09:00:00"), 0)


def test_midnight_is_not_taken_from_the_local_clock(market: Feed) -> None:
    """vnpy #1052: a tick of 23:59:59 that arrives at 00:00:00 must not move a day ahead."""
    before = market.sent("au2406", local("2024-04-16 00:00:00.100"), **days("20240416", "20240415", "23:59:59", 500))
    after = market.sent("au2406", local("2024-04-16 00:00:00.600"), **days("20240416", "20240416", "00:00:00"))
    assert before.ExchangeTime == local("2024-04-15 23:59:59.500")
    assert after.ExchangeTime == local("2024-04-16 00:00:00")


def test_milliseconds_are_numbers_not_text(market: Feed) -> None:
    """vnpy_ctp PR #109: 5 ms read as ".5" is half a second; ctpbee cuts to 100 ms."""
    times = []
    for millisec in (5, 50, 499, 500, 999):
        tick = market.sent("m2409", LONG_AFTER, **days("20240416", "20240416", "09:30:00", millisec))
        times.append((tick.ExchangeTime - local("2024-04-16 09:30:00")) // 10**6)
        assert doubts(tick) == 0
    assert times == [5, 50, 499, 500, 999]


def test_dce_ticks_of_one_second_keep_apart_and_in_order(market: Feed) -> None:
    """vnpy #3044, #1954, vnpy_ctp #42, openctp #9: DCE has any millisecond, CZCE none."""
    dce = [market.sent("m2409", LONG_AFTER, **days("20240416", "20240416", "09:30:00", ms)) for ms in (3, 251, 748)]
    assert len({t.ExchangeTime for t in dce}) == 3
    czce = [market.sent("SR409", LONG_AFTER, Volume=v, **days("20240416", "20240416", "09:30:00")) for v in (1, 2, 3)]
    assert {t.ExchangeTime for t in czce} == {local("2024-04-16 09:30:00")}
    assert [t.Sequence for t in czce] == sorted(t.Sequence for t in czce)
    assert all(doubts(t) == 0 for t in dce + czce)  # the same time again is not an earlier one


def test_holidays_are_not_trading_days(market: Feed) -> None:
    """vnpy_ctp #34: around holidays "yesterday" is not the day before."""
    tick = market.sent("m2409", LONG_AFTER, **days("20240611", "20240611", "21:05:00"))
    assert (tick.ExchangeTime, doubts(tick)) == (local("2024-06-07 21:05:00"), 0)


def test_a_year_that_no_table_covers_says_so(market: Feed) -> None:
    then = local("2036-01-01 12:00:00")
    tick = market.sent("m3505", then, **days("20350108", "20350108", "21:05:00"))
    assert (tick.ExchangeTime, doubts(tick)) == (local("2035-01-05 21:05:00"), TickFlag.DAY_GUESSED)
    taught = market.sent("rb3505", then, **days("20350108", "20350104", "21:05:00"))
    assert doubts(taught) == 0
    pupil = market.sent("y3505", then, **days("20350108", "20350108", "21:05:00"))
    assert (pupil.ExchangeTime, doubts(pupil)) == (local("2035-01-04 21:05:00"), 0)


def test_empty_days_take_the_nearest_date(market: Feed) -> None:
    """The login's and some fronts' TradingDay is empty."""
    tick = market.sent("rb2410", local("2024-04-16 09:30:01"), **days("", "", "09:30:00", 500))
    assert tick.ExchangeTime == local("2024-04-16 09:30:00.500")
    assert doubts(tick) == TickFlag.TIME_REPAIRED | TickFlag.DAY_GUESSED
    assert (tick.TradingDay, tick.ActionDay) == ("", "")


@pytest.mark.parametrize("time", ["", "9:30:00", "25:00:00", "ab:cd:ef"])
def test_no_time_gives_no_exchange_time(market: Feed, time: str) -> None:
    tick = market.sent("rb2410", LONG_AFTER, **days("20240416", "20240416", time))
    assert (tick.ExchangeTime, doubts(tick), tick.UpdateTime) == (0, TickFlag.TIME_MISSING, time)


def test_one_absurd_stamp_does_not_pin_an_instrument(market: Feed) -> None:
    """A single tick of next week must not stop the clock of its instrument until then."""
    good = [market.sent("rb2410", LONG_AFTER, **days("20240416", "20240416", f"10:00:0{n}")) for n in range(2)]
    market.sent("rb2410", LONG_AFTER, **days("20240423", "20240423", "14:00:00"))
    after = [market.sent("rb2410", LONG_AFTER, **days("20240416", "20240416", f"10:00:{10 + n}")) for n in range(20)]
    assert good[-1].ExchangeTime == local("2024-04-16 10:00:01")
    assert [t.ExchangeTime for t in after[7:]] == [local(f"2024-04-16 10:00:{17 + n}") for n in range(13)]
    assert all(doubts(t) == TickFlag.TIME_REPAIRED | TickFlag.OUT_OF_ORDER for t in after[:7])
    assert doubts(after[7]) == TickFlag.OUT_OF_ORDER and not any(doubts(t) for t in after[8:])


def test_a_live_feed_drops_an_absurd_time_at_once(market: Feed) -> None:
    """With a receive clock that agrees, a time of next week is not even begun."""
    now = local("2024-04-16 10:00:00")
    market.sent("rb2410", now, **days("20240416", "20240416", "10:00:00"))
    absurd = market.sent("rb2410", now + NS, **days("20240423", "20240423", "14:00:00"))
    assert absurd.ExchangeTime == local("2024-04-16 10:00:00") and TickFlag.TIME_REPAIRED & absurd.Flags
    after = market.sent("rb2410", now + 2 * NS, **days("20240416", "20240416", "10:00:02"))
    assert (after.ExchangeTime, doubts(after)) == (now + 2 * NS, 0)


def test_ids_without_a_product_still_get_their_time(market: Feed) -> None:
    tick = market.sent("zz2410", LONG_AFTER, **days("20240415", "20240412", "21:30:00"))
    assert tick.ExchangeTime == local("2024-04-12 21:30:00")
    assert TickFlag(tick.Flags) == TickFlag.SNAPSHOT | TickFlag.UNKNOWN_PRODUCT


# ---- any day ---------------------------------------------------------------------------------------


@st.composite
def moments(draw: st.DrawFn) -> tuple[Product, Moment]:
    """A second within a session of a product that was traded on that day."""
    day = draw(st.sampled_from(TRADING_DAYS[1:]))
    product = draw(st.sampled_from([p for p in product_table(day) if p.ProductID.isalpha()]))
    session = draw(st.sampled_from(product.Sessions))
    moment = Moment(day, draw(st.integers(session.start, session.end - 1)), draw(st.integers(0, 999)))
    assume(moment.real)
    return product, moment


_count = iter(range(10**9))


@shared(400)
@given(moments(), st.booleans(), st.sampled_from(["live", "late", "never"]))
def test_the_time_is_exact_in_every_session_of_every_exchange(
    market: Feed, drawn: tuple[Product, Moment], simnow: bool, arrival: str
) -> None:
    product, moment = drawn
    recv = {"live": moment.time_ns + 10**7, "late": moment.time_ns + 3600 * NS, "never": LONG_AFTER}[arrival]
    market.give(Rules(product_table(moment.trading_day), holidays(), covered()))
    tick = market.sent(
        f"{product.ProductID}{next(_count) % 10**6}", recv, **moment.fields(product.ExchangeID, simnow=simnow)
    )
    assert tick.ExchangeTime == moment.time_ns
    assert TickFlag(tick.Flags) == TickFlag.SNAPSHOT  # in session, and no doubt about it


@shared(60)
@given(st.sampled_from(TRADING_DAYS[1:]), st.sampled_from(["rb", "au", "m", "SR", "IF", "sc", "si"]), st.data())
def test_a_whole_trading_day_is_in_order(market: Feed, day: str, letters: str, data: st.DataObject) -> None:
    product = next(p for p in product_table(day) if p.ProductID == letters)
    seconds = st.sampled_from(product.Sessions).flatmap(lambda s: st.integers(s.start, s.end))
    picked = data.draw(
        st.lists(st.tuples(seconds.filter(lambda s: s < 86400), st.sampled_from([0, 500])), min_size=1, max_size=40)
    )
    walk = sorted({m for m in (Moment(day, *p) for p in picked) if m.real}, key=lambda m: m.time_ns)
    instrument = f"{letters}{next(_count) % 10**6}"
    market.give(Rules(product_table(day), holidays(), covered()))
    for volume, moment in enumerate(walk):
        tick = market.sent(instrument, LONG_AFTER, Volume=volume, **moment.fields(product.ExchangeID))
        assert tick.ExchangeTime == moment.time_ns
        assert tick.Flags & ~TickFlag.SNAPSHOT == 0


TEXTS = st.sampled_from([b"", b"20240412", b"20240415", b"20240416", b"20990101", b"19800100", b"garbage!"])
TIMES = st.sampled_from(
    [b"", b"00:00:01", b"09:00:00", b"10:20:00", b"14:59:59", b"21:00:00", b"23:59:59", b"99:99:99"]
)


@shared(200)
@given(
    st.lists(
        st.tuples(TEXTS, TEXTS, TIMES, st.sampled_from([0, 5, 500, 999, 1000, -1]), st.integers(0, 3 * 86400)),
        max_size=60,
    )
)
def test_whatever_comes_time_goes_down_only_where_it_is_said(
    market: Feed, ticks: list[tuple[bytes, bytes, bytes, int, int]]
) -> None:
    market.event("logged_in")
    instrument, last, recv = f"rb{next(_count) % 10**6}", 0, local("2024-04-12 20:00:00")
    for trading, action, time, millisec, pause in ticks:
        recv += pause * NS
        fields = {"TradingDay": trading, "ActionDay": action, "UpdateTime": time, "UpdateMillisec": millisec}
        tick = market.sent(instrument, recv, **fields)
        flags = TickFlag(tick.Flags)
        assert (tick._TradingDay, tick._ActionDay, tick._UpdateTime, tick.UpdateMillisec) == (
            trading,
            action,
            time,
            millisec,
        )
        assert (tick.ExchangeTime == 0) == (TickFlag.TIME_MISSING in flags)
        if tick.ExchangeTime == 0:
            continue
        if tick.ExchangeTime < last:
            assert TickFlag.OUT_OF_ORDER in flags
            assert last - tick.ExchangeTime > 500 * NS  # a mistake let go, never a step back within the feed
        last = tick.ExchangeTime
