"""From a document to everything that `run` needs, or to all that is wrong with it."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable
from typing import Any

from .. import _segments, placement, vendor
from .._errors import ConfigError
from .._secret import Secret, checked, secret
from .._shim import WAIT_MODES
from .._watchdog import check_limit
from ..config import (
    MAX_PASSWORD,
    SIZES,
    STALE,
    check_stale,
    credential,
    directory,
    path_text,
    seconds,
    stale_answer,
    version_text,
)
from ..flow import check_private
from ..log import MAX_READERS
from ..watch.own import EVENTS, RECORDER, own_queue
from .checks import LOOPBACK, address, capacity, check_host, check_writable, flag_of, no_placeholder
from .choice import Choice, as_list, chosen, filter_of
from .document import Document, read
from .feed import Feed, QueuePlan, RecorderPlan
from .mistakes import Mistakes, Notes
from .presets import Preset, front_of
from .schema import QUEUES, Values
from .sessions import Hours, hours_in

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")


def load(path: str, sets: Iterable[str] = ()) -> Feed:
    """Read and check a configuration. Takes the secrets out of the environment.

    Raises:
        Mistakes: everything that is wrong with it.
        ConfigError: it cannot be read at all.
    """
    document = read(path, sets)
    notes = Notes(document)
    feed = _Planning(document, notes).feed()
    if notes.mistakes:
        raise Mistakes(notes.mistakes)
    assert feed is not None
    return feed


def choice_of(path: str, sets: Iterable[str] = ()) -> Choice:
    """The instruments alone, for a feed that is running. Raises as `load` does."""
    document = read(path, sets)
    notes = Notes(document)
    choice = chosen(document, Values(document, Notes(document)), notes)
    if notes.mistakes:
        raise Mistakes(notes.mistakes)
    return choice


def engine_and_hours(name: str | None, path: str | None) -> tuple[str, Hours]:
    """An engine's name, and the session hours that a configuration gives it.

    Args:
        name: None: the configuration's.
        path: of the configuration; None: there is none, and the hours are the tables'.

    Raises:
        ConfigError: neither is given. As `load` for the forms of all keys, the name and the hours.
    """
    if path is None:
        if name is None:
            raise ConfigError("whose? Name the engine, or give its configuration: --config feed.toml")
        return name, Hours()
    document = read(path)
    notes = Notes(document)
    values = Values(document, notes)
    hours = hours_in(document, values, notes)
    with notes.at("engine", "name"):
        name = name or _engine_name(document, values)
    if notes.mistakes:
        raise Mistakes(notes.mistakes)
    assert name is not None
    return name, hours


def _engine_name(document: Document, values: Values) -> str:
    own = os.path.splitext(os.path.basename(document.path))[0]
    return _segments.check_name(values.get("engine", "name") or own)


class _Planning:
    def __init__(self, document: Document, notes: Notes) -> None:
        self._document = document
        self._notes = notes
        self._values = Values(document, notes)

    def feed(self) -> Feed | None:
        document, notes, values = self._document, self._notes, self._values
        fronts, preset = self._fronts()
        account = {name: self._account(name, preset) for name in ("broker", "user")}
        secrets = {name: self._secret(name, preset) for name in ("password", "auth_code")}
        app_id = values.get("app_id") or (preset.app_id if preset else "")
        with notes.at("app_id"):
            credential(app_id, "app_id")
        choice = chosen(document, values, notes, real=preset is None or not preset.is_here)
        page_dir, options = self._engine(preset)
        found = self._vendor(options)
        queues = tuple(self._queue(name, choice, options.get("name")) for name in values.queues)
        recorder = self._recorder(choice)
        hours = hours_in(document, values, notes)
        options.update(any_hour=hours.any_hour, hours=hours.own)
        listen = self._listen()
        log_format = self._one_of(FORMATS, "text", "logging", "format")
        log_level = self._one_of(LEVELS, "info", "logging", "level")
        self._count_queues(log_format)
        if notes.mistakes or found is None:
            return None
        return Feed(
            path=document.path,
            fronts=fronts,
            preset=preset,
            broker=account["broker"],
            user=account["user"],
            password=secrets["password"],
            app_id=app_id,
            auth_code=secrets["auth_code"],
            choice=choice,
            page_dir=page_dir,
            vendor=found,
            options=options,
            queues=queues,
            recorder=recorder,
            hours=hours,
            listen=listen,
            log_format=log_format,
            log_level=log_level,
            doubts=tuple(notes.doubts),
        )

    def _given(self, *key: str) -> bool:
        """Whether the document has the key, be it right or wrong: it is then not missing."""
        table: Any = self._document.table
        for part in key:
            if not isinstance(table, dict) or part not in table:
                return False
            table = table[part]
        return True

    # ---- the account ---------------------------------------------------------------------------

    def _fronts(self) -> tuple[tuple[str, ...], Preset | None]:
        if not self._given("front"):
            self._notes.mistake('is missing: front = "tcp://host:port", or a preset such as "simnow"', "front")
            return (), None
        items = as_list(self._values.get("front"))
        if not items and self._values.has("front"):
            self._notes.mistake("is empty: give the front's address", "front")
        found: list[str] = []
        used: list[Preset] = []
        for number, item in enumerate(items):
            with self._notes.at("front", number):
                no_placeholder(item)
                address, preset = front_of(item)
                found.append(address)
                if preset is not None:
                    used.append(preset)
        if len({preset.broker for preset in used}) > 1 or len({preset.is_here for preset in used}) > 1:
            self._notes.mistake("these presets do not belong together", "front")
        return tuple(dict.fromkeys(found)), used[0] if used else None

    def _account(self, name: str, preset: Preset | None) -> str:
        what = {"broker": "broker_id", "user": "investor_id"}[name]
        value = self._values.get(name)
        if not self._given(name):
            if preset is not None and (name == "broker" or preset.is_here):
                return preset.broker if name == "broker" else "tickengine"
            self._notes.mistake(f'is missing: {name} = "..." ({what.replace("_", " ")})', name)
            return ""
        if value is None:
            return ""  # of a wrong form, which has been said
        text = str(value)
        if not text:
            self._notes.mistake(f'is empty: {name} = "..." ({what.replace("_", " ")})', name)
        with self._notes.at(name):
            no_placeholder(text)
            return checked(text, name, SIZES[what]).reveal()
        return ""

    def _secret(self, name: str, preset: Preset | None) -> Secret:
        """From where the document says. No text here has more of it than the name of its file."""
        file, variable = f"{name}_file", f"{name}_env"
        nothing = Secret("")
        wanted = name == "password" and not (preset is not None and preset.is_here)
        places = [key for key in (file, variable) if self._given(key)]
        if not places:
            if wanted and not self._given(name):
                self._notes.mistake(
                    'is missing: password_file = "password" (a file with the password alone, chmod 600), '
                    "or password_env",
                    "password",
                )
            return Secret(preset.auth_code) if preset is not None and name == "auth_code" else nothing
        if len(places) == 2:
            self._notes.mistake(f"give {file} or {variable}, not both", variable)
            return nothing
        found = nothing
        with self._notes.at(places[0]):
            if places[0] == file and self._values.has(file):
                found = secret(file=self._document.resolve(self._values.get(file), file))
            elif self._values.has(variable):
                found = self._from_environment(self._values.get(variable))
            return checked(found, name, MAX_PASSWORD if name == "password" else SIZES[name])
        return nothing

    @staticmethod
    def _from_environment(name: str) -> Secret:
        # Without the name: whoever mistook this key for the password itself has written that.
        if not _VARIABLE.fullmatch(name):
            raise ConfigError("must be the name of an environment variable, such as CTP_PASSWORD, not the secret")
        try:
            return secret(env=name)
        except ConfigError:
            raise ConfigError("the environment variable of this name is not set: export it, or use a file") from None

    # ---- the engine ----------------------------------------------------------------------------

    def _engine(self, preset: Preset | None) -> tuple[str, dict[str, Any]]:
        get, at = self._values.get, self._notes.at
        options: dict[str, Any] = {}
        with at("engine", "name"):
            options["name"] = _engine_name(self._document, self._values)
        with at("engine", "capacity"):
            options["capacity"] = capacity(get("engine", "capacity"))
        library = get("engine", "library") or (preset.library if preset else "") or None
        if library is not None and (os.sep in library or library.endswith(".so")):
            library = self._document.resolve(library, "engine", "library")
        with at("engine", "library"):
            options["library"] = vendor.resolve(None if library is None else path_text(library, "library"))[0]
        with at("engine", "vendor_version"):
            options["vendor_version"] = version_text(get("engine", "vendor_version") or "")
        with at("engine", "cpus"):
            placement.choose(get("engine", "cpus"), None)
            options["cpus"] = get("engine", "cpus")
            with at("engine", "realtime"):
                placement.choose(get("engine", "cpus"), get("engine", "realtime"))
                options["realtime"] = get("engine", "realtime")
        with at("engine", "stale_after"):
            options["stale_after"] = seconds(_or_never(get("engine", "stale_after")), "stale_after")
            with at("engine", "on_stale"):
                options["on_stale"] = stale_answer(get("engine", "on_stale") or STALE[0])
                check_stale(options["stale_after"], options["on_stale"], get("engine", "restart") is not False)
        if self._values.has("engine", "watchdog"):
            with at("engine", "watchdog"):
                options["watchdog"] = check_limit(_or_never(get("engine", "watchdog")))
        for name in ("production", "restart", "core_dumps"):
            if self._values.has("engine", name):
                options[name] = get("engine", name)
        page_dir = ""
        with at("engine", "page_dir"):
            given = get("engine", "page_dir")
            if given:
                page_dir = directory(path_text(self._document.resolve(given, "engine", "page_dir"), "page_dir"))
                check_writable(page_dir)
                check_private(page_dir)
        return page_dir, options

    def _vendor(self, options: dict[str, Any]) -> vendor.Vendor | None:
        """The library as the engine process will recognise it; None: it is refused, or not known which."""
        path, version = options.get("library"), options.get("vendor_version")
        if path is None or version is None:
            return None
        found = vendor.describe(path, "configuration", version)
        if not found.error:
            return found
        # A library that is refused in any case has nothing to do with the version to be believed.
        its_own = vendor.describe(path, "configuration").error if version else found.error
        key = "library" if its_own == found.error else "vendor_version"
        self._notes.mistake(f"{path} is refused: {found.error}", "engine", key)
        return None

    # ---- what reads it -------------------------------------------------------------------------

    def _queue(self, name: str, choice: Choice, engine: str | None) -> QueuePlan:
        values, notes, key = self._values, self._notes, (QUEUES, name)
        with notes.at(*key):
            _segments.check_name(name)
            if name == engine:
                raise ConfigError("has the engine's name; whoever attaches it would get the queue: rename one")
            if engine is not None and name in (own_queue(engine, RECORDER), own_queue(engine, EVENTS)):
                raise ConfigError("is the name of a queue that the feed has for itself: rename it")
        instruments = self._filter(choice, *key, "instruments")
        skip = 0
        for number, flag in enumerate(values.get(*key, "skip") or ()):
            with notes.at(*key, "skip", number):
                skip |= flag_of(flag)
        wait = self._one_of(tuple(WAIT_MODES), "adaptive", *key, "wait")
        return QueuePlan(name, instruments, bool(values.get(*key, "events")), wait, skip)

    def _count_queues(self, log_format: str) -> None:
        """The recorder and the JSON log take a place in the log, too."""
        more = bool(self._values.get("recorder", "directory")) + (log_format == "json")
        names = self._values.queues
        if len(names) + more > MAX_READERS:
            own = f", {more} of them for the recorder and the JSON log" if more else ""
            self._notes.mistake(
                f"there are {len(names)} queues, and a log has places for {MAX_READERS}{own}: "
                f"leave out {len(names) + more - MAX_READERS}",
                *(QUEUES, names[MAX_READERS - more]),
            )

    def _filter(self, choice: Choice, *key: str) -> tuple[str, ...] | None:
        texts = as_list(self._values.get(*key))
        if not texts and self._values.has(*key):
            self._notes.mistake("is empty: leave it out for all instruments", *key)
        if not texts or not choice.ids:
            return None
        ids, wrong = filter_of(texts, choice.ids)
        for words in wrong:
            self._notes.mistake(words, *key)
        return tuple(ids)

    def _recorder(self, choice: Choice) -> RecorderPlan | None:
        key = "recorder", "directory"
        instruments = self._filter(choice, "recorder", "instruments")
        if self._given("recorder", "instruments") and not self._given(*key):
            self._notes.mistake('is missing: directory = "ticks"', *key)
        if not self._values.get(*key):
            return None
        with self._notes.at(*key):
            found = directory(path_text(self._document.resolve(self._values.get(*key), *key), "directory"))
            check_writable(found)
            return RecorderPlan(found, instruments)
        return None

    def _listen(self) -> tuple[str, int] | None:
        given = self._values.get("metrics", "listen")
        if not given:
            return None
        with self._notes.at("metrics", "listen"):
            found = address(given)
            if importlib.util.find_spec("prometheus_client") is None:
                raise ConfigError("needs the package prometheus_client: pip install 'tickengine[metrics]'")
            check_host(found[0])
            if found[0] not in (LOOPBACK, "localhost", "::1"):
                self._notes.doubt(f"whoever reaches {found[0]} can read the metrics", "metrics", "listen")
            return found
        return None

    def _one_of(self, known: tuple[str, ...], default: str, *key: str) -> str:
        value = self._values.get(*key)
        if value is not None and value not in known:
            self._notes.mistake(f"must be {', '.join(known[:-1])} or {known[-1]}, not {value!r}", *key)
        return value or default


def _or_never(seconds: float | None) -> float | None:
    """TOML has no None: false stands for it. 0 does not."""
    return None if seconds is False else seconds
