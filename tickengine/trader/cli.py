"""``tickengine orders``: the book of an account's journal, for a look from outside. Nothing is changed."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any

from . import words
from .account import AccountState
from .book import Order
from .journal import TradeLog
from .positions import LONG, Holding

_SIDES = {words.BUY: "buy", words.SELL: "sell"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("flow_dir", help="the flow directory of the TraderEngine, or the journal's file")
    parser.add_argument("--json", action="store_true", help="everything, as one JSON object")


def run(args: argparse.Namespace) -> int:
    state = AccountState()
    with TradeLog.attach(args.flow_dir) as log:
        for record in log.records():
            state.apply(record)
        info = log.info()
        writer = int(info.writer_pid) if info.writer_alive else None
        told = book_of(state, os.path.abspath(log.path), writer)
    if args.json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(told)))
    return 0


def book_of(state: AccountState, path: str, writer: int | None) -> dict[str, Any]:
    """What the journal at *path* says; *writer*: the process that writes it now."""
    book = state.book
    return {
        "journal": path,
        "records": state.next_sequence,
        "writer": writer,
        # The last word of a process that was killed is not its state.
        "state": state.state if writer is not None or state.state in ("failed", "stopped") else "lost",
        "failure": state.failure,
        "trading_day": book.trading_day,
        "reconciled": state.reconciled,
        "orders": [_order(order) for order in book],
        "trades": [dataclasses.asdict(trade) for trade in book.trades],
        "positions": [_holding(holding) for holding in state.positions if holding.total],
        "differences": [dataclasses.asdict(difference) for difference in state.differences],
        "funds": state.funds,
    }


def _order(order: Order) -> dict[str, Any]:
    values = {f.name: getattr(order, f.name) for f in dataclasses.fields(order) if f.name != "trades"}
    return {**values, "trades": [trade.TradeID for trade in order.trades]}


def _holding(holding: Holding) -> dict[str, Any]:
    return {
        "InstrumentID": holding.InstrumentID,
        "ExchangeID": holding.ExchangeID,
        "PosiDirection": holding.PosiDirection,
        "total": holding.total,
        "today": holding.today,
        "yesterday": holding.yesterday,
        "known": holding.known,
    }


def _lines(told: dict[str, Any]) -> Iterator[str]:
    """For people: at most 80 columns, but for the path and for an error's own words."""
    writer = f"written by process {told['writer']}" if told["writer"] else "no process writes it"
    yield told["journal"]
    yield f"{told['records']} records, {writer}"
    yield f"state {told['state']}, trading day {told['trading_day'] or 'not known'}"
    if told["failure"]:
        yield f"failure: {told['failure']}"
    orders = [(o, f"{o['state']}{' ?' if o['state'] in ('unknown', 'missing') else ''}") for o in told["orders"]]
    yield f"\n{len(orders)} orders"
    if orders:
        yield _row("ref", "instrument", "side", "offset", "price", "lots", "filled", "state")
    for order, state in orders:
        yield _row(
            order["OrderRef"],
            order["InstrumentID"],
            _SIDES.get(order["Direction"], order["Direction"]),
            words.OFFSETS.get(order["Offset"], order["Offset"]),
            f"{order['LimitPrice']:.10g}",
            order["VolumeTotalOriginal"],
            order["filled"],
            state,
        )
        if why := order["ErrorMsg"] or order["cancel_error"]:
            yield f"{'':9}{why}"
    yield f"\n{len(told['trades'])} trades"
    if told["trades"]:
        yield _row("trade", "instrument", "side", "offset", "price", "lots", "", "time")
    for trade in told["trades"]:
        yield _row(
            trade["TradeID"],
            trade["InstrumentID"],
            _SIDES.get(trade["Direction"], trade["Direction"]),
            words.OFFSETS.get(trade["OffsetFlag"], trade["OffsetFlag"]),
            f"{trade['Price']:.10g}",
            trade["Volume"],
            "",
            trade["TradeTime"],
        )
    yield f"\n{len(told['positions'])} positions"
    for held in told["positions"]:
        side = "long" if held["PosiDirection"] == LONG else "short"
        guess = "" if held["known"] else " (a guess)"
        split = f"{held['today']} of today, {held['yesterday']} of before"
        yield f"{'':9}{held['InstrumentID']:<11} {side:<5} {held['total']:>6} lots: {split}{guess}"
    for other in told["differences"]:
        yield f"         {other['InstrumentID']}: the front says {other['theirs']}, we {other['ours']}"


def _row(ref: str, name: str, side: str, offset: str, price: str, lots: Any, filled: Any, last: str) -> str:
    return f"{ref:>8} {name:<11} {side:<4} {offset:<15} {price:>11} {lots:>5} {filled:>6} {last}".rstrip()
