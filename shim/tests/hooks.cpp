// The wrapped calls: ld --wrap=syscall --wrap=clock_gettime --wrap=fopen.
#include <stdarg.h>

#include "fixture.hpp"

namespace fixture {
namespace {
thread_local bool t_inside = false;

template <typename Hook, typename... Arguments>
void call(const Hook& hook, Arguments... arguments) {
    if (t_inside || !hook) return;
    t_inside = true;
    hook(arguments...);
    t_inside = false;
}
}  // namespace

Hooks& hooks() {
    thread_local Hooks h;
    return h;
}

FutexCounts& futex_counts() {
    static FutexCounts counts;
    return counts;
}

std::atomic<bool>& endless_sleeps() {
    static std::atomic<bool> endless{false};
    return endless;
}

}  // namespace fixture

extern "C" {

long __real_syscall(long number, ...);
int __real_clock_gettime(clockid_t id, timespec* t);
std::FILE* __real_fopen(const char* path, const char* mode);

long __wrap_syscall(long number, ...) {
    va_list list;
    va_start(list, number);
    long a[6];
    for (long& x : a) x = va_arg(list, long);
    va_end(list);
    const bool futex = number == SYS_futex;
    auto& counts = fixture::futex_counts();
    // The operation is an int: the upper half of its register may hold anything.
    const int operation = static_cast<int>(a[1]);
    if (futex && operation == FUTEX_WAIT) {
        fixture::call(fixture::hooks().futex_wait);
        counts.waits.fetch_add(1, std::memory_order_relaxed);
        const auto* timeout = reinterpret_cast<const timespec*>(a[3]);
        if (fixture::endless_sleeps() && (timeout->tv_sec > 0 || timeout->tv_nsec >= 400000000)) a[3] = 0;
    }
    if (futex && operation == FUTEX_WAKE) {
        fixture::call(fixture::hooks().futex_wake);
        counts.wakes.fetch_add(1, std::memory_order_relaxed);
    }
    if (number == SYS_membarrier) {
        bool refused = false;
        fixture::call(fixture::hooks().barrier, static_cast<int>(a[0]), &refused);
        if (refused) {
            errno = EPERM;
            return -1;
        }
    }
    const long rc = __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (futex && operation == FUTEX_WAIT && rc != 0 && errno == ETIMEDOUT) {
        counts.timed_out.fetch_add(1, std::memory_order_relaxed);
        errno = ETIMEDOUT;
    }
    return rc;
}

int __wrap_clock_gettime(clockid_t id, timespec* t) {
    fixture::call(fixture::hooks().clock);
    const int rc = __real_clock_gettime(id, t);
    fixture::call(fixture::hooks().clock_result, id, t);
    return rc;
}

std::FILE* __wrap_fopen(const char* path, const char* mode) {
    fixture::call(fixture::hooks().file, &path);
    return __real_fopen(path, mode);
}

}  // extern "C"
