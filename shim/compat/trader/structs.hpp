// The structures that cross the vendor's C++ interface, and the same structures on the wire.
//
// Members are data (structs.inc): a host's layout is the members of its version at their natural alignment, the
// wire's is those of 6.3.6, packed and big-endian. A member finds its counterpart by its name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ftd.hpp"
#include "versions.hpp"

namespace compat::trader {

enum Struct : std::uint8_t {
    kRspInfo, kReqUserLogin, kRspUserLogin, kUserLogout, kReqAuthenticate, kRspAuthenticate, kSettlementInfoConfirm,
    kInputOrder, kOrder, kTrade, kInputOrderAction, kOrderAction, kInstrumentStatus, kQryOrder, kQryTrade,
    kQryInvestorPosition, kInvestorPosition, kQryTradingAccount, kTradingAccount, kQryInstrument, kInstrument,
    kQryDepthMarketData, kDepthMarketData, kStructCount
};

constexpr std::size_t kMaxStruct = 1024;

// One structure of one version, and its way from and to one field of the wire.
class Layout {
public:
    // `field_id`: 1012 has members of its own, all others are the structure as 6.3.6 has it.
    Layout(Struct type, std::uint16_t field_id, Version version);

    std::size_t size() const { return size_; }
    std::size_t wire_size() const { return wire_size_; }
    // Where the host has a member; its size is 0 when this version lacks it.
    struct Place {
        std::size_t offset, size;
    };
    Place host(const char* name) const;
    Place wire(const char* name) const;

    // `out` takes size() bytes. What the field lacks at its end is zero, what is too long is cut.
    void to_host(const Field& field, char* out) const;
    // `out` takes wire_size() bytes. False when a text is longer than the wire can carry.
    bool to_wire(const char* host, std::uint8_t* out) const;

private:
    struct Counterpart {
        const char* name;
        int type;
        std::size_t wire, wire_size, host, host_size;  // host_size 0: only on the wire
    };
    struct Only {
        const char* name;
        std::size_t offset, size;
        bool absent_price;
    };

    std::vector<Counterpart> members_;
    std::vector<Only> host_only_;
    std::size_t size_ = 0, wire_size_ = 0;
};

}  // namespace compat::trader
