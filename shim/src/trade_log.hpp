// The trade journal: what was sent before it leaves, what came back before the callback returns. An append-only
// file with one writer and any number of readers; see trade_layout.hpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "clock.hpp"
#include "segment.hpp"
#include "system.hpp"
#include "trade_layout.hpp"

namespace tk {

constexpr std::uint64_t kTradeCapacity = 1ull << 20;
constexpr std::uint64_t kTradeChunk = 4096;           // records: 4 MiB
constexpr std::uint64_t kTradeReserve = 4 * kTradeChunk;  // kept for returns when orders are refused already

// What goes into a record; the rest follows.
struct TradeEntry {
    std::uint16_t kind = 0;
    std::uint16_t type = 0;  // td::Struct of the payload
    std::int32_t request_id = 0;
    std::int32_t error_id = 0;
    std::int32_t reason = 0;
    bool is_last = false, has_info = false, has_data = false;
    std::uint64_t client_id = 0;
    std::int64_t value = 0;
    const char* text = nullptr;  // at most 81 bytes are taken
    std::size_t text_length = 0;
    const char* payload = nullptr;
    std::size_t size = 0;
    Stamp stamp{0, 0};  // 0: now
};

// A record without stamp, epoch and crc.
void fill(const TradeEntry& entry, TradeRecord* out);

class TradeWriter {
public:
    TradeWriter() = default;
    TradeWriter(const TradeWriter&) = delete;
    TradeWriter& operator=(const TradeWriter&) = delete;
    ~TradeWriter() { close(); }

    // Makes the file or takes it over, and writes epoch_started. TK_E_BUSY while its writer lives.
    std::int32_t open(const char* path, std::uint64_t capacity);
    void close();

    // TK_E_FULL: there is no room. Wakes readers, unless the next append is to do so.
    std::int32_t append(const TradeEntry& entry, std::uint64_t* sequence = nullptr, bool wake = true);
    // TK_E_FULL, with the reason, when what is left is kept for returns.
    std::int32_t room_for_orders();
    // Has disk space and pages ready ahead, so that append() needs not: to be called when there is time.
    void reserve();

    std::uint64_t head() const { return head_.load(std::memory_order_relaxed); }
    std::uint32_t epoch() const { return epoch_; }
    const TradeRecord& at(std::uint64_t sequence) const { return records_[sequence]; }  // below head()
    std::uint64_t damaged() const { return damaged_; }
    const std::string& path() const { return path_; }

private:
    std::int32_t open_file(int fd, bool fresh);
    std::int32_t lengthen(std::uint64_t records);
    std::int32_t survey(std::uint64_t records);
    void cut_end(std::uint64_t records);
    bool keep_ahead(std::uint64_t ahead);
    void store(const TradeEntry& entry, std::uint64_t sequence);
    void wake_readers();

    std::string path_;
    Descriptor file_{-1};
    Mapping mapping_;
    TradeHeader* header_ = nullptr;
    TradeRecord* records_ = nullptr;
    std::uint64_t capacity_ = 0;
    std::uint64_t reserve_ = 0;
    std::uint64_t damaged_ = 0;
    // The header's are told to others and not believed: whoever may write the file may change them.
    std::atomic<std::uint64_t> head_{0}, room_{0};
    std::uint32_t epoch_ = 0;
    std::atomic<bool> turn_{false};  // callbacks come on two threads, orders go out on a third
    std::mutex growing_;
};

class TradeReader {
public:
    std::int32_t attach(const char* path);
    const TradeHeader& header() const { return *header_; }
    std::uint64_t head() const;
    bool writer_alive() const;
    // Whole records from `start` on, as many as there are. TK_E_LAYOUT: one of them is damaged, or the file is.
    std::int32_t read(std::uint64_t start, std::uint64_t count, TradeRecord* out, std::uint64_t* copied);
    // True when there is a record `sequence`; false after timeout_ns, or a signal.
    bool wait(std::uint64_t sequence, std::int64_t timeout_ns);

private:
    std::int32_t map_up_to(std::uint64_t records, std::uint64_t capacity, const char** base);

    std::string path_;
    Descriptor file_{-1};
    TradeHeader* header_ = nullptr;
    std::mutex mutex_;
    std::uint64_t held_ = 0;  // records that the file was long enough for, when it was looked at
    std::vector<Mapping> mappings_;  // the last is the longest; all live on for the threads that read there
};

bool whole(const TradeRecord& record, std::uint64_t sequence);

}  // namespace tk
