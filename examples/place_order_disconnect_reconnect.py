"""Sends an order, leaves the trading connection before any return of it, comes back, and has them all, each once.

    python examples/place_order_disconnect_reconnect.py --account simnow_future4 --name test.s1 --instruments cu1610

Which fronts and which account: in ``tickengine.toml``, see `tickengine.live.accounts`. An account with
``paper = true`` needs market data only.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from tickengine.live import AbstractStrategy, get_command_line_parser, run_live

TARGET = 2


class PlaceOrderDisconnectAndReconnect(AbstractStrategy):
    """Takes a position of two lots and loses the connection, on purpose, with the order under way."""

    def __init__(self, instrument_ids, parameters, base_folder, periods=None, description=None, logger=None):
        AbstractStrategy.__init__(
            self, instrument_ids, parameters, base_folder, periods=periods, description=description, logger=logger
        )
        self.set_local_bookkeep(False)
        self.away = timedelta(seconds=self.parameters.get("away_seconds", 2.0))
        self.left_at = None

    def on_tick(self, instrument_id, tick):
        if self.is_trading_connected():
            current = self.single_sided_position(instrument_id=instrument_id)
            orders = self.change_position_to(TARGET, instrument_id=instrument_id, tick_delta=None)
            if orders:
                self.logger.info("from %d to %d lots of %s; leaving", current, TARGET, instrument_id)
                self.disconnect_trading()
                self.left_at = self.now()
            elif current == TARGET and not self.has_pending_order():
                self.set_should_exit(True)  # also where the account had them before
        elif self.left_at is not None and self.now() - self.left_at >= self.away:
            self.logger.info("coming back")
            self.left_at = None
            self.connect_trading()
        if self.has_traded and not self.has_pending_order():
            self.set_should_exit(True)

    def on_order(self, order):
        self.logger.info("order %s: %s, %d of %d lots", *_words(order))

    def on_trade(self, trade):
        self.logger.info("trade %s: %d lots at %g", trade.TradeID, trade.Volume, trade.Price)

    def on_connection(self, connected):
        self.logger.info("trading is %s", "connected" if connected else "not connected")


def _words(order):
    return order.OrderRef or order.ClientID, order.state, order.VolumeTraded, order.VolumeTotalOriginal


def main(cmd_options=None):
    options = get_command_line_parser(PlaceOrderDisconnectAndReconnect, cmd_options)
    run_live(PlaceOrderDisconnectAndReconnect, {"parameters": {"away_seconds": 2.0}}, options=options)


if __name__ == "__main__":
    main(sys.argv[1:])
