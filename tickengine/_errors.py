"""What can go wrong, as one tree.

::

    TickEngineError
    ├── ConfigError (ValueError)       a wrong argument, address, id or directory; nothing was started
    ├── ShimError                      .call, .code, .detail
    │   ├── SegmentError               a segment that is damaged, foreign or of another version
    │   ├── NotFoundError (LookupError)
    │   ├── NameTakenError             a live engine or queue has this name
    │   ├── BusyError                  somebody else is reading this queue or writing this log
    │   ├── VendorLibraryError         not found, not CTP's, of an unknown version
    │   └── OverwrittenError (LookupError)  the record is no longer in the log
    ├── MissingPackage (ImportError)   an optional package is not installed; says which
    ├── EngineError                    the engine process failed to start or gave up
    ├── RecordingError                 a recording that is damaged, in use, or cannot be written
    └── Closed                         the engine has ended and everything has been read
"""

from __future__ import annotations


class TickEngineError(Exception):
    """Base of all errors of this package."""


class ConfigError(TickEngineError, ValueError):
    """An argument, address, id or directory is wrong. Raised before anything is started."""


class MissingPackage(TickEngineError, ImportError):
    """A function needs an optional package that is not installed. The message says what to install."""


class ShimError(TickEngineError):
    """A call into the shim failed.

    Attributes:
        call: name of the C function.
        code: its negative status, one of ``TK_E_*`` in ``tickshim.h``.
        detail: what went wrong, in words.
    """

    def __init__(self, call: str, code: int, detail: str) -> None:
        super().__init__(detail or f"{call} failed with status {code}")
        self.call = call
        self.code = code
        self.detail = detail

    def __reduce__(self) -> tuple[type[ShimError], tuple[str, int, str]]:
        return type(self), (self.call, self.code, self.detail)


class SegmentError(ShimError):
    """A segment is damaged, belongs to somebody else, or was made by another version."""


class NotFoundError(ShimError, LookupError):
    """No segment, file or instrument of that name."""


class NameTakenError(ShimError):
    """A live process holds this name; its pid is in the text."""


class BusyError(ShimError):
    """Another process or thread is reading this queue or writing this log."""


class VendorLibraryError(ShimError):
    """The vendor library was not found, is not CTP's, or is of an unknown version."""


class OverwrittenError(ShimError, LookupError):
    """The record asked for has been overwritten."""


class EngineError(TickEngineError):
    """The engine process could not start, or gave up. The text says why."""


class SilentFeed(Exception):
    """Not for users: the session ends because no tick came for *seconds*."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class RecordingError(TickEngineError):
    """A recording is missing, damaged, foreign, in use, or cannot be written. The text says which, and where."""


class Closed(TickEngineError):
    """The engine has ended and everything in the queue has been read (or the queue was closed)."""


_BY_CODE: dict[int, type[ShimError]] = {
    -3: NotFoundError,
    -4: NameTakenError,
    -5: SegmentError,
    -7: BusyError,
    -8: VendorLibraryError,
    -10: OverwrittenError,
}


def from_status(call: str, code: int, detail: str) -> TickEngineError:
    """The exception for a shim status."""
    if code == -1:
        return ConfigError(detail)
    return _BY_CODE.get(code, ShimError)(call, code, detail)
