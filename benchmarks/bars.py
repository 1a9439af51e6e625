"""How many ticks a second become bars: as they come, in arrays as `get_many` gives them, and all at once?

    ticks of a morning from 09:00 on, two a second of each instrument in turn, most of them with a trade

Processor time of this process. ``builder``: `BarBuilder.take_many`, 256 ticks at a time, with the periods named;
``builder, one by one``: `take` with a `Tick`, a tenth of the ticks; ``compute``: the whole array. Every row must give
the same bars as the others of its period.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from parts.environment import surroundings
from parts.processes import script
from parts.report import Report, Row, check, medians, options, with_spread

from tickengine import TICK_DTYPE, Tick
from tickengine.bars import BarBuilder, bars_array, compute

PIECE = 256
PERIODS = ("1m", "5m", "1h")
NS = 10**9
MORNING = 1_712_883_600 * NS  # 2024-04-12 09:00 in China


def ticks_of(instruments: int, count: int) -> np.ndarray:
    """Prices walk, volume grows by 0 to 9 lots."""
    chance = np.random.default_rng(7)
    turn, which = np.divmod(np.arange(count), instruments)
    ticks = np.zeros(count, TICK_DTYPE)
    ticks["InstrumentID"] = np.array([f"rb24{n % 12 + 1:02d}C{3000 + n}".encode() for n in range(instruments)])[which]
    ticks["ExchangeTime"] = ticks["RecvTime"] = MORNING + turn * (NS // 2)
    ticks["InstrumentNumber"] = turn
    for n in range(instruments):
        mine = which == n
        size = int(mine.sum())
        ticks["LastPrice"][mine] = 3000.0 + np.cumsum(chance.integers(-1, 2, size))
        ticks["Volume"][mine] = np.cumsum(chance.integers(0, 10, size))
    ticks["Turnover"] = ticks["Volume"] * 30000.0
    ticks["BidPrice1"] = ticks["LastPrice"] - chance.integers(0, 2, count)
    ticks["AskPrice1"] = ticks["BidPrice1"] + 1
    return ticks


def builder(*periods: str) -> Callable[[np.ndarray], np.ndarray]:
    def run(ticks: np.ndarray) -> np.ndarray:
        made = BarBuilder(periods)
        bars = []
        for start in range(0, len(ticks), PIECE):
            bars += made.take_many(ticks[start : start + PIECE])
        return bars_array(bars + made.finish())

    return run


def one_by_one(ticks: list[Tick]) -> np.ndarray:
    made = BarBuilder(["1m"])
    bars = []
    for tick in ticks:
        bars += made.take(tick)
    return bars_array(bars + made.finish())


def measured(run: Callable[..., np.ndarray], ticks: object, count: int) -> tuple[float, np.ndarray]:
    before = time.process_time_ns()
    bars = run(ticks)
    return count / (time.process_time_ns() - before) * 1e9, bars


def same(bars: np.ndarray, expected: np.ndarray) -> bool:
    bars = bars[bars["Period"] == 60]
    order = np.lexsort((bars["InstrumentID"], bars["End"]))
    return bars[order].tobytes() == expected.tobytes() or bool(
        len(bars) == len(expected) and (bars[order]["BarTurnover"] == expected["BarTurnover"]).all()
    )


def main() -> None:
    parser = options(__doc__ or "", rounds=5)
    parser.add_argument("--ticks", type=int, default=200_000, help="of each round (default %(default)s)")
    parser.add_argument("--instruments", type=int, nargs="+", default=[1, 50, 500], help="(default 1 50 500)")
    args = parser.parse_args()
    report = Report(
        "bars: ticks a second of one processor", surroundings("left to the scheduler", args.commit), args.json
    )
    rows: list[Row] = []
    for number in range(1, args.rounds + 1):
        for instruments in args.instruments:
            ticks = ticks_of(instruments, args.ticks)
            some = ticks[: max(instruments, len(ticks) // 10)]
            objects = [Tick.from_buffer_copy(row.tobytes()) for row in some]
            rate, expected = measured(lambda t: compute(t, "1m"), ticks, len(ticks))
            check(len(expected) >= instruments, "there are no bars")
            found = [("compute 1m", rate)]
            for name, run in (("builder 1m", builder("1m")), ("builder 1m 5m 1h", builder(*PERIODS))):
                rate, bars = measured(run, ticks, len(ticks))
                check(same(bars, expected), f"{name} and compute do not give the same bars")
                found.append((name, rate))
            rate, bars = measured(one_by_one, objects, len(objects))
            check(same(bars, compute(some, "1m")), "one by one and compute do not give the same bars")
            found.append(("builder 1m, one by one", rate))
            for case, rate in found:
                rows.append({"round": number, "case": case, "instruments": instruments, "ticks/s": rate})
    report.table("rounds", rows, ["round", "case", "instruments", "ticks/s"])
    values = medians(rows, ["case", "instruments"], ["ticks/s"])
    report.table("medians", values, ["case", "instruments", *with_spread(["ticks/s"])])
    report.save()


if __name__ == "__main__":
    script(main)
