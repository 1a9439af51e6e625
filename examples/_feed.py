"""What the examples share: where their ticks come from.

Without ``--front`` it is a front on this machine with an invented market, so that they run at any hour and without an
account. With ``--front tcp://host:port`` it is that one; the account is in ``CTP_BROKER``, ``CTP_USER``, ``CTP_APP``
and, kept out of logs and tracebacks, ``CTP_PASSWORD`` and ``CTP_AUTH``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from tickengine import TickEngine, secret
from tickengine.demo import choose_library
from tickengine.front import FrontProcess, MarketSpec

INSTRUMENTS = ["rb2601", "IF2512", "m2605", "SR601"]


def arguments(words: str, ticks: int = 20) -> argparse.Namespace:
    """``--front``, ``--instruments`` and ``--ticks``."""
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("--front", help="tcp://host:port; default: a front of its own on this machine")
    parser.add_argument("--instruments", default=",".join(INSTRUMENTS), help="ids, separated by commas")
    parser.add_argument("--ticks", type=int, default=ticks, help=f"end after so many (default {ticks})")
    args = parser.parse_args()
    args.instruments = args.instruments.split(",")
    return args


@contextmanager
def front(args: argparse.Namespace, rate: float = 200.0) -> Iterator[str]:
    """The address of the front that was given, or of one of its own."""
    if args.front:
        yield args.front
        return
    with FrontProcess(MarketSpec(args.instruments, kind="random-walk"), rate=rate) as own:
        yield own.address


@contextmanager
def feed(args: argparse.Namespace, queues: Sequence[Any], rate: float = 200.0) -> Iterator[TickEngine]:
    """A running engine that feeds *queues*."""
    with ExitStack() as stack:
        address = stack.enter_context(front(args, rate))
        if args.front:
            account = [os.environ[name] for name in ("CTP_BROKER", "CTP_USER")]
            codes = [os.environ.get("CTP_APP", ""), secret(env="CTP_AUTH") if "CTP_AUTH" in os.environ else ""]
            engine = TickEngine(address, *account, secret(env="CTP_PASSWORD"), *codes, args.instruments, queues)
        else:
            library, _ = choose_library(None)
            engine = TickEngine(
                address, "9999", "example", "", "tickengine", "", args.instruments, queues, library=library
            )
        yield stack.enter_context(engine)
