"""Whether the journal and the front agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tickengine.front.trading import TradingReport
from tickengine.trader.account import AccountState
from tickengine.trader.book import Order
from tickengine.trader.journal import TradeLog

_NEVER_THERE = ("not_sent", "missing")


def fold(account: AccountState, flow_dir: str, stop: int | None = None) -> AccountState:
    """Fold in what the journal has more, up to *stop*."""
    with TradeLog.attach(flow_dir) as journal:
        for record in journal.records(account.next_sequence, stop):
            account.apply(record)
    return account


def differences(account: AccountState, report: TradingReport, quick: bool) -> list[str]:
    """Everything in which they differ, in words. *quick*: returns may have been passed over."""
    return [*_orders(account, report, quick), *_trades(account, report), *_positions(account, report)]


def _orders(account: AccountState, report: TradingReport, quick: bool) -> Iterator[str]:
    for (session, reference), times in report.inserts.items():
        if times != 1:
            yield f"order {reference} of session {session} was received {times} times"
    theirs = {(o["FrontID"], o["SessionID"], o["OrderRef"]): o for o in report.orders}
    ours = {order.key: order for order in account.book}
    for key, values in theirs.items():
        order = ours.get(key)
        if order is None:
            yield f"order {key} is not in the book"
            continue
        said, known = (order.state, order.VolumeTraded), (_state(values), values["VolumeTraded"])
        if said != known:
            yield f"order {key} is {said} in the book, {known} at the front"
        system = values["OrderSysID"]
        trades = sorted((t["TradeID"], t["Price"], t["Volume"]) for t in report.trades if t["OrderSysID"] == system)
        if sorted((t.TradeID, t.Price, t.Volume) for t in order.trades) != trades:
            yield f"order {key} has trades {order.trades}, at the front {trades}"
    for key, order in ours.items():
        if not order.ClientID:
            yield f"order {key} left without a word in the journal"
        if key not in theirs and order.state not in _allowed(order, report, quick):
            yield f"order {key} is {order.state}, and the front has none"
    if account.book.counts.contradicted:
        yield f"{account.book.counts.contradicted} returns for orders that were held for never sent"


def _allowed(order: Order, report: TradingReport, quick: bool) -> tuple[str, ...]:
    if (order.SessionID, order.OrderRef) not in report.inserts:
        return _NEVER_THERE
    return ("rejected", "missing") if quick else ("rejected",)  # the front has refused it


def _trades(account: AccountState, report: TradingReport) -> Iterator[str]:
    ours = Counter((t.TradeID, t.Direction, t.OffsetFlag, t.Price, t.Volume) for t in account.book.trades)
    theirs = Counter((t["TradeID"], t["Direction"], t["OffsetFlag"], t["Price"], t["Volume"]) for t in report.trades)
    if ours != theirs:
        more, less = [*(ours - theirs).elements()], [*(theirs - ours).elements()]
        yield f"trades only in the book {more}, only at the front {less}"


def _positions(account: AccountState, report: TradingReport) -> Iterator[str]:
    for (_investor, instrument, side), lots in report.lots.items():
        holding = account.positions.holding(instrument, side)
        held = (holding.today, holding.yesterday)
        if held != lots:
            yield f"{instrument} side {side}: {held} lots in the book, {lots} at the front"


def _state(values: dict[str, object]) -> str:
    if values["OrderStatus"] == "5":
        return "rejected" if values["OrderSubmitStatus"] == "4" else "cancelled"
    return {"0": "filled", "1": "queueing", "3": "queueing", "a": "submitted"}[str(values["OrderStatus"])]
