"""FTD packets and FTDC messages: what goes over the wire, without any socket.

An FTD packet is `type(1) extension length(1) content length(2)`, the extension header, the content.
The content of a type-2 packet is an FTDC message: a header of 22 bytes and a list of fields. All
numbers are big-endian, nothing is padded.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from typing import NamedTuple

MAX_CONTENT_BYTES = 4096
"""Longest content of one packet; the vendor library drops the line (8195) on a longer one."""
MAX_FIELDS_BYTES = 8192
"""Longest field list after decompression; the vendor library drops the line (40961) beyond about this."""

KIND_EMPTY = 0
KIND_MESSAGE = 2
TAG_HEARTBEAT = 5
TAG_REGISTER = 7
HEARTBEAT = bytes((KIND_EMPTY, 2, 0, 0, TAG_HEARTBEAT, 0))

TID_ERROR = 0x0001
TID_LOGIN, TID_LOGIN_ANSWER = 0x3000, 0x3001
TID_LOGOUT, TID_LOGOUT_ANSWER = 0x3002, 0x3003
TID_SUBSCRIBE, TID_SUBSCRIBE_ANSWER = 0x4401, 0x4402
TID_UNSUBSCRIBE, TID_UNSUBSCRIBE_ANSWER = 0x4403, 0x4404
TID_QUOTE_SUBSCRIBE, TID_QUOTE_SUBSCRIBE_ANSWER = 0x4409, 0x440A
TID_QUOTE_UNSUBSCRIBE, TID_QUOTE_UNSUBSCRIBE_ANSWER = 0x440B, 0x440C
TID_TICK = 0xF101
TID_FOR_QUOTE = 0xF018

VERSION = 12
ENCODING_PLAIN = 0
ENCODING_ZERO_RUNS = 3

_FTD = struct.Struct(">BBH")
_MESSAGE = struct.Struct(">BBBcHIIHHI")
_FIELD = struct.Struct(">HH")
FTD_HEADER_BYTES = _FTD.size
MESSAGE_HEADER_BYTES = _MESSAGE.size
FIELD_HEADER_BYTES = _FIELD.size

_ENCODED = re.compile(rb"\x00{1,15}|[\xe0-\xef]")
_DECODED = re.compile(rb"\xe0(.)|[\xe0-\xef]", re.DOTALL)


class FrameError(ValueError):
    """The peer broke the framing; nothing after this point of its stream can be understood.

    `packets` holds the complete packets that stood before the fault in the same piece of data.
    """

    def __init__(self, text: str, packets: Iterable[Packet] = ()) -> None:
        super().__init__(text)
        self.packets = list(packets)


class Packet(NamedTuple):
    """One FTD packet without its 4 header bytes."""

    kind: int
    extension: bytes
    content: bytes


class Message(NamedTuple):
    """One FTDC message; `fields` are pairs of field id and body."""

    chain: bytes
    series: int
    tid: int
    seq: int
    rid: int
    fields: list[tuple[int, bytes]]


class Framer:
    """Cuts a byte stream into packets, however it is sliced. Holds at most one incomplete packet."""

    def __init__(self) -> None:
        self._rest = bytearray()

    @property
    def pending_bytes(self) -> int:
        """Bytes of the packet that is not yet complete."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[Packet]:
        """Return the packets that *data* completes.

        Raises:
            FrameError: a content length above 4096. The framer must not be fed again.
        """
        rest = self._rest
        rest += data
        packets: list[Packet] = []
        start = 0
        while len(rest) - start >= FTD_HEADER_BYTES:
            kind, extension_bytes, content_bytes = _FTD.unpack_from(rest, start)
            if content_bytes > MAX_CONTENT_BYTES:
                raise FrameError(f"content length {content_bytes}, at most {MAX_CONTENT_BYTES}", packets)
            body = start + FTD_HEADER_BYTES
            content = body + extension_bytes
            end = content + content_bytes
            if end > len(rest):
                break
            packets.append(Packet(kind, bytes(rest[body:content]), bytes(rest[content:end])))
            start = end
        del rest[:start]
        return packets


def extensions(data: bytes) -> list[tuple[int, bytes]]:
    """Split an extension header into (tag, value) pairs; what does not fit is left out."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at + 2 <= len(data):
        tag, length = data[at], data[at + 1]
        value = data[at + 2 : at + 2 + length]
        if len(value) < length:
            break
        found.append((tag, value))
        at += 2 + length
    return found


def packet(content: bytes, *, kind: int = KIND_MESSAGE, extension: bytes = b"") -> bytes:
    """Return one FTD packet.

    Raises:
        ValueError: content above 4096 bytes or extension above 255.
    """
    if len(content) > MAX_CONTENT_BYTES or len(extension) > 255:
        raise ValueError(f"packet of {len(content)} content and {len(extension)} extension bytes is too long")
    return _FTD.pack(kind, len(extension), len(content)) + extension + content


def register_packet(seconds: int) -> bytes:
    """The packet by which one side announces that it will send something every *seconds*."""
    return packet(b"", kind=KIND_EMPTY, extension=struct.pack(">BBI", TAG_REGISTER, 4, seconds))


def field(fid: int, body: bytes) -> bytes:
    """Return *body* with its field header."""
    return _FIELD.pack(fid, len(body)) + body


def message(
    tid: int,
    fields: Iterable[bytes] = (),
    *,
    rid: int = 0,
    chain: bytes = b"L",
    series: int = 0,
    seq: int = 0,
    compress: bool = False,
) -> bytes:
    """Return one whole packet with one FTDC message; *fields* come from `field`.

    Raises:
        ValueError: the message does not fit into a packet.
    """
    parts = list(fields)
    body = b"".join(parts)
    encoding = ENCODING_ZERO_RUNS if compress else ENCODING_PLAIN
    content = _MESSAGE.pack(1, encoding, VERSION, chain, series, tid, seq, len(parts), len(body), rid) + body
    if compress:
        content = content[:4] + compress_zeros(content[4:])
    return packet(content)


def parse_message(content: bytes) -> Message | None:
    """Return the FTDC message in *content*; None where the vendor's own parser ignores it too.

    Raises:
        FrameError: broken compression, or the field list is not as long as the header says.
    """
    if len(content) < 4 or content[0] != 1:
        return None
    if content[1] == ENCODING_ZERO_RUNS:
        content = content[:4] + expand_zeros(content[4:])
    if len(content) < MESSAGE_HEADER_BYTES:
        return None
    _, _, _, chain, series, tid, seq, _, clen, rid = _MESSAGE.unpack_from(content)
    body = content[MESSAGE_HEADER_BYTES:]
    if clen != len(body) or clen > MAX_FIELDS_BYTES:
        raise FrameError(f"message 0x{tid:04x}: header says {clen} bytes of fields, {len(body)} present")
    fields: list[tuple[int, bytes]] = []
    at = 0
    while at + FIELD_HEADER_BYTES <= clen:
        fid, length = _FIELD.unpack_from(body, at)
        at += FIELD_HEADER_BYTES
        if at + length > clen:
            return None
        fields.append((fid, body[at : at + length]))
        at += length
    return Message(chain, series, tid, seq, rid, fields)


def compress_zeros(data: bytes) -> bytes:
    """Zero-run compression: `e1`..`ef` stand for 1 to 15 zeros, `e0 x` for a byte x of e0..ef."""
    return _ENCODED.sub(_encode_run, data)


def expand_zeros(data: bytes) -> bytes:
    """Undo `compress_zeros`.

    Raises:
        FrameError: an `e0` without its byte, or more than 8 KB of result.
    """
    plain = _DECODED.sub(_decode_run, data)
    if len(plain) > MAX_FIELDS_BYTES + MESSAGE_HEADER_BYTES:
        raise FrameError(f"compressed message expands to {len(plain)} bytes, at most {MAX_FIELDS_BYTES}")
    return plain


def _encode_run(match: re.Match[bytes]) -> bytes:
    run = match[0]
    return bytes((0xE0 + len(run),)) if run[0] == 0 else b"\xe0" + run


def _decode_run(match: re.Match[bytes]) -> bytes:
    code = match[0][0]
    if code != 0xE0:
        return bytes(code - 0xE0)
    if match[1] is None:
        raise FrameError("compressed message ends after an escape byte")
    return match[1]
