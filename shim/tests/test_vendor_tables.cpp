// The vendor's versions: how a version text is read, which tables it selects, what is refused, and the
// tables themselves. The expected numbers are written out here and come from no constant of the shim.
#include "fixture.hpp"
#include "tickshim.h"

using namespace fixture;

namespace {

struct Numbers {
    int major, minor, patch, p;
};

bool reads_as(const char* text, const Numbers& n, bool evaluation = false, bool national_crypto = false) {
    const tk::ParsedVersion v = tk::parse_version(text);
    const bool same = v.version.valid && v.version.major == n.major && v.version.minor == n.minor &&
                      v.version.patch == n.patch && v.version.p == n.p && v.evaluation == evaluation &&
                      v.national_crypto == national_crypto;
    if (!same) check::failed(__FILE__, __LINE__, std::string("reads wrongly: ") + text);
    return same;
}

int compared(const char* a, const char* b) {
    return tk::compare(tk::parse_version(a).version, tk::parse_version(b).version);
}

// Bools behind the factory's path: three from 6.7.11 on.
std::uint32_t factory_of(const char* text) { return compared(text, "6.7.11") >= 0 ? 3 : 2; }

std::int32_t recognise(const char* text, std::uint32_t slots, tk::Recognised* out, bool overridden = false) {
    return tk::recognise({text, overridden, slots, factory_of(text)}, out);
}

// Refused, with all these words in the reason.
void refused(const char* text, std::uint32_t slots, const std::vector<std::string>& words, bool overridden = false,
             std::uint32_t factory_flags = 0) {
    tk::Recognised out;
    const std::int32_t rc = tk::recognise({text, overridden, slots, factory_flags != 0 ? factory_flags : factory_of(text)}, &out);
    const std::string reason = rc == TK_OK ? "accepted" : tk_last_error();
    const std::string call = std::string(text).substr(0, 60) + " with " + std::to_string(slots) + " slots: ";
    if (rc != TK_E_VENDOR) check::failed(__FILE__, __LINE__, call + "status " + std::to_string(rc));
    if (out.generation != nullptr || out.layouts != nullptr) check::failed(__FILE__, __LINE__, call + "tables all the same");
    for (const std::string& word : words)
        if (reason.find(word) == std::string::npos)
            check::failed(__FILE__, __LINE__, call + "'" + word + "' is not in: " + reason);
}

struct Known {
    const char* text;  // as GetApiVersion() gives it
    const char* generation;
    std::uint32_t api_slots, depth, depth_size, login_request, login_answer, instrument, for_quote, multicast;
};

constexpr Known kKnown[] = {
    {"6.3.5", "G1", 14, 1, 408, 188, 156, 31, 88, 0},
    {"v6.3.6_20151215 14:30:06", "G1", 14, 1, 408, 224, 156, 31, 88, 0},
    {"v6.3.6_20160606 10:26:14", "G1", 14, 1, 408, 224, 156, 31, 88, 0},
    {"v6.3.11_20180109 14:59:34", "G1", 14, 1, 408, 224, 156, 31, 88, 0},
    {"6.3.13_20181119", "G1", 14, 1, 408, 228, 156, 31, 88, 0},
    {"6.3.15_20190220 15:47:00", "G1", 14, 1, 408, 228, 156, 31, 88, 0},
    {"v6.3.15_P2_20190328 14:06:16", "G2", 15, 1, 408, 228, 156, 31, 88, 64},
    {"v6.3.19_P1_20200106 15:21:32", "G2", 15, 1, 408, 228, 156, 31, 88, 64},
    {"v6.3.19_T1_20191231 10:00:00", "G2", 15, 1, 408, 228, 156, 31, 88, 64},
    {"v6.5.1_20200908 10:25:08", "G2", 15, 2, 568, 264, 156, 112, 169, 152},
    {"v6.6.1_P1_20210406  9:27:14", "G2", 15, 3, 584, 264, 156, 112, 169, 152},
    {"v6.6.7_20220613 14:52:04.1708", "G2", 15, 3, 584, 264, 196, 112, 169, 152},
    {"v6.6.9_20220914  9:57:19.2466         ", "G2", 15, 3, 584, 264, 204, 112, 169, 152},
    {"V6_6_9", "G2", 15, 3, 584, 264, 204, 112, 169, 152},
    {"v6.7.0_20230209  9:52:16.3535", "G2", 15, 3, 584, 264, 204, 112, 169, 152},
    {"v6.7.1_20230613 14:40:06.4516", "G2", 15, 3, 584, 264, 204, 112, 169, 152},
    {"v6.7.2_20230913 10:48:10.4926", "G2", 15, 3, 584, 264, 204, 112, 169, 152},
    {"V6_7_2", "G2", 15, 3, 584, 264, 204, 112, 169, 152},
    {"v6.7.7_20240607 15:51:36.7347", "G2", 15, 3, 584, 264, 204, 112, 169, 152},
    {"v6.7.7_CP_20240524 10:45:39.7347", "G2", 15, 3, 584, 264, 204, 112, 169, 152},
    {"v6.7.8_20240918 14:34:34.8082", "G2", 15, 3, 584, 264, 212, 112, 169, 152},
    {"v6.7.9_20241224 10:22:26.8774", "G2", 15, 3, 584, 264, 212, 112, 169, 152},
    {"v6.7.9_P1_20250319", "G2", 15, 3, 584, 264, 212, 112, 169, 152},
    {"v6.7.10_20250422 16:38:54.9994", "G2", 15, 3, 584, 264, 212, 112, 169, 152},
    {"v6.7.10_CP_20250415", "G2", 15, 3, 584, 264, 212, 112, 169, 152},
    {"v6.7.11_20250617 16:22:00.10369", "G2", 15, 3, 584, 264, 296, 112, 169, 152},
    {"v6.7.13_20260225 14:16:30.12079", "G2", 15, 3, 584, 280, 296, 112, 169, 152},
};

std::vector<const tk::VersionLayouts*> all_layouts() {
    std::vector<const tk::VersionLayouts*> all;
    for (const Known& k : kKnown) {
        tk::Recognised r;
        REQUIRE(recognise(k.text, k.api_slots, &r) == TK_OK);
        if (all.empty() || all.back() != r.layouts) all.push_back(r.layouts);
    }
    return all;
}

struct Place {
    std::uint32_t offset, size;
};

Place place(const tk::Field& f) { return {f.offset, f.size}; }

bool is(const tk::Field& f, std::uint32_t offset, std::uint32_t size) { return f.offset == offset && f.size == size; }

// Inside the struct, and no two share a byte. Fields of size 0 are not there.
void fit(const char* what, std::uint32_t struct_size, const std::vector<Place>& places) {
    std::vector<int> owner(struct_size, -1);
    for (std::size_t i = 0; i < places.size(); ++i) {
        const Place& f = places[i];
        if (f.size == 0) continue;
        if (f.offset + f.size > struct_size) {
            check::failed(__FILE__, __LINE__, std::string(what) + ": field " + std::to_string(i) + " ends beyond its struct");
            continue;
        }
        for (std::uint32_t b = f.offset; b < f.offset + f.size; ++b) {
            if (owner[b] >= 0)
                check::failed(__FILE__, __LINE__, std::string(what) + ": fields " + std::to_string(owner[b]) + " and " +
                                                      std::to_string(i) + " share byte " + std::to_string(b));
            owner[b] = static_cast<int>(i);
        }
    }
}

std::vector<Place> places_of(const tk::DepthLayout& l) {
    namespace d = tk::depth;
    std::vector<Place> p = {{d::kTradingDay, 9}, {d::kExchangeID, 9}, {d::kUpdateTime, 9}, {d::kActionDay, 9},
                            {d::kVolume, 4}, {d::kUpdateMillisec, 4},
                            {l.instrument_id, l.instrument_id_size}, {l.exchange_inst_id, l.exchange_inst_id_size}};
    for (const std::uint32_t offset :
         {d::kLastPrice, d::kPreSettlementPrice, d::kPreClosePrice, d::kPreOpenInterest, d::kOpenPrice, d::kHighestPrice,
          d::kLowestPrice, d::kTurnover, d::kOpenInterest, d::kClosePrice, d::kSettlementPrice, d::kUpperLimitPrice,
          d::kLowerLimitPrice, d::kPreDelta, d::kCurrDelta, d::kAveragePrice})
        p.push_back({offset, 8});
    for (std::uint32_t level = 0; level < 5; ++level) {
        const std::uint32_t at = d::kLevels + level * d::kLevelSize;
        p.push_back({at, 8});
        p.push_back({at + d::kBidVolume, 4});
        p.push_back({at + d::kAskPrice, 8});
        p.push_back({at + d::kAskVolume, 4});
    }
    if (l.banding != 0) {
        p.push_back({l.banding, 8});
        p.push_back({l.banding + 8, 8});
    }
    return p;
}

}  // namespace

// ---- version texts ------------------------------------------------------------------------------

TEST(version_texts_are_read) {
    reads_as("v6.3.6_20160606 10:26:14", {6, 3, 6, 0});
    reads_as("6.3.15_20190220 15:47:00", {6, 3, 15, 0});  // without a v
    reads_as("v6.3.15_P2_20190328 14:06:16", {6, 3, 15, 2});
    reads_as("v6.6.1_P1_20210406  9:27:14", {6, 6, 1, 1});
    reads_as("v6.6.9_20220914  9:57:19.2466         ", {6, 6, 9, 0});
    reads_as("v6.7.10_20250422 16:38:54.9994", {6, 7, 10, 0});
    reads_as("V6_6_9", {6, 6, 9, 0});  // another maker
    reads_as("V1.7.5", {1, 7, 5, 0});
    reads_as("v3.7.3_20240910 15:16:27.427d0f89", {3, 7, 3, 0});
    reads_as("6.7.13", {6, 7, 13, 0});
}

TEST(marks_behind_the_numbers_are_read_in_any_order) {
    reads_as("v6.7.7_CP_20240524 10:45:39.7347", {6, 7, 7, 0}, true);
    reads_as("v6.7.13_SM_20260225", {6, 7, 13, 0}, false, true);
    reads_as("v6.6.2_P11_SM_20221103", {6, 6, 2, 11}, false, true);
    reads_as("v6.3.19_T1_20191231", {6, 3, 19, 0});
    reads_as("v6.3.19_T12_P3_20191231", {6, 3, 19, 3});
    reads_as("v6.7.9_P1_T2_CP_20250101", {6, 7, 9, 1}, true);
    reads_as("6.7.9_CP_P2", {6, 7, 9, 2}, true);
    reads_as("6.7.9_T1", {6, 7, 9, 0});
}

TEST(what_follows_the_marks_is_ignored) {
    for (const char* rest : {"", " ", "_", "__", "_P", "_T", "_Px", "_Tx", "_X1_P2", "_20250101_P2", ".4", "-P2", "abc", "\xb0\xe6"})
        reads_as((std::string("v6.7.9") + rest).c_str(), {6, 7, 9, 0});
    reads_as("6.7.9_P99999999999999999999", {6, 7, 9, 0});  // no number that could be meant
    const std::string long_text = "6.7.9_P1" + std::string(100000, '_');
    reads_as(long_text.c_str(), {6, 7, 9, 1});
}

TEST(a_text_without_three_numbers_is_no_version) {
    const std::string many(100000, '6');
    for (const char* text : {"", "v", "V", "vv6.7.8", "6", "6.", "6.7", "6.7.", "v6.7_", ".6.7.8", "6..8", "6.7.x", "6.x.8",
                             "x.7.8", " 6.7.8", "-6.7.8", "6.-7.8", "+6.7.8", "6,7,8", "6.7,8", "6 7 8", "_6.7.8", "%s%n.1.1",
                             "100000000.1.1", "6.99999999999999999999.1", "\xc6\xdf.\xc6\xdf", "19800100", many.c_str()}) {
        if (tk::parse_version(text).version.valid)
            check::failed(__FILE__, __LINE__, std::string("taken for a version: ") + std::string(text).substr(0, 40));
        refused(text, 15, {"not understood"});
    }
}

TEST(versions_are_compared_by_their_numbers) {
    const char* in_order[] = {"1.7.5", "6.3.5", "6.3.6", "6.3.11", "6.3.15", "6.3.15_P1", "6.3.15_P2", "6.3.15_P10", "6.3.19_P1", "6.5.1",
                              "6.6.1", "6.6.1_P1", "6.7.0", "6.7.9", "6.7.9_P1", "6.7.10", "6.10.0", "10.0.0"};
    const std::size_t n = sizeof in_order / sizeof *in_order;
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j) CHECK_EQ(compared(in_order[i], in_order[j]), i < j ? -1 : i > j ? 1 : 0);
    CHECK_EQ(compared("v6.7.7_CP_20240524", "6.7.7"), 0);
}

// ---- which tables -------------------------------------------------------------------------------

TEST(every_known_version_selects_its_tables) {
    for (const Known& k : kKnown)
        for (const bool overridden : {false, true}) {
            tk::Recognised r;
            REQUIRE(recognise(k.text, k.api_slots, &r, overridden) == TK_OK);
            CHECK(r.layouts->generation == r.generation);
            CHECK_EQ(r.layouts->factory_flags, factory_of(k.text));
            CHECK_EQ(r.evaluation, std::strstr(k.text, "_CP") != nullptr);
            CHECK_EQ(std::string(r.generation->name), k.generation);
            CHECK_EQ(r.generation->api_slots, k.api_slots);
            const tk::VersionLayouts& l = *r.layouts;
            CHECK_EQ(l.depth->number, k.depth);
            CHECK_EQ(l.depth->size, k.depth_size);
            CHECK_EQ(l.login_request->size, k.login_request);
            CHECK_EQ(l.login_answer->size, k.login_answer);
            CHECK_EQ(l.instrument->size, k.instrument);
            CHECK_EQ(l.for_quote->size, k.for_quote);
            CHECK_EQ(l.multicast == nullptr ? 0u : l.multicast->size, k.multicast);
            if (check::failures() != 0) {
                check::failed(__FILE__, __LINE__, k.text);
                return;
            }
        }
}

TEST(slots_that_do_not_fit_the_version_are_refused_even_when_it_is_overridden) {
    for (const Known& k : kKnown)
        for (const bool overridden : {false, true}) {
            const std::uint32_t other = k.api_slots == 14 ? 15 : 14;
            for (const std::uint32_t slots : {other, 1u, 11u, 17u, 140u})
                refused(k.text, slots, {std::to_string(slots), std::to_string(k.api_slots)}, overridden);
        }
}

TEST(other_products_are_refused_by_name) {
    for (const bool overridden : {false, true}) {
        refused("V1.7.5", 13, {"V1.7.5", "mini", "13"}, overridden);
        refused("v1.7.0", 12, {"mini", "12"}, overridden);
        refused("V1.7.5", 15, {"mini"}, overridden);
        refused("v6.7.8_20240918", 13, {"mini", "13"}, overridden);  // by its slots alone
        refused("v3.7.3_20240910 15:16:27.427d0f89", 14, {"option", "sopt"}, overridden);
        refused("v6.7.13_SM_20260225", 15, {"SM"}, overridden);
        refused("v6.6.2_P11_SM_20221103", 15, {"SM"}, overridden);
        refused("v6.7.13_20260225", 16, {"SM"}, overridden);
    }
}

TEST(a_version_before_the_tables_is_refused_even_when_it_is_overridden) {
    for (const bool overridden : {false, true})
        for (const char* text : {"6.3.4", "v6.3.0_20150101", "5.1.1", "0.0.0", "2.9.9", "4.0.0", "6.2.99_P9"})
            refused(text, 14, {text, "older", "6.3.5"}, overridden);
}

TEST(a_version_after_the_tables_is_refused_even_when_it_is_overridden) {
    for (const bool overridden : {false, true})
        for (const char* text : {"v6.7.13_P1_20260301", "v6.7.14_20260601", "6.8.0", "7.0.0", "v6.10.1_20270101"})
            refused(text, 15, {text, "newer", "6.7.13", "override"}, overridden);
}

// Structs only grow at their ends, so the older tables serve a version in a gap, unless something moved in it.
TEST(a_version_between_two_known_ones_is_taken_only_where_nothing_moved) {
    struct Between {
        const char *text, *row;
    };
    for (const Between b : {Between{"6.3.12", "6.3.6"}, Between{"6.6.1", "6.5.1"}, Between{"6.6.5", "6.6.1_P1"}, Between{"6.7.7_P1", "6.6.9"},
                            Between{"6.7.12", "6.7.11"}}) {
        tk::Recognised r;
        REQUIRE(recognise(b.text, compared(b.text, "6.3.15_P2") < 0 ? 14 : 15, &r) == TK_OK);
        CHECK_EQ(std::string(r.layouts->first_version), b.row);
        refused(b.text, 15, {b.text, "between"}, true);  // an override names a version that has been looked at
    }
    for (const bool overridden : {false, true}) {
        refused("6.3.15_P1", 14, {"6.3.15_P1", "between", "6.3.15_P2"}, overridden);          // slots
        refused("v6.4.0_20200501", 15, {"v6.4.0", "6.3.19_P1", "6.5.1"}, overridden);         // ids
        refused("6.7.10_P1", 15, {"6.7.10_P1", "6.7.10", "6.7.11"}, overridden);              // the factory
    }
}

TEST(a_library_that_does_not_tell_its_slots_is_refused) {
    for (const Known& k : kKnown)
        for (const bool overridden : {false, true}) refused(k.text, 0, {"vtable"}, overridden);
}

TEST(a_factory_that_does_not_fit_the_version_is_refused_even_when_it_is_overridden) {
    for (const Known& k : kKnown) {
        const std::uint32_t other = 5 - factory_of(k.text);
        refused(k.text, k.api_slots, {"factory", std::to_string(other), std::to_string(factory_of(k.text))}, false, other);
        refused(k.text, k.api_slots, {"factory"}, true, other);
    }
}

TEST(a_reason_survives_any_text) {
    refused("6.99.0_%s%n%d", 15, {"%s%n%d"});
    const std::string long_text = "6.99.0_" + std::string(100000, 'x');
    refused(long_text.c_str(), 15, {"6.99.0_xxxx", "newer"});
    CHECK(std::strlen(tk_last_error()) < 1024);
}

// ---- the tables ---------------------------------------------------------------------------------

TEST(every_field_lies_in_its_struct_and_shares_no_byte) {
    for (const tk::VersionLayouts* v : all_layouts()) {
        const auto& q = *v->login_request;
        const auto& a = *v->login_answer;
        const auto& f = *v->for_quote;
        fit("depth", v->depth->size, places_of(*v->depth));
        fit("login request", q.size, {place(q.broker_id), place(q.user_id), place(q.password), place(q.product_info)});
        fit("login answer", a.size,
            {place(a.trading_day), place(a.login_time), place(a.broker_id), place(a.user_id), place(a.system_name),
             place(a.front_id), place(a.session_id), place(a.max_order_ref), place(a.shfe_time), place(a.dce_time),
             place(a.czce_time), place(a.ffex_time), place(a.ine_time), place(a.gfex_time), place(a.sys_version)});
        fit("instrument", v->instrument->size, {place(v->instrument->instrument_id)});
        fit("for quote", f.size, {place(f.trading_day), place(f.instrument_id), place(f.for_quote_sys_id),
                                  place(f.for_quote_time), place(f.action_day), place(f.exchange_id)});
        if (v->multicast != nullptr) {
            const auto& m = *v->multicast;
            fit("multicast", m.size, {place(m.topic_id), place(m.instrument_id), place(m.instrument_no), place(m.code_price),
                                      place(m.volume_multiple), place(m.price_tick)});
            fit("multicast query", m.query_size, {place(m.query_topic_id), place(m.query_instrument_id)});
        }
        if (check::failures() != 0) {
            check::failed(__FILE__, __LINE__, std::string("from ") + v->first_version);
            return;
        }
    }
}

TEST(a_row_of_the_tables_is_selected_by_its_first_and_last_version) {
    const auto all = all_layouts();
    CHECK_EQ(all.size(), 11u);
    CHECK_EQ(tk::version_table().count, all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        tk::Recognised r;
        for (const char* text : {all[i]->first_version, all[i]->last_version}) {
            REQUIRE(recognise(text, all[i]->generation->api_slots, &r, true) == TK_OK);
            CHECK(r.layouts == all[i]);
        }
        CHECK(compared(all[i]->first_version, all[i]->last_version) <= 0);
        if (i != 0) CHECK_EQ(compared(all[i - 1]->last_version, all[i]->first_version), -1);
    }
}

TEST(structs_only_grow_from_version_to_version) {
    const auto all = all_layouts();
    for (std::size_t i = 1; i < all.size(); ++i) {
        const auto &a = *all[i - 1], &b = *all[i];
        CHECK(a.depth->size <= b.depth->size);
        CHECK(a.login_request->size <= b.login_request->size);
        CHECK(a.login_answer->size <= b.login_answer->size);
        CHECK(a.instrument->size <= b.instrument->size);
        CHECK(a.for_quote->size <= b.for_quote->size);
        if (a.multicast != nullptr) CHECK(b.multicast != nullptr && a.multicast->size <= b.multicast->size);
    }
}

TEST(fields_stand_where_the_headers_put_them) {
    for (const tk::VersionLayouts* v : all_layouts()) {
        const bool long_ids = compared(v->first_version, "6.5.1") >= 0;
        const tk::DepthLayout& d = *v->depth;
        CHECK_EQ(d.instrument_id, long_ids ? 401u : 9u);
        CHECK_EQ(d.instrument_id_size, long_ids ? 81u : 31u);
        CHECK_EQ(d.exchange_inst_id, long_ids ? 482u : 49u);
        CHECK_EQ(d.exchange_inst_id_size, long_ids ? 81u : 31u);
        CHECK_EQ(d.banding, compared(v->first_version, "6.6.1_P1") >= 0 ? 568u : 0u);
        const auto& q = *v->login_request;
        CHECK(is(q.broker_id, 9, 11) && is(q.user_id, 20, 16) && is(q.password, 36, 41) && is(q.product_info, 77, 11));
        const auto& a = *v->login_answer;
        CHECK(is(a.trading_day, 0, 9) && is(a.login_time, 9, 9) && is(a.broker_id, 18, 11) && is(a.user_id, 29, 16));
        CHECK(is(a.system_name, 45, 41) && is(a.front_id, 88, 4) && is(a.session_id, 92, 4) && is(a.max_order_ref, 96, 13));
        CHECK(is(a.shfe_time, 109, 9) && is(a.dce_time, 118, 9) && is(a.czce_time, 127, 9) && is(a.ffex_time, 136, 9));
        CHECK(is(a.ine_time, 145, 9));
        CHECK(compared(v->first_version, "6.6.7") >= 0 ? is(a.sys_version, 154, 41) : a.sys_version.size == 0);
        CHECK(compared(v->first_version, "6.6.9") >= 0 ? is(a.gfex_time, 195, 9) : a.gfex_time.size == 0);
        CHECK(long_ids ? is(v->instrument->instrument_id, 31, 81) : is(v->instrument->instrument_id, 0, 31));
        const auto& f = *v->for_quote;
        CHECK(is(f.trading_day, 0, 9) && is(f.for_quote_sys_id, 40, 21) && is(f.for_quote_time, 61, 9));
        CHECK(is(f.action_day, 70, 9) && is(f.exchange_id, 79, 9));
        CHECK(long_ids ? is(f.instrument_id, 88, 81) : is(f.instrument_id, 9, 31));
        CHECK_EQ(v->multicast != nullptr, compared(v->first_version, "6.3.15_P2") >= 0);
        if (v->multicast == nullptr) continue;
        const auto& m = *v->multicast;
        CHECK(is(m.topic_id, 0, 4) && is(m.instrument_no, 36, 4) && is(m.code_price, 40, 8));
        CHECK(is(m.volume_multiple, 48, 4) && is(m.price_tick, 56, 8) && is(m.query_topic_id, 0, 4));
        CHECK(long_ids ? is(m.instrument_id, 64, 81) : is(m.instrument_id, 4, 31));
        CHECK(long_ids ? is(m.query_instrument_id, 35, 81) : is(m.query_instrument_id, 4, 31));
        CHECK_EQ(m.query_size, long_ids ? 116u : 36u);
    }
}

TEST(depth_layouts_are_found_by_number) {
    for (std::uint32_t n = 1; n <= 3; ++n) {
        REQUIRE(tk::depth_layout(n) != nullptr);
        CHECK_EQ(tk::depth_layout(n)->number, n);
    }
    for (const std::uint32_t n : {0u, 4u, 100u, ~0u}) CHECK(tk::depth_layout(n) == nullptr);
}

TEST(callbacks_and_methods_have_the_slots_of_their_generation) {
    const std::int8_t with_multicast[] = {TK_CB_FRONT_CONNECTED, TK_CB_FRONT_DISCONNECTED, TK_CB_HEARTBEAT_WARNING,
                                          TK_CB_USER_LOGIN, TK_CB_USER_LOGOUT, TK_CB_QRY_MULTICAST, TK_CB_ERROR,
                                          TK_CB_SUB_MARKET_DATA, TK_CB_UNSUB_MARKET_DATA, TK_CB_SUB_FOR_QUOTE,
                                          TK_CB_UNSUB_FOR_QUOTE, tk::kCallbackTick, TK_CB_FOR_QUOTE};
    for (const bool second : {false, true}) {
        tk::Recognised r;
        REQUIRE(recognise(second ? "6.7.11" : "6.3.6", second ? 15 : 14, &r) == TK_OK);
        const tk::Generation& g = *r.generation;
        CHECK_EQ(g.spi_slots, second ? 13u : 12u);
        CHECK_EQ(g.api_slots, second ? 15u : 14u);
        std::uint32_t slot = 0;
        for (const std::int8_t callback : with_multicast)
            if (second || callback != TK_CB_QRY_MULTICAST) CHECK_EQ(g.spi[slot++], callback);
        CHECK_EQ(slot, g.spi_slots);
        for (; slot < tk::kMaxSpiSlots; ++slot) CHECK_EQ(g.spi[slot], -1);
        const std::int8_t methods[] = {g.release, g.init, g.join, g.trading_day, g.register_front, g.register_spi, g.subscribe,
                                       g.unsubscribe, g.subscribe_quote, g.unsubscribe_quote, g.login, g.logout};
        const std::int8_t expected[] = {0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13};
        for (std::size_t i = 0; i < sizeof expected; ++i) CHECK_EQ(methods[i], expected[i]);
        CHECK_EQ(g.query_multicast, second ? 14 : -1);
    }
}
