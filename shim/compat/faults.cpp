#include "faults.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <limits>

namespace compat {

namespace {

// Enough that a pointer kept from an earlier callback still points at poison, not at a later tick.
constexpr std::size_t kPoisonBuffers = 64;
constexpr unsigned char kPoison = 0xa5;
// A request goes on for so long with a connection that has ended.
constexpr std::chrono::milliseconds kRequestTime{300};

struct Flag {
    const char* word;
    bool Faults::*member;
};

constexpr Flag kFlags[] = {
    {"null-login", &Faults::null_login},
    {"null-info", &Faults::null_info},
    {"null-data", &Faults::null_data},
    {"null-tick", &Faults::null_tick},
    {"poison", &Faults::poison},
    {"no-nul", &Faults::no_nul},
    {"two-threads", &Faults::two_threads},
    {"overlap", &Faults::overlap},
    {"disconnect-first", &Faults::disconnect_first},
    {"print", &Faults::print},
    {"hang-init", &Faults::hang_init},
    {"hang-release", &Faults::hang_release},
};

// Digits only and above zero: "abort-after=" or "abort-after=-1" is a mistake, not "never".
template <typename T>
bool parse_number(const std::string& text, T* out) {
    if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos) return false;
    const unsigned long long value = std::strtoull(text.c_str(), nullptr, 10);
    if (value == 0 || value > std::numeric_limits<T>::max()) return false;
    *out = static_cast<T>(value);
    return true;
}

constexpr const char* kRequests[] = {
    "ReqUserLogin",          "ReqUserLogout",        "SubscribeMarketData",
    "UnSubscribeMarketData", "SubscribeForQuoteRsp", "UnSubscribeForQuoteRsp",
};

bool parse_request(const std::string& text, std::string* out) {
    *out = text;
    return std::find(std::begin(kRequests), std::end(kRequests), text) != std::end(kRequests);
}

bool parse_word(const std::string& word, Faults* out) {
    for (const Flag& flag : kFlags) {
        if (word != flag.word) continue;
        out->*flag.member = true;
        return true;
    }
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) return false;
    const std::string name = word.substr(0, equals);
    const std::string value = word.substr(equals + 1);
    if (name == "abort-after") return parse_number(value, &out->abort_after);
    if (name == "segv-after") return parse_number(value, &out->segv_after);
    if (name == "slow-release") return parse_number(value, &out->slow_release_ms);
    if (name == "silence") return parse_number(value, &out->silence_s);
    if (name == "hang-in") return parse_request(value, &out->hang_in);
    if (name == "abort-in") return parse_request(value, &out->abort_in);
    if (name == "freed-in") return parse_request(value, &out->freed_in);
    return false;
}

// A script is the same words, a line or several commas at a time; from '#' on a line is a comment.
bool read_script(const std::string& path, std::string* words, std::string* error) {
    // Not a stream: that would bring in the C++ locale, which a host without it cannot make.
    std::FILE* file = std::fopen(path.c_str(), "re");
    if (file == nullptr) {
        *error = "the script '" + path + "' cannot be read";
        return false;
    }
    words->clear();
    char* text = nullptr;
    std::size_t size = 0;
    while (getline(&text, &size, file) > 0) {
        std::string line(text);
        line.erase(std::min(line.find_first_of("#\n"), line.size()));
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        if (!words->empty()) *words += ',';
        *words += line;
    }
    std::free(text);
    std::fclose(file);
    return true;
}

}  // namespace

bool parse_faults(const char* text, Faults* out, std::string* error) {
    *out = Faults{};
    if (!text || !*text) return true;
    std::string all(text);
    if (all[0] == '@' && !read_script(all.substr(1), &all, error)) return false;
    if (all.empty()) return true;
    for (std::size_t at = 0; at <= all.size();) {
        const std::size_t comma = std::min(all.find(',', at), all.size());
        std::string word = all.substr(at, comma - at);
        at = comma + 1;
        const std::size_t first = word.find_first_not_of(" \t\r");
        word = first == std::string::npos ? "" : word.substr(first, word.find_last_not_of(" \t\r") - first + 1);
        if (!parse_word(word, out)) {
            *error = "unknown fault '" + word + "'";
            return false;
        }
    }
    return true;
}

void fault_sleep(std::uint32_t milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

void fault_hang() {
    for (;;) pause();
}

void fault_in_request(const Faults& faults, const char* function) {
    if (faults.hang_in == function) fault_hang();
    if (faults.abort_in == function) std::abort();
}

void FreedInRequest::request(const std::function<void()>& cut) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (used_) return;
    used_ = true;
    stage_ = Stage::kConnected;
    cut();
    changed_.wait(lock, [this] { return stage_ != Stage::kConnected; });
    if (changed_.wait_for(lock, kRequestTime, [this] { return stage_ == Stage::kFreed; })) std::abort();
}

void FreedInRequest::set(Stage stage) {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        stage_ = stage;
    }
    changed_.notify_all();
}

FaultyDelivery::FaultyDelivery(const Faults& faults, const std::function<void()>& mark_thread) : faults_(faults) {
    if (faults_.poison) {
        for (auto* buffers : {&own_buffers_, &helper_buffers_}) {
            for (std::size_t i = 0; i < kPoisonBuffers; ++i) buffers->emplace_back(new DepthMarketData);
        }
    }
    if (faults_.two_threads || faults_.overlap) {
        helper_ = std::thread([this, mark_thread] {
            mark_thread();
            helper_main();
        });
    }
}

FaultyDelivery::~FaultyDelivery() {
    if (!helper_.joinable()) return;
    end_of_batch();
    {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return state_ == Helper::kIdle; });
        state_ = Helper::kStop;
    }
    changed_.notify_all();
    helper_.join();
}

void FaultyDelivery::deliver(MdSpi* spi, const DepthMarketData& tick) {
    ++delivered_;
    if (faults_.null_tick) spi->OnRtnDepthMarketData(nullptr);
    if (helper_.joinable() && delivered_ % 2 == 0) {
        hand_over(spi, tick);
    } else {
        end_of_batch();
        call(spi, tick, &own_buffers_, &own_turn_);
    }
    if (delivered_ == faults_.abort_after) std::abort();
    if (delivered_ == faults_.segv_after) {
        // A real bad store, not raise(): a handler must see a fault address and a stack inside this library.
        volatile std::uintptr_t nowhere = 8;
        *reinterpret_cast<volatile std::uint64_t*>(nowhere) = delivered_;
    }
}

void FaultyDelivery::call(MdSpi* spi, const DepthMarketData& tick,
                          std::vector<std::unique_ptr<DepthMarketData>>* buffers, std::size_t* turn) {
    if (!faults_.poison) {
        DepthMarketData copy = tick;
        spi->OnRtnDepthMarketData(&copy);
        return;
    }
    DepthMarketData* const buffer = (*buffers)[(*turn)++ % buffers->size()].get();
    *buffer = tick;
    spi->OnRtnDepthMarketData(buffer);
    std::memset(static_cast<void*>(buffer), kPoison, sizeof *buffer);
}

void FaultyDelivery::hand_over(MdSpi* spi, const DepthMarketData& tick) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return state_ == Helper::kIdle; });
    given_spi_ = spi;
    given_tick_ = tick;
    door_open_.store(!faults_.overlap, std::memory_order_relaxed);  // ordered by the mutex
    state_ = Helper::kGiven;
    changed_.notify_all();
    // "two-threads" waits until the helper is back from the host. "overlap" waits until it is awake and stands
    // before the callback; the next tick opens the door and goes through another one at the same moment. A
    // thread that is only just being woken would come too late to meet anybody.
    const Helper until = faults_.overlap ? Helper::kAtTheDoor : Helper::kIdle;
    changed_.wait(lock, [this, until] { return state_ == until; });
}

void FaultyDelivery::end_of_batch() {
    // SYNC door (release): nothing is published but the door itself; partner: helper_main().
    door_open_.store(true, std::memory_order_release);
}

void FaultyDelivery::helper_main() {
    pthread_setname_np(pthread_self(), "tk-compat-2");
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return state_ == Helper::kGiven || state_ == Helper::kStop; });
        if (state_ == Helper::kStop) return;
        state_ = Helper::kAtTheDoor;
        changed_.notify_all();
        lock.unlock();
        // SYNC door (acquire): a short spin, for the other thread is in the middle of a batch.
        while (!door_open_.load(std::memory_order_acquire)) std::this_thread::yield();
        call(given_spi_, given_tick_, &helper_buffers_, &helper_turn_);
        lock.lock();
        state_ = Helper::kIdle;
        changed_.notify_all();
    }
}

}  // namespace compat
