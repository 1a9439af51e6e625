// From the vendor's struct to a record: every field of every layout, prices that are none, texts that do
// not end, garbage. The expected places are written out here and come from no constant of the shim.
#include <sys/mman.h>

#include <cfloat>
#include <cmath>
#include <ctime>
#include <limits>

#include "fixture.hpp"

using namespace fixture;

namespace {

enum Type { kPrice, kInt, kText };

struct Mapped {
    const char* name;
    std::uint32_t vendor, size;  // where the vendor has it
    std::size_t record;          // where the record has it
    std::uint32_t kept;          // bytes that can reach the record
    Type type;
};

#define PRICE(name, vendor) {#name, vendor, 8, offsetof(tk::Record, name), 8, kPrice}
#define INT(name, vendor) {#name, vendor, 4, offsetof(tk::Record, name), 4, kInt}
#define TEXT(name, vendor, size, kept) {#name, vendor, size, offsetof(tk::Record, name), kept, kText}

// In all layouts. Days and times keep all 9 bytes; ids always end in a NUL.
const std::vector<Mapped> kCommon = {
    TEXT(TradingDay, 0, 9, 8), TEXT(ExchangeID, 40, 9, 8), PRICE(LastPrice, 80), PRICE(PreSettlementPrice, 88),
    PRICE(PreClosePrice, 96), PRICE(PreOpenInterest, 104), PRICE(OpenPrice, 112), PRICE(HighestPrice, 120),
    PRICE(LowestPrice, 128), INT(Volume, 136), PRICE(Turnover, 144), PRICE(OpenInterest, 152), PRICE(ClosePrice, 160),
    PRICE(SettlementPrice, 168), PRICE(UpperLimitPrice, 176), PRICE(LowerLimitPrice, 184), PRICE(PreDelta, 192),
    PRICE(CurrDelta, 200), TEXT(UpdateTime, 208, 9, 8), INT(UpdateMillisec, 220),
    PRICE(BidPrice1, 224), INT(BidVolume1, 232), PRICE(AskPrice1, 240), INT(AskVolume1, 248),
    PRICE(BidPrice2, 256), INT(BidVolume2, 264), PRICE(AskPrice2, 272), INT(AskVolume2, 280),
    PRICE(BidPrice3, 288), INT(BidVolume3, 296), PRICE(AskPrice3, 304), INT(AskVolume3, 312),
    PRICE(BidPrice4, 320), INT(BidVolume4, 328), PRICE(AskPrice4, 336), INT(AskVolume4, 344),
    PRICE(BidPrice5, 352), INT(BidVolume5, 360), PRICE(AskPrice5, 368), INT(AskVolume5, 376),
    PRICE(AveragePrice, 384), TEXT(ActionDay, 392, 9, 8)};

std::vector<Mapped> fields_of(std::uint32_t layout) {
    std::vector<Mapped> all = kCommon;
    all.push_back(layout == 1 ? Mapped TEXT(InstrumentID, 9, 31, 31) : Mapped TEXT(InstrumentID, 401, 81, 80));
    if (layout == 3) {
        all.push_back(PRICE(BandingUpperPrice, 568));
        all.push_back(PRICE(BandingLowerPrice, 576));
    }
    return all;
}

struct Size {
    std::uint32_t layout, bytes;
};
constexpr Size kSizes[] = {{1, 408}, {2, 568}, {3, 584}};

// Letters and digits that differ from byte to byte and never are NUL, the lowest bit inverted or not.
char letter(std::uint32_t at) { return static_cast<char>('0' + at % 60); }

// The vendor's struct at the very end of readable memory: a byte read beyond it ends the process.
class Struct {
public:
    explicit Struct(std::uint32_t layout) : layout_(layout), size_(kSizes[layout - 1].bytes) {
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        map_ = static_cast<char*>(mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        mapped_ = 2 * page;
        REQUIRE(map_ != MAP_FAILED && mprotect(map_ + page, page, PROT_NONE) == 0);
        bytes = map_ + page - size_;
        fill();
    }
    Struct(const Struct&) = delete;
    Struct& operator=(const Struct&) = delete;
    ~Struct() { munmap(map_, mapped_); }
    // Every byte says where it stands; every price is a number of its own.
    void fill() {
        for (std::uint32_t i = 0; i < size_; ++i) bytes[i] = letter(i);
        for (const Mapped& f : fields_of(layout_)) {
            const double price = 1000.25 + f.vendor;
            const std::int32_t number = 70000 + static_cast<std::int32_t>(f.vendor);
            if (f.type == kPrice) std::memcpy(bytes + f.vendor, &price, 8);
            if (f.type == kInt) std::memcpy(bytes + f.vendor, &number, 4);
        }
    }
    void text(std::uint32_t offset, std::uint32_t size, const std::string& value) {
        std::memset(bytes + offset, 0, size);
        std::memcpy(bytes + offset, value.data(), std::min<std::size_t>(value.size(), size));
    }
    void day_and_time(const std::string& day, const std::string& time, std::int32_t millisec) {
        text(0, 9, day);
        text(392, 9, day);
        text(208, 9, time);
        text(40, 9, "SHFE");
        std::memcpy(bytes + 220, &millisec, 4);
    }
    template <typename T>
    void put(std::uint32_t offset, T value) {
        std::memcpy(bytes + offset, &value, sizeof value);
    }
    std::uint32_t size() const { return size_; }
    char* bytes = nullptr;

private:
    std::uint32_t layout_, size_;
    char* map_ = nullptr;
    std::size_t mapped_ = 0;
};

// Publishes and gives the record as it stands in the ring. The place held garbage before.
class Normaliser {
public:
    explicit Normaliser(std::uint32_t layout) : log_(2, 512), layout_(layout) {}
    tk::Record operator()(const Struct& s, std::int64_t recv_time = 111, std::int64_t recv_monotonic = 222) {
        const std::uint64_t head = log_.head();
        tk::Record* slot = log_.log.slot(head);
        const std::uint64_t stamp = slot->Stamp;
        std::memset(static_cast<void*>(slot), 0xA5, sizeof *slot);
        slot->Stamp = stamp;
        log_.writer->publish_tick(*tk::depth_layout(layout_), s.bytes, {recv_time, recv_monotonic});
        REQUIRE(log_.head() == head + 1);
        return *slot;
    }
    TestLog& log() { return log_; }

private:
    TestLog log_;
    std::uint32_t layout_;
};

const char* raw(const tk::Record& r) { return reinterpret_cast<const char*>(&r); }

std::uint64_t bits_at(const tk::Record& r, std::size_t offset) {
    std::uint64_t bits;
    std::memcpy(&bits, raw(r) + offset, 8);
    return bits;
}

std::uint64_t bits_of(double x) {
    std::uint64_t bits;
    std::memcpy(&bits, &x, 8);
    return bits;
}

bool is_nan_at(const tk::Record& r, std::size_t offset) {
    double x;
    std::memcpy(&x, raw(r) + offset, 8);
    return std::isnan(x);
}

std::string text_at(const tk::Record& r, const Mapped& f) {
    return std::string(raw(r) + f.record, strnlen(raw(r) + f.record, f.type == kText ? f.size : 0));
}

Mapped field(std::uint32_t layout, const char* name) {
    for (const Mapped& f : fields_of(layout))
        if (std::strcmp(f.name, name) == 0) return f;
    throw std::runtime_error(name);
}

// What the engine adds for itself, or derives from several of the vendor's fields, is not compared.
bool of_the_engine(std::size_t byte) {
    const auto in = [byte](std::size_t offset, std::size_t size) { return byte >= offset && byte < offset + size; };
    return in(offsetof(tk::Record, Stamp), 8) || in(offsetof(tk::Record, Instrument), 4) ||
           in(offsetof(tk::Record, Flags), 2) || in(offsetof(tk::Record, ExchangeTime), 8) ||
           in(offsetof(tk::Record, TickNumber), 16);
}

constexpr std::int64_t kDelay = 20000000;  // from the exchange to us

std::int64_t utc_ns(int year, int month, int day, int hour, int minute, int second) {
    std::tm t{};
    t.tm_year = year - 1900;
    t.tm_mon = month - 1;
    t.tm_mday = day;
    t.tm_hour = hour;
    t.tm_min = minute;
    t.tm_sec = second;
    return static_cast<std::int64_t>(timegm(&t)) * 1000000000;
}

}  // namespace

// ---- places -------------------------------------------------------------------------------------

TEST(every_field_of_every_layout_lands_in_its_place) {
    for (const Size size : kSizes) {
        CHECK_EQ(tk::depth_layout(size.layout)->size, size.bytes);
        const Struct s(size.layout);
        Normaliser normalise(size.layout);
        const tk::Record r = normalise(s, 123456789, 987654321);
        for (const Mapped& f : fields_of(size.layout)) {
            if (std::memcmp(raw(r) + f.record, s.bytes + f.vendor, f.kept) != 0)
                check::failed(__FILE__, __LINE__, std::string(f.name) + " of layout " + std::to_string(size.layout) + " is wrong");
        }
        CHECK_EQ(r.RecvTime, 123456789);
        CHECK_EQ(r.RecvMonotonic, 987654321);
        CHECK_EQ(r.Kind, tk::kTick);
        CHECK_EQ(r.TickNumber, 0u);
        CHECK_EQ(r.InstrumentNumber, 0u);
        CHECK_EQ(r.Instrument, 0u);
    }
}

// One byte after the other is changed: only its own field may change, and it must.
TEST(each_byte_of_every_layout_changes_its_field_and_nothing_else) {
    for (const Size size : kSizes) {
        Struct s(size.layout);
        Normaliser normalise(size.layout);
        const tk::Record before = normalise(s);
        std::vector<std::int64_t> target(size.bytes, -1);  // vendor's byte to record's byte
        for (const Mapped& f : fields_of(size.layout))
            for (std::uint32_t i = 0; i < f.kept; ++i) target[f.vendor + i] = static_cast<std::int64_t>(f.record + i);
        for (std::uint32_t at = 0; at < size.bytes; ++at) {
            s.bytes[at] ^= 1;
            const tk::Record after = normalise(s);
            s.bytes[at] ^= 1;
            for (std::size_t b = 0; b < sizeof(tk::Record); ++b) {
                if (of_the_engine(b)) continue;
                const bool changed = raw(before)[b] != raw(after)[b], wanted = target[at] == static_cast<std::int64_t>(b);
                if (changed != wanted)
                    check::failed(__FILE__, __LINE__, "layout " + std::to_string(size.layout) + ", vendor's byte " + std::to_string(at) +
                                                          ": byte " + std::to_string(b) + (changed ? " changes" : " does not change"));
            }
            if (check::failures() > 8) return;
        }
    }
}

// The whole of (InstrumentID, ExchangeInstID, ExchangeID) tells instruments apart, in every layout.
TEST(each_byte_of_an_id_makes_another_instrument) {
    for (const Size size : kSizes) {
        Struct s(size.layout);
        Normaliser normalise(size.layout);
        normalise(s);
        const std::uint32_t id_size = size.layout == 1 ? 31 : 81, kept = size.layout == 1 ? 31 : 80;
        const std::uint32_t id = size.layout == 1 ? 9 : 401, inst = size.layout == 1 ? 49 : 482;
        const auto instruments = [&] { return normalise.log().log.header->InstrumentCount.load(); };
        std::uint32_t expected = 1;
        CHECK_EQ(instruments(), expected);
        struct Id {
            std::uint32_t offset, size, kept;
            std::size_t entry;
        };
        for (const Id part : {Id{id, id_size, kept, offsetof(tk::InstrumentEntry, InstrumentID)},
                              Id{inst, id_size, kept, offsetof(tk::InstrumentEntry, ExchangeInstID)},
                              Id{40, 9, 8, offsetof(tk::InstrumentEntry, ExchangeID)}})
            for (std::uint32_t i = 0; i < part.size; ++i) {
                s.bytes[part.offset + i] ^= 1;
                const tk::Record r = normalise(s);
                if (i < part.kept) ++expected;
                CHECK_EQ(instruments(), expected);
                const tk::InstrumentEntry& e = normalise.log().log.instruments[r.Instrument];
                const char* text = reinterpret_cast<const char*>(&e) + part.entry;
                CHECK(std::memcmp(text, s.bytes + part.offset, part.kept) == 0);
                CHECK_EQ(text[part.kept], '\0');
                CHECK_EQ(normalise(s).Instrument, r.Instrument);  // known the second time
                CHECK_EQ(instruments(), expected);
                s.bytes[part.offset + i] ^= 1;
            }
        CHECK_EQ(normalise(s).Instrument, 0u);
    }
}

// The old ids of 31 bytes keep their place from 6.5.1 on and mean nothing.
TEST(the_unused_places_of_old_ids_are_not_looked_at) {
    for (const std::uint32_t layout : {2u, 3u}) {
        Struct s(layout);
        s.text(401, 81, "rb2601");
        s.text(482, 81, "rb2601");
        Normaliser normalise(layout);
        for (const char* garbage : {"", "au2612", "0123456789012345678901234567890"}) {
            s.text(9, 31, garbage);
            s.text(49, 31, garbage);
            CHECK_EQ(std::string(normalise(s).InstrumentID), "rb2601");
        }
        CHECK_EQ(normalise.log().log.header->InstrumentCount.load(), 1u);
    }
}

TEST(spare_bytes_are_zero_whatever_stood_there) {
    Normaliser normalise(3);
    const Struct s(3);
    const std::string long_text(343, 'x');
    for (int i = 0; i < 4; ++i) {
        const tk::Record r = normalise(s);  // over garbage
        CHECK_EQ(r.Reserved0, 0);
        for (const char c : r.Reserved1) CHECK_EQ(c, '\0');
        CHECK_EQ(r.Kind, tk::kTick);
        CHECK_EQ(r.InstrumentID[80], '\0');
        normalise.log().event(TK_EV_ERROR, long_text.c_str());  // two places: the next tick stands over an event, too
        normalise.log().event(TK_EV_ERROR, i % 2 == 0 ? "" : "short");
        const tk::Record* slot = normalise.log().log.slot(normalise.log().head() - 1);
        const auto& e = reinterpret_cast<const tk::EventRecord&>(*slot);
        CHECK_EQ(e.Reserved0, 0);
        CHECK_EQ(e.Flags, 0);
        CHECK_EQ(e.Reserved1[0] | e.Reserved1[1] | static_cast<std::uint64_t>(e.Reserved2), 0u);
        for (std::size_t b = e.TextLength; b < sizeof e.Text; ++b) CHECK_EQ(e.Text[b], '\0');
    }
}

// ---- numbers ------------------------------------------------------------------------------------

TEST(the_vendors_no_price_becomes_nan_and_every_other_number_stays) {
    const double inf = std::numeric_limits<double>::infinity();
    const double stay[] = {0.0, -0.0, 1.0, -1.0, -5.5, 1e300, -DBL_MAX, std::nextafter(DBL_MAX, 0.0), DBL_MIN, -DBL_MIN,
                           std::numeric_limits<double>::denorm_min(), inf, -inf, std::nan(""), -std::nan(""), std::nan("1234")};
    for (const Size size : kSizes) {
        Struct s(size.layout);
        Normaliser normalise(size.layout);
        for (const Mapped& f : fields_of(size.layout)) {
            if (f.type != kPrice) continue;
            for (const double value : stay) {
                s.put(f.vendor, value);
                const tk::Record r = normalise(s);
                if (bits_at(r, f.record) != bits_of(value))
                    check::failed(__FILE__, __LINE__, std::string(f.name) + " does not keep " + check::show(value));
            }
            s.put(f.vendor, DBL_MAX);
            if (!is_nan_at(normalise(s), f.record))
                check::failed(__FILE__, __LINE__, std::string(f.name) + " of layout " + std::to_string(size.layout) + ": DBL_MAX is not NaN");
            s.fill();
        }
    }
}

TEST(all_prices_absent_at_once_are_all_nan) {
    Struct s(3);
    Normaliser normalise(3);
    for (const Mapped& f : fields_of(3))
        if (f.type == kPrice) s.put(f.vendor, DBL_MAX);
    const tk::Record r = normalise(s);
    for (const Mapped& f : fields_of(3))
        if (f.type == kPrice) CHECK(is_nan_at(r, f.record));
    CHECK_EQ(r.Volume, 70136);  // numbers next to them are not touched
    CHECK_EQ(r.AskVolume5, 70376);
}

TEST(banding_prices_are_nan_in_layouts_without_them) {
    for (const std::uint32_t layout : {1u, 2u}) {
        const Struct s(layout);
        Normaliser normalise(layout);
        const tk::Record r = normalise(s);
        CHECK(std::isnan(r.BandingUpperPrice));
        CHECK(std::isnan(r.BandingLowerPrice));
    }
}

TEST(whole_numbers_stay_as_they_are) {
    Struct s(2);
    Normaliser normalise(2);
    for (const Mapped& f : fields_of(2)) {
        if (f.type != kInt) continue;
        for (const std::int32_t value : {0, 1, -1, INT32_MAX, INT32_MIN, 0x01020304}) {
            s.put(f.vendor, value);
            const tk::Record r = normalise(s);
            std::int32_t got;
            std::memcpy(&got, raw(r) + f.record, 4);
            if (got != value)
                check::failed(__FILE__, __LINE__, std::string(f.name) + ": " + std::to_string(got) + " is not " + std::to_string(value));
        }
        s.fill();
    }
}

// ---- texts --------------------------------------------------------------------------------------

TEST(texts_end_at_their_nul_and_are_zero_after_it) {
    for (const Size size : kSizes) {
        Struct s(size.layout);
        Normaliser normalise(size.layout);
        for (const Mapped& f : fields_of(size.layout)) {
            if (f.type != kText) continue;
            for (std::uint32_t length = 0; length <= f.size; ++length) {
                s.fill();
                if (length < f.size) s.bytes[f.vendor + length] = '\0';  // garbage goes on behind it
                const tk::Record r = normalise(s);
                const std::uint32_t kept = std::min(length, f.kept);
                const std::string wanted(s.bytes + f.vendor, kept);
                bool ok = text_at(r, f) == wanted;
                for (std::size_t b = kept; b < f.size; ++b) ok = ok && raw(r)[f.record + b] == '\0';
                if (!ok)
                    check::failed(__FILE__, __LINE__, std::string(f.name) + " of layout " + std::to_string(size.layout) + " with " +
                                                          std::to_string(length) + " bytes is '" + text_at(r, f) + "'");
            }
        }
    }
}

TEST(texts_of_any_bytes_are_cut_only_at_nul) {
    check::Random random(5);
    Struct s(3);
    Normaliser normalise(3);
    const Mapped texts[] = {field(3, "TradingDay"), field(3, "ActionDay"), field(3, "UpdateTime")};
    for (int round = 0; round < 3000; ++round) {
        for (const Mapped& f : texts)
            for (std::uint32_t i = 0; i < 9; ++i) {
                // 0x00, 0x01, 0x80 and 0xFF are where arithmetic on eight bytes at once would go wrong
                const char edges[] = {0, 1, static_cast<char>(0x80), static_cast<char>(0xFF), static_cast<char>(0x81), 'x', '0', 2};
                s.bytes[f.vendor + i] = edges[random.below(sizeof edges)];
            }
        const tk::Record r = normalise(s);
        for (const Mapped& f : texts) {
            char wanted[9] = {};
            std::memcpy(wanted, s.bytes + f.vendor, strnlen(s.bytes + f.vendor, 8));
            CHECK(std::memcmp(raw(r) + f.record, wanted, 9) == 0);
        }
        if (check::failures() != 0) return;
    }
}

TEST(the_longest_ids_are_whole_and_end) {
    for (const Size size : kSizes) {
        const Mapped f = field(size.layout, "InstrumentID");
        Struct s(size.layout);
        Normaliser normalise(size.layout);
        for (const std::uint32_t length : {f.kept - 1, f.kept, f.size}) {
            const std::string id = std::string(length, 'i').replace(0, 2, "co");
            s.text(f.vendor, f.size, id);
            const tk::Record r = normalise(s);
            CHECK_EQ(std::string(r.InstrumentID), id.substr(0, f.kept));
            tk::Record latest;
            REQUIRE(tk::read_latest(normalise.log().log, id.substr(0, f.kept).c_str(), &latest) == TK_OK);
            CHECK_EQ(latest.Stamp, r.Stamp);
        }
        CHECK_EQ(normalise.log().log.header->InstrumentCount.load(), 2u);  // cut to the same, they are one
    }
}

TEST(an_instrument_beyond_the_table_has_the_same_texts) {
    for (const Size size : kSizes) {
        TestLog t(4, 1);
        t.tick("first1");
        const Struct s(size.layout);
        t.writer->publish_tick(*tk::depth_layout(size.layout), s.bytes, {1, 2});
        const tk::Record beyond = *t.log.slot(1);
        CHECK_EQ(beyond.Instrument, tk::kNoInstrument);
        Normaliser normalise(size.layout);
        const tk::Record known = normalise(s);
        CHECK(std::memcmp(known.TradingDay, beyond.TradingDay, sizeof(tk::Record) - offsetof(tk::Record, TradingDay)) == 0);
    }
}

// ---- the exchange's time ------------------------------------------------------------------------

TEST(a_day_and_a_time_are_read_as_eight_hours_east_of_utc) {
    Struct s(3);
    Normaliser normalise(3);
    struct Moment {
        const char *day, *time;
        std::int32_t millisec;
        std::int64_t wanted;
    };
    const Moment moments[] = {{"20240229", "10:15:00", 999, utc_ns(2024, 2, 29, 2, 15, 0) + 999000000},
                              {"20240301", "09:00:00", 1, utc_ns(2024, 3, 1, 1, 0, 0) + 1000000},
                              {"20251231", "11:29:59", 0, utc_ns(2025, 12, 31, 3, 29, 59)},
                              {"20260105", "09:30:00", 0, utc_ns(2026, 1, 5, 1, 30, 0)},
                              {"20260105", "14:59:59", 500, utc_ns(2026, 1, 5, 6, 59, 59) + 500000000},
                              {"20270104", "13:30:00", 0, utc_ns(2027, 1, 4, 5, 30, 0)}};
    for (const Moment& m : moments)
        for (int twice = 0; twice < 2; ++twice) {  // a day seen before gives the same
            s.day_and_time(m.day, m.time, m.millisec);
            CHECK_EQ(normalise(s, m.wanted + kDelay).ExchangeTime, m.wanted);
        }
}

// No time, or one on the day it was received: never one made of garbage.
TEST(garbage_in_the_days_gives_no_time_of_another_day) {
    Struct s(3);
    Normaliser normalise(3);
    const std::int64_t received = utc_ns(2026, 1, 5, 1, 30, 0) + kDelay, day_length = 86400000000000;
    for (const char* day : {"", "2026", "2026010", "abcdefgh", "2026-1-5", "20261301", "20260001", "20260100", "20260132", "00000000",
                            "99999999", "        ", "\xff\xff\xff\xff\xff\xff\xff\xff", "/0260105", ":0260105"}) {
        s.day_and_time(day, "09:30:00", 0);
        const std::int64_t time = normalise(s, received).ExchangeTime;
        if (time != 0 && (time < received - day_length || time > received)) check::failed(__FILE__, __LINE__, std::string("day: ") + day);
    }
}

TEST(garbage_in_the_time_gives_no_exchange_time) {
    Struct s(3);
    Normaliser normalise(3);
    const std::int64_t good = utc_ns(2026, 1, 5, 1, 30, 0);
    for (const char* time : {"", "9:30:00", "24:00:00", "09:60:00", "09:30:60", "09-30-00", "093000", "ab:cd:ef", "09:30", "99:99:99",
                             "  :  :  ", "\xff\xff:\xff\xff:\xff\xff", "/9:30:00", ":9:30:00", "09:3/:00"}) {
        s.day_and_time("20260105", time, 0);
        if (normalise(s, good + kDelay).ExchangeTime != 0) check::failed(__FILE__, __LINE__, std::string("time: ") + time);
    }
    s.day_and_time("20260105", "09:30:00", 0);  // a good one after all that garbage
    CHECK_EQ(normalise(s, good + kDelay).ExchangeTime, good);
}

TEST(milliseconds_out_of_range_are_kept_and_do_not_move_the_exchange_time) {
    Struct s(3);
    Normaliser normalise(3);
    const std::int64_t second = utc_ns(2026, 1, 5, 1, 30, 0);
    for (const std::int32_t millisec : {-1, 1000, 1500, INT32_MAX, INT32_MIN}) {
        s.day_and_time("20260105", "09:30:00", millisec);
        const tk::Record r = normalise(s, second + kDelay);
        CHECK_EQ(r.ExchangeTime, second);
        CHECK_EQ(r.UpdateMillisec, millisec);
    }
}
