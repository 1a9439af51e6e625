"""The strategy's process: it does what it is told over a pipe, and can be killed at any moment."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from rounds.plan import INSTRUMENT
from tickengine import ConfigError, EngineError, TickEngineError, _supervisor
from tickengine.trader.account import AccountState
from tickengine.trader.engine import TraderEngine
from tickengine.trader.limits import NO_LIMITS

PATIENCE_S = 40.0
_PATIENT_S = 3.0
_LOOK_S = 0.05


@dataclass(frozen=True)
class Setup:
    """What it needs to begin. *mode*: of the private flow."""

    address: str
    flow_dir: str
    library: str
    mode: str


def picture(account: AccountState) -> dict[str, Any]:
    """Everything that a fold says, to be compared."""
    book = account.book
    return {
        "orders": [
            (o.ClientID, *o.key, o.state, o.VolumeTraded, o.filled, o.OrderSysID, o.cancel, o.ErrorID, o.Sequence)
            for o in book
        ],
        "trades": [(t.TradeID, t.Direction, t.Price, t.Volume, t.Sequence) for t in book.trades],
        "open": [order.ClientID for order in book.open_orders()],
        "positions": sorted((h.InstrumentID, h.PosiDirection, h.today, h.yesterday) for h in account.positions),
        "counts": book.counts,
    }


def strategy_main(pipe: Connection, setup: Setup) -> None:
    """Until it is told to stop, or its maker is gone."""
    logging.getLogger("tickengine").setLevel(logging.CRITICAL)
    _supervisor.RESTART_PAUSES_S = (0.01,)
    engine = _started(setup)
    try:
        _obey(engine, pipe)
    finally:
        engine.stop()


def _obey(engine: TraderEngine, pipe: Connection) -> None:
    while True:
        engine.poll()
        if not pipe.poll(_LOOK_S):
            continue
        try:
            what, values = pipe.recv()
        except EOFError:
            return
        if what == "stop":
            return
        if what == "sync":
            pipe.send(None)
        elif what == "settle":
            pipe.send(_settled(engine))
        else:
            _do(engine, what, values)


def _started(setup: Setup) -> TraderEngine:
    """An engine; the trader process of a predecessor that was killed may take a moment to end."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        engine = TraderEngine(
            *(setup.address, "9999", "me", "secret", "", "", setup.flow_dir),
            library=setup.library, limits=NO_LIMITS, private=setup.mode, watchdog=None,
        )  # fmt: skip
        try:
            engine.start()
            return engine
        except TickEngineError:  # it is busy, or was killed while it started
            if time.monotonic() > deadline:
                raise


def _do(engine: TraderEngine, what: str, values: tuple[Any, ...]) -> None:
    try:
        if what == "disconnect":
            engine.disconnect()
        elif what == "connect":
            engine.connect()
        elif what == "insert":
            _wait(engine, values[0])
            engine.insert(INSTRUMENT, *values[1:])
        else:
            _wait(engine, values[0])
            orders = [order for order in engine.book.open_orders() if order.OrderRef]
            if orders:
                engine.cancel(orders[values[1] % len(orders)])
    except (EngineError, ConfigError):
        pass  # there is no connection just now: nothing was sent, and the book must know that


def _wait(engine: TraderEngine, patient: bool) -> None:
    if patient:
        engine.wait_ready(_PATIENT_S)


def _settled(engine: TraderEngine) -> tuple[int, dict[str, Any]]:
    """After a new connection, and a whole reconciliation on it: the number of records folded, and the picture."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            engine.disconnect()
            engine.connect()
            engine.wait_ready(PATIENCE_S / 4, reconciled=True)
            break
        except EngineError:  # the trader process was killed just before
            if time.monotonic() > deadline:
                raise
    engine.poll()
    return engine.account.next_sequence, picture(engine.account)
