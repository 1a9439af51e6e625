"""Bytes that are no good, by name, with what the vendor library does about them."""

from __future__ import annotations

import struct

from tickengine.front.wire import KIND_EMPTY, KIND_MESSAGE, TID_TICK, message, packet


def _message_with_length(clen: int, body: bytes, encoding: int = 0) -> bytes:
    header = struct.pack(">BBBcHIIHHI", 1, encoding, 12, b"L", 0, TID_TICK, 0, 1, clen, 0)
    return packet(header + body)


def _noise() -> bytes:
    return b"".join(
        (
            message(0xF1FF),
            message(TID_TICK, [struct.pack(">HH", 0x3FFF, 4) + b"none"]),
            packet(b"short"),
            packet(b"\x02" + message(TID_TICK)[5:]),
            packet(b"\xab" * 64, kind=1),
            packet(b"", kind=KIND_EMPTY, extension=b"\x09\x04what"),
            packet(b"", kind=KIND_EMPTY),
            bytes(16),
        )
    )


GARBAGE: dict[str, bytes] = {
    # A content length above 4096: OnFrontDisconnected(8195).
    "length": struct.pack(">BBH", KIND_MESSAGE, 0, 0xFFFF) + b"\xff" * 64,
    # The header's field length is not that of the fields: OnFrontDisconnected(40961).
    "clen": _message_with_length(1000, bytes(16)),
    # A message that expands far beyond what is allowed: OnFrontDisconnected(40961).
    "compression": _message_with_length(16, b"\xef" * 4000, encoding=3),
    # All that must be ignored: unknown ids, short or foreign content, empty packets, a zero run.
    "noise": _noise(),
}
