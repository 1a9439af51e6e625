"""The compatible trader library, as each version: every method and callback that a plain front knows by its slot,
every field by its place, the flows with their numbers, and whole sessions of engines. The genuine 6.3.6, where it
is installed, goes through the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import vendor_files
from engine_support import PRICES, buy, engine_on, rings, same_as_the_front, settled, until
from feed_support import wait_for
from one_session import APP_ID, AUTH_CODE, BROKER, INVESTOR, ORDER, PASSWORD, Session, session
from peer import FIDS, Peer, Request, marked, pack

from tickengine import ConfigError, VendorLibraryError, vendor
from tickengine._secret import Secret
from tickengine.flow import FlowDirectory
from tickengine.front.trading import TradingFront
from tickengine.trader.journal import TradeLog
from tickengine.trader.records import Record, struct_fields
from tickengine.trader.vendor_td import FIRST_ORDER_REQUEST as FIRST
from tickengine.trader.vendor_td import QUICK, REQUESTS, RESTART, RESUME

pytestmark = pytest.mark.timeout(120)

ATLAS: dict[str, Any] = json.loads((Path(vendor_files.__file__).parent / "td_atlas.json").read_text())
DBL_MAX = 1.7976931348623157e308
GENUINE = "genuine"
# The oldest, each step of the interface that moves what is used, and the newest.
VARIANTS = ["635", "636", "6311", "6315", "651", "667", "677", "6710", "6711", "6713"]
OTHERS = [v for v in vendor_files.COMPATIBLE_TRADERS if v not in VARIANTS]
ENDS = ["636", "6713"]
"""The version whose genuine library speaks the plain protocol, and the newest."""


def library_of(variant: str) -> str:
    if variant == GENUINE:
        return vendor.package_libraries(vendor.PLAIN_FTD_PACKAGE, vendor.TRADER)[0]
    return str(vendor_files.compatible_trader_library(variant))


def version_of(variant: str) -> str:
    return "6.3.6" if variant == GENUINE else vendor_files.COMPATIBLE_TRADERS[variant]


def known(variants: list[str]) -> list[str]:
    """And the genuine one, if it is there."""
    return [*variants, *([GENUINE] if vendor.package_libraries(vendor.PLAIN_FTD_PACKAGE, vendor.TRADER) else [])]


@pytest.fixture(scope="module", autouse=True)
def compiler() -> None:
    try:
        library_of(ENDS[0])
    except vendor_files.Unavailable as why:
        pytest.skip(str(why))


# ---- every slot and every field ------------------------------------------------------------------

QUERIES = {
    "ReqQryOrder": (0x8000, 0x0401, "Order", "qry_order"),
    "ReqQryTrade": (0x8002, 0x0409, "Trade", "qry_trade"),
    "ReqQryInvestorPosition": (0x8004, 0x000D, "InvestorPosition", "qry_position"),
    "ReqQryTradingAccount": (0x8006, 0x000C, "TradingAccount", "qry_account"),
    "ReqQryInstrument": (0x802E, 0x0003, "Instrument", "qry_other"),
    "ReqQryDepthMarketData": (0x8030, 0x0012, "DepthMarketData", "qry_other"),
}
QUERY_FIDS = {0x8000: 0x0700, 0x8002: 0x0701, 0x8004: 0x0702, 0x8006: 0x0703, 0x802E: 0x0717, 0x8030: 0x0718}
WORDS = {"ErrorID": 26, "ErrorMsg": "CTP:错单"}
ORDER_SENT = {**ORDER, "OrderRef": f"{42:12d}", "RequestID": FIRST}
ACTION = {"BrokerID": BROKER, "InvestorID": INVESTOR, "OrderRef": "41", "FrontID": 1, "SessionID": -3}


@dataclass
class Talk:
    """What has been said in a session: requests as the front got them, callbacks as the queue had them."""

    requests: list[tuple[int, int, int, dict[str, Any]]] = field(default_factory=list)
    callbacks: list[tuple[str, dict[str, Any] | None, int, str, int, bool]] = field(default_factory=list)
    facts: tuple[str, str] = ("", "")


Outcome = tuple[list[str], list[str], TradingFront]


@dataclass
class Played:
    """Sessions under way, by variant, and by variant and mode."""

    talks: dict[str, Future[Talk]]
    scenarios: dict[tuple[str, int], Future[Outcome]]


def asked(s: Session, method: str, fields: dict[str, Any], request_id: int) -> int:
    """Ask until the library's clock allows it; whether it had to wait, as a code."""
    codes: list[int] = []

    def sent() -> bool:
        codes.append(s.api.request(method, fields, request_id))
        return codes[-1] == 0

    wait_for(sent, f"{method} to be sent")
    assert set(codes) <= {0, -3}, codes
    return codes[0]


def values_for(method: str, tid: int) -> dict[str, Any]:
    """A text for each member that both the request and the wire have."""
    names = struct_fields(REQUESTS[method])
    return {n: f"{i}" for i, (n, _, size) in enumerate(FIDS[QUERY_FIDS[tid]], 11) if n in names and size > 2}


def talk(library: str, flow: FlowDirectory) -> Talk:
    said = Talk()
    words = pack(0, WORDS)
    with Peer() as peer, session(library, flow, peer) as s:
        said.facts = s.api.version, s.api.tables_of

        def came(kind: str) -> Record:
            r = s.next(kind)
            said.callbacks.append((r.kind, r.data, r.error_id, r.error_msg, r.request_id, r.is_last))
            return r

        def arrived(tid: int) -> None:
            r: Request = peer.request(tid)
            said.requests.append((r.tid, r.series, r.rid, r.values))

        came("front_connected")
        assert s.api.authenticate(BROKER, INVESTOR, Secret(AUTH_CODE), APP_ID, 1, "product") == 0
        arrived(0x3010)
        came("rsp_authenticate")
        assert s.api.login(BROKER, INVESTOR, Secret(PASSWORD), 2, "product") == 0
        arrived(0x3000)
        login = came("rsp_user_login")
        assert s.api.trading_day() == (login.data or {})["TradingDay"]
        s.api.request("ReqSettlementInfoConfirm", {"BrokerID": BROKER, "InvestorID": INVESTOR}, 3)
        arrived(0x4013)
        came("rsp_settlement_confirm")
        s.open_gate(login)
        assert s.api.insert(ORDER, 900) == (0, 42)
        arrived(0x4000)
        assert s.api.action({**ACTION, "ActionFlag": "0"}, 901) == 0
        arrived(0x4006)
        peer.push(0xF001, pack(0x0401, marked(0x0401)), pack(0x0401, marked(0x0401, 5)))
        came("rtn_order")
        came("rtn_order")
        peer.push(0xF002, pack(0x0409, marked(0x0409)))
        came("rtn_trade")
        peer.push(0xF003, words, pack(0x0400, marked(0x0400)))
        came("err_rtn_order_insert")
        peer.push(0xF004, pack(0x0405, marked(0x0405)), words)
        came("err_rtn_order_action")
        peer.answers[0x4000] = lambda _: [(0x4001, [words, pack(0x0400, marked(0x0400))], b"L")]
        s.api.insert(ORDER, 902)
        peer.request(0x4000)
        came("rsp_order_insert")
        peer.answers[0x4006] = lambda _: [(0x4007, [words, pack(0x0404, marked(0x0404))], b"L")]
        s.api.action({**ACTION, "ActionFlag": "0"}, 903)
        peer.request(0x4006)
        came("rsp_order_action")
        peer.send(0xF104, [pack(0x2442, marked(0x2442))])
        came("rtn_instrument_status")
        peer.send(0x0001, [words])
        came("rsp_error")
        for number, (method, (tid, fid, _, kind)) in enumerate(QUERIES.items(), 10):
            rows = [pack(fid, marked(fid, 7 * n)) for n in range(2)]
            peer.answers[tid] = lambda _, tid=tid, rows=rows: [(tid + 1, rows, b"L")]  # type: ignore[misc]
            asked(s, method, values_for(method, tid), number)
            arrived(tid)
            came(kind)
            came(kind)
        if said.facts[1] == "6.7.13":
            peer.send(0xF102, [pack(0x1001, {"Series": 2, "Number": len(peer.private)})])
            assert came("rtn_private_seq_no") and s.log.read()[-1].value == len(peer.private)
        peer.answers[0x3002] = lambda r: [(0x3003, [pack(0), pack(0x1004, r.values)], b"L")]
        s.api.request("ReqUserLogout", {"BrokerID": BROKER, "UserID": INVESTOR}, 31)
        arrived(0x3002)
        came("rsp_user_logout")
        peer.cut()
        assert s.next("front_disconnected").reason == 4097
    return said


def read_in(version: str, struct: str, sent: dict[str, Any]) -> dict[str, Any]:
    """What a host of that version reads of it: zeros where the version has no such member."""
    layout = ATLAS["structs"][struct][ATLAS["versions"][version]["structs"][struct]]
    there = {name: kind for name, kind, _, _ in layout["fields"]}
    return {
        name: sent.get(name, DBL_MAX if name.startswith("Banding") else zero) if name in there else zero
        for name, kind in struct_fields(struct).items()
        for zero in ["" if kind in ("text", "char") else 0]
    }


def talks_of(variants: list[str], place: Path, threads: ThreadPoolExecutor) -> dict[str, Future[Talk]]:
    def play(library: str, variant: str) -> Talk:
        with closing(FlowDirectory(str(place / variant))) as flow:
            return talk(library, flow)

    return {variant: threads.submit(play, library_of(variant), variant) for variant in variants}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """They mostly wait, for the pace of queries or before they connect again: all at once."""
    place = tmp_path_factory.mktemp("played")
    with ThreadPoolExecutor(32) as threads:
        return Played(talks_of(known(VARIANTS), place, threads), scenarios_of(known(ENDS), place, threads))


def check(said: Talk, variant: str) -> None:
    version = version_of(variant)
    if variant != GENUINE:
        assert said.facts[0].endswith(" tickengine compatible")
        assert said.facts[1] == ("6.3.5" if version == "pre-6.3.6" else version)
    structs = {"rtn_order": "Order", "rtn_trade": "Trade", "err_rtn_order_insert": "InputOrder"}
    structs |= {"err_rtn_order_action": "OrderAction", "rsp_order_insert": "InputOrder"}
    structs |= {"rsp_order_action": "InputOrderAction", "rtn_instrument_status": "InstrumentStatus"}
    fids = {"Order": 0x0401, "Trade": 0x0409, "InputOrder": 0x0400, "OrderAction": 0x0405, "InputOrderAction": 0x0404}
    fids["InstrumentStatus"] = 0x2442
    orders = [marked(0x0401), marked(0x0401, 5)]
    for kind, data, error_id, error_msg, _, is_last in said.callbacks[4:12]:
        if kind in structs:
            sent = orders.pop(0) if kind == "rtn_order" else marked(fids[structs[kind]])
            assert data == read_in(version, structs[kind], sent), kind
        refused = kind.startswith(("err_", "rsp_"))
        assert (error_id, error_msg) == ((26, "CTP:错单") if refused else (0, "")) and is_last, kind
    rows = [c for c in said.callbacks if c[0].startswith("qry_")]
    for number, (_, fid, struct, kind) in enumerate(QUERIES.values()):
        for row in range(2):
            got_kind, data, _, _, request_id, is_last = rows[2 * number + row]
            assert data == read_in(version, struct, marked(fid, 7 * row)), struct
            assert (got_kind, request_id, is_last) == (kind, number + 10, row == 1)
    (login,) = [c for c in said.callbacks if c[0] == "rsp_user_login"]
    assert login[1] and (login[1]["SystemName"], login[1]["SessionID"], login[4]) == ("交易系统", -7001, 2)
    # What the front got: nothing lost, nothing added on the way.
    got = {tid: {k: v for k, v in values.items() if v not in ("", 0)} for tid, _, _, values in said.requests}
    members = ATLAS["structs"]["InputOrder"][ATLAS["versions"][version]["structs"]["InputOrder"]]["fields"]
    assert got[0x4000] == {k: v for k, v in ORDER_SENT.items() if k in [m[0] for m in members]}
    assert got[0x4006] == {**ACTION, "ActionFlag": "0", "OrderActionRef": FIRST + 1, "RequestID": FIRST + 1}
    for method, (tid, *_) in QUERIES.items():
        assert got[tid] == read_back(version, REQUESTS[method], values_for(method, tid)), method
    series = {tid: (number, rid) for tid, number, rid, _ in said.requests}
    assert all(number == (4 if tid >= 0x8000 else 0 if tid == 0x3000 else 1) for tid, (number, _) in series.items())


def read_back(version: str, struct: str, values: dict[str, Any]) -> dict[str, Any]:
    members = [m[0] for m in ATLAS["structs"][struct][ATLAS["versions"][version]["structs"][struct]]["fields"]]
    return {k: v for k, v in values.items() if k in members}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_slot_and_every_field(played: Played, variant: str) -> None:
    check(played.talks[variant].result(), variant)


@pytest.mark.slow
def test_every_slot_and_every_field_of_the_versions_between(tmp_path: Path) -> None:
    with ThreadPoolExecutor(len(OTHERS)) as threads:
        for variant, said in talks_of(OTHERS, tmp_path, threads).items():
            check(said.result(), variant)


@pytest.mark.genuine
def test_the_genuine_library_says_and_hears_the_same(genuine_trader: str, played: Played) -> None:
    genuine, ours = (played.talks[variant].result() for variant in (GENUINE, "636"))
    check(genuine, GENUINE)
    assert ours.callbacks == genuine.callbacks
    about_itself = ("InterfaceProductInfo", "ProtocolInfo", "MacAddress", "ClientIPAddress")
    for values in [r[3] for talk in (genuine, ours) for r in talk.requests if r[0] == 0x3000]:
        for name in about_itself:
            values.pop(name)
    assert ours.requests == genuine.requests


# ---- the flows -----------------------------------------------------------------------------------

# (order returns, trades) of five orders, each of which trades at once, with cuts at the second, third and fourth.
SCENARIO = {RESUME: (15, 5), RESTART: (33, 11), QUICK: (6, 2)}


def cut_three_times(library: str, flow: FlowDirectory, mode: int) -> Outcome:
    """OrderSysID/status of each order return, and TradeID of each trade, in the order they came."""
    with TradingFront(PRICES) as front, session(library, flow, front, private=mode, public=mode) as s:
        returns: list[str] = []
        trades: list[str] = []

        def pump(until_kind: str) -> Record:
            while True:
                record = s.api.next_record(30)
                assert record is not None, f"no {until_kind} came"
                if record.kind == "rtn_order":
                    data = record.data or {}
                    returns.append(f"{data['OrderRef']}:{data['NotifySequence']}")
                if record.kind == "rtn_trade":
                    trades.append(str((record.data or {})["TradeID"]))
                if record.kind == until_kind:
                    return record

        def enter(number: int) -> None:
            pump("front_connected")
            s.api.login(BROKER, INVESTOR, Secret(PASSWORD), number)
            login = pump("rsp_user_login")
            s.api.request("ReqSettlementInfoConfirm", {"BrokerID": BROKER, "InvestorID": INVESTOR}, number)
            pump("rsp_settlement_confirm")
            s.open_gate(login)

        order = {**ORDER, "InstrumentID": "rb2605", "LimitPrice": 3000.0}
        enter(1)
        for n in range(5):
            if n in (1, 2, 3):
                front.cut_at("order")
                s.api.insert(order, n + 1)
                pump("front_disconnected")
                enter(n + 10)
            else:
                s.api.insert(order, n + 1)
                pump("rtn_trade")
        # Everything owed stands before the answer to this on the line.
        s.api.request("ReqUserLogout", {"BrokerID": BROKER, "UserID": INVESTOR}, 99)
        pump("rsp_user_logout")
    return returns, trades, front


def scenarios_of(
    variants: list[str], place: Path, threads: ThreadPoolExecutor
) -> dict[tuple[str, int], Future[Outcome]]:
    def play(library: str, variant: str, mode: int) -> Outcome:
        with closing(FlowDirectory(str(place / f"{variant}-{mode}"))) as flow:
            return cut_three_times(library, flow, mode)

    return {
        (variant, mode): threads.submit(play, library_of(variant), variant, mode)
        for variant in variants
        for mode in SCENARIO
    }


@pytest.mark.parametrize("mode", SCENARIO)
@pytest.mark.parametrize("variant", known(ENDS))
def test_cut_and_resumed(played: Played, variant: str, mode: int) -> None:
    returns, trades, front = played.scenarios[variant, mode].result()
    assert (len(returns), len(trades)) == SCENARIO[mode]
    report = front.report()
    assert (len(report.orders), len(report.trades)) == (5, 5)
    assert set(report.inserts.values()) == {1}, "the library has sent an order again by itself"
    if mode == RESUME:
        assert len(set(returns)) == 15 and trades == [t["TradeID"].rjust(12) for t in report.trades]


@pytest.mark.parametrize("writers", [["636", "6713", "636"], [GENUINE, "636", GENUINE], ["636", GENUINE, "6713"]])
def test_a_flow_goes_on_where_another_process_has_stopped(writers: list[str], tmp_path: Path) -> None:
    """The files are the vendor's, so libraries may take turns."""
    if GENUINE in writers and GENUINE not in known([]):
        pytest.skip("the genuine vendor library is not installed")
    with Peer() as peer:
        for turn, variant in enumerate(writers):
            with closing(FlowDirectory(str(tmp_path / "flow"))) as flow, session(library_of(variant), flow, peer) as s:
                s.log_in(turn)
                for n in range(turn + 1):
                    peer.push(0xF001, pack(0x0401, {"OrderRef": f"{turn}.{n}"}))
                    assert (s.next("rtn_order").data or {})["OrderRef"] == f"{turn}.{n}"
            assert (tmp_path / "flow" / "Private.con").read_bytes()[2:] == len(peer.private).to_bytes(4, "big")
    assert peer.resumed_from == [0, 1, 3]
    day = int.from_bytes((tmp_path / "flow" / "TradingDay.con").read_bytes()[:2], "big")
    assert day == 16807  # 2026-01-05, from 1980-01-01 on


@pytest.mark.parametrize("variant", known(ENDS))
def test_a_wrong_number_makes_it_deaf_until_the_next_connection(variant: str, flow: FlowDirectory) -> None:
    with Peer() as peer, session(library_of(variant), flow, peer) as s:
        s.log_in(1)
        peer.push(0xF001, pack(0x0401, {"OrderRef": "1"}))
        s.next("rtn_order")
        peer.send(0xF001, [pack(0x0401, {"OrderRef": "number 0"})], series=2)
        peer.push(0xF001, pack(0x0401, {"OrderRef": "2"}))
        peer.send(0x0001, [pack(0, WORDS)])
        peer.cut()
        s.next("front_disconnected")  # before it, nothing
        s.log_in(2)
        assert (s.next("rtn_order").data or {})["OrderRef"] == "2"
    assert peer.resumed_from == [0, 1]


def test_a_flow_notice_sets_the_number_back_and_forth(flow: FlowDirectory) -> None:
    with Peer() as peer, session(library_of("6713"), flow, peer) as s:
        s.log_in(1)
        for n in (7, 0):
            peer.send(0xF102, [pack(0x1001, {"Series": 2, "Number": n})])
            assert s.next("rtn_private_seq_no").value == n
        peer.push(0xF001, pack(0x0401, {"OrderRef": "1"}))
        assert (s.next("rtn_order").data or {})["OrderRef"] == "1"


# ---- codes and reasons ---------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ENDS)
def test_codes_of_requests(variant: str, flow: FlowDirectory) -> None:
    qry = {"BrokerID": BROKER, "InvestorID": INVESTOR}
    with Peer() as peer, session(library_of(variant), flow, peer) as s:
        s.log_in(1)
        peer.request(0x3000)
        assert s.api.request("ReqQryOrder", qry, 2) == 0
        peer.request(0x8000)
        assert s.api.request("ReqQryTrade", qry, 3) == -2
        peer.send(0x8001, [pack(0, WORDS)])  # in no series: heard, but no end of the query
        assert s.next("qry_order").error_id == 26
        assert s.api.request("ReqQryTrade", qry, 3) == -2
        peer.cut()
        s.next("front_disconnected")
        s.log_in(4)
        peer.request(0x3000)
        peer.answers[0x8002] = lambda _: [(0x8003, [], b"C"), (0x8003, [], b"L")]
        assert asked(s, "ReqQryTrade", qry, 5) == 0  # the one on the way when it was cut is forgotten
        assert [s.next("qry_trade").is_last for _ in range(2)] == [True, True]
        assert s.api.request("ReqQryTrade", qry, 6) in (-3, 0)  # 0: the clock has just gone on


def test_an_id_longer_than_the_wire_is_refused_not_cut(flow: FlowDirectory) -> None:
    with Peer() as peer, session(library_of("6713"), flow, peer) as s:
        s.open_gate(s.log_in())
        peer.request(0x3000)
        assert s.api.insert({**ORDER, "InstrumentID": "x" * 31}, 1)[0] == -4
        assert s.api.insert({**ORDER, "InstrumentID": "x" * 30}, 2)[0] == 0
        assert peer.request(0x4000).values["InstrumentID"] == "x" * 30


def test_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """8193; from 6.7.9 on with a warning half way."""
    monkeypatch.setenv("TICKENGINE_COMPAT_TRADER_FAULTS", "silence=2")

    def play(variant: str) -> tuple[list[int], int]:
        with closing(FlowDirectory(str(tmp_path / variant))) as flow, Peer() as peer:
            with session(library_of(variant), flow, peer) as s:
                s.next("front_connected")  # and not a word from then on
                warned = [s.next("heartbeat_warning").reason for _ in range(variant == "6713")]
                return warned, s.next("front_disconnected").reason

    with ThreadPoolExecutor(len(ENDS)) as threads:
        assert list(threads.map(play, ENDS)) == [([], 8193), ([1], 8193)]


def test_content_that_contradicts_itself(flow: FlowDirectory) -> None:
    with Peer() as peer, session(library_of("6713"), flow, peer) as s:
        s.log_in()
        packet = bytearray(peer._message(0xF001, [pack(0x0401, {})]))
        packet[4 + 16 : 4 + 18] = b"\0\1"  # the length of the fields
        peer._send(bytes(packet))
        assert s.next("front_disconnected").reason == 0xA001
        s.log_in()
        peer._send(b"\2\0\xff\xff")
        assert s.next("front_disconnected").reason == 0x2003


# ---- what it does wrong on request, and what it refuses -------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("null-tick", "unknown fault 'null-tick'"),
        ("hang-in=ReqMagic", "unknown fault"),
        ("freed-in=ReqOrderInsert", "unknown fault"),
    ],
)
def test_faults_that_it_does_not_know(
    fault: str, words: str, flow: FlowDirectory, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TICKENGINE_COMPAT_TRADER_FAULTS", fault)
    with Peer() as peer, pytest.raises(VendorLibraryError, match="did not create an api"):
        Session(library_of("6713"), flow, peer)
    assert words in capfd.readouterr().err


def test_nulls_and_poison_hurt_nobody(flow: FlowDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKENGINE_COMPAT_TRADER_FAULTS", "null-login, poison, disconnect-first")
    with Peer() as peer, session(library_of("6713"), flow, peer) as s:
        assert s.next("front_disconnected").reason == 4097
        login = s.log_in()
        assert (login.data, login.error_id) == (None, 0)
        peer.push(0xF001, pack(0x0401, marked(0x0401)))
        assert s.next("rtn_order").data == read_in("6.7.13", "Order", marked(0x0401))


def test_answers_without_their_parts(
    flow: FlowDirectory, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TICKENGINE_COMPAT_TRADER_FAULTS", "null-info, null-data, print, slow-release=1")
    with Peer() as peer, session(library_of("6713"), flow, peer) as s:
        assert s.log_in().data is None
        peer.request(0x3000)
        peer.answers[0x4013] = lambda r: [(0x4014, [pack(0, WORDS), pack(0x040F, r.values)], b"L")]
        s.api.request("ReqSettlementInfoConfirm", {"BrokerID": BROKER, "InvestorID": INVESTOR}, 3)
        answer = s.next("rsp_settlement_confirm")
        assert (answer.data, answer.error_id, answer.request_id) == (None, 0, 3)
        peer.cut()
        s.next("front_disconnected")
    said = capfd.readouterr()
    assert "Disconnected[" in said.out and "compat: disconnected, reason 4097" in said.err


PROGRAM = """
    import sys
    from one_session import session
    from peer import Peer
    from tickengine.flow import FlowDirectory

    with Peer() as peer, session(sys.argv[1], FlowDirectory(sys.argv[2]), peer) as s:
        s.log_in()
        print(s.api.request("ReqQryOrder", {}, 2), flush=True)
        s.api.request("ReqQryTrade", {}, 3)
"""


def test_a_request_ends_the_process(tmp_path: Path) -> None:
    here = Path(__file__).resolve().parent
    places = [here.parents[1], here.parent, here, here.parent / "vendor"]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), library_of("6713"), str(tmp_path / "flow")],
        env={
            **os.environ,
            "PYTHONPATH": ":".join(map(str, places)),
            "TICKENGINE_COMPAT_TRADER_FAULTS": "abort-in=ReqQryTrade",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGABRT, "0\n"), done.stderr


# ---- whole sessions of engines -------------------------------------------------------------------


@pytest.fixture
def front() -> Iterator[TradingFront]:
    with TradingFront(PRICES, fill_volume=1, password="pass-word-1", require_authentication=True) as front:
        yield front


@pytest.mark.parametrize("variant", ["636", "6711", "compatible"])
def test_a_whole_session(front: TradingFront, variant: str, tmp_path: Path) -> None:
    library = variant if variant == "compatible" else library_of(variant)
    with engine_on(front, library, tmp_path / "flow") as engine:
        engine.wait_ready(30)
        filled = buy(engine, volume=3)  # in three pieces
        settled(engine, filled)
        waiting = buy(engine, 2990.0, volume=2)
        until(engine, lambda: waiting.state == "queueing", "the order in the book")
        front.set_price("rb2605", 2995.0)
        front.cut_at("return", inside=40)  # in the middle of the message of its first fill
        front.set_price("rb2605", 2985.0)
        front.wait_until(timeout=20, faults_happened=1)
        front.cut_at("order")
        settled(engine, waiting)
        engine.wait_ready(30)
        unheard = buy(engine, volume=2)
        settled(engine, unheard)
        engine.wait_ready(30)
        cancelled = buy(engine, 2900.0)
        until(engine, lambda: cancelled.state == "queueing", "the order in the book")
        engine.cancel(cancelled)
        settled(engine, cancelled)
        same_as_the_front(engine, front)
        refused = engine.insert("nowhere99", "0", "0", 1.0, 1)
        settled(engine, refused)
        front.set_status("rb2605", "2")
        (row,) = engine.query("ReqQryTrade", TradeID=engine.book.trades[0].TradeID)
        assert row["OrderRef"].strip() == str(filled.OrderRef).strip() and row["Volume"] == 1
        assert [o.state for o in (filled, waiting, unheard, cancelled)] == ["filled", "filled", "filled", "cancelled"]
        assert refused.state == "rejected" and engine.positions.net("rb2605") == 7
        until(engine, lambda: any(r.kind == "rtn_instrument_status" for r in records(engine)), "the status")
        returns = [r for r in records(engine) if r.kind in ("rtn_order", "rtn_trade", "err_rtn_order_insert")]
    assert len(returns) == front.report().private_messages, "each return exactly once"
    assert rings() == []


def records(engine: Any) -> list[Record]:
    with TradeLog.attach(engine.journal_path) as journal:
        return list(journal.read())


def test_what_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(vendor, "__file__", str(tmp_path / "vendor.py"))
    with pytest.raises(ConfigError, match=r"libcompatible_trader.so' does not exist; install tickengine with pip"):
        vendor.resolve("compatible", vendor.TRADER)
