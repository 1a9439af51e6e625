// The two classes of the vendor's market data interface, as vtables.
//
// What binds us to a host is not the text of a header but the slots: method i of a class is entry i
// of its vtable. Hence no virtual destructor, no base class, no reordering, and a method more means
// another generation. A host tells generations apart by the size of the symbol _ZTV15CThostFtdcMdApi
// ((slots + 2) * 8 bytes), so that class must have this name and be abstract.
#pragma once

#include "layouts.hpp"

namespace compat {

#if TK_COMPAT == 636
constexpr char kVersionText[] = "v6.3.6_20160606 tickengine compatible";
#elif TK_COMPAT == 63152
constexpr char kVersionText[] = "v6.3.15_P2_20190328 tickengine compatible";
#elif TK_COMPAT == 651
constexpr char kVersionText[] = "v6.5.1_20200908 tickengine compatible";
#else
constexpr char kVersionText[] = "v6.7.11_20250617 tickengine compatible";
#endif

// The host implements this one; we only call it. 12 slots, or 13 with the multicast answer at 5.
class MdSpi {
public:
    virtual void OnFrontConnected() = 0;
    virtual void OnFrontDisconnected(int reason) = 0;
    virtual void OnHeartBeatWarning(int lapse_s) = 0;
    virtual void OnRspUserLogin(RspUserLogin* login, RspInfo* info, int request_id, bool is_last) = 0;
    virtual void OnRspUserLogout(UserLogout* logout, RspInfo* info, int request_id, bool is_last) = 0;
#if TK_COMPAT_HAS_MULTICAST
    virtual void OnRspQryMulticastInstrument(MulticastInstrument* instrument, RspInfo* info, int request_id,
                                             bool is_last) = 0;
#endif
    virtual void OnRspError(RspInfo* info, int request_id, bool is_last) = 0;
    virtual void OnRspSubMarketData(SpecificInstrument* id, RspInfo* info, int request_id, bool is_last) = 0;
    virtual void OnRspUnSubMarketData(SpecificInstrument* id, RspInfo* info, int request_id, bool is_last) = 0;
    virtual void OnRspSubForQuoteRsp(SpecificInstrument* id, RspInfo* info, int request_id, bool is_last) = 0;
    virtual void OnRspUnSubForQuoteRsp(SpecificInstrument* id, RspInfo* info, int request_id, bool is_last) = 0;
    virtual void OnRtnDepthMarketData(DepthMarketData* tick) = 0;
    virtual void OnRtnForQuoteRsp(ForQuoteRsp* quote) = 0;

protected:
    MdSpi() = default;
    ~MdSpi() = default;  // not virtual: it would take two slots
};

}  // namespace compat

// The factory's mangled name carries its argument list, which is how a host knows the fourth one exists.
class __attribute__((visibility("default"))) CThostFtdcMdApi {
public:
#if TK_COMPAT_HAS_PRODUCTION
    static CThostFtdcMdApi* CreateFtdcMdApi(const char* flow_path, bool using_udp, bool multicast, bool production);
#else
    static CThostFtdcMdApi* CreateFtdcMdApi(const char* flow_path, bool using_udp, bool multicast);
#endif
    static const char* GetApiVersion();

    virtual void Release() = 0;
    virtual void Init() = 0;
    virtual int Join() = 0;
    virtual const char* GetTradingDay() = 0;
    virtual void RegisterFront(char* address) = 0;
    virtual void RegisterNameServer(char* address) = 0;
    virtual void RegisterFensUserInfo(compat::FensUserInfo* info) = 0;
    virtual void RegisterSpi(compat::MdSpi* spi) = 0;
    virtual int SubscribeMarketData(char** ids, int count) = 0;
    virtual int UnSubscribeMarketData(char** ids, int count) = 0;
    virtual int SubscribeForQuoteRsp(char** ids, int count) = 0;
    virtual int UnSubscribeForQuoteRsp(char** ids, int count) = 0;
    virtual int ReqUserLogin(compat::ReqUserLogin* login, int request_id) = 0;
    virtual int ReqUserLogout(compat::UserLogout* logout, int request_id) = 0;
#if TK_COMPAT_HAS_MULTICAST
    virtual int ReqQryMulticastInstrument(compat::QryMulticastInstrument* query, int request_id) = 0;
#endif

protected:
    // Not inline. The vtable of an all-abstract class is emitted only where a constructor stores it,
    // and the optimiser drops that store as dead once the constructor is inlined into a derived one;
    // with it would go the symbol that hosts look for. abi.cpp is a translation unit of its own for this.
    CThostFtdcMdApi();
    ~CThostFtdcMdApi() = default;  // not virtual: it would take two slots
};
