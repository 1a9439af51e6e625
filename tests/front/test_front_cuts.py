"""Faults at run time: cuts, garbage, a closed port, and scripted ones."""

from __future__ import annotations

import socket
import time
from typing import Any, Literal

import numpy as np
import pytest
from ftd_client import FrontClosed, FtdClient

from tickengine.front import Front, NumberedMarket, faults, wire
from tickengine.front.tickpackets import PACKET_BYTES, TICKS_PER_PACKET

pytestmark = pytest.mark.timeout(60)
IDS = [f"rb{2600 + k}" for k in range(20)]


def _subscribed(front: Front, ids: list[str] = IDS) -> FtdClient:
    client = FtdClient(front.address)
    client.login()
    client.subscribe(ids)
    return client


@pytest.mark.parametrize("pace", ["flat_out", "rate"])
def test_after_a_fin_cut_exactly_the_promised_ticks_have_arrived(pace: str) -> None:
    market = NumberedMarket(IDS)
    # Slow enough for the socket to hold what comes while this process is not scheduled.
    with Front(market, flat_out=pace == "flat_out", rate=5000 if pace == "rate" else None) as front:
        everything: list[int] = []
        for connection in range(1, 6):
            with _subscribed(front) as client:
                client.read_until(lambda: client.tick_bodies[500:], "ticks")
                assert front.cut("fin") == 1
                assert client.read_to_end() is False
            # Flat out, this client does not read during the call, so the cut may come within a packet.
            assert client.framer.pending_bytes == 0 or pace == "flat_out"
            sent = [r for r in front.stats().sent_ranges if r.connection == connection]
            promised = [n for r in sent for n in range(r.first, r.stop)]
            assert client.numbers().tolist() == promised
            everything += promised
        # A batch that is cut short is not repeated: its rest is lost to everybody, as at a real front.
        assert everything == sorted(set(everything))
        assert everything == list(range(len(everything))) or pace == "flat_out"
        assert front.stats().cuts == 5


@pytest.mark.parametrize("after", [0, 1, PACKET_BYTES, PACKET_BYTES + 2000, 1_000_003])
def test_cut_in_the_middle_counts_whole_packets_only(after: int) -> None:
    with Front(NumberedMarket(IDS), flat_out=True, paused=True) as front, _subscribed(front) as client:
        assert front.cut(after_bytes=after) == 1
        front.resume()
        assert client.read_to_end() is False
        assert len(client.tick_bodies) == after // PACKET_BYTES * TICKS_PER_PACKET
        assert client.framer.pending_bytes == after % PACKET_BYTES
        front.wait_until(timeout=20, max_open_clients=0)
        assert sum(r.stop - r.first for r in front.stats().sent_ranges) == len(client.tick_bodies)


def test_fin_cut_keeps_its_promise_to_a_client_that_goes_on_sending() -> None:
    with Front(NumberedMarket(IDS), flat_out=True) as front, _subscribed(front) as client:
        front.wait_until(timeout=20, ticks_sent=4000)
        front.cut()
        for _ in range(200):
            client.send(wire.HEARTBEAT)
        assert client.read_to_end() is False
        (sent,) = front.stats().sent_ranges
        assert client.numbers().tolist() == list(range(sent.first, sent.stop))


def test_fin_cut_of_a_client_that_does_not_read_comes_within_the_send_timeout() -> None:
    with Front(NumberedMarket(IDS), flat_out=True, send_timeout_s=0.2) as front, _subscribed(front) as client:
        before = -1
        while (number := front.stats().next_number) != before:
            before = number
            time.sleep(0.05)  # until the sockets are full
        assert front.cut("fin") == 1  # while the client reads nothing
        assert client.read_to_end() is False
        (sent,) = front.stats().sent_ranges
        assert client.numbers().tolist() == list(range(sent.first, sent.stop))


def test_rst_cut_resets_and_one_connection_can_be_chosen() -> None:
    with Front(NumberedMarket(IDS), rate=1000) as front, _subscribed(front) as first:
        with _subscribed(front) as second:
            assert front.cut("rst", connection=1) == 1
            assert first.read_to_end() is True
            second.tick_bodies.clear()
            second.read_until(lambda: second.tick_bodies, "ticks of the other")
            assert front.cut(connection=99) == 0


def _ends_by_reset(client: FtdClient) -> bool:
    """Log in and subscribe for as far as it goes, and say how it ended."""
    try:
        client.login()
        client.subscribe(IDS)
        return client.read_to_end()
    except FrontClosed as end:
        return end.reset
    except (ConnectionResetError, BrokenPipeError):  # found out while sending
        return True


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_connections_end_after_exactly_so_many_bytes_sent(how: Literal["fin", "rst"]) -> None:
    with Front(NumberedMarket(IDS), rate=20_000) as front:
        # Within the login's answer, its last byte, within the subscriptions' answer, within ticks.
        positions = [1, 100, 271, 272, 900, 20_000]
        front.cut_next(positions, how)
        for position in positions:
            with FtdClient(front.address) as client:
                assert _ends_by_reset(client) is (how == "rst")
                # What a reset throws away on its way was sent all the same.
                assert client.bytes_received == position or (how == "rst" and client.bytes_received < position)
        front.wait_until(timeout=20, max_open_clients=0)
        assert (front.stats().bytes_sent, front.stats().cuts) == (sum(positions), len(positions))
        with _subscribed(front) as client:
            client.read_until(lambda: client.bytes_received > 30_000, "ticks of a whole connection")


def test_connections_end_after_exactly_so_many_bytes_received() -> None:
    with Front(NumberedMarket(IDS)) as front:
        register, login = 10, 274
        front.cut_next([0, 5, register + login - 1, register + login, register + login + 30], counted="received")
        answered = []
        for _ in range(5):
            with FtdClient(front.address) as client, pytest.raises(FrontClosed):
                before = front.stats().logins
                try:
                    client.login()
                    client.subscribe(IDS)
                finally:
                    front.wait_until(timeout=20, max_open_clients=0)
                    answered.append(front.stats().logins - before)
        # The login whose last byte was the last one read is answered; the subscription was read in part only.
        assert answered == [0, 0, 0, 1, 1]
        front.cut_next(5, counted="received")
        for _ in range(2):
            with FtdClient(front.address) as client, pytest.raises(FrontClosed):
                client.login()
        front.cut_next([])
        with _subscribed(front):
            assert front.stats().cuts == 7


@pytest.mark.parametrize(
    ("after", "options", "words"),
    [
        (-1, {}, "cut after -1 bytes"),
        ([3, -2], {}, "cut after -2 bytes"),
        (1, {"how": "bang"}, "must be 'fin' or 'rst'"),
        (1, {"counted": "lost"}, "must be 'sent' or 'received'"),
    ],
)
def test_a_cut_that_makes_no_sense_is_refused(after: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Front(NumberedMarket(IDS)).cut_next(after, **options)


def test_cut_without_clients_cuts_nobody() -> None:
    with Front(NumberedMarket(IDS)) as front:
        assert front.cut() == 0


@pytest.mark.parametrize("kind", ["length", "clen", "compression"])
def test_garbage_breaks_the_protocol(kind: str) -> None:
    with Front(NumberedMarket(IDS)) as front, _subscribed(front) as client:
        front.send_garbage(kind)
        with pytest.raises(wire.FrameError):
            client.read_for(20)


def test_noise_is_ignored() -> None:
    with Front(NumberedMarket(IDS), rate=1000) as front, _subscribed(front) as client:
        assert front.send_garbage("noise") == 1
        client.tick_bodies.clear()
        client.read_until(lambda: len(client.tick_bodies) > 50, "ticks after the noise")
        client.login()
        with pytest.raises(ValueError, match="clen, compression, length, noise"):
            front.send_garbage("rubbish")


def test_raw_bytes_go_out_as_they_are() -> None:
    with Front(NumberedMarket(IDS)) as front, FtdClient(front.address) as client:
        front.wait_until(timeout=20, connections=1)
        assert front.send_raw(wire.HEARTBEAT * 3) == 1
        client.read_until(lambda: client.heartbeats == 3, "raw bytes")


def test_connections_are_refused_and_taken_again_at_the_same_port() -> None:
    with Front(NumberedMarket(IDS), rate=1000) as front, _subscribed(front) as client:
        address = front.address
        front.refuse_connections(True)
        with pytest.raises(ConnectionRefusedError):
            FtdClient(address)
        assert front.stats().listening is False
        client.tick_bodies.clear()
        client.read_until(lambda: client.tick_bodies, "ticks of the open connection")
        front.refuse_connections(False)
        FtdClient(address).close()
        front.refuse_connections(0.1)
        deadline = time.monotonic() + 20
        while not front.stats().listening:
            assert time.monotonic() < deadline
            client.read_once()
        with FtdClient(address) as other:
            other.login()


def test_accepted_and_closed() -> None:
    with Front(NumberedMarket(IDS)) as front:
        front.accept_and_close(2)
        for _ in range(2):
            with FtdClient(front.address) as client, pytest.raises(FrontClosed):
                client.read_once()
        with FtdClient(front.address) as client:
            client.login()
        assert front.stats().connections == 3


def test_scripted_faults_happen() -> None:
    script: list[faults.Fault | str] = [
        "refuse-login=7*1",
        "cut-after=0*2",
        faults.RefuseSubscription(patterns=("rb2601",)),
    ]
    with Front(NumberedMarket(IDS), faults=script) as front:
        for _ in range(2):
            with FtdClient(front.address) as client:
                assert client.read_to_end() is False and client.bytes_received == 0
        with FtdClient(front.address) as client:
            assert client.login()[0]["ErrorID"] == 7
            assert client.login()[0]["ErrorID"] == 0
            assert client.subscribe(["rb2601", "rb2602"]) == {"rb2601": 16, "rb2602": 0}
        assert front.stats().cuts == 2


def test_scripted_cuts_come_again_and_again() -> None:
    with Front(NumberedMarket(IDS), faults=["cut@100ms/100ms"]) as front:
        for _ in range(3):
            with FtdClient(front.address) as client:
                assert client.read_to_end() is False
        assert front.stats().cuts >= 3


def test_controls_need_a_running_front() -> None:
    front = Front(NumberedMarket(IDS))
    with pytest.raises(RuntimeError, match="not started"):
        front.cut()
    with pytest.raises(RuntimeError, match="not started"):
        _ = front.address
    front.stop()
    with front, FtdClient(front.address) as client:
        client.login()
    with pytest.raises(RuntimeError, match="stopped"):
        front.cut()
    with pytest.raises(RuntimeError, match="once"):
        front.start()
    assert front.stats().logins == 1
    front.stop()


def test_wait_that_is_not_fulfilled_says_where_things_stand() -> None:
    with Front(NumberedMarket(IDS)) as front:
        with pytest.raises(TimeoutError, match="logins 0"):
            front.wait_until(timeout=0.05, logins=1)


def test_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1:{port}"):
            Front(NumberedMarket(IDS), port=port).start()


def test_stop_sends_fin_and_keeps_the_promise() -> None:
    front = Front(NumberedMarket(IDS), flat_out=True)
    with front, _subscribed(front) as client:
        client.read_until(lambda: len(client.tick_bodies) > 2000, "ticks")
        front.stop()
        assert client.read_to_end() is False
    (sent,) = front.stats().sent_ranges
    np.testing.assert_array_equal(client.numbers(), np.arange(sent.first, sent.stop))
