// The one writer of a log: normalise, stamp, publish, wake.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "clock.hpp"
#include "instruments.hpp"
#include "judge.hpp"
#include "segment.hpp"
#include "vendor_abi.hpp"

namespace tk {

struct Event {
    std::uint32_t code = 0;
    std::int32_t reason = 0;
    std::int32_t error_id = 0;
    std::int64_t value = 0;
    const char* text = "";
    std::uint32_t text_length = 0;
    std::uint32_t text_encoding = 0;
};

class Writer {
public:
    explicit Writer(Log* log) : log_(log) {}
    std::int32_t open(bool new_epoch);
    void close();
    // Any thread; two at once are serialised by a spin lock that lives in this process only.
    void publish_tick(const DepthLayout& layout, const char* depth, const Stamp& stamp);
    void publish_event(const Event& event, const Stamp& stamp);
    // A record of 448 bytes that somebody else has made. What places it in the log is filled in.
    void publish_record(const char* record, const Stamp& stamp);
    // A tick of a recording, of the instrument at that place in the table: nothing is judged again.
    void publish_replayed(Record& r, std::uint32_t index, std::int64_t monotonic);
    // The instrument's place, see InstrumentIndex::enter().
    std::uint32_t enter_instrument(InstrumentEntry& wanted);
    Log& log() const { return *log_; }
    // From any thread. The old rules are freed after the turn, so the vendor's thread waits for a swap only.
    void set_rules(std::unique_ptr<Rules> rules);
    const Clock& clock() const { return *clock_; }
    std::uint32_t epoch() const { return epoch_; }

private:
    void recover();
    void remember_instruments();
    const Record* newest_of(std::uint32_t entry) const;
    void place_record(Record& r, std::uint32_t index);
    void mark_repeated(Record* slot, std::uint32_t index);
    void look_at_event(const Event& event);
    std::uint64_t begin(Record** slot);
    void finish(std::uint64_t sequence, std::uint64_t ticks, std::uint64_t events,
                const std::atomic<std::uint64_t>* want);
    void save_before_overwritten(std::uint64_t head);
    void save(const Record* old, std::uint32_t index);
    void wake_sleepers(const std::atomic<std::uint64_t>* want);

    Log* log_;
    Clock* clock_ = &process_clock();
    std::atomic<bool> turn_{false};  // the vendor calls back from two threads now and then, rarely at the same time
    bool own_barrier_ = true;  // no barrier from those who go to sleep: see finish()
    std::uint64_t head_ = 0, ticks_ = 0, events_ = 0;
    std::uint32_t epoch_ = 0;
    Judge judge_;
    std::uint32_t flags_ = 0;  // of the tick being published: who skips it is not woken for it
    InstrumentIndex index_;
    struct Private {  // per instrument, ours alone
        TickState state;  // in a primary's place
        std::uint64_t count = 0;  // in a primary's place
        char ids[kTextWords * 8] = {};
        std::uint32_t primary = 0;  // as in the shared entry, which others could write to
        bool known = false;
    };
    std::vector<Private> private_;
    Private overflow_;  // scratch for instruments beyond the table
};

}  // namespace tk
