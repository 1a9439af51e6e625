"""Framing, compression and layouts."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickengine.front import fields, wire
from tickengine.front.tickpackets import (
    PACKET_BYTES,
    TICKS_PER_PACKET,
    TickBuffer,
    encode_ticks,
    encoded_bytes,
    whole_ticks,
)

packets = st.builds(
    wire.Packet,
    st.integers(0, 255),
    st.binary(max_size=255),
    st.one_of(st.binary(max_size=300), st.just(b"x" * 4096)),
)


def _bytes(packet: wire.Packet) -> bytes:
    return wire.packet(packet.content, kind=packet.kind, extension=packet.extension)


def test_heartbeat_and_register_are_the_known_bytes() -> None:
    assert bytes.fromhex("000200000500") == wire.HEARTBEAT
    assert wire.register_packet(39) == bytes.fromhex("00060000070400000027")


@given(st.lists(packets, max_size=6), st.data())
def test_framer_finds_the_same_packets_however_the_stream_is_cut(sent: list[wire.Packet], data: st.DataObject) -> None:
    stream = b"".join(map(_bytes, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    framer = wire.Framer()
    found: list[wire.Packet] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += framer.feed(stream[begin:end])
    assert found == sent
    assert framer.pending_bytes == 0


def test_framer_takes_a_stream_byte_by_byte() -> None:
    stream = wire.HEARTBEAT + wire.message(wire.TID_LOGIN, [wire.field(1, b"abc")], rid=7) + wire.HEARTBEAT
    framer = wire.Framer()
    found = [packet for byte in stream for packet in framer.feed(bytes((byte,)))]
    assert [packet.kind for packet in found] == [0, 2, 0]


def test_framer_gives_the_packets_before_a_bad_length() -> None:
    framer = wire.Framer()
    with pytest.raises(wire.FrameError, match="4097") as caught:
        framer.feed(wire.HEARTBEAT + struct.pack(">BBH", 2, 0, 4097))
    assert len(caught.value.packets) == 1


@given(st.binary(max_size=2000))
def test_framer_holds_at_most_one_packet(noise: bytes) -> None:
    framer = wire.Framer()
    try:
        framer.feed(noise)
    except wire.FrameError:
        return
    assert framer.pending_bytes < 4 + 255 + wire.MAX_CONTENT_BYTES


def test_extensions_stop_at_a_value_that_does_not_fit() -> None:
    assert wire.extensions(bytes.fromhex("0500 0704000000ff 0909".replace(" ", ""))) == [
        (5, b""),
        (7, b"\0\0\0\xff"),
    ]


@given(st.lists(st.sampled_from([b"\0", b"\0" * 40, b"\xe0", b"\xef", b"\xe7", b"a", b"\xff"])).map(b"".join))
def test_compression_round_trip(data: bytes) -> None:
    packed = wire.compress_zeros(data)
    assert wire.expand_zeros(packed) == data
    assert b"\0" not in packed


@given(st.binary(max_size=1000))
def test_compression_round_trip_of_any_bytes(data: bytes) -> None:
    assert wire.expand_zeros(wire.compress_zeros(data)) == data


def test_compression_codes() -> None:
    assert wire.compress_zeros(b"\0" * 16 + b"\xe5") == b"\xef\xe1\xe0\xe5"


@pytest.mark.parametrize("bad", [b"a\xe0", b"\xef" * 600])
def test_bad_compression_is_refused(bad: bytes) -> None:
    with pytest.raises(wire.FrameError):
        wire.expand_zeros(bad)


@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=60)), max_size=10),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_message_round_trip(content: list[tuple[int, bytes]], rid: int, compress: bool) -> None:
    parts = [wire.field(fid, body) for fid, body in content]
    whole = wire.message(0x4401, parts, rid=rid, compress=compress, series=1, seq=9, chain=b"C")
    (packet,) = wire.Framer().feed(whole)
    message = wire.parse_message(packet.content)
    assert message == wire.Message(b"C", 1, 0x4401, 9, rid, content)


@given(st.binary(max_size=200))
def test_any_content_is_parsed_ignored_or_refused(content: bytes) -> None:
    try:
        wire.parse_message(content)
    except wire.FrameError:
        pass


@pytest.mark.parametrize("content", [b"", b"\x01", b"\x01\0\x0cL", b"\0" + bytes(40), b"\x02" + bytes(40)])
def test_short_and_foreign_messages_are_ignored(content: bytes) -> None:
    assert wire.parse_message(content) is None


def test_wrong_field_length_is_refused() -> None:
    whole = bytearray(wire.message(1, [wire.field(1, b"abcd")]))
    whole[4 + 17] += 1
    with pytest.raises(wire.FrameError, match="9 bytes of fields, 8 present"):
        wire.parse_message(bytes(whole[4:]))


def test_field_longer_than_the_message_drops_the_message() -> None:
    assert wire.parse_message(wire.message(1, [struct.pack(">HH", 1, 100) + b"abcd"])[4:]) is None


@pytest.mark.parametrize(
    ("fid", "size"), [(0x0000, 85), (0x1001, 6), (0x1002, 224), (0x1003, 152), (0x1004, 27), (0x2441, 31),
                      (0x0012, 354), (0x082A, 88)],
)  # fmt: skip
def test_layout_sizes(fid: int, size: int) -> None:
    assert fields.LAYOUTS[fid].itemsize == size


def test_tick_offsets() -> None:
    offsets = {name: fields.TICK.fields[name][1] for name in fields.TICK.names or ()}  # type: ignore[index]
    assert offsets["LastPrice"] == 80
    assert offsets["Volume"] == 136
    assert offsets["UpdateMillisec"] == 213
    assert [offsets[f"BidPrice{k}"] for k in range(1, 6)] == [217, 241, 265, 289, 313]
    assert offsets["AveragePrice"] == 337
    assert offsets["ActionDay"] == 345


def test_decode_pads_short_bodies_and_cuts_long_ones() -> None:
    assert fields.decode(0x0000, b"\0\0\0\x05") == {"ErrorID": 5, "ErrorMsg": b""}
    assert fields.decode(0x2441, b"rb2601\0junk".ljust(60, b"x")) == {"InstrumentID": b"rb2601"}


def test_error_texts_are_gb18030() -> None:
    assert fields.error_text(3).decode("gb18030") == "CTP:不合法的登录"
    assert len(fields.error_text(75)) <= 80


@given(st.integers(1, 40))
def test_ticks_are_packed_eleven_to_a_packet(count: int) -> None:
    ticks = np.zeros(count, fields.TICK)
    ticks["Volume"] = np.arange(count)
    data = bytes(encode_ticks(ticks))
    assert len(data) == encoded_bytes(count)
    found = wire.Framer().feed(data)
    messages = [wire.parse_message(packet.content) for packet in found]
    sizes = [len(message.fields) for message in messages if message is not None]
    assert sizes == [11] * (count // 11) + ([count % 11] if count % 11 else [])
    bodies = b"".join(body for message in messages if message for _, body in message.fields)
    assert bodies == ticks.tobytes()


def test_buffer_restores_a_packet_that_was_short() -> None:
    buffer = TickBuffer(22)
    assert len(buffer.data(5)) < PACKET_BYTES
    assert len(wire.Framer().feed(bytes(buffer.data(22)))) == 2


@given(st.integers(0, 40), st.integers(0, 20_000))
def test_whole_ticks_counts_complete_packets_only(ticks: int, sent: int) -> None:
    whole = whole_ticks(sent, ticks)
    assert encoded_bytes(whole) <= max(sent, 0)
    assert whole == ticks or whole % TICKS_PER_PACKET == 0
    assert whole == ticks or encoded_bytes(min(ticks, whole + TICKS_PER_PACKET)) > sent


@given(st.sampled_from(list(fields.LAYOUTS)), st.data())
def test_a_field_is_packed_and_read_as_numpy_has_it(fid: int, data: st.DataObject) -> None:
    layout = fields.LAYOUTS[fid]
    values, row = {}, np.zeros(1, layout)
    for name in data.draw(st.lists(st.sampled_from(layout.names), unique=True)):
        kind = layout[name]
        if kind.kind == "S":
            value: object = data.draw(st.binary(max_size=kind.itemsize + 2))
        elif kind.kind == "f":
            value = data.draw(st.floats(allow_nan=False))
        else:
            info = np.iinfo(kind)
            value = data.draw(st.integers(int(info.min), int(info.max)))
        values[name] = value
        row[name] = value
    packed = fields.encode(fid, values)
    assert packed == struct.pack(">HH", fid, layout.itemsize) + row.tobytes()
    read = fields.decode(fid, packed[4:])
    assert list(read) == list(layout.names)
    for name in layout.names:
        there = row[name][0].item()
        assert read[name] == (there.split(b"\0", 1)[0] if isinstance(there, bytes) else there)


def test_a_value_that_a_field_has_no_room_for_is_refused() -> None:
    with pytest.raises(ValueError, match="0x0000"):
        fields.encode(fields.FID_RSP_INFO, {"ErrorID": 2**31})
    with pytest.raises(ValueError, match="no member 'Error'"):
        fields.encode(fields.FID_RSP_INFO, {"Error": 1})
