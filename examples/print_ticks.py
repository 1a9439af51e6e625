"""Prints ticks: one process with the vendor's library, this one with a queue.

python examples/print_ticks.py
"""

from __future__ import annotations

from _feed import arguments, feed

from tickengine import TickQueue


def main() -> None:
    args = arguments("Prints ticks.")
    with TickQueue() as queue, feed(args, [queue]):
        for number, tick in enumerate(queue, 1):
            print(f"{tick.UpdateTime}.{tick.UpdateMillisec:03d}  {tick.InstrumentID:<8}{tick.LastPrice:>10.2f}")
            if number == args.ticks:
                break
        print(f"{queue.received} ticks, {queue.lost} lost")


if __name__ == "__main__":  # the engine's process is spawned: it imports this file
    main()
