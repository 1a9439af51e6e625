"""Arguments as a space: whatever is passed, it is accepted as what it says, or refused with one `ConfigError`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from hypothesis import settings as given_settings

sys.path.insert(0, str(Path(__file__).parents[1]))

from writing import Feed

from tickengine import ConfigError, TickFlag, TickQueue
from tickengine._checks import MAX_ID, check_instruments, check_skip
from tickengine.config import check_front, check_fronts, settings
from tickengine.placement import choose, parse, words
from tickengine.rules import Rules

SECRET = "s3cret-w0rd"
GOOD: dict[str, Any] = {
    "md_server": "tcp://127.0.0.1:41213",
    "broker_id": "9999",
    "investor_id": "investor",
    "password": SECRET,
    "app_id": "app",
    "auth_code": SECRET,
    "instrument_id_list": ["rb2601"],
}
# Also texts that no encoding has (a lone surrogate) and digits that are not 0 to 9.
texts = st.text(st.characters(), max_size=50) | st.text("0123456789-, .:/tcp[]x\0\udcff٣²é", max_size=30)
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    texts,
    st.binary(max_size=60),
    st.lists(st.integers(-3, 20) | texts | st.binary(max_size=90) | st.floats() | st.none(), max_size=4),
    st.builds(object),
)


def outcome(make: Callable[[], Any]) -> tuple[Any, str | None]:
    """What was made, or what the refusal says. Any other exception is a fault."""
    try:
        return make(), None
    except ConfigError as error:
        return None, str(error)


@given(
    st.sampled_from([*GOOD, "page_dir", "library", "vendor_version", "stale_after", "on_stale", "cpus", "realtime"]),
    anything,
)
def test_any_argument_is_taken_or_named(name: str, value: Any) -> None:
    made, refusal = outcome(lambda: settings(**{**GOOD, name: value}))
    if refusal is not None:
        # instrument ids and a front are named as what they are
        assert re.search(f"{name}|front address|instrument id", refusal)
        assert SECRET not in refusal
        return
    assert made.fronts and made.instruments
    assert SECRET not in repr(made)
    for text in (made.broker_id, made.investor_id, made.password.reveal()):
        text.encode()
        assert "\0" not in text
    assert made.stale_after is None or made.stale_after > 0
    assert made.library is None or isinstance(made.library, str)
    assert isinstance(made.vendor_version, str)


@given(texts | st.binary(max_size=40))
def test_any_front_is_an_address_or_refused(front: str | bytes) -> None:
    taken, refusal = outcome(lambda: check_front(front))
    if refusal is not None:
        assert "md_server" in refusal or "front address" in refusal
        return
    match = re.fullmatch(r"tcp://([0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", taken, re.ASCII)
    assert match is not None
    assert 1 <= int(match[2]) <= 65535
    assert check_front(taken) == taken


@given(anything)
def test_any_fronts_are_a_list_or_refused(fronts: Any) -> None:
    taken, refusal = outcome(lambda: check_fronts(fronts))
    if refusal is not None:
        return
    assert taken == check_fronts(taken) != []


@given(anything | st.lists(st.text("rbIF2601 &-\0é", max_size=90) | st.binary(max_size=90), max_size=5))
def test_any_ids_are_ascii_of_80_or_refused(ids: Any) -> None:
    taken, refusal = outcome(lambda: check_instruments(ids))
    if refusal is not None:
        assert "instruments" in refusal
        return
    assert len(set(taken)) == len(taken)
    for raw in taken:
        assert raw.isascii() and 1 <= len(raw) <= MAX_ID and b"\0" not in raw and raw == raw.strip()


@given(anything)
def test_any_cpus_are_some_of_ours_or_refused(cpus: Any) -> None:
    both, refusal = outcome(lambda: choose(cpus, None))
    if refusal is not None:
        assert "cpus" in refusal
        return
    taken, _ = both
    assert taken is None if cpus is None else taken and set(taken) <= set(range(1 << 13))


@given(st.sets(st.integers(0, (1 << 13) - 1), min_size=1, max_size=40))
def test_a_list_of_cpus_is_read_back(cpus: set[int]) -> None:
    assert parse(words(cpus)) == cpus


@given(texts)
def test_any_text_of_cpus_is_numbers_or_a_value_error(text: str) -> None:
    try:
        taken = parse(text)
    except ValueError:
        return
    assert all(0 <= cpu < 1 << 13 for cpu in taken)


@given(anything)
def test_any_priority_is_one_or_refused(realtime: Any) -> None:
    both, refusal = outcome(lambda: choose(None, realtime))
    if refusal is not None:
        assert "realtime" in refusal
        return
    _, taken = both
    assert taken is None or 1 <= taken <= 99


@given(anything | st.integers(0, sum(TickFlag)))
def test_any_skip_is_flags_or_refused(skip: Any) -> None:
    taken, refusal = outcome(lambda: check_skip(skip))
    if refusal is not None:
        assert "skip" in refusal
        return
    assert TickFlag(taken) == skip


@given_settings(max_examples=60)  # each that is taken makes a segment
@given(
    st.sampled_from(["instruments", "start", "wait", "skip", "name"]),
    anything | st.sampled_from(["now", "oldest", "spin", "block", "a/b", "..", "x" * 64, 1 << 63, 1 << 64]),
)
def test_any_queue_argument_makes_a_queue_or_is_named(argument: str, value: Any) -> None:
    if argument == "name" and isinstance(value, str):
        value = f"{value}-{os.getpid()}"  # other runs have names of their own
    queue, refusal = outcome(lambda: TickQueue(**{argument: value}))
    if refusal is not None:
        assert argument in refusal
        return
    queue.close()


class Product:
    """What `Rules` needs of one."""

    def __init__(self, product: Any, exchange: Any, sessions: Any, auctions: Any) -> None:
        self.ProductID, self.ExchangeID, self.Sessions, self.Auctions = product, exchange, sessions, auctions


class Span:
    def __init__(self, start: Any, end: Any) -> None:
        self.start, self.end = start, end


spans = st.lists(st.builds(Span, st.integers() | st.none(), st.integers(0, 90000)), max_size=10)
days = st.sampled_from(["20260101", "19800100", "99999999", "2026-01-01", "", "²"]) | texts


@given(
    st.lists(st.builds(Product, texts, st.sampled_from(["SHFE", "", "é"]) | texts, spans, spans), max_size=3),
    st.lists(days, max_size=3),
    st.none() | st.tuples(days, days),
)  # fmt: skip
def test_any_rules_are_taken_or_refused(
    table: list[Product], holidays: list[str], covered: tuple[str, str] | None
) -> None:
    rules, refusal = outcome(lambda: Rules(table, holidays, covered))
    if refusal is None:
        feed = Feed(capacity=2)
        try:
            _, refusal = outcome(lambda: rules.give(feed._writer))
        finally:
            feed.close()
    assert refusal is None or re.search("product|holiday|calendar", refusal)


@pytest.mark.parametrize("value", [{"product": 1}, 5])
def test_a_front_of_a_wrong_type_is_named(value: Any) -> None:
    with pytest.raises(ConfigError, match="md_server must be"):
        check_fronts(value)
