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


class FlowDirectory:
    """A directory for one api in one process.

    Args:
        page_dir: the directory, made if it is missing; ``""`` for a private temporary one that
            `close` removes.

    Raises:
        ConfigError: it cannot be made or written, or another process holds it.
    """

    def __init__(self, page_dir: str) -> None:
        self._temporary = page_dir == ""
        if self._temporary:
            self.path = tempfile.mkdtemp(prefix="tickengine-flow-") + "/"
        else:
            self.path = os.path.abspath(os.path.expanduser(page_dir)) + "/"
            try:
                os.makedirs(self.path, mode=0o700, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"flow directory {page_dir!r} cannot be made: {error.strerror}") from None
        try:
            self._fd = os.open(self.path + _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigError(f"flow directory {self.path!r} cannot be written: {error.strerror}") from None
        try:
            # A record lock, not flock: it belongs to this process, so a forked child cannot keep it.
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._fd, 32).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise ConfigError(
                f"flow directory {self.path!r} is in use by process {holder or 'unknown'}; "
                "each api needs a directory of its own"
            ) from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def close(self) -> None:
        """Unlock; remove a temporary directory. Can be repeated."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)
