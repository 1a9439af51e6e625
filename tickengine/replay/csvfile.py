"""Ticks from a CSV file in the vendor's columns, such as AlgoPlus's recorder and many others write.

The first line names the columns; those that are not the vendor's are passed over, but for ``RecvTime`` (ns since
1970, UTC). Each row becomes the vendor's struct again and goes through the normaliser of a live feed, in a log of its
own: times, flags and absent prices come out as they would have then. Texts are taken byte by byte, whatever their
encoding: in here each byte is a character (latin-1).

Without ``RecvTime`` the receive time is the exchange's. To find that, the normaliser wants to know when a tick arrived
(a front pushes old ticks under a new date): the middle one of the times in the rows that follow.
"""

from __future__ import annotations

import ast
import codecs
import csv
import ctypes as ct
import datetime
import functools
import io
import itertools
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _segments, rules
from .._errors import ConfigError
from .._shim import lib, new_handle
from ..log import TickLog
from ..tick import TICK_DTYPE, VENDOR_FIELDS
from ..words import decode

logger = logging.getLogger("tickengine")

NEEDED = ("TradingDay", "InstrumentID", "UpdateTime", "LastPrice", "Volume")
_ABSENT = repr(float(np.finfo(np.float64).max))
_LAYOUT = 3
_CHUNK = 8192
_FOLLOWING = 16  # rows of the same instrument that tell when a row without a receive time may have arrived
_DAY_NS, _CHINA_NS = 86_400_000_000_000, 8 * 3_600_000_000_000
_FAR = np.iinfo(np.int64).max

Texts = dict[str, tuple[str, ...]]
Times = npt.NDArray[np.int64]


class CsvTicks:
    """The ticks of one CSV file.

    Args:
        path: the file.
        progress: called with the bytes of each piece that was read.

    Attributes:
        path: the file.
        trading_day: the last that its rows name.
        ticks: an array of `TICK_DTYPE`, in the order of the rows.
    """

    def __init__(self, path: str, progress: Callable[[int], object] = lambda size: None) -> None:
        self.path = path
        pieces = [_typed(path, *piece) for piece in _pieces(path, progress)]
        if not pieces:
            raise ConfigError(f"{path}: no ticks in it: leave this file out")
        structs: npt.NDArray[Any] = np.empty(sum(len(piece) for piece, _ in pieces), _struct_dtype())
        np.concatenate([piece for piece, _ in pieces], out=structs)  # alone it would leave the struct's gaps out
        given = [recv for _, recv in pieces if recv is not None]
        self.trading_day = _last_day(path, structs)
        self.ticks, self._names = _normalised(structs, self.trading_day, np.concatenate(given) if given else None)

    def sessions(self, positions: Times) -> Times:
        """One: the file has one table of instruments."""
        return np.zeros(len(positions), np.int64)

    def exchange_inst_id(self, position: int) -> bytes:
        return self._names.get(int(self.ticks[position]["Instrument"]), b"")


def _wrong(path: str, line: int, words: str) -> ConfigError:
    return ConfigError(f"{path}, line {line}: {words}")


# ---- text ----------------------------------------------------------------------------------------


def _pieces(path: str, progress: Callable[[int], object]) -> Iterator[tuple[list[int], Texts]]:
    """Some rows at a time, by columns, with their line numbers: as text they take ten times their room."""
    told = 0
    lines: list[int] = []
    rows: list[list[str]] = []
    try:
        with open(path, "rb") as file:
            if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                file.seek(0)
            reader = csv.reader(io.TextIOWrapper(file, "latin-1", newline=""))
            header = next(reader, [])
            names = _columns(path, header)
            for row in reader:
                if not row or row == header:  # a recorder that was started again writes its header again
                    continue
                if len(row) != len(header):
                    words = f"{len(row)} values, the header names {len(header)} columns"
                    raise _wrong(path, reader.line_num, f"{words}: a row that was cut off? Delete this line")
                lines.append(reader.line_num)
                rows.append(row)
                if len(rows) == _CHUNK:
                    yield lines, dict(zip(names, zip(*rows)))
                    lines, rows = [], []
                    read, told = file.tell() - told, file.tell()
                    progress(read)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except csv.Error as error:
        raise _wrong(path, reader.line_num, f"no CSV ({error}): export the file again as plain text") from None
    if rows:
        yield lines, dict(zip(names, zip(*rows)))


def _columns(path: str, header: Sequence[str]) -> list[str]:
    columns = [name.strip() for name in header]
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise _wrong(
            path,
            1,
            f"no column {missing[0]}: the first line must name the vendor's fields, at least {', '.join(NEEDED)}",
        )
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise _wrong(path, 1, f"column {_shown(twice)!r} stands twice: delete one of the two")
    passed_over = [name for name in columns if name not in VENDOR_FIELDS and name not in ("RecvTime", "")]
    if passed_over:
        logger.info("%s: passed over: %s", path, ", ".join(repr(_shown(name)) for name in passed_over[:10]))
    return columns


def _shown(text: str) -> str:
    """For people: UTF-8 if it is that, else as the vendor writes."""
    raw = text.encode("latin-1")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return decode(raw)


# ---- numbers -------------------------------------------------------------------------------------


Convert = Callable[[Sequence[str]], npt.NDArray[Any]]


def _column(path: str, lines: list[int], texts: Sequence[str], name: str, convert: Convert) -> npt.NDArray[Any]:
    """All values of a column; the first that cannot be one is named with its line."""
    try:
        return convert(texts)
    except (ValueError, OverflowError):
        for line, text in zip(lines, texts):
            try:
                convert([text])
            except (ValueError, OverflowError) as error:
                what = f"{name} {_shown(text)[:40]!r} {error}"
                raise _wrong(path, line, f"{what}: correct the value or delete this line") from None
        raise


def _numbers(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    if "" in texts or "None" in texts:
        texts = [_ABSENT if text in ("", "None") else text for text in texts]
    try:
        return np.array(texts, np.float64)
    except ValueError:
        raise ValueError("is no number") from None


def _integers(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    try:
        return np.array([int(text) for text in texts], np.int64)
    except (ValueError, OverflowError):
        raise ValueError("is no whole number") from None


def _volumes(texts: Sequence[str]) -> npt.NDArray[np.int32]:
    if "" in texts or "None" in texts:
        texts = ["0" if text in ("", "None") else text for text in texts]
    values = _numbers(texts)
    whole = np.zeros(len(values), np.int32)
    with np.errstate(invalid="ignore"):
        whole[:] = values.astype(np.int64)
    if not (whole == values).all():
        raise ValueError("is no whole number of 32 bits")
    return whole


def _texts(size: int, empty: bool, texts: Sequence[str]) -> npt.NDArray[np.bytes_]:
    if any(text.startswith(("b'", 'b"')) for text in texts):
        texts = [_of_bytes(text) if text.startswith(("b'", 'b"')) else text for text in texts]
    if max(map(len, texts)) >= size:
        raise ValueError(f"is longer than {size - 1} bytes")
    if not empty and "" in texts:
        raise ValueError("is empty")
    if any("\0" in text for text in texts):
        raise ValueError("has a NUL in it")
    return np.array([text.encode("latin-1") for text in texts], f"S{size}")


def _of_bytes(text: str) -> str:
    """What was written as str() of bytes: ``b'rb2601'``."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value.decode("latin-1") if isinstance(value, bytes) else text


@functools.cache
def _struct_dtype() -> np.dtype[Any]:
    """The vendor's newest DepthMarketData, from the shim's own tables."""
    versions = json.loads(lib().vendor_tables())["versions"]
    struct = next(v for v in versions if v["layout"] == _LAYOUT)["structs"]["DepthMarketData"]
    formats = []
    for name, (_, size) in struct["fields"].items():
        kind = TICK_DTYPE[name].kind if name != "ExchangeInstID" else "S"
        formats.append(f"S{size}" if kind == "S" else f"<{kind}{size}")
    offsets = [offset for offset, _ in struct["fields"].values()]
    return np.dtype(
        {"names": list(struct["fields"]), "formats": formats, "offsets": offsets, "itemsize": struct["size"]}
    )


def _typed(path: str, lines: list[int], texts: Texts) -> tuple[npt.NDArray[Any], Times | None]:
    """The rows as the vendor's structs, and their receive times if there are any."""
    structs: npt.NDArray[Any] = np.zeros(len(lines), _struct_dtype())
    for name in structs.dtype.names or ():
        kind, size = structs.dtype[name].kind, structs.dtype[name].itemsize
        if name not in texts:
            if kind == "f":
                structs[name] = float(_ABSENT)
            continue
        convert: Convert
        if kind == "S":
            convert = functools.partial(_texts, size, name != "InstrumentID")
        else:
            convert = _numbers if kind == "f" else _volumes
        structs[name] = _column(path, lines, texts[name], name, convert)
    given = texts.get("RecvTime")
    return structs, None if given is None else _column(path, lines, given, "RecvTime", _integers)


def _last_day(path: str, structs: npt.NDArray[Any]) -> str:
    days = [day for day in np.unique(structs["TradingDay"]).tolist() if _days_since_1970(day) is not None]
    if not days:
        raise ConfigError(f"{path}: no row has a TradingDay (YYYYMMDD): fill that column in")
    return str(days[-1].decode("ascii"))


# ---- times ---------------------------------------------------------------------------------------


def _days_since_1970(day: bytes) -> int | None:
    if len(day) != 8 or not day.isdigit():
        return None
    try:
        return (datetime.date(int(day[:4]), int(day[4:6]), int(day[6:])) - datetime.date(1970, 1, 1)).days
    except ValueError:
        return None


def _seconds_of_day(time: bytes) -> int | None:
    parts = time.split(b":")
    if len(time) != 8 or len(parts) != 3 or not all(len(part) == 2 and part.isdigit() for part in parts):
        return None
    hour, minute, second = map(int, parts)
    return (hour * 60 + minute) * 60 + second if hour < 24 and minute < 60 and second < 60 else None


def _mapped(values: npt.NDArray[Any], convert: Callable[[bytes], int | None]) -> Times:
    """Each different text is converted once; `_FAR` for what is none."""
    different, where = np.unique(values, return_inverse=True)
    found = [convert(text) for text in different.tolist()]
    return np.array([_FAR if value is None else value for value in found], np.int64)[where]


def _arrivals(structs: npt.NDArray[Any]) -> Times:
    """When a row may have arrived, at the earliest its own time: never earlier than the exchange made it."""
    action, trading = (_mapped(structs[name], _days_since_1970) for name in ("ActionDay", "TradingDay"))
    day = np.where(action == _FAR, trading, action)
    seconds = _mapped(structs["UpdateTime"], _seconds_of_day)
    known = (day != _FAR) & (seconds != _FAR)
    millisec = np.clip(structs["UpdateMillisec"], 0, 999).astype(np.int64)
    times = np.full(len(structs), _FAR, np.int64)
    times[known] = day[known] * _DAY_NS - _CHINA_NS + seconds[known] * 1_000_000_000 + millisec[known] * 1_000_000
    ids = structs["InstrumentID"]
    for name in np.unique(ids):
        own = np.flatnonzero((ids == name) & known)
        if not len(own):
            continue
        padded = np.concatenate([times[own], np.full(_FOLLOWING - 1, times[own[-1]])])
        windows = np.lib.stride_tricks.sliding_window_view(padded, _FOLLOWING)
        middle = np.partition(windows, _FOLLOWING // 2, axis=1)[:, _FOLLOWING // 2]
        times[own] = np.minimum(times[own], middle)
    return _filled(times, times != _FAR)


def _filled(times: Times, known: npt.NDArray[np.bool_]) -> Times:
    """Where a time is not known, that of the row before; at the front, that of the first which has one."""
    if not known.any():
        return np.zeros(len(times), np.int64)
    places = np.where(known, np.arange(len(times)), -1)
    places = np.maximum.accumulate(places)
    places[places < 0] = int(np.argmax(known))
    filled: Times = times[places]
    return filled


# ---- normalising ---------------------------------------------------------------------------------


def _normalised(
    structs: npt.NDArray[Any], trading_day: str, recv: Times | None
) -> tuple[npt.NDArray[np.void], dict[int, bytes]]:
    """What a live feed's writer makes of them, and ExchangeInstID by the index in ``Instrument``."""
    identities = np.unique(structs[["InstrumentID", "ExchangeInstID", "ExchangeID"]])
    arrivals = _arrivals(structs) if recv is None else recv
    log = TickLog.create(_segments.random_name("csv"), _CHUNK, len(identities))
    writer = new_handle()
    try:
        log.unlink()
        lib().writer_open(log.handle, True, ct.byref(writer))
        rules.own_rules(trading_day).give(writer)
        parts = list(_published(log, writer, structs, arrivals))
        names = {index: log.exchange_inst_id(index) for index in range(len(identities))}
    finally:
        if writer:
            lib().writer_close(writer)
        log.close()
    ticks: npt.NDArray[np.void] = np.concatenate(parts)
    if recv is None:
        ticks["RecvTime"] = _filled(ticks["ExchangeTime"].astype(np.int64), ticks["ExchangeTime"] != 0)
    return ticks, names


def _published(
    log: TickLog, writer: ct.c_void_p, structs: npt.NDArray[Any], arrivals: Times
) -> Iterator[npt.NDArray[np.void]]:
    publish, size, address = lib().writer_tick_at, structs.dtype.itemsize, structs.ctypes.data
    for start in range(0, len(structs), _CHUNK // 2):
        stop = min(len(structs), start + _CHUNK // 2)
        times = arrivals[start:stop].tolist()
        for at, recv in zip(itertools.count(address + start * size, size), times):
            publish(writer, _LAYOUT, at, recv, 0)
        yield log.read(start, stop)
