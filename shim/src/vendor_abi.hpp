// The vendor's binary interface as data: facts about offsets and slots, no vendor text.
// Every version differs from its neighbours in tables, never in code. docs/vendor.md has the sources.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tk {

// DepthMarketData. From TradingDay to ActionDay all versions agree (structs have only grown at their
// end), so the normaliser knows those offsets at compile time; what moved or came later is data.
struct DepthLayout {
    std::uint32_t number;  // 1, 2, 3
    std::uint32_t size;
    std::uint32_t instrument_id, instrument_id_size;
    std::uint32_t exchange_inst_id, exchange_inst_id_size;
    std::uint32_t banding;  // offset of BandingUpperPrice, BandingLowerPrice; 0 none
};

namespace depth {  // common offsets
constexpr std::uint32_t kTradingDay = 0, kExchangeID = 40, kLastPrice = 80, kPreSettlementPrice = 88,
                        kPreClosePrice = 96, kPreOpenInterest = 104, kOpenPrice = 112, kHighestPrice = 120,
                        kLowestPrice = 128, kVolume = 136, kTurnover = 144, kOpenInterest = 152,
                        kClosePrice = 160, kSettlementPrice = 168, kUpperLimitPrice = 176,
                        kLowerLimitPrice = 184, kPreDelta = 192, kCurrDelta = 200, kUpdateTime = 208,
                        kUpdateMillisec = 220, kLevels = 224, kLevelSize = 32, kAveragePrice = 384,
                        kActionDay = 392;
// within a level: BidPrice 0, BidVolume 8, AskPrice 16, AskVolume 24
constexpr std::uint32_t kBidVolume = 8, kAskPrice = 16, kAskVolume = 24;
}  // namespace depth

const DepthLayout* depth_layout(std::uint32_t number);  // nullptr if unknown

// A field of a struct that is read or written by name; size 0: the version does not have it.
struct Field {
    std::uint16_t offset;
    std::uint16_t size;
};

struct LoginRequestLayout {
    std::uint32_t size;
    Field broker_id, user_id, password, product_info;
};

struct LoginAnswerLayout {
    std::uint32_t size;
    Field trading_day, login_time, broker_id, user_id, system_name, front_id, session_id, max_order_ref;
    Field shfe_time, dce_time, czce_time, ffex_time, ine_time, gfex_time, sys_version;
};

struct InstrumentLayout {  // SpecificInstrument
    std::uint32_t size;
    Field instrument_id;
};

struct ForQuoteLayout {
    std::uint32_t size;
    Field trading_day, instrument_id, for_quote_sys_id, for_quote_time, action_day, exchange_id;
};

struct MulticastLayout {  // MulticastInstrument, and its query
    std::uint32_t size;
    Field topic_id, instrument_id, instrument_no, code_price, volume_multiple, price_tick;
    std::uint32_t query_size;
    Field query_topic_id, query_instrument_id;
};

// Structs that have never changed.
constexpr std::uint32_t kRspInfoSize = 88, kUserLogoutSize = 27;
constexpr Field kRspInfoErrorId{0, 4}, kRspInfoErrorMsg{4, 81};
constexpr Field kLogoutBrokerId{0, 11}, kLogoutUserId{11, 16};

// Our numbers for the callbacks (the TK_CB_* values of tickshim.h and the tick itself).
constexpr int kCallbackTick = 11;
constexpr int kCallbackCount = 13;
constexpr int kMaxSpiSlots = 16;

// One vtable generation: which callback stands in which slot, and where the api's methods are.
struct Generation {
    const char* name;
    std::uint32_t spi_slots;
    std::int8_t spi[kMaxSpiSlots];  // slot -> callback
    std::uint32_t api_slots;
    std::int8_t release, init, join, trading_day, register_front, register_spi;
    std::int8_t subscribe, unsubscribe, subscribe_quote, unsubscribe_quote, login, logout;
    std::int8_t query_multicast;  // -1: not there
};

// What one range of versions has in common: the slots, the factory, the structs.
struct VersionLayouts {
    const char* first_version;
    const char* last_version;
    const Generation* generation;
    std::uint32_t factory_flags;  // bools behind the flow path
    const DepthLayout* depth;
    const LoginRequestLayout* login_request;
    const LoginAnswerLayout* login_answer;
    const InstrumentLayout* instrument;
    const ForQuoteLayout* for_quote;
    const MulticastLayout* multicast;  // nullptr in G1
};

struct Table {
    const VersionLayouts* rows;  // oldest first, without overlap
    std::size_t count;
};
Table version_table();

struct Version {
    int major = 0, minor = 0, patch = 0, p = 0;  // p: the number behind "_P"
    bool valid = false;
};

// "v6.3.15_P2_20190328 14:06:16" -> 6.3.15 P2. Trailing text is ignored, "_CP" and "_SM" are noted.
struct ParsedVersion {
    Version version;
    bool evaluation = false;   // _CP
    bool national_crypto = false;  // _SM
};
ParsedVersion parse_version(const char* text);
int compare(const Version& a, const Version& b);

struct Recognised {
    const Generation* generation = nullptr;
    const VersionLayouts* layouts = nullptr;
    bool evaluation = false;
};

// What is known of a library without calling any of its methods.
struct Facts {
    const char* version_text;     // its own, or the one it is overridden with
    bool overridden;              // then the version must be one of the tables
    std::uint32_t api_slots;      // from the vtable's size; 0 unknown
    std::uint32_t factory_flags;  // from the factory's name
};
// Which tables fit. All facts must agree, also when the version is overridden.
// Returns TK_OK or TK_E_VENDOR with the reason.
std::int32_t recognise(const Facts& facts, Recognised* out);

// All tables as JSON, for tests and for other languages.
const char* vendor_tables_text();

}  // namespace tk
