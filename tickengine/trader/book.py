"""The order book of record: what became of every order, folded from the journal.

`OrderBook.apply` takes the journal's records one by one and is a pure function of them: whoever folds the
same records has the same book, at any time and in any process. A return may come more than once (the
library repeats after a crash what it was not done with, RESTART repeats the whole day, queries repeat
everything), so an order only moves forward and a trade counts once.

::

    sending ──▶ sent ──▶ submitted ──▶ queueing ──▶ filled
       │         │            │            │  └────▶ cancelled     (with or without trades)
       ├─────────┴──▶ unknown ┤            └───────▶ expired       (the trading day is over)
       ▼                 │    └──▶ rejected
    not_sent             └──▶ missing ──▶ (any of the above, if a return comes after all)

``unknown``: the connection or the process was lost before the first return. ``missing``: a complete query
after that did not have the order. Neither is a guess about its fate; only a return ends them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import words
from .records import Picked, Record

PHASES = {
    "sending": 0,
    "sent": 1,
    "unknown": 2,
    "missing": 3,
    "submitted": 4,
    "queueing": 5,
    "filled": 6,
    "cancelled": 6,
    "rejected": 6,
    "expired": 6,
    "not_sent": 6,
}
FINAL = 6
_FIRST_RETURN = PHASES["submitted"]

# What the book wants to know of an order that leaves, if it is one that was expected, and of an order's return.
_SENT = Picked("InputOrder", "OrderRef", "RequestID")
_RETURNED = Picked(
    "Order",
    *("FrontID", "SessionID", "OrderRef", "OrderStatus", "OrderSubmitStatus"),
    *("VolumeTraded", "OrderSysID", "StatusMsg", "ExchangeID", "TradingDay"),
)

Key = tuple[int, int, str]
Place = tuple[str, str, str]


@dataclass(slots=True)
class Trade:
    """One fill, as ``OnRtnTrade`` gave it; prices per unit, volumes in lots."""

    ExchangeID: str
    TradeID: str
    OrderSysID: str
    OrderRef: str
    InstrumentID: str
    Direction: str
    OffsetFlag: str
    Price: float
    Volume: int
    TradeDate: str
    TradeTime: str
    TradingDay: str
    Sequence: int
    """Of the journal's record that brought it first."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes it one trade: exchanges number per day, and both sides of a self-trade alike."""
        return self.TradingDay, self.ExchangeID, self.TradeID, self.Direction


@dataclass(slots=True, eq=False)
class Order:
    """One order. The same object all its life; volumes in lots, prices per unit.

    Attributes:
        ClientID: our number of it; 0 for orders that other programs of the account have sent.
        state: one of `PHASES`.
        VolumeTraded: as the order's returns say. ``filled`` is the sum of its trades; the two differ for the
            moment between the return of the order and those of its trades.
        ErrorID, ErrorMsg: why it was refused; `StatusMsg` has the exchange's words.
        cancel: "" or what became of the last request to cancel: sending, sent, refused, not_sent, unknown.
    """

    ClientID: int
    InstrumentID: str
    ExchangeID: str
    Direction: str
    Offset: str
    LimitPrice: float
    VolumeTotalOriginal: int
    OrderRef: str = ""
    FrontID: int = 0
    SessionID: int = 0
    TradingDay: str = ""
    RequestID: int = 0
    state: str = "sending"
    OrderSysID: str = ""
    VolumeTraded: int = 0
    StatusMsg: str = ""
    ErrorID: int = 0
    ErrorMsg: str = ""
    cancel: str = ""
    cancel_error: str = ""
    Sequence: int = -1
    """Of the journal's newest record that changed it."""
    filled: int = 0
    trades: list[Trade] = field(default_factory=list)
    OrderPriceType: str = words.LIMIT_PRICE
    named: tuple[str, str] = ("", "")
    """OrderRef and OrderSysID as the front writes them, spaces and all: so a cancellation names the order."""

    @property
    def key(self) -> Key:
        """The vendor's identity of an order."""
        return self.FrontID, self.SessionID, self.OrderRef

    @property
    def open_volume(self) -> int:
        """Lots that may still be traded; 0 once the order is at its end."""
        if PHASES[self.state] == FINAL:
            return 0
        return max(0, self.VolumeTotalOriginal - max(self.VolumeTraded, self.filled))

    @property
    def is_final(self) -> bool:
        """Nothing more can happen to it."""
        return PHASES[self.state] == FINAL

    @property
    def is_settled(self) -> bool:
        """At its end, and every trade that its returns speak of is here."""
        return self.is_final and self.filled >= self.VolumeTraded

    @property
    def is_uncertain(self) -> bool:
        """Its fate is not known: it may be at the exchange or may never have left."""
        return self.state in ("unknown", "missing")


@dataclass(slots=True)
class Change:
    """What a record did to the book.

    Attributes:
        kind: order, trade, cancel, connection or day.
        state: the order's state behind this record; the order itself may have moved on.
    """

    kind: str
    record: Record
    order: Order | None = None
    trade: Trade | None = None
    state: str = ""


@dataclass(slots=True)
class BookCounts:
    """What the fold has seen, to compare with others' accounts."""

    returns: int = 0
    trades: int = 0
    repeated: int = 0
    """Returns that said nothing new, and trades that were here already."""
    unmatched: int = 0
    """Refusals that fit none of our orders: they belong to another program of the account."""
    contradicted: int = 0
    """Returns for orders that were held for never sent."""


class OrderBook:
    """All orders and trades of one account. Not thread-safe: one thread applies."""

    def __init__(self) -> None:
        self.counts = BookCounts()
        self.trading_day = ""
        self.session = (0, 0)
        self.connected = False
        self.own_lots: dict[str, int] = {}
        """Instrument -> lots that our own orders have bought, less those that they have sold, on all days."""
        self.own_traded = ""
        """The newest trading day on which an order of our own has traded, "" before the first."""
        self._orders: dict[Key, Order] = {}
        self._ours: dict[int, Order] = {}
        self._expected: dict[int, Order] = {}
        self._actions: dict[int, Order] = {}
        self._last_client_id = 0
        self._by_ref: dict[str, Order] = {}
        self._by_system: dict[Place, Order] = {}
        self._open: dict[Key, Order] = {}
        self._unsettled: dict[Key, Order] = {}
        self._trades: dict[tuple[str, str, str, str], Trade] = {}
        self._orphans: dict[Place, list[Trade]] = {}
        self._listed: set[Key] | None = None
        self._asked_about: list[Order] = []

    # ---- reading -------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Order]:
        """All orders, oldest first."""
        return iter(self._orders.values())

    def __len__(self) -> int:
        return len(self._orders)

    @property
    def trades(self) -> list[Trade]:
        """All trades, oldest first."""
        return list(self._trades.values())

    def order(self, client_id: int) -> Order:
        """The order of ours with that number.

        Raises:
            KeyError: there is none.
        """
        return self._ours.get(client_id) or self._expected[client_id]

    def by_reference(self, order_ref: int) -> Order | None:
        """The order of ours that has gone out with *order_ref*."""
        return self._by_ref.get(str(order_ref))

    def open_orders(self, instrument_id: str | None = None) -> list[Order]:
        """Orders that are not at their end, oldest first; those of uncertain fate are among them."""
        under_way = [*self._open.values(), *self._expected.values()] if self._expected else self._open.values()
        return [o for o in under_way if instrument_id is None or o.InstrumentID == instrument_id]

    @property
    def open_count(self) -> int:
        """How many orders are not at their end."""
        return len(self._open) + len(self._expected)

    def unsettled(self, instrument_id: str | None = None) -> list[Order]:
        """Open ones, and ended ones whose trades are not all here."""
        late = [o for o in self._unsettled.values() if instrument_id is None or o.InstrumentID == instrument_id]
        return self.open_orders(instrument_id) + late

    @property
    def last_client_id(self) -> int:
        """The highest number given to an order or a cancellation of ours, 0 if there is none."""
        return self._last_client_id

    # ---- writing -------------------------------------------------------------------------------

    def expect(self, order: Order) -> None:
        """Count an order of ours as under way from now on: its record is on its way to the journal.

        The record completes the same object. Who only reads a journal has no use for this.
        """
        self._expected[order.ClientID] = order

    def forget(self, order: Order) -> None:
        """An expected order did not leave after all, and no record of it will come."""
        self._expected.pop(order.ClientID, None)

    # ---- applying ------------------------------------------------------------------------------

    def apply(self, record: Record) -> list[Change]:
        """Fold one record in; returns what changed, nothing for a repetition."""
        method = _METHODS.get(record.kind)
        if method is None:
            return []
        changes: list[Change] = getattr(self, method)(record)
        for change in changes:
            if change.order is not None:
                change.state = change.order.state
        return changes

    def _on_connection(self, record: Record) -> list[Change]:
        self.connected = False
        self._listed, self._asked_about = None, []  # an answer that was on its way is not complete
        changes = [Change("connection", record)]
        for order in self._open.values():
            if order.state in ("sending", "sent"):
                order.state, order.Sequence = "unknown", record.sequence
                changes.append(Change("order", record, order))
            if order.cancel in ("sending", "sent"):
                order.cancel = "unknown"
        return changes

    def _on_login(self, record: Record) -> list[Change]:
        changes = [Change("connection", record)]
        data = record.data
        if record.error_id != 0 or data is None:
            return changes
        self.connected = True
        self.session = (data["FrontID"], data["SessionID"])
        day = data["TradingDay"]
        if day and day != self.trading_day:
            previous, self.trading_day = self.trading_day, day
            if previous:
                changes += self._expire(record)
            changes.append(Change("day", record))
        return changes

    def _expire(self, record: Record) -> list[Change]:
        changes = []
        for order in list(self._open.values()):
            if order.TradingDay != self.trading_day:
                self._end(order, "expired", record)
                changes.append(Change("order", record, order))
        return changes

    def _on_sending(self, record: Record) -> list[Change]:
        order = self._expected.pop(record.client_id, None)
        if order is None:
            assert record.data is not None
            order = _order_of(record.data, record.client_id)
        sent = _SENT.of(record)
        assert sent is not None
        reference, order.RequestID = sent
        # One that never got a reference still needs a key of its own.
        order.OrderRef = reference.strip() or f"#{record.client_id}"
        order.named = (reference, "")
        order.FrontID, order.SessionID = record.front_session
        order.TradingDay = self.trading_day
        order.Sequence = record.sequence
        self._add(order)
        return [Change("order", record, order)]

    def _add(self, order: Order) -> None:
        self._orders[order.key] = order
        self._open[order.key] = order
        if order.ClientID:
            self._last_client_id = max(self._last_client_id, order.ClientID)
            self._ours[order.ClientID] = order
            self._by_ref[order.OrderRef] = order

    def _on_sent(self, record: Record) -> list[Change]:
        order = self._ours.get(record.client_id)
        if order is None or order.state != "sending":
            return []
        if record.reason == 0:
            order.state, order.Sequence = "sent", record.sequence
        else:
            order.ErrorMsg = record.error_msg
            order.ErrorID = record.reason
            self._end(order, "not_sent", record)
        return [Change("order", record, order)]

    def _on_not_sent(self, record: Record) -> list[Change]:
        order = self._ours.get(record.client_id)
        if order is None:
            self._on_sending(record)
            order = self._ours[record.client_id]
        elif order.is_final:
            return []
        order.ErrorMsg = record.error_msg
        self._end(order, "not_sent", record)
        return [Change("order", record, order)]

    def _on_order(self, record: Record) -> list[Change]:
        told = _RETURNED.of(record)
        if told is None:
            return []
        front, session, reference, status, submit, traded, number, words_of_it, exchange, day = told
        self.counts.returns += 1
        key = (front, session, reference.strip())
        if self._listed is not None and record.kind == "qry_order":
            self._listed.add(key)
        order = self._orders.get(key)
        if order is None:
            assert record.data is not None
            order = self._foreign(key, record.data)
        state = _state_of(status, submit)
        traded = max(traded, 0)
        system = number.strip()
        if not _goes_forward(order, state, traded, bool(system)):
            self.counts.repeated += 1
            return []
        if order.state == "not_sent":
            self.counts.contradicted += 1
            self._open[key] = order
            order.state = state
        elif PHASES[state] > PHASES[order.state]:
            order.state = state
        order.VolumeTraded = max(order.VolumeTraded, traded)
        order.StatusMsg = words_of_it
        order.ExchangeID = exchange or order.ExchangeID
        order.TradingDay = day or order.TradingDay
        order.Sequence = record.sequence
        order.named = (reference, number if system else order.named[1])
        if system and not order.OrderSysID:
            order.OrderSysID = system
            self._adopt(order)
        self._file(order)
        return [Change("order", record, order)]

    def _foreign(self, key: Key, data: dict[str, Any]) -> Order:
        order = _order_of(data, 0)
        order.FrontID, order.SessionID, order.OrderRef = key
        order.TradingDay = data["TradingDay"]
        self._add(order)
        return order

    def _adopt(self, order: Order) -> None:
        """Give an order the trades that came before its system number was known."""
        place = (order.TradingDay, order.ExchangeID, order.OrderSysID)
        self._by_system[place] = order
        for trade in self._orphans.pop(place, []):
            self._fill(order, trade)

    def _fill(self, order: Order, trade: Trade) -> None:
        order.trades.append(trade)
        order.filled += trade.Volume
        if order.ClientID:
            lots = trade.Volume if trade.Direction == words.BUY else -trade.Volume
            self.own_lots[trade.InstrumentID] = self.own_lots.get(trade.InstrumentID, 0) + lots
            self.own_traded = max(self.own_traded, trade.TradingDay)

    def _file(self, order: Order) -> None:
        """Keep the lists of open and of unsettled orders."""
        if not order.is_final:
            return
        self._open.pop(order.key, None)
        if order.is_settled:
            self._unsettled.pop(order.key, None)
        else:
            self._unsettled[order.key] = order

    def _on_trade(self, record: Record) -> list[Change]:
        data = record.data
        if data is None:
            return []
        self.counts.returns += 1
        trade = Trade(
            ExchangeID=data["ExchangeID"],
            TradeID=data["TradeID"].strip(),
            OrderSysID=data["OrderSysID"].strip(),
            OrderRef=data["OrderRef"].strip(),
            InstrumentID=data["InstrumentID"],
            Direction=data["Direction"],
            OffsetFlag=data["OffsetFlag"],
            Price=data["Price"],
            Volume=data["Volume"],
            TradeDate=data["TradeDate"],
            TradeTime=data["TradeTime"],
            TradingDay=data["TradingDay"],
            Sequence=record.sequence,
        )
        if trade.key in self._trades:
            self.counts.repeated += 1
            return []
        self._trades[trade.key] = trade
        self.counts.trades += 1
        place = (trade.TradingDay, trade.ExchangeID, trade.OrderSysID)
        order = self._by_system.get(place)
        if order is None:
            self._orphans.setdefault(place, []).append(trade)
        else:
            self._fill(order, trade)
            order.Sequence = record.sequence
            self._file(order)
        return [Change("trade", record, order, trade)]

    def _on_refused(self, record: Record) -> list[Change]:
        data = record.data
        order = None if data is None else self._refused_order(data)
        if order is None:
            self.counts.unmatched += 1
            return []
        if order.is_final:
            if order.state == "rejected" and not order.ErrorID:
                order.ErrorID, order.ErrorMsg = record.error_id, record.error_msg
                return [Change("order", record, order)]
            self.counts.repeated += 1
            return []
        order.ErrorID, order.ErrorMsg = record.error_id, record.error_msg
        self._end(order, "rejected", record)
        return [Change("order", record, order)]

    def _refused_order(self, data: dict[str, Any]) -> Order | None:
        """Refusals carry no session: another program's order may have the same reference."""
        order = self._by_ref.get(data["OrderRef"].strip())
        if order is None:
            return None
        same = (
            order.InstrumentID == data["InstrumentID"]
            and order.Direction == data["Direction"]
            and order.LimitPrice == data["LimitPrice"]
            and order.VolumeTotalOriginal == data["VolumeTotalOriginal"]
            and order.RequestID == data["RequestID"]
        )
        return order if same else None

    def _on_action(self, record: Record) -> list[Change]:
        order = None if record.data is None else self._target(record.data)
        if order is None:
            return []
        self._actions[record.client_id] = order
        self._last_client_id = max(self._last_client_id, record.client_id)
        if order.is_final:
            return []
        order.cancel, order.cancel_error = "sending", ""
        order.Sequence = record.sequence
        return [Change("cancel", record, order)]

    def _on_action_sent(self, record: Record) -> list[Change]:
        order = self._actions.pop(record.client_id, None)
        if order is None or order.cancel != "sending":
            return []
        order.cancel = "sent" if record.reason == 0 else "not_sent"
        order.cancel_error = record.error_msg
        order.Sequence = record.sequence
        return [Change("cancel", record, order)]

    def _on_action_not_sent(self, record: Record) -> list[Change]:
        order = self._actions.pop(record.client_id, None)
        if order is None and record.data is not None:
            order = self._target(record.data)
        self._last_client_id = max(self._last_client_id, record.client_id)
        if order is None:
            return []
        order.cancel, order.cancel_error = "not_sent", record.error_msg
        order.Sequence = record.sequence
        return [Change("cancel", record, order)]

    def _target(self, data: dict[str, Any]) -> Order | None:
        """The order that a cancellation is about."""
        order = self._orders.get(_key_of(data))
        if order is None and data["OrderSysID"].strip():
            order = self._by_system.get((self.trading_day, data["ExchangeID"], data["OrderSysID"].strip()))
        return order

    def _on_action_refused(self, record: Record) -> list[Change]:
        order = None if record.data is None else self._target(record.data)
        if order is None:
            self.counts.unmatched += 1
            return []
        if order.cancel == "refused":
            self.counts.repeated += 1
            return []
        order.cancel, order.cancel_error = "refused", record.error_msg
        order.Sequence = record.sequence
        return [Change("cancel", record, order)]

    def _on_reconcile_began(self, record: Record) -> list[Change]:
        self._listed = set()
        self._asked_about = [o for o in self._open.values() if o.ClientID and o.is_uncertain]
        return []

    def _on_reconcile_done(self, record: Record) -> list[Change]:
        listed, self._listed = self._listed, None
        if listed is None:
            return []
        changes = []
        for order in self._asked_about:
            if order.state == "unknown" and order.key not in listed:
                order.state, order.Sequence = "missing", record.sequence
                changes.append(Change("order", record, order))
        self._asked_about = []
        return changes

    def _end(self, order: Order, state: str, record: Record) -> None:
        order.state, order.Sequence = state, record.sequence
        self._file(order)


_METHODS = {
    "epoch_started": "_on_connection",
    "front_disconnected": "_on_connection",
    "rsp_user_login": "_on_login",
    "sending_order": "_on_sending",
    "sent_order": "_on_sent",
    "order_not_sent": "_on_not_sent",
    "sending_action": "_on_action",
    "sent_action": "_on_action_sent",
    "action_not_sent": "_on_action_not_sent",
    "rsp_order_insert": "_on_refused",
    "err_rtn_order_insert": "_on_refused",
    "rtn_order": "_on_order",
    "qry_order": "_on_order",
    "rtn_trade": "_on_trade",
    "qry_trade": "_on_trade",
    "rsp_order_action": "_on_action_refused",
    "err_rtn_order_action": "_on_action_refused",
    "reconcile_began": "_on_reconcile_began",
    "reconcile_done": "_on_reconcile_done",
}


def _order_of(data: dict[str, Any], client_id: int) -> Order:
    return Order(
        ClientID=client_id,
        InstrumentID=data["InstrumentID"],
        ExchangeID=data["ExchangeID"],
        Direction=data["Direction"],
        Offset=data["CombOffsetFlag"][:1],
        LimitPrice=data["LimitPrice"],
        VolumeTotalOriginal=data["VolumeTotalOriginal"],
        OrderPriceType=data.get("OrderPriceType") or words.LIMIT_PRICE,
    )


def _key_of(data: dict[str, Any]) -> Key:
    return data["FrontID"], data["SessionID"], data["OrderRef"].strip()


def _state_of(status: str, submit_status: str) -> str:
    if status == words.ALL_TRADED:
        return "filled"
    if status == words.CANCELED:
        return "rejected" if submit_status == words.INSERT_REJECTED else "cancelled"
    if status in (words.PART_TRADED, words.NO_TRADE, words.PART_TRADED_OUT, words.NO_TRADE_OUT):
        return "queueing"
    return "submitted"


def _goes_forward(order: Order, state: str, traded: int, has_system: bool) -> bool:
    """Whether a return says more than is known. Repetitions and late copies of earlier states do not."""
    old, new = PHASES[order.state], PHASES[state]
    if old == FINAL:
        # A final state stays; only lots that were not counted yet are news. A return for an order that was
        # held for never sent proves the opposite.
        return order.state == "not_sent" or (order.state != "expired" and traded > order.VolumeTraded)
    if old < _FIRST_RETURN or new > old:
        return True
    if new < old:
        return traded > order.VolumeTraded
    return traded > order.VolumeTraded or (has_system and not order.OrderSysID)
