"""``tickengine check`` and ``tickengine init``."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.resources import files

from .. import _segments, placement, vendor
from .._errors import ConfigError
from ..words import complain
from .checks import PLACEHOLDER, memory
from .choice import span
from .feed import Feed
from .mistakes import Mistakes
from .plan import load

DEFAULT_FILE = "feed.toml"
_PLAIN = ("6.3.6", "6.3.11")  # versions that do not encrypt


def add_file(parser: argparse.ArgumentParser) -> None:
    """The arguments that `check` and `run` share."""
    parser.add_argument("file", help="the configuration, a TOML file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="in place of what the file says, such as engine.capacity=131072; may be repeated. VALUE is TOML, a bare "
        "word is a text. Secrets are refused: every user of the machine can read a command",
    )


def add_check(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.epilog = (
        "Nothing is started and no front is spoken to. Every mistake is one line: FILE:LINE: KEY: what is wrong and "
        "what to do; the exit status is then 1. Example: tickengine check feed.toml --set engine.name=test"
    )


def run_check(args: argparse.Namespace) -> int:
    """Print all mistakes, or what the configuration comes to. 0: `run` would start."""
    try:
        feed = load(args.file, args.set)
    except Mistakes as mistakes:
        return report(mistakes)
    for line in (*feed.doubts, *_library_doubts(feed), *_memory_doubts(feed)):
        print(f"doubt: {line}", file=sys.stderr)
    for line in described(feed):
        print(line)
    return 0


def report(mistakes: Mistakes) -> int:
    """Each mistake as a line on stderr, and how many. Returns the exit status."""
    for line in mistakes.lines:
        complain(line)
    count = len(mistakes.lines)
    complain(f"{count} mistake{'s' if count > 1 else ''}; nothing was started")
    return 1


def _library_doubts(feed: Feed) -> list[str]:
    found = feed.vendor
    here = feed.preset is not None and feed.preset.is_here
    if not here and (found.version.lstrip("vV").startswith(_PLAIN) or found.path == vendor.compatible_library()):
        return [
            f"{feed.path}: engine.library: {found.path} ({found.version}) does not encrypt: of today's fronts only "
            "the loopback one talks to it; pip install 'tickengine[ctp]' brings a current one"
        ]
    if found.evaluation and feed.options.get("production", True):
        return [f"{feed.path}: engine.library: {found.path} is an evaluation build: production fronts refuse it"]
    return []


def _memory_doubts(feed: Feed) -> list[str]:
    needed = memory(feed.options["capacity"])
    room = os.statvfs(_segments.DIRECTORY)
    free = room.f_bavail * room.f_frsize
    if needed <= free:
        return []
    return [
        f"{feed.path}: engine.capacity: the log takes {needed >> 20} MiB in {_segments.DIRECTORY}, which has "
        f"{free >> 20} MiB free; less capacity, or more room (docker: --shm-size)"
    ]


def described(feed: Feed) -> list[str]:
    """What a feed will be, in lines."""
    options = feed.options
    preset = f" (preset {feed.preset.name}: {feed.preset.words})" if feed.preset else ""
    if feed.preset is not None and feed.preset.known:
        day = feed.preset.known
        preset += f"; address as of {day[:4]}-{day[4:6]}-{day[6:]}"
    cpus = options.get("cpus")
    pinned = "any CPU" if cpus is None else f"CPU {cpus if isinstance(cpus, (int, str)) else placement.words(cpus)}"
    if options.get("realtime") is not None:
        pinned += f", SCHED_FIFO {options['realtime']}"
    lines = [
        f"front:        {', '.join(feed.fronts)}{preset}",
        f"account:      broker {feed.broker}, user {feed.user}, password {'given' if feed.password else 'empty'}",
        f"library:      {options['library']}, {pinned}",
        f"log:          {options['name']}, {options['capacity']:,} records",
        f"instruments:  {span(feed.choice.ids)}",
        *(f"              {words}" for words in feed.choice.words),
    ]
    for queue in feed.queues:
        what = "all instruments" if queue.instruments is None else span(queue.instruments)
        lines.append(f"queue:        {queue.name}: {what}, wait {queue.wait}{', events' if queue.events else ''}")
    if feed.recorder is not None:
        what = "all instruments" if feed.recorder.instruments is None else span(feed.recorder.instruments)
        lines.append(f"recorder:     {feed.recorder.directory}: {what}")
    lines.append(f"sessions:     {feed.hours.words}")
    lines.append(f"metrics:      {f'http://{feed.listen[0]}:{feed.listen[1]}/metrics' if feed.listen else 'off'}")
    lines.append(f"logging:      {feed.log_format}, {feed.log_level}")
    return lines


def add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", default=DEFAULT_FILE, help="to write (default: %(default)s)")
    parser.epilog = f"Then put your account in place of {PLACEHOLDER}, and let `tickengine check` look it over."


def run_init(args: argparse.Namespace) -> int:
    """Write a commented example. An existing file stays as it is."""
    text = files("tickengine.feed").joinpath("example.toml").read_bytes()
    try:
        # "x" alone would follow a link that leads nowhere.
        fd = os.open(args.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConfigError(f"{args.file} is there already: name another file, or remove it") from None
    except OSError as error:
        raise ConfigError(f"{args.file} cannot be written: {error.strerror}") from None
    try:
        with open(fd, "wb") as file:
            file.write(text)
    except OSError as error:
        os.unlink(args.file)
        raise ConfigError(f"{args.file} cannot be written: {error.strerror}") from None
    print(f"{args.file} written: put your account in place of {PLACEHOLDER}, then `tickengine check {args.file}`")
    return 0
