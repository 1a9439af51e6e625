"""Which ticks are played, in which order: files, filters, several files of one day, one day after another."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .._checks import check_instruments
from .._errors import ConfigError
from ..instruments import parse_instrument
from ..record import Recording
from ..tick import TICK_DTYPE
from . import times
from .csvfile import CsvTicks
from .times import Time

_RECORDING, _CSV = ".ticks", ".csv"
_SESSIONS = 1 << 20  # of one file, with room to spare
_PIECE = 1 << 14
MOST_INSTRUMENTS = 1 << 20
"""That a log's table can hold; an index beyond is none."""

Positions = npt.NDArray[np.int64]


class Source(Protocol):
    """One file's ticks."""

    path: str
    trading_day: str
    ticks: Any

    def sessions(self, positions: Positions) -> Positions:
        """For each of these ticks the number of the instrument table that its ``Instrument`` means, -1: no table."""

    def exchange_inst_id(self, position: int) -> bytes:
        """ExchangeInstID of the tick there."""


class RecordedTicks:
    """The ticks of a `Recording`."""

    def __init__(self, path: str) -> None:
        self._recording = Recording.open(path)
        self.path = path
        self.trading_day = self._recording.trading_day
        self.ticks = self._recording.ticks
        self._starts = np.array([session.record for session in self._recording.sessions], np.int64)

    def sessions(self, positions: Positions) -> Positions:
        found: Positions = np.searchsorted(self._starts, positions, "right").astype(np.int64) - 1
        return found

    def exchange_inst_id(self, position: int) -> bytes:
        return self._recording.exchange_inst_id(position)


@dataclass(frozen=True)
class Selection:
    """What of the files is wanted. Made by `selection`, which checks it."""

    instruments: tuple[bytes, ...] = ()
    products: tuple[str, ...] = ()
    start: Any = None
    stop: Any = None

    @property
    def everything(self) -> bool:
        return not (self.instruments or self.products or self.start is not None or self.stop is not None)


def selection(
    instruments: Iterable[str | bytes] | None, products: Iterable[str] | None, start: Time | None, stop: Time | None
) -> Selection:
    """Raises `ConfigError`: an id, a product or a time cannot be one."""
    ids = () if instruments is None else tuple(check_instruments(instruments))
    letters = () if products is None else tuple(id.decode() for id in check_instruments(products, "products"))
    if instruments is not None and not ids:
        raise ConfigError("instruments is empty: pass None for all instruments")
    if products is not None and not letters:
        raise ConfigError("products is empty: pass None for all products")
    return Selection(ids, letters, times.checked_time(start, "start"), times.checked_time(stop, "stop"))


def check_files(files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
    """The files, absolute; a directory is all recordings in it. Raises `ConfigError` for what is not there."""
    if isinstance(files, (str, os.PathLike)):
        files = [files]
    found: list[str] = []
    for given in files:
        path = os.path.abspath(os.fspath(given))
        if os.path.isdir(path):
            inside = sorted(name for name in os.listdir(path) if name.endswith((_RECORDING, _CSV)))
            if not inside:
                raise ConfigError(f"{path}: no recordings in this directory (files that end in .ticks or .csv)")
            found += [os.path.join(path, name) for name in inside]
        elif os.path.isfile(path):
            found.append(path)
        else:
            raise ConfigError(f"{path}: no such file: give recordings (.ticks), CSV files, or a directory of them")
    if not found:
        raise ConfigError("no files given: name recordings (.ticks), CSV files, or a directory of them")
    twice = [path for path in found if found.count(path) > 1]
    if twice:
        raise ConfigError(f"{twice[0]}: given twice")
    return found


def open_file(path: str, progress: Callable[[int], object]) -> Source:
    """Raises `ConfigError`, `RecordingError`: what is wrong with the file."""
    return CsvTicks(path, progress) if is_csv(path) else RecordedTicks(path)


def is_csv(path: str) -> bool:
    """Whether all of the file is read before a tick of it is played."""
    return path.lower().endswith(_CSV)


class Day:
    """The ticks of one trading day in the order in which they are played.

    Attributes:
        trading_day: YYYYMMDD.
        sources: the files that they come from.
    """

    def __init__(self, trading_day: str, sources: Sequence[Source], wanted: Selection) -> None:
        self.trading_day = trading_day
        self.sources = list(sources)
        self._bases = np.cumsum([0, *(len(source.ticks) for source in sources)])
        # Positions in the sources one behind the other; None: as they are.
        self._order = None if len(sources) == 1 and wanted.everything else self._ordered(wanted)

    def __len__(self) -> int:
        return int(self._bases[-1]) if self._order is None else len(self._order)

    def _ordered(self, wanted: Selection) -> Positions:
        base = self._bases
        kept: list[Positions] = [base[i] + np.flatnonzero(self._mask(s, wanted)) for i, s in enumerate(self.sources)]
        if len(kept) == 1:
            return kept[0]
        # A clock that was set back leaves the order of a file as it is.
        received = [
            np.maximum.accumulate(s.ticks["RecvTime"][k - base[i]].astype(np.int64))
            for i, (s, k) in enumerate(zip(self.sources, kept))
        ]
        order: Positions = np.concatenate(kept)[np.argsort(np.concatenate(received), kind="stable")]
        return order

    def _mask(self, source: Source, wanted: Selection) -> npt.NDArray[np.bool_]:
        ticks = source.ticks
        mask = np.ones(len(ticks), np.bool_)
        if wanted.instruments or wanted.products:
            mask &= self._of_instruments(source, wanted)
        if wanted.start is not None or wanted.stop is not None:
            made = _made(ticks)
            if wanted.start is not None:
                mask &= made >= times.moment(wanted.start, self.trading_day)
            if wanted.stop is not None:
                mask &= made < times.moment(wanted.stop, self.trading_day)
        return mask

    def _of_instruments(self, source: Source, wanted: Selection) -> npt.NDArray[np.bool_]:
        """Each instrument is looked at once: by its table's index, else by its name."""
        indices = source.ticks["Instrument"].astype(np.int64)
        tables = source.sessions(np.arange(len(indices)))
        mask = np.zeros(len(indices), np.bool_)
        indexed = np.flatnonzero((tables >= 0) & (indices < MOST_INSTRUMENTS))
        keys = tables[indexed] * MOST_INSTRUMENTS + indices[indexed]
        places = np.full(int(keys.max(initial=-1)) + 1, -1, np.int64)
        places[keys] = indexed  # of some tick with that key
        used = np.flatnonzero(places >= 0)
        fits = np.zeros(len(places), np.bool_)
        fits[used] = self._fit(source.ticks["InstrumentID"][places[used]], wanted)
        mask[indexed] = fits[keys]
        named = np.ones(len(indices), np.bool_)
        named[indexed] = False
        rest = np.flatnonzero(named)
        mask[rest] = self._fit(source.ticks["InstrumentID"][rest], wanted)
        return mask

    def _fit(self, ids: npt.NDArray[Any], wanted: Selection) -> npt.NDArray[np.bool_]:
        different, where = np.unique(ids, return_inverse=True)
        fits = [
            id in wanted.instruments or parse_instrument(id, day=self.trading_day).ProductID in wanted.products
            for id in different.tolist()
        ]
        return np.array(fits, np.bool_)[where]

    def batch(self, start: int, stop: int) -> tuple[npt.NDArray[np.void], Positions, Positions]:
        """Ticks number *start* to *stop* - 1: records in a row, their positions, and for each the number of the
        instrument table in which ``Instrument`` counts, below 0: in none."""
        stop = min(stop, len(self))
        if self._order is None:
            source, places = self.sources[0], np.arange(start, stop)
            return source.ticks[start:stop], places, source.sessions(places)  # no copy
        places = self._order[start:stop]
        which = np.searchsorted(self._bases, places, "right") - 1
        records: npt.NDArray[np.void] = np.empty(len(places), TICK_DTYPE)
        tables: Positions = np.empty(len(places), np.int64)
        for i, source in enumerate(self.sources):
            own = np.flatnonzero(which == i)
            positions = places[own] - self._bases[i]
            records[own] = source.ticks[positions]
            sessions = source.sessions(positions)
            tables[own] = np.where(sessions < 0, -1, i * _SESSIONS + sessions)
        return records, places, tables

    def exchange_inst_id(self, place: int) -> bytes:
        """ExchangeInstID of the tick at one of `batch`'s positions."""
        i = int(np.searchsorted(self._bases, place, "right")) - 1
        return self.sources[i].exchange_inst_id(int(place - self._bases[i]))

    def file_of(self, place: int) -> tuple[str, int]:
        """The file of that tick, and its number in it, from 0."""
        i = int(np.searchsorted(self._bases, place, "right")) - 1
        return self.sources[i].path, int(place - self._bases[i])

    @functools.cached_property
    def made(self) -> Positions:
        """``ExchangeTime`` of each tick, of one that has none that of the tick before it."""
        parts = np.concatenate([source.ticks["ExchangeTime"].astype(np.int64) for source in self.sources])
        return _filled(parts if self._order is None else parts[self._order])

    def made_at(self, position: int) -> int:
        """``ExchangeTime`` of the tick there, or the last one before it that has one; 0: none has."""
        for start in range(position, -1, -_PIECE):
            times = self.batch(max(0, start + 1 - _PIECE), start + 1)[0]["ExchangeTime"]
            known = np.flatnonzero(times)
            if len(known):
                return int(times[known[-1]])
        return 0

    def find(self, ns: int, alive: Callable[[], None], begin: int = 0) -> int | None:
        """Number of the first tick from *begin* on that was made at *ns* or later; None: there is none. Calls *alive*
        now and then."""
        for start in range(begin, len(self), _PIECE):
            alive()
            later = self.batch(start, start + _PIECE)[0]["ExchangeTime"] >= ns
            if later.any():
                return start + int(np.argmax(later))
        return None

    @property
    def files(self) -> str:
        return ", ".join(os.path.basename(source.path) for source in self.sources)


def _made(ticks: Any) -> Positions:
    return _filled(ticks["ExchangeTime"].astype(np.int64))


def _filled(made: Positions) -> Positions:
    filled: Positions = made[np.maximum.accumulate(np.where(made != 0, np.arange(len(made)), 0))]
    return filled


def open_days(
    files: Sequence[str], wanted: Selection, progress: Callable[[int], object] = lambda size: None
) -> list[Day]:
    """The days that the files hold, in their order, those with a tick that is wanted. *progress* is called with the
    bytes that were read of CSV files.

    Raises:
        ConfigError, RecordingError: a file is none, or damaged.
        ConfigError: no tick is wanted.
    """
    by_day: dict[str, list[Source]] = {}
    for path in files:
        source = open_file(path, progress)
        by_day.setdefault(source.trading_day, []).append(source)
    days = [Day(day, sources, wanted) for day, sources in sorted(by_day.items())]
    filled = [day for day in days if len(day)]
    if not filled:
        raise ConfigError(_nothing(days, wanted))
    return filled


def _nothing(days: Sequence[Day], wanted: Selection) -> str:
    files = ", ".join(day.files for day in days)
    made = [every.made for day in days if len(every := Day(day.trading_day, day.sources, Selection()))]
    if not made:
        return f"no ticks in {files}"
    low, high = (times.words(int(f(array))) for f, array in ((np.min, made[0]), (np.max, made[-1])))
    return f"none of the ticks in {files} is wanted: widen the filters; they were made from {low} to {high}"
