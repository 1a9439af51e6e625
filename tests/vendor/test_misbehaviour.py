"""A vendor library that misbehaves: the feed is unharmed, or there is one clear outcome; nothing is left behind.

The library is our own, which does on request what the vendor's has been seen to do, or could
(`shim/compat/README.md`, Faults).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from feed_support import IDS, engine_on, wait_for
from feeding import MARKET, check_whole, drain, stream
from vendor_files import COMPATIBLE_VARIANTS

from tickengine import EngineError, TickQueue, VendorLibraryError, _supervisor, vendor_api
from tickengine.front import Front, NumberedMarket

pytestmark = pytest.mark.timeout(120)

FAULTS = "TICKENGINE_COMPAT_FAULTS"
Compatible = Callable[[str], str]


@pytest.fixture
def library(compatible: Compatible) -> str:
    return compatible("6711")


@pytest.mark.parametrize("variant", COMPATIBLE_VARIANTS)
@pytest.mark.parametrize(
    "faults",
    [
        "null-tick",
        "null-info",
        "poison",
        "two-threads",
        "overlap",
        "poison,null-tick,overlap",
        "null-login",
    ],
)
def test_the_feed_is_unharmed(
    compatible: Compatible, variant: str, faults: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULTS, faults)
    ticks, events, status = stream(compatible(variant), 10_000)
    check_whole(ticks, 10_000, in_order="overlap" not in faults)
    assert np.array_equal(ticks["Stamp"], np.sort(ticks["Stamp"]))
    assert (status["state"], status["subscribed"], status["disconnects"]) == ("live", len(IDS), 0)
    assert [e.name for e in events] == [
        "engine_started", "front_connected", "logged_in", "subscribed", "engine_stopped",
    ]  # fmt: skip
    assert status["trading_day"] == ("" if faults == "null-login" else MARKET.trading_day)


def test_answers_without_data_count_as_no_answer_and_the_ticks_come_all_the_same(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULTS, "null-data")
    ticks, _, status = stream(library, 10_000, "logged_in")
    check_whole(ticks, 10_000)
    assert (status["state"], status["subscribed"], status["unacknowledged"]) == ("logged_in", 0, len(IDS))


def test_a_disconnect_before_any_connect_is_reported_and_nothing_more(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULTS, "disconnect-first")
    ticks, events, status = stream(library, 1_000)
    check_whole(ticks, 1_000)
    assert (status["state"], status["disconnects"], status["last_disconnect_reason"]) == ("live", 1, 4097)
    assert [e.name for e in events][:3] == ["engine_started", "front_disconnected", "front_connected"]


@pytest.mark.parametrize("variant", COMPATIBLE_VARIANTS)
def test_an_id_that_fills_its_array_is_cut_where_its_end_should_be(
    compatible: Compatible, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULTS, "no-nul,poison")
    name = b"0123456789012345678901234567890"  # 31 bytes, as many as the wire has
    with TickQueue() as queue, Front(NumberedMarket(IDS), rate=100) as front:
        with engine_on(front.address, compatible(variant), IDS, [queue]) as running:
            running.wait_live()
            front.push({"InstrumentID": name, "LastPrice": 1.5, "TradingDay": b"20260105x"[:9]})
            wait_for(lambda: (running.log.read(0)["LastPrice"] == 1.5).any(), "the tick that was pushed")
            records = running.log.read(0)
    (record,) = records[records["LastPrice"] == 1.5]
    # The newer layouts have 81 bytes, which the fault fills with the 31 over and over; the last one is for the NUL.
    assert record["InstrumentID"] == ((name * 3)[:80] if variant in ("651", "6711") else name)


@pytest.mark.parametrize("faults", ["slow-release=1500", "slow-release=300,poison"])
def test_a_slow_release_is_waited_for(library: str, faults: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FAULTS, faults)
    ticks, events, _ = stream(library, 1_000)
    check_whole(ticks, 1_000)
    assert events[-1].name == "engine_stopped"


def test_a_release_that_hangs_is_left_behind_and_reported(
    library: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(FAULTS, "hang-release")
    ticks, events, _ = stream(library, 1_000)
    check_whole(ticks, 1_000)
    assert events[-1].name == "engine_stopped"
    assert f"Release has not returned for {vendor_api.RELEASE_LIMIT_S:g} s" in caplog.text


def test_an_init_that_hangs_fails_the_start(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FAULTS, "hang-init")
    monkeypatch.setattr(_supervisor, "START_TIMEOUT_S", 3.0)
    with TickQueue() as queue, pytest.raises(EngineError, match="did not answer within 3 s"):
        engine_on("tcp://127.0.0.1:9", library, IDS, [queue]).start()


@pytest.mark.parametrize("faults", ["no-such-fault", "@/nowhere/script"])
def test_a_library_that_makes_no_api_fails_the_start(
    library: str, faults: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULTS, faults)
    with TickQueue() as queue, pytest.raises(VendorLibraryError, match="did not create an api"):
        engine_on("tcp://127.0.0.1:9", library, IDS, [queue]).start()


@pytest.mark.parametrize(("fault", "status"), [("abort-after", -6), ("segv-after", -11)])
def test_a_crash_inside_the_library_ends_the_engine_with_a_reason_and_keeps_every_tick_before_it(
    library: str, fault: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULTS, f"{fault}=700")
    with TickQueue(events=True) as queue:
        with Front(NumberedMarket(IDS), rate=5_000) as front:
            running = engine_on(front.address, library, IDS, [queue], restart=False)
            running.start()
            with pytest.raises(EngineError, match=f"died with status {status}"):
                running.join(60)
        assert running.status()["state"] == "failed"
        ticks, events = drain(queue)
    check_whole(ticks, 700)
    assert [e.name for e in events][-1] == "engine_lost"


@pytest.mark.parametrize("fault", ["abort-after", "segv-after"])
def test_after_a_crash_inside_the_library_the_feed_goes_on_in_a_new_process(
    library: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "faults"
    script.write_text(f"# once\n{fault}=700\npoison\n")
    monkeypatch.setenv(FAULTS, f"@{script}")
    with TickQueue(events=True) as queue:
        with (
            Front(NumberedMarket(IDS), rate=2_000, paused=True) as front,
            engine_on(front.address, library, IDS, [queue]) as running,
        ):
            running.wait_live()
            script.write_text("# behaves from now on\n")
            front.resume()
            wait_for(lambda: running.status()["restarts"] == 1, "the engine to be started again")
            running.wait_live()
            before = running.status()["ticks"]
            wait_for(lambda: running.status()["ticks"] > before + 500, "ticks of the new process")
            front.pause()
        ticks, events = drain(queue)
    names = [e.name for e in events]
    assert names.count("engine_lost") == 1 and names.count("engine_started") == 2
    assert queue.lost == 0
    stamps = ticks["Stamp"]
    assert np.array_equal(stamps, np.sort(stamps)) and len(np.unique(stamps)) == len(stamps)


@pytest.mark.parametrize("request_", ["SubscribeMarketData", "UnSubscribeMarketData"])
def test_a_connection_that_ends_under_a_request_is_kept_until_the_request_is_out(
    library: str, request_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULTS, f"freed-in={request_}")
    with TickQueue(events=True) as queue:
        with (
            Front(NumberedMarket(IDS), rate=500) as front,
            engine_on(front.address, library, IDS, [queue]) as running,
        ):
            running.wait_live()
            running.unsubscribe(IDS[:1])
            wait_for(
                lambda: [running.status()[k] for k in ("logins", "subscribed", "state")] == [2, len(IDS) - 1, "live"],
                "all but one on the next connection",
            )
            assert (running.status()["restarts"], running.status()["disconnects"]) == (0, 1)
        _, events = drain(queue)
    assert "engine_lost" not in [e.name for e in events]


def test_what_the_library_prints_stays_out_of_the_hosts_output(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(FAULTS, "print,disconnect-first")
    with TickQueue() as queue, Front(NumberedMarket(IDS), rate=500) as front:
        with engine_on(front.address, library, IDS, [queue], page_dir=str(tmp_path)) as running:
            running.wait_live()
    out, err = capfd.readouterr()
    assert "isconnected" not in out + err
    text = (tmp_path / "engine.log").read_text()
    assert "Disconnected[" in text and "compat: disconnected, reason 4097" in text


def test_silence_of_the_front_ends_the_connection_and_a_new_one_is_made(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULTS, "silence=2")
    with TickQueue() as queue, Front(NumberedMarket(IDS), rate=500) as front:
        with engine_on(front.address, library, IDS, [queue]) as running:
            running.wait_live()
            front.silence(3600.0)
            wait_for(lambda: running.status()["last_disconnect_reason"] == 8193, "8193 for silence")
            front.silence(0)
            wait_for(lambda: running.status()["logins"] >= 2, "the next login")
            running.wait_live()
