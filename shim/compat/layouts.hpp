// The structures that cross the vendor's C++ interface, for the version chosen by TK_COMPAT.
//
// Natural alignment, x86-64. Across the vendor's versions a structure only ever grew at its end,
// so one declaration with switches serves all four builds. From 6.5.1 on, ids are 81 bytes long and
// stand at the end; the 31 bytes of the old id keep their place as reserveN, which stays zero here,
// as the vendor leaves it. Every offset is asserted at the end of the file: a wrong one would hand
// the host a price that is another price, and nothing else would notice.
#pragma once

#include <cstddef>

#ifndef TK_COMPAT
#define TK_COMPAT 6711
#endif

#if TK_COMPAT != 636 && TK_COMPAT != 63152 && TK_COMPAT != 651 && TK_COMPAT != 6711
#error "TK_COMPAT must be 636, 63152, 651 or 6711"
#endif

// Numbers such as 651 and 63152 do not sort by age, hence one switch per step of the interface.
#define TK_COMPAT_HAS_MULTICAST (TK_COMPAT != 636)                    // 13 + 15 slots instead of 12 + 14
#define TK_COMPAT_HAS_LONG_IDS (TK_COMPAT == 651 || TK_COMPAT == 6711)  // 81-byte ids at the end
#define TK_COMPAT_HAS_PRODUCTION (TK_COMPAT == 6711)                  // factory with a fourth argument

namespace compat {

struct RspInfo {
    int ErrorID;
    char ErrorMsg[81];
};

struct UserLogout {
    char BrokerID[11];
    char UserID[16];
};

struct FensUserInfo {
    char BrokerID[11];
    char UserID[16];
    char LoginMode;
};

struct ReqUserLogin {
    char TradingDay[9];
    char BrokerID[11];
    char UserID[16];
    char Password[41];
    char UserProductInfo[11];
    char InterfaceProductInfo[11];
    char ProtocolInfo[11];
    char MacAddress[21];
    char OneTimePassword[41];
#if TK_COMPAT_HAS_LONG_IDS
    char reserve1[16];
#else
    char ClientIPAddress[16];
#endif
    char LoginRemark[36];
#if TK_COMPAT != 636
    int ClientIPPort;
#endif
#if TK_COMPAT_HAS_LONG_IDS
    char ClientIPAddress[33];
#endif
};

struct RspUserLogin {
    char TradingDay[9];
    char LoginTime[9];
    char BrokerID[11];
    char UserID[16];
    char SystemName[41];
    int FrontID;
    int SessionID;
    char MaxOrderRef[13];
    char SHFETime[9];
    char DCETime[9];
    char CZCETime[9];
    char FFEXTime[9];
    char INETime[9];
#if TK_COMPAT == 6711
    char SysVersion[41];
    char GFEXTime[9];
    int LoginDRIdentityID;
    int UserDRIdentityID;
    char LastLoginTime[17];
    char ReserveInfo[65];
#endif
};

struct SpecificInstrument {
#if TK_COMPAT_HAS_LONG_IDS
    char reserve1[31];
    char InstrumentID[81];
#else
    char InstrumentID[31];
#endif
};

struct DepthMarketData {
    char TradingDay[9];
#if TK_COMPAT_HAS_LONG_IDS
    char reserve1[31];
#else
    char InstrumentID[31];
#endif
    char ExchangeID[9];
#if TK_COMPAT_HAS_LONG_IDS
    char reserve2[31];
#else
    char ExchangeInstID[31];
#endif
    double LastPrice;
    double PreSettlementPrice;
    double PreClosePrice;
    double PreOpenInterest;
    double OpenPrice;
    double HighestPrice;
    double LowestPrice;
    int Volume;
    double Turnover;
    double OpenInterest;
    double ClosePrice;
    double SettlementPrice;
    double UpperLimitPrice;
    double LowerLimitPrice;
    double PreDelta;
    double CurrDelta;
    char UpdateTime[9];
    int UpdateMillisec;
    // BidPriceN, BidVolumeN, AskPriceN, AskVolumeN for N = 1..5. An array has the same layout as the
    // vendor's twenty single members (32 bytes a level) and lets the conversion be one loop.
    struct Level {
        double BidPrice;
        int BidVolume;
        double AskPrice;
        int AskVolume;
    } levels[5];
    double AveragePrice;
    char ActionDay[9];
#if TK_COMPAT_HAS_LONG_IDS
    char InstrumentID[81];
    char ExchangeInstID[81];
#endif
#if TK_COMPAT == 6711
    double BandingUpperPrice;
    double BandingLowerPrice;
#endif
};

struct ForQuoteRsp {
    char TradingDay[9];
#if TK_COMPAT_HAS_LONG_IDS
    char reserve1[31];
#else
    char InstrumentID[31];
#endif
    char ForQuoteSysID[21];
    char ForQuoteTime[9];
    char ActionDay[9];
    char ExchangeID[9];
#if TK_COMPAT_HAS_LONG_IDS
    char InstrumentID[81];
#endif
};

// Declared because a slot takes a pointer to them; neither is ever read or written here.
struct MulticastInstrument;
struct QryMulticastInstrument;

#define TK_AT(type, member, offset) \
    static_assert(offsetof(type, member) == (offset), #type "::" #member " is not where the vendor has it")
#define TK_SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type " does not have the vendor's size")

TK_AT(RspInfo, ErrorID, 0);
TK_AT(RspInfo, ErrorMsg, 4);
TK_SIZE(RspInfo, 88);

TK_AT(UserLogout, BrokerID, 0);
TK_AT(UserLogout, UserID, 11);
TK_SIZE(UserLogout, 27);

TK_AT(FensUserInfo, BrokerID, 0);
TK_AT(FensUserInfo, UserID, 11);
TK_AT(FensUserInfo, LoginMode, 27);
TK_SIZE(FensUserInfo, 28);

TK_AT(ReqUserLogin, TradingDay, 0);
TK_AT(ReqUserLogin, BrokerID, 9);
TK_AT(ReqUserLogin, UserID, 20);
TK_AT(ReqUserLogin, Password, 36);
TK_AT(ReqUserLogin, UserProductInfo, 77);
TK_AT(ReqUserLogin, InterfaceProductInfo, 88);
TK_AT(ReqUserLogin, ProtocolInfo, 99);
TK_AT(ReqUserLogin, MacAddress, 110);
TK_AT(ReqUserLogin, OneTimePassword, 131);
TK_AT(ReqUserLogin, LoginRemark, 188);
#if TK_COMPAT == 636
TK_AT(ReqUserLogin, ClientIPAddress, 172);
TK_SIZE(ReqUserLogin, 224);
#elif TK_COMPAT == 63152
TK_AT(ReqUserLogin, ClientIPAddress, 172);
TK_AT(ReqUserLogin, ClientIPPort, 224);
TK_SIZE(ReqUserLogin, 228);
#else
TK_AT(ReqUserLogin, reserve1, 172);
TK_AT(ReqUserLogin, ClientIPPort, 224);
TK_AT(ReqUserLogin, ClientIPAddress, 228);
TK_SIZE(ReqUserLogin, 264);
#endif

TK_AT(RspUserLogin, TradingDay, 0);
TK_AT(RspUserLogin, LoginTime, 9);
TK_AT(RspUserLogin, BrokerID, 18);
TK_AT(RspUserLogin, UserID, 29);
TK_AT(RspUserLogin, SystemName, 45);
TK_AT(RspUserLogin, FrontID, 88);
TK_AT(RspUserLogin, SessionID, 92);
TK_AT(RspUserLogin, MaxOrderRef, 96);
TK_AT(RspUserLogin, SHFETime, 109);
TK_AT(RspUserLogin, DCETime, 118);
TK_AT(RspUserLogin, CZCETime, 127);
TK_AT(RspUserLogin, FFEXTime, 136);
TK_AT(RspUserLogin, INETime, 145);
#if TK_COMPAT == 6711
TK_AT(RspUserLogin, SysVersion, 154);
TK_AT(RspUserLogin, GFEXTime, 195);
TK_AT(RspUserLogin, LoginDRIdentityID, 204);
TK_AT(RspUserLogin, UserDRIdentityID, 208);
TK_AT(RspUserLogin, LastLoginTime, 212);
TK_AT(RspUserLogin, ReserveInfo, 229);
TK_SIZE(RspUserLogin, 296);
#else
TK_SIZE(RspUserLogin, 156);
#endif

#if TK_COMPAT_HAS_LONG_IDS
TK_AT(SpecificInstrument, reserve1, 0);
TK_AT(SpecificInstrument, InstrumentID, 31);
TK_SIZE(SpecificInstrument, 112);
#else
TK_AT(SpecificInstrument, InstrumentID, 0);
TK_SIZE(SpecificInstrument, 31);
#endif

TK_AT(DepthMarketData, TradingDay, 0);
TK_AT(DepthMarketData, ExchangeID, 40);
TK_AT(DepthMarketData, LastPrice, 80);
TK_AT(DepthMarketData, PreSettlementPrice, 88);
TK_AT(DepthMarketData, PreClosePrice, 96);
TK_AT(DepthMarketData, PreOpenInterest, 104);
TK_AT(DepthMarketData, OpenPrice, 112);
TK_AT(DepthMarketData, HighestPrice, 120);
TK_AT(DepthMarketData, LowestPrice, 128);
TK_AT(DepthMarketData, Volume, 136);
TK_AT(DepthMarketData, Turnover, 144);
TK_AT(DepthMarketData, OpenInterest, 152);
TK_AT(DepthMarketData, ClosePrice, 160);
TK_AT(DepthMarketData, SettlementPrice, 168);
TK_AT(DepthMarketData, UpperLimitPrice, 176);
TK_AT(DepthMarketData, LowerLimitPrice, 184);
TK_AT(DepthMarketData, PreDelta, 192);
TK_AT(DepthMarketData, CurrDelta, 200);
TK_AT(DepthMarketData, UpdateTime, 208);
TK_AT(DepthMarketData, UpdateMillisec, 220);
TK_AT(DepthMarketData, levels, 224);  // levels at 224, 256, 288, 320, 352
TK_AT(DepthMarketData::Level, BidPrice, 0);
TK_AT(DepthMarketData::Level, BidVolume, 8);
TK_AT(DepthMarketData::Level, AskPrice, 16);
TK_AT(DepthMarketData::Level, AskVolume, 24);
TK_SIZE(DepthMarketData::Level, 32);
TK_AT(DepthMarketData, AveragePrice, 384);
TK_AT(DepthMarketData, ActionDay, 392);
#if TK_COMPAT_HAS_LONG_IDS
TK_AT(DepthMarketData, reserve1, 9);
TK_AT(DepthMarketData, reserve2, 49);
TK_AT(DepthMarketData, InstrumentID, 401);
TK_AT(DepthMarketData, ExchangeInstID, 482);
#else
TK_AT(DepthMarketData, InstrumentID, 9);
TK_AT(DepthMarketData, ExchangeInstID, 49);
TK_SIZE(DepthMarketData, 408);
#endif
#if TK_COMPAT == 651
TK_SIZE(DepthMarketData, 568);
#elif TK_COMPAT == 6711
TK_AT(DepthMarketData, BandingUpperPrice, 568);
TK_AT(DepthMarketData, BandingLowerPrice, 576);
TK_SIZE(DepthMarketData, 584);
#endif

TK_AT(ForQuoteRsp, TradingDay, 0);
TK_AT(ForQuoteRsp, ForQuoteSysID, 40);
TK_AT(ForQuoteRsp, ForQuoteTime, 61);
TK_AT(ForQuoteRsp, ActionDay, 70);
TK_AT(ForQuoteRsp, ExchangeID, 79);
#if TK_COMPAT_HAS_LONG_IDS
TK_AT(ForQuoteRsp, reserve1, 9);
TK_AT(ForQuoteRsp, InstrumentID, 88);
TK_SIZE(ForQuoteRsp, 169);
#else
TK_AT(ForQuoteRsp, InstrumentID, 9);
TK_SIZE(ForQuoteRsp, 88);
#endif

#undef TK_AT
#undef TK_SIZE

}  // namespace compat
