"""Two strategies in two processes, fed by one connection; each has its own instruments and its own pace.

python examples/two_strategies.py
"""

from __future__ import annotations

from multiprocessing import Process

from _feed import arguments, feed

from tickengine import Tick, TickQueue


class Averages:
    """Says when the price crosses its own average."""

    def __init__(self, name: str, queue: TickQueue, ticks: int) -> None:
        self.name, self.queue, self.left = name, queue, ticks
        self.average: dict[str, float] = {}
        self.above: dict[str, bool] = {}

    def on_tick(self, tick: Tick) -> None:
        id_, price = tick.InstrumentID, tick.LastPrice
        average = self.average[id_] = 0.9 * self.average.get(id_, price) + 0.1 * price
        above = price > average
        if self.above.get(id_, above) != above:
            print(
                f"{self.name}: {id_} {price:g} is {'above' if above else 'below'} its average {average:.2f}", flush=True
            )
        self.above[id_] = above
        self.left -= 1
        if not self.left:
            self.queue.stop()


def strategy(name: str, queue: TickQueue, ticks: int) -> None:
    """A worker process."""
    ended = queue.run(Averages(name, queue, ticks).on_tick)
    print(
        f"{name}: {queue.received} ticks, {queue.lost} lost, {'the engine has ended' if ended else 'enough'}",
        flush=True,
    )


def main() -> None:
    args = arguments("Two strategies in two processes.", ticks=60)
    half = len(args.instruments) // 2 or 1
    with TickQueue(args.instruments[:half]) as first, TickQueue(args.instruments[half:] or None) as second:
        workers = [
            Process(target=strategy, args=(name, queue, args.ticks))
            for name, queue in (("first", first), ("second", second))
        ]
        for worker in workers:  # before the engine: a queue waits for its engine
            worker.start()
        with feed(args, [first, second]):
            for worker in workers:
                worker.join()


if __name__ == "__main__":
    main()
