// Misbehaviour on request, read once per API object from an environment variable. README.md has the table.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

namespace compat {

constexpr char kFaultsVariable[] = "TICKENGINE_COMPAT_FAULTS";
constexpr char kTraderFaultsVariable[] = "TICKENGINE_COMPAT_TRADER_FAULTS";

struct Faults {
    bool null_login = false;
    bool null_info = false;
    bool null_data = false;
    bool null_tick = false;
    bool poison = false;
    bool no_nul = false;
    bool two_threads = false;
    bool overlap = false;
    bool disconnect_first = false;
    bool print = false;
    bool hang_init = false;
    bool hang_release = false;
    std::string hang_in, abort_in, freed_in;  // the api's function, by name
    std::uint32_t slow_release_ms = 0;
    std::uint32_t silence_s = 0;  // 0: the vendor's 121 s
    std::uint64_t abort_after = 0;
    std::uint64_t segv_after = 0;

    // True when ticks have to pass through FaultyDelivery.
    bool touch_ticks() const { return poison || null_tick || two_threads || overlap || abort_after || segv_after; }
};

// What one of the two libraries can do wrong.
struct FaultWords {
    bool market_data;  // it has ticks and subscriptions, and the words about them
    bool (*is_request)(const std::string& function);
};
extern const FaultWords kMarketDataFaults;

// `text` may be null or empty: no faults. False, with `error` set, on a word it does not know: a misspelt
// fault that is ignored makes a test pass for the wrong reason. "@path" reads the words from a file.
bool parse_faults(const char* text, const FaultWords& words, Faults* out, std::string* error);

// What a struct is filled with once its callback has returned.
constexpr unsigned char kPoison = 0xa5;

// Sleep or stand still on purpose: the fault is that the call takes its time.
void fault_sleep(std::uint32_t milliseconds);
[[noreturn]] void fault_hang();

// At the beginning of each request.
void fault_in_request(const Faults& faults, const char* function);

// A connection that ends under a request, as the vendor's library lets it: it takes no lock in some requests, and
// frees the connection when OnFrontDisconnected has returned.
class FreedInRequest {
public:
    // In the request, the first time only: ends the connection and ends the process if that is freed meanwhile.
    void request(const std::function<void()>& cut);
    // Around OnFrontDisconnected.
    void telling() { set(Stage::kTelling); }
    void told() { set(Stage::kFreed); }

private:
    enum class Stage { kConnected, kTelling, kFreed };
    void set(Stage stage);

    std::mutex mutex_;
    std::condition_variable changed_;
    Stage stage_ = Stage::kConnected;
    bool used_ = false;
};

}  // namespace compat
