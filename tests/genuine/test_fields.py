"""An engine's own writer knows products and days: its ticks say so."""

from __future__ import annotations

from feed_support import IDS, engine_on

from tickengine import TickFlag, TickQueue
from tickengine.front import FrontProcess, MarketSpec


def test_an_engine_gives_its_writer_the_tables(genuine: str) -> None:
    ids = [*IDS, "nothing99"]
    with FrontProcess(MarketSpec(ids), rate=500) as front, TickQueue(ids, start="oldest") as queue:
        engine = engine_on(front.address, genuine, ids, [queue])
        with engine:
            engine.wait_live()
            ticks = [queue.get(timeout=20) for _ in range(60)]
    first = {tick.InstrumentID: tick for tick in reversed(ticks)}
    assert set(first) == set(ids)
    for tick in ticks:
        flags = TickFlag(tick.Flags)
        assert (TickFlag.UNKNOWN_PRODUCT in flags) == (tick.InstrumentID == "nothing99")
        assert (TickFlag.SNAPSHOT in flags) == (tick is first[tick.InstrumentID])
        assert tick.ExchangeTime > 0
