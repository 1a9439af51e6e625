"""The record in Python is the record in C++, and a tick behaves as AlgoPlus's and as a Python object."""

from __future__ import annotations

import copy
import io
import pickle
import pickletools

import numpy as np
import pytest
from writing import Feed

from tickengine import TICK_DTYPE, Event, Tick
from tickengine._shim import lib
from tickengine.tick import MESSAGE_PREFIX, MESSAGE_SIZE, MESSAGE_SUFFIX, RECORD_FIELDS, VENDOR_FIELDS, from_message


def test_dtype_and_structure_are_what_the_shim_says() -> None:
    lines = [line.split() for line in lib().layout().decode().splitlines()]
    assert [line[0] for line in lines] == [name for name, _ in RECORD_FIELDS]
    for name, offset, size, kind in lines:
        field, at = TICK_DTYPE.fields[name][:2]  # type: ignore[index]
        assert (at, field.itemsize) == (int(offset), int(size)), name
        assert field.str.lstrip("<|").startswith(kind if kind != "S" else "S"), name
        member = getattr(Tick, name if hasattr(Tick, name) and "_" + name not in dir(Tick) else "_" + name)
        assert (member.offset, member.size) == (int(offset), int(size)), name


def test_vendor_fields_have_the_vendors_order() -> None:
    assert VENDOR_FIELDS[:5] == ("TradingDay", "InstrumentID", "ExchangeID", "ExchangeInstID", "LastPrice")
    assert VENDOR_FIELDS[22:26] == ("BidPrice1", "BidVolume1", "AskPrice1", "AskVolume1")
    assert len(VENDOR_FIELDS) == 46


def test_attributes_are_str_and_mapping_is_bytes(feed: Feed) -> None:
    feed.tick("rb2601", LastPrice=3150.5, OpenPrice=1.7976931348623157e308, Volume=7, ExchangeInstID=b"RB2601X")
    tick = feed.queue().get()
    assert (tick.InstrumentID, tick["InstrumentID"]) == ("rb2601", b"rb2601")
    assert (tick.ExchangeInstID, tick["ExchangeInstID"]) == ("RB2601X", b"RB2601X")
    assert (tick.LastPrice, tick["LastPrice"], tick.Volume) == (3150.5, 3150.5, 7)
    assert np.isnan(tick.OpenPrice)
    assert tuple(tick.to_dict()) == VENDOR_FIELDS == tuple(tick.keys()) == tuple(tick)
    assert repr(tick.to_dict()) == repr({name: tick[name] for name in tick})
    with pytest.raises(KeyError):
        tick["Sequence"]


def test_every_field_of_the_dict_is_the_records_own() -> None:
    tick = Tick()
    for number, (name, kind) in enumerate(RECORD_FIELDS, 1):
        if kind[0] == "S":
            setattr(tick, "_" + name if name != "Reserved1" else name, b"%d" % number)
        else:
            setattr(tick, name, number)
    values = tick.to_dict()
    numbers = {name: number for number, (name, _) in enumerate(RECORD_FIELDS, 1)}
    assert {name: int(value) for name, value in values.items() if value} == {
        name: numbers[name] for name in VENDOR_FIELDS if name != "ExchangeInstID"
    }
    assert values["ExchangeInstID"] == b""
    again = tick.to_dict()
    again["LastPrice"] = None
    assert tick.to_dict() == values  # each call gives a dict of the caller's own


def test_a_tick_survives_pickling_copying_and_comparing(feed: Feed) -> None:
    feed.tick("rb2601", ExchangeInstID=b"other")
    tick = feed.queue().get()
    for twin in (pickle.loads(pickle.dumps(tick)), copy.copy(tick), copy.deepcopy(tick)):
        assert twin == tick
        assert hash(twin) == hash(tick)
        assert twin.ExchangeInstID == "other"
    assert tick != "something else"
    assert "rb2601" in repr(tick)


def test_a_fifo_message_is_a_pickle_of_a_tick(feed: Feed) -> None:
    feed.tick("rb2601", LastPrice=5.0)
    tick = feed.queue().get()
    message = MESSAGE_PREFIX + bytes(tick) + b"inst-id".ljust(88, b"\0") + MESSAGE_SUFFIX
    assert len(message) == MESSAGE_SIZE
    pickletools.dis(message, out=io.StringIO())  # every opcode is valid and the stack ends empty
    loaded = pickle.loads(message)
    assert (loaded, loaded.ExchangeInstID) == (tick, "inst-id")
    assert from_message(bytes(tick)).ExchangeInstID == ""


def test_a_tick_from_a_queue_stays_what_it_was_while_it_is_referenced(feed: Feed) -> None:
    queue = feed.queue()
    kept = []
    for n in range(2000):
        feed.tick("rb2601", Volume=n)
        tick = queue.get()
        if n % 7 == 0:
            kept.append(tick)
    assert [t.Volume for t in kept] == list(range(0, 2000, 7))


def test_an_event_has_words_in_two_languages(feed: Feed) -> None:
    queue = feed.queue(events=True)
    feed.event("front_disconnected", reason=0x1001)
    feed.event("login_refused", error_id=3, text="CTP:不合法的登录".encode("gb18030"), encoding=1)
    disconnected, refused = queue.get(), queue.get()
    assert isinstance(disconnected, Event)
    assert (disconnected.name, disconnected.Reason) == ("front_disconnected", 4097)
    assert "4097 (0x1001)" in disconnected.words
    assert "网络读失败" in disconnected.words_zh
    assert "INVALID_LOGIN" in refused.words
    assert "不合法的登录" in refused.words
    assert pickle.loads(pickle.dumps(refused)).words == refused.words


@pytest.mark.parametrize("reason", [4097, 4098, 8193, 8194, 8195, 40961])
def test_every_disconnect_reason_has_words(reason: int) -> None:
    from tickengine.words import disconnect_reason

    assert "unknown" not in disconnect_reason(reason)
    assert "未知" not in disconnect_reason(reason, "zh")
    assert "unknown" in disconnect_reason(1)
