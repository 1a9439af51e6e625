// The file of a trade journal, with anything written into it before it is attached, under an open reader and under an
// open writer. Then everything is done that a reader does, and the recovery of the next writer. README.md has the form
// of an input, corpus.py writes the first ones.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "input.hpp"
#include "tickshim.h"
#include "trade_layout.hpp"
#include "world.hpp"

namespace {

using fuzz::Input;

constexpr std::uint64_t kCapacity = 64, kAtOnce = 16;

std::string path_of() { return fuzz::directory() + "/journal"; }

std::vector<char> read_file(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat st;
    PROMISE(fd >= 0 && fstat(fd, &st) == 0);
    std::vector<char> bytes(static_cast<std::size_t>(st.st_size));
    PROMISE(pread(fd, bytes.data(), bytes.size(), 0) == st.st_size);
    close(fd);
    return bytes;
}

void write_file(const std::string& path, const std::vector<char>& bytes) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    PROMISE(fd >= 0 && pwrite(fd, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    close(fd);
}

std::int32_t append(tk_tlog_writer* writer, std::uint16_t kind, std::uint16_t size, std::uint64_t* sequence) {
    tk::TradeRecord r{};
    r.Kind = kind;
    r.Size = size;
    std::memset(r.Payload, kind, size);
    return tk_tlog_append(writer, &r, sequence);
}

// A journal with so many records behind epoch_started, closed or left as by a kill.
std::vector<char> make(int records, bool closed) {
    const std::string path = path_of();
    tk_tlog_writer* writer;
    PROMISE(tk_tlog_writer_open(path.c_str(), kCapacity, &writer) == TK_OK);
    std::uint64_t sequence;
    for (int n = 0; n < records; ++n)
        PROMISE(append(writer, static_cast<std::uint16_t>(TK_TR_RTN_ORDER + n % 2), static_cast<std::uint16_t>(n % 9 * 104), &sequence) == TK_OK);
    std::vector<char> bytes;
    if (!closed) bytes = read_file(path);
    tk_tlog_writer_close(writer);
    if (closed) bytes = read_file(path);
    const std::uint64_t nobody = 0;
    std::memcpy(bytes.data() + offsetof(tk::TradeHeader, WriterProcess), &nobody, sizeof nobody);
    unlink(path.c_str());
    return bytes;
}

const std::vector<char>& sound(std::size_t number) {
    static const std::vector<std::vector<char>> all = {make(8, true), make(0, true), make(31, false)};
    return all[number % all.size()];
}

enum Region : unsigned { kHeader, kRecord, kSize };  // 3: as kRecord

struct Change {
    std::uint64_t offset = 0;
    std::uint32_t width = 0;
    std::uint64_t value = 0;
};

// Numbers at which something turns: a mutator finds them rarely.
std::uint64_t turning_point(std::uint8_t choice) {
    const std::uint64_t points[] = {0,          1,          2,          8,          9,          10,         31,         32,
                                    33,         63,         64,         65,         1ull << 32, (1ull << 32) + 1, 1ull << 53, (1ull << 54) - 4,
                                    1ull << 54, (1ull << 54) + 3, 1ull << 63, ~0ull - 4096, ~0ull - 1,  ~0ull,      0x7FFFFFFF, tk_process_identity(getpid())};
    return points[choice % (sizeof points / sizeof points[0])];
}

Change change_of(Input* in, unsigned what) {
    const std::uint64_t index = in->byte(), offset = in->number<std::uint16_t>();
    Change c;
    c.width = 1u << (what >> 5 & 3);
    if ((what & 0x80) != 0) {
        c.value = turning_point(in->byte());
    } else {
        in->take(&c.value, c.width);
    }
    c.offset = (what & 3) == kHeader ? offset % sizeof(tk::TradeHeader)
                                     : tk::kTradeHeaderSize + index % kCapacity * tk::kTradeRecordSize + offset % tk::kTradeRecordSize;
    return c;
}

void apply(const std::vector<Change>& changes, const std::string& path) {
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
    struct stat st;
    PROMISE(fd >= 0 && fstat(fd, &st) == 0);
    for (const Change& c : changes)
        if (c.offset + c.width <= static_cast<std::uint64_t>(st.st_size))
            PROMISE(pwrite(fd, &c.value, c.width, static_cast<off_t>(c.offset)) == static_cast<ssize_t>(c.width));
    close(fd);
}

// All there is, a few at a time. What is given out has its number and fits.
bool read_all(tk_tlog* tlog) {
    const fuzz::Exact block(kAtOnce * tk::kTradeRecordSize);
    const auto* records = reinterpret_cast<const tk::TradeRecord*>(block.get());
    std::uint64_t copied = 0, at = 0;
    std::int32_t rc;
    while ((rc = tk_tlog_read(tlog, at, kAtOnce, block.get(), &copied)) == TK_OK && copied != 0) {
        PROMISE(copied <= kAtOnce);
        for (std::uint64_t i = 0; i < copied; ++i) PROMISE(records[i].Stamp == at + i + 1 && records[i].Size <= tk::kTradePayload);
        at += copied;
    }
    PROMISE(rc == TK_OK || (rc == TK_E_LAYOUT && copied == 0));
    return rc == TK_OK;
}

void look_at(tk_tlog* tlog) {
    tk_tlog_info info;
    PROMISE(tk_tlog_info_get(tlog, &info) == TK_OK);
    read_all(tlog);
    const fuzz::Exact block(kAtOnce * tk::kTradeRecordSize);
    for (const std::uint64_t start : {std::uint64_t{5}, info.head - 1, info.head, info.head / 2, ~std::uint64_t{0}, info.room, info.capacity}) {
        std::uint64_t copied;
        const std::int32_t rc = tk_tlog_read(tlog, start, kAtOnce, block.get(), &copied);
        PROMISE(copied <= kAtOnce && (rc == TK_OK || copied == 0));
        tk_tlog_wait(tlog, start, 1000);
    }
}

void write_to(const std::string& path, const std::vector<Change>& under) {
    const std::vector<char> before = read_file(path);
    tk_tlog_writer* writer = nullptr;
    if (tk_tlog_writer_open(path.c_str(), kCapacity, &writer) != TK_OK) {
        // Full ones are taken over before they are refused, one without magic may have been made longer.
        const std::vector<char> after = read_file(path);
        PROMISE(std::strstr(tk_last_error(), "is full") != nullptr || std::equal(before.begin(), before.end(), after.begin()));
        return;
    }
    std::uint64_t sequence = 0, last = 0;
    PROMISE(append(writer, TK_TR_NOTE, 0, &last) == TK_OK || std::strstr(tk_last_error(), "is full") != nullptr);
    tk_tlog* tlog = nullptr;
    PROMISE(tk_tlog_attach(path.c_str(), &tlog) == TK_OK && read_all(tlog));
    apply(under, path);
    for (std::uint16_t n = 0; n < 40; ++n) {
        if (append(writer, TK_TR_RTN_TRADE, static_cast<std::uint16_t>(n * 21), &sequence) != TK_OK) break;
        PROMISE(last == 0 || sequence > last);
        last = sequence;
    }
    look_at(tlog);
    tk_tlog_close(tlog);
    tk_tlog_writer_close(writer);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in(data, size);
    const fuzz::World world;
    std::vector<char> bytes = sound(in.byte());
    std::vector<Change> changes[3];  // before it is attached, under the reader, under the writer
    for (std::uint32_t n = in.byte() % 16; n != 0; --n) {
        const unsigned what = in.byte();
        if ((what & 3) == kSize) {
            bytes.resize(in.number<std::uint32_t>() % (1u << 17));
        } else {
            changes[(what >> 2 & 7) % 3].push_back(change_of(&in, what));
        }
    }
    const std::string path = path_of();
    write_file(path, bytes);
    apply(changes[0], path);
    tk_tlog* tlog = nullptr;
    if (tk_tlog_attach(path.c_str(), &tlog) == TK_OK) {
        look_at(tlog);
        apply(changes[1], path);
        look_at(tlog);
        write_to(path, changes[2]);
        look_at(tlog);
        tk_tlog_close(tlog);
    } else {
        write_to(path, changes[2]);
    }
    unlink(path.c_str());
    return 0;
}
