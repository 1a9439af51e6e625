// The callbacks. Each is called by the vendor through a vtable slot as a member function: `this` first.
// Pointers may be null, die with the call, and are valid for the layout's size only.
#include <cstring>

#include "td_api.hpp"

namespace tk::td {
namespace {

TradeEntry make(std::uint16_t kind) {
    TradeEntry e;
    e.kind = kind;
    e.is_last = true;
    return e;
}

// An answer's data and words. `canonical` has room for every struct and lives as long as the entry.
TradeEntry make(Spi* spi, std::uint16_t kind, Struct type, const char* data, const char* info, int request_id, bool is_last, char* canonical) {
    TradeEntry e = make(kind);
    e.type = type;
    e.request_id = request_id;
    e.is_last = is_last;
    if (info != nullptr) {
        const StructTable& t = struct_table(kRspInfo);
        const Place id = place_of(t.fields[0], 0), text = place_of(t.fields[1], 0);
        e.has_info = true;
        std::memcpy(&e.error_id, info + id.offset, id.size);
        e.text = info + text.offset;
        e.text_length = strnlen(e.text, text.size);
    }
    if (data != nullptr) {
        to_canonical(*spi->api->library().tables, type, data, canonical);
        e.has_data = true;
        e.payload = canonical;
        e.size = struct_table(type).size;
    }
    return e;
}

void on_front_connected(Spi* spi) { spi->api->take(make(TK_TR_FRONT_CONNECTED), true); }

void on_front_disconnected(Spi* spi, int reason) {
    spi->api->on_disconnected();  // first: no order leaves from here on
    TradeEntry e = make(TK_TR_FRONT_DISCONNECTED);
    e.reason = reason;
    spi->api->take(e, true);
}

void on_heartbeat_warning(Spi* spi, int seconds) {
    TradeEntry e = make(TK_TR_HEARTBEAT_WARNING);
    e.reason = seconds;
    spi->api->take(e, true);
}

void on_error(Spi* spi, const char* info, int request_id, bool is_last) {
    spi->api->take(make(spi, TK_TR_RSP_ERROR, kNoStruct, nullptr, info, request_id, is_last, nullptr), true);
}

void on_private_seq_no(Spi* spi, int number) {
    TradeEntry e = make(TK_TR_RTN_PRIVATE_SEQ_NO);
    e.value = number;
    spi->api->take(e, true);
}

template <std::uint16_t kind, Struct type>
void on_answer(Spi* spi, const char* data, const char* info, int request_id, bool is_last) {
    alignas(8) char canonical[kMaxPayload];
    const TradeEntry e = make(spi, kind, type, data, info, request_id, is_last, canonical);
    if (kind == TK_TR_RSP_USER_LOGIN && e.has_data && e.error_id == 0) spi->api->on_logged_in(canonical);
    spi->api->take(e, kind != TK_TR_QRY_OTHER);
}

template <std::uint16_t kind, Struct type>
void on_return(Spi* spi, const char* data) {
    on_answer<kind, type>(spi, data, nullptr, 0, true);
}

template <std::uint16_t kind, Struct type>
void on_error_return(Spi* spi, const char* data, const char* info) {
    on_answer<kind, type>(spi, data, info, 0, true);
}

void on_other(Spi*) {}

template <typename F>
void* address(F* function) {
    return reinterpret_cast<void*>(function);
}

}  // namespace

void* const* spi_functions() {
    static void* const* const functions = [] {
        static void* by_slot[spi::kSlotCount];
        by_slot[spi::kOnFrontConnected] = address(on_front_connected);
        by_slot[spi::kOnFrontDisconnected] = address(on_front_disconnected);
        by_slot[spi::kOnHeartBeatWarning] = address(on_heartbeat_warning);
        by_slot[spi::kOnRspAuthenticate] = address(on_answer<TK_TR_RSP_AUTHENTICATE, kRspAuthenticate>);
        by_slot[spi::kOnRspUserLogin] = address(on_answer<TK_TR_RSP_USER_LOGIN, kRspUserLogin>);
        by_slot[spi::kOnRspUserLogout] = address(on_answer<TK_TR_RSP_USER_LOGOUT, kUserLogout>);
        by_slot[spi::kOnRspSettlementInfoConfirm] = address(on_answer<TK_TR_RSP_SETTLEMENT_CONFIRM, kSettlementInfoConfirm>);
        by_slot[spi::kOnRspError] = address(on_error);
        by_slot[spi::kOnRspOrderInsert] = address(on_answer<TK_TR_RSP_ORDER_INSERT, kInputOrder>);
        by_slot[spi::kOnErrRtnOrderInsert] = address(on_error_return<TK_TR_ERR_RTN_ORDER_INSERT, kInputOrder>);
        by_slot[spi::kOnRtnOrder] = address(on_return<TK_TR_RTN_ORDER, kOrder>);
        by_slot[spi::kOnRtnTrade] = address(on_return<TK_TR_RTN_TRADE, kTrade>);
        by_slot[spi::kOnRspOrderAction] = address(on_answer<TK_TR_RSP_ORDER_ACTION, kInputOrderAction>);
        by_slot[spi::kOnErrRtnOrderAction] = address(on_error_return<TK_TR_ERR_RTN_ORDER_ACTION, kOrderAction>);
        by_slot[spi::kOnRtnInstrumentStatus] = address(on_return<TK_TR_RTN_INSTRUMENT_STATUS, kInstrumentStatus>);
        by_slot[spi::kOnRtnPrivateSeqNo] = address(on_private_seq_no);
        by_slot[spi::kOnRspQryOrder] = address(on_answer<TK_TR_QRY_ORDER, kOrder>);
        by_slot[spi::kOnRspQryTrade] = address(on_answer<TK_TR_QRY_TRADE, kTrade>);
        by_slot[spi::kOnRspQryInvestorPosition] = address(on_answer<TK_TR_QRY_POSITION, kInvestorPosition>);
        by_slot[spi::kOnRspQryTradingAccount] = address(on_answer<TK_TR_QRY_ACCOUNT, kTradingAccount>);
        by_slot[spi::kOnRspQryInstrument] = address(on_answer<TK_TR_QRY_OTHER, kInstrument>);
        by_slot[spi::kOnRspQryDepthMarketData] = address(on_answer<TK_TR_QRY_OTHER, kDepthMarketData>);
        return by_slot;
    }();
    return functions;
}

void* other_callback() { return address(on_other); }

}  // namespace tk::td
