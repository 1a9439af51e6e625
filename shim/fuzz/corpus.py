"""Writes the seeds: one input per thing that a format can say, so that the fuzzer begins behind every door.

    python shim/fuzz/corpus.py

Files called ``seed-*`` are written anew; the others were found by runs (or found a fault) and stay.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"

# ---- ftd: what a front sends ---------------------------------------------------------------------

TICK = b"20260105\0" + b"rb2601".ljust(31, b"\0") + b"SHFE".ljust(9, b"\0") + b"rb2601".ljust(31, b"\0")
TICK += struct.pack(">7d", *range(1, 8)) + struct.pack(">i8d", 9, *range(8))
TICK += b"09:30:00\0" + struct.pack(">i", 500) + struct.pack(">didi", 1, 2, 3, 4) * 5
TICK += struct.pack(">d", 5) + b"20260105\0"
INFO = struct.pack(">i", 0) + b"ok".ljust(81, b"\0")
LOGIN = b"20260105\0" + b"09:00:00\0" + b"9999".ljust(11, b"\0") + b"user".ljust(16, b"\0") + bytes(41)
LOGIN += struct.pack(">ii", 1, 2) + b"1".ljust(13, b"\0") + b"09:00:00\0" * 5
RAW, DESCRIBED, NO_NUL, BYTEWISE, IN_THREES, WHOLE = 0, 1, 2, 0, 4, 12


def message(tid: int, *fields: tuple[int, bytes], series: int = 0, seq: int = 0, chain: bytes = b"L") -> bytes:
    body = b"".join(struct.pack(">HH", fid, len(data)) + data for fid, data in fields)
    head = struct.pack(">BBBcHIIHHI", 1, 0, 12, chain, series, tid, seq, len(fields), len(body), 7)
    return struct.pack(">BBH", 2, 0, len(head + body)) + head + body


def packed(whole: bytes) -> bytes:
    content = whole[4:6].replace(b"\1\0", b"\1\3") + b"\x0cL\xe1\xe0\xe5\xef\xef\xe2"
    return struct.pack(">BBH", 2, 0, len(content)) + content


def ftd() -> Iterator[tuple[str, bytes]]:
    name = (0x2439, b"rb2601".ljust(31, b"\0") + b"09:30:01\0" + struct.pack(">i", 0) + b"20260105\0")
    price = (0x2433, struct.pack(">didd", 4000, 5, 1e6, 2))
    full = message(0xF101, (0x0012, TICK), (0x0012, TICK[:100]))
    heartbeat = b"\0\2\0\0\5\0"
    streams = {
        "beats": heartbeat + b"\0\6\0\0\7\4\0\0\0\x27" + b"\0\3\0\0\7\4\0" + heartbeat,
        "login": message(0x3001, (0, INFO), (0x1003, LOGIN)) + message(0x3003, (0x1004, LOGIN[18:45])),
        "login-counted": message(0x3001, (0x1003, LOGIN), series=1, seq=1),
        "wrong-number": message(0x3001, series=1, seq=5) + full,
        "ticks": full * 2,
        "merged": full + message(0xF103, price, name) + message(0xF103, name, price, name) + message(0xF103, price),
        "subscribed": message(0x4402, (0, INFO), (0x2441, b"rb2601"), (0x2441, b"x" * 40), chain=b"C")
        + message(0x4404) + message(0x440A, (0x2441, b"")) + message(0x440C, (0x2441, b"IF2512")),
        "quote": message(0xF018, (0x082A, TICK[:88])),
        "error": message(1, (0, INFO)) + message(1),
        "packed": packed(message(0x3001)),
        "packed-cut": packed(message(0x3001))[:-1] + b"\xe0",
        "too-long": heartbeat + b"\2\0\x10\1" + bytes(40),
        "extension-of-one": b"\0\1\0\0\5",
        "field-too-long": message(0xF101)[:-2] + b"\0\4\0\0\0\7\0\x12\xff\xff",
    }  # fmt: skip
    for title, stream in streams.items():
        yield title, bytes([RAW | WHOLE]) + stream
    for piece in (BYTEWISE, IN_THREES):
        yield f"pieces-{piece}", bytes([RAW | piece | NO_NUL]) + streams["merged"][:900]
    for kind in range(10):
        fields = b"".join(bytes([which, 40, 3]) + b"rb2" for which in range(13))
        yield f"described-{kind}", bytes([DESCRIBED | WHOLE | NO_NUL]) + bytes([kind, 0, 13]) + fields
    many = b"".join(bytes([9, 0, 1, 14, 44, 44]) + f"i{n}".encode().ljust(44, b"\0") for n in range(40))
    yield "many-instruments", bytes([DESCRIBED | WHOLE]) + many


# ---- trader: what a trading front sends ----------------------------------------------------------

VERSIONS = {"6.3.6": 1, "6.5.1": 6, "6.7.11": 18, "6.7.13": 19}  # numbers of shim/compat/trader/versions.hpp
POISON, PRIVATE, PUBLIC, ALL_AT_ONCE = 2, 4, 8, 48
ANSWERS = 17  # of shim/compat/trader/messages.hpp


def trader() -> Iterator[tuple[str, bytes]]:
    words = (0, struct.pack(">i", 26) + b"words".ljust(81, b"\0"))
    order, trade = (0x0401, b"9999".ljust(635, b"\0")), (0x0409, b"9999".ljust(312, b"\0"))
    enter = message(0x3011, (0, INFO), (0x1012, bytes(171))) + message(0x3001, (0, INFO), (0x1003, LOGIN))
    notice = message(0xF102, (0x1001, b"\0\2" + bytes(4)), (0x1001, b"\0\3\0\0\0\2"))
    streams = {
        "session": enter + notice + message(0x4014, (0, INFO), (0x040F, bytes(42)))
        + message(0xF001, order, order, series=2, seq=1) + message(0xF002, trade, series=2, seq=2)
        + message(0xF104, (0x2442, bytes(95)), series=3, seq=3),
        "refused": enter + message(0x4001, words, (0x0400, bytes(261))) + message(0x4007, words, (0x0404, bytes(197)))
        + message(0xF003, words, (0x0400, bytes(261)), series=2, seq=1) + message(0xF004, (0x0405, bytes(400)), words),
        "queries": message(0x8001, order, order, series=4, seq=1, chain=b"C") + message(0x8001, series=4, seq=2)
        + message(0x8003, trade) + message(0x8005, (0x000D, bytes(303))) + message(0x8007, (0x000C, bytes(369)))
        + message(0x802F, (0x0003, bytes(278))) + message(0x8031, (0x0012, TICK)),
        "wrong-number": notice + message(0xF001, order, series=2, seq=7) + message(1, words),
        "other-day": enter + message(0x3001, (0, INFO), (0x1003, b"20260106" + LOGIN[8:])),
        "short": message(0xF001, (0x0401, b"99")) + message(0xF102, (0x1001, b"\0\2")) + message(0xF002, (0x0409, b"")),
    }  # fmt: skip
    for place, (title, stream) in enumerate(streams.items()):
        for version in list(VERSIONS.values())[place % 2 :: 2]:
            yield f"{title}-{version}", bytes([version, PRIVATE | PUBLIC | ALL_AT_ONCE | POISON * (place % 2)]) + stream
    for kind in range(ANSWERS):
        fields = b"".join(struct.pack(">BHHB", which, 9, 700, 3) + b"rb2" for which in range(4))
        shape = (kind % 5) << 1
        described = bytes([kind, shape]) + bytes(4) + bytes([4]) + fields
        yield f"described-{kind}", bytes([kind, DESCRIBED | PRIVATE | ALL_AT_ONCE]) + described


# ---- segment: what may stand in the files of a log and of a queue --------------------------------

HEADER, READERS, INSTRUMENTS, SAVED, RECORDS, QUEUE, FILTERS, SIZES = range(8)
BEFORE, BEHIND, UNDER = range(3)
POINTS = 25  # of turning_point() in segment.cpp


def change(region: int, offset: int, value: int, width: int = 8, index: int = 0, when: int = BEFORE) -> bytes:
    what = region | when << 3 | (width.bit_length() - 1) << 5
    return struct.pack("<BBH", what, index, offset) + (value & (1 << 8 * width) - 1).to_bytes(width, "little")


def pair(number: int, *changes: bytes, then: int = 0) -> bytes:
    return bytes([number, len(changes)]) + b"".join(changes) + bytes([then])


WILD = {"most": -1, "half": 1 << 63, "near": -60, "large": 1 << 40, "one": 1}
# name: region, offset, width
WORDS = {
    "capacity": (HEADER, 32, 8), "instrument-capacity": (HEADER, 40, 8), "records-offset": (HEADER, 88, 8),
    "instruments": (HEADER, 216, 4), "head": (HEADER, 256, 8), "ticks": (HEADER, 264, 8),
    "status-version": (HEADER, 448, 4), "status-length": (HEADER, 452, 4), "name": (HEADER, 184, 8),
    "place": (READERS, 0, 8), "first-numbers": (READERS, 40, 8), "cursor": (READERS, 128, 8),
    "batch-first": (READERS, 160, 8), "batch-count": (READERS, 168, 8), "handed": (READERS, 280, 8),
    "primary": (INSTRUMENTS, 172, 4), "latest": (INSTRUMENTS, 192, 8), "saved-stamp": (INSTRUMENTS, 200, 8),
    "record-stamp": (RECORDS, 0, 8), "record-instrument": (RECORDS, 16, 4), "record-number": (RECORDS, 88, 8),
    "record-time": (RECORDS, 72, 8),
    "filter-count": (QUEUE, 16, 4), "start": (QUEUE, 40, 8), "bind-version": (QUEUE, 128, 4), "slot": (QUEUE, 132, 4),
    "log-id": (QUEUE, 144, 8), "queue-name": (QUEUE, 112, 8), "filter-end": (FILTERS, 80, 8),
    "expected": (FILTERS, 88, 8),
}  # fmt: skip


def segment() -> Iterator[tuple[str, bytes]]:
    for number in range(5):
        yield f"sound-{number}", pair(number, then=0)
        yield f"then-{number}", pair(number, then=0b111010 + number)
    for place, (title, (region, offset, width)) in enumerate(WORDS.items()):
        for when, wild in ((BEFORE, "most"), (BEHIND, "near"), (UNDER, "half")):
            # In every pair of files in turn, so that the whole is not five times as large.
            yield f"{title}-{when}", pair((place + when) % 5, change(region, offset, WILD[wild], width, 0, when))
    yield "head-and-cursor", pair(0, change(HEADER, 256, -2), change(READERS, 128, -20))
    yield "empty-log", pair(0, change(SIZES, 0, 0, 4))
    yield "short-log", pair(1, change(SIZES, 0, 4096, 4))
    yield "short-queue", pair(1, change(SIZES, 0, 512, 4, index=1))
    yield "no-magic", pair(2, change(HEADER, 0, 0), change(QUEUE, 0, 0))
    yield "points", pair(3, *(bytes([HEADER | 0x80 | 3 << 5, 0, 0, 1, point]) for point in range(15)))


# ---- depth: the vendor's market data -------------------------------------------------------------


def depth() -> Iterator[tuple[str, bytes]]:
    for layout in range(3):
        for how in range(4):
            ticks = b"".join(bytes([layout | 0x40 * (n % 2), n * 37 & 255, n * 91 & 255, 0]) for n in range(12))
            yield f"layout-{layout}-{how}", bytes([how]) + ticks
    widest = struct.pack("<d", 1.7976931348623157e308)
    prices = b"".join(struct.pack("<HB", at, 7) + widest for at in (80, 224, 336))
    yield "no-prices", bytes([3, 2, 0, 0, 3]) + prices
    yield (
        "no-end",
        bytes([3, 2, 0, 0, 4]) + b"".join(struct.pack("<HB", at, 7) + b"A" * 8 for at in (40, 208, 392, 216)),
    )
    yield (
        "far-away",
        bytes([3])
        + b"".join(bytes([0x82]) + struct.pack("<i", s) + bytes([8, 1, 0]) for s in (-(1 << 31), (1 << 31) - 1, 0)),
    )
    yield "writers", bytes([2]) + bytes([0x52, 0, 1, 0, 0x32, 1, 2, 0, 0x12, 9, 3, 0]) * 3
    yield "full-table", bytes([0]) + b"".join(bytes([2, 0, n, 0]) for n in range(4))
    yield (
        "thirty-two",
        bytes([2, 2, 0, 0, 5]) + b"".join(struct.pack("<HB", at, 7) + b"ABCDEFGH" for at in range(401, 441, 8)),
    )


# ---- the others ----------------------------------------------------------------------------------


def callbacks() -> Iterator[tuple[str, bytes]]:
    filled = b"A\0"  # every byte 'A', nothing changed
    some = b"\1\2" + struct.pack("<HB", 0, 7) + b"20260105" + struct.pack("<HB", 4, 15) + b"\0" * 16
    for version in range(12):
        calls = b"".join(bytes([callback, 1]) + filled * 2 for callback in range(13))
        yield f"filled-{version}", bytes([version]) + calls
    yield "some", b"\0" + b"".join(bytes([callback, 2]) + some * 2 for callback in range(13))
    yield "nothing", b"\0" + b"".join(bytes([callback, 3, 0, 0]) for callback in range(13))


def rules() -> Iterator[tuple[str, bytes]]:
    def name(text: bytes) -> bytes:
        return bytes([len(text)]) + text + b"\0"  # one more than its number, which counts from one

    rb = name(b"rb") + name(b"SHFE") + b"\4\x36\x3c\x3f\x45\x51\x5a\x7e\x90" + b"\1\x35\x36"
    other = name(b"RB") + name(b"DCE") + b"\0\0"
    days = bytes([3, 5, 6, 7]) + bytes([0, 30])
    yield "one", b"\1" + rb + days + b"rb2601".ljust(80, b"\0") + b"20260105".ljust(80, b"\0")
    yield "two", b"\2" + rb + other + days + b"Rb2601".ljust(80, b"\0") + b"SP rb2601&rb2605".ljust(80, b"\0")
    yield "too-many-hours", b"\1" + name(b"rb") + name(b"SHFE") + b"\xff\xff\xff\xff\xff" + bytes(20)
    yield "no-end", b"\1" + b"\x0b" + b"A" * 12 + b"\x0b" + b"B" * 12
    yield "wild-hours", b"\1" + name(b"rb") + name(b"SHFE") + b"\1\xff\xff\xff\xff\xff\xff\0\0\0\x80"
    yield "wild-days", b"\0\2\xff\xff\xff\xff\x7f\xff\0\0\0\x80\1\2"
    yield (
        "covered",
        b"\0\0\xff"
        + struct.pack("<i", 19900101)
        + b"\xff"
        + struct.pack("<i", 20991231)
        + b"20991231".ljust(80, b"\0"),
    )


def text() -> Iterator[tuple[str, bytes]]:
    versions = [
        "v6.3.15_P2_20190328 14:06:16",
        "6.7.11",
        "v6.6.9_CP_20220920",
        "V6.7.2_T1_SM",
        "v1.0.0",
        "6.99999999999.1",
        "v6.3.6_P",
        "x",
    ]
    for n, version in enumerate(versions):
        yield f"version-{n}", bytes([0, (0x80 if n % 2 else 0) | 14 + n % 3]) + version.encode()
    for n, address in enumerate(
        ["tcp://127.0.0.1:41213", " tcp://[::1]:1/", "tcp://h:65536", "udp://h:1", "tcp://:1", "tcp://h:"]
    ):
        yield f"address-{n}", b"\1\0" + address.encode()
    for n, words in enumerate(
        ["null-login,no-nul", "abort-after=3 poison", "abort-after=", "slow-release-ms=99999999999", "nothing"]
    ):
        yield f"faults-{n}", b"\2\0" + words.encode()


# ---- journal: what may stand in a trade journal ---------------------------------------------------

J_HEADER, J_RECORD, J_SIZE = range(3)
J_POINTS = 24  # of turning_point() in journal.cpp


def change_of(region: int, offset: int, value: int, width: int = 8, index: int = 0, when: int = BEFORE) -> bytes:
    what = region | when << 2 | (width.bit_length() - 1) << 5
    return struct.pack("<BBH", what, index, offset) + (value & (1 << 8 * width) - 1).to_bytes(width, "little")


def journal() -> Iterator[tuple[str, bytes]]:
    for number in range(3):
        yield f"sound-{number}", bytes([number, 0])
    words = {"head": 128, "capacity": 72, "room": 80, "writer": 64, "magic": 0, "version": 8, "epoch": 96}
    for place, (title, offset) in enumerate(words.items()):
        for when in (BEFORE, BEHIND, UNDER):
            wild = ((1 << 54) + 3, -1, 0)[(place + when) % 3]
            yield f"{title}-{when}", bytes([place % 3, 1]) + change_of(J_HEADER, offset, wild, 8, 0, when)
    for place, offset in enumerate((0, 8, 24, 56, 64, 150, 192)):
        for index in (1, 8):  # in between, and the last
            one = change_of(J_RECORD, offset, -1, 1, index, (BEFORE, UNDER)[place % 2])
            yield f"record-{offset}-{index}", bytes([0, 1]) + one
    yield "head-lags", bytes([2, 2]) + change_of(J_HEADER, 128, 3) + change_of(J_RECORD, 0, 0, 8, 20)
    for size in (0, 4095, 4096, 4096 + 1500, 100_000):
        yield f"size-{size}", bytes([0, 1, J_SIZE]) + size.to_bytes(4, "little")
    for first in range(0, J_POINTS, 8):
        points = b"".join(
            bytes([J_HEADER | 0x80 | 3 << 5 | point % 3 << 2, 0, 128, 0, point]) for point in range(first, first + 8)
        )
        yield f"points-{first}", bytes([0, 8]) + points


def td_callbacks() -> Iterator[tuple[str, bytes]]:
    filled, number = b"A\0", b"\1"  # every byte 'A', nothing changed
    some = b"\1\2" + struct.pack("<HB", 0, 7) + b"20260105" + struct.pack("<HB", 80, 15) + b"\0" * 16
    for version in range(0, 24, 2):
        calls = b"".join(bytes([callback]) + number + filled * 2 for callback in range(22))
        yield f"filled-{version}", bytes([version]) + calls
    for version in (1, 23):
        yield f"some-{version}", bytes([version]) + b"".join(bytes([c, 2]) + some * 2 for c in range(22))
    yield "nothing", b"\0" + b"".join(bytes([callback, 3, 0, 0]) for callback in range(22))


def main() -> None:
    for make in (ftd, trader, segment, depth, callbacks, rules, text, journal, td_callbacks):
        folder = CORPUS / make.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("seed-*"):
            old.unlink()
        for title, data in make():
            (folder / f"seed-{title}").write_bytes(data)


if __name__ == "__main__":
    main()
