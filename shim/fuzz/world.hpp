// The world that the segment code runs in while it is fuzzed: files in a directory of this process, time that
// runs by itself, and mappings with nothing mapped around them.
#pragma once

#include <string>

namespace fuzz {

// A directory of this process, gone at its end. run.sh removes what a crash leaves behind.
const std::string& directory();

// While one lives, in its thread:
// - each look at the clock finds it 20 ms on, and a futex wait is over at once: a wait that is bounded by time
//   ends after a few looks, one that is not bounded shows as a hang;
// - a file that is mapped has 64 MiB of nothing before and behind it, so that an index that leads outside is
//   a crash and not somebody else's memory;
// - of processes only this one is found in /proc.
class World {
public:
    World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;
    ~World();
};

}  // namespace fuzz
