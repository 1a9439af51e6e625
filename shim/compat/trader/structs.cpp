#include "structs.hpp"

#include <algorithm>
#include <cfloat>
#include <cstring>

#include "interface.hpp"

namespace compat::trader {

namespace {

// A positive size is a text of so many bytes, or one character.
constexpr int kInt = -4, kDouble = -8;

struct Member {
    const char* name;
    int type;
    Version since = v635;
    Version until = kNewest;
};

#include "structs.inc"

// Answer and request of the authentication are the same field. The code itself does not travel.
constexpr Member kAuthenticateField[] = {
    {"BrokerID", 11}, {"UserID", 16}, {"UserProductInfo", 11}, {"AuthInfo", 129}, {"IsResult", kInt},
};
constexpr std::uint16_t kAuthenticateId = 0x1012;

struct List {
    const Member* data;
    std::size_t count;
    const Member* begin() const { return data; }
    const Member* end() const { return data + count; }
};
template <std::size_t N>
constexpr List list(const Member (&members)[N]) {
    return {members, N};
}

// In the order of the enumeration.
constexpr List kStructs[] = {
    list(kRspInfoMembers), list(kReqUserLoginMembers), list(kRspUserLoginMembers), list(kUserLogoutMembers),
    list(kReqAuthenticateMembers), list(kRspAuthenticateMembers), list(kSettlementInfoConfirmMembers),
    list(kInputOrderMembers), list(kOrderMembers), list(kTradeMembers), list(kInputOrderActionMembers),
    list(kOrderActionMembers), list(kInstrumentStatusMembers), list(kQryOrderMembers), list(kQryTradeMembers),
    list(kQryInvestorPositionMembers), list(kInvestorPositionMembers), list(kQryTradingAccountMembers),
    list(kTradingAccountMembers), list(kQryInstrumentMembers), list(kInstrumentMembers),
    list(kQryDepthMarketDataMembers), list(kDepthMarketDataMembers),
};
static_assert(sizeof kStructs / sizeof kStructs[0] == kStructCount, "one list each");

bool in(const Member& m, Version version) { return m.since <= version && version <= m.until; }
std::size_t bytes(const Member& m) { return static_cast<std::size_t>(m.type < 0 ? -m.type : m.type); }

}  // namespace

Layout::Layout(Struct type, std::uint16_t field_id, Version version) {
    const bool own = field_id == kAuthenticateId;
    for (const Member& m : own ? list(kAuthenticateField) : kStructs[type]) {
        if (!own && !in(m, kWireVersion)) continue;
        members_.push_back({m.name, m.type, wire_size_, bytes(m), 0, 0});
        wire_size_ += bytes(m);
    }
    std::size_t alignment = 1;
    for (const Member& m : kStructs[type]) {
        if (!in(m, version)) continue;
        const std::size_t a = m.type < 0 ? bytes(m) : 1;
        alignment = std::max(alignment, a);
        size_ = (size_ + a - 1) / a * a;
        bool found = false;
        for (Counterpart& c : members_) {
            if (!same(c.name, m.name)) continue;
            c.host = size_;
            c.host_size = bytes(m);
            found = true;
        }
        // An absent price is DBL_MAX everywhere in this interface.
        if (!found) host_only_.push_back({m.name, size_, bytes(m), type == kDepthMarketData && m.type == kDouble});
        size_ += bytes(m);
    }
    size_ = (size_ + alignment - 1) / alignment * alignment;
}

Layout::Place Layout::host(const char* name) const {
    for (const Counterpart& c : members_) {
        if (same(c.name, name)) return {c.host, c.host_size};
    }
    for (const Only& o : host_only_) {
        if (same(o.name, name)) return {o.offset, o.size};
    }
    return {0, 0};
}

Layout::Place Layout::wire(const char* name) const {
    for (const Counterpart& c : members_) {
        if (same(c.name, name)) return {c.wire, c.wire_size};
    }
    return {0, 0};
}

void Layout::to_host(const Field& field, char* out) const {
    std::uint8_t wire[kMaxStruct];
    const std::size_t given = std::min<std::size_t>(field.size, wire_size_);
    std::memcpy(wire, field.data, given);
    std::memset(wire + given, 0, wire_size_ - given);
    std::memset(out, 0, size_);
    for (const Counterpart& c : members_) {
        if (c.host_size == 0) continue;
        if (c.type == kInt) {
            const std::int32_t v = read_i32(wire + c.wire);
            std::memcpy(out + c.host, &v, sizeof v);
        } else if (c.type == kDouble) {
            const double v = read_double(wire + c.wire);
            std::memcpy(out + c.host, &v, sizeof v);
        } else {
            std::memcpy(out + c.host, wire + c.wire, std::min(c.wire_size, c.host_size));
        }
    }
    for (const Only& o : host_only_) {
        const double absent = DBL_MAX;
        if (o.absent_price) std::memcpy(out + o.offset, &absent, sizeof absent);
    }
}

bool Layout::to_wire(const char* host, std::uint8_t* out) const {
    std::memset(out, 0, wire_size_);
    for (const Counterpart& c : members_) {
        if (c.host_size == 0) continue;
        if (c.type == kInt) {
            std::uint32_t v;
            std::memcpy(&v, host + c.host, sizeof v);
            write_u32(out + c.wire, v);
        } else if (c.type == kDouble) {
            std::uint64_t v;
            std::memcpy(&v, host + c.host, sizeof v);
            write_u32(out + c.wire, static_cast<std::uint32_t>(v >> 32));
            write_u32(out + c.wire + 4, static_cast<std::uint32_t>(v));
        } else {
            const std::size_t n = ::strnlen(host + c.host, c.host_size);
            // A text that the host's own array could not end either goes as it is.
            if (n > c.wire_size || (c.host_size > c.wire_size && n == c.wire_size)) return false;
            std::memcpy(out + c.wire, host + c.host, n);
        }
    }
    return true;
}

}  // namespace compat::trader
