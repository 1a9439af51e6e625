// The trading day that an API object knows.
#pragma once

#include <cstring>
#include <mutex>
#include <set>
#include <string>

namespace compat {

// Days are kept, not overwritten: the host may still hold the pointer that GetTradingDay() gave it.
class TradingDay {
public:
    void set(const char (&day)[9]) {
        const std::string text(day, ::strnlen(day, sizeof day - 1));
        std::lock_guard<std::mutex> lock(mutex_);
        if (days_.size() < kMaxDays || days_.count(text)) day_ = days_.insert(text).first->c_str();
    }

    // Any thread. Valid for the life of this object; "19800100" before the first day is known.
    const char* get() {
        std::lock_guard<std::mutex> lock(mutex_);
        return day_;
    }

private:
    // A front may name any day it likes in every login answer; the pointers handed out must stay valid, so the
    // collection is bounded and the last day stays when it is full.
    static constexpr std::size_t kMaxDays = 4096;

    std::mutex mutex_;
    std::set<std::string> days_;
    const char* day_ = "19800100";
};

}  // namespace compat
