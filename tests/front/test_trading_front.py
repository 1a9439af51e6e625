"""The trading front, byte for byte: orders and their returns, flows and resumption, queries, scripted cuts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from ftd_client import FrontClosed
from trading_client import QUICK, TradingClient

from tickengine.front import Front, FrontProcess, MarketSpec, NumberedMarket, wire
from tickengine.front.trading import MOMENTS, TradingFront

PRICES = {"rb2605": 3000.0, "m2605": 2950.0}


@pytest.fixture
def front() -> Iterator[TradingFront]:
    # With such a time-out for sending nothing can be mistaken for being done at once.
    with TradingFront(PRICES, send_timeout_s=3600.0) as front:
        yield front


@pytest.fixture
def client(front: TradingFront) -> Iterator[TradingClient]:
    with TradingClient(front.address) as client:
        client.ready()
        yield client


# ---- orders ------------------------------------------------------------------------------------


def test_an_order_at_the_price_trades_at_once(front: TradingFront, client: TradingClient) -> None:
    client.order(volume=3)
    returns = client.wait_returns(4)
    assert client.story() == ["a", "a", "0", "trade"]
    assert [number for number, _kind, _values in returns] == [1, 2, 3, 4]
    assert returns[0][2]["OrderSysID"] == b"" and returns[1][2]["OrderSysID"].strip() == b"1"
    last, trade = returns[2][2], returns[3][2]
    assert (last["VolumeTraded"], last["VolumeTotal"], last["OrderSubmitStatus"]) == (3, 0, b"3")
    assert (trade["Price"], trade["Volume"], trade["OrderSysID"]) == (3000.0, 3, last["OrderSysID"])
    assert (last["FrontID"], last["SessionID"]) == (client.session["FrontID"], client.session["SessionID"])
    report = front.report()
    assert report.lots == {("me", "rb2605", "2"): (3, 0)} and len(report.orders) == len(report.trades) == 1


def test_an_order_away_from_the_price_waits_for_it(front: TradingFront, client: TradingClient) -> None:
    client.order(price=2990.0)
    client.wait_returns(3)
    assert client.story() == ["a", "a", "3"]
    front.set_price("rb2605", 2995.0)
    front.set_price("rb2605", 2988.0)
    assert client.wait_returns(5)[-1][2]["Price"] == 2988.0
    assert client.story()[3:] == ["0", "trade"]


def test_pieces() -> None:
    with TradingFront(PRICES, fill_volume=2) as front, TradingClient(front.address) as client:
        client.ready()
        client.order(volume=5)
        client.wait_returns(8)
        assert client.story() == ["a", "a", "1", "trade", "1", "trade", "0", "trade"]
        assert [v["Volume"] for _n, kind, v in client.returns if kind == "trade"] == [2, 2, 1]
        assert [v["VolumeTraded"] for _n, kind, v in client.returns if kind == "order"] == [0, 0, 2, 4, 5]


@pytest.mark.parametrize(
    ("changes", "story"),
    [
        ({"TimeCondition": b"1", "price": 2990.0}, ["a", "a", "5"]),
        ({"TimeCondition": b"1", "volume": 5}, ["a", "a", "1", "trade", "5"]),
        ({"TimeCondition": b"1", "VolumeCondition": b"3", "volume": 5}, ["a", "a", "5"]),
        ({"TimeCondition": b"1", "VolumeCondition": b"3", "volume": 2}, ["a", "a", "0", "trade"]),
    ],
)
def test_orders_for_now_or_never(changes: dict[str, Any], story: list[str]) -> None:
    with TradingFront(PRICES, fill_volume=2) as front, TradingClient(front.address) as client:
        client.ready()
        client.order(**changes)
        client.wait_returns(len(story))
        client.read_for(0.05)
        assert client.story() == story


def test_a_cancellation(client: TradingClient) -> None:
    reference = client.order(price=2990.0)
    client.wait_returns(3)
    client.cancel(reference)
    client.wait_returns(4)
    assert client.story()[-1] == "5"
    rid = client.cancel(reference)
    answer = client.answer(0x4007, rid)
    assert answer.fields[0][1][:4] == (26).to_bytes(4, "big")
    assert client.wait_returns(5)[-1][1:][0] == "action refused"


def test_a_cancellation_by_the_exchanges_number_and_of_nothing(client: TradingClient) -> None:
    client.order(price=2990.0)
    system = client.wait_returns(3)[-1][2]["OrderSysID"]
    client.cancel(b"", OrderSysID=system, ExchangeID=b"SHFE")
    client.wait_returns(4)
    assert client.story()[-1] == "5"
    client.cancel(b"99")
    assert client.wait_returns(5)[-1][2]["ErrorID"] == 25


@pytest.mark.parametrize(
    ("changes", "error_id"),
    [
        ({"instrument": "xx2605"}, 16),
        ({"volume": 0}, 15),
        ({"Direction": b"7"}, 15),
        ({"CombOffsetFlag": b"3"}, 50),
        ({"CombOffsetFlag": b"1"}, 51),
        ({"instrument": "m2605", "price": 2950.0, "CombOffsetFlag": b"1"}, 30),
        ({"volume": 100_000}, 31),
    ],
)
def test_the_front_refuses(client: TradingClient, changes: dict[str, Any], error_id: int) -> None:
    client.order(**changes)
    answer = client.answer(0x4001)
    assert answer.fields[0][1][:4] == error_id.to_bytes(4, "big")
    assert client.wait_returns(1)[0][1:][0] == "refused" and client.returns[0][2]["ErrorID"] == error_id


def test_a_repeated_reference_is_refused_and_told(front: TradingFront, client: TradingClient) -> None:
    client.order(price=2990.0)
    client.order(price=2990.0, OrderRef=b"%12d" % 1)
    client.answer(0x4001)
    assert front.report().inserts == {(client.session["SessionID"], "1"): 2} and len(front.report().orders) == 1


def test_the_exchange_rejects(client: TradingClient) -> None:
    client.order(price=3000.5)
    client.wait_returns(4)
    assert client.story() == ["a", "a", "5", "refused"]
    assert client.returns[2][2]["OrderSubmitStatus"] == b"4" and client.returns[3][2]["ErrorID"] == 95


def test_forced_refusals(front: TradingFront, client: TradingClient) -> None:
    front.refuse_orders(31, times=1)
    front.reject_orders(95, times=1)
    for _ in range(3):
        client.order()
    client.wait_returns(9)
    assert client.story() == ["refused", "a", "a", "5", "refused", "a", "a", "0", "trade"]


def test_nothing_before_the_confirmation(front: TradingFront) -> None:
    with TradingClient(front.address) as client:
        assert client.log_in() == 0
        client.order()
        assert client.wait_returns(1)[0][2]["ErrorID"] == 42


def test_lots_of_the_day_before(client: TradingClient) -> None:
    with TradingFront(PRICES, lots={"rb2605": (3, 0), "m2605": (0, 2)}) as front, TradingClient(front.address) as own:
        own.ready()
        own.order(volume=2, Direction=b"1", CombOffsetFlag=b"4")
        own.order("m2605", 2950.0, volume=1, CombOffsetFlag=b"1")
        own.wait_returns(8)
        assert front.report().lots == {("me", "rb2605", "2"): (0, 1), ("me", "m2605", "3"): (0, 1)}
        rows, _error, _packets = own.query(0x8004, 0x0702)
        found = {
            (r["InstrumentID"], r["PosiDirection"], r["PositionDate"]): (r["YdPosition"], r["Position"]) for r in rows
        }
        assert found == {(b"rb2605", b"2", b"2"): (3, 1), (b"m2605", b"3", b"1"): (2, 1)}


# ---- flows -------------------------------------------------------------------------------------


def three_orders(front: TradingFront) -> list[tuple[int, str, dict[str, Any]]]:
    with TradingClient(front.address) as client:
        client.ready()
        for _ in range(3):
            client.order()
        return list(client.wait_returns(12))


@pytest.mark.parametrize(("asked", "first"), [(0, 1), (5, 6), (11, 12), (QUICK, 13), (99, 13)])
def test_a_client_gets_what_it_asks_for(front: TradingFront, asked: int, first: int) -> None:
    told = three_orders(front)
    with TradingClient(front.address) as client:
        client.ready(asked, day=front.trading_day.encode())
        client.order()
        returns = client.wait_returns(4 + 13 - first)
        assert client.notices == {2: first - 1}
        assert [number for number, _k, _v in returns] == list(range(first, 17))
        assert returns[: 13 - first] == told[first - 1 :]


def test_numbers_of_another_day_mean_nothing(front: TradingFront) -> None:
    told = three_orders(front)
    with TradingClient(front.address) as client:
        client.ready(7, day=b"20000103")
        assert client.wait_returns(12) == told


def test_without_the_flow_nothing_comes(front: TradingFront) -> None:
    three_orders(front)
    with TradingClient(front.address) as client:
        client.ready(None)
        client.order()
        client.read_for(0.1)
        assert client.returns == [] and client.notices == {}


def test_repetition_at_a_login(front: TradingFront) -> None:
    told = three_orders(front)
    front.repeat_at_login(2)
    with TradingClient(front.address) as client:
        client.ready(10, day=front.trading_day.encode())
        assert client.wait_returns(4) == told[8:]


def test_all_connections_of_an_account_get_its_returns_and_others_none(
    front: TradingFront, client: TradingClient
) -> None:
    with TradingClient(front.address) as second, TradingClient(front.address) as stranger:
        second.ready(QUICK)
        stranger.ready(user=b"other")
        client.order()
        assert client.wait_returns(4) == second.wait_returns(4)
        stranger.read_for(0.05)
        assert stranger.returns == []


def test_the_public_flow(front: TradingFront) -> None:
    front.set_status("rb2605", "2")
    with TradingClient(front.address) as client:
        client.ready(0, public=0)
        client.read_until(lambda: client.public, "status")
        assert client.notices == {2: 0, 3: 0}
        assert client.public[0][0] == 1 and client.public[0][2]["InstrumentStatus"] == b"2"


def test_returns_can_be_late(front: TradingFront, client: TradingClient) -> None:
    front.delay_returns(0.3)
    begin = time.monotonic()
    client.order()
    client.wait_returns(1)
    assert time.monotonic() - begin >= 0.3
    client.wait_returns(4)


# ---- queries -----------------------------------------------------------------------------------


def test_queries_are_numbered_by_packet_and_the_last_says_so(client: TradingClient) -> None:
    for _ in range(10):
        client.order()
    client.wait_returns(40)
    rows, _error, packets = client.query(0x8000, 0x0700)
    assert len(rows) == 10 and packets == [(1, b"C"), (2, b"L")]
    rows, _error, packets = client.query(0x8002, 0x0701, TradeID=rows and b"%12d" % 3)
    assert [r["TradeID"].strip() for r in rows] == [b"3"] and packets == [(3, b"L")]
    assert client.query(0x8000, 0x0700, InstrumentID=b"nothing") == ([], 0, [(4, b"L")])


def test_account_instruments_and_prices(client: TradingClient) -> None:
    client.order(volume=2)
    client.wait_returns(4)
    ((account,), _error, _packets) = client.query(0x8006, 0x0703)
    assert account["CurrMargin"] == pytest.approx(2 * 3000 * 10 * 0.1)
    assert account["Available"] == pytest.approx(account["Balance"] - account["CurrMargin"])
    rows, _error, _packets = client.query(0x802E, 0x0717)
    assert {r["InstrumentID"]: r["PriceTick"] for r in rows} == {b"rb2605": 1.0, b"m2605": 1.0}
    ((depth,), _error, _packets) = client.query(0x8030, 0x0718, InstrumentID=b"m2605")
    assert depth["LastPrice"] == 2950.0


def test_refused_queries_and_unknown_requests(front: TradingFront, client: TradingClient) -> None:
    front.refuse_queries(90, times=1)
    assert client.query(0x8000, 0x0700)[:2] == ([], 90)
    assert client.query(0x8000, 0x0700)[:2] == ([], 0)
    rid = client.request(0x8399, [])
    assert client.answer(wire.TID_ERROR, rid).fields[0][1][:4] == (77).to_bytes(4, "big")


# ---- coming in ---------------------------------------------------------------------------------


def test_wrong_passwords_and_missing_authentication_are_refused() -> None:
    with TradingFront(PRICES, password="secret", require_authentication=True) as front:
        with TradingClient(front.address) as client:
            assert client.log_in(password=b"wrong") == 3
            assert client.log_in(password=b"secret") == 64
            rid = client.request(0x3010, [wire.field(0x1012, b"\0" * 171)])
            assert client.answer(0x3011, rid).fields[0][1][:4] == bytes(4)
            assert client.log_in(password=b"secret") == 0
        report = front.report()
        assert (report.logins, report.logins_refused, report.authentications) == (1, 2, 1)


def test_requests_before_a_login_are_refused(front: TradingFront) -> None:
    with TradingClient(front.address) as client:
        client.order()
        assert client.answer(0x4001).fields[0][1][:4] == (6).to_bytes(4, "big")
        assert client.query(0x8000, 0x0700)[1] == 6


# ---- scripted cuts -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize(("moment", "taken", "told"), [("order", 1, 0), ("order_lost", 0, 0)])
def test_cut_at_an_order(front: TradingFront, how: Any, moment: str, taken: int, told: int) -> None:
    front.cut_at(moment, after=1, how=how)
    with TradingClient(front.address) as client:
        client.ready()
        client.order()
        client.wait_returns(4)
        client.order()
        assert client.read_to_end() == (how == "rst")
        assert len(client.returns) == 4 + told
    report = front.report()
    assert len(report.orders) == 1 + taken and report.faults_happened == 1
    with TradingClient(front.address) as client:
        client.ready(4, day=front.trading_day.encode())
        client.wait_returns(4 * taken)


@pytest.mark.parametrize("inside", [0, 1, 25, 600])
def test_cut_at_and_inside_a_return(front: TradingFront, inside: int) -> None:
    front.cut_at("return", after=2, inside=inside)
    with TradingClient(front.address) as client:
        client.ready()
        client.order()
        assert client.read_to_end() is False
        assert len(client.returns) == 2 and client.framer.pending_bytes == inside
    with TradingClient(front.address) as client:
        client.ready(2, day=front.trading_day.encode())
        assert [n for n, _k, _v in client.wait_returns(2)] == [3, 4]


def test_cut_while_resuming(front: TradingFront) -> None:
    three_orders(front)
    front.cut_at("resume", after=5)
    with TradingClient(front.address) as client:
        assert client.log_in() == 0
        with pytest.raises(FrontClosed):
            client.read_until(lambda: False, "end")
        assert len(client.returns) == 5


@pytest.mark.parametrize("moment", ["login", "logged_in", "action", "action_lost", "query"])
def test_cut_at_the_other_moments(front: TradingFront, moment: str) -> None:
    front.cut_at(moment)
    with TradingClient(front.address) as client:
        if moment == "login":
            with pytest.raises(FrontClosed):
                client.log_in()
        else:
            assert client.log_in() == 0
            if moment != "logged_in":
                client.confirm()
                reference = client.order(price=2990.0)
                client.wait_returns(3)
                if moment == "query":
                    client.request(0x8000, [])
                else:
                    client.cancel(reference)
            assert client.read_to_end() is False
    report = front.report()
    assert report.actions_received == (moment == "action") and report.faults_waiting == 0


def test_an_outage_follows(front: TradingFront) -> None:
    front.cut_at("order", outage_s=60.0)
    with TradingClient(front.address) as client:
        client.ready()
        client.order()
        client.read_to_end()
        front.wait_until(timeout=20, faults_happened=1, max_open_clients=0)
        with pytest.raises(ConnectionRefusedError):
            TradingClient(front.address)
    front.refuse_connections(False)
    TradingClient(front.address).close()


@pytest.mark.parametrize(
    "wrong",
    [{"moment": "lunch"}, {"moment": "order", "how": "nicely"}, {"moment": "order", "after": -1},
     {"moment": "order", "inside": 3}, {"moment": "return", "outage_s": -1.0}],
)  # fmt: skip
def test_bad_faults_are_explained(front: TradingFront, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must|possible at"):
        front.cut_at(**wrong)
    assert front.report().faults_waiting == 0


def test_faults_can_be_forgotten(front: TradingFront, client: TradingClient) -> None:
    for moment in MOMENTS:
        front.cut_at(moment)
    front.clear_faults()
    client.order()
    client.wait_returns(4)


# ---- with a market-data front ------------------------------------------------------------------


def test_prices_come_from_a_market_data_front() -> None:
    with Front(NumberedMarket(["rb2605", "m2605"]), rate=50) as market, TradingFront(market) as front:
        assert front.trading_day == market.trading_day
        with TradingClient(market.address) as ticks, TradingClient(front.address) as client:
            client.ready()
            ticks.login()
            ticks.subscribe(["rb2605", "m2605"])
            ticks.read_until(lambda: len(ticks.tick_bodies) > 10, "ticks")
            client.order(OrderPriceType=b"1")
            trade = client.wait_returns(4)[-1][2]
            asks = {float(tick["AskPrice1"]) for tick in ticks.ticks() if tick["InstrumentID"] == b"rb2605"}
            first = float(market.market.batch(0, 1)[0]["AskPrice1"])
            assert trade["Price"] > first, "a newer price than the one it began with"
            ticks.read_until(
                lambda: trade["Price"] in {float(t["AskPrice1"]) for t in ticks.ticks()} | asks,
                "the price of the trade",
            )


@pytest.mark.parametrize(
    "wrong", [{"fill_volume": 0}, {"fill_interval_s": -1}, {"trading_day": "today"}, {"heartbeat_s": 0}]
)
def test_bad_arguments_are_refused_before_anything_is_opened(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must|day"):
        TradingFront(PRICES, **wrong)


def test_it_ends_clean_and_still_reports(client: TradingClient) -> None:
    front = TradingFront(PRICES)
    front.stop()
    front.start()
    with TradingClient(front.address) as own:
        own.ready()
    front.stop()
    front.stop()
    assert front.report().logins == 1
    with pytest.raises(RuntimeError, match="once only"):
        front.start()
    with pytest.raises(RuntimeError, match="stopped"):
        front.set_price("rb2605", 1.0)


def test_both_fronts_in_a_process_of_their_own() -> None:
    spec = MarketSpec(["rb2605"], kind="random-walk")
    with FrontProcess(spec, trading={"fill_volume": 1}) as fronts:
        assert fronts.trading.address != fronts.address
        fronts.trading.cut_at("return", after=5)
        with TradingClient(fronts.trading.address) as client:
            client.ready()
            client.order(OrderPriceType=b"1", volume=2)
            assert client.read_to_end() is False
            assert client.story() == ["a", "a", "1", "trade", "0"]
        report = fronts.trading.wait_until(timeout=20, faults_happened=1, max_open_clients=0)
        assert len(report.trades) == 2 and fronts.stats().connections == 0
    assert fronts.trading.report().trades == report.trades
    with pytest.raises(RuntimeError, match="does not run"):
        fronts.trading.set_price("rb2605", 1.0)


def test_a_process_without_a_trading_front_says_so() -> None:
    with FrontProcess(MarketSpec(["rb2605"])) as fronts, pytest.raises(RuntimeError, match="no trading front"):
        _ = fronts.trading
    with pytest.raises(ValueError, match="fill_volume"):
        FrontProcess(MarketSpec(["rb2605"]), trading={"fill_volume": 0}).start()
