"""A recording as the front's market: the vendor library delivers again what it delivered then."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickengine._errors import TickEngineError
from tickengine.front.fields import DBL_MAX, INSTRUMENT_BYTES, TICK
from tickengine.front.pace import FlatOut, Pace
from tickengine.replay.days import Day, Selection, check_files, open_days
from tickengine.replay.player import checked_speed

_ABSENT_BITS = np.float64(np.nan).view(np.uint64)
_CHUNK = 65536


class RecordedMarket:
    """The ticks of one trading day's files, as `tickengine.replay.Replay` takes them: recordings or CSV.

    Every member that the 6.3.6 library has is sent bit for bit; an absent price leaves as DBL_MAX. *speed*: 1 for the
    spacing in which they were received, N for N times faster, ``"max"`` for as fast as the client reads. Ticks that
    nobody has subscribed are not held back: what a client does not ask for passes by.

    Raises:
        ValueError: a file is wrong, they are of several trading days, or an id is too long for this front's protocol.
    """

    def __init__(
        self,
        files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        speed: float | str = 1.0,
        selection: Selection | None = None,
    ) -> None:
        try:
            days = open_days(check_files(files), selection or Selection())
            self._speed = checked_speed(speed)
        except TickEngineError as error:
            raise ValueError(str(error)) from None
        if len(days) > 1:
            named = ", ".join(day.trading_day for day in days)
            raise ValueError(f"a front has one trading day, these files are of {named}: start it again for each")
        self._day: Day = days[0]
        self._received, ids = self._look_through()
        self._instruments = sorted(ids)

    @property
    def instruments(self) -> Sequence[str]:
        """Every instrument that ticks name."""
        return self._instruments

    @property
    def trading_day(self) -> str:
        """YYYYMMDD, of the recording."""
        return self._day.trading_day

    def __len__(self) -> int:
        return len(self._day)

    def batch(self, start: int, count: int) -> NDArray[Any]:
        """Ticks number *start* to *start + count - 1*, records of dtype `TICK`."""
        records, places, tables = self._day.batch(start, start + count)
        ticks: NDArray[Any] = np.zeros(len(records), TICK)
        for name in TICK.names or ():
            if name == "ExchangeInstID":
                continue
            if TICK[name].kind == "f":
                absent = records[name].view(np.uint64) == _ABSENT_BITS
                ticks[name] = _big_endian(records[name])
                ticks[name][absent] = DBL_MAX
            else:
                ticks[name] = records[name]
        keys = (tables << 32) + records["Instrument"]
        different, first, where = np.unique(keys, return_index=True, return_inverse=True)
        names = [self._day.exchange_inst_id(int(places[at])) for at in first[: len(different)].tolist()]
        ticks["ExchangeInstID"] = np.array(names, TICK["ExchangeInstID"])[where.reshape(-1)]
        return ticks

    def pace(self) -> Pace:
        """When its ticks are due."""
        return FlatOut() if self._speed is None else RecordedPace(self._received, self._speed)

    def _look_through(self) -> tuple[NDArray[np.int64], set[str]]:
        """When each tick was received, as nanoseconds from the first, never down; and the ids."""
        gaps: list[NDArray[np.int64]] = []
        ids: set[bytes] = set()
        last: int | None = None
        for start in range(0, len(self._day), _CHUNK):
            records, _, _ = self._day.batch(start, start + _CHUNK)
            received = records["RecvTime"].astype(np.int64)
            gaps.append(np.clip(np.diff(received, prepend=received[0] if last is None else last), 0, None))
            last = int(received[-1])
            ids.update(np.unique(records["InstrumentID"]).tolist())
        long = next((id for id in sorted(ids) if len(id) >= INSTRUMENT_BYTES), None)
        if long is not None:
            raise ValueError(
                f"instrument id '{long.decode('ascii', 'replace')}': {len(long)} bytes, at most {INSTRUMENT_BYTES - 1} "
                "fit into this front's protocol; tickengine replay can play it"
            )
        return np.cumsum(np.concatenate(gaps)), {id.decode("ascii", "replace") for id in ids}


def _big_endian(values: NDArray[Any]) -> NDArray[Any]:
    """The same bits in the wire's order: an assignment that converts could change a NaN's."""
    swapped: NDArray[Any] = np.ascontiguousarray(values).byteswap().view(values.dtype.newbyteorder(">"))
    return swapped


class RecordedPace:
    """Tick i is due *received[i] / speed* nanoseconds after tick 0, a break not counted."""

    def __init__(self, received: NDArray[np.int64], speed: float) -> None:
        self._due = received / (speed * 1e9)
        self._made = 0
        self._begin = 0.0

    def begin(self, now: float) -> None:
        """The next tick is due now."""
        self._begin = now - (float(self._due[self._made]) if self._made < len(self._due) else 0.0)

    def due(self, now: float) -> int:
        """Ticks whose time has come, not yet made."""
        return max(0, int(np.searchsorted(self._due, now - self._begin, "right")) - self._made)

    def done(self, ticks: int) -> None:
        """Count them."""
        self._made += ticks

    def wake(self) -> float:
        """The time of the next tick."""
        # The hair more keeps the sum here and the difference in `due` from disagreeing.
        return self._begin + float(self._due[self._made]) + 1e-9 if self._made < len(self._due) else 0.0
