#include "faults.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <thread>

namespace compat {

namespace {

// A request goes on for so long with a connection that has ended.
constexpr std::chrono::milliseconds kRequestTime{300};

struct Flag {
    const char* word;
    bool Faults::*member;
    bool of_ticks = false;
};

constexpr Flag kFlags[] = {
    {"null-login", &Faults::null_login},
    {"null-info", &Faults::null_info},
    {"null-data", &Faults::null_data},
    {"null-tick", &Faults::null_tick, true},
    {"poison", &Faults::poison},
    {"no-nul", &Faults::no_nul, true},
    {"two-threads", &Faults::two_threads, true},
    {"overlap", &Faults::overlap, true},
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

bool is_market_data_request(const std::string& function) {
    return std::find(std::begin(kRequests), std::end(kRequests), function) != std::end(kRequests);
}

bool parse_word(const std::string& word, const FaultWords& words, Faults* out) {
    const auto parse_request = [&words](const std::string& text, std::string* request) {
        *request = text;
        return words.is_request(text);
    };
    for (const Flag& flag : kFlags) {
        if (word != flag.word || (flag.of_ticks && !words.market_data)) continue;
        out->*flag.member = true;
        return true;
    }
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) return false;
    const std::string name = word.substr(0, equals);
    const std::string value = word.substr(equals + 1);
    if (words.market_data && name == "abort-after") return parse_number(value, &out->abort_after);
    if (words.market_data && name == "segv-after") return parse_number(value, &out->segv_after);
    if (name == "slow-release") return parse_number(value, &out->slow_release_ms);
    if (name == "silence") return parse_number(value, &out->silence_s);
    if (name == "hang-in") return parse_request(value, &out->hang_in);
    if (name == "abort-in") return parse_request(value, &out->abort_in);
    if (words.market_data && name == "freed-in") return parse_request(value, &out->freed_in);
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

const FaultWords kMarketDataFaults{true, is_market_data_request};

bool parse_faults(const char* text, const FaultWords& words, Faults* out, std::string* error) {
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
        if (!parse_word(word, words, out)) {
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

}  // namespace compat
