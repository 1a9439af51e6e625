"""What `tickengine recording` tells about a file."""

from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from ..adapters import SHANGHAI
from ..words import clean, decode
from .recording import Recording

_CHUNK = 16384


def describe(recording: Recording) -> dict[str, Any]:
    """All of it as values for JSON. Reads the whole file once.

    ``out_of_order`` counts ticks whose sequence does not ascend within their session, ``unnoted`` those that the
    ticks' numbers say are missing and no note does: both are 0 in a file that a `Recorder` wrote.
    """
    ticks = recording.ticks
    instruments: set[bytes] = set()
    first = last = 0
    for start in range(0, len(ticks), _CHUNK):
        chunk = recording.read(start, start + _CHUNK)
        instruments.update(np.unique(chunk["InstrumentID"]).tolist())
        times = np.array(chunk["RecvTime"])
        first = min(first or int(times.min()), int(times.min()))
        last = max(last, int(times.max()))
    out_of_order, unnoted = _check(recording)
    return {
        "path": recording.path,
        "trading_day": recording.trading_day,
        "ticks": len(ticks),
        "instruments": len(instruments),
        "first": _time(first),
        "last": _time(last),
        "lost": recording.lost,
        "unnoted": unnoted,
        "out_of_order": out_of_order,
        "torn_bytes": recording.torn,
        "sessions": [
            {
                "log": session.log,
                "unique_id": session.unique_id,
                "record": session.record,
                "instruments": session.instruments,
                "lost": session.lost,
                "ended": session.ended,
            }
            for session in recording.sessions
        ],
        "names": sorted(decode(name) for name in instruments),
        "notes": [note for note in recording.notes if note["kind"] not in ("session", "instrument")],
    }


def _check(recording: Recording) -> tuple[int, int]:
    out_of_order = unnoted = 0
    sessions = recording.sessions
    for i, session in enumerate(sessions):
        end = sessions[i + 1].record if i + 1 < len(sessions) else len(recording)
        noted: dict[int, int] = {}
        for note in recording.notes:
            if note["kind"] == "lost" and session.record < note["record"] < end:
                noted[note["record"]] = noted.get(note["record"], 0) + note["ticks"]
        for start in range(session.record, end, _CHUNK):
            chunk = recording.read(start, min(end, start + _CHUNK + 1))  # one more: the step between two chunks
            stamps = np.array(chunk["Stamp"], np.int64)
            out_of_order += int((np.diff(stamps) <= 0).sum())
            if session.instruments is None:
                gaps = np.diff(np.array(chunk["TickNumber"], np.int64)) - 1
                unnoted += int(gaps[gaps > 0].sum())
        if session.instruments is None:
            unnoted -= sum(noted.values())
    return out_of_order, unnoted


def text(info: dict[str, Any]) -> str:
    """The same for people."""
    lines = [
        f"{info['path']}",
        f"trading day   {info['trading_day']}",
        f"ticks         {info['ticks']:,} of {info['instruments']:,} instruments",
        f"received      {info['first']} to {info['last']}",
        f"missing       {info['lost']:,} noted, {info['unnoted']:,} without a note",
    ]
    if info["out_of_order"]:
        lines.append(f"out of order  {info['out_of_order']:,}")
    if info["torn_bytes"]:
        lines.append(
            f"torn          {info['torn_bytes']} bytes behind the last whole record: the next recorder cuts them"
        )
    for session in info["sessions"]:
        state = "ended" if session["ended"] else "not seen to end"
        filter_ = "all instruments" if session["instruments"] is None else f"{len(session['instruments'])} instruments"
        lines.append(f"log           {session['log']!r} from record {session['record']:,}, {filter_}, {state}")
    for note in info["notes"]:
        rest = {key: value for key, value in note.items() if key not in ("kind", "record", "time", "numbers")}
        words = str(rest.pop("words", "")) or ", ".join(f"{key} {value}" for key, value in rest.items())
        at = note["recv_time"] if note["kind"] == "event" else note["time"]
        lines.append(f"{_time(at)}  {note['kind']} before record {note['record']:,}: {words}")
    return "\n".join(map(clean, lines))


def _time(ns: int) -> str:
    if not ns:
        return "-"
    at = datetime.datetime.fromtimestamp(ns // 10**9, ZoneInfo(SHANGHAI))
    return f"{at:%Y-%m-%d %H:%M:%S}.{ns % 10**9 // 10**6:03d}"
