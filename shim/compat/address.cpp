#include "address.hpp"

#include <netdb.h>

#include <cstring>

namespace compat {

bool parse_address(const char* text, Address* out) {
    if (!text) return false;
    std::string s(text);
    const std::size_t first = s.find_first_not_of(" \t");
    if (first == std::string::npos) return false;
    s.erase(0, first);
    constexpr char kScheme[] = "tcp://";
    constexpr std::size_t kSchemeSize = sizeof kScheme - 1;
    if (s.compare(0, kSchemeSize, kScheme) != 0) return false;
    s.erase(0, kSchemeSize);
    if (!s.empty() && s.back() == '/') s.pop_back();
    const std::size_t colon = s.rfind(':');
    if (colon == std::string::npos) return false;
    std::string host = s.substr(0, colon);
    const std::string port = s.substr(colon + 1);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    if (host.empty() || port.empty() || port.size() > 5) return false;
    unsigned value = 0;
    for (const char c : port) {
        if (c < '0' || c > '9') return false;
        value = value * 10 + static_cast<unsigned>(c - '0');
    }
    if (value == 0 || value > 65535) return false;
    out->host = host;
    out->port = port;
    return true;
}

bool resolve(const Address& address, sockaddr_storage* out, socklen_t* size) {
    for (const int family : {AF_INET, AF_UNSPEC}) {
        addrinfo hints = {};
        hints.ai_family = family;
        hints.ai_socktype = SOCK_STREAM;
        hints.ai_flags = AI_NUMERICSERV;
        addrinfo* found = nullptr;
        if (getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found) != 0) continue;
        std::memcpy(out, found->ai_addr, found->ai_addrlen);
        *size = found->ai_addrlen;
        freeaddrinfo(found);
        return true;
    }
    return false;
}

}  // namespace compat
