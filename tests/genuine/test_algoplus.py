"""AlgoPlus's programs run after a change of import, with and without Join; its way of starting works too."""

from __future__ import annotations

import os
import queue as stdlib_queue
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from feed_support import FORK, IDS, SPAWN, wait_for

from tickengine import FutureAccount, MdApi, TickQueue, run_tick_engine
from tickengine.front import Front, FrontProcess, MarketSpec, NumberedMarket
from tickengine.tick import VENDOR_FIELDS

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(90)]

PROGRAM = """
    import sys
    from tickengine import MdApi
    md_server, md_page_dir = sys.argv[1:3]
    broker_id, investor_id, password, app_id, auth_code = b"9999", b"inv", b"pw-secret", b"app", b"auth-secret"
    instrument_id_list = [b"rb2601", b"IF2512"]

    class TickEngine(MdApi):
        def OnRtnDepthMarketData(self, pDepthMarketData):
            print(pDepthMarketData, flush=True)

    tick_engine = TickEngine(md_server, broker_id, investor_id, password, app_id, auth_code,
                             instrument_id_list, None, md_page_dir)
"""


@pytest.fixture
def front() -> Iterator[FrontProcess]:
    with FrontProcess(MarketSpec(IDS), rate=200) as front:
        yield front


def _run(program: str, *arguments: str, library: str, **popen: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "TICKENGINE_MDAPI": library}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **popen,  # type: ignore[call-overload]
    )


def test_the_documented_program_prints_ticks_for_as_long_as_it_joins(
    front: FrontProcess, genuine: str, tmp_path: Path
) -> None:
    process = _run(PROGRAM + "    tick_engine.Join()\n", front.address, str(tmp_path / "flow"), library=genuine)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(50)]
    ticks = [eval(line, {"nan": float("nan")}) for line in lines]
    assert {t["InstrumentID"] for t in ticks} == {b"rb2601", b"IF2512"}
    assert tuple(ticks[0]) == VENDOR_FIELDS
    assert ticks[1]["Turnover"] > ticks[0]["Turnover"]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode != 0 and "KeyboardInterrupt" in err
    wait_for(lambda: front.stats().open_clients == 0, "the connection closed")
    assert "secret" not in out + err


def test_without_join_it_ends_cleanly_with_one_line_that_explains(
    front: FrontProcess, genuine: str, tmp_path: Path
) -> None:
    process = _run(PROGRAM, front.address, str(tmp_path / "flow"), library=genuine)
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    warnings = [line for line in err.splitlines() if line.startswith("tickengine:")]
    assert len(warnings) == 1 and "Join()" in warnings[0] and "4097" in warnings[0]
    assert "disconnected" not in err and "Traceback" not in err
    wait_for(lambda: front.stats().open_clients == 0, "the connection closed")


def test_a_forked_childs_end_is_no_matter_to_the_api(front: FrontProcess, genuine: str, tmp_path: Path) -> None:
    """It has the object, and none of the threads: nothing is released there, and nothing said."""
    program = """
        import os, sys, time
        from tickengine import MdApi
        api = MdApi(sys.argv[1], "9999", "inv", "pw", "app", "auth", ["rb2601"], None, sys.argv[2])
        def more_ticks():
            head = api.log.head
            while api.log.head < head + 20:
                time.sleep(0.005)
        more_ticks()
        if os.fork() == 0:
            sys.exit(0)
        print(os.wait()[1])
        more_ticks()
        api.Release()
    """
    process = _run(program, front.address, str(tmp_path / "flow"), library=genuine)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "0\n"), err
    assert "tickengine:" not in err and "Traceback" not in err


def test_a_program_whose_init_only_joins_runs(front: FrontProcess, genuine: str, tmp_path: Path) -> None:
    program = """
        import sys
        from tickengine import MdApi
        class TickEngine(MdApi):
            def __init__(self, md_server, broker_id, investor_id, password, app_id, auth_code, instrument_id_list,
                         md_queue_list=None, page_dir='', using_udp=False, multicast=False):
                self.count = 0
                self.Join()
                print("joined")
            def OnRtnDepthMarketData(self, pDepthMarketData):
                self.count += 1
                if self.count == 20:
                    self.Release()
        TickEngine(sys.argv[1], "9999", "inv", "pw", "app", "auth", ["rb2601"], None, sys.argv[2])
    """
    process = _run(program, front.address, str(tmp_path / "flow"), library=genuine)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out.strip()) == (0, "joined"), err


def test_an_exception_in_a_callback_is_reported_and_the_feed_goes_on(
    genuine: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(MdApi):
        ticks = 0

        def OnRtnDepthMarketData(self, pDepthMarketData: dict) -> None:
            self.ticks += 1
            raise ValueError("the strategy's own mistake")

        def OnFrontConnected(self) -> None:
            raise KeyError("another one")

    with Front(NumberedMarket(IDS), rate=500) as front:
        api = Failing(front.address, "9999", "inv", "pw", "app", "auth", IDS, library=genuine)
        wait_for(lambda: api.ticks > 100, "ticks in spite of exceptions")
        wait_for(lambda: api.status()["state"] == "live", "live in spite of exceptions")
        api.Release()
    assert "the strategy's own mistake" in caplog.text and "KeyError" in caplog.text
    assert "Traceback" in caplog.text


def test_callbacks_and_requests_have_ctp_names_and_a_cut_calls_them_again(genuine: str) -> None:
    calls: list[tuple] = []

    class Recorder(MdApi):
        def OnFrontConnected(self) -> None:
            calls.append(("connected",))
            assert self.ReqUserLogin({"BrokerID": b"9999", "UserID": b"someone", "Password": b"else"}, 7) == 0

        def OnFrontDisconnected(self, nReason: int) -> None:
            calls.append(("disconnected", nReason))

        def OnRspUserLogin(self, pRspUserLogin, pRspInfo, nRequestID, bIsLast) -> None:  # type: ignore[no-untyped-def]
            calls.append(("login", pRspUserLogin["UserID"], pRspInfo["ErrorID"], bIsLast))
            self.SubscribeMarketData([b"IF2512"])

        def OnRspSubMarketData(self, pSpecificInstrument, pRspInfo, nRequestID, bIsLast) -> None:  # type: ignore[no-untyped-def]
            calls.append(("subscribed", pSpecificInstrument["InstrumentID"]))

        def OnRspUnSubMarketData(self, pSpecificInstrument, pRspInfo, nRequestID, bIsLast) -> None:  # type: ignore[no-untyped-def]
            calls.append(("unsubscribed", pSpecificInstrument["InstrumentID"]))

        def OnRtnForQuoteRsp(self, pForQuoteRsp) -> None:  # type: ignore[no-untyped-def]
            calls.append(("quote", pForQuoteRsp["InstrumentID"]))

    with Front(NumberedMarket(IDS), rate=500) as front:
        api = Recorder(front.address, "9999", "inv", "pw", "app", "auth", ["rb2601"], library=genuine)
        wait_for(lambda: api.status()["state"] == "live", "live")
        front.cut("fin")
        wait_for(lambda: api.status()["logins"] == 2 and api.status()["state"] == "live", "live again")
        assert api.SubscribeForQuoteRsp(["rb2601"]) == 0
        wait_for(lambda: front.for_quote("rb2601") == 1, "a for-quote subscription")
        wait_for(lambda: ("quote", b"rb2601") in calls, "the quote request")
        assert api.UnSubscribeMarketData(["rb2601"]) == 0
        wait_for(lambda: ("unsubscribed", b"rb2601") in calls, "the answer")
        assert re.fullmatch(r"\d{8}", api.GetTradingDay())
        assert api.GetApiVersion().startswith("v6.3.6")
        api.Release()
        api.Release()
        assert api.Join() == 0
    # Logged in by the callback itself, once per connection: the session does not do it a second time.
    assert calls.count(("login", b"someone", 0, True)) == 2
    assert [c for c in calls if c[0] in ("connected", "disconnected")] == [
        ("connected",),
        ("disconnected", 4097),
        ("connected",),
    ]
    assert calls.count(("subscribed", b"rb2601")) == 2 and calls.count(("subscribed", b"IF2512")) == 2


def test_a_subclass_without_a_tick_callback_feeds_its_queues(genuine: str) -> None:
    with TickQueue() as queue, Front(NumberedMarket(IDS), rate=500) as front:
        api = MdApi(front.address, "9999", "inv", "pw", "app", "auth", IDS, [queue], library=genuine)
        assert [int(queue.get(timeout=20).Turnover) for _ in range(50)] == list(range(50))
        api.Release()
        assert all(t.InstrumentID in IDS for t in queue)


def feed(account: FutureAccount, queues: list, library: str) -> None:
    run_tick_engine(account, queues, library=library)


@pytest.mark.parametrize("context", [SPAWN, FORK], ids=["spawn", "fork"])
@pytest.mark.parametrize("scheme", ["tcp://", ""], ids=["tcp", "bare"])
def test_run_tick_engine_feeds_queues_from_its_own_process(
    genuine: str,
    front: FrontProcess,
    tmp_path: Path,
    context,
    scheme: str,  # type: ignore[no-untyped-def]
) -> None:
    account = FutureAccount(
        broker_id="9999",
        server_dict={"MDServer": scheme + front.address.removeprefix("tcp://")},
        investor_id=b"investor",
        password=b"pass-word-1",
        app_id="app",
        auth_code="auth",
        instrument_id_list=[b"rb2601", b"IF2512"],
        md_page_dir=str(tmp_path / "flow"),
    )
    assert "pass-word-1" not in repr(account)
    with TickQueue() as mine, TickQueue(["IF2512"]) as filtered:
        standard = context.Queue()
        process = context.Process(target=feed, args=(account, [mine, filtered, standard], genuine))
        process.start()
        ids = {mine.get(timeout=30).InstrumentID for _ in range(20)}
        assert ids == {"rb2601", "IF2512"}
        assert {filtered.get(timeout=30).InstrumentID for _ in range(10)} == {"IF2512"}
        assert standard.get(timeout=30)["InstrumentID"] in (b"rb2601", b"IF2512")
        process.terminate()  # SIGTERM: a clean end
        while process.is_alive():  # it ends when all that it has given to this queue is taken
            with suppress(stdlib_queue.Empty):
                standard.get(timeout=0.2)
        process.join(20)
        assert process.exitcode == 0
        assert all(isinstance(t.Sequence, int) for t in mine)  # drains, then ends


def test_run_tick_engine_takes_an_account_of_algoplus_3(genuine: str, front: FrontProcess, tmp_path: Path) -> None:
    account = SimpleNamespace(
        broker_id=9999,
        server_dict={"MDServer": front.address.removeprefix("tcp://")},
        reserve_server_dict={},
        investor_id=b"investor",
        password=b"pass-word-1",
        app_id="app",
        auth_code="auth",
        subscribe_list=[b"IF2512"],
        md_flow_path=str(tmp_path / "flow"),
    )
    with TickQueue() as queue:
        process = SPAWN.Process(target=feed, args=(account, [queue], genuine))
        process.start()
        try:
            assert {queue.get(timeout=30).InstrumentID for _ in range(5)} == {"IF2512"}
            assert (tmp_path / "flow" / "tickengine.lock").exists()
        finally:
            process.terminate()
            process.join(20)
    assert process.exitcode == 0
