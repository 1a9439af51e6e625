"""The design that suggests itself, for comparison: one Python process with both vendor libraries, called through
ctypes; a strategy in the callback for ticks, which makes a dict of each and calls ReqOrderInsert; the returns of
orders in Python callbacks on the other library's thread.

As in `naive`, what can be had cheaply is: texts stay bytes, the order is a ctypes struct filled by name, the
method of the api is looked up once, of a return three fields are read. There are no limits, no book, no journal.
"""

from __future__ import annotations

import ctypes as ct
import os
import time
from multiprocessing.connection import Connection
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from .naive import (
    FIELDS,
    FRONT_CONNECTED,
    FRONT_DISCONNECTED,
    INIT,
    LOGGED_IN,
    LOGIN,
    REGISTER_FRONT,
    REGISTER_SPI,
    RELEASE,
    SUBSCRIBE,
    TICK,
    Api,
    DepthMarketData,
)
from .order_fronts import ORDER_PRICE, OWN
from .placement import Cores
from .processes import Crew
from .report import check

# Of the 6.3.6 trader library: slots of the api, then of the SPI.
SUBSCRIBE_PRIVATE, SUBSCRIBE_PUBLIC, TRADER_LOGIN, INSERT, CONFIRM = 8, 9, 11, 15, 20
TRADER_LOGGED_IN, REFUSED, CONFIRMED, ORDER, TRADE, REFUSED_BY_EXCHANGE = 4, 8, 13, 63, 64, 65
TRADER_SPI_SLOTS = 112
TRADER_FACTORY = "_ZN19CThostFtdcTraderApi19CreateFtdcTraderApiEPKc"
_QUICK = 2
_CANCELED = b"5"
_LIMIT_S = 60.0


def _struct(name: str, *fields: tuple[str, Any]) -> Any:
    types = [(field, ct.c_char * kind if isinstance(kind, int) else kind) for field, kind in fields]
    return type(name, (ct.Structure,), {"_fields_": types})


_Login = _struct("Login", ("TradingDay", 9), ("BrokerID", 11), ("UserID", 16), ("Password", 41), ("rest", 147))
_Confirm = _struct("Confirm", ("BrokerID", 11), ("InvestorID", 13), ("rest", 18))
_INPUT_ORDER = (
    *(("BrokerID", 11), ("InvestorID", 13), ("InstrumentID", 31), ("OrderRef", 13), ("UserID", 16)),
    *(("OrderPriceType", 1), ("Direction", 1), ("CombOffsetFlag", 5), ("CombHedgeFlag", 5)),
    *(("LimitPrice", ct.c_double), ("VolumeTotalOriginal", ct.c_int32), ("TimeCondition", 1), ("GTDDate", 9)),
    *(("VolumeCondition", 1), ("MinVolume", ct.c_int32), ("ContingentCondition", 1), ("StopPrice", ct.c_double)),
    *(("ForceCloseReason", 1), ("IsAutoSuspend", ct.c_int32), ("BusinessUnit", 21), ("RequestID", ct.c_int32)),
)
_InputOrder = _struct(
    "InputOrder",
    *_INPUT_ORDER,
    *(("UserForceClose", ct.c_int32), ("IsSwapOrder", ct.c_int32), ("ExchangeID", 9), ("InvestUnitID", 17)),
    *(("AccountID", 13), ("CurrencyID", 4), ("ClientID", 11), ("IPAddress", 16), ("MacAddress", 21)),
)
_Order = _struct(
    "Order",
    *_INPUT_ORDER,
    *(("until_submit_status", 100), ("OrderSubmitStatus", 1), ("until_status", 45), ("OrderStatus", 1)),
    *(("OrderType", 1), ("VolumeTraded", ct.c_int32), ("VolumeTotal", ct.c_int32), ("rest", 328)),
)
_SIZES = {_Login: 224, _Confirm: 42, _InputOrder: 272, _Order: 656}
assert all(ct.sizeof(struct) == size for struct, size in _SIZES.items()), {s: ct.sizeof(s) for s in _SIZES}
assert (_Order.OrderSubmitStatus.offset, _Order.OrderStatus.offset, _Order.VolumeTraded.offset) == (272, 318, 320)

_VOID = ct.c_void_p
_ANSWER = ct.CFUNCTYPE(None, _VOID, _VOID, _VOID, ct.c_int32, ct.c_bool)


class Result(NamedTuple):
    """Of the process: ticks that were not the next, what else went wrong, and of each order when its tick was
    sent, when Python had got to the callback, and when ReqOrderInsert had returned."""

    wrong: int
    failures: list[str]
    times: Any


def run(libraries: tuple[str, str], flows: tuple[str, str], fronts: tuple[str, str], ids: tuple[str, ...],
        count: int, orders: int, pipe: Connection) -> None:  # fmt: skip
    """Main of the process. Tells when both are ready, and the `Result` when all orders have come to their end."""
    clock, values, own = time.monotonic_ns, attrgetter(*FIELDS), OWN.encode()
    names = (ct.c_char_p * len(ids))(*[name.encode() for name in ids])
    times: list[tuple[float, int, int]] = []
    failures: list[str] = []
    ended: set[bytes] = set()
    up = {"md": False, "td": False}
    md_request, td_request = ct.create_string_buffer(512), _Login(b"", b"9999", b"bench", b"bench")
    for offset, text in ((9, b"9999"), (20, b"bench"), (36, b"bench")):
        md_request[offset : offset + len(text)] = text
    confirm = _Confirm(b"9999", b"bench")
    ticks = wrong = reference = 0

    # ---- market data

    @ct.CFUNCTYPE(None, _VOID)
    def on_md_connected(_this: Any) -> None:
        md.call(LOGIN, ct.addressof(md_request), 1)

    @ct.CFUNCTYPE(None, _VOID, ct.c_int32)
    def on_disconnected(_this: Any, reason: int) -> None:
        failures.append(f"disconnected: {reason:#x}")

    @ct.CFUNCTYPE(None, _VOID)
    def on_md_logged_in(_this: Any) -> None:
        up["md"] = True

    @ct.CFUNCTYPE(None, _VOID, ct.POINTER(DepthMarketData))
    def on_tick(_this: Any, data: Any) -> None:
        nonlocal ticks, wrong, reference
        entered = clock()
        tick = dict(zip(FIELDS, values(data.contents)))
        wrong += tick["Volume"] != ticks
        ticks += 1
        if tick["InstrumentID"] == own:
            reference += 1
            order = _InputOrder(
                BrokerID=b"9999",
                InvestorID=b"bench",
                UserID=b"bench",
                InstrumentID=own,
                ExchangeID=b"SHFE",
                OrderRef=b"%12d" % reference,
                OrderPriceType=b"2",
                Direction=b"0",
                CombOffsetFlag=b"0",
                CombHedgeFlag=b"1",
                LimitPrice=ORDER_PRICE,
                VolumeTotalOriginal=1,
                TimeCondition=b"1",
                VolumeCondition=b"1",
                ContingentCondition=b"1",
                ForceCloseReason=b"0",
                RequestID=reference,
            )
            code = insert(ct.addressof(order), reference)
            times.append((tick["Turnover"], entered, clock()))
            if code != 0:
                failures.append(f"ReqOrderInsert: {code}")

    # ---- trading

    @ct.CFUNCTYPE(None, _VOID)
    def on_td_connected(_this: Any) -> None:
        td.call(TRADER_LOGIN, ct.addressof(td_request), 1)

    @_ANSWER
    def on_td_logged_in(_this: Any, _answer: Any, info: Any, _request: int, _last: bool) -> None:
        if info and ct.c_int32.from_address(info).value:  # ErrorID
            failures.append("the trader's login was refused")
        td.call(CONFIRM, ct.addressof(confirm), 2)

    @_ANSWER
    def on_confirmed(_this: Any, _answer: Any, _info: Any, _request: int, _last: bool) -> None:
        up["td"] = True

    @_ANSWER
    def on_refused(_this: Any, _answer: Any, _info: Any, request: int, _last: bool) -> None:
        failures.append(f"order {request} was refused")

    @ct.CFUNCTYPE(None, _VOID, ct.POINTER(_Order))
    def on_order(_this: Any, data: Any) -> None:
        order = data.contents
        if order.OrderStatus == _CANCELED and order.VolumeTraded == 0:
            ended.add(order.OrderRef)

    @ct.CFUNCTYPE(None, _VOID, _VOID)
    def on_trade(_this: Any, _data: Any) -> None:
        failures.append("an order was filled")

    @ct.CFUNCTYPE(None, _VOID, _VOID, _VOID)
    def on_refused_by_exchange(_this: Any, _data: Any, _info: Any) -> None:
        failures.append("the exchange refused an order")

    md = Api(
        libraries[0],
        flows[0],
        {
            FRONT_CONNECTED: on_md_connected,
            FRONT_DISCONNECTED: on_disconnected,
            LOGGED_IN: on_md_logged_in,
            TICK: on_tick,
        },
    )
    td = Api(
        libraries[1],
        flows[1],
        {
            FRONT_CONNECTED: on_td_connected,
            FRONT_DISCONNECTED: on_disconnected,
            TRADER_LOGGED_IN: on_td_logged_in,
            CONFIRMED: on_confirmed,
            REFUSED: on_refused,
            ORDER: on_order,
            TRADE: on_trade,
            REFUSED_BY_EXCHANGE: on_refused_by_exchange,
        },
        factory=TRADER_FACTORY,
        options=(),
        slots=TRADER_SPI_SLOTS,
    )
    insert = td.method(INSERT, _VOID, ct.c_int32)
    td.call(SUBSCRIBE_PRIVATE, _QUICK)
    td.call(SUBSCRIBE_PUBLIC, _QUICK)
    for api, address in ((md, fronts[0]), (td, fronts[1])):
        front = ct.create_string_buffer(address.encode())
        api.call(REGISTER_FRONT, ct.addressof(front))
        api.call(INIT)
    _until(lambda: all(up.values()) or bool(failures), "both logins")
    md.call(SUBSCRIBE, ct.addressof(names), len(names))
    pipe.send("up")
    pipe.recv()
    # Nothing else is done meanwhile: the process belongs to the callbacks.
    _until(lambda: (ticks == count and len(ended) == orders) or bool(failures), "the end of all orders", count / 100)
    for api in (md, td):
        api.call(REGISTER_SPI, None)
        api.call(RELEASE)
    pipe.send(Result(wrong, failures, np.array(times, np.float64)))
    os._exit(0)  # the libraries' own exit handlers have nothing to add


def _until(condition: Any, words: str, more_s: float = 0.0) -> None:
    deadline = time.monotonic() + _LIMIT_S + more_s
    while not condition():
        check(time.monotonic() < deadline, f"not in time: {words}")
        time.sleep(0.02)


class NaiveTrader:
    """The process. With it as context it is gone behind it."""

    def __init__(self, libraries: tuple[str, str], flows: tuple[str, str], fronts: tuple[str, str],
                 ids: tuple[str, ...], count: int, orders: int, cores: Cores) -> None:  # fmt: skip
        self._arguments = (libraries, flows, fronts, ids, count, orders)
        self._core = cores.writer
        self._crew = Crew()

    def __enter__(self) -> NaiveTrader:
        try:
            self._crew.start("naive", run, *self._arguments, core=self._core)
            self._crew.hear("start")
        except BaseException:
            self._crew.end()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self._crew.end()

    def finish(self, limit_s: float) -> Any:
        """Times of each order, as in `Result`, after checking what came."""
        self._crew.tell("begin")
        (result,) = self._crew.hear("end of all orders", limit_s)
        check(result.wrong == 0, f"{result.wrong} ticks out of order, repeated or not themselves")
        check(not result.failures, f"{len(result.failures)} failures: {', '.join(result.failures[:3])}")
        self._crew.join()
        return result.times
