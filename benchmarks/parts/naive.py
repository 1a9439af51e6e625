"""The design that suggests itself, for comparison: the vendor library called through ctypes, a Python callback for
each tick on the library's thread, a dict of all 44 fields, `multiprocessing.Queue.put`, a worker that gets dicts.

The SPI's vtable is made by hand, as in empty_callback.cpp, for the 6.3.6 generation: 12 slots, 408 bytes. What can
be had cheaply is: the dict is made by two calls into C, texts stay bytes, nothing is counted twice.
"""

from __future__ import annotations

import ctypes as ct
import functools
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from tickengine.tick import VENDOR_FIELDS

from .depth import SIZES
from .placement import Cores
from .processes import CONTEXT, Crew
from .report import check

# Slots of the api, then of the SPI.
RELEASE, INIT, REGISTER_FRONT, REGISTER_SPI, SUBSCRIBE, LOGIN = 0, 1, 4, 7, 8, 12
FRONT_CONNECTED, FRONT_DISCONNECTED, LOGGED_IN, TICK = 0, 1, 3, 10
SPI_SLOTS, BEFORE_SLOTS = 12, 2  # offset-to-top and type information stand before the slots
FACTORY = "_ZN15CThostFtdcMdApi15CreateFtdcMdApiEPKcbb"

FIELDS = tuple(name for name in VENDOR_FIELDS if not name.startswith("Banding"))
_TEXT_SIZES = {
    **dict.fromkeys(("TradingDay", "ExchangeID", "UpdateTime", "ActionDay"), 9),
    **dict.fromkeys(("InstrumentID", "ExchangeInstID"), 31),
}


def _field_type(name: str) -> Any:
    if name in _TEXT_SIZES:
        return ct.c_char * _TEXT_SIZES[name]
    return ct.c_int32 if "Volume" in name or name == "UpdateMillisec" else ct.c_double


class DepthMarketData(ct.Structure):
    """The vendor's struct as of 6.3.6."""

    _fields_ = [(name, _field_type(name)) for name in FIELDS]


assert ct.sizeof(DepthMarketData) == SIZES[1]


class Api:
    """An api object of the vendor library with an SPI of Python callbacks. *options*: what its factory takes behind
    the flow directory."""

    def __init__(
        self,
        library: str,
        flow: str,
        callbacks: dict[int, Any],
        *,
        factory: str = FACTORY,
        options: tuple[bool, ...] = (False, False),
        slots: int = SPI_SLOTS,
    ) -> None:
        create = ct.CDLL(library)[factory]
        create.restype, create.argtypes = ct.c_void_p, (ct.c_char_p, *[ct.c_bool] * len(options))
        self._api = create(os.fsencode(flow) + b"/", *options)
        # Every slot has a callback: the library calls what it likes. All of this must live as long as the api.
        nothing = ct.CFUNCTYPE(None, ct.c_void_p)(lambda _this: None)
        self._callbacks = [callbacks.get(slot, nothing) for slot in range(slots)]
        addresses = [ct.cast(c, ct.c_void_p).value or 0 for c in self._callbacks]
        self._vtable = (ct.c_void_p * (BEFORE_SLOTS + slots))(*[0] * BEFORE_SLOTS, *addresses)
        self._spi = ct.c_void_p(ct.addressof(self._vtable) + BEFORE_SLOTS * ct.sizeof(ct.c_void_p))
        self.call(REGISTER_SPI, ct.addressof(self._spi))

    def call(self, slot: int, *arguments: Any) -> int:
        """One of its methods. Releases the GIL, which the library's thread may be waiting for."""
        kinds = [ct.c_int32 if isinstance(a, int) and a < 2**31 else ct.c_void_p for a in arguments]
        return int(self.method(slot, *kinds)(*arguments))

    def method(self, slot: int, *kinds: Any) -> Callable[..., Any]:
        """The same, looked up once."""
        vtable = ct.cast(self._api, ct.POINTER(ct.POINTER(ct.c_void_p))).contents
        return functools.partial(ct.CFUNCTYPE(ct.c_int32, ct.c_void_p, *kinds)(vtable[slot]), self._api)


def feed(
    library: str, flow: str, address: str, instruments: tuple[str, ...], queue: Any, counters: Any, pipe: Connection
) -> None:
    """Main of the library's process: until told to end. *counters*: ticks put, disconnects."""
    counts = np.frombuffer(counters, np.uint64)
    ids = (ct.c_char_p * len(instruments))(*[name.encode() for name in instruments])
    request = ct.create_string_buffer(512)
    for offset, text in ((9, b"9999"), (20, b"bench"), (36, b"bench")):
        request[offset : offset + len(text)] = text
    put, clock, values = queue.put, time.monotonic_ns, attrgetter(*FIELDS)
    ticks = 0

    @ct.CFUNCTYPE(None, ct.c_void_p)
    def on_front_connected(_this: Any) -> None:
        api.call(LOGIN, ct.addressof(request), 1)

    @ct.CFUNCTYPE(None, ct.c_void_p, ct.c_int32)
    def on_front_disconnected(_this: Any, _reason: int) -> None:
        counts[1] += 1

    @ct.CFUNCTYPE(None, ct.c_void_p)
    def on_logged_in(_this: Any) -> None:
        api.call(SUBSCRIBE, ct.addressof(ids), len(ids))

    @ct.CFUNCTYPE(None, ct.c_void_p, ct.POINTER(DepthMarketData))
    def on_tick(_this: Any, data: Any) -> None:
        nonlocal ticks
        entered = clock()
        tick = dict(zip(FIELDS, values(data.contents)))
        tick["RecvMonotonic"] = entered
        put(tick)
        ticks += 1
        counts[0] = ticks

    callbacks = {
        FRONT_CONNECTED: on_front_connected,
        FRONT_DISCONNECTED: on_front_disconnected,
        LOGGED_IN: on_logged_in,
        TICK: on_tick,
    }
    api = Api(library, flow, callbacks)
    front = ct.create_string_buffer(address.encode())
    api.call(REGISTER_FRONT, ct.addressof(front))
    api.call(INIT)
    pipe.send("up")
    pipe.recv()
    api.call(REGISTER_SPI, None)
    api.call(RELEASE)
    put(None)
    queue.close()
    queue.join_thread()
    pipe.send((ticks, int(counts[1])))
    os._exit(0)  # the library's own exit handlers have nothing to add


class Result(NamedTuple):
    """Of the worker: ticks got, how many were not the next one, and each one's delay in nanoseconds."""

    received: int
    wrong: int
    delays: Any


def work(queue: Any, counters: Any, modulus: int, stamped: bool, pipe: Connection) -> None:
    """Main of the worker: three fields read of each tick or, *stamped*, one and then the clock."""
    counts = np.frombuffer(counters, np.uint64)
    pipe.send("up")
    pipe.recv()
    delays: list[int] = []
    clock, get = time.monotonic_ns, queue.get
    received = wrong = 0
    while (tick := get()) is not None:
        if stamped:
            _price = tick["LastPrice"]
            delays.append(clock() - tick["RecvMonotonic"])
        else:
            _price, _bid = tick["LastPrice"], tick["BidPrice1"]
        wrong += tick["Volume"] != received % modulus
        received += 1
        counts[0] = received
    pipe.send(Result(received, wrong, np.array(delays, np.int64)))


class Naive:
    """The library's process and the worker's. With it as context they are gone behind it."""

    def __init__(
        self,
        library: str,
        flow: str,
        address: str,
        instruments: tuple[str, ...],
        modulus: int,
        *,
        stamped: bool,
        cores: Cores,
    ) -> None:
        self._to_feed = (library, flow, address, instruments)
        self._to_worker = (modulus, stamped)
        self._cores = cores
        self._feed, self._worker = Crew(), Crew()
        self._put, self._got = CONTEXT.RawArray("Q", 2), CONTEXT.RawArray("Q", 1)
        self._held = ExitStack()
        self.pid = 0

    def __enter__(self) -> Naive:
        queue = CONTEXT.Queue()
        with ExitStack() as held:
            held.callback(queue.close)
            held.enter_context(self._feed)
            held.enter_context(self._worker)
            self._worker.start("worker", work, queue, self._got, *self._to_worker, core=self._cores.worker(0))
            self._worker.hear("start")
            self._worker.tell("begin")
            self.pid = self._feed.start("library", feed, *self._to_feed, queue, self._put, core=self._cores.writer)
            self._feed.hear("start")
            self._held = held.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._held.close()

    def put(self) -> int:
        """Ticks that its callback has put by now."""
        return int(self._put[0])

    def received(self) -> list[int]:
        """Ticks that the worker has got by now."""
        return [int(self._got[0])]

    def cpu(self) -> float:
        """Processor seconds of the worker."""
        return self._worker.cpu()

    @property
    def disconnects(self) -> int:
        return int(self._put[1])

    def finish(self, sent: int) -> Result:
        """End both, after the front has sent so many ticks and they have arrived. Checks each tick's way."""
        self._feed.tell("end")
        put, _disconnects = self._feed.hear()[0]
        result: Result = self._worker.hear()[0]
        check(result.wrong == 0, f"{result.wrong} ticks out of order, repeated or not themselves")
        check(put == result.received == sent, f"sent {sent}, put {put}, received {result.received}")
        self._feed.join()
        self._worker.join()
        return result
