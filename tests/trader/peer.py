"""A scripted front: just enough of the protocol for one trader library, every byte under the test's control.

It logs everybody in, keeps a private flow that a login resumes, and answers what `answers` says. The members of
a field are on the wire as the vendor's header has them, so they come from the atlas.
"""

from __future__ import annotations

import json
import queue
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tickengine.front import wire

_ATLAS = json.loads((Path(__file__).parents[1] / "vendor" / "td_atlas.json").read_text())
VERSION = "6.3.6"
DAY = "20260105"

Members = list[tuple[str, str, int]]
Values = dict[str, Any]


def _members(name: str) -> Members:
    layout = _ATLAS["structs"][name][_ATLAS["versions"][VERSION]["structs"][name]]
    return [(field, kind, size) for field, kind, _, size in layout["fields"]]


FIDS: dict[int, Members] = {
    0x0000: _members("RspInfo"),
    0x1001: [("Series", "short", 2), ("Number", "int", 4)],
    0x1002: _members("ReqUserLogin"),
    0x1003: _members("RspUserLogin"),
    0x1004: _members("UserLogout"),
    0x1012: [
        *(("BrokerID", "text", 11), ("UserID", "text", 16), ("UserProductInfo", "text", 11)),
        *(("AuthInfo", "text", 129), ("IsResult", "int", 4)),
    ],
    0x040F: _members("SettlementInfoConfirm"),
    0x0400: _members("InputOrder"),
    0x0401: _members("Order"),
    0x0404: _members("InputOrderAction"),
    0x0405: _members("OrderAction"),
    0x0409: _members("Trade"),
    0x0700: _members("QryOrder"),
    0x0701: _members("QryTrade"),
    0x0702: _members("QryInvestorPosition"),
    0x0703: _members("QryTradingAccount"),
    0x0717: _members("QryInstrument"),
    0x0718: _members("QryDepthMarketData"),
    0x0012: _members("DepthMarketData"),
    0x0003: _members("Instrument"),
    0x000C: _members("TradingAccount"),
    0x000D: _members("InvestorPosition"),
    0x2442: _members("InstrumentStatus"),
}
_CODES = {"short": ">H", "int": ">i", "double": ">d"}


def pack(fid: int, values: Values | None = None) -> bytes:
    """A field with its header; members that are not given are zeros."""
    body, given = b"", dict(values or {})
    for name, kind, size in FIDS[fid]:
        value = given.pop(name, None)
        if kind in _CODES:
            body += struct.pack(_CODES[kind], value or 0)
        else:
            raw = (value or "").encode("gb18030")
            assert len(raw) <= size, f"{name} of {size} bytes: {value!r}"
            body += raw.ljust(size, b"\0")
    assert not given, f"field {fid:04x} has no {list(given)}"
    return wire.field(fid, body)


def unpack(fid: int, body: bytes) -> Values:
    values, at = {}, 0
    for name, kind, size in FIDS[fid]:
        raw = body[at : at + size]
        at += size
        values[name] = (
            struct.unpack(_CODES[kind], raw)[0] if kind in _CODES else raw.partition(b"\0")[0].decode("gb18030")
        )
    assert at == len(body), f"field {fid:04x}: {len(body)} bytes, members have {at}"
    return values


def marked(fid: int, seed: int = 0) -> Values:
    """A value for each member that no other member has."""
    values: Values = {}
    for n, (name, kind, size) in enumerate(FIDS[fid], seed):
        if kind == "double":
            values[name] = n + 0.25
        elif kind == "int":
            values[name] = 1000 + n
        elif size == 1:
            values[name] = chr(ord("a") + n % 26)
        else:
            values[name] = f"{n}"[: size - 1]
    return values


class Request:
    def __init__(self, message: wire.Message) -> None:
        self.tid, self.series, self.rid = message.tid, message.series, message.rid
        self.fields = [(fid, unpack(fid, body)) for fid, body in message.fields if fid in FIDS]

    @property
    def values(self) -> Values:
        return self.fields[0][1]


class Peer:
    """Listens on a free port until it is closed. Requests come out of `request`."""

    def __init__(self) -> None:
        self.requests: queue.Queue[Request] = queue.Queue()
        self.private: list[bytes] = []
        """Messages of the private flow so far, without number."""
        self.answers: dict[int, Callable[[Request], list[tuple[int, list[bytes], bytes]]]] = {}
        """Request tid: messages to answer with, as (tid, fields, chain)."""
        self.resumed_from: list[int] = []
        self.logins = 0
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._numbers = {1: 0, 4: 0}
        self._sent_private = 0
        self._logged_in = False
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)  # how often it looks whether it is to end
        self._thread = threading.Thread(target=self._run, name="peer")
        self._thread.start()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self.cut()
        self._thread.join()
        self._listener.close()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def request(self, tid: int, timeout: float = 30) -> Request:
        """The next request, which must be *tid*."""
        request = self.requests.get(timeout=timeout)
        assert request.tid == tid, f"request {request.tid:04x} came, not {tid:04x}"
        return request

    def push(self, tid: int, *fields: bytes) -> None:
        """Append to the private flow; it goes out now if somebody is logged in."""
        with self._lock:
            self.private.append(self._message(tid, list(fields)))
            if self._logged_in:
                self._send_private()

    def send(self, tid: int, fields: list[bytes], *, series: int = 0) -> None:
        with self._lock:
            self._send(wire.message(tid, fields, series=series))

    def cut(self) -> None:
        with self._lock:
            if self._connection is not None:
                with suppress(OSError):  # the library may have closed it in this moment
                    self._connection.shutdown(socket.SHUT_RDWR)
                self._logged_in = False

    # ---- the thread

    def _run(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            with connection:
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._connection = connection
            self._numbers = {1: 0, 4: 0}
            self._logged_in = False
        framer = wire.Framer()
        try:
            while data := connection.recv(1 << 16):
                for packet in framer.feed(data):
                    message = wire.parse_message(packet.content) if packet.kind == wire.KIND_MESSAGE else None
                    if message is not None:
                        self._answer(message)
        except OSError:
            pass  # it has been cut
        with self._lock:
            self._connection = None
            self._logged_in = False

    def _answer(self, message: wire.Message) -> None:
        request = Request(message)
        with self._lock:
            if message.tid in self.answers:
                for tid, fields, chain in self.answers[message.tid](request):
                    self._number_and_send(tid, fields, request, chain)
            elif message.tid == 0x3010:
                self._number_and_send(0x3011, [pack(0), pack(0x1012, {**request.values, "IsResult": 1})], request)
            elif message.tid == 0x3000:
                self._log_in(request)
            elif message.tid == 0x4013:
                self._number_and_send(0x4014, [pack(0), pack(0x040F, request.values)], request)
        self.requests.put(request)

    def _log_in(self, request: Request) -> None:
        self.logins += 1
        values = {
            "TradingDay": DAY,
            "LoginTime": "09:00:00",
            "BrokerID": request.values["BrokerID"],
            "UserID": request.values["UserID"],
            "SystemName": "交易系统",
            "FrontID": 1,
            "SessionID": -7000 - self.logins,
            "MaxOrderRef": "41",
            "INETime": "09:00:01",
        }
        self._send(wire.message(0x3001, [pack(0), pack(0x1003, values)], rid=request.rid))
        wanted = {v["Series"]: v["Number"] for fid, v in request.fields if fid == 0x1001}
        self._sent_private = wanted.get(2, len(self.private))
        self.resumed_from.append(self._sent_private)
        self._logged_in = True
        self._send_private()

    def _send_private(self) -> None:
        for number in range(self._sent_private, len(self.private)):
            content = bytearray(self.private[number])
            # header: version, encoding, version, chain, series(2), tid(4), number(4)
            struct.pack_into(">HII", content, 4 + 4, 2, struct.unpack_from(">I", content, 4 + 6)[0], number + 1)
            self._send(bytes(content))
        self._sent_private = len(self.private)

    @staticmethod
    def _message(tid: int, fields: list[bytes]) -> bytes:
        return wire.message(tid, fields, series=2)

    def _number_and_send(self, tid: int, fields: list[bytes], request: Request, chain: bytes = b"L") -> None:
        self._numbers[request.series] += 1
        number = self._numbers[request.series]
        self._send(wire.message(tid, fields, rid=request.rid, series=request.series, seq=number, chain=chain))

    def _send(self, data: bytes) -> None:
        if self._connection is not None:
            self._connection.sendall(data)
