"""vn.py's event engine, fed from a queue: its strategies get ``TickData`` as from a gateway.

    python examples/vnpy_events.py

Without vnpy (``pip install 'tickengine[vnpy]'``, which brings a graphical interface along) a stand-in of twenty lines
takes its place: `EventEngine` with the same calls, and the fields of a tick as they are. The output says which it was.
"""

from __future__ import annotations

import queue as stdlib
import threading
from collections import defaultdict
from typing import Any

from _feed import arguments, feed

from tickengine import Tick, TickQueue, adapters

try:
    from vnpy.event import Event, EventEngine
    from vnpy.trader.event import EVENT_TICK

    KIND = "vn.py's own event engine"
except ImportError:
    KIND = "a stand-in, as vnpy is not installed"
    EVENT_TICK = "eTick."

    class Event:  # type: ignore[no-redef]
        def __init__(self, type: str, data: Any = None) -> None:
            self.type, self.data = type, data

    class EventEngine:  # type: ignore[no-redef]
        def __init__(self) -> None:
            self._events: stdlib.Queue[Any] = stdlib.Queue()
            self._handlers: dict[str, list[Any]] = defaultdict(list)
            self._thread = threading.Thread(target=self._run)

        def register(self, type: str, handler: Any) -> None:
            self._handlers[type].append(handler)

        def start(self) -> None:
            self._thread.start()

        def put(self, event: Any) -> None:
            self._events.put(event)

        def stop(self) -> None:
            self._events.put(None)
            self._thread.join()

        def _run(self) -> None:
            while (event := self._events.get()) is not None:
                for handler in self._handlers[event.type]:
                    handler(event)


def tick_data(tick: Tick) -> Any:
    """``TickData``; the tick itself where there is no vnpy."""
    return adapters.to_vnpy(tick) if KIND.startswith("vn.py") else tick


def on_tick(event: Any) -> None:
    """A handler as any vn.py app registers one."""
    data = event.data
    name = getattr(data, "vt_symbol", None) or f"{data.InstrumentID}.{data.ExchangeID}"
    print(f"{name:<16}{getattr(data, 'last_price', None) or data.LastPrice:>10.2f}")


def main() -> None:
    args = arguments("vn.py's event engine, fed from a queue.")
    print(KIND)
    events = EventEngine()
    events.register(EVENT_TICK, on_tick)
    events.start()
    try:
        with TickQueue() as queue, feed(args, [queue]):
            for number, tick in enumerate(queue, 1):
                events.put(Event(EVENT_TICK, tick_data(tick)))
                if number == args.ticks:
                    break
    finally:
        events.stop()
    print(f"{args.ticks} ticks handed over")


if __name__ == "__main__":
    main()
