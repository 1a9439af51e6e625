// Reader slots: given to queues, listed for the status, taken back.
#pragma once

#include <cstdint>

#include "segment.hpp"
#include "tickshim.h"

namespace tk {

// Gives the queue a reader slot in the log and fixes where it starts.
std::int32_t bind_queue(Queue* queue, Log* log, const char* log_path);
// Frees the slot (log may be null) and marks the queue closed.
void retire_queue(Queue* queue, Log* log);
std::uint32_t list_readers(const Log& log, tk_reader_info* out, std::uint32_t max);
// The newest tick of an instrument, from the ring or from the saved table.
std::int32_t read_latest(const Log& log, const char* instrument_id, Record* out);
// Whole records of [start, start + count) that are still there, oldest first.
std::uint64_t read_range(const Log& log, std::uint64_t start, std::uint64_t count, Record* out,
                         std::uint64_t* first);
// How the session stands, in words: under a sequence lock, one writer at a time.
std::int32_t set_status(Log* log, const char* text, std::uint32_t length);
std::int32_t get_status(const Log& log, char* out, std::uint32_t size);
// Nothing more will come: every reader wakes, drains and sees the end.
void end_log(Log* log);

}  // namespace tk
