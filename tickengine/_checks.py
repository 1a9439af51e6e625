"""Arguments that several entries take, looked at in one way."""

from __future__ import annotations

from collections.abc import Iterable

from ._errors import ConfigError
from .tick import TickFlag

MAX_ID = 80  # characters, of the vendor's longest id array


def check_instruments(instruments: Iterable[str | bytes], what: str = "instruments") -> list[bytes]:
    """The ids as bytes, without repeats. `ConfigError` names the first one that cannot be one."""
    if isinstance(instruments, (str, bytes)):
        raise ConfigError(f"{what} must be a list of ids, not the single text {instruments!r}")
    if not isinstance(instruments, Iterable):
        raise ConfigError(f"{what} must be a list of ids, not {instruments!r}")
    ids: dict[bytes, None] = {}
    for item in instruments:
        if not isinstance(item, (str, bytes)):
            raise ConfigError(f"{what}: an instrument id must be str or bytes, not {item!r}")
        try:
            raw = item if isinstance(item, bytes) else item.encode("ascii")
            raw.decode("ascii")
        except UnicodeError:
            raise ConfigError(f"{what}: instrument id {item!r} is not ASCII") from None
        # A combination has a blank inside: b"SP a2601&a2605".
        if not 1 <= len(raw) <= MAX_ID or not all(0x20 <= c < 0x7F for c in raw) or raw != raw.strip():
            raise ConfigError(
                f"{what}: instrument id {item!r} must have 1 to {MAX_ID} characters, all printable, no blanks around it"
            )
        ids[raw] = None
    return list(ids)


def check_skip(skip: int) -> int:
    """The flags as a number. `ConfigError` for what is none."""
    known = sum(TickFlag)
    if isinstance(skip, bool) or not isinstance(skip, int) or skip < 0 or skip & ~known:
        raise ConfigError(f"skip must be TickFlags joined with |, not {skip!r}")
    return int(skip)
