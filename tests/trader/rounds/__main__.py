"""Plays one round again, on a front and an account of its own."""

from __future__ import annotations

import argparse

from rounds.lane import Lane
from rounds.plan import make_plan
from tickengine import vendor

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="rounds", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--round", type=int, required=True)
    parser.add_argument("--times", type=int, default=1, help="how often: moments differ from time to time")
    options = parser.parse_args()
    plan = make_plan(options.seed, options.round)
    print(plan)
    with Lane(vendor.package_libraries(vendor.PLAIN_FTD_PACKAGE, vendor.TRADER)[0]) as lane:
        for _ in range(options.times):
            lane.play(plan)
    print(dict(lane.done))
