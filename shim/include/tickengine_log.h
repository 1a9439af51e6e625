/* Reads a tickengine log from C or C++, with nothing but this file: C11 or C++11 of gcc or clang, Linux.
 *
 *     tkl_log log;
 *     tkl_follower f;
 *     tkl_record r;
 *     if (tkl_attach(&log, "md", error, sizeof error) != TKL_OK) ...
 *     tkl_follow(&f, &log, TKL_FROM_NOW);
 *     while ((rc = tkl_next(&f, &r, -1)) == TKL_OK) ...
 *     tkl_detach(&log);
 *
 * It follows "How to read a log from any language" in docs/layout.md, and shows that protocol to whoever writes
 * a reader in another language. It maps the file read-only, has no place in the log, and disturbs nobody: the
 * engine does not know of it. So nobody wakes it either: tkl_next() waits by looking again every 50 us. To sleep
 * and be woken, to filter, to be seen in the status, use the functions tk_queue_* and tk_reader_* of tickshim.h.
 *
 * A tkl_log may be used by many threads, a tkl_follower by one. Include this file before any other, or define
 * _POSIX_C_SOURCE yourself. */
#ifndef TICKENGINE_LOG_H
#define TICKENGINE_LOG_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
#define TKL_ASSERT(what) static_assert(what, #what)
extern "C" {
#else
#define TKL_ASSERT(what) _Static_assert(what, #what)
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a log is little-endian"
#endif

enum {
    TKL_OK = 0,
    TKL_E_NOT_FOUND = -1,   /* no log of that name; no tick of that instrument */
    TKL_E_LAYOUT = -2,      /* not a log, another version, damaged, another user's */
    TKL_E_OVERWRITTEN = -3, /* the ring has gone over it */
    TKL_E_NOT_YET = -4,     /* not written yet; nothing new within the time */
    TKL_E_ENDED = -5,       /* the engine has stopped and everything has been read */
    TKL_E_ORPHANED = -6,    /* the engine and its owner have died, and everything has been read */
    TKL_E_BUSY = -7         /* could not be read whole: whoever writes it has died at it */
};

enum { TKL_TICK = 0, TKL_EVENT = 1 }; /* Kind */

/* Record in docs/layout.md. Of an event (Kind 1) only Stamp, RecvTime, Kind, RecvMonotonic and TickNumber are
 * what they say; the rest is an EventRecord. Absent prices are NaN. Texts end in a NUL. */
typedef struct tkl_record {
    uint64_t Stamp; /* sequence + 1 */
    int64_t RecvTime;
    uint32_t Instrument;
    uint16_t Flags;
    uint8_t Kind, Reserved0;
    double LastPrice, BidPrice1, AskPrice1;
    int32_t Volume, BidVolume1, AskVolume1, UpdateMillisec;
    int64_t RecvMonotonic, ExchangeTime;
    uint64_t TickNumber, InstrumentNumber;
    double Turnover, OpenInterest, AveragePrice, PreSettlementPrice;
    double BidPrice2, AskPrice2, BidPrice3, AskPrice3, BidPrice4, AskPrice4, BidPrice5, AskPrice5;
    int32_t BidVolume2, AskVolume2, BidVolume3, AskVolume3, BidVolume4, AskVolume4, BidVolume5, AskVolume5;
    double PreClosePrice, PreOpenInterest, OpenPrice, HighestPrice, LowestPrice, ClosePrice, SettlementPrice;
    double UpperLimitPrice, LowerLimitPrice, PreDelta, CurrDelta, BandingUpperPrice, BandingLowerPrice;
    char TradingDay[9], ActionDay[9], UpdateTime[9], ExchangeID[9], InstrumentID[81], Reserved1[3];
} tkl_record;

TKL_ASSERT(sizeof(tkl_record) == 448);
TKL_ASSERT(offsetof(tkl_record, LastPrice) == 24);
TKL_ASSERT(offsetof(tkl_record, TickNumber) == 80);
TKL_ASSERT(offsetof(tkl_record, PreClosePrice) == 224);
TKL_ASSERT(offsetof(tkl_record, InstrumentID) == 364);

typedef struct tkl_log {
    const unsigned char *base;
    uint64_t size, capacity, instrument_capacity;
    const unsigned char *instruments, *saved, *records;
} tkl_log;

/* ---- the file's numbers ------------------------------------------------------------------- */

enum {
    TKL_LAYOUT_VERSION = 4,
    TKL_HEADER = 4096, TKL_RECORD = 448, TKL_INSTRUMENT = 320, TKL_READER = 1472, TKL_READERS = 256,
    /* in the header */
    TKL_AT_VERSION = 8, TKL_AT_SIZES = 12, TKL_AT_CAPACITY = 32, TKL_AT_TOTAL = 48, TKL_AT_PARTS = 64,
    TKL_AT_NAME = 128, TKL_AT_OWNER = 192, TKL_AT_WRITER = 200, TKL_AT_CLOSED = 212, TKL_AT_INSTRUMENTS = 216,
    TKL_AT_HEAD = 256, TKL_AT_TICKS = 264, TKL_AT_STATUS_VERSION = 448, TKL_AT_STATUS_LENGTH = 452,
    TKL_AT_STATUS = 512, TKL_STATUS = 3072,
    /* in an instrument's entry */
    TKL_AT_LATEST = 192, TKL_AT_SAVED_STAMP = 200
};

static inline uint64_t tkl_u64(const unsigned char *at) { return __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_RELAXED); }
static inline uint64_t tkl_u64_acquire(const unsigned char *at) { return __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_ACQUIRE); }
static inline uint32_t tkl_u32(const unsigned char *at) { return __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_RELAXED); }
static inline uint32_t tkl_u32_acquire(const unsigned char *at) { return __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_ACQUIRE); }

/* What may be written to meanwhile is copied word by word: a racing memcpy would be undefined, even if what
 * it gives is thrown away. */
static inline void tkl_copy(void *to, const unsigned char *from, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 8) {
        const uint64_t word = tkl_u64(from + i);
        memcpy((char *)to + i, &word, 8);
    }
}

static inline uint64_t tkl_up(uint64_t n) { return (n + 4095) / 4096 * 4096; }

static inline int64_t tkl_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int tkl_fail(char *error, size_t size, int code, const char *format, ...) {
    va_list list;
    va_start(list, format);
    if (error != NULL && size != 0) vsnprintf(error, size, format, list);
    va_end(list);
    return code;
}

/* ---- attach ------------------------------------------------------------------------------- */

static inline int tkl_check(tkl_log *log, const char *path, char *error, size_t error_size) {
    static const unsigned char magic[8] = {'T', 'K', 'L', 'O', 'G', 0x0D, 0x0A, 0};
    static const uint32_t sizes[5] = {TKL_HEADER, TKL_RECORD, TKL_INSTRUMENT, TKL_READER, TKL_READERS};
    const unsigned char *h = log->base;
    uint64_t expected;
    memcpy(&expected, magic, 8);
    /* Stored last by the maker: with it, all that is read below is there. */
    if (tkl_u64_acquire(h) != expected)
        return tkl_fail(error, error_size, TKL_E_LAYOUT, "'%s' is not a tick log (wrong magic)", path);
    if (tkl_u32(h + TKL_AT_VERSION) != TKL_LAYOUT_VERSION)
        return tkl_fail(error, error_size, TKL_E_LAYOUT, "'%s' has layout version %u, this program reads %d", path,
                        tkl_u32(h + TKL_AT_VERSION), TKL_LAYOUT_VERSION);
    for (int i = 0; i < 5; ++i)
        if (tkl_u32(h + TKL_AT_SIZES + 4 * i) != sizes[i])
            return tkl_fail(error, error_size, TKL_E_LAYOUT, "'%s' has parts of %u bytes where this program reads %u", path,
                            tkl_u32(h + TKL_AT_SIZES + 4 * i), sizes[i]);
    log->capacity = tkl_u64(h + TKL_AT_CAPACITY);
    log->instrument_capacity = tkl_u64(h + TKL_AT_CAPACITY + 8);
    if (log->capacity < 2 || log->capacity > (uint64_t)1 << 32 || (log->capacity & (log->capacity - 1)) != 0 ||
        log->instrument_capacity < 1 || log->instrument_capacity > (uint64_t)1 << 20)
        return tkl_fail(error, error_size, TKL_E_LAYOUT, "'%s' is damaged: its capacities cannot be", path);
    const uint64_t instruments = tkl_up(TKL_HEADER + TKL_READERS * TKL_READER);
    const uint64_t saved = tkl_up(instruments + log->instrument_capacity * TKL_INSTRUMENT);
    const uint64_t records = tkl_up(saved + log->instrument_capacity * TKL_RECORD);
    const uint64_t total = tkl_up(records + log->capacity * TKL_RECORD);
    const uint64_t parts[4] = {TKL_HEADER, instruments, saved, records};
    if (total != log->size || tkl_u64(h + TKL_AT_TOTAL) != total)
        return tkl_fail(error, error_size, TKL_E_LAYOUT, "'%s' is damaged: %llu bytes, expected %llu", path,
                        (unsigned long long)log->size, (unsigned long long)total);
    for (int i = 0; i < 4; ++i)
        if (tkl_u64(h + TKL_AT_PARTS + 8 * i) != parts[i])
            return tkl_fail(error, error_size, TKL_E_LAYOUT, "'%s' is damaged: a part is not in its place", path);
    if (tkl_u32_acquire(h + TKL_AT_INSTRUMENTS) > log->instrument_capacity || memchr(h + TKL_AT_NAME, 0, 64) == NULL)
        return tkl_fail(error, error_size, TKL_E_LAYOUT, "'%s' is damaged: its table or its name", path);
    log->instruments = h + instruments;
    log->saved = h + saved;
    log->records = h + records;
    return TKL_OK;
}

/* Unmap. */
static inline void tkl_detach(tkl_log *log) {
    if (log->base != NULL) munmap((void *)(uintptr_t)log->base, (size_t)log->size);
    log->base = NULL;
}

/* Map the log of the engine called `name`, of the same user. On failure: a negative code, and the reason in
 * `error` (may be NULL). */
static inline int tkl_attach(tkl_log *log, const char *name, char *error, size_t error_size) {
    char path[128];
    struct stat s;
    memset(log, 0, sizeof *log);
    if (name[0] == '\0' || strlen(name) > 48 || strchr(name, '/') != NULL)
        return tkl_fail(error, error_size, TKL_E_NOT_FOUND, "'%.60s' cannot be the name of a log", name);
    snprintf(path, sizeof path, "/dev/shm/tickengine-%lu-%s.log", (unsigned long)geteuid(), name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return tkl_fail(error, error_size, TKL_E_NOT_FOUND, "no tick log named '%s' ('%s' cannot be opened)", name, path);
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode) || s.st_uid != geteuid() || (s.st_mode & 077) != 0) {
        close(fd);
        return tkl_fail(error, error_size, TKL_E_LAYOUT, "'%s' must be this user's own file, mode 600", path);
    }
    if (s.st_size < TKL_HEADER || (int64_t)s.st_blocks * 512 < (int64_t)s.st_size) {
        close(fd);
        return tkl_fail(error, error_size, TKL_E_LAYOUT, "'%s' is damaged: too short, or not all of it is there", path);
    }
    void *base = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (base == MAP_FAILED) return tkl_fail(error, error_size, TKL_E_LAYOUT, "'%s' cannot be mapped", path);
    log->base = (const unsigned char *)base;
    log->size = (uint64_t)s.st_size;
    const int rc = tkl_check(log, path, error, error_size);
    if (rc != TKL_OK) tkl_detach(log);
    return rc;
}

/* ---- records ------------------------------------------------------------------------------ */

static inline const unsigned char *tkl_slot(const tkl_log *log, uint64_t sequence) {
    return log->records + (sequence & (log->capacity - 1)) * TKL_RECORD;
}

static inline uint64_t tkl_oldest_of(const tkl_log *log, uint64_t head) {
    return head < log->capacity ? 0 : head - log->capacity + 1;
}

/* Sequence of the next record: so many are complete. */
static inline uint64_t tkl_head(const tkl_log *log) { return tkl_u64_acquire(log->base + TKL_AT_HEAD); }
/* Sequence of the oldest record that can be read. */
static inline uint64_t tkl_oldest(const tkl_log *log) { return tkl_oldest_of(log, tkl_head(log)); }

/* Copy one record. TKL_E_OVERWRITTEN, TKL_E_NOT_YET. Does not wait. */
static inline int tkl_read(const tkl_log *log, uint64_t sequence, tkl_record *out) {
    uint64_t head = tkl_head(log);
    const unsigned char *slot = tkl_slot(log, sequence);
    if (sequence < tkl_oldest_of(log, head)) return TKL_E_OVERWRITTEN;
    /* A record is complete with its stamp, a moment before Head counts it. Acquire: the record is there. */
    if (sequence >= head && tkl_u64_acquire(slot) != sequence + 1) return TKL_E_NOT_YET;
    tkl_copy(out, slot, TKL_RECORD);
    /* All words were read before this look at Head: had one been of the next round, Head would say so. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    head = tkl_u64(log->base + TKL_AT_HEAD);
    return sequence < tkl_oldest_of(log, head) ? TKL_E_OVERWRITTEN : TKL_OK;
}

/* The newest tick of an instrument, also when the ring has long passed it. TKL_E_NOT_FOUND. */
static inline int tkl_latest(const tkl_log *log, const char *instrument_id, tkl_record *out) {
    const uint32_t count = tkl_u32_acquire(log->base + TKL_AT_INSTRUMENTS);
    const unsigned char *entry = NULL, *saved = NULL;
    uint64_t newest = 0;
    for (uint32_t i = 0; i < count && i < log->instrument_capacity; ++i) {
        const unsigned char *e = log->instruments + (uint64_t)i * TKL_INSTRUMENT;
        const uint64_t stamp = tkl_u64_acquire(e + TKL_AT_LATEST);
        if (stamp <= newest || strncmp((const char *)e, instrument_id, 81) != 0) continue;
        newest = stamp;
        entry = e;
        saved = log->saved + (uint64_t)i * TKL_RECORD;
    }
    if (entry == NULL) return TKL_E_NOT_FOUND;
    const int64_t deadline = tkl_now() + 1000000000;
    do {
        const uint64_t stamp = tkl_u64_acquire(entry + TKL_AT_LATEST);
        if (tkl_read(log, stamp - 1, out) == TKL_OK) return TKL_OK;
        if (tkl_u64_acquire(entry + TKL_AT_SAVED_STAMP) != stamp) continue;
        tkl_copy(out, saved, TKL_RECORD);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (tkl_u64(entry + TKL_AT_SAVED_STAMP) == stamp) return TKL_OK;
    } while (tkl_now() < deadline);
    return TKL_E_BUSY;
}

/* The session's status, JSON in UTF-8, ends in a NUL; "" before it has one. `size` at least 3073. */
static inline int tkl_status(const tkl_log *log, char *out, size_t size) {
    if (size <= TKL_STATUS) return TKL_E_LAYOUT;
    const int64_t deadline = tkl_now() + 100000000;
    do {
        const uint32_t version = tkl_u32_acquire(log->base + TKL_AT_STATUS_VERSION);
        const uint32_t length = tkl_u32(log->base + TKL_AT_STATUS_LENGTH);
        tkl_copy(out, log->base + TKL_AT_STATUS, TKL_STATUS);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if ((version & 1) == 0 && tkl_u32(log->base + TKL_AT_STATUS_VERSION) == version) {
            out[length < TKL_STATUS ? length : TKL_STATUS - 1] = '\0';
            return TKL_OK;
        }
    } while (tkl_now() < deadline);
    return TKL_E_BUSY;
}

/* True while the process lives: pid above, low half of its start time below. */
static inline int tkl_alive(uint64_t identity) {
    char path[64], line[1024];
    if (identity == 0) return 0;
    snprintf(path, sizeof path, "/proc/%u/stat", (unsigned)(identity >> 32));
    FILE *f = fopen(path, "r");
    if (f == NULL) return 0;
    const size_t n = fread(line, 1, sizeof line - 1, f);
    fclose(f);
    line[n] = '\0';
    const char *p = strrchr(line, ')'); /* the command may hold anything */
    if (p == NULL || p[1] == '\0' || p[2] == 'Z' || p[2] == 'X') return 0;
    p += 2;
    for (int field = 3; field < 22; ++field) {
        p = strchr(p, ' ');
        if (p == NULL) return 0;
        ++p;
    }
    return (uint32_t)strtoull(p, NULL, 10) == (uint32_t)identity;
}

/* ---- follow ------------------------------------------------------------------------------- */

enum { TKL_FROM_NOW = 0, TKL_FROM_OLDEST = 1 };

typedef struct tkl_follower {
    const tkl_log *log;
    uint64_t cursor;    /* sequence of the next record */
    uint64_t next_tick; /* TickNumber of the next tick, if `counting` */
    int counting;
    uint64_t lost; /* ticks that were overwritten before they were read */
} tkl_follower;

static inline void tkl_follow(tkl_follower *f, const tkl_log *log, int from) {
    const uint64_t head = tkl_head(log);
    memset(f, 0, sizeof *f);
    f->log = log;
    f->cursor = from == TKL_FROM_OLDEST ? tkl_oldest_of(log, head) : head;
}

static inline int tkl_news(const tkl_follower *f) {
    /* The record's own stamp, not Head: its line comes with the price, and the writer's line stays the writer's. */
    return tkl_u64_acquire(tkl_slot(f->log, f->cursor)) > f->cursor;
}

/* The next record, tick or event, in order. Waits at most timeout_ns (0: not at all, below 0: for ever).
 * TKL_E_NOT_YET when the time is over, TKL_E_ENDED, TKL_E_ORPHANED. When the ring has gone over the follower it
 * goes on a little behind the oldest record, and `lost` has the exact number of ticks. */
static inline int tkl_next(tkl_follower *f, tkl_record *out, int64_t timeout_ns) {
    const tkl_log *log = f->log;
    const struct timespec pause = {0, 50000};
    const int64_t start = tkl_now();
    uint32_t looks = 0;
    for (;;) {
        if (tkl_news(f)) {
            const int rc = tkl_read(log, f->cursor, out);
            if (rc == TKL_E_OVERWRITTEN) {
                const uint64_t behind = log->capacity / 16 < 1024 ? log->capacity / 16 : 1024;
                const uint64_t head = tkl_head(log), first = tkl_oldest_of(log, head) + behind;
                f->cursor = first < head ? first : head;
                continue;
            }
            if (rc != TKL_OK) continue; /* its slot has just been taken for a later one: Head will say so */
            ++f->cursor;
            if (out->Kind == TKL_TICK) {
                if (f->counting && out->TickNumber > f->next_tick) f->lost += out->TickNumber - f->next_tick;
                f->next_tick = out->TickNumber + 1;
                f->counting = 1;
            }
            return TKL_OK;
        }
        /* Closed first, then once more for news: what was written before the end is there. */
        if (tkl_u32_acquire(log->base + TKL_AT_CLOSED) != 0) {
            const uint64_t ticks = tkl_u64_acquire(log->base + TKL_AT_TICKS);
            if (tkl_news(f)) continue;
            if (f->counting && ticks > f->next_tick) {
                f->lost += ticks - f->next_tick; /* the last ones went while nobody looked */
                f->next_tick = ticks;
            }
            return TKL_E_ENDED;
        }
        if (timeout_ns >= 0 && tkl_now() - start >= timeout_ns) return TKL_E_NOT_YET;
        if (++looks % 4096 == 0 && !tkl_alive(tkl_u64(log->base + TKL_AT_OWNER)) &&
            !tkl_alive(tkl_u64(log->base + TKL_AT_WRITER)) && !tkl_news(f))
            return TKL_E_ORPHANED;
        nanosleep(&pause, NULL);
    }
}

#ifdef __cplusplus
}
#endif
#endif
