"""Every key that a configuration may have: its form, its default, what it means.

One truth: the reader checks by this table, and a test compares docs/configure.md with it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..log import DEFAULT_CAPACITY
from .document import SECRETS, BareText, Document
from .mistakes import Notes


@dataclass(frozen=True)
class Form:
    """A form of value: its name in texts, and whether a value has it."""

    words: str
    fits: Callable[[Any], bool]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


TEXT = Form("a text", lambda v: isinstance(v, str))
ACCOUNT = Form("a text or a whole number", lambda v: isinstance(v, str) or (_whole(v) and v >= 0))
TEXTS = Form("a text or a list of texts", lambda v: isinstance(v, str) or _texts(v))
LIST = Form("a list of texts", lambda v: _texts(v))
WHOLE = Form("a whole number", _whole)
SECONDS = Form(
    "a number of seconds, or false for never",
    lambda v: v is False or (isinstance(v, (int, float)) and not isinstance(v, bool)),
)
YES = Form("true or false", lambda v: isinstance(v, bool))
SPANS = Form("a section with a list of texts for each product", lambda v: isinstance(v, dict))
CPUS = Form(
    "a CPU number, a list of them, or a text such as '2-3,5'",
    lambda v: _whole(v) or isinstance(v, str) or (isinstance(v, list) and all(map(_whole, v))),
)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


@dataclass(frozen=True)
class Key:
    """One key of a section."""

    section: str
    name: str
    form: Form
    default: str
    """In words, for the documents; ``"required"`` if there is none."""
    words: str


QUEUES = "queues"
NO_DEFAULT = "required"

KEYS = (
    Key("", "front", TEXTS, NO_DEFAULT, "the front's address, several, or the name of a preset"),
    Key("", "broker", ACCOUNT, NO_DEFAULT, "broker id"),
    Key("", "user", ACCOUNT, NO_DEFAULT, "investor id"),
    Key("", "password_file", TEXT, "none", "a file with the password, one line, that only this user can read"),
    Key("", "password_env", TEXT, "none", "name of an environment variable that holds the password"),
    Key("", "app_id", TEXT, "empty", "app id; the market-data login has no use for it"),
    Key("", "auth_code_file", TEXT, "none", "as password_file; the market-data login has no use for the code"),
    Key("", "auth_code_env", TEXT, "none", "as password_env"),
    Key("instruments", "ids", TEXTS, "none", "ids, and patterns such as rb*"),
    Key("instruments", "file", TEXTS, "none", "a file of further ids and patterns, or several; read again on SIGHUP"),
    Key("instruments", "list", TEXT, "the rule tables", "a file of all ids there are, which patterns are matched with"),
    Key("instruments", "months", WHOLE, "13", "without list: how many months, this one first, a pattern reaches"),
    Key("engine", "name", TEXT, "the file's name", "the log's name, for others to attach"),
    Key("engine", "capacity", WHOLE, str(DEFAULT_CAPACITY), "records kept in the log; 448 bytes each"),
    Key("engine", "library", TEXT, "the first found", "vendor library: path, package, or compatible"),
    Key("engine", "production", YES, "true", "false for an evaluation front (libraries from 6.7.11 on)"),
    Key("engine", "vendor_version", TEXT, "the library's own", "believe this version instead"),
    Key("engine", "page_dir", TEXT, "a temporary one", "the vendor library's flow directory"),
    Key("engine", "cpus", CPUS, "all", "CPUs for the vendor library's threads"),
    Key("engine", "realtime", WHOLE, "none", "SCHED_FIFO priority, 1 to 99, for them"),
    Key("engine", "stale_after", SECONDS, "false", "without a tick for so long in trading hours, the state is stale"),
    Key("engine", "on_stale", TEXT, "tell", "restart: the engine process is then started again"),
    Key("engine", "watchdog", SECONDS, "30", "an engine process without a sign of life is killed and started again"),
    Key("engine", "restart", YES, "true", "start the engine process again when it dies"),
    Key("engine", "core_dumps", YES, "false", "let a crash leave a core file; the password is in it"),
    Key(QUEUES, "instruments", TEXTS, "all", "ids and patterns, of those subscribed"),
    Key(QUEUES, "events", YES, "false", "connection events, too"),
    Key(QUEUES, "wait", TEXT, "adaptive", "adaptive, block or spin"),
    Key(QUEUES, "skip", LIST, "none", "flags whose ticks are passed over, such as SNAPSHOT"),
    Key("recorder", "directory", TEXT, "off", "record into this directory, one file for each trading day"),
    Key("recorder", "instruments", TEXTS, "all", "ids and patterns, of those subscribed"),
    Key("sessions", "any_hour", YES, "false", "every hour counts as session hours: for test fronts"),
    Key(
        "sessions",
        "hours",
        SPANS,
        "the product tables",
        'own hours, in China\'s time: rb = ["21:00-23:00", "09:00-15:00"]',
    ),
    Key("metrics", "listen", TEXT, "off", "host:port for Prometheus, such as 127.0.0.1:9464"),
    Key("logging", "format", TEXT, "text", "text or json"),
    Key("logging", "level", TEXT, "info", "debug, info, warning or error"),
)
SECTIONS = tuple(dict.fromkeys(key.section for key in KEYS if key.section))


def keys_of(section: str) -> dict[str, Key]:
    return {key.name: key for key in KEYS if key.section == section}


class Values:
    """What a document says, as far as it has the right form: ``values.get("engine", "cpus")``."""

    def __init__(self, document: Document, notes: Notes) -> None:
        self._notes = notes
        self._found: dict[tuple[str, ...], Any] = {}
        self.queues: list[str] = []
        table = document.table
        for name, value in table.items():
            if name not in SECTIONS:
                self._take("", (name,), value)
            elif not isinstance(value, dict):
                notes.mistake(f"is a section: write [{name}] and its keys below", name)
            elif name == QUEUES:
                self._take_queues(value)
            else:
                for inner, item in value.items():
                    self._take(name, (name, inner), item)

    def get(self, *key: str) -> Any:
        """None if it is not given, or has a wrong form, which has been noted."""
        return self._found.get(key)

    def has(self, *key: str) -> bool:
        """Whether it is given with the right form."""
        return key in self._found

    def _take_queues(self, table: dict[str, Any]) -> None:
        for name, value in table.items():
            if isinstance(value, dict):
                self.queues.append(name)
                for inner, item in value.items():
                    self._take(QUEUES, (QUEUES, name, inner), item)
            else:
                self._notes.mistake(f"is a queue: write [queues.{name}] and its keys below", QUEUES, name)

    def _take(self, section: str, path: tuple[str, ...], value: Any) -> None:
        name = path[-1]
        key = keys_of(section).get(name)
        if name in SECRETS:
            self._notes.mistake(
                "a secret does not belong into this file, which gets copied and shown: put it alone into a file, "
                f"chmod 600 it, and give that file's path as {name}_file (or use {name}_env)",
                *path,
            )
        elif key is None:
            self._notes.mistake(f"is not known; {_nearest(section, name)}", *path)
        else:
            fitting = _fitting(key.form, value)
            if fitting is None:
                self._notes.mistake(f"must be {key.form.words}, not {_kind(value, key.form)}", *path)
            else:
                self._found[path] = fitting[0]


def _fitting(form: Form, value: Any) -> tuple[Any] | None:
    if not isinstance(value, BareText):
        return (value,) if form.fits(value) else None
    # A text wants what was written: --set user=007 means 007.
    if form in (TEXT, TEXTS, ACCOUNT):
        return (str(value),)
    return (value.value,) if form.fits(value.value) else None


def _kind(value: Any, form: Form) -> str:
    if isinstance(value, BareText):
        value = value.value
    kinds = {
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a section",
    }
    words = kinds.get(type(value), f"a {type(value).__name__}")
    if not isinstance(value, list) or not value:
        return words
    wrong = next((item for item in value if not form.fits([item])), value[0])
    return f"a list with {_kind(wrong, form)} in it"


def _nearest(section: str, name: str) -> str:
    here = list(keys_of(section))
    if section == "":
        here += SECTIONS
    near = difflib.get_close_matches(name, here, 1)
    if near:
        return f"did you mean {near[0]}?"
    elsewhere = [key.section or "the top of the file" for key in KEYS if key.name == name]
    if elsewhere:
        homes = " or ".join(f"[{s}.NAME]" if s == QUEUES else s if " " in s else f"[{s}]" for s in elsewhere)
        return f"it belongs into {homes}" if " " not in elsewhere[0] else f"it belongs to {elsewhere[0]}"
    far = difflib.get_close_matches(name, [key.name for key in KEYS], 1)
    where = next((f" in [{key.section}]" if key.section else "" for key in KEYS if far and key.name == far[0]), "")
    return f"did you mean {far[0]}{where}?" if far else f"known here are {', '.join(here)}"
