// The files of a log and of a queue, with anything written into them before they are attached, behind the
// attacher's back, and under an open reader. Then everything is done that an attacher does.
//
// A whole file would be 116 KB of mostly zeros, so an input is the number of a sound pair of files and a list
// of changes to it; corpus.py writes them, README.md has the form.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "input.hpp"
#include "layout.hpp"
#include "tickshim.h"
#include "vendor_abi.hpp"
#include "world.hpp"

namespace {

using fuzz::Input;

constexpr std::uint32_t kLayout = 3;
constexpr std::uint32_t kRoom = 16;

void write_file(const std::string& path, const std::vector<char>& bytes) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    PROMISE(fd >= 0 && pwrite(fd, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    close(fd);
}

std::vector<char> read_file(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat st;
    PROMISE(fd >= 0 && fstat(fd, &st) == 0);
    std::vector<char> bytes(static_cast<std::size_t>(st.st_size));
    PROMISE(pread(fd, bytes.data(), bytes.size(), 0) == st.st_size);
    close(fd);
    return bytes;
}

void tick(tk_writer* writer, const char* id, std::int32_t volume) {
    namespace d = tk::depth;
    const tk::DepthLayout& l = *tk::depth_layout(kLayout);
    const fuzz::Exact depth(l.size);
    std::memcpy(depth.get() + d::kTradingDay, "20260105", 9);
    std::memcpy(depth.get() + d::kUpdateTime, "09:30:00", 9);
    std::memcpy(depth.get() + d::kExchangeID, "SHFE", 5);
    std::memcpy(depth.get() + l.instrument_id, id, std::strlen(id) + 1);
    std::memcpy(depth.get() + d::kVolume, &volume, sizeof volume);
    PROMISE(tk_writer_tick_at(writer, kLayout, depth.get(), 1767576600000000000, 2000) == TK_OK);
}

void event(tk_writer* writer, std::uint32_t code, const char* text) {
    PROMISE(tk_writer_event(writer, code, 0, 0, 0, text, static_cast<std::uint32_t>(std::strlen(text)), 0) == TK_OK);
}

// One pair of sound files, and where things stand in the log.
struct Pair {
    std::vector<char> log, queue;
    std::uint64_t instruments, saved, records, capacity, instrument_capacity, filters;
};

struct Plan {
    std::uint64_t capacity, instruments;
    std::vector<const char*> filter;
    std::int64_t start;
    std::uint32_t skip, ticks;
    bool events, bound, ended;
};

const std::vector<Plan>& plans() {
    static const std::vector<Plan> all = {
        {8, 3, {}, TK_START_NOW, 0, 4, true, true, false},
        {2, 3, {"rb2601", "IF2512"}, TK_START_OLDEST, 0, 7, false, true, false},
        {4, 3, {"rb2601"}, 0, TK_FLAG_SNAPSHOT, 3, true, true, true},
        {4, 1, {"IF2512"}, TK_START_NOW, 0, 0, false, false, false},
        {4, 1, {"IF2512", "absent"}, TK_START_NOW, 0, 5, true, true, false},
    };
    return all;
}

std::string path_of(const char* name) { return fuzz::directory() + "/" + name; }

Pair make(const Plan& plan) {
    const std::string log_path = path_of("log"), queue_path = path_of("queue");
    tk_log* log;
    tk_writer* writer;
    tk_queue* queue;
    PROMISE(tk_log_create(log_path.c_str(), "fuzz", plan.capacity, plan.instruments, &log) == TK_OK);
    PROMISE(tk_writer_open(log, 1, &writer) == TK_OK);
    PROMISE(tk_queue_create(queue_path.c_str(), "fuzzed", plan.filter.data(),
                            static_cast<std::uint32_t>(plan.filter.size()), plan.start, plan.events, TK_WAIT_BLOCK,
                            plan.skip, &queue) == TK_OK);
    if (plan.bound) PROMISE(tk_queue_bind(queue, log, log_path.c_str()) == TK_OK);
    tk_reader* reader = nullptr;
    if (plan.bound) PROMISE(tk_reader_open(queue, log, &reader) == TK_OK);
    static const char* const ids[] = {"rb2601", "IF2512"};
    for (std::uint32_t i = 0; i < plan.ticks; ++i) tick(writer, ids[i % 2], static_cast<std::int32_t>(i));
    if (plan.ticks != 0) event(writer, TK_EV_LOGGED_IN, "20260105");
    if (reader != nullptr) {  // its last batch stays in its hands, as when it is killed
        std::vector<tk::Record> records(kRoom);
        tk_take take{};
        take.reader = reader;
        take.block = records.data();
        take.max = 2;
        PROMISE(tk_reader_poll(&take) >= 0);
        tk_reader_close(reader);
        tk_reader_free(reader);
    }
    PROMISE(tk_log_status_set(log, "{\"state\":\"live\"}", 16) == TK_OK);
    tk_writer_close(writer);
    if (plan.ended) tk_log_end(log);
    tk_queue_close(queue);
    tk_log_close(log);
    Pair pair;
    pair.log = read_file(log_path);
    pair.queue = read_file(queue_path);
    unlink(log_path.c_str());
    unlink(queue_path.c_str());
    const auto* h = reinterpret_cast<const tk::LogHeader*>(pair.log.data());
    pair.instruments = h->InstrumentsOffset;
    pair.saved = h->SavedOffset;
    pair.records = h->RecordsOffset;
    pair.capacity = h->Capacity;
    pair.instrument_capacity = h->InstrumentCapacity;
    pair.filters = plan.filter.empty() ? 1 : plan.filter.size();
    return pair;
}

const Pair& pair_of(std::size_t number) {
    static const std::vector<Pair> all = [] {
        std::vector<Pair> made;
        for (const Plan& plan : plans()) made.push_back(make(plan));
        return made;
    }();
    return all[number % all.size()];
}

enum Region : unsigned { kHeader, kReaders, kInstruments, kSaved, kRecords, kQueue, kFilters, kSizes };

struct Change {
    bool queue;
    std::uint64_t offset;
    std::uint32_t width;
    std::uint64_t value;
};

// Numbers at which something turns: a mutator finds them rarely.
std::uint64_t turning_point(std::uint8_t choice, const Pair& pair) {
    const std::uint64_t points[] = {
        0,           1,
        2,           3,
        pair.capacity, pair.capacity - 1,
        pair.capacity + 1, pair.instrument_capacity,
        pair.instrument_capacity + 1, tk::kMaxReaders,
        tk::kMaxReaders - 1, 0x7FFFFFFF,
        0x80000000,  0xFFFFFFFF,
        1ull << 32,  1ull << 62,
        (1ull << 63) - 1, 1ull << 63,
        ~0ull - 64,  ~0ull - 63,
        ~0ull - pair.capacity, ~0ull - 1,
        ~0ull,       tk_process_identity(getpid()),
        static_cast<std::uint64_t>(0x7FFFFFFE) << 32 | 7,
    };
    return points[choice % (sizeof points / sizeof points[0])];
}

Change change_of(Input* in, unsigned what, const Pair& pair) {
    const std::uint64_t index = in->byte(), offset = in->number<std::uint16_t>();
    Change c{};
    c.width = 1u << (what >> 5 & 3);
    if ((what & 0x80) != 0) {
        c.value = turning_point(in->byte(), pair);
    } else {
        in->take(&c.value, c.width);
    }
    const auto within = [&](std::uint64_t base, std::uint64_t size, std::uint64_t entries) {
        c.offset = base + index % entries * size + offset % size;
    };
    switch (what & 7) {
        case kHeader: within(0, sizeof(tk::LogHeader), 1); break;
        case kReaders: within(tk::kHeaderSize, sizeof(tk::ReaderSlot), 4); break;
        case kInstruments: within(pair.instruments, sizeof(tk::InstrumentEntry), pair.instrument_capacity); break;
        case kSaved: within(pair.saved, tk::kRecordSize, pair.instrument_capacity); break;
        case kRecords: within(pair.records, tk::kRecordSize, pair.capacity); break;
        case kQueue: within(0, sizeof(tk::QueueHeader), 1); c.queue = true; break;
        case kFilters: within(tk::kQueueHeaderSize, sizeof(tk::QueueFilter), pair.filters); c.queue = true; break;
        case kSizes: c.queue = index % 2 != 0; break;
    }
    return c;
}

void apply(const std::vector<Change>& changes, const std::string& log, const std::string& queue) {
    for (const Change& c : changes) {
        const int fd = open((c.queue ? queue : log).c_str(), O_RDWR | O_CLOEXEC);
        if (fd < 0) continue;  // without magic: removed as one that was never finished
        struct stat st;
        PROMISE(fstat(fd, &st) == 0);
        if (c.offset + c.width <= static_cast<std::uint64_t>(st.st_size))  // it may have been cut
            PROMISE(pwrite(fd, &c.value, c.width, static_cast<off_t>(c.offset)) == static_cast<ssize_t>(c.width));
        close(fd);
    }
}

template <std::size_t N>
bool ends(const char (&text)[N]) {
    return std::memchr(text, 0, N) != nullptr;
}

void look_at(tk_log* log) {
    tk_log_info info;
    PROMISE(tk_log_info_get(log, &info) == TK_OK && ends(info.name));
    PROMISE(info.instruments <= info.instrument_capacity && info.oldest <= info.head);
    std::vector<char> text(4096);
    const std::int32_t length = tk_log_status_get(log, text.data(), static_cast<std::uint32_t>(text.size()));
    PROMISE(length < static_cast<std::int32_t>(text.size()));
    tk_log_status_get(log, text.data(), 1);

    std::vector<tk_reader_info> readers(tk::kMaxReaders);
    PROMISE(tk_log_readers(log, readers.data(), tk::kMaxReaders) <= static_cast<std::int32_t>(tk::kMaxReaders));
    for (const tk_reader_info& r : readers) PROMISE(ends(r.name));
    PROMISE(tk_log_readers(log, readers.data(), 1) >= 0);

    tk_instrument entry;
    std::uint32_t known = 0;
    while (tk_log_instrument(log, known, &entry) == TK_OK) {
        PROMISE(ends(entry.instrument_id) && ends(entry.exchange_inst_id) && ends(entry.exchange_id));
        ++known;
    }
    PROMISE(known <= info.instrument_capacity);
    PROMISE(tk_log_instrument(log, UINT32_MAX, &entry) == TK_E_NOT_FOUND);

    std::vector<tk::Record> records(kRoom);
    for (const char* id : {"rb2601", "IF2512", ""}) tk_log_latest(log, id, records.data());
    const std::uint64_t starts[] = {0, info.oldest, info.head - 1, info.head, ~0ull};
    for (const std::uint64_t start : starts)
        for (const std::uint64_t count : {std::uint64_t{1}, std::uint64_t{kRoom}}) {
            std::uint64_t first, copied;
            PROMISE(tk_log_read(log, start, count, records.data(), &first, &copied) == TK_OK && copied <= count);
        }
}

void look_at(tk_queue* queue) {
    tk_queue_info info;
    PROMISE(tk_queue_info_get(queue, &info) == TK_OK && ends(info.name) && ends(info.log_path));
    char id[tk::kInstrumentIdSize + 1];
    for (std::uint32_t i = 0; i < info.filters; ++i) PROMISE(tk_queue_filter(queue, i, id, sizeof id) == TK_OK && ends(id));
    tk_queue_wait_bound(queue, info.bind_version, 1);
}

void take_from(tk_reader* reader) {
    std::vector<tk::Record> records(kRoom);
    void* scattered[kRoom];
    for (std::uint32_t i = 0; i < kRoom; ++i) scattered[i] = &records[i];
    std::int32_t (*const calls[])(tk_take*) = {tk_reader_poll, tk_reader_take, tk_reader_spin, tk_reader_first_look};
    for (std::uint32_t i = 0; i < 12; ++i) {
        tk_take take{};
        take.reader = reader;
        if (i % 2 == 0) take.block = records.data();
        if (i % 2 != 0) take.out = scattered;
        take.max = i % 3 == 0 ? 1 : kRoom;
        take.timeout_ns = i % 4 == 1 ? 1000 : 0;
        take.wait_mode = static_cast<std::int32_t>(i % 3);
        take.handed = i % 2;
        const std::int32_t rc = calls[i % 4](&take);
        PROMISE(rc == TK_LOOK || (rc <= static_cast<std::int32_t>(take.max) && take.count <= take.max));
        tk_reader_counters(reader, &take);
        tk_reader_waiting(reader);
    }
}

void read_with(tk_queue* queue, tk_log* log, const std::vector<Change>& meanwhile, const std::string& log_path,
               const std::string& queue_path) {
    tk_reader* reader = nullptr;
    if (tk_reader_open(queue, log, &reader) != TK_OK) return;
    take_from(reader);
    apply(meanwhile, log_path, queue_path);
    take_from(reader);
    *tk_reader_handed(reader) = 1;
    tk_reader_close(reader);
    tk_reader_free(reader);
}

void write_to(tk_log* log) {
    tk_writer* writer = nullptr;
    if (tk_writer_open(log, 1, &writer) != TK_OK) return;
    for (std::int32_t i = 0; i < 10; ++i) tick(writer, i % 3 == 0 ? "rb2601" : i % 3 == 1 ? "IF2512" : "m2605", i);
    event(writer, TK_EV_LOGGED_IN, "20260105");
    event(writer, TK_EV_UNSUBSCRIBED, "rb2601");
    tick(writer, "rb2601", 11);
    tk_writer_close(writer);
}

void use(tk_log* log, tk_queue* queue, Input* in, const std::vector<Change>& later, const std::string& log_path,
         const std::string& queue_path) {
    look_at(log);
    if (queue != nullptr) {
        look_at(queue);
        read_with(queue, log, later, log_path, queue_path);
        tk_queue_bind(queue, log, log_path.c_str());
        read_with(queue, log, {}, log_path, queue_path);
    }
    const std::uint8_t choice = in->byte();
    const char* ids[] = {"rb2601", "absent"};
    const std::string other_path = path_of("other");
    tk_queue* other = nullptr;
    std::int64_t start = (choice & 4) != 0 ? TK_START_NOW : TK_START_OLDEST;
    if ((choice & 12) == 8) start = in->byte();
    PROMISE(tk_queue_create(other_path.c_str(), "other", ids, choice % 3, start, (choice & 16) != 0, TK_WAIT_ADAPTIVE,
                            (choice & 32) != 0 ? TK_FLAG_SNAPSHOT : 0, &other) == TK_OK);
    if (tk_queue_bind(other, log, log_path.c_str()) == TK_OK) read_with(other, log, later, log_path, queue_path);
    write_to(log);
    read_with(other, log, {}, log_path, queue_path);
    look_at(log);
    tk_log_end(log);
    if (queue != nullptr) tk_queue_retire(queue);
    tk_queue_retire(other);
    look_at(log);
    tk_log_unlink(log);
    tk_queue_close(other);
    unlink(other_path.c_str());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in(data, size);
    const Pair& pair = pair_of(in.byte());
    const fuzz::World world;
    std::vector<char> log_bytes = pair.log, queue_bytes = pair.queue;
    std::vector<Change> changes[3];  // before attaching, behind its back, under the open reader
    for (std::uint32_t n = in.byte() % 16; n != 0; --n) {
        const unsigned what = in.byte(), when = what >> 3 & 3;
        const Change c = change_of(&in, what, pair);
        if ((what & 7) != kSizes) {
            changes[when % 3].push_back(c);
            continue;
        }
        std::vector<char>& file = c.queue ? queue_bytes : log_bytes;
        file.resize(std::min<std::uint64_t>(c.value, 1u << 18));
    }
    const std::string log_path = path_of("log"), queue_path = path_of("queue");
    write_file(log_path, log_bytes);
    write_file(queue_path, queue_bytes);
    apply(changes[0], log_path, queue_path);

    tk_segment_remove_unfinished(log_path.c_str());
    tk_log* log = nullptr;
    tk_queue* queue = nullptr;
    const bool attached = tk_log_attach(log_path.c_str(), &log) == TK_OK;
    if (tk_queue_attach(queue_path.c_str(), &queue) != TK_OK) queue = nullptr;
    if (attached || queue != nullptr) apply(changes[1], log_path, queue_path);
    if (attached) {
        use(log, queue, &in, changes[2], log_path, queue_path);
        tk_log_close(log);
    } else if (queue != nullptr) {
        look_at(queue);
        tk_queue_retire(queue);
    }
    tk_queue_close(queue);
    // A new log of the name removes what is there, unless it belongs to a living process.
    if (tk_log_create(log_path.c_str(), "fuzz", 2, 1, &log) == TK_OK) tk_log_close(log);
    unlink(log_path.c_str());
    unlink(queue_path.c_str());
    return 0;
}
