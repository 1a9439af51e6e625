"""Passwords: where they come from, and a wrapper that keeps them out of what is printed.

A traceback with locals, a log line or a debugger's window shows an object's repr. A `Secret` has none worth
reading. It does not hide from whoever can read the process's memory.
"""

from __future__ import annotations

import ctypes as ct
import getpass
import hmac
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ._errors import ConfigError

_FILE_LIMIT = 4096

_taken: dict[str, Secret] = {}
_taking = threading.Lock()


class Secret:
    """A text that is shown as ``***``. `reveal` gives it. It can be pickled: it must get to a process."""

    __slots__ = ("_bytes",)

    def __init__(self, value: Any) -> None:
        """Raises `ConfigError` for what is no text, without the value."""
        if isinstance(value, Secret):
            self._bytes: bytes = value._bytes
        elif isinstance(value, bytes):
            self._bytes = value
        elif isinstance(value, str):
            self._bytes = value.encode("utf-8", "surrogatepass")  # the other handlers may raise, with the value
        else:
            kind = type(value).__name__
            del value  # out of the frame that a traceback shows
            raise ConfigError(f"it must be a text, not {kind}")

    def reveal(self) -> str:
        """The text. Raises `ConfigError` if it is not UTF-8."""
        text = self._bytes.decode("utf-8", "replace")
        if text.encode("utf-8", "replace") == self._bytes:
            return text
        del text
        # Not from the decoder's exception: that one carries the bytes along.
        raise ConfigError("it is not UTF-8 text")

    def raw(self) -> bytes:
        """The bytes."""
        return self._bytes

    @contextmanager
    def buffer(self) -> Iterator[ct.Array[ct.c_char]]:
        """As a C string that is zeros afterwards."""
        buffer = ct.create_string_buffer(self._bytes)
        try:
            yield buffer
        finally:
            ct.memset(buffer, 0, len(buffer))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._bytes, other._bytes)

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __bool__(self) -> bool:
        return bool(self._bytes)

    def __repr__(self) -> str:
        return "***"

    def __format__(self, _spec: str) -> str:
        return "***"

    def __reduce__(self) -> tuple[type[Secret], tuple[bytes]]:
        return Secret, (self._bytes,)


def hidden(value: Any) -> Any:
    """*value* as a `Secret`, before anything can fail in a frame that has it. What is no text stays out too:
    it may be the right thing of the wrong type."""
    if isinstance(value, (Secret, _NoText)):
        return value
    return Secret(value) if isinstance(value, (str, bytes)) else _NoText(type(value).__name__)


class _NoText:
    """What was given in place of a text: only its type is kept."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind


def checked(value: Any, name: str, size: int) -> Secret:
    """A `Secret` that fits into *size* bytes. Raises `ConfigError`, which names *name* and never the value."""
    value = hidden(value)
    if isinstance(value, _NoText):
        raise ConfigError(f"{name} must be a text, not {value.kind}")
    raw: bytes = value.raw()
    fits, whole = len(raw) <= size and b"\0" not in raw, raw.decode("utf-8", "replace").encode() == raw
    del raw
    if not whole:
        raise ConfigError(f"{name} is not UTF-8 text")
    if not fits:
        raise ConfigError(f"{name} must have at most {size} bytes and no NUL character")
    return value  # type: ignore[no-any-return]


def secret(*, env: str | None = None, file: str | os.PathLike[str] | None = None, prompt: str | None = None) -> Secret:
    """A password, from the first place that has it: an environment variable, a file, the terminal.

    The environment variable is taken out of the environment: processes started from here on do not inherit
    it. Asked for again in this process, it is there again.

    Args:
        env: name of an environment variable.
        file: a file whose only line it is. It must be this user's or root's, and nobody else may read or
            write it.
        prompt: words to ask with, at a terminal, without echo.

    Raises:
        ConfigError: it is in none of the places, or the file is not safe; the text says what to do.
    """
    looked: list[str] = []
    if env is not None:
        found = _from_environment(env)
        if found is not None:
            return found
        looked.append(f"environment variable {env} is not set")
    if file is not None:
        path = os.path.expanduser(os.fspath(file))
        found = _from_file(path)
        if found is not None:
            return found
        looked.append(f"file {path!r} does not exist")
    if prompt is not None:
        return _from_terminal(prompt, looked)
    raise ConfigError(f"no password: {'; '.join(looked) or 'name a place: env=, file= or prompt='}")


def _from_environment(name: str) -> Secret | None:
    with _taking:
        if name in os.environ:
            _taken[name] = Secret(os.environb[os.fsencode(name)])
            forget_variable(name)
        return _taken.get(name)


def forget_variable(name: str) -> None:
    """Take a variable out of the environment, and its value out of ``/proc/PID/environ``, where it would
    stay: that shows the memory in which the process got its environment."""
    libc = ct.CDLL(None)
    libc.getenv.restype, libc.getenv.argtypes = ct.c_void_p, (ct.c_char_p,)
    libc.strlen.restype, libc.strlen.argtypes = ct.c_size_t, (ct.c_void_p,)
    place = libc.getenv(os.fsencode(name))
    if place is not None:
        ct.memset(place, 0, libc.strlen(place))
    os.environ.pop(name, None)


def variables_with(*values: Secret) -> tuple[str, ...]:
    """The names of the environment variables that hold one of these (and more than nothing)."""
    wanted = [value.raw() for value in values if value]
    return tuple(os.fsdecode(name) for name, value in os.environb.items() if value in wanted)


def _from_file(path: str) -> Secret | None:
    # Without O_NONBLOCK a FIFO would be waited at. A link may be followed: what it leads to is looked at.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        return None
    except ValueError:  # a NUL, or characters that no path has
        raise ConfigError(f"password file {path!r} cannot be a path") from None
    except OSError as error:
        raise ConfigError(f"password file {path!r} cannot be opened: {error.strerror}") from None
    try:
        there = os.fstat(fd)
        if not stat.S_ISREG(there.st_mode):
            raise ConfigError(f"password file {path!r} is not a regular file")
        if there.st_uid not in (0, os.geteuid()):
            raise ConfigError(
                f"password file {path!r} belongs to user {there.st_uid}: it must belong to this user "
                f"({os.geteuid()}) or to root"
            )
        if there.st_mode & 0o077:
            mode = f"{stat.S_IMODE(there.st_mode):03o}"
            raise ConfigError(f"password file {path!r} has mode {mode}, so that others can use it: chmod 600 {path}")
        if there.st_size > _FILE_LIMIT:
            raise ConfigError(f"password file {path!r} has {there.st_size} bytes: it must have one line")
        found = Secret(_one_line(os.read(fd, _FILE_LIMIT)))
    finally:
        os.close(fd)
    if not found or b"\n" in found.raw():
        raise ConfigError(f"password file {path!r} must have exactly one line, the password")
    return found


def _one_line(raw: bytes) -> bytes:
    """Without the end of the line, which editors add; blanks may belong to it."""
    return raw.removesuffix(b"\n").removesuffix(b"\r")


def _from_terminal(prompt: str, looked: list[str]) -> Secret:
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)  # it would be echoed, or read from a pipe
        try:
            return Secret(getpass.getpass(prompt))
        except (getpass.GetPassWarning, EOFError):
            asked = "there is no terminal to ask at"
    raise ConfigError(f"no password: {'; '.join([*looked, asked])}")
