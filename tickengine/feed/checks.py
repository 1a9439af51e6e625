"""Small checks of single values. Each raises `ConfigError` with what to do."""

from __future__ import annotations

import os
import socket
import tempfile

from .._errors import ConfigError
from ..log import DEFAULT_CAPACITY, DEFAULT_INSTRUMENTS
from ..tick import RECORD_SIZE, TickFlag

PLACEHOLDER = "CHANGE-ME"
LOOPBACK = "127.0.0.1"
_CAPACITY = (2, 1 << 32)


def no_placeholder(text: str) -> None:
    """Raises `ConfigError` for what the example has."""
    if PLACEHOLDER in text:
        raise ConfigError(f"{text!r} is the example's placeholder: put your own here")


def capacity(given: int | None) -> int:
    """Raises `ConfigError` out of the log's bounds."""
    if given is None:
        return DEFAULT_CAPACITY
    if not _CAPACITY[0] <= given <= _CAPACITY[1]:
        raise ConfigError(f"must be from {_CAPACITY[0]} to {_CAPACITY[1]} records, not {given}")
    return given


def check_writable(path: str) -> None:
    """Raises `ConfigError` if a directory cannot be there or be written. Leaves nothing behind."""
    there = path
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    if not os.path.isdir(there):
        raise ConfigError(f"{there} is no directory")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{there} cannot be written by this user")
    try:  # root has every right, and yet nobody can make a file in /proc
        os.rmdir(tempfile.mkdtemp(prefix=".tickengine-", dir=there))
    except OSError as error:
        raise ConfigError(f"nothing can be made in {there}: {error.strerror}; take another directory") from None


def memory(records: int) -> int:
    """Bytes in shared memory of a log of so many *records*, see docs/operate.md."""
    rounded = 1 << max(1, (records - 1).bit_length())
    return 4096 + 256 * 1472 + DEFAULT_INSTRUMENTS * (320 + 448) + rounded * RECORD_SIZE


def flag_of(name: str) -> int:
    """Raises `ConfigError`, with the flags there are."""
    try:
        return int(TickFlag[name])
    except KeyError:
        raise ConfigError(f"{name!r} is no flag; the flags are {', '.join(TickFlag.__members__)}") from None


def address(text: str) -> tuple[str, int]:
    """``"9464"``, ``":9464"`` or ``"host:9464"``; this machine only unless told.

    Raises:
        ConfigError: it is none of these.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ConfigError(f"{text!r} must be host:port, such as {LOOPBACK}:9464")
    return host.strip("[]") or LOOPBACK, int(port)


def check_host(host: str) -> None:
    """Raises `ConfigError` if *host* is no address of this machine. Blocks while a name is looked up; takes no port."""
    try:
        family, kind, protocol, _, there = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as s:
            s.bind(there)
    except (OSError, UnicodeError) as error:  # a name that no name can be
        why = error.strerror if isinstance(error, OSError) else "it is no host name"
        raise ConfigError(
            f"{host!r} cannot be listened at: {why}; give an address of this machine, such as {LOOPBACK}"
        ) from None
