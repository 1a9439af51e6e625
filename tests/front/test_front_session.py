"""Login, logout and subscriptions as a client sees them."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ftd_client import FtdClient

from tickengine.front import Front, NumberedMarket, RandomWalkMarket, fields, wire

pytestmark = pytest.mark.timeout(60)
IDS = [f"rb{2600 + k}" for k in range(300)]


def test_login_is_answered_with_both_parts_and_the_day() -> None:
    with Front(NumberedMarket(IDS), trading_day="20261123") as front, FtdClient(front.address) as client:
        first = client.login()
        second = client.login()
    assert first[fields.FID_RSP_INFO]["ErrorID"] == 0
    answer = first[fields.FID_LOGIN_ANSWER]
    assert answer["TradingDay"] == b"20261123"
    assert (answer["BrokerID"], answer["UserID"], answer["MaxOrderRef"]) == (b"9999", b"investor", b"1")
    assert len(answer["INETime"]) == 8
    assert second[fields.FID_LOGIN_ANSWER]["SessionID"] == answer["SessionID"] + 1


def test_login_day_is_the_market_s_own_by_default() -> None:
    with Front(NumberedMarket(IDS, trading_day="20260210")) as front, FtdClient(front.address) as client:
        assert client.login()[fields.FID_LOGIN_ANSWER]["TradingDay"] == b"20260210"


def test_wrong_password_is_refused_and_the_right_one_taken(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    with Front(NumberedMarket(IDS), password="open sesame") as front, FtdClient(front.address) as client:
        refused = client.login(password=b"guess-4711")
        assert refused[fields.FID_RSP_INFO]["ErrorID"] == 3
        assert fields.FID_LOGIN_ANSWER in refused
        assert client.login(password=b"open sesame")[fields.FID_RSP_INFO]["ErrorID"] == 0
        stats = front.stats()
    assert (stats.logins, stats.logins_refused) == (1, 1)
    assert "guess-4711" not in caplog.text
    assert "sesame" not in caplog.text + repr(stats)


def test_refused_logins_are_counted_down() -> None:
    with Front(NumberedMarket(IDS)) as front, FtdClient(front.address) as client:
        front.refuse_logins(7, times=2)
        errors = [client.login()[fields.FID_RSP_INFO]["ErrorID"] for _ in range(3)]
    assert errors == [7, 7, 0]


def test_login_without_a_part() -> None:
    with Front(NumberedMarket(IDS)) as front, FtdClient(front.address) as client:
        front.login_without_info(times=1)
        assert set(client.login()) == {fields.FID_LOGIN_ANSWER}
        front.login_without_session(times=1)
        assert set(client.login()) == {fields.FID_RSP_INFO}
        front.login_without_answer(times=1)
        client.request(wire.TID_LOGIN, [fields.encode(fields.FID_LOGIN, {})])
        assert set(client.login()) == {fields.FID_RSP_INFO, fields.FID_LOGIN_ANSWER}


def test_every_id_of_many_packets_is_answered_and_only_the_last_packet_says_last() -> None:
    with Front(NumberedMarket(IDS)) as front, FtdClient(front.address) as client:
        client.login()
        assert client.ask(IDS[:114]) == 1
        client.read_until(lambda: len(client.messages) == 2, "two packets")
        assert [m.chain for m in client.messages] == [b"C", b"L"]
        assert client.take_acknowledgements() == dict.fromkeys(IDS[:114], 0)
        assert client.subscribe(IDS) == dict.fromkeys(IDS, 0)
        (stats,) = front.wait_until(timeout=20, subscribers=1, subscriber_ids=300).clients
    assert stats.subscribed == frozenset(IDS)
    assert stats.user == "investor"


def test_refused_ids_come_in_a_packet_of_their_own() -> None:
    with Front(NumberedMarket(IDS)) as front, FtdClient(front.address) as client:
        client.login()
        front.refuse_subscription(["rb260?", "IF*"], error_id=16)
        errors = client.subscribe(["rb2600", "rb2650", "IF2601", "x" * 31])
        assert errors == {"rb2600": 16, "IF2601": 16, "rb2650": 0, "x" * 31: 0}
        front.refuse_subscription([])
        assert client.subscribe(["rb2600"]) == {"rb2600": 0}
        assert front.stats().clients[0].subscribed == {"rb2600", "rb2650", "x" * 31}


def test_acknowledge_only_the_first() -> None:
    with Front(NumberedMarket(IDS)) as front, FtdClient(front.address) as client:
        client.login()
        front.acknowledge_only(120)
        client.ask(IDS)
        # A request that is answered marks the place up to which everything else was answered.
        client.subscribe(["other"], wire.TID_QUOTE_SUBSCRIBE)
        assert client.take_acknowledgements() == dict.fromkeys(IDS[:120], 0)
        assert front.stats().clients[0].subscribed == frozenset(IDS[:120])
        front.acknowledge_only(None)
        assert client.subscribe(IDS[120:]) == dict.fromkeys(IDS[120:], 0)


def test_subscribing_before_login_is_refused_unless_allowed() -> None:
    with Front(NumberedMarket(IDS)) as front, FtdClient(front.address) as client:
        assert client.subscribe(["rb2600"]) == {"rb2600": 6}
    with Front(NumberedMarket(IDS), require_login=False) as front, FtdClient(front.address) as client:
        assert client.subscribe(["rb2600"]) == {"rb2600": 0}


def test_logout_ends_ticks_until_the_next_login() -> None:
    with Front(NumberedMarket(IDS), rate=2000) as front, FtdClient(front.address) as client:
        client.login()
        client.subscribe(IDS[:3])
        client.read_until(lambda: client.tick_bodies, "ticks")
        assert client.logout()[fields.FID_RSP_INFO]["ErrorID"] == 0
        before = front.stats().next_number
        client.read_for(0.2)
        assert front.stats().next_number == before
        assert client.logout()[fields.FID_RSP_INFO]["ErrorID"] == 6
        client.login()
        assert front.stats().clients[0].subscribed == frozenset()


def test_unsubscribe_ends_the_ticks_of_that_id() -> None:
    with Front(NumberedMarket(IDS[:4]), rate=4000) as front, FtdClient(front.address) as client:
        client.login()
        client.subscribe(IDS[:2])
        client.read_until(lambda: client.tick_bodies, "ticks")
        assert client.subscribe([IDS[0]], wire.TID_UNSUBSCRIBE) == {IDS[0]: 0}
        client.tick_bodies.clear()
        client.read_until(lambda: len(client.tick_bodies) > 20, "ticks of the other")
    assert set(client.ticks()["InstrumentID"].tolist()) == {IDS[1].encode()}


def test_requests_for_quotes() -> None:
    with Front(NumberedMarket(IDS), trading_day="20261123") as front, FtdClient(front.address) as client:
        client.login()
        assert client.subscribe(["rb2600"], wire.TID_QUOTE_SUBSCRIBE) == {"rb2600": 0}
        assert front.for_quote("rb2601") == 0
        assert front.for_quote("rb2600") == 1
        (field,) = client.answer(wire.TID_FOR_QUOTE).fields
        values = fields.decode(*field)
        assert (values["InstrumentID"], values["ExchangeID"]) == (b"rb2600", b"SHFE")
        assert values["TradingDay"] == b"20261123"
        client.subscribe(["rb2600"], wire.TID_QUOTE_UNSUBSCRIBE)
        assert front.for_quote("rb2600") == 0


def test_unknown_request_gets_an_error_with_its_id() -> None:
    with Front(NumberedMarket(IDS)) as front, FtdClient(front.address) as client:
        rid = client.request(0x7777, [])
        message = client.answer(wire.TID_ERROR)
    assert message.rid == rid
    assert fields.decode(*message.fields[0])["ErrorID"] == 77


def test_answers_to_compressed_requests() -> None:
    with Front(NumberedMarket(IDS)) as front, FtdClient(front.address) as client:
        request = fields.encode(fields.FID_LOGIN, {"UserID": b"u"})
        client.send(wire.message(wire.TID_LOGIN, [request], rid=5, compress=True))
        assert client.answer(wire.TID_LOGIN_ANSWER).rid == 5


def test_delayed_answers_come_late_and_in_order() -> None:
    with Front(NumberedMarket(IDS)) as front, FtdClient(front.address) as client:
        front.delay_answers(0.3)
        begin = time.monotonic()
        client.login()
        assert time.monotonic() - begin >= 0.3
        client.ask(IDS[:200])
        client.read_until(lambda: len(client.messages) >= 1, "answer")
        front.delay_answers(0)
        client.subscribe(IDS)
    assert front.stats().logins == 1


def test_answers_that_still_wait_leave_when_the_delay_is_ended() -> None:
    with Front(NumberedMarket(IDS)) as front, FtdClient(front.address) as client:
        client.login()
        front.delay_answers(3600)
        client.ask(IDS[:2])
        front.wait_until(subscribers=1, subscriber_ids=2, timeout=20)
        assert client.take_acknowledgements() == {}
        front.delay_answers(0)
        client.answer(wire.TID_SUBSCRIBE_ANSWER)


def test_quiet_line_gets_heartbeats() -> None:
    with Front(NumberedMarket(IDS), heartbeat_s=0.1) as front, FtdClient(front.address) as client:
        client.read_until(lambda: client.heartbeats >= 3, "three heartbeats")
        client.send(wire.HEARTBEAT)
        client.login()
        stats = front.stats()
    assert stats.heartbeats_received == 1
    assert stats.heartbeats_sent >= 3


def test_silence_is_complete_and_ends() -> None:
    market = NumberedMarket(IDS[:10])
    with Front(market, rate=5000, heartbeat_s=0.05) as front, FtdClient(front.address) as client:
        client.login()
        client.subscribe(IDS[:10])
        client.read_until(lambda: client.tick_bodies, "ticks")
        front.silence(3600)
        sent, number = front.stats().bytes_sent, front.stats().next_number
        client.read_until(lambda: client.bytes_received == sent, "what was under way")
        client.ask(["late"])
        client.read_for(0.3)
        assert client.bytes_received == sent
        assert (front.stats().bytes_sent, front.stats().next_number) == (sent, number)
        begin = time.monotonic()
        front.silence(0.3)  # from now on
        client.read_until(lambda: client.take_acknowledgements() == {"late": 0}, "answer after the silence")
        assert time.monotonic() - begin >= 0.3
        client.read_until(lambda: front.stats().next_number > number, "ticks after the silence")


def test_pushed_ticks_arrive_as_given() -> None:
    name = b"n" * 31
    with Front(NumberedMarket(IDS)) as front, FtdClient(front.address) as client:
        client.login()
        tick = {"InstrumentID": name, "LastPrice": float("nan"), "Volume": -1, "UpdateTime": b"x" * 9}
        assert front.push(tick) == 1
        assert front.push([tick, {"Turnover": float("inf")}], compress=True) == 1
        assert front.push(RandomWalkMarket(["rb2601"]).batch(0, 3).astype(fields.TICK.newbyteorder("<"))) == 1
        client.read_until(lambda: len(client.tick_bodies) == 6, "ticks")
    ticks = client.ticks()
    assert ticks["InstrumentID"].tolist() == [name, name, b"", b"rb2601", b"rb2601", b"rb2601"]
    assert np.isnan(ticks["LastPrice"][0])
    assert np.isinf(ticks["Turnover"][2])
    assert ticks["Volume"][0] == -1
    assert ticks["UpdateTime"][1] == b"x" * 9


@pytest.mark.parametrize(
    ("ticks", "text"),
    [
        ({"Price": 1.0}, "no member 'Price'"),
        ({"InstrumentID": b"x" * 32}, "32 bytes"),
        (np.zeros(3), "named"),
    ],
)
def test_bad_pushes_are_explained(ticks: object, text: str) -> None:
    with Front(NumberedMarket(IDS)) as front, pytest.raises(ValueError, match=text):
        front.push(ticks)  # type: ignore[arg-type]
