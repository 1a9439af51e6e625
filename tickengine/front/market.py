"""Where the front's ticks come from: the `Market` protocol and the market whose ticks prove themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tickengine.front.clock import checked_day
from tickengine.front.fields import INSTRUMENT_BYTES, TICK, TICK_FLOATS, TICK_INTS
from tickengine.front.pace import Pace
from tickengine.front.products import product_of
from tickengine.front.tickpackets import TICKS_PER_PACKET

INT_MASK = 0x7FFFFFFF
NUMBERED_TRADING_DAY = "20260105"


class Market(Protocol):
    """A source of ticks with running numbers from 0."""

    @property
    def instruments(self) -> Sequence[str]:
        """Every instrument that ticks may name."""

    @property
    def trading_day(self) -> str:
        """YYYYMMDD, told to clients that log in."""

    def batch(self, start: int, count: int) -> NDArray[Any]:
        """Ticks number *start* to *start + count - 1*, records of dtype `TICK`."""


@runtime_checkable
class InPlaceMarket(Protocol):
    """A market that can write its ticks straight into their places on the wire."""

    def fill(self, out: NDArray[Any], start: int) -> None:
        """Write consecutive ticks from number *start* on into *out*, of shape (packets, 11) and dtype
        `TICK`, in row order."""


@runtime_checkable
class IndexedMarket(Protocol):
    """A market that knows the instrument of a tick without making the tick."""

    def indices(self, start: int, count: int) -> NDArray[np.int64]:
        """Positions in `instruments` of the ticks number *start* to *start + count - 1*."""


@runtime_checkable
class SnapshotMarket(Protocol):
    """A market with a snapshot clock of its own."""

    def snapshot(self, at: datetime | None = None) -> NDArray[Any]:
        """The next ticks, those of one snapshot, stamped *at*; may be empty."""


@runtime_checkable
class PacedMarket(Protocol):
    """A market whose ticks have times of their own, and an end."""

    def pace(self) -> Pace:
        """When its ticks are due, if nothing else is asked for."""

    def __len__(self) -> int:
        """How many there are."""


def checked_instruments(instruments: Iterable[str]) -> list[str]:
    """Return the ids as a list.

    Raises:
        ValueError: none, one twice, or an id that is empty, longer than 30 bytes, not printable ASCII.
    """
    checked = list(instruments)
    if not checked:
        raise ValueError("no instruments given")
    if isinstance(instruments, str):
        raise ValueError(f"instruments '{instruments}': one text given, a list of ids needed")
    for name in checked:
        if not name:
            raise ValueError("instrument id '': is empty")
        if not (name.isascii() and name.isprintable()) or " " in name:
            raise ValueError(f"instrument id {name!r}: only printable ASCII without blanks is allowed")
        if len(name) >= INSTRUMENT_BYTES:
            raise ValueError(f"instrument id '{name}': {len(name)} bytes, at most {INSTRUMENT_BYTES - 1} allowed")
    if len(set(checked)) != len(checked):
        twice = next(name for name in checked if checked.count(name) > 1)
        raise ValueError(f"instrument id '{twice}': given twice")
    return checked


class NumberedMarket:
    """Every member of tick number n follows from n, so a torn, mixed, lost or foreign tick shows.

    With s = *seed*, F = the 25 double members without `Turnover` in the vendor's order (LastPrice = 1,
    PreSettlementPrice = 2, ... AveragePrice = 25) and V = the ten level volumes (BidVolume1 = 1,
    AskVolume1 = 2, ... AskVolume5 = 10):

    ==================  =====================================================================
    InstrumentID        instruments[n mod len(instruments)]
    ExchangeID          the exchange guessed from the product
    ExchangeInstID      the id written backwards
    TradingDay          *trading_day*
    ActionDay           *action_day*, by default the same
    Turnover            n
    Volume              n & 0x7fffffff
    double number k     (n + s) / 4 + 1000 k
    volume number k     (n + s + 1000 k) & 0x7fffffff
    UpdateMillisec      n mod 1000
    UpdateTime          second (n div 1000) mod 86400 of the day, as HH:MM:SS
    ==================  =====================================================================

    All of it is exact in a double for n + s below 2**50. No two ticks share the value of a double member,
    no two less than 2**31 apart that of a volume, and within a tick the doubles with a number k differ
    from each other, as do the level volumes.

    Raises:
        ValueError: bad ids, a negative seed, a day that is none.
    """

    def __init__(
        self,
        instruments: Iterable[str],
        seed: int = 0,
        *,
        trading_day: str = NUMBERED_TRADING_DAY,
        action_day: str | None = None,
    ) -> None:
        self._instruments = checked_instruments(instruments)
        if not 0 <= seed < 2**49:
            raise ValueError(f"seed {seed}: must be from 0 to 2**49 - 1")
        self.seed = seed
        self._trading_day = checked_day(trading_day)
        self.action_day = checked_day(action_day if action_day is not None else trading_day)
        self._texts = np.zeros(len(self._instruments), TICK)
        self._texts["InstrumentID"] = [name.encode() for name in self._instruments]
        self._texts["ExchangeInstID"] = [name[::-1].encode() for name in self._instruments]
        self._texts["ExchangeID"] = [product_of(name).exchange.encode() for name in self._instruments]
        self._columns = {
            name: np.ascontiguousarray(self._texts[name]) for name in ("InstrumentID", "ExchangeInstID", "ExchangeID")
        }

    @property
    def instruments(self) -> Sequence[str]:
        """Every instrument that ticks may name."""
        return self._instruments

    @property
    def trading_day(self) -> str:
        """YYYYMMDD, the same in every tick."""
        return self._trading_day

    def indices(self, start: int, count: int) -> NDArray[np.int64]:
        """Positions in `instruments` of the ticks number *start* to *start + count - 1*."""
        return np.arange(start, start + count, dtype=np.int64) % len(self._instruments)

    def batch(self, start: int, count: int) -> NDArray[Any]:
        """Ticks number *start* to *start + count - 1*, records of dtype `TICK`."""
        rows = -(-count // TICKS_PER_PACKET)
        out = np.zeros((rows, TICKS_PER_PACKET), TICK)
        self.fill(out, start)
        return out.reshape(-1)[:count]

    def fill(self, out: NDArray[Any], start: int) -> None:
        """Write consecutive ticks from number *start* on into *out*, in row order."""
        numbers = np.arange(start, start + out.size, dtype=np.int64).reshape(out.shape)
        for name, column in self._texts_of(numbers).items():
            out[name] = column
        for name, column in self._numeric(numbers):
            out[name] = column

    def expected(self, numbers: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """What the ticks of these running numbers must hold: one array per member, by the vendor's
        name, numbers in the machine's byte order, text as bytes."""
        wanted = np.asarray(numbers, dtype=np.int64)
        columns = {
            name: np.broadcast_to(column, wanted.shape).copy() for name, column in self._texts_of(wanted).items()
        }
        for name, column in self._numeric(wanted):
            columns[name] = column.astype(np.float64 if name in TICK_FLOATS else np.int32)
        return {name: columns[name] for name in TICK.names or ()}

    def _texts_of(self, numbers: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        index = numbers % len(self._instruments)
        columns = {name: table[index] for name, table in self._columns.items()}
        columns["UpdateTime"] = _CLOCK_FACES[numbers // 1000 % _DAY_SECONDS]
        columns["TradingDay"] = np.array(self._trading_day.encode(), TICK["TradingDay"])
        columns["ActionDay"] = np.array(self.action_day.encode(), TICK["ActionDay"])
        return columns

    def _numeric(self, numbers: NDArray[np.int64]) -> Iterable[tuple[str, NDArray[Any]]]:
        base = (numbers + self.seed) * 0.25
        for name, offset in _FLOAT_OFFSETS:
            yield name, base + offset
        yield "Turnover", numbers.astype(np.float64)
        # 32 bits are enough: the sum is only used modulo 2**31.
        short = (numbers + self.seed).astype(np.uint32)
        for name, step in _VOLUME_OFFSETS:
            yield name, ((short + step) & _MASK).view(np.int32)
        yield "Volume", (numbers & INT_MASK).astype(np.int32)
        yield "UpdateMillisec", (numbers % 1000).astype(np.int32)


_DAY_SECONDS = 86_400
_MASK = np.uint32(INT_MASK)
_FLOAT_OFFSETS = [(name, 1000.0 * k) for k, name in enumerate((f for f in TICK_FLOATS if f != "Turnover"), start=1)]
_VOLUME_OFFSETS = [
    (name, np.uint32(1000 * k))
    for k, name in enumerate((f for f in TICK_INTS if f not in ("Volume", "UpdateMillisec")), start=1)
]


def _clock_faces() -> NDArray[Any]:
    seconds = np.arange(_DAY_SECONDS)
    digits = np.zeros((_DAY_SECONDS, 9), np.uint8)
    for at, part in ((0, seconds // 3600), (3, seconds // 60 % 60), (6, seconds % 60)):
        digits[:, at] = part // 10 + ord("0")
        digits[:, at + 1] = part % 10 + ord("0")
    digits[:, [2, 5]] = ord(":")
    return digits.view("S9").reshape(-1)


_CLOCK_FACES = _clock_faces()
