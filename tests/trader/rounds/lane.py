"""One front and one account, on which rounds are played one after the other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections import Counter
from typing import Any

from rounds.judge import differences, fold
from rounds.plan import INSTRUMENT, MODES, PRICE, Plan, Step
from rounds.strategy import PATIENCE_S, Setup, picture, strategy_main
from tickengine import NotFoundError
from tickengine.front.trading import TradingFront
from tickengine.trader.account import AccountState
from tickengine.trader.journal import TradeLog

_SPAWN = multiprocessing.get_context("spawn")
_LOOK_S = 0.01


class Lane:
    """Use as a context manager; one thread plays.

    Attributes:
        done: how often each kind of step was done, and what the front counts.
    """

    def __init__(self, library: str) -> None:
        self.done: Counter[str] = Counter()
        self._library = library
        self._front = TradingFront({INSTRUMENT: PRICE}, fill_volume=2, fill_interval_s=0.002)
        self._quick = False

    def __enter__(self) -> Lane:
        self._folder = tempfile.TemporaryDirectory(prefix="tickengine-rounds-")
        self._front.start()
        self._begin(MODES[0])
        self._sync()
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            self._end(by_force=self._process.exitcode is not None)
        finally:
            self._front.stop()
            self._folder.cleanup()

    # ---- the strategy --------------------------------------------------------------------------

    def _begin(self, mode: str) -> None:
        self._quick |= mode == "quick"
        self._pipe, theirs = _SPAWN.Pipe()
        setup = Setup(self._front.address, self._folder.name, self._library, mode)
        self._process = _SPAWN.Process(target=strategy_main, args=(theirs, setup))
        self._process.start()
        theirs.close()

    def _end(self, *, by_force: bool) -> None:
        if by_force:
            self._process.kill()
        else:
            self._tell("stop")
        self._process.join(PATIENCE_S)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self._pipe.close()

    def _tell(self, what: str, *values: Any) -> None:
        try:
            self._pipe.send((what, values))
        except OSError:
            raise AssertionError(f"the strategy has ended with {self._process.exitcode}") from None

    def _ask(self, what: str) -> Any:
        self._tell(what)
        if not self._pipe.poll(2 * PATIENCE_S):
            raise AssertionError(f"{what}: no answer of the strategy")
        return self._pipe.recv()

    def _sync(self) -> None:
        """Wait until the strategy has done what it was told."""
        self._ask("sync")

    # ---- rounds --------------------------------------------------------------------------------

    def play(self, plan: Plan) -> None:
        """Raises AssertionError, with the plan, if the book is not the front's at the end."""
        before = self._front.report()
        try:
            for step in plan.steps:
                self._pass(step)
            self._sync()
            self._clear()
            self._check()
        except (AssertionError, EOFError, OSError, TimeoutError) as error:
            raise AssertionError(f"{plan}\n{type(error).__name__}: {error}\n{self._story()}") from error
        after = self._front.report()
        for name in ("orders_received", "actions_received", "faults_happened", "logins_refused", "logins"):
            self.done[name] += getattr(after, name) - getattr(before, name)
        self.done["trades"] += len(after.trades) - len(before.trades)

    def _pass(self, step: Step) -> None:
        threading.Event().wait(step.pause_s)
        self.done[step.what] += 1
        if step.what in ("insert", "cancel", "connect", "disconnect"):
            self._tell(step.what, *step.values)
        elif step.what == "sync":
            self._sync()
        elif step.what == "cut_at":
            moment, after, how, inside, outage_s = step.values
            self._front.cut_at(moment, after=after, how=how, inside=inside, outage_s=outage_s)
        elif step.what == "cut":
            self._front.cut(step.values[0])
        elif step.what in ("kill_strategy", "stop_strategy"):
            self._end(by_force=step.what == "kill_strategy")
            self._begin(step.values[0])
        elif step.what == "kill_trader":
            self._kill_trader()
        elif step.what == "set_price":
            self._front.set_price(INSTRUMENT, step.values[0])
        else:
            getattr(self._front, step.what)(*step.values)

    def _kill_trader(self) -> None:
        try:
            with TradeLog.attach(self._folder.name) as journal:
                info = journal.info()
        except NotFoundError:
            return  # the first one has not come so far
        # A supervisor whose process has died writes for a moment itself.
        if info.writer_alive and info.writer_pid not in (self._process.pid, os.getpid()):
            try:
                os.kill(info.writer_pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            self.done["killed"] += 1

    def _clear(self) -> None:
        front = self._front
        front.clear_faults()
        front.silence(0)
        front.delay_returns(0)
        front.repeat_at_login(0)
        front.refuse_connections(False)
        front.refuse_logins(7, 0)
        front.refuse_orders(31, 0)
        front.reject_orders(95, 0)

    def _check(self) -> None:
        folded, seen = self._ask("settle")
        account = fold(AccountState(), self._folder.name, folded)
        again = picture(account)
        assert seen == again, f"the strategy's book {seen}\nis not the journal's {again}"
        deadline = time.monotonic() + PATIENCE_S
        while found := differences(fold(account, self._folder.name), self._front.report(), self._quick):
            if time.monotonic() > deadline:
                raise AssertionError("\n".join(found))
            threading.Event().wait(_LOOK_S)

    def _story(self) -> str:
        """The journal's end, a line for each record."""
        try:
            with TradeLog.attach(self._folder.name) as journal:
                last = journal.read(max(0, journal.head - 120))
        except NotFoundError:
            return "there is no journal"
        return "\n".join(_line(record) for record in last)


def _line(record: Any) -> str:
    data = record.data or {}
    told = " ".join(
        f"{name}={data[name]}"
        for name in ("SessionID", "OrderRef", "OrderStatus", "VolumeTraded", "TradeID", "Volume")
        if data.get(name) not in (None, "")
    )
    words = f" {record.error_id} {record.error_msg}" if record.error_msg or record.error_id else ""
    return f"{record.sequence:6d} {record.epoch:3d} {record.kind} {record.client_id or ''} {told}{words}"
