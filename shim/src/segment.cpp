#include "segment.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <vector>

#include "errors.hpp"
#include "system.hpp"
#include "tickshim.h"

namespace tk {
namespace {

constexpr std::uint64_t kMaxCapacity = 1ull << 32;
constexpr std::uint64_t kMaxInstruments = 1ull << 20;

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // headers before Linux 5.14
#endif

std::uint64_t magic_word(const char (&text)[8]) {
    std::uint64_t word;
    std::memcpy(&word, text, sizeof word);
    return word;
}

std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

// Where everything stands is a function of two numbers; attach recomputes it and compares.
struct Geometry {
    std::uint64_t readers, instruments, saved, records, total;
};

Geometry geometry(std::uint64_t capacity, std::uint64_t instrument_capacity) {
    Geometry g{};
    g.readers = kHeaderSize;
    g.instruments = round_up(g.readers + kMaxReaders * sizeof(ReaderSlot), 4096);
    g.saved = round_up(g.instruments + instrument_capacity * sizeof(InstrumentEntry), 4096);
    g.records = round_up(g.saved + instrument_capacity * kRecordSize, 4096);
    g.total = round_up(g.records + capacity * kRecordSize, 4096);
    return g;
}

void set_pointers(Log* log, const Geometry& g, std::uint64_t capacity, std::uint64_t instruments) {
    char* base = log->mapping.base();
    log->header = reinterpret_cast<LogHeader*>(base);
    log->readers = reinterpret_cast<ReaderSlot*>(base + g.readers);
    log->instruments = reinterpret_cast<InstrumentEntry*>(base + g.instruments);
    log->saved = reinterpret_cast<Record*>(base + g.saved);
    log->records = reinterpret_cast<Record*>(base + g.records);
    log->capacity = capacity;  // as they were checked: they may have been changed meanwhile
    log->mask = capacity - 1;
    log->instrument_capacity = instruments;
}

template <std::size_t N>
void set_text(char (&to)[N], const char* from) {
    std::strncpy(to, from, N - 1);
    to[N - 1] = '\0';
}

}  // namespace

Mapping::~Mapping() {
    if (base_ != nullptr) munmap(base_, size_);
}

std::int32_t create_file(const char* path, std::size_t size, Mapping* out, int* lock) {
    Descriptor fd(open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (fd.get() < 0) {
        if (errno == EEXIST) return fail(TK_E_EXISTS, "'%s' exists already", path);
        return fail_system("cannot create '%s'", path);
    }
    struct stat st;
    // The umask may have taken the owner's own rights away.
    int error = fchmod(fd.get(), 0600) == 0 ? 0 : errno;
    while (error == 0 && flock(fd.get(), LOCK_EX) != 0)
        if (errno != EINTR) error = errno;
    if (error == 0 && fstat(fd.get(), &st) != 0) error = errno;
    if (error == 0 && st.st_nlink == 0) return fail(TK_E_BUSY, "'%s' has been removed meanwhile", path);
    if (error != 0) {
        unlink(path);
        errno = error;
        return fail_system("cannot prepare '%s'", path);
    }
    // posix_fallocate returns the error instead of setting errno.
    error = posix_fallocate(fd.get(), 0, static_cast<off_t>(size));
    if (error != 0) {
        unlink(path);
        errno = error;
        return fail_system("cannot reserve %zu bytes for '%s' (ask for less capacity or make room)", size, path);
    }
    void* base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd.get(), 0);
    if (base == MAP_FAILED) {
        const std::int32_t code = fail_system("cannot map %zu bytes of '%s'", size, path);
        unlink(path);
        return code;
    }
    *out = Mapping(base, size, st);
    *lock = fd.release();
    return TK_OK;
}

// Read, not looked at in a mapping: of a file that is shortened just now a read gives less, a look SIGBUS.
static std::int32_t read_whole(const char* path, const Descriptor& fd, void* to, std::size_t size, std::size_t offset) {
    std::size_t done = 0;
    while (done < size) {
        const ssize_t n = pread(fd.get(), static_cast<char*>(to) + done, size - done, static_cast<off_t>(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_system("cannot read '%s'", path);
        if (n == 0) return fail(TK_E_LAYOUT, "'%s' is damaged: it ends at %zu bytes by now", path, offset + done);
        done += static_cast<std::size_t>(n);
    }
    return TK_OK;
}

std::int32_t attach_file(const char* path, void* header, std::size_t header_size, Descriptor* fd, Mapping* out) {
    // Not blocking: what has the name may be anything.
    fd->reset(open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (fd->get() < 0) {
        if (errno == ENOENT) return fail(TK_E_NOT_FOUND, "'%s' does not exist", path);
        return fail_system("cannot open '%s'", path);
    }
    struct stat st;
    if (fstat(fd->get(), &st) != 0) return fail_system("cannot look at '%s'", path);
    if (!S_ISREG(st.st_mode)) return fail(TK_E_LAYOUT, "'%s' is not a regular file", path);
    if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return fail(TK_E_LAYOUT,
                    "'%s' belongs to user %u with mode %o: a segment must be this user's own (%u), mode 600",
                    path, st.st_uid, st.st_mode & 07777u, geteuid());
    // A second name is not ours: where fs.protected_hardlinks is 0, another user can give one of our files
    // the name of a segment.
    if (st.st_nlink > 1) return fail(TK_E_LAYOUT, "'%s' has other names (hard links): a segment has one", path);
    const auto size = static_cast<std::size_t>(st.st_size);
    if (size == 0)
        return fail(TK_E_LAYOUT, "'%s' has 0 bytes: it is being made just now, or its maker died over it; try again", path);
    if (size < header_size)
        return fail(TK_E_LAYOUT, "'%s' is damaged: %zu bytes, expected at least %zu", path, size, header_size);
    std::uint64_t magic;  // the header again behind it, so that nothing in it is older
    if (const std::int32_t rc = read_whole(path, *fd, &magic, sizeof magic, 0); rc != TK_OK) return rc;
    // SYNC magic (acquire): partner is the release in create_log() and create_queue().
    std::atomic_thread_fence(std::memory_order_acquire);
    if (const std::int32_t rc = read_whole(path, *fd, header, header_size, 0); rc != TK_OK) return rc;
    std::memcpy(header, &magic, sizeof magic);
    // Its maker reserved all of it. To touch a hole takes memory that may not be there: SIGBUS again.
    if (static_cast<std::uint64_t>(st.st_blocks) * 512 < size)
        return fail(TK_E_LAYOUT, "'%s' is damaged: it has holes, %llu of %zu bytes are there", path,
                    static_cast<unsigned long long>(st.st_blocks) * 512, size);
    void* base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd->get(), 0);
    if (base == MAP_FAILED) return fail_system("cannot map %zu bytes of '%s'", size, path);
    *out = Mapping(base, size, st);
    return TK_OK;
}

static std::int32_t map_log(const char* path, Log* out);

// Makes room for a new log: TK_OK when the file there is gone, TK_E_EXISTS when it has to stay. Under the
// file's lock, which its maker holds until it is complete: of several engines that start together each
// removes only what it has looked at.
static std::int32_t remove_stale(const char* path, const char* name) {
    const Descriptor fd(open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (fd.get() < 0 && errno == ENOENT) return TK_OK;
    struct stat mine, there;
    // Before the lock: in a directory for everybody another user may have taken the name, and hold it for ever.
    if (lstat(path, &there) == 0 && there.st_uid != geteuid() && geteuid() != 0)
        return fail(TK_E_EXISTS, "'%s' belongs to user %u; have it removed or choose another name", path, there.st_uid);
    if (fd.get() >= 0) {
        if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
            return fail(TK_E_EXISTS, "an engine named '%s' is starting just now; stop it or choose another name", name);
        if (fstat(fd.get(), &mine) != 0 || lstat(path, &there) != 0 || mine.st_ino != there.st_ino || mine.st_dev != there.st_dev)
            return TK_OK;  // gone or another one already: look again
        Log old;
        if (map_log(path, &old) == TK_OK && (old.owner_alive() || old.writer_alive())) {
            const LogHeader& h = *old.header;
            return fail(TK_E_EXISTS, "an engine named '%s' is already running (pid %d); stop it or choose another name",
                        name, identity_pid(old.owner_alive() ? h.OwnerProcess.load() : h.WriterProcess.load()));
        }
    }
    // Left by a dead process, or not a log at all: the path carries our user's id and our prefix.
    if (unlink(path) != 0 && errno != ENOENT) return fail_system("cannot remove the stale '%s'", path);
    return TK_OK;
}

std::int32_t remove_unfinished(const char* path) {
    // Anybody can make a file with our prefix in a directory for everybody: a FIFO would be waited at without
    // O_NONBLOCK, and another user's file is neither ours to remove nor to lock.
    const Descriptor fd(open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    struct stat mine, there;
    const auto unfinished = [&fd] {
        std::uint64_t magic = 0;
        return pread(fd.get(), &magic, sizeof magic, 0) >= 0 && magic == 0;
    };
    // A complete one is not even locked: who binds a queue just now would find it taken.
    if (fd.get() < 0 || fstat(fd.get(), &mine) != 0 || mine.st_uid != geteuid() || !unfinished() || flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return TK_OK;
    if (lstat(path, &there) != 0 || mine.st_ino != there.st_ino || mine.st_dev != there.st_dev || !unfinished())
        return TK_OK;
    if (unlink(path) != 0 && errno != ENOENT) return fail_system("cannot remove the unfinished '%s'", path);
    return TK_OK;
}

bool Log::owner_alive() const {
    return process_alive(header->OwnerProcess.load(std::memory_order_relaxed));
}

bool Log::writer_alive() const {
    return process_alive(header->WriterProcess.load(std::memory_order_relaxed));
}

std::int32_t create_log(const char* path, const char* name, std::uint64_t capacity,
                        std::uint64_t instruments, Log* out) {
    if (std::strlen(name) >= kNameSize)
        return fail(TK_E_ARG, "log name '%s' is longer than %u bytes", name, kNameSize - 1);
    if (capacity < 2 || capacity > kMaxCapacity)
        return fail(TK_E_ARG, "log capacity %llu is not between 2 and %llu ticks",
                    static_cast<unsigned long long>(capacity), static_cast<unsigned long long>(kMaxCapacity));
    if (instruments < 1 || instruments > kMaxInstruments)
        return fail(TK_E_ARG, "instrument capacity %llu is not between 1 and %llu",
                    static_cast<unsigned long long>(instruments),
                    static_cast<unsigned long long>(kMaxInstruments));
    std::uint64_t rounded = 2;
    while (rounded < capacity) rounded *= 2;
    const Geometry g = geometry(rounded, instruments);

    Log log;
    log.path = path;
    int lock = -1;
    std::int32_t rc;
    for (int attempt = 0;; ++attempt) {
        rc = create_file(path, g.total, &log.mapping, &lock);
        if ((rc != TK_E_EXISTS && rc != TK_E_BUSY) || attempt == 100) break;
        if (rc == TK_E_EXISTS && (rc = remove_stale(path, name)) != TK_OK) break;
    }
    if (rc != TK_OK) return rc;
    const Descriptor locked(lock);

    auto* h = new (log.mapping.base()) LogHeader();  // the file is zeros; value-initialised the same
    h->LayoutVersion = kLayoutVersion;
    h->HeaderSize = kHeaderSize;
    h->RecordSize = kRecordSize;
    h->InstrumentSize = sizeof(InstrumentEntry);
    h->ReaderSize = sizeof(ReaderSlot);
    h->ReaderSlots = kMaxReaders;
    h->Capacity = rounded;
    h->InstrumentCapacity = instruments;
    h->TotalSize = g.total;
    h->ReadersOffset = g.readers;
    h->InstrumentsOffset = g.instruments;
    h->SavedOffset = g.saved;
    h->RecordsOffset = g.records;
    h->CreatedTime = clock_ns(CLOCK_REALTIME);
    if (getrandom(&h->UniqueId, sizeof h->UniqueId, 0) != static_cast<ssize_t>(sizeof h->UniqueId)) {
        rc = fail_system("getrandom");
        unlink(path);
        return rc;
    }
    set_text(h->Name, name);
    h->OwnerProcess.store(process_identity(getpid()), std::memory_order_relaxed);
    // SYNC magic (release): a log with its magic is complete. Partner: the acquire in attach_log().
    h->Magic.store(magic_word(kLogMagic), std::memory_order_release);
    flock(lock, LOCK_UN);  // closing would not do: the mapping keeps the open file, and with it the lock
    set_pointers(&log, g, rounded, instruments);
    *out = std::move(log);
    return TK_OK;
}

// Attach without the pages: enough to look at the header.
static std::int32_t map_log(const char* path, Log* out) {
    Log log;
    log.path = path;
    alignas(LogHeader) char copy[kHeaderSize];
    Descriptor fd(-1);
    if (const std::int32_t rc = attach_file(path, copy, sizeof copy, &fd, &log.mapping); rc != TK_OK) return rc;
    const auto* h = reinterpret_cast<const LogHeader*>(copy);
    if (h->Magic.load(std::memory_order_relaxed) != magic_word(kLogMagic))
        return fail(TK_E_LAYOUT, "'%s' is not a tick log (wrong magic)", path);
    if (h->LayoutVersion != kLayoutVersion)
        return fail(TK_E_LAYOUT, "'%s' has layout version %u, this build reads %u; use the same tickengine on both sides",
                    path, h->LayoutVersion, kLayoutVersion);
    if (h->RecordSize != kRecordSize || h->HeaderSize != kHeaderSize ||
        h->InstrumentSize != sizeof(InstrumentEntry) || h->ReaderSize != sizeof(ReaderSlot) ||
        h->ReaderSlots != kMaxReaders)
        return fail(TK_E_LAYOUT, "'%s' has records of %u bytes, this build reads %zu; use the same tickengine on both sides",
                    path, h->RecordSize, kRecordSize);
    const std::uint64_t capacity = h->Capacity, instruments = h->InstrumentCapacity;
    if (capacity < 2 || capacity > kMaxCapacity || (capacity & (capacity - 1)) != 0 || instruments < 1 ||
        instruments > kMaxInstruments)
        return fail(TK_E_LAYOUT, "'%s' is damaged: capacity %llu, instruments %llu", path,
                    static_cast<unsigned long long>(capacity), static_cast<unsigned long long>(instruments));
    const Geometry g = geometry(capacity, instruments);
    if (h->TotalSize != g.total || log.mapping.size() != g.total || h->ReadersOffset != g.readers ||
        h->InstrumentsOffset != g.instruments || h->SavedOffset != g.saved || h->RecordsOffset != g.records ||
        h->InstrumentCount.load(std::memory_order_relaxed) > instruments ||
        memchr(h->Name, 0, sizeof h->Name) == nullptr)
        return fail(TK_E_LAYOUT, "'%s' is damaged: %zu bytes, expected %llu", path, log.mapping.size(),
                    static_cast<unsigned long long>(g.total));
    set_pointers(&log, g, capacity, instruments);
    *out = std::move(log);
    return TK_OK;
}

std::int32_t attach_log(const char* path, Log* out) {
    const std::int32_t rc = map_log(path, out);
    // The pages are there since create_file(), but each process has a page table of its own, and would enter
    // them one by one where it can least afford it: in the first lap, on the vendor's thread or in a worker
    // that is behind. After the checks: the pages of a file that is no log are not asked for. Where the
    // kernel does not know the advice the pages are entered at their first use, as without it.
    if (rc == TK_OK && madvise(out->mapping.base(), out->mapping.size(), MADV_POPULATE_READ) != 0 && errno == EFAULT)
        return fail(TK_E_LAYOUT, "'%s' is damaged: not all of its %zu bytes can be touched", path, out->mapping.size());
    return rc;
}

// Without opening or mapping anything: it also tidies up where descriptors or memory have run out.
std::int32_t unlink_log(const Log& log) {
    const char* path = log.path.c_str();
    struct stat there;
    if (lstat(path, &there) != 0) return errno == ENOENT ? TK_OK : fail_system("cannot look at '%s'", path);
    if (!log.mapping.is_of(there)) return fail(TK_E_STATE, "'%s' is another log by now; left alone", path);
    if (unlink(path) != 0 && errno != ENOENT) return fail_system("cannot remove '%s'", path);
    return TK_OK;
}

std::int32_t create_queue(const char* path, const char* name, const char* const* ids,
                          std::uint32_t count, std::int64_t start, bool events, std::uint32_t wait_mode,
                          Queue* out, std::uint32_t skip) {
    if (std::strlen(name) >= kNameSize)
        return fail(TK_E_ARG, "queue name '%s' is longer than %u bytes", name, kNameSize - 1);
    for (std::uint32_t i = 0; i < count; ++i)
        if (std::strlen(ids[i]) >= kInstrumentIdSize || ids[i][0] == '\0')
            return fail(TK_E_ARG, "instrument id '%.100s' must have 1 to %u bytes", ids[i], kInstrumentIdSize - 1);
    if (start < TK_START_OLDEST || wait_mode > TK_WAIT_BLOCK)
        return fail(TK_E_ARG, "start %lld or wait mode %u is not known", static_cast<long long>(start), wait_mode);
    if (skip > UINT16_MAX) return fail(TK_E_ARG, "skip 0x%x has bits that are no flag", skip);
    const std::uint32_t entries = count == 0 ? 1 : count;
    const std::size_t size = round_up(kQueueHeaderSize + entries * sizeof(QueueFilter), 4096);
    Queue queue;
    queue.path = path;
    int lock = -1;
    std::int32_t rc;
    while ((rc = create_file(path, size, &queue.mapping, &lock)) == TK_E_BUSY) {  // swept away: once more
    }
    if (rc != TK_OK) return rc;
    const Descriptor locked(lock);
    auto* h = new (queue.mapping.base()) QueueHeader();
    queue.header = h;
    queue.filters = reinterpret_cast<QueueFilter*>(queue.mapping.base() + kQueueHeaderSize);
    queue.filter_count = entries;
    queue.filtered = count != 0;
    for (std::uint32_t i = 0; i < entries; ++i) {
        auto* f = new (queue.filters + i) QueueFilter();
        if (count != 0) set_text(f->InstrumentID, ids[i]);
        f->Expected.store(kUnknown, std::memory_order_relaxed);
    }
    h->LayoutVersion = kLayoutVersion;
    h->HeaderSize = kQueueHeaderSize;
    h->FilterCount = entries;
    h->Filtered = count != 0;
    h->WantsEvents = events;
    h->WaitMode = wait_mode;
    h->Skip = skip;
    h->TotalSize = size;
    h->Start = start;
    h->CreatorProcess = process_identity(getpid());
    set_text(h->Name, name);
    // SYNC magic (release): partner is the acquire in attach_queue().
    h->Magic.store(magic_word(kQueueMagic), std::memory_order_release);
    flock(lock, LOCK_UN);  // see create_log()
    *out = std::move(queue);
    return TK_OK;
}

std::int32_t attach_queue(const char* path, Queue* out) {
    Queue queue;
    queue.path = path;
    alignas(QueueHeader) char copy[kQueueHeaderSize];
    Descriptor fd(-1);
    if (const std::int32_t rc = attach_file(path, copy, sizeof copy, &fd, &queue.mapping); rc != TK_OK) return rc;
    const auto* h = reinterpret_cast<const QueueHeader*>(copy);
    if (h->Magic.load(std::memory_order_relaxed) != magic_word(kQueueMagic))
        return fail(TK_E_LAYOUT, "'%s' is not a tick queue (wrong magic)", path);
    if (h->LayoutVersion != kLayoutVersion)
        return fail(TK_E_LAYOUT, "'%s' has layout version %u, this build reads %u; use the same tickengine on both sides",
                    path, h->LayoutVersion, kLayoutVersion);
    const std::uint64_t entries = h->FilterCount;
    if (h->HeaderSize != kQueueHeaderSize || entries < 1 || entries > kMaxInstruments ||
        h->TotalSize != queue.mapping.size() ||
        kQueueHeaderSize + entries * sizeof(QueueFilter) > queue.mapping.size() || h->Filtered > 1 ||
        h->WaitMode > TK_WAIT_BLOCK || h->Start < TK_START_OLDEST || h->Skip > UINT16_MAX ||
        memchr(h->Name, 0, sizeof h->Name) == nullptr)
        return fail(TK_E_LAYOUT, "'%s' is damaged: %zu bytes with %llu filters", path, queue.mapping.size(),
                    static_cast<unsigned long long>(entries));
    queue.header = reinterpret_cast<QueueHeader*>(queue.mapping.base());
    queue.filters = reinterpret_cast<QueueFilter*>(queue.mapping.base() + kQueueHeaderSize);
    queue.filter_count = static_cast<std::uint32_t>(entries);
    queue.filtered = h->Filtered != 0;
    std::vector<QueueFilter> filters(entries);
    if (const std::int32_t rc = read_whole(path, fd, filters.data(), entries * sizeof(QueueFilter), kQueueHeaderSize); rc != TK_OK)
        return rc;
    for (std::uint64_t i = 0; i < entries; ++i)
        if (memchr(filters[i].InstrumentID, 0, kInstrumentIdSize) == nullptr)
            return fail(TK_E_LAYOUT, "'%s' is damaged: filter %llu has no end", path, static_cast<unsigned long long>(i));
    *out = std::move(queue);
    return TK_OK;
}

}  // namespace tk
