"""What `TraderApi` knows of its own orders, from the journal that it writes: their numbers, and what limits need."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .._errors import ConfigError
from ._process import References
from .book import Order
from .inputs import text_of
from .journal import TradeLog
from .limits import Gatekeeper, Limits, Wish
from .trader import LAST_CLIENT_ID


class Ledger:
    """Belongs to whoever holds the lock of its orders.

    Args:
        flow_path: where the journal is.
        limits: what orders must keep to.
    """

    def __init__(self, flow_path: str, limits: Limits) -> None:
        references = References(flow_path)
        self.highest = references.highest
        self.account = references.state
        self.gate = Gatekeeper(limits, self.account.book, self.account.positions)
        self._log = TradeLog.attach(flow_path)
        self._client_id = self.account.book.last_client_id
        self._asked: dict[int, int] = {}
        self._numbers: dict[int, int] = {}

    def close(self) -> None:
        """Give the journal back."""
        self._log.close()

    def _catch_up(self) -> None:
        for record in self._log.records(self.account.next_sequence):
            self.account.apply(record)
            if record.kind in ("sending_order", "sending_action") and record.client_id in self._asked:
                self._numbers[record.request_id] = self._asked.pop(record.client_id)

    def next_client_id(self) -> int:
        """A new number of ours, for an order or a cancellation."""
        if self._client_id >= LAST_CLIENT_ID:
            raise ConfigError("the journal has no numbers left for orders: archive it and begin a new one")
        self._client_id += 1
        return self._client_id

    def call(self, client_id: int, number: int) -> None:
        """What the program calls the order or cancellation that has just been sent."""
        self._asked[client_id] = number

    def number_of(self, request_id: int) -> int:
        """What the program calls the order or cancellation that went out as *request_id*."""
        self._catch_up()
        return self._numbers.get(request_id, request_id)

    def order(self, order_ref: int) -> Order | None:
        """The order of ours with that reference."""
        self._catch_up()
        return self.account.book.by_reference(order_ref)

    def positions_known(self) -> bool:
        """Whether a position query of this trading day has been answered."""
        self._catch_up()
        return self.account.positions.complete

    def check_order(self, fields: Mapping[str, Any]) -> None:
        """Pass an ``InputOrder`` that `check_input_order` has passed; `LimitRefused` if it does not keep a limit."""
        self._catch_up()
        wish = Wish(
            text_of(fields, "InstrumentID"),
            text_of(fields, "Direction"),
            text_of(fields, "CombOffsetFlag")[:1],
            float(fields.get("LimitPrice") or 0.0),
            int(fields["VolumeTotalOriginal"]),
            text_of(fields, "OrderPriceType"),
        )
        self.gate.check(wish, time.monotonic_ns())

    def check_cancel(self) -> None:
        """Raises `LimitRefused` if there have been too many within a second."""
        self.gate.check_cancel(time.monotonic_ns())
