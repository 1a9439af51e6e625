// A trader library: opened by path, recognised by facts.
#include <dlfcn.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstring>

#include "errors.hpp"
#include "td_abi.hpp"
#include "vendor_abi.hpp"
#include "vendor_host.hpp"
#include "vendor_library.hpp"

namespace tk::td {
namespace {

constexpr const char* kFactory1 = "_ZN19CThostFtdcTraderApi19CreateFtdcTraderApiEPKcb";
constexpr const char* kFactory0 = "_ZN19CThostFtdcTraderApi19CreateFtdcTraderApiEPKc";
constexpr const char* kVersionSymbol = "_ZN19CThostFtdcTraderApi13GetApiVersionEv";
constexpr const char* kApiVtable = "_ZTV19CThostFtdcTraderApi";
constexpr const char* kMdVtable = "_ZTV15CThostFtdcMdApi";
constexpr const char* kSoptVersion = "_ZN8ctp_sopt19CThostFtdcTraderApi13GetApiVersionEv";

template <std::size_t N>
void set_text(char (&to)[N], const std::string& from) {
    std::strncpy(to, from.c_str(), N - 1);
    to[N - 1] = '\0';
}

}  // namespace

std::int32_t open_library(const char* path, const char* override_version, TdLibrary* out) {
    struct stat st;
    if (std::strchr(path, '/') != nullptr && stat(path, &st) != 0)
        return fail(TK_E_NOT_FOUND, "vendor library '%s' does not exist", path);
    void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return fail(TK_E_VENDOR, "vendor library cannot be loaded: %s", dlerror());

    TdLibrary library;
    library.path = path;
    std::uint32_t flags = 1;
    library.factory = dlsym(handle, kFactory1);
    if (library.factory == nullptr) {
        library.factory = dlsym(handle, kFactory0);
        flags = 0;
    }
    if (library.factory == nullptr) {
        const char* what = dlsym(handle, kSoptVersion) != nullptr ? "it is the option product (sopt)"
                           : dlsym(handle, kMdVtable) != nullptr  ? "it is CTP's market-data library"
                                                                  : "it is no CTP trader library";
        const std::int32_t rc = fail(TK_E_VENDOR, "'%s' does not export CThostFtdcTraderApi::CreateFtdcTraderApi: %s", path, what);
        dlclose(handle);
        return rc;
    }
    library.api_slots = vtable_slots(handle, kApiVtable);
    const bool overridden = override_version != nullptr && override_version[0] != '\0';
    if (void* version = dlsym(handle, kVersionSymbol); version != nullptr) {
        const char* text = reinterpret_cast<const char* (*)()>(version)();
        library.version = text == nullptr ? "" : text;
    }
    const std::string believed = overridden ? override_version : library.version;
    if (believed.empty())
        return fail(TK_E_VENDOR, "'%s' does not tell its version; pass the version to override it", path);
    if (const std::int32_t rc = recognise({believed.c_str(), library.api_slots, flags}, &library.tables); rc != TK_OK) return rc;
    library.evaluation = parse_version(library.version.c_str()).evaluation;
    *out = library;
    return TK_OK;
}

void* TdLibrary::create(const char* flow_path, bool production) const {
    const HostSignal kept(SIGUSR1);
    return tables->factory_flags == 1 ? reinterpret_cast<void* (*)(const char*, bool)>(factory)(flow_path, production)
                                      : reinterpret_cast<void* (*)(const char*)>(factory)(flow_path);
}

void describe(const TdLibrary& library, tk_td_info* out) {
    *out = tk_td_info{};
    set_text(out->path, library.path);
    set_text(out->version, library.version);
    set_text(out->tables_of, library.tables->version);
    out->api_slots = library.api_slots;
    out->spi_slots = spi::kGenerations[library.tables->spi].slots;
    out->factory_flags = library.tables->factory_flags;
    out->evaluation = library.evaluation ? 1 : 0;
}

}  // namespace tk::td
