#include "vendor_library.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstring>

#include "errors.hpp"
#include "vendor_host.hpp"

namespace tk {
namespace {

constexpr const char* kFactory3 = "_ZN15CThostFtdcMdApi15CreateFtdcMdApiEPKcbbb";
constexpr const char* kFactory2 = "_ZN15CThostFtdcMdApi15CreateFtdcMdApiEPKcbb";
constexpr const char* kVersion = "_ZN15CThostFtdcMdApi13GetApiVersionEv";
constexpr const char* kApiVtable = "_ZTV15CThostFtdcMdApi";
constexpr const char* kTraderVtable = "_ZTV19CThostFtdcTraderApi";
constexpr const char* kSoptVersion = "_ZN8ctp_sopt15CThostFtdcMdApi13GetApiVersionEv";

template <std::size_t N>
void set_text(char (&to)[N], const std::string& from) {
    std::strncpy(to, from.c_str(), N - 1);
    to[N - 1] = '\0';
}

}  // namespace

std::uint32_t vtable_slots(void* handle, const char* symbol_name) {
    void* symbol = dlsym(handle, symbol_name);
    Dl_info info;
    ElfW(Sym)* entry = nullptr;
    if (symbol == nullptr || dladdr1(symbol, &info, reinterpret_cast<void**>(&entry), RTLD_DL_SYMENT) == 0 ||
        entry == nullptr || entry->st_size < 16)
        return 0;
    return static_cast<std::uint32_t>(entry->st_size / 8 - 2);  // less offset-to-top and type info
}

std::int32_t open_vendor_library(const char* path, const char* override_version, VendorLibrary* out) {
    struct stat st;
    if (std::strchr(path, '/') != nullptr && stat(path, &st) != 0)
        return fail(TK_E_NOT_FOUND, "vendor library '%s' does not exist", path);
    void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return fail(TK_E_VENDOR, "vendor library cannot be loaded: %s", dlerror());

    VendorLibrary library;
    library.path = path;
    library.factory = dlsym(handle, kFactory3);
    library.factory_flags = 3;
    if (library.factory == nullptr) {
        library.factory = dlsym(handle, kFactory2);
        library.factory_flags = 2;
    }
    if (library.factory == nullptr) {
        const char* what = dlsym(handle, kSoptVersion) != nullptr    ? "it is the option product (sopt)"
                           : dlsym(handle, kTraderVtable) != nullptr ? "it is CTP's trader library"
                                                                     : "it is no CTP market-data library";
        const std::int32_t rc = fail(TK_E_VENDOR, "'%s' does not export CThostFtdcMdApi::CreateFtdcMdApi: %s", path, what);
        dlclose(handle);
        return rc;
    }
    library.api_slots = vtable_slots(handle, kApiVtable);
    const bool overridden = override_version != nullptr && override_version[0] != '\0';
    if (void* version = dlsym(handle, kVersion); version != nullptr) {
        const char* text = reinterpret_cast<const char* (*)()>(version)();
        library.version = text == nullptr ? "" : text;
    }
    const std::string believed = overridden ? override_version : library.version;
    if (believed.empty())
        return fail(TK_E_VENDOR, "'%s' does not tell its version; pass the version to override it", path);
    const Facts facts{believed.c_str(), overridden, library.api_slots, library.factory_flags};
    if (const std::int32_t rc = recognise(facts, &library.tables); rc != TK_OK) return rc;
    // A build says what it is even where another version is believed.
    library.tables.evaluation = parse_version(library.version.c_str()).evaluation;
    *out = library;
    return TK_OK;
}

void* VendorLibrary::create(const char* flow_path, bool using_udp, bool multicast, bool production) const {
    const HostSignal kept(SIGUSR1);
    return factory_flags == 3
               ? reinterpret_cast<void* (*)(const char*, bool, bool, bool)>(factory)(flow_path, using_udp,
                                                                                          multicast, production)
                    : reinterpret_cast<void* (*)(const char*, bool, bool)>(factory)(flow_path, using_udp, multicast);
}

void describe(const VendorLibrary& library, tk_vendor_info* out) {
    *out = tk_vendor_info{};
    set_text(out->path, library.path);
    set_text(out->version, library.version);
    set_text(out->generation, library.tables.generation->name);
    set_text(out->layouts_of, library.tables.layouts->first_version);
    out->layout = library.tables.layouts->depth->number;
    out->api_slots = library.api_slots;
    out->factory_flags = library.factory_flags;
    out->evaluation = library.tables.evaluation ? 1 : 0;
}

}  // namespace tk
