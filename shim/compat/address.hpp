// Front addresses: "tcp://host:port".
#pragma once

#include <sys/socket.h>

#include <string>

namespace compat {

struct Address {
    std::string host;
    std::string port;
};

// Leading blanks and a trailing '/' are accepted, [..] round an IPv6 address too. False for everything
// else: such a front is simply never connected, where the vendor's library ends the process.
bool parse_address(const char* text, Address* out);

// Prefers IPv4, as a front that listens on one family listens on that one. Blocks in the resolver for a host
// name; an address in digits is converted without it.
bool resolve(const Address& address, sockaddr_storage* out, socklen_t* size);

}  // namespace compat
