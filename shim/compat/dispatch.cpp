#include "dispatch.hpp"

#include <algorithm>
#include <cstdio>

namespace compat {

namespace {

enum Tid : std::uint32_t {
    kError = 0x0001,
    kLoginAnswer = 0x3001,
    kLogoutAnswer = 0x3003,
    kSubscribed = 0x4402,
    kUnsubscribed = 0x4404,
    kQuoteSubscribed = 0x440a,
    kQuoteUnsubscribed = 0x440c,
    kQuotePush = 0xf018,
    kTickPush = 0xf101,
    kIncrementPush = 0xf103,
};

enum FieldId : std::uint16_t {
    kRspInfo = 0x0000,
    kDepthMarketData = 0x0012,
    kForQuoteRsp = 0x082a,
    kRspUserLogin = 0x1003,
    kUserLogout = 0x1004,
    kSpecificInstrument = 0x2441,
};

// One name for the conversions, so that answer() needs no knowledge of which of them takes options.
void load(const Field& f, const ConvertOptions&, UserLogout* out) { convert(f, out); }
void load(const Field& f, const ConvertOptions&, RspUserLogin* out) { convert(f, out); }
void load(const Field& f, const ConvertOptions& o, SpecificInstrument* out) { convert(f, o, out); }

bool counted(std::uint16_t series) { return series == 1 || series == 4; }

bool find(const Message& m, std::uint16_t id, Field* out) {
    for (FieldReader fields(m); fields.next(out);) {
        if (out->id == id) return true;
    }
    return false;
}

}  // namespace

Dispatcher::Dispatcher(const Faults& faults) : faults_(faults), options_{faults.no_nul} {}

void Dispatcher::begin(const std::function<void()>& mark_thread) {
    if (faults_.touch_ticks()) faulty_.reset(new FaultyDelivery(faults_, mark_thread));
    if (faults_.disconnect_first) disconnected(0x1001);  // as after a cut, which some versions report before any connect
}

void Dispatcher::end() { faulty_.reset(); }

void Dispatcher::connected() {
    std::fill(std::begin(last_seq_), std::end(last_seq_), 0);
    deaf_ = false;
    if (MdSpi* const s = spi()) s->OnFrontConnected();
}

void Dispatcher::disconnected(int reason) {
    last_ticks_.clear();
    if (faults_.print) {
        std::printf("Disconnected[%p][%7d]\n", static_cast<void*>(this), reason);
        std::fflush(stdout);
        std::fprintf(stderr, "compat: disconnected, reason %d\n", reason);
    }
    freed_in_request_.telling();
    if (MdSpi* const s = spi()) s->OnFrontDisconnected(reason);
    freed_in_request_.told();
}

void Dispatcher::silence_warning(int lapse_s) {
    if (MdSpi* const s = spi()) s->OnHeartBeatWarning(lapse_s);
}

bool Dispatcher::in_sequence(const Message& m) {
    if (!counted(m.series)) return true;
    if (m.seq != last_seq_[m.series] + 1) {
        deaf_ = true;
        return false;
    }
    last_seq_[m.series] = m.seq;
    return true;
}

void Dispatcher::message(const Message& m) {
    if (!in_sequence(m)) return;
    if (m.tid != kTickPush && m.tid != kIncrementPush) end_of_batch();
    switch (m.tid) {
        case kTickPush: return full_ticks(m);
        case kIncrementPush:
            if (const std::uint8_t* const wire = last_ticks_.merge(m)) deliver(wire);
            return;
        case kQuotePush: return quotes(m);
        case kLoginAnswer: return login_answer(m);
        case kLogoutAnswer: return answer(m, kUserLogout, &MdSpi::OnRspUserLogout);
        case kSubscribed: return answer(m, kSpecificInstrument, &MdSpi::OnRspSubMarketData);
        case kUnsubscribed: return answer(m, kSpecificInstrument, &MdSpi::OnRspUnSubMarketData);
        case kQuoteSubscribed: return answer(m, kSpecificInstrument, &MdSpi::OnRspSubForQuoteRsp);
        case kQuoteUnsubscribed: return answer(m, kSpecificInstrument, &MdSpi::OnRspUnSubForQuoteRsp);
        case kError: return error_answer(m);
        default: return;
    }
}

void Dispatcher::login_answer(const Message& m) {
    // In the counted series it is an answer like any other: the day is not taken, parts may be missing.
    // A front answers a login in series 0, and there nothing is called unless both parts are there.
    if (counted(m.series)) return answer(m, kRspUserLogin, &MdSpi::OnRspUserLogin, faults_.null_login);
    Field info_field, field;
    if (!find(m, kRspInfo, &info_field) || !find(m, kRspUserLogin, &field)) return;
    RspInfo info;
    convert(info_field, &info);
    if (info.ErrorID == 0) {
        RspUserLogin login;
        convert(field, &login);
        day_.set(login.TradingDay);  // before the callback, which may ask for it
    }
    answer(m, kRspUserLogin, &MdSpi::OnRspUserLogin, faults_.null_login);
}

void Dispatcher::error_answer(const Message& m) {
    Field field;
    RspInfo info;
    const bool has_info = find(m, kRspInfo, &field);
    if (has_info) convert(field, &info);
    MdSpi* const s = spi();
    // Always the last one, whatever the chain says.
    if (s) s->OnRspError(has_info && !faults_.null_info ? &info : nullptr, static_cast<int>(m.rid), true);
}

// One callback per data field; with none, one callback with a null pointer. The first RspInfo counts for all,
// wherever it stands.
template <typename T>
void Dispatcher::answer(const Message& m, std::uint16_t field_id, void (MdSpi::*call)(T*, RspInfo*, int, bool),
                        bool null_everything) {
    RspInfo info;
    bool has_info = false;
    std::size_t left = 0;
    Field field;
    for (FieldReader fields(m); fields.next(&field);) {
        if (field.id == field_id) ++left;
        if (field.id == kRspInfo && !has_info) {
            convert(field, &info);
            has_info = true;
        }
    }
    RspInfo* const info_or_null = has_info && !faults_.null_info && !null_everything ? &info : nullptr;
    const bool last_packet = m.chain == 'L';
    if (left == 0) {
        // With nothing in it a packet is always the last one, whatever its chain says.
        if (MdSpi* const s = spi()) (s->*call)(nullptr, info_or_null, static_cast<int>(m.rid), true);
        return;
    }
    for (FieldReader fields(m); fields.next(&field);) {
        if (field.id != field_id) continue;
        T data;
        load(field, options_, &data);
        --left;
        MdSpi* const s = spi();
        if (!s) return;
        (s->*call)(null_everything || faults_.null_data ? nullptr : &data, info_or_null, static_cast<int>(m.rid), last_packet && left == 0);
    }
}

void Dispatcher::full_ticks(const Message& m) {
    Field field;
    for (FieldReader fields(m); fields.next(&field);) {
        if (field.id != kDepthMarketData) continue;
        const std::uint8_t* wire = field.data;
        std::uint8_t padded[kTickWireSize];
        if (field.size < kTickWireSize) {
            std::memcpy(padded, field.data, field.size);
            std::memset(padded + field.size, 0, kTickWireSize - field.size);
            wire = padded;
        }
        last_ticks_.remember(wire);
        deliver(wire);
    }
}

void Dispatcher::quotes(const Message& m) {
    Field field;
    for (FieldReader fields(m); fields.next(&field);) {
        if (field.id != kForQuoteRsp) continue;
        ForQuoteRsp quote;
        convert(field, options_, &quote);
        if (MdSpi* const s = spi()) s->OnRtnForQuoteRsp(&quote);
    }
}

void Dispatcher::deliver(const std::uint8_t* wire_tick) {
    MdSpi* const s = spi();
    if (!s) return;
    convert(wire_tick, options_, &tick_);
    if (faulty_) {
        faulty_->deliver(s, tick_);
    } else {
        s->OnRtnDepthMarketData(&tick_);
    }
}

}  // namespace compat
