"""Positions: what the account holds, folded from its trades and the day's start, checked against queries.

A position is what the day began with (``YdPosition`` of the position query, which does not change during
the day) and the day's trades, each once. So it is exact at any moment, while the answer of a query is of
some moment between its request and its arrival.

Closing: SHFE and INE keep today's and yesterday's lots apart, by the order's offset (``CloseToday``, and
``Close`` or ``CloseYesterday`` for yesterday's). The others have one kind of closing, which takes the
oldest lots first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..products import product_of
from . import words
from .book import Order, OrderBook, Trade
from .records import Record

LONG, SHORT = "2", "3"  # PosiDirection
_HISTORY = "2"  # PositionDate


@dataclass(slots=True)
class Holding:
    """One side of one instrument, in lots.

    Attributes:
        start: lots at the start of the trading day.
        opened, closed: lots that the day's trades have opened and closed; ``closed_today`` of them with the
            offset for today's lots.
        known: a position query has told what the day began with. Before that ``start`` is a guess of 0.
    """

    InstrumentID: str
    ExchangeID: str
    PosiDirection: str
    start: int = 0
    opened: int = 0
    closed: int = 0
    closed_today: int = 0
    known: bool = False

    @property
    def total(self) -> int:
        """All lots."""
        return self.start + self.opened - self.closed

    @property
    def today(self) -> int:
        """Lots opened this trading day that are still held."""
        return self.opened - self.closed_today if self.apart else self.total - self.yesterday

    @property
    def yesterday(self) -> int:
        """Lots of earlier days that are still held."""
        if self.apart:
            return self.start - (self.closed - self.closed_today)
        return max(0, self.start - self.closed)

    @property
    def apart(self) -> bool:
        """Whether today's and yesterday's lots are closed by different offsets."""
        return self.ExchangeID in words.TODAY_APART


@dataclass(slots=True, frozen=True)
class Difference:
    """Where our account and the front's differ. Volumes in lots."""

    InstrumentID: str
    PosiDirection: str
    ours: int
    theirs: int


@dataclass(slots=True, frozen=True)
class Closing:
    """A piece of a closing order: the offset it needs, and how many lots."""

    Offset: str
    Volume: int


class Positions:
    """The account's holdings. One thread applies."""

    def __init__(self) -> None:
        self.trading_day = ""
        self._holdings: dict[tuple[str, str], Holding] = {}
        self._rows: list[dict[str, Any]] = []
        self._before: tuple[int, list[Difference]] = (0, [])
        self._trades = 0
        self.complete = False
        """A whole answer of a position query of this trading day has been folded in."""
        self.differences: list[Difference] = []
        """What two queries in a row, with no trade between, said otherwise than we do."""

    # ---- reading -------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Holding]:
        return iter(self._holdings.values())

    def holding(self, instrument_id: str, direction: str) -> Holding:
        """That side of that instrument (`LONG`, `SHORT`); an empty one if nothing is held."""
        return self._holdings.get((instrument_id, direction)) or self._empty(instrument_id, "", direction)

    def lots(self, instrument_id: str, direction: str) -> int:
        """Lots held on that side of that instrument."""
        holding = self._holdings.get((instrument_id, direction))
        return 0 if holding is None else holding.total

    def net(self, instrument_id: str) -> int:
        """Lots long less lots short."""
        return self.lots(instrument_id, LONG) - self.lots(instrument_id, SHORT)

    def frozen(self, book: OrderBook, instrument_id: str, direction: str) -> tuple[int, int]:
        """Lots that closing orders hold, today's and yesterday's. Orders of uncertain fate count, and those whose
        trades are late: their lots are still held here."""
        holding = self.holding(instrument_id, direction)
        closer = words.SELL if direction == LONG else words.BUY
        today = yesterday = 0
        for order, lots in due_lots(book, instrument_id):
            if order.Offset == words.OPEN or order.Direction != closer:
                continue
            if holding.apart and order.Offset == words.CLOSE_TODAY:
                today += lots
            else:
                yesterday += lots
        if not holding.apart:
            # The oldest lots first; what is left of the orders takes today's.
            over = max(0, yesterday - max(holding.yesterday, 0))
            return today + over, yesterday - over
        return today, yesterday

    def closable(self, book: OrderBook, instrument_id: str, direction: str) -> tuple[int, int]:
        """Lots that a new closing order can have, today's and yesterday's."""
        holding = self.holding(instrument_id, direction)
        today, yesterday = self.frozen(book, instrument_id, direction)
        return max(0, holding.today - today), max(0, holding.yesterday - yesterday)

    def closings(self, book: OrderBook, instrument_id: str, direction: str, volume: int) -> list[Closing]:
        """How to close *volume* lots of a side: one order where closing is one thing, at SHFE and INE one for
        yesterday's and one for today's lots. Fewer lots than asked for if there are not enough."""
        today, yesterday = self.closable(book, instrument_id, direction)
        if not self.holding(instrument_id, direction).apart:
            volume = min(volume, today + yesterday)
            return [Closing(words.CLOSE, volume)] if volume else []
        old = min(volume, yesterday)
        new = min(volume - old, today)
        pieces = [Closing(words.CLOSE_YESTERDAY, old), Closing(words.CLOSE_TODAY, new)]
        return [piece for piece in pieces if piece.Volume]

    # ---- applying ------------------------------------------------------------------------------

    def roll(self, trading_day: str) -> None:
        """Begin a trading day: today's lots are yesterday's."""
        if trading_day == self.trading_day:
            return
        self.trading_day = trading_day
        self.complete = False
        self.differences = []
        self._rows = []
        self._before = (0, [])
        held = [h for h in self._holdings.values() if h.total]
        self._holdings = {
            (h.InstrumentID, h.PosiDirection): Holding(h.InstrumentID, h.ExchangeID, h.PosiDirection, h.total)
            for h in held
        }

    def apply_trade(self, trade: Trade) -> None:
        """Count a trade that has not been counted; the book sees to that."""
        if trade.TradingDay and trade.TradingDay != self.trading_day:
            return
        self._trades += 1
        opens = trade.OffsetFlag == words.OPEN
        bought = trade.Direction == words.BUY
        holding = self._side(trade.InstrumentID, trade.ExchangeID, LONG if bought == opens else SHORT)
        if opens:
            holding.opened += trade.Volume
        else:
            holding.closed += trade.Volume
            if trade.OffsetFlag == words.CLOSE_TODAY:
                holding.closed_today += trade.Volume

    def apply_row(self, record: Record) -> None:
        """Take one record of an answer to the position query; with the last one the answer is folded in."""
        if record.error_id != 0:
            self._rows = []
            return
        if record.data is not None:
            self._rows.append(record.data)
        if record.is_last:
            rows, self._rows = self._rows, []
            self._begin(rows)
            self._compare(rows)

    def _begin(self, rows: Iterable[dict[str, Any]]) -> None:
        starts: dict[tuple[str, str], int] = {}
        for row in rows:
            key = (row["InstrumentID"], row["PosiDirection"])
            if key[1] not in (LONG, SHORT):
                continue
            self._side(row["InstrumentID"], row.get("ExchangeID", ""), key[1])
            # At SHFE and INE the lots of before stand in a row of their own.
            starts[key] = starts.get(key, 0) + row["YdPosition"]
        for key, holding in self._holdings.items():
            holding.start, holding.known = starts.get(key, 0), True
        self.complete = True

    def _compare(self, rows: Iterable[dict[str, Any]]) -> None:
        theirs: dict[tuple[str, str], int] = {}
        for row in rows:
            key = (row["InstrumentID"], row["PosiDirection"])
            if key[1] in (LONG, SHORT):
                theirs[key] = theirs.get(key, 0) + row["Position"]
        found = [
            Difference(*key, ours, theirs.get(key, 0))
            for key in sorted(set(theirs) | set(self._holdings))
            if (ours := self._holdings[key].total if key in self._holdings else 0) != theirs.get(key, 0)
        ]
        # A trade on its way explains a difference; two equal ones with no trade between do not.
        trades, before = self._before
        self.differences = found if found == before and trades == self._trades else []
        self._before = (self._trades, found)

    def _side(self, instrument_id: str, exchange_id: str, direction: str) -> Holding:
        holding = self._holdings.get((instrument_id, direction))
        if holding is None:
            holding = self._holdings[instrument_id, direction] = self._empty(instrument_id, exchange_id, direction)
        elif exchange_id:
            holding.ExchangeID = exchange_id
        return holding

    def _empty(self, instrument_id: str, exchange_id: str, direction: str) -> Holding:
        # Position rows of older versions name no exchange.
        return Holding(instrument_id, exchange_id or exchange_of(instrument_id), direction, known=self.complete)


def due_lots(book: OrderBook, instrument_id: str) -> Iterator[tuple[Order, int]]:
    """An instrument's orders that may still change what is held, each with the lots that may still come: those that
    are not traded, and those whose trades are late."""
    for order in book.unsettled(instrument_id):
        if order.is_final and order.TradingDay != book.trading_day:
            continue  # its lots are in what the new day began with
        expected = order.VolumeTraded if order.is_final else order.VolumeTotalOriginal
        if expected > order.filled:
            yield order, expected - order.filled


def exchange_of(instrument_id: str) -> str:
    """The exchange of an instrument's product, "" if the product is not known."""
    known = _EXCHANGES.get(instrument_id)
    if known is None:
        product = product_of(instrument_id)
        if product is None:
            return ""  # not kept: it may be listed tomorrow
        known = _EXCHANGES[instrument_id] = product.ExchangeID
    return known


# Each order asks twice, and the product table takes longer than all limits together.
_EXCHANGES: dict[str, str] = {}


def side_of(order: Order) -> str:
    """Which side of the account an order acts on."""
    bought = order.Direction == words.BUY
    return LONG if bought == (order.Offset == words.OPEN) else SHORT
