"""A log with a writer in this process: what the vendor's thread does, one call at a time."""

from __future__ import annotations

import ctypes as ct
import secrets
import struct
from typing import Any

from tickengine import Tick, TickLog, TickQueue
from tickengine._shim import lib, new_handle
from tickengine.rules import Rules
from tickengine.words import EVENT_CODES

# The vendor's DepthMarketData L1 (6.3.6): name -> offset and struct format.
L1 = {
    "TradingDay": (0, "9s"),
    "InstrumentID": (9, "31s"),
    "ExchangeID": (40, "9s"),
    "ExchangeInstID": (49, "31s"),
    "LastPrice": (80, "d"),
    "OpenPrice": (112, "d"),
    "Volume": (136, "i"),
    "Turnover": (144, "d"),
    "UpdateTime": (208, "9s"),
    "UpdateMillisec": (220, "i"),
    "BidPrice1": (224, "d"),
    "ActionDay": (392, "9s"),
}
L1_SIZE = 408


def depth(instrument: str, **fields: Any) -> ct.Array[ct.c_char]:
    """A vendor struct."""
    raw = ct.create_string_buffer(L1_SIZE)
    given = {
        "TradingDay": b"20260105",
        "ActionDay": b"20260105",
        "UpdateTime": b"09:30:00",
        "ExchangeID": b"SHFE",
        "InstrumentID": instrument.encode(),
        **fields,
    }
    for name, value in given.items():
        offset, kind = L1[name]
        struct.pack_into("<" + kind, raw, offset, value)
    return raw


class Feed:
    """A log, its writer, and queues bound to it."""

    def __init__(self, capacity: int = 4096, instruments: int = 64, name: str = "") -> None:
        self.log = TickLog.create(name or f"unit-{secrets.token_hex(6)}", capacity, instruments)
        self._writer = new_handle()
        lib().writer_open(self.log.handle, True, ct.byref(self._writer))
        self._queues: list[TickQueue] = []

    def queue(self, *args: Any, **options: Any) -> TickQueue:
        """A bound queue; by default from the oldest record on."""
        if "start" not in options and not args:
            options["start"] = "oldest"
        queue = TickQueue(*args, **options)
        self._queues.append(queue)
        queue.bind(self.log)
        return queue

    def tick(self, instrument: str, recv_ns: int | None = None, **fields: Any) -> None:
        """Publish a tick, received now or at *recv_ns*."""
        raw = depth(instrument, **fields)
        if recv_ns is None:
            lib().writer_tick(self._writer, 1, raw)
        else:
            lib().writer_tick_at(self._writer, 1, raw, recv_ns, recv_ns)

    def sent(self, instrument: str, recv_ns: int | None = None, **fields: Any) -> Tick:
        """Publish a tick and look at its record."""
        self.tick(instrument, recv_ns, **fields)
        tick = self.log[-1]
        assert isinstance(tick, Tick)
        return tick

    def give(self, rules: Rules) -> None:
        """What the writer knows of products and days from now on."""
        rules.give(self._writer)

    def event(self, name: str, reason: int = 0, error_id: int = 0, text: bytes = b"", encoding: int = 0) -> None:
        lib().writer_event(self._writer, EVENT_CODES[name], reason, error_id, 0, text, len(text), encoding)

    def close(self) -> None:
        for queue in self._queues:
            queue.close()
        lib().writer_close(self._writer)
        self.log.unlink()
        self.log.close()
