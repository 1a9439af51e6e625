"""The trader process killed, stopped, hung, and without a disk: nothing is sent twice and nothing is lost."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from engine_support import ACCOUNT, HangingEngine, buy, same_as_the_front, settled, until
from feed_support import wait_for

from tickengine import EngineError, _supervisor
from tickengine.front.trading import TradingFront
from tickengine.trader.engine import TraderEngine
from tickengine.trader.journal import TradeLog
from tickengine.trader.limits import NO_LIMITS

KILLS = 20

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(240)]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_supervisor, "RESTART_PAUSES_S", (0.02,))


def kill(engine: TraderEngine, number: int = signal.SIGKILL) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, number)


def stop(engine: TraderEngine) -> None:
    """Returns when no thread of it runs any more: one on another CPU goes on for a moment."""
    kill(engine, signal.SIGSTOP)

    def stands() -> bool:
        try:
            tasks = Path(f"/proc/{engine.pid}/task").iterdir()
            return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)
        except OSError:  # a thread has ended meanwhile
            return False

    wait_for(stands, "the process to stand still")


def test_kills_at_random_moments(front: TradingFront, engine: TraderEngine) -> None:
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    print("seed", seed)
    victims, refusals = set(), []
    for n in range(KILLS):
        if n % 4:
            wait_for(engine.is_alive, "a new process")  # it may be killed on its way in, too
        else:
            engine.wait_ready(30)
        victim, sent = engine.pid, 0
        least = 0 if n % 4 else dice.randrange(5, 10)  # however slow the machine is, some orders are on their way
        moment = time.monotonic() + dice.random() * (0.6 if n % 3 else 0.02)
        while time.monotonic() < moment or sent < least:
            try:
                buy(engine, 3000.0 if dice.random() < 0.8 else 2990.0)
                sent += 1
            except EngineError as refused:
                refusals.append(str(refused))
            time.sleep(dice.random() * 0.02)  # the pace of orders
            engine.poll()
        kill(engine)
        victims.add(victim)
        wait_for(lambda: engine.pid not in victims, "another process")
    assert [words for words in refusals if "nothing was sent" not in words] == []
    engine.wait_ready(30, reconciled=True)
    front.set_price("rb2605", 2990.0)
    # What never reached the front is missing, or known never to have left; all else has traded.
    until(engine, lambda: all(o.is_settled or o.state == "missing" for o in engine.book), "the fate of each", 30)
    assert len(victims) == KILLS and len(engine.book) > KILLS
    same_as_the_front(engine, front)
    assert engine.book.counts.contradicted == 0
    again = TradeLog.attach(engine.journal_path)
    epochs = [r.epoch for r in again.read() if r.kind == "epoch_started"]
    assert epochs == sorted(set(epochs)) and len(epochs) > KILLS / 4
    again.close()


def test_an_order_without_a_return_is_unknown_and_then_known(front: TradingFront, engine: TraderEngine) -> None:
    engine.wait_ready(30, reconciled=True)
    front.delay_returns(600)
    arrived, lost = buy(engine), None
    front.wait_until(timeout=20, orders_received=1)
    front.cut_at("order_lost", outage_s=600)  # until then nobody can tell
    until(engine, lambda: arrived.state == "sent", "sent")
    lost = buy(engine)
    until(engine, lambda: lost.state == "unknown" and arrived.state == "unknown", "the cut")
    kill(engine)
    until(engine, lambda: engine.status()["restarts"] == 1, "the kill")
    assert engine.status()["uncertain"] == 2
    front.delay_returns(0)
    front.refuse_connections(False)
    engine.wait_ready(30, reconciled=True)
    until(engine, lambda: arrived.state == "filled" and lost.state == "missing", f"{arrived} {lost}")
    assert front.report().orders_received == 1 and max(front.report().inserts.values()) == 1


def test_what_waits_in_the_ring_of_a_killed_process_is_not_sent(front: TradingFront, engine: TraderEngine) -> None:
    stop(engine)
    orders = [buy(engine) for _ in range(3)]
    assert {o.state for o in orders} == {"sending"} and engine.book.open_orders() == orders
    kill(engine)
    until(engine, lambda: all(o.is_final for o in orders), "the fate of each")
    assert {o.state for o in orders} == {"not_sent"} and all(o.ErrorMsg for o in orders)
    engine.wait_ready(30)
    settled(engine, buy(engine))
    assert front.report().orders_received == 1


def test_a_stopped_process_goes_on_where_it_was(front: TradingFront, engine: TraderEngine) -> None:
    pid = engine.pid
    stop(engine)
    orders = [buy(engine) for _ in range(3)]
    time.sleep(0.5)  # the time it stands; nothing can be waited for
    engine.poll()
    assert {o.state for o in orders} == {"sending"} and front.report().orders_received == 0
    kill(engine, signal.SIGCONT)
    settled(engine, *orders)
    assert engine.pid == pid and front.report().orders_received == 3 and engine.status()["restarts"] == 0


def test_a_library_that_does_not_come_back_is_noticed(
    front: TradingFront, genuine_trader: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Long enough for the process to say first where it hangs, also when it is scheduled late.
    options = {"library": genuine_trader, "limits": NO_LIMITS, "watchdog": 10.0, "restart": False}
    with HangingEngine(front.address, *ACCOUNT, str(tmp_path / "flow"), **options) as engine:  # type: ignore[arg-type]
        engine.wait_ready()
        front.wait_until(timeout=60, queries=1)  # that for the orders: its answer has no order yet
        front.delay_returns(600)
        order = buy(engine)
        until(engine, lambda: order.state == "sent", "sent")
        with pytest.raises(EngineError, match=r"hung in the vendor library's ReqQryTrade for \d+ s and was killed"):
            engine.join(60)
        assert engine.status()["state"] == "lost"
        assert order.state == "unknown", "no process will say so, its supervisor must"
    assert "the session has stood still for 3 s, in the vendor library's ReqQryTrade" in caplog.text


FULL = """
    import os, sys
    sys.path[:0] = [sys.argv[4], sys.argv[5]]
    from engine_support import *
    from tickengine.trader.journal import TradeLog
    engine = engine_on(sys.argv[1], sys.argv[2], sys.argv[3] + "/flow")
    with engine:
        engine.wait_ready()
        resting = buy(engine, 2990.0)
        until(engine, lambda: resting.state == "queueing", "the order in the queue")
        with open(sys.argv[3] + "/filler", "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(65536))
            except OSError:
                pass
        log = TradeLog.attach(engine.journal_path)
        refused = None
        for _ in range(40000):
            order = engine.insert("rb2605", "0", "0", 2000.0, 1)  # below the limits: one return at least
            while not order.is_final and order.state != "queueing":
                engine.wait(5)
                engine.poll()
            if order.state == "not_sent":
                refused = order
                break
        assert refused is not None, "never refused"
        print(refused.ErrorMsg)
        print("room", log.info().room)
        print("FULL", flush=True)
        sys.stdin.readline()
        until(engine, lambda: resting.is_settled, "the return of the order that rests")
        print(resting.state, engine.status()["state"], flush=True)
        os.unlink(sys.argv[3] + "/filler")
        def goes():
            order = buy(engine, 3000.0)
            until(engine, lambda: order.is_settled, "an end")
            return order.state == "filled"
        wait_for(goes, "orders to pass again")
        print("again", flush=True)
"""


@pytest.fixture
def own_mounts() -> None:
    done = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a mount of its own is not permitted here: {done.stderr.strip()}")


def test_a_full_disk_stops_orders_and_not_their_returns(
    front: TradingFront, genuine_trader: str, tmp_path: Path, own_mounts: None
) -> None:
    tests = Path(__file__).parent
    command = [sys.executable, "-c", textwrap.dedent(FULL), front.address, genuine_trader, str(tmp_path)]
    mounted = f'mount -t tmpfs -o size=30m none {tmp_path} && exec "$@"'
    with subprocess.Popen(
        ["unshare", "-m", "sh", "-c", mounted, "sh", *command, str(tests), str(tests.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        try:
            lines = list(itertools.takewhile(lambda line: line != "FULL\n", process.stdout))
            front.set_price("rb2605", 2990.0)
            out, err = process.communicate("go\n", timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err[-3000:]
    assert lines[0].startswith("make room on the trade journal's disk: cannot reserve"), lines
    assert out.splitlines() == ["filled ready", "again"]
