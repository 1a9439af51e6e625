// The extern "C" wall, the trading part.
#include <cstring>
#include <memory>
#include <string>

#include "abi_guard.hpp"
#include "layout_text.hpp"
#include "system.hpp"
#include "td_abi.hpp"
#include "td_api.hpp"
#include "trade_log.hpp"

struct tk_tlog_writer {
    tk::TradeWriter writer;
};
struct tk_tlog {
    tk::TradeReader reader;
};

struct tk_ring {
    tk::Ring ring;
};
struct tk_td {
    tk::td::TdApi api;
};

using tk::guarded;

extern "C" {

int32_t tk_td_probe(const char* path, const char* override_version, tk_td_info* out) {
    return guarded("tk_td_probe", [&] {
        tk::td::TdLibrary library;
        const int32_t rc = tk::td::open_library(path, override_version, &library);
        if (rc == TK_OK) tk::td::describe(library, out);
        return rc;
    });
}

const char* tk_td_tables(void) { return tk::td::tables_text(); }
const char* tk_td_structs(void) { return tk::td::structs_text(); }

// ---- journal ----

const char* tk_tlog_layout(void) { return tk::trade_layout_text(); }

int32_t tk_tlog_writer_open(const char* path, uint64_t capacity, tk_tlog_writer** out) {
    return guarded("tk_tlog_writer_open", [&] {
        auto writer = std::make_unique<tk_tlog_writer>();
        const int32_t rc = writer->writer.open(path, capacity == 0 ? tk::kTradeCapacity : capacity);
        if (rc == TK_OK) *out = writer.release();
        return rc;
    });
}

void tk_tlog_writer_close(tk_tlog_writer* writer) { delete writer; }

int32_t tk_tlog_append(tk_tlog_writer* writer, const void* record, uint64_t* sequence) {
    return guarded("tk_tlog_append", [&] {
        const auto& r = *static_cast<const tk::TradeRecord*>(record);
        tk::TradeEntry e;
        e.kind = r.Kind;
        e.type = r.Struct;
        e.request_id = r.RequestID;
        e.error_id = r.ErrorID;
        e.reason = r.Reason;
        e.is_last = r.IsLast != 0;
        e.has_info = r.HasInfo != 0;
        e.has_data = r.HasData != 0;
        e.client_id = r.ClientID;
        e.value = r.Value;
        e.text = r.ErrorMsg;
        e.text_length = strnlen(r.ErrorMsg, sizeof r.ErrorMsg);
        e.payload = r.Payload;
        e.size = r.Size;
        e.stamp = {r.RecvTime, r.RecvMonotonic};
        return writer->writer.append(e, sequence);
    });
}

uint64_t tk_tlog_writer_damaged(tk_tlog_writer* writer) { return writer->writer.damaged(); }

int32_t tk_tlog_attach(const char* path, tk_tlog** out) {
    return guarded("tk_tlog_attach", [&] {
        auto tlog = std::make_unique<tk_tlog>();
        const int32_t rc = tlog->reader.attach(path);
        if (rc == TK_OK) *out = tlog.release();
        return rc;
    });
}

void tk_tlog_close(tk_tlog* tlog) { delete tlog; }

int32_t tk_tlog_info_get(tk_tlog* tlog, tk_tlog_info* out) {
    const tk::TradeHeader& h = tlog->reader.header();
    *out = tk_tlog_info{};
    out->head = tlog->reader.head();
    out->capacity = h.Capacity.load(std::memory_order_relaxed);
    out->room = h.Room.load(std::memory_order_relaxed);
    out->damaged = h.Damaged.load(std::memory_order_relaxed);
    out->unique_id = h.UniqueId;
    out->created_ns = h.CreatedTime;
    out->writer_pid = tk::identity_pid(h.WriterProcess.load(std::memory_order_relaxed));
    out->writer_alive = tlog->reader.writer_alive();
    out->epoch = h.Epoch.load(std::memory_order_relaxed);
    return TK_OK;
}

uint64_t tk_tlog_head(tk_tlog* tlog) { return tlog->reader.head(); }

const uint64_t* tk_tlog_head_word(tk_tlog* tlog) { return reinterpret_cast<const uint64_t*>(&tlog->reader.header().Head); }

int32_t tk_tlog_read(tk_tlog* tlog, uint64_t start, uint64_t count, void* out, uint64_t* copied) {
    return guarded("tk_tlog_read", [&] { return tlog->reader.read(start, count, static_cast<tk::TradeRecord*>(out), copied); });
}

int32_t tk_tlog_wait(tk_tlog* tlog, uint64_t sequence, int64_t timeout_ns) {
    return tlog->reader.wait(sequence, timeout_ns) ? 1 : 0;
}

// ---- ring ----

int32_t tk_ring_create(const char* path, uint64_t capacity, tk_ring** out) {
    return guarded("tk_ring_create", [&] {
        auto ring = std::make_unique<tk_ring>();
        const int32_t rc = ring->ring.create(path, capacity);
        if (rc == TK_OK) *out = ring.release();
        return rc;
    });
}

int32_t tk_ring_attach(const char* path, tk_ring** out) {
    return guarded("tk_ring_attach", [&] {
        auto ring = std::make_unique<tk_ring>();
        const int32_t rc = ring->ring.attach(path);
        if (rc == TK_OK) *out = ring.release();
        return rc;
    });
}

void tk_ring_close(tk_ring* ring) { delete ring; }

int32_t tk_ring_put(tk_ring* ring, uint32_t kind, uint64_t client_id, const void* payload, uint32_t size) {
    return ring->ring.put(kind, client_id, static_cast<const char*>(payload), size);
}

uint64_t tk_ring_waiting(tk_ring* ring) { return ring->ring.waiting(); }

static int32_t living(uint64_t process) { return tk::process_alive(process) ? tk::identity_pid(process) : 0; }

int32_t tk_ring_taker(tk_ring* ring) { return living(ring->ring.header().TakerProcess.load()); }
int32_t tk_ring_maker(tk_ring* ring) { return living(ring->ring.header().CreatorProcess); }

// ---- api ----

int32_t tk_td_create(const char* library, const char* override_version, const char* flow_path, int32_t production,
                     tk_tlog_writer* journal, tk_td** out) {
    return guarded("tk_td_create", [&] {
        tk::td::TdLibrary vendor;
        if (const int32_t rc = tk::td::open_library(library, override_version, &vendor); rc != TK_OK) return rc;
        std::unique_ptr<tk_td> td(new tk_td{tk::td::TdApi(std::move(vendor), &journal->writer)});
        const int32_t rc = td->api.create(flow_path, production != 0);
        if (rc == TK_OK) *out = td.release();
        return rc;
    });
}

int32_t tk_td_info_get(tk_td* td, tk_td_info* out) {
    tk::td::describe(td->api.library(), out);
    return TK_OK;
}

int32_t tk_td_register_front(tk_td* td, const char* front) {
    return guarded("tk_td_register_front", [&] { return td->api.register_front(front); });
}

int32_t tk_td_subscribe_topics(tk_td* td, int32_t private_mode, int32_t public_mode) {
    return td->api.subscribe_topics(private_mode, public_mode);
}

int32_t tk_td_leave_out_returns(tk_td* td) { return td->api.leave_out_returns(); }

int32_t tk_td_init(tk_td* td) {
    return guarded("tk_td_init", [&] { return td->api.init(); });
}

int32_t tk_td_authenticate(tk_td* td, const char* broker_id, const char* user_id, const char* product_info,
                           const char* auth_code, const char* app_id, int32_t request_id, int32_t* rc) {
    return guarded("tk_td_authenticate",
                   [&] { return td->api.authenticate(broker_id, user_id, product_info, auth_code, app_id, request_id, rc); });
}

int32_t tk_td_login(tk_td* td, const char* broker_id, const char* user_id, const char* password,
                    const char* product_info, int32_t request_id, int32_t* rc) {
    return guarded("tk_td_login", [&] { return td->api.login(broker_id, user_id, password, product_info, request_id, rc); });
}

int32_t tk_td_request(tk_td* td, const char* method, const void* canonical, uint32_t size, int32_t request_id, int32_t* rc) {
    return guarded("tk_td_request", [&] { return td->api.request(method, canonical, size, request_id, rc); });
}

int32_t tk_td_trading_day(tk_td* td, char* out, uint32_t size) { return td->api.trading_day(out, size); }

int32_t tk_td_next(tk_td* td, int64_t timeout_ns, void* out) {
    return td->api.next(timeout_ns, static_cast<tk::TradeRecord*>(out)) ? 1 : 0;
}

void tk_td_wake(tk_td* td) { td->api.wake(); }

int32_t tk_td_sender_gate(tk_td* td, int32_t front_id, int32_t session_id, int64_t next_order_ref, int32_t open) {
    return td->api.gate(front_id, session_id, next_order_ref, open != 0);
}

int32_t tk_td_sender_open(tk_td* td) { return td->api.gate_open() ? 1 : 0; }

uint64_t tk_td_order_calls(tk_td* td) { return td->api.order_calls(); }

int32_t tk_td_insert(tk_td* td, const void* input_order, uint64_t client_id, int64_t* order_ref, int32_t* rc) {
    return guarded("tk_td_insert", [&] { return td->api.insert(static_cast<const char*>(input_order), client_id, order_ref, rc); });
}

int32_t tk_td_action(tk_td* td, const void* input_order_action, uint64_t client_id, int32_t* rc) {
    return guarded("tk_td_action", [&] { return td->api.action(static_cast<const char*>(input_order_action), client_id, rc); });
}

int32_t tk_td_sender_start(tk_td* td, tk_ring* ring, int32_t wait_mode) {
    return guarded("tk_td_sender_start", [&] { return td->api.start_sender(&ring->ring, wait_mode); });
}

void tk_td_sender_stop(tk_td* td) { td->api.stop_sender(); }
void tk_td_release(tk_td* td) { td->api.release(); }
void tk_td_free(tk_td* td) { delete td; }

}  // extern "C"
