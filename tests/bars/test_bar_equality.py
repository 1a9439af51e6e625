"""`compute` over an array and `BarBuilder` tick by tick give the same bars, to the bit, whatever the ticks."""

from __future__ import annotations

import math
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from making import NS, Ticks, assert_same, ns, sort

from tickengine import TickFlag
from tickengine.bars import BarBuilder, bars_array, compute

# A night, a day and the next night's begin; around a holiday; a Friday; no night at all; unknown hours.
BEGINS = [
    ns(text)
    for text in (
        "2024-04-11 20:55:00",
        "2024-04-11 20:59:00",
        "2024-04-11 22:58:30",
        "2024-04-12 00:59:30",
        "2024-04-12 02:29:30",
        "2024-04-12 08:54:00",
        "2024-04-12 08:59:30",
        "2024-04-12 09:24:50",
        "2024-04-12 10:13:40",
        "2024-04-12 11:29:10",
        "2024-04-12 13:29:00",
        "2024-04-12 14:58:00",
        "2024-04-12 15:14:00",
        "2024-04-12 20:58:00",
        "2024-04-13 00:10:00",
        "2024-04-15 09:00:00",
        "2024-04-30 14:59:00",
        "2024-04-30 21:10:00",
        "2024-05-06 08:58:00",
        "2024-05-06 20:59:00",
    )
]
NAMES = ["rb2405", "IF2405", "au2406", "SR409", "m2409", "T2406", "what1", "cu2405C70000"]
MARKS = [
    TickFlag.SNAPSHOT,
    TickFlag.DUPLICATE,
    TickFlag.OUT_OF_ORDER | TickFlag.TIME_REPAIRED,
    TickFlag.OUT_OF_ORDER,
    TickFlag.TIME_REPAIRED,
    TickFlag.SNAPSHOT | TickFlag.DUPLICATE,
    TickFlag.VOLUME_DOWN,
]
DELAYS = [0, 0, NS // 2, NS // 2, NS // 2, NS, 3 * NS, 17 * NS, 59 * NS, 60 * NS, 61 * NS, 400 * NS, 3600 * NS]
VOLUMES = [0, 0, 1, 2, 7, 100]


def stream(seed: int, length: int, calm: bool) -> np.ndarray:
    """Ticks of up to three instruments; not *calm*: with everything that is odd about ticks."""
    chance = random.Random(seed)
    names = chance.sample(NAMES, chance.randint(1, 3))
    made = Ticks()
    state = {name: [chance.choice(BEGINS), 3000.0, chance.choice([0, 0, 500]), 0.0] for name in names}
    for _ in range(length):
        name = chance.choice(names)
        time, price, volume, turnover = state[name]
        odd = chance.random() < (0.02 if calm else 0.3)
        kind = chance.choice(["leap", "back", "flags", "volume", "price", "missing", "no time", "event"]) if odd else ""
        time = chance.choice(BEGINS) if kind == "leap" else time + chance.choice(DELAYS) * (-1 if kind == "back" else 1)
        if kind in ("leap", "back") and chance.random() < 0.5:
            state[name][0] = time = max(time, state[name][0])
        more = chance.choice([-1, -50, -(10**6)]) if kind == "volume" else chance.choice(VOLUMES)
        if chance.random() < 0.05:  # a trading day begins with nothing
            volume = 0
        volume = max(0, volume + more)
        price += chance.choice([0.0, 0.0, 1.0, -1.0, 0.02])
        turnover += more * price * 10.1
        state[name] = [time, price, volume, turnover]
        quotes = chance.choice([0.0, 1.0, -1.0, math.nan])
        made.add(
            0 if kind == "no time" else time,
            math.nan if kind == "price" else price,
            volume,
            int(chance.choice(MARKS)) if kind in ("flags", "back", "volume") else 0,
            instrument=name,
            missing=chance.choice([1, 4]) if kind == "missing" else 0,
            Turnover=turnover,
            BidPrice1=price - 1 + quotes,
            AskPrice1=price + 1 + quotes,
            Kind=int(kind == "event"),
        )
        if chance.random() < 0.05:
            made.repeat(chance.choice([TickFlag.DUPLICATE, TickFlag.DUPLICATE | TickFlag.SNAPSHOT, 0]))
    return made.array()


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(0, 150),
    st.booleans(),
    st.sampled_from(["1s", "30s", "1m", "3m", "30m", "1h", "4h", "1d"]),
    st.sampled_from(["clock", "session"]),
    st.booleans(),
    st.booleans(),
    st.integers(1, 70),
)
def test_both_ways_give_the_same_bars(
    seed: int, length: int, calm: bool, period: str, align: str, any_hour: bool, flat: bool, piece: int
) -> None:
    ticks = stream(seed, length, calm)
    flat = flat and period not in ("1s", "30s")
    builder = BarBuilder([period], align=align, any_hour=any_hour, flat=flat)
    given_out = []
    for start in range(0, len(ticks), piece):
        given_out += builder.take_many(ticks[start : start + piece])
    given_out += builder.finish()
    assert_same(sort(bars_array(given_out)), sort(compute(ticks, period, align=align, any_hour=any_hour, flat=flat)))
