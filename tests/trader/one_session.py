"""One api of a trader library on a front, its journal, and what comes out of its queue, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from peer import Peer

from tickengine._secret import Secret
from tickengine.flow import FlowDirectory
from tickengine.front.trading import TradingFront
from tickengine.trader.journal import TradeLog, TradeLogWriter
from tickengine.trader.records import Record
from tickengine.trader.vendor_td import TraderVendorApi

BROKER, INVESTOR, PASSWORD, AUTH_CODE, APP_ID = "9999", "investor-1", "pass-word-1", "authcode-12345", "client_app_1.0"
ORDER = {
    "BrokerID": BROKER,
    "InvestorID": INVESTOR,
    "InstrumentID": "rb2601",
    "UserID": INVESTOR,
    "OrderPriceType": "2",
    "Direction": "0",
    "CombOffsetFlag": "0",
    "CombHedgeFlag": "1",
    "LimitPrice": 3456.5,
    "VolumeTotalOriginal": 7,
    "TimeCondition": "3",
    "VolumeCondition": "1",
    "MinVolume": 1,
    "ContingentCondition": "1",
    "ForceCloseReason": "0",
    "ExchangeID": "SHFE",
}


class Session:
    """A journal, an api on a peer, and what has come out of the api's queue."""

    def __init__(
        self, library: str, flow: FlowDirectory, front: Peer | TradingFront, *, returns: bool = True, **options: Any
    ) -> None:
        self.journal = TradeLogWriter(flow.path)
        self.log = TradeLog.attach(flow.path)
        self.api = TraderVendorApi(library, flow.path, [front.address], self.journal, **options)
        if not returns:
            self.api.leave_out_returns()
        self.api.init()

    def next(self, kind: str) -> Record:
        """The next record from the queue, which must be *kind*."""
        record = self.api.next_record(30)
        assert record is not None, f"no {kind} came"
        assert record.kind == kind, f"{record} came, not {kind}"
        return record

    def log_in(self, request_id: int = 2) -> Record:
        self.next("front_connected")
        assert self.api.login(BROKER, INVESTOR, Secret(PASSWORD), request_id) == 0
        return self.next("rsp_user_login")

    def open_gate(self, login: Record) -> None:
        data = login.data or {}
        front, session, last = data["FrontID"], data["SessionID"], data["MaxOrderRef"]
        assert isinstance(front, int) and isinstance(session, int)
        self.api.open_gate(front, session, int(last) + 1)

    def kinds(self) -> list[str]:
        return [r.kind for r in self.log.read()]


@contextmanager
def session(library: str, flow: FlowDirectory, front: Peer | TradingFront, **options: Any) -> Iterator[Session]:
    s = Session(library, flow, front, **options)
    try:
        yield s
    finally:
        s.api.release()
        s.log.close()
        s.journal.close()


def without_empty(data: dict[str, Any] | None) -> dict[str, Any]:
    return {k: v for k, v in (data or {}).items() if v not in ("", 0)}
