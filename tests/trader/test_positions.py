"""Positions: the day's start and the day's trades, per exchange."""

from __future__ import annotations

import pytest
from returns import DAY, Journal, input_order, order_return, position_row, trade_return

from tickengine.trader.account import AccountState
from tickengine.trader.positions import LONG, SHORT, Closing, Difference


class Desk:
    def __init__(self) -> None:
        self.journal, self.state = Journal(), AccountState()
        self.state.apply(self.journal.login())
        self.number = 0

    def trade(self, direction: str, offset: str, volume: int, *, instrument: str = "rb2605", exchange: str = "SHFE",
              day: str = DAY) -> None:  # fmt: skip
        self.number += 1
        asked = input_order(
            self.number, instrument=instrument, exchange=exchange, direction=direction, offset=offset, volume=volume
        )
        body = trade_return(asked, f"t{self.number}", volume, day=day)
        self.state.apply(self.journal.add("rtn_trade", data=body))

    def query(self, *rows: dict) -> None:
        for number, row in enumerate(rows, 1):
            self.state.apply(self.journal.add("qry_position", data=row, is_last=number == len(rows)))
        if not rows:
            self.state.apply(self.journal.add("qry_position", is_last=True))

    def order(self, offset: str, volume: int, *, direction: str = "1", instrument: str = "rb2605",
              exchange: str = "SHFE") -> dict:  # fmt: skip
        self.number += 1
        asked = input_order(
            self.number, instrument=instrument, exchange=exchange, direction=direction, offset=offset, volume=volume
        )
        self.state.apply(self.journal.sending(self.number, asked))
        return asked

    def lots(self, instrument: str = "rb2605", side: str = LONG) -> tuple[int, int]:
        holding = self.state.positions.holding(instrument, side)
        return holding.today, holding.yesterday


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_shfe_closes_by_the_orders_offset(desk: Desk) -> None:
    desk.query(position_row("rb2605", LONG, 5, 5, PositionDate="2"))
    desk.trade("0", "0", 3)
    assert desk.lots() == (3, 5)
    desk.trade("1", "3", 1)
    assert desk.lots() == (2, 5)
    desk.trade("1", "1", 2)  # Close is yesterday's here
    desk.trade("1", "4", 1)
    assert desk.lots() == (2, 2)


@pytest.mark.parametrize("offset", ["1", "3", "4"])
def test_the_others_close_the_oldest_lots_first(desk: Desk, offset: str) -> None:
    desk.query(position_row("m2605", SHORT, 2, 2))
    desk.trade("1", "0", 2, instrument="m2605", exchange="DCE")
    desk.trade("0", offset, 3, instrument="m2605", exchange="DCE")
    assert desk.lots("m2605", SHORT) == (1, 0)


def test_trades_before_the_first_query_count(desk: Desk) -> None:
    desk.trade("0", "0", 4, instrument="m2605", exchange="DCE")
    desk.trade("1", "1", 3, instrument="m2605", exchange="DCE")
    holding = desk.state.positions.holding("m2605", LONG)
    assert not holding.known and not desk.state.positions.complete
    desk.query(position_row("m2605", LONG, 3, 2))
    assert desk.lots("m2605") == (3, 0) and desk.state.positions.complete
    assert desk.state.positions.holding("m2605", LONG).known


def test_an_exchange_that_no_row_names_comes_from_the_product(desk: Desk) -> None:
    desk.query(position_row("rb2605", LONG, 2, 2), position_row("m2605", LONG, 2, 2))
    positions, book = desk.state.positions, desk.state.book
    assert positions.closings(book, "rb2605", LONG, 2) == [Closing("4", 2)]
    assert positions.closings(book, "m2605", LONG, 2) == [Closing("1", 2)]


def test_what_open_orders_hold_cannot_be_closed_twice(desk: Desk) -> None:
    desk.query(position_row("rb2605", LONG, 4, 4, PositionDate="2"))
    desk.trade("0", "0", 3)
    positions, book = desk.state.positions, desk.state.book
    assert positions.closings(book, "rb2605", LONG, 6) == [Closing("4", 4), Closing("3", 2)]
    asked = desk.order("3", 2)
    desk.order("4", 1)
    assert positions.frozen(book, "rb2605", LONG) == (2, 1)
    assert positions.closings(book, "rb2605", LONG, 9) == [Closing("4", 3), Closing("3", 1)]
    desk.state.apply(desk.journal.add("rtn_order", data=order_return(asked, "5", system="1")))
    assert positions.frozen(book, "rb2605", LONG) == (0, 1)


def test_frozen_lots_of_one_kind_take_the_oldest_first(desk: Desk) -> None:
    desk.query(position_row("m2605", LONG, 2, 2))
    desk.trade("0", "0", 3, instrument="m2605", exchange="DCE")
    desk.order("1", 3, instrument="m2605", exchange="DCE")
    positions, book = desk.state.positions, desk.state.book
    assert positions.frozen(book, "m2605", LONG) == (1, 2)
    assert positions.closable(book, "m2605", LONG) == (2, 0)
    assert positions.closings(book, "m2605", LONG, 9) == [Closing("1", 2)]


def test_lots_whose_closing_trades_are_late_cannot_be_closed_twice(desk: Desk) -> None:
    desk.query(position_row("rb2605", LONG, 4, 4, PositionDate="2"), position_row("m2605", LONG, 3, 3))
    positions, book = desk.state.positions, desk.state.book
    for instrument, exchange, offset, lots in (("rb2605", "SHFE", "4", 4), ("m2605", "DCE", "1", 3)):
        asked = desk.order(offset, 2, instrument=instrument, exchange=exchange)
        for status, traded in (("1", 1), ("0", 2)):
            done = order_return(asked, status, traded=traded, system=f"{desk.number}")
            desk.state.apply(desk.journal.add("rtn_order", data=done))
            assert positions.frozen(book, instrument, LONG) == (0, 2)
            assert positions.closable(book, instrument, LONG) == (0, lots - 2)
            assert sum(c.Volume for c in positions.closings(book, instrument, LONG, 9)) == lots - 2
        trade = trade_return(asked, f"x{desk.number}", 2, system=f"{desk.number}")
        desk.state.apply(desk.journal.add("rtn_trade", data=trade))
        assert positions.frozen(book, instrument, LONG) == (0, 0)
        assert positions.closable(book, instrument, LONG) == (0, lots - 2)


def test_a_trade_between_two_queries_explains_a_difference(desk: Desk) -> None:
    """The same difference twice, but what was on its way at the first may have come, and more be on its way."""
    rows = position_row("rb2605", LONG, 5, 0)
    desk.trade("0", "0", 2)
    desk.query(rows)
    desk.trade("0", "0", 1)
    desk.trade("1", "3", 1)
    desk.query(rows)
    assert not desk.state.differences
    desk.query(rows)
    assert desk.state.differences == [Difference("rb2605", LONG, 2, 5)], "no trade since"


def test_a_difference_is_told_when_two_queries_agree_on_it(desk: Desk) -> None:
    desk.trade("0", "0", 2)
    rows = position_row("rb2605", LONG, 5, 0)
    desk.query(rows)
    assert not desk.state.differences, "a trade may be on its way"
    desk.query(rows)
    assert desk.state.differences == [Difference("rb2605", LONG, 2, 5)]
    desk.trade("0", "0", 3)
    desk.query(rows)
    assert not desk.state.differences


def test_a_position_that_only_we_have_is_a_difference(desk: Desk) -> None:
    desk.trade("0", "0", 2)
    desk.query()
    desk.query()
    assert desk.state.differences == [Difference("rb2605", LONG, 2, 0)]


def test_a_refused_query_changes_nothing(desk: Desk) -> None:
    desk.query(position_row("rb2605", LONG, 1, 1))
    desk.state.apply(desk.journal.add("qry_position", error_id=90, is_last=True))
    assert desk.lots() == (0, 1)


def test_a_new_day_makes_all_lots_yesterdays(desk: Desk) -> None:
    desk.query(position_row("rb2605", LONG, 1, 1))
    desk.trade("0", "0", 2)
    desk.trade("1", "0", 1)
    desk.trade("0", "3", 1)
    desk.state.apply(desk.journal.login(day="20261124"))
    positions = desk.state.positions
    assert desk.lots() == (0, 3) and not positions.complete and not positions.holding("rb2605", LONG).known
    assert positions.holding("rb2605", SHORT).total == 0
    desk.trade("0", "0", 9, day=DAY)
    assert desk.lots() == (0, 3), "a trade of the day before that comes again"


def test_records_must_come_in_order(desk: Desk) -> None:
    record = desk.journal.add("front_disconnected")
    skipped = desk.journal.add("front_disconnected")
    with pytest.raises(ValueError, match=f"record {skipped.sequence} came when {record.sequence} was due"):
        desk.state.apply(skipped)
