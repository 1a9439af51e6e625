"""The accountant catches what it is there for: each kind of wrong is planted, and must be named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from feed_support import check_ticks

from tickengine.front import NumberedMarket, SentRange
from tickengine.tick import TICK_DTYPE, VENDOR_FIELDS
from tickengine.words import EVENT_CODES

from .accounts import Promise, ReaderAccount, check_balance, check_delivery, check_story
from .ledger import ROW

IDS = ["rb2601", "IF2512", "m2605"]
EVERY = frozenset(range(len(IDS)))


def rows_of(numbers: Sequence[int], own: dict[int, int] | None = None) -> npt.NDArray[np.void]:
    """What a reader of everything sees of these running numbers, if they are the log's first ticks. *own*: the
    InstrumentNumbers to begin with."""
    counts = dict.fromkeys(range(len(IDS)), 0) | (own or {})
    rows = np.zeros(len(numbers), ROW)
    begin = sum(counts.values())
    for at, number in enumerate(numbers):
        place = number % len(IDS)
        rows[at] = (begin + at + 1, number, counts[place], begin + at, place, 0, 0, 0)
        counts[place] += 1
    return rows


def account_of(rows: npt.NDArray[np.void], wanted: frozenset[int] = EVERY) -> tuple[ReaderAccount, list[str]]:
    account = ReaderAccount("reader", len(IDS), wanted)
    return account, account.add(rows)


def sent(*ranges: tuple[int, int, int], ids: Sequence[str] = IDS) -> Promise:
    return Promise([SentRange(c, first, stop, frozenset(ids)) for c, first, stop in ranges], IDS)


NONE_GRACEFUL: frozenset[int] = frozenset()


def test_a_faultless_stream_is_faultless_however_it_is_cut_into_batches() -> None:
    rows = rows_of(range(100))
    account = ReaderAccount("reader", len(IDS), EVERY)
    for part in np.array_split(rows, 17):
        assert account.add(part) == []
        assert account.settle(sent((1, 0, 100)), frozenset({1})) == []
    assert (account.seen, account.missing) == (100, 0)


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two"])
@pytest.mark.parametrize(
    ("order", "what"),
    [([0, 1, 2, 2, 3], "sequence 3 came twice"), ([0, 1, 3, 2], "sequence 3 came after 4")],
    ids=["twice", "out of order"],
)
def test_a_tick_given_out_twice_or_out_of_order_is_named(order: list[int], what: str, together: bool) -> None:
    rows = rows_of(range(4))[order]
    account = ReaderAccount("reader", len(IDS), EVERY)
    wrong = account.add(rows) if together else account.add(rows[:3]) + account.add(rows[3:])
    assert any(what in text for text in wrong), wrong


def test_a_tick_that_the_engine_wrote_twice_is_named() -> None:
    rows = rows_of([0, 1, 2, 2, 3])  # new sequences, new InstrumentNumbers, the same tick
    _, wrong = account_of(rows)
    assert any("number 2 came twice" in text for text in wrong), wrong


def test_a_tick_that_is_missing_in_the_log_is_named_though_no_reader_lost_any() -> None:
    account, wrong = account_of(rows_of([n for n in range(60) if n != 30]))
    assert wrong == [] and account.missing == 0
    (text,) = account.settle(sent((1, 0, 60)), frozenset({1}))
    assert "between ticks 27 and 33 of instrument 0 the front sent 1 and the log has 0" in text
    # Nor does an abrupt end of that connection excuse it: it went on to deliver.
    again, _ = account_of(rows_of([n for n in range(60) if n != 30]))
    assert again.settle(sent((1, 0, 60)), NONE_GRACEFUL) != []


def test_a_tick_that_the_front_never_sent_is_named() -> None:
    account, _ = account_of(rows_of(range(60)))
    assert any("but the front sent 10" in text for text in account.settle(sent((1, 0, 30)), frozenset({1})))


def test_a_loss_of_ticks_that_the_front_never_sent_is_named() -> None:
    rows = rows_of(range(60))
    rows["own"][rows["number"] >= 30] += 2
    account, _ = account_of(rows)
    texts = account.settle(sent((1, 0, 60)), NONE_GRACEFUL)
    assert any("the front sent 0 and the log has 2" in text for text in texts), texts


def test_the_tail_of_an_abruptly_ended_connection_is_excused_and_the_head_of_the_next_is_not() -> None:
    promise = sent((1, 0, 60), (2, 60, 120))
    cases = {
        "tail of the first": ([*range(45), *range(60, 120)], NONE_GRACEFUL, True),
        "the same after a FIN": ([*range(45), *range(60, 120)], frozenset({1}), False),
        "head of the second": ([*range(60), *range(75, 120)], NONE_GRACEFUL, False),
        "nothing": ([*range(120)], NONE_GRACEFUL, True),
    }
    for name, (numbers, graceful, right) in cases.items():
        account, wrong = account_of(rows_of(numbers))
        assert wrong == []
        assert (account.settle(promise, graceful) == []) is right, name


def test_what_a_reader_lost_is_not_what_the_front_failed_to_deliver() -> None:
    rows = rows_of(range(90))
    overtaken = rows[(rows["number"] < 20) | (rows["number"] >= 50)]
    account, wrong = account_of(overtaken)
    assert wrong == [] and account.missing == 30
    assert account.settle(sent((1, 0, 90)), frozenset({1})) == []
    # The same hole without the InstrumentNumbers' jump is a hole in the log.
    hole, _ = account_of(rows_of([*range(20), *range(50, 90)]))
    assert hole.settle(sent((1, 0, 90)), frozenset({1})) != []


def test_a_late_joiner_is_held_against_all_that_was_sent_before_it() -> None:
    account, _ = account_of(rows_of(range(60, 90), {0: 20, 1: 20, 2: 20}))
    assert account.settle(sent((1, 0, 90)), frozenset({1})) == []
    short, _ = account_of(rows_of(range(60, 90), {0: 19, 1: 20, 2: 20}))
    (text,) = short.settle(sent((1, 0, 90)), frozenset({1}))
    assert "before tick 60 of instrument 0 the front sent 20 and the log has 19" in text


def test_a_subscription_that_changes_is_followed() -> None:
    promise = Promise(
        [
            SentRange(1, 0, 30, frozenset(IDS)),
            SentRange(1, 30, 60, frozenset(IDS[:2])),
            SentRange(1, 60, 90, frozenset(IDS)),
        ],
        IDS,
    )
    rows = rows_of([n for n in range(90) if not (30 <= n < 60 and n % 3 == 2)])
    account, _ = account_of(rows)
    assert account.settle(promise, frozenset({1})) == []
    unasked, _ = account_of(rows_of(range(90)))
    assert unasked.settle(promise, frozenset({1})) != []


def test_foreign_instruments_and_skipped_flags_are_named() -> None:
    _, wrong = account_of(rows_of(range(9)), frozenset({0, 1}))
    assert any("did not ask for" in text for text in wrong), wrong
    rows = rows_of(range(9))
    rows["flags"][4] = 1
    assert ReaderAccount("reader", len(IDS), EVERY, skip=1).add(rows) == ["reader: got ticks with flags that it skips"]


def test_events_keep_their_order_and_sequence_agrees_with_ticknumber() -> None:
    rows = rows_of(range(6))
    rows[3] = (4, 12, 0, 3, 0xFFFFFFF7, 0, 1, 0)  # engine_lost, Value -9
    rows["ticks"][4:] -= 1
    account = ReaderAccount("reader", len(IDS), EVERY)
    assert account.add(rows) == []
    assert account.event_values == {12: [0xFFFFFFF7]}
    again = rows[3:4].copy()
    again["stamp"], again["ticks"] = 7, 5
    assert any("event 0 came after event 0" in text for text in account.add(again))
    rows["ticks"][4] -= 1
    rows["ticks"][5] += 1
    _, wrong = account_of(rows)
    assert any("disagree" in text for text in wrong), wrong


@pytest.mark.parametrize(
    ("change", "right"),
    [
        ({}, True),
        ({"lost": 9}, False),  # one lost in silence
        ({"lost": 11}, False),
        ({"received": 71}, False),
        ({"skipped": 19}, False),
        ({"written": 101}, False),
        ({"seen": 69}, False),  # one received and not seen
        ({"seen": 69, "graves": 1}, True),  # unless a worker died with it
        ({"seen": 71, "graves": 5}, False),  # seen, but never received
        ({"seen": 71, "graves": 5, "doubtful": 1}, True),
    ],
)
def test_a_balance_is_exact(change: dict[str, int], right: bool) -> None:
    figures = {"written": 100, "received": 70, "lost": 10, "skipped": 20, "seen": 70, "graves": 0} | change
    assert (check_balance("reader", **figures) == []) is right


def test_delivery_at_rest_excuses_abrupt_ends_only() -> None:
    promise = sent((1, 0, 60), (2, 60, 90))
    assert check_delivery([30, 30, 30], promise, frozenset({1, 2})) == (0, [])
    assert check_delivery([28, 30, 30], promise, frozenset({2})) == (2, [])
    assert check_delivery([28, 30, 30], promise, frozenset({1, 2}))[1] != []
    assert check_delivery([31, 30, 30], promise, NONE_GRACEFUL)[1] != []
    assert "both got tick 50" in check_delivery([30, 30, 30], sent((1, 0, 60), (2, 50, 90)), NONE_GRACEFUL)[1][0]


def test_promises_are_counted_as_they_are_enumerated() -> None:
    ranges = [
        SentRange(1, 0, 17, frozenset(IDS)),
        SentRange(2, 20, 41, frozenset(IDS[1:])),
        SentRange(3, 50, 52, frozenset(IDS)),
    ]
    promise = Promise(ranges, IDS)
    for place, name in enumerate(IDS):
        numbers = {
            n: r.connection for r in ranges if name in r.instruments for n in range(r.first, r.stop) if n % 3 == place
        }
        assert promise.total(place) == len(numbers)
        for limit in range(60):
            assert promise.before(place, limit) == sum(n < limit for n in numbers)
            assert promise.connection(place, limit) == numbers.get(limit)
            for graceful in (NONE_GRACEFUL, frozenset({1}), frozenset({2, 3})):
                behind = [n for n, c in numbers.items() if n > limit and c not in graceful]
                assert promise.excused(place, limit, None, graceful) == len(behind)
                assert promise.excused(place, limit, 3, graceful) == sum(numbers[n] < 3 for n in behind)
        for connection in (1, 2, 3):
            assert promise.last(place, connection) == max(
                (n for n, c in numbers.items() if c == connection), default=None
            )


def test_the_story_of_the_events_is_that_of_the_faults() -> None:
    killed, disconnected = EVENT_CODES["engine_lost"], EVENT_CODES["front_disconnected"]
    assert check_story({killed: [0xFFFFFFF7, 0xFFFFFFF5], disconnected: [0, 0]}, [9, 11], 2) == []
    assert check_story({disconnected: [0]}, [], 2) == [], "one end may be told once for two reasons"
    assert check_story({killed: [0xFFFFFFF5, 0xFFFFFFF7]}, [9, 11], 0) != []
    assert check_story({}, [9], 0) != []
    assert check_story({killed: [0xFFFFFFF5]}, [], 0) != [], "nobody killed it"
    assert check_story({disconnected: [0, 0, 0]}, [], 2) != [], "nobody cut it"


@pytest.mark.parametrize("field", ["LastPrice", "AskVolume5", "UpdateTime", "InstrumentID", "Turnover"])
def test_a_torn_tick_is_named(field: str) -> None:
    """The workers' own look at each field: a tick with one field of the next one."""
    market = NumberedMarket(IDS, seed=7)
    numbers = np.arange(8)
    ticks = np.zeros(8, TICK_DTYPE)
    expected = market.expected(numbers)
    for name in VENDOR_FIELDS:
        if name in expected and name in (TICK_DTYPE.names or ()):
            ticks[name] = expected[name]
    check_ticks(ticks, market)
    step = 1000 if field == "UpdateTime" else 1  # neighbours share the second
    ticks[field][3] = market.expected(numbers + step)[field][3]
    with pytest.raises(AssertionError, match="of tick"):
        check_ticks(ticks, market)
