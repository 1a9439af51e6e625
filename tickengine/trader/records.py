"""One record of the journal, as Python sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, frozen=True)
class Record:
    """What happened, in the order in which it happened.

    Attributes:
        sequence: its number in the journal, from 0.
        kind: what it is, such as ``rtn_order``.
        recv_time, recv_monotonic: nanoseconds, wall clock (UTC) and monotonic, when it happened.
        epoch: which writer of the journal wrote it, from 1.
        data: the vendor's struct by the vendor's names, text stripped at its NUL and decoded; None for a null
            pointer.
        client_id: our number of the order that it is about, 0 for none.
    """

    sequence: int
    kind: str
    recv_time: int = 0
    recv_monotonic: int = 0
    epoch: int = 0
    request_id: int = 0
    is_last: bool = True
    error_id: int = 0
    error_msg: str = ""
    reason: int = 0
    client_id: int = 0
    value: int = 0
    struct: str = ""
    data: dict[str, Any] | None = None
