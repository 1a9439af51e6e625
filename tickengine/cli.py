"""The command line: ``tickengine COMMAND`` and ``python -m tickengine COMMAND``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from . import demo, vendor
from ._errors import TickEngineError
from .front import cli as front_cli
from .log import TickLog


def _add_vendor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--library", help="look at this path or package only")


def _vendor(args: argparse.Namespace) -> int:
    found = [vendor.resolve(args.library)] if args.library else vendor.candidates()
    if not found:
        vendor.resolve(None)  # explains what to do
    first = None
    for path, source in found:
        v = vendor.describe(path, source)
        first = first or v
        print(f"{'*' if first is v else ' '} {path}\n    found by: {source}")
        what = f"version {v.version}, generation {v.generation}, layout L{v.layout}"
        print(f"    refused: {v.error}" if v.error else f"    {what}")
    refused = first is not None and first.error
    print("\n* is taken, and refused: name another one with library=" if refused else "\n* would be used")
    return 1 if refused else 0


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
