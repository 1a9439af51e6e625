"""Ticks in an asyncio program, beside whatever else it does: no thread of Python's, no polling.

python examples/asyncio_ticks.py
"""

from __future__ import annotations

import asyncio

from _feed import arguments, feed

from tickengine import TickQueue


async def watch(queue: TickQueue, ticks: int) -> None:
    number = 0
    async for tick in queue:  # ends with the log
        number += 1
        print(f"{tick.InstrumentID:<8}{tick.LastPrice:>10.2f}")
        if number == ticks:
            return


async def heartbeat() -> None:
    while True:
        await asyncio.sleep(0.05)
        print("  (another task)")


async def both(queue: TickQueue, ticks: int) -> None:
    beating = asyncio.create_task(heartbeat())
    try:
        await watch(queue, ticks)
    finally:
        beating.cancel()


def main() -> None:
    args = arguments("Ticks in an asyncio program.")
    with TickQueue() as queue, feed(args, [queue]):
        asyncio.run(both(queue, args.ticks))
        print(f"{queue.received} ticks, {queue.lost} lost")


if __name__ == "__main__":
    main()
