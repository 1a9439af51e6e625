// The vendor's market data struct, whose texts and numbers come from the wire: recognised, judged, stored.
#include <cfloat>
#include <string>
#include <vector>

#include "input.hpp"
#include "layout.hpp"
#include "tickshim.h"
#include "vendor_abi.hpp"
#include "world.hpp"

namespace {

using fuzz::Input;
namespace d = tk::depth;

constexpr std::int64_t kReceived = 1767576600000000000;  // 2026-01-05 09:30 in China
constexpr const char* kTimes[] = {"09:30:00", "21:00:00", "02:29:59", "00:00:00", "23:59:59", "15:00:00", "08:59:00", "10:20:00"};
constexpr const char* kDays[] = {"20260105", "20260106", "20260102", "20260103", "19800100", "20991231", "00000000", ""};
constexpr const char* kIds[] = {"rb2601", "IF2512", "SR601", "m2601-C-3000", "SPD SR601&SR605", "x", "", "rb2601"};
constexpr const char* kExchanges[] = {"SHFE", "CFFEX", "CZCE", "DCE", "", "INE", "GFEX", "nowhere"};

void set_rules(tk_writer* writer) {
    tk_product_rule rules[3] = {};
    const struct {
        const char *product, *exchange;
        bool night;
    } products[] = {{"rb", "SHFE", true}, {"IF", "CFFEX", false}, {"SR", "CZCE", true}};
    for (int i = 0; i < 3; ++i) {
        tk_product_rule& r = rules[i];
        std::strcpy(r.product_id, products[i].product);
        std::strcpy(r.exchange_id, products[i].exchange);
        const std::int32_t day[] = {9 * 3600, 36900, 37800, 41400, 48600, 54000};
        for (int s = 0; s < 3; ++s) {
            r.session_start[s] = day[2 * s];
            r.session_end[s] = day[2 * s + 1];
        }
        r.session_count = 3;
        if (products[i].night) {
            r.session_start[3] = 21 * 3600;
            r.session_end[3] = 23 * 3600;
            r.session_count = 4;
        }
        r.auction_count = 1;
        r.auction_start[0] = 9 * 3600 - 300;
        r.auction_end[0] = 9 * 3600;
    }
    const std::int32_t holidays[] = {20260101, 20260102};
    PROMISE(tk_writer_set_rules(writer, rules, 3, holidays, 2, 20260101, 20261231) == TK_OK);
}

void put_text(char* depth, std::uint32_t at, std::uint32_t room, const char* text) {
    std::memset(depth + at, 0, room);
    std::memcpy(depth + at, text, strnlen(text, room));
}

// A struct that makes sense, by one byte for each choice, then some bytes of it changed.
void fill(Input* in, const tk::DepthLayout& l, char* depth) {
    const std::uint8_t a = in->byte(), b = in->byte();
    put_text(depth, d::kUpdateTime, 9, kTimes[a & 7]);
    put_text(depth, d::kTradingDay, 9, kDays[a >> 3 & 7]);
    put_text(depth, d::kActionDay, 9, kDays[(a >> 6) + (b & 4)]);
    put_text(depth, l.instrument_id, l.instrument_id_size, kIds[b & 3]);
    put_text(depth, l.exchange_inst_id, l.exchange_inst_id_size, kIds[b >> 3 & 7]);
    put_text(depth, d::kExchangeID, 9, kExchanges[b >> 5]);
    for (std::uint32_t n = in->byte() % 8; n != 0; --n) {
        const std::uint32_t at = in->number<std::uint16_t>() % l.size;
        const std::uint8_t width = in->byte();
        const std::uint32_t fits = l.size - at, size = 1 + width % 8;
        in->take(depth + at, size < fits ? size : fits);
    }
}

template <std::size_t N>
bool ends(const char (&text)[N]) {
    return std::memchr(text, 0, N) != nullptr;
}

void check(const tk::Record& r, std::uint64_t sequence) {
    PROMISE(r.Stamp == sequence + 1 && r.Kind == tk::kTick && r.Flags < 1u << 13);
    PROMISE(ends(r.TradingDay) && ends(r.ActionDay) && ends(r.UpdateTime) && ends(r.ExchangeID) && ends(r.InstrumentID));
    PROMISE((r.Flags & TK_FLAG_TIME_MISSING) == 0 || r.ExchangeTime == 0 || r.InstrumentNumber != 0);
    const double prices[] = {r.LastPrice, r.BidPrice1, r.AskPrice5, r.Turnover, r.SettlementPrice, r.BandingLowerPrice};
    for (const double price : prices) PROMISE(price != DBL_MAX);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in(data, size);
    const fuzz::World world;
    const std::string path = fuzz::directory() + "/log";
    const std::uint8_t how = in.byte();
    tk_log* log;
    tk_writer* writer;
    PROMISE(tk_log_create(path.c_str(), "fuzz", 8, 2 + (how & 1) * 6, &log) == TK_OK);
    PROMISE(tk_writer_open(log, 1, &writer) == TK_OK);
    if ((how & 2) != 0) set_rules(writer);
    std::int64_t now = kReceived;
    for (std::uint64_t n = 0; n < 100 && !in.empty(); ++n) {
        const std::uint8_t what = in.byte();
        const std::uint32_t layout = 1 + what % 3;
        const tk::DepthLayout& l = *tk::depth_layout(layout);
        if ((what & 0x80) != 0) now = kReceived + in.number<std::int32_t>() * std::int64_t{1000000000};
        const fuzz::Exact depth(l.size);
        fill(&in, l, depth.get());
        for (int times = (what & 0x40) != 0 ? 2 : 1; times != 0; --times) {  // twice: a duplicate
            PROMISE(tk_writer_tick_at(writer, layout, depth.get(), now, 2000) == TK_OK);
            tk_log_info info;
            PROMISE(tk_log_info_get(log, &info) == TK_OK);
            tk::Record record;
            std::uint64_t first, copied;
            PROMISE(tk_log_read(log, info.head - 1, 1, &record, &first, &copied) == TK_OK && copied == 1);
            check(record, info.head - 1);
            PROMISE(tk_log_latest(log, record.InstrumentID, &record) == TK_OK || record.Instrument == tk::kNoInstrument);
        }
        if ((what & 0x20) != 0) {
            PROMISE(tk_writer_event(writer, TK_EV_LOGGED_IN, 0, 0, 0, "20260105", 8, 0) == TK_OK);
        } else if ((what & 0x10) != 0) {  // the next writer goes on where this one stopped
            tk_writer_close(writer);
            PROMISE(tk_writer_open(log, 0, &writer) == TK_OK);
        }
    }
    tk_writer_close(writer);
    tk_log_unlink(log);
    tk_log_close(log);
    return 0;
}
