// The life of an API object: its thread, Init, Join, Release. The same for both libraries.
#pragma once

#include <condition_variable>
#include <mutex>
#include <new>
#include <thread>

#include "connection.hpp"
#include "faults.hpp"

namespace compat {

constexpr int kBadArgument = -4;  // not a code of the vendor, whose library crashes on a null pointer
constexpr int kUnsupported = -5;  // not a code of the vendor either

// No exception may pass into the host, which was built without knowing of any.
template <typename Request>
int without_exceptions(Request request) {
    try {
        return request();
    } catch (const std::bad_alloc&) {
        return kTooManyPending;
    }
}

// The base of an API object that is made by new.
class Life {
public:
    Life(Connection* connection, const Faults& faults) : connection_(*connection), faults_(faults) {}

    void init();
    int join();
    void release();

protected:
    ~Life() = default;

    // No callback begins after this.
    virtual void fall_silent() = 0;
    // delete this
    virtual void destroy() = 0;

private:
    void thread_main();
    void dismiss_joiners(std::unique_lock<std::mutex>* lock);

    Connection& connection_;
    const Faults& faults_;
    std::mutex life_;
    std::condition_variable life_changed_;
    std::thread thread_;
    bool released_ = false;
    bool released_inside_ = false;
    int joiners_ = 0;
};

// How long a connection may be silent and the like: as the version has it, but for what a fault says.
Habits with_faults(Habits habits, const Faults& faults);

}  // namespace compat
