"""A small CTP client in pure Python: enough of the protocol to check what a front sends, byte for byte."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickengine.front import fields, wire


class FrontClosed(Exception):
    """The front ended the connection; `reset` tells RST from FIN."""

    def __init__(self, reset: bool) -> None:
        super().__init__("reset" if reset else "closed")
        self.reset = reset


class FtdClient:
    """Blocking, with a deadline on every call. Collects ticks, answers and heartbeats as they come."""

    def __init__(self, address: str, *, timeout: float = 20.0, receive_buffer: int | None = None) -> None:
        host, port = address.removeprefix("tcp://").split(":")
        self.sock = socket.socket()
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        self.sock.connect((host, int(port)))
        self.timeout = timeout
        self.framer = wire.Framer()
        self.messages: list[wire.Message] = []
        self.tick_bodies: list[bytes] = []
        self.heartbeats = 0
        self.bytes_received = 0
        self.rid = 0

    def __enter__(self) -> FtdClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read_once(self, timeout: float | None = None) -> None:
        """Read what there is.

        Raises:
            FrontClosed: the connection has ended.
            TimeoutError: nothing came.
        """
        self.sock.settimeout(self.timeout if timeout is None else max(timeout, 0.001))
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError:
            raise FrontClosed(True) from None
        if not data:
            raise FrontClosed(False)
        self.bytes_received += len(data)
        for packet in self.framer.feed(data):
            self._take(packet)

    def _take(self, packet: wire.Packet) -> None:
        if packet.kind != wire.KIND_MESSAGE:
            tags = [tag for tag, _ in wire.extensions(packet.extension)]
            self.heartbeats += wire.TAG_HEARTBEAT in tags
            return
        message = wire.parse_message(packet.content)
        if message is None:
            return
        if message.tid == wire.TID_TICK:
            self.tick_bodies += [body for fid, body in message.fields if fid == fields.FID_TICK]
        else:
            self.messages.append(message)

    def read_until(self, true: Callable[[], Any], what: str, timeout: float | None = None) -> None:
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not true():
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no {what} in time; {len(self.tick_bodies)} ticks, {self.messages[-3:]}")
            try:
                self.read_once(left)
            except TimeoutError:
                continue

    def read_for(self, seconds: float) -> None:
        """Read whatever comes during *seconds*."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                self.read_once(left)
            except TimeoutError:
                return

    def read_to_end(self) -> bool:
        """Read until the front closes; return whether it did so by RST."""
        try:
            while True:
                self.read_once()
        except FrontClosed as end:
            return end.reset

    def answer(self, tid: int, rid: int | None = None) -> wire.Message:
        """Wait for the next message *tid* (with this *rid*) and take it out."""

        def found() -> list[wire.Message]:
            return [m for m in self.messages if m.tid == tid and rid in (None, m.rid)]

        self.read_until(found, f"message 0x{tid:04x}")
        message = found()[0]
        self.messages.remove(message)
        return message

    def request(self, tid: int, parts: Iterable[bytes]) -> int:
        self.rid += 1
        self.send(wire.message(tid, parts, rid=self.rid))
        return self.rid

    def login(self, password: bytes = b"secret", user: bytes = b"investor") -> dict[int, dict[str, Any]]:
        """Register and log in; return the decoded fields of the answer by field id."""
        self.send(wire.register_packet(39))
        values = {"BrokerID": b"9999", "UserID": user, "Password": password}
        dissemination = [wire.field(0x1001, struct.pack(">Hi", series, 0)) for series in (1, 4)]
        rid = self.request(wire.TID_LOGIN, [fields.encode(fields.FID_LOGIN, values), *dissemination])
        message = self.answer(wire.TID_LOGIN_ANSWER, rid)
        return {fid: fields.decode(fid, body) for fid, body in message.fields}

    def logout(self) -> dict[int, dict[str, Any]]:
        values = {"BrokerID": b"9999", "UserID": b"investor"}
        self.request(wire.TID_LOGOUT, [fields.encode(fields.FID_LOGOUT, values)])
        message = self.answer(wire.TID_LOGOUT_ANSWER)
        return {fid: fields.decode(fid, body) for fid, body in message.fields}

    def ask(self, ids: Iterable[str], tid: int = wire.TID_SUBSCRIBE) -> int:
        """Send the ids in packets of up to 114, as the vendor library does; return how many packets."""
        every = [wire.field(fields.FID_INSTRUMENT, name.encode().ljust(31, b"\0")) for name in ids]
        packets = [every[at : at + 114] for at in range(0, len(every), 114)]
        for parts in packets:
            self.send(wire.message(tid, parts))
        return len(packets)

    def subscribe(self, ids: Iterable[str], tid: int = wire.TID_SUBSCRIBE) -> dict[str, int]:
        """Subscribe and wait until every id is answered; return the error id of each."""
        names = list(ids)
        self.ask(names, tid)
        errors: dict[str, int] = {}

        def complete() -> bool:
            errors.update(self.take_acknowledgements(tid + 1))
            return len(errors) >= len(set(names))

        self.read_until(complete, f"answer for {len(names)} ids")
        return errors

    def take_acknowledgements(self, tid: int = wire.TID_SUBSCRIBE_ANSWER) -> dict[str, int]:
        """The answers that have come so far, by id; they are taken out."""
        errors: dict[str, int] = {}
        for message in [m for m in self.messages if m.tid == tid]:
            self.messages.remove(message)
            info = fields.decode(fields.FID_RSP_INFO, message.fields[0][1])
            for fid, body in message.fields[1:]:
                assert fid == fields.FID_INSTRUMENT
                errors[body.rstrip(b"\0").decode()] = info["ErrorID"]
        return errors

    def ticks(self) -> NDArray[Any]:
        """All ticks received so far."""
        return np.frombuffer(b"".join(self.tick_bodies), fields.TICK)

    def numbers(self) -> NDArray[np.int64]:
        """Running numbers of the ticks received so far, of a numbered market."""
        numbers: NDArray[np.int64] = self.ticks()["Turnover"].astype(np.int64)
        return numbers
