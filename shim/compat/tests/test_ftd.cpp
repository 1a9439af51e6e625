// Checks of the FTD parser and encoder: g++ -std=c++17 -I shim/compat shim/compat/tests/test_ftd.cpp shim/compat/ftd.cpp
//
// Random parts print their seed when they fail; give it as the only argument to run that one again.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "ftd.hpp"

namespace {

using namespace compat;
using Result = Parser::Result;

int g_failures = 0;
const char* g_test = "";

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            std::printf("FAILED %s, line %d: %s\n", g_test, __LINE__, #condition);         \
            ++g_failures;                                                                  \
        }                                                                                  \
    } while (0)

// What a front sends, built here by other code than the library's encoder.
struct Content {
    Bytes bytes;

    explicit Content(std::uint32_t tid, std::uint32_t rid = 0) {
        bytes.assign(kFtdcHeader, 0);
        bytes[0] = 1;
        bytes[2] = 12;
        bytes[3] = 'L';
        write_u32(&bytes[6], tid);
        write_u32(&bytes[18], rid);
    }
    Content& field(std::uint16_t id, const Bytes& data) {
        std::uint8_t head[4];
        write_u16(head, id);
        write_u16(head + 2, static_cast<std::uint16_t>(data.size()));
        bytes.insert(bytes.end(), head, head + 4);
        bytes.insert(bytes.end(), data.begin(), data.end());
        write_u16(&bytes[16], static_cast<std::uint16_t>(bytes.size() - kFtdcHeader));
        return *this;
    }
};

Bytes pack(const Bytes& content) {
    Bytes out = {content[0], 3};
    for (std::size_t i = 2; i < content.size();) {
        std::size_t zeros = 0;
        while (zeros < 15 && i + zeros < content.size() && content[i + zeros] == 0) ++zeros;
        if (zeros) {
            out.push_back(static_cast<std::uint8_t>(0xe0 + zeros));
            i += zeros;
            continue;
        }
        if (content[i] >= 0xe0 && content[i] <= 0xef) out.push_back(0xe0);
        out.push_back(content[i++]);
    }
    return out;
}

Bytes packet(const Bytes& content, std::uint8_t type = 2, const Bytes& extension = {}) {
    Bytes out = {type, static_cast<std::uint8_t>(extension.size()), 0, 0};
    write_u16(&out[2], static_cast<std::uint16_t>(content.size()));
    out.insert(out.end(), extension.begin(), extension.end());
    out.insert(out.end(), content.begin(), content.end());
    return out;
}

void append(Bytes* to, const Bytes& more) { to->insert(to->end(), more.begin(), more.end()); }

// Everything the parser made of a stream, as text, so that two ways of feeding it can be compared.
std::string show(const Message& m) {
    std::string s = std::to_string(m.tid) + "/" + std::to_string(m.series) + "/" + std::to_string(m.seq) + "/" +
                    std::to_string(m.rid) + "/" + std::to_string(m.chain) + ":";
    Field f;
    for (FieldReader r(m); r.next(&f);) {
        s += std::to_string(f.id) + "=";
        for (std::size_t i = 0; i < f.size; ++i) s += static_cast<char>('a' + f.data[i] % 16);
        s += ";";
    }
    return s + "\n";
}

// `chunk` gives the size of the next piece; the parser's own room is the upper bound.
template <typename Chunk>
std::string feed(const Bytes& stream, Chunk chunk, std::size_t buffer = 0) {
    Parser parser(buffer);
    std::string out;
    for (std::size_t at = 0; at < stream.size();) {
        std::size_t room;
        std::uint8_t* const to = parser.space(&room);
        if (room < kMaxPacket) return out + "no room\n";
        const std::size_t n = std::min({std::max<std::size_t>(chunk(), 1), room, stream.size() - at});
        std::memcpy(to, &stream[at], n);
        parser.filled(n);
        at += n;
        Message m;
        Result r;
        while ((r = parser.next(&m)) == Result::kMessage) out += show(m);
        if (r == Result::kTooLong) return out + "too long\n";
        if (r == Result::kBroken) return out + "broken\n";
    }
    return out + "seconds " + std::to_string(parser.register_seconds()) + "\n";
}

std::string feed_whole(const Bytes& stream) {
    return feed(stream, [] { return std::size_t{1} << 30; });
}

const Bytes kGood = packet(Content(0xf101).field(0x12, {1, 2, 3}).bytes);
const std::string kGoodText = feed_whole(kGood);

// True when the stream is passed over without a message and without harm to the packet after it.
bool ignored(Bytes stream) {
    append(&stream, kGood);
    return feed_whole(stream) == kGoodText;
}

void test_one_message() {
    Parser parser;
    std::size_t room;
    const Bytes p = packet(Content(0x3001, 77).field(0, {9, 8}).field(0x1003, {}).bytes);
    std::memcpy(parser.space(&room), p.data(), p.size());
    parser.filled(p.size());
    Message m;
    CHECK(parser.next(&m) == Result::kMessage);
    CHECK(m.tid == 0x3001 && m.rid == 77 && m.series == 0 && m.seq == 0 && m.chain == 'L');
    FieldReader r(m);
    Field f;
    CHECK(r.next(&f) && f.id == 0 && f.size == 2 && f.data[0] == 9 && f.data[1] == 8);
    CHECK(r.next(&f) && f.id == 0x1003 && f.size == 0);
    CHECK(!r.next(&f));
    CHECK(parser.next(&m) == Result::kNeedMore);
}

void test_packets_without_a_message_are_passed_over() {
    CHECK(ignored({}));
    CHECK(ignored({0, 2, 0, 0, 5, 0}));
    CHECK(ignored({0, 0, 0, 0, 0, 0, 0, 0}));
    CHECK(ignored(packet(Bytes(4096, 0xff), 0)));
    CHECK(ignored(packet(Content(0xf101).bytes, 1)));
    CHECK(ignored(packet(Content(0xf101).bytes, 255)));
    CHECK(ignored(packet({}, 0, {9, 2, 'a', 'b'})));
    CHECK(ignored(packet({}, 0, {9, 32, 'a', 'b'})));  // the tag promises more than the extension has
    for (std::size_t n = 0; n < kFtdcHeader; ++n) CHECK(ignored(packet(Bytes(n, 1))));
    for (const std::uint8_t head : {0, 2, 255}) {
        Bytes c = Content(0xf101).bytes;
        c[0] = head;
        CHECK(ignored(packet(c)));
    }
}

void test_register_seconds() {
    Bytes s = packet({}, 0, {7, 4, 0, 0, 0, 20});
    CHECK(feed_whole(s) == "seconds 20\n");
    append(&s, packet(Content(0xf101).bytes, 2, {5, 0, 7, 4, 0, 0, 1, 0}));
    CHECK(feed_whole(s).find("seconds 256") != std::string::npos);
    CHECK(feed_whole(packet({}, 0, {7, 4, 0, 0})) == "seconds 0\n");
    CHECK(feed_whole(packet({}, 0, {7, 2, 0, 9})) == "seconds 0\n");
}

void test_hostile_lengths() {
    CHECK(feed_whole(packet(Bytes(4097, 0))) == "too long\n");
    CHECK(feed_whole({2, 0, 0x10, 1}) == "too long\n");  // known from the header alone
    CHECK(feed_whole({0, 0, 0xff, 0xff}) == "too long\n");
    CHECK(feed_whole({0, 1, 0, 0, 5}) == "too long\n");
    CHECK(feed_whole({0, 128, 0, 0}) == "too long\n");
    CHECK(feed_whole({0, 255, 0, 0}) == "too long\n");
    CHECK(feed_whole(packet({}, 0, Bytes(127, 0))) == "seconds 0\n");
    CHECK(feed_whole(Bytes(64, 0xff)) == "too long\n");
    CHECK(feed_whole({2, 0, 0x10}) == "seconds 0\n");
    CHECK(feed_whole({2, 0, 0x10, 0, 1, 0}) == "seconds 0\n");

    const Content good = Content(0xf101).field(0x12, {1, 2, 3});
    for (int delta : {-7, -1, 1, 100, 60000}) {
        Bytes c = good.bytes;
        write_u16(&c[16], static_cast<std::uint16_t>(7 + delta));
        CHECK(feed_whole(packet(c)) == "broken\n");
    }

    // A field longer than the message ends the walk; what stands before it counts.
    Bytes c = Content(0xf101).field(0x12, {1, 2, 3}).field(0x12, {4, 5}).bytes;
    c[c.size() - 3] = 3;
    CHECK(feed_whole(packet(c)) == kGoodText);
    c[c.size() - 4] = 0xff;
    CHECK(feed_whole(packet(c)) == kGoodText);

    // So do one to three bytes after the last field.
    for (std::size_t n = 1; n < 4; ++n) {
        Bytes t = good.bytes;
        t.insert(t.end(), n, 0xff);
        write_u16(&t[16], static_cast<std::uint16_t>(t.size() - kFtdcHeader));
        CHECK(feed_whole(packet(t)) == kGoodText);
    }
}

void test_unpack() {
    const auto unpacked = [](const Bytes& in, std::size_t room) {
        Bytes out(room + 1, 0x77);
        const std::ptrdiff_t n = unpack(in.data(), in.size(), out.data(), room);
        CHECK(out[room] == 0x77);  // never a byte past the room
        out.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
        return std::make_pair(n, out);
    };
    CHECK(unpacked({}, 0).first == 0);
    CHECK(unpacked({1, 2, 0xdf, 0xf0, 0xff}, 5).second == Bytes({1, 2, 0xdf, 0xf0, 0xff}));
    CHECK(unpacked({0xe1}, 1).second == Bytes({0}));
    CHECK(unpacked({0xef, 7}, 16).second.size() == 16);
    CHECK(unpacked({0xe0, 0xe0, 0xe0, 0xef, 0xe0, 0}, 3).second == Bytes({0xe0, 0xef, 0}));
    CHECK(unpacked({0xef}, 14).first == -1);
    CHECK(unpacked({1, 2}, 1).first == -1);
    CHECK(unpacked({0xe0}, 9).first == -1);
    CHECK(unpacked({1, 0xe0}, 9).first == -1);
    CHECK(unpacked({0xe0, 5}, 0).first == -1);
}

void test_compressed_messages() {
    const Content content = Content(0xf101, 5).field(0x12, {0, 0, 0, 0xe0, 0xe5, 0xef, 0xf0, 0, 9}).field(0, Bytes(300, 0));
    CHECK(feed_whole(packet(pack(content.bytes))) == feed_whole(packet(content.bytes)));

    Bytes bad = pack(content.bytes);
    bad.push_back(0xe0);
    CHECK(feed_whole(packet(bad)) == "broken\n");
    bad.back() = 1;
    CHECK(feed_whole(packet(bad)) == "broken\n");
    CHECK(feed_whole(packet([] {
              Bytes bomb(4096, 0xef);
              bomb[0] = 1;
              bomb[1] = 3;
              return bomb;
          }())) == "broken\n");
    CHECK(ignored(packet({1, 3, 12, 'L', 0xe5})));  // too little for a header

    // The limit counts unpacked bytes with the 22 of the header.
    for (const bool over : {false, true}) {
        const std::size_t data = kMaxUnpacked - kFtdcHeader - 4 + (over ? 1 : 0);
        const std::string got = feed_whole(packet(pack(Content(0xf101).field(0x99, Bytes(data, 0)).bytes)));
        CHECK((got == "broken\n") == over);
    }
}

// Every kind of packet in random order, with ids and sizes that make each message distinct.
Bytes random_stream(std::mt19937* random, int packets, bool damage) {
    const auto below = [random](std::uint32_t n) { return (*random)() % n; };
    Bytes stream;
    for (int i = 0; i < packets; ++i) {
        Content c(below(2) ? 0xf101 : below(0x10000), below(1000));
        for (std::uint32_t fields = below(5); fields > 0; --fields) {
            Bytes data(below(4) ? below(400) : 354);
            for (std::uint8_t& b : data) b = below(3) ? 0 : static_cast<std::uint8_t>(below(256));
            c.field(static_cast<std::uint16_t>(below(0x3000)), data);
        }
        Bytes content = c.bytes;
        if (below(2)) content = pack(content);
        if (content.size() > kMaxContent) continue;
        Bytes extension;
        if (below(4) == 0) extension = {5, 0};
        if (below(8) == 0) extension = {7, 4, 0, 0, 0, static_cast<std::uint8_t>(below(256))};
        Bytes p = below(10) ? packet(content, 2, extension) : packet({}, 0, extension);
        if (damage && below(20) == 0) p[below(static_cast<std::uint32_t>(p.size()))] = static_cast<std::uint8_t>(below(256));
        append(&stream, p);
    }
    return stream;
}

void test_any_cut_gives_the_same_messages(std::uint32_t seed) {
    std::mt19937 random(seed);
    for (const bool damage : {false, true}) {
        const Bytes stream = random_stream(&random, 120, damage);
        const std::string whole = feed_whole(stream);
        // The smallest buffer has to move its rest all the time.
        const bool same = feed(stream, [] { return std::size_t{1}; }) == whole &&
                          feed(stream, [&random] { return std::size_t{random() % 9}; }, 1) == whole &&
                          feed(stream, [&random] { return std::size_t{random() % 5000}; }, 1) == whole &&
                          feed(stream, [&random] { return std::size_t{random() % 40000}; }) == whole;
        CHECK(same);
        CHECK(damage || (whole.find("broken") == std::string::npos && whole.find("too long") == std::string::npos));
        if (!same) std::printf("  seed %u\n", seed);
    }
}

void test_noise_never_reads_outside(std::uint32_t seed) {
    // The checks are the sanitizers'; without them this still proves that it ends.
    std::mt19937 random(seed);
    Bytes noise(4096);
    for (std::size_t i = 0; i < noise.size(); ++i) noise[i] = static_cast<std::uint8_t>(random() % 4 ? random() % 3 : random());
    const std::string got = feed_whole(noise);
    CHECK(!got.empty());
}

void test_requests_are_read_back() {
    Bytes out;
    RequestWriter w(&out, 0x4401, 1, 0xfffffffe);
    CHECK(w.add(0x2441, "abc", 3));
    CHECK(w.add(0x2441, "", 0));
    w.finish();
    CHECK(out.size() == kFtdHeader + kFtdcHeader + 7 + 4);
    write_u32(&out[kSeqOffset], 9);
    const std::string one = feed_whole(out);
    CHECK(one == std::to_string(0x4401) + "/1/9/4294967294/76:9281=bcd;9281=;\nseconds 0\n");

    append_heartbeat(&out);
    append_register(&out, 39);
    RequestWriter second(&out, 0x3000, 0, 1);
    second.finish();
    CHECK(feed_whole(out).find(std::to_string(0x3000) + "/0/0/1/76:\nseconds 39\n") != std::string::npos);
    CHECK(Bytes(out.begin() + 37, out.begin() + 53) == Bytes({0, 2, 0, 0, 5, 0, 0, 6, 0, 0, 7, 4, 0, 0, 0, 39}));
}

void test_request_never_passes_the_limit() {
    Bytes out;
    RequestWriter w(&out, 0x4401, 0, 0);
    const char id[31] = "x";
    int fields = 0;
    while (w.add(0x2441, id, sizeof id)) ++fields;
    w.finish();
    CHECK(fields == 116);
    CHECK(out.size() - kFtdHeader <= kMaxContent);
    CHECK(feed_whole(out).find("too long") == std::string::npos);
    CHECK(!w.add(1, id, kMaxContent + 1));
}

}  // namespace

int main(int argc, char** argv) {
#define RUN(call)                      \
    do {                               \
        g_test = #call;                \
        call;                          \
    } while (0)
    RUN(test_one_message());
    RUN(test_packets_without_a_message_are_passed_over());
    RUN(test_register_seconds());
    RUN(test_hostile_lengths());
    RUN(test_unpack());
    RUN(test_compressed_messages());
    RUN(test_requests_are_read_back());
    RUN(test_request_never_passes_the_limit());
    const std::uint32_t first = argc > 1 ? static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10)) : 1;
    const std::uint32_t count = argc > 1 ? 1 : 60;
    for (std::uint32_t seed = first; seed < first + count; ++seed) {
        RUN(test_any_cut_gives_the_same_messages(seed));
        RUN(test_noise_never_reads_outside(seed));
    }
    if (g_failures == 0) std::printf("test_ftd: all passed\n");
    return g_failures == 0 ? 0 : 1;
}
