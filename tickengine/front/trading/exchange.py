"""The exchange behind the front: takes orders, matches them against prices, writes the returns into flows.

An order that crosses the price on the other side trades at that price, at once or as soon as the price comes
to it; *fill_volume* makes it trade in pieces. Nobody else is in the market.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from tickengine.front import clock, fields
from tickengine.front.products import product_of
from tickengine.front.session import Countdown
from tickengine.front.trading import layouts
from tickengine.front.trading.accounts import BUY, LONG, SHORT, Investor, Order
from tickengine.front.trading.flows import PUBLIC, Flow

TID_ORDER, TID_TRADE, TID_ERR_INSERT, TID_ERR_ACTION, TID_STATUS = 0xF001, 0xF002, 0xF003, 0xF004, 0xF104
BAD_FIELD, INSTRUMENT_NOT_FOUND, DUPLICATE_ORDER_REF = 15, 16, 22
ORDER_NOT_FOUND, WRONG_STATUS, UNSUPPORTED, NOT_CONFIRMED, BAD_PRICE = 25, 26, 27, 42, 95

ALL_TRADED, PART_TRADED, QUEUEING, CANCELED, UNKNOWN = b"0", b"1", b"3", b"5", b"a"
INSERT_SUBMITTED, ACCEPTED, INSERT_REJECTED = b"0", b"3", b"4"
IMMEDIATE, COMPLETE_VOLUME = b"1", b"3"
_ANY_PRICE = b"1"


@dataclass
class Quote:
    """The prices of one instrument. Volumes in lots."""

    last: float
    bid: float
    ask: float
    upper: float = fields.DBL_MAX
    lower: float = -fields.DBL_MAX
    pre_settlement: float = 0.0


class Exchange:
    """All investors, their orders and the prices. Belongs to the front's thread.

    Args:
        trading_day: YYYYMMDD.
        balance: money that an account begins with.
        fill_volume: most lots of one trade; None: all at once.
        fill_interval_s: seconds between two trades of one order.
        lots: instrument -> (long, short) that an account begins with.
    """

    def __init__(
        self,
        trading_day: str,
        *,
        balance: float,
        fill_volume: int | None,
        fill_interval_s: float,
        lots: dict[str, tuple[int, int]],
    ) -> None:
        self.trading_day = trading_day.encode()
        self.investors: dict[tuple[bytes, bytes], Investor] = {}
        self.public = Flow(PUBLIC)
        self.quotes: dict[str, Quote] = {}
        self.reject = Countdown()
        self.refuse = Countdown()
        self.orders_received = self.actions_received = 0
        self._balance = balance
        self._lots = lots
        self._fill_volume = fill_volume
        self._fill_interval_s = fill_interval_s
        self._numbers = itertools.count(1)
        self._trade_numbers = itertools.count(1)
        self._active: list[tuple[Investor, Order]] = []

    def investor(self, broker: bytes, name: bytes) -> Investor:
        """The account of that name; a new one has the starting balance."""
        key = (broker, name)
        known = self.investors.get(key)
        if known is not None:
            return known
        investor = self.investors[key] = Investor(broker, name, self._balance)
        for instrument, sides in self._lots.items():
            for side, lots in zip((LONG, SHORT), sides, strict=True):
                if lots:
                    investor.hold(instrument, side, lots)
        return investor

    # ---- prices --------------------------------------------------------------------------------

    def take_quote(self, instrument: str, quote: Quote, now: float) -> None:
        """A new price; orders that it meets trade."""
        self.quotes[instrument] = quote
        for investor, order in list(self._active):
            if order.values["InstrumentID"].decode("latin-1") == instrument:
                self._match(investor, order, now)

    def step(self, now: float) -> float | None:
        """Trade the next pieces of orders whose time has come; return when the next is due."""
        due = None
        for investor, order in list(self._active):
            if order.next_fill <= now:
                self._match(investor, order, now)
            if order.active and self._crosses(order):
                due = order.next_fill if due is None else min(due, order.next_fill)
        return due

    # ---- orders --------------------------------------------------------------------------------

    def insert(self, investor: Investor, session: tuple[int, int], asked: dict[str, Any], now: float) -> int:
        """Take an order. Returns the error with which the front refuses it, 0 if it has taken it."""
        self.orders_received += 1
        reference = asked["OrderRef"].strip()
        count = investor.inserts[session[1], reference] = investor.inserts.get((session[1], reference), 0) + 1
        order = Order(self._begin(asked, session))
        error_id = self._refusal(investor, order, count)
        if error_id:
            return error_id
        investor.take(order)
        self._active.append((investor, order))
        self._tell(investor, order, now)
        order.values["OrderSysID"] = b"%12d" % next(self._numbers)
        self._tell(investor, order, now)
        error_id = self.reject.take() or self._exchange_refusal(order)
        if error_id:
            self._end(order, "rejected by the exchange")
            order.values["OrderSubmitStatus"] = INSERT_REJECTED
            self._tell(investor, order, now)
            self.tell_refused(investor, asked, error_id, now)
            return 0
        order.values["OrderSubmitStatus"] = ACCEPTED
        order.values["OrderStatus"] = QUEUEING
        if order.values["VolumeCondition"] == COMPLETE_VOLUME and not self._can_complete(order):
            self._cancel(investor, order, now)
            return 0
        if not self._match(investor, order, now):
            if order.values["TimeCondition"] == IMMEDIATE:
                self._cancel(investor, order, now)
            else:
                self._tell(investor, order, now)
        return 0

    def tell_refused(self, investor: Investor, asked: dict[str, Any], error_id: int, now: float) -> None:
        """OnErrRtnOrderInsert, to all connections of the account."""
        body = layouts.encode(layouts.FID_INPUT_ORDER, asked)
        investor.flow.add(TID_ERR_INSERT, [fields.rsp_info(error_id), body], now)

    def _refusal(self, investor: Investor, order: Order, times_seen: int) -> int:
        forced: int | None = self.refuse.take()
        if forced is not None:
            return forced
        values = order.values
        if not investor.confirmed:
            return NOT_CONFIRMED
        if values["InstrumentID"].decode("latin-1") not in self.quotes:
            return INSTRUMENT_NOT_FOUND
        if values["VolumeTotalOriginal"] <= 0 or values["Direction"] not in (b"0", b"1"):
            return BAD_FIELD
        if times_seen > 1 or order.key in investor.keys:
            return DUPLICATE_ORDER_REF
        return investor.refusal(order, values["LimitPrice"])

    def _exchange_refusal(self, order: Order) -> int:
        values = order.values
        name = values["InstrumentID"].decode("latin-1")
        quote, step, price = self.quotes[name], product_of(name).price_step, values["LimitPrice"]
        if values["OrderPriceType"] == _ANY_PRICE:
            return 0
        steps = price / step
        if not (quote.lower <= price <= quote.upper and math.isfinite(steps)) or abs(steps - round(steps)) > 1e-6:
            return BAD_PRICE
        return 0

    def _begin(self, asked: dict[str, Any], session: tuple[int, int]) -> dict[str, Any]:
        name = asked["InstrumentID"].decode("latin-1")
        at = clock.now()
        number = b"%d" % (self.orders_received)
        return {
            **asked,
            "OrderLocalID": number.rjust(12),
            "ExchangeID": product_of(name).exchange.encode(),
            "ExchangeInstID": asked["InstrumentID"],
            "TradingDay": self.trading_day,
            "SettlementID": 1,
            "OrderSubmitStatus": INSERT_SUBMITTED,
            "OrderStatus": UNKNOWN,
            "OrderSysID": b"",
            "VolumeTraded": 0,
            "VolumeTotal": asked["VolumeTotalOriginal"],
            "InsertDate": at.strftime("%Y%m%d").encode(),
            "InsertTime": at.strftime("%H:%M:%S").encode(),
            "FrontID": session[0],
            "SessionID": session[1],
            "BrokerOrderSeq": self.orders_received,
            "StatusMsg": "报单已提交".encode("gb18030"),
        }

    # ---- cancelling ----------------------------------------------------------------------------

    def find(self, investor: Investor, action: dict[str, Any]) -> Order | None:
        """The order that a cancellation means: by front, session and reference, or by the exchange's number."""
        key = (action["FrontID"], action["SessionID"], action["OrderRef"].strip())
        system = action["OrderSysID"].strip()
        for order in investor.orders:
            if key[2] and order.key == key:
                return order
            if system and order.values["OrderSysID"].strip() == system:
                return order
        return None

    def cancel(self, investor: Investor, action: dict[str, Any], now: float) -> int:
        """Carry out a cancellation. Returns the error with which it is refused, 0 if it is done."""
        self.actions_received += 1
        if action["ActionFlag"] != b"0":
            return UNSUPPORTED
        order = self.find(investor, action)
        if order is None:
            return ORDER_NOT_FOUND
        if not order.active:
            return WRONG_STATUS
        self._cancel(investor, order, now)
        return 0

    def tell_action_refused(self, investor: Investor, action: dict[str, Any], error_id: int, now: float) -> None:
        """OnErrRtnOrderAction."""
        body = layouts.encode(layouts.FID_ORDER_ACTION, action)
        investor.flow.add(TID_ERR_ACTION, [body, fields.rsp_info(error_id)], now)

    def _cancel(self, investor: Investor, order: Order, now: float) -> None:
        self._end(order, "已撤单")
        order.values["CancelTime"] = clock.now().strftime("%H:%M:%S").encode()
        self._tell(investor, order, now)

    def _end(self, order: Order, words: str) -> None:
        order.active = False
        order.values["OrderStatus"] = CANCELED
        order.values["StatusMsg"] = words.encode("gb18030")
        self._active = [entry for entry in self._active if entry[1] is not order]

    # ---- matching ------------------------------------------------------------------------------

    def _crosses(self, order: Order) -> bool:
        quote = self.quotes.get(order.values["InstrumentID"].decode("latin-1"))
        if quote is None:
            return False
        if order.values["OrderPriceType"] == _ANY_PRICE:
            return True
        price = order.values["LimitPrice"]
        return bool(price >= quote.ask if order.values["Direction"] == BUY else price <= quote.bid)

    def _can_complete(self, order: Order) -> bool:
        most = order.left if self._fill_volume is None else self._fill_volume
        return self._crosses(order) and order.left <= most

    def _match(self, investor: Investor, order: Order, now: float) -> bool:
        """Trade what can be traded now; True if something was."""
        if not order.active or now < order.next_fill or not self._crosses(order):
            return False
        quote = self.quotes[order.values["InstrumentID"].decode("latin-1")]
        price = quote.ask if order.values["Direction"] == BUY else quote.bid
        lots = order.left if self._fill_volume is None else min(order.left, self._fill_volume)
        values = order.values
        values["VolumeTraded"] += lots
        values["VolumeTotal"] -= lots
        done = values["VolumeTotal"] == 0
        values["OrderStatus"] = ALL_TRADED if done else PART_TRADED
        values["StatusMsg"] = ("全部成交" if done else "部分成交").encode("gb18030")
        order.next_fill = now + self._fill_interval_s
        if done:
            order.active = False
            self._active = [entry for entry in self._active if entry[1] is not order]
        investor.fill(order, price, lots)
        self._tell(investor, order, now)
        self._trade(investor, order, price, lots, now)
        if not done and values["TimeCondition"] == IMMEDIATE:
            self._cancel(investor, order, now)
        return True

    def _trade(self, investor: Investor, order: Order, price: float, lots: int, now: float) -> None:
        values, at = order.values, clock.now()
        number = next(self._trade_numbers)
        trade = {
            **values,
            "TradeID": b"%12d" % number,
            "OffsetFlag": order.offset,
            "HedgeFlag": values["CombHedgeFlag"][:1],
            "Price": price,
            "Volume": lots,
            "TradeDate": at.strftime("%Y%m%d").encode(),
            "TradeTime": at.strftime("%H:%M:%S").encode(),
            "SequenceNo": number,
        }
        investor.trades.append(trade)
        investor.flow.add(TID_TRADE, [layouts.encode(layouts.FID_TRADE, trade)], now)

    def _tell(self, investor: Investor, order: Order, now: float) -> None:
        order.values["NotifySequence"] = order.values.get("NotifySequence", 0) + 1
        investor.flow.add(TID_ORDER, [layouts.encode(layouts.FID_ORDER, order.values)], now)

    def tell_status(self, instrument: str, status: bytes, now: float) -> None:
        """OnRtnInstrumentStatus, in the public flow."""
        values = {
            "ExchangeID": product_of(instrument).exchange.encode(),
            "InstrumentID": instrument.encode("latin-1"),
            "InstrumentStatus": status,
            "EnterTime": clock.now().strftime("%H:%M:%S").encode(),
            "EnterReason": b"1",
        }
        self.public.add(TID_STATUS, [layouts.encode(layouts.FID_STATUS, values)], now)
