// From wire messages to the host's callbacks, each message of a flow once and in order.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "connection.hpp"
#include "days.hpp"
#include "faults.hpp"
#include "flow.hpp"
#include "messages.hpp"
#include "structs.hpp"

namespace compat::trader {

// THOST_TE_RESUME_TYPE
enum Resume { kRestart = 0, kResume = 1, kQuick = 2 };

// The functions of Receiver are called by the connection's thread, the others by any.
class Dispatcher final : public Receiver {
public:
    // `flow_prefix`: what the names of the flow files begin with. Throws std::system_error when they cannot be made.
    Dispatcher(Version version, const std::string& flow_prefix, const Faults& faults);

    // As the market-data Dispatcher does. `spi` begins with the host's vtable.
    // SYNC spi (release): the host's object is complete before the pointer is seen. Partner: spi().
    void set_spi(void* spi) { spi_.store(spi, std::memory_order_release); }

    // Before the thread begins. `series`: private or public.
    void subscribe(std::uint16_t series, Resume mode);

    // What a login says of the flows: 1001 fields {series, number}.
    struct Wanted {
        std::uint16_t series;
        std::uint32_t number;
    };
    std::vector<Wanted> wanted();

    // True for a query that may be sent: it is open from now on. False with the vendor's code otherwise.
    bool open_query(int* code);
    // It was not sent after all.
    void forget_query();

    const char* trading_day() { return day_.get(); }

    void begin(const std::function<void()>& mark_thread) override;
    void end() override {}
    void connected() override;
    void disconnected(int reason) override;
    void silence_warning(int lapse_s) override;
    void message(const Message& m) override;
    void end_of_batch() override {}
    bool deaf() const override { return deaf_; }

private:
    struct Way {
        Layout layout;
        int slot;
    };
    // Series 2 and 3.
    struct Flow {
        FlowFile file;
        bool subscribed = false;
        Resume mode = kRestart;
    };

    // SYNC spi (acquire): pairs with set_spi(); without it a callback could enter a half-built host object.
    void* spi() const { return spi_.load(std::memory_order_acquire); }

    // These say whether the host has heard it: false once there is no spi any more.
    template <typename... Parameters, typename... Arguments>
    bool call(int slot, Arguments... arguments);
    bool deliver(const Answer& answer, const Way& way, const Message& m);
    bool dispatch(const Message& m);
    bool login_answer(const Message& m);
    bool error_answer(const Message& m);
    bool flow_notice(const Message& m);
    void poison(char* data, std::size_t size) const;

    bool counted(std::uint16_t series) const;
    bool in_sequence(const Message& m) const;
    void taken(std::uint16_t series, std::uint32_t number);
    void new_day(const char (&day)[9]);

    const std::string flow_prefix_;
    const Faults faults_;
    const Layout info_layout_;
    std::vector<Way> ways_;
    const int front_connected_, front_disconnected_, heartbeat_warning_, rsp_error_, private_seq_no_;
    std::atomic<void*> spi_{nullptr};
    bool deaf_ = false;

    // Guards what a request looks at too.
    std::mutex mutex_;
    std::uint32_t last_[kCountedSeries] = {};  // the number last taken
    Flow flows_[kCountedSeries];
    bool query_open_ = false;
    long query_second_ = -1;

    FlowFile dialog_file_, query_file_, day_file_;
    std::uint16_t day_number_ = 0;
    TradingDay day_;

    alignas(8) char data_[kMaxStruct];
    alignas(8) char info_[kMaxStruct];
};

}  // namespace compat::trader
