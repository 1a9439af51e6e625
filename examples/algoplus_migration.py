"""A program written for AlgoPlus, with its import changed. Everything else is as it was.

python examples/algoplus_migration.py
"""

from __future__ import annotations

import threading

from _feed import arguments, front

# Before:  from AlgoPlus.CTP.MdApi import MdApi
# After:
from tickengine import MdApi
from tickengine.demo import choose_library


class TickEngine(MdApi):
    # Before, and after: the callback, the mapping with the vendor's names, texts as bytes.
    def OnRtnDepthMarketData(self, pDepthMarketData):
        if enough.is_set():  # they go on coming until Release
            return
        print(pDepthMarketData["InstrumentID"], pDepthMarketData["LastPrice"], pDepthMarketData["UpdateTime"])
        # Before: the tick was put into a queue for each strategy here, in the vendor's thread. After: give the
        # queues to the constructor (md_queue_list), and do not override this; the ticks then never meet Python.
        seen.append(pDepthMarketData["InstrumentID"])
        if len(seen) == wanted:
            enough.set()


seen: list[bytes] = []
enough = threading.Event()
wanted = 0


def main() -> None:
    global wanted
    args = arguments("A program for AlgoPlus.", ticks=10)
    wanted = args.ticks
    ids = [id_.encode() for id_ in args.instruments]
    with front(args) as md_server:
        # Before, and after: the same arguments, in the same order. library= is for the front of this example alone.
        tick_engine = TickEngine(
            md_server, b"9999", b"investor", b"", b"app", b"", ids, None, "", library=choose_library(None)[0]
        )
        enough.wait()
        # Before:  tick_engine.Join()  for ever. This one ends.
        tick_engine.Release()
    print(f"{len(seen)} ticks")


if __name__ == "__main__":
    main()
