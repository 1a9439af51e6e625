"""The bytes of a recording's header, and the names of its files. ``docs/recording.md`` describes them.

A recording of one trading day is two files: ``20260105.ticks``, a header of 4096 bytes and then the log's own
records of 448 bytes, ticks only; and ``20260105.notes``, a line of JSON for each thing that is worth knowing
about them. This module knows bytes; who reads and writes them is `recording` and `segment`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import struct
import zlib

from .._errors import RecordingError
from ..tick import RECORD_FIELDS, RECORD_SIZE

HEADER_SIZE = 4096
FORMAT_VERSION = 1
MAGIC = b"TKREC\r\n\0"
TICKS_SUFFIX, NOTES_SUFFIX = ".ticks", ".notes"

_BYTE_ORDER = 0x01020304
_FIXED = struct.Struct("<8sIIIIqQ16s64sII")  # magic, version, header, record, byte order, created, unique id, ...
_LAYOUT_AT = 128
_CRC_AT = HEADER_SIZE - 4
_DAY = re.compile(r"\d{8}")

LAYOUT_TEXT = json.dumps(RECORD_FIELDS, separators=(",", ":")).encode()

assert _FIXED.size == _LAYOUT_AT and len(LAYOUT_TEXT) <= _CRC_AT - _LAYOUT_AT


@dataclasses.dataclass(frozen=True)
class Header:
    """What stands in front of the records.

    Attributes:
        trading_day: YYYYMMDD.
        log_name, unique_id: the log that the first tick came from.
        created: when the file was made, ns since 1970, UTC.
    """

    trading_day: str
    log_name: str
    unique_id: int
    created: int

    def pack(self) -> bytes:
        fixed = _FIXED.pack(
            MAGIC,
            FORMAT_VERSION,
            HEADER_SIZE,
            RECORD_SIZE,
            _BYTE_ORDER,
            self.created,
            self.unique_id,
            self.trading_day.encode("ascii"),
            self.log_name.encode(),
            len(LAYOUT_TEXT),
            0,
        )
        head = (fixed + LAYOUT_TEXT).ljust(_CRC_AT, b"\0")
        return head + struct.pack("<I", zlib.crc32(head))


def parse_header(raw: bytes, path: str) -> Header:
    """The header in the first bytes of the file at *path*.

    Raises:
        RecordingError: it is no recording, a damaged one, or one of another version.
    """
    if raw[: len(MAGIC)] != MAGIC:
        raise damaged(path, "is no recording (its first bytes are not those of a .ticks file)")
    if len(raw) < HEADER_SIZE:
        raise damaged(path, f"ends in its header, after {len(raw)} bytes: it holds no tick")
    values = _FIXED.unpack_from(raw)
    _, version, header_size, record_size, byte_order, created, unique_id, day, name, layout_size, _ = values
    if byte_order != _BYTE_ORDER:
        raise damaged(path, "was written in another byte order")
    if version != FORMAT_VERSION:
        raise damaged(path, f"has format version {version}, this tickengine reads {FORMAT_VERSION}")
    if zlib.crc32(raw[:_CRC_AT]) != struct.unpack_from("<I", raw, _CRC_AT)[0]:
        raise damaged(path, "has a damaged header (its checksum is wrong)")
    layout = raw[_LAYOUT_AT : _LAYOUT_AT + layout_size]
    if (header_size, record_size, layout) != (HEADER_SIZE, RECORD_SIZE, LAYOUT_TEXT):
        raise damaged(path, "holds records of another layout than this tickengine's")
    trading_day = day.rstrip(b"\0").decode("ascii", "replace")
    if not _DAY.fullmatch(trading_day):
        raise damaged(path, f"has {trading_day!r} for a trading day")
    return Header(trading_day, name.rstrip(b"\0").decode("utf-8", "replace"), unique_id, created)


def damaged(path: str, why: str) -> RecordingError:
    return RecordingError(f"{path!r} {why}")


def ticks_path(directory: str, trading_day: str) -> str:
    return os.path.join(directory, trading_day + TICKS_SUFFIX)


def notes_path(path: str) -> str:
    """The notes that belong to the ``.ticks`` file at *path*."""
    return path.removesuffix(TICKS_SUFFIX) + NOTES_SUFFIX


def recorded_days(directory: str) -> list[str]:
    """The trading days that have a file in *directory*, oldest first."""
    stems = (entry.removesuffix(TICKS_SUFFIX) for entry in os.listdir(directory) if entry.endswith(TICKS_SUFFIX))
    return sorted(stem for stem in stems if _DAY.fullmatch(stem))
