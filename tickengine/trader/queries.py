"""Queries at the pace that the vendor library allows: one at a time, one a second, each with a deadline.

The library refuses a query while another has no answer (-2) and a second one within the same second of its own
clock (-3); a lost connection forgets the one under way. Here they wait their turn, are answered in the order in
which they were asked, and fail with words.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from .._errors import TickEngineError
from .positions import exchange_of
from .records import Record

PACE_S = 1.05
"""Between two queries: the library's clock may tick a little later than ours."""
DEADLINE_S = 20.0
RETRY_S = 1.0
TOO_MANY, TOO_SOON = -2, -3
NEED_RETRY = 90  # the front's own "not ready, try again"

Answer = Callable[[list[Record], str], None]
"""Called once: all records of the answer, or the error in words and what had come before it."""


@dataclass
class Query:
    """One question. *name*: the vendor's method; *fields*: its struct's members."""

    name: str
    fields: dict[str, Any]
    answer: Answer
    deadline_s: float = DEADLINE_S
    request_id: int = 0
    due: float = math.inf
    """When it is given up: counted from the first try, however often the library or the front puts it off."""
    put_off: str = ""
    """Why it was not answered when it was asked last."""
    rows: list[Record] = field(default_factory=list)


def of_all_positions(query: Query) -> Query:
    """A question about some positions as one about all, with what was not asked for left out of its answer.

    The journal has answers and no questions: its readers take each for what the whole account holds.
    """
    if query.name != "ReqQryInvestorPosition":
        return query
    wanted = {name: _text(value) for name, value in query.fields.items() if name not in _IDENTITY and value}

    def answer(rows: list[Record], error: str) -> None:
        if not error and wanted:
            last = rows[-1]
            rows = [row for row in rows if row.data is not None and _is_wanted(row.data, wanted)]
            rows = [*rows[:-1], replace(rows[-1], is_last=True)] if rows else [replace(last, data=None)]
        query.answer(rows, error)

    return replace(query, fields={n: v for n, v in query.fields.items() if n in _IDENTITY}, answer=answer)


_IDENTITY = ("BrokerID", "InvestorID")


def _text(value: Any) -> str:
    return value.decode("gb18030", "replace") if isinstance(value, bytes) else str(value)


def _is_wanted(row: dict[str, Any], wanted: dict[str, str]) -> bool:
    # Position rows of older versions name no exchange.
    named = {**row, "ExchangeID": row.get("ExchangeID") or exchange_of(row["InstrumentID"])}
    return all(named.get(name) == value for name, value in wanted.items())


class Queries:
    """One queue of queries. Belongs to one thread.

    Args:
        send: makes the request, (name, fields, request id) -> the vendor's code.
    """

    def __init__(self, send: Callable[[str, dict[str, Any], int], int], next_id: Callable[[], int]) -> None:
        self._send = send
        self._next_id = next_id
        self._waiting: deque[Query] = deque()
        self._under_way: Query | None = None
        self._not_before = 0.0

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is under way."""
        return self._under_way is None and not self._waiting

    def ask(self, query: Query) -> None:
        """Have it asked when its turn comes."""
        self._waiting.append(query)

    def take(self, record: Record) -> bool:
        """Give it an answer's record; False if it belongs to no query of ours."""
        query = self._under_way
        if query is None or record.request_id != query.request_id:
            return False
        if record.error_id == NEED_RETRY and record.is_last and not query.rows:
            query.put_off = f"error {record.error_id} {record.error_msg}".rstrip()
            self._under_way = None
            self._waiting.appendleft(query)
            return True
        query.rows.append(record)
        if record.error_id != 0 and (record.is_last or record.kind == "rsp_error"):
            self._end(f"{query.name}: error {record.error_id} {record.error_msg}".rstrip())
        elif record.is_last:
            self._end("")
        return True

    def step(self, now: float) -> float:
        """Send the next one if it may be sent; returns when to come again (monotonic seconds)."""
        query = self._under_way
        if query is not None and now >= query.due:
            self._overdue(query)
            query = None
        if query is not None:
            return query.due
        if not self._waiting:
            return math.inf
        if now < self._not_before:
            return self._not_before
        query = self._waiting.popleft()
        if now >= query.due:
            self._under_way = query
            self._overdue(query)
            return now
        query.due = min(query.due, now + query.deadline_s)
        query.request_id, query.rows = self._next_id(), []
        try:
            rc = self._send(query.name, query.fields, query.request_id)
        except TickEngineError as error:  # this one's own: a field that this library's version has no room for
            self._under_way = query
            self._end(f"{query.name} could not be sent: {error}")
            return now
        self._not_before = now + (RETRY_S if rc else PACE_S)
        if rc in (TOO_MANY, TOO_SOON):
            query.put_off = f"the vendor library returned {rc}"
            self._waiting.appendleft(query)
            return self._not_before
        self._under_way = query
        if rc != 0:
            self._end(f"{query.name} could not be sent: the vendor library returned {rc}")
            return self._not_before
        return query.due

    def fail_all(self, why: str) -> None:
        """The connection is gone: nothing that was asked will be answered."""
        if self._under_way is not None:
            self._end(why)
        waiting, self._waiting = self._waiting, deque()
        for query in waiting:
            query.answer([], why)

    def _overdue(self, query: Query) -> None:
        reason = f": {query.put_off}" if query.put_off else ""
        self._end(f"{query.name} was not answered within {query.deadline_s:g} s{reason}")

    def _end(self, error: str) -> None:
        query, self._under_way = self._under_way, None
        assert query is not None
        query.answer(query.rows, error)
