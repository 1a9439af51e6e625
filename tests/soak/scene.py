"""One engine's life: a front, an engine, a crew, the faults that befall them, and the balances in between."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import os
import signal
import time
import traceback
from collections import Counter
from typing import Any

from feed_support import engine_on

from tickengine import NotFoundError, TickQueue
from tickengine.front import FrontProcess, FrontStats, MarketSpec

from . import faults, leaks, slots
from .accounts import Promise, ReaderAccount, check_delivery, check_story
from .lanes import Late, Until, Waits
from .ledger import HURRY, RUN
from .plan import ALL_IDS, BASE_IDS, MORTAL, WITNESS, Reader, Round, Step
from .post import WORKER_S, Post
from .report import Report

BALANCE_S = 90.0
"""At rest, everything must be in the log and read in this time."""
LANE_S = 240.0
"""A step that is under way must end in this time."""
SAMPLE_S = 2.0
_LAST_STYLES = ("doze", "nobody")


class Scene:
    def __init__(self, number: int, plan: Round, report: Report, directory: str, library: str) -> None:
        self.plan = plan
        self.report = report
        self.market = MarketSpec(ALL_IDS, seed=plan.market_seed)
        self.pace = plan.pace
        self.wanted = set(BASE_IDS)
        self.graceful: set[int] = set()
        self.deaths: list[int] = []
        self.disconnects = 0
        self.posts: list[Post] = []
        self.closing = False
        self._number = number
        self._directory = directory
        self._held = False
        self._busy: set[str] = set()
        self._stopped: set[int] = set()
        self._guests = itertools.count(1)
        self._past: list[ReaderAccount] = []
        self._sampled = 0.0
        self._engine_role = leaks.Role("engine", f"engine process {number}.{{}}", report.series)
        self._live_role = leaks.Role("live", f"engine process {number}.{{}}, live", report.series)
        self._front_role = leaks.Role("front", f"front process in round {number}", report.series)
        self._front_rest_role = leaks.Role("live", f"front process at rest in round {number}", report.series)
        self._parent_series = leaks.Series("memory", f"parent process in round {number}")
        self._rest_series = leaks.Series("rest", f"parent process at rest in round {number}")
        report.series += [self._parent_series, self._rest_series]
        self._totals: Counter[str] = Counter()
        self._balanced_at = report.now
        self.front = FrontProcess(self.market, **_front_options(plan.pace))
        # The queues of guests have names that nobody chose; they are known by their log's name.
        self.name = f"{leaks.run_name()}-{number}"
        self._queues = [self._queue(reader) for reader in plan.readers]
        self.front.start()
        self.engine = engine_on(
            self.front.address,
            library,
            BASE_IDS,
            self._queues,
            capacity=plan.capacity,
            name=self.name,
        )
        with leaks.flow_directories_in(directory):
            self.engine.start()
        for reader, queue in zip(plan.readers, self._queues):
            post = self._post(reader, reader.name, queue=queue)
            if reader.style != "nobody":
                post.employ()

    def _queue(self, reader: Reader) -> TickQueue:
        name = f"{self.name}-{reader.name}"
        return TickQueue(reader.ids, events=reader.events, wait=reader.wait, skip=reader.skip, name=name)

    def _post(self, reader: Reader, label: str, **options: Any) -> Post:
        post = Post(
            reader,
            self._directory,
            self.market,
            self.engine.log,
            self.wrong,
            self.report.series,
            label=f"{label}-{self._number}",
            **options,
        )
        self.posts.append(post)
        return post

    def wrong(self, text: str) -> None:
        self.report.wrong(text)

    # ---- what the faults look at -----------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        return self.engine.status()

    def ticks(self) -> int:
        return int(self.engine.log.info().ticks)

    def connections(self) -> list[int]:
        return [c.connection for c in self.front.stats().clients if c.logged_in]

    def subscribed(self) -> set[str]:
        return {name for c in self.front.stats().clients if c.logged_in for name in c.subscribed}

    def all_acknowledged(self) -> bool:
        status = self.status()
        return (
            status["state"] == "live"
            and status["unacknowledged"] == 0
            and not status["refused"]
            and status["subscribed"] == len(self.wanted)
        )

    def _all_read(self) -> bool:
        return all(p.is_reading() for p in self.posts if p.queue in self._queues and p.reader.style != "nobody")

    # ---- what the faults do ----------------------------------------------------------------------------------

    def set_pace(self, pace: dict[str, Any]) -> None:
        self.pace = pace
        self.front.pace(**_front_options(pace))

    def stop_process(self, pid: int) -> None:
        self._stopped.add(pid)
        os.kill(pid, signal.SIGSTOP)

    def continue_process(self, pid: int) -> None:
        self._stopped.discard(pid)
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass  # it was killed while it stood still

    def some_post(self, whom: int) -> Post:
        """One of the crew that another lane leaves alone, and that reads."""
        others = [
            p
            for p in self.posts
            if p.queue in self._queues
            and p.reader.style not in _LAST_STYLES
            and p.reader.name not in (WITNESS, MORTAL)
            and p.employed
        ]
        return others[whom % len(others)]

    @property
    def mortal(self) -> Post:
        return next(p for p in self.posts if p.reader.name == MORTAL)

    def _visitor(self, reader: Reader) -> tuple[Reader, str]:
        label = f"{reader.name}-{next(self._guests)}"
        return dataclasses.replace(reader, name=label), label

    def guest(self, reader: Reader, start: str) -> Post:
        """A worker that attaches to the engine by itself."""
        reader, label = self._visitor(reader)
        options = {
            "instruments": reader.ids,
            "start": start,
            "events": reader.events,
            "wait": reader.wait,
            "skip": reader.skip,
        }
        post = self._post(reader, label, attach=(self.engine.name, options))
        post.employ()
        return post

    def hired(self, reader: Reader, start: str) -> Post:
        """A worker on a queue that this process attaches to the engine that runs."""
        reader, label = self._visitor(reader)
        queue = TickQueue.attach(
            self.engine.name, reader.ids, start=start, events=reader.events, wait=reader.wait, skip=reader.skip
        )
        post = self._post(reader, label, queue=queue)
        post.employ()
        return post

    def dismiss(self, post: Post) -> None:
        """A guest's account is compared with the front's promises at the next balance."""
        post.drain()
        if post.final is not None and not post.kills and post.queue is None:
            final, account = post.final, post.account
            if final["received"] != account.seen:
                self.wrong(f"{post.label}: left with received {final['received']}, but saw {account.seen}")
            if account.missing > final["lost"] + final["skipped"]:
                self.wrong(
                    f"{post.label}: {account.missing} ticks are missing in what it saw, but it counts {final['lost']} "
                    f"lost and {final['skipped']} skipped"
                )
        self.posts.remove(post)
        self._past.append(post.account)
        post.dispose()

    # ---- lanes -----------------------------------------------------------------------------------------------

    def steps(self, lane: str, steps: tuple[Step, ...]) -> Waits:
        """The faults of one lane, one after the other. None begins while the accounts are balanced."""
        try:
            yield Until(lambda: self.status()["state"] == "live", "the engine live at the start", faults.LIVE_S)
            yield Until(self._all_read, "the crew reads at the start", WORKER_S)
        except Late as late:
            self.wrong(f"{lane}: {late}")
            return
        for step in steps:
            due = time.monotonic() + step.after_s
            yield Until(
                lambda due=due: self.closing or (time.monotonic() >= due and not self._held), "its turn", float("inf")
            )
            if self.closing:
                return
            self._busy.add(lane)
            record = self.report.begin(lane, step.kind, step.args)
            try:
                yield from faults.ACTIONS[step.kind](self, step.args)
                self.report.end(record, "mended")
            except Late as late:
                self.report.end(record, "late")
                self.wrong(f"{step.kind}: {late}")
            except Exception:
                self.report.end(record, "failed")
                self.wrong(f"{step.kind}: {traceback.format_exc()}")
            except GeneratorExit:
                self.report.end(record, "abandoned")
                raise
            finally:
                self._busy.discard(lane)

    def accounts(self, every_s: float) -> Waits:
        """A balance from time to time, and one at the end."""
        while not self.closing:
            due = time.monotonic() + every_s
            yield Until(lambda due=due: self.closing or time.monotonic() >= due, "the next balance", float("inf"))
            if not self.closing:
                yield from self.balance()
        yield from self.balance(last=True)

    def balance(self, *, last: bool = False) -> Waits:
        """Everything comes to rest and is accounted for. After the last one nothing goes on again."""
        self._held = True
        try:
            yield Until(lambda: not self._busy, f"the end of the steps under way ({self._busy})", LANE_S)
            began, wrongs = self.report.now, len(self.report.wrongs)
            yield from self._balance_at_rest(last)
            self.report.checkpoints += 1
            self.report.say(
                f"round {self._number} balanced in {self.report.now - began:.1f} s: {self._totals['promised']:,} sent, "
                f"{self._totals['written']:,} written, {len(self.report.wrongs) - wrongs} violations"
            )
        except Late as late:
            self.wrong(f"balance: {late}")
            for post in self.posts:
                if post.employed and post.queue is not None and post.reader.style not in _LAST_STYLES:
                    for text in post.balance():
                        self.wrong(text)
        finally:
            self._held = False
            self._balanced_at = self.report.now

    def _balance_at_rest(self, last: bool) -> Waits:
        self.front.pause()
        try:
            self._tell(HURRY)
            yield Until(lambda: self.status()["state"] == "live", "the engine live for the balance", faults.RESTART_S)
            yield Until(self._all_handed_over, "the front has handed over what it made", BALANCE_S)
            stats = self.front.stats()
            promise = Promise(stats.sent_ranges, ALL_IDS)
            yield Until(lambda: self._delivered(stats, promise), "what the front promised is in the log", BALANCE_S)
            reading = [p for p in self.posts if p.queue is not None and p.reader.style not in _LAST_STYLES]
            for post in reading:
                yield Until(post.balanced, f"{post.label} has received, lost or skipped all", BALANCE_S)
                post.settle()
            # The connection that is open has delivered all: of it nothing may be missing, now and later.
            delivered = {c.connection for c in stats.clients}
            self._settle(promise, frozenset(self.graceful | delivered))
            if last:
                self.graceful |= delivered
        finally:
            if not last:
                self._tell(RUN)
                self.front.resume()

    def _tell(self, order: int) -> None:
        for post in self.posts:
            if post.reader.style not in _LAST_STYLES:
                post.ledger.tell(order)

    def _all_handed_over(self) -> bool:
        return not any(c.queued_bytes for c in self.front.stats().clients)

    def _delivered(self, stats: FrontStats, promise: Promise) -> bool:
        for client in stats.clients:
            for place, name in enumerate(ALL_IDS):
                last = promise.last(place, client.connection)
                if last is None:
                    continue
                try:
                    if self.engine.log.latest(name).Turnover < last:
                        return False
                except NotFoundError:
                    return False
        return True

    def _settle(self, promise: Promise, graceful: frozenset[int]) -> None:
        counts = [slots.written(self.engine.log, (name,)) for name in ALL_IDS]
        undelivered, texts = check_delivery(counts, promise, graceful)
        for account in (*(p.account for p in self.posts), *self._past):
            texts += account.settle(promise, graceful)
        self._past.clear()
        texts += self._check_events()
        for text in texts:
            self.wrong(text)
        self._totals["promised"] = sum(promise.total(place) for place in range(len(ALL_IDS)))
        self._totals["written"] = sum(counts)
        self._totals["undelivered"] = undelivered

    def _check_events(self) -> list[str]:
        witness = next(p for p in self.posts if p.reader.name == WITNESS)
        lost = witness.final["lost_events"] if witness.final is not None else witness.counters().lost_events
        return [] if lost else check_story(witness.account.event_values, self.deaths, self.disconnects)

    # ---- looking on ------------------------------------------------------------------------------------------

    def watch(self) -> None:
        for post in list(self.posts):
            post.watch()
        if time.monotonic() - self._sampled >= SAMPLE_S:
            self._sample()

    def _sample(self) -> None:
        """This process and those that serve it."""
        self._sampled = time.monotonic()
        own, pid, status = leaks.process_sample(os.getpid()), self.engine.pid, self.status()
        assert own is not None
        self._parent_series.add(self.report.now, own)
        self._front_role.look(self.report.now, self.front.pid, True)
        for post in self.posts:
            post.sample(self.report.now)
        if pid is None:
            return
        live = status["state"] == "live" and status["pid"] == pid
        self._engine_role.look(self.report.now, pid, live)
        # A connection that is being made or looked for has descriptors and threads of its own.
        if live and "feed" not in self._busy:
            self._live_role.look(self.report.now, pid, True)
            if not self._busy:
                self._sample_at_rest()

    def _sample_at_rest(self) -> None:
        """The same crew, no guests, no step under way, the engine live: what is counted can be compared."""
        self._front_rest_role.look(self.report.now, self.front.pid, True)
        own = leaks.process_sample(os.getpid())
        assert own is not None
        children = len(leaks.children_of(os.getpid()))
        flow = leaks.flow_files(self.engine._settings.page_dir)
        self._rest_series.add(self.report.now, {**own, "children": children, "flow_files": flow})

    def progress(self) -> str:
        info, stats = self.engine.log.info(), self.status()
        lost = sum(q["lost"] for q in stats["queues"])
        return (
            f"round {self._number}: {stats['state']}, {info.ticks:,} ticks, {lost:,} lost by overtaken readers, "
            f"{len(self.posts)} queues, engine {info.epoch}, "
            f"last balance {self.report.now - self._balanced_at:.0f} s ago, "
            f"{len(self.report.faults)} faults, {len(self.report.wrongs)} violations"
        )

    # ---- the end ---------------------------------------------------------------------------------------------

    def calm(self) -> None:
        """After an interruption: nothing stands still, and each queue has a worker. Whether the engine goes on is not
        known: a Ctrl-C in a terminal reaches it too, and it ends in order. So there is no rest to wait for."""
        for pid in list(self._stopped):
            self.continue_process(pid)
        for post in self.posts:
            if post.reader.style != "nobody":
                post.ensure_worker()
            post.expect_end()

    def finish(self) -> Waits:
        """Everybody reads to the end, the sleepers too, and then everything must be accounted for."""
        self.front.pause()  # it is at rest already, unless the run was interrupted or the last balance failed
        for post in self.posts:
            post.expect_end()
        self.engine.stop()
        for post in self.posts:
            if not post.employed:
                post.employ()
                post.expect_end()
            post.ledger.tell(HURRY)
        for post in self.posts:
            yield from post.ends("closed")
            if post.final is None:
                continue
            self._totals.update({name: post.final[name] for name in ("received", "lost", "skipped")})
            for text in post.final_balance(post.final):
                self.wrong(text)
            self._totals["taken"] += post.final["received"] - post.account.seen
        self._settle(Promise(self.front.stats().sent_ranges, ALL_IDS), frozenset(self.graceful))

    def record(self) -> dict[str, Any]:
        return {
            "round": self._number,
            "capacity": self.plan.capacity,
            "seconds": self.plan.seconds,
            "restarts": len(self.deaths),
            **{n: self._totals[n] for n in ("promised", "written", "undelivered")},
            **{n: self._totals[n] for n in ("received", "lost", "skipped", "taken")},
            "readers": [
                {
                    "name": p.reader.name,
                    "style": p.reader.style,
                    "wait": p.reader.wait,
                    "filter": "all" if p.reader.ids is None else " ".join(p.reader.ids),
                    "seen": p.account.seen,
                    "events": p.account.events,
                    "kills": p.kills,
                    "workers": p.workers,
                    **(p.final or {"received": 0, "lost": 0, "skipped": 0}),
                }
                for p in self.posts
            ],
        }

    def dispose(self) -> None:
        """Nothing stays, whatever has happened."""
        for pid in list(self._stopped):
            self.continue_process(pid)
        self.engine.stop()
        for post in self.posts:
            post.dispose()
        self.front.stop()
        gc.collect()


def _front_options(pace: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in pace.items()}
