// The line to the front: connects, keeps alive, reconnects for ever, and feeds the dispatcher.
//
// One thread owns the socket and calls the host. Other threads only append to a byte string and wake it, so
// there is no lock around a callback and no second user of the descriptor to close it under a write.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <vector>

#include "address.hpp"
#include "dispatch.hpp"
#include "faults.hpp"
#include "ftd.hpp"

namespace compat {

constexpr int kNotConnected = -1;    // the vendor's code
constexpr int kTooManyPending = -2;  // the vendor's code, here for bytes that wait for a front that does not read

class Connection {
public:
    using Clock = std::chrono::steady_clock;

    // Throws std::system_error when the kernel gives no event descriptor.
    Connection(Dispatcher* dispatcher, const Faults& faults);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Any thread, before or after run() has begun. An address that cannot be used is left out.
    void add_front(const char* address);

    // Any thread. 0 when the packets will be sent by the current connection. `dialog`: number the packet in
    // series 1 of this connection.
    int send(Bytes packets, bool dialog = false);

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

    Dispatcher* const dispatcher_;
    const std::chrono::seconds silence_limit_;
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
    std::uint32_t dialog_seq_ = 0;
};

}  // namespace compat
