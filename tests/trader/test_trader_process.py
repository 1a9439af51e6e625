"""What holds over the trader process's end: a disconnect on purpose, references, orders that no session may send."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine_support import buy, engine_on, same_as_the_front, settled, until
from feed_support import wait_for
from peer import Peer, Request, pack

from tickengine import EngineError, _supervisor
from tickengine.front.trading import TradingFront
from tickengine.trader.engine import TraderEngine

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_supervisor, "RESTART_PAUSES_S", (0.02,))


def kill(engine: TraderEngine) -> None:
    """Returns when there is another process, which says that it runs."""
    number, restarts = engine.pid, engine._restarts
    assert number is not None
    os.kill(number, signal.SIGKILL)
    wait_for(lambda: engine._restarts > restarts and engine._up and engine.pid != number, "another process")


def before_the_next_process(engine: TraderEngine, monkeypatch: pytest.MonkeyPatch, do: Callable[[], Any]) -> None:
    """Have *do* called when its orders are about to be made."""
    work = engine._work
    monkeypatch.setattr(engine, "_work", lambda: (do(), work())[1])


def with_the_next_orders(engine: TraderEngine, monkeypatch: pytest.MonkeyPatch, do: Callable[[], Any]) -> None:
    """Have *do* called when they are made, and nobody is there who could be told."""
    work = engine._work
    monkeypatch.setattr(engine, "_work", lambda: (work(), do())[0])


# ---- disconnected on purpose -------------------------------------------------------------------


def test_a_disconnect_on_purpose_holds_over_kills(front: TradingFront, engine: TraderEngine) -> None:
    engine.disconnect()
    before = front.report()
    for _ in range(3):
        kill(engine)
        until(engine, lambda: engine.status()["state"] == "disconnected", "the word of the new process")
        with pytest.raises(EngineError, match="disconnected: nothing was sent"):
            buy(engine)
    engine.connect()
    engine.wait_ready()
    settled(engine, buy(engine))
    after = front.report()
    assert (after.connections, after.logins) == (before.connections + 1, before.logins + 1)


def test_disconnected_before_the_start(front: TradingFront, genuine_trader: str, tmp_path: Path) -> None:
    engine = engine_on(front, genuine_trader, tmp_path / "flow")
    engine.disconnect()
    with engine:
        assert engine.status()["state"] == "disconnected"
        engine.connect()
        engine.wait_ready()
        assert front.report().connections == 1


def test_disconnected_while_a_process_starts(
    front: TradingFront, engine: TraderEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_the_next_orders(engine, monkeypatch, engine.disconnect)
    kill(engine)
    until(engine, lambda: engine.status()["state"] == "disconnected", "the end of the connection")
    front.wait_until(timeout=20, max_open_clients=0)


def test_connected_while_a_process_starts(
    front: TradingFront, engine: TraderEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.disconnect()
    with_the_next_orders(engine, monkeypatch, engine.connect)
    kill(engine)
    engine.wait_ready()
    settled(engine, buy(engine))


def test_connected_while_there_is_no_process(
    front: TradingFront, engine: TraderEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.disconnect()
    waits, told = threading.Event(), threading.Event()
    before_the_next_process(engine, monkeypatch, lambda: (waits.set(), told.wait()))
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    try:
        assert waits.wait(30) and engine.status()["state"] == "lost"
        engine.connect()
    finally:
        told.set()
    engine.wait_ready()
    settled(engine, buy(engine))


def test_what_waits_in_the_ring_of_a_killed_process_has_its_fate_without_a_connection(
    front: TradingFront, engine: TraderEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    wait_for(lambda: stands(engine.pid), "the process to stand still")
    orders = [buy(engine) for _ in range(3)]
    before_the_next_process(engine, monkeypatch, engine.disconnect)
    kill(engine)
    assert engine.account.state == "ready" and not engine.connected, "as of the last poll, but nobody takes orders"
    until(engine, lambda: all(o.state == "not_sent" and o.ErrorMsg for o in orders), "the fate of each")
    assert engine.status()["state"] == "disconnected" and not engine.book.open_orders()
    report = front.report()
    assert (report.orders_received, report.connections) == (0, 1)


def stands(pid: int | None) -> bool:
    """Whether all its threads do: one on another CPU goes on for a moment."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)
    except OSError:  # a thread has ended meanwhile
        return False


# ---- sessions and references -------------------------------------------------------------------


def test_an_order_for_a_session_that_is_not_confirmed_is_not_sent(
    genuine_trader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's word is as of the last poll: it may speak of the process before."""
    with Peer() as peer, engine_on(peer.address, genuine_trader, tmp_path / "flow") as engine:
        engine.wait_ready()
        peer.answers[0x4013] = lambda _: []
        kill(engine)
        assert engine.connected, "nothing has been read since"
        with monkeypatch.context() as unread:
            unread.setattr(engine, "_catch_up", lambda: None)
            early = buy(engine)
        asked = [asked_for(peer, 0x4013), asked_for(peer, 0x4013)]
        with monkeypatch.context() as unread:
            unread.setattr(engine, "_catch_up", lambda: None)
            unread.setattr(engine.account, "state", "ready")
            late = buy(engine)
        until(engine, lambda: early.is_final and late.is_final, "the fate of each")
        assert early.state == late.state == "not_sent" and early.ErrorMsg and late.ErrorMsg
        assert engine.status()["state"] == "logged_in" and peer.logins == 2
        with pytest.raises(EngineError, match="trading is logged_in: nothing was sent"):
            buy(engine)
    left = [peer.requests.get_nowait() for _ in range(peer.requests.qsize())]
    assert 0x4000 not in [request.tid for request in asked + left]


def asked_for(peer: Peer, tid: int) -> Request:
    """The next such request; those before it are passed over."""
    while True:
        request = peer.requests.get(timeout=60)
        if request.tid == tid:
            return request


def test_a_cancellation_names_the_order_as_the_front_does(genuine_trader: str, tmp_path: Path) -> None:
    """Sessions may be negative; references and numbers have spaces in front."""
    with Peer() as peer, engine_on(peer.address, genuine_trader, tmp_path / "flow") as engine:
        engine.wait_ready()
        order = buy(engine, 2990.0)
        asked = asked_for(peer, 0x4000).values
        known = {n: asked[n] for n in ("InstrumentID", "OrderRef", "Direction", "LimitPrice", "VolumeTotalOriginal")}
        ids = {"FrontID": 1, "SessionID": -7001}
        peer.push(0xF001, pack(0x0401, {**known, **ids, "OrderStatus": "3", "OrderSysID": f"{5:12d}"}))
        until(engine, lambda: order.state == "queueing", "the order in the queue")
        engine.cancel(order)
        action = asked_for(peer, 0x4006).values
        assert (action["FrontID"], action["SessionID"]) == (1, -7001)
        assert (action["OrderRef"], action["OrderSysID"]) == (f"{order.OrderRef:>12}", f"{order.OrderSysID:>12}")
        assert order.OrderSysID == "5"


def test_a_reference_is_not_given_out_again_although_the_front_never_had_it(
    front: TradingFront, engine: TraderEngine
) -> None:
    settled(engine, buy(engine))
    front.cut_at("order_lost")
    lost = [buy(engine)]
    until(engine, lambda: lost[0].state == "unknown", "the cut")
    kill(engine)
    engine.wait_ready(reconciled=True)
    until(engine, lambda: lost[0].state == "missing", "the front's word that it has no such order")
    next_one = buy(engine)
    settled(engine, next_one)
    assert int(next_one.OrderRef) == int(lost[0].OrderRef) + 1
    same_as_the_front(engine, front)
