"""Counting what is missing, by the numbers that the ticks carry.

Without a filter ``TickNumber`` counts the ticks of the log, with one ``InstrumentNumber`` those of each
instrument. What is expected next is kept in the notes, so the count goes on after a crash.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..log import TickLog
from ..tick import NO_INSTRUMENT

ALL = ""
_CHUNK = 65536


class Numbers:
    """The numbers expected next.

    Args:
        ids: the instruments that are recorded, None for all.

    Attributes:
        expected: number of the next tick, by instrument id, or under `ALL`. An id that is not in it begins with
            the first tick that comes.
    """

    def __init__(self, ids: Iterable[str] | None) -> None:
        self.ids = None if ids is None else frozenset(ids)
        self.expected: dict[str, int] = {}

    def missing(self, rows: npt.NDArray[np.void]) -> tuple[int, dict[str, int]]:
        """How many ticks are missing before and between *rows*, and the numbers expected behind them."""
        lost, after = 0, {}
        for name, (first, last, count) in self._spans(rows).items():
            begin = self.expected.get(name, first)
            lost += max(0, last + 1 - begin - count)
            after[name] = max(begin, last + 1)
        return lost, after

    def firsts(self, rows: npt.NDArray[np.void]) -> dict[str, int]:
        """The numbers of the first of *rows*."""
        return {name: first for name, (first, _, _) in self._spans(rows).items()}

    def _spans(self, rows: npt.NDArray[np.void]) -> dict[str, tuple[int, int, int]]:
        if self.ids is None:
            numbers = rows["TickNumber"]
            return {ALL: (int(numbers[0]), int(numbers[-1]), len(rows))}
        rows = rows[rows["Instrument"] != NO_INSTRUMENT]  # beyond the log's table ticks have no numbers
        different, first, counts = np.unique(rows["Instrument"], return_index=True, return_counts=True)
        last = len(rows) - 1 - np.unique(rows["Instrument"][::-1], return_index=True)[1]
        numbers = rows["InstrumentNumber"]
        spans: dict[str, tuple[int, int, int]] = {}
        for i in range(len(different)):
            name = bytes(rows["InstrumentID"][first[i]]).decode("latin-1")
            a, b, count = int(numbers[first[i]]), int(numbers[last[i]]), int(counts[i])
            if name in spans:  # one id at two places of the table
                a, b, count = min(a, spans[name][0]), max(b, spans[name][1]), count + spans[name][2]
            spans[name] = a, b, count
        return spans

    def resume(self, noted: dict[str, int], rows: npt.NDArray[np.void]) -> None:
        """Go on behind *rows*, the ticks of a session, whose notes have the numbers *noted*."""
        self.expected = dict(noted)
        found: dict[str, int] = {}
        for stop in range(len(rows), 0, -_CHUNK):
            chunk = np.array(rows[max(0, stop - _CHUNK) : stop])
            for name, (_, last, _) in self._spans(chunk).items():
                found.setdefault(name, last + 1)
            if self.ids is None or self.ids <= found.keys():
                break
        for name, number in found.items():
            self.expected[name] = max(number, self.expected.get(name, 0))

    def begin(self, log: TickLog, first: int) -> None:
        """For instruments that no tick from sequence *first* on has shown: what the log's table has of them."""
        for entry in self._table(log):
            if entry["latest"] is None or entry["latest"] < first:
                self.expected.setdefault(entry["InstrumentID"], entry["count"])

    def unseen(self, log: TickLog) -> tuple[int, dict[str, int]]:
        """At the log's end, when all that is there has been taken: what is missing, as `missing`."""
        if self.ids is None:
            written = {ALL: int(log.info().ticks)}
        else:
            written = {entry["InstrumentID"]: entry["count"] for entry in self._table(log)}
        lost = sum(max(0, count - self.expected.get(name, count)) for name, count in written.items())
        return lost, written

    def _table(self, log: TickLog) -> list[dict[str, Any]]:
        if self.ids is None:
            return []
        return [entry for entry in log.instruments() if entry["InstrumentID"] in self.ids]
