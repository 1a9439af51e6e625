"""Structs to bytes and back: every field of every struct, and what is wrong with a field is named."""

from __future__ import annotations

import pickle
import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickengine import ConfigError
from tickengine.trader import records
from tickengine.trader.positions import exchange_of
from tickengine.trader.records import (
    Picked,
    Record,
    StructForm,
    decode,
    decode_struct,
    encode,
    encode_struct,
    record_dtype,
    struct_dtype,
    struct_fields,
    struct_names,
)


def filled(name: str) -> dict[str, Any]:
    """A value for each field that no neighbour has; texts as long as they may be."""
    dtype = struct_dtype(name)
    values: dict[str, Any] = {}
    for number, (field, kind) in enumerate(struct_fields(name).items(), 1):
        if kind == "double":
            values[field] = number + 0.25
        elif kind == "int":
            values[field] = -number
        else:
            letter = chr(ord("a") + number % 26)
            values[field] = letter if kind == "char" else letter * (dtype[field].itemsize - 1)
    return values


@pytest.mark.parametrize("name", struct_names())
def test_every_field_comes_back_alone_and_with_all_others(name: str) -> None:
    whole = filled(name)
    assert decode_struct(name, encode_struct(name, whole)) == whole
    empty = decode_struct(name, encode_struct(name, {}))
    assert not any(empty.values())
    for field, value in whole.items():
        assert decode_struct(name, encode_struct(name, {field: value})) == {**empty, field: value}


def test_texts_are_the_vendors_and_end_at_the_first_zero() -> None:
    raw = encode_struct("Order", {"StatusMsg": "报单已提交", "OrderRef": b"7"})
    at = struct_dtype("Order").fields["StatusMsg"][1]
    words = "报单已提交".encode("gb18030")
    assert raw[at : at + len(words)] == words
    after = bytearray(raw)
    after[at + len(words) + 1 : at + len(words) + 4] = b"old"
    assert decode_struct("Order", bytes(after)) == decode_struct("Order", raw)
    assert decode_struct("Order", raw)["StatusMsg"] == "报单已提交"


def test_more_texts_than_are_kept_are_all_read() -> None:
    most = records._Texts._MOST
    for number in range(most + 100):
        order = decode_struct("QryOrder", encode_struct("QryOrder", {"OrderSysID": str(number)}))
        assert order["OrderSysID"] == str(number)
        assert len(records._TEXTS) <= most


def test_a_struct_of_an_older_writer_is_filled_with_zeros() -> None:
    raw = bytearray(encode(Record(-1, "rtn_order", data={"StatusMsg": "x", "BrokerID": "9999"}, struct="Order")))
    at = struct_dtype("Order").fields["StatusMsg"][1]
    size = int(record_dtype().fields["Size"][1])
    raw[size : size + 2] = struct.pack("<H", at)  # as long as it was before that field
    data = decode(bytes(raw)).data
    assert data is not None
    assert (data["BrokerID"], data["StatusMsg"]) == ("9999", "")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"Volume": 1, "LimitPrice": 1.0, "Prize": 2}, "InputOrder has no field 'Volume', 'Prize'; it has BrokerID"),
        ({"LimitPrice": "3000"}, r"InputOrder.LimitPrice must be a number \(double\), not '3000'"),
        ({"VolumeTotalOriginal": 1.5}, r"InputOrder.VolumeTotalOriginal must be a number \(int\), not 1.5"),
        ({"VolumeTotalOriginal": 2**31}, "InputOrder.VolumeTotalOriginal must fit 32 bits"),
        ({"InstrumentID": 5}, "InputOrder.InstrumentID must be a text, not 5"),
        ({"BrokerID": "12345678901"}, "InputOrder.BrokerID must have at most 10 bytes"),
        ({"Direction": "00"}, "InputOrder.Direction must have at most 1 bytes"),
        ({"UserID": "a\0b"}, "InputOrder.UserID must have at most 15 bytes without NUL"),
        ({"UserID": "账" * 8}, "InputOrder.UserID must have at most 15 bytes"),
    ],
)
def test_what_is_wrong_with_a_field_is_named(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        encode_struct("InputOrder", values)


def test_exchange_of_what_is_known_is_the_same_at_each_look() -> None:
    assert [exchange_of("rb2605"), exchange_of("rb2605"), exchange_of("xx9999"), exchange_of("xx9999")] == [
        *("SHFE", "SHFE"),
        *("", ""),
    ]


def test_a_read_record_is_the_one_that_was_written_whoever_looks_at_it_first() -> None:
    written = Record(-1, "rtn_order", 5, 6, request_id=3, data=filled("Order"), struct="Order")
    for look in (
        lambda record: record.data,
        lambda record: (repr(record), record.data)[1],
        lambda record: pickle.loads(pickle.dumps(record)).data,
        lambda record: replace(record, sequence=8).data,
        lambda record: Picked("Order", "OrderRef").of(record) and record.data,
    ):
        read = decode(encode(written))
        assert look(read) == written.data
        assert read == written
        assert read.unread is None
    changed = replace(decode(encode(written)), data={"OrderRef": "8"})
    assert Picked("Order", "OrderRef").of(changed) == ("8",), "its own data, not the bytes it was made from"
    empty = decode(encode(Record(-1, "rtn_order", 5, 6, struct="Order")))
    assert empty.data is None and Picked("Order", "OrderRef").of(empty) is None
    with pytest.raises(AttributeError, match="no attribute 'date'"):
        print(read.date)


@given(st.lists(st.sampled_from(list(struct_fields("Order"))), min_size=1, unique=True))
def test_picked_fields_are_those_of_the_whole_struct(names: list[str]) -> None:
    made = Record(-1, "rtn_order", 5, 6, data=filled("Order"), struct="Order")
    picked = Picked("Order", *names)
    assert picked.of(made) == picked.of(decode(encode(made))) == tuple(made.data[name] for name in names)


@given(st.lists(st.tuples(st.floats(allow_nan=False), st.integers(-(2**31), 2**31 - 1)), min_size=1, max_size=5))
def test_a_form_makes_what_encoding_all_makes(numbers: list[tuple[float, int]]) -> None:
    texts = {"InstrumentID": "rb2601", "Direction": "0", "UserID": "账户"}
    form = StructForm("InputOrder", texts, "LimitPrice", "VolumeTotalOriginal")
    for price, volume in numbers:
        whole = {**texts, "LimitPrice": price, "VolumeTotalOriginal": volume}
        assert form.filled(price, volume) == encode_struct("InputOrder", whole)


def test_what_is_wrong_with_a_form_is_named() -> None:
    with pytest.raises(ConfigError, match="InputOrder.Direction must be a text, not 0"):
        StructForm("InputOrder", {"Direction": 0})
    form = StructForm("InputOrder", {"Direction": "0"}, "LimitPrice", "VolumeTotalOriginal")
    with pytest.raises(ConfigError, match="InputOrder.VolumeTotalOriginal must fit 32 bits"):
        form.filled(1.0, 2**31)
    with pytest.raises(ConfigError, match="InputOrder.LimitPrice must be a number"):
        form.filled("1", 2)  # type: ignore[arg-type]
    assert form.filled(1.0, 2) == encode_struct(
        "InputOrder", {"Direction": "0", "LimitPrice": 1.0, "VolumeTotalOriginal": 2}
    )


def test_more_texts_than_are_kept_are_all_encoded() -> None:
    most = records._Texts._MOST
    for number in range(most + 100):
        raw = encode_struct("QryOrder", {"OrderSysID": str(number)})
        if number % 1000 == 0:
            assert decode_struct("QryOrder", raw)["OrderSysID"] == str(number)
        assert len(records._ENCODED) <= most
    with pytest.raises(ConfigError, match="at most 10 bytes"):  # though it fits another field, and is kept for it
        encode_struct("InputOrder", {"OrderRef": "12345678901", "BrokerID": "12345678901"})
