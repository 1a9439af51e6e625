// The line to the front: connects, keeps alive, reconnects for ever, and feeds the dispatcher.
//
// One thread owns the socket and calls the host. Other threads only append to a byte string and wake it, so
// there is no lock around a callback and no second user of the descriptor to close it under a write.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "address.hpp"
#include "ftd.hpp"

namespace compat {

constexpr int kNotConnected = -1;    // the vendor's code
constexpr std::uint16_t kCountedSeries = 5;  // 1 to 4 are numbered
constexpr int kTooManyPending = -2;  // the vendor's code, here for bytes that wait for a front that does not read

// What differs between the vendor's versions, and what a fault changes.
struct Habits {
    std::chrono::seconds silence_limit{121};
    std::chrono::milliseconds reconnect_delay{1};
    bool warns_of_silence = false;  // half way to the limit
};
constexpr Habits kHabitsSince679{std::chrono::seconds(121), std::chrono::milliseconds(1000), true};

// Who hears of it all, on the connection's thread.
class Receiver {
public:
    // Around the life of the thread. `mark_thread` is to be run on every further thread that calls the host, so
    // that on_own_thread() knows it.
    virtual void begin(const std::function<void()>& mark_thread) = 0;
    virtual void end() = 0;

    virtual void connected() = 0;
    virtual void disconnected(int reason) = 0;
    virtual void silence_warning(int lapse_s) = 0;
    virtual void message(const Message& m) = 0;

    // The bytes at hand are used up; the next message may be long in coming.
    virtual void end_of_batch() = 0;

    // True when nothing more of this connection will be listened to.
    virtual bool deaf() const = 0;

protected:
    ~Receiver() = default;
};

class Connection {
public:
    using Clock = std::chrono::steady_clock;

    // Throws std::system_error when the kernel gives no event descriptor.
    Connection(Receiver* receiver, const Habits& habits);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Any thread, before or after run() has begun. An address that cannot be used is left out.
    void add_front(const char* address);

    // Any thread. 0 when the packets will be sent by the current connection. `series`, if it is not 0: number
    // the one packet in this series of the connection.
    int send(Bytes packets, std::uint16_t series = 0);

    // Any thread.
    bool connected();

    // Body of the connection's thread; returns after stop().
    void run();
    void stop();

    // Any thread, for a fault: ends the current connection as if the front had closed it.
    void cut();

    // True on run()'s thread and on the helper thread of a fault.
    bool on_own_thread() const;

private:
    enum class Flush { kDone, kBlocked, kBroken };

    int connect_any();
    int serve(int fd);
    Flush flush(int fd);
    void pause(std::chrono::milliseconds time);
    void wake();
    void drain_wake();

    bool stopping() const { return stop_.load(std::memory_order_relaxed); }

    Receiver* const receiver_;
    const Habits habits_;
    const int wake_fd_;
    std::atomic<bool> stop_{false};
    std::atomic<bool> cut_{false};
    Parser parser_;
    Clock::time_point last_sent_;
    std::size_t first_ = 0;  // front to look at first

    std::mutex mutex_;  // guards all below
    std::vector<Address> fronts_;
    bool connected_ = false;
    Bytes pending_;
    std::size_t pending_at_ = 0;
    std::uint32_t last_number_[kCountedSeries] = {};
};

}  // namespace compat
