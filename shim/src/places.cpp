#include "places.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "copy.hpp"
#include "errors.hpp"
#include "latency.hpp"
#include "system.hpp"

namespace tk {
namespace {

// Taken by processes that are all dead, or half prepared by one that is.
bool abandoned(const ReaderSlot& s, std::uint64_t place) {
    switch (place_state(place)) {
        case kFree: return true;
        case kTaken: return !process_alive(s.QueueProcess.load()) && !process_alive(s.ReaderProcess.load());
        case kRetired: return !process_alive(s.ReaderProcess.load());
        case kPreparing: return process_start(place_pid(place)) == 0;
    }
    return false;
}

// A free slot, or else one that nobody living has. It is ours in state kPreparing.
ReaderSlot* claim_slot(Log* log, std::uint32_t* index, std::uint32_t* generation) {
    for (const bool reclaim : {false, true}) {
        for (std::uint32_t i = 0; i < kMaxReaders; ++i) {
            ReaderSlot& s = log->readers[i];
            std::uint64_t place = s.Place.load();
            if (reclaim ? !abandoned(s, place) : place_state(place) != kFree) continue;
            *index = i;
            *generation = place_generation(place);
            if (s.Place.compare_exchange_strong(place, place_word(kPreparing, *generation, getpid()))) return &s;
        }
    }
    return nullptr;
}

// A whole copy of one record's first words, or false if it is not (or no longer) there.
bool read_one(const Log& log, std::uint64_t sequence, Record* out, std::size_t words = kRecordWords) {
    const std::uint64_t head = log.header->Head.load(std::memory_order_acquire);  // SYNC head (acquire)
    if (sequence < log.oldest(head)) return false;
    // A record is complete once it is stamped, a moment before Head counts it (the counters in the
    // instrument table are already ahead of Head then). SYNC stamp (acquire)
    if (sequence >= head && __atomic_load_n(&log.slot(sequence)->Stamp, __ATOMIC_ACQUIRE) != sequence + 1) return false;
    copy_from_shared(out, log.slot(sequence), words);
    std::atomic_thread_fence(std::memory_order_acquire);  // SYNC overwrite (acquire fence)
    return sequence >= log.oldest(log.header->Head.load(std::memory_order_relaxed));
}

// Ticks before sequence `s`, from the records themselves; the rest before it were events.
bool numbers_at(const Log& log, std::uint64_t s, std::uint64_t* ticks) {
    Record r;
    if (s == 0) {
        *ticks = 0;
        return true;
    }
    if (read_one(log, s, &r)) {
        *ticks = r.TickNumber;
        return true;
    }
    if (read_one(log, s - 1, &r)) {
        *ticks = r.TickNumber + (r.Kind == kTick ? 1 : 0);
        return true;
    }
    return false;
}

bool filter_matches(const QueueFilter& f, const char* id) {
    return std::strncmp(f.InstrumentID, id, kInstrumentIdSize) == 0;
}

// From now on: every instrument starts with the first tick that is not counted yet.
void expect_from_now(Queue* queue, const Log& log) {
    const std::uint32_t n = log.instrument_count();
    for (std::uint32_t f = 0; f < queue->filter_count; ++f) {
        std::uint64_t count = 0;
        for (std::uint32_t i = 0; i < n; ++i) {
            const InstrumentEntry& e = log.instruments[i];
            if (e.Primary == i && filter_matches(queue->filters[f], e.InstrumentID))
                count = e.Count.load(std::memory_order_relaxed);
        }
        queue->filters[f].Expected.store(count, std::memory_order_relaxed);
    }
}

// From a sequence on: the number that each instrument's first record there has.
void expect_from(Queue* queue, const Log& log, std::uint64_t start) {
    expect_from_now(queue, log);  // what has no record there starts with its next tick
    std::uint64_t missing = queue->filter_count;
    for (std::uint32_t f = 0; f < queue->filter_count; ++f) {
        Record r;
        const std::uint64_t head = log.header->Head.load(std::memory_order_acquire);  // SYNC head (acquire)
        const std::uint64_t first = std::max(start, log.oldest(head));
        // At most once round the ring: a head at the end of the numbers would be passed by none.
        for (std::uint64_t s = first; s <= head && s - first <= log.capacity && missing != 0; ++s) {
            if (!read_one(log, s, &r) || r.Kind != kTick || r.Instrument == kNoInstrument ||
                !filter_matches(queue->filters[f], r.InstrumentID))
                continue;
            queue->filters[f].Expected.store(r.InstrumentNumber, std::memory_order_relaxed);
            --missing;
            break;
        }
    }
}

// The log that the queue is bound to, while it is still that log.
bool bound_log(const Binding& binding, Log* log) {
    return binding.log_id != 0 && binding.slot < kMaxReaders && attach_log(binding.path, log) == TK_OK &&
           log->header->UniqueId == binding.log_id;
}

// Still in its place in a log that goes on.
bool in_live_log(const Binding& binding) {
    Log log;
    if (!bound_log(binding, &log)) return false;
    if (log.header->Closed.load() != 0 || (!log.owner_alive() && !log.writer_alive())) return false;
    return place_generation(log.readers[binding.slot].Place.load()) == binding.generation;
}

// One engine at a time binds a queue. The kernel keeps this lock, so it ends with its holder.
std::int32_t lock_binding(const Queue& queue, Descriptor* fd) {
    const char* name = queue.header->Name;
    fd->reset(open(queue.path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (fd->get() < 0) return fail(TK_E_STATE, "queue '%.63s' is closed", name);
    if (flock(fd->get(), LOCK_EX | LOCK_NB) != 0)
        return fail(TK_E_BUSY, "queue '%.63s' is being given to another engine just now", name);
    return TK_OK;
}

// The queue gives up its place. A reader that still holds it is woken, and frees it when it leaves.
void leave(Log* log, std::uint32_t index, std::uint32_t generation) {
    ReaderSlot& s = log->readers[index];
    std::uint64_t place = place_word(kTaken, generation);
    if (!s.Place.compare_exchange_strong(place, place_word(kRetired, generation))) return;
    if (process_alive(s.ReaderProcess.load())) {
        wake_reader(&s);
    } else {
        free_retired(&s, generation);
    }
}

}  // namespace

void free_retired(ReaderSlot* slot, std::uint32_t generation) {
    std::uint64_t place = place_word(kRetired, generation);
    slot->Place.compare_exchange_strong(place, place_word(kFree, generation));
}

bool wake_reader(ReaderSlot* slot) {
    // SYNC sleep (seq_cst, writer side): partner is Reader::sleep(). Either this sees the odd word and
    // wakes it, or the reader's announcement comes later, and its second look sees what was stored before.
    std::uint32_t word = slot->Sleep.load(std::memory_order_seq_cst);
    while ((word & 1) != 0 && !slot->Sleep.compare_exchange_weak(word, word + 1)) {
    }
    if ((word & 1) == 0) return false;  // awake already
    futex_wake(&slot->Sleep, 1);
    return true;
}

Binding read_binding(const QueueHeader& q) {
    for (;;) {
        Binding b;
        b.version = q.BindVersion.load(std::memory_order_acquire);  // SYNC bind (acquire)
        if ((b.version & 1) != 0) return b;  // by a binder at work, or by one that died at it: not bound
        b.slot = q.Slot.load(std::memory_order_relaxed);
        b.generation = q.SlotGeneration.load(std::memory_order_relaxed);
        b.log_id = q.LogId.load(std::memory_order_relaxed);
        copy_from_shared(b.path, q.LogPath, sizeof b.path / 8);
        b.path[sizeof b.path - 1] = '\0';
        std::atomic_thread_fence(std::memory_order_acquire);  // SYNC bind (acquire fence)
        if (q.BindVersion.load(std::memory_order_relaxed) == b.version) return b;
    }
}

std::int32_t bind_queue(Queue* queue, Log* log, const char* log_path) {
    QueueHeader& q = *queue->header;
    if (std::strlen(log_path) >= sizeof q.LogPath) return fail(TK_E_ARG, "log path '%s' is too long", log_path);
    Descriptor lock(-1);
    if (const std::int32_t rc = lock_binding(*queue, &lock); rc != TK_OK) return rc;
    if (q.Closed.load() != 0) return fail(TK_E_STATE, "queue '%.63s' is closed", q.Name);
    const Binding before = read_binding(q);
    if (in_live_log(before)) return fail(TK_E_STATE, "queue '%.63s' is bound to the log in '%s', which has not ended", q.Name, before.path);
    std::uint32_t index = 0, generation = 0;
    ReaderSlot* slot = claim_slot(log, &index, &generation);
    if (slot == nullptr)
        return fail(TK_E_FULL, "log '%.63s' has no place for another queue (%u are open)", log->header->Name, kMaxReaders);

    std::uint64_t lost_before = 0;
    std::uint64_t cursor, ticks = 0;
    for (;;) {  // ends: the writer would have to lap the whole ring between two loads, for ever
        const std::uint64_t head = log->header->Head.load(std::memory_order_acquire);  // SYNC head (acquire)
        cursor = head;
        if (q.Start == TK_START_OLDEST) cursor = log->oldest(head);
        if (q.Start >= 0) {
            cursor = std::max(static_cast<std::uint64_t>(q.Start), log->oldest(head));
            if (static_cast<std::uint64_t>(q.Start) > head) {
                slot->Place.store(place_word(kFree, generation));
                return fail(TK_E_ARG, "queue '%.63s' asks for sequence %lld, the log has come to %llu", q.Name,
                            static_cast<long long>(q.Start), static_cast<unsigned long long>(head));
            }
            // Overwritten before the queue existed; whose they were nobody can tell any more.
            lost_before = cursor - static_cast<std::uint64_t>(q.Start);
        }
        if (numbers_at(*log, cursor, &ticks)) break;
    }
    if (queue->filtered) {
        if (q.Start == TK_START_NOW) {
            expect_from_now(queue, *log);
        } else {
            expect_from(queue, *log, cursor);
        }
    } else {
        queue->filters[0].Expected.store(ticks, std::memory_order_relaxed);
    }

    slot->QueueProcess.store(q.CreatorProcess);
    slot->ReaderProcess.store(0);
    slot->ExpectedEvent.store(cursor - ticks);
    std::uint64_t numbers = 0;
    for (std::uint32_t f = 0; f < queue->filter_count; ++f) numbers += queue->filters[f].Expected.load();
    slot->FirstNumbers.store(numbers - lost_before);
    slot->FirstEvent.store(cursor - ticks);
    slot->Filters.store(queue->filtered ? queue->filter_count : 0);
    slot->WantsEvents.store(q.WantsEvents);
    slot->Skip.store(q.Skip);
    for (auto& skipped : slot->Skipped) skipped.store(0);
    slot->Handed.store(0);
    std::memcpy(slot->Name, q.Name, sizeof slot->Name);
    slot->Copies[0] = Progress{};
    slot->Copies[0].Cursor = slot->Copies[0].BatchFirst = cursor;
    slot->Copies[0].Lost = lost_before;
    slot->Which.store(0);
    slot->Sleep.store((slot->Sleep.load() + 2) & ~1u);
    slot->Wakes.store(0);
    clear_latency(&slot->Latency);
    const std::uint64_t bit = 1ull << (index % 64);
    log->header->Sleepers[index / 64].fetch_and(~bit);
    if (q.WantsEvents != 0) {
        log->header->EventWant[index / 64].fetch_or(bit);
    } else {
        log->header->EventWant[index / 64].fetch_and(~bit);
    }
    // The slot's last holder may have declined instruments that this one wants.
    const std::uint32_t n = log->instrument_count();
    for (std::uint32_t i = 0; i < n; ++i) log->instruments[i].Want[index / 64].fetch_or(bit);
    generation = place_generation(place_word(kTaken, generation + 1));  // wraps at 30 bits
    // SYNC place (release): the slot is prepared before it is taken. Partner: the acquire in Reader::open().
    slot->Place.store(place_word(kTaken, generation), std::memory_order_release);

    // In one step: retire_queue() adds to the version at any time. Loaded, then stored, an even version that it
    // made in between would come again behind the change, and who read meanwhile would take a mixture for whole.
    const std::uint32_t version = q.BindVersion.fetch_or(1, std::memory_order_relaxed) | 1;
    // SYNC bind (release fence): the odd version is visible before any new word. Partner: the acquire
    // fence in read_binding().
    std::atomic_thread_fence(std::memory_order_release);
    q.Slot.store(index, std::memory_order_relaxed);
    q.SlotGeneration.store(generation, std::memory_order_relaxed);
    q.LogId.store(log->header->UniqueId, std::memory_order_relaxed);
    std::uint64_t path[sizeof q.LogPath / 8] = {};
    std::memcpy(path, log_path, std::strlen(log_path));
    copy_to_shared(q.LogPath, path, sizeof path / 8);
    // SYNC bind (release): complete. Sequentially consistent, because Closed is looked at behind it: either
    // this sees that the queue was closed meanwhile, or retire_queue() sees the place.
    q.BindVersion.store(version + 1, std::memory_order_seq_cst);
    futex_wake(&q.BindVersion, INT_MAX);
    if (q.Closed.load() == 0) return TK_OK;
    leave(log, index, generation);
    return fail(TK_E_STATE, "queue '%.63s' has been closed", q.Name);
}

void retire_queue(Queue* queue, Log* mapped) {
    QueueHeader& q = *queue->header;
    if (q.Closed.exchange(1) != 0) return;
    const Binding binding = read_binding(q);
    Log log;
    if (mapped != nullptr && binding.slot < kMaxReaders && mapped->header->UniqueId == binding.log_id) {
        leave(mapped, binding.slot, binding.generation);
    } else if (bound_log(binding, &log)) {
        leave(&log, binding.slot, binding.generation);
    }
    // By two: the version stays odd under a binder's hands. Who waits to be bound looks again.
    q.BindVersion.fetch_add(2);
    futex_wake(&q.BindVersion, INT_MAX);
}

std::uint32_t list_readers(const Log& log, tk_reader_info* out, std::uint32_t max) {
    const std::uint64_t head = log.header->Head.load(std::memory_order_acquire);  // SYNC head (acquire)
    std::uint32_t found = 0;
    for (std::uint32_t i = 0; i < kMaxReaders; ++i) {
        const ReaderSlot& s = log.readers[i];
        const std::uint64_t place = s.Place.load(std::memory_order_acquire);  // SYNC place (acquire)
        if (place_state(place) != kTaken && place_state(place) != kRetired) continue;
        if (found < max) {
            tk_reader_info& r = out[found];
            // SYNC progress (acquire): partner is the release in Reader::commit().
            Progress p;
            const std::uint32_t which = s.Which.load(std::memory_order_acquire) & 1;
            copy_from_shared(&p, &s.Copies[which], sizeof p / 8);
            const std::uint64_t reader = s.ReaderProcess.load(), queue = s.QueueProcess.load();
            r = tk_reader_info{};
            r.cursor = p.Cursor;
            r.received = p.Received - std::min(p.Received, in_hand(p, s.Handed.load(std::memory_order_relaxed)));
            r.lost = p.Lost;
            r.lost_events = p.LostEvents;
            r.events = p.Events;
            r.skipped = s.Skipped[which].load(std::memory_order_relaxed);
            r.lag = head - std::min(head, p.Cursor);
            r.wakes = s.Wakes.load(std::memory_order_relaxed);
            r.queue_pid = identity_pid(queue);
            r.reader_pid = identity_pid(reader);
            r.slot = i;
            r.generation = place_generation(place);
            r.filters = s.Filters.load(std::memory_order_relaxed);
            r.wants_events = s.WantsEvents.load(std::memory_order_relaxed);
            r.reader_alive = process_alive(reader);
            r.asleep = s.Sleep.load(std::memory_order_relaxed) & 1;
            std::memcpy(r.name, s.Name, sizeof r.name);
            r.name[sizeof r.name - 1] = '\0';
        }
        ++found;
    }
    return found;
}

std::int32_t read_latency(const Log& log, std::uint32_t slot, std::uint32_t generation, tk_latency* out) {
    if (slot >= kMaxReaders) return fail(TK_E_ARG, "a log has no reader slot %u", slot);
    const ReaderSlot& s = log.readers[slot];
    const auto is_there = [&] {
        // SYNC place (acquire): partner is the release in bind_queue(), before which the table was cleared.
        const std::uint64_t place = s.Place.load(std::memory_order_acquire);
        return (place_state(place) == kTaken || place_state(place) == kRetired) && place_generation(place) == generation;
    };
    if (is_there()) {
        out->samples = s.Latency.Samples.load(std::memory_order_relaxed);
        out->sum = s.Latency.Sum.load(std::memory_order_relaxed);
        out->max = s.Latency.Max.load(std::memory_order_relaxed);
        for (std::uint32_t i = 0; i < kLatencyBuckets; ++i)
            out->counts[i] = s.Latency.Counts[i].load(std::memory_order_relaxed);
        // SYNC place (acquire fence): the words were read before the second look at the place.
        std::atomic_thread_fence(std::memory_order_acquire);
        if (is_there()) return TK_OK;
    }
    return fail(TK_E_NOT_FOUND, "reader slot %u has been given to another queue", slot);
}

namespace {

static_assert(sizeof(tk_latency::counts) == sizeof(LatencyTable::Counts), "tickshim.h");
static_assert(sizeof(tk_latest) == 128 && offsetof(tk_latest, last_price) == offsetof(Record, LastPrice) &&
                  offsetof(tk_latest, recv_monotonic) == offsetof(Record, RecvMonotonic) &&
                  offsetof(tk_latest, pre_settlement_price) == offsetof(Record, PreSettlementPrice),
              "tickshim.h: the first two lines of a record");

// The newest tick of an entry, its first words; false while its writer is moving it.
bool read_newest(const Log& log, const InstrumentEntry& entry, std::uint64_t stamp, Record* out, std::size_t words) {
    if (read_one(log, stamp - 1, out, words)) return true;
    // SYNC saved (acquire): partner is the release in Writer::save_before_overwritten(), which runs
    // before Head lets the ring's copy count as overwritten.
    const std::uint64_t saved = entry.SavedStamp.load(std::memory_order_acquire);
    if (saved != stamp) return false;
    copy_from_shared(out, &log.saved[&entry - log.instruments], words);
    std::atomic_thread_fence(std::memory_order_acquire);  // SYNC saved (acquire fence)
    return entry.SavedStamp.load(std::memory_order_relaxed) == saved;
}

// The newest tick of an entry that has one, waiting while its writer moves it.
std::int32_t read_newest_of(const Log& log, const InstrumentEntry& entry, Record* out) {
    const std::int64_t deadline = monotonic_ns() + 1000000000;
    for (;;) {
        const std::uint64_t stamp = entry.LatestStamp.load(std::memory_order_relaxed);
        if (read_newest(log, entry, stamp, out, kRecordWords)) return TK_OK;
        if (monotonic_ns() > deadline)  // only a writer killed in the middle of the move comes here
            return fail(TK_E_OVERWRITTEN, "the newest tick of '%.80s' could not be read whole within a second: its writer has died while moving it", entry.InstrumentID);
        cpu_relax();
    }
}

}  // namespace

std::uint32_t read_latest_all(const Log& log, std::uint32_t first, std::uint32_t count, tk_latest* out) {
    const std::uint32_t n = log.instrument_count();
    const std::uint32_t to = count > n || first > n - count ? n : first + count;
    for (std::uint32_t i = first; i < to; ++i) {
        const InstrumentEntry& entry = log.instruments[i];
        Record r;
        bool whole = false;
        // A writer that moves a tick is done in nanoseconds, one that died over it never is.
        for (int tries = 0; tries < 1000 && !whole; ++tries) {
            const std::uint64_t stamp = entry.LatestStamp.load(std::memory_order_relaxed);
            if (stamp == 0) break;
            whole = read_newest(log, entry, stamp, &r, sizeof *out / 8);
            if (!whole) cpu_relax();
        }
        tk_latest& o = out[i - first];
        if (whole) {
            std::memcpy(static_cast<void*>(&o), &r, sizeof o);
        } else {
            std::memset(static_cast<void*>(&o), 0, sizeof o);
        }
    }
    return first < to ? to - first : 0;
}

std::int32_t read_latest(const Log& log, const char* instrument_id, Record* out) {
    const std::uint32_t n = log.instrument_count();
    const InstrumentEntry* entry = nullptr;
    std::uint64_t newest = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
        const InstrumentEntry& e = log.instruments[i];
        if (std::strncmp(e.InstrumentID, instrument_id, kInstrumentIdSize) != 0) continue;
        const std::uint64_t stamp = e.LatestStamp.load(std::memory_order_relaxed);
        if (stamp > newest) {
            newest = stamp;
            entry = &e;
        }
    }
    if (entry == nullptr) return fail(TK_E_NOT_FOUND, "no tick of '%.80s' has been received", instrument_id);
    return read_newest_of(log, *entry, out);
}

std::int32_t read_snapshot(const Log& log, Record* out, std::uint32_t max, std::uint32_t* count) {
    const std::uint32_t n = log.instrument_count();
    std::vector<std::uint64_t> newest(n, 0);  // by primary
    std::vector<std::uint32_t> entries(n, 0);
    for (std::uint32_t i = 0; i < n; ++i) {
        const std::uint32_t primary = log.instruments[i].Primary;
        const std::uint64_t stamp = log.instruments[i].LatestStamp.load(std::memory_order_relaxed);
        if (primary >= n || stamp <= newest[primary]) continue;
        newest[primary] = stamp;
        entries[primary] = i;
    }
    *count = 0;
    for (std::uint32_t i = 0; i < n && *count < max; ++i) {
        if (newest[i] == 0) continue;
        if (const std::int32_t rc = read_newest_of(log, log.instruments[entries[i]], out + *count); rc != TK_OK) return rc;
        ++*count;
    }
    return TK_OK;
}

std::uint64_t read_range(const Log& log, std::uint64_t start, std::uint64_t count, Record* out,
                         std::uint64_t* first) {
    for (;;) {
        const std::uint64_t head = log.header->Head.load(std::memory_order_acquire);  // SYNC head (acquire)
        const std::uint64_t from = std::max(start, log.oldest(head));
        const std::uint64_t to = count > head || start > head - count ? head : start + count;
        *first = from;
        if (from >= to) return 0;
        for (std::uint64_t s = from; s < to; ++s) copy_from_shared(out + (s - from), log.slot(s), kRecordWords);
        std::atomic_thread_fence(std::memory_order_acquire);  // SYNC overwrite (acquire fence)
        const std::uint64_t oldest = log.oldest(log.header->Head.load(std::memory_order_relaxed));
        if (from >= oldest) return to - from;
        if (oldest >= to) continue;  // all of it overwritten meanwhile
        // The front part was overwritten during the copy; the rest is whole.
        std::memmove(static_cast<void*>(out), out + (oldest - from), (to - oldest) * kRecordSize);
        *first = oldest;
        return to - oldest;
    }
}

std::int32_t set_status(Log* log, const char* text, std::uint32_t length) {
    LogHeader& h = *log->header;
    if (length >= kStatusSize) return fail(TK_E_ARG, "a status of %u bytes is too long (at most %u)", length, kStatusSize - 1);
    std::uint64_t words[kStatusSize / 8] = {};
    std::memcpy(words, text, length);
    const std::uint32_t v = h.StatusVersion.load(std::memory_order_relaxed) | 1;
    h.StatusVersion.store(v, std::memory_order_relaxed);
    // SYNC status (release fence): the odd version is visible before any new word. Partner: the
    // acquire fence in get_status().
    std::atomic_thread_fence(std::memory_order_release);
    copy_to_shared(h.Status, words, kStatusSize / 8);
    h.StatusLength.store(length, std::memory_order_relaxed);
    h.StatusVersion.store(v + 1, std::memory_order_release);  // SYNC status (release): complete
    return TK_OK;
}

std::int32_t get_status(const Log& log, char* out, std::uint32_t size) {
    const LogHeader& h = *log.header;
    std::uint64_t words[kStatusSize / 8];
    const std::int64_t deadline = monotonic_ns() + 100000000;
    for (;;) {
        const std::uint32_t v = h.StatusVersion.load(std::memory_order_acquire);  // SYNC status (acquire)
        copy_from_shared(words, h.Status, kStatusSize / 8);
        const std::uint32_t length = h.StatusLength.load(std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_acquire);  // SYNC status (acquire fence)
        if ((v & 1) == 0 && h.StatusVersion.load(std::memory_order_relaxed) == v) {
            if (length >= size || length >= kStatusSize) return fail(TK_E_LAYOUT, "the status has %u bytes", length);
            std::memcpy(out, words, length);
            out[length] = '\0';
            return static_cast<std::int32_t>(length);
        }
        // A session killed in the middle leaves an odd version: no status then, rather than a torn one.
        if (monotonic_ns() > deadline) return fail(TK_E_STATE, "the status is being written by a process that has stopped");
        cpu_relax();
    }
}

void end_log(Log* log) {
    LogHeader& h = *log->header;
    // SYNC sleep (seq_cst, writer side): Closed before the look at who sleeps, as in Writer::finish().
    // SYNC closed (release): what was written comes before the end.
    h.Closed.store(1, std::memory_order_seq_cst);
    for (std::uint32_t i = 0; i < kMaxReaders; ++i) wake_reader(&log->readers[i]);
}

}  // namespace tk
