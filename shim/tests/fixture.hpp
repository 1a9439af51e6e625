// What most tests need: a log in a directory of its own, its writer, queues with their readers, a
// vendor struct to publish, and ways to stop the code at a chosen place.
#pragma once

#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "check.hpp"
#include "copy.hpp"
#include "places.hpp"
#include "reader.hpp"
#include "segment.hpp"
#include "system.hpp"
#include "writer.hpp"

extern "C" const char* tk_last_error(void);

namespace fixture {

// ---- a vendor struct ----------------------------------------------------------------------------

class Depth {
public:
    explicit Depth(const std::string& id, std::uint32_t layout = 3, const std::string& exchange = "SHFE")
        : layout_(tk::depth_layout(layout)) {
        text(0, 9, "20260105");
        text(tk::depth::kActionDay, 9, "20260105");
        text(tk::depth::kUpdateTime, 9, "09:30:00");
        text(tk::depth::kExchangeID, 9, exchange);
        text(layout_->instrument_id, layout_->instrument_id_size, id);
    }
    template <typename T>
    Depth& put(std::uint32_t offset, T value) {
        std::memcpy(bytes_ + offset, &value, sizeof value);
        return *this;
    }
    // Up to `size` bytes; a terminator only if there is room.
    Depth& text(std::uint32_t offset, std::uint32_t size, const std::string& value) {
        std::memset(bytes_ + offset, 0, size);
        std::memcpy(bytes_ + offset, value.data(), std::min<std::size_t>(value.size(), size));
        return *this;
    }
    Depth& volume(std::int32_t v) { return put(tk::depth::kVolume, v); }
    // Every number follows from v, so that a record put together from two of them shows: see is_whole().
    Depth& fill(std::int32_t v) {
        namespace d = tk::depth;
        for (const std::uint32_t offset :
             {d::kLastPrice, d::kPreSettlementPrice, d::kPreClosePrice, d::kPreOpenInterest, d::kOpenPrice,
              d::kHighestPrice, d::kLowestPrice, d::kTurnover, d::kOpenInterest, d::kClosePrice, d::kSettlementPrice,
              d::kUpperLimitPrice, d::kLowerLimitPrice, d::kPreDelta, d::kCurrDelta, d::kAveragePrice})
            put(offset, static_cast<double>(v) + offset);
        for (std::uint32_t level = 0; level < 5; ++level) {
            const std::uint32_t at = d::kLevels + level * d::kLevelSize;
            put(at, static_cast<double>(v) + at).put(at + d::kAskPrice, static_cast<double>(v) + at + d::kAskPrice);
            put(at + d::kBidVolume, static_cast<std::int32_t>(v + at)).put(at + d::kAskVolume, static_cast<std::int32_t>(v - at));
        }
        if (layout_->banding != 0) put(layout_->banding, v + 0.25).put(layout_->banding + 8, v + 0.75);
        return volume(v);
    }
    const char* bytes() const { return bytes_; }
    char* bytes() { return bytes_; }
    const tk::DepthLayout& layout() const { return *layout_; }

private:
    alignas(8) char bytes_[1024] = {};
    const tk::DepthLayout* layout_;
};

inline bool is_whole(const tk::Record& r) {
    namespace d = tk::depth;
    const double v = r.Volume;
    const auto is = [v](double x, std::uint32_t offset) { return x == v + offset; };
    bool ok = is(r.LastPrice, d::kLastPrice) && is(r.PreSettlementPrice, d::kPreSettlementPrice) &&
              is(r.PreClosePrice, d::kPreClosePrice) && is(r.PreOpenInterest, d::kPreOpenInterest) &&
              is(r.OpenPrice, d::kOpenPrice) && is(r.HighestPrice, d::kHighestPrice) &&
              is(r.LowestPrice, d::kLowestPrice) && is(r.Turnover, d::kTurnover) &&
              is(r.OpenInterest, d::kOpenInterest) && is(r.ClosePrice, d::kClosePrice) &&
              is(r.SettlementPrice, d::kSettlementPrice) && is(r.UpperLimitPrice, d::kUpperLimitPrice) &&
              is(r.LowerLimitPrice, d::kLowerLimitPrice) && is(r.PreDelta, d::kPreDelta) &&
              is(r.CurrDelta, d::kCurrDelta) && is(r.AveragePrice, d::kAveragePrice) &&
              r.BandingUpperPrice == v + 0.25 && r.BandingLowerPrice == v + 0.75;
    const double prices[] = {r.BidPrice1, r.AskPrice1, r.BidPrice2, r.AskPrice2, r.BidPrice3,
                             r.AskPrice3, r.BidPrice4, r.AskPrice4, r.BidPrice5, r.AskPrice5};
    const std::int32_t volumes[] = {r.BidVolume1, r.AskVolume1, r.BidVolume2, r.AskVolume2, r.BidVolume3,
                                    r.AskVolume3, r.BidVolume4, r.AskVolume4, r.BidVolume5, r.AskVolume5};
    for (std::uint32_t level = 0; level < 5; ++level) {
        const std::uint32_t at = d::kLevels + level * d::kLevelSize;
        ok = ok && is(prices[2 * level], at) && is(prices[2 * level + 1], at + d::kAskPrice) &&
             volumes[2 * level] == r.Volume + static_cast<std::int32_t>(at) &&
             volumes[2 * level + 1] == r.Volume - static_cast<std::int32_t>(at);
    }
    return ok;
}

// ---- one log ------------------------------------------------------------------------------------

struct Taken {
    tk_take info{};
    std::int32_t rc = 0;
    std::vector<tk::Record> records;
    std::uint32_t count() const { return info.count; }
    std::int32_t state() const { return info.state; }
};

inline Taken take(tk::Reader& reader, std::uint32_t max = 1024, std::int64_t timeout_ns = 0, bool handed = true,
                  std::int32_t mode = TK_WAIT_BLOCK) {
    Taken t;
    t.records.resize(max);
    t.info.block = t.records.data();
    t.info.max = max;
    t.info.timeout_ns = timeout_ns;
    t.info.handed = handed;
    t.info.wait_mode = mode;
    t.rc = reader.take(&t.info);
    t.records.resize(t.info.count);
    return t;
}

// A queue with its place in a log, and at most one reader of ours.
struct Bound {
    tk::Queue queue;
    tk::Log* log = nullptr;
    std::unique_ptr<tk::Reader> reader;

    tk::Reader& open() {
        reader = std::make_unique<tk::Reader>(&queue, log);
        const std::int32_t rc = reader->open();
        if (rc != TK_OK) {
            check::failed(__FILE__, __LINE__, std::string("reader does not open: ") + tk_last_error());
            throw check::Abandon{};
        }
        return *reader;
    }
    // As if the reading process had died: its mark stays, nobody is behind it.
    void forget_reader() {
        slot().ReaderProcess.store(0);
        reader.reset();
    }
    tk::ReaderSlot& slot() { return log->readers[queue.header->Slot.load()]; }
    tk::Progress progress() {
        tk::Progress p;
        tk::copy_from_shared(&p, &slot().Copies[slot().Which.load() & 1], sizeof p / 8);
        return p;
    }
    std::uint64_t* handed() { return reinterpret_cast<std::uint64_t*>(&slot().Handed); }
    ~Bound() {
        if (reader) reader->close();
    }
};

class TestLog {
public:
    explicit TestLog(std::uint64_t capacity, std::uint64_t instruments = 16, bool open_writer = true) {
        path = directory.file("log");
        ok(tk::create_log(path.c_str(), "test", capacity, instruments, &log), "create_log");
        if (open_writer) open();
    }
    ~TestLog() {
        if (writer) writer->close();
    }
    tk::Writer& open(bool new_epoch = true) {
        writer = std::make_unique<tk::Writer>(&log);
        ok(writer->open(new_epoch), "Writer::open");
        return *writer;
    }
    // As if the writing process had died.
    void forget_writer() {
        writer.reset();
        log.header->WriterProcess.store(0);
    }
    void tick(const Depth& depth) { writer->publish_tick(depth.layout(), depth.bytes(), {1000, 2000}); }
    // Volume counts the ticks, so that each can be told from the next.
    void tick(const std::string& id = "rb2601", const std::string& exchange = "SHFE") {
        tick(Depth(id, 3, exchange).fill(volume++));
    }
    void ticks(std::uint64_t count, const std::string& id = "rb2601") {
        while (count-- != 0) tick(id);
    }
    void event(std::uint32_t code = TK_EV_SUBSCRIBED, const char* text = "") {
        tk::Event e;
        e.code = code;
        e.text = text;
        e.text_length = static_cast<std::uint32_t>(std::strlen(text));
        writer->publish_event(e, {1000, 2000});
    }
    std::unique_ptr<Bound> make_queue(const std::vector<std::string>& ids = {}, std::int64_t start = TK_START_NOW,
                                      bool events = false, std::uint32_t skip = 0) {
        std::vector<const char*> pointers;
        for (const std::string& id : ids) pointers.push_back(id.c_str());
        auto bound = std::make_unique<Bound>();
        bound->log = &log;
        const std::string file = directory.file("queue" + std::to_string(queues++));
        ok(tk::create_queue(file.c_str(), "queue", pointers.data(), static_cast<std::uint32_t>(ids.size()), start,
                            events, TK_WAIT_BLOCK, &bound->queue, skip),
           "create_queue");
        return bound;
    }
    std::unique_ptr<Bound> queue(const std::vector<std::string>& ids = {}, std::int64_t start = TK_START_NOW,
                                 bool events = false, std::uint32_t skip = 0) {
        auto bound = make_queue(ids, start, events, skip);
        ok(tk::bind_queue(&bound->queue, &log, path.c_str()), "bind_queue");
        return bound;
    }
    std::uint64_t head() const { return log.header->Head.load(); }

    static void ok(std::int32_t rc, const char* what) {
        if (rc == TK_OK) return;
        check::failed(__FILE__, __LINE__, std::string(what) + ": " + tk_last_error());
        throw check::Abandon{};
    }

    check::Directory directory;
    std::string path;
    tk::Log log;
    std::unique_ptr<tk::Writer> writer;
    std::int32_t volume = 0;
    int queues = 0;
};

// ---- places to stop at --------------------------------------------------------------------------
// The linker sends syscall(), clock_gettime() and fopen() through hooks.cpp (--wrap). A hook belongs to
// the thread that sets it and is not called from within itself.

struct Hooks {
    std::function<void()> futex_wait;  // before the call
    std::function<void()> futex_wake;
    std::function<void(int, bool*)> barrier;  // before membarrier(command): it can be refused
    std::function<void()> clock;       // before the time is read
    std::function<void(clockid_t, timespec*)> clock_result;  // after it: the time may be changed
    std::function<void(const char**)> file;                  // before a file is opened: the path may be changed
};
Hooks& hooks();
struct FutexCounts {
    std::atomic<std::uint64_t> waits{0}, timed_out{0}, wakes{0};
};
FutexCounts& futex_counts();

// While one lives, a sleep of this process that would end by itself after half a second does not: who sleeps is woken,
// or the test hangs, and no machine is too slow for that to be told.
std::atomic<bool>& endless_sleeps();
struct EndlessSleeps {
    EndlessSleeps() { endless_sleeps() = true; }
    EndlessSleeps(const EndlessSleeps&) = delete;
    EndlessSleeps& operator=(const EndlessSleeps&) = delete;
    ~EndlessSleeps() { endless_sleeps() = false; }
};

// ---- processes ----------------------------------------------------------------------------------

// Runs body in a child that dies with us; its exit status is 0 if no check failed.
inline pid_t fork_child(const std::function<void()>& body) {
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child < 0) throw check::Skip{"fork fails"};
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(4);
        alarm(250);
        const std::uint32_t before = check::failures();
        try {
            body();
        } catch (...) {
            _exit(5);
        }
        _exit(check::failures() == before ? 0 : 1);
    }
    return child;
}

inline int wait_child(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

inline bool ended_well(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

// Waits for a condition; a hang fails loudly instead of for ever.
template <typename F>
bool eventually(F&& condition, std::int64_t seconds = 60) {
    const std::int64_t deadline = tk::monotonic_ns() + seconds * 1000000000;
    for (int looks = 0; !condition(); ++looks) {
        if (tk::monotonic_ns() > deadline) return false;
        // Who is waited for may need this processor, and a yield alone does not give it up to everybody.
        looks < 100 ? static_cast<void>(sched_yield()) : tk::rest(50000);
    }
    return true;
}

}  // namespace fixture
