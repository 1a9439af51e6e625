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


class NotANote(Exception):
    """A line of the notes says nothing that could be meant."""


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
    """The notes in *raw*, and how many bytes of it they take; behind them stands a line that is not whole.

    Raises `NotANote`.
    """
    notes: list[Note] = []
    used = 0
    while (end := raw.find(b"\n", used)) >= 0:
        try:
            note = json.loads(raw[used:end])
        except (ValueError, RecursionError):
            note = None
        if not isinstance(note, dict) or not isinstance(note.get("kind"), str):
            raise NotANote(f"the line at byte {used} is no note")
        if any(type(note.get(key)) is not int or not 0 <= note[key] < 1 << 63 for key in ("record", "time")):
            raise NotANote(f"the note at byte {used} has no record or time")
        notes.append(note)
        used = end + 1
    return notes, used


def pack_note(note: Note) -> bytes:
    return json.dumps(note, separators=(",", ":")).encode() + b"\n"


def sessions_of(notes: list[Note]) -> list[Session]:
    """The sessions in the order of the file. One that was taken up again is one.

    Raises `NotANote`.
    """
    sessions: list[Session] = []
    for note in notes:
        try:
            _fold(note, sessions)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotANote(f"a note of kind {note['kind']!r} lacks or garbles a value: {error!r}") from None
    return sessions


def _fold(note: Note, sessions: list[Session]) -> None:
    kind = note["kind"]
    if kind == "event":
        _number(note["recv_time"], 63)
    if kind == "session":
        _new_session(note, sessions)
    elif not sessions:
        return
    elif kind == "instrument":
        sessions[-1].names[_number(note["index"], 32)] = note["ExchangeInstID"].encode("latin-1")
    elif kind == "lost":
        sessions[-1].lost += _number(note["ticks"], 63)
        sessions[-1].numbers.update(_numbers(note["numbers"]))
        sessions[-1].next = max(sessions[-1].next, _number(note["next"], 63))
    elif kind == "event":
        sessions[-1].next = max(sessions[-1].next, _number(note["sequence"], 63) + 1)
    elif kind == "ended":
        sessions[-1].ended = True


def _new_session(note: Note, sessions: list[Session]) -> None:
    ids = note["instruments"]
    if not isinstance(note["log"], str) or not (ids is None or all(isinstance(name, str) for name in list(ids))):
        raise TypeError("log or instruments")
    if sessions and _same(sessions[-1], note):
        sessions[-1].ended = False
        return
    numbers, following = _numbers(note["numbers"]), _number(note["next"], 63)
    sessions.append(Session(note["record"], note["log"], _number(note["unique_id"], 64), ids, numbers, next=following))


def _numbers(value: Any) -> dict[str, int]:
    return {str(name): _number(number, 63) for name, number in dict(value).items()}


def _number(value: Any, bits: int) -> int:
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise ValueError(f"{value!r} is no number of {bits} bits")
    return value


def _same(session: Session, note: Note) -> bool:
    return (session.unique_id, session.instruments) == (note["unique_id"], note["instruments"])
