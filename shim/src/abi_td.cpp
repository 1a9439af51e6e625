// The extern "C" wall, the trading part.
#include <cstring>
#include <memory>
#include <string>

#include "abi_guard.hpp"
#include "layout_text.hpp"
#include "td_abi.hpp"
#include "trade_log.hpp"

struct tk_tlog_writer {
    tk::TradeWriter writer;
};
struct tk_tlog {
    tk::TradeReader reader;
};

using tk::fail;
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

int32_t tk_tlog_read(tk_tlog* tlog, uint64_t start, uint64_t count, void* out, uint64_t* copied) {
    return guarded("tk_tlog_read", [&] { return tlog->reader.read(start, count, static_cast<tk::TradeRecord*>(out), copied); });
}

int32_t tk_tlog_wait(tk_tlog* tlog, uint64_t sequence, int64_t timeout_ns) {
    return tlog->reader.wait(sequence, timeout_ns) ? 1 : 0;
}

}  // extern "C"
