"""Checking what a user passes in, before anything is started.

`Settings` is everything one connection needs. Its repr and its errors never contain a secret.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import placement
from ._checks import check_instruments
from ._errors import ConfigError
from ._secret import Secret, checked
from .products import OwnHours, Session

_FRONT = re.compile(r"tcp://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})/?")

# What fits into the vendor's login request, terminating NUL excluded.
MAX_PASSWORD = 40
SIZES = {"broker_id": 10, "investor_id": 15, "app_id": 32, "auth_code": 16}


def check_front(front: str | bytes, name: str = "md_server") -> str:
    """*front* as ``tcp://host:port``. A bare ``host:port`` (as AlgoPlus accounts have it) is completed.

    Raises `ConfigError`. The vendor library itself would crash on any other scheme.
    """
    text = _text(front, name).strip()
    if "://" not in text:
        text = "tcp://" + text
    match = _FRONT.fullmatch(text)
    if match is None or not 1 <= int(match[2]) <= 65535:
        raise ConfigError(f"front address {text!r} must be tcp://host:port with a port from 1 to 65535")
    return text.rstrip("/")


def check_fronts(server: str | bytes | Sequence[str | bytes], name: str = "md_server") -> list[str]:
    """One address, several separated by commas, or a list of them. *name*: of the argument."""
    if isinstance(server, (str, bytes)):
        items: list[str] = [part for part in _text(server, name).split(",") if part.strip()]
    elif isinstance(server, Sequence):
        items = [_text(item, name) for item in server]
    else:
        raise ConfigError(f"{name} must be a front address or a list of them, not {type(server).__name__}")
    if not items:
        raise ConfigError(f"{name} is empty: give the front's address, such as tcp://127.0.0.1:41213")
    return [check_front(item, name) for item in items]


def _text(value: Any, name: str) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"{name} is not UTF-8 text") from None
    if (
        isinstance(value, int) and not isinstance(value, bool) and name == "broker_id"
    ):  # AlgoPlus's account tables have numbers here
        return str(value)
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate; what it stood in may be a password
        raise ConfigError(f"{name} has characters that no encoding has") from None
    return value


def path_text(value: Any, name: str) -> str:
    """A path has bytes, not characters: those that are no UTF-8 stand in it as Python has them."""
    if isinstance(value, (bytes, os.PathLike)):
        value = os.fsdecode(value)
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a path, not {type(value).__name__}")
    try:
        raw = os.fsencode(value)
    except UnicodeEncodeError:
        raise ConfigError(f"{name} {value!r} cannot be a path") from None
    if b"\0" in raw:
        raise ConfigError(f"{name} {value!r} has a NUL character, which no path has")
    return value


def seconds(value: Any, name: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ConfigError(f"{name} must be a positive number of seconds or None, not {value!r}")
    return value


STALE = ("tell", "restart")


def stale_answer(value: Any) -> str:
    if not isinstance(value, str) or value not in STALE:
        raise ConfigError(f"on_stale must be {' or '.join(map(repr, STALE))}, not {value!r}")
    return value


def check_stale(stale_after: float | None, on_stale: str, restart: bool) -> None:
    """Raises `ConfigError` for what cannot be together."""
    if on_stale != "restart":
        return
    if stale_after is None:
        raise ConfigError("on_stale must be 'tell' without stale_after: give the seconds of silence that are too many")
    if not restart:
        raise ConfigError("on_stale must be 'tell' with restart=False: the two contradict each other")


def _own_hours(value: Any) -> OwnHours:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) and isinstance(spans, tuple) and spans and all(isinstance(s, Session) for s in spans)
        for name, spans in value.items()
    ):
        raise ConfigError('hours must be sessions by ProductID, such as {"rb": product.Sessions}')
    return dict(value)


def version_text(value: Any) -> str:
    text = _text(value, "vendor_version")
    if "\0" in text:
        raise ConfigError(f"vendor_version {text!r} has a NUL character")
    return text


def credential(value: Any, name: str) -> str:
    return checked(_text(value, name), name, SIZES[name]).reveal()


def directory(text: str) -> str:
    """Absolute, as this process sees it: the engine process may stand elsewhere."""
    return os.path.abspath(os.path.expanduser(text)) if text else ""


@dataclass(frozen=True)
class Settings:
    """One connection. Made by `settings`, which checks everything."""

    fronts: tuple[str, ...]
    broker_id: str
    investor_id: str
    password: Secret = field(repr=False)
    instruments: tuple[bytes, ...]
    page_dir: str
    using_udp: bool = False
    multicast: bool = False
    production: bool = True
    library: str | None = None
    vendor_version: str = ""
    stale_after: float | None = None
    on_stale: str = STALE[0]
    any_hour: bool = False
    hours: OwnHours = field(default_factory=dict)
    cpus: tuple[int, ...] | None = None
    realtime: int | None = None


def settings(
    md_server: str | bytes | Sequence[str | bytes],
    broker_id: str | bytes | int,
    investor_id: str | bytes,
    password: str | bytes | Secret,
    app_id: str | bytes,
    auth_code: str | bytes | Secret,
    instrument_id_list: Iterable[str | bytes],
    page_dir: str | bytes = "",
    using_udp: bool = False,
    multicast: bool = False,
    *,
    production: bool = True,
    library: str | None = None,
    vendor_version: str = "",
    stale_after: float | None = None,
    on_stale: str = STALE[0],
    any_hour: bool = False,
    hours: OwnHours | None = None,
    cpus: int | str | Iterable[int] | None = None,
    realtime: int | None = None,
) -> Settings:
    """Check all arguments. Raises `ConfigError` naming the first wrong one.

    The app id and the auth code are looked at and let go: the market-data login has no use for them.
    """
    ids = check_instruments(instrument_id_list, "instrument_id_list")
    if not ids:
        raise ConfigError("instrument_id_list is empty: name at least one instrument")
    vendor_cpus, priority = placement.choose(cpus, realtime)
    credential(app_id, "app_id")
    checked(auth_code, "auth_code", SIZES["auth_code"])
    return Settings(
        fronts=tuple(check_fronts(md_server)),
        broker_id=credential(broker_id, "broker_id"),
        investor_id=credential(investor_id, "investor_id"),
        password=checked(password, "password", MAX_PASSWORD),
        instruments=tuple(ids),
        page_dir=directory(path_text(page_dir, "page_dir")),
        using_udp=bool(using_udp),
        multicast=bool(multicast),
        production=bool(production),
        library=None if library is None else path_text(library, "library"),
        vendor_version=version_text(vendor_version),
        stale_after=seconds(stale_after, "stale_after"),
        on_stale=stale_answer(on_stale),
        any_hour=bool(any_hour),
        hours=_own_hours(hours),
        cpus=vendor_cpus,
        realtime=priority,
    )
