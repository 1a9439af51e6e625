"""Layouts of the trading fields on the wire, as packed big-endian numpy dtypes with the vendor's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tickengine.front import fields

FID_DISSEMINATION = 0x1001
FID_AUTHENTICATE = 0x1012
FID_CONFIRM = 0x040F
FID_INPUT_ORDER = 0x0400
FID_ORDER = 0x0401
FID_ACTION = 0x0404
FID_ORDER_ACTION = 0x0405
FID_TRADE = 0x0409
FID_STATUS = 0x2442
FID_POSITION = 0x000D
FID_ACCOUNT = 0x000C
FID_INSTRUMENT_INFO = 0x0003
FID_DEPTH = fields.FID_TICK

_Members = list[tuple[str, str]]


def _members(text: str) -> _Members:
    """ "Name:11 Other:i" -> text of 11 bytes, an int; ``d`` a double, ``c`` one character."""
    codes = {"i": ">i4", "d": ">f8", "c": "S1"}
    return [(name, codes.get(kind, f"S{kind}")) for name, kind in (part.split(":") for part in text.split())]


_ORDER_START = _members(
    "BrokerID:11 InvestorID:13 InstrumentID:31 OrderRef:13 UserID:16 OrderPriceType:c Direction:c CombOffsetFlag:5"
    " CombHedgeFlag:5 LimitPrice:d VolumeTotalOriginal:i TimeCondition:c GTDDate:9 VolumeCondition:c MinVolume:i"
    " ContingentCondition:c StopPrice:d ForceCloseReason:c IsAutoSuspend:i BusinessUnit:21 RequestID:i"
)
_ACTION_START = _members(
    "BrokerID:11 InvestorID:13 OrderActionRef:i OrderRef:13 RequestID:i FrontID:i SessionID:i ExchangeID:9"
    " OrderSysID:21 ActionFlag:c LimitPrice:d VolumeChange:i"
)
_ACCOUNT_MONEY = (
    "PreMortgage PreCredit PreDeposit PreBalance PreMargin InterestBase Interest Deposit Withdraw FrozenMargin"
    " FrozenCash FrozenCommission CurrMargin CashIn Commission CloseProfit PositionProfit Balance Available"
    " WithdrawQuota Reserve"
)
_ACCOUNT_MORE = (
    "PreFundMortgageIn PreFundMortgageOut FundMortgageIn FundMortgageOut FundMortgageAvailable MortgageableFund"
    " SpecProductMargin SpecProductFrozenMargin SpecProductCommission SpecProductFrozenCommission"
    " SpecProductPositionProfit SpecProductCloseProfit SpecProductPositionProfitByAlg SpecProductExchangeMargin"
)


def _doubles(names: str) -> _Members:
    return [(name, ">f8") for name in names.split()]


LAYOUTS: dict[int, np.dtype[Any]] = {
    FID_AUTHENTICATE: np.dtype(_members("BrokerID:11 UserID:16 UserProductInfo:11 AuthInfo:129 IsResult:i")),
    FID_CONFIRM: np.dtype(_members("BrokerID:11 InvestorID:13 ConfirmDate:9 ConfirmTime:9")),
    FID_INPUT_ORDER: np.dtype(
        _ORDER_START
        + _members(
            "UserForceClose:i IsSwapOrder:i ExchangeID:9 InvestUnitID:17 AccountID:13 CurrencyID:4 ClientID:11"
            " IPAddress:16 MacAddress:21"
        )
    ),
    FID_ORDER: np.dtype(
        _ORDER_START
        + _members(
            "OrderLocalID:13 ExchangeID:9 ParticipantID:11 ClientID:11 ExchangeInstID:31 TraderID:21 InstallID:i"
            " OrderSubmitStatus:c NotifySequence:i TradingDay:9 SettlementID:i OrderSysID:21 OrderSource:c"
            " OrderStatus:c OrderType:c VolumeTraded:i VolumeTotal:i InsertDate:9 InsertTime:9 ActiveTime:9"
            " SuspendTime:9 UpdateTime:9 CancelTime:9 ActiveTraderID:21 ClearingPartID:11 SequenceNo:i FrontID:i"
            " SessionID:i UserProductInfo:11 StatusMsg:81 UserForceClose:i ActiveUserID:16 BrokerOrderSeq:i"
            " RelativeOrderSysID:21 ZCETotalTradedVolume:i IsSwapOrder:i BranchID:9 InvestUnitID:17 AccountID:13"
            " CurrencyID:4 IPAddress:16 MacAddress:21"
        )
    ),
    FID_TRADE: np.dtype(
        _members(
            "BrokerID:11 InvestorID:13 InstrumentID:31 OrderRef:13 UserID:16 ExchangeID:9 TradeID:21 Direction:c"
            " OrderSysID:21 ParticipantID:11 ClientID:11 TradingRole:c ExchangeInstID:31 OffsetFlag:c HedgeFlag:c"
            " Price:d Volume:i TradeDate:9 TradeTime:9 TradeType:c PriceSource:c TraderID:21 OrderLocalID:13"
            " ClearingPartID:11 BusinessUnit:21 SequenceNo:i TradingDay:9 SettlementID:i BrokerOrderSeq:i"
            " TradeSource:c"
        )
    ),
    FID_ACTION: np.dtype(
        _ACTION_START + _members("UserID:16 InstrumentID:31 InvestUnitID:17 IPAddress:16 MacAddress:21")
    ),
    FID_ORDER_ACTION: np.dtype(
        _ACTION_START
        + _members(
            "ActionDate:9 ActionTime:9 TraderID:21 InstallID:i OrderLocalID:13 ActionLocalID:13 ParticipantID:11"
            " ClientID:11 BusinessUnit:21 OrderActionStatus:c UserID:16 StatusMsg:81 InstrumentID:31 BranchID:9"
            " InvestUnitID:17 IPAddress:16 MacAddress:21"
        )
    ),
    FID_STATUS: np.dtype(
        _members(
            "ExchangeID:9 ExchangeInstID:31 SettlementGroupID:9 InstrumentID:31 InstrumentStatus:c"
            " TradingSegmentSN:i EnterTime:9 EnterReason:c"
        )
    ),
    FID_POSITION: np.dtype(
        _members(
            "InstrumentID:31 BrokerID:11 InvestorID:13 PosiDirection:c HedgeFlag:c PositionDate:c YdPosition:i"
            " Position:i LongFrozen:i ShortFrozen:i LongFrozenAmount:d ShortFrozenAmount:d OpenVolume:i"
            " CloseVolume:i OpenAmount:d CloseAmount:d PositionCost:d PreMargin:d UseMargin:d FrozenMargin:d"
            " FrozenCash:d FrozenCommission:d CashIn:d Commission:d CloseProfit:d PositionProfit:d"
            " PreSettlementPrice:d SettlementPrice:d TradingDay:9 SettlementID:i OpenCost:d ExchangeMargin:d"
            " CombPosition:i CombLongFrozen:i CombShortFrozen:i CloseProfitByDate:d CloseProfitByTrade:d"
            " TodayPosition:i MarginRateByMoney:d MarginRateByVolume:d StrikeFrozen:i StrikeFrozenAmount:d"
            " AbandonFrozen:i"
        )
    ),
    FID_ACCOUNT: np.dtype(
        _members("BrokerID:11 AccountID:13")
        + _doubles(_ACCOUNT_MONEY)
        + _members("TradingDay:9 SettlementID:i Credit:d Mortgage:d ExchangeMargin:d DeliveryMargin:d")
        + _members("ExchangeDeliveryMargin:d ReserveBalance:d CurrencyID:4")
        + _doubles(_ACCOUNT_MORE)
    ),
    FID_INSTRUMENT_INFO: np.dtype(
        _members(
            "InstrumentID:31 ExchangeID:9 InstrumentName:21 ExchangeInstID:31 ProductID:31 ProductClass:c"
            " DeliveryYear:i DeliveryMonth:i MaxMarketOrderVolume:i MinMarketOrderVolume:i MaxLimitOrderVolume:i"
            " MinLimitOrderVolume:i VolumeMultiple:i PriceTick:d CreateDate:9 OpenDate:9 ExpireDate:9"
            " StartDelivDate:9 EndDelivDate:9 InstLifePhase:c IsTrading:i PositionType:c PositionDateType:c"
            " LongMarginRatio:d ShortMarginRatio:d MaxMarginSideAlgorithm:c UnderlyingInstrID:31 StrikePrice:d"
            " OptionsType:c UnderlyingMultiple:d CombinationType:c"
        )
    ),
    0x0700: np.dtype(
        _members(
            "BrokerID:11 InvestorID:13 InstrumentID:31 ExchangeID:9 OrderSysID:21 InsertTimeStart:9 InsertTimeEnd:9"
        )
    ),
    0x0701: np.dtype(
        _members("BrokerID:11 InvestorID:13 InstrumentID:31 ExchangeID:9 TradeID:21 TradeTimeStart:9 TradeTimeEnd:9")
    ),
    0x0702: np.dtype(_members("BrokerID:11 InvestorID:13 InstrumentID:31")),
    0x0703: np.dtype(_members("BrokerID:11 InvestorID:13 CurrencyID:4")),
    0x0717: np.dtype(_members("InstrumentID:31 ExchangeID:9 ExchangeInstID:31 ProductID:31")),
    0x0718: np.dtype(_members("InstrumentID:31")),
}
LAYOUTS |= fields.LAYOUTS


def encode(fid: int, values: Mapping[str, Any]) -> bytes:
    """The whole field *fid*; members of *values* that the layout does not have are left out, absent ones zero."""
    layout = LAYOUTS[fid]
    return fields.encode_as(layout, fid, {name: values[name] for name in layout.names or () if name in values})


def decode(fid: int, body: bytes) -> dict[str, Any]:
    """The members of field *fid*, as `fields.decode` gives them."""
    return fields.decode_as(LAYOUTS[fid], body)
