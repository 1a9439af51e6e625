"""The vendor's struct of 584 bytes as the transports in Python carry it: with the tick's number in ``Volume``."""

from __future__ import annotations

import ctypes as ct
import struct
from collections.abc import Callable, Sequence
from typing import Any

from parts.depth import SIZES, VOLUME_AT
from parts.schedule import Send

SIZE = SIZES[3]
put_number = struct.Struct("<i").pack_into


class Depth(ct.Structure):
    """The struct for a transport that hands out structs; what no worker reads is left unnamed."""

    _fields_ = (
        ("Before", ct.c_char * 80),
        ("LastPrice", ct.c_double),
        ("Between", ct.c_char * 48),
        ("Volume", ct.c_int32),
        ("Behind", ct.c_char * 261),
        ("InstrumentID", ct.c_char * 81),
        ("Rest", ct.c_char * 102),
    )


assert ct.sizeof(Depth) == SIZE and Depth.Volume.offset == VOLUME_AT


def bytes_to_each(puts: Sequence[Callable[[bytes], Any]], tick: bytes) -> Send:
    """A sender that hands each of *puts* the tick as bytes."""
    raw = bytearray(tick)

    def send(number: int) -> None:
        put_number(raw, VOLUME_AT, number)
        message = bytes(raw)
        for put in puts:
            put(message)

    return send
