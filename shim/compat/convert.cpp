#include "convert.hpp"

#include <algorithm>
#include <cfloat>
#include <type_traits>

namespace compat {

namespace {

// Reads one field from front to back; past its end there are zeros.
class WireReader {
public:
    explicit WireReader(const Field& field) : at_(field.data), left_(field.size) {}

    template <std::size_t N>
    void text(char (&out)[N]) {
        take(out, N);
    }

    // An id has 31 bytes on the wire and 31 or 81 in the layout.
    template <std::size_t N>
    void id(char (&out)[N], const ConvertOptions& options);

    int number() {
        std::uint8_t bytes[4];
        take(bytes, sizeof bytes);
        return read_i32(bytes);
    }

private:
    void take(void* out, std::size_t size) {
        const std::size_t n = std::min(size, left_);
        std::memcpy(out, at_, n);
        std::memset(static_cast<char*>(out) + n, 0, size - n);
        at_ += n;
        left_ -= n;
    }

    const std::uint8_t* at_;
    std::size_t left_;
};

template <std::size_t N>
void copy_id(const std::uint8_t* wire, const ConvertOptions& options, char (&out)[N]) {
    static_assert(N >= kWireIdSize, "an id of the layout is never shorter than on the wire");
    std::memcpy(out, wire, kWireIdSize);
    if (N == kWireIdSize) return;
    std::memset(out + kWireIdSize, 0, N - kWireIdSize);
    if (options.full_text && std::memchr(wire, 0, kWireIdSize) == nullptr) {
        for (std::size_t i = kWireIdSize; i < N; ++i) out[i] = out[i - kWireIdSize];
    }
}

template <std::size_t N>
void WireReader::id(char (&out)[N], const ConvertOptions& options) {
    std::uint8_t raw[kWireIdSize];
    take(raw, sizeof raw);
    copy_id(raw, options, out);
}

template <typename T>
void clear(T* out) {
    static_assert(std::is_trivially_copyable<T>::value, "plain data only");
    std::memset(out, 0, sizeof *out);
}

}  // namespace

void convert(const std::uint8_t* w, const ConvertOptions& options, DepthMarketData* out) {
    DepthMarketData& t = *out;
    clear(&t);  // padding and reserve fields too: the same wire bytes always give the same struct bytes
    std::memcpy(t.TradingDay, w, sizeof t.TradingDay);
    copy_id(w + 9, options, t.InstrumentID);
    std::memcpy(t.ExchangeID, w + 40, sizeof t.ExchangeID);
    copy_id(w + 49, options, t.ExchangeInstID);
    t.LastPrice = read_double(w + 80);
    t.PreSettlementPrice = read_double(w + 88);
    t.PreClosePrice = read_double(w + 96);
    t.PreOpenInterest = read_double(w + 104);
    t.OpenPrice = read_double(w + 112);
    t.HighestPrice = read_double(w + 120);
    t.LowestPrice = read_double(w + 128);
    t.Volume = read_i32(w + 136);
    t.Turnover = read_double(w + 140);
    t.OpenInterest = read_double(w + 148);
    t.ClosePrice = read_double(w + 156);
    t.SettlementPrice = read_double(w + 164);
    t.UpperLimitPrice = read_double(w + 172);
    t.LowerLimitPrice = read_double(w + 180);
    t.PreDelta = read_double(w + 188);
    t.CurrDelta = read_double(w + 196);
    std::memcpy(t.UpdateTime, w + 204, sizeof t.UpdateTime);
    t.UpdateMillisec = read_i32(w + 213);
    const std::uint8_t* p = w + 217;
    for (DepthMarketData::Level& level : t.levels) {
        level.BidPrice = read_double(p);
        level.BidVolume = read_i32(p + 8);
        level.AskPrice = read_double(p + 12);
        level.AskVolume = read_i32(p + 20);
        p += 24;
    }
    t.AveragePrice = read_double(w + 337);
    std::memcpy(t.ActionDay, w + 345, sizeof t.ActionDay);
#if TK_COMPAT == 6711
    t.BandingUpperPrice = DBL_MAX;
    t.BandingLowerPrice = DBL_MAX;
#endif
}

void convert(const Field& field, RspInfo* out) {
    clear(out);
    WireReader r(field);
    out->ErrorID = r.number();
    r.text(out->ErrorMsg);
}

void convert(const Field& field, RspUserLogin* out) {
    clear(out);
    WireReader r(field);
    r.text(out->TradingDay);
    r.text(out->LoginTime);
    r.text(out->BrokerID);
    r.text(out->UserID);
    r.text(out->SystemName);
    out->FrontID = r.number();
    out->SessionID = r.number();
    r.text(out->MaxOrderRef);
    r.text(out->SHFETime);
    r.text(out->DCETime);
    r.text(out->CZCETime);
    r.text(out->FFEXTime);
    r.text(out->INETime);
}

void convert(const Field& field, UserLogout* out) {
    clear(out);
    WireReader r(field);
    r.text(out->BrokerID);
    r.text(out->UserID);
}

void convert(const Field& field, const ConvertOptions& options, SpecificInstrument* out) {
    clear(out);
    WireReader r(field);
    r.id(out->InstrumentID, options);
}

void convert(const Field& field, const ConvertOptions& options, ForQuoteRsp* out) {
    clear(out);
    WireReader r(field);
    r.text(out->TradingDay);
    r.id(out->InstrumentID, options);
    r.text(out->ForQuoteSysID);
    r.text(out->ForQuoteTime);
    r.text(out->ActionDay);
    r.text(out->ExchangeID);
}

void encode_login(const ReqUserLogin& login, const char* trading_day, std::uint8_t* out) {
    std::memset(out, 0, kLoginWireSize);
    std::memcpy(out, trading_day, std::min<std::size_t>(std::strlen(trading_day), 8));
    std::memcpy(out + 9, login.BrokerID, sizeof login.BrokerID);
    std::memcpy(out + 20, login.UserID, sizeof login.UserID);
    std::memcpy(out + 36, login.Password, sizeof login.Password);
    std::memcpy(out + 77, login.UserProductInfo, sizeof login.UserProductInfo);
    // The vendor's library calls itself "THOST User" here. This one does not pass itself off as that.
    std::memcpy(out + 88, "tickengine", 10);
    std::memcpy(out + 99, "FTDC 0", 6);
    // 110 MacAddress and 172 ClientIPAddress stay empty: nothing about the host is looked up.
    std::memcpy(out + 131, login.OneTimePassword, sizeof login.OneTimePassword);
    std::memcpy(out + 188, login.LoginRemark, sizeof login.LoginRemark);
}

}  // namespace compat
