// The callbacks. Each is called by the vendor through a vtable slot as a member function: `this` first.
// Pointers may be null, die with the call, and are valid for the layout's size only.
#include <cstring>

#include "errors.hpp"
#include "md_api.hpp"

namespace tk {
namespace {

void take_int(const char* data, Field f, std::int32_t* to) {
    if (f.size == 4) std::memcpy(to, data + f.offset, 4);
}

void take_double(const char* data, Field f, double* to) {
    if (f.size == 8) std::memcpy(to, data + f.offset, 8);
}

template <std::size_t N>
void take_text(const char* data, Field f, char (&to)[N]) {
    const std::size_t n = strnlen(data + f.offset, f.size);
    const std::size_t fits = n < N - 1 ? n : N - 1;
    std::memcpy(to, data + f.offset, fits);
    to[fits] = '\0';
}

tk_callback make(int kind, const char* data, const char* info, int request_id, bool is_last) {
    tk_callback c{};
    c.kind = kind;
    c.request_id = request_id;
    c.is_last = is_last;
    c.has_data = data != nullptr;
    c.has_info = info != nullptr;
    if (info != nullptr) {
        take_int(info, kRspInfoErrorId, &c.error_id);
        take_text(info, kRspInfoErrorMsg, c.error_msg);
    }
    return c;
}

Event event_of(std::uint32_t code, const tk_callback& c, const char* text, std::uint32_t encoding) {
    Event e;
    e.code = code;
    e.error_id = c.error_id;
    e.text = text;
    e.text_length = static_cast<std::uint32_t>(std::strlen(text));
    e.text_encoding = encoding;
    return e;
}

constexpr std::uint32_t kUtf8 = 0, kGb18030 = 1;

void on_front_connected(Spi* spi) {
    Event e;
    e.code = TK_EV_FRONT_CONNECTED;
    spi->api->event(e);
    spi->api->push(make(TK_CB_FRONT_CONNECTED, nullptr, nullptr, 0, true));
}

void on_front_disconnected(Spi* spi, int reason) {
    Event e;
    e.code = TK_EV_FRONT_DISCONNECTED;
    e.reason = reason;
    spi->api->event(e);
    tk_callback c = make(TK_CB_FRONT_DISCONNECTED, nullptr, nullptr, 0, true);
    c.reason = reason;
    spi->api->push(c);
    spi->api->outlast_request();
}

void on_heartbeat_warning(Spi* spi, int seconds) {
    Event e;
    e.code = TK_EV_HEARTBEAT_WARNING;
    e.value = seconds;
    spi->api->event(e);
    tk_callback c = make(TK_CB_HEARTBEAT_WARNING, nullptr, nullptr, 0, true);
    c.reason = seconds;
    spi->api->push(c);
}

void on_user_login(Spi* spi, const char* data, const char* info, int request_id, bool is_last) {
    tk_callback c = make(TK_CB_USER_LOGIN, data, info, request_id, is_last);
    if (data != nullptr) {
        const LoginAnswerLayout& l = *spi->api->library().tables.layouts->login_answer;
        take_text(data, l.trading_day, c.trading_day);
        take_text(data, l.login_time, c.login_time);
        take_text(data, l.broker_id, c.broker_id);
        take_text(data, l.user_id, c.user_id);
        take_text(data, l.system_name, c.system_name);
        take_int(data, l.front_id, &c.front_id);
        take_int(data, l.session_id, &c.session_id);
        take_text(data, l.max_order_ref, c.max_order_ref);
        take_text(data, l.shfe_time, c.shfe_time);
        take_text(data, l.dce_time, c.dce_time);
        take_text(data, l.czce_time, c.czce_time);
        take_text(data, l.ffex_time, c.ffex_time);
        take_text(data, l.ine_time, c.ine_time);
        take_text(data, l.gfex_time, c.gfex_time);
        take_text(data, l.sys_version, c.sys_version);
    }
    spi->api->event(c.error_id == 0 ? event_of(TK_EV_LOGGED_IN, c, c.trading_day, kUtf8)
                                    : event_of(TK_EV_LOGIN_REFUSED, c, c.error_msg, kGb18030));
    spi->api->push(c);
}

void on_user_logout(Spi* spi, const char* data, const char* info, int request_id, bool is_last) {
    tk_callback c = make(TK_CB_USER_LOGOUT, data, info, request_id, is_last);
    if (data != nullptr) {
        take_text(data, kLogoutBrokerId, c.broker_id);
        take_text(data, kLogoutUserId, c.user_id);
    }
    spi->api->push(c);
}

void on_multicast(Spi* spi, const char* data, const char* info, int request_id, bool is_last) {
    tk_callback c = make(TK_CB_QRY_MULTICAST, data, info, request_id, is_last);
    const MulticastLayout* l = spi->api->library().tables.layouts->multicast;
    if (data != nullptr && l != nullptr) {
        take_int(data, l->topic_id, &c.topic_id);
        take_text(data, l->instrument_id, c.instrument_id);
        take_int(data, l->instrument_no, &c.instrument_no);
        take_double(data, l->code_price, &c.code_price);
        take_int(data, l->volume_multiple, &c.volume_multiple);
        take_double(data, l->price_tick, &c.price_tick);
    }
    spi->api->push(c);
}

void on_error(Spi* spi, const char* info, int request_id, bool is_last) {
    const tk_callback c = make(TK_CB_ERROR, nullptr, info, request_id, is_last);
    spi->api->event(event_of(TK_EV_ERROR, c, c.error_msg, kGb18030));
    spi->api->push(c);
}

template <int kind>
void on_instrument(Spi* spi, const char* data, const char* info, int request_id, bool is_last) {
    tk_callback c = make(kind, data, info, request_id, is_last);
    if (data != nullptr) take_text(data, spi->api->library().tables.layouts->instrument->instrument_id, c.instrument_id);
    if (kind == TK_CB_SUB_MARKET_DATA && c.error_id != 0)
        spi->api->event(event_of(TK_EV_SUBSCRIBE_REFUSED, c, c.instrument_id, kUtf8));
    if (kind == TK_CB_UNSUB_MARKET_DATA && c.error_id == 0)
        spi->api->event(event_of(TK_EV_UNSUBSCRIBED, c, c.instrument_id, kUtf8));
    spi->api->push(c);
}

// The hot path: stamp first, then the log. Nothing else happens on this thread.
void on_tick(Spi* spi, const char* data) {
    const Stamp stamp = spi->writer->clock().now();
    if (__builtin_expect(data == nullptr, 0)) return;
    spi->writer->publish_tick(*spi->depth, data, stamp);
}

void on_for_quote(Spi* spi, const char* data) {
    tk_callback c = make(TK_CB_FOR_QUOTE, data, nullptr, 0, true);
    if (data != nullptr) {
        const ForQuoteLayout& l = *spi->api->library().tables.layouts->for_quote;
        take_text(data, l.trading_day, c.trading_day);
        take_text(data, l.instrument_id, c.instrument_id);
        take_text(data, l.for_quote_sys_id, c.for_quote_sys_id);
        take_text(data, l.for_quote_time, c.for_quote_time);
        take_text(data, l.action_day, c.action_day);
        take_text(data, l.exchange_id, c.exchange_id);
    }
    spi->api->push(c);
}

void on_unknown(Spi*) {}

template <typename F>
void* address(F* function) {
    return reinterpret_cast<void*>(function);
}

}  // namespace

void* const* spi_functions() {
    static void* const functions[kCallbackCount] = {
        address(on_front_connected),
        address(on_front_disconnected),
        address(on_heartbeat_warning),
        address(on_user_login),
        address(on_user_logout),
        address(on_multicast),
        address(on_error),
        address(on_instrument<TK_CB_SUB_MARKET_DATA>),
        address(on_instrument<TK_CB_UNSUB_MARKET_DATA>),
        address(on_instrument<TK_CB_SUB_FOR_QUOTE>),
        address(on_instrument<TK_CB_UNSUB_FOR_QUOTE>),
        address(on_tick),
        address(on_for_quote),
    };
    return functions;
}

void* unknown_callback() { return address(on_unknown); }

}  // namespace tk
