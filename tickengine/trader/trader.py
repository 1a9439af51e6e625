"""What every kind of trader has in common: the account, the limits, orders and what comes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from .._errors import ConfigError
from . import words
from .account import AccountState
from .book import Change, Order, OrderBook
from .inputs import check_terms
from .limits import Gatekeeper, Limits, Wish
from .positions import Positions, exchange_of
from .records import Record, StructForm, shown

Self = TypeVar("Self", bound="Trader")

_DIRECTIONS = (words.BUY, words.SELL)
_OFFSETS = tuple(words.OFFSETS)
_MOST_FORMS = 4096  # orders that differ in more than price and volume

# Of an order: instrument, exchange, direction, offset, hedge, price type, time and volume condition.
Terms = tuple[str, str, str, str, str, str, str, str]

LAST_CLIENT_ID = 2**30 - 1  # it travels within the vendor's RequestID


class Trader:
    """One account that orders can be sent for. Use it from one thread.

    `poll` takes what has happened since the last call and returns it as `Change` objects, in order, each
    once; `book`, `positions` and `funds` are as of then. `insert` and `cancel` return at once; what
    becomes of them comes with later polls.

    Args:
        limits: what an order must keep to; see `Limits`.
    """

    def __init__(self, broker_id: str, investor_id: str, limits: Limits) -> None:
        self.account = AccountState()
        self._broker_id, self._investor_id = broker_id, investor_id
        self.gate = Gatekeeper(limits, self.account.book, self.account.positions)
        self._client_id = 0
        self._changes: list[Change] = []
        self._forms: dict[Terms, StructForm] = {}

    # ---- looking -------------------------------------------------------------------------------

    @property
    def book(self) -> OrderBook:
        """All orders and trades."""
        return self.account.book

    @property
    def positions(self) -> Positions:
        """What the account holds."""
        return self.account.positions

    @property
    def funds(self) -> dict[str, Any] | None:
        """The vendor's ``TradingAccount`` as of the last query; None before the first."""
        return self.account.funds

    @property
    def connected(self) -> bool:
        """Whether orders can be sent now."""
        raise NotImplementedError

    @property
    def failure(self) -> str:
        """Why there will be no connection any more, "" as long as there may be one."""
        return ""

    def poll(self) -> list[Change]:
        """What has happened since the last call, oldest first. Does not block."""
        self._catch_up()
        changes, self._changes = self._changes, []
        return changes

    def _catch_up(self) -> None:
        """Fold in what is new; its changes wait for `poll`."""
        for record in self._read():
            self._changes += self.account.apply(record)

    # ---- orders --------------------------------------------------------------------------------

    def insert(
        self,
        instrument_id: str,
        direction: str,
        offset: str,
        price: float,
        volume: int,
        *,
        exchange_id: str = "",
        hedge: str = words.SPECULATION,
        order_price_type: str = words.LIMIT_PRICE,
        time_condition: str = words.GOOD_FOR_DAY,
        volume_condition: str = words.ANY_VOLUME,
        min_volume: int = 0,
    ) -> Order:
        """Send an order.

        Args:
            direction: "0" buy, "1" sell.
            offset: "0" open, "1" close, "3" close today's, "4" close yesterday's lots.
            price: limit, per unit of the underlying.
            volume: lots.
            exchange_id: default the exchange of the instrument's product.
            hedge, order_price_type, time_condition, volume_condition: the vendor's characters; by default
                speculation, limit, good for the day, any volume.

        Returns:
            The order, which counts as under way at once. The object is kept up to date by `poll`.

        Raises:
            ConfigError: a wrong argument; nothing was sent.
            LimitRefused: it does not keep a limit; nothing was sent.
        """
        if direction not in _DIRECTIONS:
            raise ConfigError(f"direction {shown(direction)} must be one of {', '.join(map(repr, _DIRECTIONS))}")
        if offset not in _OFFSETS:
            raise ConfigError(f"offset {shown(offset)} must be one of {', '.join(map(repr, _OFFSETS))}")
        if not isinstance(volume, int) or isinstance(volume, bool):
            raise ConfigError(f"volume {shown(volume)} must be a whole number of lots")
        if not isinstance(instrument_id, str) or not instrument_id:
            raise ConfigError(f"instrument_id {shown(instrument_id)} must be the id of an instrument")
        if exchange_id == "":
            exchange_id = exchange_of(instrument_id)
        terms = (
            *(instrument_id, exchange_id, direction, offset),
            *(hedge, order_price_type, time_condition, volume_condition),
        )
        limit_price, volume, min_volume = self._form(terms).checked(price, volume, min_volume)
        self._catch_up()
        wish = Wish(instrument_id, direction, offset, limit_price, volume, order_price_type)
        self.gate.check(wish, time.monotonic_ns())
        client_id = self._next_client_id()
        order = Order(client_id, instrument_id, exchange_id, direction, offset, limit_price, volume)
        order.OrderPriceType = order_price_type
        self.book.expect(order)
        try:
            self._send_order(order, terms, min_volume)
        except BaseException:
            self.book.forget(order)  # it never left this process
            raise
        return order

    def cancel(self, order: Order) -> None:
        """Ask for an order to be cancelled. Its ``cancel`` says what became of the request; that the order is
        cancelled is its state.

        Raises:
            ConfigError: the order is at its end, or has not left yet.
            LimitRefused: too many orders and cancellations within a second.
        """
        self._catch_up()
        if order.is_final:
            raise ConfigError(f"order {order.OrderRef or order.ClientID} is {order.state}: nothing is left to cancel")
        if not order.OrderRef:
            raise ConfigError(f"order {order.ClientID} has not been sent yet: it cannot be cancelled before")
        self.gate.check_cancel(time.monotonic_ns())
        reference, system = order.named
        self._send_action(
            order,
            {
                "BrokerID": self._broker_id,
                "InvestorID": self._investor_id,
                "UserID": self._investor_id,
                "InstrumentID": order.InstrumentID,
                "ExchangeID": order.ExchangeID,
                "FrontID": order.FrontID,
                "SessionID": order.SessionID,
                "OrderRef": reference,
                "OrderSysID": system,
                "ActionFlag": words.DELETE,
                "OrderActionRef": self._next_client_id(),
            },
        )

    def _next_client_id(self) -> int:
        self._client_id = max(self._client_id, self.book.last_client_id) + 1
        if self._client_id > LAST_CLIENT_ID:
            raise ConfigError("the journal has no numbers left for orders: archive it and begin a new one")
        return self._client_id

    def watch(self, news: Callable[[], None] | None) -> None:
        """Have *news* called, on a thread of its own, whenever there is something for `poll`; None ends it.

        A trader whose news come from its user's own calls has no need to.
        """

    def _form(self, terms: Terms) -> StructForm:
        """The vendor's ``InputOrder`` of such orders. Raises `ConfigError`: there can be none."""
        try:
            form = self._forms.get(terms)
        except TypeError:  # one of them is no text; which one is said below
            form = None
        if form is None:
            fields = self._order_fields(terms)
            for name, value in fields.items():
                if not isinstance(value, str):  # bytes would be sent, but are not what the book has
                    raise ConfigError(f"InputOrder.{name} must be a text, not {shown(value)}")
            form = StructForm("InputOrder", fields, *("LimitPrice", "VolumeTotalOriginal", "MinVolume", "RequestID"))
            check_terms(fields)
            if len(self._forms) >= _MOST_FORMS:
                self._forms.clear()
            self._forms[terms] = form
        return form

    def _order_fields(self, terms: Terms) -> dict[str, Any]:
        """The vendor's ``InputOrder``, but for its numbers and its reference."""
        instrument_id, exchange, direction, offset, hedge, price_type, time_condition, volume_condition = terms
        return {
            "BrokerID": self._broker_id,
            "InvestorID": self._investor_id,
            "UserID": self._investor_id,
            "InstrumentID": instrument_id,
            "ExchangeID": exchange,
            "OrderPriceType": price_type,
            "Direction": direction,
            "CombOffsetFlag": offset,
            "CombHedgeFlag": hedge,
            "TimeCondition": time_condition,
            "VolumeCondition": volume_condition,
            "ContingentCondition": words.IMMEDIATELY,
            "ForceCloseReason": words.NOT_FORCE_CLOSE,
        }

    # ---- what each kind does in its own way ----------------------------------------------------

    def stop(self) -> None:
        """End everything that it has started. Orders at the exchange stay there."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def connect(self) -> None:
        """Connect (again) after `disconnect`. Returns at once."""
        raise NotImplementedError

    def disconnect(self) -> None:
        """End the connection on purpose, until `connect`. Orders at the exchange stay there."""
        raise NotImplementedError

    def _read(self) -> Iterable[Record]:
        """The records from ``account.next_sequence`` on."""
        raise NotImplementedError

    def _send_order(self, order: Order, terms: Terms, min_volume: int) -> None:
        raise NotImplementedError

    def _send_action(self, order: Order, fields: dict[str, Any]) -> None:
        raise NotImplementedError
