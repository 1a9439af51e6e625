"""The vendor library's flow directory: made, checked and locked before the library sees it.

The library ends the process (SIGSEGV) when it cannot create its files, and two processes in one
directory write each other's files; it checks neither.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile

from ._errors import ConfigError

_LOCK = "tickengine.lock"

# What this process holds. A record lock does not tell a process's own apis apart, and closing any
# descriptor of the file would give the lock up: look here before opening.
_held: set[str] = set()


class FlowDirectory:
    """A directory for one api in one process.

    Args:
        page_dir: the directory, made if it is missing; ``""`` for a private temporary one that
            `close` removes.

    Raises:
        ConfigError: it cannot be made or written, or another api holds it.
    """

    def __init__(self, page_dir: str) -> None:
        self._fd = -1
        self._temporary = page_dir == ""
        if self._temporary:
            self.path = tempfile.mkdtemp(prefix="tickengine-flow-") + "/"
        else:
            self.path = os.path.abspath(page_dir) + "/"
            try:
                os.makedirs(self.path, mode=0o700, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"flow directory {page_dir!r} cannot be made: {error.strerror}") from None
        self._key = os.path.realpath(self.path)
        if self._key in _held:
            raise self._in_use(os.getpid())
        try:
            fd = os.open(self.path + _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigError(f"flow directory {self.path!r} cannot be written: {error.strerror}") from None
        try:
            # A record lock, not flock: it belongs to this process, so a forked child cannot keep it.
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(fd, 32).decode("ascii", "replace").strip()
            os.close(fd)
            raise self._in_use(holder or "unknown") from None
        try:
            os.ftruncate(fd, 0)
            os.write(fd, f"{os.getpid()}\n".encode())
        except OSError as error:  # a full disk; the library could not write its files either
            os.close(fd)
            raise ConfigError(f"flow directory {self.path!r} cannot be written: {error.strerror}") from None
        self._fd = fd
        _held.add(self._key)

    def _in_use(self, holder: int | str) -> ConfigError:
        return ConfigError(
            f"flow directory {self.path!r} is in use by process {holder}; each api needs a directory of its own"
        )

    def close(self) -> None:
        """Unlock; remove a temporary directory. Can be repeated."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        _held.discard(self._key)
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)
