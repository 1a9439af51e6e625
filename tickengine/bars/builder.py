"""`BarBuilder`: ticks folded into bars as they come, in the process that has them.

What happens to which tick is in ``docs/bars.md``, rule by rule. Most ticks take the short way through
`_fold`: later than the one before, in the bars that are open, nothing remarkable. They cost what a loop of
Python costs; everything else goes through `Instrument.judge`.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .._errors import ConfigError
from ..products import OwnHours
from ..tick import KIND_TICK, TickFlag
from ._state import Instrument, Open
from .grid import (
    BEFORE,
    CHINA_NS,
    DAY_NS,
    NS,
    OUTSIDE,
    date_text,
    grid_of,
    trading_day_of,
    trading_hours,
    unit_of,
)
from .periods import CLOCK, check_align, check_periods
from .record import IS_BAR, Bar, BarFlag

GRACE_S = 2.0

# The columns that a bar is made of, in the order of `_fold`.
COLUMNS = (
    "InstrumentID",
    "ExchangeTime",
    "Flags",
    "LastPrice",
    "BidPrice1",
    "AskPrice1",
    "Volume",
    "Turnover",
    "OpenInterest",
    "InstrumentNumber",
    "RecvTime",
    "Kind",
)
_HELD = int(TickFlag.TIME_REPAIRED)
_DISORDER = int(TickFlag.OUT_OF_ORDER)
_DUPLICATE = int(TickFlag.DUPLICATE)
_SNAPSHOT = int(TickFlag.SNAPSHOT)
_REMARKABLE = _DISORDER | _DUPLICATE | _SNAPSHOT
_NEVER = 1 << 62
_NAN = math.nan
_UNSEEN_VOLUME = int(BarFlag.GAP | BarFlag.TICKS_LOST)
_ALWAYS_GIVEN = int(BarFlag.TICKS_LOST | BarFlag.VOLUME_RESTARTED)

# Why a tick is in no bar.
LEFT_OUT = ("no_time", "no_price", "duplicate", "disorder", "out_of_hours", "late")


class BarBuilder:
    """Ticks in, bars out. For one thread.

    Args:
        periods: such as ``["1m", "5m", "1h", "1d"]``; see `seconds_of`.
        align: where bars of more than a session's part begin: ``"clock"``, or ``"session"``: the trading day's
            own time, in which breaks do not count.
        any_hour: bars by the clock alone, without sessions: for fronts that send ticks at any hour, in tests.
        hours: sessions in place of the product table's, by ProductID: ``{"rb": product.Sessions}``.
        flat: also give bars without trades, from an instrument's first tick of a trading day on.
        grace: seconds after the end of a bar before `advance` ends it.

    Attributes:
        left_out: how many ticks are in no bar, by reason: ``no_time no_price duplicate disorder out_of_hours
            late`` (a tick is late once for each period).

    Raises:
        ConfigError: a wrong argument.
    """

    def __init__(
        self,
        periods: Iterable[str | int],
        *,
        align: str = CLOCK,
        any_hour: bool = False,
        hours: OwnHours | None = None,
        flat: bool = False,
        grace: float = GRACE_S,
    ) -> None:
        self._seconds = check_periods(periods)
        self._align = check_align(align)
        self._any_hour, self._flat = bool(any_hour), bool(flat)
        self._own_hours = tuple((hours or {}).items())
        if isinstance(grace, bool) or not isinstance(grace, (int, float)) or not 0 <= grace < 3600:
            raise ConfigError(f"grace must be seconds from 0 to 3600, not {grace!r}")
        self._grace = int(grace * NS)
        self._instruments: dict[bytes, Instrument] = {}
        # The market's clock less the receive clock: of the last two ticks the one that is less far on, so that a
        # single time from the future ends no bar.
        self._ahead = self._ahead_last = _NEVER
        self._due = _NEVER
        self.left_out: collections.Counter[str] = collections.Counter(dict.fromkeys(LEFT_OUT, 0))

    @property
    def started(self) -> bool:
        """Whether a tick has gone into a bar."""
        return self._ahead != _NEVER

    # ---- ticks in ------------------------------------------------------------------------------

    def take(self, tick: Any) -> list[Bar]:
        """Fold one `Tick` in; returns the bars that it ends."""
        row = [getattr(tick, name) for name in COLUMNS]
        row[0] = row[0].encode()
        ended: list[Bar] = []
        self._fold(iter((row,)), ended)
        return ended

    def take_many(self, ticks: npt.NDArray[np.void]) -> list[Bar]:
        """Fold an array of `TICK_DTYPE` in (events are passed over); returns the bars that end by it, in order."""
        ended: list[Bar] = []
        self._fold(zip(*(ticks[name].tolist() for name in COLUMNS)), ended)
        return ended

    def _fold(self, rows: Iterator[Any], ended: list[Bar]) -> None:
        instruments = self._instruments
        for name, time, flags, price, bid, ask, volume, turnover, interest, number, recv, kind in rows:
            if kind != KIND_TICK:
                continue
            s = instruments.get(name)
            if s is None:
                s = instruments[name] = Instrument(name, len(self._seconds))
            if number > s.number + 1 and s.number >= 0:
                s.lost += number - s.number - 1
            s.number = number
            if (
                flags & _REMARKABLE
                or not s.from_ns <= time < s.until_ns
                or time < s.newest
                or volume < s.base
                or s.lost
                or price != price
            ):
                self._judge(s, time, flags, price, bid, ask, volume, turnover, interest, recv, ended)
                continue
            s.newest = s.time = time
            s.count += 1
            if volume > s.base:
                traded = volume - s.base
                s.total += traded
                s.base = volume
                if price >= ask:
                    s.buy += traded
                elif price <= bid:
                    s.sell += traded
                for bar in s.opened:
                    if price > bar.high:  # type: ignore[union-attr]
                        bar.high = price  # type: ignore[union-attr]
                    if price < bar.low:  # type: ignore[union-attr]
                        bar.low = price  # type: ignore[union-attr]
                    if bar.opening != bar.opening:  # type: ignore[union-attr]
                        bar.opening = price  # type: ignore[union-attr]
                    bar.closing = price  # type: ignore[union-attr]
            s.price, s.bid, s.ask, s.interest, s.turnover, s.recv = price, bid, ask, interest, turnover, recv
            ahead = time - recv
            self._ahead = min(self._ahead_last, ahead)
            self._ahead_last = ahead

    def _judge(
        self,
        s: Instrument,
        time: int,
        flags: int,
        price: float,
        bid: float,
        ask: float,
        volume: int,
        turnover: float,
        interest: float,
        recv: int,
        ended: list[Bar],
    ) -> None:
        """A tick that is not like the one before it. The order of the rules is that of docs/bars.md."""
        left_out = self.left_out
        if time <= 0:
            left_out["no_time"] += 1
            return
        if time < s.newest and flags & _DISORDER and not flags & _HELD:
            for p in range(len(self._seconds)):
                self._end_open(s, p, int(BarFlag.TIME_CORRECTED), ended)
            s.forget(len(self._seconds))
        elif time < s.newest or (flags & _DISORDER and flags & _HELD):
            left_out["disorder"] += 1
            return
        s.newest = time
        day = trading_day_of(time)
        if s.hours is None or s.hours.day != day:
            s.hours, product = trading_hours(s.name, day, self._any_hour, self._own_hours)
            if s.opened != [None] * len(s.opened):
                self._end_day(s, ended)
            s.product = product
            s.grids = [grid_of(s.hours, seconds, self._align) for seconds in self._seconds]
        slot, _, _ = s.grids[0].find(time)
        if slot != BEFORE and flags & _SNAPSHOT and s.known:
            s.gap_day = day
            s.from_ns = s.until_ns = 0  # the next tick is looked at
        opens = s.hours.opens
        if slot == BEFORE:
            s.known = True
            left_out["out_of_hours"] += 1
            return
        if s.day != day:
            # Of a day that is seen from its beginning, the first tick's volume is its own.
            from_zero = s.known or (slot >= 0 and opens[0] <= time < opens[1])
            s.base, s.turnover = (0, 0.0) if from_zero else (volume, turnover)
            s.day, s.known = day, True
            s.marks = 0 if from_zero else int(BarFlag.PARTIAL)
        if slot == OUTSIDE or price != price:
            left_out["out_of_hours" if slot == OUTSIDE else "no_price"] += 1
            return
        if flags & _DUPLICATE and s.time == time:
            left_out["duplicate"] += 1
            return
        if volume < s.base and s.time == time:
            left_out["disorder"] += 1
            return
        self._count(s, time, slot, price, bid, ask, volume, turnover, interest, recv, ended)
        if not flags & _SNAPSHOT:
            self._ahead, self._ahead_last = min(time - recv, self._ahead_last), time - recv

    def _count(
        self,
        s: Instrument,
        time: int,
        slot: int,
        price: float,
        bid: float,
        ask: float,
        volume: int,
        turnover: float,
        interest: float,
        recv: int,
        ended: list[Bar],
    ) -> None:
        """A tick that goes into bars."""
        marks, s.marks = s.marks, 0
        lost, s.lost = s.lost, 0
        if lost:
            marks |= int(BarFlag.TICKS_LOST)
        traded, restarted = volume - s.base, volume < s.base
        if restarted:
            traded = 0
            marks |= int(BarFlag.VOLUME_RESTARTED)
        if s.gap_day == s.day and traded:
            marks |= int(BarFlag.GAP)
        s.gap_day = 0
        auction = s.hours is not None and any(start <= time < end for start, end in s.hours.auctions)
        buy = traded if price >= ask and not marks & _UNSEEN_VOLUME and not auction else 0
        sell = traded if not buy and price <= bid and not marks & _UNSEEN_VOLUME and not auction else 0
        shows_price = traded > 0 or bool(marks & BarFlag.PARTIAL)
        from_ns, until_ns, all_here = 0, _NEVER, True
        for p, grid in enumerate(s.grids):
            slot, since, until = grid.find(time)
            from_ns, until_ns = max(from_ns, since), min(until_ns, until)
            start = grid.starts[slot]
            bar = s.opened[p]
            while bar is not None and bar.start < start:
                bar = self._end_open(s, p, 0, ended)
            if bar is None and start > s.ended[p]:
                bar = self._open(s, p, slot)
            if bar is None:
                self.left_out["late"] += 1
                all_here = False
                self._carry(s, p, marks, lost, turnover if restarted else None)
                continue
            bar.flags |= marks
            bar.lost += lost
            if shows_price:
                if bar.opening != bar.opening:
                    bar.opening = price
                bar.high, bar.low = max(bar.high, price), min(bar.low, price)
                bar.closing = price
            if restarted:
                bar.turnover += s.turnover - bar.turnover_from
                bar.turnover_from = turnover
        s.count += 1
        s.total += traded
        s.buy += buy
        s.sell += sell
        s.time, s.base, s.price, s.bid, s.ask, s.interest = time, volume, price, bid, ask, interest
        s.turnover, s.recv = turnover, recv
        plain = all_here and not auction
        s.from_ns, s.until_ns = (from_ns, until_ns) if plain else (0, 0)

    @staticmethod
    def _carry(s: Instrument, p: int, marks: int, lost: int, restarted_at: float | None) -> None:
        """A tick whose bar has been given out: its volume is for the next one of this period."""
        total, marks_before, lost_before, turnover = s.carried[p] or (s.total, 0, 0, s.turnover)
        if restarted_at is not None:
            turnover = restarted_at - (s.turnover - turnover)
        s.carried[p] = (total, marks_before | marks, lost_before + lost, turnover)

    # ---- bars out ------------------------------------------------------------------------------

    def advance(self, now: int) -> list[Bar]:
        """End the bars whose time, and the grace, are over at *now* (ns UTC of the receive clock: `time.time_ns`).

        The market's clock is the exchange time of the newest tick and what has passed on the receive clock since
        then (of the last two ticks, by the one that says less), so a market that is replayed is not ended by
        today's clock. Before the first tick nothing ends.
        """
        ended: list[Bar] = []
        if not self.started or now + self._ahead < self._due:
            return ended
        return self._advance(now + self._ahead - self._grace, ended)

    def _advance(self, until: int, ended: list[Bar]) -> list[Bar]:
        """End what ends at *until* at the latest."""
        self._due = _NEVER
        for s in self._instruments.values():
            for p, bar in enumerate(s.opened):
                while bar is not None and bar.end <= until:
                    s.from_ns = s.until_ns = 0
                    bar = self._end_open(s, p, 0, ended)
                if bar is not None:
                    self._due = min(self._due, bar.end + self._grace)
        return ended

    def interrupted(self) -> None:
        """The connection is gone: bars that are open may lack what comes before its return, and say `GAP`."""
        for s in self._instruments.values():
            for bar in s.opened:
                if bar is not None and s.count > bar.count:
                    bar.flags |= int(BarFlag.GAP)

    def finish(self, until: int | None = None) -> list[Bar]:
        """The ticks have ended: all that is open, in order of its end. Bars that end after *until* (ns UTC,
        exchange time; None: that of the newest tick) are `UNFINISHED`. The builder can go on."""
        if until is None:
            until = max((s.newest for s in self._instruments.values()), default=0)
        ended: list[Bar] = []
        self._advance(until, ended)
        for s in self._instruments.values():
            s.from_ns = s.until_ns = 0
            for p in range(len(s.opened)):
                self._end_open(s, p, int(BarFlag.UNFINISHED), ended)
        return sorted(ended, key=lambda bar: (bar.End, bar._InstrumentID, bar.Period))

    def _open(self, s: Instrument, p: int, slot: int) -> Open:
        grid = s.grids[p]
        bar = s.opened[p] = Open()
        bar.slot, bar.start, bar.end = slot, grid.starts[slot], grid.ends[slot]
        bar.opening = bar.closing = _NAN
        bar.high, bar.low = -math.inf, math.inf
        bar.count, bar.lost, bar.turnover = s.count, 0, 0.0
        bar.flags = int(BarFlag.NO_HOURS) if s.product is None or self._any_hour else 0
        held = s.carried[p]
        bar.buy, bar.sell = s.buy, s.sell
        if held is None:
            bar.volume, bar.turnover_from = s.total, s.turnover
        else:
            s.carried[p] = None
            bar.volume, marks, bar.lost, bar.turnover_from = held  # neither bought nor sold here: it is unclear
            bar.flags |= marks
            if s.total > bar.volume:
                bar.flags |= int(BarFlag.LATE_VOLUME)
        self._due = min(self._due, bar.end + self._grace)
        return bar

    def _end_open(self, s: Instrument, p: int, flags: int, ended: list[Bar]) -> Open | None:
        """End a period's bar. Returns the flat one behind it, if such are wanted."""
        bar = s.opened[p]
        if bar is None:
            return None
        s.opened[p] = None
        s.ended[p] = bar.start
        bar.flags |= flags
        if flags and s.count == bar.count:
            return None  # flat, and nothing had come
        volume = s.total - bar.volume
        if volume or self._flat or bar.flags & _ALWAYS_GIVEN:
            ended.append(self._made(s, p, bar, volume))
        if self._flat and not flags and bar.slot + 1 < len(s.grids[p].starts):
            return self._open(s, p, bar.slot + 1)
        return None

    def _end_day(self, s: Instrument, ended: list[Bar]) -> None:
        """A tick of another trading day has come; `s.grids` are still the old one's."""
        s.from_ns = s.until_ns = 0
        for p in range(len(s.opened)):
            bar = s.opened[p]
            while bar is not None:
                bar = self._end_open(s, p, 0, ended)

    def _made(self, s: Instrument, p: int, bar: Open, volume: int) -> Bar:
        made = Bar()
        made.RecvTime, made.ExchangeTime, made.Reserved0 = s.recv, s.time, IS_BAR
        made._InstrumentID = s.name
        day, of_day = divmod(s.time + CHINA_NS, DAY_NS)
        seconds, ns = divmod(of_day, NS)
        made._TradingDay = date_text(s.day).encode()
        made._ActionDay = date_text(day).encode()
        made._UpdateTime = b"%02d:%02d:%02d" % (seconds // 3600, seconds // 60 % 60, seconds % 60)
        made.UpdateMillisec = ns // 1_000_000
        made._ExchangeID = b"" if s.product is None else s.product.ExchangeID.encode()
        if bar.opening == bar.opening:
            made.OpenPrice, made.HighPrice, made.LowPrice, made.LastPrice = bar.opening, bar.high, bar.low, bar.closing
        else:
            made.OpenPrice = made.HighPrice = made.LowPrice = made.LastPrice = s.price
        made.BidPrice1, made.AskPrice1, made.OpenInterest = s.bid, s.ask, s.interest
        unit = unit_of(s.product)
        made.BarVolume, made.BVolume, made.SVolume = volume, s.buy - bar.buy, s.sell - bar.sell
        made.FVolume = volume - made.BVolume - made.SVolume
        made.BarTurnover = turnover = bar.turnover + (s.turnover - bar.turnover_from)
        made.BarSettlement = turnover / (volume * unit) if volume else _NAN
        made.DayVolume, made.DayTurnover = s.base, s.turnover
        made.DaySettlement = s.turnover / (s.base * unit) if s.base else _NAN
        made.Start, made.End, made.Period = bar.start, bar.end, self._seconds[p]
        made.Ticks, made.TicksLost = s.count - bar.count, bar.lost
        made.Flags = bar.flags if volume else bar.flags | int(BarFlag.FLAT)
        return made
