// One thread at a time in what one process does alone. No other process can hold it, and what is done under it never waits.
#pragma once

#include <atomic>

#include "system.hpp"

namespace tk {

class Turn {
public:
    explicit Turn(std::atomic<bool>& taken) : taken_(taken) {
        // SYNC turn (acquire): partner is the release in the destructor; what the threads share is handed from
        // one to the next.
        while (taken_.exchange(true, std::memory_order_acquire)) cpu_relax();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    // SYNC turn (release): partner is the acquire in the constructor.
    ~Turn() { taken_.store(false, std::memory_order_release); }

private:
    std::atomic<bool>& taken_;
};

}  // namespace tk
