"""The command line: ``tickengine COMMAND`` and ``python -m tickengine COMMAND``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from . import bench, demo, vendor
from ._errors import TickEngineError
from .front import cli as front_cli
from .log import TickLog


def _add_vendor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--library", help="look at this path or package only")


def _vendor(args: argparse.Namespace) -> int:
    found = [vendor.resolve(args.library)] if args.library else vendor.candidates()
    if not found:
        vendor.resolve(None)  # explains what to do
    described = [vendor.describe(path, source) for path, source in found]
    for position, v in enumerate(described):
        print(f"{' ' if position else '*'} {v.path}\n    found by: {v.source}\n    {_what_it_is(v)}")
    first = described[0]
    why = "it was named" if args.library else "the first in the order TICKENGINE_MDAPI, packages, loader path"
    if first.error:
        print(f"\n* would be taken ({why}), but is refused: name another one with library=")
        return 1
    print(f"\n* would be used ({why})")
    return 0


def _what_it_is(v: vendor.Vendor) -> str:
    if v.error:
        return f"refused: {v.error}"
    notes = "\n    evaluation build: production fronts refuse it" if v.evaluation else ""
    return (
        f"version {v.version}, generation {v.generation}, layout L{v.layout} "
        f"(structs as of {v.layouts_of}, {v.api_slots} api slots){notes}"
    )


def _add_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="the engine's name")


def _status(args: argparse.Namespace) -> int:
    print(json.dumps(TickLog.attach(args.name).status(), indent=2, ensure_ascii=False))
    return 0


_Add = Callable[[argparse.ArgumentParser], None]
_Run = Callable[[argparse.Namespace], int]

COMMANDS: dict[str, tuple[str, _Add, _Run]] = {
    "demo": ("a live feed on this machine: front, engine and two workers", demo.add_arguments, demo.run),
    "front": ("a CTP market-data front on this machine, for tests at any hour", front_cli.add_arguments, front_cli.run),
    "bench": ("measure this machine: latency and rate into worker processes", bench.add_arguments, bench.run),
    "vendor": ("list the vendor libraries found, and which would be used", _add_vendor, _vendor),
    "status": ("a running engine's state, as JSON", _add_status, _status),
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
    """Run a command. Returns its exit status: 0 done, 1 failed, 2 wrong arguments."""
    args = build_parser().parse_args(argv)
    try:
        return COMMANDS[args.command][2](args)
    except TickEngineError as error:
        print(f"tickengine: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
