/* tickshim: the C surface of tickengine's shim, and its manual.
 *
 * Handles are opaque. Functions return TK_OK (0) or a negative TK_E_* code; what went wrong, in
 * words, is in tk_last_error() of the calling thread. No C++ exception and no Python object crosses
 * this surface. Strings are UTF-8, NUL-terminated, and copied. Sizes are in bytes, times in
 * nanoseconds. "Blocks" is said where a function can; everything else returns at once.
 *
 * Threads: a log handle may be shared. A reader belongs to one thread at a time (a second one gets
 * TK_E_BUSY). A writer and an md api may be used from any thread.
 */
#ifndef TICKSHIM_H
#define TICKSHIM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TK_API __attribute__((visibility("default")))
#define TK_ABI_VERSION 6

enum {
    TK_OK = 0,
    TK_E_ARG = -1,        /* an argument is wrong */
    TK_E_SYS = -2,        /* a system call failed; the text has its name and errno's words */
    TK_E_NOT_FOUND = -3,  /* no such segment, instrument or file */
    TK_E_EXISTS = -4,     /* the name is taken by a live owner */
    TK_E_LAYOUT = -5,     /* not a segment of ours, damaged, or of another version */
    TK_E_FULL = -6,       /* no free reader slot; no room in the trade journal or the command ring */
    TK_E_BUSY = -7,       /* the reader is in use by another process or thread */
    TK_E_VENDOR = -8,     /* the vendor library cannot be used */
    TK_E_STATE = -9,      /* the call does not fit the state */
    TK_E_OVERWRITTEN = -10 /* the record asked for is no longer in the log */
};

/* Events in the log. Reason, ErrorID and Value mean something only where said. */
enum {
    TK_EV_ENGINE_STARTED = 1,      /* a writer has opened the log; Epoch */
    TK_EV_FRONT_CONNECTED = 2,
    TK_EV_FRONT_DISCONNECTED = 3,  /* Reason */
    TK_EV_HEARTBEAT_WARNING = 4,   /* Value: seconds since the last message */
    TK_EV_LOGGED_IN = 5,           /* Text: trading day */
    TK_EV_LOGIN_REFUSED = 6,       /* ErrorID, Text: the front's words */
    TK_EV_SUBSCRIBED = 7,          /* Value: instruments acknowledged since login; all asked for */
    TK_EV_SUBSCRIBE_REFUSED = 8,   /* ErrorID, Text: instrument id */
    TK_EV_UNSUBSCRIBED = 9,        /* Text: instrument id */
    TK_EV_ERROR = 10,              /* OnRspError: ErrorID, Text */
    TK_EV_GAVE_UP = 11,            /* the session will not log in again; ErrorID, Text: why */
    TK_EV_ENGINE_LOST = 12,        /* the engine process died; Value: exit status */
    TK_EV_ENGINE_STOPPED = 13,
    TK_EV_ACK_OVERDUE = 14,        /* Value: subscriptions without an answer */
    TK_EV_LOGIN_OVERDUE = 15,      /* the login was not answered in time */
    TK_EV_STALE = 16               /* Value: seconds without a tick */
};

/* Flags of a tick: what is worth knowing about it before it is used. docs/data.md has the rules. */
enum {
    TK_FLAG_SNAPSHOT = 1,         /* first of its instrument after a login or subscription */
    TK_FLAG_BEFORE_OPEN = 2,
    TK_FLAG_AUCTION = 4,
    TK_FLAG_OUT_OF_SESSION = 8,   /* between two sessions of a trading day */
    TK_FLAG_AFTER_CLOSE = 16,
    TK_FLAG_DUPLICATE = 32,       /* says what the one before it said */
    TK_FLAG_OUT_OF_ORDER = 64,    /* its time is before that of an earlier tick */
    TK_FLAG_VOLUME_DOWN = 128,
    TK_FLAG_TURNOVER_DOWN = 256,
    TK_FLAG_TIME_REPAIRED = 512,  /* ExchangeTime is not what the fields say */
    TK_FLAG_TIME_MISSING = 1024,  /* no UpdateTime: ExchangeTime is 0 */
    TK_FLAG_DAY_GUESSED = 2048,   /* no rule and no calendar gave the day of ExchangeTime */
    TK_FLAG_UNKNOWN_PRODUCT = 4096, /* no product rule: nothing is said about sessions */
    TK_FLAG_REPLAYED = 8192       /* from a recording, by tk_writer_replay() */
};

TK_API int32_t tk_abi_version(void);
TK_API const char *tk_last_error(void);
/* Layout of the record: one line "name offset size type" per field, for comparison with a binding. */
TK_API const char *tk_layout(void);

/* ---- clock ------------------------------------------------------------------------------- */
/* The receive stamp's clock: both in one reading. CLOCK_REALTIME and CLOCK_MONOTONIC. */
TK_API void tk_now(int64_t *realtime_ns, int64_t *monotonic_ns);
/* Follow NTP and clock steps; to be called about once a second, by one thread. */
TK_API void tk_clock_refresh(void);

/* ---- processes --------------------------------------------------------------------------- */
/* pid and start time in one word, 0 if the process does not exist or is a zombie. */
TK_API uint64_t tk_process_identity(int32_t pid);

/* ---- log --------------------------------------------------------------------------------- */
typedef struct tk_log tk_log;

typedef struct tk_log_info {
    uint64_t capacity, instrument_capacity, total_size, unique_id;
    uint64_t head, oldest, ticks, events;
    uint64_t wakes;
    int64_t created_ns;
    int32_t owner_pid, writer_pid;
    uint32_t epoch, closed, instruments, instrument_overflow;
    uint32_t owner_alive, writer_alive;
    char name[64];
} tk_log_info;

typedef struct tk_instrument {
    char instrument_id[88];
    char exchange_inst_id[88];
    char exchange_id[16];
    uint64_t count;        /* ticks of this InstrumentID */
    uint64_t latest_stamp; /* Sequence + 1 of its newest tick, 0 none */
    uint32_t index, primary;
} tk_instrument;

typedef struct tk_reader_info {
    uint64_t cursor, received, lost, lost_events, events, skipped, lag, wakes;
    int32_t queue_pid, reader_pid;
    uint32_t slot, generation, filters, wants_events, reader_alive, asleep;
    char name[64];
} tk_reader_info;

/* How long ticks took from the callback to a reader's take, since its queue has had this place. Of the
 * ticks taken a sample is measured; counts[i] is the number of ticks that the samples in bucket i stand
 * for, sum their time. Bucket i begins at 8 * i ns up to i = 4, from there at 8 * (4 + i % 4) *
 * 2^(i / 4 - 1) ns (integer division), and ends where the next one begins; the last has all above. */
typedef struct tk_latency {
    uint64_t samples;
    uint64_t sum; /* ns */
    uint64_t max; /* ns, of the samples */
    uint64_t counts[128];
} tk_latency;

/* The first 128 bytes of a tick's record; stamp 0: none. */
typedef struct tk_latest {
    uint64_t stamp;
    int64_t recv_time;
    uint32_t instrument;
    uint16_t flags;
    uint8_t kind, reserved;
    double last_price, bid_price1, ask_price1;
    int32_t volume, bid_volume1, ask_volume1, update_millisec;
    int64_t recv_monotonic, exchange_time;
    uint64_t tick_number, instrument_number;
    double turnover, open_interest, average_price, pre_settlement_price;
} tk_latest;

/* Make a log: memory reserved and touched (a later SIGBUS is impossible), mode 0600, O_EXCL. A file
 * left by a dead owner is replaced; a live owner's is TK_E_EXISTS with its pid in the text. The
 * calling process becomes the owner. capacity is rounded up to a power of two. */
TK_API int32_t tk_log_create(const char *path, const char *name, uint64_t capacity,
                             uint64_t instrument_capacity, tk_log **out);
/* Map an existing log. Checks owner, mode, magic, version and geometry before anything is trusted. Then
 * enters all its pages into this process's page table (Linux 5.14): some milliseconds, once. */
TK_API int32_t tk_log_attach(const char *path, tk_log **out);
/* Unmap. Readers and writers opened on it must be closed first. */
/* Remove the segment at path if the process that was making it died before it was complete. Any other
 * file is left alone. */
TK_API int32_t tk_segment_remove_unfinished(const char *path);
TK_API void tk_log_close(tk_log *log);
/* Remove the name. Mappings live on. Missing file: TK_OK. Another log's file: left, TK_E_STATE. */
TK_API int32_t tk_log_unlink(tk_log *log);
TK_API int32_t tk_log_info_get(tk_log *log, tk_log_info *out);
/* Nothing more will come: readers drain, then see the end. Wakes all. */
TK_API void tk_log_end(tk_log *log);
/* Copy records [start, start + count) that are still there. *first: sequence of the first one
 * copied (>= start), *copied: how many. out holds count records. */
TK_API int32_t tk_log_read(tk_log *log, uint64_t start, uint64_t count, void *out, uint64_t *first,
                           uint64_t *copied);
/* The newest tick of an instrument, even when the ring has passed it. TK_E_NOT_FOUND if none. */
TK_API int32_t tk_log_latest(tk_log *log, const char *instrument_id, void *out);
/* The same for all instruments that have one, in the order of their first ticks. out holds max records. */
TK_API int32_t tk_log_snapshot(tk_log *log, void *out, uint32_t max, uint32_t *count);
TK_API int32_t tk_log_instrument(tk_log *log, uint32_t index, tk_instrument *out);
/* Taken reader slots; returns their number (at most max are written). */
TK_API int32_t tk_log_readers(tk_log *log, tk_reader_info *out, uint32_t max);
/* The latency of the reader in a slot; TK_E_NOT_FOUND when another queue has it by now. */
TK_API int32_t tk_log_latency(tk_log *log, uint32_t slot, uint32_t generation, tk_latency *out);
/* The newest ticks of the entries [first, first + count) of the instrument table, as far as there are
 * any, even when the ring has passed them; returns how many were written. Takes under 0.1 us each. A
 * stamp of 0: no tick, or one whose writer died while it moved it. Two entries may have one InstrumentID. */
TK_API int32_t tk_log_latest_all(tk_log *log, uint32_t first, uint32_t count, tk_latest *out);
/* A text of at most 3071 bytes that says how the session stands. */
TK_API int32_t tk_log_status_set(tk_log *log, const char *text, uint32_t length);
TK_API int32_t tk_log_status_get(tk_log *log, char *out, uint32_t size);

/* ---- writer ------------------------------------------------------------------------------ */
typedef struct tk_writer tk_writer;

/* Become the log's writer; one live writer only (TK_E_BUSY). Goes on where the last one stopped.
 * new_epoch: count this writer as a new engine; 0 for a supervisor that only leaves a word. */
TK_API int32_t tk_writer_open(tk_log *log, int32_t new_epoch, tk_writer **out);
TK_API void tk_writer_close(tk_writer *writer);
/* Publish an event. text_length bytes of text, cut to what fits. */
TK_API int32_t tk_writer_event(tk_writer *writer, uint32_t code, int32_t reason, int32_t error_id,
                               int64_t value, const char *text, uint32_t text_length,
                               uint32_t text_encoding);
/* Publish one vendor DepthMarketData struct of the given layout (1, 2, 3), as the callback does. */
TK_API int32_t tk_writer_tick(tk_writer *writer, uint32_t layout, const void *depth_market_data);
/* The same with a receive time of the caller's: for a recording that is played again. */
TK_API int32_t tk_writer_tick_at(tk_writer *writer, uint32_t layout, const void *depth_market_data,
                                 int64_t realtime_ns, int64_t monotonic_ns);

/* Publish a whole record that the caller has made and readers take as they take a tick: 448 bytes with
 * InstrumentID, ExchangeID, Flags and everything else as it is to be. Stamp, Instrument, Kind, TickNumber and
 * InstrumentNumber are filled in; RecvTime and RecvMonotonic are now. For a log that carries bars. */
TK_API int32_t tk_writer_record(tk_writer *writer, const void *record);

/* The place of an instrument in the log's table, entered if it is new; 0xFFFFFFFF when the table is full. */
TK_API int32_t tk_writer_instrument(tk_writer *writer, const char *instrument_id, const char *exchange_inst_id,
                                    const char *exchange_id, uint32_t *index);

/* Ticks that are records already, published again. Kept bit by bit: every field of the vendor's, ExchangeTime,
 * RecvTime (when the tick was received first) and Flags, with TK_FLAG_REPLAYED added. New: Stamp, Instrument,
 * TickNumber, InstrumentNumber, and RecvMonotonic, the moment of publishing. */
typedef struct tk_replay {
    const void *records;     /* in: count ticks of 448 bytes in a row */
    const uint32_t *entries; /* in: the place of each one's instrument, from tk_writer_instrument() */
    const int64_t *due_ns;   /* in: when each is due, CLOCK_MONOTONIC; one that is late is published at once. NULL:
                              * flat out */
    uint64_t count;          /* in */
    uint32_t lossless;       /* in: 1: never overwrite what a queue has not taken, if its reader lives or it is owned */
    int32_t slowest;         /* out: the reader slot that there is no room for, -1 none */
    uint64_t owned[4];       /* in: bit n: wait for the queue in reader slot n though nobody reads it yet */
    int64_t deadline_ns;     /* in: CLOCK_MONOTONIC: wait for readers until then */
    uint64_t done;           /* out: so many have been published */
} tk_replay;

/* Blocks until all are published, or the deadline is over while a queue has no room. TK_E_ARG names the first
 * record that is none of this log's instrument, or no tick; those before it have been published. */
TK_API int32_t tk_writer_replay(tk_writer *writer, tk_replay *replay);

/* A product's hours, in seconds of the local (China) day, [start, end), none across midnight: a night
 * session to 02:30 is two. */
enum { TK_MAX_SESSIONS = 8, TK_MAX_AUCTIONS = 4 };
typedef struct tk_product_rule {
    char product_id[12];  /* the letters in front of an instrument id */
    char exchange_id[12]; /* SHFE INE DCE GFEX CZCE CFFEX */
    uint32_t session_count, auction_count;
    int32_t session_start[8], session_end[8];
    int32_t auction_start[4], auction_end[4];
} tk_product_rule;

/* What the writer knows of products and of days without trading (YYYYMMDD, weekdays; complete from
 * first_day to last_day, 0 and 0: no list). Replaces what it knew. At any time, from any thread; the
 * vendor's thread is held up for some instructions only. Without a call every product is unknown. */
TK_API int32_t tk_writer_set_rules(tk_writer *writer, const tk_product_rule *products, uint32_t count,
                                   const int32_t *holidays, uint32_t holiday_count, int32_t first_day,
                                   int32_t last_day);
/* Publish `count` copies of it flat out with Volume = running number: the cost of publishing for
 * benchmarks. stamped: take the receive stamp each time. Blocks; *elapsed_ns is the time it took. */
TK_API int32_t tk_writer_flood(tk_writer *writer, uint32_t layout, const void *depth_market_data,
                               uint64_t count, int32_t stamped, int64_t *elapsed_ns);
/* The same on a schedule: `burst` copies are due at start_ns (CLOCK_MONOTONIC) and every interval_ns
 * after it, `count` in all. Sleeps until 0.1 ms before, spins the rest. A schedule that cannot be held
 * is not stretched: the next ticks stay due when they were. Blocks. times has room for 2 * count
 * numbers: when publishing of each tick began, and when it was done. */
TK_API int32_t tk_writer_paced(tk_writer *writer, uint32_t layout, const void *depth_market_data,
                               int64_t start_ns, int64_t interval_ns, uint64_t burst, uint64_t count,
                               int64_t *times);

/* ---- queue ------------------------------------------------------------------------------- */
typedef struct tk_queue tk_queue;

enum { TK_START_NOW = -1, TK_START_OLDEST = -2 };
enum { TK_WAIT_ADAPTIVE = 0, TK_WAIT_SPIN = 1, TK_WAIT_BLOCK = 2 };

typedef struct tk_queue_info {
    char name[64];
    char log_path[256];
    uint64_t log_id;
    int64_t start;
    int32_t creator_pid;
    uint32_t filters, wants_events, wait_mode, bind_version, slot, slot_generation, closed;
    uint32_t creator_alive, skip;
} tk_queue_info;

/* Make a queue. ids: count pointers to instrument ids, none = every instrument. skip: ticks with one of
 * these TK_FLAG_* are passed over and counted. */
TK_API int32_t tk_queue_create(const char *path, const char *name, const char *const *ids,
                               uint32_t count, int64_t start, int32_t wants_events, int32_t wait_mode,
                               uint32_t skip, tk_queue **out);
TK_API int32_t tk_queue_attach(const char *path, tk_queue **out);
TK_API void tk_queue_close(tk_queue *queue);
TK_API int32_t tk_queue_info_get(tk_queue *queue, tk_queue_info *out);
TK_API int32_t tk_queue_filter(tk_queue *queue, uint32_t index, char *out, uint32_t size);
/* Give the queue a place in a log, from the cursor its start asks for. A queue bound to a log that
 * has ended may be bound again; one bound to a live log is TK_E_STATE. */
TK_API int32_t tk_queue_bind(tk_queue *queue, tk_log *log, const char *log_path);
/* Mark the queue closed and give its place back. A reader of it elsewhere gets TK_TAKE_RETIRED from its
 * next take; the place becomes free when that reader closes. */
TK_API int32_t tk_queue_retire(tk_queue *queue);
/* Blocks until bind_version differs from `seen` or the time is over (negative: one slice of it).
 * Returns the version. */
TK_API uint32_t tk_queue_wait_bound(tk_queue *queue, uint32_t seen, int64_t timeout_ns);

/* ---- reader ------------------------------------------------------------------------------ */
typedef struct tk_reader tk_reader;

/* What a take needs and gives, in one block so that a call from Python converts one argument. */
typedef struct tk_take {
    tk_reader *reader;   /* in */
    void **out;          /* in: array of `max` record buffers (scattered), or */
    void *block;         /* in: one buffer for `max` records in a row */
    uint32_t max;        /* in */
    uint32_t used;       /* in: so many of them hold records already; out: with what was taken */
    int64_t timeout_ns;  /* in, for tk_reader_take(): 0 do not wait, < 0 wait for ever */
    int64_t deadline_ns; /* in, for tk_reader_spin(): CLOCK_MONOTONIC */
    int32_t wait_mode;   /* in, for tk_reader_take(): TK_WAIT_* */
    uint32_t handed;     /* in: 1 = what is taken counts as given to the program at once */
    uint32_t count;      /* out: records taken */
    int32_t state;       /* out: TK_TAKE_* */
    uint64_t received, lost, lost_events, skipped, cursor; /* out: the queue's counters */
} tk_take;

enum {
    TK_TAKE_OK = 0,        /* count >= 1 */
    TK_TAKE_EMPTY = 1,     /* the time is over */
    TK_TAKE_AGAIN = 2,     /* a signal came or a slice is over: call again */
    TK_TAKE_ENDED = 3,     /* the log has ended and is drained */
    TK_TAKE_ORPHANED = 4,  /* nobody is left who could write or end the log; it is drained */
    TK_TAKE_RETIRED = 5,   /* the process that made the queue has closed it */
    TK_TAKE_INTERRUPTED = 6, /* nothing is there, and tk_reader_interrupt() has been called */
    TK_TAKE_RECALLED = 7     /* within a bell only */
};

/* Become the reader of a bound queue. A dead reader's place is taken over where its program
 * stopped; a live one's is TK_E_BUSY with the pid. */
TK_API int32_t tk_reader_open(tk_queue *queue, tk_log *log, tk_reader **out);
/* Give the place back. A thread that is in a call with it is made to leave, and waited for; later calls are
 * TK_E_STATE. Its queue and log may be closed then. */
TK_API void tk_reader_close(tk_reader *reader);
/* After tk_reader_close(), when no thread will call any more. */
TK_API void tk_reader_free(tk_reader *reader);
/* End the wait of the thread that is in a call with it, or the next wait there is. From any thread, until
 * tk_reader_free(). */
TK_API void tk_reader_interrupt(tk_reader *reader);
/* Take what is there, as far as there is room; wait as asked. Blocks without any lock. Returns how many
 * records were taken; with 0 the state says why none were. */
TK_API int32_t tk_reader_take(tk_take *take);
/* The same without waiting: for a caller that holds a lock of its own, such as Python's. */
TK_API int32_t tk_reader_poll(tk_take *take);
/* The same for a caller that would wait for more. In a flood that lasts, more than half a million ticks a
 * second, it says AGAIN though there may be something: tk_reader_take() then rests for some 50 us first, and
 * takes the more at once. Not when wait_mode is spin. */
TK_API int32_t tk_reader_first_look(tk_take *take);
/* The same, looking again and again for less than a microsecond; to be called in a loop. Returns 0 to be
 * called again, TK_LOOK when the state says something else: EMPTY when deadline_ns is over, AGAIN now and
 * then, ENDED, ORPHANED, RETIRED. */
TK_API int32_t tk_reader_spin(tk_take *take);
enum { TK_LOOK = -100 };
/* Where the number of records that the program has been given is kept, since the queue was bound: a word
 * that the program stores to when it gives out what it has taken; before the next take, all of it. */
TK_API uint64_t *tk_reader_handed(tk_reader *reader);
/* Ticks waiting: what has been written for this queue and neither received nor lost nor skipped yet.
 * Those that will be skipped are among them: their flags have not been looked at. */
TK_API uint64_t tk_reader_waiting(tk_reader *reader);
/* Counters as take gives them, with what is known to be lost by now. */
TK_API int32_t tk_reader_counters(tk_reader *reader, tk_take *out);

/* ---- bell -------------------------------------------------------------------------------- */
/* For event loops: a descriptor (eventfd) that is readable when a call for the next tick would not wait. A
 * thread of this process waits in the program's place. The program arms the bell when it has found nothing,
 * and recalls it before it uses the reader again: between the two, reader and take are the bell's. All but
 * tk_bell_stop() from the reader's own thread. */
typedef struct tk_bell tk_bell;

/* The descriptor is readable at first. */
TK_API int32_t tk_bell_open(tk_queue *queue, tk_bell **out);
TK_API int32_t tk_bell_fd(tk_bell *bell);
/* Not readable until take holds something, or says why nothing will come. */
TK_API void tk_bell_arm(tk_bell *bell, tk_take *take);
/* The same for a queue without an engine: until its bind_version (tk_queue_info) is no longer `seen`. */
TK_API void tk_bell_arm_unbound(tk_bell *bell, uint32_t seen);
/* Returns how many records have come into the take, whose state says why none have; or an error. Does not
 * wait longer than the thread needs to put the reader down. */
TK_API int32_t tk_bell_recall(tk_bell *bell);
/* The thread ends, the descriptor stays, readable. From any thread; the first call waits for the end. */
TK_API void tk_bell_stop(tk_bell *bell);
/* Stops it, closes the descriptor, frees the memory. */
TK_API void tk_bell_free(tk_bell *bell);

/* ---- vendor ------------------------------------------------------------------------------ */
typedef struct tk_vendor_info {
    char path[512];
    char version[64];     /* GetApiVersion(), as returned */
    char generation[16];  /* "G1", "G2" */
    char layouts_of[16];  /* the first version with the layouts that are used */
    uint32_t layout;      /* of DepthMarketData: 1, 2, 3 */
    uint32_t api_slots;   /* from the size of the exported vtable */
    uint32_t factory_flags; /* number of bools the factory takes */
    uint32_t evaluation;  /* 1: an evaluation build ("_CP"), which production fronts refuse */
} tk_vendor_info;

/* Load a library (kept loaded) and recognise it. override: "" or a version of the tables such as
 * "6.7.2" that is believed instead of the library's own text; what the library exports must fit it
 * all the same. TK_E_VENDOR with the reason when the facts do not fit one known version. */
TK_API int32_t tk_vendor_probe(const char *path, const char *override_version, tk_vendor_info *out);
/* All vendor tables as JSON: {"generations": {name: {"spi": [callback by slot], "api_slots": n, "api":
 * {method: slot}}}, "versions": [{"first", "last", "generation", "layout", "factory_flags", "structs":
 * {name: {"size": bytes, "fields": {name: [offset, size]}}}}]}. Only what the shim reads or writes. */
TK_API const char *tk_vendor_tables(void);

typedef struct tk_md tk_md;

/* A rare callback, queued for the session. Texts as the vendor gave them, terminated. */
enum {
    TK_CB_FRONT_CONNECTED = 0, TK_CB_FRONT_DISCONNECTED = 1, TK_CB_HEARTBEAT_WARNING = 2,
    TK_CB_USER_LOGIN = 3, TK_CB_USER_LOGOUT = 4, TK_CB_QRY_MULTICAST = 5, TK_CB_ERROR = 6,
    TK_CB_SUB_MARKET_DATA = 7, TK_CB_UNSUB_MARKET_DATA = 8, TK_CB_SUB_FOR_QUOTE = 9,
    TK_CB_UNSUB_FOR_QUOTE = 10, TK_CB_FOR_QUOTE = 12
};

typedef struct tk_callback {
    int32_t kind;
    int32_t reason;       /* OnFrontDisconnected, OnHeartBeatWarning */
    int32_t request_id;
    int32_t is_last;
    int32_t has_info, error_id;
    int32_t has_data, front_id, session_id, topic_id;
    char error_msg[84];   /* GB18030 */
    char instrument_id[84];
    char trading_day[12], action_day[12], login_time[12], broker_id[12], user_id[16];
    char system_name[44], max_order_ref[16];
    char shfe_time[12], dce_time[12], czce_time[12], ffex_time[12], ine_time[12], gfex_time[12];
    char sys_version[44];
    char for_quote_sys_id[24], for_quote_time[12], exchange_id[12];
    int32_t instrument_no, volume_multiple;
    double code_price, price_tick;
} tk_callback;

/* Create the vendor's api. flow_path must exist, be writable and end in "/" (checked: the vendor
 * library would kill the process). writer: where ticks and connection events go. */
TK_API int32_t tk_md_create(const char *library, const char *override_version, const char *flow_path,
                            int32_t using_udp, int32_t multicast, int32_t production,
                            tk_writer *writer, tk_md **out);
/* "tcp://host:port" only (anything else makes the vendor library crash). Before or after init. */
TK_API int32_t tk_md_register_front(tk_md *md, const char *front);
TK_API int32_t tk_md_init(tk_md *md);
/* Next queued callback. Blocks up to timeout_ns. Returns 1 and fills *out, or 0. */
TK_API int32_t tk_md_next(tk_md *md, int64_t timeout_ns, tk_callback *out);
/* Make a waiting tk_md_next return 0. */
TK_API void tk_md_wake(tk_md *md);
/* The vendor's return code (0 sent, -1 not connected, ...) goes to *rc. */
TK_API int32_t tk_md_login(tk_md *md, const char *broker_id, const char *user_id, const char *password,
                           const char *product_info, int32_t request_id, int32_t *rc);
TK_API int32_t tk_md_logout(tk_md *md, const char *broker_id, const char *user_id, int32_t request_id,
                            int32_t *rc);
enum { TK_SUBSCRIBE = 8, TK_UNSUBSCRIBE = 9, TK_SUBSCRIBE_QUOTE = 10, TK_UNSUBSCRIBE_QUOTE = 11 };
TK_API int32_t tk_md_subscribe(tk_md *md, int32_t what, const char *const *ids, uint32_t count,
                               int32_t *rc);
TK_API int32_t tk_md_query_multicast(tk_md *md, int32_t topic_id, const char *instrument_id,
                                     int32_t request_id, int32_t *rc);
TK_API int32_t tk_md_trading_day(tk_md *md, char *out, uint32_t size);
TK_API int32_t tk_md_info(tk_md *md, tk_vendor_info *out);
/* RegisterSpi(NULL), Release, once, from one place. Blocks until the vendor's threads have ended;
 * no callback comes afterwards. Queued ones can still be taken; requests are TK_E_STATE. */
TK_API void tk_md_release(tk_md *md);
/* Release if that has not been done, and free the handle. No thread may be inside tk_md_next. */
TK_API void tk_md_free(tk_md *md);

/* ---- forwarder --------------------------------------------------------------------------- */
typedef struct tk_forwarder tk_forwarder;

/* faster-fifo's exported queue_put. */
typedef int (*tk_queue_put)(void *queue, void *buffer, const void **messages, const uint64_t *sizes,
                            uint64_t count, int block, float timeout);

typedef struct tk_forwarder_info {
    uint64_t forwarded, lost, waiting;
    uint32_t running, full;
} tk_forwarder_info;

/* A thread that takes from `queue` and puts prefix + record + exchange id + suffix into a
 * faster-fifo queue, without the GIL. What does not fit waits; what the log overwrites meanwhile is
 * counted as lost. */
TK_API int32_t tk_forwarder_start(tk_queue *queue, tk_log *log, tk_queue_put put, void *fifo, void *buffer,
                                  const void *prefix, uint32_t prefix_size, const void *suffix,
                                  uint32_t suffix_size, tk_forwarder **out);
TK_API int32_t tk_forwarder_info_get(tk_forwarder *forwarder, tk_forwarder_info *out);
/* Blocks up to timeout_ns for the log's end to be reached and delivered (drain) or for the thread to
 * stop. A thread stuck in a lock that a dead consumer holds is left behind: returns TK_E_BUSY. */
TK_API int32_t tk_forwarder_stop(tk_forwarder *forwarder, int32_t drain, int64_t timeout_ns);

/* ---- trading: the vendor library --------------------------------------------------------- */
/* Structs go in and out in their canonical form: the fields of the newest vendor layout, by the vendor's
 * names, without the places it keeps free; see tk_td_structs(). What a version lacks is zeros in what comes
 * back, and is left out of what is sent. Texts are the vendor's bytes (GB18030). */
typedef struct tk_td_info {
    char path[512];
    char version[64];    /* GetApiVersion(), as returned */
    char tables_of[16];  /* the version whose slots and layouts are used */
    uint32_t api_slots, spi_slots;
    uint32_t factory_flags; /* number of bools the factory takes */
    uint32_t evaluation; /* 1: an evaluation build ("_CP"), which production fronts refuse */
} tk_td_info;

/* Load a trader library (kept loaded) and recognise it, as tk_vendor_probe() does. Nothing is guessed: a
 * version that is not in the tables is TK_E_VENDOR, unless override names the one it agrees with. */
TK_API int32_t tk_td_probe(const char *path, const char *override_version, tk_td_info *out);
/* The trader tables as JSON: {"api": {name: {"slots": n, "methods": {method: slot}}}, "spi": {name: {"slots": n,
 * "callbacks": {callback: slot}}}, "versions": [{"version", "api", "spi", "factory_flags", "structs": {name:
 * {"size": bytes, "fields": {name: [offset, size]}}}}]}. Only what the shim uses. */
TK_API const char *tk_td_tables(void);
/* The canonical structs as JSON: {name: {"number": in a record's Struct, "size": bytes, "fields": [[name, type,
 * offset, size]]}}, type one of text, char, int, double. */
TK_API const char *tk_td_structs(void);

/* ---- trading: the journal ---------------------------------------------------------------- */
/* An append-only file of 1024-byte records (docs/layout.md, TradeRecord). One writer, any number of readers
 * in any process. Nothing in it is ever overwritten or lost; after a death of the writer at any moment each
 * record is there whole or not at all. */
enum {
    TK_TR_EPOCH_STARTED = 1,       /* a writer has opened the journal. Value: its pid */
    TK_TR_FRONT_CONNECTED = 2,
    TK_TR_FRONT_DISCONNECTED = 3,  /* Reason */
    TK_TR_HEARTBEAT_WARNING = 4,   /* Reason: seconds since the last message */
    TK_TR_RSP_AUTHENTICATE = 5,    /* RspAuthenticate */
    TK_TR_RSP_USER_LOGIN = 6,      /* RspUserLogin */
    TK_TR_RSP_USER_LOGOUT = 7,     /* UserLogout */
    TK_TR_RSP_SETTLEMENT_CONFIRM = 8, /* SettlementInfoConfirm */
    TK_TR_RSP_ERROR = 9,
    TK_TR_SENDING_ORDER = 20,      /* InputOrder, written before it leaves. Value: FrontID << 32 | SessionID */
    TK_TR_SENT_ORDER = 21,         /* Reason: what ReqOrderInsert returned; not 0: it never left */
    TK_TR_ORDER_NOT_SENT = 22,     /* InputOrder. ErrorMsg: why it never left this machine (UTF-8) */
    TK_TR_SENDING_ACTION = 23,     /* InputOrderAction; the rest as for orders */
    TK_TR_SENT_ACTION = 24,
    TK_TR_ACTION_NOT_SENT = 25,
    TK_TR_RSP_ORDER_INSERT = 30,   /* InputOrder: refused */
    TK_TR_ERR_RTN_ORDER_INSERT = 31, /* InputOrder */
    TK_TR_RTN_ORDER = 32,          /* Order */
    TK_TR_RTN_TRADE = 33,          /* Trade */
    TK_TR_RSP_ORDER_ACTION = 34,   /* InputOrderAction: refused */
    TK_TR_ERR_RTN_ORDER_ACTION = 35, /* OrderAction */
    TK_TR_RTN_INSTRUMENT_STATUS = 36, /* InstrumentStatus */
    TK_TR_RTN_PRIVATE_SEQ_NO = 37, /* Value */
    TK_TR_QRY_ORDER = 40,          /* Order: a row of an answer; HasData 0: an empty one */
    TK_TR_QRY_TRADE = 41,          /* Trade */
    TK_TR_QRY_POSITION = 42,       /* InvestorPosition */
    TK_TR_QRY_ACCOUNT = 43,        /* TradingAccount */
    TK_TR_QRY_OTHER = 44,          /* Instrument, DepthMarketData: queued, not in the journal */
    TK_TR_SESSION_STATE = 50,      /* Value, ErrorMsg (UTF-8) */
    TK_TR_RECONCILE_BEGAN = 51,    /* Value */
    TK_TR_RECONCILE_DONE = 52,     /* Value */
    TK_TR_NOTE = 53                /* ErrorMsg (UTF-8) */
};

/* Layout of a record: one line "name offset size type" per field. */
TK_API const char *tk_tlog_layout(void);

typedef struct tk_tlog_writer tk_tlog_writer;
/* Make the journal (mode 0600), or take over that of a dead writer; a live one's is TK_E_BUSY with its pid.
 * Writes epoch_started. capacity: how many records it may hold, 0 for 2^20; disk space is reserved bit by
 * bit ahead of use. Looks at every record there is: TK_E_LAYOUT, and nothing is changed, if one is damaged
 * that has whole ones behind it. */
TK_API int32_t tk_tlog_writer_open(const char *path, uint64_t capacity, tk_tlog_writer **out);
TK_API void tk_tlog_writer_close(tk_tlog_writer *writer);
/* Append a record: 1024 bytes, of which Stamp, Epoch and Crc are filled in, and the times if RecvTime is 0.
 * TK_E_FULL: no room. From any thread. */
TK_API int32_t tk_tlog_append(tk_tlog_writer *writer, const void *record, uint64_t *sequence);
/* How many damaged records were cut off its end when it was opened. */
TK_API uint64_t tk_tlog_writer_damaged(tk_tlog_writer *writer);

typedef struct tk_tlog tk_tlog;
typedef struct tk_tlog_info {
    uint64_t head, capacity, room, damaged, unique_id;
    int64_t created_ns;
    int32_t writer_pid;
    uint32_t writer_alive, epoch;
} tk_tlog_info;

TK_API int32_t tk_tlog_attach(const char *path, tk_tlog **out);
/* No thread may be inside a call with it. */
TK_API void tk_tlog_close(tk_tlog *tlog);
TK_API int32_t tk_tlog_info_get(tk_tlog *tlog, tk_tlog_info *out);
TK_API uint64_t tk_tlog_head(tk_tlog *tlog);
/* Where the head is, as long as the handle lives, for a look without a call. What it says is old at worst: what is
 * in the records is for tk_tlog_head() and tk_tlog_read() to say. */
TK_API const uint64_t *tk_tlog_head_word(tk_tlog *tlog);
/* Copy records [start, start + count), as many as there are. TK_E_LAYOUT, and none: one of them is damaged. */
TK_API int32_t tk_tlog_read(tk_tlog *tlog, uint64_t start, uint64_t count, void *out, uint64_t *copied);
/* Blocks until there is a record `sequence` (returns 1), the time is over or a signal came (0). Negative: no
 * limit. */
TK_API int32_t tk_tlog_wait(tk_tlog *tlog, uint64_t sequence, int64_t timeout_ns);

/* ---- trading: commands from another process ---------------------------------------------- */
typedef struct tk_ring tk_ring;
enum { TK_RING_INSERT = 1, TK_RING_ACTION = 2 };

/* Make a ring for commands (docs/layout.md), in a file of mode 0600 with all its memory reserved. One process
 * puts, one takes. capacity is rounded up to a power of two. */
TK_API int32_t tk_ring_create(const char *path, uint64_t capacity, tk_ring **out);
TK_API int32_t tk_ring_attach(const char *path, tk_ring **out);
TK_API void tk_ring_close(tk_ring *ring);
/* Put a command: TK_RING_INSERT with a canonical InputOrder, TK_RING_ACTION with an InputOrderAction. client_id
 * is the caller's number of it, unique in the journal. TK_E_FULL: the taker is that far behind. One thread at a
 * time. Does not block. */
TK_API int32_t tk_ring_put(tk_ring *ring, uint32_t kind, uint64_t client_id, const void *payload, uint32_t size);
/* Commands that are not done. */
TK_API uint64_t tk_ring_waiting(tk_ring *ring);
/* Pid of the process that takes, 0 if there is none alive. */
TK_API int32_t tk_ring_taker(tk_ring *ring);
/* Pid of the process that made it, 0 if it is dead. */
TK_API int32_t tk_ring_maker(tk_ring *ring);

/* ---- trading: the api -------------------------------------------------------------------- */
typedef struct tk_td tk_td;
enum { TK_TOPIC_RESTART = 0, TK_TOPIC_RESUME = 1, TK_TOPIC_QUICK = 2 };

/* Create the vendor's api; see tk_md_create(). The journal must outlive it. */
TK_API int32_t tk_td_create(const char *library, const char *override_version, const char *flow_path,
                            int32_t production, tk_tlog_writer *journal, tk_td **out);
TK_API int32_t tk_td_info_get(tk_td *td, tk_td_info *out);
/* "tcp://host:port" only. Before or after init. */
TK_API int32_t tk_td_register_front(tk_td *td, const char *front);
/* How the private and the public flow begin. Before init. */
TK_API int32_t tk_td_subscribe_topics(tk_td *td, int32_t private_mode, int32_t public_mode);
/* Returns of orders, trades and cancellations, and what else comes unasked, then are in the journal alone:
 * tk_td_next() does not give them, and returns 0 once in a while for them. Before init. */
TK_API int32_t tk_td_leave_out_returns(tk_td *td);
TK_API int32_t tk_td_init(tk_td *td);
/* The vendor's return code goes to *rc: 0 sent, -1 not connected, -2 a query is unanswered, -3 too many in a
 * second. Neither these two requests nor their secrets are ever written down. */
TK_API int32_t tk_td_authenticate(tk_td *td, const char *broker_id, const char *user_id, const char *product_info,
                                  const char *auth_code, const char *app_id, int32_t request_id, int32_t *rc);
TK_API int32_t tk_td_login(tk_td *td, const char *broker_id, const char *user_id, const char *password,
                           const char *product_info, int32_t request_id, int32_t *rc);
/* A request by the vendor's name for its method: ReqUserLogout (UserLogout), ReqSettlementInfoConfirm
 * (SettlementInfoConfirm), and with the struct of their name without "Req": ReqQryOrder, ReqQryTrade,
 * ReqQryInvestorPosition, ReqQryTradingAccount, ReqQryInstrument, ReqQryDepthMarketData. request_id: below 2^30,
 * where those of orders and actions begin. */
TK_API int32_t tk_td_request(tk_td *td, const char *method, const void *canonical, uint32_t size,
                             int32_t request_id, int32_t *rc);
TK_API int32_t tk_td_trading_day(tk_td *td, char *out, uint32_t size);
/* The next callback, as a journal record of 1024 bytes; Stamp is its sequence + 1, 0 for one that is not in the
 * journal. Every callback comes here, whatever the journal does with it, but for tk_td_leave_out_returns(). Blocks
 * up to timeout_ns; also gets disk space for the journal ahead of need. Returns 1 and fills *out, or 0. */
TK_API int32_t tk_td_next(tk_td *td, int64_t timeout_ns, void *out);
/* Make a waiting tk_td_next return 0. */
TK_API void tk_td_wake(tk_td *td);

/* Let orders through, in this session and with order references from next_order_ref on (they never go back), or
 * stop them. TK_E_STATE when that login's connection is gone by now. A disconnect, and a login as another session,
 * closes the gate by itself, in the callback. */
TK_API int32_t tk_td_sender_gate(tk_td *td, int32_t front_id, int32_t session_id, int64_t next_order_ref,
                                 int32_t open);
/* 1: orders are let through. */
TK_API int32_t tk_td_sender_open(tk_td *td);
/* Grows with each order and action that is sent. Its last two bits: 1, 2: a ReqOrderInsert, a ReqOrderAction has been
 * called and has not returned; 0: neither. */
TK_API uint64_t tk_td_order_calls(tk_td *td);
/* Send a canonical InputOrder: OrderRef and RequestID are filled in, the journal has sending_order before it
 * leaves and sent_order after. TK_OK: the vendor's method was called, *rc is its code; not 0: it did not leave.
 * Anything else: it was not called, and the journal has order_not_sent with the reason. */
TK_API int32_t tk_td_insert(tk_td *td, const void *input_order, uint64_t client_id, int64_t *order_ref, int32_t *rc);
/* The same for a canonical InputOrderAction. */
TK_API int32_t tk_td_action(tk_td *td, const void *input_order_action, uint64_t client_id, int32_t *rc);
/* A thread that takes commands from the ring and sends them in the same way. What is in the ring already is not
 * sent: the journal gets order_not_sent for it, unless its client_id is in the journal already. The ring must
 * outlive it. */
TK_API int32_t tk_td_sender_start(tk_td *td, tk_ring *ring, int32_t wait_mode);
TK_API void tk_td_sender_stop(tk_td *td);

/* Stops the sender, then as tk_md_release(). */
TK_API void tk_td_release(tk_td *td);
/* Release if that has not been done, and free the handle. No thread may be inside a call with it. */
TK_API void tk_td_free(tk_td *td);

#ifdef __cplusplus
}
#endif
#endif
