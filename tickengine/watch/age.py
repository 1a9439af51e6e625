"""How long ago the newest tick was received."""

from __future__ import annotations

import time

from .._errors import NotFoundError, OverwrittenError
from ..log import TickLog
from ..tick import Tick

_LOOK_BACK = 64  # records, before all instruments are asked


def last_tick_age(log: TickLog) -> float | None:
    """Seconds since the log's newest tick was received; None: there is none.

    By the monotonic clock, so a wall clock that is set does not matter. Reads the log beside its writer and
    disturbs nobody.
    """
    tick = _newest(log)
    return None if tick is None else max(0.0, (time.monotonic_ns() - tick.RecvMonotonic) / 1e9)


def _newest(log: TickLog) -> Tick | None:
    head = log.head
    for sequence in range(head - 1, max(head - _LOOK_BACK, log.oldest) - 1, -1):
        try:
            record = log[sequence]
        except (OverwrittenError, NotFoundError, IndexError):
            break
        if isinstance(record, Tick):
            return record
    # Nothing but events there, or a writer that is faster than this.
    seen = [entry for entry in log.instruments() if entry["latest"] is not None]
    if not seen:
        return None
    return log.latest(max(seen, key=lambda entry: int(entry["latest"]))["InstrumentID"])
