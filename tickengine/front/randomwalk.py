"""A believable market: prices that walk by their price step, five levels, growing volumes, day's limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickengine.front import clock
from tickengine.front.fields import DBL_MAX, TICK
from tickengine.front.market import checked_instruments
from tickengine.front.products import FIVE_LEVELS, product_of

SNAPSHOT = timedelta(milliseconds=500)
_LIMIT_SHARE = 0.08
_LEVELS = 5


class RandomWalkMarket:
    """Snapshots every 500 ms in which a random part of the instruments has changed.

    The same arguments give the same ticks. The first snapshot holds every instrument. Members that an
    exchange does not send are absent (DBL_MAX, volume 0): levels 2 to 5 except at SHFE and INE, close and
    settlement price, deltas. Two habits of the real feed are kept: DCE's `ActionDay` is the trading day
    even at night, and CZCE's `TradingDay` is the calendar day.

    *start* is the time of the first snapshot where `snapshot` is not told one (default: now, China time);
    *changing* the mean share of instruments in a snapshot. Not safe for use by two threads at once.

    Raises:
        ValueError: bad ids or trading day, negative seed, *changing* outside (0, 1].
    """

    def __init__(
        self,
        instruments: Iterable[str],
        seed: int = 0,
        *,
        changing: float = 0.4,
        start: datetime | None = None,
        trading_day: str | None = None,
    ) -> None:
        self._instruments = checked_instruments(instruments)
        if seed < 0:
            raise ValueError(f"seed {seed}: must not be negative")
        if not 0 < changing <= 1:
            raise ValueError(f"changing {changing}: must be above 0 and at most 1")
        self.seed = seed
        self._changing = changing
        self._start = (start if start is not None else clock.now()).astimezone(clock.SHANGHAI)
        self._trading_day = (
            clock.checked_day(trading_day) if trading_day is not None else clock.trading_day(self._start)
        )
        products = [product_of(name) for name in self._instruments]
        self._step = np.array([product.price_step for product in products])
        self._multiplier = np.array([product.multiplier for product in products], dtype=np.float64)
        self._base = np.array([product.base_price for product in products])
        exchanges = np.array([product.exchange for product in products])
        self._deep = np.isin(exchanges, sorted(FIVE_LEVELS))
        self._dce = exchanges == "DCE"
        self._czce = exchanges == "CZCE"
        self._template = self._make_template(exchanges)
        self._next = 0
        self._ahead: NDArray[Any] = self._template[:0].copy()
        self._restart()

    @property
    def instruments(self) -> Sequence[str]:
        """Every instrument that ticks may name."""
        return self._instruments

    @property
    def trading_day(self) -> str:
        """YYYYMMDD of the session."""
        return self._trading_day

    def batch(self, start: int, count: int) -> NDArray[Any]:
        """Ticks number *start* to *start + count - 1*, records of dtype `TICK`.

        Meant for going forward; a *start* before what was last returned replays from the first tick.
        """
        if start < self._next:
            self._restart()
        parts = [self._ahead]
        ready = self._next + len(self._ahead)
        while ready < start + count:
            if ready <= start:
                parts, self._next = [], ready
            parts.append(self._make_snapshot(None))
            ready += len(parts[-1])
        ahead: NDArray[Any] = np.empty(sum(map(len, parts)), TICK)
        if parts:
            # With out= the result keeps the wire's byte order, which concatenate alone would change.
            np.concatenate(parts, out=ahead)
        begin = start - self._next
        self._ahead = ahead[begin + count :]
        self._next = start + count
        ticks: NDArray[Any] = ahead[begin : begin + count].copy()
        return ticks

    def snapshot(self, at: datetime | None = None) -> NDArray[Any]:
        """The next ticks: those of one snapshot, stamped *at* rounded down to 500 ms, by default 500 ms
        after the one before. Ticks that `batch` has left over of a snapshot come first, alone."""
        ticks = self._ahead if len(self._ahead) else self._make_snapshot(at)
        self._ahead = self._template[:0]
        self._next += len(ticks)
        return ticks

    def _make_template(self, exchanges: NDArray[Any]) -> NDArray[Any]:
        """One record per instrument with everything that does not change during the session."""
        rng = np.random.default_rng([self.seed, 1])
        count = len(self._instruments)
        ticks = np.zeros(count, TICK)
        ticks["InstrumentID"] = [name.encode() for name in self._instruments]
        ticks["ExchangeID"] = [name.encode() for name in exchanges.tolist()]
        ticks["TradingDay"] = self._trading_day.encode()
        settlement = self._on_grid(self._base * (1 + rng.uniform(-0.03, 0.03, count)))
        ticks["PreSettlementPrice"] = settlement
        ticks["PreClosePrice"] = self._on_grid(settlement * (1 + rng.uniform(-0.01, 0.01, count)))
        ticks["PreOpenInterest"] = rng.integers(5_000, 500_000, count)
        ticks["UpperLimitPrice"] = self._on_grid(settlement * (1 + _LIMIT_SHARE))
        ticks["LowerLimitPrice"] = self._on_grid(settlement * (1 - _LIMIT_SHARE))
        for name in ("ClosePrice", "SettlementPrice", "PreDelta", "CurrDelta"):
            ticks[name] = DBL_MAX
        for level in range(2, _LEVELS + 1):
            ticks[f"BidPrice{level}"] = DBL_MAX
            ticks[f"AskPrice{level}"] = DBL_MAX
        return ticks

    def _restart(self) -> None:
        template = self._template
        count = len(template)
        self._rng = np.random.default_rng([self.seed, 2])
        self._next = 0
        self._clock = self._start
        self._ahead = template[:0].copy()
        # All prices of the walk are kept as whole numbers of steps: no rounding builds up.
        self._upper = self._in_steps(template["UpperLimitPrice"])
        self._lower = self._in_steps(template["LowerLimitPrice"])
        opening = self._in_steps(template["PreClosePrice"]) + self._rng.integers(-3, 4, count)
        self._last = np.clip(opening, self._lower, self._upper)
        self._open, self._high, self._low = self._last.copy(), self._last.copy(), self._last.copy()
        self._volume = np.zeros(count, np.int64)
        self._turnover = np.zeros(count)
        self._interest = template["PreOpenInterest"].astype(np.int64)
        self._first = True

    def _on_grid(self, prices: NDArray[Any]) -> NDArray[Any]:
        return self._as_price(np.rint(prices / self._step))

    def _in_steps(self, prices: NDArray[Any]) -> NDArray[np.int64]:
        steps: NDArray[np.int64] = np.rint(prices.astype(np.float64) / self._step).astype(np.int64)
        return steps

    def _as_price(self, steps: NDArray[Any], which: NDArray[Any] | None = None) -> NDArray[Any]:
        """Steps to prices, free of dirt in the last digits (0.1 * 3)."""
        step = self._step if which is None else self._step[which]
        prices: NDArray[Any] = np.round(steps * step, 4)
        return prices

    def _make_snapshot(self, at: datetime | None) -> NDArray[Any]:
        when = (at.astimezone(clock.SHANGHAI) if at is not None else self._clock).replace(tzinfo=None)
        # Half seconds, as the exchanges stamp them.
        when = when.replace(microsecond=when.microsecond // 500_000 * 500_000)
        self._clock = when.replace(tzinfo=clock.SHANGHAI) + SNAPSHOT
        draw = self._rng.random(len(self._instruments))
        which = np.flatnonzero(draw < self._changing) if not self._first else np.arange(len(draw))
        self._first = False
        self._move(which)
        return self._records(which, when)

    def _move(self, which: NDArray[Any]) -> None:
        rng, count = self._rng, len(which)
        drift = rng.integers(-2, 3, count)
        last = np.clip(self._last[which] + drift, self._lower[which], self._upper[which])
        self._last[which] = last
        self._high[which] = np.maximum(self._high[which], last)
        self._low[which] = np.minimum(self._low[which], last)
        traded = rng.poisson(8, count)
        self._volume[which] += traded
        self._turnover[which] += traded * self._as_price(last, which) * self._multiplier[which]
        change = rng.integers(-4, 5, count)
        self._interest[which] = np.maximum(0, self._interest[which] + np.clip(change, -traded, traded))

    def _records(self, which: NDArray[Any], when: datetime) -> NDArray[Any]:
        ticks: NDArray[Any] = self._template[which]
        last, volume = self._last[which], self._volume[which]
        for name, steps in (("LastPrice", self._last), ("OpenPrice", self._open)):
            ticks[name] = self._as_price(steps[which], which)
        ticks["HighestPrice"] = self._as_price(self._high[which], which)
        ticks["LowestPrice"] = self._as_price(self._low[which], which)
        ticks["Volume"] = np.minimum(volume, np.iinfo(np.int32).max)
        ticks["Turnover"] = np.round(self._turnover[which], 2)
        ticks["OpenInterest"] = self._interest[which]
        self._set_average(ticks, which, volume)
        self._set_levels(ticks, which, last)
        ticks["UpdateTime"] = when.strftime("%H:%M:%S").encode()
        ticks["UpdateMillisec"] = when.microsecond // 1000
        action_day = when.strftime("%Y%m%d").encode()
        ticks["ActionDay"] = action_day
        ticks["ActionDay"][self._dce[which]] = self._trading_day.encode()
        ticks["TradingDay"][self._czce[which]] = action_day
        return ticks

    def _set_average(self, ticks: NDArray[Any], which: NDArray[Any], volume: NDArray[Any]) -> None:
        """Turnover by volume; CZCE gives it per unit, the others per contract."""
        average = np.where(volume > 0, self._turnover[which] / np.maximum(volume, 1), 0.0)
        average = np.where(self._czce[which], average / self._multiplier[which], average)
        settled = ticks["PreSettlementPrice"] * np.where(self._czce[which], 1.0, self._multiplier[which])
        ticks["AveragePrice"] = np.round(np.where(volume > 0, average, settled), 4)

    def _set_levels(self, ticks: NDArray[Any], which: NDArray[Any], last: NDArray[Any]) -> None:
        """Quotes round the last price, one step apart, cut off at the day's limits."""
        count = len(which)
        traded_at_ask = self._rng.random(count) < 0.5
        best_ask = np.where(traded_at_ask, last, last + 1)
        volumes = self._rng.integers(1, 300, (2, _LEVELS, count))
        for level in range(_LEVELS):
            shown = self._deep[which] if level else np.ones(count, bool)
            for side, steps, inside in (
                ("Bid", best_ask - 1 - level, best_ask - 1 - level >= self._lower[which]),
                ("Ask", best_ask + level, best_ask + level <= self._upper[which]),
            ):
                present = shown & inside
                price = self._as_price(steps, which)
                ticks[f"{side}Price{level + 1}"] = np.where(present, price, DBL_MAX)
                amount = volumes[0 if side == "Bid" else 1, level]
                ticks[f"{side}Volume{level + 1}"] = np.where(present, amount, 0)
