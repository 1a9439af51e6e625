#include "trade_log.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "crc32.hpp"
#include "errors.hpp"
#include "tickshim.h"
#include "turn.hpp"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // headers before Linux 5.14
#endif

namespace tk {
namespace {

constexpr std::uint64_t kMaxCapacity = 1ull << 32;
constexpr std::uint64_t kPagesAhead = 64;  // four records each
constexpr std::uint64_t kPrefault = kPagesAhead * 4096;

std::uint64_t magic_word(const char (&text)[8]) {
    std::uint64_t word;
    std::memcpy(&word, text, sizeof word);
    return word;
}

std::uint32_t crc_of(const TradeRecord& r) {
    const auto* bytes = reinterpret_cast<const char*>(&r);
    constexpr std::size_t from = offsetof(TradeRecord, RecvTime), crc = offsetof(TradeRecord, Crc);
    const std::size_t end = offsetof(TradeRecord, Payload) + std::min<std::size_t>(r.Size, kTradePayload);
    const std::uint32_t head = crc32(0, bytes + from, crc - from);
    return crc32(head, bytes + crc + sizeof r.Crc, end - crc - sizeof r.Crc);
}

// What to do with a journal that is refused.
constexpr char kAnother[] = "move it away while nothing is open: the next start begins another, with what the front says of the account";

// Of numbers that are no larger than kMaxCapacity, or that records_in() has allowed: any other may overflow.
std::size_t bytes_of(std::uint64_t records) { return kTradeHeaderSize + records * kTradeRecordSize; }

std::uint64_t records_in(std::uint64_t bytes) { return bytes < kTradeHeaderSize ? 0 : (bytes - kTradeHeaderSize) / kTradeRecordSize; }

// To look at a record beyond the file's end would be a SIGBUS. `counted` may be any number: it stands in the file.
std::int32_t check_length(const char* path, std::uint64_t bytes, std::uint64_t counted) {
    if (bytes >= kTradeHeaderSize && counted <= records_in(bytes)) return TK_OK;
    return fail(TK_E_LAYOUT, "'%s' is damaged: its %llu bytes hold %llu records, not %llu; %s", path, static_cast<unsigned long long>(bytes),
                static_cast<unsigned long long>(records_in(bytes)), static_cast<unsigned long long>(counted), kAnother);
}

std::int32_t fail_record(const char* path, std::uint64_t sequence) {
    return fail(TK_E_LAYOUT, "'%s' is damaged: record %llu is not what was written; %s", path, static_cast<unsigned long long>(sequence), kAnother);
}

std::int32_t check_own(const struct stat& st, const char* path) {
    if (!S_ISREG(st.st_mode)) return fail(TK_E_LAYOUT, "'%s' is not a regular file", path);
    if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return fail(TK_E_LAYOUT, "'%s' belongs to user %u with mode %o: a trade journal must be this user's own (%u), mode 600",
                    path, st.st_uid, st.st_mode & 07777u, geteuid());
    return TK_OK;
}

std::int32_t check_header(const TradeHeader& h, const char* path) {
    // SYNC trade magic (acquire): partner is the release in open_file().
    if (h.Magic.load(std::memory_order_acquire) != magic_word(kTradeMagic))
        return fail(TK_E_LAYOUT, "'%s' is not a trade journal (wrong magic)", path);
    if (h.LayoutVersion != kTradeLayoutVersion)
        return fail(TK_E_LAYOUT, "'%s' has journal layout %u, this build reads %u; use the same tickengine on both sides",
                    path, h.LayoutVersion, kTradeLayoutVersion);
    if (h.RecordSize != kTradeRecordSize || h.HeaderSize != kTradeHeaderSize)
        return fail(TK_E_LAYOUT, "'%s' is damaged: records of %u bytes, expected %zu", path, h.RecordSize, kTradeRecordSize);
    if (const std::uint64_t capacity = h.Capacity.load(std::memory_order_relaxed); capacity > kMaxCapacity)
        return fail(TK_E_LAYOUT, "'%s' is damaged: its capacity is %llu records; %s", path, static_cast<unsigned long long>(capacity), kAnother);
    return TK_OK;
}

}  // namespace

bool whole(const TradeRecord& record, std::uint64_t sequence) {
    // SYNC trade stamp (acquire): partner is the release in store(), of a writer that has died since. A reader needs
    // no order here: it looks at copies of what Head, which it has acquired, says is complete.
    return __atomic_load_n(&record.Stamp, __ATOMIC_ACQUIRE) == sequence + 1 && record.Size <= kTradePayload && record.Crc == crc_of(record);
}

void fill(const TradeEntry& e, TradeRecord* out) {
    const Stamp stamp = e.stamp.realtime != 0 ? e.stamp : process_clock().now();
    out->RecvTime = stamp.realtime;
    out->RecvMonotonic = stamp.monotonic;
    out->Kind = e.kind;
    out->Struct = e.type;
    out->RequestID = e.request_id;
    out->ErrorID = e.error_id;
    out->Reason = e.reason;
    out->IsLast = e.is_last;
    out->HasInfo = e.has_info;
    out->HasData = e.has_data;
    out->ClientID = e.client_id;
    out->Value = e.value;
    if (e.text != nullptr) std::memcpy(out->ErrorMsg, e.text, std::min(e.text_length, sizeof out->ErrorMsg));
    out->Size = static_cast<std::uint16_t>(e.size);
    if (e.size != 0) std::memcpy(out->Payload, e.payload, e.size);
}

// ---- writer -------------------------------------------------------------------------------------

std::int32_t TradeWriter::open(const char* path, std::uint64_t capacity) {
    if (capacity < 16 || capacity > kMaxCapacity)
        return fail(TK_E_ARG, "journal capacity %llu is not between 16 and %llu records",
                    static_cast<unsigned long long>(capacity), static_cast<unsigned long long>(kMaxCapacity));
    path_ = path;
    const int fd = ::open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return fail_system("cannot open the trade journal '%s'", path);
    file_.reset(fd);
    // For the take-over only: a forked child would keep this lock beyond our death. From then on our mark
    // in the header, which names this process, says that the file has a writer.
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return fail(TK_E_BUSY, "the trade journal '%s' is being opened by another process just now", path);
        return fail_system("cannot lock '%s'", path);
    }
    capacity_ = capacity;
    struct stat st;
    std::uint64_t magic = 0;
    std::int32_t rc = fstat(fd, &st) == 0 ? check_own(st, path) : fail_system("cannot look at '%s'", path);
    if (rc == TK_OK) {
        // Without magic: its maker died before it was complete, so nothing is in it.
        const bool fresh = pread(fd, &magic, sizeof magic, 0) != static_cast<ssize_t>(sizeof magic) || magic == 0;
        rc = open_file(fd, fresh);
    }
    flock(fd, LOCK_UN);
    if (rc != TK_OK) {
        file_.reset(-1);
        mapping_ = Mapping();
        header_ = nullptr;
    }
    return rc;
}

std::int32_t TradeWriter::open_file(int fd, bool fresh) {
    const char* path = path_.c_str();
    struct stat st;
    if (fstat(fd, &st) != 0) return fail_system("cannot look at '%s'", path);
    std::uint64_t records = records_in(static_cast<std::uint64_t>(st.st_size));
    if (records > kMaxCapacity)
        return fail(TK_E_LAYOUT, "'%s' is damaged: it has room for %llu records; %s", path, static_cast<unsigned long long>(records), kAnother);
    if (!fresh) {
        if (const std::int32_t rc = check_length(path, static_cast<std::uint64_t>(st.st_size), 0); rc != TK_OK) return rc;
        capacity_ = std::max(capacity_, records);
    }
    reserve_ = std::min(kTradeReserve, capacity_ / 4);
    // Also what is there already: a copied file may have holes, which a full disk would turn into SIGBUS.
    const std::size_t first = bytes_of(std::max(records, std::min(reserve_ + std::min(kTradeChunk, capacity_ / 4), capacity_)));
    if (const int error = posix_fallocate(fd, 0, static_cast<off_t>(fresh ? first : bytes_of(records))); error != 0) {
        errno = error;
        return fail_system("cannot reserve %zu bytes for the trade journal '%s'; make room on its disk", first, path);
    }
    if (fresh) records = std::max(records, records_in(first));
    // The whole of what it may become: only address space. What lies beyond the file's end is never touched.
    const std::size_t size = bytes_of(std::max(capacity_, records));
    void* base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) return fail_system("cannot map %zu bytes of '%s'", size, path);
    mapping_ = Mapping(base, size);
    header_ = reinterpret_cast<TradeHeader*>(mapping_.base());
    records_ = reinterpret_cast<TradeRecord*>(mapping_.base() + kTradeHeaderSize);
    TradeHeader& h = *header_;
    if (!fresh) {
        if (const std::int32_t rc = check_header(h, path); rc != TK_OK) return rc;
    }
    const std::uint64_t previous = h.WriterProcess.load();
    if (process_alive(previous))
        return fail(TK_E_BUSY, "the trade journal '%s' is being written by process %d", path, identity_pid(previous));
    if (const std::int32_t rc = survey(records); rc != TK_OK) return rc;
    if (fresh) {
        if (head() != 0 || damaged_ != 0) return fail(TK_E_LAYOUT, "'%s' is damaged: records without a header; %s", path, kAnother);
        h.LayoutVersion = kTradeLayoutVersion;
        h.HeaderSize = kTradeHeaderSize;
        h.RecordSize = kTradeRecordSize;
        h.CreatedTime = clock_ns(CLOCK_REALTIME);
        if (getrandom(&h.UniqueId, sizeof h.UniqueId, 0) != static_cast<ssize_t>(sizeof h.UniqueId)) return fail_system("getrandom");
        // SYNC trade magic (release): a journal with its magic is complete. Partner: the acquire in check_header().
        h.Magic.store(magic_word(kTradeMagic), std::memory_order_release);
    }
    h.WriterProcess.store(process_identity(getpid()));
    h.Capacity.store(capacity_);
    cut_end(records);
    keep_ahead(reserve_ + 1);
    epoch_ = h.Epoch.load(std::memory_order_relaxed) + 1;
    h.Epoch.store(epoch_, std::memory_order_relaxed);
    TradeEntry started;
    started.kind = TK_TR_EPOCH_STARTED;
    started.value = getpid();
    const std::int32_t rc = append(started);
    if (rc != TK_OK) h.WriterProcess.store(0);
    return rc;
}

// Where the journal ends is what the stamps and check sums say: a writer may have died between any two stores, and a
// machine that lost its power may have kept any of the pages. A record that is damaged and has whole ones behind it is
// refused, with nothing changed: it may have been an order, and on half of what an account did nobody trades.
std::int32_t TradeWriter::survey(std::uint64_t records) {
    // SYNC trade head (acquire): a dead writer's release.
    const std::uint64_t counted = header_->Head.load(std::memory_order_acquire);
    if (const std::int32_t rc = check_length(path_.c_str(), bytes_of(records), counted); rc != TK_OK) return rc;
    std::uint64_t head = 0, whole_so_far = 0;
    for (std::uint64_t s = 0; s < records; ++s) {
        if (!whole(records_[s], s)) continue;
        head = s + 1;
        if (whole_so_far == s) whole_so_far = head;
    }
    if (whole_so_far != head) return fail_record(path_.c_str(), whole_so_far);
    damaged_ = 0;
    for (std::uint64_t s = head; s < records; ++s) damaged_ += s < counted || records_[s].Stamp != 0;
    head_.store(head, std::memory_order_relaxed);
    return TK_OK;
}

// What is behind the last whole record never was.
void TradeWriter::cut_end(std::uint64_t records) {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    for (std::uint64_t s = head; s < records; ++s) {
        const auto* words = reinterpret_cast<const std::uint64_t*>(&records_[s]);
        if (std::any_of(words, words + kTradeRecordSize / 8, [](std::uint64_t w) { return w != 0; }))
            std::memset(static_cast<void*>(&records_[s]), 0, kTradeRecordSize);
    }
    header_->Damaged.fetch_add(damaged_);
    header_->Room.store(records, std::memory_order_relaxed);
    room_.store(records, std::memory_order_relaxed);
    // SYNC trade head (release): records below it are whole. Partner: the acquire loads of Head.
    if (head != header_->Head.load(std::memory_order_relaxed)) header_->Head.store(head, std::memory_order_release);
}

void TradeWriter::close() {
    if (header_ == nullptr) return;
    std::uint64_t mine = process_identity(getpid());  // in a forked child it is the parent's mark that stands there
    header_->WriterProcess.compare_exchange_strong(mine, 0);
    header_ = nullptr;
    mapping_ = Mapping();
    file_.reset(-1);
}

std::int32_t TradeWriter::lengthen(std::uint64_t records) {
    const std::uint64_t room = room_.load(std::memory_order_relaxed);
    if (records <= room) return TK_OK;
    const int error = posix_fallocate(file_.get(), static_cast<off_t>(bytes_of(room)),
                                      static_cast<off_t>((records - room) * kTradeRecordSize));
    if (error != 0) {
        errno = error;
        // What is to be done comes first: of a refused order's reason the journal keeps 81 bytes.
        return fail_system("make room on the trade journal's disk: cannot reserve %llu more bytes for '%s'",
                           static_cast<unsigned long long>((records - room) * kTradeRecordSize), path_.c_str());
    }
    // SYNC trade room (release): there is space below it. Partner: the acquire in append().
    room_.store(records, std::memory_order_release);
    header_->Room.store(records, std::memory_order_relaxed);
    return TK_OK;
}

// True when there is room for `ahead` more records, by one chunk more if need be.
bool TradeWriter::keep_ahead(std::uint64_t ahead) {
    const std::lock_guard<std::mutex> lock(growing_);
    const std::uint64_t head = this->head();
    std::uint64_t room = room_.load(std::memory_order_relaxed);
    while (room < head + ahead && room < capacity_) {
        const std::uint64_t more = std::min(capacity_, room + std::max<std::uint64_t>(1, std::min(kTradeChunk, capacity_ / 4)));
        if (lengthen(more) != TK_OK) return false;
        room = more;
    }
    return room >= head + ahead;
}

void TradeWriter::reserve() {
    const std::uint64_t head = this->head();
    // One chunk more than what orders need: then append() never has to do it between two calls of this.
    keep_ahead(reserve_ + std::min(kTradeChunk, capacity_ / 4));
    // A page is entered at its first use, and again after the kernel has written it to the disk. Where the
    // kernel does not know the advice that happens in append().
    const std::uint64_t room = room_.load(std::memory_order_relaxed);
    const std::size_t from = bytes_of(head) / 4096 * 4096;
    const std::size_t to = std::min<std::size_t>(bytes_of(room) / 4096 * 4096, from + kPrefault);
    if (to > from) madvise(mapping_.base() + from, to - from, MADV_POPULATE_WRITE);
}

std::int32_t TradeWriter::room_for_orders() {
    const std::uint64_t head = this->head();
    if (__builtin_expect(head + reserve_ < room_.load(std::memory_order_relaxed), 1)) return TK_OK;
    if (keep_ahead(reserve_ + 1)) return TK_OK;
    if (head + reserve_ >= capacity_)
        return fail(TK_E_FULL, "the trade journal '%s' has %llu of %llu records: the rest is kept for returns; move it away while nothing is open, or open it with a larger capacity",
                    path_.c_str(), static_cast<unsigned long long>(head), static_cast<unsigned long long>(capacity_));
    return TK_E_FULL;  // the text is lengthen()'s
}

// Everything but Head. The place is zeros.
void TradeWriter::store(const TradeEntry& entry, std::uint64_t sequence) {
    TradeRecord& r = records_[sequence];
    fill(entry, &r);
    r.Epoch = epoch_;
    r.Crc = crc_of(r);
    // SYNC trade stamp (release): the record is complete. Partner: the acquire of Head, which counts it, and
    // the next writer's survey(), which trusts nothing else.
    __atomic_store_n(&r.Stamp, sequence + 1, __ATOMIC_RELEASE);
}

std::int32_t TradeWriter::append(const TradeEntry& entry, std::uint64_t* sequence, bool wake) {
    if (entry.size > kTradePayload) return fail(TK_E_ARG, "a record holds %zu bytes, not %zu", kTradePayload, entry.size);
    for (;;) {
        {
            const Turn turn(turn_);
            const std::uint64_t head = this->head();
            // SYNC trade room (acquire): partner is the release in lengthen().
            if (__builtin_expect(head < room_.load(std::memory_order_acquire), 1)) {
                store(entry, head);
                head_.store(head + 1, std::memory_order_relaxed);
                // SYNC trade head (release): partner is the acquire of readers.
                header_->Head.store(head + 1, std::memory_order_release);
                if (sequence != nullptr) *sequence = head;
                if (wake) wake_readers();
                return TK_OK;
            }
        }
        if (!keep_ahead(1))
            return fail(TK_E_FULL, "the trade journal '%s' is full: %llu records", path_.c_str(), static_cast<unsigned long long>(head()));
    }
}

void TradeWriter::wake_readers() {
    TradeHeader& h = *header_;
    // SYNC trade sleep (seq_cst, writer side): Head is published before the look for sleepers.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (__builtin_expect(h.Sleepers.load(std::memory_order_relaxed) == 0, 1)) return;
    // The mark goes first: who lies down again in between sets it anew and finds the word changed.
    h.Sleepers.store(0);
    h.Wake.fetch_add(1);
    futex_wake(&h.Wake, INT_MAX);
}

// ---- reader -------------------------------------------------------------------------------------

std::int32_t TradeReader::attach(const char* path) {
    path_ = path;
    file_.reset(open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (file_.get() < 0) return errno == ENOENT ? fail(TK_E_NOT_FOUND, "'%s' does not exist", path) : fail_system("cannot open '%s'", path);
    struct stat st;
    if (fstat(file_.get(), &st) != 0) return fail_system("cannot look at '%s'", path);
    if (const std::int32_t rc = check_own(st, path); rc != TK_OK) return rc;
    if (const std::int32_t rc = check_length(path, static_cast<std::uint64_t>(st.st_size), 0); rc != TK_OK) return rc;
    alignas(TradeHeader) char first[kTradeHeaderSize];
    if (pread(file_.get(), first, sizeof first, 0) != static_cast<ssize_t>(sizeof first)) return fail_system("cannot read '%s'", path);
    const auto& h = *reinterpret_cast<const TradeHeader*>(first);
    if (const std::int32_t rc = check_header(h, path); rc != TK_OK) return rc;
    const char* base = nullptr;
    return map_up_to(h.Head.load(std::memory_order_relaxed), h.Capacity.load(std::memory_order_relaxed), &base);
}

std::uint64_t TradeReader::head() const {
    return header_->Head.load(std::memory_order_acquire);  // SYNC trade head (acquire)
}

bool TradeReader::writer_alive() const { return process_alive(header_->WriterProcess.load()); }

// All that the file may become, as the writer maps it; again when a later writer goes further. Earlier mappings stay
// for the threads that read there. Both numbers may be any: whoever may write the file may change them at any time.
std::int32_t TradeReader::map_up_to(std::uint64_t records, std::uint64_t capacity, const char** base) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const char* path = path_.c_str();
    if (records > held_ || mappings_.empty()) {  // else the file has them: it never becomes shorter
        struct stat st;
        if (fstat(file_.get(), &st) != 0) return fail_system("cannot look at '%s'", path);
        if (const std::int32_t rc = check_length(path, static_cast<std::uint64_t>(st.st_size), records); rc != TK_OK) return rc;
        held_ = records_in(static_cast<std::uint64_t>(st.st_size));
    }
    if (mappings_.empty() || records_in(mappings_.back().size()) < records) {
        const std::size_t size = bytes_of(std::max(held_, std::min(capacity, kMaxCapacity)));
        void* mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
        if (mapped == MAP_FAILED) return fail_system("cannot map %zu bytes of '%s'", size, path);
        mappings_.emplace_back(mapped, size);
        if (header_ == nullptr) header_ = static_cast<TradeHeader*>(mapped);
    }
    *base = mappings_.back().base();
    return TK_OK;
}

std::int32_t TradeReader::read(std::uint64_t start, std::uint64_t count, TradeRecord* out, std::uint64_t* copied) {
    *copied = 0;
    const std::uint64_t there = head();
    if (start >= there || count == 0) return TK_OK;
    const std::uint64_t n = std::min(count, there - start);
    const char* base = nullptr;
    if (const std::int32_t rc = map_up_to(start + n, header_->Capacity.load(std::memory_order_relaxed), &base); rc != TK_OK) return rc;
    std::memcpy(static_cast<void*>(out), base + bytes_of(start), n * kTradeRecordSize);
    // The copies, which nobody changes. Below Head, whose acquire in head() pairs with the release in append(), a
    // writer has completed each of them: one that is not whole was changed by somebody else, or lost with the power.
    for (std::uint64_t i = 0; i < n; ++i)
        if (!whole(out[i], start + i)) return fail_record(path_.c_str(), start + i);
    *copied = n;
    return TK_OK;
}

bool TradeReader::wait(std::uint64_t sequence, std::int64_t timeout_ns) {
    const std::int64_t deadline = timeout_ns < 0 ? INT64_MAX : monotonic_ns() + timeout_ns;
    // The end of a slice looks again: a writer that died before it woke us is noticed then.
    constexpr std::int64_t slice = 500000000;
    for (;;) {
        if (head() > sequence) return true;
        const std::int64_t left = deadline - monotonic_ns();
        if (left <= 0) return false;
        const std::uint32_t word = header_->Wake.load();
        // SYNC trade sleep (seq_cst, reader side): announced before the last look at Head. Partner: the fence
        // in wake_readers().
        header_->Sleepers.store(1, std::memory_order_seq_cst);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (head() > sequence) return true;
        if (futex_wait(&header_->Wake, word, std::min(left, slice)) == EINTR) return head() > sequence;
    }
}

}  // namespace tk
