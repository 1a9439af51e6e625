"""`TraderApi` on the genuine library: programs written for AlgoPlus trade after a change of import."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from feed_support import wait_for

from tickengine import ConfigError, EngineError, TraderApi
from tickengine.front.trading import TradingFront
from tickengine.trader import NO_LIMITS, LimitRefused, Limits, Quote, TradeLog, ledger
from tickengine.trader.records import Record, struct_fields

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(90)]

PASSWORD, AUTH_CODE = "pass-word-1", "auth-code-1"
PRICES = {"rb2605": 3000.0}
BUY: dict[str, Any] = {
    "InstrumentID": b"rb2605",
    "ExchangeID": b"SHFE",
    "OrderPriceType": b"2",
    "Direction": b"0",
    "CombOffsetFlag": b"0",
    "CombHedgeFlag": b"1",
    "LimitPrice": 3001.0,
    "VolumeTotalOriginal": 2,
    "TimeCondition": b"3",
    "VolumeCondition": b"1",
    "MinVolume": 1,
    "ContingentCondition": b"1",
    "ForceCloseReason": b"0",
}
CALLBACKS = [name for name in dir(TraderApi) if name.startswith("On")]
PROGRAM = """
    import sys
    from tickengine import TraderApi
    from tickengine.trader import NO_LIMITS

    class Trader(TraderApi):
        def __init__(self, broker_id, td_server, investor_id, password, app_id, auth_code, md_queue=None,
                     flow_path='', private_resume_type=2, public_resume_type=2, limits=None):
            self.traded = []

        def OnRspSettlementInfoConfirm(self, pSettlementInfoConfirm, pRspInfo, nRequestID, bIsLast):
            order = {"InstrumentID": b"rb2605", "ExchangeID": b"SHFE", "OrderPriceType": b"2", "Direction": b"0",
                     "CombOffsetFlag": b"0", "CombHedgeFlag": b"1", "LimitPrice": 3001.0, "VolumeTotalOriginal": 2,
                     "TimeCondition": b"3", "VolumeCondition": b"1", "MinVolume": 1, "ContingentCondition": b"1",
                     "ForceCloseReason": b"0"}
            print("sent", self.ReqOrderInsert(order, 7), flush=True)

        def OnRtnTrade(self, pTrade):
            print("trade", pTrade["OrderRef"].strip() == str(self.order_ref).encode(), pTrade["Volume"], flush=True)

    trader = Trader(b"9999", sys.argv[1], b"me", b"pass-word-1", b"app", b"auth-code-1", None, sys.argv[2], 1, 1,
                    limits=NO_LIMITS)
"""


class Recorder(TraderApi):
    """Writes down every callback, then does what the test wants: ``after[name](api, *args)``."""

    calls: list[tuple[str, tuple[Any, ...]]]
    after: dict[str, Callable[..., Any]]

    def names(self, *wanted: str) -> list[str]:
        return [name for name, _ in self.calls if not wanted or name in wanted]

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [args for called, args in self.calls if called == name]


def _recording(name: str) -> Callable[..., None]:
    def callback(self: Recorder, *args: Any) -> None:
        self.calls.append((name, args))
        if name in self.after:
            self.after[name](self, *args)

    return callback


for _name in CALLBACKS:
    setattr(Recorder, _name, _recording(_name))


@pytest.fixture
def front() -> Iterator[TradingFront]:
    with TradingFront(PRICES, password=PASSWORD, require_authentication=True) as front:
        yield front


@pytest.fixture
def make(genuine_trader: str, tmp_path: Path) -> Iterator[Callable[..., Recorder]]:
    """Makes recorders, and releases them."""
    made: list[Recorder] = []

    def make(front: TradingFront, after: dict[str, Callable[..., Any]] | None = None, **options: Any) -> Recorder:
        class Own(Recorder):
            calls: list[tuple[str, tuple[Any, ...]]] = []

        Own.after = dict(after or {})
        arguments = {"flow_path": str(tmp_path / "flow"), "library": genuine_trader, "limits": NO_LIMITS, **options}
        api = Own(b"9999", front.address, b"me", PASSWORD.encode(), b"app", AUTH_CODE.encode(), **arguments)
        made.append(api)
        return api

    yield make
    for api in made:
        api.Release()


def ready(api: TraderApi) -> None:
    wait_for(lambda: api.status()["state"] == "ready", f"{api} to be ready")


def reconciled(api: TraderApi, times: int = 1) -> None:
    wait_for(lambda: api.status()["reconciled"] >= times, "the account to be asked for")


def journal(api: TraderApi) -> list[Record]:
    with TradeLog.attach(api.journal_path) as log:
        return log.read()


def test_a_session_by_itself_calls_back_in_order_with_bytes(front: TradingFront, make: Callable[..., Recorder]) -> None:
    on_main: list[bool] = []

    def sends(api: Recorder, *_args: Any) -> None:
        on_main.append(threading.current_thread() is threading.main_thread())
        assert api.ReqOrderInsert(BUY, 5) == 0

    api = make(front, {"OnRspSettlementInfoConfirm": sends})
    wait_for(lambda: api.of("OnRtnTrade"), "a trade")
    assert api.names() == [
        *("OnFrontConnected", "OnRspAuthenticate", "OnRspUserLogin", "OnRspSettlementInfoConfirm"),
        *("OnRtnOrder", "OnRtnOrder", "OnRtnOrder", "OnRtnTrade"),
    ]
    assert on_main == [False]
    (login,) = api.of("OnRspUserLogin")
    assert login[0]["UserID"] == b"me" and login[1] == {"ErrorID": 0, "ErrorMsg": login[1]["ErrorMsg"]}
    assert login[0]["TradingDay"] == api.GetTradingDay().encode() and login[3] is True
    assert re.fullmatch(r"\d{8}", api.GetTradingDay()) and api.GetApiVersion().startswith("v6.3.6")
    orders = [args[0] for args in api.of("OnRtnOrder")]
    assert [o["OrderStatus"] for o in orders] == [b"a", b"a", b"0"]
    assert set(orders[-1]) == set(struct_fields("Order"))
    assert not [value for o in orders for value in o.values() if isinstance(value, str)]
    assert orders[-1]["StatusMsg"].decode("gb18030") and orders[-1]["InvestorID"] == b"me"
    assert int(orders[-1]["OrderRef"]) == api.order_ref == 1
    ((trade,),) = api.of("OnRtnTrade")
    assert (trade["Price"], trade["Volume"], trade["OrderSysID"]) == (3000.0, 2, orders[-1]["OrderSysID"])
    kinds = [record.kind for record in journal(api)]
    assert kinds.index("sending_order") < kinds.index("rtn_order") and kinds.count("rtn_trade") == 1
    assert front.report().logins == 1 and front.report().authentications == 1


def test_a_program_that_does_every_step_itself_does_it_alone(
    front: TradingFront, make: Callable[..., Recorder]
) -> None:
    account = {"BrokerID": b"9999", "UserID": b"me"}

    def connected(api: Recorder) -> None:
        assert api.ReqAuthenticate({**account, "AppID": b"app", "AuthCode": AUTH_CODE.encode()}, 11) == 0

    def authenticated(api: Recorder, *_args: Any) -> None:
        assert api.ReqUserLogin({**account, "Password": PASSWORD.encode()}, 12) == 0

    def logged_in(api: Recorder, *_args: Any) -> None:
        assert api.ReqSettlementInfoConfirm({"BrokerID": b"9999", "InvestorID": b"me"}, 13) == 0

    steps = {"OnFrontConnected": connected, "OnRspAuthenticate": authenticated, "OnRspUserLogin": logged_in}
    api = make(front, steps)
    ready(api)
    reconciled(api)
    front.cut("fin")
    front.wait_until(timeout=20, logins=2)
    reconciled(api, 2)
    report = front.report()
    assert (report.authentications, report.logins, report.logins_refused) == (2, 2, 0)
    for name, number in (("OnRspAuthenticate", 11), ("OnRspUserLogin", 12), ("OnRspSettlementInfoConfirm", 13)):
        assert [args[2] for args in api.of(name)] == [number, number]
    kinds = [record.kind for record in journal(api)]
    assert kinds.count("rsp_authenticate") == kinds.count("rsp_user_login") == 2
    assert kinds.count("rsp_settlement_confirm") == 2


def test_a_program_may_log_in_from_a_thread_of_its_own(front: TradingFront, make: Callable[..., Recorder]) -> None:
    codes: list[int] = []
    threads: list[threading.Thread] = []

    def refused(api: Recorder, *_args: Any) -> None:
        if not threads:
            threads.append(threading.Thread(target=lambda: codes.append(api.ReqUserLogin(None, 21))))
            threads[0].start()
            assert api._session is not None
            posted = api._session._posted
            wait_for(lambda: not posted.empty(), "the request, before the session tries again by itself")

    front.refuse_logins(7, times=1)  # passing: the session waits a second before it tries again
    api = make(front, {"OnRspUserLogin": refused})
    ready(api)
    threads[0].join(20)
    assert codes == [0]
    assert [(args[1]["ErrorID"], args[2]) for args in api.of("OnRspUserLogin")][1] == (0, 21)
    assert api.of("OnRspUserLogin")[0][1]["ErrorID"] == 7
    assert front.report().logins == 1


def test_an_order_that_waits_is_cancelled(front: TradingFront, make: Callable[..., Recorder]) -> None:
    api = make(front)
    ready(api)
    assert api.ReqOrderInsert({**BUY, "LimitPrice": 2950.0, "OrderRef": b"77", "RequestID": 3}) == 0
    assert api.order_ref == 1  # not the program's own
    waiting = wait_for(
        lambda: [a[0] for a in api.of("OnRtnOrder") if a[0]["OrderStatus"] == b"3"], "the order in the queue"
    )[0]
    named = {name: waiting[name] for name in ("InstrumentID", "ExchangeID", "OrderRef", "FrontID", "SessionID")}
    assert api.ReqOrderAction(named, 31) == 0
    wait_for(lambda: api.of("OnRtnOrder")[-1][0]["OrderStatus"] == b"5", "the cancellation")
    assert not api.of("OnRspOrderAction")
    assert api.ReqOrderAction({"ExchangeID": b"SHFE", "OrderSysID": waiting["OrderSysID"]}, 32) == 0
    wait_for(lambda: api.of("OnErrRtnOrderAction") and api.of("OnRspOrderAction"), "the refusal of the second one")
    action, info, number, _last = api.of("OnRspOrderAction")[0]
    assert number == 32 and info["ErrorID"] and action["OrderSysID"] == waiting["OrderSysID"]


def test_algoplus_short_forms_send_what_they_say(front: TradingFront, make: Callable[..., Recorder]) -> None:
    api = make(front)
    ready(api)
    assert api.buy_open(b"SHFE", b"rb2605", 2950.0, 3) == 0
    waits = api.order_ref
    assert api.sell_open("SHFE", "rb2605", 3050.0, 1) == 0
    assert api.buy_close("INE", "sc2605", 500.0, 1) == 0
    assert api.sell_close(b"SHFE", b"rb2605", 3050.0, 2, False) == 0
    assert api.sell_close("DCE", "m2605", 2700.0, 1) == 0
    names = ("InstrumentID", "Direction", "CombOffsetFlag", "LimitPrice", "VolumeTotalOriginal")
    sent = [tuple(record.data[name] for name in names) for record in journal(api) if record.kind == "sending_order"]
    assert sent == [
        ("rb2605", "0", "0", 2950.0, 3),
        ("rb2605", "1", "0", 3050.0, 1),
        ("sc2605", "0", "3", 500.0, 1),
        ("rb2605", "1", "4", 3050.0, 2),
        ("m2605", "1", "1", 2700.0, 1),
    ]
    one = next(record.data for record in journal(api) if record.kind == "sending_order")
    assert {name: one[name] for name in BUY if name not in names} == {
        name: value.decode() if isinstance(value, bytes) else value for name, value in BUY.items() if name not in names
    }
    with pytest.raises(ConfigError, match="order_vol"):
        api.buy_open("SHFE", "rb2605", 2950.0, 1.5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="order_ref 4711: no order"):
        api.cancel_order("SHFE", "rb2605", 4711)
    with pytest.raises(ConfigError, match="order_ref 'x' must be"):
        api.cancel_order("SHFE", "rb2605", "x")

    def of(reference: int, status: bytes) -> list[Any]:
        orders = [a[0] for a in api.of("OnRtnOrder")]
        return [o for o in orders if int(o["OrderRef"]) == reference and o["OrderStatus"] == status]

    wait_for(lambda: of(waits, b"3"), "the first order in the queue")
    front.cut()
    wait_for(lambda: api.status()["logins"] >= 2, "the second login")
    ready(api)
    assert api.cancel_order("SHFE", "rb2605", waits) == 0  # another session's by now
    wait_for(lambda: of(waits, b"5"), "the cancellation")


def test_short_forms_keep_the_limits(front: TradingFront, make: Callable[..., Recorder]) -> None:
    api = make(front, limits=Limits(order_volume=2))
    ready(api)
    assert api.gate is not None
    api.gate.set_price("rb2605", Quote(3000.0))
    with pytest.raises(LimitRefused) as refused:
        api.buy_open("SHFE", "rb2605", 2990.0, 3)
    assert refused.value.limit == "order_volume"
    assert "sending_order" not in [record.kind for record in journal(api)]


def test_a_refused_order_comes_back_with_the_programs_number(
    front: TradingFront, make: Callable[..., Recorder]
) -> None:
    api = make(front)
    ready(api)
    front.refuse_orders(31, times=1)
    assert api.ReqOrderInsert(BUY, 41) == 0
    assert api.ReqOrderInsert(BUY, 42) == 0
    wait_for(lambda: api.of("OnRspOrderInsert") and api.of("OnErrRtnOrderInsert"), "the refusals")
    wait_for(lambda: api.of("OnRtnTrade"), "the second one's trade")
    ((order, info, number, last),) = api.of("OnRspOrderInsert")
    assert (number, last, info["ErrorID"], int(order["OrderRef"])) == (41, True, 31, 1)
    assert info["ErrorMsg"].decode("gb18030")
    ((order, info),) = api.of("OnErrRtnOrderInsert")
    assert (info["ErrorID"], int(order["OrderRef"]), order["LimitPrice"]) == (31, 1, 3001.0)
    assert api.order_ref == 2


def test_queries_keep_their_pace_and_are_answered_in_order(front: TradingFront, make: Callable[..., Recorder]) -> None:
    api = make(front)
    ready(api)
    reconciled(api)
    api.ReqOrderInsert(BUY)
    wait_for(lambda: api.of("OnRtnTrade"), "the trade")
    wait_for(lambda: "qry_account" in [record.kind for record in journal(api)], "the last of the account's own queries")
    own, began = front.report().queries, time.monotonic()
    asked = {
        "ReqQryInstrument": {"InstrumentID": "rb2605"},
        "ReqQryInvestorPosition": None,
        "ReqQryOrder": {},
        "ReqQryDepthMarketData": {"InstrumentID": b"rb2605"},
        "ReqQryTrade": {"InstrumentID": b"none"},
        "ReqQryTradingAccount": None,
    }
    for number, (name, fields) in enumerate(asked.items(), 50):
        assert getattr(api, name)(fields, number) == 0
    wait_for(lambda: api.of("OnRspQryTradingAccount"), "the last answer", 30)
    answers = [(name, args) for name, args in api.calls if name.startswith("OnRspQry")]
    assert [name for name, _ in answers] == [name.replace("Req", "OnRsp") for name in asked]
    assert [(args[1]["ErrorID"], args[2], args[3]) for _, args in answers] == [(0, n, True) for n in range(50, 56)]
    rows = {name: args[0] for name, args in answers}
    assert rows["OnRspQryInstrument"]["PriceTick"] == 1.0 and rows["OnRspQryInvestorPosition"]["Position"] == 2
    assert rows["OnRspQryDepthMarketData"]["InstrumentID"] == b"rb2605" and rows["OnRspQryTrade"] is None
    assert int(rows["OnRspQryOrder"]["OrderRef"]) == api.order_ref and rows["OnRspQryTradingAccount"]["Available"] > 0
    # Each may be late at the front, none early.
    late = [at - began for at in front.report().query_times[own:]]
    assert len(late) >= 6 and all(seconds >= 0.99 * number for number, seconds in enumerate(late))


def test_a_query_that_cannot_be_answered_says_so_once(front: TradingFront, make: Callable[..., Recorder]) -> None:
    api = make(front)
    ready(api)
    reconciled(api)
    front.refuse_queries(31)
    assert api.ReqQryTrade({}, 61) == 0
    wait_for(lambda: api.names("OnRspQryTrade", "OnRspError"), "an error")
    ((_name, args),) = [call for call in api.calls if call[0] in ("OnRspQryTrade", "OnRspError")]
    assert args[-2:] == (61, True) and args[-3]["ErrorID"] == 31
    front.refuse_queries(times=0)
    front.cut_at("query")
    assert api.ReqQryInvestorPosition({}, 62) == 0
    position, info, number, last = wait_for(lambda: api.of("OnRspQryInvestorPosition"), "the answer")[0]
    assert (position, number, last, info["ErrorID"]) == (None, 62, True, -1) and b"connection" in info["ErrorMsg"]


def test_after_a_cut_the_returns_of_before_come_once(front: TradingFront, make: Callable[..., Recorder]) -> None:
    api = make(front)
    ready(api)
    front.cut_at("order")
    assert api.ReqOrderInsert(BUY) == 0
    wait_for(lambda: api.of("OnRtnTrade"), "the trade, by the flow of the next connection")
    reconciled(api)
    entering = ["OnFrontConnected", "OnRspAuthenticate", "OnRspUserLogin"]
    assert api.names(*entering, "OnFrontDisconnected") == [*entering, "OnFrontDisconnected", *entering]
    assert api.of("OnFrontDisconnected") == [(4097,)]
    assert [a[0]["OrderStatus"] for a in api.of("OnRtnOrder")] == [b"a", b"a", b"0"]
    assert len(api.of("OnRtnTrade")) == 1
    assert set(front.report().inserts.values()) == {1}


@pytest.mark.parametrize(("mode", "told"), [(0, 2), (1, 1), (2, 0)], ids=["restart", "resume", "quick"])
def test_the_private_flow_begins_as_it_is_told_to(
    front: TradingFront, make: Callable[..., Recorder], mode: int, told: int
) -> None:
    """A second program of the account, on its flow directory: returns of the first and of the time between."""
    first = make(front)
    ready(first)
    assert first.ReqOrderInsert(BUY) == 0
    wait_for(lambda: first.of("OnRtnTrade"), "the trade")
    assert first.ReqOrderInsert({**BUY, "LimitPrice": 2990.0}) == 0
    wait_for(lambda: first.of("OnRtnOrder")[-1][0]["OrderStatus"] == b"3", "the order in the queue")
    first.Release()
    front.set_price("rb2605", 2980.0)
    second = make(front, private_resume_type=mode)
    ready(second)
    assert second.ReqOrderInsert(BUY) == 0 and second.order_ref == 3  # goes on behind the first program's
    wait_for(lambda: [a for a in second.of("OnRtnTrade") if int(a[0]["OrderRef"]) == 3], "the new trade")
    assert [int(a[0]["OrderRef"]) for a in second.of("OnRtnTrade")] == [1, 2, 3][2 - told :]


def test_a_flows_mode_can_be_chosen_in_init_only(front: TradingFront, genuine_trader: str, tmp_path: Path) -> None:
    class Quick(TraderApi):
        def __init__(self, *_args: Any, **_options: Any) -> None:
            self.SubscribePrivateTopic(2)
            self.SubscribePublicTopic(0)

    api = Quick("9999", front.address, "me", PASSWORD, "app", AUTH_CODE, None, str(tmp_path), library=genuine_trader)
    try:
        assert (api._config.private_topic, api._config.public_topic) == (2, 0)
        with pytest.raises(EngineError, match="before the api connects"):
            api.SubscribePrivateTopic(1)
    finally:
        api.Release()


def test_an_exception_in_a_callback_is_reported_and_the_connection_goes_on(
    front: TradingFront, make: Callable[..., Recorder], caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_args: Any) -> None:
        raise ValueError("the strategy's own mistake")

    api = make(front, dict.fromkeys(CALLBACKS, fails))
    ready(api)
    assert api.ReqOrderInsert(BUY) == 0
    wait_for(lambda: api.of("OnRtnTrade"), "the trade in spite of exceptions")
    assert api.ReqQryOrder() == 0
    for name in ("OnFrontConnected", "OnRspUserLogin", "OnRtnTrade", "OnRspQryOrder"):
        wait_for(lambda name=name: f"exception in {name}; the connection goes on" in caplog.text, f"{name}'s exception")
    assert api.status()["state"] == "ready"
    assert "the strategy's own mistake" in caplog.text and PASSWORD not in caplog.text


@pytest.mark.parametrize("callback", ["OnFrontConnected", "OnRspUserLogin", "OnRtnTrade", "OnRspQryTrade"])
def test_release_in_a_callback(
    front: TradingFront, make: Callable[..., Recorder], callback: str, caplog: pytest.LogCaptureFixture
) -> None:
    def begins(api: Recorder, *_args: Any) -> None:
        assert api.ReqQryTrade() == 0
        assert api.ReqOrderInsert(BUY) == 0

    api = make(front, {"OnRspSettlementInfoConfirm": begins, callback: lambda api, *_args: api.Release()})
    assert api.Join() == 0
    assert api.names()[-1] == callback and "exception" not in caplog.text
    front.wait_until(timeout=20, max_open_clients=0)
    assert api.status()["state"] == "stopped"
    assert api.ReqOrderInsert(BUY) == api.ReqOrderAction({}) == api.ReqQryOrder() == api.ReqUserLogin() == -1
    api.Release()


def test_a_release_waits_for_an_order_that_is_in_the_library(
    front: TradingFront, make: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = make(front)
    ready(api)
    assert api._api is not None
    library, sends, goes_on = api._api.vendor, threading.Event(), threading.Event()
    insert, codes = library.insert, []

    def slowly(*arguments: Any) -> tuple[int, int]:
        sends.set()
        assert goes_on.wait(30)
        return insert(*arguments)

    monkeypatch.setattr(library, "insert", slowly)
    threads = [threading.Thread(target=lambda: codes.append(api.ReqOrderInsert(BUY)))]
    threads[0].start()
    assert sends.wait(20)
    threads.append(threading.Thread(target=api.Release))
    threads[1].start()
    try:
        wait_for(lambda: api.status()["state"] == "stopped", "the release to begin")
        threads[1].join(0.5)
        assert not library._released
    finally:
        goes_on.set()
        for thread in threads:
            thread.join(20)
    # By then no order passes: the journal has it as not sent.
    assert codes == [-1] and front.report().orders_received == 0


def test_before_it_is_ready_nothing_is_sent(front: TradingFront, make: Callable[..., Recorder]) -> None:
    codes: list[int] = []

    def too_early(api: Recorder, *_args: Any) -> None:
        codes.extend([api.ReqOrderInsert(BUY), api.ReqOrderAction({"OrderRef": "1"}), api.ReqQryOrder()])

    api = make(front, {"OnFrontConnected": too_early})
    ready(api)
    assert codes == [-1, -1, -1]
    kinds = [record.kind for record in journal(api)]
    assert kinds.count("order_not_sent") == kinds.count("action_not_sent") == 1
    assert front.report().orders_received == 0


def test_a_login_refused_for_good_ends_it_with_the_reason(front: TradingFront, make: Callable[..., Recorder]) -> None:
    front.refuse_logins(3)
    api = make(front)
    with pytest.raises(EngineError, match="login refused"):
        api.Join()
    assert api.of("OnRspUserLogin")[0][1]["ErrorID"] == 3 and front.report().logins_refused == 1


def known(api: TraderApi) -> None:
    wait_for(lambda: api.positions_known, "the account's positions")


@pytest.fixture
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the limits: all of it is within one second."""
    monkeypatch.setattr(ledger, "time", SimpleNamespace(monotonic_ns=lambda: 10**15))


def limit_of(api: Recorder, order: dict[str, Any]) -> str:
    """The limit that refuses it, "" if none does."""
    try:
        assert api.ReqOrderInsert(order) == 0
    except LimitRefused as refused:
        return refused.limit
    return ""


@pytest.mark.usefixtures("no_time_passes")
def test_limits_are_on_unless_they_are_switched_off(front: TradingFront, make: Callable[..., Recorder]) -> None:
    api = make(front, limits=None)
    ready(api)
    known(api)
    assert limit_of(api, BUY) == "price_band", "no price is known"
    assert api.gate is not None
    api.gate.set_price("rb2605", Quote(3000.0))
    wild = {**BUY, "VolumeTotalOriginal": 400}
    assert [limit_of(api, wild) for _ in range(30)] == ["order_volume"] * 30
    assert limit_of(api, {**BUY, "LimitPrice": 3200.0}) == "price_band"
    assert limit_of(api, {**BUY, "LimitPrice": 2990.0}) == ""
    assert limit_of(api, {**BUY, "LimitPrice": 2990.0, "Direction": "1"}) == "self_match"
    assert [limit_of(api, {**BUY, "LimitPrice": 2990.0}) for _ in range(20)] == [""] * 9 + ["orders_per_second"] * 11
    front.wait_until(timeout=20, orders_received=10)
    api.Release()
    free = make(front, limits=NO_LIMITS)
    ready(free)
    assert [limit_of(free, {**wild, "Direction": "1", "LimitPrice": 2.5}) for _ in range(20)] == [""] * 20
    front.wait_until(timeout=20, orders_received=30)


@pytest.mark.usefixtures("no_time_passes")
def test_limits_of_ones_own(front: TradingFront, make: Callable[..., Recorder]) -> None:
    many = {**BUY, "VolumeTotalOriginal": 40}
    free = make(front)
    ready(free)
    assert free.ReqOrderInsert(many) == 0
    wait_for(lambda: free.of("OnRtnTrade"), "the trade")
    free.Release()
    api = make(front, limits=Limits(order_volume=30, position=50, orders_per_second=2))
    ready(api)
    known(api)
    received = front.report().orders_received
    assert api.gate is not None
    api.gate.set_price("rb2605", Quote(3000.0))
    assert limit_of(api, many) == "order_volume"
    assert limit_of(api, {**BUY, "VolumeTotalOriginal": 11}) == "position"
    for _ in range(2):
        assert api.ReqOrderInsert({**BUY, "VolumeTotalOriginal": 1, "LimitPrice": 2990.0}) == 0
    with pytest.raises(LimitRefused, match="within the last second"):
        api.ReqOrderAction({"OrderRef": str(api.order_ref)})
    front.wait_until(timeout=20, orders_received=received + 2)
    kinds = [record.kind for record in journal(api)]
    assert kinds.count("sending_order") == 3 and "order_not_sent" not in kinds


@contextmanager
def refused(words: str) -> Iterator[None]:
    with pytest.raises(ConfigError, match=words) as error:
        yield
    assert PASSWORD not in str(error.value) and AUTH_CODE not in str(error.value)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"td_server": "9999", "broker_id": "tcp://127.0.0.1:1"}, "broker_id|front address"),
        ({"investor_id": ""}, "investor_id is empty"),
        ({"password": "p" * 99}, "password must have at most"),
        ({"auth_code": 5}, "auth_code must be a text"),
        ({"flow_path": ""}, "flow_path is empty"),
        ({"private_resume_type": 3}, "private_resume_type 3 must be"),
        ({"public_resume_type": True}, "public_resume_type True must be"),
        ({"limits": 5}, "limits must be"),
    ],
)
def test_a_wrong_argument_is_one_error_and_starts_nothing(
    genuine_trader: str, tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    given = {
        "broker_id": "9999",
        "td_server": "127.0.0.1:1",
        "investor_id": "me",
        "password": PASSWORD,
        "app_id": "app",
        "auth_code": AUTH_CODE,
        "flow_path": str(tmp_path / "flow"),
        "library": genuine_trader,
    }
    with refused(words):
        TraderApi(**{**given, **changed})
    assert not (tmp_path / "flow").exists()


def test_a_directory_that_is_in_use_is_refused_and_stays_in_use(
    front: TradingFront, make: Callable[..., Recorder]
) -> None:
    api = make(front)
    with refused("in use by process"):
        make(front)
    ready(api)


def without(name: str) -> dict[str, Any]:
    return {field: value for field, value in BUY.items() if field != name}


def test_wrong_fields_are_one_error_and_nothing_is_sent(front: TradingFront, make: Callable[..., Recorder]) -> None:
    api = make(front)
    ready(api)
    before = len([r for r in journal(api) if r.kind.startswith(("sending", "order_not", "action_not"))])
    for words, request in {
        "no field 'Price'": lambda: api.ReqOrderInsert({**BUY, "Price": 1.0}),
        "LimitPrice must be a number": lambda: api.ReqOrderInsert({**BUY, "LimitPrice": "3000"}),
        "LimitPrice must be given": lambda: api.ReqOrderInsert({**BUY, "LimitPrice": None}),
        "InstrumentID must be given": lambda: api.ReqOrderInsert({}),
        "InputOrder.InstrumentID must be given": lambda: api.ReqOrderInsert(None),
        "VolumeTotalOriginal must be given": lambda: api.ReqOrderInsert(without("VolumeTotalOriginal")),
        "OrderPriceType must be given": lambda: api.ReqOrderInsert({**BUY, "OrderPriceType": ""}),
        "Direction must be one of 0, 1, not b'2'": lambda: api.ReqOrderInsert({**BUY, "Direction": b"2"}),
        "InstrumentID has characters": lambda: api.ReqOrderInsert({**BUY, "InstrumentID": "rb\ud800"}),
        "LimitPrice must be a number .*, not True": lambda: api.buy_open("SHFE", "rb2605", True, 1),
        r"ExchangeID must be a text, not \[\]": lambda: api.sell_close([], "rb2605", 3000.0, 1),
        "order_ref such a long int must be": lambda: api.cancel_order("SHFE", "rb2605", 10**5000),
        "pInputOrder must be a mapping": lambda: api.ReqOrderInsert([1]),
        "no field 'Ref'": lambda: api.ReqOrderAction({"Ref": b"1"}),
        "no field 'Instrument'": lambda: api.ReqQryTrade({"Instrument": b"rb2605"}),
        "Password must have at most": lambda: api.ReqUserLogin({"Password": "p" * 99}),
        "pReqUserLogin must be a mapping": lambda: api.ReqUserLogin(PASSWORD),
    }.items():
        with refused(words):
            request()
    assert before == len([r for r in journal(api) if r.kind.startswith(("sending", "order_not", "action_not"))]) == 0


def test_structs_of_algoplus_are_taken(front: TradingFront, make: Callable[..., Recorder]) -> None:
    class InputOrderField(ctypes.Structure):
        _fields_ = [
            *(("reserve1", ctypes.c_char * 31), ("OrderRef", ctypes.c_char * 13)),
            *((n, ctypes.c_char * 31) for n, v in BUY.items() if isinstance(v, bytes)),
            *(("LimitPrice", ctypes.c_double), ("VolumeTotalOriginal", ctypes.c_int)),
        ]

        def to_dict(self) -> dict[str, Any]:
            return {name: getattr(self, name) for name, *_ in self._fields_}

    api = make(front)
    ready(api)
    given = {name: value for name, value in BUY.items() if name != "MinVolume"}
    assert api.ReqOrderInsert(InputOrderField(reserve1=b"x", OrderRef=b"5", **given)) == 0
    wait_for(lambda: api.of("OnRtnTrade"), "the trade")


def test_secrets_stay_secret(
    front: TradingFront, make: Callable[..., Recorder], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    api = make(front)
    ready(api)
    assert api.ReqOrderInsert(BUY) == 0
    wait_for(lambda: api.of("OnRtnTrade"), "the trade")
    shown = repr(api) + repr(vars(api)) + caplog.text + repr(api.calls) + repr(api.status())
    api.Release()
    written = b"".join(path.read_bytes() for path in Path(api.journal_path).parent.iterdir())
    for secret in (PASSWORD, AUTH_CODE):
        assert secret not in shown and secret.encode() not in written


def _run(program: str, front: TradingFront, library: str, flow: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), front.address, str(flow)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TICKENGINE_TDAPI": library},
    )


def test_an_algoplus_program_runs_for_as_long_as_it_joins(
    front: TradingFront, genuine_trader: str, tmp_path: Path
) -> None:
    process = _run(PROGRAM + "    trader.Join()\n", front, genuine_trader, tmp_path / "flow")
    try:
        assert process.stdout is not None
        assert [process.stdout.readline().strip() for _ in range(2)] == ["sent 0", "trade True 2"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode != 0 and "KeyboardInterrupt" in err
    assert PASSWORD not in out + err and AUTH_CODE not in out + err
    front.wait_until(timeout=20, max_open_clients=0)


def test_without_join_it_ends_cleanly_with_one_line_that_explains(
    front: TradingFront, genuine_trader: str, tmp_path: Path
) -> None:
    process = _run(PROGRAM, front, genuine_trader, tmp_path / "flow")
    try:
        _out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    warnings = [line for line in err.splitlines() if line.startswith("tickengine:")]
    assert len(warnings) == 1 and "Join()" in warnings[0] and "4097" in warnings[0]
    assert "disconnected" not in err and "Traceback" not in err
    front.wait_until(timeout=20, max_open_clients=0)
