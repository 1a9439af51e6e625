"""The trader engine on the trading front with the genuine library: its life, its queries, its limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from children import ended_well, in_child
from engine_support import ACCOUNT, PRICES, buy, engine_on, rings, settled, until
from feed_support import wait_for

from tickengine import BusyError, ConfigError, EngineError, ShimError, TickEngineError, VendorLibraryError
from tickengine.front.trading import TradingFront
from tickengine.session import LOGINS_CUT_AT_ONCE, LONGEST_CUT_PAUSE, PAUSES_S
from tickengine.trader.engine import TraderEngine
from tickengine.trader.journal import TradeLog, TradeLogWriter
from tickengine.trader.limits import LimitRefused, Limits, Quote

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(90)]


# ---- life --------------------------------------------------------------------------------------


def test_an_order_and_its_end(front: TradingFront, engine: TraderEngine) -> None:
    engine.wait_ready(20, reconciled=True)
    order = buy(engine, volume=2)
    settled(engine, order)
    status = engine.status()
    assert (order.state, order.filled, status["trades"], status["uncertain"]) == ("filled", 2, 1, 0)
    assert status["state"] == "ready" and status["pid"] == engine.pid and status["reconciled"]
    assert engine.positions.net("rb2605") == 2
    engine.stop()
    engine.stop()
    assert (engine.status()["state"], engine.status()["pid"], rings()) == ("stopped", None, [])
    with pytest.raises(EngineError, match="stopped: nothing was sent|lost: nothing was sent"):
        buy(engine)
    assert engine.poll() is not None and order.state == "filled"
    front.wait_until(timeout=20, max_open_clients=0)


def test_what_it_says_when_it_is_not_started(front: TradingFront, genuine_trader: str, tmp_path: Path) -> None:
    engine = engine_on(front, genuine_trader, tmp_path / "flow")
    with pytest.raises(EngineError, match="has not been started"):
        engine.wait_ready()
    with pytest.raises(EngineError, match="nothing was sent"):
        buy(engine)
    with pytest.raises(EngineError, match="no trader process"):
        engine.query("ReqQryOrder")
    engine.stop()
    with engine, pytest.raises(EngineError, match="started already"):
        engine.start()


def test_an_exception_inside_ends_it(front: TradingFront, genuine_trader: str, tmp_path: Path) -> None:
    with pytest.raises(KeyError), engine_on(front, genuine_trader, tmp_path / "flow") as engine:
        raise KeyError("a mistake of the user's")
    assert not engine.is_alive() and rings() == []


def test_a_second_engine_of_the_account_is_refused_with_the_owners_pid(
    front: TradingFront, genuine_trader: str, engine: TraderEngine
) -> None:
    second = engine_on(front, genuine_trader, engine._settings.flow_dir)
    with pytest.raises(TickEngineError, match=str(engine.pid)) as caught:
        second.start()
    assert isinstance(caught.value, (BusyError, ConfigError))
    settled(engine, buy(engine))  # the first one is as it was
    assert len(rings()) == 1


PROGRAM = """
    import sys
    from tickengine.trader.engine import TraderEngine
    engine = TraderEngine(sys.argv[1], "9999", "me", "pw", "app", "code", sys.argv[3], library=sys.argv[2])
    engine.start()
    engine.wait_ready()
    print(engine.pid, flush=True)
"""


def program(rest: str, front: TradingFront, library: str, flow: Path) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM) + rest, front.address, library, str(flow)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate(timeout=10)[1])
    return process, int(line)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_one_never_stopped_is_stopped_at_exit_with_a_warning(
    front: TradingFront, genuine_trader: str, tmp_path: Path
) -> None:
    process, pid = program("", front, genuine_trader, tmp_path / "flow")
    _out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and "a TraderEngine" in err
    wait_for(lambda: gone(pid) and not rings(), "the process and its ring to be gone")


def test_a_killed_parent_takes_it_and_its_ring_with_it(
    front: TradingFront, genuine_trader: str, tmp_path: Path
) -> None:
    process, pid = program("engine.join()\n", front, genuine_trader, tmp_path / "flow")
    assert len(rings()) == 1
    process.kill()
    process.communicate(timeout=20)
    wait_for(lambda: gone(pid) and not rings(), "the process and its ring to be gone")
    front.wait_until(timeout=20, max_open_clients=0)


def test_a_forked_child_cannot_send(engine: TraderEngine) -> None:
    """Two that put into one ring would spoil it."""
    until(engine, lambda: engine.connected, "ready")

    def sends() -> None:
        with pytest.raises(EngineError, match="a forked child"):
            buy(engine)

    assert ended_well(in_child(sends))


# ---- coming in ---------------------------------------------------------------------------------


def test_a_wrong_password_is_tried_once(genuine_trader: str, tmp_path: Path) -> None:
    with TradingFront(PRICES, password="another") as front:
        engine = engine_on(front, genuine_trader, tmp_path / "flow")
        engine.start()
        with pytest.raises(EngineError, match="login refused: 3"):
            engine.wait_ready()
        # All of the reason is there with the process's end, which may be a while behind the journal's word.
        with pytest.raises(EngineError, match="login refused: 3 .*not tried again"):
            engine.join(30)
        status = engine.status()
        assert status["state"] == "failed" and "not tried again" in status["failure"] and status["restarts"] == 0
        engine.stop()
        assert (front.report().logins, front.report().logins_refused) == (0, 1)


def test_a_front_that_is_there_later(
    front: TradingFront, genuine_trader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    front.refuse_connections()  # its port stays its own
    with engine_on(front, genuine_trader, tmp_path / "flow") as engine:
        looks: list[None] = []
        catch_up = engine._catch_up
        monkeypatch.setattr(engine, "_catch_up", lambda: (looks.append(None), catch_up()))
        with pytest.raises(EngineError, match="not ready within 1 s: state connecting"):
            engine.wait_ready(1)
        assert len(looks) < 50, "it looks again and again instead of waiting"
        monkeypatch.undo()
        with pytest.raises(EngineError, match="trading is connecting: nothing was sent"):
            buy(engine)
        with pytest.raises(EngineError, match="trading is connecting"):
            engine.query("ReqQryOrder")
        front.refuse_connections(False)
        engine.wait_ready(30)
        settled(engine, buy(engine))
        assert front.report().orders_received == 1


def test_two_fronts(genuine_trader: str, tmp_path: Path) -> None:
    with TradingFront(PRICES) as one, TradingFront(PRICES) as two:
        with engine_on([one.address, two.address], genuine_trader, tmp_path / "flow") as engine:
            engine.wait_ready()
            used, other = (one, two) if one.report().logins else (two, one)
            used.stop()
            other.wait_until(timeout=60, logins=1)  # by then the journal has the loss, which lasts a moment only
            engine.wait_ready(30)
            settled(engine, buy(engine))
            assert other.report().orders_received == 1


def test_a_front_that_cuts_every_login_is_not_hammered(
    front: TradingFront, genuine_trader: str, tmp_path: Path
) -> None:
    """The library connects again within a millisecond."""
    for _ in range(50):
        front.cut_at("login")
    began = time.monotonic()
    with engine_on(front, genuine_trader, tmp_path / "flow") as engine:
        front.wait_until(timeout=20, faults_happened=3)
        with pytest.raises(EngineError, match="not ready"):
            engine.wait_ready(2.0)
        cut, passed = front.report().faults_happened, time.monotonic() - began
        pauses = accumulate(PAUSES_S[min(n, LONGEST_CUT_PAUSE)] for n in range(50))
        most = LOGINS_CUT_AT_ONCE + sum(pause <= passed for pause in pauses)
        assert cut <= most, "one after another, as fast as it goes"
        front.clear_faults()
        engine.wait_ready(30)


def test_disconnecting_on_purpose(front: TradingFront, engine: TraderEngine) -> None:
    waiting = buy(engine, 2990.0)
    until(engine, lambda: waiting.state == "queueing", "the order in the queue")
    engine.disconnect()
    assert engine.status()["state"] == "disconnected" and not engine.connected
    front.wait_until(timeout=20, max_open_clients=0)
    front.set_price("rb2605", 2990.0)
    with pytest.raises(EngineError, match="disconnected: nothing was sent"):
        buy(engine)
    engine.connect()
    engine.wait_ready()
    settled(engine, waiting)
    assert waiting.state == "filled"


# ---- asking ------------------------------------------------------------------------------------


def the_accounts_own_queries(front: TradingFront, engine: TraderEngine) -> None:
    """The next ones are a minute away."""
    engine.wait_ready(20, reconciled=True)
    until(engine, lambda: engine.funds is not None, "the answer to the last of them")


def test_queries(front: TradingFront, engine: TraderEngine) -> None:
    settled(engine, buy(engine))
    the_accounts_own_queries(front, engine)
    own, began = front.report().queries, time.monotonic()
    (row,) = engine.query("ReqQryTradingAccount")
    assert (row["BrokerID"], row["AccountID"]) == ("9999", "me")
    assert [o["OrderStatus"] for o in engine.query("ReqQryOrder")] == ["0"]
    assert engine.query("ReqQryInstrument", InstrumentID="rb2605")[0]["PriceTick"] == 1.0
    assert engine.query("ReqQryInstrument", InstrumentID="none") == []
    # Each may be late at the front, none early.
    late = [at - began for at in front.report().query_times[own:]]
    assert len(late) >= 4 and all(seconds >= 0.99 * number for number, seconds in enumerate(late))
    front.refuse_queries(7, times=None)
    with pytest.raises(EngineError, match="ReqQryTrade: error 7"):
        engine.query("ReqQryTrade")
    front.refuse_queries(times=0)
    front.refuse_queries(90, times=1)
    assert len(engine.query("ReqQryTrade")) == 1, "the front asked for another try"
    front.silence(600)
    with pytest.raises(EngineError, match=r"ReqQryOrder was not answered within 0\.5 s"):
        engine.query("ReqQryOrder", timeout=0.5)
    front.silence(0)
    assert len(engine.query("ReqQryOrder")) == 1, "and the next one is answered"


def test_a_query_that_is_cut_off(front: TradingFront, engine: TraderEngine) -> None:
    the_accounts_own_queries(front, engine)
    front.cut_at("query")
    with pytest.raises(EngineError, match="the connection was lost"):
        engine.query("ReqQryInstrument")


@pytest.mark.parametrize(
    ("method", "fields", "words"),
    [
        ("ReqQryNothing", {}, "ReqQryNothing' is no query; known are ReqQryOrder"),
        ("ReqOrderInsert", {}, "is no query"),
        (5, {}, "method must be a text"),
        ("ReqQryOrder", {"Colour": "red"}, "no field 'Colour'"),
        ("ReqQryOrder", {"InstrumentID": 5}, "QryOrder.InstrumentID must be a text"),
        ("ReqQryOrder", {"InstrumentID": "x" * 99}, "InstrumentID must have at most"),
    ],
)
def test_wrong_queries_are_named(genuine_trader: str, tmp_path: Path, method: Any, fields: Any, words: str) -> None:
    engine = engine_on("tcp://127.0.0.1:9", genuine_trader, tmp_path / "flow")
    with pytest.raises(ConfigError, match=words):
        engine.query(method, **fields)


def test_a_query_that_this_library_has_no_room_for_hurts_nobody(engine: TraderEngine) -> None:
    pid = engine.pid
    with pytest.raises(EngineError, match="could not be sent: .*InstrumentID"):
        engine.query("ReqQryOrder", InstrumentID="x" * 60)
    assert engine.query("ReqQryTradingAccount") and engine.pid == pid


# ---- limits ------------------------------------------------------------------------------------

BOUNDS = {
    "order_volume": (Limits(order_volume=3), {"volume": 4}),
    "price_band": (Limits(price_band=0.01), {"price": 3031.0}),
    "price_limits": (Limits(price_band=None), {"price": 3301.0}),
    "price_tick": (Limits(), {"price": 2999.5}),
    "position": (Limits(position=2), {"volume": 3}),
    "no price": (Limits(), {"instrument_id": "m2605", "price": 2950.0}),
}


def test_each_limit_refuses_with_its_name_before_anything_is_sent(
    front: TradingFront, genuine_trader: str, tmp_path: Path
) -> None:
    with engine_on(front, genuine_trader, tmp_path / "flow") as engine:
        engine.wait_ready()
        # A price comes with a tick.
        tick = SimpleNamespace(InstrumentID="rb2605", LastPrice=3000.0, UpperLimitPrice=3300.0, LowerLimitPrice=2700.0)
        engine.gate.take_price(tick)
        records = engine.status()["sequence"]
        good = {"instrument_id": "rb2605", "direction": "0", "offset": "0", "price": 3000.0, "volume": 1}
        for name, (limits, wrong) in BOUNDS.items():
            engine.gate.limits = limits
            with pytest.raises(LimitRefused) as caught:
                engine.insert(**{**good, **wrong})
            assert caught.value.limit == name.replace("no price", "price_band"), name
        with TradeLog.attach(engine.journal_path) as journal:
            journaled = [r.kind for r in journal.read(records)]
        assert "sending_order" not in journaled and front.report().orders_received == 0

        engine.gate.limits = Limits()
        engine.wait_ready()
        resting = engine.insert(**{**good, "price": 2990.0})
        until(engine, lambda: resting.state == "queueing", "the order in the queue")
        with pytest.raises(LimitRefused, match="one's own order") as caught:
            engine.insert(**{**good, "direction": "1", "price": 2990.0})
        assert caught.value.limit == "self_match"
        for name, limits in (
            ("open_orders", Limits(open_orders=1)),
            ("orders_per_day", Limits(orders_per_day=1)),
            ("orders_per_second", Limits(orders_per_second=1)),
        ):
            engine.gate.limits = limits
            if name == "orders_per_second":
                # Within the last second, for as long as this takes.
                engine.gate._recent.append(time.monotonic_ns() + 10**15)
                with pytest.raises(LimitRefused, match="within the last second"):
                    engine.cancel(resting)
            with pytest.raises(LimitRefused) as caught:
                engine.insert(**{**good, "price": 2980.0})
            assert caught.value.limit == name
        assert front.report().orders_received == 1 and front.report().actions_received == 0
        refused = engine.status()["refused"]
        assert refused == {**dict.fromkeys(refused, 1), "price_band": 2, "orders_per_second": 2}
        assert len(refused) == 9


def test_lots_of_before_count_from_the_first_order_on(genuine_trader: str, tmp_path: Path) -> None:
    """Also when the program asks for some positions only: the answer says nothing about the others."""
    order = {"instrument_id": "rb2605", "direction": "0", "offset": "0", "price": 3000.0, "volume": 10}
    with (
        TradingFront(PRICES, lots={"rb2605": (45, 0), "m2605": (7, 0)}) as front,
        engine_on(front, genuine_trader, tmp_path / "flow", limits=None) as engine,
    ):
        engine.wait_ready()
        engine.gate.set_price("rb2605", Quote(3000.0))
        with pytest.raises(LimitRefused, match="45 lots held"):
            engine.insert(**order)
        rows = engine.query("ReqQryInvestorPosition", InstrumentID="m2605")
        assert {row["InstrumentID"] for row in rows} == {"m2605"}
        assert {r["InstrumentID"] for r in engine.query("ReqQryInvestorPosition")} == {"rb2605", "m2605"}
        assert engine.query("ReqQryInvestorPosition", InstrumentID="none") == []
        engine.poll()
        assert engine.positions.lots("rb2605", "2") == 45
        with pytest.raises(LimitRefused, match="45 lots held"):
            engine.insert(**order)
        settled(engine, engine.insert(**{**order, "volume": 5}))
        with pytest.raises(LimitRefused, match="50 lots held"):
            engine.insert(**{**order, "volume": 1})


# ---- bad input ---------------------------------------------------------------------------------

WRONG: list[tuple[str, Any]] = [
    ("td_server", ""),
    ("td_server", []),
    ("td_server", 5),
    ("broker_id", ""),
    ("broker_id", "9" * 40),
    ("investor_id", ""),
    ("password", 5),
    ("app_id", 5),
    ("auth_code", []),
    ("flow_dir", ""),
    ("flow_dir", 5),
    ("flow_dir", "a\0b"),
    ("private", "sometimes"),
    ("public", []),
    ("wait", "long"),
    ("wait", []),
    ("limits", {}),
    ("limits", False),
    ("library", 5),
    ("name", "a/b"),
    ("vendor_version", 5),
    ("watchdog", -1),
    ("cpus", "zz"),
    ("realtime", 1000),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_argument_is_named(genuine_trader: str, tmp_path: Path, name: str, value: Any) -> None:
    names = ("broker_id", "investor_id", "password", "app_id", "auth_code")
    good = {
        "td_server": "127.0.0.1:9",
        **dict(zip(names, ACCOUNT)),
        "flow_dir": str(tmp_path),
        "library": genuine_trader,
    }
    with pytest.raises(ConfigError, match=name):
        TraderEngine(**{**good, name: value})  # type: ignore[arg-type]
    TraderEngine(**good)  # type: ignore[arg-type]


def test_libraries_that_are_none(front: TradingFront, genuine: str, genuine_trader: str, tmp_path: Path) -> None:
    for library, words in (("/no/where.so", "does not exist"), ("no-package", "not installed")):
        with pytest.raises(ConfigError, match=words):
            engine_on(front, library, tmp_path / "flow")
    with pytest.raises(VendorLibraryError, match="it is CTP's market-data library"):
        engine_on(front, genuine, tmp_path / "flow").start()
    assert rings() == []


# ---- the journal -------------------------------------------------------------------------------


UNUSABLE = {
    "garbage": "not a trade journal",
    "an older layout": "has journal layout 99",
    "another user's": "belongs to user 12345",
    "a link": "",
    "open to others": "mode 644",
    "a damaged record": "is damaged: record 1 is not what was written; move it away while nothing is open",
    "more counted than there is": r"is damaged: its \d+ bytes hold \d+ records, not 18014398509481987",
    "cut": "is damaged: its 4096 bytes hold 0 records, not 3",
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_journal_that_cannot_be_used(front: TradingFront, genuine_trader: str, tmp_path: Path, what: str) -> None:
    flow = tmp_path / "flow"
    flow.mkdir(mode=0o700)
    path = flow / "trade.journal"
    for _ in range(3):
        TradeLogWriter(str(flow)).close()
    if what == "garbage":
        path.write_bytes(b"\xa5" * 100_000)
    elif what == "an older layout":
        with open(path, "r+b") as f:
            f.seek(8)
            f.write((99).to_bytes(4, "little"))
    elif what == "another user's":
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        os.chown(path, 12345, -1)
    elif what == "open to others":
        path.chmod(0o644)
    elif what in ("a damaged record", "more counted than there is"):
        with open(path, "r+b") as f:
            f.seek(4096 + 1024 + 56 if what == "a damaged record" else 128)
            f.write(((1 << 54) + 3).to_bytes(8, "little"))
    elif what == "cut":
        os.truncate(path, 4096)
    else:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    before = path.read_bytes()
    with pytest.raises(ShimError, match=rf"trade\.journal.*{UNUSABLE[what]}"):
        engine_on(front, genuine_trader, flow).start()
    assert path.read_bytes() == before and rings() == [] and front.report().connections == 0


@pytest.mark.parametrize("how", ["removed", "spoiled"])
def test_a_journal_taken_away_while_it_runs(
    front: TradingFront, genuine_trader: str, engine: TraderEngine, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A successor would write to another one than the engine reads."""
    if how == "removed":
        os.unlink(engine.journal_path)
    else:
        os.rename(engine.journal_path, engine.journal_path + ".old")
        Path(engine.journal_path).write_bytes(b"\xa5" * 100_000)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    wait_for(lambda: caplog.text.count("could not be started again") >= 2, "two tries")
    assert ("was taken away or replaced" in caplog.text) == (how == "removed")
    with pytest.raises(EngineError, match="nothing was sent"):
        buy(engine)
    engine.stop()


def test_an_engine_whose_journal_cannot_be_read_is_not_left_running(
    front: TradingFront, genuine_trader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_self: TraderEngine) -> None:
        raise ConfigError("record 7 holds struct 99, which this version does not know; update it")

    engine = engine_on(front, genuine_trader, tmp_path / "flow")
    monkeypatch.setattr(TraderEngine, "_catch_up", unreadable)
    with pytest.raises(ConfigError, match="struct 99"):
        engine.start()
    monkeypatch.undo()
    engine.stop()
    assert not engine.is_alive() and rings() == []


def test_what_the_journal_has_is_in_the_book_at_once(front: TradingFront, genuine_trader: str, tmp_path: Path) -> None:
    with engine_on(front, genuine_trader, tmp_path / "flow") as engine:
        engine.wait_ready()
        settled(engine, buy(engine))
        resting = buy(engine, 2990.0)
        until(engine, lambda: resting.state == "queueing", "the order in the queue")
    with engine_on("tcp://127.0.0.1:9", genuine_trader, tmp_path / "flow") as engine:
        assert [o.state for o in engine.book] == ["filled", "queueing"] and engine.positions.net("rb2605") == 1
