"""docs/layout.md says what the code does: every table is compared with the structs it describes."""

from __future__ import annotations

import ctypes as ct
import json
import mmap
import os
import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from tickengine import TickLog
from tickengine._shim import lib, new_handle
from tickengine.trader.journal import TradeLogWriter
from tickengine.trader.records import KIND_NUMBERS, KINDS, Record
from tickengine.words import EVENT_NAMES

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "layout.md"
STRUCTS = (
    "LogHeader",
    "Record",
    "EventRecord",
    "InstrumentEntry",
    "ReaderSlot",
    "Progress",
    "LatencyTable",
    "QueueHeader",
    "QueueFilter",
    "TradeHeader",
    "TradeRecord",
    "RingHeader",
    "RingCommand",
)
SOURCES = [ROOT / "shim" / "src" / name for name in ("layout.hpp", "trade_layout.hpp")]
# The document's words for a type, and the shim's in tk_layout(): sizes in bits, sizes in bytes.
SHIM_TYPES = {
    "u64": "u8",
    "i64": "i8",
    "u32": "u4",
    "i32": "i4",
    "u16": "u2",
    "u8": "u1",
    "f64": "f8",
    "text": "S",
    "zeros": "S",
    "bytes": "S",
}
TYPE_SIZES = {"u64": 8, "i64": 8, "u32": 4, "i32": 4, "u16": 2, "u8": 1, "f64": 8, "Progress": 64, "LatencyTable": 1088}

Field = tuple[str, int, int, str]


def _section(heading: str) -> str:
    found = re.search(
        rf"^## {heading}$(.*?)(?=^## |\Z)", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found, f"docs/layout.md has no section '{heading}'"
    return found[1]


def documented(struct_name: str) -> list[Field]:
    """(field, offset, size, type) of a section's table; "atomic" is left out of the type."""
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| ([^|]+?) \|", _section(struct_name), re.MULTILINE)
    assert rows, f"docs/layout.md, section {struct_name}: no table of fields"
    return [(name, int(offset), int(size), kind.removeprefix("atomic ")) for name, offset, size, kind in rows]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, int]]:
    """Offset and size by "Struct.field", and "Struct": (0, sizeof), as the compiler sees layout.hpp."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if compiler is None or shutil.which(compiler) is None:
        pytest.skip("no C++ compiler")
    place = tmp_path_factory.mktemp("layout")
    lines = []
    for name in STRUCTS:
        lines.append(f'std::printf("{name} 0 %zu\\n", sizeof(tk::{name}));')
        lines += [
            f'std::printf("{name}.{field} %zu %zu\\n", offsetof(tk::{name}, {field}), sizeof(tk::{name}::{field}));'
            for field, *_ in documented(name)
        ]
    (place / "print.cpp").write_text(
        "".join(f'#include "{source.name}"\n' for source in SOURCES)
        + "#include <cstdio>\nint main() {\n"
        + "\n".join(lines)
        + "\n}\n"
    )
    command = [compiler, "-std=c++17", "-Wno-invalid-offsetof", "-I", str(ROOT / "shim" / "src")]
    subprocess.run([*command, str(place / "print.cpp"), "-o", str(place / "print")], check=True, timeout=100)
    out = subprocess.run([str(place / "print")], check=True, capture_output=True, text=True, timeout=20).stdout
    found = (line.split() for line in out.splitlines())
    return {name: (int(offset), int(size)) for name, offset, size in found}


@pytest.mark.parametrize(("name", "told"), [("Record", "layout"), ("TradeRecord", "tlog_layout")])
def test_record_is_what_the_shim_says_of_itself(name: str, told: str) -> None:
    shim = [line.split() for line in getattr(lib(), told)().decode().splitlines()]
    ours = [[name, str(offset), str(size), SHIM_TYPES[kind]] for name, offset, size, kind in documented(name)]
    assert ours == [[n, o, s, ours[i][3] if n.startswith("Reserved") else t] for i, (n, o, s, t) in enumerate(shim)]


@pytest.mark.parametrize("name", STRUCTS)
def test_offsets_and_sizes_are_the_compilers(name: str, compiled: dict[str, tuple[int, int]]) -> None:
    documented_fields = {f"{name}.{field}": (offset, size) for field, offset, size, _ in documented(name)}
    assert documented_fields == {key: compiled[key] for key in documented_fields}


@pytest.mark.parametrize("name", STRUCTS)
def test_types_have_their_sizes_and_fields_do_not_overlap(name: str) -> None:
    end = 0
    for field, offset, size, kind in documented(name):
        base, _, count = kind.partition("[")
        if base not in ("text", "zeros", "bytes"):
            assert size == TYPE_SIZES[base] * int(count.rstrip("]") or 1), f"{name}.{field}: {kind} of {size} bytes"
        assert offset >= end, f"{name}.{field} begins at {offset}, the one before ends at {end}"
        end = offset + size


@pytest.mark.parametrize("name", STRUCTS)
def test_no_member_of_a_struct_is_missing(name: str) -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    found = re.search(rf"^struct (?:alignas\(64\) )?{name} \{{(.*?)^\}};", source, re.MULTILINE | re.DOTALL)
    assert found, f"no struct {name} in {SOURCES}"
    body = re.sub(r"//[^\n]*", "", found[1])
    members = []
    for declaration in body.split(";"):
        words = re.sub(r"alignas\(64\)|\[[^\]]*\]", "", declaration).strip()
        if words:
            kind_and_first, *others = words.split(",")
            members += [kind_and_first.split()[-1], *(other.strip() for other in others)]
    assert members == [field for field, *_ in documented(name)]


def test_whole_sizes(compiled: dict[str, tuple[int, int]]) -> None:
    sizes = {name: compiled[name][1] for name in STRUCTS}
    assert sizes["Record"] == sizes["EventRecord"] == 448
    assert (sizes["ReaderSlot"], sizes["InstrumentEntry"]) == (1472, 320)
    assert (sizes["Progress"], sizes["LatencyTable"], sizes["QueueFilter"]) == (64, 1088, 96)
    assert sizes["TradeRecord"] == sizes["RingCommand"] == 1024
    assert sizes["TradeHeader"] <= 4096 and sizes["RingHeader"] <= 4096
    assert sizes["LogHeader"] <= 4096 and sizes["QueueHeader"] <= 512


def test_event_codes_are_those_of_the_package() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \|", _section("EventRecord"), re.MULTILINE)
    assert {int(code): name for code, name in rows} == EVENT_NAMES


def test_trade_kinds_are_those_of_the_package() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \|", _section("TradeRecord"), re.MULTILINE)
    assert {int(kind): name for kind, name in rows} == KINDS


def test_a_journal_can_be_read_with_the_document_alone(tmp_path: Path) -> None:
    with TradeLogWriter(tmp_path) as writer:
        order = {"InstrumentID": "rb2601", "LimitPrice": 3456.5, "VolumeTotalOriginal": 7}
        writer.append(Record(-1, "sending_order", 0, 0, client_id=9, data=dict(order), struct="InputOrder"))
        raw = (tmp_path / "trade.journal").read_bytes()
    layout = json.loads(lib().td_structs())["InputOrder"]
    header = {name: raw[offset : offset + size] for name, offset, size, _ in documented("TradeHeader")}
    assert header["Magic"] == b"TKTRADE\0" and header["LayoutVersion"] == b"\1\0\0\0"
    assert int.from_bytes(header["Head"], "little") == 2
    record = raw[4096 + 1024 : 4096 + 2048]
    field = {name: record[offset : offset + size] for name, offset, size, _ in documented("TradeRecord")}
    number = {name: int.from_bytes(value, "little") for name, value in field.items()}
    assert (number["Stamp"], number["Kind"], number["ClientID"]) == (2, KIND_NUMBERS["sending_order"], 9)
    assert (number["Struct"], number["Size"]) == (layout["number"], layout["size"])
    end = 192 + number["Size"]
    assert number["Crc"] == zlib.crc32(record[8:64] + record[68:end]) and not any(record[end:])
    found = {name: field["Payload"][offset : offset + size] for name, _, offset, size in layout["fields"]}
    assert found["InstrumentID"].rstrip(b"\0") == b"rb2601"
    assert struct.unpack("<d", found["LimitPrice"])[0] == 3456.5
    assert struct.unpack("<i", found["VolumeTotalOriginal"])[0] == 7


# ---- the document alone is enough to read a log ------------------------------------------------


class Plain:
    """A reader made of the document: its tables and its formulas, no shim. For a log at rest."""

    def __init__(self, path: bytes) -> None:
        with open(path, "rb") as f:
            self.memory = mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
        header = self.fields("LogHeader", 0)
        assert header["Magic"] == int.from_bytes(b"TKLOG\r\n\0", "little")
        shape = [
            header[n]
            for n in ("LayoutVersion", "HeaderSize", "RecordSize", "InstrumentSize", "ReaderSize", "ReaderSlots")
        ]
        assert shape == [4, 4096, 448, 320, 1472, 256]
        self.capacity, instruments = header["Capacity"], header["InstrumentCapacity"]
        offsets = [4096]
        for count, size in ((256, 1472), (instruments, 320), (instruments, 448), (self.capacity, 448)):
            offsets.append((offsets[-1] + count * size + 4095) // 4096 * 4096)
        names = ("ReadersOffset", "InstrumentsOffset", "SavedOffset", "RecordsOffset", "TotalSize")
        assert [header[n] for n in names] == offsets and len(self.memory) == offsets[-1]
        _, self.instruments, self.saved, self.records, _ = offsets

    def fields(self, name: str, at: int) -> dict[str, int | float | bytes]:
        codes = {"u64": "Q", "i64": "q", "u32": "I", "i32": "i", "u16": "H", "u8": "B", "f64": "d"}
        values: dict[str, int | float | bytes] = {}
        for field, offset, size, kind in documented(name):
            if kind in codes:
                values[field] = struct.unpack_from("<" + codes[kind], self.memory, at + offset)[0]
            else:
                values[field] = self.memory[at + offset : at + offset + size].split(b"\0", 1)[0]
        return values

    def head(self) -> int:
        return int(self.fields("LogHeader", 0)["Head"])

    def oldest(self) -> int:
        head = self.head()
        return 0 if head < self.capacity else head - self.capacity + 1

    def read(self, sequence: int) -> dict[str, int | float | bytes]:
        assert self.oldest() <= sequence < self.head()
        at = self.records + sequence % self.capacity * 448
        record = self.fields("Record", at)
        assert record["Stamp"] == sequence + 1
        return record if record["Kind"] == 0 else self.fields("EventRecord", at)

    def latest(self, instrument: bytes) -> dict[str, int | float | bytes]:
        for index in range(int(self.fields("LogHeader", 0)["InstrumentCount"])):
            entry = self.fields("InstrumentEntry", self.instruments + index * 320)
            if entry["InstrumentID"] == instrument:
                if int(entry["LatestStamp"]) - 1 >= self.oldest():
                    return self.read(int(entry["LatestStamp"]) - 1)
                assert entry["SavedStamp"] == entry["LatestStamp"]
                return self.fields("Record", self.saved + index * 448)
        raise KeyError(instrument)


def _depth(instrument: bytes, volume: int) -> bytes:
    """A DepthMarketData of the first layout."""
    raw = bytearray(408)
    for offset, text in ((0, b"20260105"), (9, instrument), (40, b"SHFE"), (208, b"09:30:00"), (392, b"20260105")):
        raw[offset : offset + len(text)] = text
    struct.pack_into("<d", raw, 80, 4000.0 + volume)
    struct.pack_into("<i", raw, 136, volume)
    return bytes(raw)


def test_a_log_can_be_read_with_the_document_alone() -> None:
    log = TickLog.create(f"layout-doc-{os.getpid()}", 8, 4)
    writer = new_handle()
    try:
        lib().writer_open(log.handle, True, ct.byref(writer))
        lib().writer_tick(writer, 1, _depth(b"au2602", 1))
        lib().writer_event(writer, 3, 4097, 0, 0, b"", 0, 0)
        for volume in range(10):
            lib().writer_tick(writer, 1, _depth(b"rb2601", volume))
        plain = Plain(log.path)
        assert (plain.head(), plain.oldest()) == (12, 5) == (log.head, log.oldest)
        records = [plain.read(s) for s in range(plain.oldest(), plain.head())]
        assert [r["Volume"] for r in records] == list(range(3, 10))
        assert [r["InstrumentNumber"] for r in records] == list(range(3, 10))
        assert [r["TickNumber"] for r in records] == list(range(4, 11))
        assert plain.latest(b"rb2601")["LastPrice"] == 4009.0
        assert plain.latest(b"au2602")["LastPrice"] == 4001.0  # long overwritten, from the saved table
        assert plain.latest(b"au2602")["ExchangeID"] == b"SHFE"
        lib().writer_event(writer, 3, 4097, 0, 0, b"words", 5, 0)
        event = plain.read(12)
        assert (event["Code"], event["Reason"], event["EventNumber"], event["Text"]) == (3, 4097, 1, b"words")
    finally:
        if writer:
            lib().writer_close(writer)
        log.end()
        log.unlink()
        log.close()
