// FTD, the plain wire protocol of CTP 6.3.6: packets in, packets out. No sockets and no threads here.
//
//   packet    type(1) extlen(1) len(2)   extension[extlen]   content[len]
//   extension list of tag(1) taglen(1) value[taglen]; 05 = heartbeat, 07 = register: u32 seconds
//   content   (type 2) head(1)=1 enc(1) version(1) chain(1) series(2) tid(4) seq(4) nfields(2) clen(2) rid(4)
//             then clen bytes of fields, each fid(2) flen(2) data[flen]
//
// All numbers are big-endian and nothing is padded. With enc 3 everything after the enc byte has its runs
// of zeros packed: e1..ef = 1..15 zeros, e0 x = the byte x.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

namespace compat {

constexpr std::size_t kFtdHeader = 4;
constexpr std::size_t kMaxExtension = 127;
constexpr std::size_t kMaxContent = 4096;   // on the wire
constexpr std::size_t kMaxUnpacked = 8192;  // of enc 3 content, header included
constexpr std::size_t kFtdcHeader = 22;
constexpr std::size_t kMaxPacket = kFtdHeader + kMaxExtension + kMaxContent;

inline std::uint16_t read_u16(const std::uint8_t* p) {
    std::uint16_t v;
    std::memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

inline std::uint32_t read_u32(const std::uint8_t* p) {
    std::uint32_t v;
    std::memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

inline std::int32_t read_i32(const std::uint8_t* p) { return static_cast<std::int32_t>(read_u32(p)); }

inline double read_double(const std::uint8_t* p) {
    std::uint64_t bits;
    std::memcpy(&bits, p, sizeof bits);
    bits = __builtin_bswap64(bits);
    double v;
    std::memcpy(&v, &bits, sizeof v);
    return v;
}

inline void write_u16(std::uint8_t* p, std::uint16_t v) {
    v = __builtin_bswap16(v);
    std::memcpy(p, &v, sizeof v);
}

inline void write_u32(std::uint8_t* p, std::uint32_t v) {
    v = __builtin_bswap32(v);
    std::memcpy(p, &v, sizeof v);
}

struct Field {
    std::uint16_t id;
    std::uint16_t size;
    const std::uint8_t* data;
};

// One FTDC message. `fields` points into the parser's buffer and dies with the next call of next() or space().
struct Message {
    std::uint8_t chain;
    std::uint16_t series;
    std::uint32_t tid;
    std::uint32_t seq;
    std::uint32_t rid;
    const std::uint8_t* fields;
    std::size_t size;
};

// Walks the fields of a message. Ends quietly at a field that promises more bytes than the message has, and at
// fewer than four bytes: what stood before them counts, as it does for the vendor's library.
class FieldReader {
public:
    FieldReader(const std::uint8_t* fields, std::size_t size) : at_(fields), end_(fields + size) {}
    explicit FieldReader(const Message& m) : FieldReader(m.fields, m.size) {}

    bool next(Field* out) {
        if (end_ - at_ < 4) return false;
        const std::uint16_t size = read_u16(at_ + 2);
        if (end_ - at_ - 4 < size) return false;
        *out = Field{read_u16(at_), size, at_ + 4};
        at_ += 4 + size;
        return true;
    }

private:
    const std::uint8_t* at_;
    const std::uint8_t* end_;
};

// Takes bytes in pieces of any size, gives messages. Never allocates after construction.
// After kTooLong or kBroken the stream has no meaning any more: close the connection, then reset().
class Parser {
public:
    enum class Result { kMessage, kNeedMore, kTooLong, kBroken };

    explicit Parser(std::size_t buffer_bytes = 256 * 1024);

    // Where to put the next bytes from the socket; never less than one whole packet of room.
    std::uint8_t* space(std::size_t* room);
    void filled(std::size_t bytes) { end_ += bytes; }

    Result next(Message* out);
    void reset();

    // Seconds asked for by the peer's last register packet, 0 if there was none.
    std::uint32_t register_seconds() const { return register_seconds_; }

private:
    Result content(const std::uint8_t* p, std::size_t size, Message* out, bool* skip);
    void extension(const std::uint8_t* p, std::size_t size);

    std::size_t capacity_;
    std::unique_ptr<std::uint8_t[]> buffer_;
    std::unique_ptr<std::uint8_t[]> unpacked_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::uint32_t register_seconds_ = 0;
};

// Undoes the zero-run packing. Returns the number of bytes written, or -1 when the input ends inside an
// escape or the output would pass `room`.
std::ptrdiff_t unpack(const std::uint8_t* in, std::size_t size, std::uint8_t* out, std::size_t room);

// Packets to send are appended to one growing byte string, so that a subscription of many packets is
// handed to the connection in one piece.
using Bytes = std::vector<std::uint8_t>;

void append_heartbeat(Bytes* out);
void append_register(Bytes* out, std::uint32_t seconds);

// Appends one request packet: construct, add() fields, finish().
class RequestWriter {
public:
    RequestWriter(Bytes* out, std::uint32_t tid, std::uint16_t series, std::uint32_t rid);

    // False, with nothing written, when the packet has no room left for this field.
    bool add(std::uint16_t field_id, const void* data, std::size_t size);
    void finish();

private:
    Bytes* out_;
    std::size_t start_;
    std::uint16_t fields_ = 0;
};

// Where the sequence number stands in a packet with an empty extension header.
constexpr std::size_t kSeqOffset = kFtdHeader + 10;

}  // namespace compat
