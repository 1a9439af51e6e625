#include "layout_text.hpp"

#include <cstdio>
#include <string>

#include "layout.hpp"
#include "trade_layout.hpp"

namespace tk {
namespace {

struct Field {
    const char* name;
    std::size_t offset, size;
    const char* type;
};

#define TK_FIELD(field, type) {#field, offsetof(Record, field), sizeof(Record::field), type},
constexpr Field kFields[] = {
    TK_FIELD(Stamp, "u8")
    TK_FIELD(RecvTime, "i8")
    TK_FIELD(Instrument, "u4")
    TK_FIELD(Flags, "u2")
    TK_FIELD(Kind, "u1")
    TK_FIELD(Reserved0, "u1")
    TK_FIELD(LastPrice, "f8")
    TK_FIELD(BidPrice1, "f8")
    TK_FIELD(AskPrice1, "f8")
    TK_FIELD(Volume, "i4")
    TK_FIELD(BidVolume1, "i4")
    TK_FIELD(AskVolume1, "i4")
    TK_FIELD(UpdateMillisec, "i4")
    TK_FIELD(RecvMonotonic, "i8")
    TK_FIELD(ExchangeTime, "i8")
    TK_FIELD(TickNumber, "u8")
    TK_FIELD(InstrumentNumber, "u8")
    TK_FIELD(Turnover, "f8")
    TK_FIELD(OpenInterest, "f8")
    TK_FIELD(AveragePrice, "f8")
    TK_FIELD(PreSettlementPrice, "f8")
    TK_FIELD(BidPrice2, "f8")
    TK_FIELD(AskPrice2, "f8")
    TK_FIELD(BidPrice3, "f8")
    TK_FIELD(AskPrice3, "f8")
    TK_FIELD(BidPrice4, "f8")
    TK_FIELD(AskPrice4, "f8")
    TK_FIELD(BidPrice5, "f8")
    TK_FIELD(AskPrice5, "f8")
    TK_FIELD(BidVolume2, "i4")
    TK_FIELD(AskVolume2, "i4")
    TK_FIELD(BidVolume3, "i4")
    TK_FIELD(AskVolume3, "i4")
    TK_FIELD(BidVolume4, "i4")
    TK_FIELD(AskVolume4, "i4")
    TK_FIELD(BidVolume5, "i4")
    TK_FIELD(AskVolume5, "i4")
    TK_FIELD(PreClosePrice, "f8")
    TK_FIELD(PreOpenInterest, "f8")
    TK_FIELD(OpenPrice, "f8")
    TK_FIELD(HighestPrice, "f8")
    TK_FIELD(LowestPrice, "f8")
    TK_FIELD(ClosePrice, "f8")
    TK_FIELD(SettlementPrice, "f8")
    TK_FIELD(UpperLimitPrice, "f8")
    TK_FIELD(LowerLimitPrice, "f8")
    TK_FIELD(PreDelta, "f8")
    TK_FIELD(CurrDelta, "f8")
    TK_FIELD(BandingUpperPrice, "f8")
    TK_FIELD(BandingLowerPrice, "f8")
    TK_FIELD(TradingDay, "S")
    TK_FIELD(ActionDay, "S")
    TK_FIELD(UpdateTime, "S")
    TK_FIELD(ExchangeID, "S")
    TK_FIELD(InstrumentID, "S")
    TK_FIELD(Reserved1, "S")
};
#undef TK_FIELD

#define TK_FIELD(field, type) {#field, offsetof(TradeRecord, field), sizeof(TradeRecord::field), type},
constexpr Field kTradeFields[] = {
    TK_FIELD(Stamp, "u8")
    TK_FIELD(RecvTime, "i8")
    TK_FIELD(RecvMonotonic, "i8")
    TK_FIELD(Kind, "u2")
    TK_FIELD(Struct, "u2")
    TK_FIELD(Epoch, "u4")
    TK_FIELD(RequestID, "i4")
    TK_FIELD(ErrorID, "i4")
    TK_FIELD(Reason, "i4")
    TK_FIELD(IsLast, "u1")
    TK_FIELD(HasInfo, "u1")
    TK_FIELD(HasData, "u1")
    TK_FIELD(Reserved0, "u1")
    TK_FIELD(ClientID, "u8")
    TK_FIELD(Value, "i8")
    TK_FIELD(Crc, "u4")
    TK_FIELD(ErrorMsg, "S")
    TK_FIELD(Reserved1, "S")
    TK_FIELD(Size, "u2")
    TK_FIELD(Reserved2, "S")
    TK_FIELD(Payload, "S")
};
#undef TK_FIELD

template <std::size_t N>
std::string lines(const Field (&fields)[N]) {
    std::string t;
    char line[96];
    for (const Field& f : fields) {
        std::snprintf(line, sizeof line, "%s %zu %zu %s\n", f.name, f.offset, f.size, f.type);
        t += line;
    }
    return t;
}

}  // namespace

const char* layout_text() {
    static const std::string text = lines(kFields);
    return text.c_str();
}

const char* trade_layout_text() {
    static const std::string text = lines(kTradeFields);
    return text.c_str();
}

}  // namespace tk
