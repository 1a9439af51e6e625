#include "ftd.hpp"

#include <algorithm>

namespace compat {

namespace {

constexpr std::uint8_t kTypeFtdc = 2;
constexpr std::uint8_t kEncodingZeroRuns = 3;  // 1, 2 and 4 are taken as plain, as the vendor does
constexpr std::size_t kUnpackedPrefix = 2;     // head and enc themselves are never packed
constexpr std::uint8_t kProtocolVersion = 12;
constexpr std::uint8_t kTagHeartbeat = 5;
constexpr std::uint8_t kTagRegister = 7;

}  // namespace

std::ptrdiff_t unpack(const std::uint8_t* in, std::size_t size, std::uint8_t* out, std::size_t room) {
    const std::uint8_t* const in_end = in + size;
    std::uint8_t* const out_begin = out;
    std::uint8_t* const out_end = out + room;
    while (in < in_end) {
        const std::uint8_t c = *in++;
        if (c > 0xe0 && c <= 0xef) {
            const std::ptrdiff_t zeros = c - 0xe0;
            if (out_end - out < zeros) return -1;
            std::memset(out, 0, static_cast<std::size_t>(zeros));
            out += zeros;
            continue;
        }
        if (out == out_end) return -1;
        if (c == 0xe0) {
            if (in == in_end) return -1;
            *out++ = *in++;
        } else {
            *out++ = c;
        }
    }
    return out - out_begin;
}

Parser::Parser(std::size_t buffer_bytes)
    : capacity_(std::max(buffer_bytes, 2 * kMaxPacket)),
      buffer_(new std::uint8_t[capacity_]),
      unpacked_(new std::uint8_t[kMaxUnpacked]) {}

void Parser::reset() {
    begin_ = end_ = 0;
    register_seconds_ = 0;
}

std::uint8_t* Parser::space(std::size_t* room) {
    if (begin_ == end_) {
        begin_ = end_ = 0;
    } else if (capacity_ - end_ < kMaxPacket) {
        // What is left is less than one packet (next() has been called until it wanted more), so this
        // moves at most 4 KB once per buffer and the room never runs out.
        std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    *room = capacity_ - end_;
    return buffer_.get() + end_;
}

Parser::Result Parser::next(Message* out) {
    while (end_ - begin_ >= kFtdHeader) {
        const std::uint8_t* const p = buffer_.get() + begin_;
        const std::size_t extension_size = p[1];
        const std::size_t content_size = read_u16(p + 2);
        // One byte cannot hold a tag and its length; the vendor's library refuses it like the others.
        if (content_size > kMaxContent || extension_size > kMaxExtension || extension_size == 1) {
            return Result::kTooLong;
        }
        const std::size_t packet_size = kFtdHeader + extension_size + content_size;
        if (end_ - begin_ < packet_size) return Result::kNeedMore;
        begin_ += packet_size;
        if (extension_size) extension(p + kFtdHeader, extension_size);
        if (p[0] != kTypeFtdc) continue;
        bool skip = false;
        const Result result = content(p + kFtdHeader + extension_size, content_size, out, &skip);
        if (!skip) return result;
    }
    return Result::kNeedMore;
}

Parser::Result Parser::content(const std::uint8_t* p, std::size_t size, Message* out, bool* skip) {
    if (size >= kUnpackedPrefix && p[1] == kEncodingZeroRuns) {
        std::memcpy(unpacked_.get(), p, kUnpackedPrefix);
        const std::ptrdiff_t n = unpack(p + kUnpackedPrefix, size - kUnpackedPrefix,
                                        unpacked_.get() + kUnpackedPrefix, kMaxUnpacked - kUnpackedPrefix);
        if (n < 0) return Result::kBroken;
        p = unpacked_.get();
        size = static_cast<std::size_t>(n) + kUnpackedPrefix;
    }
    if (size < kFtdcHeader || p[0] != 1) {
        *skip = true;
        return Result::kNeedMore;
    }
    if (read_u16(p + 16) != size - kFtdcHeader) return Result::kBroken;
    *out = Message{p[3],           read_u16(p + 4), read_u32(p + 6), read_u32(p + 10), read_u32(p + 18),
                   p + kFtdcHeader, size - kFtdcHeader};
    return Result::kMessage;
}

void Parser::extension(const std::uint8_t* p, std::size_t size) {
    const std::uint8_t* const end = p + size;
    while (end - p >= 2 && end - p - 2 >= p[1]) {
        if (p[0] == kTagRegister && p[1] == 4) register_seconds_ = read_u32(p + 2);
        p += 2 + p[1];
    }
}

void append_heartbeat(Bytes* out) {
    const std::uint8_t packet[] = {0, 2, 0, 0, kTagHeartbeat, 0};
    out->insert(out->end(), packet, packet + sizeof packet);
}

void append_register(Bytes* out, std::uint32_t seconds) {
    std::uint8_t packet[] = {0, 6, 0, 0, kTagRegister, 4, 0, 0, 0, 0};
    write_u32(packet + 6, seconds);
    out->insert(out->end(), packet, packet + sizeof packet);
}

RequestWriter::RequestWriter(Bytes* out, std::uint32_t tid, std::uint16_t series, std::uint32_t rid)
    : out_(out), start_(out->size()) {
    std::uint8_t head[kFtdHeader + kFtdcHeader] = {};
    head[0] = kTypeFtdc;
    std::uint8_t* const c = head + kFtdHeader;
    c[0] = 1;
    c[2] = kProtocolVersion;
    c[3] = 'L';
    write_u16(c + 4, series);
    write_u32(c + 6, tid);
    write_u32(c + 18, rid);
    out_->insert(out_->end(), head, head + sizeof head);
}

bool RequestWriter::add(std::uint16_t field_id, const void* data, std::size_t size) {
    const std::size_t content = out_->size() - start_ - kFtdHeader;
    if (size > kMaxContent || content + 4 + size > kMaxContent) return false;
    std::uint8_t head[4];
    write_u16(head, field_id);
    write_u16(head + 2, static_cast<std::uint16_t>(size));
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    out_->insert(out_->end(), head, head + sizeof head);
    out_->insert(out_->end(), bytes, bytes + size);
    ++fields_;
    return true;
}

void RequestWriter::finish() {
    std::uint8_t* const packet = out_->data() + start_;
    const std::size_t content = out_->size() - start_ - kFtdHeader;
    write_u16(packet + 2, static_cast<std::uint16_t>(content));
    write_u16(packet + kFtdHeader + 14, fields_);
    write_u16(packet + kFtdHeader + 16, static_cast<std::uint16_t>(content - kFtdcHeader));
}

}  // namespace compat
