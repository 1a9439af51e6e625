"""The command line: ``tickengine COMMAND`` and ``python -m tickengine COMMAND``."""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
from collections.abc import Callable, Sequence

from . import bench, demo, vendor
from ._errors import TickEngineError
from .bars import cli as bars_cli
from .feed import commands as feed_commands
from .feed import run as feed_run
from .front import cli as front_cli
from .log import TickLog
from .record import cli as record_cli
from .replay import cli as replay_cli
from .top import command as top
from .trader import cli as trader_cli
from .watch import health
from .watch.own import without_events
from .words import complain


def _add_vendor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--library", help="look at this path or package only")


def _vendor(args: argparse.Namespace) -> int:
    found = {kind: _found(kind, args.library) for kind in (vendor.MARKET_DATA, vendor.TRADER)}
    if not any(found.values()):
        vendor.resolve(args.library)  # explains what to do
    failed = False
    for kind, candidates in found.items():
        if candidates:
            failed |= _list(kind, candidates, bool(args.library))
    return int(failed)


def _found(kind: vendor.Kind, library: str | None) -> list[tuple[str, str]]:
    if library is None:
        return vendor.candidates(kind)
    # A file is one of them only; a package may have both.
    is_file = os.sep in library or library.endswith(".so")
    if is_file and (kind is vendor.TRADER) != _is_trader_file(os.path.basename(library)):
        return []
    if not is_file and library != "compatible" and not vendor.package_libraries(library, kind):
        return []
    return [vendor.resolve(library, kind)]


def _is_trader_file(name: str) -> bool:
    return vendor.TRADER.stem in name or name.startswith(vendor.TRADER.compatible.removesuffix(".so"))


def _list(kind: vendor.Kind, found: list[tuple[str, str]], named: bool) -> bool:
    """Prints what they are; True when the first, which would be taken, is refused."""
    trader = kind is vendor.TRADER
    described = [vendor.describe_trader(*f) if trader else vendor.describe(*f) for f in found]
    print(f"{kind.noun}:")
    for position, v in enumerate(described):
        print(f"{' ' if position else '*'} {v.path}\n    found by: {v.source}\n    {_what_it_is(v)}")
    why = "it was named" if named else f"the first in the order {kind.environment}, packages, loader path"
    refused = bool(described[0].error)
    verdict = "would be taken ({}), but is refused: name another one with library=" if refused else "would be used ({})"
    print(f"\n* {verdict.format(why)}\n")
    return refused


def _what_it_is(v: vendor.Vendor | vendor.TraderVendor) -> str:
    if v.error:
        return f"refused: {v.error}"
    notes = "\n    evaluation build: production fronts refuse it" if v.evaluation else ""
    if isinstance(v, vendor.TraderVendor):
        return f"version {v.version}, tables of {v.tables_of} ({v.api_slots} api slots, {v.spi_slots} callbacks){notes}"
    return (
        f"version {v.version}, generation {v.generation}, layout L{v.layout} "
        f"(structs as of {v.layouts_of}, {v.api_slots} api slots){notes}"
    )


def _add_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="the engine's name")


def _status(args: argparse.Namespace) -> int:
    status = TickLog.attach(args.name).status()
    status["queues"] = without_events(args.name, status["queues"])
    print(json.dumps(status, indent=2, ensure_ascii=False))
    return 0


_Add = Callable[[argparse.ArgumentParser], None]
_Run = Callable[[argparse.Namespace], int]

COMMANDS: dict[str, tuple[str, _Add, _Run]] = {
    "demo": ("a live feed on this machine: front, engine and two workers", demo.add_arguments, demo.run),
    "front": ("a CTP market-data front on this machine, for tests at any hour", front_cli.add_arguments, front_cli.run),
    "bench": ("measure this machine: latency and rate into worker processes", bench.add_arguments, bench.run),
    "replay": ("recordings played again as a live feed", replay_cli.add_arguments, replay_cli.run),
    "vendor": ("list the vendor libraries found, and which would be used", _add_vendor, _vendor),
    "status": ("a running engine's state, as JSON", _add_status, _status),
    "init": ("write a commented example of a configuration", feed_commands.add_init, feed_commands.run_init),
    "check": (
        "look a configuration over: every mistake, with its line",
        feed_commands.add_check,
        feed_commands.run_check,
    ),
    "run": ("run a feed from a configuration, until a signal", feed_run.add_arguments, feed_run.run),
    "health": ("whether a feed is well: one line and an exit status", health.add_arguments, health.run),
    "record": ("write a running engine's ticks to files", record_cli.add_record_arguments, record_cli.run_record),
    "recording": (
        "what a file of recorded ticks holds, and what is missing",
        record_cli.add_recording_arguments,
        record_cli.run_recording,
    ),
    "export": (
        "recorded ticks to Parquet, Arrow or CSV",
        record_cli.add_export_arguments,
        record_cli.run_export,
    ),
    "bars": ("the bars of a running engine, as CSV or JSON lines", bars_cli.add_arguments, bars_cli.run),
    "top": ("watch a running engine: instruments, queues, latencies, events", top.add_arguments, top.run),
    "orders": ("the orders, trades and positions in an account's journal", trader_cli.add_arguments, trader_cli.run),
}


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tickengine", description="Multiprocessing tick-to-queue engine for CTP market data."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (words, add_arguments, _) in COMMANDS.items():
        add_arguments(commands.add_parser(name, help=words, description=words[0].upper() + words[1:] + "."))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns its exit status: 0 done, 1 failed, 2 wrong arguments, 141 stdout's reader has gone."""
    args = build_parser().parse_args(argv)
    try:
        status = COMMANDS[args.command][2](args)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        if not _reader_has_gone():
            raise
        return 141  # as of other programs that SIGPIPE ends: `tickengine status md | head` has what it wants
    except TickEngineError as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        return 130


def _reader_has_gone() -> bool:
    """Whether stdout is a pipe that nobody reads; what is left to write then goes nowhere."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not any(events & select.POLLERR for _, events in poll.poll(0)):
        return False
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return True


if __name__ == "__main__":
    sys.exit(main())
