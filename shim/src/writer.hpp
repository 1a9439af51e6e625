// The one writer of a log: normalise, stamp, publish, wake.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "clock.hpp"
#include "exchange_time.hpp"
#include "instruments.hpp"
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
    const Clock& clock() const { return *clock_; }
    std::uint32_t epoch() const { return epoch_; }

private:
    class Turn;
    void recover();
    std::uint64_t begin(Record** slot);
    void finish(std::uint64_t sequence, std::uint64_t ticks, std::uint64_t events,
                const std::atomic<std::uint64_t>* want);
    void save_before_overwritten(std::uint64_t sequence);
    void wake_sleepers(const std::atomic<std::uint64_t>* want);

    Log* log_;
    Clock* clock_ = &process_clock();
    std::atomic<bool> locked_{false};
    std::uint64_t head_ = 0, ticks_ = 0, events_ = 0;
    std::uint32_t epoch_ = 0;
    ExchangeClock exchange_clock_;
    InstrumentIndex index_;
    struct Private {  // per instrument, ours alone
        char ids[kTextWords * 8];
        std::uint64_t count;  // in a primary's place
        bool known;
    };
    std::vector<Private> private_;
    Private overflow_{};  // scratch for instruments beyond the table
};

}  // namespace tk
