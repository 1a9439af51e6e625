"""Fronts that are refused, unknown, mute, frozen, broken or gone, one or several of them."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from feed_support import IDS, api_on, check_ticks, wait_for

from tickengine import Closed, MdApi, TickQueue, probe_front, session
from tickengine.front import Front, FrontProcess, MarketSpec, NumberedMarket, wire

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(120)]

MARKET = NumberedMarket(IDS)


def _status(api: MdApi, **wanted: Any) -> dict[str, Any]:
    """The first status in which all of this is so."""
    found: dict[str, Any] = wait_for(lambda: (s := api.status()).items() >= wanted.items() and s, f"{wanted}", 40)
    return found


def _live(api: MdApi) -> dict[str, Any]:
    return _status(api, state="live")


def _more_ticks(api: MdApi, count: int = 50) -> None:
    before = api.log.status()["ticks"]
    wait_for(lambda: api.log.status()["ticks"] > before + count, "more ticks")


def _drain(queue: TickQueue) -> np.ndarray:
    """The numbers of all ticks of an ended queue, each with every field checked."""
    numbers = []
    while True:
        try:
            numbers.append(check_ticks(queue.get_many(timeout=20), MARKET))
        except Closed:
            return np.concatenate(numbers)


@contextmanager
def _taken(backlog: int | None = None) -> Iterator[str]:
    """A port where nobody listens or, with a backlog, where nobody accepts."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        if backlog is not None:
            sock.listen(backlog)
        yield f"tcp://127.0.0.1:{sock.getsockname()[1]}"


@contextmanager
def _full() -> Iterator[str]:
    """A port that answers no connect any more, as behind a firewall: its queue of connections is full."""
    with _taken(0) as address:
        host, port = address.removeprefix("tcp://").split(":")
        waiting = []
        try:
            for _ in range(4):  # the kernel takes one or two more than it was told
                waiting.append(sock := socket.socket())
                sock.setblocking(False)
                sock.connect_ex((host, int(port)))
            assert select.select([], waiting, [], 20)[1], "not even the first connection has come into the queue"
            yield address
        finally:
            for sock in waiting:
                sock.close()


# ---- why there is no connection ------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".com", ".example", "no-such-host.invalid"])
def test_a_name_that_cannot_be_one_does_not_resolve(host: str) -> None:
    words = probe_front.problem(f"tcp://{host}:41213")
    assert words is not None and words.startswith(f"tcp://{host}:41213: the name '{host}' does not resolve (")


def test_every_kind_of_trouble_has_its_words_and_ends_when_the_front_comes(
    genuine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PROBE_AFTER_S", 0.05)
    monkeypatch.setattr(session, "PROBE_AGAIN_S", 0.3)
    monkeypatch.setattr(probe_front, "TIMEOUT_S", 0.3)
    with Front(MARKET, rate=500) as front, _full() as mute:
        front.refuse_connections(True)
        fronts = [front.address, "tcp://a..b:41213", mute]
        with api_on(fronts, genuine, IDS) as api:
            why = wait_for(lambda: api.status()["front_error"], "a reason in the status")
            assert why.split("; ") == [
                f"{front.address}: connection refused",
                "tcp://a..b:41213: the name 'a..b' does not resolve (encoding with 'idna' codec failed "
                "(UnicodeError: label empty or too long))",
                f"{mute}: no answer",
            ]
            assert api.status()["state"] == "connecting"
            front.delay_answers(3600)
            front.refuse_connections(False)
            assert _status(api, state="connected")["front_error"] == ""
            front.delay_answers(0)
            status = _live(api)  # the library tries a refused address again after 5 s
            assert (status["front_error"], status["disconnects"]) == ("", 0)


# ---- several fronts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1])
def test_of_several_fronts_the_one_that_can_be_reached_is_used(genuine: str, place: int) -> None:
    with Front(MARKET, rate=500) as front, _taken() as dead:
        fronts = [dead, dead]
        fronts[place] = front.address
        with api_on(fronts, genuine, IDS) as api:
            status = _live(api)
            _more_ticks(api)
        assert (status["disconnects"], status["front_error"]) == (0, "")


def test_when_the_front_in_use_dies_the_other_one_is_used_and_back_again(genuine: str) -> None:
    with TickQueue() as queue, Front(MARKET, rate=500) as second:
        first = FrontProcess(MarketSpec(IDS), rate=500)
        with first:
            address = first.address
            second.refuse_connections(True)
            with api_on([address, second.address], genuine, IDS, [queue]) as api:
                _live(api)
                _more_ticks(api)
                second.refuse_connections(False)
                os.kill(first.pid, signal.SIGKILL)
                second.wait_until(subscribers=1, subscriber_ids=len(IDS), timeout=40)
                died = _live(api)["disconnects"]
                assert died in (1, 2)  # the backlog of a process that is dying may take one connection more
                _more_ticks(api)
                with Front(MARKET, rate=500, port=int(address.rpartition(":")[2])) as third:
                    second.refuse_connections(True)
                    second.cut("rst")
                    third.wait_until(subscribers=1, subscriber_ids=len(IDS), timeout=40)
                    status = _live(api)
                    _more_ticks(api)
                    assert (status["disconnects"], status["logins"]) == (died + 1, 3)
                    assert (status["subscribed"], status["unacknowledged"]) == (len(IDS), 0)
        assert len(_drain(queue)) > 150


@pytest.mark.parametrize("place", [0, 1])
def test_a_front_that_accepts_and_says_nothing_is_left_for_another(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the library's limit of silence: 121 s, shortened in the compatible library."""
    monkeypatch.setenv("TICKENGINE_COMPAT_FAULTS", "silence=2")
    monkeypatch.setattr(session, "LOGIN_DEADLINE_S", 0.3)
    # Else the pause grows beyond that limit: a connection to the other front would end before its login.
    monkeypatch.setattr(session, "_pause", lambda _attempt: 0.3)
    with Front(MARKET, rate=500) as front, _taken(64) as mute:
        front.refuse_connections(True)
        fronts = [mute, mute]
        fronts[place] = front.address
        with api_on(fronts, "compatible", IDS) as api:
            overdue = "the login was not answered within 0.3 s"
            wait_for(
                lambda: (s := api.status())["state"] == "connected" and s["front_error"].startswith(overdue), overdue
            )
            front.refuse_connections(False)
            status = _live(api)
            assert (status["last_disconnect_reason"], status["front_error"]) == (8193, "")
            _more_ticks(api)


# ---- a front that stands still -------------------------------------------------------------------------


def test_a_front_that_freezes_and_thaws_is_left_and_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernel goes on to acknowledge and to accept: a peer that is there and is not."""
    monkeypatch.setenv("TICKENGINE_COMPAT_FAULTS", "silence=2")
    monkeypatch.setattr(session, "LOGIN_DEADLINE_S", 0.5)
    with TickQueue() as queue:
        with FrontProcess(MarketSpec(IDS), rate=2000) as front:
            with api_on(front.address, "compatible", IDS, [queue]) as api:
                _live(api)
                _more_ticks(api)
                os.kill(front.pid, signal.SIGSTOP)
                try:
                    wait_for(lambda: api.status()["last_disconnect_reason"] == 8193, "8193 for silence", 30)
                    wait_for(lambda: "not answered" in api.status()["front_error"], "the new login overdue", 30)
                finally:
                    os.kill(front.pid, signal.SIGCONT)
                status = _live(api)
                _more_ticks(api, 500)
                assert (status["subscribed"], status["front_error"]) == (len(IDS), "")
        numbers = _drain(queue)
    assert (np.diff(numbers) > 0).all()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_silence_is_found_out_by_the_genuine_library_after_its_two_minutes(
    two_minutes_of_silence: subprocess.Popen[str],
) -> None:
    out, _ = two_minutes_of_silence.communicate(timeout=200)
    assert two_minutes_of_silence.returncode == 0
    status = json.loads(out)
    assert (status["state"], status["logins"], status["disconnects"]) == ("live", 2, 1)
    assert (status["last_disconnect_reason"], status["subscribed"]) == (8193, len(IDS))


# ---- bytes that are no good ----------------------------------------------------------------------------


def _header(length: int, content: bytes, kind: int = 2) -> bytes:
    return bytes((kind, 0)) + length.to_bytes(2, "big") + content


def _fields_length(by: int) -> bytes:
    """A message with one tick whose header tells a wrong length of its fields."""
    packet = bytearray(wire.message(wire.TID_TICK, [wire.field(0x12, bytes(354))]))
    packet[20:22] = (int.from_bytes(packet[20:22], "big") + by).to_bytes(2, "big")
    return bytes(packet)


def _packed(content: bytes) -> bytes:
    """A message that is said to be compressed."""
    return wire.packet(b"\x01\x03\x0cL" + content)


BROKEN = {
    "content length 4097": (_header(4097, bytes(16)), 8195),
    "content length 65535": (_header(0xFFFF, b"\xff" * 64), 8195),
    "all ones": (b"\xff" * 64, 8195),
    "fields shorter than told": (_fields_length(1), 40961),
    "fields longer than told": (_fields_length(-1), 40961),
    "fields told as none": (_fields_length(-358), 40961),
    "fields told as 65535": (_fields_length(65535 - 358), 40961),
    "compressed, far too long": (_packed(b"\xef" * 4000), 40961),
}
IGNORED = {
    "a field longer than the message": wire.message(wire.TID_TICK, [b"\x00\x12\x7f\xff" + bytes(100)]),
    "a field of no bytes": wire.message(wire.TID_FOR_QUOTE, [wire.field(0x3FFF, b"")]),
    "content of 21 bytes": wire.packet(b"\x01\x00\x0cL" + bytes(17)),
    "no content": wire.packet(b""),
    "compressed by name only": wire.packet(bytes(64), kind=1),
    "an unknown message": wire.message(0xF1FF, [wire.field(0x12, bytes(10))]),
    "sixteen zeros": bytes(16),
}


@pytest.mark.parametrize("library", ["genuine", "compatible"])
def test_every_wrong_length_ends_the_connection_or_nothing_and_no_tick_is_torn(
    library: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue("genuine") if library == "genuine" else library
    with TickQueue() as queue:
        with Front(MARKET, rate=2000) as front:
            with api_on(front.address, path, IDS, [queue]) as api:
                _live(api)
                for name, data in IGNORED.items():
                    front.send_raw(data)
                    _more_ticks(api)
                    assert api.status()["disconnects"] == 0, name
                for cut, (name, (data, reason)) in enumerate(BROKEN.items(), start=1):
                    front.send_raw(data)
                    wait_for(lambda cut=cut: api.status()["disconnects"] == cut, f"the connection ended for {name}", 40)
                    assert api.status()["last_disconnect_reason"] == reason, name
                    front.wait_until(logins=cut + 1, timeout=40)
                    _live(api)
                    _more_ticks(api)
                # It swallows what follows, up to its own length, and then reads the middle of a tick as a header.
                front.send_raw(_header(4000, b"\x01\x00"))
                _more_ticks_sent(front)
                front.cut()
                front.wait_until(logins=len(BROKEN) + 2, timeout=40)
                _live(api)
                _more_ticks(api)
                front.pause()
                sent = [n for r in front.stats().sent_ranges for n in range(r.first, r.stop)]
        numbers = _drain(queue)
        assert queue.lost == 0
    assert (np.diff(numbers) > 0).all() and np.isin(numbers, sent).all()


def _more_ticks_sent(front: Front) -> None:
    front.wait_until(next_number=front.stats().next_number + 100, timeout=20)
