// The extern "C" wall: opaque handles in, status codes out, nothing thrown across.
#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "abi_guard.hpp"
#include "bell.hpp"
#include "clock.hpp"
#include "errors.hpp"
#include "forwarder.hpp"
#include "layout_text.hpp"
#include "md_api.hpp"
#include "places.hpp"
#include "reader.hpp"
#include "replay.hpp"
#include "segment.hpp"
#include "system.hpp"
#include "tickshim.h"
#include "writer.hpp"

struct tk_log {
    tk::Log log;
};
struct tk_writer {
    tk::Writer writer;
};
struct tk_queue {
    tk::Queue queue;
};
struct tk_reader {
    tk::Reader reader;
};
struct tk_bell {
    tk::Bell bell;
};
struct tk_md {
    tk::MdApi api;
};
struct tk_forwarder {
    std::shared_ptr<tk::Forwarder> forwarder;
};

using tk::fail;
using tk::guarded;

extern "C" {

int32_t tk_abi_version(void) { return TK_ABI_VERSION; }
const char* tk_last_error(void) { return tk::last_error(); }
const char* tk_layout(void) { return tk::layout_text(); }

void tk_now(int64_t* realtime_ns, int64_t* monotonic_ns) {
    const tk::Stamp s = tk::process_clock().now();
    *realtime_ns = s.realtime;
    *monotonic_ns = s.monotonic;
}

uint64_t tk_process_identity(int32_t pid) { return tk::process_identity(pid); }

// ---- log ----

int32_t tk_log_create(const char* path, const char* name, uint64_t capacity, uint64_t instrument_capacity,
                      tk_log** out) {
    return guarded("tk_log_create", [&] {
        auto log = std::make_unique<tk_log>();
        const int32_t rc = tk::create_log(path, name, capacity, instrument_capacity, &log->log);
        if (rc == TK_OK) *out = log.release();
        return rc;
    });
}

int32_t tk_log_attach(const char* path, tk_log** out) {
    return guarded("tk_log_attach", [&] {
        auto log = std::make_unique<tk_log>();
        const int32_t rc = tk::attach_log(path, &log->log);
        if (rc == TK_OK) *out = log.release();
        return rc;
    });
}

int32_t tk_segment_remove_unfinished(const char* path) {
    return guarded("tk_segment_remove_unfinished", [&] { return tk::remove_unfinished(path); });
}

void tk_log_close(tk_log* log) { delete log; }

int32_t tk_log_unlink(tk_log* log) {
    return guarded("tk_log_unlink", [&] { return tk::unlink_log(log->log); });
}

int32_t tk_log_info_get(tk_log* log, tk_log_info* out) {
    const tk::LogHeader& h = *log->log.header;
    *out = tk_log_info{};
    out->capacity = log->log.capacity;
    out->instrument_capacity = log->log.instrument_capacity;
    out->total_size = h.TotalSize;
    out->unique_id = h.UniqueId;
    out->head = h.Head.load(std::memory_order_acquire);  // SYNC head (acquire)
    out->oldest = log->log.oldest(out->head);
    out->ticks = h.Ticks.load(std::memory_order_relaxed);
    out->events = h.Events.load(std::memory_order_relaxed);
    out->wakes = h.Wakes.load(std::memory_order_relaxed);
    out->created_ns = h.CreatedTime;
    out->owner_pid = tk::identity_pid(h.OwnerProcess.load(std::memory_order_relaxed));
    out->writer_pid = tk::identity_pid(h.WriterProcess.load(std::memory_order_relaxed));
    out->epoch = h.Epoch.load(std::memory_order_relaxed);
    out->closed = h.Closed.load(std::memory_order_relaxed);
    out->instruments = log->log.instrument_count();
    out->instrument_overflow = h.InstrumentOverflow.load(std::memory_order_relaxed);
    out->owner_alive = log->log.owner_alive();
    out->writer_alive = log->log.writer_alive();
    std::memcpy(out->name, h.Name, sizeof out->name - 1);
    return TK_OK;
}

void tk_log_end(tk_log* log) { tk::end_log(&log->log); }

int32_t tk_log_read(tk_log* log, uint64_t start, uint64_t count, void* out, uint64_t* first, uint64_t* copied) {
    *copied = tk::read_range(log->log, start, count, static_cast<tk::Record*>(out), first);
    return TK_OK;
}

int32_t tk_log_latest(tk_log* log, const char* instrument_id, void* out) {
    return tk::read_latest(log->log, instrument_id, static_cast<tk::Record*>(out));
}

int32_t tk_log_snapshot(tk_log* log, void* out, uint32_t max, uint32_t* count) {
    return guarded("tk_log_snapshot", [&] { return tk::read_snapshot(log->log, static_cast<tk::Record*>(out), max, count); });
}

int32_t tk_log_instrument(tk_log* log, uint32_t index, tk_instrument* out) {
    const uint32_t count = log->log.instrument_count();
    if (index >= count)
        return fail(TK_E_NOT_FOUND, "instrument %u is not in the table of %u", index, count);
    const tk::InstrumentEntry& e = log->log.instruments[index];
    *out = tk_instrument{};
    std::memcpy(out->instrument_id, e.InstrumentID, sizeof e.InstrumentID - 1);
    std::memcpy(out->exchange_inst_id, e.ExchangeInstID, sizeof e.ExchangeInstID - 1);
    std::memcpy(out->exchange_id, e.ExchangeID, sizeof e.ExchangeID - 1);
    out->index = index;
    out->primary = log->log.primary_of(index);
    const tk::InstrumentEntry& primary = log->log.instruments[out->primary];
    out->count = primary.Count.load(std::memory_order_relaxed);
    out->latest_stamp = primary.PrimaryLatestStamp.load(std::memory_order_relaxed);
    return TK_OK;
}

int32_t tk_log_readers(tk_log* log, tk_reader_info* out, uint32_t max) {
    return static_cast<int32_t>(tk::list_readers(log->log, out, max));
}

int32_t tk_log_latency(tk_log* log, uint32_t slot, uint32_t generation, tk_latency* out) {
    return tk::read_latency(log->log, slot, generation, out);
}

int32_t tk_log_latest_all(tk_log* log, uint32_t first, uint32_t count, tk_latest* out) {
    return static_cast<int32_t>(tk::read_latest_all(log->log, first, count, out));
}

int32_t tk_log_status_set(tk_log* log, const char* text, uint32_t length) {
    return tk::set_status(&log->log, text, length);
}

int32_t tk_log_status_get(tk_log* log, char* out, uint32_t size) { return tk::get_status(log->log, out, size); }

// ---- writer ----

int32_t tk_writer_open(tk_log* log, int32_t new_epoch, tk_writer** out) {
    return guarded("tk_writer_open", [&] {
        std::unique_ptr<tk_writer> writer(new tk_writer{tk::Writer(&log->log)});
        const int32_t rc = writer->writer.open(new_epoch != 0);
        if (rc == TK_OK) *out = writer.release();
        return rc;
    });
}

void tk_writer_close(tk_writer* writer) {
    if (writer == nullptr) return;
    writer->writer.close();
    delete writer;
}

int32_t tk_writer_event(tk_writer* writer, uint32_t code, int32_t reason, int32_t error_id, int64_t value,
                        const char* text, uint32_t text_length, uint32_t text_encoding) {
    tk::Event e;
    e.code = code;
    e.reason = reason;
    e.error_id = error_id;
    e.value = value;
    e.text = text;
    e.text_length = text_length;
    e.text_encoding = text_encoding;
    writer->writer.publish_event(e, writer->writer.clock().now());
    return TK_OK;
}

int32_t tk_writer_tick(tk_writer* writer, uint32_t layout, const void* depth_market_data) {
    const tk::DepthLayout* l = tk::depth_layout(layout);
    if (l == nullptr) return fail(TK_E_ARG, "DepthMarketData layout %u is not known", layout);
    writer->writer.publish_tick(*l, static_cast<const char*>(depth_market_data), writer->writer.clock().now());
    return TK_OK;
}

int32_t tk_writer_tick_at(tk_writer* writer, uint32_t layout, const void* depth_market_data, int64_t realtime_ns,
                          int64_t monotonic_ns) {
    const tk::DepthLayout* l = tk::depth_layout(layout);
    if (l == nullptr) return fail(TK_E_ARG, "DepthMarketData layout %u is not known", layout);
    writer->writer.publish_tick(*l, static_cast<const char*>(depth_market_data), {realtime_ns, monotonic_ns});
    return TK_OK;
}

int32_t tk_writer_record(tk_writer* writer, const void* record) {
    if (record == nullptr) return fail(TK_E_ARG, "the record is null");
    writer->writer.publish_record(static_cast<const char*>(record), writer->writer.clock().now());
    return TK_OK;
}

int32_t tk_writer_instrument(tk_writer* writer, const char* instrument_id, const char* exchange_inst_id,
                             const char* exchange_id, uint32_t* index) {
    return tk::enter_instrument(writer->writer, instrument_id, exchange_inst_id, exchange_id, index);
}

int32_t tk_writer_replay(tk_writer* writer, tk_replay* replay) { return tk::replay(writer->writer, replay); }

int32_t tk_writer_set_rules(tk_writer* writer, const tk_product_rule* products, uint32_t count,
                            const int32_t* holidays, uint32_t holiday_count, int32_t first_day, int32_t last_day) {
    return guarded("tk_writer_set_rules", [&] {
        auto rules = std::make_unique<tk::Rules>();
        const int32_t rc = rules->set(products, count, holidays, holiday_count, first_day, last_day);
        if (rc == TK_OK) writer->writer.set_rules(std::move(rules));
        return rc;
    });
}

int32_t tk_writer_flood(tk_writer* writer, uint32_t layout, const void* depth_market_data, uint64_t count,
                        int32_t stamped, int64_t* elapsed_ns) {
    const tk::DepthLayout* l = tk::depth_layout(layout);
    if (l == nullptr) return fail(TK_E_ARG, "DepthMarketData layout %u is not known", layout);
    alignas(8) char depth[1024] = {};
    std::memcpy(depth, depth_market_data, l->size);
    const int64_t start = tk::monotonic_ns();
    tk::Stamp stamp = writer->writer.clock().now();
    for (uint64_t i = 0; i < count; ++i) {
        const auto volume = static_cast<int32_t>(i);
        std::memcpy(depth + tk::depth::kVolume, &volume, sizeof volume);
        if (stamped != 0) stamp = writer->writer.clock().now();
        writer->writer.publish_tick(*l, depth, stamp);
    }
    *elapsed_ns = tk::monotonic_ns() - start;
    return TK_OK;
}

int32_t tk_writer_paced(tk_writer* writer, uint32_t layout, const void* depth_market_data, int64_t start_ns,
                        int64_t interval_ns, uint64_t burst, uint64_t count, int64_t* times) {
    const tk::DepthLayout* l = tk::depth_layout(layout);
    if (l == nullptr) return fail(TK_E_ARG, "DepthMarketData layout %u is not known", layout);
    if (burst == 0 || interval_ns < 0) return fail(TK_E_ARG, "a schedule needs a burst of at least 1 and no negative interval");
    alignas(8) char depth[1024] = {};
    std::memcpy(depth, depth_market_data, l->size);
    for (uint64_t i = 0; i < count; ++i) {
        if (i % burst == 0) tk::wait_until(start_ns + static_cast<int64_t>(i / burst) * interval_ns);
        const auto volume = static_cast<int32_t>(i);
        std::memcpy(depth + tk::depth::kVolume, &volume, sizeof volume);
        *times++ = tk::monotonic_ns();
        writer->writer.publish_tick(*l, depth, writer->writer.clock().now());
        *times++ = tk::monotonic_ns();
    }
    return TK_OK;
}

// ---- queue ----

int32_t tk_queue_create(const char* path, const char* name, const char* const* ids, uint32_t count,
                        int64_t start, int32_t wants_events, int32_t wait_mode, uint32_t skip, tk_queue** out) {
    return guarded("tk_queue_create", [&] {
        auto queue = std::make_unique<tk_queue>();
        const int32_t rc = tk::create_queue(path, name, ids, count, start, wants_events != 0,
                                            static_cast<uint32_t>(wait_mode), &queue->queue, skip);
        if (rc == TK_OK) *out = queue.release();
        return rc;
    });
}

int32_t tk_queue_attach(const char* path, tk_queue** out) {
    return guarded("tk_queue_attach", [&] {
        auto queue = std::make_unique<tk_queue>();
        const int32_t rc = tk::attach_queue(path, &queue->queue);
        if (rc == TK_OK) *out = queue.release();
        return rc;
    });
}

void tk_queue_close(tk_queue* queue) { delete queue; }

int32_t tk_queue_info_get(tk_queue* queue, tk_queue_info* out) {
    const tk::QueueHeader& h = *queue->queue.header;
    *out = tk_queue_info{};
    const tk::Binding binding = tk::read_binding(h);
    out->bind_version = binding.version;
    out->log_id = binding.log_id;
    std::memcpy(out->name, h.Name, sizeof out->name - 1);
    static_assert(sizeof out->log_path == sizeof binding.path);
    std::memcpy(out->log_path, binding.path, sizeof out->log_path);
    out->start = h.Start;
    out->creator_pid = tk::identity_pid(h.CreatorProcess);
    out->creator_alive = tk::process_alive(h.CreatorProcess);
    out->filters = queue->queue.filtered ? queue->queue.filter_count : 0;
    out->wants_events = h.WantsEvents;
    out->wait_mode = h.WaitMode;
    out->skip = h.Skip;
    out->slot = binding.slot;
    out->slot_generation = binding.generation;
    out->closed = h.Closed.load(std::memory_order_relaxed);
    return TK_OK;
}

int32_t tk_queue_filter(tk_queue* queue, uint32_t index, char* out, uint32_t size) {
    if (!queue->queue.filtered || index >= queue->queue.filter_count)
        return fail(TK_E_ARG, "queue has no filter %u", index);
    if (size == 0) return fail(TK_E_ARG, "no room for filter %u", index);
    const char* id = queue->queue.filters[index].InstrumentID;
    const size_t length = strnlen(id, std::min<size_t>(size - 1, tk::kInstrumentIdSize - 1));
    std::memcpy(out, id, length);
    out[length] = '\0';
    return TK_OK;
}

int32_t tk_queue_bind(tk_queue* queue, tk_log* log, const char* log_path) {
    return guarded("tk_queue_bind", [&] { return tk::bind_queue(&queue->queue, &log->log, log_path); });
}

int32_t tk_queue_retire(tk_queue* queue) {
    return guarded("tk_queue_retire", [&] {
        tk::retire_queue(&queue->queue);
        return TK_OK;
    });
}

uint32_t tk_queue_wait_bound(tk_queue* queue, uint32_t seen, int64_t timeout_ns) {
    tk::QueueHeader& h = *queue->queue.header;
    constexpr int64_t slice = 500000000;
    if (h.BindVersion.load(std::memory_order_relaxed) == seen && timeout_ns != 0)
        tk::futex_wait(&h.BindVersion, seen, timeout_ns < 0 || timeout_ns > slice ? slice : timeout_ns);
    return h.BindVersion.load(std::memory_order_relaxed);  // read_binding() orders
}

// ---- reader ----

int32_t tk_reader_open(tk_queue* queue, tk_log* log, tk_reader** out) {
    return guarded("tk_reader_open", [&] {
        std::unique_ptr<tk_reader> reader(new tk_reader{tk::Reader(&queue->queue, &log->log)});
        const int32_t rc = reader->reader.open();
        if (rc == TK_OK) *out = reader.release();
        return rc;
    });
}

void tk_reader_close(tk_reader* reader) { reader->reader.close(); }
void tk_reader_free(tk_reader* reader) { delete reader; }
void tk_reader_interrupt(tk_reader* reader) { reader->reader.interrupt(); }

int32_t tk_reader_take(tk_take* take) { return take->reader->reader.take(take); }
int32_t tk_reader_poll(tk_take* take) { return take->reader->reader.poll(take); }
int32_t tk_reader_first_look(tk_take* take) { return take->reader->reader.first_look(take); }
int32_t tk_reader_spin(tk_take* take) { return take->reader->reader.spin(take); }
uint64_t* tk_reader_handed(tk_reader* reader) { return reader->reader.handed(); }
uint64_t tk_reader_waiting(tk_reader* reader) { return reader->reader.waiting(); }
int32_t tk_reader_counters(tk_reader* reader, tk_take* out) {
    reader->reader.counters(out);
    return TK_OK;
}

// ---- bell ----

int32_t tk_bell_open(tk_queue* queue, tk_bell** out) {
    return guarded("tk_bell_open", [&] {
        std::unique_ptr<tk_bell> bell(new tk_bell{tk::Bell(&queue->queue)});
        const int32_t rc = bell->bell.start();
        if (rc == TK_OK) *out = bell.release();
        return rc;
    });
}

int32_t tk_bell_fd(tk_bell* bell) { return bell->bell.fd(); }
void tk_bell_arm(tk_bell* bell, tk_take* take) { bell->bell.arm(&take->reader->reader, take); }
void tk_bell_arm_unbound(tk_bell* bell, uint32_t seen) { bell->bell.arm_unbound(seen); }
int32_t tk_bell_recall(tk_bell* bell) { return bell->bell.recall(); }
void tk_bell_stop(tk_bell* bell) { bell->bell.stop(); }
void tk_bell_free(tk_bell* bell) { delete bell; }

// ---- vendor ----

int32_t tk_vendor_probe(const char* path, const char* override_version, tk_vendor_info* out) {
    return guarded("tk_vendor_probe", [&] {
        tk::VendorLibrary library;
        const int32_t rc = tk::open_vendor_library(path, override_version, &library);
        if (rc == TK_OK) tk::describe(library, out);
        return rc;
    });
}

const char* tk_vendor_tables(void) { return tk::vendor_tables_text(); }

int32_t tk_md_create(const char* library, const char* override_version, const char* flow_path, int32_t using_udp,
                     int32_t multicast, int32_t production, tk_writer* writer, tk_md** out) {
    return guarded("tk_md_create", [&] {
        tk::VendorLibrary vendor;
        if (const int32_t rc = tk::open_vendor_library(library, override_version, &vendor); rc != TK_OK) return rc;
        std::unique_ptr<tk_md> md(new tk_md{tk::MdApi(std::move(vendor), &writer->writer)});
        const int32_t rc = md->api.create(flow_path, using_udp != 0, multicast != 0, production != 0);
        if (rc == TK_OK) *out = md.release();
        return rc;
    });
}

int32_t tk_md_register_front(tk_md* md, const char* front) {
    return guarded("tk_md_register_front", [&] { return md->api.register_front(front); });
}

int32_t tk_md_init(tk_md* md) {
    return guarded("tk_md_init", [&] { return md->api.init(); });
}

int32_t tk_md_next(tk_md* md, int64_t timeout_ns, tk_callback* out) { return md->api.next(timeout_ns, out) ? 1 : 0; }
void tk_md_wake(tk_md* md) { md->api.wake(); }

int32_t tk_md_login(tk_md* md, const char* broker_id, const char* user_id, const char* password,
                    const char* product_info, int32_t request_id, int32_t* rc) {
    return guarded("tk_md_login", [&] { return md->api.login(broker_id, user_id, password, product_info, request_id, rc); });
}

int32_t tk_md_logout(tk_md* md, const char* broker_id, const char* user_id, int32_t request_id, int32_t* rc) {
    return guarded("tk_md_logout", [&] { return md->api.logout(broker_id, user_id, request_id, rc); });
}

int32_t tk_md_subscribe(tk_md* md, int32_t what, const char* const* ids, uint32_t count, int32_t* rc) {
    return guarded("tk_md_subscribe", [&] { return md->api.subscribe(what, ids, count, rc); });
}

int32_t tk_md_query_multicast(tk_md* md, int32_t topic_id, const char* instrument_id, int32_t request_id, int32_t* rc) {
    return guarded("tk_md_query_multicast", [&] { return md->api.query_multicast(topic_id, instrument_id, request_id, rc); });
}

int32_t tk_md_trading_day(tk_md* md, char* out, uint32_t size) { return md->api.trading_day(out, size); }

int32_t tk_md_info(tk_md* md, tk_vendor_info* out) {
    tk::describe(md->api.library(), out);
    return TK_OK;
}

void tk_md_release(tk_md* md) { md->api.release(); }
void tk_md_free(tk_md* md) { delete md; }

void tk_clock_refresh(void) { tk::process_clock().refresh(); }

// ---- forwarder ----

int32_t tk_forwarder_start(tk_queue* queue, tk_log* log, tk_queue_put put, void* fifo, void* buffer,
                           const void* prefix, uint32_t prefix_size, const void* suffix, uint32_t suffix_size,
                           tk_forwarder** out) {
    return guarded("tk_forwarder_start", [&] {
        auto f = std::make_unique<tk_forwarder>();
        f->forwarder = std::make_shared<tk::Forwarder>(
            &queue->queue, &log->log, put, fifo, buffer, std::string(static_cast<const char*>(prefix), prefix_size),
            std::string(static_cast<const char*>(suffix), suffix_size));
        const int32_t rc = f->forwarder->start();
        if (rc == TK_OK) *out = f.release();
        return rc;
    });
}

int32_t tk_forwarder_info_get(tk_forwarder* forwarder, tk_forwarder_info* out) {
    forwarder->forwarder->info(out);
    return TK_OK;
}

int32_t tk_forwarder_stop(tk_forwarder* forwarder, int32_t drain, int64_t timeout_ns) {
    if (forwarder->forwarder->stop(drain != 0, timeout_ns)) {
        delete forwarder;
        return TK_OK;
    }
    // The thread still uses the object: it is left behind on purpose, with the log and queue it reads.
    return fail(TK_E_BUSY, "the forwarder's thread is stuck in a lock that a dead consumer holds");
}

}  // extern "C"
