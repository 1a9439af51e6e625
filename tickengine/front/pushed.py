"""Turns what a caller holds (a dict, several, an array) into tick records for the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickengine.front.fields import TICK


def tick_records(ticks: NDArray[Any] | Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> NDArray[Any]:
    """Return records of dtype `TICK`; members not given are zero.

    Raises:
        ValueError: a member that a tick does not have, or a text that does not fit.
    """
    if isinstance(ticks, np.ndarray):
        names = ticks.dtype.names
        if names is None:
            raise ValueError("push: the array has no named members")
        source = np.atleast_1d(ticks)
        columns = {name: source[name] for name in names}
        records = np.zeros(len(source), TICK)
        for name, column in columns.items():
            _assign(records, name, column)
        return records
    rows = [ticks] if isinstance(ticks, Mapping) else list(ticks)
    records = np.zeros(len(rows), TICK)
    for number, row in enumerate(rows):
        for name, value in row.items():
            _assign(records[number : number + 1], name, value)
    return records


def _assign(records: NDArray[Any], name: str, value: Any) -> None:
    if name not in (TICK.names or ()):
        raise ValueError(f"push: a tick has no member '{name}'")
    room = TICK[name].itemsize
    if TICK[name].kind == "S":
        given = np.asarray(value)
        # numpy would cut what is too long in silence.
        longest = int(np.char.str_len(given).max()) if given.size and given.dtype.kind in "SU" else 0
        if longest > room:
            raise ValueError(f"push: {name} of {longest} bytes, at most {room} fit")
    records[name] = value
