// A queue's side of the log: claim a place, read, count what was lost, sleep and be woken.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "latency.hpp"
#include "segment.hpp"
#include "tickshim.h"

namespace tk {

class Reader {
public:
    Reader(Queue* queue, Log* log) : queue_(queue), log_(log) {}
    std::int32_t open();
    // Waits until another thread has left its call, which it is made to do.
    void close();
    // Ends the wait that is under way, or the next one. From any thread.
    void interrupt();
    // The same for the thread of a Bell, which waits in the program's place: its take() says RECALLED.
    void recall();
    void forget_recall() { recalled_.store(false); }
    // Each returns the number of records taken or an error; see tickshim.h.
    std::int32_t take(tk_take* t);
    std::int32_t first_look(tk_take* t);
    std::int32_t poll(tk_take* t);
    std::int32_t spin(tk_take* t);
    void counters(tk_take* t);
    std::uint64_t waiting();
    std::uint64_t* handed() { return reinterpret_cast<std::uint64_t*>(&slot_->Handed); }

private:
    static constexpr std::int32_t kUnwanted = -1;
    static constexpr std::int32_t kNotLookedAt = -2;
    static constexpr std::uint32_t kChunk = 64;

    bool something_new();
    bool overtaken();
    class Busy;
    std::int32_t usable(const Busy& busy, const tk_take& t) const;
    std::int32_t look(tk_take* t);
    std::uint32_t collect(tk_take* t);
    bool all_in_order(const tk_take& t, std::uint32_t from, std::uint32_t copied);
    std::uint32_t account(tk_take* t, std::uint32_t from, std::uint32_t copied, const std::int32_t* filters);
    bool keep(const Record& r, std::int32_t filter);
    std::int32_t filter_of(const Record* shared);
    std::int32_t filter_of_index(std::uint32_t index);
    std::int32_t filter_of_name(const char* instrument_id) const;
    template <typename F>
    void for_each_wanted(F&& body);
    void overrun(std::uint64_t head);
    void resume();
    std::uint64_t numbered() const;
    void lose_up_to(std::uint64_t written, std::atomic<std::uint64_t>* place, std::uint64_t* lost);
    std::atomic<std::uint64_t>& expected(std::int32_t filter, bool event);
    std::uint64_t number_of(const Record& r) const;
    bool still_bound() const;
    void reconcile();
    void commit(std::uint32_t count, bool handed);
    void watch_for_flood(std::uint32_t count);
    void measure(const tk_take& t, std::uint32_t count);
    bool should_rest(const tk_take& t) const;
    bool ended();
    void leave();
    bool retired() const;
    std::int32_t wait(const tk_take& t, std::int64_t deadline);
    bool orphaned() const;
    bool passed_by();
    std::int32_t damaged() const;
    std::int32_t sleep(std::int64_t timeout_ns);
    static void report(const Progress& p, std::uint64_t skipped, tk_take* t);

    Queue* queue_;
    Log* log_;
    ReaderSlot* slot_ = nullptr;
    std::uint32_t slot_index_ = 0;
    std::uint64_t place_ = 0;  // the slot's Place while it is this queue's
    std::uint32_t which_ = 0;
    bool events_ = false;
    std::uint32_t skip_ = 0;
    Progress now_{};
    std::uint64_t skipped_ = 0;  // belongs to now_
    std::uint64_t head_seen_ = 0;
    std::uint64_t batch_first_ = 0;
    std::uint32_t slices_ = 0;  // of spin()
    bool flood_ = false;
    std::uint32_t since_mark_ = 0;  // ticks taken since mark_
    std::int64_t mark_ = 0;         // CLOCK_MONOTONIC
    Sampling sampling_;
    std::int64_t idle_since_ = 0;      // CLOCK_MONOTONIC of the first wait since something was taken, 0 none
    std::uint32_t idle_slices_ = 0;    // the same for spin(): its slices_ then
    std::vector<std::int32_t> wanted_;  // by instrument index: filter, kUnwanted or kNotLookedAt
    std::atomic<bool> busy_{false};
    std::atomic<bool> closing_{false};
    std::atomic<bool> interrupted_{false};
    std::atomic<bool> recalled_{false};
    // Where interrupt() wakes: kept when the place is given back, as that may be in another thread just now.
    std::atomic<ReaderSlot*> bed_{nullptr};
};

}  // namespace tk
