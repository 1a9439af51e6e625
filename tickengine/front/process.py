"""`FrontProcess`: a front in a process of its own, controlled like one in this process."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Literal

from tickengine._secret import hidden
from tickengine._spawn import SpawnedProcess
from tickengine.front.controls import CALL_TIMEOUT_S, Controls
from tickengine.front.market import Market, NumberedMarket
from tickengine.front.randomwalk import RandomWalkMarket
from tickengine.front.recorded import RecordedMarket
from tickengine.front.server import Front
from tickengine.front.trading.controls import TradingControls
from tickengine.front.trading.server import TradingFront
from tickengine.replay.days import Selection

log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
_PARENT_CHECK_S = 1.0
_TRADING = "trading."  # in front of the name of a control: it is the trading front's


@dataclass(frozen=True)
class MarketSpec:
    """A market as a few plain values, made where it is used."""

    instruments: Sequence[str]
    kind: Literal["numbered", "random-walk", "recorded"] = "numbered"
    seed: int = 0
    trading_day: str | None = None
    start: datetime | None = None
    files: Sequence[str] = ()
    """Of a recorded one: what `RecordedMarket` takes, with *speed*; *instruments* are those to be sent, none: all."""
    speed: float | str = 1.0

    def build(self) -> Market:
        """Make the market.

        Raises:
            ValueError: bad ids, seed, day or kind.
        """
        day: dict[str, Any] = {} if self.trading_day is None else {"trading_day": self.trading_day}
        if self.kind == "numbered":
            return NumberedMarket(self.instruments, self.seed, **day)
        if self.kind == "random-walk":
            return RandomWalkMarket(self.instruments, self.seed, start=self.start, **day)
        if self.kind == "recorded":
            wanted = Selection(tuple(name.encode() for name in self.instruments))
            return RecordedMarket(self.files, self.speed, wanted)
        raise ValueError(f"market kind '{self.kind}': must be 'numbered', 'random-walk' or 'recorded'")


class FrontProcess(Controls):
    """Takes the arguments of `Front`, the market as a `MarketSpec`.

    *trading*: the arguments of a `TradingFront` that matches orders against this market; it is then at
    `trading`, with its controls and its address.

    The process is spawned and ends with `stop`, with this process however that ends, and with nothing
    else: Ctrl-C in a terminal reaches this process only. Several threads may call at the same time.
    """

    def __init__(
        self, market: MarketSpec | None = None, *, trading: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        trading_options = None if trading is None else dict(trading)
        for given in (options, trading_options or {}):
            if given.get("password") is not None:
                given["password"] = hidden(given["password"])
        self._spec = market
        self._options = options
        self._trading_options = trading_options
        self._trading_address: str | None = None
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._receiver: threading.Thread | None = None
        self._lock = threading.Lock()
        self._tickets = itertools.count()
        self._open: dict[int, Future[Any]] = {}
        self._address: str | None = None
        self._pid: int | None = None
        self._final: dict[str, Any] = {}

    @property
    def address(self) -> str:
        """What to give to `RegisterFront`: `tcp://HOST:PORT`.

        Raises:
            RuntimeError: the front was not started.
        """
        if self._address is None:
            raise RuntimeError("the front was not started")
        return self._address

    @property
    def trading(self) -> TradingFrontProcess:
        """The trading front in the same process.

        Raises:
            RuntimeError: the front was made without one, or was not started.
        """
        if self._trading_address is None:
            raise RuntimeError("there is no trading front: give trading={}, and start")
        return TradingFrontProcess(self, self._trading_address)

    @property
    def pid(self) -> int:
        """The process.

        Raises:
            RuntimeError: the front was not started.
        """
        if self._pid is None:
            raise RuntimeError("the front was not started")
        return self._pid

    def start(self) -> None:
        """Start the process and wait until the front listens.

        Raises:
            ValueError, OSError: as `Front` would; no process is left.
            TimeoutError: it did not come up within 60 s.
            RuntimeError: started before, or the process died.
        """
        if self._process is not None:
            raise RuntimeError("a front can be started once only; make a new one")
        here, there = multiprocessing.Pipe()
        process = SpawnedProcess(
            target=_serve,
            args=(there, os.getpid(), self._spec, self._options, self._trading_options),
            name="front",
            daemon=True,
        )
        process.start()
        self._process = process
        self._pid = process.pid
        there.close()
        self._pipe = here
        try:
            if not here.poll(START_TIMEOUT_S):
                raise TimeoutError(f"front process {self.pid}: not up within {START_TIMEOUT_S} s")
            try:
                ready = here.recv()
            except EOFError:
                raise RuntimeError(f"front process {self.pid}: died while it started") from None
            if isinstance(ready, Exception):
                raise ready
        except BaseException:
            self._end()
            raise
        self._address, self._trading_address = ready
        self._receiver = threading.Thread(target=self._receive, name="front-replies", daemon=True)
        self._receiver.start()

    def stop(self) -> None:
        """Stop the front, end the process, by force if it takes longer than 10 s. May be repeated;
        `stats` still answers afterwards."""
        if self._process is None or self._pipe is None:
            return
        if self._receiver is not None and self._process.is_alive():
            try:
                stats, report = self._control("stop", timeout_s=STOP_TIMEOUT_S)
                self._final = {"stats": stats, _TRADING + "report": report}
            except (RuntimeError, TimeoutError, OSError) as error:
                # It died before or hangs; either way `_end` leaves nothing of it.
                log.warning("front process %d did not stop by itself: %s", self.pid, error)
        self._end()

    def __enter__(self) -> FrontProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self) -> None:
        process, pipe = self._process, self._pipe
        if process is None or pipe is None:
            return
        process.join(STOP_TIMEOUT_S if self._receiver is not None else 0.1)
        if process.is_alive():
            process.kill()
            process.join()
        process.close()
        if self._receiver is not None:
            self._receiver.join()
        pipe.close()
        self._pipe = None

    def _control(self, name: str, *args: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        if name in self._final:
            return self._final[name]
        outcome: Future[Any] = Future()
        with self._lock:
            pipe = self._pipe
            if pipe is None or self._receiver is None or not self._receiver.is_alive():
                raise RuntimeError(f"{name}: the front process does not run")
            ticket = next(self._tickets)
            self._open[ticket] = outcome
            try:
                pipe.send((ticket, name, args, timeout_s))
            except OSError as error:
                self._open.pop(ticket, None)
                raise RuntimeError(f"{name}: the front process does not run") from error
        try:
            # The process keeps the time limit itself; this one is for a process that hangs.
            return outcome.result(timeout_s + CALL_TIMEOUT_S)
        except FutureTimeoutError as error:
            if outcome.done():
                raise
            raise TimeoutError(f"{name}: front process {self.pid} does not answer") from error
        finally:
            with self._lock:
                self._open.pop(ticket, None)

    def _receive(self) -> None:
        pipe = self._pipe
        while pipe is not None:
            try:
                ticket, result = pipe.recv()
            except (EOFError, OSError):
                break
            with self._lock:
                outcome = self._open.get(ticket)
            if outcome is None:
                continue
            if isinstance(result, Exception):
                outcome.set_exception(result)
            else:
                outcome.set_result(result)
        with self._lock:
            left = list(self._open.values())
        for outcome in left:
            if not outcome.done():
                outcome.set_exception(RuntimeError("the front process has ended"))


class TradingFrontProcess(TradingControls):
    """The controls of the trading front of a `FrontProcess`."""

    def __init__(self, process: FrontProcess, address: str) -> None:
        self._process = process
        self.address = address

    def _control(self, name: str, *args: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        return self._process._control(_TRADING + name, *args, timeout_s=timeout_s)


def _serve(
    pipe: Connection,
    parent: int,
    spec: MarketSpec | None,
    options: dict[str, Any],
    trading_options: dict[str, Any] | None,
) -> None:
    """Main of the process: the fronts, and a thread per request until the pipe ends."""
    # Ctrl-C goes to the whole terminal; it is the parent that decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    trading: TradingFront | None = None
    front: Front | None = None
    try:
        front = Front(None if spec is None else spec.build(), **options)
        if trading_options is not None:
            trading = TradingFront(front, **trading_options)
        front.start()
        if trading is not None:
            trading.start()
    except Exception as error:
        if front is not None:
            front.stop()
        pipe.send(error)
        return
    try:
        pipe.send((front.address, None if trading is None else trading.address))
        _answer_requests(pipe, parent, front, trading)
    except (EOFError, OSError):
        pass  # the parent is gone
    finally:
        if trading is not None:
            trading.stop()
        front.stop()


def _answer_requests(pipe: Connection, parent: int, front: Front, trading: TradingFront | None) -> None:
    lock = threading.Lock()

    def reply(ticket: int, result: Any) -> None:
        with lock:
            try:
                pipe.send((ticket, result))
            except OSError:
                pass  # the parent is gone; the main thread finds out by itself

    def carry_out(ticket: int, name: str, args: tuple[Any, ...], timeout_s: float) -> None:
        target: Front | TradingFront = front
        if name.startswith(_TRADING) and trading is not None:
            target, name = trading, name.removeprefix(_TRADING)
        try:
            reply(ticket, target._control(name, *args, timeout_s=timeout_s))
        except Exception as error:  # belongs to the caller in the other process
            reply(ticket, error)

    while True:
        # A forked child of the parent may hold the pipe's other end open beyond the parent's death.
        while not pipe.poll(_PARENT_CHECK_S):
            if os.getppid() != parent:
                return
        ticket, name, args, timeout_s = pipe.recv()
        if name == "stop":
            if trading is not None:
                trading.stop()
            front.stop()
            reply(ticket, (front.stats(), None if trading is None else trading.report()))
            return
        threading.Thread(target=carry_out, args=(ticket, name, args, timeout_s), daemon=True).start()
