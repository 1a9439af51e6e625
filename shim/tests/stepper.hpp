// A child process run one instruction at a time. What a SIGKILL can leave behind is exactly a state
// between two of its instructions, so a test can look at every one of them instead of hoping to hit it.
#pragma once

#include <sys/ptrace.h>

#include "fixture.hpp"

namespace fixture {

class Stepper {
public:
    // `body` runs in the child, step by step. Anything slow belongs in `prepare`.
    Stepper(const std::function<void()>& prepare, const std::function<void()>& body) {
        child_ = fork_child([&] {
            prepare();
            if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(7);
            raise(SIGSTOP);
            body();
        });
        status_ = wait_child(child_);
        if (!WIFSTOPPED(status_)) {
            child_ = -1;
            throw check::Skip{"ptrace is not allowed here"};
        }
    }
    Stepper(const Stepper&) = delete;
    Stepper& operator=(const Stepper&) = delete;
    ~Stepper() { kill(); }

    // One instruction; false when the child has ended.
    bool step() {
        if (ptrace(PTRACE_SINGLESTEP, child_, nullptr, nullptr) != 0) return false;
        status_ = wait_child(child_);
        ++steps_;
        if (WIFSTOPPED(status_)) return true;
        child_ = -1;
        return false;
    }
    // Steps until one of the watched bytes has changed.
    bool step_to_change(const std::vector<std::pair<const char*, std::size_t>>& watched) {
        std::vector<std::vector<char>> before;
        for (const auto& w : watched) before.emplace_back(w.first, w.first + w.second);
        while (step())
            for (std::size_t i = 0; i < watched.size(); ++i)
                if (std::memcmp(before[i].data(), watched[i].first, watched[i].second) != 0) return true;
        return false;
    }
    // At full speed until it stops itself; false when it ends instead.
    bool run_to_stop() {
        if (ptrace(PTRACE_CONT, child_, nullptr, nullptr) != 0) return false;
        status_ = wait_child(child_);
        if (WIFSTOPPED(status_)) return WSTOPSIG(status_) == SIGSTOP;
        child_ = -1;
        return false;
    }
    // Lets it run to its end and gives its status.
    int run() {
        if (child_ < 0) return status_;
        ptrace(PTRACE_CONT, child_, nullptr, nullptr);
        status_ = wait_child(child_);
        while (WIFSTOPPED(status_)) {  // a signal of its own: pass it on
            ptrace(PTRACE_CONT, child_, nullptr, reinterpret_cast<void*>(static_cast<long>(WSTOPSIG(status_))));
            status_ = wait_child(child_);
        }
        child_ = -1;
        return status_;
    }
    void kill() {
        if (child_ < 0) return;
        ::kill(child_, SIGKILL);
        wait_child(child_);
        child_ = -1;
    }
    int status() const { return status_; }
    std::uint64_t steps() const { return steps_; }

private:
    pid_t child_ = -1;
    int status_ = 0;
    std::uint64_t steps_ = 0;
};

}  // namespace fixture
