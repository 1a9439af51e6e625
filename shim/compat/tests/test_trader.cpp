// Checks of the trader library without a socket: tables, flows, and whatever a front may send, as every version.
//
// Random parts print their seed when they fail; give it as the only argument to run that one again.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "ftd.hpp"
#include "trader/dispatch.hpp"
#include "trader/interface.hpp"
#include "trader_host.hpp"

namespace {

using namespace compat;
using namespace compat::trader;

int g_failures = 0;
const char* g_test = "";

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            std::printf("FAILED %s, line %d: %s\n", g_test, __LINE__, #condition);         \
            ++g_failures;                                                                  \
        }                                                                                  \
    } while (0)

std::string g_directory;

// A flow directory of its own for each.
std::string fresh_prefix() {
    static int number = 0;
    return g_directory + "/" + std::to_string(++number) + "-";
}

// ---- messages ------------------------------------------------------------------------------------

struct Built {
    Bytes fields;
    Message m{'L', 0, 0, 0, 0, nullptr, 0};

    Built(std::uint32_t tid, std::uint16_t series = 0, std::uint32_t seq = 0) { m.series = series, m.tid = tid, m.seq = seq; }
    Built& field(std::uint16_t id, const Bytes& data) {
        std::uint8_t head[4];
        write_u16(head, id);
        write_u16(head + 2, static_cast<std::uint16_t>(data.size()));
        fields.insert(fields.end(), head, head + 4);
        fields.insert(fields.end(), data.begin(), data.end());
        return *this;
    }
    const Message& message() {
        m.fields = fields.data();
        m.size = fields.size();
        return m;
    }
};

Bytes login_of(const char* day) {
    Bytes body(152);
    std::memcpy(body.data(), day, 8);
    return body;
}

Built login(const char* day) { return Built(kLoginAnswer).field(kInfoField, Bytes(85)).field(0x1003, login_of(day)); }

// ---- tables --------------------------------------------------------------------------------------

void slots_are_those_of_the_headers() {
    g_test = "slots";
    const struct {
        Version version;
        std::size_t methods, callbacks;
    } counts[] = {{v635, 75, 106}, {v636, 79, 112}, {v6311, 87, 121}, {v6313, 94, 125}, {v6315, 94, 125},
                  {v6319P1, 94, 125}, {v651, 96, 127}, {v661P1, 98, 129}, {v667, 99, 130}, {v669, 107, 138},
                  {v670, 107, 138}, {v671, 111, 142}, {v672, 123, 154}, {v677, 125, 155}, {v678, 126, 156},
                  {v679, 127, 157}, {v679P1, 130, 163}, {v6710, 132, 163}, {v6711, 133, 164}, {v6713, 140, 178}};
    CHECK(sizeof counts / sizeof counts[0] == kVersionCount);
    for (const auto& c : counts) {
        CHECK(slots(kMethods, c.version) == c.methods);
        CHECK(slots(kCallbacks, c.version) == c.callbacks);
        for (const Request& r : kRequests) CHECK(slot_of(kMethods, c.version, r.method) >= 0);
        for (const Answer& a : kAnswers) CHECK(slot_of(kCallbacks, c.version, a.callback) >= 0);
    }
    const struct {
        const char* name;
        int at_636, at_6710, at_6713;
    } methods[] = {{"RegisterFront", 4, 5, 5}, {"RegisterSpi", 7, 8, 8}, {"ReqUserLogin", 11, 16, 16},
                   {"ReqOrderInsert", 15, 26, 26}, {"ReqQryOrder", 30, 43, 43}, {"ReqQryInstrument", 40, 53, 54}},
      callbacks[] = {{"OnRspUserLogin", 4, 4, 5}, {"OnRspOrderInsert", 8, 11, 12}, {"OnRspQryOrder", 23, 28, 29},
                     {"OnRspQryInstrument", 33, 38, 40}, {"OnRtnOrder", 63, 74, 76}, {"OnRtnTrade", 64, 75, 77}};
    for (const auto& m : methods) {
        CHECK(slot_of(kMethods, v636, m.name) == m.at_636);
        CHECK(slot_of(kMethods, v6710, m.name) == m.at_6710);
        CHECK(slot_of(kMethods, v6713, m.name) == m.at_6713);
    }
    for (const auto& c : callbacks) {
        CHECK(slot_of(kCallbacks, v636, c.name) == c.at_636);
        CHECK(slot_of(kCallbacks, v6710, c.name) == c.at_6710);
        CHECK(slot_of(kCallbacks, v6713, c.name) == c.at_6713);
    }
    CHECK(slot_of(kCallbacks, v6711, "OnRtnPrivateSeqNo") == -1 && slot_of(kCallbacks, v6713, "OnRtnPrivateSeqNo") == 4);
}

// On the wire as measured at the genuine 6.3.6; in memory as its and later headers compile.
void structs_have_the_sizes_that_were_seen() {
    g_test = "sizes";
    const struct {
        Struct type;
        std::uint16_t field;
        std::size_t wire, at_635, at_636, at_651, at_6713;
    } sizes[] = {
        {kRspInfo, 0, 85, 88, 88, 88, 88},
        {kReqUserLogin, 0x1002, 224, 188, 224, 264, 280},
        {kRspUserLogin, 0x1003, 152, 156, 156, 156, 296},
        {kUserLogout, 0x1004, 27, 27, 27, 27, 27},
        {kReqAuthenticate, 0x1012, 171, 55, 55, 88, 88},
        {kInputOrder, 0x0400, 261, 184, 272, 392, 408},
        {kOrder, 0x0401, 635, 576, 656, 856, 872},
        {kTrade, 0x0409, 312, 320, 320, 496, 496},
        {kInputOrderAction, 0x0404, 197, 152, 208, 320, 336},
        {kOrderAction, 0x0405, 400, 344, 408, 520, 536},
        {kInstrumentStatus, 0x2442, 95, 0, 0, 0, 0},
        {kInvestorPosition, 0x000d, 303, 328, 328, 472, 480},
        {kTradingAccount, 0x000c, 369, 376, 376, 400, 408},
        {kInstrument, 0x0003, 278, 296, 296, 616, 616},
        {kDepthMarketData, 0x0012, 354, 408, 408, 568, 584},
    };
    for (const auto& s : sizes) {
        CHECK(Layout(s.type, s.field, v636).wire_size() == s.wire);
        CHECK(Layout(s.type, s.field, kNewest).wire_size() == s.wire);
        if (s.at_635 == 0) continue;
        CHECK(Layout(s.type, s.field, v635).size() == s.at_635);
        CHECK(Layout(s.type, s.field, v636).size() == s.at_636);
        CHECK(s.type == kTradingAccount || Layout(s.type, s.field, v651).size() == s.at_651);
        CHECK(Layout(s.type, s.field, v6713).size() == s.at_6713);
    }
    const Layout order(kOrder, 0x0401, v6713);
    CHECK(order.host("LimitPrice").offset == 96 && order.host("InstrumentID").offset == 656);
    CHECK(order.host("InstrumentID").size == 81 && order.wire("InstrumentID").offset == 24);
    for (int v = 0; v < kVersionCount; ++v) {
        for (const Answer& a : kAnswers) CHECK(Layout(a.type, a.field, static_cast<Version>(v)).size() <= kMaxStruct);
    }
}

void what_goes_out_comes_back() {
    g_test = "there and back";
    std::mt19937 random(1);
    for (int v = 0; v < kVersionCount; ++v) {
        for (const Request& r : kRequests) {
            const Layout layout(r.type, r.field, static_cast<Version>(v));
            Bytes wire(layout.wire_size());
            for (std::uint8_t& b : wire) b = static_cast<std::uint8_t>(random());
            std::vector<char> host(layout.size());
            layout.to_host(Field{r.field, static_cast<std::uint16_t>(wire.size()), wire.data()}, host.data());
            Bytes again(layout.wire_size());
            if (!layout.to_wire(host.data(), again.data())) continue;  // a text without an end, longer in the host
            std::vector<char> back(layout.size());
            layout.to_host(Field{r.field, static_cast<std::uint16_t>(again.size()), again.data()}, back.data());
            Bytes third(layout.wire_size());
            CHECK(layout.to_wire(back.data(), third.data()) && third == again);
        }
    }
}

// ---- flows ---------------------------------------------------------------------------------------

void days_have_numbers() {
    g_test = "days";
    CHECK(number_of_day("19800101") == 1 && number_of_day("20231120") == 0x3e9e);
    for (const char* none : {"", "19800100x", "2023112", "2023-1-1", "19791231"}) CHECK(number_of_day(none) == 0);
    char day[9];
    for (unsigned n = 0; n <= 0xffff; ++n) {
        day_of_number(static_cast<std::uint16_t>(n), day);
        CHECK(number_of_day(day) == n || (n == 0 && std::string(day) == "19800100"));
    }
}

void a_flow_is_remembered_and_belongs_to_its_day() {
    g_test = "flows";
    const std::string prefix = fresh_prefix();
    Host host(v6713);
    const auto number = [](Dispatcher* d) { return d->wanted()[1].number; };
    {
        Dispatcher d(v6713, prefix, Faults());
        d.set_spi(&host);
        d.subscribe(kPrivate, kResume);
        CHECK(d.wanted().size() == 3 && number(&d) == 0 && std::string(d.trading_day()) == "19800100");
        d.connected();
        d.message(login("20260105").message());
        d.message(Built(0xf001, kPrivate, 1).field(0x0401, Bytes(635)).message());
        d.message(Built(0xf001, kPrivate, 2).field(0x0401, Bytes(635)).message());
        CHECK(number(&d) == 2 && host.calls == 4);
        // Nobody hears it: it is to come again, and nothing behind it may count.
        d.set_spi(nullptr);
        d.message(Built(0xf001, kPrivate, 3).field(0x0401, Bytes(635)).message());
        CHECK(d.deaf() && number(&d) == 2);
    }
    for (const Resume mode : {kRestart, kResume, kQuick}) {
        Dispatcher d(v6713, prefix, Faults());
        d.set_spi(&host);
        d.subscribe(kPrivate, mode);
        CHECK(number(&d) == (mode == kRestart ? 0 : mode == kResume ? 2 : 0xffffffff));
        CHECK(std::string(d.trading_day()) == "20260105");
    }
    Dispatcher d(v6713, prefix, Faults());
    d.set_spi(&host);
    d.subscribe(kPrivate, kResume);
    d.connected();
    d.message(login("20260106").message());
    CHECK(number(&d) == 0 && std::string(d.trading_day()) == "20260106");
    d.message(Built(0xf001, kPrivate, 1).field(0x0401, Bytes(635)).message());
    CHECK(!d.deaf() && number(&d) == 1);
    d.message(Built(0xf001, kPrivate, 1).field(0x0401, Bytes(635)).message());
    CHECK(d.deaf() && number(&d) == 1);
    // The private file of another day than the day's own says nothing.
    FlowFile file;
    file.open(prefix + "Private.con");
    CHECK(file.count() == 1 && file.day() == number_of_day("20260106"));
    file.store(number_of_day("20260105"), 9);
    Dispatcher other(v6713, prefix, Faults());
    other.subscribe(kPrivate, kResume);
    CHECK(number(&other) == 0);
    std::ofstream(prefix + "Private.con", std::ios::trunc) << "abc";
    Dispatcher cut(v6713, prefix, Faults());
    cut.subscribe(kPrivate, kResume);
    CHECK(number(&cut) == 0);
}

// ---- whatever comes ------------------------------------------------------------------------------

void anything_a_front_sends(std::uint32_t seed) {
    g_test = "anything";
    std::mt19937 random(seed);
    const auto below = [&random](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    const int failures = g_failures;
    for (int v = 0; v < kVersionCount; ++v) {
        const Version version = static_cast<Version>(v);
        Host host(version);
        Faults faults;
        faults.poison = below(2) != 0;
        Dispatcher d(version, fresh_prefix(), faults);
        d.set_spi(&host);
        if (below(4)) d.subscribe(kPrivate, kResume);
        if (below(4)) d.subscribe(kPublic, kRestart);
        std::uint32_t next[kCountedSeries] = {1, 1, 1, 1, 1};
        d.connected();
        for (int n = 0; n < 400; ++n) {
            const Answer& a = kAnswers[below(kAnswerCount)];
            const std::uint32_t others[] = {kErrorAnswer, kFlowNotice, static_cast<std::uint32_t>(random())};
            const std::uint32_t tid = below(8) ? a.tid : others[below(3)];
            const std::uint16_t series = static_cast<std::uint16_t>(below(7));
            Built built(tid, series, series < kCountedSeries && below(50) ? next[series]++ : static_cast<std::uint32_t>(random()));
            built.m.chain = below(3) ? 'L' : 'C';
            for (std::uint32_t count = below(4); count > 0; --count) {
                const std::uint16_t ids[] = {a.field, kInfoField, kDissemination, static_cast<std::uint16_t>(random())};
                Bytes data(below(3) ? Layout(a.type, a.field, version).wire_size() : below(700));
                for (std::uint8_t& b : data) b = static_cast<std::uint8_t>(below(4) ? random() : 0);
                built.field(ids[below(6) < 3 ? 0 : below(4)], data);
            }
            d.message(built.message());
            CHECK(d.wanted().size() >= 2);
            if (!d.deaf()) continue;
            const std::uint64_t before = host.calls;
            d.disconnected(0x1001);
            CHECK(host.calls == before + 1 && host.last_number == 0x1001);
            d.connected();
            next[kDialog] = next[kQuery] = 1;
            for (const Dispatcher::Wanted& w : d.wanted()) {
                if (w.series == kPrivate) next[kPrivate] = w.number + 1;
            }
        }
        CHECK(host.calls > 100 && host.strangers == 0 && host.nulls == 0);
    }
    if (g_failures != failures) std::printf("seed %u\n", seed);
}

}  // namespace

int main(int argc, char** argv) {
    const char* place = std::getenv("TICKSHIM_TEST_DIR");
    std::string pattern = std::string(place ? place : "/tmp") + "/test-trader-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) return std::perror("mkdtemp"), 1;
    g_directory = pattern;
    slots_are_those_of_the_headers();
    structs_have_the_sizes_that_were_seen();
    what_goes_out_comes_back();
    days_have_numbers();
    a_flow_is_remembered_and_belongs_to_its_day();
    if (argc > 1) {
        anything_a_front_sends(static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10)));
    } else {
        for (std::uint32_t seed = 1; seed <= 5; ++seed) anything_a_front_sends(seed);
    }
    const int left = std::system(("rm -rf '" + g_directory + "'").c_str());
    if (left != 0) ++g_failures;
    std::printf(g_failures ? "trader: %d FAILED\n" : "trader: all passed\n", g_failures);
    return g_failures != 0;
}
