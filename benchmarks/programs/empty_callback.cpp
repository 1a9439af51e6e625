// The vendor library's own speed: logs in, subscribes, and counts the calls of a callback that does
// nothing else. Its SPI is a hand-made vtable of the 6.3.6 generation (12 slots); no vendor header.
//
//   empty_callback LIBRARY FLOW_DIR/ FRONT SECONDS WARM_TICKS ID...
//
// Prints: ticks, nanoseconds and processor nanoseconds of the measured window, ticks in all.
#include <dlfcn.h>
#include <unistd.h>

#include <atomic>

#include "writing.hpp"

namespace {

// Api slots that are called here.
constexpr int kRelease = 0, kInit = 1, kRegisterFront = 4, kRegisterSpi = 7, kSubscribe = 8, kLogin = 12;

struct Client {
    void** vtable;
    void** api;
    std::vector<char*> ids;
};

// One writer, the vendor's thread: a plain add, no locked instruction. Line of its own.
alignas(64) std::atomic<std::uint64_t> ticks{0};
std::atomic<bool> login_refused{false};

template <typename F>
F method(void** api, int slot) {
    return reinterpret_cast<F>((*reinterpret_cast<void***>(api))[slot]);
}

void on_front_connected(Client* c) {
    char request[512] = {};
    std::strcpy(request + 9, "9999");
    std::strcpy(request + 20, "bench");
    std::strcpy(request + 36, "bench");
    method<int (*)(void**, void*, int)>(c->api, kLogin)(c->api, request, 1);
}

void on_login(Client* c, const char*, const char* info, int, bool) {
    std::int32_t error_id = 0;
    if (info != nullptr) std::memcpy(&error_id, info, sizeof error_id);
    if (error_id != 0) {
        login_refused = true;
        return;
    }
    method<int (*)(void**, char**, int)>(c->api, kSubscribe)(c->api, c->ids.data(), static_cast<int>(c->ids.size()));
}

void on_tick(Client*, const char*) { ticks.store(ticks.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }

void nothing(Client*) {}

}  // namespace

int main(int argc, char** argv) {
    bench::die_with_parent();
    if (argc < 7) {
        std::fprintf(stderr, "usage: empty_callback LIBRARY FLOW_DIR/ FRONT SECONDS WARM_TICKS ID...\n");
        return 2;
    }
    const double seconds = std::atof(argv[4]);
    const auto warm_ticks = static_cast<std::uint64_t>(std::atoll(argv[5]));
    signal(SIGPIPE, SIG_IGN);
    void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        std::fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    void* create = dlsym(library, "_ZN15CThostFtdcMdApi15CreateFtdcMdApiEPKcbb");
    if (create == nullptr) {
        std::fprintf(stderr, "%s\n", dlerror());
        return 1;
    }

    void* vtable[2 + 12] = {};
    for (void*& slot : vtable) slot = reinterpret_cast<void*>(nothing);
    void** spi_slots = vtable + 2;  // behind offset-to-top and type info
    spi_slots[0] = reinterpret_cast<void*>(on_front_connected);
    spi_slots[3] = reinterpret_cast<void*>(on_login);
    spi_slots[10] = reinterpret_cast<void*>(on_tick);

    Client client{};
    client.vtable = spi_slots;
    client.ids.assign(argv + 6, argv + argc);
    client.api = static_cast<void**>(reinterpret_cast<void* (*)(const char*, bool, bool)>(create)(argv[2], false, false));
    method<void (*)(void**, void*)>(client.api, kRegisterSpi)(client.api, &client);
    method<void (*)(void**, char*)>(client.api, kRegisterFront)(client.api, argv[3]);
    method<void (*)(void**)>(client.api, kInit)(client.api);

    const std::int64_t give_up = tk::monotonic_ns() + 30000000000;
    while (ticks.load(std::memory_order_relaxed) < warm_ticks) {
        if (login_refused || tk::monotonic_ns() > give_up) {
            std::fprintf(stderr, "%s\n", login_refused ? "login refused" : "no ticks within 30 s");
            _exit(1);
        }
        bench::sleep_until(tk::monotonic_ns() + 5000000);
    }
    const std::int64_t start = tk::monotonic_ns(), cpu_start = tk::clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    const std::uint64_t first = ticks.load(std::memory_order_relaxed);
    bench::sleep_until(start + static_cast<std::int64_t>(seconds * 1e9));
    const std::uint64_t last = ticks.load(std::memory_order_relaxed);
    const std::int64_t end = tk::monotonic_ns(), cpu_end = tk::clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    method<void (*)(void**, void*)>(client.api, kRegisterSpi)(client.api, nullptr);
    method<void (*)(void**)>(client.api, kRelease)(client.api);
    std::printf("%llu %lld %lld %llu\n", static_cast<unsigned long long>(last - first),
                static_cast<long long>(end - start), static_cast<long long>(cpu_end - cpu_start),
                static_cast<unsigned long long>(ticks.load()));
    std::fflush(stdout);
    _exit(0);  // the library's own exit handlers have nothing to add
}
