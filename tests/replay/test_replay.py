"""A replay as a program sees it: the same ticks by the same queues as from an engine, and what an engine cannot."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from queue import Empty
from typing import Any

import faster_fifo
import numpy as np
import numpy.typing as npt
import pytest
from feed_support import FORK, receive, wait_for, workers
from recordings import DAY, IDS, KEPT_FIELDS, MS, at, csv_rows, same_but_new, ticks_every, write_csv, write_recording
from writing import Feed

from tickengine import Closed, ConfigError, EngineError, Event, Tick, TickFlag, TickLog, TickQueue
from tickengine.adapters import to_array
from tickengine.record import Recorder
from tickengine.replay import Replay

SECOND = 1000 * MS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(scope="module")
def ticks() -> npt.NDArray[np.void]:
    return ticks_every(5 * MS, 400)


@pytest.fixture(scope="module")
def file(folder: Path, ticks: npt.NDArray[np.void]) -> Path:
    return write_recording(folder, ticks)


def drain(queue: TickQueue) -> npt.NDArray[np.void]:
    parts = []
    while True:
        try:
            parts.append(queue.get_many(timeout=60))
        except Closed:
            return np.concatenate(parts)


def play(files: Any, **options: Any) -> npt.NDArray[np.void]:
    with TickQueue() as queue, Replay(files, md_queue_list=[queue], **{"speed": "max", **options}) as replay:
        played = drain(queue)
        assert queue.lost == 0
        assert replay.join(20)
        return played


def test_workers_get_the_recorded_ticks_with_a_flag_and_numbers_of_their_own(
    file: Path, ticks: npt.NDArray[np.void]
) -> None:
    played = play(file)
    same_but_new(played, ticks)
    assert (played["Flags"] == ticks["Flags"] | TickFlag.REPLAYED).all()
    assert played["TickNumber"].tolist() == list(range(400))
    assert played["InstrumentNumber"].tolist() == [i // len(IDS) for i in range(400)]
    assert (np.diff(played["Stamp"].astype(np.int64)) == 1).all()
    again = play(file, speed=1e6)  # another pace, other pieces: the same records
    for name in (*KEPT_FIELDS, "Stamp", "Instrument", "Flags", "TickNumber", "InstrumentNumber"):
        assert again[name].tobytes() == played[name].tobytes(), name
    assert (np.diff(again["RecvMonotonic"]) >= 0).all() and again["RecvMonotonic"][0] > played["RecvMonotonic"][-1]


def test_what_a_worker_got_live_is_what_it_gets_of_the_recorders_files(tmp_path: Path) -> None:
    live: list[Tick] = []
    for names in (IDS, IDS[::-1]):  # the engine was started again: another log, another table of instruments
        feed = Feed()
        try:
            worker, recorder = feed.queue(), Recorder(feed.queue(start="oldest", events=True), tmp_path)
            for number in range(100):
                id = names[number % len(names)]
                feed.tick(id, Volume=number, ExchangeInstID=f"{id}-{len(live)}"[:20].encode(), LastPrice=number / 3)
            live += [worker.get_nowait() for _ in range(100)]
            texts = [tick.ExchangeInstID for tick in live]  # looked up while the log is there
            recorder.poll()
            recorder.close()
        finally:
            feed.close()
    with TickQueue() as queue, Replay(tmp_path, md_queue_list=[queue], speed="max") as replay:
        played = list(queue)
        assert [tick.ExchangeInstID for tick in played] == texts
        assert replay.join(20)
    same_but_new(to_array(played), to_array(live))
    assert [tick.Flags for tick in played] == [tick.Flags | TickFlag.REPLAYED for tick in live]


def test_the_engine_is_exchanged_for_a_replay_in_one_line_and_tells_the_same(
    file: Path, ticks: npt.NDArray[np.void]
) -> None:
    queue = TickQueue(["m2605"], events=True)
    with queue, Replay(file, md_queue_list=[queue], speed=20, name=f"unit-replay-{os.getpid()}") as engine:
        engine.wait_live()
        seen: list[Tick | Event] = list(queue)
        status = engine.status()
        assert engine.join(20)
    events = [(item.name, item.Text) for item in seen if isinstance(item, Event)]
    assert events == [("engine_started", ""), ("logged_in", DAY), ("engine_stopped", "")]
    of_m = [item for item in seen if isinstance(item, Tick)]
    assert [tick.Volume for tick in of_m] == list(range(2, 400, 4))
    assert all(isinstance(tick, Tick) and tick.ExchangeInstID == "x-m2605" for tick in of_m)
    assert status["trading_day"] == DAY and status["replay"]["played"] == status["replay"]["ticks"] == 400
    assert engine.status()["state"] == "stopped" and not engine.is_alive()


def test_no_tick_comes_before_its_time(folder: Path) -> None:
    gaps = [0, 100, 300, 100, 800, 200]  # ms
    ticks = ticks_every(MS, len(gaps))
    ticks["RecvTime"] = at("09:30:00") + np.cumsum(gaps) * MS
    file = write_recording(folder, ticks, name="gaps")
    before = time.monotonic_ns()
    played = play(file, speed=5)
    # How much later is the machine's business; `_Clock`'s tests have the ratios.
    assert (played["RecvMonotonic"] - before >= np.cumsum(gaps) * MS // 5 - MS // 10).all()
    assert (np.diff(played["RecvMonotonic"]) >= 0).all()


def test_pause_seek_and_speed(folder: Path) -> None:
    file = write_recording(folder, ticks_every(60 * SECOND, 60, ids=["rb2601"]), name="hour")  # a tick a minute
    with TickQueue() as queue, Replay(file, md_queue_list=[queue], speed=60, paused=True) as replay:
        with pytest.raises(Empty):
            queue.get(timeout=0.3)
        assert replay.status()["replay"]["paused"] and replay.status()["state"] == "live"
        replay.resume()
        first = queue.get(timeout=20)
        replay.pause()
        wait_for(lambda: replay.status()["replay"]["paused"], "the pause")
        while True:  # what had left before it
            try:
                first = queue.get(timeout=0.3)
            except Empty:
                break
        replay.seek("10:00")
        replay.resume()
        forward = queue.get(timeout=20)
        assert (forward.ExchangeTime, forward.Sequence) == (at("10:00:00"), first.Sequence + 2)  # an event between
        replay.seek("2026-01-05 09:30:30")
        back = next(tick for tick in queue if tick.ExchangeTime < at("10:00:00"))
        assert back.ExchangeTime == at("09:31:00") and back.Sequence > forward.Sequence
        replay.seek("23:00")  # the evening before: from the beginning
        assert next(tick for tick in queue if tick.Volume == 0).ExchangeTime == at("09:30:00")
        replay.seek("16:00")  # none that late: goes on
        replay.set_speed("max")
        assert replay.join(60)
        assert drain(queue)["Volume"].tolist()[-1] == 59
        for wrong in (lambda: replay.seek("noon"), lambda: replay.set_speed(0)):
            with pytest.raises(ConfigError):
                wrong()


def test_steps_go_over_days_and_stay_within_all_of_them(folder: Path) -> None:
    days = ["20260106", "20260107"]
    files = [write_recording(folder, ticks_every(SECOND, 300, ids=["rb2601"], day=day), day) for day in days]
    with Replay(files, paused=True) as replay:
        replay.wait_live()

        def goes(seconds: float, where: str) -> None:
            replay.step(seconds)
            wait_for(lambda: replay.status()["replay"]["time"] == where + ".000", f"{where} after {seconds}")

        goes(200.5, "2026-01-06 09:33:21")  # no tick at that half second
        goes(100, "2026-01-07 09:30:00")
        goes(-100, "2026-01-06 09:33:19")
        goes(-1000, "2026-01-06 09:30:00")
        goes(1000, "2026-01-07 09:30:00")
        replay.step(1000)  # nowhere: it stays
        goes(60, "2026-01-07 09:31:00")
        for wrong in ("60", None, True, float("nan")):
            with pytest.raises(ConfigError, match="step takes seconds"):
                replay.step(wrong)  # type: ignore[arg-type]


def test_signals_pause_and_go_on(file: Path) -> None:
    with TickQueue() as queue, Replay(file, md_queue_list=[queue], speed=0.01) as replay:
        queue.get(timeout=20)
        assert replay.pid is not None
        os.kill(replay.pid, signal.SIGUSR1)
        wait_for(lambda: replay.status()["replay"]["paused"], "the pause")
        os.kill(replay.pid, signal.SIGUSR2)
        wait_for(lambda: not replay.status()["replay"]["paused"], "the end of the pause")


def test_several_days_in_a_row_and_again(folder: Path) -> None:
    days = ["20260106", "20260107"]
    files = [write_recording(folder, ticks_every(MS, 12, day=day), day) for day in days]
    with TickQueue(events=True) as queue, Replay(files[::-1], md_queue_list=[queue], speed="max", loop=2) as replay:
        seen = list(queue)
        assert replay.join(20)
    told = [item.Text if isinstance(item, Event) else item.TradingDay for item in seen]
    a_round = [*[days[0]] * 13, *[days[1]] * 13]  # the login first
    assert told == ["", *a_round, *a_round, ""]
    ticks = [item for item in seen if isinstance(item, Tick)]
    assert [tick.Sequence for tick in ticks] == sorted({tick.Sequence for tick in ticks})
    assert [tick.Volume for tick in ticks] == list(range(12)) * 4
    assert replay.log.info().instruments == len(IDS)


def test_filters_and_times_reach_the_workers(folder: Path) -> None:
    file = write_recording(folder, ticks_every(SECOND, 100), name="seconds")
    played = play(file, products=["rb", "IF"], start="09:30:10", stop="09:31:00")
    assert played["Volume"].tolist() == [n for n in range(10, 60) if n % 4 < 2]


def test_a_csv_file_is_played_like_a_recording_of_the_same_ticks(folder: Path, ticks: npt.NDArray[np.void]) -> None:
    played = play(write_csv(folder / "rb.csv", csv_rows(ticks)))
    for name in KEPT_FIELDS:
        expected = ticks["ExchangeTime" if name == "RecvTime" else name]
        assert played[name].tobytes() == expected.tobytes(), name


def test_instruments_go_by_their_sessions_tables_and_by_their_names_where_there_is_none(folder: Path) -> None:
    ticks = ticks_every(MS, 3000)
    other = ticks_every(MS, 3000, ids=IDS[::-1])  # the same indices mean others
    other["RecvTime"] += MS // 2
    nameless = ticks_every(MS, 40)
    nameless["Instrument"][::3] = 0xFFFFFFFF  # beyond the table
    nameless["RecvTime"] += MS // 4
    files = [
        write_recording(folder, ticks, name="one"),
        write_recording(folder, other, name="two"),
        write_recording(folder, nameless, name="three", names=False),
    ]
    with TickQueue() as queue, Replay(files, md_queue_list=[queue], speed="max") as replay:
        played = drain(queue)
        table = replay.log.instruments()
    assert sorted((row["InstrumentID"], row["ExchangeInstID"]) for row in table) == sorted(
        [(id, name) for id in IDS for name in ("", f"x-{id}")]
    )
    names = np.array([row["InstrumentID"].encode() for row in table])
    assert (names[played["Instrument"]] == played["InstrumentID"]).all()
    both = np.concatenate([ticks, other, nameless])
    same_but_new(played, both[np.argsort(both["RecvTime"], kind="stable")])


def test_flat_out_nothing_is_lost_for_slow_workers_with_and_without_a_filter(folder: Path) -> None:
    ticks = ticks_every(MS, 5000, ids=["rb2601", "au2602", "ag2606"])
    file = write_recording(folder, ticks, name="many")
    queues = [
        TickQueue(),
        TickQueue(["au2602"], wait="block"),
        TickQueue(["nothing"]),
        TickQueue(skip=TickFlag.REPLAYED),
    ]

    def worker(queue: TickQueue, answer: Any) -> None:
        answer.send("ready")
        volumes = [tick.Volume for tick in queue]
        answer.send((volumes, queue.lost, queue.skipped))

    with Replay(file, md_queue_list=queues, speed="max", capacity=64) as replay:
        with workers([(worker, (queue,)) for queue in queues], FORK) as answers:
            got = [receive(answer) for answer in answers]
        assert replay.join(20)
    assert got[0] == (list(range(5000)), 0, 0)
    assert got[1] == (list(range(1, 5000, 3)), 0, 0)
    assert got[2] == ([], 0, 0)
    assert got[3] == ([], 0, 5000)
    for queue in queues:
        queue.close()


def test_a_queue_that_nobody_reads_is_waited_for_and_named_unless_told_not_to(folder: Path, file: Path) -> None:
    with (
        TickQueue(name=f"unread-{os.getpid()}") as queue,
        Replay(file, md_queue_list=[queue], speed="max", capacity=64) as replay,
    ):
        wait_for(lambda: replay.status()["replay"]["waiting_for"] == queue.name, "the queue's name in the status")
        assert replay.status()["replay"]["played"] < 64
    with TickQueue() as queue, Replay(file, md_queue_list=[queue], speed="max", capacity=64, lossless=False) as replay:
        assert replay.join(20)
        assert len(drain(queue)) + queue.lost == 400


def test_other_kinds_of_queues_are_fed(file: Path) -> None:
    fifo, plain = faster_fifo.Queue(), multiprocessing.Queue()
    with Replay(file, md_queue_list=[fifo, plain], speed=20, instruments=["rb2601"]):
        for take in (fifo.get, plain.get):
            got = [take(timeout=20) for _ in range(100)]
            assert [tick.Volume for tick in got] == list(range(0, 400, 4))
            assert all(TickFlag.REPLAYED in TickFlag(tick.Flags) for tick in got)
    fifo.close()
    plain.close()
    plain.join_thread()


def test_it_can_wait_for_workers_who_attach_by_name(file: Path) -> None:
    name = f"unit-attach-{os.getpid()}"
    with Replay(file, name=name, speed="max", capacity=64, wait_for_workers=1) as replay:
        wait_for(lambda: replay.status()["replay"]["waiting_for"] == "1 workers", "waiting")
        with TickQueue.attach(name) as queue:
            assert drain(queue)["Volume"].tolist() == list(range(400))
            assert replay.join(20)


def test_killed_it_is_reported_and_its_workers_drain_what_there_is(file: Path) -> None:
    with TickQueue(events=True) as queue, Replay(file, md_queue_list=[queue], speed=0.5) as replay:
        assert queue.get(timeout=20) is not None
        assert replay.pid is not None
        os.kill(replay.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match=r"the replay process \d+ died with status -9"):
            replay.join(30)
        seen = list(queue)
        assert isinstance(seen[-1], Event) and seen[-1].name == "engine_lost"
        assert [item.Volume for item in seen if isinstance(item, Tick)] == list(
            range(sum(isinstance(item, Tick) for item in seen))
        )
        assert replay.status()["state"] == "failed"


def _parent(file: str, name: str, answer: Any) -> None:
    replay = Replay(file, name=name, speed=0.001)
    replay.start()
    answer.send("ready")
    answer.send(replay.pid)
    signal.pause()


def test_its_parent_killed_it_ends_and_takes_the_log_away(file: Path) -> None:
    name = f"unit-orphan-{os.getpid()}"
    with workers([(_parent, (str(file), name))], FORK) as [answer]:
        pid = receive(answer)
        [parent] = multiprocessing.active_children()
        parent.kill()
        wait_for(lambda: _has_ended(pid), "the end of the replay process")
    with pytest.raises(LookupError):
        TickLog.attach(name)


def _has_ended(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize(
    ("field", "value"), [("Instrument", 0), ("UpdateTime", b"123456789"), ("Kind", 1), ("InstrumentID", b"rb2601\0x")]
)
def test_a_damaged_record_ends_it_with_the_files_name_and_the_ticks_number(
    folder: Path, ticks: npt.NDArray[np.void], field: str, value: Any
) -> None:
    spoilt = ticks[:40].copy()
    spoilt[field][17] = value
    damaged = write_recording(folder, spoilt, name="spoilt")
    with TickQueue() as queue, Replay(damaged, md_queue_list=[queue], speed="max") as replay:
        assert drain(queue)["Volume"].tolist() == list(range(17))
        with pytest.raises(EngineError) as raised:
            replay.join(20)
    assert f"{damaged}: tick 17 of it is damaged" in str(raised.value) and "\n" not in str(raised.value)


def test_what_is_wrong_is_said_before_anything_is_played(folder: Path, file: Path) -> None:
    bad = folder / "bad.csv"
    bad.write_text("TradingDay,InstrumentID,UpdateTime,LastPrice,Volume\n20260105,rb2601,09:30:00,3ooo,1\n")
    queue = TickQueue()
    with queue, pytest.raises(ConfigError, match=r"bad.csv, line 2: LastPrice '3ooo' is no number"):
        Replay(bad, md_queue_list=[queue]).start()
    for options, words in (
        ({"speed": "quick"}, "speed must be"),
        ({"loop": 0}, "loop must be a whole number from 1 on"),
        ({"max_gap": -1}, "max_gap must be seconds"),
        ({"wait_for_workers": -1}, "wait_for_workers must be"),
        ({"start": "noon"}, "start must be a time"),
        ({"name": "no/name"}, "cannot be used"),
        ({"md_queue_list": [3]}, "must be a TickQueue"),
        ({"watchdog": 1}, "watchdog must be"),
    ):
        with pytest.raises(ConfigError, match=words):
            Replay(file, **options)
    with pytest.raises(ConfigError, match="no such file"):
        Replay(folder / "none.ticks")
    with pytest.raises(EngineError, match="not been started"):
        Replay(file).pause()
