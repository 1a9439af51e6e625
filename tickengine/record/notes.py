"""What is worth knowing about the ticks of a recording: a line of JSON for each note, in the order of the file.

Every note has ``kind``, ``record`` (the number of ticks in the file when it was written, so the position of the
tick that follows it) and ``time`` (ns since 1970, UTC). Bytes stand in it as text, one character for each
(latin-1), so that ids in any encoding come back as they were.

========== ==========================================================================================
kind       says, and with which further keys
========== ==========================================================================================
session    the ticks that follow are of this log: ``log``, ``unique_id``, ``epoch``, ``pid``, ``instruments``
           (null: all), ``next`` (sequence) and ``numbers`` expected
instrument ``index`` of the session is ``InstrumentID``, ``ExchangeInstID``, ``ExchangeID``
lost       ``ticks`` were overwritten before they were recorded; ``after`` and ``next`` are the sequences
           around them, ``numbers`` those expected from here on
event      what happened to the connection, in its place between the ticks: ``sequence``, ``recv_time``,
           ``recv_monotonic``, ``code``, ``name``, ``reason``, ``error_id``, ``value``, ``epoch``, ``text``
cut        ``bytes`` of a record that was not whole were cut off the end
blocked    the disk was full for ``seconds``
ended      the log has ended and all of it is here; ``ticks``, ``lost`` of the session
unknown    the log before ended while nobody recorded: ``text``
========== ==========================================================================================
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

Note = dict[str, Any]


@dataclasses.dataclass
class Session:
    """A stretch of a recording that comes from one log.

    Attributes:
        record: position of its first tick in the file.
        log, unique_id: the log's name, and the number that tells it from others of that name.
        lost: ticks of it that the log overwrote before they were recorded, as far as this file knows.
        instruments: what was asked for, None for all.
        names: ExchangeInstID by the index in ``Tick.Instrument``.
        numbers: the numbers expected next, as the last note had them.
        next: no tick before this sequence is missing without a note.
        ended: the log has ended and all of it was recorded.
    """

    record: int
    log: str
    unique_id: int
    instruments: list[str] | None
    numbers: dict[str, int]
    lost: int = 0
    next: int = 0
    ended: bool = False
    names: dict[int, bytes] = dataclasses.field(default_factory=dict)


def parse_notes(raw: bytes) -> tuple[list[Note], int]:
    """The notes in *raw*, and how many bytes of it they take; behind them stands a line that is not whole."""
    notes: list[Note] = []
    used = 0
    while (end := raw.find(b"\n", used)) >= 0:
        try:
            note = json.loads(raw[used:end])
        except (ValueError, RecursionError):
            break
        if not isinstance(note, dict) or not isinstance(note.get("kind"), str):
            break
        if not isinstance(note.get("record"), int) or note["record"] < 0:
            break
        notes.append(note)
        used = end + 1
    return notes, used


def pack_note(note: Note) -> bytes:
    return json.dumps(note, separators=(",", ":")).encode() + b"\n"


def sessions_of(notes: list[Note]) -> list[Session]:
    """The sessions in the order of the file. One that was taken up again is one."""
    sessions: list[Session] = []
    for note in notes:
        kind = note["kind"]
        if kind == "session" and not (sessions and _same(sessions[-1], note)):
            wanted = note["instruments"]
            sessions.append(
                Session(
                    note["record"], note["log"], note["unique_id"], wanted, dict(note["numbers"]), note.get("lost", 0)
                )
            )
        if not sessions:
            continue
        session = sessions[-1]
        if kind == "session":
            session.ended = False
        elif kind == "instrument":
            session.names[note["index"]] = note["ExchangeInstID"].encode("latin-1")
        elif kind == "lost":
            session.lost += note["ticks"]
            session.numbers.update(note["numbers"])
            session.next = max(session.next, note["next"])
        elif kind == "event":
            session.next = max(session.next, note["sequence"] + 1)
        elif kind == "ended":
            session.ended = True
    return sessions


def _same(session: Session, note: Note) -> bool:
    return (session.unique_id, session.instruments) == (note["unique_id"], note["instruments"])
