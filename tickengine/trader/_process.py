"""The trader process: one trader api, its session, the journal, and the way of orders out of the ring."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from .. import _segments, placement, vendor
from .._child import Child, ChildOrders, Reporter, child_main, redirect_output
from .._errors import ShimError
from .._watchdog import Pulse
from ..flow import FlowDirectory
from .account import AccountState
from .journal import TradeLog, TradeLogWriter
from .queries import Query
from .records import Record
from .ring import CommandRing
from .session import TradingSession
from .settings import TradingSettings
from .vendor_td import TraderVendorApi

_LOOK_S = 0.0002
_LOOKS = 5000  # no time by the clock: on a machine that stood still the sender has had none of it either


@dataclass(frozen=True, kw_only=True)
class Orders(ChildOrders):
    """What the supervisor hands over."""

    settings: TradingSettings
    library: str
    ring: str
    wait: str
    connect: bool
    """False: not before it is told to."""


def trader_main(connection: Connection, beats: Connection, orders: Orders) -> None:
    """Runs in the spawned process, and ends it."""
    child_main(functools.partial(_TraderChild, orders), connection, beats, orders)


class _TraderChild(Child):
    def __init__(self, orders: Orders, connection: Connection, reporter: Reporter, pulse: Pulse) -> None:
        super().__init__(connection, reporter, pulse)
        self._orders = orders

    def begin(self) -> tuple[TradingSession, str]:
        config = self._orders.settings
        placement.keep_off(config.cpus, config.realtime)
        self._flow = flow = FlowDirectory(config.flow_dir)
        redirect_output(flow.path)
        found = vendor.probe_trader(self._orders.library, override_version=config.vendor_version)
        vendor.warn_of_doubts(found, config.production, config.vendor_version)
        self._journal = TradeLogWriter(flow.path)
        self._ring = CommandRing.attach(self._orders.ring)
        references = References(flow.path)
        session = TradingSession(config, self._make_api, self._journal, references.highest)
        if self._orders.connect:
            session.dial()
        else:
            self._make_api().release()  # what the process before has left in the ring is refused
            session.hang_up()
        return session, session.api_version

    def _make_api(self) -> SessionApi:
        orders = self._orders
        return SessionApi(orders.settings, orders.library, self._flow.path, self._journal, self._ring, orders.wait)

    def command(self, session: TradingSession, name: str, argument: Any) -> None:
        if name == "query":
            number, method, fields = argument

            def answer(rows: list[Record], error: str) -> None:
                data = [row.data for row in rows if row.data is not None]
                self.reporter.send("answer", (number, data, error))

            session.post(functools.partial(session.ask, Query(method, fields, answer)))
        elif name == "disconnect":
            session.post(session.hang_up)
        elif name == "connect":
            session.post(session.dial)

    def end(self, _session: TradingSession) -> None:
        self._ring.close()
        self._journal.close()
        self._flow.close()

    def tidy(self) -> None:
        _segments.unlink(_segments.ring_path(self._orders.ring))


class References:
    """The highest order reference of ours that the journal has, by trading day. `state`: all that it tells."""

    def __init__(self, place: str) -> None:
        self._days: dict[str, int] = {}
        self.state = AccountState()
        with TradeLog.attach(place) as log:
            for record in log.records():
                self.state.apply(record)
        for order in self.state.book:
            if order.ClientID and order.OrderRef.isdigit():
                day = order.TradingDay
                self._days[day] = max(self._days.get(day, 0), int(order.OrderRef))

    def highest(self, trading_day: str) -> int:
        """0 if there is none."""
        return self._days.get(trading_day, 0)


class SessionApi:
    """A vendor's api as the session sees it; knows which of the library's functions a thread is in.

    Args:
        ring: where orders come from, None: not from a ring.
    """

    def __init__(
        self,
        config: TradingSettings,
        library: str,
        flow_path: str,
        journal: TradeLogWriter,
        ring: CommandRing | None = None,
        wait: str = "adaptive",
    ) -> None:
        self.call = ""
        self._ring = ring
        self.vendor = TraderVendorApi(
            library,
            flow_path,
            config.fronts,
            journal,
            private=config.private_topic,
            public=config.public_topic,
            vendor_version=config.vendor_version,
            production=config.production,
            cpus=config.cpus,
            realtime=config.realtime,
        )
        self.version = self.vendor.version
        if ring is None:
            return
        try:
            # The orders' maker reads the journal. Here they would cost a core's time while the next are made.
            self.vendor.leave_out_returns()
            self.vendor.start_sender(ring, wait)
        except BaseException:
            self.vendor.release()
            raise

    @contextmanager
    def _calling(self, name: str) -> Iterator[None]:
        self.call = name
        try:
            yield
        finally:
            self.call = ""

    def init(self) -> None:
        with self._calling("Init"):
            self.vendor.init()

    def next_callback(self, timeout: float) -> Record | None:
        return self.vendor.next_record(timeout)

    def wake(self) -> None:
        self.vendor.wake()

    def authenticate(self, settings: TradingSettings, request_id: int) -> int:
        with self._calling("ReqAuthenticate"):
            return self.vendor.authenticate(
                settings.broker_id,
                settings.investor_id,
                settings.auth_code,
                settings.app_id,
                request_id,
                settings.product_info,
            )

    def login(self, settings: TradingSettings, request_id: int) -> int:
        with self._calling("ReqUserLogin"):
            return self.vendor.login(
                settings.broker_id, settings.investor_id, settings.password, request_id, settings.product_info
            )

    def request(self, name: str, fields: dict[str, Any], request_id: int) -> int:
        with self._calling(name):
            return self.vendor.request(name, fields, request_id)

    @property
    def order_calls(self) -> int:
        return self.vendor.order_calls

    def open_gate(self, front_id: int, session_id: int, next_order_ref: int) -> bool:
        try:
            self.vendor.open_gate(front_id, session_id, next_order_ref)
        except ShimError:
            return False  # the connection is gone by now; the callback that says so is on its way
        return True

    def close_gate(self) -> None:
        """Behind the orders that were given before: they are on their way."""
        self._finish_ring(sending=True)
        self.vendor.close_gate()

    def _finish_ring(self, sending: bool) -> None:
        """Wait until the sender has done what is in the ring; with *sending*, as long as it sends."""
        ring, looks = self._ring, _LOOKS
        while ring is not None and ring.waiting and looks and (self.vendor.gate_open or not sending):
            time.sleep(_LOOK_S)  # the pace of looking: the sender takes some microseconds for each
            looks -= 1

    def close_on_exec(self) -> None:
        self.vendor.close_on_exec()

    def release(self) -> None:
        self._finish_ring(sending=False)  # who has put it there would wait for an answer until there is a next api
        with self._calling("Release"):
            self.vendor.release()
