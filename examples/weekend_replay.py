"""A weekend's replay: what was recorded is played to a strategy again, ten times faster than it came.

The strategy is the same function for both; only the engine is another.

python examples/weekend_replay.py
"""

from __future__ import annotations

import tempfile

from _feed import arguments, feed

from tickengine import TickFlag, TickQueue
from tickengine.record import RecorderProcess
from tickengine.replay import Replay


def strategy(queue: TickQueue, ticks: int) -> list[tuple[str, float]]:
    """The instruments and prices of the first ticks."""
    seen = []
    replayed = False
    for tick in queue:
        seen.append((tick.InstrumentID, tick.LastPrice))
        replayed = bool(tick.Flags & TickFlag.REPLAYED)
        if len(seen) == ticks:
            break
    print(f"{len(seen)} ticks {'of a recording' if replayed else 'live'}, {queue.lost} lost")
    return seen


def main() -> None:
    args = arguments("Records a feed, and plays it again.")
    with tempfile.TemporaryDirectory() as folder:
        with TickQueue() as live, TickQueue() as recorded:
            recorder = RecorderProcess(recorded, folder)
            recorder.start()
            with feed(args, [live, recorded]):
                friday = strategy(live, args.ticks)
            recorder.join()
        with TickQueue() as queue, Replay(folder, md_queue_list=[queue], speed=10):
            saturday = strategy(queue, args.ticks)
        print("the same ticks" if saturday == friday else "other ticks")


if __name__ == "__main__":
    main()
