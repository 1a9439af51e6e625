"""Why a front cannot be reached, in words. The vendor library only ever stays silent."""

from __future__ import annotations

import socket

TIMEOUT_S = 3.0


def problem(front: str) -> str | None:
    """None if a TCP connection to *front* (``tcp://host:port``) succeeds. Blocks up to 3 s and the resolver's time."""
    host, _, port = front.removeprefix("tcp://").rpartition(":")
    try:
        addresses = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: a part of the name is empty or too long
        return f"{front}: the name {host!r} does not resolve ({getattr(error, 'strerror', None) or error})"
    reason = "no address"
    for family, kind, protocol, _, address in addresses:
        with socket.socket(family, kind, protocol) as s:
            s.settimeout(TIMEOUT_S)
            try:
                s.connect(address)
                return None
            except TimeoutError:
                reason = "no answer"
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
    return f"{front}: {reason}"
