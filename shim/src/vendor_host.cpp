#include "vendor_host.hpp"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "errors.hpp"
#include "system.hpp"
#include "tickshim.h"

namespace tk {
namespace {

constexpr std::int64_t kThreadStart = 1000000000;

// True when the thread waits for input (or has ended): it has come to its loop.
bool in_its_loop(int thread) {
    char path[64], text[64] = "";
    std::snprintf(path, sizeof path, "/proc/self/task/%d/syscall", thread);
    std::FILE* f = std::fopen(path, "re");
    if (f == nullptr) return true;
    const bool read = std::fgets(text, sizeof text, f) != nullptr;
    std::fclose(f);
    if (!read) return true;
    switch (std::atol(text)) {  // "running" reads as 0
        case SYS_poll:
        case SYS_ppoll:
        case SYS_select:
        case SYS_pselect6:
        case SYS_epoll_wait:
        case SYS_epoll_pwait:
        case SYS_nanosleep:
        case SYS_clock_nanosleep:
            return true;
        default:
            return false;
    }
}

}  // namespace

std::int32_t prepare_host(const char* flow_path) {
    const std::size_t n = std::strlen(flow_path);
    if (n == 0 || flow_path[n - 1] != '/') return fail(TK_E_ARG, "flow directory '%s' must end in '/'", flow_path);
    if (access(flow_path, W_OK | X_OK) != 0) return fail_system("flow directory '%s' cannot be written", flow_path);
    // Ignored, the front's closing becomes an ordinary 4097.
    struct sigaction pipe;
    if (sigaction(SIGPIPE, nullptr, &pipe) == 0 && pipe.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
    return TK_OK;
}

std::int32_t check_front(const char* front) {
    if (std::strncmp(front, "tcp://", 6) != 0)
        return fail(TK_E_ARG, "front '%s' must begin with tcp:// (the vendor library crashes on anything else)", front);
    return TK_OK;
}

HostSignal::HostSignal(int signal) : signal_(signal) {
    had_handler_ = sigaction(signal, nullptr, &before_) == 0 && before_.sa_handler != SIG_DFL && before_.sa_handler != SIG_IGN;
}

HostSignal::~HostSignal() {
    if (had_handler_) sigaction(signal_, &before_, nullptr);
}

std::vector<int> VendorThreads::all() {
    std::vector<int> ids;
    DIR* tasks = opendir("/proc/self/task");
    if (tasks == nullptr) return ids;
    while (const dirent* entry = readdir(tasks))
        if (entry->d_name[0] != '.') ids.push_back(std::atoi(entry->d_name));
    closedir(tasks);
    return ids;
}

void VendorThreads::remember(const std::vector<int>& before) {
    for (const int id : all())
        if (std::find(before.begin(), before.end(), id) == before.end()) ids_.push_back(id);
}

void VendorThreads::wait_until_they_run() const {
    const std::int64_t deadline = monotonic_ns() + kThreadStart;
    for (const int thread : ids_)
        while (!in_its_loop(thread) && monotonic_ns() < deadline) rest(200000);
}

Wiped::~Wiped() { explicit_bzero(v_->data(), v_->size()); }

}  // namespace tk
