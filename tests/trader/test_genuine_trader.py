"""The genuine trader library against a scripted front: what is asked arrives, what comes back is in the journal."""

from __future__ import annotations

import threading

import pytest
from feed_support import wait_for
from one_session import APP_ID, AUTH_CODE, BROKER, INVESTOR, ORDER, PASSWORD, session, without_empty
from peer import DAY, FIDS, Peer, marked, pack

from tickengine import ConfigError, ShimError
from tickengine._secret import Secret
from tickengine._segments import random_name
from tickengine.flow import FlowDirectory
from tickengine.trader.records import Record, struct_fields
from tickengine.trader.ring import CommandRing
from tickengine.trader.vendor_td import FIRST_ORDER_REQUEST, REQUESTS

pytestmark = pytest.mark.genuine


def test_returns_that_are_left_out_are_in_the_journal_alone(genuine_trader: str, flow: FlowDirectory) -> None:
    with Peer() as peer, session(genuine_trader, flow, peer, returns=False) as s:
        with pytest.raises(ShimError, match="left out before"):
            s.api.leave_out_returns()
        s.open_gate(s.log_in())
        peer.request(0x3000)
        assert s.api.insert(ORDER, 900) == (0, 42)
        peer.request(0x4000)
        peer.push(0xF001, pack(0x0401, marked(0x0401)))
        peer.push(0xF002, pack(0x0409, marked(0x0409, 100)))
        wait_for(lambda: s.kinds()[-2:] == ["rtn_order", "rtn_trade"], "both returns in the journal")
        # What the session asks for still comes, and nothing stands before it but a wake-up.
        assert s.api.request("ReqSettlementInfoConfirm", {"BrokerID": BROKER, "InvestorID": INVESTOR}, 3) == 0
        came: list[Record] = []

        def answered() -> bool:
            came.extend(record for record in [s.api.next_record(0.1)] if record is not None)
            return bool(came)

        wait_for(answered, "the answer")
        assert [r.kind for r in came] == ["rsp_settlement_confirm"]


def test_a_whole_session(genuine_trader: str, flow: FlowDirectory) -> None:
    with Peer() as peer, session(genuine_trader, flow, peer) as s:
        assert (s.api.version, s.api.tables_of) == ("v6.3.6_20160606 10:26:14", "6.3.6")
        s.next("front_connected")
        assert s.api.authenticate(BROKER, INVESTOR, Secret(AUTH_CODE), APP_ID, 1, "product") == 0
        asked = peer.request(0x3010)
        assert (asked.values["BrokerID"], asked.values["UserID"]) == (BROKER, INVESTOR)
        authenticated = s.next("rsp_authenticate")
        assert (authenticated.request_id, authenticated.error_id, authenticated.is_last) == (1, 0, True)
        assert s.api.login(BROKER, INVESTOR, Secret(PASSWORD), 2) == 0
        asked = peer.request(0x3000)
        assert (asked.values["UserID"], asked.values["Password"]) == (INVESTOR, PASSWORD)
        login = s.next("rsp_user_login")
        assert without_empty(login.data) == {
            "TradingDay": DAY,
            "LoginTime": "09:00:00",
            "BrokerID": BROKER,
            "UserID": INVESTOR,
            "SystemName": "交易系统",
            "FrontID": 1,
            "SessionID": -7001,
            "MaxOrderRef": "41",
            "INETime": "09:00:01",
        }
        assert s.api.trading_day() == DAY
        confirm = {"BrokerID": BROKER, "InvestorID": INVESTOR, "ConfirmDate": DAY}
        assert s.api.request("ReqSettlementInfoConfirm", confirm, 3) == 0
        assert without_empty(peer.request(0x4013).values) == confirm
        assert without_empty(s.next("rsp_settlement_confirm").data) == confirm
        s.open_gate(login)
        assert s.api.insert(ORDER, 900) == (0, 42)
        arrived = peer.request(0x4000)
        sent = {**ORDER, "OrderRef": f"{42:12d}", "RequestID": FIRST_ORDER_REQUEST}
        assert (arrived.series, arrived.rid) == (1, FIRST_ORDER_REQUEST)
        assert without_empty(arrived.values) == sent
        order, trade = marked(0x0401), marked(0x0409, 100)
        peer.push(0xF001, pack(0x0401, order))
        peer.push(0xF002, pack(0x0409, trade))
        assert s.next("rtn_order").data == {f: order.get(f, "" if k == "text" else 0) for f, k in fields_of("Order")}
        assert without_empty(s.next("rtn_trade").data) == without_empty(trade)
        action = {"BrokerID": BROKER, "InvestorID": INVESTOR, "OrderRef": "41", "FrontID": 1, "SessionID": -3}
        assert s.api.action({**action, "ActionFlag": "0"}, 901) == 0
        arrived = peer.request(0x4006)
        ours = {"ActionFlag": "0", "OrderActionRef": FIRST_ORDER_REQUEST + 1, "RequestID": FIRST_ORDER_REQUEST + 1}
        assert without_empty(arrived.values) == {**action, **ours}
        records = s.log.read()
    kinds = [r.kind for r in records]
    assert kinds == [
        *("epoch_started", "front_connected", "rsp_authenticate", "rsp_user_login", "rsp_settlement_confirm"),
        *("sending_order", "sent_order", "rtn_order", "rtn_trade", "sending_action", "sent_action"),
    ]
    assert [r.sequence for r in records] == list(range(len(records)))
    assert {r.epoch for r in records} == {1}
    by_kind = {r.kind: r for r in records}
    sending, after = by_kind["sending_order"], by_kind["sent_order"]
    assert without_empty(sending.data) == sent
    assert (sending.client_id, sending.front_session, sending.request_id) == (900, (1, -7001), FIRST_ORDER_REQUEST)
    assert (after.client_id, after.reason, after.data) == (900, 0, None)
    assert sending.recv_time <= after.recv_time <= by_kind["rtn_order"].recv_time
    assert by_kind["sending_action"].client_id == by_kind["sent_action"].client_id == 901


def fields_of(struct: str) -> list[tuple[str, str]]:
    return [(f, "text" if k in ("text", "char") else k) for f, k in struct_fields(struct).items()]


def test_answers_and_errors_of_each_kind(genuine_trader: str, flow: FlowDirectory) -> None:
    words = pack(0, {"ErrorID": 26, "ErrorMsg": "CTP:错单"})
    with Peer() as peer, session(genuine_trader, flow, peer) as s:
        s.open_gate(s.log_in())
        peer.request(0x3000)
        refused = marked(0x0400)
        peer.answers[0x4000] = lambda _: [(0x4001, [words, pack(0x0400, refused)], b"L")]
        s.api.insert(ORDER, 1)
        answer = s.next("rsp_order_insert")
        assert (answer.error_id, answer.error_msg, answer.request_id) == (26, "CTP:错单", FIRST_ORDER_REQUEST)
        assert without_empty(answer.data) == without_empty(refused)
        peer.answers[0x4006] = lambda _: [(0x4007, [words, pack(0x0404, marked(0x0404))], b"L")]
        s.api.action({"OrderRef": "1"}, 2)
        assert without_empty(s.next("rsp_order_action").data) == without_empty(marked(0x0404))
        peer.push(0xF003, words, pack(0x0400, refused))
        answer = s.next("err_rtn_order_insert")
        assert (answer.error_id, without_empty(answer.data)) == (26, without_empty(refused))
        peer.push(0xF004, words, pack(0x0405, marked(0x0405)))
        assert without_empty(s.next("err_rtn_order_action").data) == without_empty(marked(0x0405))
        peer.send(0x0001, [words])
        answer = s.next("rsp_error")
        assert (answer.error_id, answer.error_msg, answer.data) == (26, "CTP:错单", None)


@pytest.mark.parametrize(
    ("method", "tid", "fid", "answer", "kind"),
    [
        ("ReqQryOrder", 0x8000, 0x0700, 0x0401, "qry_order"),
        ("ReqQryTrade", 0x8002, 0x0701, 0x0409, "qry_trade"),
        ("ReqQryInvestorPosition", 0x8004, 0x0702, 0x000D, "qry_position"),
        ("ReqQryTradingAccount", 0x8006, 0x0703, 0x000C, "qry_account"),
        ("ReqQryInstrument", 0x802E, 0x0717, 0x0003, "qry_other"),
    ],
)
@pytest.mark.parametrize("rows", [0, 3])
def test_queries(
    genuine_trader: str, flow: FlowDirectory, method: str, tid: int, fid: int, answer: int, kind: str, rows: int
) -> None:
    with Peer() as peer, session(genuine_trader, flow, peer) as s:
        s.log_in()
        peer.request(0x3000)
        peer.answers[tid] = lambda _: [(tid + 1, [pack(answer, marked(answer, 7 * n)) for n in range(rows)], b"L")]
        asked = {name: "a" for name, _, size in FIDS[fid] if size > 1 and name in struct_fields(REQUESTS[method])}
        assert s.api.request(method, asked, 5) == 0
        assert without_empty(peer.request(tid).values) == asked
        got = [s.next(kind) for _ in range(max(rows, 1))]
        assert [without_empty(r.data) for r in got if r.data] == [
            without_empty(marked(answer, 7 * n)) for n in range(rows)
        ]
        assert [r.is_last for r in got] == [False] * (len(got) - 1) + [True]
        assert {r.request_id for r in got} == {5}
        # What is asked for again and again does not fill the journal.
        journaled = [r for r in s.log.read() if r.kind == kind]
        assert journaled == ([] if kind == "qry_other" else got)
        assert all(r.sequence == -1 for r in got) == (kind == "qry_other")


def test_what_came_while_away_comes_after_the_next_login_each_once(genuine_trader: str, flow: FlowDirectory) -> None:
    with Peer() as peer, session(genuine_trader, flow, peer) as s:
        s.open_gate(s.log_in())
        peer.push(0xF001, pack(0x0401, {"OrderRef": "1"}))
        s.next("rtn_order")
        assert s.api.gate_open
        peer.cut()
        gone = s.next("front_disconnected")
        assert gone.reason == 4097
        assert not s.api.gate_open
        with pytest.raises(ShimError, match="was not sent: there is no session that is ready"):
            s.api.insert(ORDER, 10)
        peer.push(0xF001, pack(0x0401, {"OrderRef": "2"}))
        peer.push(0xF002, pack(0x0409, {"OrderRef": "2"}))
        s.next("front_connected")
        with pytest.raises(ShimError, match="front 1, session -7001 is not the session that is logged in now"):
            s.api.open_gate(1, -7001, 1)
        assert s.api.login(BROKER, INVESTOR, Secret(PASSWORD), 3) == 0
        login = s.next("rsp_user_login")
        with pytest.raises(ShimError, match="not the session that is logged in now"):
            s.api.open_gate(1, -7001, 1)
        s.open_gate(login)
        assert [(s.next(k).data or {})["OrderRef"] for k in ("rtn_order", "rtn_trade")] == ["2", "2"]
        assert peer.resumed_from == [0, 1]
        assert s.api.insert(ORDER, 11) == (0, 42)
        not_sent = next(r for r in s.log.read() if r.kind == "order_not_sent")
        assert not_sent.client_id == 10 and "no session that is ready" in not_sent.error_msg
        assert without_empty(not_sent.data) == ORDER
        assert [r.kind for r in s.log.read()].count("rtn_order") == 2


def test_an_id_that_does_not_fit_the_library_is_refused_and_takes_no_reference(
    genuine_trader: str, flow: FlowDirectory
) -> None:
    with Peer() as peer, session(genuine_trader, flow, peer) as s:
        s.open_gate(s.log_in())
        with pytest.raises(ConfigError, match=r"InputOrder.InstrumentID has 40 bytes, at most 30 fit"):
            s.api.insert({**ORDER, "InstrumentID": "x" * 40}, 1)
        assert s.api.insert(ORDER, 2) == (0, 42)
        assert s.kinds()[-3:] == ["order_not_sent", "sending_order", "sent_order"]


def test_orders_from_a_ring(genuine_trader: str, flow: FlowDirectory) -> None:
    with Peer() as peer, CommandRing(random_name("orders")) as ring, session(genuine_trader, flow, peer) as s:
        ring.insert(1, ORDER)  # before there is anybody: not sent later, at another price
        taken = CommandRing.attach(ring.name)
        s.api.start_sender(taken)
        assert s.log.wait(s.kinds().index("epoch_started") + 1, 20)
        s.open_gate(s.log_in())
        peer.request(0x3000)
        for client_id in range(2, 12):
            ring.insert(client_id, {**ORDER, "VolumeTotalOriginal": client_id})
        ring.action(12, {"OrderRef": "5", "ActionFlag": "0"})
        arrived = [peer.request(0x4000).values for _ in range(10)]
        assert [v["VolumeTotalOriginal"] for v in arrived] == list(range(2, 12))
        assert [int(v["OrderRef"]) for v in arrived] == list(range(42, 52))
        assert peer.request(0x4006).values["OrderRef"] == "5"
        wait_for(lambda: ring.waiting == 0, "the ring to be empty")
        peer.cut()
        s.next("front_disconnected")
        ring.insert(13, ORDER)
        wait_for(lambda: ring.waiting == 0, "the ring to be empty")
        s.api.stop_sender()
        assert ring.taker_pid == 0
        ring.insert(14, ORDER)
        s.api.start_sender(taken, "block")
        wait_for(lambda: ring.waiting == 0, "the ring to be empty")
        s.api.stop_sender()
        taken.close()
        fates = [(r.kind, r.client_id) for r in s.log.read() if r.client_id]
    assert fates == [
        ("order_not_sent", 1),
        *((kind, n) for n in range(2, 12) for kind in ("sending_order", "sent_order")),
        *(("sending_action", 12), ("sent_action", 12), ("order_not_sent", 13), ("order_not_sent", 14)),
    ]


def test_no_secret_is_written_down(genuine_trader: str, flow: FlowDirectory) -> None:
    with Peer() as peer, session(genuine_trader, flow, peer) as s:
        s.next("front_connected")
        s.api.authenticate(BROKER, INVESTOR, Secret(AUTH_CODE), APP_ID, 1)
        s.next("rsp_authenticate")
        s.api.login(BROKER, INVESTOR, Secret(PASSWORD), 2)
        s.next("rsp_user_login")
        with pytest.raises(ValueError) as error:
            s.api.login(BROKER, INVESTOR, Secret(PASSWORD * 9), 3)
        assert "password has" in str(error.value) and PASSWORD not in str(error.value)
        with open(s.log.path, "rb") as f:
            content = f.read()
    assert INVESTOR.encode() in content
    assert PASSWORD.encode() not in content and AUTH_CODE.encode() not in content


def test_release_with_a_flood_of_returns_under_way(genuine_trader: str, flow: FlowDirectory) -> None:
    with Peer() as peer, session(genuine_trader, flow, peer) as s:
        s.log_in()
        stop = threading.Event()

        def flood() -> None:
            try:
                while not stop.is_set():
                    peer.push(0xF001, pack(0x0401, {"OrderRef": f"{len(peer.private) + 1}"}))
            except OSError:
                return  # the library has closed its connection

        pusher = threading.Thread(target=flood)
        pusher.start()
        try:
            assert s.log.wait(200, 20)
            s.api.release()
        finally:
            stop.set()
            pusher.join()
        refs = [int((r.data or {})["OrderRef"]) for r in s.log.read() if r.kind == "rtn_order"]
    assert refs == list(range(1, len(refs) + 1))
