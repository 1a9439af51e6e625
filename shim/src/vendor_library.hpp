// A vendor library: opened by path, recognised by facts, never guessed silently.
#pragma once

#include <cstdint>
#include <string>

#include "tickshim.h"
#include "vendor_abi.hpp"

namespace tk {

struct VendorLibrary {
    std::string path;
    std::string version;
    std::uint32_t api_slots = 0;      // of the api class, from its vtable's size
    std::uint32_t factory_flags = 0;  // bools behind the flow path: 2, or 3 from 6.7.11 on
    void* factory = nullptr;
    Recognised tables;

    // Calls the factory. Null if the library declines.
    void* create(const char* flow_path, bool using_udp, bool multicast, bool production) const;
};

// The abstract class's vtable is exported: its size tells the number of slots without any version text.
// 0: there is none.
std::uint32_t vtable_slots(void* handle, const char* symbol_name);
// The library stays loaded for the life of the process: its threads and static objects do not
// survive being unmapped.
std::int32_t open_vendor_library(const char* path, const char* override_version, VendorLibrary* out);
void describe(const VendorLibrary& library, tk_vendor_info* out);

}  // namespace tk
