"""The vendor library's flow directory: made, checked and locked before the library sees it.

The library ends the process (SIGSEGV) when it cannot create its files, and two processes in one
directory write each other's files; it checks neither.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import stat
import tempfile

from ._errors import ConfigError

logger = logging.getLogger("tickengine")

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
        ConfigError: it cannot be made or written, others could put files into it, or another api holds it.
    """

    def __init__(self, page_dir: str) -> None:
        self._fd = -1
        self._temporary = page_dir == ""
        if self._temporary:
            self.path = temporary_directory() + "/"
        else:
            self.path = os.path.abspath(page_dir) + "/"
            try:
                _make_private(os.path.abspath(page_dir))
            except OSError as error:
                raise ConfigError(f"flow directory {page_dir!r} cannot be made: {error.strerror}") from None
        self._key = os.path.realpath(self.path)
        check_private(self.path)
        if self._key in _held:
            raise self._in_use(os.getpid())
        fd = open_private(self.path + _LOCK, os.O_RDWR)
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


def temporary_directory() -> str:
    """A new private directory. Its name cannot be guessed."""
    path = tempfile.mkdtemp(prefix="tickengine-flow-")
    os.chmod(path, 0o700)  # the umask may have taken our own rights away
    return path


def open_private(path: str, flags: int) -> int:
    """A descriptor of a file of our own in the flow directory, mode 0600, made if it is missing.

    Raises:
        ConfigError: it cannot be opened, or somebody has put something else in its place.
    """
    try:
        # Without O_NONBLOCK a FIFO would be waited at.
        fd = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        directory, name = os.path.split(path)
        raise ConfigError(f"flow directory {directory + '/'!r} cannot be written: {name}: {error.strerror}") from None
    there = os.fstat(fd)
    if not stat.S_ISREG(there.st_mode) or there.st_uid != os.geteuid() or there.st_nlink > 1:
        os.close(fd)
        raise ConfigError(
            f"{path!r} is not a file of this user's own (a special file, another user's, or one with further names): "
            "remove it"
        )
    os.fchmod(fd, 0o600)
    return fd


def _make_private(path: str) -> None:
    """Make a directory and what is missing above it, each with mode 0700 whatever the umask is."""
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    if above != path:
        _make_private(above)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if os.path.isdir(path):  # another engine was faster
            return
        raise
    os.chmod(path, 0o700)


def check_private(path: str) -> None:
    """Nobody else may be able to put links in the way of the vendor library, or to exchange the directory.

    Raises `ConfigError`. One that is still to be made will be this user's own: then it is about what is above.
    """
    real = os.path.realpath(path)
    if os.path.exists(real):
        _check_own(path, real)
    while (above := os.path.dirname(real)) != real:
        mode = os.stat(above).st_mode if os.path.exists(above) else 0
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise ConfigError(
                f"flow directory {path!r}: {above!r} above it can be written by everybody, who can exchange what is "
                f"in it: chmod +t {above}, or take another one"
            )
        real = above


def _check_own(path: str, real: str) -> None:
    there = os.stat(real)
    if not os.access(real, os.W_OK | os.X_OK):
        raise ConfigError(f"flow directory {path!r} cannot be written: this user has no right to")
    if there.st_uid != os.geteuid():
        raise ConfigError(
            f"flow directory {path!r} belongs to user {there.st_uid}, not to this one ({os.geteuid()}): "
            "take a directory of this user's own"
        )
    if there.st_mode & stat.S_IWOTH:
        raise ConfigError(f"flow directory {path!r} can be written by everybody: chmod 700 {path}, or take another one")
    if there.st_mode & stat.S_IWGRP:
        logger.warning("flow directory %r can be written by its group: chmod 700 %s", path, path)
