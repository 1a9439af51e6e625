// Reader slots: given to queues, listed for the status, taken back.
#pragma once

#include <cstdint>

#include "segment.hpp"
#include "tickshim.h"

namespace tk {

// Gives the queue a reader slot in the log and fixes where it starts.
std::int32_t bind_queue(Queue* queue, Log* log, const char* log_path);
// Marks the queue closed and gives its place back; a reader elsewhere that has it is told and frees it.
// `mapped`: its log where that is mapped already, else it is attached for the moment.
void retire_queue(Queue* queue, Log* mapped = nullptr);

// Where a queue stands: one consistent reading. log_id is 0 while it is not bound.
struct Binding {
    std::uint32_t version = 0;
    std::uint32_t slot = 0, generation = 0;
    std::uint64_t log_id = 0;
    alignas(8) char path[sizeof QueueHeader::LogPath] = {};
};
Binding read_binding(const QueueHeader& q);

// A place whose queue has been closed becomes free.
void free_retired(ReaderSlot* slot, std::uint32_t generation);
// Wakes the slot's reader if it sleeps, or is about to; true if it did.
bool wake_reader(ReaderSlot* slot);
std::uint32_t list_readers(const Log& log, tk_reader_info* out, std::uint32_t max);
// The newest tick of an instrument, from the ring or from the saved table.
std::int32_t read_latest(const Log& log, const char* instrument_id, Record* out);
// The newest tick of each instrument, in the order of their first ticks.
std::int32_t read_snapshot(const Log& log, Record* out, std::uint32_t max, std::uint32_t* count);
// The same for the entries of the instrument table from `first` on: each one's first words, Stamp 0 for none.
std::uint32_t read_latest_all(const Log& log, std::uint32_t first, std::uint32_t count, tk_latest* out);
std::int32_t read_latency(const Log& log, std::uint32_t slot, std::uint32_t generation, tk_latency* out);
// Whole records of [start, start + count) that are still there, oldest first.
std::uint64_t read_range(const Log& log, std::uint64_t start, std::uint64_t count, Record* out,
                         std::uint64_t* first);
// How the session stands, in words: under a sequence lock, one writer at a time.
std::int32_t set_status(Log* log, const char* text, std::uint32_t length);
std::int32_t get_status(const Log& log, char* out, std::uint32_t size);
// Nothing more will come: every reader wakes, drains and sees the end.
void end_log(Log* log);

}  // namespace tk
