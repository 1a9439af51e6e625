"""A notebook's cells: the log of a running engine, its newest values, its tail as a frame. ``# %%`` begins a cell.

python examples/notebook_tail.py
"""

from __future__ import annotations

from _feed import arguments, feed

from tickengine import TickLog, TickQueue, adapters


def cells(name: str) -> None:
    # %% attach, by the engine's name: nothing that follows disturbs the engine or its workers
    log = TickLog.attach(name)
    print(log)  # in a notebook `log` alone is a table; so are log.status() and a tick

    # %% the newest tick of every instrument
    newest = log.snapshot()
    for row in newest:
        print(f"{row['InstrumentID'].decode():<8}{row['LastPrice']:>10.2f}{row['Volume']:>10}")

    # %% the last ticks as a frame; adapters.to_polars and to_arrow are alike
    frame = adapters.to_pandas(log.tail(200))
    print(frame[["ExchangeTime", "InstrumentID", "LastPrice", "Volume"]].tail())

    # %% and what pandas makes of it
    print(frame.groupby("InstrumentID")["LastPrice"].agg(["first", "max", "min", "last", "count"]))


def main() -> None:
    args = arguments("The cells of a notebook, one after the other.", ticks=100)
    with TickQueue() as queue, feed(args, [queue]) as engine:
        while queue.received < args.ticks:
            queue.get_many()
        cells(engine.name)


if __name__ == "__main__":
    main()
