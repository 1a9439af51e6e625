"""Paper trading: the exchange of the loopback front in this process, fed with the ticks that come in.

Orders trade at the prices of real ticks, nobody else sees them, no account is needed. The returns are the
front's own, so a strategy cannot tell the difference; `disconnect` holds them back until `connect`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from .._errors import ConfigError
from ..front import clock
from ..front.fields import FID_RSP_INFO
from ..front.trading import layouts
from ..front.trading.exchange import Exchange, Quote
from ..front.trading.queries import QUERIES
from ..trading_calendar import today
from .book import Order
from .limits import Limits
from .records import Record, decode_struct, encode_struct
from .trader import Terms, Trader

FRONT_ID = 1
_KINDS = {
    0xF001: ("rtn_order", layouts.FID_ORDER),
    0xF002: ("rtn_trade", layouts.FID_TRADE),
    0xF003: ("err_rtn_order_insert", layouts.FID_INPUT_ORDER),
    0xF004: ("err_rtn_order_action", layouts.FID_ORDER_ACTION),
}
_POSITIONS, _ACCOUNT = 0x8004, 0x8006


class PaperTrader(Trader):
    """A trader without an account. Give it every tick by `take_tick`.

    Args:
        balance: money that the account begins with.
        lots: instrument -> (long, short) held since the day before.
        fill_volume: most lots of one trade; None: all at once.
        trading_day: YYYYMMDD, default the present one in China.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        balance: float = 1_000_000.0,
        lots: dict[str, tuple[int, int]] | None = None,
        fill_volume: int | None = None,
        trading_day: str | None = None,
    ) -> None:
        super().__init__("paper", "paper", limits or Limits())
        day = clock.checked_day(trading_day or clock.trading_day(clock.now()) or today())
        self._exchange = Exchange(
            day, balance=balance, fill_volume=fill_volume, fill_interval_s=0.0, lots=dict(lots or {})
        )
        self._investor = self._exchange.investor(b"paper", b"paper")
        self._investor.confirmed = True
        self._records: list[Record] = []
        self._told = 0
        self._session = 0
        self._reference = 0
        self._connected = False
        self.connect()

    @property
    def connected(self) -> bool:
        """Whether orders can be sent now."""
        return self._connected

    def connect(self) -> None:
        """Come back: everything that happened since `disconnect` is told."""
        if self._connected:
            return
        self._connected = True
        self._session += 1
        self._add("front_connected")
        self._add(
            "rsp_user_login",
            data={"TradingDay": self._exchange.trading_day.decode(), "FrontID": FRONT_ID, "SessionID": self._session},
        )
        self._tell()
        self._answer("qry_position", _POSITIONS)
        self._answer("qry_account", _ACCOUNT)

    def disconnect(self) -> None:
        """Go away: orders go on trading, their returns wait."""
        if self._connected:
            self._connected = False
            self._add("front_disconnected", reason=0)

    def take_tick(self, tick: Any) -> None:
        """Trade what meets this tick's prices. NaN prices meet nothing."""
        self.gate.take_price(tick)
        bid, ask = tick.BidPrice1, tick.AskPrice1
        quote = Quote(
            tick.LastPrice,
            bid if bid == bid else float("-inf"),
            ask if ask == ask else float("inf"),
            tick.UpperLimitPrice if tick.UpperLimitPrice == tick.UpperLimitPrice else float("inf"),
            tick.LowerLimitPrice if tick.LowerLimitPrice == tick.LowerLimitPrice else float("-inf"),
        )
        self._exchange.take_quote(tick.InstrumentID, quote, time.monotonic())
        self._exchange.step(time.monotonic())
        self._tell()

    def _send_order(self, order: Order, terms: Terms, min_volume: int) -> None:
        fields = {
            **self._order_fields(terms),
            "LimitPrice": order.LimitPrice,
            "VolumeTotalOriginal": order.VolumeTotalOriginal,
            "MinVolume": min_volume,
            "RequestID": order.ClientID,
            "OrderRef": f"{self._reference + 1:12d}",
        }
        data, asked = _on_the_wire("InputOrder", layouts.FID_INPUT_ORDER, fields)
        if not self._connected:
            self._add("order_not_sent", client_id=order.ClientID, data=data | {"OrderRef": ""},
                      error_msg="trading is disconnected")  # fmt: skip
            return
        self._reference += 1
        now = time.monotonic()
        error_id = self._exchange.insert(self._investor, (FRONT_ID, self._session), asked, now)
        session = FRONT_ID << 32 | self._session
        self._add("sending_order", client_id=order.ClientID, data=data, value=session)
        self._add("sent_order", client_id=order.ClientID)
        if error_id:
            self._exchange.tell_refused(self._investor, asked, error_id, now)
        self._exchange.step(now)
        self._tell()

    def _send_action(self, order: Order, fields: dict[str, Any]) -> None:
        client_id = fields["OrderActionRef"]
        data, asked = _on_the_wire("InputOrderAction", layouts.FID_ACTION, fields)
        if not self._connected:
            self._add("action_not_sent", client_id=client_id, data=data, error_msg="trading is disconnected")
            return
        now = time.monotonic()
        error_id = self._exchange.cancel(self._investor, asked, now)
        self._add("sending_action", client_id=client_id, data=data)
        self._add("sent_action", client_id=client_id)
        if error_id:
            self._exchange.tell_action_refused(self._investor, asked, error_id, now)
        self._tell()

    def _tell(self) -> None:
        """Pass on the returns that have come to be, if connected."""
        if not self._connected:
            return
        flow = self._investor.flow
        while self._told < len(flow):
            kept = flow.messages[self._told]
            self._told += 1
            kind, fid = _KINDS[kept.tid]
            error: dict[str, Any] = {"ErrorID": 0, "ErrorMsg": ""}
            data: dict[str, Any] | None = None
            for part in kept.parts:
                found, body = int.from_bytes(part[:2], "big"), part[4:]
                if found == FID_RSP_INFO:
                    error = _texts(layouts.decode(FID_RSP_INFO, body))
                elif found == fid:
                    data = _texts(layouts.decode(fid, body))
            self._add(kind, data=data, error_id=error["ErrorID"], error_msg=error["ErrorMsg"])

    def _answer(self, kind: str, tid: int) -> None:
        query = QUERIES[tid]
        rows = list(query.answer(self._exchange, self._investor, {}))
        bodies = [_texts(layouts.decode(query.fid, layouts.encode(query.fid, row)[4:])) for row in rows]
        for number, data in enumerate(bodies, 1):
            self._add(kind, data=data, is_last=number == len(bodies))
        if not bodies:
            self._add(kind, is_last=True)

    def _add(self, kind: str, **values: Any) -> None:
        sequence = self.account.next_sequence + len(self._records)
        self._records.append(Record(sequence, kind, time.time_ns(), time.monotonic_ns(), **values))

    def _read(self) -> Iterable[Record]:
        records, self._records = self._records, []
        return records


def _on_the_wire(struct: str, fid: int, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A request as a journal has it, and as the exchange gets it. Raises `ConfigError`, as a real trader does."""
    data = decode_struct(struct, encode_struct(struct, values))
    encoded = {n: v.encode("gb18030") if isinstance(v, str) else v for n, v in data.items()}
    layout = layouts.LAYOUTS[fid]
    for name in layout.names or ():
        value, room = encoded.get(name), layout[name].itemsize
        if isinstance(value, bytes) and len(value) > room:
            raise ConfigError(f"{struct}.{name} has {len(value)} bytes, at most {room} fit")
    return data, layouts.decode(fid, layouts.encode(fid, encoded)[4:])


def _texts(values: dict[str, Any]) -> dict[str, Any]:
    texts = {n: v.decode("gb18030", "replace") if isinstance(v, bytes) else v for n, v in values.items()}
    # Rows of 6.3.6 name no exchange; the book and the positions look for it.
    return {"ExchangeID": "", **texts}
