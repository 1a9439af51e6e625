// The shared-memory map of a tick log and of a queue, version 4.
// docs/layout.md is the description for people and for other languages; every number stated there
// is checked here. Only fixed-width types, no pointers: two processes map it at different addresses.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tk {

constexpr std::uint32_t kLayoutVersion = 4;
constexpr char kLogMagic[8] = {'T', 'K', 'L', 'O', 'G', '\r', '\n', '\0'};
constexpr char kQueueMagic[8] = {'T', 'K', 'Q', 'U', 'E', 'U', 'E', '\0'};

constexpr std::uint32_t kNoInstrument = 0xFFFFFFFFu;
constexpr std::uint32_t kMaxReaders = 256;
constexpr std::uint32_t kReaderWords = kMaxReaders / 64;
constexpr std::uint32_t kInstrumentIdSize = 81;  // the vendor's longest id array, NUL included
constexpr std::uint32_t kNameSize = 64;
constexpr std::uint32_t kStatusSize = 3072;
constexpr std::uint32_t kLatencyBuckets = 128;

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "a lock would not work across processes");
static_assert(std::atomic<std::uint32_t>::is_always_lock_free, "a lock would not work across processes");

constexpr std::uint64_t kUnknown = ~0ull;

enum RecordKind : std::uint8_t { kTick = 0, kEvent = 1 };

// Record.Flags: what is worth knowing about a tick before it is used. docs/data.md has the rules.
enum TickFlag : std::uint16_t {
    kSnapshot = 1 << 0,
    kBeforeOpen = 1 << 1,
    kAuction = 1 << 2,
    kOutOfSession = 1 << 3,
    kAfterClose = 1 << 4,
    kDuplicate = 1 << 5,
    kOutOfOrder = 1 << 6,
    kVolumeDown = 1 << 7,
    kTurnoverDown = 1 << 8,
    kTimeRepaired = 1 << 9,
    kTimeMissing = 1 << 10,
    kDayGuessed = 1 << 11,
    kUnknownProduct = 1 << 12,
    kReplayed = 1 << 13,
};

// One record of the log: a tick. Seven cache lines; the odd number keeps the hot first lines of
// neighbouring records in different cache sets. What a strategy looks at first is in line 0, next
// to the stamp that a waiting reader polls, so that one line transfer brings both.
struct alignas(64) Record {
    std::uint64_t Stamp;  // Sequence + 1 once published, anything older before
    std::int64_t RecvTime;
    std::uint32_t Instrument;  // index into the instrument table
    std::uint16_t Flags;  // enum TickFlag
    std::uint8_t Kind;
    std::uint8_t Reserved0;
    double LastPrice;
    double BidPrice1;
    double AskPrice1;
    std::int32_t Volume;
    std::int32_t BidVolume1;
    std::int32_t AskVolume1;
    std::int32_t UpdateMillisec;
    // line 1
    std::int64_t RecvMonotonic;
    std::int64_t ExchangeTime;
    std::uint64_t TickNumber;        // ticks in the log before this record
    std::uint64_t InstrumentNumber;  // ticks of this InstrumentID in the log before this one
    double Turnover;
    double OpenInterest;
    double AveragePrice;
    double PreSettlementPrice;
    // line 2
    double BidPrice2, AskPrice2, BidPrice3, AskPrice3, BidPrice4, AskPrice4, BidPrice5, AskPrice5;
    // line 3
    std::int32_t BidVolume2, AskVolume2, BidVolume3, AskVolume3;
    std::int32_t BidVolume4, AskVolume4, BidVolume5, AskVolume5;
    double PreClosePrice, PreOpenInterest, OpenPrice, HighestPrice;
    // line 4
    double LowestPrice, ClosePrice, SettlementPrice, UpperLimitPrice, LowerLimitPrice;
    double PreDelta, CurrDelta, BandingUpperPrice;
    // line 5
    double BandingLowerPrice;
    char TradingDay[9];
    char ActionDay[9];
    char UpdateTime[9];
    char ExchangeID[9];
    char InstrumentID[kInstrumentIdSize];
    char Reserved1[3];
};
static_assert(sizeof(Record) == 448, "docs/layout.md, section Record");
static_assert(offsetof(Record, RecvMonotonic) == 64, "docs/layout.md, section Record");
static_assert(offsetof(Record, BidPrice2) == 128, "docs/layout.md, section Record");
static_assert(offsetof(Record, BidVolume2) == 192, "docs/layout.md, section Record");
static_assert(offsetof(Record, LowestPrice) == 256, "docs/layout.md, section Record");
static_assert(offsetof(Record, TradingDay) == 328, "docs/layout.md, section Record");
static_assert(offsetof(Record, InstrumentID) == 364, "docs/layout.md, section Record");

constexpr std::size_t kRecordSize = sizeof(Record);
constexpr std::size_t kRecordWords = kRecordSize / 8;
constexpr std::size_t kTextOffset = offsetof(Record, TradingDay);
constexpr std::size_t kTextWords = (kRecordSize - kTextOffset) / 8;  // the five texts and the padding

// An event stands in the log as a record of the same size; line 0 agrees with Record.
struct alignas(64) EventRecord {
    std::uint64_t Stamp;
    std::int64_t RecvTime;
    std::uint32_t Instrument;  // kNoInstrument
    std::uint16_t Flags;
    std::uint8_t Kind;  // kEvent
    std::uint8_t Reserved0;
    std::uint32_t Code;     // enum EventCode in tickshim.h
    std::int32_t Reason;    // OnFrontDisconnected's nReason
    std::int32_t ErrorID;   // the vendor's ErrorID
    std::uint32_t Epoch;
    std::int64_t Value;     // a count where the code has one
    std::uint64_t Reserved1[2];
    // line 1
    std::int64_t RecvMonotonic;
    std::int64_t Reserved2;
    std::uint64_t TickNumber;
    std::uint64_t EventNumber;  // events in the log before this one
    char Text[344];             // UTF-8 or the vendor's GB18030 bytes (see TextEncoding), NUL-terminated
    std::uint32_t TextLength;
    std::uint32_t TextEncoding;  // 0 UTF-8, 1 GB18030
};
static_assert(sizeof(EventRecord) == kRecordSize, "an event takes one record");
static_assert(offsetof(EventRecord, Kind) == offsetof(Record, Kind), "readers look at Kind first");
static_assert(offsetof(EventRecord, TickNumber) == offsetof(Record, TickNumber), "loss is counted by it");

// One entry per (InstrumentID, ExchangeInstID, ExchangeID) seen. The texts are written once, before
// `InstrumentCount` makes the entry visible; line 3 changes with every tick.
struct alignas(64) InstrumentEntry {
    char InstrumentID[kInstrumentIdSize];
    char ExchangeInstID[kInstrumentIdSize];
    char ExchangeID[9];
    char Reserved0;
    std::uint32_t Primary;  // first entry with the same InstrumentID: its Count counts for all of them
    std::uint64_t Reserved1[2];
    // line 3, written by the writer alone
    alignas(64) std::atomic<std::uint64_t> LatestStamp;  // Stamp of the newest tick of this entry, 0 none
    std::atomic<std::uint64_t> SavedStamp;               // Stamp of the tick kept in the saved table
    std::atomic<std::uint64_t> PrimaryLatestStamp;       // in a primary: newest over all its entries
    std::atomic<std::uint64_t> Count;                    // in a primary: ticks over all its entries
    // line 4, bits of the readers that want it; a reader clears its own
    alignas(64) std::atomic<std::uint64_t> Want[kReaderWords];
};
static_assert(sizeof(InstrumentEntry) == 320, "docs/layout.md, section Instrument");

// A reader slot's Place: bits 0-1 its state, 2-31 how often it has been given to a queue, 32-63 the pid
// of the process that prepares it (state 2), so that a slot whose binder died can be claimed again.
enum PlaceState : std::uint32_t {
    kFree = 0,
    kTaken = 1,
    kPreparing = 2,
    kRetired = 3,  // its queue is closed, its reader has not left yet
};
constexpr std::uint64_t place_word(PlaceState state, std::uint32_t generation, std::int32_t pid = 0) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(pid)) << 32 | (generation << 2 & 0xFFFFFFFFu) | state;
}
constexpr PlaceState place_state(std::uint64_t place) { return static_cast<PlaceState>(place & 3); }
constexpr std::uint32_t place_generation(std::uint64_t place) { return static_cast<std::uint32_t>(place) >> 2; }
constexpr std::int32_t place_pid(std::uint64_t place) { return static_cast<std::int32_t>(place >> 32); }

// What a reader has done. Two copies, switched by `Which`, so that a reader killed in the middle of
// a commit leaves a whole one behind.
struct Progress {
    std::uint64_t Cursor;      // next sequence to look at
    std::uint64_t Received;    // ticks taken, those still in the reader's hands included
    std::uint64_t Lost;        // ticks overwritten before they were taken
    std::uint64_t LostEvents;  // events overwritten (queues with events only)
    std::uint64_t BatchFirst;  // cursor before the last batch
    std::uint64_t BatchCount;  // records in the last batch
    std::uint64_t Events;      // events taken
    std::uint64_t Reserved0;
};
static_assert(sizeof(Progress) == 64, "one line");

// Records of the last batch that the program has not been given.
constexpr std::uint64_t in_hand(const Progress& p, std::uint64_t handed) {
    const std::uint64_t taken = p.Received + p.Events, rest = taken > handed ? taken - handed : 0;
    return rest < p.BatchCount ? rest : p.BatchCount;
}

// How long ticks took from the callback to the reader: a histogram, see latency.hpp. Written by the reader alone.
struct alignas(64) LatencyTable {
    std::atomic<std::uint64_t> Samples;  // looks at the clock
    std::atomic<std::uint64_t> Sum;      // ns, over the ticks that the samples stand for
    std::atomic<std::uint64_t> Max;      // ns, the longest sample
    std::uint64_t Reserved0[5];
    std::atomic<std::uint64_t> Counts[kLatencyBuckets];  // ticks that the samples stand for
};
static_assert(sizeof(LatencyTable) == 1088, "docs/layout.md, section LatencyTable");

struct alignas(64) ReaderSlot {
    std::atomic<std::uint64_t> Place;          // place_word(): who has it, in one word to be claimed at once
    std::atomic<std::uint64_t> QueueProcess;   // identity of the process that made the queue
    std::atomic<std::uint64_t> ReaderProcess;  // of the process that reads it, 0 none
    std::atomic<std::uint64_t> ExpectedEvent;  // number of the next event, kUnknown at first
    std::atomic<std::uint32_t> Filters;        // number of instruments asked for, 0 all
    std::atomic<std::uint32_t> WantsEvents;
    // What was expected at the start. Sum of the filters' Expected - FirstNumbers == Received + Lost +
    // Skipped, and ExpectedEvent - FirstEvent == Events + LostEvents, whenever no take is under way.
    std::atomic<std::uint64_t> FirstNumbers;
    std::atomic<std::uint64_t> FirstEvent;
    std::atomic<std::uint32_t> Skip;  // ticks with one of these flags are not wanted
    char Reserved0[4];
    char Name[kNameSize];
    Progress Copies[2];
    alignas(64) std::atomic<std::uint32_t> Which;
    std::uint32_t Reserved1;
    std::atomic<std::uint64_t> Skipped[2];  // belongs to Copies: ticks passed over for their flags
    // Ticks and events that the program has been given: the program itself counts. What is between it and
    // Received + Events is in its hands, at most the last batch.
    std::atomic<std::uint64_t> Handed;
    // line of its own: the writer touches it when this reader sleeps
    alignas(64) std::atomic<std::uint32_t> Sleep;  // odd: asleep or about to be
    std::uint32_t Reserved2;
    std::atomic<std::uint64_t> Wakes;
    LatencyTable Latency;
};
static_assert(sizeof(ReaderSlot) == 1472, "docs/layout.md, section Reader");

struct alignas(64) LogHeader {
    // written once before Magic
    std::atomic<std::uint64_t> Magic;
    std::uint32_t LayoutVersion;
    std::uint32_t HeaderSize;
    std::uint32_t RecordSize;
    std::uint32_t InstrumentSize;
    std::uint32_t ReaderSize;
    std::uint32_t ReaderSlots;
    std::uint64_t Capacity;  // records, a power of two
    std::uint64_t InstrumentCapacity;
    std::uint64_t TotalSize;
    alignas(64) std::uint64_t ReadersOffset;
    std::uint64_t InstrumentsOffset;
    std::uint64_t SavedOffset;
    std::uint64_t RecordsOffset;
    std::uint64_t UniqueId;
    std::int64_t CreatedTime;
    std::uint64_t Reserved0[2];
    char Name[kNameSize];
    // The owner ends the log, the writer fills it: identities of processes, see process_identity().
    alignas(64) std::atomic<std::uint64_t> OwnerProcess;
    std::atomic<std::uint64_t> WriterProcess;
    std::atomic<std::uint32_t> Epoch;   // counts the writers this log has had
    std::atomic<std::uint32_t> Closed;  // 1: nothing more will come
    std::atomic<std::uint32_t> InstrumentCount;
    std::atomic<std::uint32_t> InstrumentOverflow;  // ticks of instruments beyond the table
    std::atomic<std::uint32_t> SleepBarrier;  // 1: who goes to sleep makes the writer's barrier too
    // writer's line: stored at every record, read by readers that are behind
    alignas(64) std::atomic<std::uint64_t> Head;  // sequence of the next record
    std::atomic<std::uint64_t> Ticks;
    std::atomic<std::uint64_t> Events;
    std::atomic<std::uint64_t> Wakes;
    // sleepers' line: written by readers when they go to sleep
    alignas(64) std::atomic<std::uint64_t> Sleepers[kReaderWords];
    alignas(64) std::atomic<std::uint64_t> EventWant[kReaderWords];
    // status: JSON text under a sequence lock, written by the session
    alignas(64) std::atomic<std::uint32_t> StatusVersion;
    std::atomic<std::uint32_t> StatusLength;
    std::uint64_t Reserved2[7];
    std::uint64_t Status[kStatusSize / 8];
};
static_assert(sizeof(LogHeader) <= 4096, "one page");
constexpr std::size_t kHeaderSize = 4096;

// A queue: what travels to a worker. It exists before, after and without a log.
struct QueueFilter {
    char InstrumentID[kInstrumentIdSize];
    char Reserved0[7];
    std::atomic<std::uint64_t> Expected;  // number of the next tick of this instrument; kUnknown at first
};
static_assert(sizeof(QueueFilter) == 96, "docs/layout.md, section Queue");
struct alignas(64) QueueHeader {
    std::atomic<std::uint64_t> Magic;
    std::uint32_t LayoutVersion;
    std::uint32_t HeaderSize;
    std::uint32_t FilterCount;  // entries; a queue without a filter has one entry without an id
    std::uint32_t Filtered;
    std::uint32_t WantsEvents;
    std::uint32_t WaitMode;
    std::uint64_t TotalSize;
    std::int64_t Start;  // -1 now, -2 oldest, otherwise a sequence
    std::uint64_t CreatorProcess;
    char Name[kNameSize];
    std::uint32_t Skip;  // ticks with one of these flags are not wanted
    std::uint32_t Reserved0;
    // binding to a log: BindVersion is its sequence lock (odd: being changed), and a futex word
    alignas(64) std::atomic<std::uint32_t> BindVersion;  // 0 never bound
    std::atomic<std::uint32_t> Slot;
    std::atomic<std::uint32_t> SlotGeneration;
    std::atomic<std::uint32_t> Closed;  // the maker has closed the queue
    std::atomic<std::uint64_t> LogId;
    char LogPath[256];
};
static_assert(sizeof(QueueHeader) <= 512, "docs/layout.md, section Queue");
static_assert(offsetof(QueueHeader, LogPath) % 8 == 0, "copied word by word");
constexpr std::size_t kQueueHeaderSize = 512;

}  // namespace tk
