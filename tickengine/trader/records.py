"""What a journal record says: its fields, and the vendor's struct in it by the vendor's own names."""

from __future__ import annotations

import functools
import json
import struct as packing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import ConfigError
from .._shim import lib

RECORD_SIZE = 1024
PAYLOAD_OFFSET = 192
PAYLOAD_SIZE = 832
ERROR_MSG_SIZE = 81

KINDS: dict[int, str] = {
    1: "epoch_started",
    2: "front_connected",
    3: "front_disconnected",
    4: "heartbeat_warning",
    5: "rsp_authenticate",
    6: "rsp_user_login",
    7: "rsp_user_logout",
    8: "rsp_settlement_confirm",
    9: "rsp_error",
    20: "sending_order",
    21: "sent_order",
    22: "order_not_sent",
    23: "sending_action",
    24: "sent_action",
    25: "action_not_sent",
    30: "rsp_order_insert",
    31: "err_rtn_order_insert",
    32: "rtn_order",
    33: "rtn_trade",
    34: "rsp_order_action",
    35: "err_rtn_order_action",
    36: "rtn_instrument_status",
    37: "rtn_private_seq_no",
    40: "qry_order",
    41: "qry_trade",
    42: "qry_position",
    43: "qry_account",
    44: "qry_other",
    50: "session_state",
    51: "reconcile_began",
    52: "reconcile_done",
    53: "note",
}
KIND_NUMBERS: dict[str, int] = {name: number for number, name in KINDS.items()}
_OUR_WORDS = frozenset({22, 25, 50, 51, 52, 53})  # ErrorMsg in UTF-8; the others' is the vendor's GB18030
Value = str | int | float


@dataclass(slots=True)
class Record:
    """One record of the journal. It is not changed."""

    sequence: int
    """Its place in the journal, from 0; -1 for an answer that is not kept there."""
    kind: str
    recv_time: int = 0
    """Nanoseconds since 1970, UTC."""
    recv_monotonic: int = 0
    epoch: int = 0
    request_id: int = 0
    is_last: bool = False
    error_id: int = 0
    """Of the answer's RspInfo; 0 also when there was none."""
    error_msg: str = ""
    reason: int = 0
    client_id: int = 0
    value: int = 0
    data: dict[str, Any] | None = None
    """The vendor's struct: field name to value. None: there was none."""
    struct: str = ""
    """Which struct `data` is."""
    unread: bytes | None = field(default=None, init=False, repr=False, compare=False)
    """The struct's bytes, as long as nobody has asked for `data`."""

    if not TYPE_CHECKING:  # which would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            # Only called for what has no value yet: of a record that was read, its `data`. The book looks at few of
            # an order's sixty fields, and to read all takes longer than everything else about a record.
            if name != "data":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            self.data = decode_struct(self.struct, self.unread)
            self.unread = None
            return self.data

    @property
    def front_session(self) -> tuple[int, int]:
        """(FrontID, SessionID) of a ``sending_order`` or ``sending_action``: the session it was sent in."""
        low = self.value & 0xFFFFFFFF
        return self.value >> 32, low - (1 << 32) if low >= 1 << 31 else low


@dataclass(frozen=True)
class _Layout:
    name: str
    number: int
    size: int
    fields: tuple[tuple[str, str, int, int], ...]
    packed: packing.Struct
    names: tuple[str, ...]
    texts: tuple[int, ...]
    """Places among the fields of those that are text."""
    places: dict[str, tuple[int, str, int]]
    """Of each field: its place, its type, and the most bytes that a text may have."""
    blank: tuple[Any, ...]
    """The values of a struct without any."""


_CODES = {"int": "i", "double": "d"}


def _layout(name: str, number: int, size: int, fields: list[tuple[str, str, int, int]]) -> _Layout:
    form, end = "<", 0
    for _, kind, offset, length in fields:
        form += f"{offset - end}x" if offset > end else ""
        form += _CODES.get(kind) or f"{length}s"
        end = offset + length
    form += f"{size - end}x"
    texts = tuple(at for at, field in enumerate(fields) if field[1] in ("text", "char"))
    return _Layout(
        name,
        number,
        size,
        tuple(fields),
        packing.Struct(form),
        tuple(f[0] for f in fields),
        texts,
        {f: (at, kind, length - (kind == "text")) for at, (f, kind, _, length) in enumerate(fields)},
        tuple(b"" if at in texts else 0 for at in range(len(fields))),
    )


@functools.cache
def _layouts() -> tuple[dict[str, _Layout], dict[int, _Layout]]:
    told = json.loads(lib().td_structs())
    made = [_layout(n, s["number"], s["size"], [tuple(f) for f in s["fields"]]) for n, s in told.items()]
    return {layout.name: layout for layout in made}, {layout.number: layout for layout in made}


def struct_names() -> list[str]:
    """The structs that can be in a record or a request."""
    return list(_layouts()[0])


def struct_fields(name: str) -> dict[str, str]:
    """Field names of a struct and their types: ``text``, ``char``, ``int``, ``double``."""
    return {field: kind for field, kind, _, _ in _find(name).fields}


def struct_dtype(name: str) -> np.dtype[Any]:
    """The struct as a numpy type, texts as bytes: for looking at many records at once."""
    layout = _find(name)
    kinds = {"int": "<i4", "double": "<f8"}
    return np.dtype(
        {
            "names": [f[0] for f in layout.fields],
            "formats": [kinds.get(kind) or f"S{size}" for _, kind, _, size in layout.fields],
            "offsets": [f[2] for f in layout.fields],
            "itemsize": layout.size,
        }
    )


@functools.cache
def record_dtype() -> np.dtype[Any]:
    """A whole record as a numpy type, as the shim tells it; ``Payload`` is raw bytes."""
    fields = [line.split() for line in lib().tlog_layout().decode().splitlines()]
    return np.dtype(
        {
            "names": [f[0] for f in fields],
            "formats": [f"V{f[2]}" if f[0] == "Payload" else f"S{f[2]}" if f[3] == "S" else f"<{f[3]}" for f in fields],
            "offsets": [int(f[1]) for f in fields],
            "itemsize": RECORD_SIZE,
        }
    )


def _find(name: str) -> _Layout:
    try:
        return _layouts()[0][name]
    except KeyError:
        raise ConfigError(f"struct {name!r} is not known; known ones: {', '.join(struct_names())}") from None


class _Texts(dict[bytes, str]):
    """Bytes of text fields and what they say. Most say the same in record after record, so they are kept: half
    of what it takes to read a record is saved, and it stands between a strategy and its next order."""

    _MOST = 16384

    def __missing__(self, raw: bytes) -> str:
        cut = raw.partition(b"\0")[0]
        try:
            text = cut.decode("ascii")
        except UnicodeDecodeError:
            text = cut.decode("gb18030", "replace")
        if len(self) >= self._MOST:
            self.clear()
        self[raw] = text
        return text


_TEXTS = _Texts()


_HEAD = packing.Struct("<QqqHHIiiiBBBxQqI81sxH")


_new_record = Record.__new__


def decode(raw: bytes | memoryview) -> Record:
    """The record in 1024 bytes."""
    stamp, recv_time, recv_monotonic, kind, struct, epoch, request_id, *rest = _HEAD.unpack_from(raw)
    error_id, reason, is_last, _has_info, has_data, client_id, value, _crc, error_msg, size = rest
    # Without __init__, which would want `data`.
    record = _new_record(Record)
    record.sequence = stamp - 1
    record.kind = KINDS.get(kind) or f"kind_{kind}"
    record.recv_time, record.recv_monotonic = recv_time, recv_monotonic
    record.epoch, record.request_id = epoch, request_id
    record.is_last = bool(is_last)
    record.error_id, record.reason = error_id, reason
    record.client_id, record.value = client_id, value
    record.error_msg = ""
    if error_msg[0]:
        words = error_msg.partition(b"\0")[0]
        record.error_msg = words.decode("utf-8" if kind in _OUR_WORDS else "gb18030", "replace")
    record.struct, record.unread = "", None
    if not struct:
        record.data = None
        return record
    layout = _layouts()[1].get(struct)
    if layout is None:
        raise ConfigError(f"record {stamp - 1} holds struct {struct}, which this version does not know; update it")
    record.struct = layout.name
    if not has_data:
        record.data = None
        return record
    # An older writer's struct may be shorter: what came later is zeros.
    record.unread = bytes(raw[PAYLOAD_OFFSET : PAYLOAD_OFFSET + min(size, layout.size)]).ljust(layout.size, b"\0")
    return record


class Picked:
    """Some fields of a struct, read from records without the others.

    Args:
        struct: the struct's name.
        fields: names of its fields.
    """

    def __init__(self, struct: str, *fields: str) -> None:
        self._struct, self._fields = struct, fields
        self._unpack: Any = None

    def of(self, record: Record) -> tuple[Any, ...] | None:
        """Their values, in the order of the names; None if the record has no data."""
        unread = record.unread
        if unread is None:
            data = record.data
            return None if data is None else tuple([data[name] for name in self._fields])
        if self._unpack is None:
            self._prepare()
        values, texts = list(self._unpack(unread)), _TEXTS
        for at in self._texts:
            values[at] = texts[values[at]]
        return tuple([values[at] for at in self._order])

    def _prepare(self) -> None:
        layout = _find(self._struct)
        chosen = [f for f in layout.fields if f[0] in self._fields]
        part = _layout(layout.name, layout.number, layout.size, chosen)
        self._texts = part.texts
        self._order = [part.names.index(name) for name in self._fields]
        self._unpack = part.packed.unpack


def encode(record: Record) -> bytes:
    """A record's 1024 bytes, for `tk_tlog_append`, which fills in stamp, epoch and check sum."""
    number = KIND_NUMBERS.get(record.kind)
    if number is None:
        raise ConfigError(f"kind {record.kind!r} is not known")
    payload = b""
    if record.data is not None:
        payload = encode_struct(record.struct, record.data)
    encoding = "utf-8" if number in _OUR_WORDS else "gb18030"
    words = record.error_msg.encode(encoding)
    if len(words) > ERROR_MSG_SIZE:  # whole characters only
        words = words[:ERROR_MSG_SIZE].decode(encoding, "ignore").encode(encoding)
    head = _HEAD.pack(
        *(0, record.recv_time, record.recv_monotonic, number, _find(record.struct).number if record.struct else 0, 0),
        *(record.request_id, record.error_id, record.reason, record.is_last, 0, record.data is not None),
        *(record.client_id, record.value, 0, words, len(payload)),
    )
    return head.ljust(PAYLOAD_OFFSET, b"\0") + payload.ljust(PAYLOAD_SIZE, b"\0")


def decode_struct(name: str, raw: bytes) -> dict[str, Any]:
    """A canonical struct's bytes as field names and values; missing bytes at the end are zeros."""
    layout = _find(name)
    return _values(layout, layout.packed.unpack(raw.ljust(layout.size, b"\0")))


def _values(layout: _Layout, unpacked: tuple[Any, ...]) -> dict[str, Any]:
    values, texts = list(unpacked), _TEXTS
    for at in layout.texts:
        values[at] = texts[values[at]]
    return dict(zip(layout.names, values))


def encode_struct(name: str, values: Mapping[str, Value | bytes]) -> bytes:
    """The canonical struct's bytes; fields that are not given are empty or 0.

    Raises:
        ConfigError: a field is not in the struct, has another type, or does not fit.
    """
    layout = _find(name)
    return layout.packed.pack(*_row(layout, values))


class StructForm:
    """A struct that is made again and again with the same texts: they are encoded once.

    Args:
        name: the struct's name.
        values: what stays.
        numbers: names of the number fields that `filled` is given, in its order.

    Raises:
        ConfigError: as `encode_struct`.
    """

    def __init__(self, name: str, values: Mapping[str, Value | bytes], *numbers: str) -> None:
        layout = _find(name)
        self._name, self._pack = name, layout.packed.pack
        self._values = _row(layout, values)
        self._numbers = [(*layout.places[number][:2], number) for number in numbers]

    def filled(self, *values: float) -> bytes:
        """The struct's bytes. Raises `ConfigError` for a number that does not fit."""
        row = self._values.copy()
        for (at, kind, field_name), value in zip(self._numbers, values):
            row[at] = _number(self._name, field_name, value, kind)
        return self._pack(*row)


def _row(layout: _Layout, given: Mapping[str, Any]) -> list[Any]:
    places, row, encoded = layout.places, list(layout.blank), _ENCODED
    for key, value in given.items():
        place = places.get(key)
        if place is None:
            unknown = ", ".join(repr(other) for other in given if other not in places)
            raise ConfigError(f"{layout.name} has no field {unknown}; it has {', '.join(layout.names)}")
        if value is None:
            continue
        at, kind, most = place
        if kind == "int" or kind == "double":
            row[at] = _number(layout.name, key, value, kind)
        else:
            raw = encoded.get((value, most)) if type(value) is str else None
            row[at] = _encoded(layout.name, key, value, most) if raw is None else raw
    return row


def _number(struct: str, field: str, value: Any, kind: str) -> int | float:
    try:
        if isinstance(value, (str, bytes)) or (kind == "int" and int(value) != value):
            raise TypeError
        if kind == "double":
            return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{struct}.{field} must be a number ({kind}), not {value!r}") from None
    if not -(1 << 31) <= value < 1 << 31:
        raise ConfigError(f"{struct}.{field} must fit 32 bits, not {value!r}")
    return int(value)


# Texts that fit a field of so many bytes: an order's are mostly those of the one before.
_ENCODED: dict[tuple[str, int], bytes] = {}


def _encoded(struct: str, field: str, value: Any, limit: int) -> bytes:
    if not isinstance(value, (str, bytes)):
        raise ConfigError(f"{struct}.{field} must be a text, not {value!r}")
    try:
        raw = value if isinstance(value, bytes) else value.encode("ascii" if value.isascii() else "gb18030")
    except UnicodeEncodeError:
        raise ConfigError(f"{struct}.{field} must be a text of characters, not {value!r}") from None
    if len(raw) > limit or b"\0" in raw:
        raise ConfigError(f"{struct}.{field} must have at most {limit} bytes without NUL, not {value!r}")
    if type(value) is str:
        if len(_ENCODED) >= _Texts._MOST:
            _ENCODED.clear()
        _ENCODED[value, limit] = raw
    return raw
