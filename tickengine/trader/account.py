"""One account as the journal tells it: book, positions, money, connection."""

from __future__ import annotations

from typing import Any

from .book import Change, OrderBook
from .positions import Difference, Positions
from .records import Record


class AccountState:
    """Folds the journal's records into everything that is known of an account. One thread applies.

    Attributes:
        book: `OrderBook`, all orders and trades.
        positions: `Positions`.
        funds: the vendor's ``TradingAccount`` by its names, as of the last query; None before the first.
        state: the trading session's, see `TraderEngine.status`.
    """

    def __init__(self) -> None:
        self.book = OrderBook()
        self.positions = Positions()
        self.funds: dict[str, Any] | None = None
        self.state = "connecting"
        self.failure = ""
        self.reconciled = False
        """Since the last login orders and trades have been asked for, and everything was answered."""
        self.next_sequence = 0

    @property
    def differences(self) -> list[Difference]:
        """Where the front's positions are not ours."""
        return self.positions.differences

    def apply(self, record: Record) -> list[Change]:
        """Fold one record in; returns what changed. Records come in order, each once.

        Raises:
            ValueError: a record was left out.
        """
        if record.sequence != self.next_sequence:
            raise ValueError(f"record {record.sequence} came when {self.next_sequence} was due")
        self.next_sequence += 1
        changes = self.book.apply(record)
        for change in changes:
            if change.trade is not None:
                self.positions.apply_trade(change.trade)
            elif change.kind == "day":
                self.positions.roll(self.book.trading_day)
        if record.kind == "qry_position":
            self.positions.apply_row(record)
        elif record.kind == "qry_account" and record.data is not None:
            self.funds = record.data
        elif record.kind == "session_state":
            self.state = "failed" if record.value else record.error_msg
            self.failure = record.error_msg if record.value else ""
        elif record.kind in ("epoch_started", "front_disconnected"):
            self.state, self.reconciled = "connecting", False
        elif record.kind == "reconcile_done":
            self.reconciled = True
        return changes
