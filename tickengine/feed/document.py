"""A configuration as read: its values, and where each stands."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .._errors import ConfigError
from .._secret import hidden
from .._toml import tomllib
from .lines import Path, lines_of, split_key

SECRETS = ("password", "auth_code")
"""Keys that hold a secret itself. They are refused everywhere; here, so that no value of one gets any further."""

_MOST_BYTES = 1 << 20
_PAIR = re.compile(r"\s*[\w.\"'-]+\s*=\s*(\S+)")
_AT = re.compile(r" \(at line (\d+), column \d+\)$")


@dataclass
class Document:
    """Attributes:
    path: the file, as it was named.
    table: what it says, ``--set`` included; in the place of a secret stands a `Secret`.
    lines: of the file's keys.
    overrides: keys given by ``--set``, with its words.
    """

    path: str
    table: dict[str, Any]
    lines: dict[Path, int] = field(default_factory=dict)
    overrides: dict[Path, str] = field(default_factory=dict)

    def where(self, *key: str | int) -> str:
        """``"feed.toml:12"`` or ``"--set engine.cpus"``: the key itself, or the nearest that is there."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.overrides:
                return self.overrides[key[:length]]
            if key[:length] in self.lines:
                return f"{self.path}:{self.lines[key[:length]]}"
        return self.path

    def order(self, *key: str | int) -> int:
        """For sorting by place; ``--set`` comes last."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.overrides:
                return 1 << 30
            if key[:length] in self.lines:
                return self.lines[key[:length]]
        return 0

    def resolve(self, path: str, *key: str | int) -> str:
        """A path in the configuration: it starts at the file's own directory, one from ``--set`` here."""
        path = os.path.expanduser(path)
        given = any(key[:length] in self.overrides for length in range(1, len(key) + 1))
        base = os.getcwd() if given else os.path.dirname(os.path.abspath(self.path))
        return os.path.normpath(os.path.join(base, path))


def read(path: str, sets: Iterable[str] = ()) -> Document:
    """Read *path* and apply ``--set`` texts of the form ``key=value``.

    Raises:
        ConfigError: it cannot be read, or is no TOML: nothing further can be said of it; or a ``--set`` is wrong.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        cure = f"; `tickengine init {path}` writes one to begin with" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError(f"{path}: {error.strerror or error}{cure}") from None
    except ValueError:  # a NUL character
        raise ConfigError(f"{path!r} cannot be a path") from None
    if len(raw) > _MOST_BYTES:
        raise ConfigError(f"{path}: has more than {_MOST_BYTES} bytes: this is no configuration")
    if raw.startswith(b"\xef\xbb\xbf"):
        raise ConfigError(f"{path}:1: begins with a byte order mark, which TOML does not allow: save it without BOM")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8 text: save the file as UTF-8") from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        words = str(error)
        match = _AT.search(words)
        line = int(match[1]) if match else text.count("\n") + 1
        raise ConfigError(f"{path}:{line}: is no TOML: {_AT.sub('', words)}{_hint(text, line)}") from None
    except RecursionError:
        raise ConfigError(f"{path}: brackets are nested too deep") from None
    document = Document(path, table, lines_of(text))
    _hide(document.table)
    for given in sets:
        _override(document, given)
    return document


def _hint(text: str, line: int) -> str:
    lines = text.splitlines()
    match = _PAIR.match(lines[line - 1]) if line <= len(lines) else None
    if match is None:
        return ""
    value = match[1]
    if value[0] in "\u201c\u201d\u2018\u2019\uff02\uff07":
        return "; quotes are \" or ', not " + value[0]
    if re.match(r"0\d", value):
        return "; a number has no leading zero: an id stands in quotes"
    if re.match(r"[^\"'\[{\d+-]", value) and value not in ("true", "false"):
        return "; a text stands in quotes"
    return ""


def _hide(table: dict[str, Any]) -> None:
    for key, value in table.items():
        if key in SECRETS:
            table[key] = hidden(value)
        elif isinstance(value, dict):
            _hide(value)


def _override(document: Document, given: str) -> None:
    text, equals, value = given.partition("=")
    key = split_key(text.strip())
    if key is not None and key[-1] in SECRETS:
        raise ConfigError(
            f"--set {key[-1]}: a secret does not belong into a command, which every user of this machine can read: "
            f"change it now, and use {key[-1]}_file or {key[-1]}_env"
        )
    if key is None or not equals:
        raise ConfigError(f"--set {text}: must be KEY=VALUE, such as --set engine.name=feed")
    place = f"--set {text.strip()}"
    table = document.table
    for number, part in enumerate(key[:-1], 1):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{place}: {'.'.join(key[:number])} is no section")
    table[key[-1]] = _value(value.strip(), place)
    for length in range(len(key), 0, -1):
        if length == len(key) or key[:length] not in document.lines:
            document.overrides[key[:length]] = place


class BareText(str):
    """A ``--set`` value as it was written. `value` is what TOML makes of it, for keys that want no text."""

    __slots__ = ("value",)
    value: Any


def _value(text: str, place: str) -> Any:
    try:
        found = tomllib.loads(f"value = {text}\n")
    except tomllib.TOMLDecodeError as error:
        if text[:1] in ("", '"', "'", "[", "{"):
            raise ConfigError(f"{place}: {text!r} is no TOML value: {_AT.sub('', str(error))}") from None
        found = {"value": text}
    except RecursionError:
        raise ConfigError(f"{place}: brackets are nested too deep") from None
    if set(found) != {"value"}:
        raise ConfigError(f"{place}: must be one value")
    value = found["value"]
    if isinstance(value, dict):
        _hide(value)
    if isinstance(value, (str, list, dict)):
        return value
    bare = BareText(text)
    bare.value = value
    return bare
