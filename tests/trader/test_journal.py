"""The journal and its records from Python: what goes in comes out, in every process, whatever is asked of it."""

from __future__ import annotations

import os
import random
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from feed_support import FORK, receive, wait_for, workers

from tickengine import BusyError, ConfigError, NotFoundError, SegmentError, ShimError
from tickengine._segments import random_name, ring_path
from tickengine.trader import records
from tickengine.trader.journal import TradeLog, TradeLogWriter
from tickengine.trader.records import (
    KIND_NUMBERS,
    KINDS,
    Record,
    decode,
    decode_struct,
    encode,
    encode_struct,
    record_dtype,
    struct_dtype,
    struct_fields,
    struct_names,
)
from tickengine.trader.ring import CommandRing


def filled(struct: str) -> dict[str, records.Value]:
    values: dict[str, records.Value] = {}
    for n, (field, kind) in enumerate(struct_fields(struct).items(), 1):
        values[field] = {"int": -n, "double": n + 0.5, "char": chr(96 + n % 26 + 1), "text": str(n)}[kind]
    return values


@pytest.mark.parametrize("kind", KINDS.values())
def test_a_record_of_every_kind_comes_out_as_it_went_in(kind: str, tmp_path: Path) -> None:
    given = Record(
        *(1, kind, 123, 456),
        epoch=1,
        request_id=-1,
        is_last=True,
        error_id=26,
        error_msg="CTP:错单",
        reason=-3,
        client_id=(1 << 64) - 1,
        value=-(1 << 63),
        data=filled("Order"),
        struct="Order",
    )
    with TradeLogWriter(tmp_path) as writer, TradeLog.attach(tmp_path) as log:
        assert writer.append(given) == 1
        assert log.read(1) == [given]


@pytest.mark.parametrize("struct", struct_names())
def test_every_struct_and_its_numpy_type(struct: str) -> None:
    values = filled(struct)
    raw = encode_struct(struct, values)
    assert decode_struct(struct, raw) == values
    row = records.np.frombuffer(raw, struct_dtype(struct))[0]
    assert {n: v.decode() if isinstance(v, bytes) else v for n, v in zip(row.dtype.names, row)} == values
    assert decode_struct(struct, raw[:20])[next(iter(values))] == next(iter(values.values()))  # an older, shorter one


def test_records_as_an_array(tmp_path: Path) -> None:
    with TradeLogWriter(tmp_path) as writer, TradeLog.attach(writer.path) as log:
        for n in range(5):
            writer.append(Record(-1, "rtn_trade", 0, 0, data={"Volume": n, "TradeID": str(n)}, struct="Trade"))
        rows = records.np.frombuffer(log.read_raw(1, 6), record_dtype())
        assert rows["Stamp"].tolist() == [2, 3, 4, 5, 6]
        assert set(rows["Kind"].tolist()) == {KIND_NUMBERS["rtn_trade"]}
        trades = [records.np.frombuffer(payload, struct_dtype("Trade"), 1)[0] for payload in rows["Payload"]]
        assert [(t["Volume"], t["TradeID"]) for t in trades] == [(n, str(n).encode()) for n in range(5)]


def test_words_are_cut_at_a_whole_character() -> None:
    for kind, text in (("session_state", "状" * 40), ("rsp_error", "状" * 60)):
        cut = decode(encode(Record(-1, kind, 1, 1, error_msg=text))).error_msg
        assert text.startswith(cut) and len(cut) == {"session_state": 27, "rsp_error": 40}[kind]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"Nothing": 1}, "InputOrder has no field 'Nothing'; it has BrokerID"),
        ({"OrderRef": "x" * 13}, "InputOrder.OrderRef must have at most 12 bytes"),
        ({"OrderRef": "a\0b"}, "without NUL"),
        ({"OrderRef": 5}, "InputOrder.OrderRef must be a text, not 5"),
        ({"Direction": "01"}, "InputOrder.Direction must have at most 1 bytes"),
        ({"LimitPrice": "5"}, "InputOrder.LimitPrice must be a number"),
        ({"VolumeTotalOriginal": 1.5}, "VolumeTotalOriginal must be a number .int., not 1.5"),
        ({"VolumeTotalOriginal": 1 << 31}, "must fit 32 bits"),
    ],
)
def test_a_wrong_field_is_named(values: dict[str, records.Value], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        encode_struct("InputOrder", values)


def test_unknown_names_say_which_are_known() -> None:
    with pytest.raises(ConfigError, match="struct 'Oder' is not known; known ones: InputOrder"):
        encode_struct("Oder", {})
    with pytest.raises(ConfigError, match="kind 'oder' is not known"):
        encode(Record(-1, "oder", 0, 0))


def test_a_record_of_a_later_version_is_not_misread() -> None:
    raw = bytearray(encode(Record(-1, "rtn_order", 1, 1, data={}, struct="Order")))
    raw[26:28] = (99).to_bytes(2, "little")
    with pytest.raises(ConfigError, match="holds struct 99, which this version does not know"):
        decode(bytes(raw))
    raw[24:28] = (77).to_bytes(2, "little") + bytes(2)
    assert decode(bytes(raw)).kind == "kind_77"


def test_reading_waiting_and_following(tmp_path: Path) -> None:
    with TradeLogWriter(tmp_path) as writer, TradeLog.attach(tmp_path) as log:
        assert (log.head, [r.kind for r in log.read()]) == (1, ["epoch_started"])
        assert not log.wait(1, 0.01)
        pusher = threading.Thread(target=lambda: [writer.note("note", str(n), n) for n in range(600)])
        pusher.start()
        followed = []
        for record in log.follow(1, timeout=20):
            followed.append(record.value)
            if len(followed) == 600:
                break
        pusher.join()
        assert followed == list(range(600))
        assert log.read(600) == log.read()[600:] and log.read(601) == [] and log.read(5, 3 + 4)[0].sequence == 5
        assert log.wait(600, 0) and not log.wait(601, 0)
        with pytest.raises(ConfigError, match="no range"):
            log.read_raw(3, 2)
    with pytest.raises(ConfigError, match="has been closed"):
        log.read()
    log.close()


def write_until_killed(folder: str, connection: Connection) -> None:
    connection.send("ready")
    writer = TradeLogWriter(folder)
    for n in range(100_000):  # a tenth of what has room, should nobody come to kill it for long
        writer.note("note", "", n)
        if n == 100:
            connection.send(os.getpid())
    connection.recv()


def test_a_journal_outlives_its_writer(tmp_path: Path) -> None:
    with workers([(write_until_killed, (str(tmp_path),))]) as (connection,):
        pid = receive(connection)
        with TradeLog.attach(tmp_path) as log:
            with pytest.raises(BusyError, match=f"is being written by process {pid}"):
                TradeLogWriter(tmp_path)
            assert (log.info().writer_pid, log.info().writer_alive) == (pid, 1)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: not log.info().writer_alive, "the writer to be dead")
            before = log.read()
            assert [r.value for r in before[1:]] == list(range(len(before) - 1))
            with TradeLogWriter(tmp_path) as writer:
                assert writer.damaged == 0
                writer.note("note", "", -1)
                assert [(r.kind, r.epoch) for r in log.read(len(before))] == [("epoch_started", 2), ("note", 2)]


def test_what_is_no_journal(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="trade.journal' does not exist"):
        TradeLog.attach(tmp_path)
    (tmp_path / "trade.journal").write_bytes(b"x" * 5000)
    for use in (TradeLog.attach, TradeLogWriter):
        with pytest.raises(SegmentError, match="mode 644"):
            use(tmp_path)  # type: ignore[operator]
    (tmp_path / "trade.journal").chmod(0o600)
    for use in (TradeLog.attach, TradeLogWriter):
        with pytest.raises(SegmentError, match="not a trade journal"):
            use(tmp_path)  # type: ignore[operator]
    with TradeLogWriter(tmp_path / "mine", 64) as writer:
        assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o600 and writer.path == str(tmp_path / "mine")
        with pytest.raises(ShimError, match="is full: 64 records"):
            for _ in range(64):
                writer.note("note")


def spoil(path: Path, offset: int, raw: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(raw)


HEAD, CAPACITY = 128, 72
HOSTILE = [65, 1 << 32, (1 << 32) + 1, (1 << 53) - 4, 1 << 53, (1 << 54) + 3, 1 << 63, (1 << 64) - 4, (1 << 64) - 1]
HOSTILE += [random.Random(20260105).randrange(1 << 33, 1 << 64) for _ in range(40)]


def test_numbers_in_the_header_that_cannot_be_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "trade.journal"
    with TradeLogWriter(tmp_path, 64) as writer:
        writer.note("note", "one")
        with TradeLog.attach(tmp_path) as log:
            for number in HOSTILE:
                spoil(path, HEAD, number.to_bytes(8, "little"))
                reads = [lambda: TradeLog.attach(tmp_path), log.read, lambda: log.read_raw(0, 1 << 64)]
                reads += [lambda: list(log.records(3)), lambda: next(log.follow(0, 20))]
                for read in reads:
                    with pytest.raises(SegmentError, match=r"is damaged: (its|record) .*; move it away"):
                        read()
                assert log.info().head == number and log.wait(number - 1, 0)
                spoil(path, HEAD, (2).to_bytes(8, "little"))
                spoil(path, CAPACITY, number.to_bytes(8, "little"))
                assert [r.error_msg for r in log.read()] == ["", "one"]
                if number > 1 << 32:
                    with pytest.raises(SegmentError, match=f"its capacity is {number} records"):
                        TradeLog.attach(tmp_path)
                spoil(path, CAPACITY, (64).to_bytes(8, "little"))
        writer.note("note", "two")
        with TradeLog.attach(tmp_path) as log:
            assert [r.error_msg for r in log.read()] == ["", "one", "two"]


@pytest.mark.parametrize("offset", [0, 8, 31, 32, 44, 56, 64, 68, 150, 192])
def test_a_damaged_record_is_never_given_out(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "trade.journal"
    with TradeLogWriter(tmp_path) as writer, TradeLog.attach(tmp_path) as log:
        for n in range(600):
            writer.append(Record(-1, "rtn_order", data={"OrderRef": str(n)}, struct="Order"))
        spoil(path, 4096 + 300 * 1024 + offset, b"\xff")
        words = f"^'{path}' is damaged: record 300 is not what was written; move it away while nothing is open"
        for read in (log.read, lambda: log.read_raw(300, 301), lambda: list(log.follow(290, 0))):
            with pytest.raises(SegmentError, match=words):
                read()
        assert [r.sequence for r in log.read(0, 300)] == list(range(300))
        assert [r.sequence for r in log.read(301)] == list(range(301, 601))
        writer.note("note")  # it goes on for those that have read further
        assert log.read(601)[0].kind == "note"
    before = path.read_bytes()
    with pytest.raises(SegmentError, match=words):
        TradeLogWriter(tmp_path)
    assert path.read_bytes() == before


# ---- the ring, as far as no sender is needed


def test_ring_names_and_limits() -> None:
    name = random_name("ring")
    with CommandRing(name, 2) as ring, CommandRing.attach(name) as other:
        with pytest.raises(ShimError, match="exists already"):
            CommandRing(name)
        ring.insert(1, {"InstrumentID": "rb2601"})
        ring.action(2, {"OrderRef": "1"})
        with pytest.raises(ShimError, match="2 commands are waiting for the trader process already"):
            ring.insert(3, {})
        with pytest.raises(ConfigError, match="no field 'Price'"):
            ring.insert(3, {"Price": 1})
        assert (ring.waiting, other.waiting, ring.taker_pid) == (2, 2, 0)
    with pytest.raises(ConfigError, match="has been closed"):
        ring.insert(3, {})
    with pytest.raises(NotFoundError):
        CommandRing.attach(name)


def test_a_dead_strategys_ring_is_swept_away() -> None:
    from tickengine import _segments

    name = random_name("ring")
    process = FORK.Process(target=lambda: (CommandRing(name), os.kill(os.getpid(), signal.SIGKILL)))
    process.start()
    process.join()
    assert os.path.exists(ring_path(name))
    _segments._swept = False
    with CommandRing(random_name("ring")):
        assert not os.path.exists(ring_path(name))


def test_a_look_for_a_record_sees_it_and_after_the_end_nothing(tmp_path: Path) -> None:
    with TradeLogWriter(tmp_path) as writer, TradeLog.attach(tmp_path) as log:
        first = log.head
        assert log.has(first - 1) and not log.has(first)
        assert writer.note("note", "one more") == first
        assert log.has(first) and not log.has(first + 1)
    assert not log.has(0)
