"""Two processes fold a journal while it is written: their books are the writer's own, at every length."""

from __future__ import annotations

import hashlib
import multiprocessing
import random
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from returns import Journal, input_order, order_return, trade_return

from tickengine.trader.account import AccountState
from tickengine.trader.journal import TradeLog, TradeLogWriter
from tickengine.trader.records import Record, decode, encode

STRUCTS = {
    "sending_order": "InputOrder",
    "err_rtn_order_insert": "InputOrder",
    "rtn_order": "Order",
    "qry_order": "Order",
    "rtn_trade": "Trade",
    "rsp_user_login": "RspUserLogin",
}
EVERY = 25


def history(seed: int, orders: int) -> list[Record]:
    """Orders in any state, returns repeated and out of order, cuts, reconciliations, other programs' orders."""
    dice, journal = random.Random(seed), Journal()
    journal.login()
    under_way: list[list[Any]] = []
    for number in range(1, orders + 1):
        asked = input_order(number, direction=dice.choice("01"), offset=dice.choice("013"), volume=2)
        if dice.random() < 0.9:
            journal.sending(number, asked)
            journal.add("sent_order", client_id=number, reason=dice.choice([0, 0, 0, -1]))
        system = str(number)
        under_way.append(
            [
                ("rtn_order", order_return(asked, "3", system=system)),
                ("rtn_order", order_return(asked, "1", traded=1, system=system)),
                ("rtn_trade", trade_return(asked, f"{number}-1", 1, system=system)),
                ("rtn_order", order_return(asked, dice.choice("05"), traded=2, system=system)),
                ("rtn_trade", trade_return(asked, f"{number}-2", 1, system=system)),
            ]
        )
        for _ in range(dice.randrange(8)):
            returns = dice.choice(under_way)
            if returns:
                kind, data = returns.pop(0 if dice.random() < 0.8 else -1)
                journal.add(kind, data=data)
                if dice.random() < 0.3:
                    journal.again(dice.choice(journal.records[1:]))
        if dice.random() < 0.05:
            journal.add("front_disconnected")
            journal.login(session=100 + number)
            journal.add("reconcile_began")
            journal.add("qry_order", data=order_return(asked, "3", system=system))
            journal.add("reconcile_done")
    return journal.records


def picture(state: AccountState) -> str:
    """Everything that can be told apart."""
    book = state.book
    parts = [
        *(repr(order) for order in book),
        *(repr(trade) for trade in book.trades),
        repr([o.key for o in book.open_orders()]),
        repr([o.key for o in book.unsettled()]),
        *(repr(holding) for holding in state.positions),
        repr((book.counts, book.trading_day, book.session, book.connected, book.last_client_id)),
        repr((state.state, state.failure, state.reconciled, state.next_sequence, state.funds)),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def fold(place: str, count: int, seed: int, answer: Connection) -> None:
    """A reader that takes now one record, now all there are, now waits."""
    dice, state = random.Random(seed), AccountState()
    pictures = []
    with TradeLog.attach(place) as log:
        answer.send("begun")
        while state.next_sequence < count:
            if not log.wait(state.next_sequence, 30):
                break
            most = state.next_sequence + dice.choice([1, 7, 1000])
            for record in log.records(state.next_sequence, most):
                state.apply(record)
                if state.next_sequence % EVERY == 0:
                    pictures.append(picture(state))
        answer.send([*pictures, picture(state)])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_processes_have_the_writers_own_book(tmp_path: Path, seed: int) -> None:
    made = history(seed, 120)
    spawn = multiprocessing.get_context("spawn")
    dice, ours = random.Random(-seed), AccountState()
    pictures = []
    with TradeLogWriter(str(tmp_path)) as writer:
        # The writer's own first word, an epoch, is one of the records.
        with TradeLog.attach(str(tmp_path)) as log:
            for record in log.read():
                ours.apply(record)
        count = ours.next_sequence + len(made)
        pipes = [spawn.Pipe() for _ in range(2)]
        readers = [
            spawn.Process(target=fold, args=(str(tmp_path), count, n, theirs)) for n, (_, theirs) in enumerate(pipes)
        ]
        for reader in readers:
            reader.start()
        for n, record in enumerate(made):
            if n == len(made) // 3:  # they have something to catch up with, and most is still to come
                assert [mine.recv() for mine, _ in pipes] == ["begun", "begun"]
            if dice.random() < 0.05:
                pipes[0][0].poll(0.005)  # so that they come to the end, and wait there
            fields = (record.error_id, record.error_msg, record.reason, record.client_id, record.value, record.data)
            written = Record(-1, record.kind, 1, 1, 0, 0, True, *fields, STRUCTS.get(record.kind, ""))
            sequence = writer.append(written)
            ours.apply(replace(decode(encode(written)), sequence=sequence))
            if ours.next_sequence % EVERY == 0:
                pictures.append(picture(ours))
        pictures.append(picture(ours))
        try:
            answers = [mine.recv() for mine, _ in pipes]
        finally:
            for reader in readers:
                reader.join(30)
    assert len(set(pictures)) > 10, "one book like the other"
    assert answers == [pictures, pictures]
    assert ours.book.counts.repeated > 10 and ours.book.counts.trades > 50
