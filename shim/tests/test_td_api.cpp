// Every generation of the trader interface on a vendor that only remembers: each method by its slot with its
// struct in the version's layout, each callback by its slot into a record. And the way of an order.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <string>
#include <thread>

#include "stepper.hpp"
#include "trading.hpp"

using namespace fixture;
using namespace tk::td;

namespace {

// A vendor struct in which every field has a value of its own, at the end of its page: a byte behind it is
// not there to be read.
class Guarded {
public:
    Guarded(const TdVersion& version, Struct type) : version_(version), type_(type) {
        base_ = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        REQUIRE(base_ != MAP_FAILED && mprotect(base_ + 4096, 4096, PROT_NONE) == 0);
        data_ = base_ + 4096 - vendor_size(version, type);
    }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;
    ~Guarded() { munmap(base_, 8192); }

    const char* fill(bool terminated) {
        int n = 0;
        for (const StructField& f : struct_table(type_).fields) {
            const Place p = place_of(f, layout_of(version_, type_));
            ++n;
            if (p.size == 0) continue;
            char* to = data_ + p.offset;
            const std::int32_t i = 1000 + n;
            const double d = n + 0.5;
            if (f.type == FieldType::kInt) std::memcpy(to, &i, 4);
            if (f.type == FieldType::kDouble) std::memcpy(to, &d, 8);
            if (f.type == FieldType::kChar) *to = static_cast<char>('a' + n % 26);
            if (f.type == FieldType::kText) {
                std::memset(to, 'A' + n % 26, p.size);
                if (terminated) to[p.size / 2] = '\0';  // and what is behind it is not wanted
            }
        }
        return data_;
    }
    // True when a canonical struct says the same.
    bool is_in(const char* canonical, bool terminated) const {
        int n = 0;
        bool same = true;
        for (const StructField& f : struct_table(type_).fields) {
            const Place p = place_of(f, layout_of(version_, type_));
            const char* at = canonical + f.offset;
            ++n;
            std::int32_t i = p.size == 0 ? 0 : 1000 + n, int_there;
            double d = p.size == 0 ? 0 : n + 0.5, double_there;
            std::memcpy(&int_there, at, 4);
            if (f.type == FieldType::kInt) same = same && int_there == i;
            if (f.type == FieldType::kDouble) std::memcpy(&double_there, at, 8), same = same && double_there == d;
            if (f.type == FieldType::kChar) same = same && *at == (p.size == 0 ? '\0' : static_cast<char>('a' + n % 26));
            if (f.type == FieldType::kText) {
                const std::string text(p.size == 0 ? 0 : terminated ? p.size / 2u : p.size, static_cast<char>('A' + n % 26));
                std::string expected = text;
                expected.resize(f.size);
                same = same && std::memcmp(at, expected.data(), f.size) == 0;
            }
            if (!same) {
                check::failed(__FILE__, __LINE__, std::string(struct_table(type_).name) + "." + f.name + " of " + version_.version);
                return false;
            }
        }
        return true;
    }

private:
    const TdVersion& version_;
    Struct type_;
    char* base_;
    char* data_;
};

// A canonical struct in which every text is short enough for every version.
std::vector<char> canonical_of(Struct type) {
    std::vector<char> out(struct_table(type).size);
    int n = 0;
    for (const StructField& f : struct_table(type).fields) {
        ++n;
        const std::int32_t i = 1000 + n;
        const double d = n + 0.5;
        if (f.type == FieldType::kInt) std::memcpy(out.data() + f.offset, &i, 4);
        if (f.type == FieldType::kDouble) std::memcpy(out.data() + f.offset, &d, 8);
        if (f.type == FieldType::kChar || f.type == FieldType::kText) out[f.offset] = static_cast<char>('a' + n % 26);
    }
    return out;
}

bool reaches_the_vendor(const TdVersion& version, Struct type, const std::vector<char>& canonical, const std::vector<char>& sent) {
    bool same = true;
    for (const StructField& f : struct_table(type).fields) {
        const Place p = place_of(f, layout_of(version, type));
        if (p.size == 0) continue;
        const std::size_t n = f.type == FieldType::kText ? strnlen(canonical.data() + f.offset, f.size) : p.size;
        if (std::memcmp(canonical.data() + f.offset, sent.data() + p.offset, n) != 0) {
            check::failed(__FILE__, __LINE__, std::string(struct_table(type).name) + "." + f.name + " of " + version.version);
            same = false;
        }
    }
    return same;
}

struct Answer {
    spi::Slot slot;
    int kind;
    Struct type;
    enum Form { kRsp, kRtn, kErrRtn } form;
};
constexpr Answer kAnswers[] = {
    {spi::kOnRspAuthenticate, TK_TR_RSP_AUTHENTICATE, kRspAuthenticate, Answer::kRsp},
    {spi::kOnRspUserLogin, TK_TR_RSP_USER_LOGIN, kRspUserLogin, Answer::kRsp},
    {spi::kOnRspUserLogout, TK_TR_RSP_USER_LOGOUT, kUserLogout, Answer::kRsp},
    {spi::kOnRspSettlementInfoConfirm, TK_TR_RSP_SETTLEMENT_CONFIRM, kSettlementInfoConfirm, Answer::kRsp},
    {spi::kOnRspOrderInsert, TK_TR_RSP_ORDER_INSERT, kInputOrder, Answer::kRsp},
    {spi::kOnErrRtnOrderInsert, TK_TR_ERR_RTN_ORDER_INSERT, kInputOrder, Answer::kErrRtn},
    {spi::kOnRtnOrder, TK_TR_RTN_ORDER, kOrder, Answer::kRtn},
    {spi::kOnRtnTrade, TK_TR_RTN_TRADE, kTrade, Answer::kRtn},
    {spi::kOnRspOrderAction, TK_TR_RSP_ORDER_ACTION, kInputOrderAction, Answer::kRsp},
    {spi::kOnErrRtnOrderAction, TK_TR_ERR_RTN_ORDER_ACTION, kOrderAction, Answer::kErrRtn},
    {spi::kOnRtnInstrumentStatus, TK_TR_RTN_INSTRUMENT_STATUS, kInstrumentStatus, Answer::kRtn},
    {spi::kOnRspQryOrder, TK_TR_QRY_ORDER, kOrder, Answer::kRsp},
    {spi::kOnRspQryTrade, TK_TR_QRY_TRADE, kTrade, Answer::kRsp},
    {spi::kOnRspQryInvestorPosition, TK_TR_QRY_POSITION, kInvestorPosition, Answer::kRsp},
    {spi::kOnRspQryTradingAccount, TK_TR_QRY_ACCOUNT, kTradingAccount, Answer::kRsp},
    {spi::kOnRspQryInstrument, TK_TR_QRY_OTHER, kInstrument, Answer::kRsp},
    {spi::kOnRspQryDepthMarketData, TK_TR_QRY_OTHER, kDepthMarketData, Answer::kRsp},
};

void give(Trader& t, const Answer& a, const char* data, const char* info) {
    if (a.form == Answer::kRsp) t.callback(a.slot, data, info, 77, true);
    if (a.form == Answer::kRtn) t.callback(a.slot, data);
    if (a.form == Answer::kErrRtn) t.callback(a.slot, data, info);
}

tk::TradeRecord next(Trader& t) {
    tk::TradeRecord r{};
    REQUIRE(t.api->next(0, &r));
    return r;
}

std::vector<char> order(const char* instrument = "rb2601") {
    std::vector<char> out(struct_table(kInputOrder).size);
    for (const StructField& f : struct_table(kInputOrder).fields)
        if (std::strcmp(f.name, "InstrumentID") == 0) std::strcpy(out.data() + f.offset, instrument);
    return out;
}

// 'S': it sleeps.
char state_of(pid_t thread) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
    std::string text;
    std::getline(file, text);
    const std::size_t end = text.rfind(") ");
    return end == std::string::npos ? '?' : text[end + 2];
}

}  // namespace

TEST(td_every_callback_of_every_version_becomes_a_record) {
    for (const TdVersion& version : kVersions) {
        Trader t(version);
        Guarded info(version, kRspInfo);
        for (const Answer& a : kAnswers) {
            for (const bool terminated : {true, false}) {
                Guarded data(version, a.type);
                give(t, a, data.fill(terminated), a.form == Answer::kRtn ? nullptr : info.fill(terminated));
                const tk::TradeRecord r = next(t);
                CHECK_EQ(static_cast<int>(r.Kind), a.kind);
                CHECK_EQ(static_cast<int>(r.Struct), static_cast<int>(a.type));
                CHECK(data.is_in(r.Payload, terminated));
                CHECK_EQ(r.RequestID, a.form == Answer::kRsp ? 77 : 0);
                CHECK_EQ(static_cast<int>(r.IsLast), 1);
                CHECK_EQ(r.ErrorID, a.form == Answer::kRtn ? 0 : 1001);
                CHECK_EQ(static_cast<int>(r.HasInfo), a.form == Answer::kRtn ? 0 : 1);
                CHECK_EQ(strnlen(r.ErrorMsg, sizeof r.ErrorMsg), a.form == Answer::kRtn ? 0u : terminated ? 40u : 81u);
                CHECK_EQ(r.Stamp != 0, a.kind != TK_TR_QRY_OTHER);
            }
            give(t, a, nullptr, nullptr);
            const tk::TradeRecord empty = next(t);
            CHECK_EQ(static_cast<int>(empty.Kind), a.kind);
            CHECK_EQ(static_cast<int>(empty.HasData + empty.HasInfo), 0);
            CHECK_EQ(static_cast<int>(empty.Size), 0);
        }
        t.callback(spi::kOnFrontConnected);
        CHECK_EQ(static_cast<int>(next(t).Kind), TK_TR_FRONT_CONNECTED);
        t.callback(spi::kOnFrontDisconnected, 4097);
        CHECK_EQ(next(t).Reason, 4097);
        t.callback(spi::kOnHeartBeatWarning, 61);
        CHECK_EQ(next(t).Reason, 61);
        t.callback(spi::kOnRspError, info.fill(true), 5, false);
        const tk::TradeRecord error = next(t);
        CHECK_EQ(static_cast<int>(error.Kind), TK_TR_RSP_ERROR);
        CHECK_EQ(error.ErrorID, 1001);
        CHECK_EQ(static_cast<int>(error.IsLast), 0);
        if (spi::kGenerations[version.spi].slot[spi::kOnRtnPrivateSeqNo] >= 0) {
            t.callback(spi::kOnRtnPrivateSeqNo, 33);
            CHECK_EQ(next(t).Value, 33);
        }
        // The queue and the journal have heard the same.
        std::uint64_t journaled = 0;
        for (const tk::TradeRecord& r : t.journal.read()) journaled += r.Kind != TK_TR_EPOCH_STARTED;
        CHECK(journaled > 15 * 3);
    }
}

TEST(td_returns_that_are_left_out_are_in_the_journal_and_wake_once_in_a_while) {
    const TdVersion& version = version_called("6.3.6");
    Trader t(version, 4096, false);
    CHECK_EQ(t.api->leave_out_returns(), TK_E_STATE);  // too late now
    tk::TradeRecord r{};
    std::uint64_t journaled = 1;  // epoch_started
    for (const Answer& a : kAnswers) {
        Guarded data(version, a.type);
        give(t, a, data.fill(true), nullptr);
        journaled += a.kind != TK_TR_QRY_OTHER;
        const bool is_return = a.kind >= TK_TR_RSP_ORDER_INSERT && a.kind <= TK_TR_RTN_PRIVATE_SEQ_NO;
        CHECK_EQ(t.api->next(0, &r), !is_return);
        if (!is_return) CHECK_EQ(static_cast<int>(r.Kind), a.kind);
    }
    CHECK_EQ(t.journal.read().size(), journaled);
    // Who waits in next() is woken by them now and then, long before the journal has no room that is ready.
    std::thread waiting([&] {
        tk::TradeRecord none{};
        CHECK(!t.api->next(3600000000000, &none));
    });
    Guarded data(version, kOrder);
    const char* const filled = data.fill(true);
    constexpr std::uint64_t given = 64;  // one of so many
    for (std::uint64_t n = 0; n < given; ++n) t.callback(spi::kOnRtnOrder, filled);
    waiting.join();
    CHECK_EQ(t.journal.read().size(), journaled + given);
}

TEST(td_all_other_slots_do_nothing_whatever_they_are_given) {
    for (const TdVersion& version : kVersions) {
        Trader t(version);
        std::vector<bool> ours(kMaxSpiSlots);
        for (const std::int16_t s : spi::kGenerations[version.spi].slot)
            if (s >= 0) ours[static_cast<std::size_t>(s)] = true;
        for (std::uint32_t s = 0; s < kMaxSpiSlots; ++s)
            if (!ours[s]) reinterpret_cast<void (*)(void*, long, long, int, bool)>(t.vendor.spi[s])(t.vendor.spi_object, -1, -1, -1, true);
        tk::TradeRecord r;
        CHECK(!t.api->next(0, &r));
        CHECK_EQ(t.journal.read().size(), 1u);
    }
}

TEST(td_every_request_of_every_version_reaches_its_slot_in_its_layout) {
    struct Request {
        const char* name;
        api::Slot slot;
        Struct type;
    };
    constexpr Request requests[] = {
        {"ReqUserLogout", api::kReqUserLogout, kUserLogout},
        {"ReqSettlementInfoConfirm", api::kReqSettlementInfoConfirm, kSettlementInfoConfirm},
        {"ReqQryOrder", api::kReqQryOrder, kQryOrder},
        {"ReqQryTrade", api::kReqQryTrade, kQryTrade},
        {"ReqQryInvestorPosition", api::kReqQryInvestorPosition, kQryInvestorPosition},
        {"ReqQryTradingAccount", api::kReqQryTradingAccount, kQryTradingAccount},
        {"ReqQryInstrument", api::kReqQryInstrument, kQryInstrument},
        {"ReqQryDepthMarketData", api::kReqQryDepthMarketData, kQryDepthMarketData},
    };
    for (const TdVersion& version : kVersions) {
        Trader t(version);
        t.vendor.answer = -3;
        for (const Request& q : requests) {
            t.vendor.data_size = vendor_size(version, q.type);
            const std::vector<char> canonical = canonical_of(q.type);
            std::int32_t rc = 0;
            CHECK_EQ(t.api->request(q.name, canonical.data(), static_cast<std::uint32_t>(canonical.size()), 9, &rc), TK_OK);
            CHECK_EQ(rc, -3);
            const Call& c = t.vendor.calls.back();
            CHECK_EQ(c.slot, t.slot(q.slot));
            CHECK_EQ(static_cast<int>(c.second), 9);
            CHECK(reaches_the_vendor(version, q.type, canonical, c.data));
            CHECK_EQ(t.api->request(q.name, canonical.data(), 7, 9, &rc), TK_E_ARG);
        }
        std::int32_t rc = 0;
        CHECK_EQ(t.api->request("ReqOrderInsert", "", 0, 1, &rc), TK_E_ARG);
        t.vendor.data_size = vendor_size(version, kReqUserLogin);
        CHECK_EQ(t.api->login("broker", "user", "secret", "product", 3, &rc), TK_OK);
        CHECK_EQ(t.vendor.calls.back().slot, t.slot(api::kReqUserLogin));
        CHECK_EQ(std::string(t.vendor.calls.back().data.data() + 36), "secret");
        t.vendor.data_size = vendor_size(version, kReqAuthenticate);
        CHECK_EQ(t.api->authenticate("broker", "user", "product", "code", "app", 4, &rc), TK_OK);
        CHECK_EQ(t.vendor.calls.back().slot, t.slot(api::kReqAuthenticate));
        CHECK_EQ(t.journal.read().size(), 1u);  // none of this is written down
        t.vendor.data_size = 0;
        CHECK_EQ(t.api->register_front("tcp://127.0.0.1:1"), TK_OK);
        CHECK_EQ(t.vendor.calls.back().slot, t.slot(api::kRegisterFront));
        CHECK_EQ(t.api->register_front("127.0.0.1:1"), TK_E_ARG);
        char day[16];
        CHECK_EQ(t.api->trading_day(day, sizeof day), TK_OK);
        CHECK_EQ(std::string(day), "20260105");
        CHECK_EQ(t.api->subscribe_topics(1, 1), TK_E_STATE);
        t.vendor.calls.clear();
        t.api->release();
        REQUIRE(t.vendor.calls.size() == 2);
        CHECK_EQ(t.vendor.calls[0].slot, t.slot(api::kRegisterSpi));
        CHECK_EQ(t.vendor.calls[0].first, 0);
        CHECK_EQ(t.vendor.calls[1].slot, t.slot(api::kRelease));
        t.api->release();
        CHECK_EQ(t.vendor.calls.size(), 2u);
        CHECK_EQ(t.api->trading_day(day, sizeof day), TK_E_STATE);
    }
}

TEST(td_flows_are_chosen_before_init) {
    for (const TdVersion& version : kVersions) {
        FakeVendor vendor(version);
        Journal journal;
        TdLibrary library;
        library.tables = &version;
        library.factory = reinterpret_cast<void*>(&FakeVendor::make);
        TdApi api(library, journal.writer.get());
        ok(api.create((journal.directory.path() + "/").c_str(), true), "create");
        vendor.calls.clear();
        CHECK_EQ(api.subscribe_topics(2, 0), TK_OK);
        REQUIRE(vendor.calls.size() == 2);
        CHECK_EQ(vendor.calls[0].slot, api_slot(version, api::kSubscribePrivateTopic));
        CHECK_EQ(static_cast<int>(vendor.calls[0].first), 2);
        CHECK_EQ(static_cast<int>(vendor.calls[0].second), 1);
        CHECK_EQ(vendor.calls[1].slot, api_slot(version, api::kSubscribePublicTopic));
        CHECK_EQ(api.subscribe_topics(3, 0), TK_E_ARG);
    }
}

TEST(td_order_is_in_the_journal_before_it_leaves_in_every_version) {
    for (const TdVersion& version : kVersions) {
        Trader t(version);
        t.ready(100);
        t.vendor.data_size = vendor_size(version, kInputOrder);
        std::vector<char> canonical = canonical_of(kInputOrder);
        std::vector<int> during;
        t.vendor.during = [&](int) { during = t.journal.kinds(); };
        std::int64_t ref = 0;
        std::int32_t rc = 1;
        CHECK_EQ(t.api->insert(canonical.data(), 5, &ref, &rc), TK_OK);
        CHECK_EQ(ref, 100);
        CHECK_EQ(rc, 0);
        const Call& c = t.vendor.calls.back();
        CHECK_EQ(c.slot, t.slot(api::kReqOrderInsert));
        CHECK_EQ(during.back(), TK_TR_SENDING_ORDER);
        const auto records = t.journal.read();
        const tk::TradeRecord& sending = records[records.size() - 2];
        const tk::TradeRecord& sent = records.back();
        CHECK_EQ(static_cast<int>(sent.Kind), TK_TR_SENT_ORDER);
        CHECK(reaches_the_vendor(version, kInputOrder, {sending.Payload, sending.Payload + sending.Size}, c.data));
        CHECK(sending.ClientID == 5 && sent.ClientID == 5 && sending.RequestID == sent.RequestID);
        CHECK_EQ(static_cast<std::int32_t>(c.second), sending.RequestID);
        CHECK_EQ(sending.Value, (std::int64_t{1} << 32) | 0xFFFFFFFB);
        for (const StructField& f : struct_table(kInputOrder).fields) {
            if (std::strcmp(f.name, "OrderRef") == 0) CHECK_EQ(std::string(sending.Payload + f.offset), "         100");
            if (std::strcmp(f.name, "RequestID") == 0) CHECK(std::memcmp(sending.Payload + f.offset, &sending.RequestID, 4) == 0);
        }
        t.vendor.data_size = vendor_size(version, kInputOrderAction);
        canonical = canonical_of(kInputOrderAction);
        CHECK_EQ(t.api->action(canonical.data(), 6, &rc), TK_OK);
        CHECK_EQ(t.vendor.calls.back().slot, t.slot(api::kReqOrderAction));
        CHECK_EQ(during.back(), TK_TR_SENDING_ACTION);
        const auto after = t.journal.read();
        const tk::TradeRecord& acting = after[after.size() - 2];
        CHECK(reaches_the_vendor(version, kInputOrderAction, {acting.Payload, acting.Payload + acting.Size}, t.vendor.calls.back().data));
    }
}

TEST(td_code_that_is_not_0_is_kept) {
    Trader t(version_called("6.7.13"));
    t.ready();
    t.vendor.answer = -1;
    std::int32_t rc = 0;
    CHECK_EQ(t.api->insert(order().data(), 1, nullptr, &rc), TK_OK);
    CHECK_EQ(rc, -1);
    CHECK_EQ(t.journal.read().back().Reason, -1);
}

TEST(td_references_grow_and_never_go_back) {
    Trader t(version_called("6.3.6"));
    t.ready(7);
    std::int64_t ref = 0;
    std::int32_t rc;
    for (int n = 7; n < 10; ++n) {
        t.api->insert(order().data(), 1, &ref, &rc);
        CHECK_EQ(ref, n);
    }
    ok(t.api->gate(1, -5, 3, true), "gate");
    t.api->insert(order().data(), 1, &ref, &rc);
    CHECK_EQ(ref, 10);
    ok(t.api->gate(1, -5, 1000, true), "gate");
    t.api->insert(order().data(), 1, &ref, &rc);
    CHECK_EQ(ref, 1000);
    CHECK_EQ(t.api->insert(order(std::string(60, 'x').c_str()).data(), 2, &ref, &rc), TK_E_ARG);  // takes none
    t.api->insert(order().data(), 3, &ref, &rc);
    CHECK_EQ(ref, 1001);
    ok(t.api->gate(1, -5, 1000000000000, true), "gate");
    CHECK_EQ(t.api->insert(order().data(), 4, &ref, &rc), TK_E_STATE);
    CHECK_EQ(static_cast<int>(t.journal.read().back().Kind), TK_TR_ORDER_NOT_SENT);
}

TEST(td_gate_closes_in_the_callback_also_inside_a_request) {
    Trader t(version_called("6.7.2"));
    std::int32_t rc;
    CHECK_EQ(t.api->insert(order().data(), 1, nullptr, &rc), TK_E_STATE);
    CHECK_EQ(t.api->gate(1, -5, 1, true), TK_E_STATE);  // nobody has logged in
    t.ready();
    CHECK_EQ(t.api->gate(1, -6, 1, true), TK_E_STATE);
    t.vendor.during = [&](int) { t.callback(spi::kOnFrontDisconnected, 4097); };
    CHECK_EQ(t.api->insert(order().data(), 2, nullptr, &rc), TK_OK);
    t.vendor.during = nullptr;
    CHECK(!t.api->gate_open());
    const std::size_t calls = t.vendor.calls.size();
    CHECK_EQ(t.api->insert(order().data(), 3, nullptr, &rc), TK_E_STATE);
    CHECK_EQ(t.api->gate(1, -5, 1, true), TK_E_STATE);  // that session is over
    CHECK_EQ(t.vendor.calls.size(), calls);
    t.log_in(1, -6);
    CHECK(!t.api->gate_open());
    CHECK_EQ(t.api->gate(1, -6, 1, true), TK_OK);
    CHECK_EQ(t.api->insert(order().data(), 4, nullptr, &rc), TK_OK);
    std::vector<std::pair<int, std::uint64_t>> fates;
    for (const tk::TradeRecord& r : t.journal.read())
        if (r.ClientID != 0) fates.emplace_back(r.Kind, r.ClientID);
    const std::vector<std::pair<int, std::uint64_t>> expected{
        {TK_TR_ORDER_NOT_SENT, 1}, {TK_TR_SENDING_ORDER, 2}, {TK_TR_SENT_ORDER, 2},
        {TK_TR_ORDER_NOT_SENT, 3}, {TK_TR_SENDING_ORDER, 4}, {TK_TR_SENT_ORDER, 4}};
    CHECK(fates == expected);
}

// Else it would be an order of the new session, and its returns those of an order that nobody knows.
TEST(td_login_waits_for_an_order_that_had_passed_the_gate) {
    Trader t(version_called("6.7.2"));
    t.ready();
    const int order_slot = t.slot(tk::td::api::kReqOrderInsert), login_slot = t.slot(tk::td::api::kReqUserLogin);
    std::atomic<bool> inside{false}, go{false}, logged_in{false};
    t.vendor.during = [&](int slot) {
        if (slot == login_slot) logged_in.store(true);
        if (slot != order_slot) return;
        inside.store(true);
        CHECK(eventually([&] { return go.load(); }));
    };
    std::thread sender([&] {
        std::int32_t rc;
        CHECK_EQ(t.api->insert(order().data(), 1, nullptr, &rc), TK_OK);
    });
    CHECK(eventually([&] { return inside.load(); }));
    t.callback(spi::kOnFrontDisconnected, 4097);
    t.callback(spi::kOnFrontConnected);
    std::atomic<pid_t> thread{0};
    std::thread session([&] {
        thread.store(gettid());
        std::int32_t rc;
        CHECK_EQ(t.api->login("9999", "me", "secret", "", 1, &rc), TK_OK);
    });
    CHECK(eventually([&] { return logged_in.load() || (thread.load() != 0 && state_of(thread.load()) == 'S'); }));
    CHECK(!logged_in.load());
    go.store(true);
    sender.join();
    session.join();
    CHECK(logged_in.load());
}

TEST(td_login_as_another_session_closes_the_gate) {
    Trader t(version_called("6.7.2"));
    t.ready();
    t.log_in(1, -5);
    CHECK(t.api->gate_open());  // the same again
    t.log_in(1, -6);
    CHECK(!t.api->gate_open());
    CHECK_EQ(t.api->gate(1, -6, 1, true), TK_OK);
}

TEST(td_full_journal_refuses_orders_and_still_takes_returns) {
    Trader t(version_called("6.7.13"), 64);
    t.ready();
    std::int32_t rc, code;
    while ((code = t.api->insert(order().data(), 1, nullptr, &rc)) == TK_OK) {
    }
    CHECK_EQ(code, TK_E_FULL);
    const tk::TradeRecord last = t.journal.read().back();
    CHECK_EQ(static_cast<int>(last.Kind), TK_TR_ORDER_NOT_SENT);
    CHECK_EQ(last.Reason, TK_E_FULL);
    CHECK(std::strstr(last.ErrorMsg, "journal") != nullptr);
    t.callback(spi::kOnRtnOrder, static_cast<const char*>(nullptr));
    CHECK_EQ(static_cast<int>(t.journal.read().back().Kind), TK_TR_RTN_ORDER);
}

TEST(td_return_waits_for_room_on_the_disk_and_orders_leave_again_behind_it) {
    Trader t(version_called("6.7.13"));
    t.ready();
    tk::TradeReader outside;
    ok(outside.attach(t.journal.path.c_str()), "attach");
    struct stat file{};
    REQUIRE(stat(t.journal.path.c_str(), &file) == 0);
    const auto before_signal = signal(SIGXFSZ, SIG_IGN);
    struct rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const struct rlimit full{static_cast<rlim_t>(file.st_size), before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &full) == 0);
    const std::uint64_t room = outside.header().Room.load();
    while (outside.head() < room) t.callback(spi::kOnRtnOrder, static_cast<const char*>(nullptr));
    std::atomic<pid_t> thread{0};
    std::thread library([&] {
        thread.store(gettid());
        t.callback(spi::kOnRtnOrder, static_cast<const char*>(nullptr));
    });
    CHECK(eventually([&] { return thread.load() != 0 && state_of(thread.load()) == 'S'; }));  // it has found no room
    std::int32_t rc;
    CHECK_EQ(t.api->insert(order().data(), 1, nullptr, &rc), TK_E_FULL);
    CHECK_EQ(outside.head(), room);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, before_signal);
    library.join();
    CHECK_EQ(static_cast<int>(t.journal.read().back().Kind), TK_TR_RTN_ORDER);
    CHECK_EQ(t.api->insert(order().data(), 2, nullptr, &rc), TK_OK);
    CHECK_EQ(t.journal.read().back().ClientID, 2u);
}

// An order that has left is in the journal, whatever instruction the process is killed at.
TEST(td_order_that_left_a_process_stopped_at_any_instruction_is_known) {
    Trader t(version_called("6.7.13"));
    t.ready();
    auto* left = static_cast<std::atomic<std::uint32_t>*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    REQUIRE(left != MAP_FAILED);
    t.vendor.during = [&](int) { left->fetch_add(1); };
    tk::TradeReader outside;
    ok(outside.attach(t.journal.path.c_str()), "attach");
    const auto* header = reinterpret_cast<const char*>(&outside.header());
    Stepper child([] {}, [&] {
        std::int32_t rc;
        t.api->insert(order().data(), 4711, nullptr, &rc);
    });
    bool left_before_sent = false;
    for (bool more = true; more;) {
        more = child.step_to_change({{reinterpret_cast<const char*>(left), 8}, {header, sizeof(tk::TradeHeader)}});
        const std::string twin = t.journal.twin();
        tk::TradeWriter next;
        ok(next.open(twin.c_str(), 4096), "open");
        next.close();
        std::vector<int> kinds;
        for (const tk::TradeRecord& r : Journal::read_journal(twin))
            if (r.ClientID == 4711) kinds.push_back(r.Kind);
        if (left->load() != 0) CHECK(!kinds.empty() && kinds[0] == TK_TR_SENDING_ORDER);
        if (kinds.size() > 1) CHECK(left->load() != 0 && kinds[1] == TK_TR_SENT_ORDER);
        left_before_sent = left_before_sent || (left->load() != 0 && kinds.size() == 1);
    }
    CHECK(left_before_sent);
    CHECK_EQ(left->load(), 1u);
    CHECK(ended_well(child.status()));
    munmap(left, 4096);
}

TEST(td_sender_refuses_what_a_dead_one_left_but_not_what_it_had_done) {
    Trader t(version_called("6.7.13"));
    t.ready();
    const std::string path = t.journal.directory.file("ring");
    tk::Ring putter, taker;
    ok(putter.create(path.c_str(), 16), "create");
    ok(taker.attach(path.c_str()), "attach");
    std::int32_t rc;
    const std::vector<char> canonical = order();
    const auto size = static_cast<std::uint32_t>(canonical.size());
    t.api->insert(canonical.data(), 1, nullptr, &rc);  // done, but its mark in the ring is missing
    for (const std::uint64_t id : {1, 2}) putter.put(TK_RING_INSERT, id, canonical.data(), size);
    putter.put(TK_RING_ACTION, 3, canonical.data(), 0);
    const std::size_t calls = t.vendor.calls.size();
    ok(t.api->start_sender(&taker, TK_WAIT_ADAPTIVE), "start_sender");
    CHECK_EQ(t.api->start_sender(&taker, TK_WAIT_ADAPTIVE), TK_E_STATE);
    putter.put(TK_RING_INSERT, 4, canonical.data(), size);
    putter.put(TK_RING_INSERT, 5, canonical.data(), 3);
    putter.put(9, 6, canonical.data(), size);
    CHECK(eventually([&] { return putter.waiting() == 0; }));
    t.api->stop_sender();
    CHECK_EQ(t.vendor.calls.size(), calls + 1);
    std::vector<std::pair<int, std::uint64_t>> fates;
    for (const tk::TradeRecord& r : t.journal.read())
        if (r.ClientID != 0) fates.emplace_back(r.Kind, r.ClientID);
    const std::vector<std::pair<int, std::uint64_t>> expected{
        {TK_TR_SENDING_ORDER, 1}, {TK_TR_SENT_ORDER, 1}, {TK_TR_ORDER_NOT_SENT, 2}, {TK_TR_ACTION_NOT_SENT, 3},
        {TK_TR_SENDING_ORDER, 4}, {TK_TR_SENT_ORDER, 4}, {TK_TR_ORDER_NOT_SENT, 5}, {TK_TR_ORDER_NOT_SENT, 6}};
    CHECK(fates == expected);
}

// Two of the vendor's threads, a ring, and an order of this process, at once.
TEST(td_threads_write_whole_records_in_one_order) {
    Trader t(version_called("6.7.13"), 16384);
    t.ready();
    const std::string path = t.journal.directory.file("ring");
    tk::Ring putter, taker;
    ok(putter.create(path.c_str(), 64), "create");
    ok(taker.attach(path.c_str()), "attach");
    ok(t.api->start_sender(&taker, TK_WAIT_BLOCK), "start_sender");
    constexpr int each = 500;
    const std::vector<char> canonical = order();
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 2; ++thread)
        threads.emplace_back([&] {
            Guarded data(t.version, kOrder);
            const char* order = data.fill(true);
            for (int n = 0; n < each; ++n) t.callback(spi::kOnRtnOrder, order);
        });
    threads.emplace_back([&] {
        for (std::uint64_t n = 1; n <= each;)
            if (putter.put(TK_RING_INSERT, n, canonical.data(), static_cast<std::uint32_t>(canonical.size())) == TK_OK) ++n;
    });
    threads.emplace_back([&] {
        std::int32_t rc;
        for (std::uint64_t n = 1; n <= each; ++n) t.api->insert(canonical.data(), 10000 + n, nullptr, &rc);
    });
    for (std::thread& thread : threads) thread.join();
    CHECK(eventually([&] { return putter.waiting() == 0; }));
    t.api->stop_sender();
    int returns = 0;
    std::string last_ref;
    std::uint64_t sending = 0;
    for (const tk::TradeRecord& r : t.journal.read()) {
        returns += r.Kind == TK_TR_RTN_ORDER;
        if (r.Kind == TK_TR_SENDING_ORDER) {
            for (const StructField& f : struct_table(kInputOrder).fields)
                if (std::strcmp(f.name, "OrderRef") == 0) {
                    CHECK(last_ref < r.Payload + f.offset);
                    last_ref = r.Payload + f.offset;
                }
            CHECK_EQ(sending, 0u);  // the last one has been marked as sent
            sending = r.ClientID;
        }
        if (r.Kind == TK_TR_SENT_ORDER) {
            CHECK_EQ(r.ClientID, sending);
            sending = 0;
        }
    }
    CHECK_EQ(returns, 2 * each);
    CHECK_EQ(t.vendor.calls.size(), 2u * each);
}
