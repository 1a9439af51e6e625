#include "replay.hpp"

#include <algorithm>
#include <cstring>

#include "copy.hpp"
#include "errors.hpp"
#include "places.hpp"
#include "system.hpp"

namespace tk {
namespace {

constexpr std::uint64_t kSlice = 1024;      // records between looks at the readers
constexpr std::int64_t kLook = 50000;       // between looks while there is no room
constexpr std::int64_t kNudge = 1000000;    // so long without room: the slowest may be asleep over what it does not want

template <std::size_t N>
bool take_text(char (&to)[N], const char* from) {
    const std::size_t length = strnlen(from, N);
    if (length == N) return false;
    std::memcpy(to, from, length);
    return true;
}

template <std::size_t N>
bool ends(const char (&text)[N]) {
    return text[N - 1] == '\0';
}

// Why this record cannot be published as a tick of that instrument; nullptr: it can.
const char* wrong_with(const Record& r, std::uint32_t entry, const Log& log) {
    if (r.Kind != kTick) return "is no tick";
    if (!ends(r.TradingDay) || !ends(r.ActionDay) || !ends(r.UpdateTime) || !ends(r.ExchangeID) || !ends(r.InstrumentID))
        return "has a text without an end";
    if (entry == kNoInstrument) return nullptr;
    if (entry >= log.instrument_count()) return "names an instrument that is not in the log";
    const InstrumentEntry& e = log.instruments[entry];
    // As the instrument table has them, zeros behind the NUL too: readers go by the index, people by the text.
    if (std::memcmp(r.InstrumentID, e.InstrumentID, sizeof r.InstrumentID) != 0 ||
        std::memcmp(r.ExchangeID, e.ExchangeID, sizeof r.ExchangeID) != 0)
        return "has another InstrumentID or ExchangeID than its instrument";
    return nullptr;
}

// The queues that a replay waits for.
class Readers {
public:
    Readers(const Log& log, const std::uint64_t (&owned)[4]) : log_(log), owned_(owned) {}

    // How many records can be written before the first one is overwritten that one of them has not taken.
    std::uint64_t room() {
        const std::uint64_t head = log_.header->Head.load(std::memory_order_relaxed);  // our own
        std::uint64_t least = log_.capacity;
        slowest_ = -1;
        for (std::uint32_t i = 0; i < kMaxReaders; ++i) {
            const ReaderSlot& s = log_.readers[i];
            if (place_state(s.Place.load(std::memory_order_acquire)) != kTaken) continue;  // SYNC place (acquire)
            const std::uint64_t reader = s.ReaderProcess.load(std::memory_order_relaxed);
            const bool owned = (owned_[i / 64] >> (i % 64) & 1) != 0;
            if (!owned && (reader == 0 || reader == dead_)) continue;
            // SYNC progress (acquire): partner is the release in Reader::commit(). One word of a copy that may be
            // changing: whichever it is, what lies before it has been taken.
            const std::uint32_t which = s.Which.load(std::memory_order_acquire) & 1;
            const std::uint64_t lag = head - std::min(head, load_word(&s.Copies[which].Cursor));
            const std::uint64_t left = log_.capacity - 1 - std::min(log_.capacity - 1, lag);
            if (left >= least) continue;
            if (left == 0 && !owned && !process_alive(reader)) {
                dead_ = reader;
                continue;
            }
            least = left;
            slowest_ = static_cast<std::int32_t>(i);
        }
        return least;
    }

    // Waits for room; 0 when the time is over.
    std::uint64_t wait(std::int64_t deadline) {
        std::int64_t nudge = monotonic_ns() + kNudge;
        for (;;) {
            const std::uint64_t found = room();
            const std::int64_t now = monotonic_ns();
            if (found != 0 || now >= deadline) return found;
            if (now >= nudge) {
                wake_reader(&log_.readers[slowest_]);
                nudge = now + kNudge;
            }
            rest(kLook);
        }
    }

    std::int32_t slowest() const { return slowest_; }

private:
    const Log& log_;
    const std::uint64_t (&owned_)[4];
    std::uint64_t dead_ = 0;  // identity of a reader that is no more
    std::int32_t slowest_ = -1;
};

}  // namespace

std::int32_t enter_instrument(Writer& writer, const char* instrument_id, const char* exchange_inst_id,
                              const char* exchange_id, std::uint32_t* index) {
    InstrumentEntry wanted{};
    if (instrument_id[0] == '\0' || !take_text(wanted.InstrumentID, instrument_id) ||
        !take_text(wanted.ExchangeInstID, exchange_inst_id) || !take_text(wanted.ExchangeID, exchange_id))
        return fail(TK_E_ARG, "instrument '%.100s': ids have 1 to 80 characters, an ExchangeID at most 8", instrument_id);
    *index = writer.enter_instrument(wanted);
    return TK_OK;
}

std::int32_t replay(Writer& writer, tk_replay* t) {
    Log& log = writer.log();
    const auto* records = static_cast<const char*>(t->records);
    Record r;  // the caller's need not be aligned
    Readers readers(log, t->owned);
    std::uint64_t room = t->lossless != 0 ? 0 : t->count;
    t->done = 0;
    t->slowest = -1;
    for (; t->done < t->count; ++t->done) {
        const std::uint64_t i = t->done;
        std::memcpy(static_cast<void*>(&r), records + i * kRecordSize, kRecordSize);
        if (const char* wrong = wrong_with(r, t->entries[i], log))
            return fail(TK_E_ARG, "record %llu %s", static_cast<unsigned long long>(i), wrong);
        if (t->due_ns != nullptr) wait_until(t->due_ns[i]);
        if (room == 0) {
            room = std::min(readers.wait(t->deadline_ns), kSlice);
            t->slowest = readers.slowest();
            if (room == 0) return TK_OK;
        }
        --room;
        writer.publish_replayed(r, t->entries[i], writer.clock().now().monotonic);
    }
    t->slowest = -1;
    return TK_OK;
}

}  // namespace tk
