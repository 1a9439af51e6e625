"""A program: a front falls silent, and the genuine library's own limit, 121 s, has to find out.

Prints "silent" when the silence has begun, and at the end what the engine's status said, as JSON.
"""

from __future__ import annotations

import json
import sys

from feed_support import IDS, engine_on, wait_for

from tickengine.front import Front, NumberedMarket


def main(library: str) -> None:
    with Front(NumberedMarket(IDS), rate=100) as front, engine_on(front.address, library, IDS, []) as engine:
        engine.wait_live()
        wait_for(lambda: engine.status()["ticks"] > 10, "ticks")
        front.silence(3600)
        print("silent", flush=True)
        wait_for(lambda: engine.status()["disconnects"] == 1, "the end of the silent connection", 160)
        front.silence(0)
        wait_for(lambda: engine.status()["logins"] == 2, "the second login", 40)
        engine.wait_live()
        ticks = engine.status()["ticks"]
        wait_for(lambda: engine.status()["ticks"] > ticks + 10, "ticks on the new connection")
        print(json.dumps(engine.status()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
