// What a reader that was killed left in its hands: where its successor goes on.
#include <algorithm>
#include <vector>

#include "copy.hpp"
#include "reader.hpp"

namespace tk {

// A predecessor may have died with records of its last batch in hand, which the program was never
// given, or within a take, when Expected had moved on but the progress was not committed. Go back to the
// first record of either kind that is still there. What had been overwritten by then is lost, and how
// many those are follows from the sums that hold outside a take (see ReaderSlot). Nothing is committed
// here: a successor killed now leaves a state that the next one treats in the same way.
void Reader::resume() {
    const std::uint64_t in_hand = tk::in_hand(now_, slot_->Handed.load());
    const bool committed = numbered() == now_.Received + now_.Lost + skipped_ &&
                           slot_->ExpectedEvent.load() - slot_->FirstEvent.load() == now_.Events + now_.LostEvents;
    if (in_hand == 0 && committed) return;
    struct Seen {
        std::uint64_t sequence, number;
        std::int32_t filter;
        bool event, skipped;
    };
    std::vector<Seen> seen;
    // SYNC head (acquire): partner is the release in Writer::finish().
    const std::uint64_t head = log_->header->Head.load(std::memory_order_acquire);
    // A reader is at most one ahead of Head, with a record that is stamped and not yet counted. A cursor beyond
    // that is no reader's: the search stays within the ring all the same.
    const std::uint64_t end = std::min(committed ? now_.Cursor : std::max(head, now_.Cursor), head + 1);
    for (std::uint64_t s = std::max(now_.BatchFirst, log_->oldest(head)); s < end; ++s) {
        const Record* r = log_->slot(s);
        const std::int32_t filter = filter_of(r);
        if (filter == kUnwanted) continue;
        const std::uint64_t word = load_word(&r->Instrument);  // Instrument, Flags, Kind
        const bool event = static_cast<std::uint8_t>(word >> 48) != kTick;
        const bool skipped = !event && (static_cast<std::uint16_t>(word >> 32) & skip_) != 0;
        if (!event && queue_->filtered && static_cast<std::uint32_t>(word) == kNoInstrument) {
            seen.push_back({s, kUnknown, filter, false, skipped});
            continue;
        }
        // An event's number stands where a tick's InstrumentNumber does.
        seen.push_back({s, load_word(event || queue_->filtered ? &r->InstrumentNumber : &r->TickNumber), filter, event, skipped});
    }
    std::atomic_thread_fence(std::memory_order_acquire);  // SYNC overwrite (acquire fence)
    const std::uint64_t oldest = log_->oldest(log_->header->Head.load(std::memory_order_relaxed));
    seen.erase(seen.begin(), std::find_if(seen.begin(), seen.end(), [&](const Seen& x) { return x.sequence >= oldest; }));

    const auto cursor = std::find_if(seen.begin(), seen.end(), [&](const Seen& x) { return x.sequence >= now_.Cursor; });
    std::uint64_t there = 0;  // of those in hand; what was skipped between them is counted again
    auto from = cursor;
    while (from != seen.begin() && there < in_hand) there += (--from)->skipped ? 0 : 1;
    for (auto x = from; x != seen.end(); ++x) {
        if (x < cursor) --(x->skipped ? skipped_ : x->event ? now_.Events : now_.Received);
        std::atomic<std::uint64_t>& place = expected(x->filter, x->event);
        if (x->number < place.load(std::memory_order_relaxed)) place.store(x->number, std::memory_order_relaxed);
    }
    if (from != cursor) now_.Cursor = from->sequence;
    // Those in hand that are gone were ticks, as far as that can be; whether one was an event is gone too.
    const std::uint64_t gone = in_hand - there, ticks = std::min(gone, now_.Received);
    now_.Received -= ticks;
    now_.Events -= std::min(gone - ticks, now_.Events);
    const auto less = [](std::uint64_t a, std::uint64_t b) { return a < b ? 0 : a - b; };
    if (queue_->filtered && log_->header->InstrumentOverflow.load(std::memory_order_relaxed) != 0) {
        now_.Lost += ticks;  // ticks beyond the table have no numbers: the sum says nothing
    } else {
        now_.Lost = less(numbered(), now_.Received + skipped_);
    }
    if (events_) now_.LostEvents = less(slot_->ExpectedEvent.load() - slot_->FirstEvent.load(), now_.Events);
}

// Ticks dealt with since the start, as Expected has it.
std::uint64_t Reader::numbered() const {
    std::uint64_t sum = 0;
    for (std::uint32_t f = 0; f < queue_->filter_count; ++f) sum += queue_->filters[f].Expected.load(std::memory_order_relaxed);
    return sum - slot_->FirstNumbers.load(std::memory_order_relaxed);
}

}  // namespace tk
