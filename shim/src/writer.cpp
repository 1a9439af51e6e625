#include "writer.hpp"

#include <cstring>

#include "copy.hpp"
#include "errors.hpp"
#include "normalise.hpp"
#include "places.hpp"
#include "system.hpp"
#include "tickshim.h"
#include "turn.hpp"

namespace tk {
namespace {

// Who wants a tick whose instrument has no place in the table.
const std::atomic<std::uint64_t> kEveryone[kReaderWords] = {~0ull, ~0ull, ~0ull, ~0ull};

}  // namespace

std::int32_t Writer::open(bool new_epoch) {
    LogHeader& h = *log_->header;
    if (h.Closed.load(std::memory_order_acquire) != 0)  // SYNC closed (acquire)
        return fail(TK_E_STATE, "log '%.63s' has ended; make a new one", h.Name);
    std::uint64_t previous = h.WriterProcess.load(std::memory_order_relaxed);
    if (log_->writer_alive())
        return fail(TK_E_BUSY, "log '%.63s' is being written by process %d", h.Name, identity_pid(previous));
    if (!h.WriterProcess.compare_exchange_strong(previous, process_identity(getpid())))
        return fail(TK_E_BUSY, "log '%.63s' has just been taken by process %d", h.Name, identity_pid(previous));
    own_barrier_ = !register_for_barrier();
    // Before anything is published. A reader that still sees the last writer's word has announced itself
    // before this store, so this writer's first look finds it.
    h.SleepBarrier.store(own_barrier_ ? 0 : 1);
    index_.open(log_);
    private_.assign(log_->instrument_capacity, Private{});
    recover();
    remember_instruments();
    epoch_ = h.Epoch.load(std::memory_order_relaxed);
    if (new_epoch) h.Epoch.store(++epoch_, std::memory_order_relaxed);
    return TK_OK;
}

// When Head becomes `head`, the record `head - capacity` counts as overwritten. If it is the newest
// tick of its instrument it moves to the saved table first, so that log.latest() never goes blank.
inline void Writer::save_before_overwritten(std::uint64_t head) {
    if (head < log_->capacity) return;
    const Record* old = log_->slot(head);
    const std::uint32_t index = old->Instrument;  // our own earlier store
    if (index >= log_->instrument_capacity || old->Kind != kTick) return;
    const InstrumentEntry& e = log_->instruments[index];
    if (__builtin_expect(e.LatestStamp.load(std::memory_order_relaxed) == old->Stamp, 0)) save(old, index);
}

void Writer::save(const Record* old, std::uint32_t index) {
    InstrumentEntry& e = log_->instruments[index];
    // Saved already by a writer that then died while it overwrote the record: that copy is the whole one.
    if (e.SavedStamp.load(std::memory_order_relaxed) == old->Stamp) return;
    e.SavedStamp.store(0, std::memory_order_relaxed);
    // SYNC saved (release fence): the zero is visible before any new word. Partner: the acquire fence
    // in read_latest().
    std::atomic_thread_fence(std::memory_order_release);
    copy_to_shared(&log_->saved[index], old, kRecordWords);
    e.SavedStamp.store(old->Stamp, std::memory_order_release);  // SYNC saved (release): copy complete
}

// A writer may have died between any two stores. The last published record tells the rest.
void Writer::recover() {
    LogHeader& h = *log_->header;
    head_ = h.Head.load(std::memory_order_acquire);  // SYNC head (acquire): a dead writer's release
    if (load_word(&log_->slot(head_)->Stamp) == head_ + 1) ++head_;  // stamped, not yet counted
    ticks_ = events_ = 0;
    if (head_ > 0) {
        const Record& last = *log_->slot(head_ - 1);
        const bool event = last.Kind == kEvent;
        ticks_ = last.TickNumber + (event ? 0 : 1);
        events_ = head_ - ticks_;
        if (!event && last.Instrument < log_->instrument_capacity) {
            InstrumentEntry& e = log_->instruments[last.Instrument];
            InstrumentEntry& primary = log_->instruments[log_->primary_of(last.Instrument)];
            e.LatestStamp.store(head_, std::memory_order_relaxed);
            primary.PrimaryLatestStamp.store(head_, std::memory_order_relaxed);
            // SYNC count (release): as in publish_tick(), the readers have gone on meanwhile.
            primary.Count.store(last.InstrumentNumber + 1, std::memory_order_release);
        }
    }
    const std::uint32_t instruments = log_->instrument_count();
    for (std::uint32_t i = 0; i < instruments; ++i) {
        const InstrumentEntry& e = log_->instruments[i];
        make_ids(private_[i].ids, e);
        private_[i].count = e.Count.load(std::memory_order_relaxed);
        private_[i].primary = log_->primary_of(i);
        private_[i].known = true;
    }
    h.Ticks.store(ticks_, std::memory_order_relaxed);
    h.Events.store(events_, std::memory_order_relaxed);
    save_before_overwritten(head_);
    h.Head.store(head_, std::memory_order_release);  // SYNC head (release): see finish()
}

// What the last writer left of each instrument, so that time goes on where it stopped and a repeated
// tick is still one. Entries of one InstrumentID share the state of their primary.
void Writer::remember_instruments() {
    const std::uint32_t instruments = log_->instrument_count();
    for (std::uint32_t i = 0; i < instruments; ++i) {
        const std::uint32_t primary = private_[i].primary;
        const std::uint64_t stamp = log_->instruments[i].LatestStamp.load(std::memory_order_relaxed);
        if (stamp == 0 || stamp != log_->instruments[primary].PrimaryLatestStamp.load(std::memory_order_relaxed)) continue;
        if (const Record* newest = newest_of(i)) Judge::remember(private_[primary].state, *newest, i);
    }
}

// The newest tick of an entry where it stands: in the ring, or saved when the ring passed it. nullptr:
// none, or a writer died while it moved it.
const Record* Writer::newest_of(std::uint32_t entry) const {
    const InstrumentEntry& e = log_->instruments[entry];
    const std::uint64_t stamp = e.LatestStamp.load(std::memory_order_relaxed);
    if (stamp == 0) return nullptr;
    if (stamp - 1 >= log_->oldest(head_)) {
        const Record* r = log_->slot(stamp - 1);
        return load_word(&r->Stamp) == stamp ? r : nullptr;
    }
    return e.SavedStamp.load(std::memory_order_relaxed) == stamp ? &log_->saved[entry] : nullptr;
}

void Writer::set_rules(std::unique_ptr<Rules> rules) {
    const Turn turn(turn_);
    judge_.exchange_rules(rules);
}

void Writer::close() {
    log_->header->WriterProcess.store(0);
}

std::uint64_t Writer::begin(Record** slot) {
    *slot = log_->slot(head_);
    // SYNC overwrite (release fence): Head == head_ was stored by the last finish(), before any word
    // of the new record. Partner: the acquire fence of a reader between its copy and its second look
    // at Head; a reader that saw one new word sees at least this Head and throws its copy away.
    std::atomic_thread_fence(std::memory_order_release);
    return head_;
}

void Writer::finish(std::uint64_t sequence, std::uint64_t ticks, std::uint64_t events,
                    const std::atomic<std::uint64_t>* want) {
    head_ = sequence + 1;
    ticks_ = ticks;
    events_ = events;
    LogHeader& h = *log_->header;
    save_before_overwritten(head_);
    // SYNC ticks (release): after the record's stamp. Partner: the acquire in Reader::reconcile().
    h.Ticks.store(ticks, std::memory_order_release);
    h.Events.store(events, std::memory_order_release);
    // SYNC head (release): records below it are complete, the counters too. Partner: the acquire
    // loads of Head.
    h.Head.store(head_, std::memory_order_release);
    // SYNC sleep (seq_cst, writer side): Head is published before the look for sleepers. The barrier
    // that takes is made by who goes to sleep (Reader::sleep()): here it would wait, at every tick, for
    // the lines that a reader has just looked at. Only where the kernel lacks it, it is made here.
    if (__builtin_expect(own_barrier_, 0)) {
        std::atomic_thread_fence(std::memory_order_seq_cst);
    } else {
        // SYNC sleep (seq_cst, writer side): the compiler keeps the order, the sleeper's barrier does the rest.
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    // One ahead: its first line is looked at by the next save_before_overwritten(), and the slot at
    // head_ is the one that readers poll.
    char* next = reinterpret_cast<char*>(log_->slot(head_ + 1));
#pragma GCC unroll 7
    for (std::size_t line = 0; line < kRecordSize; line += 64) __builtin_prefetch(next + line, 1);
    std::uint64_t asleep = 0;
    for (const auto& word : h.Sleepers) asleep |= word.load(std::memory_order_relaxed);
    if (__builtin_expect(asleep != 0, 0)) wake_sleepers(want);
}

void Writer::wake_sleepers(const std::atomic<std::uint64_t>* want) {
    LogHeader& h = *log_->header;
    for (std::uint32_t w = 0; w < kReaderWords; ++w) {
        // SYNC sleep (seq_cst, writer side): who sees the bit of a reader sees its queue's Skip below.
        std::uint64_t bits =
            h.Sleepers[w].load(std::memory_order_seq_cst) & want[w].load(std::memory_order_relaxed);
        while (bits != 0) {
            const int bit = __builtin_ctzll(bits);
            bits &= bits - 1;
            ReaderSlot& r = log_->readers[w * 64 + static_cast<std::uint32_t>(bit)];
            if ((r.Skip.load(std::memory_order_relaxed) & flags_) != 0) continue;  // let it sleep
            // The bit goes first: a reader that lies down again in between sets it anew and finds its
            // word changed. The other order could clear the bit of a reader that has just set it.
            h.Sleepers[w].fetch_and(~(1ull << bit), std::memory_order_seq_cst);  // SYNC sleep (seq_cst, writer side)
            if (!wake_reader(&r)) continue;
            r.Wakes.fetch_add(1, std::memory_order_relaxed);
            h.Wakes.fetch_add(1, std::memory_order_relaxed);
        }
    }
}

void Writer::publish_tick(const DepthLayout& layout, const char* depth, const Stamp& stamp) {
    const Turn turn(turn_);
    const std::uint32_t index = index_.find(layout, depth);
    Private* mine = &overflow_;
    InstrumentEntry* entry = nullptr;
    InstrumentEntry* primary = nullptr;
    TickHead head{stamp.realtime, stamp.monotonic, 0, ticks_, 0, index, 0};
    Private* counter = &overflow_;
    if (__builtin_expect(index != kNoInstrument, 1)) {
        entry = &log_->instruments[index];
        mine = &private_[index];
        if (!mine->known) {
            make_ids(mine->ids, *entry);
            mine->primary = log_->primary_of(index);
            mine->known = true;
        }
        primary = &log_->instruments[mine->primary];
        counter = &private_[mine->primary];
        head.instrument_number = counter->count;
    } else {
        InstrumentEntry scratch{};
        std::memcpy(scratch.InstrumentID, depth + layout.instrument_id,
                    strnlen(depth + layout.instrument_id, layout.instrument_id_size < kInstrumentIdSize
                                                              ? layout.instrument_id_size
                                                              : kInstrumentIdSize - 1));
        std::memcpy(scratch.ExchangeID, depth + depth::kExchangeID,
                    strnlen(depth + depth::kExchangeID, sizeof scratch.ExchangeID - 1));
        make_ids(mine->ids, scratch);
        overflow_.state = TickState{};  // nothing is known of an earlier tick
        overflow_.state.login = judge_.login();
    }
    const TickTexts texts = texts_of(depth);
    const Verdict verdict = judge_.look(counter->state, texts, facts_of(depth, stamp.realtime, index, mine->ids));
    head.exchange_time = verdict.time;
    flags_ = head.flags = verdict.flags;
    Record* slot;
    const std::uint64_t sequence = begin(&slot);
    store_tick(slot, layout, depth, head, mine->ids, texts);
    if (__builtin_expect(verdict.may_repeat, 0)) mark_repeated(slot, index);
    // SYNC stamp (release): the record is complete. Partner: the acquire of a reader that polls it.
    __atomic_store_n(&slot->Stamp, sequence + 1, __ATOMIC_RELEASE);
    if (entry != nullptr) {
        ++counter->count;
        entry->LatestStamp.store(sequence + 1, std::memory_order_relaxed);
        primary->PrimaryLatestStamp.store(sequence + 1, std::memory_order_relaxed);
        // SYNC count (release): whoever sees this count sees the stamp above. Partner: the acquire in
        // Reader::reconcile(), which reads the count first and the stamp after it.
        primary->Count.store(counter->count, std::memory_order_release);
        finish(sequence, ticks_ + 1, events_, entry->Want);
    } else {
        finish(sequence, ticks_ + 1, events_, kEveryone);
    }
}

// A record that is made already: what says where it stands in the log is filled in, and it is published.
void Writer::place_record(Record& r, std::uint32_t index) {
    InstrumentEntry* entry = nullptr;
    InstrumentEntry* primary = nullptr;
    Private* counter = &overflow_;
    if (index != kNoInstrument) {
        entry = &log_->instruments[index];
        private_[index].primary = log_->primary_of(index);
        primary = &log_->instruments[private_[index].primary];
        counter = &private_[private_[index].primary];
    }
    r.Instrument = index;
    r.TickNumber = ticks_;
    r.InstrumentNumber = index == kNoInstrument ? 0 : counter->count;
    flags_ = r.Flags;
    Record* slot;
    const std::uint64_t sequence = begin(&slot);
    const auto* words = reinterpret_cast<const char*>(&r);
    copy_to_shared(reinterpret_cast<char*>(slot) + 8, words + 8, kRecordWords - 1);
    __atomic_store_n(&slot->Stamp, sequence + 1, __ATOMIC_RELEASE);  // SYNC stamp (release)
    if (entry == nullptr) return finish(sequence, ticks_ + 1, events_, kEveryone);
    ++counter->count;
    entry->LatestStamp.store(sequence + 1, std::memory_order_relaxed);
    primary->PrimaryLatestStamp.store(sequence + 1, std::memory_order_relaxed);
    primary->Count.store(counter->count, std::memory_order_release);  // SYNC count (release): as in publish_tick()
    finish(sequence, ticks_ + 1, events_, entry->Want);
}

void Writer::publish_record(const char* record, const Stamp& stamp) {
    const Turn turn(turn_);
    Record r;
    std::memcpy(static_cast<void*>(&r), record, sizeof r);
    r.ExchangeID[sizeof r.ExchangeID - 1] = r.InstrumentID[sizeof r.InstrumentID - 1] = '\0';
    InstrumentEntry wanted{};
    std::memcpy(wanted.InstrumentID, r.InstrumentID, strnlen(r.InstrumentID, sizeof r.InstrumentID));
    std::memcpy(wanted.ExchangeID, r.ExchangeID, strnlen(r.ExchangeID, sizeof r.ExchangeID));
    // Not find(): with a second caller it would no longer be inlined into the tick path.
    const std::uint32_t index = index_.enter(wanted);
    if (index == kNoInstrument) log_->header->InstrumentOverflow.fetch_add(1, std::memory_order_relaxed);
    r.RecvTime = stamp.realtime;
    r.RecvMonotonic = stamp.monotonic;
    r.Kind = kTick;
    place_record(r, index);
}

std::uint32_t Writer::enter_instrument(InstrumentEntry& wanted) {
    const Turn turn(turn_);
    return index_.enter(wanted);
}

void Writer::publish_replayed(Record& r, std::uint32_t index, std::int64_t monotonic) {
    const Turn turn(turn_);
    r.RecvMonotonic = monotonic;
    r.Flags |= kReplayed;
    if (index == kNoInstrument) log_->header->InstrumentOverflow.fetch_add(1, std::memory_order_relaxed);
    place_record(r, index);
}

void Writer::mark_repeated(Record* slot, std::uint32_t index) {
    const Record* before = index == kNoInstrument ? nullptr : newest_of(index);
    if (before == nullptr || !same_content(before, slot)) return;
    flags_ |= kDuplicate;
    store_flags(slot, index, flags_);
}

// After these the front pushes what it has of an instrument: a snapshot, not news.
void Writer::look_at_event(const Event& event) {
    if (event.code == TK_EV_LOGGED_IN) judge_.on_login();
    if (event.code == TK_EV_UNSUBSCRIBED) {
        const std::uint32_t index = index_.find_id(event.text, event.text_length);
        if (index != kNoInstrument) Judge::on_unsubscribe(private_[index].state);
    }
}

void Writer::publish_event(const Event& event, const Stamp& stamp) {
    const Turn turn(turn_);
    look_at_event(event);
    flags_ = 0;
    EventRecord e{};
    e.RecvTime = stamp.realtime;
    e.Instrument = kNoInstrument;
    e.Kind = kEvent;
    e.Code = event.code;
    e.Reason = event.reason;
    e.ErrorID = event.error_id;
    e.Epoch = epoch_;
    e.Value = event.value;
    e.RecvMonotonic = stamp.monotonic;
    e.TickNumber = ticks_;
    e.EventNumber = events_;
    e.TextLength = event.text_length < sizeof e.Text - 1 ? event.text_length : sizeof e.Text - 1;
    e.TextEncoding = event.text_encoding;
    std::memcpy(e.Text, event.text, e.TextLength);
    Record* slot;
    const std::uint64_t sequence = begin(&slot);
    const auto* words = reinterpret_cast<const char*>(&e);
    copy_to_shared(reinterpret_cast<char*>(slot) + 8, words + 8, kRecordWords - 1);
    __atomic_store_n(&slot->Stamp, sequence + 1, __ATOMIC_RELEASE);  // SYNC stamp (release)
    finish(sequence, ticks_, events_ + 1, log_->header->EventWant);
}

}  // namespace tk
