// All that depends on the version while it is compiled: the exported symbols. The rest asks kVersion.
//
// A host tells versions apart by the size of the symbol _ZTV19CThostFtdcTraderApi, (slots + 2) * 8 bytes, by the
// factory's mangled name, which carries its argument list, and by the version text.
#include "api.hpp"
#include "interface.hpp"
#include "versions.hpp"

#ifndef TK_COMPAT
#define TK_COMPAT 6713
#endif

namespace compat::trader {

namespace {
constexpr Version kBuilt = version_of(TK_COMPAT);
static_assert(kBuilt != kVersionCount, "TK_COMPAT is none of the numbers in versions.hpp");
static_assert(slots(kMethods, kNewest) == kMaxMethods, "the newest version has the most methods");
}  // namespace

const Version kVersion = kBuilt;

extern "C" __attribute__((visibility("default"), used)) void* const vendor_vtable[slots(kMethods, kBuilt) + 2] asm(
    "_ZTV19CThostFtdcTraderApi") = {};

}  // namespace compat::trader

class __attribute__((visibility("default"))) CThostFtdcTraderApi {
public:
#if TK_COMPAT == 6711 || TK_COMPAT == 6713
    static CThostFtdcTraderApi* CreateFtdcTraderApi(const char* flow_path, bool production);
#else
    static CThostFtdcTraderApi* CreateFtdcTraderApi(const char* flow_path);
#endif
    static const char* GetApiVersion();
};

#if TK_COMPAT == 6711 || TK_COMPAT == 6713
static_assert(compat::trader::has_production_flag(compat::trader::kBuilt), "the factory has a flag from 6.7.11 on");
CThostFtdcTraderApi* CThostFtdcTraderApi::CreateFtdcTraderApi(const char* flow_path, bool) {
#else
static_assert(!compat::trader::has_production_flag(compat::trader::kBuilt), "the factory has a flag from 6.7.11 on");
CThostFtdcTraderApi* CThostFtdcTraderApi::CreateFtdcTraderApi(const char* flow_path) {
#endif
    return static_cast<CThostFtdcTraderApi*>(compat::trader::create(flow_path));
}

const char* CThostFtdcTraderApi::GetApiVersion() { return compat::trader::kVersions[compat::trader::kBuilt].text; }
