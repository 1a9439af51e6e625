// The vendor tables as JSON. What is printed is what the code reads: the same objects, field by field.
#include <initializer_list>
#include <string>

#include "vendor_abi.hpp"

namespace tk {
namespace {

constexpr const char* kCallbackNames[kCallbackCount] = {
    "OnFrontConnected",    "OnFrontDisconnected",  "OnHeartBeatWarning",    "OnRspUserLogin",
    "OnRspUserLogout",     "OnRspQryMulticastInstrument", "OnRspError",     "OnRspSubMarketData",
    "OnRspUnSubMarketData", "OnRspSubForQuoteRsp", "OnRspUnSubForQuoteRsp", "OnRtnDepthMarketData",
    "OnRtnForQuoteRsp",
};

struct Named {
    std::string name;
    Field field;
};

std::string quoted(const std::string& text) { return '"' + text + '"'; }

// {"size": 31, "fields": {"InstrumentID": [0, 31]}}; fields that a version lacks are left out.
template <typename Fields>
std::string structure(std::uint32_t size, const Fields& fields) {
    std::string t = "{\"size\": " + std::to_string(size) + ", \"fields\": {";
    const char* comma = "";
    for (const Named& n : fields) {
        if (n.field.size == 0) continue;
        t += comma + quoted(n.name) + ": [" + std::to_string(n.field.offset) + ", " + std::to_string(n.field.size) + "]";
        comma = ", ";
    }
    return t + "}}";
}

std::string structure(std::uint32_t size, std::initializer_list<Named> fields) {
    return structure<std::initializer_list<Named>>(size, fields);
}

Field field(std::uint32_t offset, std::uint32_t size) {
    return {static_cast<std::uint16_t>(offset), static_cast<std::uint16_t>(size)};
}

std::string depth_text(const DepthLayout& l) {
    using namespace depth;
    std::string t;
    Named fields[] = {
        {"TradingDay", field(kTradingDay, 9)},
        {"ExchangeID", field(kExchangeID, 9)},
        {"InstrumentID", field(l.instrument_id, l.instrument_id_size)},
        {"ExchangeInstID", field(l.exchange_inst_id, l.exchange_inst_id_size)},
        {"LastPrice", field(kLastPrice, 8)},
        {"PreSettlementPrice", field(kPreSettlementPrice, 8)},
        {"PreClosePrice", field(kPreClosePrice, 8)},
        {"PreOpenInterest", field(kPreOpenInterest, 8)},
        {"OpenPrice", field(kOpenPrice, 8)},
        {"HighestPrice", field(kHighestPrice, 8)},
        {"LowestPrice", field(kLowestPrice, 8)},
        {"Volume", field(kVolume, 4)},
        {"Turnover", field(kTurnover, 8)},
        {"OpenInterest", field(kOpenInterest, 8)},
        {"ClosePrice", field(kClosePrice, 8)},
        {"SettlementPrice", field(kSettlementPrice, 8)},
        {"UpperLimitPrice", field(kUpperLimitPrice, 8)},
        {"LowerLimitPrice", field(kLowerLimitPrice, 8)},
        {"PreDelta", field(kPreDelta, 8)},
        {"CurrDelta", field(kCurrDelta, 8)},
        {"UpdateTime", field(kUpdateTime, 9)},
        {"UpdateMillisec", field(kUpdateMillisec, 4)},
        {"AveragePrice", field(kAveragePrice, 8)},
        {"ActionDay", field(kActionDay, 9)},
        {"BandingUpperPrice", field(l.banding, l.banding != 0 ? 8 : 0)},
        {"BandingLowerPrice", field(l.banding + 8, l.banding != 0 ? 8 : 0)},
        // the levels: filled in below
        {"", {}}, {"", {}}, {"", {}}, {"", {}}, {"", {}}, {"", {}}, {"", {}}, {"", {}}, {"", {}}, {"", {}},
        {"", {}}, {"", {}}, {"", {}}, {"", {}}, {"", {}}, {"", {}}, {"", {}}, {"", {}}, {"", {}}, {"", {}},
    };
    Named* next = &fields[sizeof fields / sizeof fields[0] - 20];
    for (int level = 1; level <= 5; ++level) {
        const std::uint32_t at = kLevels + static_cast<std::uint32_t>(level - 1) * kLevelSize;
        const std::string n = std::to_string(level);
        *next++ = {"BidPrice" + n, field(at, 8)};
        *next++ = {"BidVolume" + n, field(at + kBidVolume, 4)};
        *next++ = {"AskPrice" + n, field(at + kAskPrice, 8)};
        *next++ = {"AskVolume" + n, field(at + kAskVolume, 4)};
    }
    return structure(l.size, fields);
}

std::string structs_text(const VersionLayouts& row) {
    const LoginRequestLayout& q = *row.login_request;
    const LoginAnswerLayout& a = *row.login_answer;
    const ForQuoteLayout& f = *row.for_quote;
    std::string t = "\"DepthMarketData\": " + depth_text(*row.depth);
    t += ", \"ReqUserLogin\": " + structure(q.size, {{"BrokerID", q.broker_id},
                                                      {"UserID", q.user_id},
                                                      {"Password", q.password},
                                                      {"UserProductInfo", q.product_info}});
    t += ", \"RspUserLogin\": " +
         structure(a.size, {{"TradingDay", a.trading_day}, {"LoginTime", a.login_time},   {"BrokerID", a.broker_id},
                            {"UserID", a.user_id},         {"SystemName", a.system_name}, {"FrontID", a.front_id},
                            {"SessionID", a.session_id},   {"MaxOrderRef", a.max_order_ref},
                            {"SHFETime", a.shfe_time},     {"DCETime", a.dce_time},       {"CZCETime", a.czce_time},
                            {"FFEXTime", a.ffex_time},     {"INETime", a.ine_time},       {"GFEXTime", a.gfex_time},
                            {"SysVersion", a.sys_version}});
    t += ", \"SpecificInstrument\": " + structure(row.instrument->size, {{"InstrumentID", row.instrument->instrument_id}});
    t += ", \"ForQuoteRsp\": " + structure(f.size, {{"TradingDay", f.trading_day},
                                                     {"InstrumentID", f.instrument_id},
                                                     {"ForQuoteSysID", f.for_quote_sys_id},
                                                     {"ForQuoteTime", f.for_quote_time},
                                                     {"ActionDay", f.action_day},
                                                     {"ExchangeID", f.exchange_id}});
    t += ", \"RspInfo\": " + structure(kRspInfoSize, {{"ErrorID", kRspInfoErrorId}, {"ErrorMsg", kRspInfoErrorMsg}});
    t += ", \"UserLogout\": " + structure(kUserLogoutSize, {{"BrokerID", kLogoutBrokerId}, {"UserID", kLogoutUserId}});
    if (const MulticastLayout* m = row.multicast; m != nullptr) {
        t += ", \"MulticastInstrument\": " + structure(m->size, {{"TopicID", m->topic_id},
                                                                  {"InstrumentID", m->instrument_id},
                                                                  {"InstrumentNo", m->instrument_no},
                                                                  {"CodePrice", m->code_price},
                                                                  {"VolumeMultiple", m->volume_multiple},
                                                                  {"PriceTick", m->price_tick}});
        t += ", \"QryMulticastInstrument\": " +
             structure(m->query_size, {{"TopicID", m->query_topic_id}, {"InstrumentID", m->query_instrument_id}});
    }
    return t;
}

std::string generation_text(const Generation& g) {
    std::string t = "{\"spi\": [";
    for (std::uint32_t i = 0; i < g.spi_slots; ++i) t += (i ? ", " : "") + quoted(kCallbackNames[g.spi[i]]);
    t += "], \"api_slots\": " + std::to_string(g.api_slots) + ", \"api\": {";
    const struct {
        const char* name;
        int slot;
    } methods[] = {
        {"Release", g.release},
        {"Init", g.init},
        {"Join", g.join},
        {"GetTradingDay", g.trading_day},
        {"RegisterFront", g.register_front},
        {"RegisterSpi", g.register_spi},
        {"SubscribeMarketData", g.subscribe},
        {"UnSubscribeMarketData", g.unsubscribe},
        {"SubscribeForQuoteRsp", g.subscribe_quote},
        {"UnSubscribeForQuoteRsp", g.unsubscribe_quote},
        {"ReqUserLogin", g.login},
        {"ReqUserLogout", g.logout},
        {"ReqQryMulticastInstrument", g.query_multicast},
    };
    const char* comma = "";
    for (const auto& m : methods) {
        if (m.slot < 0) continue;
        t += comma + quoted(m.name) + ": " + std::to_string(m.slot);
        comma = ", ";
    }
    return t + "}}";
}

std::string make_text() {
    const Table table = version_table();
    std::string generations, rows;
    const Generation* last = nullptr;
    for (std::size_t i = 0; i < table.count; ++i) {
        const VersionLayouts& row = table.rows[i];
        if (row.generation != last) {
            last = row.generation;
            generations += (generations.empty() ? "" : ",\n") + quoted(last->name) + ": " + generation_text(*last);
        }
        rows += (i ? ",\n" : "") + ("{\"first\": " + quoted(row.first_version)) + ", \"last\": " + quoted(row.last_version) +
                ", \"generation\": " + quoted(last->name) + ", \"layout\": " + std::to_string(row.depth->number) +
                ", \"factory_flags\": " + std::to_string(row.factory_flags) + ", \"structs\": {" + structs_text(row) + "}}";
    }
    return "{\"generations\": {" + generations + "},\n\"versions\": [\n" + rows + "]}\n";
}

}  // namespace

const char* vendor_tables_text() {
    static const std::string text = make_text();
    return text.c_str();
}

}  // namespace tk
