"""Orders and actions on their way to the process that sends them."""

from __future__ import annotations

import ctypes as ct
import os
from collections.abc import Mapping

from .. import _segments
from .._errors import ConfigError
from .._shim import lib, new_handle
from .._shim_td import RING_ACTION, RING_INSERT
from .records import Value, encode_struct


class CommandRing:
    """A ring between two processes: the one that makes it puts, the one that attaches it takes.

    Args:
        name: of the segment.
        capacity: commands that may wait.

    Raises:
        NameTakenError: there is a ring of this name.
    """

    def __init__(self, name: str, capacity: int = 1024) -> None:
        _segments.sweep_once()
        handle = new_handle()
        lib().ring_create(_segments.ring_path(name), capacity, ct.byref(handle))
        self._set(name, handle, os.getpid())

    def _set(self, name: str, handle: ct.c_void_p, maker: int) -> None:
        self.name = name
        self.handle = handle
        self._maker = maker

    @classmethod
    def attach(cls, name: str) -> CommandRing:
        """The ring of another process. Raises `NotFoundError`, `SegmentError`."""
        handle = new_handle()
        lib().ring_attach(_segments.ring_path(name), ct.byref(handle))
        ring = cls.__new__(cls)
        ring._set(name, handle, 0)
        return ring

    def __enter__(self) -> CommandRing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _open(self) -> ct.c_void_p:
        if not self.handle:
            raise ConfigError(f"the command ring {self.name!r} has been closed")
        return self.handle

    def insert(self, client_id: int, order: Mapping[str, Value | bytes]) -> None:
        """Put an order: fields of the vendor's ``InputOrder``. `OrderRef` is the sender's to choose.

        Args:
            client_id: our number of it, never used before in this journal.

        Raises:
            ConfigError: a field is wrong. Nothing was put.
            ShimError: the ring is full (code -6). Nothing was put.
        """
        self.put(RING_INSERT, client_id, encode_struct("InputOrder", order))

    def action(self, client_id: int, action: Mapping[str, Value | bytes]) -> None:
        """Put an ``InputOrderAction``, in the same way."""
        self.put(RING_ACTION, client_id, encode_struct("InputOrderAction", action))

    def put(self, kind: int, client_id: int, payload: bytes) -> None:
        """Put a struct that is encoded already."""
        lib().ring_put(self._open, kind, client_id, payload, len(payload))

    @property
    def waiting(self) -> int:
        """Commands that are not done."""
        return int(lib().ring_waiting(self._open))

    @property
    def taker_pid(self) -> int:
        """The process that takes, 0 if none does."""
        return int(lib().ring_taker(self._open))

    def close(self) -> None:
        """Unmap; the maker also removes the name. Can be repeated. No sender may be using it."""
        handle, self.handle = self.handle, ct.c_void_p()
        if handle:
            lib().ring_close(handle)
            if self._maker == os.getpid():
                _segments.unlink(_segments.ring_path(self.name))
