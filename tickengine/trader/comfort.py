"""AlgoPlus's short ways to order and to cancel, by its names and in its order of arguments."""

from __future__ import annotations

from typing import Any

from .._errors import ConfigError
from . import words
from .records import shown

Text = str | bytes


class OrderCalls:
    """For `TraderApi`: limit orders, good for the day, any volume, speculation."""

    def ReqOrderInsert(self, pInputOrder: Any, nRequestID: int | None = None) -> int:
        """See `TraderApi.ReqOrderInsert`."""
        raise NotImplementedError

    def ReqOrderAction(self, pInputOrderAction: Any, nRequestID: int | None = None) -> int:
        """See `TraderApi.ReqOrderAction`."""
        raise NotImplementedError

    def _session_of(self, order_ref: int) -> tuple[int, int]:
        raise NotImplementedError

    def buy_open(self, exchange_id: Text, instrument_id: Text, order_price: float, order_vol: int) -> int:
        """Buy to open, a limit order of the day. As all of these: returns and raises as `ReqOrderInsert`, which it
        calls, limits and journal included; `order_ref` has the order's reference.

        Args:
            exchange_id, instrument_id: texts.
            order_price: limit, per unit of the underlying.
            order_vol: lots.
        """
        return self._order(exchange_id, instrument_id, order_price, order_vol, words.BUY, words.OPEN)

    def sell_open(self, exchange_id: Text, instrument_id: Text, order_price: float, order_vol: int) -> int:
        """Sell to open. See `buy_open`."""
        return self._order(exchange_id, instrument_id, order_price, order_vol, words.SELL, words.OPEN)

    def buy_close(
        self, exchange_id: Text, instrument_id: Text, order_price: float, order_vol: int, is_today: bool = True
    ) -> int:
        """Buy to close a short position. See `buy_open`.

        Args:
            is_today: at SHFE and INE, which keep them apart: close lots of today (True) or of before. No other
                exchange looks at it.
        """
        offset = _closing(exchange_id, is_today)
        return self._order(exchange_id, instrument_id, order_price, order_vol, words.BUY, offset)

    def sell_close(
        self, exchange_id: Text, instrument_id: Text, order_price: float, order_vol: int, is_today: bool = True
    ) -> int:
        """Sell to close a long position. See `buy_close`."""
        offset = _closing(exchange_id, is_today)
        return self._order(exchange_id, instrument_id, order_price, order_vol, words.SELL, offset)

    def cancel_order(
        self,
        exchange_id: Text,
        instrument_id: Text,
        order_ref: int | Text,
        order_sysid: Text = "",
        front_id: int = 0,
        session_id: int = 0,
    ) -> int:
        """Ask for an order to be cancelled. Returns and raises as `ReqOrderAction`, which it calls.

        Args:
            order_ref: of the order: `order_ref` as it was after it had been sent.
            order_sysid: the exchange's number; given, *order_ref* is not needed (``""``).
            front_id, session_id: of the login that sent it; by default as the journal has them, also for an order
                from before a cut.

        Raises:
            ConfigError: no order of this journal has that reference.
        """
        fields: dict[str, Any] = {"ExchangeID": exchange_id, "InstrumentID": instrument_id, "ActionFlag": words.DELETE}
        if order_sysid:
            return self.ReqOrderAction({**fields, "OrderSysID": order_sysid})
        try:
            number = int(order_ref.decode("ascii", "replace") if isinstance(order_ref, bytes) else str(order_ref))
        except ValueError:
            words_of_it = f"order_ref {shown(order_ref)} must be the number of an order; or give order_sysid="
            raise ConfigError(words_of_it) from None
        if not (front_id or session_id):
            front_id, session_id = self._session_of(number)
        return self.ReqOrderAction({**fields, "OrderRef": str(number), "FrontID": front_id, "SessionID": session_id})

    def _order(
        self, exchange_id: Text, instrument_id: Text, price: float, volume: int, direction: str, offset: str
    ) -> int:
        if not isinstance(volume, int) or isinstance(volume, bool) or volume < 1:
            raise ConfigError(f"order_vol {shown(volume)} must be a whole number of lots, at least 1")
        return self.ReqOrderInsert(
            {
                "ExchangeID": exchange_id,
                "InstrumentID": instrument_id,
                "OrderPriceType": words.LIMIT_PRICE,
                "Direction": direction,
                "CombOffsetFlag": offset,
                "CombHedgeFlag": words.SPECULATION,
                "LimitPrice": price,
                "VolumeTotalOriginal": volume,
                "TimeCondition": words.GOOD_FOR_DAY,
                "VolumeCondition": words.ANY_VOLUME,
                "MinVolume": 1,
                "ContingentCondition": words.IMMEDIATELY,
                "ForceCloseReason": words.NOT_FORCE_CLOSE,
            }
        )


def _closing(exchange_id: Text, is_today: bool) -> str:
    exchange = exchange_id.decode("ascii", "replace") if isinstance(exchange_id, bytes) else exchange_id
    if not isinstance(exchange, str) or exchange not in words.TODAY_APART:
        return words.CLOSE
    return words.CLOSE_TODAY if is_today else words.CLOSE_YESTERDAY
