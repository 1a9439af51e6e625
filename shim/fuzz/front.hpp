// What a front sends, as an input describes it: messages whose lengths fit, which a mutator of bytes would hardly ever
// hit upon, and the stream in pieces to a parser and a dispatcher.
#pragma once

#include <algorithm>

#include "ftd.hpp"
#include "input.hpp"

namespace fuzz {

using compat::Bytes;

class Content {
public:
    Content(bool more, std::uint16_t series, std::uint32_t tid, std::uint32_t number, std::uint8_t request)
        : bytes_(compat::kFtdcHeader) {
        bytes_[0] = 1;
        bytes_[2] = 12;
        bytes_[3] = more ? 'C' : 'L';
        compat::write_u16(&bytes_[4], series);
        compat::write_u32(&bytes_[6], tid);
        compat::write_u32(&bytes_[10], number);
        compat::write_u32(&bytes_[18], request);
    }
    std::size_t size() const { return bytes_.size(); }
    // A field of many bytes takes only as many from the input as its next byte says, again and again.
    void field(Input* in, std::uint16_t id, std::uint16_t size) {
        put(&bytes_, id);
        put(&bytes_, size);
        const std::size_t at = bytes_.size();
        bytes_.resize(at + size);
        const std::size_t period = std::min<std::size_t>(in->byte(), size);
        if (period != 0) in->take(&bytes_[at], period);
        for (std::size_t i = period; period != 0 && i < size; ++i) bytes_[at + i] = bytes_[at + i - period];
    }
    void append_to(Bytes* stream) {
        compat::write_u16(&bytes_[16], static_cast<std::uint16_t>(bytes_.size() - compat::kFtdcHeader));
        stream->insert(stream->end(), {2, 0});
        put(stream, static_cast<std::uint16_t>(bytes_.size()));
        stream->insert(stream->end(), bytes_.begin(), bytes_.end());
    }

private:
    static void put(Bytes* out, std::uint16_t v) {
        std::uint8_t two[2];
        compat::write_u16(two, v);
        out->insert(out->end(), two, two + 2);
    }
    Bytes bytes_;
};

// In pieces of a size that `how` chooses of four, until the parser or the dispatcher has had enough.
template <typename Dispatcher, typename AfterPiece>
void feed(const Bytes& stream, std::uint32_t how, Dispatcher* dispatcher, AfterPiece after_piece) {
    compat::Parser parser(0);  // the smallest buffer: it turns over often
    constexpr std::size_t kPieces[] = {1, 3, 21, 1u << 16};
    compat::Parser::Result result = compat::Parser::Result::kNeedMore;
    for (std::size_t at = 0; at < stream.size() && result == compat::Parser::Result::kNeedMore && !dispatcher->deaf();) {
        std::size_t room;
        std::uint8_t* const to = parser.space(&room);
        PROMISE(room >= compat::kMaxPacket);
        const std::size_t n = std::min({kPieces[how & 3], room, stream.size() - at});
        std::memcpy(to, &stream[at], n);
        parser.filled(n);
        at += n;
        compat::Message message;
        while (!dispatcher->deaf() && (result = parser.next(&message)) == compat::Parser::Result::kMessage)
            dispatcher->message(message);
        after_piece();
    }
}

}  // namespace fuzz
