// The calls are wrapped by the linker: --wrap=clock_gettime,syscall,fopen,mmap,munmap.
#include "world.hpp"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

namespace {

constexpr std::size_t kGuard = 64u << 20;
constexpr std::int64_t kStep = 20000000;

thread_local bool t_inside = false;
thread_local std::int64_t t_now = 0;

// By their first byte: what was reserved around them, in all.
std::map<void*, std::size_t>& guarded() {
    static auto* mappings = new std::map<void*, std::size_t>;
    return *mappings;
}

struct Directory {
    std::string path;
    Directory() {
        const char* base = std::getenv("TICKSHIM_TEST_DIR");
        if (base == nullptr) base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        path = std::string(base) + "/tickshim-fuzz-XXXXXX";
        if (mkdtemp(path.data()) == nullptr) {
            std::perror("fuzz: mkdtemp");
            std::abort();
        }
    }
    ~Directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
};

}  // namespace

namespace fuzz {

const std::string& directory() {
    static const Directory made;
    return made.path;
}

World::World() {
    t_inside = true;
    t_now = 1000000000;
}
World::~World() { t_inside = false; }

}  // namespace fuzz

extern "C" {

int __real_clock_gettime(clockid_t id, timespec* t);
long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
std::FILE* __real_fopen(const char* path, const char* mode);
void* __real_mmap(void* address, std::size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void* address, std::size_t size);

int __wrap_clock_gettime(clockid_t id, timespec* t) {
    if (!t_inside) return __real_clock_gettime(id, t);
    t_now += kStep;
    t->tv_sec = static_cast<time_t>(t_now / 1000000000);
    t->tv_nsec = static_cast<long>(t_now % 1000000000);
    return 0;
}

// With all six, as libc has it: what the caller did not give is what stands there, and nobody looks at it.
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f) {
    if (t_inside && number == SYS_futex && b == FUTEX_WAIT) {
        const auto* limit = reinterpret_cast<const timespec*>(d);
        t_now += static_cast<std::int64_t>(limit->tv_sec) * 1000000000 + limit->tv_nsec;
        errno = ETIMEDOUT;
        return -1;
    }
    return __real_syscall(number, a, b, c, d, e, f);
}

std::FILE* __wrap_fopen(const char* path, const char* mode) {
    static const std::string own = "/proc/" + std::to_string(getpid()) + "/";
    if (t_inside && std::strncmp(path, "/proc/", 6) == 0 && own.compare(0, own.size(), path, own.size()) != 0) {
        errno = ENOENT;
        return nullptr;
    }
    return __real_fopen(path, mode);
}

void* __wrap_mmap(void* address, std::size_t size, int protection, int flags, int fd, off_t offset) {
    if (!t_inside || fd < 0 || address != nullptr) return __real_mmap(address, size, protection, flags, fd, offset);
    const std::size_t pages = (size + 4095) / 4096 * 4096, all = pages + 2 * kGuard;
    void* reserved = __real_mmap(nullptr, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) return MAP_FAILED;
    void* wanted = static_cast<char*>(reserved) + kGuard;
    if (__real_mmap(wanted, size, protection, flags | MAP_FIXED, fd, offset) == MAP_FAILED) {
        const int error = errno;
        __real_munmap(reserved, all);
        errno = error;
        return MAP_FAILED;
    }
    guarded()[wanted] = all;
    return wanted;
}

int __wrap_munmap(void* address, std::size_t size) {
    const auto found = guarded().find(address);
    if (found == guarded().end()) return __real_munmap(address, size);
    const std::size_t all = found->second;
    guarded().erase(found);
    return __real_munmap(static_cast<char*>(address) - kGuard, all);
}

}  // extern "C"
