#include "reader.hpp"

#include <algorithm>
#include <cstring>

#include "copy.hpp"
#include "errors.hpp"
#include "places.hpp"
#include "system.hpp"

namespace tk {
namespace {

// How long one wait may last before the caller is asked to look round (signals, interpreter exit).
constexpr std::int64_t kSleepSlice = 500000000;
constexpr std::int64_t kSpinSlice = 5000000;
constexpr std::int64_t kUnsureSleep = 1000000;
constexpr std::int64_t kLeave = 50000;  // between looks whether a thread that was woken has left
// spin() looks so often in one call, and asks its caller to look round after so many calls, about 1 ms.
// Whether anybody is left who could write takes a look into /proc: after about 50 ms.
constexpr int kSpinLooks = 16;
constexpr std::uint32_t kLookRound = 1u << 11, kQuietSlices = 1u << 16, kLookForOwner = 1u << 17;
// A flood: so many ticks within this time, at more than half a million a second for tens of milliseconds.
// No market does that, a recording played flat out does. Who keeps up with it rests so long between looks,
// and has done so for the last time when fewer than kFloodFew have come meanwhile.
constexpr std::uint32_t kFloodTicks = 16384, kFloodFew = 16;
constexpr std::int64_t kFloodTime = 32000000, kRest = 200000;
// Adaptive: long enough to catch the rest of a burst, short enough to cost nothing measurable.
constexpr std::int64_t kAdaptiveSpin = 10000;

// Where the i-th record of this take goes.
Record* target(const tk_take& t, std::uint32_t i) {
    i += t.used;
    return t.out != nullptr ? static_cast<Record*>(t.out[i]) : static_cast<Record*>(t.block) + i;
}

}  // namespace

// Two threads of one program at one queue: the second is told so.
class Reader::Busy {
public:
    explicit Busy(std::atomic<bool>* flag) : flag_(flag), mine_(!flag->exchange(true)) {}
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    ~Busy() {
        if (mine_) flag_->store(false);
    }
    explicit operator bool() const { return mine_; }

private:
    std::atomic<bool>* flag_;
    bool mine_;
};

std::int32_t Reader::open() {
    const QueueHeader& q = *queue_->header;
    const Binding binding = read_binding(q);
    if (binding.log_id != log_->header->UniqueId)
        return fail(TK_E_STATE, "queue '%.63s' is not bound to log '%.63s'", q.Name, log_->header->Name);
    if (binding.slot >= kMaxReaders) return fail(TK_E_LAYOUT, "queue '%.63s' names reader slot %u", q.Name, binding.slot);
    slot_index_ = binding.slot;
    ReaderSlot* slot = &log_->readers[slot_index_];
    place_ = place_word(kTaken, binding.generation);
    if (slot->Place.load(std::memory_order_acquire) != place_)  // SYNC place (acquire)
        return fail(TK_E_STATE, "queue '%.63s' has lost its place in log '%.63s'", q.Name, log_->header->Name);
    const std::uint64_t me = process_identity(getpid());
    std::uint64_t previous = slot->ReaderProcess.load(std::memory_order_relaxed);
    if (previous != 0 && process_alive(previous))
        return fail(TK_E_BUSY, "queue '%.63s' is being read by process %d; make one queue for each worker", q.Name,
                    identity_pid(previous));
    if (!slot->ReaderProcess.compare_exchange_strong(previous, me))
        return fail(TK_E_BUSY, "queue '%.63s' has just been taken by process %d", q.Name, identity_pid(previous));
    slot_ = slot;
    bed_.store(slot);
    if (retired()) {  // closed between the two looks: leave() saw no reader, or close() frees the place
        close();
        return fail(TK_E_STATE, "queue '%.63s' has been closed", q.Name);
    }
    // A predecessor that was killed asleep left its announcement; it costs the writer one empty wake.
    log_->header->Sleepers[slot_index_ / 64].fetch_and(~(1ull << (slot_index_ % 64)));
    const std::uint32_t word = slot_->Sleep.load();
    if ((word & 1) != 0) slot_->Sleep.store(word + 1);

    which_ = slot_->Which.load(std::memory_order_acquire) & 1;  // SYNC progress (acquire)
    copy_from_shared(&now_, &slot_->Copies[which_], sizeof now_ / 8);
    skipped_ = slot_->Skipped[which_].load(std::memory_order_relaxed);
    skip_ = queue_->header->Skip;
    events_ = slot_->WantsEvents.load(std::memory_order_relaxed) != 0;
    wanted_.assign(log_->instrument_capacity, queue_->filtered ? kNotLookedAt : 0);
    // A reader that has seen a stamp is one ahead of Head. Further than that nobody has written.
    // SYNC head (acquire): partner is the release in Writer::finish().
    const std::uint64_t head = log_->header->Head.load(std::memory_order_acquire);
    if (head > kMaxHead || now_.Cursor > head + 1) {
        const std::uint64_t cursor = now_.Cursor;
        close();
        return fail(TK_E_LAYOUT, "the place of queue '%.63s' is damaged: it stands at record %llu of %llu", q.Name,
                    static_cast<unsigned long long>(cursor), static_cast<unsigned long long>(head));
    }
    resume();
    // The same number, unless the predecessor died between giving out and the end of a take.
    slot_->Handed.store(now_.Received + now_.Events);
    batch_first_ = now_.Cursor;
    sampling_.begin(&slot_->Latency, monotonic_ns());
    return TK_OK;
}

void Reader::close() {
    // SYNC sleep (seq_cst, writer side): stored before the look at Sleep; who is about to lie down looks at it
    // after its announcement.
    closing_.store(true, std::memory_order_seq_cst);
    while (busy_.exchange(true)) {
        if (slot_ != nullptr) wake_reader(slot_);
        rest(kLeave);
    }
    leave();
    busy_.store(false);
}

void Reader::interrupt() {
    // SYNC sleep (seq_cst, writer side): stored before the look at Sleep, as in close(). A wake too many, also
    // of whoever has the slot next, is nothing but a look too many.
    interrupted_.store(true, std::memory_order_seq_cst);
    if (ReaderSlot* bed = bed_.load()) wake_reader(bed);
}

void Reader::recall() {
    // SYNC sleep (seq_cst, writer side): as in interrupt().
    recalled_.store(true, std::memory_order_seq_cst);
    if (ReaderSlot* bed = bed_.load()) wake_reader(bed);
}

void Reader::leave() {
    if (slot_ == nullptr) return;
    std::uint64_t me = process_identity(getpid());
    slot_->ReaderProcess.compare_exchange_strong(me, 0);
    // Stored first, looked second; leave() does the same the other way round, so one of the two frees it.
    if (retired()) free_retired(slot_, place_generation(place_));
    slot_ = nullptr;
}

// The queue has been closed, by its maker or by another thread of this process.
bool Reader::retired() const { return closing_.load() || slot_->Place.load() != place_; }

// ---- filters -----------------------------------------------------------------------------------

std::int32_t Reader::filter_of_name(const char* instrument_id) const {
    for (std::uint32_t f = 0; f < queue_->filter_count; ++f)
        if (std::strncmp(queue_->filters[f].InstrumentID, instrument_id, kInstrumentIdSize) == 0)
            return static_cast<std::int32_t>(f);
    return kUnwanted;
}

std::int32_t Reader::filter_of_index(std::uint32_t index) {
    // SYNC instrument (acquire): partner is the release in InstrumentIndex::insert().
    if (index >= log_->header->InstrumentCount.load(std::memory_order_acquire)) return kUnwanted;  // torn record
    InstrumentEntry& e = log_->instruments[index];
    const std::int32_t filter = filter_of_name(e.InstrumentID);
    wanted_[index] = filter;
    if (filter == kUnwanted) e.Want[slot_index_ / 64].fetch_and(~(1ull << (slot_index_ % 64)));
    return filter;
}

// The primaries of a filtered queue's instruments, with the filter that lets each through.
template <typename F>
void Reader::for_each_wanted(F&& body) {
    // SYNC instrument (acquire): partner is the release in InstrumentIndex::insert().
    const std::uint32_t instruments = log_->header->InstrumentCount.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < instruments && i < wanted_.size(); ++i) {
        const InstrumentEntry& e = log_->instruments[i];
        if (e.Primary != i) continue;
        const std::int32_t filter = wanted_[i] == kNotLookedAt ? filter_of_index(i) : wanted_[i];
        if (filter != kUnwanted) body(e, filter);
    }
}

// Which filter lets this record through. The record may be overwritten while it is looked at; then
// the answer is thrown away with the copy.
std::int32_t Reader::filter_of(const Record* shared) {
    const std::uint64_t word = load_word(&shared->Instrument);  // Instrument, Flags, Kind
    const auto index = static_cast<std::uint32_t>(word);
    const auto kind = static_cast<std::uint8_t>(word >> 48);
    if (kind != kTick) return events_ ? 0 : kUnwanted;
    if (!queue_->filtered) return 0;
    if (index < wanted_.size()) {
        const std::int32_t filter = wanted_[index];
        return filter != kNotLookedAt ? filter : filter_of_index(index);
    }
    char id[kRecordSize - kTextOffset];  // an instrument beyond the table: by its name
    copy_from_shared(id, reinterpret_cast<const char*>(shared) + kTextOffset, kTextWords);
    id[sizeof id - 1] = '\0';
    return filter_of_name(id + (offsetof(Record, InstrumentID) - kTextOffset));
}

// ---- reading -----------------------------------------------------------------------------------

// Polls the next record's own stamp: it comes with the line that holds price and instrument, and the
// writer's counters stay in the writer's cache.
bool Reader::something_new() {
    if (now_.Cursor < head_seen_) return true;
    // SYNC stamp (acquire): partner is the release in publish_tick() and publish_event().
    const std::uint64_t stamp = __atomic_load_n(&log_->slot(now_.Cursor)->Stamp, __ATOMIC_ACQUIRE);
    if (stamp <= now_.Cursor) return false;
    if (stamp == now_.Cursor + 1) {  // Head is read once, behind the copy: it is another line from the writer
        head_seen_ = stamp;
        return true;
    }
    return overtaken();
}

// Another record stands where the next one is looked for. Apart, so that a loop of looks carries none of it.
[[gnu::cold, gnu::noinline]] bool Reader::overtaken() {
    // SYNC head (acquire): partner is the release in Writer::finish().
    const std::uint64_t head = log_->header->Head.load(std::memory_order_acquire);
    head_seen_ = head > kMaxHead ? 0 : head;  // sleep() says what is wrong with it
    return now_.Cursor < head_seen_;
}

std::uint32_t Reader::collect(tk_take* t) {
    const std::uint32_t room = t->max - t->used;
    const bool all = !queue_->filtered && skip_ == 0;
    std::uint32_t count = 0;
    std::int32_t filters[kChunk];
    // What came in meanwhile is left to the next take: to look for it would cost a line from the writer.
    while (count < room && (count == 0 || now_.Cursor < head_seen_) && something_new()) {
        const std::uint64_t first = now_.Cursor;
        const std::uint64_t end = std::min(head_seen_, first + kChunk);
        std::uint64_t s = first;
        std::uint32_t copied = 0;
        for (; s < end && count + copied < room; ++s) {
            const Record* r = log_->slot(s);
            if (!all) {
                const std::int32_t filter = filter_of(r);
                if (filter == kUnwanted) continue;
                filters[copied] = filter;
            }
            copy_record(target(*t, count + copied++), r);
        }
        // SYNC overwrite (acquire fence): every word was copied before this look at Head. Partner: the
        // release fence in Writer::begin().
        std::atomic_thread_fence(std::memory_order_acquire);
        // SYNC head (acquire): for the records up to it. Partner: the release in Writer::finish().
        const std::uint64_t head = log_->header->Head.load(std::memory_order_acquire);
        if (head >= first + log_->capacity) {
            if (head > kMaxHead) {
                head_seen_ = head;  // look() says so
                break;
            }
            overrun(head);
            continue;
        }
        now_.Cursor = s;
        head_seen_ = head;  // not the greater of the two: a Head that was wrong for a moment leads nobody astray
        if (all && all_in_order(*t, count, copied)) {
            count += copied;
            continue;
        }
        if (all)
            for (std::uint32_t i = 0; i < copied; ++i) filters[i] = target(*t, count + i)->Kind == kTick || events_ ? 0 : kUnwanted;
        count += account(t, count, copied, filters);
    }
    return count;
}

// The usual case of a queue without a filter, and the only one that is fast: copies that are all ticks and
// follow each other and the last one. Their first and last numbers say so.
bool Reader::all_in_order(const tk_take& t, std::uint32_t from, std::uint32_t copied) {
    const Record *first = target(t, from), *last = target(t, from + copied - 1);
    std::atomic<std::uint64_t>& place = queue_->filters[0].Expected;
    const std::uint64_t next = place.load(std::memory_order_relaxed);
    if (first->Kind != kTick || last->Kind != kTick || first->TickNumber != next || last->TickNumber != next + copied - 1)
        return false;
    place.store(next + copied, std::memory_order_relaxed);
    now_.Received += copied;
    return true;
}

// The writer has passed this reader. Stand a little behind the oldest record, so that it is not
// passed again at once; what is skipped shows in the numbers of the next records.
void Reader::overrun(std::uint64_t head) {
    const std::uint64_t margin = std::min<std::uint64_t>(log_->capacity / 16, 1024);
    now_.Cursor = std::max(now_.Cursor, std::min(head, log_->oldest(head) + margin));
    head_seen_ = head;  // as in collect()
}

// Copies are whole now: count losses by the records' numbers and drop what was before the start.
std::uint32_t Reader::account(tk_take* t, std::uint32_t from, std::uint32_t copied, const std::int32_t* filters) {
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < copied; ++i) {
        const Record* r = target(*t, from + i);
        if (filters[i] == kUnwanted || !keep(*r, filters[i])) continue;
        if (kept != i) std::memcpy(target(*t, from + kept), r, kRecordSize);
        ++kept;
    }
    return kept;
}

std::atomic<std::uint64_t>& Reader::expected(std::int32_t filter, bool event) {
    return event ? slot_->ExpectedEvent : queue_->filters[filter].Expected;
}

// The record's number among those this queue would get: gaps in it are losses.
std::uint64_t Reader::number_of(const Record& r) const {
    if (r.Kind != kTick) return reinterpret_cast<const EventRecord&>(r).EventNumber;
    return queue_->filtered ? r.InstrumentNumber : r.TickNumber;
}

bool Reader::keep(const Record& r, std::int32_t filter) {
    const bool event = r.Kind != kTick;
    if (event || !queue_->filtered || r.Instrument != kNoInstrument) {  // else: beyond the table, unnumbered
        std::atomic<std::uint64_t>& place = expected(filter, event);
        const std::uint64_t number = number_of(r), next = place.load(std::memory_order_relaxed);
        if (next != kUnknown) {
            if (number < next) return false;  // before the queue's start
            (event ? now_.LostEvents : now_.Lost) += number - next;
        }
        place.store(number + 1, std::memory_order_relaxed);
    }
    if (!event && (r.Flags & skip_) != 0) {
        ++skipped_;
        return false;
    }
    ++(event ? now_.Events : now_.Received);
    return true;
}

void Reader::lose_up_to(std::uint64_t written, std::atomic<std::uint64_t>* place, std::uint64_t* lost) {
    std::uint64_t next = place->load(std::memory_order_relaxed);
    if (next == kUnknown || written <= next) return;
    // Another engine may just take the queue, and say anew what comes next.
    if (!still_bound() || !place->compare_exchange_strong(next, written)) return;
    *lost += written - next;
}

// False when another engine has the queue by now: this log has ended, and what the queue expects is another's.
bool Reader::still_bound() const { return queue_->header->LogId.load() == log_->header->UniqueId; }

// A loss shows when the next tick of the instrument arrives. When there is no next one to wait for
// (the log has ended, or somebody asks), the instrument table knows how many there were.
void Reader::reconcile() {
    // SYNC ticks (acquire): partner is the release in Writer::finish(). Whoever sees a record counted
    // sees its stamp, so if nothing new is there then, everything counted is behind the cursor.
    const std::uint64_t ticks = log_->header->Ticks.load(std::memory_order_acquire);
    const std::uint64_t events = log_->header->Events.load(std::memory_order_acquire);
    if (!something_new()) {  // else: the next record's numbers will tell
        if (events_) lose_up_to(events, &slot_->ExpectedEvent, &now_.LostEvents);
        if (!queue_->filtered) lose_up_to(ticks, &queue_->filters[0].Expected, &now_.Lost);
    }
    if (!queue_->filtered) return;
    for_each_wanted([this](const InstrumentEntry& e, std::int32_t filter) {
        // SYNC count (acquire): partner is the release in publish_tick(). Count first, stamp second:
        // every tick counted is then at or below the stamp.
        const std::uint64_t written = e.Count.load(std::memory_order_acquire);
        const std::uint64_t latest = e.PrimaryLatestStamp.load(std::memory_order_relaxed);
        if (latest > now_.Cursor) return;  // its next tick is still to come and will tell
        lose_up_to(written, &expected(filter, false), &now_.Lost);
    });
}

void Reader::commit(std::uint32_t count, bool handed) {
    now_.BatchFirst = batch_first_;
    now_.BatchCount = count;
    batch_first_ = now_.Cursor;
    copy_to_shared(&slot_->Copies[1 - which_], &now_, sizeof now_ / 8);
    slot_->Skipped[1 - which_].store(skipped_, std::memory_order_relaxed);
    which_ = 1 - which_;
    // SYNC progress (release): the copy is whole before it becomes the valid one. Partner: the acquire
    // in open() and in list_readers().
    slot_->Which.store(which_, std::memory_order_release);
    // Killed before this, the program was not given what a successor will now be given.
    if (handed) slot_->Handed.store(now_.Received + now_.Events, std::memory_order_relaxed);
}

// ---- waiting -----------------------------------------------------------------------------------

bool Reader::ended() {
    return log_->header->Closed.load(std::memory_order_acquire) != 0 && !something_new();  // SYNC closed (acquire)
}

// TK_OK, or why nothing can be taken.
std::int32_t Reader::usable(const Busy& busy, const tk_take& t) const {
    if (!busy && !closing_.load())
        return fail(TK_E_BUSY, "queue '%.63s' is used by two threads at once; make one queue for each", queue_->header->Name);
    // Not mine: close() has it, or waits for who has it.
    if (!busy || slot_ == nullptr) return fail(TK_E_STATE, "reader is closed");
    if (t.used >= t.max) return fail(TK_E_ARG, "take has no room");
    return TK_OK;
}

// One look: takes what is there and commits it, else says why there is nothing.
std::int32_t Reader::look(tk_take* t) {
    t->count = 0;
    if (retired()) {
        t->state = TK_TAKE_RETIRED;
        return 0;
    }
    const std::uint64_t before = now_.Cursor;
    const std::uint32_t count = collect(t);
    if (count != 0) {
        commit(count, t->handed != 0);
        if (idle_since_ != 0) {
            if (target(*t, 0)->RecvMonotonic > idle_since_ + Sampling::kQuiet) sampling_.quiet();
            idle_since_ = 0;
        }
        if (sampling_.due(count)) measure(*t, count);
        watch_for_flood(count);
        t->used += count;
        t->count = count;
        t->state = TK_TAKE_OK;
        return static_cast<std::int32_t>(count);
    }
    if (ended()) {
        reconcile();
        commit(0, false);
        t->state = TK_TAKE_ENDED;
        return 0;
    }
    if (now_.Cursor != before) commit(0, false);  // passed what it does not want
    t->state = TK_TAKE_EMPTY;
    if (head_seen_ <= kMaxHead) return 0;
    head_seen_ = 0;
    return damaged();
}

// Apart: one tick in 64 comes here when there are many.
[[gnu::cold, gnu::noinline]] void Reader::measure(const tk_take& t, std::uint32_t count) {
    const std::int64_t now = monotonic_ns();
    do {
        sampling_.add(now, target(t, sampling_.position(count))->RecvMonotonic);
    } while (sampling_.still_due());
}

// A flood that lasts is better taken in larger pieces. To look after each tick takes its line from the
// writer each time, and with more processes than processors it takes their time from the vendor's thread.
void Reader::watch_for_flood(std::uint32_t count) {
    since_mark_ += count;
    if (since_mark_ < kFloodTicks) return;
    const std::int64_t now = monotonic_ns();
    flood_ = now - mark_ < kFloodTime && log_->capacity >= kFloodTicks;
    mark_ = now;
    since_mark_ = 0;
}

bool Reader::should_rest(const tk_take& t) const {
    return flood_ && now_.Cursor >= head_seen_ && t.wait_mode != TK_WAIT_SPIN && t.timeout_ns != 0;
}

std::int32_t Reader::first_look(tk_take* t) {
    if (!should_rest(*t)) return poll(t);
    t->count = 0;
    t->state = TK_TAKE_AGAIN;
    return 0;
}

std::int32_t Reader::poll(tk_take* t) {
    const Busy busy(&busy_);
    if (const std::int32_t rc = usable(busy, *t); rc != TK_OK) return rc;
    const std::int32_t count = look(t);
    report(now_, skipped_, t);
    return count;
}

std::int32_t Reader::take(tk_take* t) {
    const Busy busy(&busy_);
    if (const std::int32_t rc = usable(busy, *t); rc != TK_OK) return rc;
    // Half of what fits is 146 years: the sum cannot overflow.
    const std::int64_t deadline = t->timeout_ns <= 0 ? 0 : monotonic_ns() + std::min(t->timeout_ns, INT64_MAX / 2);
    const bool resting = should_rest(*t);
    if (resting) rest(t->timeout_ns < 0 ? kRest : std::min(t->timeout_ns, kRest));
    std::int32_t count;
    for (;;) {
        count = look(t);
        if (count < 0) break;
        if (resting && t->count < kFloodFew) flood_ = false;
        if (t->state != TK_TAKE_EMPTY || t->timeout_ns == 0) break;
        if (interrupted_.load(std::memory_order_relaxed) && interrupted_.exchange(false)) {
            t->state = TK_TAKE_INTERRUPTED;
            break;
        }
        if (recalled_.load(std::memory_order_relaxed)) {
            t->state = TK_TAKE_RECALLED;
            break;
        }
        t->state = wait(*t, deadline);
        if (t->state == TK_TAKE_OK || (t->state == TK_TAKE_ORPHANED && something_new())) continue;
        if (t->state < 0) count = t->state;
        break;
    }
    report(now_, skipped_, t);
    return count;
}

std::int32_t Reader::spin(tk_take* t) {
    const Busy busy(&busy_);
    if (const std::int32_t rc = usable(busy, *t); rc != TK_OK) return rc;
    int looks = 0;
    while (looks < kSpinLooks && !something_new()) {
        cpu_relax();
        ++looks;
    }
    const bool closed = log_->header->Closed.load(std::memory_order_acquire) != 0;  // SYNC closed (acquire)
    if (looks == kSpinLooks && !closed && !retired()) {
        t->state = TK_TAKE_INTERRUPTED;
        if (interrupted_.load(std::memory_order_relaxed) && interrupted_.exchange(false)) return TK_LOOK;
        t->state = TK_TAKE_EMPTY;
        if (t->deadline_ns != INT64_MAX && monotonic_ns() >= t->deadline_ns) return TK_LOOK;
        t->state = TK_TAKE_AGAIN;
        if (++slices_ % kLookRound != 0) return 0;
        if (slices_ % kLookForOwner == 0) {
            if (passed_by()) return damaged();
            if (orphaned() && !something_new()) t->state = TK_TAKE_ORPHANED;
        }
        return TK_LOOK;
    }
    if (slices_ - idle_slices_ > kQuietSlices) sampling_.quiet();
    const std::int32_t count = look(t);
    idle_slices_ = slices_;
    report(now_, skipped_, t);
    if (count < 0) return count;
    return t->count != 0 ? static_cast<std::int32_t>(t->count) : t->state == TK_TAKE_EMPTY ? 0 : TK_LOOK;
}

// Head says that there is something at the cursor, and there is no stamp; or that the cursor stands where
// nobody has written. Neither comes from a writer: Head is stored behind the stamps, and never set back.
bool Reader::passed_by() {
    // SYNC head (acquire): partner is the release in Writer::finish(). Head first, the stamp after it.
    const std::uint64_t head = log_->header->Head.load(std::memory_order_acquire);
    return head + 1 < now_.Cursor || (head > now_.Cursor && !something_new());
}

std::int32_t Reader::damaged() const {
    return fail(TK_E_LAYOUT,
                "log '%.63s' is damaged: record %llu has no stamp, or there is none yet; another program has "
                "written into the file, or shortened it",
                log_->header->Name, static_cast<unsigned long long>(now_.Cursor));
}

// Nobody is left who could write or end the log.
bool Reader::orphaned() const { return !log_->owner_alive() && !log_->writer_alive(); }

std::int32_t Reader::wait(const tk_take& t, std::int64_t deadline) {
    const std::int64_t start = monotonic_ns();
    if (idle_since_ == 0) idle_since_ = start;
    std::int64_t left = deadline == 0 ? kSleepSlice : deadline - start;
    if (left <= 0) return TK_TAKE_EMPTY;
    if (t.wait_mode != TK_WAIT_BLOCK) {
        const std::int64_t spin = std::min(left, t.wait_mode == TK_WAIT_SPIN ? kSpinSlice : kAdaptiveSpin);
        do {
            for (int i = 0; i < 64; ++i) {
                if (something_new()) return TK_TAKE_OK;
                cpu_relax();
            }
        } while (monotonic_ns() - start < spin);
        if (t.wait_mode == TK_WAIT_SPIN) {
            if (log_->header->Closed.load(std::memory_order_acquire) != 0) return TK_TAKE_OK;  // SYNC closed (acquire)
            if (passed_by()) return damaged();
            if (orphaned()) return TK_TAKE_ORPHANED;
            return TK_TAKE_AGAIN;
        }
        if (deadline != 0) left -= spin;
        if (left <= 0) return TK_TAKE_OK;  // look once more, then the deadline says EMPTY
    }
    return sleep(std::min(left, kSleepSlice));
}

std::int32_t Reader::sleep(std::int64_t timeout_ns) {
    LogHeader& h = *log_->header;
    std::atomic<std::uint64_t>& sleepers = h.Sleepers[slot_index_ / 64];
    const std::uint64_t bit = 1ull << (slot_index_ % 64);
    // SYNC sleep (seq_cst, reader side): announced here, looked again below, asleep only then. Partners:
    // Writer::finish() publishes Head before it looks at Sleepers; end_log() stores Closed, and leave()
    // the place, before they look at Sleep. The barrier between the two on the writer's side is made
    // from here, where it is affordable.
    const std::uint32_t word = slot_->Sleep.fetch_or(1, std::memory_order_seq_cst) | 1;
    sleepers.fetch_or(bit, std::memory_order_seq_cst);  // SYNC sleep (seq_cst, reader side)
    std::atomic_thread_fence(std::memory_order_seq_cst);  // SYNC sleep (seq_cst, reader side)
    if (h.SleepBarrier.load() != 0 && !barrier_all()) {
        // This process may not: it cannot be sure to be woken, so it looks again soon by itself.
        timeout_ns = std::min(timeout_ns, kUnsureSleep);
    }
    int error = 0;
    const bool wrong = passed_by();
    // SYNC sleep (seq_cst, reader side): the second look.
    const bool news = wrong || something_new() || h.Head.load(std::memory_order_seq_cst) > now_.Cursor ||
                      h.Closed.load(std::memory_order_seq_cst) != 0 || retired() || interrupted_.load() || recalled_.load();
    if (!news) error = futex_wait(&slot_->Sleep, word, timeout_ns);
    // Awake: nothing is ordered by taking the announcement back, a late waker finds an even word.
    sleepers.fetch_and(~bit);
    std::uint32_t now = slot_->Sleep.load();
    while ((now & 1) != 0 && !slot_->Sleep.compare_exchange_weak(now, now + 1)) {
    }
    if (wrong) return damaged();
    if (error == EINTR) return TK_TAKE_AGAIN;
    if (error == ETIMEDOUT) {
        if (something_new() || h.Closed.load(std::memory_order_acquire) != 0) return TK_TAKE_OK;  // SYNC closed (acquire)
        if (orphaned()) return TK_TAKE_ORPHANED;
        // The whole time may be over or only a slice: the caller knows its deadline.
        return timeout_ns >= kSleepSlice ? TK_TAKE_AGAIN : TK_TAKE_OK;
    }
    return TK_TAKE_OK;
}

// ---- counters ----------------------------------------------------------------------------------

void Reader::report(const Progress& p, std::uint64_t skipped, tk_take* t) {
    t->skipped = skipped;
    t->received = p.Received;
    t->lost = p.Lost;
    t->lost_events = p.LostEvents;
    t->cursor = p.Cursor;
}

void Reader::counters(tk_take* t) {
    const Busy busy(&busy_);
    if (!busy) {  // another thread is taking: what it has committed
        Progress p;
        // SYNC progress (acquire): partner is the release in commit().
        const std::uint32_t which = slot_->Which.load(std::memory_order_acquire) & 1;
        copy_from_shared(&p, &slot_->Copies[which], sizeof p / 8);
        report(p, slot_->Skipped[which].load(std::memory_order_relaxed), t);
        return;
    }
    if (!something_new()) reconcile();
    report(now_, skipped_, t);
}

std::uint64_t Reader::waiting() {
    const auto beyond = [](std::uint64_t written, std::uint64_t expected) {
        return expected == kUnknown || written <= expected ? 0 : written - expected;
    };
    if (!queue_->filtered) {
        const std::uint64_t expected = queue_->filters[0].Expected.load(std::memory_order_relaxed);
        return beyond(log_->header->Ticks.load(std::memory_order_relaxed), expected);
    }
    std::uint64_t sum = 0;
    for_each_wanted([&](const InstrumentEntry& e, std::int32_t filter) {
        sum += beyond(e.Count.load(std::memory_order_relaxed),
                      queue_->filters[filter].Expected.load(std::memory_order_relaxed));
    });
    return sum;
}

}  // namespace tk
