"""`compute`: the bars of an array of ticks, without going through them one by one.

It keeps the rules of ``docs/bars.md`` by a way of its own: filters, running maxima and sums over columns. A
property test holds it and `BarBuilder` against each other, bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..products import Product
from ..tick import KIND_TICK, TickFlag
from .grid import (
    BEFORE,
    CHINA_NS,
    DAY_NS,
    NS,
    OUTSIDE,
    Grid,
    Hours,
    date_text,
    grid_of,
    trading_day_of,
    trading_hours,
    unit_of,
)
from .periods import CLOCK, check_align, seconds_of
from .record import BAR_DTYPE, IS_BAR, BarFlag

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Ticks = npt.NDArray[np.void]
_SPAN_NS = 6 * 3600 * NS  # trading days change at 18:00 and 06:00


def compute(
    ticks: Ticks,
    period: str | int,
    *,
    align: str = CLOCK,
    any_hour: bool = False,
    flat: bool = False,
    until: int | None = None,
) -> Ticks:
    """The bars of all instruments in *ticks*, of one period.

    Args:
        ticks: `TICK_DTYPE`, each instrument's in the order in which they came; events are passed over.
        period, align, any_hour, flat: as `BarBuilder`.
        until: up to which moment (exchange time, ns UTC) the ticks are complete; None: up to the newest. Bars that
            end later are `BarFlag.UNFINISHED`.

    Returns:
        `BAR_DTYPE`, in order of ``End``, then of ``InstrumentID``: what a `BarBuilder` gives for the same ticks and
        `finish`, field by field the same.

    Raises:
        ConfigError: a wrong argument.
    """
    seconds, align = seconds_of(period), check_align(align)
    columns = _Columns.of(ticks)
    numbers: dict[bytes, int] = {}
    which = np.array([numbers.setdefault(name, len(numbers)) for name in ticks["InstrumentID"].tolist()], np.int64)
    order = np.argsort(which, kind="stable")
    order = order[ticks["Kind"][order] == KIND_TICK]
    edges = np.searchsorted(which[order], np.arange(len(numbers) + 1))
    streams = [_Stream(name, columns.pick(order[edges[n] : edges[n + 1]])) for name, n in numbers.items()]
    if until is None:
        until = max((stream.newest for stream in streams), default=0)
    parts = [part for s in streams for part in s.bars(seconds, align, bool(any_hour), flat, until)]
    if not parts:
        return np.empty(0, BAR_DTYPE)
    bars = np.concatenate(parts)
    found: Ticks = bars[np.lexsort((bars["InstrumentID"], bars["End"]))]
    return found


class _Columns:
    """The columns that bars are made of, each an array of its own: to copy records whole takes longer."""

    _names = (
        *("ExchangeTime", "RecvTime", "Flags", "InstrumentNumber", "Volume", "Turnover"),
        *("LastPrice", "BidPrice1", "AskPrice1", "OpenInterest"),
    )

    def __init__(self, columns: dict[str, npt.NDArray[Any]]) -> None:
        self._columns = columns

    @classmethod
    def of(cls, ticks: Ticks) -> _Columns:
        return cls({name: np.ascontiguousarray(ticks[name]) for name in cls._names})

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._columns[name]

    def __len__(self) -> int:
        return len(self._columns["ExchangeTime"])

    def pick(self, where: Any) -> _Columns:
        """Those of an index, a mask or a slice."""
        return _Columns({name: column[where] for name, column in self._columns.items()})


class _Stream:
    """One instrument's ticks."""

    def __init__(self, name: bytes, ticks: _Columns) -> None:
        self._name = name
        numbers = ticks["InstrumentNumber"].astype(np.int64)
        # How many were missing before each, summed up.
        missing = np.cumsum(np.maximum(np.diff(numbers, prepend=numbers[:1]) - 1, 0))
        timed = ticks["ExchangeTime"] > 0
        ticks, missing = ticks.pick(timed), missing[timed]
        flags = ticks["Flags"].astype(np.int64)
        disorder = flags & int(TickFlag.OUT_OF_ORDER) != 0
        held = disorder & (flags & int(TickFlag.TIME_REPAIRED) != 0)
        times = ticks["ExchangeTime"]
        # Where a later tick says that the times before it were wrong, everything begins again.
        begins = [0]
        for at in np.flatnonzero(disorder & ~held):
            if at > begins[-1] and times[at] < np.max(times[begins[-1] : at][~held[begins[-1] : at]], initial=0):
                begins.append(int(at))
        self._stretches = []
        self.newest = 0
        for start, stop in zip(begins, [*begins[1:], len(ticks)]):
            mine = np.flatnonzero(~held[start:stop]) + start
            mine = mine[times[mine] >= np.maximum.accumulate(times[mine])] if len(mine) else mine
            self.newest = int(times[mine].max(initial=0))
            last = stop == len(ticks)
            self._stretches.append((ticks.pick(mine), missing[mine], last))

    def bars(self, seconds: int, align: str, any_hour: bool, flat: bool, until: int) -> list[Ticks]:
        found = []
        told = 0  # of the missing ticks, in bars or passed
        for ticks, missing, last in self._stretches:
            if not len(ticks):
                continue
            stretch = _Stretch(self._name, ticks, missing, seconds, align, any_hour)
            found.append(stretch.bars(flat, until if last else None, told))
            told = stretch.told(told)
        return found


class _Stretch:
    """Ticks of one instrument whose exchange time does not go down."""

    def __init__(self, name: bytes, ticks: _Columns, missing: Ints, seconds: int, align: str, any_hour: bool) -> None:
        self._name, self._seconds, self._any_hour = name, seconds, any_hour
        times = ticks["ExchangeTime"]
        blocks = (times + CHINA_NS) // _SPAN_NS
        firsts = np.flatnonzero(np.diff(blocks, prepend=blocks[0] - 1))
        day_of_block = np.array([trading_day_of(int(times[at])) for at in firsts], np.int64)
        days = np.repeat(day_of_block, np.diff([*firsts, len(times)]))
        self._day_starts = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
        self._day_stops = np.append(self._day_starts[1:], len(days))
        self._rules: list[tuple[Hours, Product | None, Grid]] = []
        slots = np.empty(len(times), np.int64)
        auction = np.zeros(len(times), bool)
        for start, stop in zip(self._day_starts, self._day_stops):
            hours, product = trading_hours(name, int(days[start]), any_hour)
            grid = grid_of(hours, seconds, align)
            self._rules.append((hours, product, grid))
            slots[start:stop] = grid.find_many(times[start:stop])
            for begin, end in hours.auctions:
                auction[start:stop] |= (times[start:stop] >= begin) & (times[start:stop] < end)
        priced = ~np.isnan(ticks["LastPrice"])
        counted = (slots >= 0) & priced
        counted[counted] = _in_turn(ticks.pick(counted))
        self._pick(ticks, missing, days, slots, auction, counted)

    def _pick(self, ticks: _Columns, missing: Ints, days: Ints, slots: Ints, auction: Mask, counted: Mask) -> None:
        """Columns of the counted ticks: what each brings."""
        self._at = at = np.flatnonzero(counted)
        self._ticks = picked = ticks.pick(at)
        self._missing, self._slots = missing[at], slots[at]
        self._volume = volume = picked["Volume"].astype(np.int64)
        self._turnover = picked["Turnover"]
        before = np.concatenate(([0], volume))[:-1]
        self._turnover_before = turnover_before = np.concatenate(([0.0], self._turnover))[:-1]
        partial = np.zeros(len(at), bool)
        times = ticks["ExchangeTime"]
        for (start, stop), (hours, _, _) in zip(zip(self._day_starts, self._day_stops), self._rules):
            inside = np.flatnonzero(slots[start:stop] != BEFORE)
            first = np.searchsorted(at, start)
            if not len(inside) or first == len(at) or at[first] >= stop:
                continue
            seen = start + inside[0]  # what was traded before it is not known, unless the day was seen to begin
            opening = slots[seen] != OUTSIDE and hours.opens[0] <= times[seen] < hours.opens[1]
            if seen > 0 or opening:
                before[first], turnover_before[first] = 0, 0.0
            else:
                before[first], turnover_before[first] = int(ticks["Volume"][seen]), ticks["Turnover"][seen]
                partial[first] = True
        self._restarted = volume < before
        self._traded = np.where(self._restarted, 0, volume - before)
        turnover_before[self._restarted] = self._turnover[self._restarted]
        # A snapshot since the last counted tick, of the same trading day, not the first of all.
        snapshot = (ticks["Flags"] & int(TickFlag.SNAPSHOT) != 0) & (slots != BEFORE)
        snapshot[:1] = False
        where = np.maximum.accumulate(np.where(snapshot, np.arange(len(ticks)), -1))[at]
        previous = np.concatenate(([-1], at))[:-1]
        gap = (where > previous) & (days[where] == days[at]) & (self._traded > 0)
        self._partial, self._gap = partial, gap
        self._auction = auction[at]

    def told(self, before: int) -> int:
        """Of the missing ticks summed up, how many the counted ticks account for."""
        return int(self._missing[-1]) if len(self._missing) else before

    def bars(self, flat: bool, until: int | None, told: int) -> Ticks:
        """Its bars; *until* None: what follows says that these times were wrong."""
        parts = []
        lost = np.diff(self._missing, prepend=told)
        unseen = self._gap | (lost > 0)
        price, ask, bid = (self._ticks[name] for name in ("LastPrice", "AskPrice1", "BidPrice1"))
        clear = ~unseen & ~self._auction
        buys = np.where(clear & (price >= ask), self._traded, 0)
        sells = np.where(clear & ~(price >= ask) & (price <= bid), self._traded, 0)
        flags = (
            int(BarFlag.GAP) * self._gap
            | int(BarFlag.TICKS_LOST) * (lost > 0)
            | int(BarFlag.PARTIAL) * self._partial
            | int(BarFlag.VOLUME_RESTARTED) * self._restarted
        )
        columns = {"lost": lost, "buys": buys, "sells": sells, "flags": flags}
        for n, (start, stop) in enumerate(zip(self._day_starts, self._day_stops)):
            first, end = np.searchsorted(self._at, (start, stop))
            if first == end:
                continue
            over = n + 1 < len(self._rules)
            made = self._day(n, slice(int(first), int(end)), columns)
            parts.append(self._given(n, made, flat, None if over else until, over))
        return np.concatenate(parts) if parts else np.empty(0, BAR_DTYPE)

    def _day(self, n: int, of: slice, columns: dict[str, Any]) -> tuple[Ticks, Ints]:
        """All bars of a trading day in which ticks were counted, and their numbers."""
        _, product, grid = self._rules[n]
        slots = self._slots[of]
        firsts = np.flatnonzero(np.diff(slots, prepend=slots[0] - 1))
        lasts = np.append(firsts[1:], len(slots)) - 1
        numbers: Ints = slots[firsts]
        ticks, traded = self._ticks.pick(of), self._traded[of]
        last = ticks.pick(lasts)
        bars = np.zeros(len(firsts), BAR_DTYPE)
        volume = np.add.reduceat(traded, firsts)
        shown = (traded > 0) | self._partial[of]
        price = ticks["LastPrice"]
        index = np.arange(len(price))
        opening = np.minimum.reduceat(np.where(shown, index, len(price)), firsts)
        closing = np.maximum.reduceat(np.where(shown, index, -1), firsts)
        none = closing < 0
        end_price = last["LastPrice"]
        bars["OpenPrice"] = np.where(none, end_price, price[np.where(none, 0, opening)])
        bars["LastPrice"] = np.where(none, end_price, price[closing])
        high = np.maximum.reduceat(np.where(shown, price, -np.inf), firsts)
        low = np.minimum.reduceat(np.where(shown, price, np.inf), firsts)
        bars["HighPrice"], bars["LowPrice"] = np.where(none, end_price, high), np.where(none, end_price, low)
        bars["BarVolume"] = volume
        bars["BVolume"] = np.add.reduceat(columns["buys"][of], firsts)
        bars["SVolume"] = np.add.reduceat(columns["sells"][of], firsts)
        bars["FVolume"] = volume - bars["BVolume"] - bars["SVolume"]
        turnover, before = self._turnover[of], self._turnover_before[of]
        bars["BarTurnover"] = 0.0 + (turnover[lasts] - before[firsts])
        for bar in np.unique(np.searchsorted(firsts, np.flatnonzero(self._restarted[of]), side="right") - 1):
            bars["BarTurnover"][bar] = _in_pieces(turnover, before, self._restarted[of], firsts[bar], lasts[bar])
        bars["TicksLost"] = np.add.reduceat(columns["lost"][of], firsts)
        bars["Ticks"] = lasts - firsts + 1
        bars["Flags"] = np.bitwise_or.reduceat(columns["flags"][of], firsts)
        bars["DayVolume"], bars["DayTurnover"] = last["Volume"], last["Turnover"]
        for name in ("BidPrice1", "AskPrice1", "OpenInterest", "ExchangeTime", "RecvTime"):
            bars[name] = last[name]
        bars["Start"], bars["End"] = np.array(grid.starts)[numbers], np.array(grid.ends)[numbers]
        self._dress(bars, n, product)
        return bars, numbers

    def _dress(self, bars: Ticks, n: int, product: Product | None) -> None:
        """What follows from the rest."""
        unit = unit_of(product)
        for mean, turnover, volume in (
            ("BarSettlement", "BarTurnover", "BarVolume"),
            ("DaySettlement", "DayTurnover", "DayVolume"),
        ):
            some = bars[volume] != 0
            bars[mean] = np.nan
            bars[mean][some] = bars[turnover][some] / (bars[volume][some] * unit)
        day, of_day = np.divmod(bars["ExchangeTime"] + CHINA_NS, DAY_NS)
        seconds = of_day // NS
        bars["UpdateMillisec"] = of_day % NS // 1_000_000
        bars["UpdateTime"] = [b"%02d:%02d:%02d" % (s // 3600, s // 60 % 60, s % 60) for s in seconds.tolist()]
        bars["ActionDay"] = [date_text(d).encode() for d in day.tolist()]
        bars["TradingDay"] = date_text(self._rules[n][0].day).encode()
        bars["ExchangeID"] = b"" if product is None else product.ExchangeID.encode()
        bars["InstrumentID"], bars["Period"], bars["Reserved0"] = self._name, self._seconds, IS_BAR
        if product is None or self._any_hour:
            bars["Flags"] |= int(BarFlag.NO_HOURS)

    def _given(self, n: int, made: tuple[Ticks, Ints], flat: bool, until: int | None, over: bool) -> Ticks:
        """Of a day's bars those that are given out, with flat ones between and behind if they are wanted."""
        bars, numbers = made
        grid = self._rules[n][2]
        if not over:
            # The last one may not be over: the ticks end, or their times were wrong.
            if until is None:
                bars["Flags"][-1] |= int(BarFlag.TIME_CORRECTED)
            elif bars["End"][-1] > until:
                bars["Flags"][-1] |= int(BarFlag.UNFINISHED)
        bars["Flags"][bars["BarVolume"] == 0] |= int(BarFlag.FLAT)
        if not flat:
            always = bars["Flags"] & int(BarFlag.TICKS_LOST | BarFlag.VOLUME_RESTARTED) != 0
            some: Ticks = bars[(bars["BarVolume"] != 0) | always]
            return some
        ends = np.array(grid.ends)
        stop = len(ends) if over else int(numbers[-1]) + 1
        if not over and until is not None:
            stop = max(stop, int(np.searchsorted(ends, until, side="right")))
        wanted = np.arange(numbers[0], stop)
        # Each with the newest bar up to it, emptied where that is an older one.
        source = np.searchsorted(numbers, wanted, side="right") - 1
        filled = bars[source]
        empty = numbers[source] != wanted
        hollow = filled[empty]
        for name in ("OpenPrice", "HighPrice", "LowPrice", "LastPrice"):
            hollow[name] = self._ticks["LastPrice"][self._last_counted(n, numbers)[source[empty]]]
        for name in ("BarVolume", "BVolume", "SVolume", "FVolume", "BarTurnover", "Ticks", "TicksLost"):
            hollow[name] = 0
        hollow["BarSettlement"] = np.nan
        hollow["Flags"] = hollow["Flags"] & int(BarFlag.NO_HOURS) | int(BarFlag.FLAT)
        hollow["Start"], hollow["End"] = np.array(grid.starts)[wanted[empty]], ends[wanted[empty]]
        filled[empty] = hollow
        return filled

    def _last_counted(self, n: int, numbers: Ints) -> Ints:
        """Where the last counted tick of each bar of a day is."""
        first, end = np.searchsorted(self._at, (self._day_starts[n], self._day_stops[n]))
        found: Ints = first + np.searchsorted(self._slots[first:end], numbers, side="right") - 1
        return found


def _in_turn(ticks: _Columns) -> Mask:
    """Without repetitions, and without ticks of the same moment that have less volume than one before them."""
    times, volume = ticks["ExchangeTime"], ticks["Volume"].astype(np.int64)
    keep = np.ones(len(ticks), bool)
    same = np.diff(times, prepend=times[:1] - 1) == 0
    keep[same & (ticks["Flags"] & int(TickFlag.DUPLICATE) != 0)] = False
    left = np.flatnonzero(keep)
    # A running maximum within each moment: later moments are lifted above all earlier ones.
    moment = np.cumsum(~same[left]) if len(left) else left
    lifted = volume[left] + moment * (1 << 33)
    keep[left] = lifted >= np.maximum.accumulate(lifted)
    return keep


def _in_pieces(turnover: Any, before: Any, restarted: Mask, first: int, last: int) -> float:
    """A bar's turnover where the day's began anew in its middle."""
    total, since = 0.0, float(before[first])
    for at in range(first + 1, last + 1):
        if restarted[at]:
            total += float(turnover[at - 1]) - since
            since = float(turnover[at])
    return total + (float(turnover[last]) - since)
