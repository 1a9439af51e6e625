// Short texts from outside: what a vendor library calls itself, addresses, the words of requested faults.
#include <string>

#include "address.hpp"
#include "faults.hpp"
#include "input.hpp"
#include "tickshim.h"
#include "vendor_abi.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input in(data, size);
    const std::uint8_t which = in.byte(), slots = in.byte();
    std::string text(in.left(), '\0');
    in.take(text.data(), text.size());
    const fuzz::Exact exact(std::strlen(text.c_str()) + 1);
    std::strcpy(exact.get(), text.c_str());
    switch (which % 3) {
        case 0: {
            const tk::ParsedVersion parsed = tk::parse_version(exact.get());
            PROMISE(!parsed.version.valid || tk::compare(parsed.version, parsed.version) == 0);
            tk::Recognised found;
            const tk::Facts facts{exact.get(), (slots & 0x80) != 0, slots & 31u, 2u + (slots >> 5 & 1)};
            if (tk::recognise(facts, &found) == TK_OK) PROMISE(found.generation != nullptr && found.layouts != nullptr);
            break;
        }
        case 1: {
            compat::Address address;
            if (compat::parse_address(exact.get(), &address)) {
                PROMISE(!address.host.empty() && std::stoul(address.port) >= 1 && std::stoul(address.port) <= 65535);
            }
            break;
        }
        default: {
            compat::Faults faults;
            std::string error;
            if (exact.get()[0] == '@') break;  // the words are in a file then
            if (!compat::parse_faults(exact.get(), compat::kMarketDataFaults, &faults, &error)) PROMISE(!error.empty());
        }
    }
    return 0;
}
