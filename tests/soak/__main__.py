"""`make soak`: run a plan, tell what happened, and end with 1 if anything was wrong."""

from __future__ import annotations

import argparse
import logging
import random
import shlex
import sys
from pathlib import Path

from tickengine import vendor

from .plan import Plan, check_kinds, cut_down, from_json, make_plan, to_json
from .run import run


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, metavar="N")
    parser.add_argument("--seed", type=int, help="the same seed and length: the same plan; default random")
    parser.add_argument("--plan", metavar="FILE", help="run this plan instead of drawing one")
    parser.add_argument("--write-plan", metavar="FILE", help="write the plan, for --plan, and end")
    parser.add_argument("--only", default="", metavar="KIND,...", help="take all other kinds of faults out of the plan")
    parser.add_argument(
        "--balance", type=float, default=60.0, metavar="SECONDS", help="at most so long without a balance"
    )
    parser.add_argument("--library", default=vendor.PLAIN_FTD_PACKAGE, help="vendor library, as TickEngine takes it")
    parser.add_argument("--json", metavar="FILE", help="everything, into this file")
    parser.add_argument("--markdown", metavar="FILE", help="tables for a document, into this file")
    options = parser.parse_args(argv)
    if options.minutes <= 0:
        parser.error(f"--minutes {options.minutes:g}: must be above 0")
    if options.balance <= 0:
        parser.error(f"--balance {options.balance:g}: must be above 0")
    return options


def plan_of(options: argparse.Namespace) -> Plan:
    only = check_kinds(kind for kind in options.only.split(",") if kind)
    if options.plan:
        return cut_down(from_json(Path(options.plan).read_text()), only)
    seed = random.SystemRandom().randrange(1 << 31) if options.seed is None else options.seed
    return make_plan(seed, options.minutes, only)


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    options = arguments(words)
    try:
        plan = plan_of(options)
    except (OSError, ValueError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    if options.write_plan:
        Path(options.write_plan).write_text(to_json(plan))
        return 0
    report = run(plan, options.library, shlex.join(["bash", "scripts/soak", *words]), options.balance)
    report.write(options.json, options.markdown)
    print(report.summary(), flush=True)
    return 1 if report.wrongs else 0


if __name__ == "__main__":
    # The engine says a line for each of the faults; they are in the report.
    logging.getLogger("tickengine").setLevel(logging.CRITICAL)
    sys.exit(main())
