// The command ring: orders and actions on their way from a strategy's process to the one that sends them.
// One putter, one taker; a segment of the putter's in /dev/shm. See trade_layout.hpp.
#pragma once

#include <cstdint>
#include <string>

#include "segment.hpp"
#include "tickshim.h"
#include "trade_layout.hpp"

namespace tk {

class Ring {
public:
    // Made by the process that puts; TK_E_EXISTS when there is one of that name.
    std::int32_t create(const char* path, std::uint64_t capacity);
    std::int32_t attach(const char* path);

    // TK_E_FULL at once when the taker is that far behind.
    std::int32_t put(std::uint32_t kind, std::uint64_t client_id, const char* payload, std::uint32_t size);

    // Become the taker: TK_E_BUSY while another one lives. What a dead one has not done is still there.
    std::int32_t take_over();
    void give_up();
    // The oldest command that is not done, nullptr: none yet. It stays until done().
    const RingCommand* next() const;
    void done();
    // Returns when there may be a command, somebody has called wake(), or the time is over.
    void wait(std::int32_t wait_mode, std::int64_t timeout_ns);
    void wake();

    const RingHeader& header() const { return *header_; }
    std::uint64_t waiting() const;
    const std::string& path() const { return path_; }

private:
    RingCommand* slot(std::uint64_t number) const { return commands_ + (number & (capacity_ - 1)); }

    std::string path_;
    Mapping mapping_;
    RingHeader* header_ = nullptr;
    std::uint64_t capacity_ = 0;  // as it was checked: the header is shared
    RingCommand* commands_ = nullptr;
    std::uint64_t taken_ = 0;
    std::uint32_t put_on_ = 0;  // the CPU of the command that was done last, + 1
};

}  // namespace tk
