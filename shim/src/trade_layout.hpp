// The map of a trade journal and of a command ring, version 1: docs/layout.md describes it for people and for
// other languages. A journal outlives processes, boots and releases: what is in it never changes its meaning.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tk {

constexpr std::uint32_t kTradeLayoutVersion = 1;
constexpr char kTradeMagic[8] = {'T', 'K', 'T', 'R', 'A', 'D', 'E', '\0'};
constexpr char kRingMagic[8] = {'T', 'K', 'R', 'I', 'N', 'G', '\r', '\0'};
constexpr std::size_t kTradeHeaderSize = 4096;
constexpr std::size_t kTradeRecordSize = 1024;
constexpr std::size_t kTradePayload = 832;

// One thing that happened. Written once, never changed; the payload is a canonical struct of `Size` bytes.
struct alignas(64) TradeRecord {
    std::uint64_t Stamp;  // Sequence + 1, stored last
    std::int64_t RecvTime;
    std::int64_t RecvMonotonic;
    std::uint16_t Kind;
    std::uint16_t Struct;  // what the payload is, 0 none
    std::uint32_t Epoch;   // the writer it comes from
    std::int32_t RequestID;
    std::int32_t ErrorID;
    std::int32_t Reason;
    std::uint8_t IsLast;
    std::uint8_t HasInfo;
    std::uint8_t HasData;
    std::uint8_t Reserved0;
    std::uint64_t ClientID;
    std::int64_t Value;
    std::uint32_t Crc;  // of everything from RecvTime on but itself, as far as Size says
    char ErrorMsg[81];
    char Reserved1;
    std::uint16_t Size;
    char Reserved2[40];
    char Payload[kTradePayload];
};
static_assert(sizeof(TradeRecord) == kTradeRecordSize, "docs/layout.md, section TradeRecord");
static_assert(offsetof(TradeRecord, ErrorMsg) == 68, "docs/layout.md, section TradeRecord");
static_assert(offsetof(TradeRecord, Payload) == 192, "docs/layout.md, section TradeRecord");

struct alignas(64) TradeHeader {
    // written once before Magic
    std::atomic<std::uint64_t> Magic;
    std::uint32_t LayoutVersion;
    std::uint32_t HeaderSize;
    std::uint32_t RecordSize;
    std::uint32_t Reserved0;
    std::uint64_t UniqueId;
    std::int64_t CreatedTime;
    // changed by a writer when it opens the file, and when it makes it longer
    alignas(64) std::atomic<std::uint64_t> WriterProcess;  // 0 none; see process_identity()
    std::atomic<std::uint64_t> Capacity;                   // records the writer goes up to
    std::atomic<std::uint64_t> Room;                       // records that there is disk space for
    std::atomic<std::uint64_t> Damaged;                    // damaged records cut off the end so far
    std::atomic<std::uint32_t> Epoch;                      // counts the writers
    std::uint32_t Reserved1;
    // writer's line
    alignas(64) std::atomic<std::uint64_t> Head;  // sequence of the next record
    // sleepers' line
    alignas(64) std::atomic<std::uint32_t> Sleepers;  // 1: somebody sleeps or is about to
    std::atomic<std::uint32_t> Wake;                  // the futex word
};
static_assert(sizeof(TradeHeader) <= kTradeHeaderSize, "one page");

// A command for the process that sends orders: the same shape as a record.
struct alignas(64) RingCommand {
    std::uint64_t Stamp;  // number + 1, stored last
    std::int64_t PutMonotonic;
    std::uint32_t Kind;  // TK_RING_*
    std::uint32_t Size;
    std::uint64_t ClientID;
    std::uint32_t Cpu;  // the one that it was put on + 1, 0 unknown
    char Reserved0[156];
    char Payload[kTradePayload];
};
static_assert(sizeof(RingCommand) == kTradeRecordSize, "docs/layout.md, section RingCommand");

struct alignas(64) RingHeader {
    std::atomic<std::uint64_t> Magic;
    std::uint32_t LayoutVersion;
    std::uint32_t HeaderSize;
    std::uint32_t CommandSize;
    std::uint32_t Reserved0;
    std::uint64_t Capacity;  // commands, a power of two
    std::uint64_t TotalSize;
    std::uint64_t CreatorProcess;
    alignas(64) std::atomic<std::uint64_t> Put;    // commands put so far: the maker's line
    alignas(64) std::atomic<std::uint64_t> Taken;  // commands done so far: the taker's line
    std::atomic<std::uint64_t> TakerProcess;
    alignas(64) std::atomic<std::uint32_t> Asleep;  // 1: the taker sleeps or is about to
    std::atomic<std::uint32_t> Wake;
};
static_assert(sizeof(RingHeader) <= kTradeHeaderSize, "one page");

}  // namespace tk
