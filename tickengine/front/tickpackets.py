"""Many ticks as whole packets of up to 11, encoded by column assignments into one buffer.

The packets of a buffer are one structured numpy array, so the headers are written once, the columns
of a batch are assigned straight into their places on the wire, and a batch leaves in one send.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickengine.front.fields import FID_TICK, TICK
from tickengine.front.wire import FIELD_HEADER_BYTES, KIND_MESSAGE, MESSAGE_HEADER_BYTES, TID_TICK, VERSION

TICKS_PER_PACKET = 11

_TICK_FIELD = np.dtype([("fid", ">u2"), ("flen", ">u2"), ("body", TICK)])
TICK_PACKET = np.dtype(
    [
        ("kind", "u1"),
        ("extlen", "u1"),
        ("len", ">u2"),
        ("head", "u1"),
        ("enc", "u1"),
        ("version", "u1"),
        ("chain", "S1"),
        ("series", ">u2"),
        ("tid", ">u4"),
        ("seq", ">u4"),
        ("nfields", ">u2"),
        ("clen", ">u2"),
        ("rid", ">u4"),
        ("fields", _TICK_FIELD, (TICKS_PER_PACKET,)),
    ]
)
PACKET_BYTES = TICK_PACKET.itemsize
_TICK_BYTES = FIELD_HEADER_BYTES + TICK.itemsize
_EMPTY_PACKET_BYTES = PACKET_BYTES - TICKS_PER_PACKET * _TICK_BYTES


def encoded_bytes(ticks: int) -> int:
    """Length on the wire of a run of *ticks* ticks that begins with a full packet."""
    full, rest = divmod(ticks, TICKS_PER_PACKET)
    return full * PACKET_BYTES + (_EMPTY_PACKET_BYTES + rest * _TICK_BYTES if rest else 0)


def whole_ticks(sent_bytes: int, ticks: int) -> int:
    """How many of *ticks* ticks stand in packets that *sent_bytes* bytes of the run hold completely."""
    if sent_bytes >= encoded_bytes(ticks):
        return ticks
    return min(ticks, sent_bytes // PACKET_BYTES * TICKS_PER_PACKET)


class TickBuffer:
    """Room for up to `capacity` ticks as packets, reused from batch to batch.

    What `data` returns is a view: it is good until the buffer is filled again.
    """

    def __init__(self, capacity: int) -> None:
        packets = -(-capacity // TICKS_PER_PACKET)
        self.capacity = packets * TICKS_PER_PACKET
        self._packets: NDArray[Any] = np.zeros(packets, TICK_PACKET)
        self._bytes = self._packets.view(np.uint8).data
        self._short: int | None = None
        self._write_headers()

    def _write_headers(self) -> None:
        packets = self._packets
        packets["kind"] = KIND_MESSAGE
        packets["head"] = 1
        packets["version"] = VERSION
        packets["chain"] = b"L"
        packets["tid"] = TID_TICK
        packets["fields"]["fid"] = FID_TICK
        packets["fields"]["flen"] = TICK.itemsize
        self._set_length(slice(None), TICKS_PER_PACKET)

    def _set_length(self, which: slice, ticks: int) -> None:
        packets = self._packets[which]
        packets["nfields"] = ticks
        packets["clen"] = ticks * _TICK_BYTES
        packets["len"] = MESSAGE_HEADER_BYTES + ticks * _TICK_BYTES

    def bodies(self, ticks: int, start: int = 0) -> NDArray[Any]:
        """The places on the wire of the ticks `start`..`start + ticks - 1` of the buffer, shape (packets,
        11), dtype `TICK`; *start* begins a packet, the last row may be used in part only. Assign columns
        to it, then call `data` with the same numbers."""
        first = start // TICKS_PER_PACKET
        packets = -(-ticks // TICKS_PER_PACKET)
        bodies: NDArray[Any] = self._packets[first : first + packets]["fields"]["body"]
        return bodies

    def data(self, ticks: int, start: int = 0) -> memoryview:
        """The bytes of the ticks `start`..`start + ticks - 1` of the buffer; *start* begins a packet."""
        if self._short is not None:
            self._set_length(slice(self._short, self._short + 1), TICKS_PER_PACKET)
            self._short = None
        first = start // TICKS_PER_PACKET
        rest = ticks % TICKS_PER_PACKET
        if rest:
            self._short = first + ticks // TICKS_PER_PACKET
            self._set_length(slice(self._short, self._short + 1), rest)
        begin = first * PACKET_BYTES
        return self._bytes[begin : begin + encoded_bytes(ticks)]

    def put(self, ticks: NDArray[Any]) -> memoryview:
        """Copy records of dtype `TICK` into the buffer and return their bytes."""
        count = len(ticks)
        bodies = self.bodies(count)
        full = count // TICKS_PER_PACKET
        bodies[:full] = ticks[: full * TICKS_PER_PACKET].reshape(full, TICKS_PER_PACKET)
        rest = count - full * TICKS_PER_PACKET
        if rest:
            bodies[full, :rest] = ticks[full * TICKS_PER_PACKET :]
        return self.data(count)


def encode_ticks(ticks: NDArray[Any]) -> memoryview:
    """Return records of dtype `TICK` as packets, in a buffer of their own."""
    return TickBuffer(max(len(ticks), 1)).put(ticks)
