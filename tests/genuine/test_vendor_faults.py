"""The genuine library hangs or crashes in the middle of its own work: one process is lost, and the feed goes on."""

from __future__ import annotations

import signal

import pytest
from feed_support import IDS, engine_on, wait_for
from preloaded import RECV, VendorFault

from tickengine import Closed, Event, TickEngine, TickQueue, _watchdog
from tickengine.front import Front, NumberedMarket
from tickengine.words import EXIT_SILENT

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(180)]

LIMIT = _watchdog.LEAST_S
REQUESTS = {"ReqUserLogin": "pass-word-1", "SubscribeMarketData": IDS[0]}
"""What the packet of each has in it."""
LATER = "ag2606"


def _events(queue: TickQueue) -> list[Event]:
    """All of an ended queue."""
    events: list[Event] = []
    while True:
        try:
            records = queue.get_many(timeout=20)
        except Closed:
            return events
        events += [Event.from_buffer_copy(r.tobytes()) for r in records[records["Kind"] == 1]]


def _goes_on(running: TickEngine) -> None:
    wait_for(lambda: running.status()["restarts"] == 1, "the next process")
    running.wait_live(60)
    before = running.status()["ticks"]
    wait_for(lambda: running.status()["ticks"] > before + 100, "ticks of the next process")
    assert running.status()["restarts"] == 1


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_in_which_the_genuine_library_hangs_costs_one_process(
    genuine: str, vendor_fault: VendorFault, request_: str, caplog: pytest.LogCaptureFixture
) -> None:
    vendor_fault.plan("hang", REQUESTS[request_])
    with TickQueue(events=True) as queue:
        with (
            Front(NumberedMarket(IDS), rate=500) as front,
            engine_on(front.address, genuine, IDS, [queue], watchdog=LIMIT) as running,
        ):
            running._watchdog_limit = 600.0  # of the next: a busy machine may keep a healthy one waiting
            _goes_on(running)
        (lost,) = [e for e in _events(queue) if e.name == "engine_lost"]
    assert vendor_fault.happened == 1
    assert (lost.Value, lost.Text) == (-signal.SIGKILL, request_) and lost.Reason >= LIMIT
    assert f"hung in the vendor library's {request_} for {lost.Reason} s and was killed; starting" in caplog.text


@pytest.mark.parametrize(
    ("fault", "number"), [("abort", signal.SIGABRT), ("segmentation fault", signal.SIGSEGV)], ids=["abort", "segv"]
)
@pytest.mark.parametrize("where", [RECV, LATER], ids=["network-thread", "request"])
def test_a_crash_inside_the_genuine_library_costs_one_process(
    genuine: str, vendor_fault: VendorFault, fault: str, number: signal.Signals, where: str
) -> None:
    """On its own network thread, or on ours in a request."""
    with TickQueue(events=True) as queue:
        with (
            Front(NumberedMarket([*IDS, LATER]), rate=500) as front,
            engine_on(front.address, genuine, IDS, [queue]) as running,
        ):
            running.wait_live()
            vendor_fault.plan(fault, where)
            running.subscribe([LATER])
            _goes_on(running)
        (lost,) = [e for e in _events(queue) if e.name == "engine_lost"]
    assert vendor_fault.happened == 1 and (lost.Value, lost.Reason, lost.Text) == (-number, 0, "")


def test_a_network_thread_that_hangs_is_silence_and_a_new_process_ends_it(
    genuine: str, vendor_fault: VendorFault, caplog: pytest.LogCaptureFixture
) -> None:
    with TickQueue(events=True) as queue:
        with (
            Front(NumberedMarket(IDS), rate=500) as front,
            engine_on(
                front.address, genuine, IDS, [queue], stale_after=3, on_stale="restart", any_hour=True
            ) as running,
        ):
            running.wait_live()
            vendor_fault.plan("hang", RECV)
            _goes_on(running)
            epoch = running.status()["epoch"]
        events = _events(queue)
    assert vendor_fault.happened == 1 and epoch == 2
    names = [e.name for e in events]
    assert names.index("stale") < names.index("engine_lost") < names.index("engine_started", 1)
    (lost,) = [e for e in events if e.name == "engine_lost"]
    assert lost.Value == EXIT_SILENT and "no tick" in lost.words and "没有行情" in lost.words_zh
    assert "s without a tick; starting it again in" in caplog.text


def test_a_login_that_the_network_thread_never_answers_is_silence_too(
    genuine: str, vendor_fault: VendorFault, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Front(NumberedMarket(IDS), rate=500) as front,
        engine_on(front.address, genuine, IDS, [], stale_after=3, on_stale="restart", any_hour=True) as running,
    ):
        running.wait_live()
        front.delay_answers(3600)
        front.cut()
        front.wait_until(logins=2, timeout=20)
        vendor_fault.plan("hang", RECV)
        front.delay_answers(0)
        wait_for(lambda: vendor_fault.happened == 1, "the hang over the answer")
        _goes_on(running)
    assert "the login was not answered within" in caplog.text
