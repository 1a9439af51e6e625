// From wire messages to the host's callbacks.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "abi.hpp"
#include "connection.hpp"
#include "convert.hpp"
#include "days.hpp"
#include "delivery.hpp"
#include "faults.hpp"
#include "merge.hpp"

namespace compat {

// Everything but set_spi(), trading_day() and freed_in_request() is called by the connection's thread only.
class Dispatcher final : public Receiver {
public:
    explicit Dispatcher(const Faults& faults);

    // A null spi silences everything that has not started yet; it does not wait for a callback in progress.
    // SYNC spi (release): the host's object is complete before the pointer is seen. Partner: spi().
    void set_spi(MdSpi* spi) { spi_.store(spi, std::memory_order_release); }

    void begin(const std::function<void()>& mark_thread) override;
    void end() override;

    void connected() override;
    void disconnected(int reason) override;
    void silence_warning(int lapse_s) override;
    void message(const Message& m) override;

    void end_of_batch() override {
        if (faulty_) faulty_->end_of_batch();
    }

    // After a wrong number in a counted series.
    bool deaf() const override { return deaf_; }

    // Any thread, in the request named by the fault "freed-in".
    FreedInRequest& freed_in_request() { return freed_in_request_; }

    // Valid for the life of this object. "19800100" before the first good login.
    const char* trading_day() { return day_.get(); }

private:
    // SYNC spi (acquire): pairs with set_spi(); without it a callback could enter a half-built host object.
    MdSpi* spi() const { return spi_.load(std::memory_order_acquire); }

    bool in_sequence(const Message& m);
    void login_answer(const Message& m);
    void error_answer(const Message& m);
    template <typename T>
    void answer(const Message& m, std::uint16_t field_id, void (MdSpi::*call)(T*, RspInfo*, int, bool),
                bool null_everything = false);
    void full_ticks(const Message& m);
    void quotes(const Message& m);
    void deliver(const std::uint8_t* wire_tick);

    const Faults faults_;
    const ConvertOptions options_;
    std::atomic<MdSpi*> spi_{nullptr};
    std::unique_ptr<FaultyDelivery> faulty_;
    FreedInRequest freed_in_request_;
    LastTicks last_ticks_;
    DepthMarketData tick_;

    // Series 1 (dialog) and 4 (query) are counted. After a wrong number the vendor's library keeps the
    // connection but ignores the rest of it without a word, and so do we.
    std::uint32_t last_seq_[5] = {};
    bool deaf_ = false;

    TradingDay day_;
};

}  // namespace compat
