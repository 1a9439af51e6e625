"""A trading client in pure Python on top of `FtdClient`: logs in with flows, sends orders, collects returns."""

from __future__ import annotations

import struct
from typing import Any

from ftd_client import FtdClient

from tickengine.front import fields, wire
from tickengine.front.trading import layouts

QUICK = -1
RETURNS = {0xF001: "order", 0xF002: "trade", 0xF003: "refused", 0xF004: "action refused", 0xF104: "status"}


class TradingClient(FtdClient):
    """Keeps what series 2 brings: `returns` as (number, kind, members)."""

    def __init__(self, address: str, **options: Any) -> None:
        super().__init__(address, **options)
        self.returns: list[tuple[int, str, dict[str, Any]]] = []
        self.public: list[tuple[int, str, dict[str, Any]]] = []
        self.notices: dict[int, int] = {}
        self.session: dict[str, Any] = {}
        self.reference = 0

    def _take(self, packet: wire.Packet) -> None:
        before = len(self.messages)
        super()._take(packet)
        for message in self.messages[before:]:
            if message.tid == 0xF102:
                for _fid, body in message.fields:
                    series, number = struct.unpack(">Hi", body)
                    self.notices[series] = number
            elif message.tid in RETURNS:
                main = next((fid, body) for fid, body in message.fields if fid != fields.FID_RSP_INFO)
                values = layouts.decode(*main)
                for fid, body in message.fields:
                    if fid == fields.FID_RSP_INFO:
                        values["ErrorID"] = fields.decode(fid, body)["ErrorID"]
                flow = self.returns if message.series == 2 else self.public
                flow.append((message.seq, RETURNS[message.tid], values))
            else:
                continue
            self.messages.remove(message)

    def log_in(
        self,
        private: int | None = 0,
        public: int | None = None,
        *,
        day: bytes = b"",
        user: bytes = b"me",
        password: bytes = b"",
    ) -> int:
        """Log in, having *private* messages (None: without that flow); returns the ErrorID."""
        self.send(wire.register_packet(39))
        asked = [(1, 0), (2, private), (3, public), (4, 0)]
        parts = [wire.field(0x1001, struct.pack(">Hi", s, n)) for s, n in asked if n is not None]
        values = {"BrokerID": b"9999", "UserID": user, "Password": password, "TradingDay": day}
        rid = self.request(wire.TID_LOGIN, [fields.encode(fields.FID_LOGIN, values), *parts])
        answer = self.answer(wire.TID_LOGIN_ANSWER, rid)
        found = {fid: layouts.decode(fid, body) for fid, body in answer.fields}
        self.session = found.get(fields.FID_LOGIN_ANSWER, {})
        return int(found[fields.FID_RSP_INFO]["ErrorID"])

    def confirm(self) -> None:
        rid = self.request(0x4013, [layouts.encode(layouts.FID_CONFIRM, {"BrokerID": b"9999", "InvestorID": b"me"})])
        self.answer(0x4014, rid)

    def ready(self, private: int | None = 0, **login: Any) -> None:
        assert self.log_in(private, **login) == 0
        self.confirm()

    def order(self, instrument: str = "rb2605", price: float = 3000.0, volume: int = 1, **changes: Any) -> bytes:
        """Send an order; returns its reference."""
        self.reference += 1
        reference = b"%12d" % self.reference
        values: dict[str, Any] = {
            "BrokerID": b"9999",
            "InvestorID": b"me",
            "InstrumentID": instrument.encode(),
            "OrderRef": reference,
            "OrderPriceType": b"2",
            "Direction": b"0",
            "CombOffsetFlag": b"0",
            "CombHedgeFlag": b"1",
            "LimitPrice": price,
            "VolumeTotalOriginal": volume,
            "TimeCondition": b"3",
            "VolumeCondition": b"1",
            "ContingentCondition": b"1",
            "RequestID": self.reference,
        }
        self.request(0x4000, [layouts.encode(layouts.FID_INPUT_ORDER, values | changes)])
        return reference

    def cancel(self, reference: bytes, **changes: Any) -> int:
        values = {
            "FrontID": self.session["FrontID"],
            "SessionID": self.session["SessionID"],
            "OrderRef": reference,
            "ActionFlag": b"0",
        }
        return self.request(0x4006, [layouts.encode(layouts.FID_ACTION, values | changes)])

    def wait_returns(self, count: int) -> list[tuple[int, str, dict[str, Any]]]:
        self.read_until(lambda: len(self.returns) >= count, f"{count} returns")
        return self.returns

    def story(self) -> list[str]:
        """The returns in short: order statuses, and kinds."""
        return [values["OrderStatus"].decode() if kind == "order" else kind for _number, kind, values in self.returns]

    def query(self, tid: int, fid: int, **asked: bytes) -> tuple[list[dict[str, Any]], int, list[tuple[int, bytes]]]:
        """Ask and collect: the rows, the ErrorID, and (number, chain) of each packet."""
        rid = self.request(tid, [layouts.encode(fid, asked)])
        rows: list[dict[str, Any]] = []
        packets: list[tuple[int, bytes]] = []
        error_id = 0
        while not packets or packets[-1][1] != b"L":
            message = self.answer(tid + 1, rid)
            packets.append((message.seq, message.chain))
            for found, body in message.fields:
                values = layouts.decode(found, body)
                if found == fields.FID_RSP_INFO:
                    error_id = values["ErrorID"]
                else:
                    rows.append(values)
        return rows, error_id, packets
