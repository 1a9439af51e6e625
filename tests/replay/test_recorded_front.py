"""The loopback front plays a recording: the genuine library delivers the vendor's fields again, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from feed_support import engine_on
from recordings import DAY, IDS, MS, csv_rows, ticks_every, write_csv, write_recording

from tickengine import TickQueue
from tickengine.cli import main
from tickengine.front import FrontProcess, MarketSpec, RecordedMarket
from tickengine.front.fields import DBL_MAX, TICK
from tickengine.front.pace import FlatOut
from tickengine.front.recorded import RecordedPace
from tickengine.tick import VENDOR_FIELDS

SENT = [name for name in VENDOR_FIELDS if name not in ("ExchangeInstID", "BandingUpperPrice", "BandingLowerPrice")]
NAN_OF_ITS_OWN = np.frombuffer(b"\x01\0\0\0\0\0\xf8\xff")[0]


@pytest.fixture
def ticks() -> npt.NDArray[np.void]:
    ticks = ticks_every(2 * MS, 120)
    ticks["LastPrice"][5] = -0.0
    ticks["ClosePrice"][6] = NAN_OF_ITS_OWN
    ticks["SettlementPrice"][7] = 5e-324
    ticks["BidPrice3"][8] = np.inf
    ticks["UpperLimitPrice"][9] = np.nan
    return ticks


@pytest.mark.genuine
@pytest.mark.timeout(90)
def test_the_genuine_library_delivers_what_was_recorded(
    genuine: str, tmp_path: Path, ticks: npt.NDArray[np.void]
) -> None:
    files = [str(write_recording(tmp_path, ticks))]
    with FrontProcess(MarketSpec((), kind="recorded", files=files, speed=4), wait_ids=len(IDS)) as front:
        with TickQueue(start="oldest") as queue, engine_on(front.address, genuine, IDS, [queue]) as engine:
            got = [queue.get(timeout=30) for _ in range(len(ticks))]
            trading_day = engine.status()["trading_day"]
            records = engine.log.read(0)
    assert trading_day == DAY
    for name in SENT:
        assert records[name].tobytes() == ticks[name].tobytes(), name
    assert [tick.ExchangeInstID for tick in got] == ["x-" + id.decode() for id in ticks["InstrumentID"].tolist()]
    assert (records["ExchangeTime"] == ticks["ExchangeTime"]).all()  # by the same rules from the same fields


def test_its_ticks_are_the_recorded_ones_on_the_wire(tmp_path: Path, ticks: npt.NDArray[np.void]) -> None:
    market = RecordedMarket(write_recording(tmp_path, ticks))
    assert (list(market.instruments), market.trading_day, len(market)) == (sorted(IDS), DAY, 120)
    sent = np.empty(120, TICK)  # concatenate alone would change the byte order
    np.concatenate([market.batch(start, 50) for start in (0, 50, 100)], out=sent)
    assert sent.dtype == TICK
    assert sent["OpenPrice"][0] == DBL_MAX and sent["UpperLimitPrice"][9] == DBL_MAX
    for name in ("LastPrice", "ClosePrice", "SettlementPrice", "BidPrice3"):
        assert sent[name][5:9].tobytes() == ticks[name][5:9].byteswap().tobytes()
    assert sent["ExchangeInstID"].tolist() == [b"x-" + id for id in ticks["InstrumentID"].tolist()]


def test_its_pace_is_the_recorded_one_and_a_break_is_not_made_up_for() -> None:
    pace = RecordedPace(np.array([0, 100, 100, 400]) * MS, 2.0)
    pace.begin(50.0)
    assert (pace.due(50.0), pace.wake()) == (1, pytest.approx(50.0))
    pace.done(1)
    assert (pace.due(50.049), pace.due(50.051), pace.due(51)) == (0, 2, 3)
    assert pace.wake() == pytest.approx(50.05)
    pace.done(2)
    pace.begin(80.0)
    assert pace.due(80.001) == 1
    pace.done(1)
    assert pace.due(99.0) == 0
    pace.begin(99.0)
    assert pace.due(99.0) == 0


def test_flat_out_goes_as_fast_as_the_client_reads(tmp_path: Path, ticks: npt.NDArray[np.void]) -> None:
    assert isinstance(RecordedMarket(write_recording(tmp_path, ticks), "max").pace(), FlatOut)


def test_what_a_front_cannot_play_is_refused_in_words(tmp_path: Path, ticks: npt.NDArray[np.void]) -> None:
    two = [write_recording(tmp_path, ticks), write_recording(tmp_path, ticks, "20260106")]
    with pytest.raises(ValueError, match="a front has one trading day, these files are of 20260105, 20260106"):
        RecordedMarket(two)
    long = ticks_every(MS, 4, ids=["m2605"])
    long["InstrumentID"] = b"m2605-MS-C-3000-and-so-on-123456"
    with pytest.raises(ValueError, match="32 bytes, at most 30 fit"):
        RecordedMarket(write_csv(tmp_path / "long.csv", csv_rows(long)))
    with pytest.raises(ValueError, match="no such file"):
        RecordedMarket(tmp_path / "none.ticks")
    with pytest.raises(ValueError, match="speed must be"):
        RecordedMarket(two[0], 0)


def test_the_command_takes_recordings(
    tmp_path: Path, ticks: npt.NDArray[np.void], capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(write_recording(tmp_path, ticks))
    assert main(["front", "--for", "0.1", "--speed", "max", "--replay", file]) == 0
    served = capsys.readouterr()
    assert served.out.startswith("tcp://127.0.0.1:") and served.err == ""
    for arguments, words in (
        (["--replay", file, "--numbered"], "--numbered: does not go with --replay"),
        (["--replay", str(tmp_path / "none")], "no such file"),
        (["--speed", "3"], "--speed 3: goes with --replay only"),
        (["--replay", file, "--speed", "slow"], "speed must be a number above 0"),
    ):
        assert main(["front", *arguments]) == 2
        refused = capsys.readouterr()
        assert words in refused.err and refused.err.count("\n") == 1 and refused.out == ""
