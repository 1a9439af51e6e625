"""Recordings and CSV files to play: ticks whose fields are known, in the files that a recorder would have left."""

from __future__ import annotations

import csv
import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from writing import Feed

from tickengine.front import NumberedMarket
from tickengine.front.fields import DBL_MAX
from tickengine.record.layout import Header
from tickengine.record.notes import pack_note
from tickengine.rules import own_rules
from tickengine.tick import TICK_DTYPE, VENDOR_FIELDS

DAY = "20260105"
IDS = ("rb2601", "IF2601", "m2605", "SR601")
NEW_FIELDS = ("Stamp", "Instrument", "Flags", "RecvMonotonic", "TickNumber", "InstrumentNumber")
"""What a replay gives anew; Flags with REPLAYED."""
KEPT_FIELDS = tuple(name for name in TICK_DTYPE.names or () if name not in NEW_FIELDS)
MS = 1_000_000


def at(time: str, day: str = DAY) -> int:
    """Nanoseconds since 1970 of ``HH:MM:SS`` in China."""
    moment = datetime.datetime.strptime(f"{day} {time} +0800", "%Y%m%d %H:%M:%S %z")
    return int(moment.timestamp()) * 1_000_000_000


def ticks_every(
    gap_ns: int, count: int, *, ids: Sequence[str] = IDS, day: str = DAY, begin: str = "09:30:00"
) -> npt.NDArray[np.void]:
    """What an engine's log held: *count* ticks of *ids* in turn, received *gap_ns* apart and made a little earlier."""
    feed = Feed(capacity=count + 2)
    try:
        feed.give(own_rules(day))
        for number in range(count):
            made = at(begin, day) + number * gap_ns
            clock = datetime.datetime.fromtimestamp(
                made // 1_000_000_000, datetime.timezone(datetime.timedelta(hours=8))
            )
            feed.tick(
                ids[number % len(ids)],
                made + 3 * MS,
                TradingDay=day.encode(),
                ActionDay=f"{clock:%Y%m%d}".encode(),
                UpdateTime=f"{clock:%H:%M:%S}".encode(),
                UpdateMillisec=made // MS % 1000,
                ExchangeInstID=b"x-" + ids[number % len(ids)].encode(),
                LastPrice=3000.0 + number / 8,
                OpenPrice=DBL_MAX,
                Volume=number,
                Turnover=number * 30_000.0,
            )
        return feed.log.read(0)
    finally:
        feed.close()


def write_recording(
    folder: Path, ticks: npt.NDArray[np.void], day: str = DAY, *, name: str | None = None, names: bool = True
) -> Path:
    """A recording of one session."""
    path = folder / f"{name or day}.ticks"
    path.write_bytes(Header(day, "unit", 7, 0).pack() + ticks.tobytes())
    if names:
        notes: list[dict[str, Any]] = [
            {
                "kind": "session",
                "record": 0,
                "time": 0,
                "log": "unit",
                "unique_id": 7,
                "epoch": 1,
                "pid": 1,
                "instruments": None,
                "numbers": {},
                "next": 0,
            }
        ]
        different, first = np.unique(ticks["Instrument"], return_index=True)
        for index, place in zip(different.tolist(), first.tolist()):
            id = ticks[place]["InstrumentID"].decode()
            texts = {"InstrumentID": id, "ExchangeInstID": f"x-{id}", "ExchangeID": ticks[place]["ExchangeID"].decode()}
            notes.append({"kind": "instrument", "record": 0, "time": 0, "index": index, **texts})
        path.with_suffix(".notes").write_bytes(b"".join(map(pack_note, notes)))
    return path


def write_csv(path: Path, rows: Iterable[dict[str, Any]], columns: Sequence[str] = VENDOR_FIELDS) -> Path:
    """As AlgoPlus writes it: a header and rows of text, in append mode, so that a second call repeats the header."""
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def csv_rows(ticks: npt.NDArray[np.void]) -> list[dict[str, Any]]:
    """Vendor columns of ticks; absent prices as the vendor has them."""
    rows = []
    for tick in ticks:
        row: dict[str, Any] = {"ExchangeInstID": "x-" + tick["InstrumentID"].decode()}
        for name in VENDOR_FIELDS:
            if name != "ExchangeInstID":
                value = tick[name].item()
                row[name] = value.decode() if isinstance(value, bytes) else DBL_MAX if value != value else value
        rows.append(row)
    return rows


def same_but_new(played: npt.NDArray[np.void], recorded: npt.NDArray[np.void]) -> None:
    """Each field that a replay keeps is the recorded one, bit by bit."""
    assert len(played) == len(recorded)
    for name in KEPT_FIELDS:
        assert played[name].tobytes() == recorded[name].tobytes(), name


def numbered(count: int, seed: int = 0) -> npt.NDArray[Any]:
    """Vendor structs of the loopback front's numbered market."""
    return NumberedMarket(IDS, seed).batch(0, count)
