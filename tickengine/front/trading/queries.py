"""The queries that the front answers: which fields they have, and where the answer comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tickengine.front import wire
from tickengine.front.products import product_of
from tickengine.front.trading import layouts
from tickengine.front.trading.accounts import LONG, MARGIN_RATE, TODAY_APART, Investor, Lots
from tickengine.front.trading.exchange import Exchange

Row = dict[str, Any]
_ROOM = wire.MAX_CONTENT_BYTES - wire.MESSAGE_HEADER_BYTES


@dataclass(frozen=True)
class Query:
    """One kind: the field of the request, the field of the answer, and who answers."""

    request: int
    fid: int
    answer: Callable[[Exchange, Investor, Row], Iterable[Row]]


def packed(encoded: Iterable[bytes]) -> list[list[bytes]]:
    """Fields over as many packets as they need; an empty result is one packet without a field."""
    batches: list[list[bytes]] = [[]]
    used = 0
    for body in encoded:
        if used + len(body) > _ROOM:
            batches.append([])
            used = 0
        batches[-1].append(body)
        used += len(body)
    return batches


def _matches(row: Row, asked: Row, *names: str) -> bool:
    return all(not asked.get(name) or asked[name].strip() == row[name].strip() for name in names)


def _orders(_exchange: Exchange, investor: Investor, asked: Row) -> Iterable[Row]:
    rows = (order.values for order in investor.orders)
    return [row for row in rows if _matches(row, asked, "InstrumentID", "ExchangeID", "OrderSysID")]


def _trades(_exchange: Exchange, investor: Investor, asked: Row) -> Iterable[Row]:
    return [row for row in investor.trades if _matches(row, asked, "InstrumentID", "ExchangeID", "TradeID")]


def _positions(exchange: Exchange, investor: Investor, asked: Row) -> Iterable[Row]:
    wanted = asked.get("InstrumentID", b"").decode("latin-1")
    for (instrument, side), held in investor.lots.items():
        if (wanted and wanted != instrument) or not (held.total or held.start or held.opened):
            continue
        base: Row = {
            "InstrumentID": instrument.encode("latin-1"),
            "BrokerID": investor.broker,
            "InvestorID": investor.name,
            "PosiDirection": side,
            "HedgeFlag": b"1",
            "TradingDay": exchange.trading_day,
        }
        yield from _rows(base, instrument, held, investor)


def _rows(base: Row, instrument: str, held: Lots, investor: Investor) -> Iterable[Row]:
    frozen = sum(
        o.left
        for o in investor.open_orders()
        if not o.opens and o.side == base["PosiDirection"] and o.values["InstrumentID"] == base["InstrumentID"]
    )
    name = "ShortFrozen" if base["PosiDirection"] == LONG else "LongFrozen"
    money = {"UseMargin": held.cost * MARGIN_RATE, "OpenVolume": held.opened, "CloseVolume": held.closed, name: frozen}
    if product_of(instrument).exchange not in TODAY_APART:
        yield {
            **base,
            **money,
            "PositionDate": b"1",
            "YdPosition": held.start,
            "Position": held.total,
            "TodayPosition": held.today,
        }
        return
    # Today's and yesterday's lots stand in rows of their own.
    if held.opened:
        yield {**base, **money, "PositionDate": b"1", "Position": held.today, "TodayPosition": held.today}
    if held.start:
        yield {**base, "PositionDate": b"2", "YdPosition": held.start, "Position": held.yesterday}


def _account(exchange: Exchange, investor: Investor, _asked: Row) -> Iterable[Row]:
    yield {
        "BrokerID": investor.broker,
        "AccountID": investor.name[:12],
        "PreBalance": investor.balance,
        "Balance": investor.balance + investor.close_profit,
        "Available": investor.available,
        "CurrMargin": investor.used_margin,
        "FrozenMargin": investor.frozen_margin,
        "CloseProfit": investor.close_profit,
        "TradingDay": exchange.trading_day,
        "CurrencyID": b"CNY",
    }


def _instruments(exchange: Exchange, _investor: Investor, asked: Row) -> Iterable[Row]:
    for name in exchange.quotes:
        product = product_of(name)
        row = {
            "InstrumentID": name.encode("latin-1"),
            "ExchangeID": product.exchange.encode(),
            "ExchangeInstID": name.encode("latin-1"),
            "ProductID": name.rstrip("0123456789").encode("latin-1"),
            "ProductClass": b"1",
            "MaxLimitOrderVolume": 500,
            "MinLimitOrderVolume": 1,
            "MaxMarketOrderVolume": 30,
            "MinMarketOrderVolume": 1,
            "VolumeMultiple": product.multiplier,
            "PriceTick": product.price_step,
            "InstLifePhase": b"1",
            "IsTrading": 1,
            "LongMarginRatio": MARGIN_RATE,
            "ShortMarginRatio": MARGIN_RATE,
        }
        if _matches(row, asked, "InstrumentID", "ExchangeID", "ProductID"):
            yield row


def _depth(exchange: Exchange, _investor: Investor, asked: Row) -> Iterable[Row]:
    for name, quote in exchange.quotes.items():
        row = {
            "TradingDay": exchange.trading_day,
            "InstrumentID": name.encode("latin-1"),
            "ExchangeID": product_of(name).exchange.encode(),
            "LastPrice": quote.last,
            "PreSettlementPrice": quote.pre_settlement,
            "UpperLimitPrice": quote.upper,
            "LowerLimitPrice": quote.lower,
            "BidPrice1": quote.bid,
            "AskPrice1": quote.ask,
        }
        if _matches(row, asked, "InstrumentID"):
            yield row


QUERIES: dict[int, Query] = {
    0x8000: Query(0x0700, layouts.FID_ORDER, _orders),
    0x8002: Query(0x0701, layouts.FID_TRADE, _trades),
    0x8004: Query(0x0702, layouts.FID_POSITION, _positions),
    0x8006: Query(0x0703, layouts.FID_ACCOUNT, _account),
    0x802E: Query(0x0717, layouts.FID_INSTRUMENT_INFO, _instruments),
    0x8030: Query(0x0718, layouts.FID_DEPTH, _depth),
}
"""By the request's message id; the answer's is the next number."""
