"""The order book of record: one order, step by step, and what repetition, loss and doubt do to it."""

from __future__ import annotations

import pytest
from returns import DAY, SESSION_ID, Journal, input_order, order_return, trade_return

from tickengine.trader.book import Order, OrderBook
from tickengine.trader.records import Record


class Desk:
    """A book and the journal that feeds it."""

    def __init__(self) -> None:
        self.journal, self.book = Journal(), OrderBook()
        self.take(self.journal.login())

    def take(self, record: Record) -> list[str]:
        return [change.kind for change in self.book.apply(record)]

    def send(self, number: int = 1, rc: int = 0, **order: object) -> dict:
        given = input_order(number, **order)  # type: ignore[arg-type]
        self.take(self.journal.sending(number, given))
        self.take(self.journal.add("sent_order", client_id=number, reason=rc))
        return given


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_an_order_from_sending_to_filled(desk: Desk) -> None:
    given = input_order(1, volume=3)
    assert desk.take(desk.journal.sending(1, given)) == ["order"]
    order = desk.book.order(1)
    assert order.state == "sending" and order.open_volume == 3
    desk.take(desk.journal.add("sent_order", client_id=1))
    states = [order.state]
    for status, traded, system in (("a", 0, ""), ("a", 0, "88"), ("3", 0, "88"), ("1", 2, "88"), ("0", 3, "88")):
        data = order_return(given, status, traded=traded, system=system)
        assert desk.take(desk.journal.add("rtn_order", data=data)) == ["order"]
        states.append(order.state)
    assert states == ["sent", "submitted", "submitted", "queueing", "queueing", "filled"]
    assert order.is_final and not order.is_settled, "its trades have not come"
    assert desk.book.unsettled() == [order]
    for trade_id, volume in (("t1", 2), ("t2", 1)):
        data = trade_return(given, trade_id, volume, system="88")
        assert desk.take(desk.journal.add("rtn_trade", data=data)) == ["trade"]
    assert order.is_settled and order.filled == 3
    assert not desk.book.unsettled() and not desk.book.open_orders()


def test_a_repetition_of_the_day_says_nothing_new(desk: Desk) -> None:
    given = desk.send(volume=2)
    returns = [
        desk.journal.add("rtn_order", data=order_return(given, status, traded=traded, system=system))
        for status, traded, system in (("a", 0, ""), ("3", 0, "5"), ("1", 1, "5"), ("0", 2, "5"))
    ]
    returns += [desk.journal.add("rtn_trade", data=trade_return(given, t, 1, system="5")) for t in ("a", "b")]
    for record in returns:
        assert desk.take(record)
    order = desk.book.order(1)
    for record in returns:
        assert desk.take(desk.journal.again(record)) == []
        assert (order.state, order.VolumeTraded, order.filled) == ("filled", 2, 2)
    assert desk.book.counts.repeated == len(returns)


def test_one_trade_number_on_both_sides_is_two_trades(desk: Desk) -> None:
    buy, sell = desk.send(1), desk.send(2, direction="1")
    for given, system in ((buy, "1"), (sell, "2")):
        desk.take(desk.journal.add("rtn_order", data=order_return(given, "0", traded=1, system=system)))
        desk.take(desk.journal.add("rtn_trade", data=trade_return(given, "same", 1, system=system)))
    assert [len(order.trades) for order in desk.book] == [1, 1]


def test_a_trade_before_its_order_finds_it_later(desk: Desk) -> None:
    given = desk.send()
    assert desk.take(desk.journal.add("rtn_trade", data=trade_return(given, "t", 1, system="9"))) == ["trade"]
    assert desk.book.order(1).filled == 0
    desk.take(desk.journal.add("rtn_order", data=order_return(given, "0", traded=1, system="9")))
    assert desk.book.order(1).filled == 1 and desk.book.order(1).is_settled
    assert desk.book.own_lots == {"rb2605": 1} and desk.book.own_traded == desk.book.trading_day


@pytest.mark.parametrize("end", ["front_disconnected", "epoch_started"])
@pytest.mark.parametrize("sent", [False, True])
def test_without_a_return_the_fate_is_unknown_and_then_missing(desk: Desk, end: str, sent: bool) -> None:
    given = input_order(1)
    desk.take(desk.journal.sending(1, given))
    if sent:
        desk.take(desk.journal.add("sent_order", client_id=1))
    assert desk.take(desk.journal.add(end)) == ["connection", "order"]
    order = desk.book.order(1)
    assert order.state == "unknown" and order.is_uncertain
    desk.take(desk.journal.login(session=SESSION_ID + 1))
    desk.take(desk.journal.add("reconcile_began"))
    assert order.state == "unknown", "nothing is said before the answer is complete"
    assert desk.take(desk.journal.add("reconcile_done")) == ["order"]
    assert order.state == "missing" and order in desk.book.open_orders()
    # The return that comes after all is believed.
    desk.take(desk.journal.add("rtn_order", data=order_return(given, "0", traded=1, system="4")))
    assert order.state == "filled"


def test_a_query_that_has_the_order_ends_the_doubt(desk: Desk) -> None:
    given = desk.send()
    desk.take(desk.journal.add("front_disconnected", reason=4097))
    desk.take(desk.journal.add("reconcile_began"))
    assert desk.take(desk.journal.add("qry_order", data=order_return(given, "3", system="4"))) == ["order"]
    assert desk.take(desk.journal.add("reconcile_done")) == []
    assert desk.book.order(1).state == "queueing"


def test_an_order_sent_while_a_query_is_under_way_is_not_missing(desk: Desk) -> None:
    desk.take(desk.journal.add("reconcile_began"))
    desk.send()
    assert desk.take(desk.journal.add("reconcile_done")) == []
    assert desk.book.order(1).state == "sent"


def test_an_interrupted_query_says_nothing(desk: Desk) -> None:
    desk.send()
    desk.take(desk.journal.add("front_disconnected"))
    desk.take(desk.journal.add("reconcile_began"))
    desk.take(desk.journal.add("front_disconnected"))
    assert desk.take(desk.journal.add("reconcile_done")) == []
    assert desk.book.order(1).state == "unknown"


def test_a_return_code_means_that_it_never_left(desk: Desk) -> None:
    desk.send(rc=-1)
    order = desk.book.order(1)
    assert order.state == "not_sent" and not desk.book.open_orders()
    desk.take(desk.journal.add("front_disconnected"))
    assert order.state == "not_sent"


def test_orders_that_never_left_stand_apart(desk: Desk) -> None:
    for number in (1, 2):
        given = {**input_order(number), "OrderRef": ""}
        desk.take(desk.journal.add("order_not_sent", client_id=number, data=given, error_msg="not connected"))
    assert [o.state for o in desk.book] == ["not_sent", "not_sent"]
    assert desk.book.order(2).ErrorMsg == "not connected"


def test_a_return_for_an_order_held_for_never_sent_is_believed_and_counted(desk: Desk) -> None:
    given = desk.send(rc=-1)
    desk.take(desk.journal.add("rtn_order", data=order_return(given, "3", system="4")))
    assert desk.book.order(1).state == "queueing" and desk.book.open_orders() == [desk.book.order(1)]
    assert desk.book.counts.contradicted == 1


@pytest.mark.parametrize("first", ["rtn_order", "err_rtn_order_insert"])
def test_a_refusal_of_the_exchange_in_either_order(desk: Desk, first: str) -> None:
    given = desk.send()
    records = {
        "rtn_order": {"data": order_return(given, "5", submit="4", system="6")},
        "err_rtn_order_insert": {"data": given, "error_id": 31, "error_msg": "no money"},
    }
    for kind in sorted(records, key=lambda k: k != first):
        desk.take(desk.journal.add(kind, **records[kind]))
    order = desk.book.order(1)
    assert (order.state, order.ErrorID, order.ErrorMsg) == ("rejected", 31, "no money")
    assert desk.book.counts.unmatched == 0


def test_a_refusal_of_another_programs_order_with_our_reference_is_not_ours(desk: Desk) -> None:
    given = desk.send()
    theirs = {**given, "RequestID": 999}
    assert desk.take(desk.journal.add("err_rtn_order_insert", data=theirs, error_id=31)) == []
    assert desk.book.order(1).state == "sent" and desk.book.counts.unmatched == 1


def test_orders_of_other_programs_are_in_the_book(desk: Desk) -> None:
    given = input_order(1)
    desk.take(desk.journal.add("rtn_order", data=order_return(given, "3", system="7", session=5)))
    (order,) = desk.book
    assert order.ClientID == 0 and order.SessionID == 5 and desk.book.open_orders() == [order]
    desk.take(desk.journal.add("rtn_trade", data=trade_return(given, "t", 1, system="7")))
    assert order.filled == 1 and desk.book.own_lots == {} and desk.book.own_traded == ""
    desk.send(1)
    assert len(desk.book) == 2


def test_a_cancellation_and_its_refusal(desk: Desk) -> None:
    given = desk.send()
    desk.take(desk.journal.add("rtn_order", data=order_return(given, "3", system="7")))
    order = desk.book.order(1)
    action = {"FrontID": 1, "SessionID": SESSION_ID, "OrderRef": given["OrderRef"], "OrderSysID": "", "ExchangeID": ""}
    assert desk.take(desk.journal.add("sending_action", client_id=2, data=action)) == ["cancel"]
    desk.take(desk.journal.add("sent_action", client_id=2))
    assert order.cancel == "sent" and desk.book.last_client_id == 2
    refusal = {"data": action, "error_id": 26, "error_msg": "too late"}
    assert desk.take(desk.journal.add("rsp_order_action", **refusal)) == ["cancel"]
    assert (order.cancel, order.cancel_error, order.state) == ("refused", "too late", "queueing")
    assert desk.take(desk.journal.add("err_rtn_order_action", **refusal)) == []
    desk.take(desk.journal.add("rtn_order", data=order_return(given, "5", system="7")))
    assert order.state == "cancelled"


@pytest.mark.parametrize("end", ["front_disconnected", "epoch_started"])
@pytest.mark.parametrize("sent", [False, True])
def test_what_became_of_a_cancellation_under_way_is_unknown_after_a_cut(desk: Desk, end: str, sent: bool) -> None:
    given = desk.send()
    desk.take(desk.journal.add("rtn_order", data=order_return(given, "3", system="7")))
    action = {"FrontID": 1, "SessionID": SESSION_ID, "OrderRef": given["OrderRef"], "OrderSysID": "", "ExchangeID": ""}
    desk.take(desk.journal.add("sending_action", client_id=2, data=action))
    if sent:
        desk.take(desk.journal.add("sent_action", client_id=2))
    desk.take(desk.journal.add(end))
    order = desk.book.order(1)
    assert (order.state, order.cancel) == ("queueing", "unknown")
    assert desk.take(desk.journal.add("sent_action", client_id=2)) == [] and order.cancel == "unknown"
    # A refused one stays refused, and another one may be sent.
    desk.take(desk.journal.add("sending_action", client_id=3, data=action))
    desk.take(desk.journal.add("rsp_order_action", data=action, error_id=26, error_msg="too late"))
    desk.take(desk.journal.add(end))
    assert order.cancel == "refused"


def test_an_expired_order_stays_as_it_was(desk: Desk) -> None:
    given = desk.send(volume=2)
    desk.take(desk.journal.add("rtn_order", data=order_return(given, "3", system="7")))
    desk.take(desk.journal.login(day="20261124"))
    order = desk.book.order(1)
    for status, traded in (("3", 0), ("1", 1), ("0", 2), ("5", 0)):
        assert (
            desk.take(desk.journal.add("rtn_order", data=order_return(given, status, traded=traded, system="7"))) == []
        )
    assert (order.state, order.VolumeTraded, order.is_settled) == ("expired", 0, True)
    assert desk.book.counts.repeated == 4 and not desk.book.unsettled()


def test_a_final_state_stays_when_older_returns_come(desk: Desk) -> None:
    given = desk.send(volume=2)
    for status, traded in (("5", 1), ("3", 0), ("1", 1), ("a", 0)):
        desk.take(desk.journal.add("rtn_order", data=order_return(given, status, traded=traded, system="7")))
        assert (desk.book.order(1).state, desk.book.order(1).VolumeTraded) == ("cancelled", 1)


def test_an_older_return_with_more_lots_does_not_move_the_state_back(desk: Desk) -> None:
    given = desk.send(volume=4)
    desk.take(desk.journal.add("rtn_order", data=order_return(given, "3", system="7")))
    desk.take(desk.journal.add("rtn_order", data=order_return(given, "a", traded=1, system="7")))
    assert (desk.book.order(1).state, desk.book.order(1).VolumeTraded) == ("queueing", 1)


def test_a_new_trading_day_ends_what_is_left(desk: Desk) -> None:
    given = desk.send()
    desk.take(desk.journal.add("rtn_order", data=order_return(given, "3", system="7")))
    assert desk.take(desk.journal.login(day="20261124")) == ["connection", "order", "day"]
    assert desk.book.order(1).state == "expired" and not desk.book.open_orders()
    assert desk.book.trading_day == "20261124" != DAY


def test_an_expected_order_counts_at_once_and_stays_the_same_object(desk: Desk) -> None:
    given = input_order(1, volume=2)
    order = Order(1, "rb2605", "SHFE", "0", "0", 3000.0, 2)
    desk.book.expect(order)
    assert desk.book.open_orders("rb2605") == [order] and desk.book.order(1) is order
    desk.take(desk.journal.sending(1, given))
    assert desk.book.order(1) is order and desk.book.open_orders() == [order]
    assert order.OrderRef == "1" and order.SessionID == SESSION_ID


def test_an_expected_order_that_did_not_leave_is_over(desk: Desk) -> None:
    order = Order(1, "rb2605", "SHFE", "0", "0", 3000.0, 2)
    desk.book.expect(order)
    desk.take(desk.journal.add("order_not_sent", client_id=1, data=input_order(1), error_msg="closed"))
    assert order.state == "not_sent" and not desk.book.open_orders()


def test_negative_vendor_numbers_are_one_identity(desk: Desk) -> None:
    given = input_order(1)
    desk.take(desk.journal.add("sending_order", client_id=1, data=given, value=(1 << 32) | (-5 & 0xFFFFFFFF)))
    desk.take(desk.journal.add("rtn_order", data=order_return(given, "3", system="7", session=-5)))
    assert len(desk.book) == 1 and desk.book.order(1).state == "queueing"
    assert desk.book.order(1).key == (1, -5, "1"), "as the vendor has them: a cancellation says them again"
