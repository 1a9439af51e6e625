"""A queue with its ledger, its account, and whoever reads it at the time."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from tickengine import TickLog, TickQueue
from tickengine.front import MarketSpec

from . import leaks, slots
from .accounts import ReaderAccount, check_balance
from .crew import work
from .lanes import Until, Waits
from .ledger import LEAVE, Ledger
from .plan import ALL_IDS, ONE_BY_ONE, Reader

WORKER_S = 60.0
"""A worker must have begun, gone on or ended in this time."""
_EXPECTED_ENDS = ("left", "closed")


class Post:
    """*queue* where this process made it, *attach* how a guest gets its own."""

    def __init__(
        self,
        reader: Reader,
        directory: str,
        market: MarketSpec,
        log: TickLog,
        wrong: Callable[[str], None],
        series: list[leaks.Series],
        *,
        label: str,
        queue: TickQueue | None = None,
        attach: tuple[str, dict[str, Any]] | None = None,
    ) -> None:
        self.reader = reader
        self.label = label
        self.queue = queue
        self.queue_name = "" if queue is None else queue.name
        self.ledger = Ledger(os.path.join(directory, f"{label}.ledger"), create=True)
        wanted = range(len(ALL_IDS)) if reader.ids is None else map(ALL_IDS.index, reader.ids)
        self.account = ReaderAccount(label, len(ALL_IDS), frozenset(wanted), reader.skip)
        self.workers = self.kills = 0
        self.final: dict[str, int] | None = None
        self._attach = attach
        self._market = market
        self._log = log
        self._wrong = wrong
        self._process: Any = None
        self._end: Connection | None = None
        self._may_end = False
        self._said = ""
        self._begun_at = 0
        self._role = leaks.Role("reader", f"reader {label}, worker {{}}", series)
        self._taken = 0  # what killed workers are known to have taken with them
        self._graves = 0  # and what those since then can have
        self._all_graves = 0
        self._first = 0 if queue is None else self.counters().first

    # ---- its worker ----------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    @property
    def employed(self) -> bool:
        return self._process is not None

    def employ(self, *, by_name: bool = False) -> None:
        """Start a worker. *by_name*: a stranger, who attaches the queue by its name."""
        # A successor comes as its predecessor came: each way has its own number of descriptors in this process.
        method: Any = multiprocessing.get_context(self.reader.context)
        source = self._attach or (self.queue if not by_name else (self.queue_name, {}))
        self._end, theirs = method.Pipe()
        self._process = method.Process(
            target=work, args=(source, self.reader, self.ledger.path, self._market, theirs), name=self.label
        )
        self._may_end, self._said = False, ""
        self._begun_at = self.ledger.count
        self._process.start()
        theirs.close()
        self.workers += 1

    def reading(self) -> Waits:
        yield Until(self.is_reading, f"{self.label}: its worker reads", WORKER_S)

    def is_reading(self) -> bool:
        entry = self._entry()
        return entry is not None and self._process is not None and entry["pid"] == self.pid

    def _entry(self) -> dict[str, Any] | None:
        return next((q for q in self._log.queues() if q["name"] == self.queue_name), None)

    def goes_on(self) -> Waits:
        count = self.ledger.count
        yield Until(lambda: self.ledger.count > count or self.balanced(), f"{self.label}: its worker goes on", WORKER_S)

    def killed(self) -> Waits:
        self._may_end = True
        os.kill(self.pid, signal.SIGKILL)
        self.kills += 1
        graves = 1 if self.reader.style in ONE_BY_ONE else self.reader.batch
        self._graves += graves
        self._all_graves += graves
        yield from self._ended()

    def ensure_worker(self) -> None:
        """After an interruption: one that was killed has its successor, one that has been waited for is let go."""
        if self._process is not None and not self._process.is_alive():
            self._bury()
        if self._process is None:
            self.employ(by_name=True)

    def expect_end(self) -> None:
        """From now on its worker may end by itself."""
        self._may_end = True

    def leaves(self) -> Waits:
        self.ledger.tell(LEAVE)
        yield from self.ends(*_EXPECTED_ENDS)

    def ends(self, *how: str) -> Waits:
        """Wait for the worker's end, which must be one of these."""
        self._may_end = True
        yield from self._ended()
        if self._said not in how:
            self._wrong(f"{self.label}: its worker ended {self._said or 'without a word'}, expected {' or '.join(how)}")

    def _ended(self) -> Waits:
        process = self._process
        yield Until(lambda: not process.is_alive(), f"{self.label}: its worker ends", WORKER_S)
        self._bury()

    def _bury(self) -> None:
        self._listen()
        self._process.join()
        self._process.close()
        self._process = None
        assert self._end is not None
        self._end.close()
        self._end = None
        self.drain()

    def _listen(self) -> None:
        end = self._end
        while end is not None and end.poll():
            try:
                said, what = end.recv()
            except (EOFError, OSError):
                return  # killed, perhaps within a word
            if said == "reading":
                self.queue_name = what
            elif said == "wrong":
                self._said = said
                self._wrong(f"{self.label}: {what}")
            else:
                self._said, self.final = said, what

    def watch(self) -> None:
        """Take what the worker has written and said; an end that nobody asked for is wrong."""
        self.drain()
        self._listen()
        if self._process is not None and not self._may_end and not self._process.is_alive():
            status = self._process.exitcode
            self._bury()
            self._wrong(f"{self.label}: its worker ended by itself with status {status}, saying {self._said!r}")

    def sample(self, now: float) -> None:
        """What its worker holds since it has read something."""
        if self._process is not None:
            self._role.look(now, self.pid, self.ledger.count > self._begun_at)

    def drain(self) -> None:
        count = self.ledger.count
        while self.ledger.drained < count:
            for text in self.account.add(self.ledger.drain()):
                self._wrong(text)

    def dispose(self) -> None:
        """Nothing of it stays, however it is just now."""
        if self._process is not None:
            self._may_end = True
            self._process.kill()
            self._process.join()
            self._bury()
        if self.queue is not None:
            self.queue.close()
        self.ledger.remove()

    def close_queue(self) -> None:
        assert self.queue is not None
        self._may_end = True
        self.queue.close()

    # ---- its balance ---------------------------------------------------------------------------------------

    def counters(self) -> slots.Counters:
        assert self.queue is not None
        return slots.counters(self.queue.path, self._log.path)

    def final_balance(self, final: dict[str, int]) -> list[str]:
        """What is wrong with what its last worker said when it had read to the end."""
        return check_balance(
            self.label,
            written=(slots.written(self._log, self.reader.ids) - self._first) % (1 << 64),
            received=final["received"],
            lost=final["lost"],
            skipped=final["skipped"],
            seen=self.account.seen + self._taken,
            graves=self._graves,
            doubtful=self._graves if self.reader.events else 0,
        )

    def balance(self) -> list[str]:
        """What is wrong with a reader that ought to have caught up."""
        c = self.counters()
        wrong = check_balance(
            self.label,
            written=(slots.written(self._log, self.reader.ids) - c.first) % (1 << 64),
            received=c.received,
            lost=c.lost + slots.silent_losses(self._log, self.reader.ids, c),
            skipped=c.skipped,
            seen=self.account.seen + self._taken,
            graves=self._graves,
            doubtful=min(self._graves, c.events_passed) if self.reader.events else 0,
        )
        if c.passed != c.received + c.lost + c.skipped:
            wrong.append(f"{self.label}: the slot's numbers disagree: {c}")
        if self.reader.events:
            wrong += check_events(self.label, c, self.account.events, self._all_graves)
        return wrong

    def balanced(self) -> bool:
        """Its worker sleeps, so all that it was given is in the ledger; and nothing is missing."""
        entry = self._entry()
        if entry is None or not entry["asleep"]:
            return False
        self.drain()
        return not self.balance()

    def settle(self) -> None:
        """At rest and balanced: what killed workers took with them is known now."""
        self._taken = self.counters().received - self.account.seen
        self._graves = 0


def check_events(label: str, c: slots.Counters, seen: int, graves: int) -> list[str]:
    wrong = []
    if c.events_passed != c.events + c.lost_events:
        wrong.append(
            f"{label}: {c.events} events received + {c.lost_events} lost, but {c.events_passed} were written for it"
        )
    if not 0 <= c.events - seen <= graves:
        wrong.append(f"{label}: received {c.events} events but saw {seen}")
    return wrong
