// Field bodies of the wire into the host's structures, and back for the login.
//
// The wire always has the members of 6.3.6, whatever layout is built. Members that came later are zero,
// except the banding prices: an absent price is DBL_MAX everywhere in this interface.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ftd.hpp"
#include "layouts.hpp"

namespace compat {

constexpr std::size_t kTickWireSize = 354;
constexpr std::size_t kLoginWireSize = 224;
constexpr std::size_t kWireIdSize = 31;

// `full_text`: an id that fills its 31 bytes on the wire also fills the 81 bytes of the later layouts, so
// that no NUL is left anywhere in the array (fault "no-nul"). Layouts with 31 bytes are copied raw either way.
struct ConvertOptions {
    bool full_text = false;
};

// `wire` must hold kTickWireSize bytes; a shorter field is padded with zeros by the caller.
void convert(const std::uint8_t* wire, const ConvertOptions& options, DepthMarketData* out);

// These take the field as it came: shorter than expected means the rest is zero, longer is cut.
void convert(const Field& field, RspInfo* out);
void convert(const Field& field, RspUserLogin* out);
void convert(const Field& field, UserLogout* out);
void convert(const Field& field, const ConvertOptions& options, SpecificInstrument* out);
void convert(const Field& field, const ConvertOptions& options, ForQuoteRsp* out);

// Writes the kLoginWireSize bytes of a login request. What the library states about itself and about its
// host (product, protocol, addresses, trading day) is not taken from the caller.
void encode_login(const ReqUserLogin& login, const char* trading_day, std::uint8_t* out);

}  // namespace compat
