"""Clients that mean harm or are just broken: none of them may end the front or starve another client."""

from __future__ import annotations

import os
import random
import resource
import socket
import struct
import threading
import time
from contextlib import ExitStack

import pytest
from ftd_client import FrontClosed, FtdClient

from tickengine.front import Front, FrontProcess, MarketSpec, NumberedMarket, fields, wire
from tickengine.front.clients import ACCEPT_PAUSE_S
from tickengine.front.connection import MAX_QUEUED_INPUT_ANSWERS
from tickengine.front.session import MAX_SUBSCRIPTIONS, Desk, Session

pytestmark = pytest.mark.timeout(60)
IDS = [f"rb{2600 + k}" for k in range(20)]


def _still_serves(front: Front) -> None:
    with FtdClient(front.address) as client:
        assert client.login()[fields.FID_RSP_INFO]["ErrorID"] == 0


def test_length_bomb_ends_only_its_own_connection() -> None:
    with Front(NumberedMarket(IDS)) as front:
        with FtdClient(front.address) as client:
            client.send(struct.pack(">BBH", 2, 255, 0xFFFF) + b"x" * 100_000)
            with pytest.raises((FrontClosed, ConnectionError)):
                while True:
                    client.read_once()
        _still_serves(front)
        assert front.stats().protocol_errors == 1


def test_broken_contents_end_only_their_own_connection() -> None:
    contents = [b"\x01\x03\x0cL" + b"\xef" * 4000, b"\x01\x03\x0cLx\xe0", b"\x01\0\x0cL" + b"\xff" * 300]
    with Front(NumberedMarket(IDS)) as front:
        for content in contents:
            with FtdClient(front.address) as client:
                client.send(wire.packet(content))
                with pytest.raises(FrontClosed):
                    client.read_once()
        assert front.stats().protocol_errors == len(contents)
        _still_serves(front)


def test_random_bytes_never_end_the_front() -> None:
    rng = random.Random(20261121)
    with Front(NumberedMarket(IDS), rate=5000) as front, FtdClient(front.address) as witness:
        witness.login()
        witness.subscribe(IDS)
        for _ in range(60):
            with FtdClient(front.address) as client:
                head = rng.choice(
                    [b"", wire.HEARTBEAT, struct.pack(">BBHBBBc", 2, 0, 90, 1, rng.choice((0, 3)), 12, b"L")]
                )
                try:
                    client.send(head + rng.randbytes(rng.randrange(1, 3000)))
                except ConnectionError:
                    continue
        witness.tick_bodies.clear()
        witness.read_until(lambda: len(witness.tick_bodies) > 100, "ticks")
        _still_serves(front)


def test_requests_with_odd_fields_are_survived() -> None:
    with Front(NumberedMarket(IDS)) as front, FtdClient(front.address) as client:
        for tid in (wire.TID_LOGIN, wire.TID_LOGOUT, wire.TID_SUBSCRIBE, wire.TID_UNSUBSCRIBE):
            for part in (b"", b"\xff" * 3, b"\xff" * 500):
                for fid in (fields.FID_LOGIN, fields.FID_LOGOUT, fields.FID_INSTRUMENT, 0xFFFF):
                    client.request(tid, [wire.field(fid, part)])
            client.request(tid, [])
        client.login()


def test_client_that_never_reads_its_answers_is_not_read_further() -> None:
    with Front(NumberedMarket(IDS)) as front, FtdClient(front.address, receive_buffer=4096) as client:
        request = wire.message(0x7777) * 2000
        client.sock.settimeout(1.0)
        sent = 0
        with pytest.raises(TimeoutError):
            while True:
                sent += client.sock.send(request)
        (stats,) = front.stats().clients
        assert stats.queued_bytes < 4 * MAX_QUEUED_INPUT_ANSWERS + 65_536 * 8
        _still_serves(front)


def test_client_that_does_not_read_stops_another_only_up_to_the_send_timeout() -> None:
    with Front(NumberedMarket(IDS), flat_out=True, wait_clients=2, send_timeout_s=1.0) as front:
        with FtdClient(front.address, receive_buffer=4096) as slow, FtdClient(front.address) as good:
            for client in (slow, good):
                client.login()
                client.subscribe(IDS)
            good.read_until(lambda: front.stats().slow_clients_dropped == 1, "drop of the slow client")
            good.tick_bodies.clear()
            good.read_until(lambda: len(good.tick_bodies) > 50_000, "ticks after the drop")
            numbers = good.numbers()
            assert (numbers[1:] - numbers[:-1] == 1).all()


def test_client_that_trickles_is_dropped_too() -> None:
    with Front(NumberedMarket(IDS), flat_out=True, wait_clients=2, send_timeout_s=0.4) as front:
        with FtdClient(front.address, receive_buffer=4096) as slow, FtdClient(front.address) as good:
            for client in (slow, good):
                client.login()
                client.subscribe(IDS)
            ended = threading.Event()

            def trickle() -> None:
                try:
                    while slow.sock.recv(3000) and not ended.wait(0.02):
                        pass
                except ConnectionError:
                    ended.set()

            reader = threading.Thread(target=trickle)
            reader.start()
            try:
                good.read_until(lambda: front.stats().slow_clients_dropped == 1, "drop of the slow client")
            finally:
                ended.set()
                reader.join()


def test_two_hundred_connections() -> None:
    with Front(NumberedMarket(IDS), max_clients=150) as front:
        clients = [FtdClient(front.address) for _ in range(200)]
        try:
            stats = front.wait_until(timeout=20, connections=200)
            assert (stats.open_clients, stats.connections_refused) == (150, 50)
            for client in clients[150:]:
                with pytest.raises(FrontClosed):
                    client.read_once()
            for client in clients[:150]:
                client.login()
        finally:
            for client in clients:
                client.close()
        front.wait_until(timeout=20, max_open_clients=0)
        _still_serves(front)


def test_storm_of_connections_that_close_at_once() -> None:
    with Front(NumberedMarket(IDS)) as front:
        host, port = front.address.removeprefix("tcp://").split(":")

        def storm() -> None:
            for number in range(30):
                with socket.create_connection((host, int(port))) as sock:
                    if number % 2:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        for round_ in range(1, 6):  # 120 at a time have room in the kernel's queue: each is accepted, however late
            threads = [threading.Thread(target=storm) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            front.wait_until(timeout=20, connections=round_ * 120, max_open_clients=0)
        _still_serves(front)


def test_half_open_and_half_sent_clients_cost_nothing() -> None:
    with Front(NumberedMarket(IDS), rate=2000) as front:
        idle = [FtdClient(front.address) for _ in range(10)]
        for client in idle:
            client.send(wire.HEARTBEAT[:3])
        with FtdClient(front.address) as client:
            client.login()
            client.subscribe(IDS)
            client.read_until(lambda: len(client.tick_bodies) > 100, "ticks")
        for client in idle:
            client.sock.shutdown(socket.SHUT_WR)
        front.wait_until(timeout=20, max_open_clients=0)
        for client in idle:
            client.close()


def test_stop_does_not_wait_for_a_client_that_never_closes() -> None:
    front = Front(NumberedMarket(IDS), flat_out=True, send_timeout_s=3600)
    front.start()
    with FtdClient(front.address) as client:
        client.login()
        client.subscribe(IDS)
        front.wait_until(timeout=20, ticks_sent=4000)
        front.stop()  # while the client is there and reads nothing


def test_subscriptions_are_bounded() -> None:
    session = Session(Desk("20260105", require_login=False))
    session.subscribed = frozenset(b"%d" % n for n in range(MAX_SUBSCRIPTIONS - 1))
    (packet,) = wire.Framer().feed(
        wire.message(wire.TID_SUBSCRIBE, [wire.field(fields.FID_INSTRUMENT, name) for name in (b"0", b"a", b"b")])
    )
    answers = session.handle(packet)
    assert len(session.subscribed) == MAX_SUBSCRIPTIONS
    messages = [wire.parse_message(p.content) for p in wire.Framer().feed(b"".join(answers))]
    errors = [fields.decode(0, m.fields[0][1])["ErrorID"] for m in messages if m is not None]
    assert errors == [0, 16]


def test_a_front_out_of_descriptors_neither_ends_nor_spins(capfd: pytest.CaptureFixture[str]) -> None:
    """accept() then fails at once, again and again, while the connection stays ready to be accepted."""
    with FrontProcess(MarketSpec(IDS), rate=2000) as front, ExitStack() as stack:
        witness = stack.enter_context(FtdClient(front.address))
        witness.login()
        witness.subscribe(IDS)
        room = len(os.listdir(f"/proc/{front.pid}/fd")) + 5
        begin = time.monotonic()
        resource.prlimit(front.pid, resource.RLIMIT_NOFILE, (room, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        many = [stack.enter_context(FtdClient(front.address)) for _ in range(30)]
        witness.tick_bodies.clear()
        witness.read_until(lambda: len(witness.tick_bodies) > 4000, "ticks while nobody is accepted")
        looks = capfd.readouterr().err.count("cannot accept: [Errno 24]")
        assert 1 <= looks <= (time.monotonic() - begin) / ACCEPT_PAUSE_S + 3
        for client in many:
            client.close()
        with FtdClient(front.address) as late:
            assert late.login()[fields.FID_RSP_INFO]["ErrorID"] == 0
        assert front.stats().open_clients >= 1


def test_a_request_that_comes_byte_by_byte_is_answered_and_delays_nobody() -> None:
    request = wire.message(wire.TID_SUBSCRIBE, [wire.field(fields.FID_INSTRUMENT, b"rb2600".ljust(31, b"\0"))])
    with Front(NumberedMarket(IDS), rate=2000) as front:
        with FtdClient(front.address) as slow, FtdClient(front.address) as good:
            for client in (slow, good):
                client.login()
            good.subscribe(IDS)
            slow.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for position in range(len(request)):
                slow.send(request[position : position + 1])
                seen = len(good.tick_bodies)
                good.read_until(lambda seen=seen: len(good.tick_bodies) > seen, "a tick for the other client")
            slow.read_until(lambda: slow.take_acknowledgements() == {"rb2600": 0}, "the answer")


def test_thousands_of_subscriptions_are_answered_each() -> None:
    ids = [f"x{number}" for number in range(20_000)]
    with Front(NumberedMarket(IDS)) as front, FtdClient(front.address) as client:
        client.login()
        errors = client.subscribe(ids)
        assert set(errors) == set(ids)
        _still_serves(front)


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("127.0.0.2", False), ("0.0.0.0", True)])
def test_a_front_that_others_can_reach_says_so(host: str, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    with Front(NumberedMarket(IDS), host=host) as front:
        assert front.address.startswith(f"tcp://{host}:")
    assert ("others can reach this front" in caplog.text) == warned


def test_a_front_listens_at_loopback_unless_told() -> None:
    with Front(NumberedMarket(IDS)) as front:
        assert front.address.startswith("tcp://127.0.0.1:")
