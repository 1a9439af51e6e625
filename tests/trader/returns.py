"""Records of the journal, made by hand: what a front would say about orders."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from tickengine.trader.records import Record

DAY = "20261123"
FRONT_ID, SESSION_ID = 1, 77


def input_order(number: int, *, instrument: str = "rb2605", direction: str = "0", offset: str = "0",
                price: float = 3000.0, volume: int = 1, exchange: str = "SHFE") -> dict[str, Any]:  # fmt: skip
    """The canonical InputOrder of our order *number*."""
    return {
        "BrokerID": "9999",
        "InvestorID": "me",
        "InstrumentID": instrument,
        "OrderRef": f"{number:12d}",
        "Direction": direction,
        "CombOffsetFlag": offset,
        "LimitPrice": price,
        "VolumeTotalOriginal": volume,
        "RequestID": number,
        "ExchangeID": exchange,
    }


def order_return(given: dict[str, Any], status: str, *, submit: str = "3", traded: int = 0, system: str = "",
                 session: int = SESSION_ID, day: str = DAY) -> dict[str, Any]:  # fmt: skip
    """A canonical Order for what was asked for."""
    return {
        **given,
        "FrontID": FRONT_ID,
        "SessionID": session,
        "OrderStatus": status,
        "OrderSubmitStatus": submit,
        "VolumeTraded": traded,
        "OrderSysID": f"{system:>12}" if system else "",
        "StatusMsg": "",
        "TradingDay": day,
    }


def trade_return(given: dict[str, Any], trade_id: str, volume: int, *, price: float | None = None,
                 system: str = "", day: str = DAY) -> dict[str, Any]:  # fmt: skip
    """A canonical Trade."""
    return {
        "ExchangeID": given["ExchangeID"],
        "TradeID": f"{trade_id:>12}",
        "OrderSysID": f"{system:>12}",
        "OrderRef": given["OrderRef"],
        "InstrumentID": given["InstrumentID"],
        "Direction": given["Direction"],
        "OffsetFlag": given["CombOffsetFlag"],
        "Price": given["LimitPrice"] if price is None else price,
        "Volume": volume,
        "TradeDate": day,
        "TradeTime": "10:00:00",
        "TradingDay": day,
    }


def position_row(instrument: str, direction: str, position: int, yesterday: int, **more: Any) -> dict[str, Any]:
    """A canonical InvestorPosition."""
    row = {"InstrumentID": instrument, "PosiDirection": direction, "Position": position, "YdPosition": yesterday}
    return {**row, "ExchangeID": "", "PositionDate": "1", **more}


@dataclass
class Journal:
    """Numbers records as a journal does."""

    records: list[Record] = field(default_factory=list)

    def add(self, kind: str, **values: Any) -> Record:
        record = Record(len(self.records), kind, **{"is_last": True, **values})
        self.records.append(record)
        return record

    def again(self, record: Record) -> Record:
        """The same return once more."""
        copy = replace(record, sequence=len(self.records))
        self.records.append(copy)
        return copy

    def login(self, day: str = DAY, session: int = SESSION_ID) -> Record:
        data = {"TradingDay": day, "FrontID": FRONT_ID, "SessionID": session, "MaxOrderRef": "1"}
        return self.add("rsp_user_login", data=data)

    def sending(self, number: int, given: dict[str, Any], session: int = SESSION_ID) -> Record:
        return self.add("sending_order", client_id=number, data=given, value=FRONT_ID << 32 | session)
